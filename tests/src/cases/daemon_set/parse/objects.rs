//! The lines of a setting that are about nodes, Pods and revisions.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ConditionStatus, Labels, Node, ObjectMeta, Pod, PodPhase, Str,
    TEMPLATE_GENERATION_LABEL, Taint, Time,
};

use super::{DaemonWorld, hash};
use crate::cases::daemon_set::{AGE_S, names};
use crate::cases::parse::pods::{owner, phase, pod_condition};
use crate::cases::parse::{instant, labels, pairs};
use crate::cases::world::{EPOCH_S, NAMESPACE, uid};

/// `n-1,n-[3-5] labels=a=b,c=d taints=key=value:NoExecute,other:NoSchedule`, or `n-1 json {...}`.
pub(super) fn node(world: &mut DaemonWorld, text: &str) -> Result<()> {
    let (names, rest) = text.split_once(' ').unwrap_or((text, ""));
    for name in names::expand(names)? {
        let mut node = match world.nodes.get(&name) {
            Some(node) => node.clone(),
            None => new_node(&name),
        };
        if let Some(text) = rest.strip_prefix("json ") {
            let listed: Node = serde_json::from_str(text)?;
            node.spec = listed.spec;
            node.status = listed.status;
        } else {
            for (key, value) in pairs(rest) {
                match key {
                    "labels" if value == "none" => node.metadata.labels = Arc::default(),
                    "labels" => {
                        let mut all = labels(value);
                        all.insert(HOSTNAME_LABEL.into(), name.clone());
                        node.metadata.labels = Arc::new(all);
                    }
                    "taints" if value == "none" => node.spec.taints.clear(),
                    "taints" => node.spec.taints = value.split(',').map(taint).collect::<Result<_>>()?,
                    "uid" => node.metadata.uid = value.into(),
                    _ => bail!("a node has no {key}"),
                }
            }
        }
        world.nodes.insert(name, node);
    }
    Ok(())
}

/// Label that the kubelet gives each node.
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

fn new_node(name: &Str) -> Node {
    let mut node = Node::default();
    node.metadata.name = name.clone();
    node.metadata.uid = uid(name);
    node.metadata.labels = Arc::new([(HOSTNAME_LABEL.into(), name.clone())].into());
    node
}

/// `key=value:NoExecute`, `key:NoSchedule`.
fn taint(text: &str) -> Result<Taint> {
    let (mark, effect) = text.rsplit_once(':').context("a taint is KEY=VALUE:EFFECT")?;
    let (key, value) = mark.split_once('=').unwrap_or((mark, ""));
    Ok(Taint { key: key.into(), value: value.into(), effect: effect.into() })
}

/// `NAMES [on NODES] FACTS`: new Pods, or changes of ones that are there.
pub(super) fn pod(world: &mut DaemonWorld, text: &str) -> Result<()> {
    let (names, rest) = text.split_once(' ').unwrap_or((text, ""));
    let names = world.pod_names(names)?;
    let (nodes, facts) = match rest.strip_prefix("on ") {
        Some(rest) => {
            let (nodes, facts) = rest.split_once(' ').unwrap_or((rest, ""));
            (Some(names::expand(nodes)?), facts)
        }
        None => (None, rest),
    };
    let nodes = nodes.unwrap_or_default();
    ensure!(nodes.len() <= 1 || nodes.len() == names.len(), "not as many nodes as Pods");
    for (position, name) in names.iter().enumerate() {
        let mut pod = match world.pods.get(name) {
            Some(pod) => pod.clone(),
            None => new_pod(world, name)?,
        };
        if let Some(node) = nodes.get(position).or(nodes.first()) {
            let spec = Arc::make_mut(&mut pod.spec);
            spec.pinned_to = Some(node.clone());
            spec.node_name = Some(node.clone());
        }
        for (key, value) in pairs(facts) {
            pod_fact(world, &mut pod, key, value)?;
        }
        world.pods.insert(name.clone(), pod);
    }
    Ok(())
}

/// A Pod of the set that runs, of its template, and not ready.
fn new_pod(world: &DaemonWorld, name: &Str) -> Result<Pod> {
    let mut pod = Pod::default();
    pod.metadata.name = name.clone();
    pod.metadata.namespace = NAMESPACE.into();
    pod.metadata.uid = uid(name);
    pod.metadata.creation_timestamp = Some(Time::from_unix_seconds(EPOCH_S - AGE_S));
    pod.metadata.labels = Arc::new(super::super::selected());
    pod.metadata.owner_references = Arc::new(vec![world.set.controller_reference()]);
    Arc::make_mut(&mut pod.status).phase = PodPhase::Running;
    set_hash(world, &mut pod, "new")?;
    Ok(pod)
}

