//! The plugins that are offered, as they change: a new version takes the place of the one before at once, a bad one is told
//! once and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use windlass_core::kube::Str;

use super::binding::Rule;
use super::load::{LoadFault, Loader};
use super::offer::{Contents, Offer, Stamp, Terms};
use super::set::{Loaded, PolicySet};
use super::{Digest, Identity, PluginFault};

/// The plugins that are offered, and what became of each.
pub struct Library {
    loader: Arc<dyn Loader>,
    plugins: BTreeMap<Str, Known>,
}

/// What is known of a plugin.
#[derive(Default)]
struct Known {
    /// As it was seen last.
    seen: Option<Stamp>,
    /// As it was offered when it was loaded, or refused.
    tried: Option<Tried>,
    /// The last version that was good, and its terms.
    good: Option<(Arc<Loaded>, Terms)>,
    /// Why the last version that was tried is not the one that decides.
    fault: Option<LoadFault>,
}

/// What was offered when a version was loaded, or refused.
struct Tried {
    stamp: Stamp,
    terms: Terms,
    rules: Vec<Arc<Rule>>,
}

/// What a look at the offers came to.
#[derive(Debug, Default)]
pub struct Update {
    /// The plugins that decide from now on, where they are others than before.
    pub set: Option<Arc<PolicySet>>,
    /// What is to be told.
    pub news: Vec<News>,
}

/// Something that happened to a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It was loaded.
    Loaded {
        /// What was loaded.
        identity: Identity,
        /// What it says is its version.
        version: String,
        /// What it took the place of.
        before: Option<Digest>,
        /// How long it took to load it, microseconds, where the host reads a clock.
        took_us: Option<u64>,
    },
    /// What is offered cannot be had, or is not a plugin that can be run.
    Refused {
        /// Its name.
        name: Str,
        /// Why.
        fault: LoadFault,
        /// What decides instead: the version before.
        kept: Option<Digest>,
    },
    /// It is offered no more.
    Removed {
        /// Its name.
        name: Str,
        /// What decided until now.
        digest: Option<Digest>,
    },
}

impl Library {
    /// A library without plugins.
    #[must_use]
    pub fn new(loader: Arc<dyn Loader>) -> Self {
        Self { loader, plugins: BTreeMap::new() }
    }

    /// Loads what is new among `offers`, which are all there are; `at_once` even files that may be in the middle of a
    /// copy, else only those that have not changed since the last look. Of two offers of one name the first counts.
    pub fn look(&mut self, offers: &[Offer], at_once: bool) -> Update {
        let mut update = Update::default();
        let mut changed = false;
        let offered: BTreeSet<&Str> = offers.iter().map(|offer| &offer.name).collect();
        for (name, known) in self.plugins.extract_if(.., |name, _| !offered.contains(name)) {
            let digest = known.digest();
            changed |= digest.is_some();
            update.news.push(News::Removed { name, digest });
        }
        let mut looked = BTreeSet::new();
        for offer in offers.iter().filter(|offer| looked.insert(&offer.name)) {
            let known = self.plugins.entry(offer.name.clone()).or_default();
            let is_settled = at_once
                || matches!(offer.stamp, Stamp::Version(_))
                || known.seen.as_ref() == Some(&offer.stamp);
            known.seen = Some(offer.stamp.clone());
            // Without its bytes nothing can be tried; who knows that they changed brings them.
            let is_at_hand = offer.contents != Contents::AsBefore;
            if is_settled && is_at_hand && !known.was_tried(offer) {
                known.tried = Some(Tried {
                    stamp: offer.stamp.clone(),
                    terms: offer.terms.clone(),
                    rules: offer.rules.clone(),
                });
                update.news.extend(known.load(&*self.loader, offer, &mut changed));
            }
        }
        update.set = changed.then(|| Arc::new(self.set()));
        update
    }

    /// The plugins that decide.
    #[must_use]
    pub fn set(&self) -> PolicySet {
        PolicySet::new(self.plugins.values().filter_map(Known::loaded).cloned())
    }

    /// Whether nothing would come of another look at that offer, so that its bytes need not be had.
    #[must_use]
    pub fn was_tried(&self, offer: &Offer) -> bool {
        self.plugins.get(&offer.name).is_some_and(|known| known.was_tried(offer))
    }

    /// The stamp of what was tried last under a name.
    #[must_use]
    pub fn tried(&self, name: &str) -> Option<&Stamp> {
        Some(&self.plugins.get(name)?.tried.as_ref()?.stamp)
    }

