//! The plugins that are offered, as they change: a new version takes the place of the one before at once, a bad one is told
//! once and changes nothing.
//!
//! Loading may take minutes, so that it is a step of its own: [`Library::survey`] says what is to be loaded, a [`Load`] is
//! run by whoever has the time, and [`Library::settle`] takes in what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use windlass_core::kube::Str;

use super::binding::Rule;
use super::load::{LoadFault, Loader};
use super::offer::{Contents, Offer, Stamp, Terms};
use super::set::{Loaded, PolicySet};
use super::{Digest, Identity, PluginFault};

/// Looks after which a version is tried again that may only have failed in passing; twice as many each time.
const FIRST_RETRY_LOOKS: u32 = 15;
/// Most of them: at a look a second, ten minutes.
const LONGEST_RETRY_LOOKS: u32 = 600;

/// The plugins that are offered, and what became of each.
pub struct Library {
    loader: Arc<dyn Loader>,
    plugins: BTreeMap<Str, Known>,
    /// What is to be loaded, by name.
    waiting: BTreeMap<Str, Offer>,
}

/// A version of a plugin that is to be loaded: work that may take minutes.
pub struct Load {
    loader: Arc<dyn Loader>,
    offer: Offer,
    /// What decides until then.
    former: Option<Arc<Loaded>>,
}

/// What came of a [`Load`].
pub struct Outcome {
    offer: Offer,
    loaded: Result<Arc<Loaded>, LoadFault>,
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
    /// When it is tried again, where it may have failed in passing.
    retry: Option<Retry>,
    /// Whether a load of it goes on.
    is_loading: bool,
}

/// When a version is tried again.
#[derive(Clone, Copy, Debug)]
struct Retry {
    /// Looks that are waited for; twice as many where it fails in the same way again.
    after_looks: u32,
    /// Looks until then; none: as soon as its bytes are at hand.
    left: u32,
}

