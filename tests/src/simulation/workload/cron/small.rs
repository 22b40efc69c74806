//! Small runs of one CronJob whose end hangs on no moment: a crash of half a minute changes nothing that is left.

use std::sync::Arc;

use windlass_core::cron_job::schedule::Schedule;
use windlass_core::cron_job::zone::Zone;
use windlass_core::kube::Labels;

use super::{CronPlan, PLAIN_START_S, limits, policy, spec, template};
use crate::simulation::random::{Random, mix};
use crate::simulation::workload::{PodFate, Workload};

/// Schedules to choose from: between two instants a process has the time to die twice.
const SCHEDULES: [&str; 7] =
    ["* * * * *", "* * * * *", "*/2 * * * *", "1-59/3 * * * *", "@hourly", "@every 90s", "@every 2m"];
/// Fewest and most instants of a run.
const INSTANTS: (u64, u64) = (1, 4);
/// How long ended Jobs stay that do not stay for good, seconds: longer than a process that dies twice is away, so that
/// their CronJob sees that they succeeded. Shorter, that hangs on who comes first.
const TTL_S: u64 = 60;
/// How long before an instant it all ends, seconds: whatever the one before it wants done is done by then.
const END_BEFORE_S: i64 = 2;

/// The small run of `seed`.
///
/// No Pod fails and nobody interferes. Either Jobs end long before the next instant, or they never do: which of
/// them overlap hangs on no moment.
#[must_use]
pub fn workload(seed: u64) -> Workload {
    let random = &mut Random::new(seed, 10);
    let mut spec = spec(random.pick(&SCHEDULES));
    spec.concurrency_policy = policy(random).into();
    spec.starting_deadline_seconds = random.pick(&[None, None, Some(200)]);
    let (successful, failed) = limits(random);
    (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit) = (Some(successful), Some(failed));
    let ttl_seconds = random.chance(150).then_some(TTL_S);
    spec.job_template = template(0, ttl_seconds);
    let created_ms = random.below(90_000);
    let end_ms = end_ms(&spec.schedule, created_ms, random.between(INSTANTS.0, INSTANTS.1));
    let fate = PodFate {
        seed: mix(seed),
        start_ms: (1, 60),
        run_ms: random.pick(&[(10, 500), (1_000, 3_000)]),
        endless: random.chance(200),
        ..PodFate::default()
    };
    let plan = CronPlan {
        name: "cron-0".into(),
        spec: Arc::new(spec),
        created_ms,
        is_old: false,
        fate,
        annotations: Labels::new(),
    };
    let mut workload =
        Workload { start_unix_ms: PLAIN_START_S * 1_000, crons: vec![plan], ..Workload::default() };
    workload.end_all(end_ms);
    workload
}

/// When it all ends, milliseconds since the start: after so many instants of a CronJob that is created then, shortly
/// before the next.
fn end_ms(schedule: &str, created_ms: u64, instants: u64) -> u64 {
    let Ok(schedule) = Schedule::parse(schedule, Zone::utc()) else { return created_ms };
    let created_s = PLAIN_START_S.saturating_add_unsigned(created_ms / 1_000);
    let next_s = (0..=instants).try_fold(created_s, |at_s, _| schedule.next(at_s));
    let end_s = next_s.unwrap_or(created_s) - END_BEFORE_S - PLAIN_START_S;
    u64::try_from(end_s).unwrap_or(0) * 1_000
}
