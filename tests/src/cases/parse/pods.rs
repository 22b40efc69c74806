//! The lines of a case's setting that are about Pods.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, ConditionStatus, ContainerStateTerminated, ContainerStatus,
    INDEX_FAILURE_COUNT_ANNOTATION, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, Labels, OwnerReference, Pod,
    PodCondition, PodPhase, Str, Time,
};

use super::{condition_status, instant, labels};
use crate::cases::world::{EPOCH_S, World, pod, uid};

/// `NAMES PHASE FACTS`: new Pods, or changes of ones that are there.
pub(super) fn apply(world: &mut World, text: &str) -> Result<()> {
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
    match key {
        "ready" | "unready" => {
            let status = if key == "ready" { ConditionStatus::True } else { ConditionStatus::False };
            let since = if value.is_empty() { Time::from_unix_seconds(EPOCH_S) } else { instant(value)? };
            let conditions = &mut Arc::make_mut(&mut pod.status).conditions;
            conditions.retain(|condition| &*condition.kind != "Ready");
            conditions.push(pod_condition("Ready", status, since));
        }
        "condition" => {
            let (kind, status) = value.split_once(':').unwrap_or((value, "True"));
            let condition = pod_condition(kind, condition_status(status), Time::from_unix_seconds(EPOCH_S));
            Arc::make_mut(&mut pod.status).conditions.push(condition);
        }
        "index" => annotate(pod, COMPLETION_INDEX_ANNOTATION, value),
        "failures" => annotate(pod, INDEX_FAILURE_COUNT_ANNOTATION, value),
        "ignored" => annotate(pod, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, value),
        "unbound" => Arc::make_mut(&mut pod.spec).node_name = None,
        "container" | "init" | "sidecar" | "restarts" | "finished" | "exit" => {
            of_container(pod, key, value)?;
        }
        _ => of_metadata(pod, key, value)?,
    }
    Ok(())
}

fn annotate(pod: &mut Pod, note: &str, value: &str) {
    Arc::make_mut(&mut pod.metadata.annotations).insert(note.into(), value.into());
}

/// Facts in the metadata: whose the Pod is, and whether and since when it goes.
fn of_metadata(pod: &mut Pod, key: &str, value: &str) -> Result<()> {
    let metadata = &mut pod.metadata;
    match key {
        "terminating" => metadata.deletion_timestamp = Some(instant(value)?),
        "grace" => metadata.deletion_grace_period_seconds = Some(value.parse()?),
        "untracked" => metadata.finalizers = Arc::default(),
        "orphan" => {
            metadata.owner_references = Arc::default();
            metadata.finalizers = Arc::default();
        }
        "owner" => metadata.owner_references = Arc::new(owner(value)?.into_iter().collect()),
        "uncontrolled" => {
            for reference in Arc::make_mut(&mut metadata.owner_references) {
                reference.controller = None;
            }
        }
        "unselected" => metadata.labels = Arc::new(Labels::default()),
        "labels" => metadata.labels = Arc::new(labels(value)),
        "created" if value == "none" => metadata.creation_timestamp = None,
        "created" => metadata.creation_timestamp = Some(instant(value)?),
        _ => bail!("a Pod has no fact {key}"),
    }
    Ok(())
}

/// `none`, or `[API VERSION/]KIND:NAME[@UID]`; the version is batch/v1 unless said, the uid that of the name.
pub(in crate::cases) fn owner(text: &str) -> Result<Option<OwnerReference>> {
    if text == "none" {
        return Ok(None);
    }
    let (kind, name) = text.split_once(':').context("an owner is none, or KIND:NAME")?;
    let (api_version, kind) = kind.rsplit_once('/').unwrap_or(("batch/v1", kind));
    let (name, uid_text) = name.split_once('@').map_or((name, uid(name)), |(name, uid)| (name, uid.into()));
    Ok(Some(OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid_text,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }))
}

/// Facts about a container, which is `main` unless the value begins with another's name and a colon.
fn of_container(pod: &mut Pod, key: &str, value: &str) -> Result<()> {
    let (name, value) = match key {
        "container" | "init" | "sidecar" => (value, ""),
        _ => value.split_once(':').unwrap_or(("main", value)),
    };
    let end = |pod| -> &mut ContainerStateTerminated {
        container(pod, name).state.terminated.get_or_insert_default()
    };
    match key {
        "container" => {
            container(pod, name);
        }
        "restarts" => container(pod, name).restart_count = value.parse()?,
        "finished" => end(pod).finished_at = Some(instant(value)?),
        "exit" => end(pod).exit_code = value.parse()?,
        _ => {
            let status = ContainerStatus { name: name.into(), ..ContainerStatus::default() };
            Arc::make_mut(&mut pod.status).init_container_statuses.push(status);
            if key == "sidecar" {
                Arc::make_mut(&mut pod.spec).sidecars.push(name.into());
            }
        }
    }
    Ok(())
}

/// The status of the container called `name`: of the init container, if one is; else of a container, added if need be.
fn container<'pod>(pod: &'pod mut Pod, name: &str) -> &'pod mut ContainerStatus {
    let status = Arc::make_mut(&mut pod.status);
    let is_init = status.init_container_statuses.iter().any(|status| &*status.name == name);
    let statuses = if is_init { &mut status.init_container_statuses } else { &mut status.container_statuses };
    let found = statuses.iter().position(|status| &*status.name == name).unwrap_or_else(|| {
        statuses.push(ContainerStatus { name: name.into(), ..ContainerStatus::default() });
        statuses.len() - 1
    });
    &mut statuses[found]
}

pub(in crate::cases) fn pod_condition(kind: &str, status: ConditionStatus, since: Time) -> PodCondition {
    PodCondition { kind: kind.into(), status, last_transition_time: Some(since), reason: None }
}

pub(in crate::cases) fn phase(text: &str) -> Result<PodPhase> {
    Ok(match text {
        "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        "Unknown" => PodPhase::Unknown,
        _ => bail!("{text} is no phase"),
    })
}
