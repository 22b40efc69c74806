//! The lines of a case's setting.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, CompletionMode, ConditionStatus, ContainerState, ContainerStateTerminated,
    ContainerStatus, INDEX_FAILURE_COUNT_ANNOTATION, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, JobCondition,
    Labels, OnExitCodes, OnExitCodesOperator, OnPodCondition, Pod, PodCondition, PodFailurePolicyAction,
    PodFailurePolicyRule, PodPhase, PodReplacementPolicy, Str, SuccessPolicyRule, Time, Uid,
};
use windlass_core::policy::backoff::{Answer, Hold};
use windlass_core::view::LiveOwner;

use super::world::{EPOCH_S, World, pod, uid};

/// Changes `world` as `line` says.
pub(super) fn apply(line: &str, world: &mut World) -> Result<()> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "now" => world.now_ms = instant_ms(rest)?,
        "job" => pairs(rest).try_for_each(|(key, value)| job(world, key, value))?,
        "failure-policy" => failure_policy(world, rest)?,
        "success-policy" => success_policy(world, rest)?,
        "flags" => pairs(rest).try_for_each(|(key, value)| flag(world, key, value))?,
        "status" => pairs(rest).try_for_each(|(key, value)| status(world, key, value))?,
        "condition" => condition(world, rest)?,
        "uncounted" => uncounted(world, rest)?,
        "policy" => world.answer = Some(answer(rest)?),
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
        "pod" => pods(world, rest)?,
        "gone" => rest.split(',').for_each(|name| {
            world.pods.remove(name);
        }),
        _ => bail!(
            "a line begins with one of now, job, failure-policy, success-policy, flags, status, condition, uncounted, policy, live, memo, plan, pod, gone"
        ),
    }
    Ok(())
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
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
        "backoffLimitPerIndex" => {
            spec.backoff_limit_per_index = Some(value.parse()?);
            // What the API server defaults it to then.
            spec.backoff_limit = spec.backoff_limit.or(Some(i32::MAX));
        }
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
        "restartPolicy" => {
            let text = format!("{{\"restartPolicy\":{value:?}}}");
            spec.template.spec = Some(RawValue::from_string(text)?.into());
        }
        _ => bail!("a Job has no field {key}"),
    }
    Ok(())
}

/// `FailJob exit [CONTAINER] In 1,2` or `Ignore condition DisruptionTarget [False]`.
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
            rule.on_pod_conditions = vec![OnPodCondition { kind: (*kind).into(), status }];
        }
        _ => bail!("a rule is ACTION exit [CONTAINER] In|NotIn CODES, or ACTION condition TYPE [STATUS]"),
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
        "batch" => flags.sync_batch_ms = duration_ms(value)?,
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
    world.job.status.conditions.push(JobCondition {
        kind: kind.into(),
        status: condition_status(status),
        last_probe_time: time,
        last_transition_time: time,
        reason: reason.into(),
        message: message.into(),
    });
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

/// `NAMES PHASE FACTS`: new Pods, or changes of ones that are there.
fn pods(world: &mut World, text: &str) -> Result<()> {
    let (names, rest) = text.split_once(' ').context("a Pod has a name and a phase")?;
    for name in names.split(',') {
        let key: Str = name.into();
        let mut words = rest.split_whitespace();
        let phase = phase(words.next().context("a Pod has a phase")?)?;
        let pod = world.pods.entry(key).or_insert_with(|| {
            let mut pod = pod(name);
            pod.metadata.creation_timestamp = Some(Time::from_unix_seconds(EPOCH_S));
            Arc::make_mut(&mut pod.spec).node_name = Some("node".into());
            pod
        });
        let status = Arc::make_mut(&mut pod.status);
        status.phase = phase;
        if matches!(phase, PodPhase::Succeeded | PodPhase::Failed) {
            status.conditions.retain(|condition| &*condition.kind != "Ready");
        }
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            fact(pod, key, value).with_context(|| format!("in `{word}`"))?;
        }
    }
    Ok(())
}

