//! The plugins of a directory as it changes: a new version takes the place of the one before at once, a bad one is told
//! once and changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use windlass_core::kube::Str;

use super::directory::{PluginFile, Stamp};
use super::load::{LoadFault, Loader};
use super::set::{Loaded, PolicySet};
use super::{Digest, Identity};

/// The plugins of one directory.
pub struct Library {
    loader: Arc<dyn Loader>,
    files: BTreeMap<Str, Known>,
}

/// What is known of a file.
#[derive(Default)]
struct Known {
    /// As it was seen last.
    seen: Stamp,
    /// As it was when it was loaded, or refused.
    tried: Option<Stamp>,
    /// The last version that was good.
    good: Option<Arc<Loaded>>,
}

/// What a look at the directory came to.
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
    },
    /// Its file is not a plugin that can be run.
    Refused {
        /// Its name.
        name: Str,
        /// Why.
        fault: LoadFault,
        /// What decides instead: the version before.
        kept: Option<Digest>,
    },
    /// Its file cannot be read.
    Unreadable {
        /// Its name.
        name: Str,
        /// Why, for people.
        reason: String,
        /// What decides instead: the version before.
        kept: Option<Digest>,
    },
    /// Its file is gone, and so is the plugin.
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
        Self { loader, files: BTreeMap::new() }
    }

    /// Loads what is new among `files`, which are all of the directory; `at_once` even what may be in the middle of a
    /// copy, else only what has not changed since the last look.
    pub fn look(&mut self, files: &[PluginFile], at_once: bool) -> Update {
        let mut update = Update::default();
        let mut changed = false;
        let is_gone = |name: &Str| !files.iter().any(|file| file.name == *name);
        for (name, known) in self.files.extract_if(.., |name, _| is_gone(name)) {
            let digest = known.good.map(|good| good.plugin().identity().digest);
            changed |= digest.is_some();
            update.news.push(News::Removed { name, digest });
        }
        for file in files {
            let known = self.files.entry(file.name.clone()).or_default();
            let is_settled = at_once || known.seen == file.stamp;
            known.seen = file.stamp;
            if is_settled && known.tried != Some(file.stamp) {
                known.tried = Some(file.stamp);
                update.news.extend(known.load(&*self.loader, file, &mut changed));
            }
        }
        update.set = changed.then(|| Arc::new(self.set()));
        update
    }

    fn set(&self) -> PolicySet {
        PolicySet::new(self.files.values().filter_map(|known| known.good.clone()))
    }
}

impl Known {
    fn load(&mut self, loader: &dyn Loader, file: &PluginFile, changed: &mut bool) -> Option<News> {
        let name = file.name.clone();
        let before = self.good.as_ref().map(|good| good.plugin().identity().digest);
        let bytes = match file.read() {
            Ok(bytes) => bytes,
            Err(fault) => return Some(News::Unreadable { name, reason: fault.to_string(), kept: before }),
        };
        let plugin = match loader.load(&name, &bytes) {
            Ok(plugin) => plugin,
            Err(fault) => return Some(News::Refused { name, fault, kept: before }),
        };
        let identity = plugin.identity().clone();
        if before == Some(identity.digest) {
            return None;
        }
        let version = plugin.description().version.clone();
        self.good = Some(Loaded::new(plugin));
        *changed = true;
        Some(News::Loaded { identity, version, before })
    }
}

impl News {
    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> &Str {
        match self {
            Self::Loaded { identity, .. } => &identity.name,
            Self::Refused { name, .. } | Self::Unreadable { name, .. } | Self::Removed { name, .. } => name,
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
            Self::Loaded { identity, version, before } => {
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
            Self::Unreadable { name, reason, kept } => {
                write!(formatter, "policy plugin {name} is not loaded: {reason}")?;
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
        formatter.debug_struct("Library").field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
