//! What is checked before the first list: that the API server answers, and that everything needed is permitted.
//!
//! A controller retries for ever; at its start, a mistake in its configuration is told and ends it instead.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use windlass_core::kube::{ApiStatus, Kind};

use super::call::{Call, collection_path};
use super::client::{Client, SendFault};
use super::clock::Clock;
use super::fault::{Permission, ShellFault};
use crate::controller::Controllers;

/// How long to wait between two tries to reach the API server.
const RETRY: Duration = Duration::from_millis(500);
/// Longest wait that a server's Retry-After is believed, at the start.
const MAX_RETRY: Duration = Duration::from_secs(5);

/// What the controllers of Jobs and CronJobs cannot do without.
const NEEDED_TO_SEE_JOBS: [Permission; 3] =
    [batch("jobs", "list"), batch("jobs", "watch"), batch("jobs", "get")];
/// What the controllers of Jobs and DaemonSets cannot do without.
const NEEDED_FOR_PODS: [Permission; 6] = [
    core("pods", "list"),
    core("pods", "watch"),
    core("pods", "get"),
    core("pods", "create"),
    core("pods", "patch"),
    core("pods", "delete"),
];
/// What the DaemonSet controller cannot do without.
const NEEDED_FOR_DAEMON_SETS: [Permission; 12] = [
    apps("daemonsets", "list"),
    apps("daemonsets", "watch"),
    apps("daemonsets", "get"),
    apps("daemonsets/status", "update"),
    apps("controllerrevisions", "list"),
    apps("controllerrevisions", "watch"),
    apps("controllerrevisions", "get"),
    apps("controllerrevisions", "create"),
    apps("controllerrevisions", "patch"),
    apps("controllerrevisions", "delete"),
    core("nodes", "list"),
    core("nodes", "watch"),
];
/// What the CronJob controller cannot do without.
const NEEDED_FOR_CRON_JOBS: [Permission; 6] = [
    batch("cronjobs", "list"),
    batch("cronjobs", "watch"),
    batch("cronjobs", "get"),
    batch("cronjobs/status", "update"),
    batch("jobs", "create"),
    batch("jobs", "delete"),
];
/// What the Job controller cannot do without.
const NEEDED_FOR_JOBS: [Permission; 1] = [batch("jobs/status", "update")];
/// What it can do without, at the price of a silence or of Jobs that stay.
const WANTED: [Permission; 3] = [
    batch("jobs", "delete"),
    Permission { group: "events.k8s.io", resource: "events", verb: "create" },
    Permission { group: "events.k8s.io", resource: "events", verb: "patch" },
];

/// Waits until the API server answers lists of what the controllers have to see, and checks what is permitted.
pub(super) async fn check(
    client: &Client,
    clock: Clock,
    timeout: Duration,
    controllers: Controllers,
) -> Result<(), ShellFault> {
    let deadline = clock.elapsed() + timeout;
    let mut missing = Vec::new();
    for kind in controllers.kinds() {
        if let Err(status) = first_list(client, clock, deadline, timeout, kind).await? {
            tracing::debug!("list {}: {status}", kind.resource());
            missing.push(list_permission(kind));
        }
    }
    for permission in needed(controllers) {
        if !missing.contains(&permission) && is_permitted(client, permission).await == Some(false) {
            missing.push(permission);
        }
    }
    if !missing.is_empty() {
        return Err(ShellFault::Forbidden { missing });
    }
    for permission in WANTED {
        if !needed(controllers).contains(&permission) && is_permitted(client, permission).await == Some(false)
        {
            tracing::warn!("no permission to {permission}: what needs it will not be done");
        }
    }
    Ok(())
}

/// What the controllers cannot do without, each once.
fn needed(controllers: Controllers) -> Vec<Permission> {
    let mut needed = Vec::new();
    if controllers.job || controllers.cron_job {
        needed.extend(NEEDED_TO_SEE_JOBS);
    }
    if controllers.cron_job {
        needed.extend(NEEDED_FOR_CRON_JOBS);
    }
    if controllers.job {
        needed.extend(NEEDED_FOR_JOBS);
    }
    if controllers.daemon_set {
        needed.extend(NEEDED_FOR_DAEMON_SETS);
    }
    if controllers.job || controllers.daemon_set {
        needed.extend(NEEDED_FOR_PODS);
    }
    needed
}

/// Lists one object; the inner error is a 403.
async fn first_list(
    client: &Client,
    clock: Clock,
    deadline: Duration,
    timeout: Duration,
    kind: Kind,
) -> Result<Result<(), ApiStatus>, ShellFault> {
    let path = format!("{}?limit=1", collection_path(kind));
    let call = Call { method: Method::GET, path, content_type: None, body: String::new(), answer: None };
    let mut told = false;
    loop {
        let left = deadline.saturating_sub(clock.elapsed()).max(RETRY);
        let answer = match tokio::time::timeout(left, client.send(&call)).await {
            Ok(answer) => answer,
            Err(_) => Err(SendFault::Unknown("no answer".to_owned())),
        };
        let url = || client.url().to_owned();
        let (reason, wait) = match answer {
            Ok(answer) => match answer.refusal() {
                None => return Ok(Ok(())),
                Some(status) if status.code == 401 => {
                    return Err(ShellFault::Unauthorized { url: url(), status });
                }
                Some(status) if status.code == 403 => return Ok(Err(status)),
                Some(status) if status.code == 429 || status.code >= 500 => {
                    let asked = status.retry_after_ms.map(Duration::from_millis);
                    (status.to_string(), asked.unwrap_or(RETRY).clamp(RETRY, MAX_RETRY))
                }
                Some(status) => {
                    let what = format!("list {}", kind.resource());
                    return Err(ShellFault::Refused { url: url(), what, status });
                }
            },
            Err(SendFault::NotSent(reason) | SendFault::Unknown(reason)) => (reason, RETRY),
        };
        if clock.elapsed() + wait >= deadline {
            return Err(ShellFault::Unreachable { url: url(), reason, tried: timeout });
        }
        if !told {
            tracing::warn!(
                "the API server at {} does not answer yet: {reason}; trying for {} s",
                client.url(),
                timeout.as_secs()
            );
            told = true;
        }
        tokio::time::sleep(wait).await;
    }
}

/// Whether the API server says that `permission` is granted in all namespaces; `None` where it does not say.
async fn is_permitted(client: &Client, permission: Permission) -> Option<bool> {
    let Permission { group, resource, verb } = permission;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({"group": group, "resource": resource, "subresource": subresource, "verb": verb});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    });
    let call = Call {
        method: Method::POST,
        path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
        content_type: Some("application/json"),
        body: review.to_string(),
        answer: None,
    };
    let answer = client.send(&call).await.ok()?;
    if answer.refusal().is_some() {
        return None;
    }
    let review: Value = serde_json::from_slice(&answer.body).ok()?;
    review.get("status")?.get("allowed")?.as_bool()
}

const fn batch(resource: &'static str, verb: &'static str) -> Permission {
    Permission { group: "batch", resource, verb }
}

const fn apps(resource: &'static str, verb: &'static str) -> Permission {
    Permission { group: "apps", resource, verb }
}

const fn core(resource: &'static str, verb: &'static str) -> Permission {
    Permission { group: "", resource, verb }
}

fn list_permission(kind: Kind) -> Permission {
    let group = match kind {
        Kind::CronJob | Kind::Job => "batch",
        Kind::Pod | Kind::Node => "",
        Kind::DaemonSet | Kind::ControllerRevision => "apps",
    };
    Permission { group, resource: kind.resource(), verb: "list" }
}
