//! What was committed, as one number; and what happened, as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, CONTROLLER_REVISION_HASH_LABEL, CronJob, DaemonSetStatus, Job, Kind, Object,
    Pod, Str,
};
use windlass_sandbox::{Commit, Store};

use super::random::mix;

/// The history of a run, of which two runs have the same hash only if they committed the same.
#[derive(Clone, Debug, Default)]
pub struct History {
    hash: u64,
    commits: u64,
    made: BTreeMap<String, u64>,
}

/// What happens, line by line; costs nothing unless it is kept.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl History {
    /// Adds a commit.
    pub fn add(&mut self, commit: &Commit) {
        self.commits += 1;
        self.word(commit.revision.0);
        self.word(commit.time_ms);
        self.word(commit.verb as u64);
        self.text(commit.actor.0);
        if let (None, Some(after)) = (&commit.before, &commit.after)
            && is_ours(commit)
        {
            *self.made.entry(slot(after)).or_default() += 1;
        }
        for object in [&commit.before, &commit.after] {
            match object {
                None => self.word(0),
                Some(Object::Job(job)) => self.job(job),
                Some(Object::Pod(pod)) => self.pod(pod),
                Some(Object::CronJob(cron_job)) => self.cron_job(cron_job),
                Some(Object::Node(node)) => self.text(&sketch(&Object::Node(node.clone()))),
                Some(Object::DaemonSet(set)) => self.text(&sketch(&Object::DaemonSet(set.clone()))),
                Some(Object::ControllerRevision(revision)) => {
                    self.text(&sketch(&Object::ControllerRevision(revision.clone())));
                }
            }
        }
    }

    /// One number for everything that was added, in its order.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many commits were added.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// How many objects we made for each slot: a Job's name tells the instant that it is for, a Pod is for its index.
    #[must_use]
    pub fn made(&self) -> &BTreeMap<String, u64> {
        &self.made
    }

    /// What is left at the end, in an order of its own and without names, uids and times.
    #[must_use]
    pub fn end_state(&self, store: &Store) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for object in store.objects(Kind::Job) {
            let Object::Job(job) = object else { continue };
            let status = &job.status;
            let mut line = format!(
                "{}: {} succeeded ({}), {} failed ({:?})",
                job.metadata.name,
                status.succeeded,
                status.completed_indexes,
                status.failed,
                status.failed_indexes
            );
            for condition in &status.conditions {
                let _ = write!(line, "; {} {:?} {}", condition.kind, condition.status, condition.reason);
            }
            lines.push(line);
        }
        for object in store.objects(Kind::CronJob) {
            let Object::CronJob(cron_job) = object else { continue };
            let status = &cron_job.status;
            lines.push(format!(
                "{}: {} active, last scheduled {:?}, ever successful: {}",
                cron_job.metadata.name,
                status.active.len(),
                status.last_schedule_time,
                status.last_successful_time.is_some()
            ));
        }
        for object in store.objects(Kind::DaemonSet) {
            let Object::DaemonSet(set) = object else { continue };
            lines.push(format!("{}: {}", set.metadata.name, counters(&set.status)));
        }
        for object in store.objects(Kind::ControllerRevision) {
            let Object::ControllerRevision(revision) = object else { continue };
            lines.push(format!("{}: number {}", revision.metadata.name, revision.revision));
        }
        for object in store.objects(Kind::Pod) {
            let Object::Pod(pod) = object else { continue };
            lines.push(format!(
                "{}: {:?}, finalizers {:?}",
                slot_of_pod(pod),
                pod.status.phase,
                pod.metadata.finalizers
            ));
        }
        lines.sort();
        lines
    }

    fn cron_job(&mut self, cron_job: &CronJob) {
        let (metadata, status) = (&cron_job.metadata, &cron_job.status);
        self.text(&metadata.uid);
        self.text(&metadata.name);
        self.word(metadata.resource_version.0);
        self.word(metadata.generation as u64);
        self.word(u64::from(metadata.is_terminating()));
        for reference in &status.active {
            self.text(&reference.uid);
        }
        for time in [status.last_schedule_time, status.last_successful_time] {
            self.word(time.map_or(0, |time| time.unix_seconds as u64));
        }
    }

    fn job(&mut self, job: &Job) {
        self.text(&job.metadata.uid);
        self.word(job.metadata.resource_version.0);
        self.word(job.metadata.generation as u64);
        self.word(u64::from(job.metadata.is_terminating()));
        let status = &job.status;
        for number in [status.active, status.succeeded, status.failed] {
            self.word(number as u64);
        }
        for number in [status.ready, status.terminating] {
            self.word(number.map_or(u64::MAX, |number| number as u64));
        }
        self.text(&status.completed_indexes);
        self.text(status.failed_indexes.as_deref().unwrap_or("-"));
        for condition in &status.conditions {
            self.text(&condition.kind);
            self.text(&condition.reason);
            self.word(condition.status as u64);
            self.word(condition.last_transition_time.map_or(0, |time| time.unix_seconds as u64));
        }
        for time in [status.start_time, status.completion_time] {
            self.word(time.map_or(0, |time| time.unix_seconds as u64));
        }
        if let Some(uncounted) = &status.uncounted_terminated_pods {
            for uid in uncounted.succeeded.iter().chain(&uncounted.failed) {
                self.text(uid);
            }
            self.word(uncounted.failed.len() as u64);
        }
    }

    fn pod(&mut self, pod: &Pod) {
        let metadata = &pod.metadata;
        self.text(&metadata.uid);
        self.text(&metadata.name);
        self.word(metadata.resource_version.0);
        self.word(pod.status.phase as u64);
        self.word(metadata.finalizers.len() as u64);
        self.word(metadata.owner_references.len() as u64);
        self.word(metadata.deletion_timestamp.map_or(0, |time| time.unix_seconds as u64));
    }

    fn text(&mut self, text: &str) {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ ((text.len() as u64) << 56));
    }

    fn word(&mut self, word: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
}

