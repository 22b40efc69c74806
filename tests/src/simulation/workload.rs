//! What a run is about: Jobs, how their Pods fare, and what people do to them; decided before the run begins.

pub mod cron;
pub mod daemon;
pub mod plugins;
pub mod queues;

use std::sync::Arc;

use serde_json::value::RawValue;
use windlass_core::kube::{
    CompletionMode, Job, JobSpec, LabelSelector, Labels, ObjectMeta, OnExitCodes, OnExitCodesOperator,
    OnPodCondition, PodFailurePolicy, PodFailurePolicyAction, PodFailurePolicyRule, PodReplacementPolicy,
    PodTemplate, Str, SuccessPolicy, SuccessPolicyRule,
};
use windlass_sandbox::{Propagation, StoreOptions};

use super::random::{Random, mix};
use cron::{CronDeed, CronPlan};
use daemon::{DaemonDeed, DaemonPlan, NodeDeed, NodePlan};
use plugins::PluginPlan;

/// Namespace of everything in a run.
pub const NAMESPACE: &str = "default";
/// Most Pods that one Job of a run wants in all.
pub const MAX_PODS_PER_JOB: u64 = 100;

/// The Jobs of a run and what happens to them from outside.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Wall clock at the start, milliseconds since the Unix epoch.
    pub start_unix_ms: i64,
    /// The Jobs.
    pub jobs: Vec<JobPlan>,
    /// The CronJobs.
    pub crons: Vec<CronPlan>,
    /// The DaemonSets; the controller of them runs only where there are some.
    pub sets: Vec<DaemonPlan>,
    /// The nodes that the DaemonSets are for.
    pub nodes: Vec<NodePlan>,
    /// The policy plugins, in a run with some.
    pub plugins: Option<PluginPlan>,
    /// What people and other controllers do, and when.
    pub deeds: Vec<(u64, Deed)>,
}

/// One Job of a run.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// Name.
    pub name: Str,
    /// Its spec.
    pub spec: Arc<JobSpec>,
    /// When it is created, milliseconds.
    pub created_ms: u64,
    /// How its Pods fare.
    pub fate: PodFate,
    /// Its annotations.
    pub annotations: Labels,
}

/// How the Pods of a Job fare; a Pod's own lot follows from the seed, its Job and its place in it alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodFate {
    /// Seed of the lots.
    pub seed: u64,
    /// How many in a thousand fail.
    pub failing_per_mille: u64,
    /// Shortest and longest time from creation to Running, milliseconds.
    pub start_ms: (u64, u64),
    /// Shortest and longest time from Running to the end, milliseconds.
    pub run_ms: (u64, u64),
    /// Whether Pods run until they are deleted.
    pub endless: bool,
    /// What becomes of each Pod, where that is not left to chance.
    pub lots: Option<LotOf>,
}

/// What becomes of a Pod: from its place, and from what would become of it otherwise.
pub type LotOf = fn(Place, Lot) -> Lot;

/// Which Pod of its Job a Pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its completion index, if it has one.
    pub index: Option<u32>,
    /// How manieth of its index it is, or of its Job if it has none; from 1.
    pub attempt: u64,
}

/// What becomes of one Pod if nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// From creation to Running, milliseconds.
    pub start_ms: u64,
    /// From Running to the end, milliseconds; `None` for never.
    pub run_ms: Option<u64>,
    /// Exit code of its container; 0 is success.
    pub exit_code: i32,
    /// Whether it is ready while it runs.
    pub becomes_ready: bool,
    /// From the request to end to the end, milliseconds.
    pub stop_ms: u64,
    /// Exit code of its container if it is stopped.
    pub stop_code: i32,
    /// Whether it ends because its node wants to be rid of it, and says so.
    pub is_disrupted: bool,
}

