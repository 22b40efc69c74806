//! Fields that the API does not have: the API server drops them, and kubectl has it refuse them, so that a slip of
//! the pen is not a silent default.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_host::plugin::resource::{API_VERSION, PolicyBinding, PolicyPlugin};
use windlass_host::simulate::manifest::Document;

/// What the API server says of a document that holds unknown fields or values of another shape; kinds that are not
/// served are left to those who know them.
pub(in crate::cli) fn refusal(document: &Document) -> Option<String> {
    let written: Value = serde_json::from_str(&document.text).ok()?;
    let text = |field: &str| written.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let problem = match (version, kind) {
        ("batch/v1", "CronJob") => problem::<CronJob>(&written),
        ("batch/v1", "Job") => problem::<Job>(&written),
        ("apps/v1", "DaemonSet") => problem::<DaemonSet>(&written),
        ("v1", "Pod") => problem::<Pod>(&written),
        ("v1", "Node") => problem::<Node>(&written),
        ("v1", "Namespace") => problem::<Namespace>(&written),
        (API_VERSION, "PolicyPlugin") => problem::<PolicyPlugin>(&written),
        (API_VERSION, "PolicyBinding") => problem::<PolicyBinding>(&written),
        _ => None,
    }?;
    let Document { place, title, .. } = document;
    let version = version.rsplit('/').next().unwrap_or_default();
    Some(format!(
        "{place}: {title} is refused: {kind} in version {version:?} cannot be handled as a {kind}: {problem}"
    ))
}

fn problem<T: DeserializeOwned + Serialize>(written: &Value) -> Option<String> {
    let typed: T = match serde_json::from_value(written.clone()) {
        Ok(typed) => typed,
        Err(error) => return Some(error.to_string()),
    };
    let known = serde_json::to_value(typed).ok()?;
    let mut unknown = Vec::new();
    collect(written, &known, &mut String::new(), &mut unknown);
    (!unknown.is_empty()).then(|| format!("strict decoding error: {}", unknown.join(", ")))
}

/// Adds what is in `written` and was not kept in `known`, which was read from it.
fn collect(written: &Value, known: &Value, path: &mut String, unknown: &mut Vec<String>) {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            for (name, value) in written {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                match known.get(name) {
                    Some(kept) => collect(value, kept, path, unknown),
                    None => unknown.push(format!("unknown field {path:?}")),
                }
                path.truncate(length);
            }
        }
        (Value::Array(written), Value::Array(known)) => {
            for (position, (value, kept)) in written.iter().zip(known).enumerate() {
                let length = path.len();
                path.push_str(&format!("[{position}]"));
                collect(value, kept, path, unknown);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use windlass_host::simulate::manifest::read_documents;

    use super::*;

    fn told(text: &str) -> Option<String> {
        refusal(&read_documents("job.yaml", text).expect("a document")[0])
    }

    #[test]
    fn a_slip_of_the_pen_is_told_with_its_path() {
        let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec:\n  paralelism: 3\n  template:\n    spec:\n      \
                    containers: [{name: a, image: x, imagePullpolicy: Never}]\n";
        assert_eq!(
            told(text).as_deref(),
            Some(
                "job.yaml:1: Job \"x\" is refused: Job in version \"v1\" cannot be handled as a Job: strict decoding \
                 error: unknown field \"spec.paralelism\", unknown field \
                 \"spec.template.spec.containers[0].imagePullpolicy\""
            )
        );
    }

    #[test]
    fn a_slip_in_the_template_of_a_cron_job_is_told_too() {
        let text = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec:\n  schedule: '@daily'\n  timezone: UTC\n  \
                    jobTemplate:\n    spec:\n      backofLimit: 3\n      template: {spec: {containers: []}}\n";
        assert_eq!(
            told(text).as_deref(),
            Some(
                "job.yaml:1: CronJob \"x\" is refused: CronJob in version \"v1\" cannot be handled as a CronJob: strict \
                 decoding error: unknown field \"spec.jobTemplate.spec.backofLimit\", unknown field \"spec.timezone\""
            )
        );
    }

    #[test]
    fn a_slip_in_a_policy_is_told_and_what_is_right_passes() {
        let binding = |more: &str| {
            format!(
                "apiVersion: policy.windlass.dev/v1alpha1\nkind: PolicyBinding\nmetadata: {{name: x}}\nspec:\n  decision: \
                 backoff\n  plugin: p\n  settings: {{any: [1, {{b: c}}]}}\n  selector: {{matchLabels: {{}}}}\n{more}"
            )
        };
        assert_eq!(told(&binding("  onFailure: Hold\n")), None);
        let slip = told(&binding("  onfailure: Hold\n")).expect("a refusal");
        assert!(
            slip.contains("PolicyBinding in version \"v1alpha1\"")
                && slip.ends_with("unknown field \"spec.onfailure\""),
            "{slip}"
        );
        let word = told(&binding("  onFailure: Never\n")).expect("a refusal");
        assert!(word.contains("unknown variant `Never`"), "{word}");
    }

    #[test]
    fn values_of_another_shape_are_told_in_the_template_too() {
        let text =
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: 5}]}\n";
        assert!(told(text).is_some_and(|told| told.contains("invalid type")), "{:?}", told(text));
    }

    #[test]
    fn whole_objects_of_a_server_and_other_kinds_pass() {
        let job = include_str!("../../../../tests/golden/describe/rich-template/job.json");
        assert_eq!(told(job), None);
        let cron_job = include_str!("../../../../tests/golden/describe/cron-nightly-cleanup/cron-job.json");
        assert_eq!(told(cron_job), None);
        assert_eq!(told("apiVersion: apps/v1\nkind: Deployment\nfoo: 1\n"), None);
    }
}