fn pod_fact(world: &DaemonWorld, pod: &mut Pod, key: &str, value: &str) -> Result<()> {
    match key {
        "ready" | "unready" => {
            let status = if key == "ready" { ConditionStatus::True } else { ConditionStatus::False };
            let since = match value {
                "" => Some(Time::from_unix_seconds(EPOCH_S - AGE_S)),
                "none" => None,
                _ => Some(instant(value)?),
            };
            let mut condition = pod_condition("Ready", status, Time::from_unix_seconds(0));
            condition.last_transition_time = since;
            Arc::make_mut(&mut pod.status).conditions = vec![condition];
        }
        "unbound" => Arc::make_mut(&mut pod.spec).node_name = None,
        "hash" => set_hash(world, pod, value)?,
        "generation" => set_label(pod, TEMPLATE_GENERATION_LABEL, value),
        "finalizer" => {
            pod.metadata.finalizers = Arc::new(if value == "none" { Vec::new() } else { vec![value.into()] });
        }
        "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown" => {
            let spec = Arc::make_mut(&mut pod.spec);
            let status = Arc::make_mut(&mut pod.status);
            status.phase = phase(key)?;
            if status.phase != PodPhase::Pending && spec.node_name.is_none() {
                spec.node_name.clone_from(&spec.pinned_to);
            }
            if matches!(status.phase, PodPhase::Succeeded | PodPhase::Failed) {
                status.conditions.clear();
            }
        }
        _ => of_metadata(world, &mut pod.metadata, key, value)?,
    }
    Ok(())
}

fn set_hash(world: &DaemonWorld, pod: &mut Pod, text: &str) -> Result<()> {
    let hash = hash(world, text)?;
    let generation =
        world.set.template_generation().filter(|_| hash == world.present_hash().unwrap_or_default());
    set_label(pod, CONTROLLER_REVISION_HASH_LABEL, &hash);
    set_label(pod, TEMPLATE_GENERATION_LABEL, &generation.unwrap_or(0).to_string());
    Ok(())
}

fn set_label(pod: &mut Pod, label: &str, value: &str) {
    let labels = Arc::make_mut(&mut pod.metadata.labels);
    labels.remove(label);
    if value != "none" {
        labels.insert(label.into(), value.into());
    }
}

/// Facts of Pods and revisions: whose they are, since when, and whether they go.
fn of_metadata(world: &DaemonWorld, metadata: &mut ObjectMeta, key: &str, value: &str) -> Result<()> {
    match key {
        "created" => metadata.creation_timestamp = Some(instant(value)?),
        "terminating" if value.is_empty() => {
            metadata.deletion_timestamp = Some(Time::from_unix_ms(world.now_ms));
        }
        "terminating" => metadata.deletion_timestamp = Some(instant(value)?),
        "orphan" => metadata.owner_references = Arc::default(),
        "owner" => metadata.owner_references = Arc::new(owner(value)?.into_iter().collect()),
        "unselected" => {
            Arc::make_mut(&mut metadata.labels).remove("app");
        }
        "namespace" => metadata.namespace = value.into(),
        _ => bail!("there is no fact {key}"),
    }
    Ok(())
}

/// `NAMES FACTS`: revisions, new or changed; `@` is the one with the name that the controller gives the template's.
pub(super) fn revision(world: &mut DaemonWorld, text: &str) -> Result<()> {
    world.is_history_given = true;
    let (names, facts) = text.split_once(' ').unwrap_or((text, ""));
    for text in names::expand(names)? {
        let name = world.naming()?.revision_name(&text)?;
        let mut one = match world.revisions.get(&name) {
            Some(one) => one.clone(),
            None => world.revision(&name, i64::try_from(world.revisions.len())? + 1, None)?,
        };
        for (key, value) in pairs(facts) {
            match key {
                "number" => one.revision = value.parse()?,
                "image" => one.data = Some(world.data(Some(value))?),
                "data" if value == "none" => one.data = None,
                "data" => one.data = Some(RawValue::from_string(value.to_owned())?.into()),
                "hash" => {
                    let label: Labels = match value {
                        "none" => Labels::default(),
                        _ => [(CONTROLLER_REVISION_HASH_LABEL.into(), hash(world, value)?)].into(),
                    };
                    let labels = Arc::make_mut(&mut one.metadata.labels);
                    labels.remove(CONTROLLER_REVISION_HASH_LABEL);
                    labels.extend(label);
                }
                _ => of_metadata(world, &mut one.metadata, key, value)?,
            }
        }
        if text.starts_with('@') && !world.made.contains_key(&name) {
            world.made.insert(name.clone(), one.revision);
        }
        world.revisions.insert(name, one);
    }
    Ok(())
}

/// Nodes, Pods or revisions that are no more.
pub(super) fn gone(world: &mut DaemonWorld, text: &str) -> Result<()> {
    let names = world.pod_names(text)?;
    for text in names {
        let name = world.naming()?.revision_name(&text)?;
        let found = world.nodes.remove(&name).is_some()
            || world.pods.remove(&name).is_some()
            || world.revisions.remove(&name).is_some();
        ensure!(found, "there is no {text}");
    }
    Ok(())
}
