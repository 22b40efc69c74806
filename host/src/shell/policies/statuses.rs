//! Writes what there is to say into the statuses of PolicyPlugins and PolicyBindings, by server-side apply.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::REQUEST_TIMEOUT;
use super::resources::Kind;
use crate::plugin::report::{Report, Reports};
use crate::plugin::resource::API_VERSION;

/// Who owns what is written: there is one process for now, and what a former one wrote is replaced.
const MANAGER: &str = "windlass-policies";
/// Most statuses that are written in one go; the rest waits for the next.
const MAX_WRITES: usize = 32;

/// Time between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what is due, again and again.
pub(super) async fn write_on(client: kube::Client, reports: Arc<Mutex<Reports>>) {
    loop {
        write(&client, &reports).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes what is due.
async fn write(client: &kube::Client, reports: &Mutex<Reports>) {
    let due = reports.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (position, report) in due.iter().enumerate() {
        let is_written = position < MAX_WRITES && write_one(client, report).await;
        if !is_written {
            reports.lock().unwrap_or_else(PoisonError::into_inner).not_written(report);
        }
    }
}

/// Writes one, and returns whether that is done with.
async fn write_one(client: &kube::Client, report: &Report) -> bool {
    let (kind, namespace, name, replica) = match report {
        Report::Plugin(name, replica) => (Kind::Plugin, None, name, serde_json::to_value(replica)),
        Report::Binding(name, replica) => {
            (Kind::Binding, Some(&name.namespace), &name.name, serde_json::to_value(replica))
        }
    };
    let resource = kind.resource();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let status = json!({
        "apiVersion": API_VERSION,
        "kind": resource.kind,
        "metadata": { "name": &**name },
        "status": { "replicas": [replica.unwrap_or(Value::Null)] },
    });
    let (parameters, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&status));
    let written = match timeout(REQUEST_TIMEOUT, api.patch_status(name, &parameters, &patch)).await {
        Ok(written) => written,
        Err(_) => {
            tracing::debug!("the status of {} {name} is not written yet: no answer", kind.plural());
            return false;
        }
    };
    match written {
        Ok(_) => true,
        // It is gone, or may not be written: nothing that another try would mend soon.
        Err(kube::Error::Api(refusal)) if matches!(refusal.code, 403 | 404 | 422) => {
            tracing::warn!("the status of {} {name} is not written: {}", kind.plural(), refusal.message);
            true
        }
        Err(error) => {
            tracing::debug!("the status of {} {name} is not written yet: {error}", kind.plural());
            false
        }
    }
}