/// Something that somebody other than the controller does. Jobs are meant by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// `spec.parallelism` is set.
    SetParallelism(usize, i32),
    /// `spec.parallelism` and `spec.completions` are set, as an elastic Indexed Job is scaled.
    Scale(usize, i32),
    /// `spec.suspend` is set.
    SetSuspend(usize, bool),
    /// The Job is deleted.
    DeleteJob(usize, Propagation),
    /// The Job is deleted and made anew under the same name.
    ReplaceJob(usize),
    /// One of the Job's Pods is deleted.
    DeletePod(usize, u64),
    /// An ended Pod is removed, as PodGC does.
    CollectPod(usize, u64),
    /// The Job gets another annotation.
    TouchJob(usize, u64),
    /// One of the Job's Pods gets another annotation.
    TouchPod(usize, u64),
    /// One of the Job's Pods loses its owner reference.
    DisownPod(usize, u64),
    /// One of the Job's Pods loses the label that the selector wants.
    RelabelPod(usize, u64),
    /// One of the Job's Pods is evicted: it is marked as disrupted and deleted.
    EvictPod(usize, u64),
    /// One of the Job's Pods is deleted without grace, as by somebody who knows that its node is gone.
    ForceDeletePod(usize, u64),
    /// One of the Job's Pods that have ended is told to have ended the other way.
    FlipPod(usize, u64),
    /// `spec.activeDeadlineSeconds` is set.
    SetDeadline(usize, Option<i64>),
    /// The template gets another annotation, which the server takes only while the Job is suspended.
    EditTemplate(usize, u64),
    /// The Job is deleted and made anew under the same name, to be managed by another controller or by us.
    HandOver(usize, bool),
    /// Something is done to the CronJob at that position, or in its way.
    Cron(usize, CronDeed),
    /// Something is done to the DaemonSet at that position, or to what it owns.
    Daemon(usize, DaemonDeed),
    /// Something happens to the node at that position.
    Node(usize, NodeDeed),
    /// From now on every node works and every Pod of a DaemonSet comes to be ready and stays so.
    Heal,
}

/// Name of a controller that is not ours.
pub const OTHER_CONTROLLER: &str = "example.com/other";
/// Annotation of a template that says which edition it is.
pub const EDITION_ANNOTATION: &str = "edition";

impl Default for Workload {
    /// Nothing at all, from the beginning of 2026 on.
    fn default() -> Self {
        let start_unix_ms = StoreOptions::default().start_unix_ms;
        Self {
            start_unix_ms,
            jobs: Vec::new(),
            crons: Vec::new(),
            sets: Vec::new(),
            nodes: Vec::new(),
            plugins: None,
            deeds: Vec::new(),
        }
    }
}

impl Workload {
    /// The workload of `seed`: Jobs, or CronJobs, or DaemonSets.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let others = || daemon::of(seed).or_else(|| queues::of(seed));
        let mut workload = cron::of(seed).or_else(others).unwrap_or_else(|| Self::of_jobs(seed));
        // Jobs that share places have a plugin of their own.
        if !workload.has_queues() {
            workload.bind(seed);
        }
        workload
    }

    fn of_jobs(seed: u64) -> Self {
        let random = &mut Random::new(seed, 1);
        let count = random.pick(&[1, 1, 1, 2, 2, 3, 5]);
        let jobs: Vec<JobPlan> = (0..count).map(|position| job_plan(seed, random, position)).collect();
        let deeds = deeds(random, jobs.len() as u64);
        Self { jobs, deeds, ..Self::default() }
    }
}

impl PodFate {
    /// The lot of the Pod at `place` among those of its Job.
    #[must_use]
    pub fn lot(&self, place: Place) -> Lot {
        let number = match place.index {
            Some(index) => mix(u64::from(index)).wrapping_add(place.attempt),
            None => place.attempt,
        };
        let lot = self.lot_by_chance(number);
        self.lots.map_or(lot, |lots| lots(place, lot))
    }

    fn lot_by_chance(&self, number: u64) -> Lot {
        let random = &mut Random::new(mix(self.seed ^ number), 2);
        let exit_code =
            if random.chance(self.failing_per_mille) { random.pick(&[1, 1, 2, 42, 137]) } else { 0 };
        let start_ms = random.between(self.start_ms.0, self.start_ms.1);
        let run_ms = random.between(self.run_ms.0, self.run_ms.1);
        Lot {
            start_ms,
            run_ms: (!self.endless).then_some(run_ms),
            exit_code,
            becomes_ready: random.chance(700),
            stop_ms: random.pick(&[1, 50, 400, 3_000, 20_000, 120_000]),
            stop_code: random.pick(&[137, 137, 143, 0]),
            is_disrupted: exit_code != 0 && random.chance(200),
        }
    }
}

