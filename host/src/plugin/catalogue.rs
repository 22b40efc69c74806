//! Everything that says which plugins there are and what they decide: a directory, PolicyPlugins and PolicyBindings. Out of
//! it come the set that decides, and what is told of it.
//!
//! It reads files, and nothing else: what a registry or a ConfigMap holds is brought by whoever asks [`Catalogue::wanted`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use windlass_core::kube::{ObjectMeta, Str, Time};

use super::PluginFault;
use super::binding::{Rule, Rules};
use super::directory::{self, DirectoryFault};
use super::library::{Library, Load, Outcome, Update};
use super::load::Loader;
use super::offer::{Contents, Offer, Stamp, Terms};
use super::report::{BindingView, PluginTrouble, PluginView, Reports};
use super::resource::{self, Offered, ResourceFault, Source};
use super::set::{Loaded, PolicySet};
use crate::key::Name;

/// The plugins of a controller, and what is said of them.
pub struct Catalogue {
    directory: Option<PathBuf>,
    library: Library,
    plugins: BTreeMap<Str, Resource<Offered>>,
    bindings: BTreeMap<Name, Resource<Arc<Rule>>>,
    supplies: BTreeMap<Str, Supply>,
    /// What the directory held when it could last be read.
    files: Vec<Offer>,
    /// All that was offered at the last look.
    offers: Vec<Offer>,
    rules: Arc<Rules>,
    reports: Arc<Mutex<Reports>>,
}

/// A resource as it was last seen.
struct Resource<T> {
    generation: i64,
    says: Result<T, ResourceFault>,
}

/// What was brought of a source that is no file.
struct Supply {
    source: Source,
    stamp: Stamp,
    contents: Contents,
}

impl Catalogue {
    /// A catalogue of the plugins in `directory`, if there is one, which `replica` reports on.
    #[must_use]
    pub fn new(loader: Arc<dyn Loader>, directory: Option<PathBuf>, replica: String) -> Self {
        Self {
            directory,
            library: Library::new(loader),
            plugins: BTreeMap::new(),
            bindings: BTreeMap::new(),
            supplies: BTreeMap::new(),
            files: Vec::new(),
            offers: Vec::new(),
            rules: Arc::default(),
            reports: Arc::new(Mutex::new(Reports::new(replica))),
        }
    }

    /// What is told of the plugins; shared with whoever hears of their answers and whoever writes it down.
    #[must_use]
    pub fn reports(&self) -> &Arc<Mutex<Reports>> {
        &self.reports
    }

    /// Takes in a PolicyPlugin.
    pub fn put_plugin(&mut self, metadata: &ObjectMeta, spec: &Value) {
        let resource = Resource { generation: metadata.generation, says: Offered::of(metadata, spec) };
        self.plugins.insert(metadata.name.clone(), resource);
    }

    /// Takes in a PolicyBinding.
    pub fn put_binding(&mut self, metadata: &ObjectMeta, spec: &Value) {
        let says = resource::rule(metadata, spec).map(Arc::new);
        self.bindings.insert(Name::of(metadata), Resource { generation: metadata.generation, says });
    }

    /// Forgets a PolicyPlugin that is gone.
    pub fn remove_plugin(&mut self, name: &str) {
        self.plugins.remove(name);
        self.supplies.remove(name);
    }

    /// Forgets a PolicyBinding that is gone.
    pub fn remove_binding(&mut self, name: &Name) {
        self.bindings.remove(name);
    }

    /// Forgets the PolicyPlugins that are not among `names`, which are all there are.
    pub fn keep_plugins(&mut self, names: &BTreeSet<Str>) {
        self.plugins.retain(|name, _| names.contains(name));
        self.supplies.retain(|name, _| names.contains(name));
    }

    /// Forgets the PolicyBindings that are not among `names`, which are all there are.
    pub fn keep_bindings(&mut self, names: &BTreeSet<Name>) {
        self.bindings.retain(|name, _| names.contains(name));
    }

    /// The PolicyPlugins whose bytes somebody has to bring, by name, with what was brought last of the same source.
    pub fn wanted(&self) -> impl Iterator<Item = (&Str, &Source, Option<&Stamp>)> {
        self.plugins.iter().filter(|(name, _)| !self.is_shadowed(name)).filter_map(|(name, resource)| {
            let source = &resource.says.as_ref().ok()?.source;
            if matches!(source, Source::File(_)) {
                return None;
            }
            let supply = self.supplies.get(name).filter(|supply| supply.source == *source);
            let is_had = |supply: &&Supply| !matches!(supply.contents, Contents::Missing(_));
            Some((name, source, supply.filter(is_had).map(|supply| &supply.stamp)))
        })
    }

