//! What becomes of the set's revisions, and which hash new Pods get.

use alloc::vec::Vec;

use crate::kube::Str;
use crate::plan::{Action, DaemonSetAction, Plan};
use crate::view::{DaemonSetStatusView, pod_flag};

use super::facts::Facts;
use super::history::{Current, History, MAX_CHANGES, NameTaken, RevisionRow, name_taken};
use super::pods::Pod;

/// Most revisions that one plan labels; each is a step of its own, and there are few.
const MAX_LABELLINGS: usize = 20;
/// When a revision is looked at again whose name is taken, where the watch is about to tell more, milliseconds.
const LOOK_AGAIN_MS: u64 = 1_000;

/// The revisions that the set controls and its selector matches.
pub(super) struct Claimed {
    rows: Vec<RevisionRow>,
    /// Position in the snapshot of each.
    positions: Vec<u32>,
}

/// What is decided of the revisions.
pub(super) struct Revisions {
    /// Value of the hash label that new Pods get.
    pub(super) hash: Str,
    /// When the revision for the set's template was made, seconds since the Unix epoch; `None` if it is to come, or to get
    /// the highest number.
    pub(super) since_s: Option<i64>,
    /// Number of the revision to create for the set's template, if there is none.
    pub(super) created: Option<i64>,
    /// The revision that gets another number, and the number.
    pub(super) renumbered: Option<(u32, i64)>,
    /// Revisions that get a hash label, each with its own; first the one for the set's template, if it gets one.
    pub(super) labelled: Vec<(u32, Str)>,
    /// Whether that one does.
    pub(super) labels_current: bool,
    /// Pods that get the hash of the revision that stays of several for the set's template.
    pub(super) relabelled: Vec<u32>,
    /// Revisions that go: duplicates, then those that are more than the history keeps.
    pub(super) deleted: Vec<u32>,
    /// Of each distinct hash label whether it says that a Pod was made from the set's template.
    is_current: Vec<bool>,
}

impl Claimed {
    /// Those of the snapshot.
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let claimed = (0_u32..).zip(&facts.snapshot.revisions).filter(|(_, one)| one.owned && one.selected);
        let (positions, rows) = claimed.map(|(position, one)| (position, one.row.clone())).unzip();
        Self { rows, positions }
    }

    /// The position in the snapshot of the one at `place`.
    fn position(&self, place: u32) -> Option<u32> {
        self.positions.get(place as usize).copied()
    }
}

impl Revisions {
    /// What is to be done about the `claimed` ones.
    pub(super) fn decide(facts: &Facts<'_>, claimed: &Claimed) -> Self {
        let history = History::of(&claimed.rows);
        let set = facts.set;
        let (created, kept, renumbered) = match history.current() {
            Current::Create { number } => (Some(number), None, None),
            Current::Keep { position, renumber } => (None, Some(position), renumber),
        };
        let present =
            kept.filter(|_| renumbered.is_none()).and_then(|place| claimed.rows.get(place as usize));
        let since_s = present.map(|row| row.created_s);
        let mut unlabelled = history.unlabelled();
        unlabelled.sort_by_key(|label| Some(label.position) != kept);
        let labels_current = unlabelled.first().is_some_and(|label| Some(label.position) == kept);
        // One write for each object: the label comes first.
        let renumbered = kept.zip(renumbered).filter(|_| !labels_current);
        let renumbered = renumbered.and_then(|(place, number)| Some((claimed.position(place)?, number)));
        let hashes = &facts.snapshot.pods.hashes;
        // Where the revision is still to come, a Pod may have its hash already, from before somebody deleted it.
        let is_of_created = |hash: &Str| {
            created.is_some()
                && *hash == set.template_hash
                && claimed.rows.iter().all(|row| row.hash() != *hash)
        };
        let is_current = hashes.iter().map(|hash| history.is_current(hash) || is_of_created(hash)).collect();
        let (relabelled, duplicates) = deduplicate(facts, claimed, &history);
        let named = hashes.iter().zip(&facts.pods.named).filter(|(_, is_named)| **is_named);
        let named: Vec<Str> = named.map(|(hash, _)| hash.clone()).collect();
        let surplus = history.surplus(&named, set.revision_history_limit);
        let deleted: Vec<u32> = duplicates.into_iter().chain(surplus).take(MAX_CHANGES).collect();
        let labelled = unlabelled.into_iter().filter(|label| !deleted.contains(&label.position));
        let labelled = labelled.filter_map(|label| Some((claimed.position(label.position)?, label.hash)));
        Self {
            hash: history.hash().unwrap_or(&set.template_hash).clone(),
            since_s,
            created,
            renumbered,
            labelled: labelled.take(MAX_LABELLINGS).collect(),
            labels_current,
            relabelled,
            deleted: deleted.iter().filter_map(|place| claimed.position(*place)).collect(),
            is_current,
        }
    }

