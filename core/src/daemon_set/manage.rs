//! What each node needs whatever the rollout: a Pod where there is none, and none too many (upstream: manage).

use alloc::format;
use alloc::vec::Vec;

use crate::kube::PodPhase;
use crate::plan::EventRecord;
use crate::view::pod_flag;

use super::backoff::Backoff;
use super::changes::Changes;
use super::facts::{Facts, Node};
use super::pods::Pod;
use super::revisions::Revisions;

/// The Pods that are missing, and those that have to go.
///
/// Pods that no node has yet go, too, if the one that they are meant for is not there; those that one had are left to
/// the Pod garbage collector, which knows whether they still run.
pub(super) fn decide(facts: &Facts<'_>, revisions: &Revisions, backoff: &mut Backoff) -> Changes {
    let mut changes = Changes::within(facts.snapshot.flags.max_pods_per_sync);
    let allows_surge = facts.allows_surge();
    for node in facts.nodes() {
        if node.answer.should_run && node.pods.is_empty() {
            changes.create(node.position);
        } else if node.answer.should_continue {
            let living = Living::sort(facts, node, revisions, backoff, &mut changes);
            if allows_surge {
                let creates = node.answer.should_run && living.running.is_empty() && !living.is_taken;
                if creates {
                    changes.create(node.position);
                }
                prune_pair(facts, revisions, &living.running, &mut changes);
            } else {
                delete_all(living.running.iter().skip(1), &mut changes);
            }
        } else {
            delete_all(node.pods.iter().filter(|pod| !pod.is_terminating()), &mut changes);
        }
    }
    let unbound = |pod: &&Pod| !pod.has(pod_flag::BOUND) && !pod.is_terminating();
    delete_all(facts.pods.gone.iter().filter(unbound), &mut changes);
    changes
}

/// The Pods of a node that have not ended.
struct Living {
    /// Those whose deletion was not asked for, the oldest first.
    running: Vec<Pod>,
    /// Whether a failed Pod of the present revision stays for now, since it waits for its turn. With surge, where a Pod that is about to
    /// go does not keep another from coming, upstream would create one Pod after the other beside it.
    is_taken: bool,
}

impl Living {
    /// Those of `node`; the ones that have ended go, the failed ones when it is their turn.
    fn sort(
        facts: &Facts<'_>,
        node: Node<'_>,
        revisions: &Revisions,
        backoff: &mut Backoff,
        changes: &mut Changes,
    ) -> Self {
        let mut living = Self { running: Vec::new(), is_taken: false };
        for pod in node.pods.iter().filter(|pod| !pod.is_terminating()) {
            match pod.phase {
                PodPhase::Failed => {
                    if changes.can_delete() && !backoff.is_waiting(node.name) {
                        backoff.count(node.name);
                        end(facts, node, *pod, changes);
                    } else {
                        living.is_taken |= revisions.has_current_hash(*pod);
                    }
                }
                PodPhase::Succeeded if changes.can_delete() => end(facts, node, *pod, changes),
                PodPhase::Succeeded => {}
                PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => living.running.push(*pod),
            }
        }
        living
    }
}

/// With surge, keeps the oldest Pod of the present revision and the oldest of any other; this one goes as well once it
/// is not ready, or the new one is available.
fn prune_pair(facts: &Facts<'_>, revisions: &Revisions, running: &[Pod], changes: &mut Changes) {
    if running.len() < 2 {
        return;
    }
    let (new, old): (Vec<Pod>, Vec<Pod>) = running.iter().partition(|pod| revisions.has_current_hash(**pod));
    delete_all(new.iter().skip(1), changes);
    delete_all(old.iter().skip(1), changes);
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!old.has(pod_flag::READY) || facts.is_available(*new))
    {
        changes.delete(old.position);
    }
}

fn delete_all<'pods>(pods: impl Iterator<Item = &'pods Pod>, changes: &mut Changes) {
    for pod in pods {
        changes.delete(pod.position);
    }
}