fn job_plan(seed: u64, random: &mut Random, position: u64) -> JobPlan {
    let size = random.pick(&[1, 1, 2, 3, 5, 8, 13, 30, MAX_PODS_PER_JOB]);
    let mode = random.below(10);
    let completions = if mode < 8 { Some(random.between(u64::from(mode > 0), size)) } else { None };
    let widest = completions.unwrap_or(size).max(1);
    let parallelism = random.pick(&[1, 2, widest, widest, widest / 2 + 1, widest + 3]);
    let indexed = completions.is_some() && random.chance(500);
    // An elastic Job is as wide as it is long.
    let parallelism = if indexed && random.chance(250) { widest } else { parallelism };
    let per_index = indexed && random.chance(250);
    let mut spec = JobSpec {
        parallelism: Some(to_i32(parallelism)),
        completions: completions.map(to_i32),
        completion_mode: Some(if indexed { CompletionMode::Indexed } else { CompletionMode::NonIndexed }),
        backoff_limit: Some(to_i32(random.between(0, 6))),
        backoff_limit_per_index: per_index.then(|| to_i32(random.between(0, 2))),
        suspend: random.chance(80).then_some(true),
        ttl_seconds_after_finished: random.chance(150).then(|| to_i32(random.pick(&[0, 1, 10, 60]))),
        active_deadline_seconds: random.chance(100).then(|| random.between(1, 120) as i64),
        pod_replacement_policy: random.chance(200).then_some(PodReplacementPolicy::Failed),
        template: template(random.chance(800)),
        ..JobSpec::default()
    };
    if per_index && random.chance(400) {
        let most = completions.unwrap_or(0).min(2);
        spec.max_failed_indexes = Some(to_i32(random.between(0, most)));
    }
    if random.chance(200) {
        spec.pod_failure_policy = Some(failure_policy(random, per_index));
        spec.pod_replacement_policy = None;
    }
    if indexed && random.chance(150) {
        spec.success_policy = success_policy(random, completions.unwrap_or(0));
    }
    if random.chance(80) {
        share_selector(&mut spec);
    }
    let slow = random.chance(200);
    let fate = PodFate {
        seed: mix(seed.wrapping_add(position)),
        failing_per_mille: random.pick(&[0, 0, 0, 50, 100, 300, 1000]),
        start_ms: if slow { (500, 9_000) } else { (1, 60) },
        run_ms: random.pick(&[(0, 5), (20, 400), (1_000, 20_000), (30_000, 90_000)]),
        endless: random.chance(30),
        lots: None,
    };
    if fate.failing_per_mille == 1000 {
        count_all_exit_codes(&mut spec);
    }
    JobPlan {
        name: format!("job-{position}").into(),
        spec: Arc::new(spec),
        created_ms: random.below(3_000),
        fate,
        annotations: Labels::new(),
    }
}

/// A policy of one to three rules.
fn failure_policy(random: &mut Random, per_index: bool) -> PodFailurePolicy {
    let count = random.between(1, 3);
    let rule = |_| {
        let action = match random.below(if per_index { 4 } else { 3 }) {
            0 => PodFailurePolicyAction::FailJob,
            1 => PodFailurePolicyAction::Ignore,
            2 => PodFailurePolicyAction::Count,
            _ => PodFailurePolicyAction::FailIndex,
        };
        if random.chance(300) {
            let condition = OnPodCondition { kind: "DisruptionTarget".into(), ..OnPodCondition::default() };
            return PodFailurePolicyRule {
                action,
                on_pod_conditions: vec![condition],
                ..PodFailurePolicyRule::default()
            };
        }
        let operator = if random.chance(800) { OnExitCodesOperator::In } else { OnExitCodesOperator::NotIn };
        let values = vec![random.pick(&[1, 2, 42, 137])];
        let on_exit_codes = Some(OnExitCodes { container_name: None, operator, values });
        PodFailurePolicyRule { action, on_exit_codes, ..PodFailurePolicyRule::default() }
    };
    PodFailurePolicy { rules: (0..count).map(rule).collect() }
}

/// Lets no failure be ignored for its exit code: where every Pod fails, the Job would never end.
fn count_all_exit_codes(spec: &mut JobSpec) {
    for rule in spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules) {
        if rule.on_exit_codes.is_some() && rule.action == PodFailurePolicyAction::Ignore {
            rule.action = PodFailurePolicyAction::Count;
        }
    }
}