    /// Whether the Pod's hash label says that it was made from the set's template.
    pub(super) fn has_current_hash(&self, pod: Pod) -> bool {
        self.is_current.get(pod.hash as usize).copied().unwrap_or(false)
    }

    /// Whether the Pod was made from the set's template, as its hash label says, or its label for the number of the
    /// template: that one keeps Pods from being replaced where another version of the API server writes the same
    /// template in another way (upstream: IsPodUpdated).
    pub(super) fn is_updated(&self, pod: Pod) -> bool {
        self.has_current_hash(pod) || pod.has(pod_flag::OF_GENERATION)
    }

    /// The plan where the name of the revision to create is taken; nothing else is decided before it has another.
    ///
    /// The set's own revision and one without a controller would be among those of the snapshot, but for a watch that
    /// lags.
    pub(super) fn name_taken(&self, facts: &Facts<'_>) -> Option<Plan> {
        let taken = facts.snapshot.taken.filter(|_| self.created.is_some())?;
        let stored = facts.set.status;
        let count = stored.collision_count;
        let mut plan = Plan { memo: facts.snapshot.memo.clone(), ..Plan::default() };
        match name_taken(taken, count, count) {
            NameTaken::Raise(count) => {
                let status = DaemonSetStatusView { collision_count: Some(count), ..stored };
                plan.push(Action::DaemonSet(DaemonSetAction::WriteStatus(status)), Vec::new());
            }
            NameTaken::Use | NameTaken::Adopt | NameTaken::Wait => {
                plan.requeue_after_ms = Some(LOOK_AGAIN_MS);
            }
        }
        Some(plan)
    }
}

