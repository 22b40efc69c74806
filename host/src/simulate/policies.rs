//! PolicyPlugins and PolicyBindings of manifests: what a controller on a cluster would make of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use windlass_core::kube::{ObjectMeta, Str, Time};

use super::manifest::{Document, ManifestFault};
use crate::plugin::LogLine;
use crate::plugin::catalogue::Catalogue;
use crate::plugin::library::News;
use crate::plugin::load::Loader;
use crate::plugin::report::{Report, Reports};
use crate::plugin::resource::{self, API_VERSION, Offered, Source};
use crate::plugin::set::PolicySet;

/// Name of the one replica of a simulation.
const REPLICA: &str = "windlass";
/// Levels of what is told of loads.
const WARNING: u32 = 1;
const INFORMATION: u32 = 2;

/// Where the plugins of a simulation come from.
#[derive(Clone)]
pub struct PluginSource {
    /// What makes plugins of bytes.
    pub loader: Arc<dyn Loader>,
    /// The directory of `--plugin-dir`.
    pub directory: Option<PathBuf>,
}

/// The plugins of a simulation, and what is told of them.
pub(super) struct Policies {
    catalogue: Catalogue,
    /// Generation of each resource, by kind, namespace and name.
    generations: BTreeMap<(String, Str, Str), i64>,
    /// What was told of loads, by when.
    pub(super) told: Vec<(u64, Str, LogLine)>,
}

/// The parts of a resource.
#[derive(Deserialize)]
struct Parts {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

/// Whether a document is a PolicyPlugin or a PolicyBinding.
pub(super) fn is_policy(document: &Document) -> bool {
    let version = serde_json::from_str::<Value>(&document.text).ok();
    let is_ours = version.is_some_and(|object| object.get("apiVersion").is_some_and(|is| is == API_VERSION));
    is_ours && matches!(&*document.kind, "PolicyPlugin" | "PolicyBinding")
}

impl Policies {
    pub(super) fn new(source: &PluginSource) -> Self {
        let catalogue = Catalogue::new(source.loader.clone(), source.directory.clone(), REPLICA.to_owned());
        Self { catalogue, generations: BTreeMap::new(), told: Vec::new() }
    }

    /// What is told of the plugins, for whoever hears of their answers.
    pub(super) fn reports(&self) -> Arc<Mutex<Reports>> {
        self.catalogue.reports().clone()
    }

    /// Takes in a PolicyPlugin or PolicyBinding.
    pub(super) fn apply(&mut self, document: &Document) -> Result<(), ManifestFault> {
        let refused = |reason: String| ManifestFault::Policy {
            place: document.place.clone(),
            object: document.title.clone(),
            reason,
        };
        let parts: Parts =
            serde_json::from_str(&document.text).map_err(|error| refused(error.to_string()))?;
        let Parts { mut metadata, spec } = parts;
        let is_plugin = document.kind == "PolicyPlugin";
        if is_plugin {
            Offered::of(&metadata, &spec).map_err(|fault| refused(fault.to_string()))?;
        } else {
            if metadata.namespace.is_empty() {
                metadata.namespace = "default".into();
            }
            resource::rule(&metadata, &spec).map_err(|fault| refused(fault.to_string()))?;
        }
        let key = (document.kind.clone(), metadata.namespace.clone(), metadata.name.clone());
        let generation = self.generations.entry(key).or_default();
        *generation += 1;
        metadata.generation = *generation;
        if is_plugin {
            self.catalogue.put_plugin(&metadata, &spec);
        } else {
            self.catalogue.put_binding(&metadata, &spec);
        }
        Ok(())
    }

    /// Loads what is new at `at_ms` of virtual time, and returns what decides from now on, where that changed.
    ///
    /// # Errors
    /// The [`News`] of a file of the directory that is no plugin, or why the directory cannot be read.
    pub(super) fn look(&mut self, at_ms: u64, now: Time) -> Result<Option<Arc<PolicySet>>, PolicyFault> {
        let wanted: Vec<(Str, Source)> =
            self.catalogue.wanted().map(|(name, source, _)| (name.clone(), source.clone())).collect();
        for (name, source) in wanted {
            let reason = "a simulation has no registry and no ConfigMaps; name a file".to_owned();
            self.catalogue.supply(&name, source, Err(reason));
        }
        let (update, read) = self.catalogue.look(now, true);
        read.map_err(|fault| PolicyFault(fault.to_string()))?;
        for news in update.news {
            let of_resource = ("PolicyPlugin".to_owned(), Str::default(), news.name().clone());
            let is_file = !self.generations.contains_key(&of_resource);
            if is_file && let News::Refused { fault, .. } = &news {
                return Err(PolicyFault(format!("{}.wasm: {fault}", news.name())));
            }
            let level = if matches!(news, News::Refused { .. }) { WARNING } else { INFORMATION };
            self.told.push((at_ms, news.name().clone(), LogLine { level, message: news.to_string() }));
        }
        Ok(update.set)
    }

    /// The statuses of the resources, as text.
    pub(super) fn statuses(&self) -> Vec<Report> {
        self.catalogue.reports().lock().unwrap_or_else(PoisonError::into_inner).all().collect()
    }
}

/// Why the plugins of a simulation cannot be used: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault(pub String);

impl fmt::Display for PolicyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for PolicyFault {}

impl fmt::Debug for PluginSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PluginSource").field("directory", &self.directory).finish_non_exhaustive()
    }
}
