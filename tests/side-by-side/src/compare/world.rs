//! What a scenario does: it creates, changes and deletes in a namespace of its own, and waits for what it sees.

pub(super) mod daemon_sets;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::kubelet::{self, Kubelet, NODE, has_ended};
use super::state::{State, text};
use crate::client::Client;
use crate::clock;

/// How long anything may take that a scenario waits for: the longest wait of a controller's own is 30 s, the
/// backoff after a second failure with its predecessor.
const PATIENCE: Duration = Duration::from_secs(90);

/// The last second of a minute at which a script begins that waits for the next one: what it does first is done by then.
const LAST_START_SECOND: i64 = 45;

/// The one Job, CronJob or DaemonSet of most scenarios.
pub(super) const JOB: &str = "it";

/// A namespace, and what is known of it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) client: Client,
    pub(super) state: State,
    pub(super) kubelet: Kubelet,
    pub(super) namespace: String,
}

/// A Job named [`JOB`] with these fields of its spec, and a template of one container with these annotations.
pub(super) fn job(annotations: Value, mut spec: Value) -> Value {
    if spec.get("template").is_none() {
        spec["template"] = template(annotations);
    }
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": JOB }, "spec": spec })
}

/// A CronJob named [`JOB`] with these fields of its spec, for Jobs of one Pod with these annotations.
pub(super) fn cron_job(schedule: &str, annotations: Value, fields: Value) -> Value {
    let mut spec = json!({
        "schedule": schedule,
        "jobTemplate": { "spec": { "template": template(annotations) } },
    });
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": JOB }, "spec": spec })
}

/// A Pod template of one container that is never restarted.
pub(super) fn template(annotations: Value) -> Value {
    json!({
        "metadata": { "annotations": annotations },
        "spec": {
            "restartPolicy": "Never",
            "nodeName": NODE,
            "containers": [{ "name": "main", "image": "busybox" }],
        },
    })
}

impl World {
    /// Creates a Job.
    pub(super) async fn create(&self, job: Value) -> Result<()> {
        self.client.create(&self.path("batch/v1", "jobs"), &job).await
    }

    /// Creates a CronJob.
    pub(super) async fn create_cron_job(&self, cron_job: &Value) -> Result<()> {
        self.client.create(&self.path("batch/v1", "cronjobs"), cron_job).await
    }

    /// Creates a CronJob of which runs are missed at once: its last one is told to have been so many seconds ago.
    pub(super) async fn miss(&self, mut cron_job: Value, seconds: i64) -> Result<()> {
        cron_job["spec"]["suspend"] = json!(true);
        self.create_cron_job(&cron_job).await?;
        self.last_run_was(seconds).await?;
        self.resume().await
    }

    /// Waits until there is time in this minute for what a script does before the next.
    pub(super) async fn early_in_a_minute(&self) {
        let second = clock::unix_seconds().rem_euclid(60);
        if second > LAST_START_SECOND {
            tokio::time::sleep(Duration::from_secs((61 - second).unsigned_abs())).await;
        }
    }

    /// Says in the CronJob's status that its last run was due so many seconds ago.
    pub(super) async fn last_run_was(&self, seconds: i64) -> Result<()> {
        let last = clock::time(clock::unix_seconds() - seconds);
        let path = format!("{}/{JOB}/status", self.path("batch/v1", "cronjobs"));
        let status = json!({ "status": { "lastScheduleTime": last } });
        ensure!(self.client.patch(&path, &status).await?, "there is no CronJob");
        Ok(())
    }

    /// Changes the CronJob by a merge patch.
    pub(super) async fn change_cron_job(&self, patch: Value) -> Result<()> {
        let path = format!("{}/{JOB}", self.path("batch/v1", "cronjobs"));
        ensure!(self.client.patch(&path, &patch).await?, "there is no CronJob to change");
        Ok(())
    }

    /// Suspends the CronJob.
    pub(super) async fn suspend(&self) -> Result<()> {
        self.change_cron_job(json!({ "spec": { "suspend": true } })).await?;
        // It may be the last that a script does: what is compared is what the watch has told by then.
        self.until("the CronJob suspended", |seen| seen.cron_job["spec"]["suspend"] == json!(true)).await
    }

    /// Lets the CronJob go on.
    pub(super) async fn resume(&self) -> Result<()> {
        self.change_cron_job(json!({ "spec": { "suspend": false } })).await
    }

