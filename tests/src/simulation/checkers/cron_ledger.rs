//! What the history says of every CronJob that ever was, and what it says against us: K1, K6 and K9.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{CronJob, CronJobSpec, Job, Object, ResourceVersion, Str, Uid};
use windlass_host::request::{Operation, Propagation, RequestId};
use windlass_sandbox::Commit;

use super::cron::instant_of;
use super::{Cause, Violation};

/// Every CronJob that ever was, with the Jobs that named it as their controller.
#[derive(Debug, Default)]
pub(super) struct CronLedger {
    crons: BTreeMap<Uid, CronRecord>,
    /// Jobs that ever had a name, by that.
    names: BTreeMap<Str, Vec<JobLife>>,
    /// Creates that were sent, by process, incarnation and request.
    sent: BTreeMap<(usize, u32, RequestId), SentCreate>,
}

/// A create when it was sent.
#[derive(Debug)]
struct SentCreate {
    at_ms: u64,
    /// Revision up to which the watch of CronJobs had been applied when the sender decided on it.
    reached: ResourceVersion,
}

/// A status that tells of an instant.
#[derive(Debug)]
struct Telling {
    instant_s: i64,
    at_ms: u64,
    revision: ResourceVersion,
    /// Position of the process that wrote it; `None` for somebody else.
    process: Option<usize>,
}

/// A CronJob.
#[derive(Debug)]
pub(super) struct CronRecord {
    /// Its last state.
    pub(super) cron_job: Arc<CronJob>,
    /// Its specs, each from an instant on, milliseconds; `None` once it is gone or about to go.
    pub(super) versions: Vec<(u64, Option<Arc<CronJobSpec>>)>,
    /// Jobs that had it as their controller, by the instant of the schedule that each was made for.
    pub(super) slots: BTreeMap<i64, Vec<JobLife>>,
    /// Each status that told of another instant than the one before.
    told: Vec<Telling>,
    children: BTreeSet<Uid>,
}

/// From when to when a Job was there, milliseconds.
#[derive(Clone, Debug)]
pub(super) struct JobLife {
    uid: Uid,
    /// Its creation.
    pub(super) created_ms: u64,
    /// When it ended, or its removal.
    pub(super) ended_ms: Option<u64>,
    /// Its removal.
    pub(super) removed_ms: Option<u64>,
    /// Its deletion was asked for by the history of its CronJob, or for its replacement.
    cleaned: bool,
}

impl CronLedger {
    /// Every CronJob.
    pub(super) fn crons(&self) -> impl Iterator<Item = &CronRecord> {
        self.crons.values()
    }

    /// Whether a CronJob of that uid ever was.
    pub(super) fn knows(&self, uid: &Uid) -> bool {
        self.crons.contains_key(uid)
    }

    /// Jobs that ever had that name.
    pub(super) fn named(&self, name: &Str) -> &[JobLife] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// A process sends the create of a Job, having decided on it when its watch of CronJobs had `reached` a revision.
    pub(super) fn sends(
        &mut self,
        identity: (usize, u32),
        request: RequestId,
        now_ms: u64,
        reached: ResourceVersion,
    ) {
        self.sent.insert((identity.0, identity.1, request), SentCreate { at_ms: now_ms, reached });
    }

    /// A commit of ours.
    pub(super) fn check(&self, commit: &Commit, cause: Option<&Cause>) -> Result<(), Violation> {
        match (&commit.before, &commit.after) {
            (None, Some(Object::Job(job))) => self.check_create(job, cause),
            (Some(Object::CronJob(before)), Some(Object::CronJob(after))) => self.check_status(before, after),
            _ => Ok(()),
        }
    }

    /// Takes in a commit, by `cause` if that is a request of ours.
    pub(super) fn add(&mut self, commit: &Commit, cause: Option<&Cause>) {
        match (&commit.before, &commit.after) {
            (before, Some(Object::CronJob(after))) => {
                let process = cause.map(|cause| cause.process);
                self.add_cron_job(before.is_none(), after, commit, process);
            }
            (Some(Object::CronJob(before)), None) => {
                if let Some(record) = self.crons.get_mut(&before.metadata.uid) {
                    record.versions.push((commit.time_ms, None));
                }
            }
            (None, Some(Object::Job(job))) => self.add_job(job, commit.time_ms),
            (Some(Object::Job(before)), after) => {
                let after = match after {
                    Some(Object::Job(after)) => Some(after),
                    _ => None,
                };
                let cleans = cause.is_some_and(|cause| {
                    matches!(&cause.operation, Operation::DeleteJob { pods: Propagation::Background, .. })
                });
                self.change_job(before, after, cleans, commit.time_ms);
            }
            _ => {}
        }
    }

