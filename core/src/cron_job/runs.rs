//! Which instants of the schedule get a Job now, and when the next one is due.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::hash::Fnv;
use crate::kube::{ConcurrencyPolicy, Time};
use crate::plan::JobSlot;
use crate::policy::{Policy, missed_runs, schedule};

use super::active::Active;
use super::complaints::Complaints;
use super::facts::{Facts, SECONDS_PER_MINUTE};
use super::zone::Zone;

/// Most missed instants that a decision looks at; more than these are too many (upstream: 100).
const MAX_MISSED: u32 = 100;
/// Most Jobs that one plan creates, whatever a policy says.
pub const MAX_RUNS: usize = 10;

/// What the schedule wants.
#[derive(Default)]
pub(super) struct Runs {
    /// Jobs to create.
    pub(super) slots: Vec<JobSlot>,
    /// The next instant, seconds since the Unix epoch.
    pub(super) next_s: Option<i64>,
}

/// Decides on the Jobs to create; `complaints` gains what stands in the way of one.
pub(super) fn decide(
    facts: &Facts<'_>,
    active: &Active,
    policy: &dyn Policy,
    complaints: &mut Complaints,
) -> Runs {
    let nothing = Runs::default();
    let Some(zones) = Zones::of(facts, complaints) else { return nothing };
    if facts.cron_job.suspended {
        return nothing;
    }
    let Some(Answered { missed_s, more_before, next_s }) = ask(facts, &zones, policy, complaints) else {
        return nothing;
    };
    let nothing = Runs { slots: Vec::new(), next_s };
    let Some(latest_s) = missed_s.last().copied() else { return nothing };
    if is_late(facts, latest_s) {
        let at = Time::from_unix_seconds(latest_s);
        complaints.warn("MissSchedule", format!("Missed scheduled time to start a job: {}", rfc1123(at)));
        return nothing;
    }
    let chosen_s = choose(facts, active, policy, &missed_s, more_before);
    let free_s: Vec<i64> = chosen_s.into_iter().filter(|at_s| is_free(facts, *at_s, complaints)).collect();
    if free_s.is_empty() || is_held_back(facts, active, latest_s, complaints) {
        return nothing;
    }
    if are_too_many(facts, &missed_s, more_before) {
        complaints.warn(
            "TooManyMissedTimes",
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
                .into(),
        );
    }
    let slot = |at_s: i64| JobSlot { scheduled_s: at_s, timestamp: timestamp(&zones.written, at_s).into() };
    Runs { slots: at_once(facts, free_s).into_iter().map(slot).collect(), next_s }
}

/// The zones of a CronJob.
struct Zones<'snapshot> {
    /// Name of the zone in which the schedule is read.
    read: &'snapshot str,
    /// The zone in which a Job's annotation tells its instant: without one in the spec UTC, as upstream.
    written: Zone,
}

impl<'snapshot> Zones<'snapshot> {
    /// The zones, or `None` where the spec names one that there is not; `complaints` gains what is wrong.
    fn of(facts: &Facts<'snapshot>, complaints: &mut Complaints) -> Option<Self> {
        let Some(name) = facts.cron_job.time_zone.as_deref() else {
            return Some(Self { read: &facts.snapshot.flags.default_zone, written: Zone::utc() });
        };
        match Zone::by_name(name) {
            Ok(written) => Some(Self { read: name, written }),
            Err(fault) => {
                complaints.warn("UnknownTimeZone", format!("invalid timeZone: {name:?}: {fault}"));
                None
            }
        }
    }
}

/// What the schedule policy said.
struct Answered {
    missed_s: Vec<i64>,
    more_before: bool,
    next_s: Option<i64>,
}

/// Asks which instants have passed since the last run, and when the next one is; `None` where the text is no
/// schedule or never fires.
fn ask(
    facts: &Facts<'_>,
    zones: &Zones<'_>,
    policy: &dyn Policy,
    complaints: &mut Complaints,
) -> Option<Answered> {
    let text = &*facts.cron_job.schedule;
    if text.contains("TZ") {
        complaints.warn(
            "UnsupportedSchedule",
            format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            ),
        );
    }
    let answered = instants(facts, zones, policy);
    match answered {
        Ok(Some(answered)) => Some(answered),
        Ok(None) => {
            let reason = "no instant of the coming five years matches it";
            complaints.warn("InvalidSchedule", format!("invalid schedule: {text} : {reason}"));
            None
        }
        Err(reason) => {
            complaints.warn("UnparseableSchedule", format!("unparseable schedule: {text:?} : {reason}"));
            None
        }
    }
}