    /// Deletes the CronJob with a propagation policy.
    pub(super) async fn delete_cron_job(&self, policy: &str) -> Result<()> {
        let path = format!("{}/{JOB}", self.path("batch/v1", "cronjobs"));
        self.client.delete(&path, &json!({ "propagationPolicy": policy })).await?;
        Ok(())
    }

    /// Deletes a Job with a propagation policy.
    pub(super) async fn delete_job(&self, name: &str, policy: &str) -> Result<()> {
        let path = format!("{}/{name}", self.path("batch/v1", "jobs"));
        self.client.delete(&path, &json!({ "propagationPolicy": policy })).await?;
        Ok(())
    }

    /// Changes the status of a Job by a merge patch.
    pub(super) async fn change_job_status(&self, name: &str, status: Value) -> Result<()> {
        let path = format!("{}/{name}/status", self.path("batch/v1", "jobs"));
        ensure!(self.client.patch(&path, &json!({ "status": status })).await?, "there is no Job {name}");
        Ok(())
    }

    /// The CronJob as it was told of last, waiting until there is one.
    pub(super) async fn cron_job(&self) -> Result<Value> {
        self.until("the CronJob", |seen| !seen.cron_job.is_null()).await?;
        Ok(self.state.told().cron_job(&self.namespace, JOB).clone())
    }

    /// Waits until the CronJob lists just so many Jobs as active, and returns their names.
    pub(super) async fn active(&self, count: usize) -> Result<Vec<String>> {
        let listed = |cron_job: &Value| -> Vec<String> {
            let active = cron_job["status"]["active"].as_array().into_iter().flatten();
            active.map(|job| text(&job["name"])).collect()
        };
        let what = format!("{count} active Jobs");
        self.until(&what, |seen| !seen.cron_job.is_null() && listed(seen.cron_job).len() == count).await?;
        Ok(listed(self.state.told().cron_job(&self.namespace, JOB)))
    }

    /// Creates an object of the core API.
    pub(super) async fn create_core(&self, resource: &str, object: Value) -> Result<()> {
        self.client.create(&self.path("v1", resource), &object).await
    }

    /// Changes the Job by a merge patch.
    pub(super) async fn change(&self, patch: Value) -> Result<()> {
        let path = format!("{}/{JOB}", self.path("batch/v1", "jobs"));
        ensure!(self.client.patch(&path, &patch).await?, "there is no Job to change");
        Ok(())
    }

    /// Changes a Pod by a merge patch.
    pub(super) async fn change_pod(&self, pod: &Value, patch: Value) -> Result<()> {
        ensure!(self.client.patch(&kubelet::path(pod), &patch).await?, "there is no Pod to change");
        Ok(())
    }

    /// Deletes the Job with a propagation policy.
    pub(super) async fn delete(&self, policy: &str) -> Result<()> {
        let path = format!("{}/{JOB}", self.path("batch/v1", "jobs"));
        self.client.delete(&path, &json!({ "propagationPolicy": policy })).await?;
        Ok(())
    }

    /// Deletes a Pod as a user does.
    pub(super) async fn delete_pod(&self, pod: &Value) -> Result<()> {
        self.client.delete(&kubelet::path(pod), &json!({})).await?;
        Ok(())
    }

