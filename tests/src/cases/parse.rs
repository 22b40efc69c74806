//! The lines of a case's setting.

pub(super) mod pods;

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use windlass_core::kube::{
    CompletionMode, ConditionStatus, JobCondition, LabelSelector, Labels, OnExitCodes, OnExitCodesOperator,
    OnPodCondition, PodFailurePolicyAction, PodFailurePolicyRule, PodReplacementPolicy, SuccessPolicyRule,
    Time, Uid,
};
use windlass_core::policy::backoff::{Answer, Hold};
use windlass_core::view::{Admission, LiveOwner};

use super::world::{CaseKey, EPOCH_S, World, uid};

/// Changes `world` as `line` says.
pub(super) fn apply(line: &str, world: &mut World) -> Result<()> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "now" => world.now_ms = instant_ms(rest)?,
        "job" if rest == "absent" => world.is_job_absent = true,
        "job" => pairs(rest).try_for_each(|(key, value)| job(world, key, value))?,
        "failure-policy" => failure_policy(world, rest)?,
        "success-policy" => success_policy(world, rest)?,
        "flags" => pairs(rest).try_for_each(|(key, value)| flag(world, key, value))?,
        "status" => pairs(rest).try_for_each(|(key, value)| status(world, key, value))?,
        "condition" => condition(world, rest)?,
        "uncounted" => uncounted(world, rest)?,
        "policy" => world.answer = Some(answer(rest)?),
        "admission" => {
            world.admission = match rest.split_once(' ').unwrap_or((rest, "")) {
                ("granted", "") => Some(Admission::Granted),
                ("held", "") => Some(Admission::Held),
                ("refused", why) => Some(Admission::Refused(why.into())),
                ("none", "") => None,
                _ => bail!("admission is one of granted, held, refused WHY, none"),
            };
        }
        "live" => {
            world.carried.live_owner = Some(match rest {
                "alive" => LiveOwner::Alive,
                "terminating" => LiveOwner::Terminating,
                "gone" => LiveOwner::Gone,
                _ => bail!("live is one of alive, terminating, gone"),
            });
        }
        "memo" if rest == "lost" => world.carried.memo.clear(),
        "memo" => {
            world.carried.memo = rest.split(' ').map(|byte| Ok(byte.parse()?)).collect::<Result<_>>()?;
        }
        "plan" if rest == "done" => world.do_last_plan()?,
        "pod" => pods::apply(world, rest)?,
        "key" => {
            world.key = match rest.split_once(' ') {
                Some(("pod", name)) => CaseKey::Pod(name.into()),
                _ if rest == "job" => CaseKey::Job,
                _ if rest == "time-to-live" => CaseKey::TimeToLive,
                _ => bail!("a key is job, time-to-live, or pod NAME"),
            };
        }
        "template" => template(world, rest)?,
        "show" if rest == "pods" => world.shows_pods = true,
        "gone" => rest.split(',').for_each(|name| {
            world.pods.remove(name);
        }),
        _ => bail!(
            "a line begins with one of now, job, template, failure-policy, success-policy, flags, status, condition, uncounted, policy, admission, live, memo, plan, pod, gone, key, show"
        ),
    }
    Ok(())
}

pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn job(world: &mut World, key: &str, value: &str) -> Result<()> {
    let spec = Arc::make_mut(&mut world.job.spec);
    match key {
        "deleted" => world.job.metadata.deletion_timestamp = Some(instant(value)?),
        "parallelism" => spec.parallelism = Some(value.parse()?),
        "completions" => spec.completions = Some(value.parse()?),
        "completionMode" => {
            spec.completion_mode = Some(match value {
                "NonIndexed" => CompletionMode::NonIndexed,
                "Indexed" => CompletionMode::Indexed,
                other => CompletionMode::Other(other.into()),
            });
        }
        "backoffLimit" => spec.backoff_limit = Some(value.parse()?),
        "backoffLimitPerIndex" => spec.backoff_limit_per_index = Some(value.parse()?),
        "maxFailedIndexes" => spec.max_failed_indexes = Some(value.parse()?),
        "activeDeadlineSeconds" => spec.active_deadline_seconds = Some(value.parse()?),
        "ttlSecondsAfterFinished" => spec.ttl_seconds_after_finished = Some(value.parse()?),
        "suspend" => spec.suspend = Some(value.parse()?),
        "podReplacementPolicy" => {
            spec.pod_replacement_policy = Some(match value {
                "Failed" => PodReplacementPolicy::Failed,
                _ => PodReplacementPolicy::TerminatingOrFailed,
            });
        }
        "managedBy" => spec.managed_by = Some(value.into()),
        "name" => world.job.metadata.name = value.into(),
        "uid" => world.job.metadata.uid = value.into(),
        "selector" => {
            spec.selector = Some(LabelSelector { match_labels: labels(value), ..LabelSelector::default() });
        }
        "restartPolicy" => {
            let text = format!("{{\"restartPolicy\":{value:?}}}");
            spec.template.spec = Some(RawValue::from_string(text)?.into());
        }
        _ => bail!("a Job has no field {key}"),
    }
    Ok(())
}