    /// What decides under a name, and why it is not what is offered, where it is not.
    #[must_use]
    pub fn state(&self, name: &str) -> (Option<&Arc<Loaded>>, Option<&LoadFault>) {
        self.plugins.get(name).map_or((None, None), |known| (known.loaded(), known.fault.as_ref()))
    }
}

impl Known {
    fn loaded(&self) -> Option<&Arc<Loaded>> {
        self.good.as_ref().map(|(loaded, _)| loaded)
    }

    fn digest(&self) -> Option<Digest> {
        self.loaded().map(|loaded| loaded.plugin().identity().digest)
    }

    fn was_tried(&self, offer: &Offer) -> bool {
        let depends_on_rules = matches!(self.fault, Some(LoadFault::SettingsRefused { .. }));
        self.tried.as_ref().is_some_and(|Tried { stamp, terms, rules }| {
            *stamp == offer.stamp && *terms == offer.terms && (!depends_on_rules || *rules == offer.rules)
        })
    }

    fn load(&mut self, loader: &dyn Loader, offer: &Offer, changed: &mut bool) -> Option<News> {
        let name = offer.name.clone();
        let before = self.digest();
        let loaded = match load(loader, offer, self.loaded().map(|loaded| &**loaded)) {
            Ok(loaded) => loaded,
            Err(fault) => {
                self.fault = Some(fault.clone());
                return Some(News::Refused { name, fault, kept: before });
            }
        };
        self.fault = None;
        let identity = loaded.plugin().identity().clone();
        let version = loaded.plugin().description().version.clone();
        let took_us = loaded.plugin().loaded_in_us();
        let is_same = before == Some(identity.digest);
        if is_same && self.good.as_ref().is_some_and(|(_, terms)| *terms == offer.terms) {
            return None;
        }
        *changed = true;
        self.good = Some((loaded, offer.terms.clone()));
        // The same bytes on other terms are nothing that anybody has to be told.
        (!is_same).then_some(News::Loaded { identity, version, before, took_us })
    }
}

/// The plugin that is offered, with everything checked that can be before it takes the place of `former`.
fn load(loader: &dyn Loader, offer: &Offer, former: Option<&Loaded>) -> Result<Arc<Loaded>, LoadFault> {
    let bytes = offer.read()?;
    let Terms { digest, limits, namespaces } = &offer.terms;
    if let Some(expected) = digest {
        let found = Digest::of(&bytes);
        if found != *expected {
            return Err(LoadFault::OtherDigest { expected: *expected, found });
        }
    }
    let plugin = loader.load_within(&offer.name, &bytes, *limits)?;
    let loaded = Loaded::for_namespaces(plugin, namespaces.clone());
    for rule in &offer.rules {
        let Rule { name, decision, settings, .. } = &**rule;
        let was_fine = former.is_some_and(|former| former.check_settings(*decision, settings).is_ok());
        if was_fine
            && let Err(PluginFault::SettingsRefused(message)) = loaded.check_settings(*decision, settings)
        {
            return Err(LoadFault::SettingsRefused { binding: name.to_string(), message });
        }
    }
    Ok(loaded)
}

impl News {
    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> &Str {
        match self {
            Self::Loaded { identity, .. } => &identity.name,
            Self::Refused { name, .. } | Self::Removed { name, .. } => name,
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decides = |formatter: &mut fmt::Formatter<'_>, kept: &Option<Digest>| match kept {
            Some(digest) => write!(formatter, "; {} decides on", digest.short()),
            None => Ok(()),
        };
        match self {
            Self::Loaded { identity, version, before, .. } => {
                let Identity { name, digest, size_bytes, decisions } = identity;
                let words: Vec<&str> = decisions.iter().map(|decision| decision.label()).collect();
                write!(
                    formatter,
                    "policy plugin {name} is loaded: version {version}, {}, {size_bytes} bytes, decides {}",
                    digest.short(),
                    words.join(", ")
                )?;
                match before {
                    Some(before) => write!(formatter, "; it takes the place of {}", before.short()),
                    None => Ok(()),
                }
            }
            Self::Refused { name, fault, kept } => {
                write!(formatter, "policy plugin {name} is not loaded: {fault}")?;
                decides(formatter, kept)
            }
            Self::Removed { name, .. } => {
                write!(formatter, "policy plugin {name} is gone, and decides no more")
            }
        }
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Library").field("plugins", &self.plugins.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
