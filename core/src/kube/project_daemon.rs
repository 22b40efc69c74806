//! From DaemonSets and their Pods to views, and from a plan's status back to the API's.

use alloc::format;
use alloc::string::{String, ToString};

use super::daemon_set::TEMPLATE_GENERATION_LABEL;
use super::{
    CONTROLLER_REVISION_HASH_LABEL, ConditionStatus, DaemonSet, DaemonSetStatus, DaemonTemplate, Pod,
};
use crate::view::{DaemonPodRow, DaemonSetStatusView, DaemonSetView, UpdateStrategy, pod_flag};

/// Name of the strategy that replaces Pods a few at a time (upstream: apps/v1 types.go).
const ROLLING_UPDATE: &str = "RollingUpdate";

/// What reconcile may see of a DaemonSet with this template.
#[must_use]
pub fn daemon_set_view(set: &DaemonSet, template: &DaemonTemplate) -> DaemonSetView {
    let (metadata, spec) = (&set.metadata, &set.spec);
    let rolling = spec.update_strategy.rolling_update.clone().unwrap_or_default();
    let selector = spec.selector.as_ref();
    DaemonSetView {
        owner: format!("{}/{}", metadata.namespace, metadata.name).into(),
        uid: metadata.uid.clone(),
        terminating: metadata.is_terminating(),
        generation: metadata.generation,
        selects_all: selector.is_some_and(|selector| {
            selector.match_labels.is_empty() && selector.match_expressions.is_empty()
        }),
        placement: template.placement_text.clone(),
        strategy: if &*spec.update_strategy.kind == ROLLING_UPDATE {
            UpdateStrategy::RollingUpdate
        } else {
            UpdateStrategy::OnDelete
        },
        max_unavailable: rolling.max_unavailable,
        max_surge: rolling.max_surge,
        min_ready_seconds: spec.min_ready_seconds.map_or(0, to_u32),
        revision_history_limit: spec.revision_history_limit.map(to_u32),
        template_hash: template.hash.clone(),
        status: status_view(&set.status),
    }
}

/// What the label pod-template-generation is of Pods of the present template, where that has a number.
pub(super) fn template_generation_label(set: &DaemonSet) -> Option<String> {
    set.template_generation().map(|generation| generation.to_string())
}

/// What the reconcile of `set`, whose generation label is given, may see of a Pod whose node is at `node` of the
/// snapshot.
pub(super) fn daemon_pod_row(
    pod: &Pod,
    set: &DaemonSet,
    generation: Option<&str>,
    node: u32,
) -> DaemonPodRow {
    let metadata = &pod.metadata;
    let controller = metadata.controller();
    let ready = pod.ready_condition();
    let selected = set.spec.selector.as_ref().is_some_and(|selector| selector.matches(&metadata.labels));
    let is_of_generation = generation.is_some_and(|generation| {
        metadata.labels.get(TEMPLATE_GENERATION_LABEL).is_some_and(|label| **label == *generation)
    });
    let facts = [
        (pod_flag::TERMINATING, metadata.is_terminating()),
        (pod_flag::READY, ready.is_some_and(|condition| condition.status == ConditionStatus::True)),
        (pod_flag::OWNED, controller.is_some_and(|owner| owner.uid == set.metadata.uid)),
        (pod_flag::SELECTED, selected),
        (pod_flag::ORPHAN, controller.is_none()),
        (pod_flag::BOUND, pod.spec.node_name.as_ref().is_some_and(|name| !name.is_empty())),
        (pod_flag::OF_GENERATION, is_of_generation),
    ];
    DaemonPodRow {
        phase: pod.status.phase,
        flags: facts.iter().filter(|(_, holds)| *holds).fold(0, |flags, (flag, _)| flags | flag),
        node,
        hash: metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL).cloned().unwrap_or_default(),
        created_s: metadata.creation_timestamp.map_or(0, |time| time.unix_seconds),
        ready_changed_s: ready
            .and_then(|condition| condition.last_transition_time)
            .map_or(0, |time| time.unix_seconds),
    }
}

/// The status of `set` as a plan wants it.
#[must_use]
pub fn daemon_set_status(set: &DaemonSet, status: &DaemonSetStatusView) -> DaemonSetStatus {
    DaemonSetStatus {
        current_number_scheduled: to_i32(status.current),
        number_misscheduled: to_i32(status.misscheduled),
        desired_number_scheduled: to_i32(status.desired),
        number_ready: to_i32(status.ready),
        observed_generation: status.observed_generation,
        updated_number_scheduled: to_i32(status.updated),
        number_available: to_i32(status.available),
        number_unavailable: to_i32(status.unavailable),
        collision_count: status.collision_count,
        conditions: set.status.conditions.clone(),
    }
}

fn status_view(status: &DaemonSetStatus) -> DaemonSetStatusView {
    DaemonSetStatusView {
        observed_generation: status.observed_generation,
        current: to_u32(status.current_number_scheduled),
        desired: to_u32(status.desired_number_scheduled),
        misscheduled: to_u32(status.number_misscheduled),
        ready: to_u32(status.number_ready),
        updated: to_u32(status.updated_number_scheduled),
        available: to_u32(status.number_available),
        unavailable: to_u32(status.number_unavailable),
        collision_count: status.collision_count,
    }
}

/// The API refuses numbers below 0.
fn to_u32(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
