//! The defaults that the API server fills in (upstream: pkg/apis/batch/v1, apps/v1 and core/v1 defaults.go, and
//! the admission plugins Priority and DefaultTolerationSeconds).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use windlass_core::kube::{
    CONTROLLER_UID_LABEL, CompletionMode, ConcurrencyPolicy, CronJobSpec, DaemonSetSpec, IntOrPercent,
    JOB_NAME_LABEL, Job, JobSpec, LabelSelector, PodReplacementPolicy, PodTemplate,
};

/// The labels' names before they had a prefix, which the server still sets.
pub(crate) const LEGACY_CONTROLLER_UID_LABEL: &str = "controller-uid";
pub(crate) const LEGACY_JOB_NAME_LABEL: &str = "job-name";
/// Backoff limit where the spec has none.
const BACKOFF_LIMIT: i32 = 6;
/// Completed and failed Jobs that a CronJob keeps where its spec does not say.
const SUCCESSFUL_JOBS_HISTORY_LIMIT: i32 = 3;
const FAILED_JOBS_HISTORY_LIMIT: i32 = 1;
/// Old revisions that a DaemonSet keeps where its spec does not say.
const REVISION_HISTORY_LIMIT: i32 = 10;
/// Fields of a Pod's spec whose `false` is never written.
const UNWRITTEN_FALSE: [&str; 7] =
    ["hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly"];
/// Fields of a template that are maps, of which an empty one is never written.
const MAPS: [&str; 6] = ["labels", "annotations", "nodeSelector", "limits", "requests", "matchLabels"];
/// Mode of the files in a volume, 0644.
const VOLUME_FILE_MODE: i32 = 420;
/// Seconds for which a Pod bears an unready or unreachable node.
const TOLERATION_SECONDS: i64 = 300;

/// Fills in what a Job's spec leaves open, except what depends on its uid.
pub(crate) fn job_spec(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { BACKOFF_LIMIT };
    spec.backoff_limit.get_or_insert(limit);
    spec.completion_mode.get_or_insert(CompletionMode::NonIndexed);
    spec.suspend.get_or_insert(false);
    spec.pod_replacement_policy.get_or_insert(if spec.pod_failure_policy.is_some() {
        PodReplacementPolicy::Failed
    } else {
        PodReplacementPolicy::TerminatingOrFailed
    });
    spec.manual_selector.get_or_insert(false);
    pod_template(&mut spec.template);
}

/// Fills in what a CronJob's spec leaves open; gives the Job's spec in its template, of which the server fills in
/// nothing but the Pod template.
///
/// # Errors
/// What is wrong with the JSON of the Job's spec.
pub(crate) fn cron_job_spec(spec: &mut CronJobSpec) -> Result<JobSpec, serde_json::Error> {
    if matches!(&spec.concurrency_policy, ConcurrencyPolicy::Other(policy) if policy.is_empty()) {
        spec.concurrency_policy = ConcurrencyPolicy::Allow;
    }
    spec.suspend.get_or_insert(false);
    spec.successful_jobs_history_limit.get_or_insert(SUCCESSFUL_JOBS_HISTORY_LIMIT);
    spec.failed_jobs_history_limit.get_or_insert(FAILED_JOBS_HISTORY_LIMIT);
    let text = spec.job_template.spec.as_ref().map_or("{}", |text| text.get());
    let mut job: JobSpec = serde_json::from_str(text)?;
    job.template.spec.get_or_insert(RawValue::from_string("{}".to_owned())?.into());
    pod_template(&mut job.template);
    spec.job_template.spec = Some(serde_json::value::to_raw_value(&job)?.into());
    Ok(job)
}