    /// Brings what a source holds: its bytes and what names them, or why they cannot be had.
    pub fn supply(&mut self, name: &Str, source: Source, brought: Result<(Stamp, Arc<[u8]>), String>) {
        let supply = match brought {
            Ok((stamp, bytes)) => Supply { source, stamp, contents: Contents::Bytes(bytes) },
            Err(reason) => Supply {
                source,
                stamp: Stamp::Version(Str::from(format!("missing: {reason}"))),
                contents: Contents::Missing(reason),
            },
        };
        self.supplies.insert(name.clone(), supply);
    }

    /// Looks at everything, loads what is new, waits for that, and reports, at `now` of the wall clock; `at_once` even files
    /// that may be in the middle of a copy.
    ///
    /// # Errors
    /// As [`Catalogue::survey`].
    pub fn look(&mut self, now: Time, at_once: bool) -> (Update, Result<(), DirectoryFault>) {
        let (mut update, read) = self.survey(now, at_once);
        while let Some(load) = self.next_load() {
            update.add(self.settle(now, load.run()));
        }
        (update, read)
    }

    /// The same, but for the loads: [`Catalogue::next_load`] gives them, and [`Catalogue::settle`] takes in what came of
    /// each, so that nothing has to wait for them.
    ///
    /// # Errors
    /// A [`DirectoryFault`] where the directory cannot be read; then what it held last counts, and all else is done.
    pub fn survey(&mut self, now: Time, at_once: bool) -> (Update, Result<(), DirectoryFault>) {
        let read = match self.directory.as_deref().map(directory::offers) {
            Some(Ok(files)) => {
                self.files = files;
                Ok(())
            }
            Some(Err(fault)) => Err(fault),
            None => Ok(()),
        };
        self.offers = self.offers();
        let update = self.library.survey(&self.offers, at_once);
        (self.conclude(now, update), read)
    }

    /// What is to be loaded next, if anything is.
    pub fn next_load(&mut self) -> Option<Load> {
        self.library.next_load()
    }

    /// Takes in what came of a load, and reports, at `now` of the wall clock.
    pub fn settle(&mut self, now: Time, outcome: Outcome) -> Update {
        let update = self.library.settle(outcome);
        self.conclude(now, update)
    }

    /// Lets go of bytes that nobody needs any more, puts the set together, and reports.
    fn conclude(&mut self, now: Time, mut update: Update) -> Update {
        let files = &self.files;
        // What a file takes the place of is fetched once the file is gone.
        self.supplies.retain(|name, _| files.iter().all(|file| file.name != *name));
        for offer in &mut self.offers {
            let Some(supply) = self.supplies.get_mut(&offer.name) else { continue };
            match (&supply.contents, self.library.was_tried(offer)) {
                // Looked at, they need not be kept in memory.
                (Contents::Bytes(_), true) => {
                    supply.contents = Contents::AsBefore;
                    offer.contents = Contents::AsBefore;
                }
                // They are to be looked at again, on other terms.
                (Contents::AsBefore, false) => {
                    self.supplies.remove(&offer.name);
                }
                _ => {}
            }
        }
        let said = self.bindings.values().filter_map(|binding| binding.says.as_ref().ok());
        let rules = Rules::new(said.map(|rule| (**rule).clone()));
        let same_rules = *self.rules == rules;
        if !same_rules {
            self.rules = Arc::new(rules);
        }
        let set = self.library.set().with_rules(self.rules.clone());
        self.report(now, &set);
        update.set = (update.set.is_some() || !same_rules).then(|| Arc::new(set));
        update
    }