    /// K1: an instant has had no Job before. The exceptions are what whoever asks for it could not know:
    ///
    /// - the first one came only after it had asked;
    /// - no status told of the first one, and somebody else removed it;
    /// - another process told, and the watch of whoever asks had not brought it yet: two that act at once, or one that
    ///   takes over from another that has not ended, each work from caches of their own. The server refuses the second
    ///   Job for its name for as long as there is the first.
    fn check_create(&self, job: &Job, cause: Option<&Cause>) -> Result<(), Violation> {
        let Some(owner) = job.metadata.controller() else { return Ok(()) };
        let Some(record) = self.crons.get(&owner.uid) else {
            let why = format!("{}: was made for a CronJob that never was", job.metadata.name);
            return Err(Violation::new("C1", why));
        };
        let Some(at_s) = instant_of(&record.cron_job, &job.metadata) else { return Ok(()) };
        let Some(first) = record.slots.get(&at_s).and_then(|made| made.last()) else { return Ok(()) };
        let sent = cause.and_then(|cause| {
            Some((cause.process, self.sent.get(&(cause.process, cause.incarnation, cause.id))?))
        });
        let Some((process, sent)) = sent else {
            return Err(Violation::new(
                "K1",
                format!("{}: was made without being asked for", job.metadata.name),
            ));
        };
        let tells = |telling: &&Telling| telling.instant_s >= at_s && telling.at_ms < sent.at_ms;
        let told: Vec<&Telling> = record.told.iter().filter(tells).collect();
        let is_news =
            |telling: &&Telling| telling.process != Some(process) && telling.revision > sent.reached;
        let could_not_know = if told.is_empty() { !first.cleaned } else { told.iter().all(is_news) };
        if first.created_ms >= sent.at_ms || could_not_know {
            return Ok(());
        }
        let why = format!("{}: the instant {at_s} had a Job before, {first:?}, {told:?}", job.metadata.name);
        Err(Violation::new("K1", why))
    }

    /// K6 and K9: what a status of ours tells.
    fn check_status(&self, before: &CronJob, after: &CronJob) -> Result<(), Violation> {
        let name = &after.metadata.name;
        let wrong = |predicate, why: String| Err(Violation::new(predicate, format!("{name}: {why}")));
        let (old, new) = (&before.status, &after.status);
        if new.last_schedule_time < old.last_schedule_time
            || new.last_successful_time < old.last_successful_time
        {
            return wrong("K6", format!("{old:?} became {new:?}"));
        }
        let Some(record) = self.crons.get(&after.metadata.uid) else { return Ok(()) };
        let is_listed = |uid: &Uid| old.active.iter().any(|reference| reference.uid == *uid);
        let foreign = new
            .active
            .iter()
            .find(|reference| !is_listed(&reference.uid) && !record.children.contains(&reference.uid));
        if let Some(foreign) = foreign {
            return wrong("K9", format!("lists {} as active, which it does not control", foreign.name));
        }
        match new.last_schedule_time.filter(|_| new.last_schedule_time != old.last_schedule_time) {
            Some(told) if !record.slots.contains_key(&told.unix_seconds) => {
                wrong("K6", format!("tells of {told}, for which there never was a Job"))
            }
            _ => Ok(()),
        }
    }

    fn add_cron_job(
        &mut self,
        is_new: bool,
        cron_job: &Arc<CronJob>,
        commit: &Commit,
        process: Option<usize>,
    ) {
        let now_ms = commit.time_ms;
        let spec = (!cron_job.metadata.is_terminating()).then(|| cron_job.spec.clone());
        let record = self.crons.entry(cron_job.metadata.uid.clone()).or_insert_with(|| CronRecord {
            cron_job: cron_job.clone(),
            versions: Vec::new(),
            slots: BTreeMap::new(),
            told: Vec::new(),
            children: BTreeSet::new(),
        });
        if is_new || record.versions.last().is_none_or(|(_, last)| *last != spec) {
            record.versions.push((now_ms, spec));
        }
        let told = cron_job.status.last_schedule_time;
        if let Some(told) = told.filter(|told| Some(*told) != record.cron_job.status.last_schedule_time) {
            let (instant_s, revision) = (told.unix_seconds, commit.revision);
            record.told.push(Telling { instant_s, at_ms: now_ms, revision, process });
        }
        record.cron_job = cron_job.clone();
    }

    fn add_job(&mut self, job: &Job, created_ms: u64) {
        let metadata = &job.metadata;
        let life = JobLife {
            uid: metadata.uid.clone(),
            created_ms,
            ended_ms: None,
            removed_ms: None,
            cleaned: false,
        };
        self.names.entry(metadata.name.clone()).or_default().push(life.clone());
        let Some(record) = metadata.controller().and_then(|owner| self.crons.get_mut(&owner.uid)) else {
            return;
        };
        record.children.insert(metadata.uid.clone());
        if let Some(at_s) = instant_of(&record.cron_job, metadata) {
            record.slots.entry(at_s).or_default().push(life);
        }
    }

    fn change_job(&mut self, before: &Job, after: Option<&Arc<Job>>, cleans: bool, now_ms: u64) {
        let uid = &before.metadata.uid;
        let has_ended = after.is_none_or(|after| after.is_finished());
        let change = |life: &mut JobLife| {
            life.cleaned |= cleans;
            if has_ended {
                life.ended_ms.get_or_insert(now_ms);
            }
            if after.is_none() {
                life.removed_ms = Some(now_ms);
            }
        };
        let is_it = |life: &&mut JobLife| life.uid == *uid;
        if let Some(life) =
            self.names.get_mut(&before.metadata.name).and_then(|all| all.iter_mut().find(is_it))
        {
            change(life);
        }
        let owner = before.metadata.controller().map(|owner| &owner.uid);
        let Some(record) = owner.and_then(|owner| self.crons.get_mut(owner)) else { return };
        let at_s = instant_of(&record.cron_job, &before.metadata);
        if let Some(life) = at_s.and_then(|at_s| record.slots.get_mut(&at_s)?.iter_mut().find(is_it)) {
            change(life);
        }
    }
}