/// A policy of one rule; none for a Job without completions.
fn success_policy(random: &mut Random, completions: u64) -> Option<SuccessPolicy> {
    let last = completions.checked_sub(1)?;
    let first = random.between(0, last);
    let last = random.between(first, last);
    let succeeded_indexes = random.chance(700).then(|| format!("{first}-{last}").into());
    let succeeded_indexes =
        succeeded_indexes.map(|text| if first == last { first.to_string().into() } else { text });
    let most = if succeeded_indexes.is_some() { last - first + 1 } else { completions };
    let succeeded_count =
        (succeeded_indexes.is_none() || random.chance(500)).then(|| to_i32(random.between(1, most)));
    Some(SuccessPolicy { rules: vec![SuccessPolicyRule { succeeded_indexes, succeeded_count }] })
}

/// Gives the Job a selector written by hand, the same as that of every other Job treated so.
fn share_selector(spec: &mut JobSpec) {
    let labels: Labels = [("app".into(), "shared".into())].into();
    spec.manual_selector = Some(true);
    spec.selector = Some(LabelSelector { match_labels: labels.clone(), ..LabelSelector::default() });
    spec.template.metadata.labels = Arc::new(labels);
}

/// A template of one container; `bound` Pods name their node, so that their deletion takes its time.
pub fn template(bound: bool) -> PodTemplate {
    let node = if bound { r#""nodeName":"node-1","# } else { "" };
    let text = format!(
        r#"{{{node}"restartPolicy":"Never","containers":[{{"name":"main","image":"registry.example/work:1"}}]}}"#
    );
    PodTemplate { metadata: ObjectMeta::default(), spec: RawValue::from_string(text).ok().map(Into::into) }
}

fn deeds(random: &mut Random, jobs: u64) -> Vec<(u64, Deed)> {
    let count = random.pick(&[0, 0, 1, 2, 4, 10]);
    let mut deeds = Vec::new();
    for _ in 0..count {
        let at_ms = random.spread(100, 120_000);
        let (job, place) = (random.below(jobs) as usize, random.number());
        let deed = deed(random, job, place);
        deeds.push((at_ms, deed));
        if let Deed::SetSuspend(job, true) = deed
            && random.chance(800)
        {
            let until_ms = at_ms + random.spread(10, 60_000);
            if random.chance(300) {
                deeds.push((random.between(at_ms, until_ms), Deed::EditTemplate(job, place)));
            }
            deeds.push((until_ms, Deed::SetSuspend(job, false)));
        }
    }
    deeds.sort_by_key(|(at_ms, _)| *at_ms);
    deeds
}

fn deed(random: &mut Random, job: usize, place: u64) -> Deed {
    match random.below(30) {
        0..3 => Deed::SetParallelism(job, to_i32(random.pick(&[0, 1, 2, 5, 20, 60]))),
        3..5 => Deed::SetSuspend(job, true),
        5..7 => Deed::SetSuspend(job, false),
        7 => Deed::DeleteJob(job, Propagation::Background),
        8 => Deed::DeleteJob(job, Propagation::Foreground),
        9 => Deed::DeleteJob(job, Propagation::Orphan),
        10 => Deed::ReplaceJob(job),
        11..14 => Deed::DeletePod(job, place),
        14..16 => Deed::CollectPod(job, place),
        16 => Deed::TouchJob(job, place),
        17 => Deed::TouchPod(job, place),
        18 => Deed::DisownPod(job, place),
        19 => Deed::RelabelPod(job, place),
        20..22 => Deed::EvictPod(job, place),
        22 => Deed::ForceDeletePod(job, place),
        23..25 => Deed::FlipPod(job, place),
        25 => Deed::SetDeadline(job, random.pick(&[None, Some(1), Some(30), Some(300)])),
        26..28 => Deed::Scale(job, to_i32(random.pick(&[1, 2, 5, 12]))),
        28 => Deed::EditTemplate(job, place),
        _ => Deed::HandOver(job, random.chance(500)),
    }
}

/// The Job of a plan, as whoever applies its manifest sends it.
#[must_use]
pub fn manifest(plan: &JobPlan) -> Job {
    let metadata = ObjectMeta {
        name: plan.name.clone(),
        namespace: NAMESPACE.into(),
        annotations: Arc::new(plan.annotations.clone()),
        ..ObjectMeta::default()
    };
    Job { metadata, spec: plan.spec.clone(), ..Job::default() }
}

fn to_i32(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
