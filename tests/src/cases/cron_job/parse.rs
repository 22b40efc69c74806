//! The lines of a setting.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use windlass_core::kube::{ConcurrencyPolicy, JobManifest, Labels, Str, Time};
use windlass_core::policy::{missed_runs, schedule};

use super::super::world::{EPOCH_S, uid};
use super::{CronWorld, annotate, finish, foreign, listed, live};

/// Changes `world` as `line` says.
pub(super) fn apply(line: &str, world: &mut CronWorld) -> Result<()> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let spec = Arc::make_mut(&mut world.cron_job.spec);
    match word {
        "now" => world.now_ms = instant_ms(rest)?,
        "schedule" => spec.schedule = rest.into(),
        "time-zone" => spec.time_zone = (rest != "none").then(|| rest.into()),
        "cronjob" => pairs(rest).try_for_each(|(key, value)| cron_job(world, key, value))?,
        "status" => pairs(rest).try_for_each(|(key, value)| status(world, key, value))?,
        "job" => job(world, rest)?,
        "gone" => rest.split(',').try_for_each(|text| {
            let name = name_of(world, text)?;
            world.jobs.remove(&name);
            world.seen_gone.remove(&name);
            anyhow::Ok(())
        })?,
        "seen-gone" => {
            let name = name_of(world, rest)?;
            world.jobs.remove(&name);
            world.seen_gone.insert(name);
        }
        "live" => {
            let (name, found) = rest.split_once(' ').context("live is NAME and what was found")?;
            let name = name_of(world, name)?;
            world.carried.live_jobs.insert(uid(&name), live(found)?);
        }
        "edited" => world.edited_s = if rest == "never" { None } else { Some(instant(rest)?.unix_seconds) },
        "flags" => pairs(rest).try_for_each(|(key, value)| flag(world, key, value))?,
        "template" => template(world, rest)?,
        "policy" => policy(world, rest)?,
        "memo" if rest == "lost" => world.carried.memo.clear(),
        "memo" => {
            world.carried.memo = rest.split(' ').map(|byte| Ok(byte.parse()?)).collect::<Result<_>>()?;
        }
        "plan" if rest == "done" => world.do_last_plan(&[])?,
        "plan" => {
            let failing = rest.strip_prefix("without ").context("a plan is done, or done without STEPS")?;
            let failing = failing.split(',').map(|number| Ok(number.parse()?));
            world.do_last_plan(&failing.collect::<Result<Vec<usize>>>()?)?;
        }
        "show" if rest == "jobs" => world.shows_jobs = true,
        _ => bail!(
            "a line begins with one of now, schedule, time-zone, cronjob, status, job, gone, seen-gone, live, edited, flags, template, policy, memo, plan, show"
        ),
    }
    Ok(())
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn cron_job(world: &mut CronWorld, key: &str, value: &str) -> Result<()> {
    let metadata = &mut world.cron_job.metadata;
    let spec = Arc::make_mut(&mut world.cron_job.spec);
    let limit = |value: &str| {
        if value == "none" { anyhow::Ok(None) } else { Ok(Some(value.parse()?)) }
    };
    match key {
        "name" => metadata.name = value.into(),
        "created" => metadata.creation_timestamp = Some(instant(value)?),
        "deleted" => metadata.deletion_timestamp = Some(instant(value)?),
        "startingDeadlineSeconds" => {
            spec.starting_deadline_seconds = if value == "none" { None } else { Some(value.parse()?) };
        }
        "concurrencyPolicy" => {
            spec.concurrency_policy = match value {
                "Allow" => ConcurrencyPolicy::Allow,
                "Forbid" => ConcurrencyPolicy::Forbid,
                "Replace" => ConcurrencyPolicy::Replace,
                other => ConcurrencyPolicy::Other(other.into()),
            };
        }
        "suspend" => spec.suspend = Some(value.parse()?),
        "successfulJobsHistoryLimit" => spec.successful_jobs_history_limit = limit(value)?,
        "failedJobsHistoryLimit" => spec.failed_jobs_history_limit = limit(value)?,
        _ => bail!("a CronJob has no field {key}"),
    }
    Ok(())
}

fn status(world: &mut CronWorld, key: &str, value: &str) -> Result<()> {
    let time = |value: &str| if value == "none" { anyhow::Ok(None) } else { Ok(Some(instant(value)?)) };
    match key {
        "lastScheduleTime" => world.cron_job.status.last_schedule_time = time(value)?,
        "lastSuccessfulTime" => world.cron_job.status.last_successful_time = time(value)?,
        "active" => {
            let names = value.split(',').filter(|name| !name.is_empty() && *name != "none");
            let names: Vec<Str> = names.map(|text| name_of(world, text)).collect::<Result<_>>()?;
            world.cron_job.status.active = names.iter().map(|name| listed(name, uid(name))).collect();
        }
        _ => bail!("a CronJob's status has no field {key}"),
    }
    Ok(())
}

