//! A plan as text.

use std::fmt::Write;

use windlass_core::kube::{CronJob, Time};
use windlass_core::plan::{Action, ActiveJob, CronJobStatusWrite, JobSlot, Plan, Read};
use windlass_host::snapshot::Gathered;

use super::super::print::dependency;
use super::super::world::EPOCH_S;

const SECONDS_PER_DAY: i64 = 86_400;
/// Longest list of Jobs that is printed whole.
const MAX_LISTED: usize = 12;

/// `plan` as text; of a status only what differs from the stored one.
pub(super) fn plan(plan: &Plan, cron_job: &CronJob, gathered: &Gathered) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(&plan.steps) {
        let _ = write!(text, "{number}. {}", action(&step.action, cron_job, gathered));
        let conditions: Vec<String> = step.after.iter().map(dependency).collect();
        if !conditions.is_empty() {
            let _ = write!(text, "   [{}]", conditions.join(", "));
        }
        text.push('\n');
    }
    match plan.read {
        Some(Read::ActiveJobs) => text += "read the listed Jobs live\n",
        Some(Read::Owner) => text += "read the owner live\n",
        None => {}
    }
    if let Some(after_ms) = plan.requeue_after_ms {
        let _ = writeln!(text, "again in {after_ms} ms");
    }
    match plan.wake_at_ms {
        Some(at_ms) if at_ms % 1000 == 0 => {
            let _ = writeln!(text, "wake at {}", instant(Time::from_unix_ms(at_ms)));
        }
        Some(at_ms) => {
            let _ = writeln!(text, "wake at {} and {} ms", instant(Time::from_unix_ms(at_ms)), at_ms % 1000);
        }
        None => text += "never wake\n",
    }
    text
}

fn action(action: &Action, cron_job: &CronJob, gathered: &Gathered) -> String {
    match action {
        Action::CreateJobs(slots) => format!("create {}", list(slots.iter().map(slot).collect())),
        Action::DeleteJobs(jobs) => {
            format!("delete {}", list(jobs.iter().map(|job| job_name(*job, gathered)).collect()))
        }
        Action::WriteCronJobStatus(write) => format!("status {}", status(write, cron_job, gathered)),
        Action::RecordEvent(event) => {
            let kind = if event.warning { "Warning" } else { "Normal" };
            format!("event {kind} {} {}", event.reason, event.message)
        }
        // The host refuses it, and so does a case that finds this text.
        _ => "an action for Jobs".to_owned(),
    }
}

/// `@10:00`, and the annotation where it is not that instant in UTC.
fn slot(slot: &JobSlot) -> String {
    let at = Time::from_unix_seconds(slot.scheduled_s);
    let text = format!("@{}", instant(at));
    if *slot.timestamp == *at.to_string() { text } else { format!("{text} ({})", slot.timestamp) }
}

fn job_name(position: u32, gathered: &Gathered) -> String {
    let job = gathered.jobs.get(position as usize);
    job.map_or("?".to_owned(), |job| short(&job.metadata.name, gathered))
}

/// A name that the schedule gives, as the instant that it tells.
fn short(name: &str, gathered: &Gathered) -> String {
    let cron_job = gathered.subject.cron_job().map_or("", |cron_job| &*cron_job.metadata.name);
    let minute = name.strip_prefix(cron_job).and_then(|rest| rest.strip_prefix('-')?.parse::<i64>().ok());
    match minute {
        Some(minute) if (EPOCH_S..EPOCH_S + SECONDS_PER_DAY).contains(&(minute * 60)) => {
            format!("@{}", instant(Time::from_unix_seconds(minute * 60)))
        }
        _ => name.to_owned(),
    }
}

fn list(mut items: Vec<String>) -> String {
    let length = items.len();
    if length > MAX_LISTED {
        let last = items.split_off(length - 2);
        items.truncate(MAX_LISTED - 3);
        items.push(format!("... {} more ...", length - MAX_LISTED + 1));
        items.extend(last);
    }
    items.join(" ")
}

fn status(write: &CronJobStatusWrite, cron_job: &CronJob, gathered: &Gathered) -> String {
    let stored = &cron_job.status;
    let mut parts = Vec::new();
    let listed: Vec<ActiveJob> = (0..).map(ActiveJob::Listed).take(stored.active.len()).collect();
    if write.active != listed {
        let names = write.active.iter().map(|active| match *active {
            ActiveJob::Listed(place) => {
                let reference = stored.active.get(place as usize);
                reference.map_or("?".to_owned(), |reference| short(&reference.name, gathered))
            }
            ActiveJob::Known(position) => job_name(position, gathered),
            ActiveJob::Created(slot) => format!("created#{}", slot + 1),
        });
        parts.push(format!("active=[{}]", list(names.collect())));
    }
    let times = [
        ("lastScheduleTime", write.last_schedule_time, stored.last_schedule_time),
        ("lastSuccessfulTime", write.last_successful_time, stored.last_successful_time),
    ];
    for (name, new, old) in times {
        if new != old {
            parts.push(format!("{name}={}", new.map_or("none".to_owned(), instant)));
        }
    }
    if parts.is_empty() { "unchanged".to_owned() } else { parts.join(" ") }
}

/// The clock on the case's day, else RFC 3339.
fn instant(time: Time) -> String {
    let second = time.unix_seconds - EPOCH_S;
    if !(0..SECONDS_PER_DAY).contains(&second) {
        return time.to_string();
    }
    let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
    if seconds == 0 {
        format!("{hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}
