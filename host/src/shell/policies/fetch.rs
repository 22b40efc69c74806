//! What registries and ConfigMaps hold, fetched beside everything else: one fetch of a plugin at a time, and after each a
//! wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use windlass_core::kube::Str;

use super::super::client::chain;
use super::{Brought, REQUEST_TIMEOUT};
use crate::plugin::catalogue::Catalogue;
use crate::plugin::oci;
use crate::plugin::offer::Stamp;
use crate::plugin::resource::{ConfigMapSource, Source};

/// Most fetches at once.
const MAX_FETCHES: usize = 4;
/// Time between two looks at a ConfigMap.
const CONFIG_MAP_LOOK: Duration = Duration::from_secs(10);
/// Time after a fetch of an artifact until the next, which there is only after a failure: what is named by a digest never
/// changes.
const RETRY: Duration = Duration::from_secs(15);

/// The fetches that are under way, and when the next ones may begin.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    running: JoinSet<Fetched>,
    /// Names of the plugins that are fetched at the moment.
    underway: BTreeSet<Str>,
    /// The source that was fetched last for a plugin, and when it may be fetched again.
    next: BTreeMap<Str, (Source, Instant)>,
}

/// Name of a plugin, its source, and what that holds; nothing where it is what was there before.
type Fetched = (Str, Source, Option<Contents>);
/// Bytes and what names them, or why they cannot be had.
type Contents = Result<(Stamp, Arc<[u8]>), String>;

impl Fetches {
    /// Begins what is wanted and due; whoever has waited longest first.
    pub(super) fn begin(&mut self, catalogue: &Catalogue, client: &kube::Client, namespace: &str) {
        let now = Instant::now();
        self.forget(catalogue);
        let due = |(name, source, had): (&Str, &Source, Option<&Stamp>)| {
            let at = self.next.get(name).filter(|(of, _)| of == source).map(|(_, at)| *at);
            // What is named by a digest never changes.
            let is_had = had.is_some() && matches!(source, Source::Oci(_));
            let is_due = at.is_none_or(|at| at <= now) && !is_had && !self.underway.contains(name);
            is_due.then(|| (at, name.clone(), source.clone(), had.cloned()))
        };
        let mut due: Vec<_> = catalogue.wanted().filter_map(due).collect();
        due.sort_by_key(|(at, ..)| *at);
        let room = MAX_FETCHES.saturating_sub(self.running.len());
        for (_, name, source, had) in due.into_iter().take(room) {
            self.underway.insert(name.clone());
            let (client, namespace) = (client.clone(), namespace.to_owned());
            self.running.spawn(async move {
                let contents = fetch(&source, &client, &namespace, had.as_ref()).await.transpose();
                (name, source, contents)
            });
        }
    }

    /// What the next fetch that ends brings; waits for ever where none is under way.
    pub(super) async fn next(&mut self) -> Brought {
        loop {
            match self.running.join_next().await {
                Some(ended) => {
                    if let Some(brought) = self.ended(ended) {
                        return brought;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Fetches all that is wanted, each once, and waits for it until `deadline`; what is not there by then comes later.
    pub(super) async fn all(
        &mut self,
        catalogue: &Catalogue,
        client: &kube::Client,
        namespace: &str,
        deadline: Instant,
    ) -> Vec<Brought> {
        let mut brought: Vec<Brought> = Vec::new();
        loop {
            let is_new = |name: &Str| !self.next.contains_key(name);
            if catalogue.wanted().any(|(name, ..)| is_new(name)) {
                self.begin(catalogue, client, namespace);
            }
            match timeout_at(deadline, self.running.join_next()).await {
                Ok(Some(ended)) => brought.extend(self.ended(ended)),
                Ok(None) | Err(_) => return brought,
            }
        }
    }

    /// Takes in that a fetch ended.
    fn ended(&mut self, ended: Result<Fetched, JoinError>) -> Option<Brought> {
        let (name, source, contents) = match ended {
            Ok(fetched) => fetched,
            // A panic there is a mistake of ours, and no other than one here.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return None,
        };
        self.underway.remove(&name);
        let wait = if matches!(source, Source::ConfigMap(_)) { CONFIG_MAP_LOOK } else { RETRY };
        self.next.insert(name.clone(), (source.clone(), Instant::now() + wait));
        Some((name, source, contents?))
    }

    /// Forgets the plugins that nobody wants any more.
    fn forget(&mut self, catalogue: &Catalogue) {
        let wanted: BTreeSet<&Str> = catalogue.wanted().map(|(name, ..)| name).collect();
        self.next.retain(|name, _| wanted.contains(name));
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
    let found = match timeout(REQUEST_TIMEOUT, api.get_opt(name)).await {
        Ok(found) => found.map_err(|error| format!("cannot read {}: {}", what(), chain(&error)))?,
        Err(_) => return Err(format!("cannot read {}: the API server does not answer", what())),
    };
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