impl Trace {
    /// A trace that is kept, or one that is not.
    #[must_use]
    pub fn new(is_kept: bool) -> Self {
        Self { lines: is_kept.then(Vec::new) }
    }

    /// Adds a line.
    pub fn say(&mut self, at_ms: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{at_ms:>9} ms  {}", line()));
        }
    }

    /// Adds a commit.
    pub fn commit(&mut self, commit: &Commit) {
        self.say(commit.time_ms, || {
            let change = match (&commit.before, &commit.after) {
                (_, Some(after)) => sketch(after),
                (Some(before), None) => format!("{} removed", sketch(before)),
                (None, None) => format!("{:?}", commit.resource),
            };
            format!("  = {} {} {:?}: {change}", commit.revision, commit.actor.0, commit.verb)
        });
    }

    /// The lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// Whether a commit is a write of one of our processes.
#[must_use]
pub fn is_ours(commit: &Commit) -> bool {
    commit.actor.0.starts_with("windlass")
}

/// An object in one line.
#[must_use]
pub fn sketch(object: &Object) -> String {
    match object {
        Object::Job(job) => {
            let status = &job.status;
            let conditions: Vec<String> = status
                .conditions
                .iter()
                .map(|condition| format!("{}={:?}({})", condition.kind, condition.status, condition.reason))
                .collect();
            let uncounted = status.uncounted_terminated_pods.as_ref();
            format!(
                "Job {} {}{} parallelism {:?}/{:?}{}: {} active, {:?} ready, {:?} terminating, {} succeeded {:?}, {} failed {:?}, uncounted {:?} {conditions:?}",
                job.metadata.name,
                short(&job.metadata.uid),
                if job.metadata.is_terminating() { " terminating" } else { "" },
                job.spec.parallelism,
                job.spec.completions,
                if job.is_suspended() { " suspended" } else { "" },
                status.active,
                status.ready,
                status.terminating,
                status.succeeded,
                status.completed_indexes,
                status.failed,
                status.failed_indexes,
                uncounted.map(|uncounted| {
                    let shorts = |uids: &[windlass_core::kube::Uid]| {
                        uids.iter().map(|uid| short(uid).to_owned()).collect::<Vec<_>>()
                    };
                    (shorts(&uncounted.succeeded), shorts(&uncounted.failed))
                }),
            )
        }
        Object::Pod(pod) => {
            let metadata = &pod.metadata;
            format!(
                "Pod {} {} of {:?}{}: {:?}{}",
                metadata.name,
                short(&metadata.uid),
                metadata.controller().map(|owner| short(&owner.uid)),
                if metadata.is_terminating() { " terminating" } else { "" },
                pod.status.phase,
                if metadata.finalizers.is_empty() { ", free" } else { "" }
            )
        }
        Object::CronJob(cron_job) => {
            let (spec, status) = (&cron_job.spec, &cron_job.status);
            let active: Vec<&Str> = status.active.iter().map(|reference| &reference.name).collect();
            format!(
                "CronJob {} {}{} {:?} {:?} {:?}{}: active {active:?}, last {:?}, successful {:?}",
                cron_job.metadata.name,
                short(&cron_job.metadata.uid),
                if cron_job.metadata.is_terminating() { " terminating" } else { "" },
                spec.schedule,
                spec.time_zone,
                spec.concurrency_policy,
                if cron_job.is_suspended() { " suspended" } else { "" },
                status.last_schedule_time.map(|time| time.to_string()),
                status.last_successful_time.map(|time| time.to_string()),
            )
        }
        Object::DaemonSet(set) => format!(
            "DaemonSet {} {} generation {}: {:?}",
            set.metadata.name,
            short(&set.metadata.uid),
            set.metadata.generation,
            set.status,
        ),
        Object::ControllerRevision(revision) => format!(
            "ControllerRevision {} {} number {}",
            revision.metadata.name,
            short(&revision.metadata.uid),
            revision.revision,
        ),
        Object::Node(node) => format!(
            "Node {} {} labels {:?} taints {:?}",
            node.metadata.name,
            short(&node.metadata.uid),
            node.metadata.labels,
            node.spec.taints.iter().map(|taint| (&taint.key, &taint.effect)).collect::<Vec<_>>(),
        ),
    }
}

/// A DaemonSet's counters.
fn counters(status: &DaemonSetStatus) -> String {
    format!(
        "generation {}, {} desired, {} current, {} updated, {} ready, {} available, {} misscheduled, {:?} collisions",
        status.observed_generation,
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.updated_number_scheduled,
        status.number_ready,
        status.number_available,
        status.number_misscheduled,
        status.collision_count,
    )
}

/// What an object was made for.
fn slot(object: &Object) -> String {
    match object {
        Object::Pod(pod) => slot_of_pod(pod),
        _ => format!("{:?} {}", object.kind(), object.metadata().name),
    }
}

fn slot_of_pod(pod: &Pod) -> String {
    let owner = pod.metadata.controller().map(|owner| owner.name.clone());
    let index = pod.metadata.annotations.get(COMPLETION_INDEX_ANNOTATION);
    // A DaemonSet's Pod is for a node and a template.
    let place = pod
        .spec
        .pinned_to
        .as_ref()
        .map(|node| (node, pod.metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL)));
    format!("pod of {owner:?} index {index:?} place {place:?}")
}

fn short(uid: &str) -> &str {
    uid.get(..6).unwrap_or(uid)
}