fn fact(pod: &mut Pod, key: &str, value: &str) -> Result<()> {
    let annotate = |pod: &mut Pod, note: &str| {
        Arc::make_mut(&mut pod.metadata.annotations).insert(note.into(), value.into());
    };
    match key {
        "ready" | "unready" => {
            let status = if key == "ready" { ConditionStatus::True } else { ConditionStatus::False };
            let since = if value.is_empty() { Time::from_unix_seconds(EPOCH_S) } else { instant(value)? };
            let conditions = &mut Arc::make_mut(&mut pod.status).conditions;
            conditions.retain(|condition| &*condition.kind != "Ready");
            conditions.push(pod_condition("Ready", status, since));
        }
        "condition" => {
            let since = Time::from_unix_seconds(EPOCH_S);
            Arc::make_mut(&mut pod.status).conditions.push(pod_condition(
                value,
                ConditionStatus::True,
                since,
            ));
        }
        "terminating" => pod.metadata.deletion_timestamp = Some(instant(value)?),
        "untracked" => pod.metadata.finalizers = Arc::default(),
        "orphan" => {
            pod.metadata.owner_references = Arc::default();
            pod.metadata.finalizers = Arc::default();
        }
        "unselected" => pod.metadata.labels = Arc::new(Labels::default()),
        "unbound" => Arc::make_mut(&mut pod.spec).node_name = None,
        "index" => annotate(pod, COMPLETION_INDEX_ANNOTATION),
        "failures" => annotate(pod, INDEX_FAILURE_COUNT_ANNOTATION),
        "ignored" => annotate(pod, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION),
        "created" => pod.metadata.creation_timestamp = Some(instant(value)?),
        "restarts" => container(pod, "main").restart_count = value.parse()?,
        "finished" => end(pod).finished_at = Some(instant(value)?),
        "exit" => match value.split_once(':') {
            Some((name, code)) => {
                let terminated = container(pod, name).state.terminated.get_or_insert_default();
                terminated.exit_code = code.parse()?;
            }
            None => end(pod).exit_code = value.parse()?,
        },
        _ => bail!("a Pod has no fact {key}"),
    }
    Ok(())
}

fn end(pod: &mut Pod) -> &mut ContainerStateTerminated {
    container(pod, "main").state.terminated.get_or_insert_default()
}

fn container<'pod>(pod: &'pod mut Pod, name: &str) -> &'pod mut ContainerStatus {
    let statuses = &mut Arc::make_mut(&mut pod.status).container_statuses;
    let found = statuses.iter().position(|status| &*status.name == name).unwrap_or_else(|| {
        let state = ContainerState::default();
        statuses.push(ContainerStatus { name: name.into(), state, ..ContainerStatus::default() });
        statuses.len() - 1
    });
    &mut statuses[found]
}

fn pod_condition(kind: &str, status: ConditionStatus, since: Time) -> PodCondition {
    PodCondition { kind: kind.into(), status, last_transition_time: Some(since), reason: None }
}

fn phase(text: &str) -> Result<PodPhase> {
    Ok(match text {
        "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        "Unknown" => PodPhase::Unknown,
        _ => bail!("{text} is no phase"),
    })
}

fn condition_status(text: &str) -> ConditionStatus {
    match text {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    }
}

fn instant(text: &str) -> Result<Time> {
    Ok(Time::from_unix_ms(instant_ms(text)?))
}

/// Milliseconds since the Unix epoch of an instant such as `30s` or `30.5s` after the case's beginning.
fn instant_ms(text: &str) -> Result<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    Ok(EPOCH_S * 1000 + sign * i64::from(duration_ms(digits)?))
}

/// Milliseconds of a span such as `30s`, `30.5s` or `250ms`.
fn duration_ms(text: &str) -> Result<u32> {
    let number = |text: &str| text.parse::<u32>().with_context(|| format!("{text:?} is no number"));
    if let Some(ms) = text.strip_suffix("ms") {
        return number(ms);
    }
    let seconds = text.strip_suffix('s').with_context(|| format!("{text:?} has no unit (s or ms)"))?;
    let (whole, tenths) = seconds.split_once('.').unwrap_or((seconds, "0"));
    ensure!(tenths.len() == 1, "one digit after the point");
    Ok(number(whole)? * 1000 + number(tenths)? * 100)
}
