//! Jobs of a run that share places: each queue lets so many of its Jobs run at once.

use std::sync::Arc;

use windlass_core::kube::{Job, JobSpec, Labels};
use windlass_sandbox::Propagation;

use super::{Deed, JobPlan, PodFate, Workload, template, to_i32};
use crate::simulation::gate::GATE;
use crate::simulation::random::{Random, mix};

/// A seed that leaves this remainder when it is divided by [`EVERY`] has queues in its run: none of these has CronJobs or
/// DaemonSets.
const REMAINDER: u64 = 5;
/// See [`REMAINDER`].
const EVERY: u64 = 12;
/// Annotation with the settings of the plugin: how many Jobs of the queue may run at once.
const LIMIT_ANNOTATION: &str = "policy.windlass.dev/admission-settings";

/// The workload of `seed`, if it is one of a run with queues.
#[must_use]
pub fn of(seed: u64) -> Option<Workload> {
    (seed % EVERY == REMAINDER).then(|| {
        let random = &mut Random::new(seed, 13);
        let count = random.between(3, 8);
        let limits = [random.pick(&[1, 1, 2]), random.pick(&[1, 2, 3])];
        let queues = random.pick(&[1, 1, 2]);
        let jobs = (0..count).map(|position| {
            let queue = random.below(queues) as usize;
            job_plan(seed, random, position, (queue, limits[queue]))
        });
        let jobs: Vec<JobPlan> = jobs.collect();
        let deeds = deeds(random, count);
        Workload { jobs, deeds, ..Workload::default() }
    })
}

/// How many Jobs of the Job's queue may run at once, where somebody is asked about it.
#[must_use]
pub fn limit_of(job: &Job) -> Option<u32> {
    job.metadata.annotations.get(LIMIT_ANNOTATION)?.parse().ok()
}

impl Workload {
    /// Whether Jobs of the run share places.
    #[must_use]
    pub fn has_queues(&self) -> bool {
        self.jobs.iter().any(|plan| plan.annotations.contains_key(LIMIT_ANNOTATION))
    }
}

fn job_plan(seed: u64, random: &mut Random, position: u64, (queue, limit): (usize, u32)) -> JobPlan {
    let completions = random.between(1, 6);
    let spec = JobSpec {
        parallelism: Some(to_i32(random.between(1, completions))),
        completions: Some(to_i32(completions)),
        backoff_limit: Some(to_i32(random.between(0, 3))),
        suspend: random.chance(200).then_some(true),
        ttl_seconds_after_finished: random.chance(200).then(|| to_i32(random.pick(&[0, 1, 30]))),
        active_deadline_seconds: random.chance(200).then(|| random.between(1, 120) as i64),
        template: template(random.chance(800)),
        ..JobSpec::default()
    };
    let fate = PodFate {
        seed: mix(seed.wrapping_add(position)),
        failing_per_mille: random.pick(&[0, 0, 100, 500]),
        start_ms: (1, 60),
        run_ms: random.pick(&[(0, 5), (20, 400), (1_000, 20_000)]),
        endless: false,
        lots: None,
    };
    let annotations: Labels = [
        ("policy.windlass.dev/admission".into(), GATE.into()),
        ("policy.windlass.dev/admission-on-failure".into(), "Hold".into()),
        (LIMIT_ANNOTATION.into(), limit.to_string().into()),
        ("policy.windlass.dev/queue".into(), format!("queue-{queue}").into()),
    ]
    .into();
    JobPlan {
        name: format!("job-{position}").into(),
        spec: Arc::new(spec),
        created_ms: random.below(5_000),
        fate,
        annotations,
    }
}

/// What people do: they suspend and resume Jobs, delete them, and make them anew.
fn deeds(random: &mut Random, jobs: u64) -> Vec<(u64, Deed)> {
    let count = random.pick(&[0, 1, 3, 8]);
    let mut deeds = Vec::new();
    for job in 0..jobs as usize {
        // Who was made suspended is resumed some time.
        deeds.push((random.between(10_000, 90_000), Deed::SetSuspend(job, false)));
    }
    for _ in 0..count {
        let (at_ms, job, place) = (random.spread(100, 60_000), random.below(jobs) as usize, random.number());
        let deed = match random.below(10) {
            0..3 => Deed::SetSuspend(job, true),
            3 => Deed::DeleteJob(job, random.pick(&[Propagation::Background, Propagation::Foreground])),
            4..6 => Deed::ReplaceJob(job),
            6 => Deed::TouchJob(job, place),
            7 => Deed::DeletePod(job, place),
            8 => Deed::SetParallelism(job, to_i32(random.between(1, 5))),
            _ => Deed::SetDeadline(job, random.pick(&[None, Some(30)])),
        };
        deeds.push((at_ms, deed));
        if let Deed::SetSuspend(job, true) = deed {
            deeds.push((at_ms + random.spread(10, 30_000), Deed::SetSuspend(job, false)));
        }
    }
    deeds.sort_by_key(|(at_ms, _)| *at_ms);
    deeds
}
