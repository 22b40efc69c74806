//! From bytes to a plugin: what a loader gives, and why it gives none.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::resource::Limits;
use super::{Digest, Plugin, PluginFault};

/// Something that makes plugins of bytes.
pub trait Loader: Send + Sync {
    /// The plugin that `bytes` are, under `name`; each call of it may use what `limits` say.
    ///
    /// # Errors
    /// A [`LoadFault`] that says what is wrong with it.
    fn load_within(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Arc<dyn Plugin>, LoadFault>;

    /// The same, within the loader's own limits.
    ///
    /// # Errors
    /// A [`LoadFault`] that says what is wrong with it.
    fn load(&self, name: &str, bytes: &[u8]) -> Result<Arc<dyn Plugin>, LoadFault> {
        self.load_within(name, bytes, Limits::default())
    }
}

/// A loader that is made when it is needed for the first time: most controllers never load a plugin.
pub struct Lazy<M> {
    make: M,
    made: OnceLock<Result<Arc<dyn Loader>, LoadFault>>,
}

impl<M: Fn() -> Result<Arc<dyn Loader>, LoadFault> + Send + Sync> Lazy<M> {
    /// A loader that `make` makes.
    pub fn new(make: M) -> Self {
        Self { make, made: OnceLock::new() }
    }
}

impl<M: Fn() -> Result<Arc<dyn Loader>, LoadFault> + Send + Sync> Loader for Lazy<M> {
    fn load_within(&self, name: &str, bytes: &[u8], limits: Limits) -> Result<Arc<dyn Plugin>, LoadFault> {
        let made = self.made.get_or_init(&self.make);
        made.as_ref().map_err(Clone::clone)?.load_within(name, bytes, limits)
    }
}

/// Why bytes are not a plugin that this host can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadFault {
    /// The bytes cannot be had; the reason, for people.
    Unreadable(String),
    /// The bytes are not those that were announced.
    OtherDigest {
        /// What they were to hash to.
        expected: Digest,
        /// What they hash to.
        found: Digest,
    },
    /// The plugin refuses settings with which it is bound.
    SettingsRefused {
        /// Namespace and name of the PolicyBinding.
        binding: String,
        /// What the plugin says.
        message: String,
    },
    /// More bytes than a plugin may have.
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// Most bytes.
        most: u64,
    },
    /// The bytes are not a WebAssembly component; the reason, for people.
    NotAComponent(String),
    /// The component wants more of its surroundings than a log; the name of what it wants.
    ForeignImport(String),
    /// The component does not say what it is: it lacks `windlass:plugin/meta`.
    NoDescription,
    /// The component decides nothing that this host asks.
    DecidesNothing,
    /// The component was made for another version of an interface.
    WrongVersion {
        /// Name of the interface, with the version that the component has.
        export: String,
        /// The version that this host has.
        known: &'static str,
    },
    /// A part of the component has another type than the interface; the difference, for people.
    WrongType(String),
    /// The component could not be compiled; the reason, for people.
    NotCompiled(String),
    /// There is nobody to compile the component; the reason, for people.
    NoCompiler(String),
    /// The plugin did not describe itself.
    NotDescribed(PluginFault),
    /// Its description is longer than it may be.
    DescriptionTooLong {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The wasm engine could not be set up; the reason, for people.
    Engine(String),
}

impl LoadFault {
    /// Whether the same bytes may load at another time: the fault is one of the machine, as far as anybody can tell.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreadable(_)
                | Self::NoCompiler(_)
                | Self::NotDescribed(PluginFault::TookTooLong | PluginFault::Busy)
        )
    }

    /// Stable name for metrics and records; in conditions, the same in camel case.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::OtherDigest { .. } => "other_digest",
            Self::SettingsRefused { .. } => "settings_refused",
            Self::TooLarge { .. } => "too_large",
            Self::NotAComponent(_) => "not_a_component",
            Self::ForeignImport(_) => "foreign_import",
            Self::NoDescription => "no_description",
            Self::DecidesNothing => "decides_nothing",
            Self::WrongVersion { .. } => "wrong_version",
            Self::WrongType(_) => "wrong_type",
            Self::NotCompiled(_) => "not_compiled",
            Self::NoCompiler(_) => "no_compiler",
            Self::NotDescribed(_) => "not_described",
            Self::DescriptionTooLong { .. } => "description_too_long",
            Self::Engine(_) => "engine",
        }
    }
}

impl fmt::Display for LoadFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(reason) => formatter.write_str(reason),
            Self::OtherDigest { expected, found } => {
                write!(formatter, "its bytes are {found}, and {expected} was announced")
            }
            Self::SettingsRefused { binding, message } => {
                write!(formatter, "it refuses the settings of PolicyBinding {binding}: {message}")
            }
            Self::TooLarge { bytes, most } => {
                write!(formatter, "the plugin has {bytes} bytes; the largest may have {most}")
            }
            Self::NotAComponent(reason) => {
                write!(formatter, "the plugin is not a WebAssembly component: {reason}")
            }
            Self::ForeignImport(name) => write!(
                formatter,
                "the plugin imports {name}; a plugin may import windlass:plugin/log@0.1.0 and nothing else"
            ),
            Self::NoDescription => formatter
                .write_str("the plugin does not export windlass:plugin/meta@0.1.0, which says what it is"),
            Self::DecidesNothing => formatter.write_str(
                "the plugin exports no policy, such as windlass:backoff/policy@0.1.0, and so decides nothing",
            ),
            Self::WrongVersion { export, known } => write!(
                formatter,
                "the plugin exports {export}, and this host knows version {known}: build it against that one"
            ),
            Self::WrongType(difference) => {
                write!(formatter, "the plugin's exports are not those of the interface: {difference}")
            }
            Self::NotCompiled(reason) => write!(formatter, "the plugin does not compile: {reason}"),
            Self::NoCompiler(reason) => write!(formatter, "the plugin cannot be compiled here: {reason}"),
            Self::NotDescribed(fault) => write!(formatter, "the plugin does not describe itself: {fault}"),
            Self::DescriptionTooLong { bytes, most } => {
                write!(formatter, "the plugin describes itself in {bytes} bytes; it may take {most}")
            }
            Self::Engine(reason) => write!(formatter, "the wasm engine for plugins cannot start: {reason}"),
        }
    }
}

impl std::error::Error for LoadFault {}