/// `@10:00,report complete started=10:00 completed=10:01`: Jobs, new or changed.
fn job(world: &mut CronWorld, text: &str) -> Result<()> {
    let (names, facts) = text.split_once(' ').unwrap_or((text, ""));
    for text in names.split(',') {
        let name = name_of(world, text)?;
        let mut job = match world.jobs.get(&name) {
            Some(job) => job.clone(),
            None => {
                let mut job = world.job(&name);
                if let Some(at) = text.strip_prefix('@') {
                    annotate(&mut job, instant(at)?.to_string().into());
                }
                job
            }
        };
        let completed = |job: &windlass_core::kube::Job| job.status.completion_time;
        for (key, value) in pairs(facts) {
            match key {
                "complete" => finish(&mut job, "Complete", None),
                "failed" => finish(&mut job, "Failed", None),
                "started" => job.status.start_time = Some(instant(value)?),
                "completed" => {
                    job.status.completion_time = Some(instant(value)?);
                    let at = completed(&job);
                    finish(&mut job, "Complete", at);
                }
                "terminating" => job.metadata.deletion_timestamp = Some(instant(value)?),
                "scheduled" => annotate(&mut job, value.into()),
                "unannotated" => job.metadata.annotations = Arc::default(),
                "foreign" => job.metadata.owner_references = Arc::new(vec![foreign()]),
                "ownerless" => job.metadata.owner_references = Arc::default(),
                "uid" => job.metadata.uid = value.into(),
                _ => bail!("a Job has no fact {key}"),
            }
        }
        world.jobs.insert(name, job);
    }
    Ok(())
}

/// `defaultZone=Europe/Vienna`, `editsRunThePast`.
fn flag(world: &mut CronWorld, key: &str, value: &str) -> Result<()> {
    match key {
        "defaultZone" => world.flags.default_zone = value.into(),
        "editsRunThePast" => world.flags.edits_run_the_past = true,
        _ => bail!("there is no flag {key}"),
    }
    Ok(())
}

/// `labels a=b c=d`, `annotations a=b`, or `spec JSON`.
fn template(world: &mut CronWorld, text: &str) -> Result<()> {
    let (part, rest) = text.split_once(' ').context("a template has a part and what is in it")?;
    let template = &mut Arc::make_mut(&mut world.cron_job.spec).job_template;
    let map = || -> Labels { pairs(rest).map(|(key, value)| (key.into(), value.into())).collect() };
    match part {
        "labels" => template.metadata.labels = Arc::new(map()),
        "annotations" => template.metadata.annotations = Arc::new(map()),
        "spec" => template.spec = Some(RawValue::from_string(rest.to_owned())?.into()),
        _ => bail!("a template has labels, annotations, spec"),
    }
    Ok(())
}

/// `runs 0,2`, `runs none`, `runs other`, `schedule refuses TEXT`, `schedule other`, `schedule fires 10:00,10:05`.
fn policy(world: &mut CronWorld, text: &str) -> Result<()> {
    let (decision, answer) = text.split_once(' ').context("a policy is DECISION and its answer")?;
    match (decision, answer.split_once(' ').unwrap_or((answer, ""))) {
        ("runs", ("other", _)) => world.policy.missed_runs = Some(missed_runs::Answer::Other(String::new())),
        ("runs", ("none", _)) => world.policy.missed_runs = Some(missed_runs::Answer::Run(Vec::new())),
        ("runs", (positions, _)) => {
            let positions = positions.split(',').map(|position| Ok(position.parse()?));
            world.policy.missed_runs = Some(missed_runs::Answer::Run(positions.collect::<Result<_>>()?));
        }
        ("schedule", ("other", _)) => world.policy.schedule = Some(schedule::Answer::Other(String::new())),
        ("schedule", ("refuses", reason)) => {
            world.policy.schedule = Some(schedule::Answer::Refused(reason.to_owned()));
        }
        ("schedule", ("fires", instants)) => {
            let at_s = instants.split(',').map(|text| Ok(u32::try_from(instant(text)?.unix_seconds)?));
            let firing = schedule::Firing { at_s: at_s.collect::<Result<_>>()?, more: false };
            world.policy.schedule = Some(schedule::Answer::Fires(firing));
        }
        _ => bail!("a policy is runs or schedule"),
    }
    Ok(())
}

/// A Job's name, or `@` and the instant for which the schedule makes it.
fn name_of(world: &CronWorld, text: &str) -> Result<Str> {
    let Some(at) = text.strip_prefix('@') else { return Ok(text.into()) };
    Ok(JobManifest::name_at(&world.cron_job.metadata.name, instant(at)?.unix_seconds))
}

fn instant(text: &str) -> Result<Time> {
    Ok(Time::from_unix_ms(instant_ms(text)?))
}

/// Milliseconds since the Unix epoch of `10:00`, `10:00:30` or `10:00:30.500` on the case's day, or of an instant
/// in RFC 3339.
fn instant_ms(text: &str) -> Result<i64> {
    if text.contains('T') {
        return Ok(Time::parse(text).with_context(|| format!("{text:?} is no instant"))?.unix_ms());
    }
    let (clock, thousandths) = text.split_once('.').unwrap_or((text, "000"));
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let mut next = || parts.next().transpose();
    let (hours, minutes, seconds) = (next()?, next()?, next()?.unwrap_or(0));
    let (Some(hours), Some(minutes)) = (hours, minutes) else { bail!("{text:?} is no instant") };
    ensure!(thousandths.len() == 3, "three digits after the point");
    Ok((EPOCH_S + hours * 3600 + minutes * 60 + seconds) * 1000 + thousandths.parse::<i64>()?)
}