/// `labels a=b c=d`, `annotations a=b`, `finalizers a b`, or `spec JSON`.
fn template(world: &mut World, text: &str) -> Result<()> {
    let (part, rest) = text.split_once(' ').context("a template has a part and what is in it")?;
    let template = &mut Arc::make_mut(&mut world.job.spec).template;
    let map = || pairs(rest).map(|(key, value)| (key.into(), value.into())).collect();
    match part {
        "labels" => template.metadata.labels = Arc::new(map()),
        "annotations" => template.metadata.annotations = Arc::new(map()),
        "finalizers" => {
            template.metadata.finalizers = Arc::new(rest.split_whitespace().map(Into::into).collect());
        }
        "spec" => template.spec = Some(RawValue::from_string(rest.to_owned())?.into()),
        _ => bail!("a template has labels, annotations, finalizers, spec"),
    }
    Ok(())
}

/// `a=b,c=d`.
pub(super) fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.into(), value.into())).collect()
}

/// `FailJob exit [CONTAINER] In 1,2` or `Ignore condition DisruptionTarget,Other [False]`.
fn failure_policy(world: &mut World, text: &str) -> Result<()> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut rule = PodFailurePolicyRule {
        action: serde_json::from_value(serde_json::Value::from(*words.first().context("no action")?))?,
        ..PodFailurePolicyRule::default()
    };
    match words.as_slice() {
        [_, "exit", container @ .., operator, values] => {
            rule.on_exit_codes = Some(OnExitCodes {
                container_name: container.first().map(|name| (*name).into()),
                operator: match *operator {
                    "In" => OnExitCodesOperator::In,
                    "NotIn" => OnExitCodesOperator::NotIn,
                    other => OnExitCodesOperator::Other(other.into()),
                },
                values: values.split(',').map(|value| Ok(value.parse()?)).collect::<Result<_>>()?,
            });
        }
        [_, "condition", kind, status @ ..] => {
            let status = condition_status(status.first().unwrap_or(&"True"));
            let pattern = |kind: &str| OnPodCondition { kind: kind.into(), status };
            rule.on_pod_conditions = kind.split(',').map(pattern).collect();
        }
        _ => bail!("a rule is ACTION exit [CONTAINER] In|NotIn CODES, or ACTION condition TYPES [STATUS]"),
    }
    ensure!(
        !matches!(rule.action, PodFailurePolicyAction::Other(_)) || text.starts_with('X'),
        "an unknown action begins with X"
    );
    let spec = Arc::make_mut(&mut world.job.spec);
    spec.pod_failure_policy.get_or_insert_default().rules.push(rule);
    Ok(())
}

fn success_policy(world: &mut World, text: &str) -> Result<()> {
    let mut rule = SuccessPolicyRule::default();
    for (key, value) in pairs(text) {
        match key {
            "indexes" => rule.succeeded_indexes = Some(value.into()),
            "count" => rule.succeeded_count = Some(value.parse()?),
            _ => bail!("a rule has indexes and count"),
        }
    }
    let spec = Arc::make_mut(&mut world.job.spec);
    spec.success_policy.get_or_insert_default().rules.push(rule);
    Ok(())
}