/// The instants that passed and the next one, or `None` where there are none at all.
///
/// The next one is counted from the last that passed, and not from now: `@every` knows no other beginning.
fn instants(facts: &Facts<'_>, zones: &Zones<'_>, policy: &dyn Policy) -> Result<Option<Answered>, String> {
    let question = |after_s: u32, until_s: u32, limit: u32, latest: bool| schedule::Question {
        owner: facts.cron_job.owner.to_string(),
        schedule: facts.cron_job.schedule.to_string(),
        zone: zones.read.into(),
        after_s,
        until_s,
        limit,
        latest,
        seed: seed(facts),
        facts: Vec::new(),
    };
    let since_s = to_u32(facts.last_scheduled_s.unwrap_or(facts.cron_job.created_s));
    let now_s = to_u32(facts.now_s());
    // One more than is too many, so that too many can be told from just enough.
    let mut passed = firing(policy, question(since_s, now_s, MAX_MISSED.saturating_add(1), true))?;
    passed.at_s.retain(|at_s| since_s < *at_s && *at_s <= now_s);
    let last_s = passed.at_s.last().copied().unwrap_or(since_s);
    let coming = firing(policy, question(last_s, u32::MAX, 1, false))?;
    if passed.at_s.is_empty() && coming.at_s.is_empty() {
        return Ok(None);
    }
    let passed_count = passed.at_s.len();
    let missed_s: Vec<i64> =
        passed.at_s.into_iter().map(i64::from).filter(|at_s| !was_before_edit(facts, *at_s)).collect();
    Ok(Some(Answered {
        more_before: passed.more && missed_s.len() == passed_count,
        missed_s,
        next_s: coming.at_s.into_iter().find(|at_s| *at_s > now_s).map(i64::from),
    }))
}

/// The instants that the policy names; what it refuses as a schedule is an error.
fn firing(policy: &dyn Policy, question: schedule::Question) -> Result<schedule::Firing, String> {
    let answer = policy.schedule(core::slice::from_ref(&question)).into_iter().next();
    let mut firing = match answer {
        Some(schedule::Answer::Fires(firing)) => firing,
        Some(schedule::Answer::Refused(reason)) => return Err(reason),
        Some(schedule::Answer::Other(_)) | None => match schedule::built_in(&question) {
            schedule::Answer::Fires(firing) => firing,
            schedule::Answer::Refused(reason) => return Err(reason),
            schedule::Answer::Other(_) => schedule::Firing::default(),
        },
    };
    firing.at_s.sort_unstable();
    firing.at_s.dedup();
    Ok(firing)
}

/// Whether the instant belongs to the time before this process saw the schedule or its zone change.
fn was_before_edit(facts: &Facts<'_>, at_s: i64) -> bool {
    !facts.snapshot.flags.edits_run_the_past
        && facts.snapshot.edited_s.is_some_and(|edited_s| at_s <= edited_s)
}

/// Which of the missed instants are to be run, by the missed-runs policy; never one that is too late.
fn choose(
    facts: &Facts<'_>,
    active: &Active,
    policy: &dyn Policy,
    missed_s: &[i64],
    more_before: bool,
) -> Vec<i64> {
    let cron_job = facts.cron_job;
    let question = missed_runs::Question {
        owner: cron_job.owner.to_string(),
        missed_s: missed_s.iter().copied().map(to_u32).collect(),
        more_before,
        why: "unknown".into(),
        now_s: to_u32(facts.now_s()),
        starting_deadline_s: cron_job.starting_deadline_seconds.map(to_u32),
        concurrency_policy: policy_name(&cron_job.concurrency_policy).into(),
        active: u32::try_from(active.listed.len()).unwrap_or(u32::MAX),
        seed: seed(facts),
        facts: Vec::new(),
    };
    let answer = policy.missed_runs(core::slice::from_ref(&question)).into_iter().next();
    let positions = match answer {
        Some(missed_runs::Answer::Run(positions)) => positions,
        Some(missed_runs::Answer::Other(_)) | None => match missed_runs::built_in(&question) {
            missed_runs::Answer::Run(positions) => positions,
            missed_runs::Answer::Other(_) => Vec::new(),
        },
    };
    let mut chosen_s: Vec<i64> =
        positions.iter().filter_map(|position| missed_s.get(*position as usize).copied()).collect();
    chosen_s.sort_unstable();
    // A Job's name tells the minute, so each minute gets one, for its latest instant.
    chosen_s.reverse();
    chosen_s.dedup_by_key(|at_s| at_s.div_euclid(SECONDS_PER_MINUTE));
    chosen_s.reverse();
    chosen_s.retain(|at_s| !is_late(facts, *at_s));
    // The latest ones, where a policy wants more than fit.
    chosen_s.split_off(chosen_s.len().saturating_sub(MAX_RUNS))
}