/// Deletes a Pod that has ended, and tells of it.
fn end(facts: &Facts<'_>, node: Node<'_>, pod: Pod, changes: &mut Changes) {
    changes.delete(pod.position);
    let ended = &facts.snapshot.pods.ended;
    let found = ended.binary_search_by_key(&pod.position, |(position, _)| *position);
    let Some((_, name)) = found.ok().and_then(|place| ended.get(place)) else { return };
    let (warning, reason, phase, intent) = if pod.phase == PodPhase::Failed {
        (true, "FailedDaemonPod", "failed", "kill")
    } else {
        (false, "SucceededDaemonPod", "succeeded", "delete")
    };
    let (namespace, node) = (facts.namespace(), node.name);
    let message =
        format!("Found {phase} daemon pod {namespace}/{name} on node {node}, will try to {intent} it");
    changes.tell(EventRecord::new(warning, reason, message));
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::fixture::{
        NO_EXECUTE, NO_SCHEDULE, changes, events, plan, pod, range, set, snapshot, surge, with_pods,
    };
    use super::*;
    use crate::plan::{Action, DaemonSetAction};
    use crate::view::{GONE_NODE, NO_NODE};

    #[test]
    fn each_node_without_a_pod_gets_one() {
        let mut snapshot = snapshot(5);
        assert_eq!(changes(&snapshot), (range(0, 5), vec![]));
        pod(&mut snapshot, 3, "new", "");
        pod(&mut snapshot, 1, "new", "failed going");
        pod(&mut snapshot, 0, "new", "going");
        pod(&mut snapshot, 4, "old", "pending unbound");
        assert_eq!(changes(&snapshot), (vec![1, 2], vec![]), "what has ended and goes is no Pod any more");
    }

    #[test]
    fn taints_keep_new_pods_away_and_drive_old_ones_off() {
        let mut snapshot = with_pods(&[("new", ""), ("new", ""), ("new", "failed"), ("new", "failed going")]);
        snapshot.nodes.shape = vec![NO_SCHEDULE, NO_EXECUTE, NO_EXECUTE, NO_SCHEDULE];
        let plan = plan(&snapshot);
        assert_eq!(changes(&snapshot), (vec![], vec![1, 2]));
        assert_eq!(events(&plan), [], "nothing is told of Pods that have to go anyway");
        snapshot.nodes.shape[2] = NO_SCHEDULE;
        assert_eq!(changes(&snapshot), (vec![], vec![1, 2]), "it failed, and no other comes");
        assert_eq!(events(&super::super::fixture::plan(&snapshot)).len(), 1);
    }

    #[test]
    fn of_several_pods_the_oldest_stays_and_a_bound_one_before_all_others() {
        let mut snapshot = snapshot(3);
        let unbound = pod(&mut snapshot, 0, "new", "unbound");
        let going = pod(&mut snapshot, 1, "new", "going");
        let young = pod(&mut snapshot, 0, "old", "");
        let old = pod(&mut snapshot, 0, "old", "unready");
        let same_age = pod(&mut snapshot, 0, "new", "");
        let alone = pod(&mut snapshot, 1, "new", "");
        pod(&mut snapshot, 2, "new", "");
        snapshot.pods.created_s[unbound as usize] -= 50;
        snapshot.pods.created_s[old as usize] -= 1;
        let (creates, deletes) = changes(&snapshot);
        assert_eq!((creates, deletes), (vec![], vec![young, same_age, unbound]));
        assert!(going < alone, "one that is about to go does not count");
    }

    #[test]
    fn a_pod_whose_node_is_not_there_goes_unless_a_node_had_it() {
        let mut snapshot = with_pods(&[("new", "")]);
        let unbound = pod(&mut snapshot, GONE_NODE, "new", "unbound");
        pod(&mut snapshot, GONE_NODE, "new", "");
        pod(&mut snapshot, GONE_NODE, "new", "failed");
        pod(&mut snapshot, GONE_NODE, "new", "unbound going");
        pod(&mut snapshot, NO_NODE, "new", "unbound");
        assert_eq!(changes(&snapshot), (vec![], vec![unbound]));
    }

    #[test]
    fn a_pod_that_has_ended_goes_with_an_event_and_its_node_gets_another_later() {
        let snapshot = with_pods(&[("new", "failed"), ("new", "succeeded"), ("new", "")]);
        assert_eq!(changes(&snapshot), (vec![], vec![0, 1]));
        let told = events(&plan(&snapshot));
        let failed = "Found failed daemon pod default/pod-00000 on node node-00000, will try to kill it";
        let succeeded =
            "Found succeeded daemon pod default/pod-00001 on node node-00001, will try to delete it";
        assert_eq!(
            told,
            [
                EventRecord::new(true, "FailedDaemonPod", failed),
                EventRecord::new(false, "SucceededDaemonPod", succeeded)
            ]
        );
    }

    #[test]
    fn a_node_where_pods_go_and_run_keeps_the_running_one() {
        let mut snapshot = with_pods(&[("new", "failed")]);
        for _ in 0..3 {
            pod(&mut snapshot, 0, "new", "");
        }
        assert_eq!(changes(&snapshot), (vec![], vec![0, 2, 3]));
        assert_eq!(events(&plan(&snapshot)).len(), 1);
    }

    #[test]
    fn creates_and_deletes_of_one_plan_are_limited_each_on_its_own() {
        let mut snapshot = snapshot(600);
        for node in 300..600 {
            pod(&mut snapshot, node, "new", "failed");
        }
        assert_eq!(changes(&snapshot), (range(0, 250), range(0, 250)));
        let told = events(&plan(&snapshot));
        assert_eq!(told.len(), 20);
        assert!(plan(&snapshot).steps.len() <= 128);
        // What was left out has failed no more often than before; where nothing was created it is the next one's turn.
        snapshot.memo = plan(&snapshot).memo;
        assert_eq!(changes(&snapshot), (range(1, 251), range(250, 300)));
    }

    #[test]
    fn of_two_failed_pods_of_a_node_one_goes_at_a_time() {
        let mut snapshot = with_pods(&[("new", "failed")]);
        pod(&mut snapshot, 0, "new", "failed");
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
        assert_eq!(plan(&snapshot).requeue_after_ms, Some(1_000));
    }

    #[test]
    fn with_surge_a_node_gets_its_pod_before_the_last_one_is_gone() {
        let mut snapshot =
            with_pods(&[("new", "going"), ("new", "succeeded"), ("old", "failed"), ("new", "")]);
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (range(0, 3), vec![1, 2]));
        set(&mut snapshot).strategy = crate::view::UpdateStrategy::OnDelete;
        assert_eq!(changes(&snapshot), (vec![], vec![1, 2]), "nothing surges then");
    }

    #[test]
    fn with_surge_a_node_that_takes_no_new_pod_gets_none_for_the_one_that_ended() {
        let mut snapshot = with_pods(&[("new", "succeeded"), ("new", "going")]);
        snapshot.nodes.shape = vec![NO_SCHEDULE, NO_EXECUTE];
        surge(&mut snapshot, 1);
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
    }

    #[test]
    fn with_surge_a_failed_pod_that_a_full_plan_leaves_keeps_others_from_coming() {
        let mut snapshot = with_pods(&[("new", "failed"), ("new", "failed")]);
        surge(&mut snapshot, 1);
        snapshot.flags.max_pods_per_sync = 1;
        assert_eq!(changes(&snapshot), (vec![0], vec![0]));
        snapshot.nodes.shape[0] = NO_SCHEDULE;
        assert_eq!(
            changes(&snapshot),
            (vec![], vec![0]),
            "the delete of the first is all that there is room for"
        );
    }

    #[test]
    fn with_surge_a_failed_pod_that_waits_keeps_others_from_coming() {
        let mut snapshot = with_pods(&[("new", "failed"), ("old", "failed")]);
        surge(&mut snapshot, 1);
        let first = plan(&snapshot);
        assert_eq!(changes(&snapshot), (vec![0, 1], vec![0, 1]));
        // Both fail again, and those before them are gone.
        snapshot.memo = first.memo;
        assert_eq!(changes(&snapshot), (vec![1], vec![]), "one of an old revision does not");
        assert_eq!(plan(&snapshot).requeue_after_ms, Some(1_000));
        snapshot.now_ms += 1_000;
        assert_eq!(changes(&snapshot), (vec![1, 0], vec![1, 0]), "it is the turn of the other");
    }

    #[test]
    fn a_node_for_which_every_create_is_refused_keeps_none_from_the_others() {
        let mut snapshot = snapshot(9);
        snapshot.flags.max_pods_per_sync = 3;
        let refused = [0, 1, 4, 8];
        for _ in 0..9 {
            let plan = plan(&snapshot);
            // Creates start slowly and stop at the first that is refused.
            for node in changes(&snapshot).0 {
                if refused.contains(&node) {
                    break;
                }
                pod(&mut snapshot, node, "new", "");
            }
            snapshot.memo = plan.memo;
        }
        let mut nodes = snapshot.pods.node.clone();
        nodes.sort_unstable();
        assert_eq!(nodes, [2, 3, 5, 6, 7]);
        let tried: alloc::collections::BTreeSet<u32> = (0..4)
            .map(|_| {
                snapshot.memo = plan(&snapshot).memo;
                changes(&snapshot).0[0]
            })
            .collect();
        assert_eq!(tried, refused.into(), "each of them is tried first time and again");
    }

    #[test]
    fn with_surge_the_oldest_of_each_kind_stays() {
        let mut snapshot = snapshot(1);
        surge(&mut snapshot, 1);
        set(&mut snapshot).min_ready_seconds = 15;
        let old = pod(&mut snapshot, 0, "old", "");
        let new = pod(&mut snapshot, 0, "new", "");
        snapshot.pods.ready_changed_s[new as usize] = super::super::fixture::NOW_S - 10;
        assert_eq!(changes(&snapshot), (vec![], vec![]));
        let older = pod(&mut snapshot, 0, "older", "generation");
        let new_again = pod(&mut snapshot, 0, "new", "");
        assert_eq!(changes(&snapshot), (vec![], vec![new_again, older]), "the hash alone tells what is new");
        snapshot.now_ms += 5_000;
        assert_eq!(changes(&snapshot), (vec![], vec![new_again, older, old]));
    }

    #[test]
    fn with_surge_an_old_pod_beside_a_new_one_goes_once_it_is_not_ready() {
        let mut snapshot = with_pods(&[("old", "unready"), ("old", "")]);
        surge(&mut snapshot, 2);
        pod(&mut snapshot, 0, "new", "unready");
        pod(&mut snapshot, 1, "new", "unready");
        assert_eq!(changes(&snapshot), (vec![], vec![0]));
    }

    #[test]
    fn without_a_name_nothing_is_told() {
        let mut snapshot = with_pods(&[("new", "failed")]);
        snapshot.pods.ended.clear();
        let plan = plan(&snapshot);
        assert_eq!(events(&plan), []);
        let deletes = Action::DaemonSet(DaemonSetAction::DeletePods(vec![0]));
        assert!(plan.steps.iter().any(|step| step.action == deletes));
    }
}
