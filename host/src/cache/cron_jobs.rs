//! CronJobs, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{CronJob, ResourceVersion, Uid, cron_job_view};
use windlass_core::view::CronJobView;

use super::Change;
use crate::key::Name;

/// A cached CronJob and what is made of it once per version.
#[derive(Clone, Debug)]
pub struct CronJobEntry {
    /// The object.
    pub cron_job: Arc<CronJob>,
    /// Its view.
    pub view: Arc<CronJobView>,
    /// Whether its removal was acknowledged and not yet watched.
    pub removed: bool,
}

/// CronJobs of the watch and of our own writes.
#[derive(Debug, Default)]
pub(super) struct CronJobCache {
    entries: BTreeMap<Name, CronJobEntry>,
    by_uid: BTreeMap<Uid, Name>,
}

impl CronJobCache {
    pub(super) fn get(&self, name: &Name) -> Option<&CronJobEntry> {
        self.entries.get(name).filter(|entry| !entry.removed)
    }

    pub(super) fn name(&self, uid: &Uid) -> Option<&Name> {
        self.by_uid.get(uid)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.entries.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &CronJobEntry)> {
        self.entries.iter().filter(|(_, entry)| !entry.removed)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in a version; returns the uid of the CronJob in whose place it came.
    pub(super) fn upsert(&mut self, cron_job: Arc<CronJob>, changes: &mut Vec<Change>) -> Option<Uid> {
        let name = Name::of(&cron_job.metadata);
        let mut gone = None;
        if let Some(CronJobEntry { cron_job: before, .. }) = self.entries.get(&name) {
            let version = before.metadata.resource_version;
            if version >= cron_job.metadata.resource_version {
                return None;
            }
            if before.metadata.uid != cron_job.metadata.uid {
                gone = self.remove(&name, version, changes);
            }
        }
        let before = self.entries.get(&name).map(|entry| &entry.cron_job);
        let spec = before.is_none_or(|before| {
            before.metadata.generation != cron_job.metadata.generation
                || before.metadata.is_terminating() != cron_job.metadata.is_terminating()
        });
        let rescheduled = before.is_some_and(|before| {
            (&before.spec.schedule, &before.spec.time_zone)
                != (&cron_job.spec.schedule, &cron_job.spec.time_zone)
        });
        self.by_uid.insert(cron_job.metadata.uid.clone(), name.clone());
        let view = Arc::new(cron_job_view(&cron_job));
        self.entries.insert(name.clone(), CronJobEntry { cron_job, view, removed: false });
        changes.push(Change::CronJob { name, spec, rescheduled });
        gone
    }

    pub(super) fn mark_removed(&mut self, name: &Name, uid: &Uid) {
        if let Some(entry) = self.entries.get_mut(name)
            && entry.cron_job.metadata.uid == *uid
        {
            entry.removed = true;
        }
    }

    /// Removes a CronJob that is not newer than `at`; returns its uid.
    pub(super) fn remove(
        &mut self,
        name: &Name,
        at: ResourceVersion,
        changes: &mut Vec<Change>,
    ) -> Option<Uid> {
        let metadata = &self.entries.get(name)?.cron_job.metadata;
        if metadata.resource_version > at {
            return None;
        }
        let uid = metadata.uid.clone();
        self.by_uid.remove(&uid);
        self.entries.remove(name);
        changes.push(Change::CronJobGone { name: name.clone() });
        Some(uid)
    }
}
