//! What registries and ConfigMaps hold, fetched beside everything else: one fetch of a plugin at a time, and after a
//! failure a wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_core::kube::Str;

use super::super::client::chain;
use super::Brought;
use crate::plugin::catalogue::Catalogue;
use crate::plugin::oci;
use crate::plugin::offer::Stamp;
use crate::plugin::resource::{ConfigMapSource, Source};

/// Most fetches at once.
const MAX_FETCHES: usize = 4;
/// Time between two looks at a ConfigMap.
const CONFIG_MAP_LOOK: Duration = Duration::from_secs(10);
/// Time after a failure until the next try.
const RETRY: Duration = Duration::from_secs(15);

/// The fetches that are under way, and when the next ones may begin.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    running: JoinSet<Option<Brought>>,
    /// The source that was fetched last for a plugin, and when it may be fetched again.
    next: BTreeMap<Str, (Source, Instant)>,
}

impl Fetches {
    /// Begins what is wanted and due.
    pub(super) fn begin(&mut self, catalogue: &Catalogue, client: &kube::Client, namespace: &str) {
        let now = Instant::now();
        for (name, source, had) in catalogue.wanted() {
            let is_early = self.next.get(name).is_some_and(|(of, at)| of == source && *at > now);
            // What is named by a digest never changes.
            let is_had = had.is_some() && matches!(source, Source::Oci(_));
            if is_early || is_had || self.running.len() >= MAX_FETCHES {
                continue;
            }
            let wait = if matches!(source, Source::ConfigMap(_)) { CONFIG_MAP_LOOK } else { RETRY };
            self.next.insert(name.clone(), (source.clone(), now + wait));
            let (name, source, had) = (name.clone(), source.clone(), had.cloned());
            let (client, namespace) = (client.clone(), namespace.to_owned());
            self.running.spawn(async move {
                let contents = fetch(&source, &client, &namespace, had.as_ref()).await.transpose()?;
                Some((name, source, contents))
            });
        }
    }

    /// What the next fetch that ends brings; waits for ever where none is under way.
    pub(super) async fn next(&mut self) -> Brought {
        loop {
            match self.running.join_next().await {
                Some(Ok(Some(brought))) => return brought,
                // Nothing new, or a task that ended with the runtime.
                Some(Ok(None) | Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Fetches all that is wanted, and waits for it.
    pub(super) async fn all(
        &mut self,
        catalogue: &Catalogue,
        client: &kube::Client,
        namespace: &str,
    ) -> Vec<Brought> {
        let mut brought = Vec::new();
        loop {
            self.begin(catalogue, client, namespace);
            match self.running.join_next().await {
                Some(ended) => brought.extend(ended.ok().flatten()),
                None => return brought,
            }
        }
    }
}

/// What a source holds; `None` where that is what was `had`.
async fn fetch(
    source: &Source,
    client: &kube::Client,
    namespace: &str,
    had: Option<&Stamp>,
) -> Result<Option<(Stamp, Arc<[u8]>)>, String> {
    match source {
        Source::File(_) => Ok(None),
        Source::Oci(source) => {
            let pulled = oci::pull(&source.reference, source.plain_http).await;
            let pulled = pulled.map_err(|fault| fault.to_string())?;
            Ok(Some((Stamp::Version(Str::from(pulled.manifest)), pulled.bytes.into())))
        }
        Source::ConfigMap(source) => config_map(source, client, namespace, had).await,
    }
}

async fn config_map(
    source: &ConfigMapSource,
    client: &kube::Client,
    namespace: &str,
    had: Option<&Stamp>,
) -> Result<Option<(Stamp, Arc<[u8]>)>, String> {
    let ConfigMapSource { name, key } = source;
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let what = || format!("ConfigMap {namespace}/{name}");
    let found =
        api.get_opt(name).await.map_err(|error| format!("cannot read {}: {}", what(), chain(&error)))?;
    let map = found.ok_or_else(|| format!("there is no {}", what()))?;
    let version = map.metadata.resource_version.unwrap_or_default();
    let stamp = Stamp::Version(Str::from(version));
    if had == Some(&stamp) {
        return Ok(None);
    }
    let bytes = map.binary_data.and_then(|mut data| data.remove(key));
    let bytes = bytes.ok_or_else(|| format!("{} has no binaryData {key}", what()))?;
    Ok(Some((stamp, bytes.0.into())))
}