    /// What is offered: the files of the directory, then the PolicyPlugins.
    fn offers(&self) -> Vec<Offer> {
        let mut offers = self.files.clone();
        for (name, resource) in &self.plugins {
            let offered = match &resource.says {
                Ok(offered) => offered,
                // What decides under the name does so until there is something better.
                Err(_) => {
                    offers.extend(self.library.tried(name).map(|stamp| Offer {
                        name: name.clone(),
                        stamp: stamp.clone(),
                        contents: Contents::AsBefore,
                        terms: Terms::default(),
                        rules: Vec::new(),
                    }));
                    continue;
                }
            };
            let (stamp, contents) = match &offered.source {
                Source::File(source) => self.file(Path::new(&source.path)),
                Source::Oci(_) | Source::ConfigMap(_) => match self.supplies.get(&offered.name) {
                    Some(supply) if supply.source == offered.source => {
                        (supply.stamp.clone(), supply.contents.clone())
                    }
                    // Nothing is known of the new source yet; what decides does so until then.
                    Some(_) | None => match self.library.tried(&offered.name) {
                        Some(stamp) => (stamp.clone(), Contents::AsBefore),
                        None => continue,
                    },
                },
            };
            offers.push(Offer {
                name: offered.name.clone(),
                stamp,
                contents,
                terms: Terms {
                    digest: offered.digest,
                    limits: offered.limits,
                    namespaces: offered.namespaces.clone(),
                },
                rules: Vec::new(),
            });
        }
        let bound = |offer: &Offer| {
            let rules = self.bindings.values().filter_map(|binding| binding.says.as_ref().ok());
            rules.filter(|rule| rule.plugin == offer.name).cloned().collect()
        };
        for offer in &mut offers {
            offer.rules = bound(offer);
        }
        offers
    }

    /// A file that a PolicyPlugin names.
    fn file(&self, path: &Path) -> (Stamp, Contents) {
        let missing = |reason: String| {
            (Stamp::Version(Str::from(format!("missing: {reason}"))), Contents::Missing(reason))
        };
        let path = match &self.directory {
            Some(directory) => directory.join(path),
            None if path.is_absolute() => path.to_path_buf(),
            None => {
                return missing(format!(
                    "spec.source.file.path is {}, which is relative to --plugin-dir, and the controller has none",
                    path.display()
                ));
            }
        };
        match directory::stamp(&path) {
            Ok(stamp) => (Stamp::File(stamp), Contents::File(path)),
            Err(fault) => missing(fault.to_string()),
        }
    }

    /// Whether the bytes of a PolicyPlugin are still to be brought.
    fn is_awaited(&self, offered: &Offered) -> bool {
        !matches!(offered.source, Source::File(_))
            && self.supplies.get(&offered.name).is_none_or(|supply| supply.source != offered.source)
    }

    /// Whether a file of the directory has the name of a PolicyPlugin, and so takes its place.
    fn is_shadowed(&self, name: &Str) -> bool {
        self.files.iter().any(|file| file.name == *name)
    }

    fn report(&self, now: Time, set: &PolicySet) {
        let plugins = self.plugins.iter().map(|(name, resource)| {
            let (loaded, fault) = self.library.state(name);
            let fault = match &resource.says {
                Err(fault) => Some(PluginTrouble::Resource(fault)),
                Ok(_) if self.is_shadowed(name) => Some(PluginTrouble::Shadowed),
                Ok(offered) if self.is_awaited(offered) => Some(PluginTrouble::Awaited),
                Ok(_) if self.library.is_loading(name) => Some(PluginTrouble::Loading),
                Ok(_) => fault.map(PluginTrouble::Load),
            };
            let loaded = loaded.map(|loaded| &**loaded);
            PluginView { name, generation: resource.generation, loaded, fault }
        });
        // Settings are put to plugins, which takes as long as they like: before anybody can be kept waiting.
        let bindings = self.bindings.iter().map(|(name, resource)| {
            let rule = resource.says.as_ref().map(|rule| &**rule);
            let loaded = rule.ok().and_then(|rule| set.plugin(&rule.plugin)).map(|loaded| &**loaded);
            let fault = rule.ok().and_then(|rule| may_answer(now, loaded, rule).err());
            BindingView { name, generation: resource.generation, rule, loaded, fault }
        });
        let bindings: Vec<BindingView<'_>> = bindings.collect();
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).look(now, plugins, bindings);
    }
}

/// Whether the plugin of a rule may answer what it is bound for.
fn may_answer(now: Time, loaded: Option<&Loaded>, rule: &Rule) -> Result<(), PluginFault> {
    let loaded = loaded.ok_or(PluginFault::NotLoaded)?;
    if !loaded.serves(&rule.name.namespace) {
        return Err(PluginFault::NotForNamespace);
    }
    if !loaded.plugin().identity().decisions.contains(&rule.decision) {
        return Err(PluginFault::DoesNotDecide);
    }
    loaded.look_at_settings(now, rule.decision, &rule.settings)
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Catalogue")
            .field("directory", &self.directory)
            .field("plugins", &self.plugins.keys())
            .field("bindings", &self.bindings.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