/// Whether it is too late for a run: its deadline has passed to the millisecond (upstream cuts the window so).
fn is_late(facts: &Facts<'_>, at_s: i64) -> bool {
    let Some(deadline_s) = facts.cron_job.starting_deadline_seconds else { return false };
    at_s.saturating_add(deadline_s) <= facts.now_s()
}

/// Whether more instants were missed than is plausible, of those that are not too late.
fn are_too_many(facts: &Facts<'_>, missed_s: &[i64], more_before: bool) -> bool {
    let on_time = missed_s.iter().filter(|at_s| !is_late(facts, **at_s)).count();
    on_time > MAX_MISSED as usize || (on_time == missed_s.len() && more_before)
}

/// Of the instants that want a Job, those that get it at once: where runs may not overlap, the earliest, so that
/// the others can follow it; where a run replaces the one before it, the latest.
fn at_once(facts: &Facts<'_>, free_s: Vec<i64>) -> Vec<i64> {
    match facts.cron_job.concurrency_policy {
        ConcurrencyPolicy::Allow | ConcurrencyPolicy::Other(_) => free_s,
        ConcurrencyPolicy::Forbid => free_s.into_iter().take(1).collect(),
        ConcurrencyPolicy::Replace => free_s.into_iter().next_back().into_iter().collect(),
    }
}

/// Whether no Job has the name of the instant's; `complaints` gains one that is another's.
fn is_free(facts: &Facts<'_>, at_s: i64, complaints: &mut Complaints) -> bool {
    let Some(job) = facts.job_named_for(at_s) else { return true };
    if !job.row.owned {
        let message = format!(
            "Error creating job: jobs.batch {:?} already exists, and this CronJob does not control it",
            job.row.name
        );
        complaints.warn("FailedCreate", message);
    }
    false
}

/// Whether an earlier run forbids one now.
fn is_held_back(facts: &Facts<'_>, active: &Active, latest_s: i64, complaints: &mut Complaints) -> bool {
    let forbids = facts.cron_job.concurrency_policy == ConcurrencyPolicy::Forbid;
    if forbids && (active.has_leaving || !active.listed.is_empty()) {
        complaints.note(
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid",
            latest_s,
        );
        return true;
    }
    // Its instant is recorded first; the status write brings another look.
    facts.cron_job.concurrency_policy == ConcurrencyPolicy::Replace && active.has_unrecorded
}

fn policy_name(policy: &ConcurrencyPolicy) -> &str {
    match policy {
        ConcurrencyPolicy::Allow => "Allow",
        ConcurrencyPolicy::Forbid => "Forbid",
        ConcurrencyPolicy::Replace => "Replace",
        ConcurrencyPolicy::Other(name) => name,
    }
}

/// The same for the same CronJob and schedule.
fn seed(facts: &Facts<'_>) -> u32 {
    let mut hash = Fnv::default();
    hash.write(facts.cron_job.uid.as_bytes());
    hash.write(facts.cron_job.schedule.as_bytes());
    u32::try_from(hash.finish() >> 32).unwrap_or_default()
}

/// The instant in `zone`, in RFC 3339.
fn timestamp(zone: &Zone, at_s: i64) -> String {
    let offset_s = zone.span(at_s).offset_s;
    let local = Time::from_unix_seconds(at_s.saturating_add(offset_s)).to_string();
    if offset_s == 0 {
        return local;
    }
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.unsigned_abs() / 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    format!("{}{sign}{hours:02}:{minutes:02}", local.trim_end_matches('Z'))
}

/// The instant in UTC as Go's time.RFC1123Z has it, which upstream's message uses.
fn rfc1123(at: Time) -> String {
    match jiff::Timestamp::from_second(at.unix_seconds) {
        Ok(instant) => instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        Err(_) => at.to_string(),
    }
}

/// The nearest second that 32 bits hold.
fn to_u32(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