/// Pods to relabel, by their positions in the snapshot, and duplicates to delete, by their places among the claimed.
fn deduplicate(facts: &Facts<'_>, claimed: &Claimed, history: &History<'_>) -> (Vec<u32>, Vec<u32>) {
    if claimed.rows.iter().filter(|row| row.holds_template).count() < 2 {
        return (Vec::new(), Vec::new());
    }
    let columns = &facts.snapshot.pods;
    let nobodys = Str::from("");
    let claims = pod_flag::OWNED | pod_flag::SELECTED;
    let hash_of = |(flags, hash): (&u16, &u32)| {
        let hash = columns.hashes.get(*hash as usize).filter(|_| flags & claims == claims);
        hash.unwrap_or(&nobodys).clone()
    };
    let hashes: Vec<Str> = columns.flags.iter().zip(&columns.hash).map(hash_of).collect();
    let found = history.deduplicate(&hashes);
    (found.relabel, found.delete)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{
        actions, changes, plan, pod, revision, set, snapshot, texts, with_pods, written,
    };
    use super::super::history::{Holder, Taken};
    use super::*;
    use crate::view::DaemonSetSnapshot;

    /// What becomes of revisions.
    fn of_revisions(snapshot: &DaemonSetSnapshot) -> Vec<DaemonSetAction> {
        let mut actions = actions(&plan(snapshot));
        actions.retain(|action| {
            !matches!(
                action,
                DaemonSetAction::CreatePods { .. }
                    | DaemonSetAction::DeletePods(_)
                    | DaemonSetAction::WriteStatus(_)
            )
        });
        actions
    }

    #[test]
    fn a_template_without_a_revision_gets_one_and_its_pods_the_hash() {
        let mut snapshot = snapshot(1);
        snapshot.revisions = vec![revision("old", 6, false)];
        assert_eq!(of_revisions(&snapshot), [DaemonSetAction::CreateRevision { number: 7 }]);
        let creates = DaemonSetAction::CreatePods { nodes: vec![0], hash: "new".into() };
        assert!(actions(&plan(&snapshot)).contains(&creates));
    }

    #[test]
    fn pods_of_a_revision_that_somebody_deleted_are_still_of_the_template() {
        let mut snapshot = with_pods(&[("new", ""), ("old", "")]);
        snapshot.revisions = vec![revision("old", 1, false)];
        assert_eq!(changes(&snapshot), (vec![], vec![1]));
        let mut clash = revision("older", 1, false);
        clash.row.label = "new".into();
        snapshot.revisions = vec![clash];
        assert_eq!(written(&plan(&snapshot)).unwrap().updated, 0, "the hash says nothing then");
    }

    #[test]
    fn the_label_of_the_revision_is_the_hash_whoever_wrote_it() {
        let mut snapshot = snapshot(1);
        snapshot.revisions[0].row.label = "theirs".into();
        let creates = DaemonSetAction::CreatePods { nodes: vec![0], hash: "theirs".into() };
        assert!(actions(&plan(&snapshot)).contains(&creates));
    }

    #[test]
    fn a_template_that_is_back_renumbers_its_revision() {
        let mut snapshot = with_pods(&[("new", ""), ("old", "")]);
        snapshot.revisions = vec![revision("old", 3, false), revision("new", 1, true)];
        let renumber = DaemonSetAction::RenumberRevision { revision: 1, number: 4 };
        assert_eq!(of_revisions(&snapshot), [renumber]);
        assert_eq!(changes(&snapshot), (vec![], vec![1]));
    }

    #[test]
    fn a_revision_gets_its_label_first_and_its_number_after() {
        let mut snapshot = snapshot(1);
        snapshot.revisions = vec![revision("old", 3, false), revision("new", 1, true)];
        snapshot.revisions[1].row.label = "".into();
        let label = DaemonSetAction::LabelRevision { revision: 1, hash: "set-new".into() };
        assert_eq!(of_revisions(&snapshot), [label]);
        let creates = DaemonSetAction::CreatePods { nodes: vec![0], hash: "set-new".into() };
        assert!(actions(&plan(&snapshot)).contains(&creates));
    }

    #[test]
    fn of_many_without_a_label_that_of_the_template_comes_first() {
        let mut snapshot = snapshot(0);
        set(&mut snapshot).revision_history_limit = None;
        let old = (1..30).map(|number| revision(&alloc::format!("{number:02}"), number, false));
        snapshot.revisions = old.chain([revision("new", 3, true)]).collect();
        snapshot.revisions.iter_mut().for_each(|one| one.row.label = "".into());
        let labelled = of_revisions(&snapshot);
        assert_eq!(labelled.len(), MAX_LABELLINGS);
        assert_eq!(labelled[0], DaemonSetAction::LabelRevision { revision: 29, hash: "set-new".into() });
        assert_eq!(labelled[1], DaemonSetAction::LabelRevision { revision: 0, hash: "set-01".into() });
    }

    #[test]
    fn positions_are_those_of_the_snapshot_though_others_stand_between() {
        let mut snapshot = snapshot(0);
        let mut foreign = revision("foreign", 1, false);
        (foreign.owned, foreign.row.terminating) = (false, true);
        let mut unlabelled = revision("x", 1, false);
        unlabelled.row.label = "".into();
        snapshot.revisions = vec![foreign, unlabelled, revision("a", 5, false), revision("new", 2, true)];
        set(&mut snapshot).revision_history_limit = Some(1);
        let renumber = DaemonSetAction::RenumberRevision { revision: 3, number: 6 };
        let expected = vec![renumber.clone(), DaemonSetAction::DeleteRevisions(vec![1])];
        assert_eq!(of_revisions(&snapshot), expected, "one that goes needs no label");
        set(&mut snapshot).revision_history_limit = Some(2);
        let expected = vec![DaemonSetAction::LabelRevision { revision: 1, hash: "set-x".into() }, renumber];
        assert_eq!(of_revisions(&snapshot), expected);
    }

    #[test]
    fn of_two_for_the_template_one_stays_and_the_pods_of_the_other_get_its_hash() {
        let mut snapshot = with_pods(&[("low", ""), ("new", ""), ("old", ""), ("low", "failed going")]);
        pod(&mut snapshot, 0, "low", "orphan going");
        snapshot.revisions =
            vec![revision("low", 2, true), revision("new", 4, true), revision("old", 3, false)];
        let relabel = DaemonSetAction::RelabelPods { pods: vec![0, 3], hash: "new".into() };
        assert_eq!(of_revisions(&snapshot), [relabel]);
        snapshot.pods.hashes = texts(&["new", "new", "old"]);
        assert_eq!(of_revisions(&snapshot), [DaemonSetAction::DeleteRevisions(vec![0])]);
    }

    #[test]
    fn revisions_that_pods_name_stay_even_if_these_have_ended_and_go() {
        let mut snapshot = with_pods(&[("a", "failed going"), ("new", "")]);
        let old = ["a", "b", "c"].iter().zip(1..).map(|(hash, number)| revision(hash, number, false));
        snapshot.revisions = old.chain([revision("new", 9, true)]).collect();
        set(&mut snapshot).revision_history_limit = Some(0);
        assert_eq!(of_revisions(&snapshot), [DaemonSetAction::DeleteRevisions(vec![1, 2])]);
        set(&mut snapshot).revision_history_limit = Some(2);
        assert_eq!(of_revisions(&snapshot), [DaemonSetAction::DeleteRevisions(vec![1])]);
        set(&mut snapshot).revision_history_limit = None;
        assert_eq!(of_revisions(&snapshot), []);
    }

    #[test]
    fn where_the_name_is_taken_only_the_collision_count_changes() {
        let mut snapshot = with_pods(&[("old", "unready"), ("old", "failed")]);
        snapshot.memo = vec![7];
        set(&mut snapshot).generation = 3;
        let stored = snapshot.set.status;
        snapshot.revisions = vec![revision("old", 1, false)];
        let taken = |holder, holds_template| Taken {
            holds_template,
            holder,
            matches_selector: true,
            terminating: false,
        };
        for (before, after) in [(None, 1), (Some(0), 1), (Some(4), 5)] {
            set(&mut snapshot).status.collision_count = before;
            snapshot.taken = Some(taken(Holder::Other, true));
            let raised = DaemonSetStatusView { collision_count: Some(after), ..stored };
            assert_eq!(actions(&plan(&snapshot)), [DaemonSetAction::WriteStatus(raised)]);
            assert_eq!(plan(&snapshot).memo, [7]);
        }
        snapshot.taken = Some(taken(Holder::Set, true));
        let wait = plan(&snapshot);
        assert_eq!((wait.steps.len(), wait.requeue_after_ms), (0, Some(LOOK_AGAIN_MS)));
        snapshot.revisions.push(revision("new", 2, true));
        assert!(!actions(&plan(&snapshot)).is_empty(), "there is one, whatever its name");
    }
}
