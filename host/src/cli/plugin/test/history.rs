//! What happened in a scenario so far, beyond what the cluster still holds.

use std::collections::BTreeMap;

use windlass_core::kube::pod_row;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, Job, Object, ObjectMeta, Pod,
    PodPhase, Time,
};
use windlass_host::simulate::Simulation;
use windlass_sandbox::{Commit, Verb};

/// Every change so far, oldest first.
pub(super) struct History {
    /// When the scenario began.
    start_unix_ms: i64,
    commits: Vec<Commit>,
}

impl History {
    /// That of a scenario that begins.
    pub(super) fn new(simulation: &Simulation) -> Self {
        let store = simulation.store();
        let now_ms = i64::try_from(store.now_ms()).unwrap_or(i64::MAX);
        Self { start_unix_ms: store.unix_ms() - now_ms, commits: Vec::new() }
    }

    /// Takes in what happened since the last call.
    pub(super) fn follow(&mut self, simulation: &mut Simulation) {
        self.commits.extend(simulation.take_commits());
    }

    /// Every change so far, oldest first.
    pub(super) fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// When the Pods of the owner with that uid were created, milliseconds from the start, and each as it was last.
    pub(super) fn pods_of(&self, owner: &str) -> Vec<(u64, &Pod)> {
        let mut latest: BTreeMap<&str, &Pod> = BTreeMap::new();
        for commit in &self.commits {
            if let Some(Object::Pod(pod)) = commit.after.as_ref() {
                latest.insert(&*pod.metadata.uid, pod);
            }
        }
        let created = self.created().filter_map(|(at_ms, object)| match object {
            Object::Pod(pod) if is_of(&pod.metadata, owner) => {
                Some((at_ms, latest.get(&*pod.metadata.uid).copied().unwrap_or(pod)))
            }
            _ => None,
        });
        created.collect()
    }

    /// For each Pod of `job` that was created after one had failed, of the same index where it has one: how long after
    /// the end of the latest of those, milliseconds.
    pub(super) fn retry_delays_ms(&self, job: &Job) -> Vec<u64> {
        let pods: Vec<(i64, Option<i64>, u32)> = self
            .pods_of(&job.metadata.uid)
            .into_iter()
            .map(|(created_ms, pod)| {
                let row = pod_row(pod, job);
                let ended_ms = (pod.status.phase == PodPhase::Failed)
                    .then(|| row.finished_s * 1_000 - self.start_unix_ms);
                (i64::try_from(created_ms).unwrap_or(i64::MAX), ended_ms, row.index)
            })
            .collect();
        let delay = |(position, (created_ms, _, index)): (usize, &(i64, Option<i64>, u32))| {
            let before = pods.iter().take(position).filter(|(_, _, of)| of == index);
            let last_end_ms = before
                .filter_map(|(_, ended_ms, _)| *ended_ms)
                .filter(|ended_ms| ended_ms <= created_ms)
                .max()?;
            u64::try_from(created_ms - last_end_ms).ok()
        };
        pods.iter().enumerate().filter_map(delay).collect()
    }

    /// The instants of the schedule that the CronJob with that uid made Jobs for, the earliest first; and how many Jobs
    /// it made.
    pub(super) fn runs_of(&self, cron_job: &str) -> (Vec<Time>, usize) {
        let made = self.created().filter_map(|(_, object)| match object {
            Object::Job(job) if is_of(&job.metadata, cron_job) => Some(&**job),
            _ => None,
        });
        let made: Vec<&Job> = made.collect();
        let instant =
            |job: &&Job| Time::parse(job.metadata.annotations.get(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION)?);
        let mut runs: Vec<Time> = made.iter().filter_map(instant).collect();
        runs.sort_unstable();
        (runs, made.len())
    }

    /// Nodes in the order in which they got a Pod of the revision that is the latest of the DaemonSet with that uid.
    pub(super) fn updated_nodes(&self, set: &str) -> Vec<String> {
        let pods = self.pods_of(set);
        let revision = |pod: &Pod| pod.metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL).cloned();
        let latest = pods.last().and_then(|(_, pod)| revision(pod));
        let mut nodes: Vec<String> = Vec::new();
        for (_, pod) in pods.iter().filter(|(_, pod)| revision(pod) == latest) {
            let node = pod.target_node().map(ToString::to_string);
            nodes.extend(node.filter(|node| !nodes.contains(node)));
        }
        nodes
    }

    /// Objects as they were created, with when, milliseconds from the start.
    fn created(&self) -> impl Iterator<Item = (u64, &Object)> {
        let creations = self.commits.iter().filter(|commit| commit.verb == Verb::Create);
        creations.filter_map(|commit| Some((commit.time_ms, commit.after.as_ref()?)))
    }
}

fn is_of(metadata: &ObjectMeta, owner: &str) -> bool {
    metadata.controller().is_some_and(|controller| &*controller.uid == owner)
}