/// Fills in what a DaemonSet's spec leaves open, and writes its template as the server sends it: defaults filled in,
/// and nothing said that means the same as nothing. Quantities stay as they came.
///
/// # Errors
/// What is wrong with the JSON of the template.
pub(crate) fn daemon_set_spec(spec: &mut DaemonSetSpec) -> Result<(), serde_json::Error> {
    let strategy = &mut spec.update_strategy;
    if strategy.kind.is_empty() {
        strategy.kind = "RollingUpdate".into();
    }
    if &*strategy.kind == "RollingUpdate" {
        let limits = strategy.rolling_update.get_or_insert_default();
        limits.max_unavailable.get_or_insert(IntOrPercent::Int(1));
        limits.max_surge.get_or_insert(IntOrPercent::Int(0));
    }
    // The server's own form has numbers here, so that what is not said is zero where nothing was filled in.
    if let Some(limits) = &mut strategy.rolling_update {
        limits.max_unavailable.get_or_insert(IntOrPercent::Int(0));
        limits.max_surge.get_or_insert(IntOrPercent::Int(0));
    }
    spec.revision_history_limit.get_or_insert(REVISION_HISTORY_LIMIT);
    spec.min_ready_seconds.take_if(|seconds| *seconds == 0);
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Template {
        metadata: Option<Map<String, Value>>,
        spec: Option<Map<String, Value>>,
    }
    let template: Template = match &spec.template {
        Some(text) => serde_json::from_str(text.get())?,
        None => Template::default(),
    };
    let (mut metadata, mut pod) = (template.metadata.unwrap_or_default(), template.spec.unwrap_or_default());
    prune_nulls(&mut metadata);
    template_spec(&mut pod);
    prune_unwritten(&mut metadata);
    prune_unwritten(&mut pod);
    let template = json!({ "metadata": metadata, "spec": pod });
    spec.template = Some(serde_json::value::to_raw_value(&template)?.into());
    Ok(())
}

fn pod_template(template: &mut PodTemplate) {
    if let Some(text) = &template.spec
        && let Some(defaulted) = defaulted_text(text, template_spec)
    {
        template.spec = Some(defaulted);
    }
}

/// Writes the selector that matches the Job's own Pods, and the labels that it selects by.
pub(crate) fn job_selector(job: &mut Job) {
    let (name, uid) = (job.metadata.name.clone(), job.metadata.uid.clone());
    let spec = Arc::make_mut(&mut job.spec);
    if spec.manual_selector == Some(true) {
        return;
    }
    let labels = Arc::make_mut(&mut spec.template.metadata.labels);
    for (label, value) in [
        (LEGACY_JOB_NAME_LABEL, &name),
        (JOB_NAME_LABEL, &name),
        (LEGACY_CONTROLLER_UID_LABEL, &uid),
        (CONTROLLER_UID_LABEL, &uid),
    ] {
        labels.entry(label.into()).or_insert_with(|| value.clone());
    }
    let selector = spec.selector.get_or_insert_with(LabelSelector::default);
    selector.match_labels.entry(CONTROLLER_UID_LABEL.into()).or_insert(uid);
}

/// Gives a Job without labels those of its template, as every read of the API server does.
pub(crate) fn job_labels(job: &mut Job) {
    let template = &job.spec.template.metadata.labels;
    if job.metadata.labels.is_empty() && !template.is_empty() {
        job.metadata.labels = template.clone();
    }
}

/// `text` with `fill` done to it; `None` where it is not a JSON object.
pub(crate) fn defaulted_text(text: &RawValue, fill: fn(&mut Map<String, Value>)) -> Option<Arc<RawValue>> {
    let mut spec: Map<String, Value> = serde_json::from_str(text.get()).ok()?;
    fill(&mut spec);
    Some(serde_json::value::to_raw_value(&spec).ok()?.into())
}

/// Fills in what the spec of a Pod template leaves open.
pub(crate) fn template_spec(spec: &mut Map<String, Value>) {
    if let Some(account) = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount")).cloned() {
        spec.insert("serviceAccountName".to_owned(), account.clone());
        spec.insert("serviceAccount".to_owned(), account);
    }
    set_default(spec, "dnsPolicy", || json!("ClusterFirst"));
    set_default(spec, "restartPolicy", || json!("Always"));
    set_default(spec, "securityContext", || json!({}));
    set_default(spec, "terminationGracePeriodSeconds", || json!(30));
    set_default(spec, "schedulerName", || json!("default-scheduler"));
    for list in ["initContainers", "containers"] {
        for container in objects(spec, list) {
            container_defaults(container);
        }
    }
    for volume in objects(spec, "volumes") {
        volume_defaults(volume);
    }
    prune_nulls(spec);
}

