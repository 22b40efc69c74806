//! `kubectl describe daemonset` (upstream: k8s.io/kubectl pkg/describe, describeDaemonSet).

use windlass_core::kube::{DaemonSet, Pod, PodPhase, PodTemplate};

use super::super::columns::Columns;
use super::super::event::{PrintedEvent, describe_events};
use super::super::get::node_selector;
use super::{annotations, describe_template, labels, selector};

/// The text of `kubectl describe daemonset` for `set`, its Pods and the Events about it, as seen at `now_unix_ms`.
#[must_use]
pub fn describe_daemon_set(
    set: &DaemonSet,
    pods: &[&Pod],
    events: &[PrintedEvent],
    now_unix_ms: i64,
) -> String {
    let DaemonSet { metadata, spec, status } = set;
    let mut out = Columns::of_describe();
    out.line(0, format_args!("Name:\t{}", metadata.name));
    out.line(0, format_args!("Namespace:\t{}", metadata.namespace));
    out.line(0, format_args!("Selector:\t{}", spec.selector.as_ref().map(selector).unwrap_or_default()));
    out.line(0, format_args!("Node-Selector:\t{}", node_selector(set)));
    labels(&mut out, "Labels", &metadata.labels);
    annotations(&mut out, "Annotations", &metadata.annotations);
    for (title, count) in [
        ("Desired Number of Nodes Scheduled", status.desired_number_scheduled),
        ("Current Number of Nodes Scheduled", status.current_number_scheduled),
        ("Number of Nodes Scheduled with Up-to-date Pods", status.updated_number_scheduled),
        ("Number of Nodes Scheduled with Available Pods", status.number_available),
        ("Number of Nodes Misscheduled", status.number_misscheduled),
    ] {
        out.line(0, format_args!("{title}: {count}"));
    }
    let count = |phase: PodPhase| pods.iter().filter(|pod| pod.status.phase == phase).count();
    out.line(
        0,
        format_args!(
            "Pods Status:\t{} Running / {} Waiting / {} Succeeded / {} Failed",
            count(PodPhase::Running),
            count(PodPhase::Pending),
            count(PodPhase::Succeeded),
            count(PodPhase::Failed),
        ),
    );
    let text = spec.template.as_ref().map_or("{}", |text| text.get());
    let template: PodTemplate = serde_json::from_str(text).unwrap_or_default();
    describe_template(&mut out, &template);
    describe_events(&mut out, events, now_unix_ms);
    out.finish()
}
