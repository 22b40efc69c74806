//! What the history says so far of every DaemonSet and revision that ever was.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{DaemonSet, Object, ObjectMeta, Str, Uid};
use windlass_host::request::{DaemonSetOperation, ObjectRef};
use windlass_sandbox::Commit;

use super::Violation;
use super::ledger::Ledger;

/// Every DaemonSet and revision that ever was, in its last state.
#[derive(Debug, Default)]
pub(super) struct DaemonLedger {
    sets: BTreeMap<Uid, Arc<DaemonSet>>,
    /// Of each revision the uid of the DaemonSet that controlled it last.
    revisions: BTreeMap<Uid, Option<Uid>>,
}

impl DaemonLedger {
    pub(super) fn add(&mut self, commit: &Commit) {
        match commit.after.as_ref().or(commit.before.as_ref()) {
            Some(Object::DaemonSet(set)) => {
                self.sets.insert(set.metadata.uid.clone(), set.clone());
            }
            Some(Object::ControllerRevision(revision)) => {
                let metadata = &revision.metadata;
                let before = self.revisions.get(&metadata.uid).cloned().flatten();
                let owner = metadata.controller().map(|owner| owner.uid.clone()).or(before);
                self.revisions.insert(metadata.uid.clone(), owner);
            }
            _ => {}
        }
    }

    pub(super) fn set(&self, uid: &str) -> Option<&Arc<DaemonSet>> {
        self.sets.get(uid)
    }

    /// Whether a DaemonSet is, or was the last to be, the controller of the revision of that uid.
    pub(super) fn owned_revision(&self, uid: &str) -> bool {
        let owner = self.revisions.get(uid).and_then(Option::as_ref);
        owner.is_some_and(|owner| self.sets.contains_key(owner))
    }

    /// Name of the DaemonSet that an operation is for, if it is known.
    pub(super) fn set_of(&self, operation: &DaemonSetOperation, ledger: &Ledger) -> Option<Str> {
        let of_object = |object: &ObjectRef| {
            let revision = self.revisions.get(&object.uid).cloned().flatten();
            let owner = revision.or_else(|| ledger.controller_of_pod(&object.uid).cloned())?;
            self.sets.get(&owner).map(|set| set.metadata.name.clone())
        };
        match operation {
            DaemonSetOperation::Adopt { owner, .. } => Some(owner.name.clone()),
            DaemonSetOperation::Release { owner, .. } => {
                self.sets.get(owner).map(|set| set.metadata.name.clone())
            }
            DaemonSetOperation::Label { object, .. } => of_object(object),
            DaemonSetOperation::CreateRevision(manifest) => {
                manifest.metadata.controller().map(|owner| owner.name.clone())
            }
            DaemonSetOperation::RenumberRevision { revision, .. }
            | DaemonSetOperation::DeleteRevision(revision) => of_object(revision),
            DaemonSetOperation::WriteStatus(set) => Some(set.metadata.name.clone()),
        }
    }

    /// C1: a revision that we wrote is a DaemonSet's of ours.
    pub(super) fn check_revision(
        &self,
        before: Option<&ObjectMeta>,
        after: Option<&ObjectMeta>,
    ) -> Result<(), Violation> {
        let name = before.or(after).map(|metadata| metadata.name.clone()).unwrap_or_default();
        let wrong = |why: &str| Err(Violation::new("C1", format!("revision {name}: {why}")));
        let owner = |metadata: Option<&ObjectMeta>| {
            metadata.and_then(|metadata| metadata.controller()).map(|owner| owner.uid.clone())
        };
        let is_set = |uid: &Uid| self.sets.contains_key(uid);
        match (before.is_some(), owner(before), owner(after)) {
            (false, _, Some(owner)) if is_set(&owner) => Ok(()),
            (false, ..) => wrong("was created for an owner that never was"),
            (true, Some(owner), _) if is_set(&owner) => Ok(()),
            (true, Some(_), _) => wrong("belongs to another kind"),
            (true, None, Some(owner)) => {
                let selector = self.sets.get(&owner).and_then(|set| set.spec.selector.as_ref());
                let selects =
                    selector.zip(before).is_some_and(|(one, revision)| one.matches(&revision.labels));
                if selects { Ok(()) } else { wrong("was adopted though the selector does not match") }
            }
            // Somebody took our reference off it since we saw it.
            (true, None, None) if before.is_some_and(|before| self.owned_revision(&before.uid)) => Ok(()),
            (true, None, None) => wrong("was changed though it is not ours"),
        }
    }

    /// D6: where the name of a new revision is taken, the count of that rises by one, and nothing else changes.
    pub(super) fn check_status(before: &DaemonSet, after: &DaemonSet) -> Result<(), Violation> {
        let (old, new) = (&before.status, &after.status);
        let (was, is) = (old.collision_count.unwrap_or(0), new.collision_count.unwrap_or(0));
        let mut rest = new.clone();
        rest.collision_count = old.collision_count;
        if was == is || is == was + 1 && rest == *old {
            return Ok(());
        }
        let why = format!("{}: {was} collisions become {is}, and {old:?} {new:?}", after.metadata.name);
        Err(Violation::new("D6", why))
    }
}