/// What was offered when a version was loaded, or refused.
#[derive(PartialEq, Eq)]
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
        Self { loader, plugins: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// Loads what is new among `offers`, which are all there are, and waits for it.
    pub fn look(&mut self, offers: &[Offer], at_once: bool) -> Update {
        let mut update = self.survey(offers, at_once);
        while let Some(load) = self.next_load() {
            update.add(self.settle(load.run()));
        }
        update
    }

    /// Finds what is new among `offers`, which are all there are; `at_once` even files that may be in the middle of a
    /// copy, else only those that have not changed since the last look. Of two offers of one name the first counts.
    pub fn survey(&mut self, offers: &[Offer], at_once: bool) -> Update {
        let mut update = Update::default();
        let mut changed = false;
        let offered: BTreeSet<&Str> = offers.iter().map(|offer| &offer.name).collect();
        for (name, known) in self.plugins.extract_if(.., |name, _| !offered.contains(name)) {
            let digest = known.digest();
            changed |= digest.is_some();
            update.news.push(News::Removed { name, digest });
        }
        self.waiting.clear();
        let mut looked = BTreeSet::new();
        for offer in offers.iter().filter(|offer| looked.insert(&offer.name)) {
            let known = self.plugins.entry(offer.name.clone()).or_default();
            if let Some(retry) = &mut known.retry {
                retry.left = retry.left.saturating_sub(1);
            }
            let is_settled = at_once
                || matches!(offer.stamp, Stamp::Version(_))
                || known.seen.as_ref() == Some(&offer.stamp);
            known.seen = Some(offer.stamp.clone());
            // Without its bytes nothing can be tried; who knows that they changed brings them.
            let is_at_hand = offer.contents != Contents::AsBefore;
            if is_settled && is_at_hand && !known.was_tried(offer) {
                self.waiting.insert(offer.name.clone(), offer.clone());
            }
        }
        update.set = changed.then(|| Arc::new(self.set()));
        update
    }

    /// What is to be loaded next, if anything is. Nothing else is to be loaded until it is settled.
    pub fn next_load(&mut self) -> Option<Load> {
        let (name, offer) = self.waiting.pop_first()?;
        let known = self.plugins.entry(name).or_default();
        known.tried = Some(Tried::of(&offer));
        known.is_loading = true;
        // However many looks this takes, it is not to be tried again meanwhile.
        known.retry = known.retry.map(|retry| Retry { left: u32::MAX, ..retry });
        Some(Load { loader: self.loader.clone(), offer, former: known.loaded().cloned() })
    }

    /// Takes in what came of a load, unless something else is offered by now.
    pub fn settle(&mut self, outcome: Outcome) -> Update {
        let Outcome { offer, loaded } = outcome;
        let mut update = Update::default();
        let mut known = self.plugins.get_mut(&offer.name);
        if let Some(known) = &mut known {
            known.is_loading = false;
        }
        let is_newest = !self.waiting.contains_key(&offer.name);
        let tried = Tried::of(&offer);
        if let Some(known) = known.filter(|known| is_newest && known.tried.as_ref() == Some(&tried)) {
            let mut changed = false;
            update.news.extend(known.settle(offer, loaded, &mut changed));
            update.set = changed.then(|| Arc::new(self.set()));
        }
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

    /// Whether what is offered under a name is not loaded yet, and is to be.
    #[must_use]
    pub fn is_loading(&self, name: &str) -> bool {
        self.waiting.contains_key(name) || self.plugins.get(name).is_some_and(|known| known.is_loading)
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
        if self.retry.is_some_and(|retry| retry.left == 0) {
            return false;
        }
        let depends_on_rules = matches!(self.fault, Some(LoadFault::SettingsRefused { .. }));
        self.tried.as_ref().is_some_and(|Tried { stamp, terms, rules }| {
            *stamp == offer.stamp && *terms == offer.terms && (!depends_on_rules || *rules == offer.rules)
        })
    }

    fn settle(
        &mut self,
        offer: Offer,
        loaded: Result<Arc<Loaded>, LoadFault>,
        changed: &mut bool,
    ) -> Option<News> {
        let before = self.digest();
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(fault) => {
                let is_told = self.fault.as_ref() == Some(&fault);
                let may_pass = fault.is_passing() && !matches!(offer.contents, Contents::Missing(_));
                self.retry = may_pass.then(|| Retry::after(self.retry.filter(|_| is_told)));
                self.fault = Some(fault.clone());
                return (!is_told).then_some(News::Refused { name: offer.name, fault, kept: before });
            }
        };
        (self.fault, self.retry) = (None, None);
        let identity = loaded.plugin().identity().clone();
        let version = loaded.plugin().description().version.clone();
        let took_us = loaded.plugin().loaded_in_us();
        let is_same = before == Some(identity.digest);
        if is_same && self.good.as_ref().is_some_and(|(_, terms)| *terms == offer.terms) {
            return None;
        }
        *changed = true;
        self.good = Some((loaded, offer.terms));
        // The same bytes on other terms are nothing that anybody has to be told.
        (!is_same).then_some(News::Loaded { identity, version, before, took_us })
    }
}

impl Retry {
    /// The next retry, after the one before.
    fn after(before: Option<Self>) -> Self {
        let looks = before.map_or(FIRST_RETRY_LOOKS, |before| before.after_looks.saturating_mul(2));
        let looks = looks.min(LONGEST_RETRY_LOOKS);
        Self { after_looks: looks, left: looks }
    }
}

impl Tried {
    fn of(offer: &Offer) -> Self {
        Self { stamp: offer.stamp.clone(), terms: offer.terms.clone(), rules: offer.rules.clone() }
    }
}

impl Load {
    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> &Str {
        &self.offer.name
    }

    /// Loads it, for as long as that takes.
    #[must_use]
    pub fn run(self) -> Outcome {
        let Self { loader, offer, former } = self;
        let loaded = load(&*loader, &offer, former.as_deref());
        Outcome { offer, loaded }
    }
}

impl Update {
    /// Adds what came later.
    pub fn add(&mut self, later: Self) {
        self.set = later.set.or(self.set.take());
        self.news.extend(later.news);
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

impl fmt::Debug for Load {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Load").field("name", &self.offer.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = self.loaded.as_ref().err();
        formatter.debug_struct("Outcome").field("name", &self.offer.name).field("fault", &fault).finish()
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Library").field("plugins", &self.plugins.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
