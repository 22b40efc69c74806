//! The manifest of a Job that a CronJob makes: metadata in parts, the spec as the text of the CronJob's template.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, CronJob, Kind, ObjectMeta, Str};

/// Seconds of the unit in which the name of a Job tells its instant.
const SECONDS_PER_MINUTE: i64 = 60;

/// A Job to create.
#[derive(Clone, Debug)]
pub struct JobManifest {
    /// Metadata, name included.
    pub metadata: ObjectMeta,
    /// JSON text of the spec; absent where the template has none, which the API server refuses.
    pub spec: Option<Arc<RawValue>>,
}

impl JobManifest {
    /// The Job `name` that `cron_job` makes for an instant, of which `timestamp` is the text in the CronJob's zone.
    ///
    /// As upstream (getJobFromTemplate2), labels and annotations come from the template's metadata and nothing
    /// else of it does; the namespace is the CronJob's whatever the template says.
    #[must_use]
    pub fn new(cron_job: &CronJob, name: Str, timestamp: Str) -> Self {
        let template = &cron_job.spec.job_template;
        let mut annotations = template.metadata.annotations.clone();
        Arc::make_mut(&mut annotations).insert(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION.into(), timestamp);
        let metadata = ObjectMeta {
            name,
            namespace: cron_job.metadata.namespace.clone(),
            labels: template.metadata.labels.clone(),
            annotations,
            owner_references: Arc::new([cron_job.controller_reference()].into()),
            ..ObjectMeta::default()
        };
        Self { metadata, spec: template.spec.clone() }
    }

    /// Name of the Job for the instant `scheduled_s` (seconds since the epoch): the CronJob's, a dash, and the
    /// instant in minutes (upstream: getJobName).
    #[must_use]
    pub fn name_at(cron_job: &str, scheduled_s: i64) -> Str {
        format!("{cron_job}-{}", scheduled_s / SECONDS_PER_MINUTE).into()
    }

    /// The beginning of the minute (seconds since the epoch) that the name of a Job tells, if it is one that
    /// [`JobManifest::name_at`] gives: `+5` and `007` are numbers, too.
    #[must_use]
    pub fn minute_of(cron_job: &str, name: &str) -> Option<i64> {
        let minute: i64 = name.strip_prefix(cron_job)?.strip_prefix('-')?.parse().ok()?;
        let start_s = minute.checked_mul(SECONDS_PER_MINUTE)?;
        start_s.checked_add(SECONDS_PER_MINUTE)?;
        (*Self::name_at(cron_job, start_s) == *name).then_some(start_s)
    }

    /// Whether an instant is in the minute that begins at `start_s`, both seconds since the epoch.
    #[must_use]
    pub fn is_in_minute(start_s: i64, at_s: i64) -> bool {
        (start_s..start_s.saturating_add(SECONDS_PER_MINUTE)).contains(&at_s)
    }

    /// The whole Job as JSON text, ready to be sent.
    ///
    /// # Errors
    /// What serde_json finds wrong; metadata as it comes from the API server has nothing of the kind.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: &'a ObjectMeta,
            #[serde(skip_serializing_if = "Option::is_none")]
            spec: Option<&'a RawValue>,
        }
        serde_json::to_string(&Whole {
            api_version: Kind::Job.api_version(),
            kind: Kind::Job.name(),
            metadata: &self.metadata,
            spec: self.spec.as_deref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron_job(template: &str) -> CronJob {
        let text = format!(
            r#"{{"metadata":{{"name":"nightly","namespace":"ops","uid":"u-1","labels":{{"its":"own"}}}},
                "spec":{{"schedule":"0 3 * * *","concurrencyPolicy":"Allow","jobTemplate":{template}}}}}"#
        );
        serde_json::from_str(&text).expect("a CronJob")
    }

    #[test]
    fn a_job_has_the_templates_labels_annotations_and_spec_to_the_byte() {
        let cron_job = cron_job(
            r#"{"metadata":{"labels":{"run":"x"},"annotations":{"note":"y"}},"spec":{"template": {"spec":{"unheardOf":[1, 2.50]}},  "alsoNew":true}}"#,
        );
        let manifest = JobManifest::new(&cron_job, "nightly-29".into(), "2026-01-01T03:00:00+01:00".into());
        assert_eq!(
            manifest.to_json().expect("JSON"),
            r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"nightly-29","namespace":"ops","labels":{"run":"x"},"annotations":{"batch.kubernetes.io/cronjob-scheduled-timestamp":"2026-01-01T03:00:00+01:00","note":"y"},"ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"nightly","uid":"u-1","controller":true,"blockOwnerDeletion":true}]},"spec":{"template": {"spec":{"unheardOf":[1, 2.50]}},  "alsoNew":true}}"#
        );
    }

    #[test]
    fn nothing_else_of_the_templates_metadata_is_copied() {
        let cron_job = cron_job(
            r#"{"metadata":{"name":"other","namespace":"elsewhere","generateName":"g-","finalizers":["a/b"],
                "ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"q"}]}}"#,
        );
        let manifest = JobManifest::new(&cron_job, "nightly-29".into(), "t".into());
        let expected = ObjectMeta {
            name: "nightly-29".into(),
            namespace: "ops".into(),
            annotations: Arc::new([(CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION.into(), "t".into())].into()),
            owner_references: Arc::new([cron_job.controller_reference()].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(manifest.metadata, expected);
        assert!(manifest.spec.is_none());
    }

    #[test]
    fn a_name_tells_the_minute() {
        assert_eq!(&*JobManifest::name_at("nightly", 1_767_232_859), "nightly-29453880");
        assert_eq!(JobManifest::minute_of("nightly", "nightly-29453880"), Some(1_767_232_800));
        assert!(JobManifest::is_in_minute(1_767_232_800, 1_767_232_859));
        assert!(!JobManifest::is_in_minute(1_767_232_800, 1_767_232_860));
        for name in
            ["nightly-+5", "nightly-007", "nightly-", "nightly", "other-5", "nightly-999999999999999999"]
        {
            assert_eq!(JobManifest::minute_of("nightly", name), None, "{name}");
        }
    }
}