/// Fills in what the spec of a Pod leaves open.
pub(crate) fn pod_spec(spec: &mut Map<String, Value>) {
    template_spec(spec);
    set_default(spec, "enableServiceLinks", || json!(true));
    set_default(spec, "priority", || json!(0));
    set_default(spec, "preemptionPolicy", || json!("PreemptLowerPriority"));
    for list in ["initContainers", "containers"] {
        for container in objects(spec, list) {
            requests_from_limits(container);
        }
    }
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Value::Array(tolerations) = tolerations else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let borne = tolerations.iter().any(|toleration| {
            let named = toleration.get("key").and_then(Value::as_str).unwrap_or_default();
            let effect = toleration.get("effect").and_then(Value::as_str).unwrap_or_default();
            (named == key || named.is_empty()) && matches!(effect, "NoExecute" | "")
        });
        if !borne {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS
            }));
        }
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    let latest = is_latest(container.get("image").and_then(Value::as_str).unwrap_or_default());
    set_default(container, "imagePullPolicy", || json!(if latest { "Always" } else { "IfNotPresent" }));
    set_default(container, "terminationMessagePath", || json!("/dev/termination-log"));
    set_default(container, "terminationMessagePolicy", || json!("File"));
    set_default(container, "resources", || json!({}));
    for port in objects(container, "ports") {
        set_default(port, "protocol", || json!("TCP"));
    }
    for variable in objects(container, "env") {
        if let Some(Value::Object(source)) = variable.get_mut("valueFrom") {
            field_version(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            set_default(probe, "timeoutSeconds", || json!(1));
            set_default(probe, "periodSeconds", || json!(10));
            set_default(probe, "successThreshold", || json!(1));
            set_default(probe, "failureThreshold", || json!(3));
        }
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    if volume.len() == 1 {
        set_default(volume, "emptyDir", || json!({}));
    }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        let Some(Value::Object(source)) = volume.get_mut(source) else { continue };
        set_default(source, "defaultMode", || json!(VOLUME_FILE_MODE));
        for item in objects(source, "items") {
            field_version(item);
        }
        for part in objects(source, "sources") {
            let Some(Value::Object(part)) = part.get_mut("downwardAPI") else { continue };
            for item in objects(part, "items") {
                field_version(item);
            }
        }
    }
}

fn field_version(holder: &mut Map<String, Value>) {
    if let Some(Value::Object(field)) = holder.get_mut("fieldRef") {
        set_default(field, "apiVersion", || json!("v1"));
    }
}

fn requests_from_limits(container: &mut Map<String, Value>) {
    let Some(Value::Object(resources)) = container.get_mut("resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    let Value::Object(requests) = requests else { return };
    for (name, quantity) in limits {
        requests.entry(name).or_insert(quantity);
    }
}

/// Whether an image is meant by the tag `latest`, said or implied.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn set_default(holder: &mut Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    let unset = match holder.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => false,
    };
    if unset {
        holder.insert(field.to_owned(), value());
    }
}

fn objects<'a>(
    holder: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let items = holder.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Takes out fields that are null, at any depth.
pub(crate) fn prune_nulls(holder: &mut Map<String, Value>) {
    holder.retain(|_, value| !value.is_null());
    for value in holder.values_mut() {
        match value {
            Value::Object(inner) => prune_nulls(inner),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(prune_nulls),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Takes out fields that upstream's types do not write, at any depth: empty lists and maps, and `false` where it is
/// the same as absent.
fn prune_unwritten(holder: &mut Map<String, Value>) {
    holder.retain(|field, value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty() || !MAPS.contains(&field.as_str()),
        Value::Bool(is_true) => *is_true || !UNWRITTEN_FALSE.contains(&field.as_str()),
        Value::Null | Value::Number(_) | Value::String(_) => true,
    });
    for variable in objects(holder, "env") {
        if variable.get("value").and_then(Value::as_str) == Some("") {
            variable.remove("value");
        }
    }
    for value in holder.values_mut() {
        match value {
            Value::Object(inner) => prune_unwritten(inner),
            Value::Array(items) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(prune_unwritten);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, fill: fn(&mut Map<String, Value>)) -> Value {
        let raw = RawValue::from_string(text.to_owned()).expect("valid JSON");
        serde_json::from_str(defaulted_text(&raw, fill).expect("an object").get()).expect("valid JSON")
    }

    #[test]
    fn a_template_gets_the_fields_that_kubectl_shows() {
        let spec = filled(r#"{"containers":[{"name":"a","image":"perl"}]}"#, template_spec);
        assert_eq!(spec["restartPolicy"], "Always");
        assert_eq!(spec["terminationGracePeriodSeconds"], 30);
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
        assert_eq!(spec.get("enableServiceLinks"), None);
    }

    #[test]
    fn a_tag_decides_how_an_image_is_pulled() {
        assert!(is_latest("registry:5000/a/b"));
        assert!(!is_latest("registry:5000/a/b:1"));
        assert!(!is_latest("a@sha256:00"));
    }

    #[test]
    fn a_pod_bears_an_unready_node_for_five_minutes() {
        let spec = filled(r#"{"containers":[{"name":"a","image":"b:1"}]}"#, pod_spec);
        assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
        assert_eq!(spec["priority"], 0);
    }
}
