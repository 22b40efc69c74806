//! What a run is about: Jobs, how their Pods fare, and what people do to them; decided before the run begins.

use std::sync::Arc;

use serde_json::value::RawValue;
use windlass_core::kube::{CompletionMode, Job, JobSpec, ObjectMeta, PodTemplate, Str};
use windlass_sandbox::Propagation;

use super::random::{Random, mix};

/// Namespace of everything in a run.
pub const NAMESPACE: &str = "default";
/// Most Pods that one Job of a run wants in all.
pub const MAX_PODS_PER_JOB: u64 = 100;

/// The Jobs of a run and what happens to them from outside.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The Jobs.
    pub jobs: Vec<JobPlan>,
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
}

impl Workload {
    /// The workload of `seed`.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let random = &mut Random::new(seed, 1);
        let count = random.pick(&[1, 1, 1, 2, 2, 3, 5]);
        let jobs: Vec<JobPlan> = (0..count).map(|position| job_plan(seed, random, position)).collect();
        let deeds = deeds(random, jobs.len() as u64);
        Self { jobs, deeds }
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
            stop_ms: random.pick(&[1, 50, 400, 3_000, 20_000]),
            stop_code: 137,
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
    let spec = JobSpec {
        parallelism: Some(to_i32(parallelism)),
        completions: completions.map(to_i32),
        completion_mode: Some(if indexed { CompletionMode::Indexed } else { CompletionMode::NonIndexed }),
        backoff_limit: Some(to_i32(random.between(0, 6))),
        backoff_limit_per_index: (indexed && random.chance(200)).then(|| to_i32(random.between(0, 2))),
        suspend: random.chance(80).then_some(true),
        ttl_seconds_after_finished: random.chance(120).then(|| to_i32(random.between(0, 60))),
        template: template(random.chance(800)),
        ..JobSpec::default()
    };
    let slow = random.chance(200);
    let fate = PodFate {
        seed: mix(seed.wrapping_add(position)),
        failing_per_mille: random.pick(&[0, 0, 0, 50, 100, 300, 1000]),
        start_ms: if slow { (500, 9_000) } else { (1, 60) },
        run_ms: random.pick(&[(0, 5), (20, 400), (1_000, 20_000), (30_000, 90_000)]),
        endless: random.chance(30),
        lots: None,
    };
    JobPlan {
        name: format!("job-{position}").into(),
        spec: Arc::new(spec),
        created_ms: random.below(3_000),
        fate,
    }
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
        let deed = match random.below(20) {
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
            _ => Deed::RelabelPod(job, place),
        };
        deeds.push((at_ms, deed));
        if let Deed::SetSuspend(job, true) = deed
            && random.chance(800)
        {
            deeds.push((at_ms + random.spread(10, 60_000), Deed::SetSuspend(job, false)));
        }
    }
    deeds.sort_by_key(|(at_ms, _)| *at_ms);
    deeds
}

/// The Job of a plan, as whoever applies its manifest sends it.
#[must_use]
pub fn manifest(plan: &JobPlan) -> Job {
    let metadata =
        ObjectMeta { name: plan.name.clone(), namespace: NAMESPACE.into(), ..ObjectMeta::default() };
    Job { metadata, spec: plan.spec.clone(), ..Job::default() }
}

fn to_i32(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