fn flag(world: &mut World, key: &str, value: &str) -> Result<()> {
    let flags = &mut world.flags;
    match key {
        "backoffBase" => flags.backoff_base_ms = duration_ms(value)?,
        "backoffMax" => flags.backoff_max_ms = duration_ms(value)?,
        "batch" => {
            flags.sync_batch_ms = duration_ms(value)?;
            flags.progress_window_ms = flags.sync_batch_ms;
        }
        "window" => flags.progress_window_ms = duration_ms(value)?,
        "maxUncounted" => flags.max_uncounted_pods = value.parse()?,
        "maxPodsPerSync" => flags.max_pods_per_sync = value.parse()?,
        "managedBy" => flags.managed_by = Some(value.into()),
        _ => bail!("there is no flag {key}"),
    }
    Ok(())
}

fn status(world: &mut World, key: &str, value: &str) -> Result<()> {
    let status = &mut world.job.status;
    match key {
        "active" => status.active = value.parse()?,
        "ready" => status.ready = Some(value.parse()?),
        "terminating" => status.terminating = Some(value.parse()?),
        "succeeded" => status.succeeded = value.parse()?,
        "failed" => status.failed = value.parse()?,
        "startTime" => status.start_time = Some(instant(value)?),
        "completionTime" => status.completion_time = Some(instant(value)?),
        "completedIndexes" => status.completed_indexes = value.into(),
        "failedIndexes" => status.failed_indexes = Some(value.into()),
        _ => bail!("a Job's status has no field {key}"),
    }
    Ok(())
}

/// `TYPE STATUS REASON TIME MESSAGE`, the message being the rest of the line.
fn condition(world: &mut World, text: &str) -> Result<()> {
    let mut words = text.splitn(5, ' ');
    let mut next = || words.next().context("a condition is TYPE STATUS REASON TIME MESSAGE");
    let (kind, status, reason, time) = (next()?, next()?, next()?, next()?);
    let message = next()?;
    let time = Some(instant(time)?);
    let conditions = &mut world.job.status.conditions;
    let new = JobCondition {
        kind: kind.into(),
        status: condition_status(status),
        last_probe_time: time,
        last_transition_time: time,
        reason: reason.into(),
        message: message.into(),
    };
    match conditions.iter_mut().find(|old| old.kind == new.kind) {
        Some(old) => *old = new,
        None => conditions.push(new),
    }
    Ok(())
}

/// `succeeded=a,b failed=c`; a name that no Pod has stands for one that is gone.
fn uncounted(world: &mut World, text: &str) -> Result<()> {
    let lists = world.job.status.uncounted_terminated_pods.get_or_insert_default();
    for (key, names) in pairs(text) {
        let uids: Vec<Uid> = names.split(',').filter(|name| !name.is_empty()).map(uid).collect();
        match key {
            "succeeded" => lists.succeeded = uids,
            "failed" => lists.failed = uids,
            _ => bail!("uncounted is succeeded or failed"),
        }
    }
    Ok(())
}

fn answer(text: &str) -> Result<Answer> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok(match word {
        "retry" => Answer::RetryAfterMs(duration_ms(rest)?),
        "hold" => Answer::Hold(Hold { reason: String::new(), ask_again_ms: duration_ms(rest)? }),
        "stop" => Answer::Stop(rest.to_owned()),
        "not-counted" => Answer::NotCounted,
        "other" => Answer::Other(rest.to_owned()),
        _ => bail!("an answer is one of retry, hold, stop, not-counted, other"),
    })
}

fn condition_status(text: &str) -> ConditionStatus {
    match text {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}

pub(super) fn instant(text: &str) -> Result<Time> {
    Ok(Time::from_unix_ms(instant_ms(text)?))
}

/// Milliseconds since the Unix epoch of an instant such as `30s` or `30.5s` after the case's beginning.
pub(super) fn instant_ms(text: &str) -> Result<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    Ok(EPOCH_S * 1000 + sign * i64::from(duration_ms(digits)?))
}

/// Milliseconds of a span such as `30s`, `30.5s` or `250ms`.
pub(super) fn duration_ms(text: &str) -> Result<u32> {
    let number = |text: &str| text.parse::<u32>().with_context(|| format!("{text:?} is no number"));
    if let Some(ms) = text.strip_suffix("ms") {
        return number(ms);
    }
    let seconds = text.strip_suffix('s').with_context(|| format!("{text:?} has no unit (s or ms)"))?;
    let (whole, tenths) = seconds.split_once('.').unwrap_or((seconds, "0"));
    ensure!(tenths.len() == 1, "one digit after the point");
    Ok(number(whole)? * 1000 + number(tenths)? * 100)
}