    /// Evicts a Pod by the API, which says so in its conditions.
    pub(super) async fn evict(&self, pod: &Value) -> Result<()> {
        let metadata = json!({ "name": pod["metadata"]["name"], "namespace": self.namespace });
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata });
        self.client.create(&format!("{}/eviction", kubelet::path(pod)), &eviction).await
    }

    /// Ends a Pod with an exit code.
    pub(super) async fn end(&self, pod: &Value, code: i32) -> Result<()> {
        self.kubelet.end(pod, code).await
    }

    /// Ends the only Pod that runs, as soon as there is one.
    pub(super) async fn end_next(&self, code: i32) -> Result<()> {
        let pods = self.running(1).await?;
        self.end(pods.first().context("a running Pod")?, code).await?;
        let uid = pods[0]["metadata"]["uid"].clone();
        self.until("the Pod's end", |seen| {
            seen.pods.iter().all(|pod| pod["metadata"]["uid"] != uid || has_ended(pod))
        })
        .await
    }

    /// Waits until just so many Pods run, and returns them by name.
    pub(super) async fn running(&self, count: usize) -> Result<Vec<Value>> {
        let what = format!("{count} running Pods");
        self.until(&what, |seen| seen.pods.iter().filter(|pod| runs(pod)).count() == count).await?;
        let told = self.state.told();
        Ok(told.pods(&self.namespace).into_iter().filter(|pod| runs(pod)).cloned().collect())
    }

    /// Waits until the Job has a condition, and an Event says what came with it.
    pub(super) async fn ends(&self, condition: &str, reason: &str) -> Result<()> {
        self.until(condition, |seen| seen.has(condition)).await?;
        self.event(reason).await?;
        self.freed().await
    }

    /// Waits until no Pod holds a finalizer, or is on its way out.
    pub(super) async fn freed(&self) -> Result<()> {
        let is_free = |pod: &Value| {
            pod["metadata"]["finalizers"].is_null() && pod["metadata"]["deletionTimestamp"].is_null()
        };
        self.until("every Pod to be free", |seen| seen.pods.iter().all(|pod| is_free(pod))).await
    }

    /// Waits for an Event of this reason.
    pub(super) async fn event(&self, reason: &str) -> Result<()> {
        self.until(&format!("the Event {reason}"), |seen| {
            seen.events.iter().any(|event| event["reason"] == reason)
        })
        .await
    }

    /// Waits until fields of the Job's status are as given.
    pub(super) async fn status(&self, fields: Value) -> Result<()> {
        self.until(&format!("the status {fields}"), |seen| {
            let expected = fields.as_object().into_iter().flatten();
            !seen.job.is_null()
                && expected
                    .into_iter()
                    .all(|(field, value)| seen.job["status"].get(field).unwrap_or(&Value::Null) == value)
        })
        .await
    }

    /// Waits until what is seen is as wanted.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&Seen<'_>) -> bool) -> Result<()> {
        let mut changes = self.state.changes();
        let wait = async {
            while !self.is(&wanted) {
                if changes.changed().await.is_err() {
                    bail!("the watches have ended");
                }
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("waited {} s for {what}; {}", PATIENCE.as_secs(), self.describe()),
        }
    }

    fn is(&self, wanted: impl Fn(&Seen<'_>) -> bool) -> bool {
        let told = self.state.told();
        wanted(&Seen {
            job: told.job(&self.namespace, JOB),
            cron_job: told.cron_job(&self.namespace, JOB),
            jobs: told.jobs(&self.namespace),
            daemon_set: told.daemon_set(&self.namespace, JOB),
            revisions: told.revisions(&self.namespace),
            quotas: told.quotas(&self.namespace),
            pods: told.pods(&self.namespace),
            created: told.created(&self.namespace),
            events: told.events(&self.namespace),
        })
    }

    fn describe(&self) -> String {
        let told = self.state.told();
        let pods = told.pods(&self.namespace);
        let pods: Vec<_> = pods
            .iter()
            .map(|pod| {
                let metadata = &pod["metadata"];
                let deleting = if metadata["deletionTimestamp"].is_null() { "" } else { " deleting" };
                format!(
                    "{} {} {}{deleting}",
                    metadata["name"], pod["status"]["phase"], metadata["finalizers"]
                )
            })
            .collect();
        let events = told.events(&self.namespace);
        let events: Vec<_> = events.iter().map(|event| text(&event["message"])).collect();
        let status = &told.job(&self.namespace, JOB)["status"];
        let cron_job = &told.cron_job(&self.namespace, JOB)["status"];
        let daemon_set = &told.daemon_set(&self.namespace, JOB)["status"];
        format!(
            "status {status}; of the CronJob {cron_job}; of the DaemonSet {daemon_set}; Pods {pods:?}; Events {events:?}"
        )
    }

    fn path(&self, group: &str, resource: &str) -> String {
        let root = if group == "v1" { "/api" } else { "/apis" };
        format!("{root}/{group}/namespaces/{}/{resource}", self.namespace)
    }
}

fn runs(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
}

/// What is seen of a namespace at a moment.
pub(super) struct Seen<'a> {
    pub(super) job: &'a Value,
    pub(super) cron_job: &'a Value,
    pub(super) jobs: Vec<&'a Value>,
    pub(super) daemon_set: &'a Value,
    pub(super) revisions: Vec<&'a Value>,
    pub(super) quotas: Vec<&'a Value>,
    pub(super) pods: Vec<&'a Value>,
    /// Every Pod that there ever was, as it was created.
    pub(super) created: Vec<&'a Value>,
    pub(super) events: Vec<&'a Value>,
}

impl Seen<'_> {
    /// Whether the Job has this condition as true.
    pub(super) fn has(&self, kind: &str) -> bool {
        let conditions = self.job["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
    }
}
