//! Validation of DaemonSets (upstream: pkg/apis/apps/validation).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use windlass_core::kube::{
    DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, IntOrPercent, ObjectMeta, RollingUpdateDaemonSet,
};

use super::job::{immutable, shown};
use super::{metadata, pod, selector};
use crate::field::Faults;
use crate::names::percent_faults;

/// What is wrong with a new DaemonSet, its defaults filled in.
pub(crate) fn on_create(set: &DaemonSet, faults: &mut Faults) {
    metadata::on_create(&set.metadata, true, faults);
    spec(&set.spec, faults);
}

/// What is wrong with changing a DaemonSet's spec from that of `old`.
pub(crate) fn on_update(set: &DaemonSet, old: &DaemonSet, faults: &mut Faults) {
    immutable("selector", &set.spec.selector, &old.spec.selector, faults);
    spec(&set.spec, faults);
}

/// What is wrong with changing a DaemonSet's status from that of `old`.
pub(crate) fn on_status_update(set: &DaemonSet, old: &DaemonSet, faults: &mut Faults) {
    let status = &set.status;
    let numbers = [
        ("currentNumberScheduled", i64::from(status.current_number_scheduled)),
        ("numberMisscheduled", i64::from(status.number_misscheduled)),
        ("desiredNumberScheduled", i64::from(status.desired_number_scheduled)),
        ("numberReady", i64::from(status.number_ready)),
        ("observedGeneration", status.observed_generation),
        ("updatedNumberScheduled", i64::from(status.updated_number_scheduled)),
        ("numberAvailable", i64::from(status.number_available)),
        ("numberUnavailable", i64::from(status.number_unavailable)),
        ("collisionCount", i64::from(status.collision_count.unwrap_or(0))),
    ];
    for (field, number) in numbers {
        faults.not_negative(format_args!("status.{field}"), number);
    }
    let collisions = status.collision_count.unwrap_or(0);
    if old.status.collision_count.is_some_and(|before| status.collision_count.is_none_or(|now| now < before))
    {
        faults.invalid("status.collisionCount", collisions, "cannot be decremented");
    }
}

fn spec(spec: &DaemonSetSpec, faults: &mut Faults) {
    let template = Template::of(spec);
    match &spec.selector {
        None => selector::absent(&template.metadata.labels, faults),
        Some(of_set) => {
            selector::check(of_set, &template.metadata.labels, faults);
            if of_set.is_empty() {
                faults.invalid("spec.selector", shown(of_set), "empty selector is invalid for daemonset");
            }
        }
    }
    template.check(faults);
    faults.not_negative("spec.minReadySeconds", spec.min_ready_seconds.map_or(0, i64::from));
    update_strategy(&spec.update_strategy, faults);
    faults.not_negative("spec.revisionHistoryLimit", spec.revision_history_limit.map_or(0, i64::from));
}

/// The parts of a template that are looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Template<'text> {
    metadata: ObjectMeta,
    #[serde(borrow)]
    spec: Option<&'text RawValue>,
}

impl<'text> Template<'text> {
    fn of(spec: &'text DaemonSetSpec) -> Self {
        let text = spec.template.as_ref().map_or("{}", |template| template.get());
        serde_json::from_str(text).unwrap_or_default()
    }

    fn check(&self, faults: &mut Faults) {
        metadata::labels(&self.metadata.labels, "spec.template.labels", faults);
        metadata::annotations(&self.metadata.annotations, "spec.template.annotations", faults);
        let text = self.spec.map_or("{}", RawValue::get);
        let policy = pod::spec(text, "spec.template.spec", faults);
        if policy != "Always" {
            faults.not_supported("spec.template.spec.restartPolicy", &policy, &["Always"]);
        }
        let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        if fields.contains_key("activeDeadlineSeconds") {
            faults.forbidden(
                "spec.template.spec.activeDeadlineSeconds",
                "activeDeadlineSeconds in DaemonSet is not Supported",
            );
        }
    }
}

fn update_strategy(strategy: &DaemonSetUpdateStrategy, faults: &mut Faults) {
    let path = "spec.updateStrategy";
    match (&*strategy.kind, &strategy.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => faults.required(format_args!("{path}.rollingUpdate"), ""),
        ("RollingUpdate", Some(limits)) => rolling_update(limits, faults),
        (kind, limits) => {
            // Upstream shows its internal struct, whose fields have no names of the API.
            let limits = limits.as_ref().map_or_else(
                || "null".to_owned(),
                |limits| {
                    let number = |limit: &Option<IntOrPercent>| limit.as_ref().map_or("0".to_owned(), shown);
                    let (unavailable, surge) = (number(&limits.max_unavailable), number(&limits.max_surge));
                    format!(r#"{{"MaxUnavailable":{unavailable},"MaxSurge":{surge}}}"#)
                },
            );
            let value = format!(r#"{{"Type":{},"RollingUpdate":{limits}}}"#, shown(&kind));
            faults.not_supported_value(path, value, &["RollingUpdate", "OnDelete"]);
        }
    }
}

fn rolling_update(limits: &RollingUpdateDaemonSet, faults: &mut Faults) {
    let path = "spec.updateStrategy.rollingUpdate";
    let none = IntOrPercent::Int(0);
    let unavailable = limits.max_unavailable.as_ref().unwrap_or(&none);
    let surge = limits.max_surge.as_ref().unwrap_or(&none);
    let both = [("maxUnavailable", unavailable), ("maxSurge", surge)];
    for (field, limit) in both {
        match limit {
            IntOrPercent::Int(number) => {
                faults.not_negative(format_args!("{path}.{field}"), (*number).into());
            }
            IntOrPercent::Text(text) => {
                for fault in percent_faults(text) {
                    faults.invalid_text(format_args!("{path}.{field}"), text, &fault);
                }
            }
        }
    }
    for (field, limit) in both {
        if let Some(percent) = percent(limit)
            && percent > 100
        {
            faults.invalid(format_args!("{path}.{field}"), shown(limit), "must not be greater than 100%");
        }
    }
    match (is_set(unavailable), is_set(surge)) {
        (true, true) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            faults.invalid(format_args!("{path}.maxSurge"), shown(surge), detail);
        }
        (false, false) => {
            faults.required(format_args!("{path}.maxUnavailable"), "cannot be 0 when maxSurge is 0");
        }
        (true, false) | (false, true) => {}
    }
}

/// The number of a percentage; `None` for what is none.
fn percent(limit: &IntOrPercent) -> Option<u64> {
    match limit {
        IntOrPercent::Text(text) if percent_faults(text).is_empty() => {
            Some(text.trim_end_matches('%').parse().unwrap_or(u64::MAX))
        }
        IntOrPercent::Text(_) | IntOrPercent::Int(_) => None,
    }
}

/// Whether a limit is other than zero, as upstream reads even one that is malformed.
fn is_set(limit: &IntOrPercent) -> bool {
    match limit {
        IntOrPercent::Int(number) => *number != 0,
        IntOrPercent::Text(text) => percent(limit)
            .map_or_else(|| text.parse().is_ok_and(|number: i64| number != 0), |percent| percent != 0),
    }
}
