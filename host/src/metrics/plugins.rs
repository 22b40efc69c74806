//! Metrics of policy plugins, by plugin and decision.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::signed;
use crate::plugin::Digest;
use crate::plugin::library::News;
use crate::plugin::set::Call;

/// The `plugin` label of what was asked of a plugin that is not loaded: anybody may write any name.
const NOT_LOADED: &str = "<not loaded>";

/// What is counted of plugins.
#[derive(Debug)]
pub(super) struct PluginMetrics {
    calls: Family<Asked, Counter>,
    seconds: Family<Of, Histogram>,
    fuel: Family<Of, Counter>,
    memory: Family<Of, Gauge>,
    loads: Family<Load, Counter>,
    load_seconds: Family<Named, Gauge<f64, AtomicU64>>,
    loaded: Family<Version, Gauge>,
    quarantines: Family<Named, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    plugin: String,
    decision: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    plugin: String,
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Load {
    plugin: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    plugin: String,
    digest: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    plugin: String,
}

impl Default for PluginMetrics {
    fn default() -> Self {
        // From 4 us, which a call takes at the least, to a tenth of a second.
        let buckets = || Histogram::new(exponential_buckets(0.000_004, 2.0, 15));
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(buckets as fn() -> Histogram),
            fuel: Family::default(),
            memory: Family::default(),
            loads: Family::default(),
            load_seconds: Family::default(),
            loaded: Family::default(),
            quarantines: Family::default(),
        }
    }
}

impl PluginMetrics {
    /// Adds them to the metrics whose names begin with `windlass_`.
    pub(super) fn register(&self, own: &mut Registry) {
        own.register(
            "plugin_calls",
            "Batches of questions that went to a policy plugin or were to go there, by what came of it",
            self.calls.clone(),
        );
        own.register("plugin_call_seconds", "Time of the calls of a policy plugin", self.seconds.clone());
        own.register("plugin_fuel", "Fuel that policy plugins used, where it is counted", self.fuel.clone());
        own.register(
            "plugin_memory_bytes",
            "Memory that the last call of a policy plugin had",
            self.memory.clone(),
        );
        own.register("plugin_loads", "Versions of policy plugins that were tried", self.loads.clone());
        own.register(
            "plugin_load_seconds",
            "How long it took to load the version of a policy plugin that is loaded, its compilation included",
            self.load_seconds.clone(),
        );
        own.register("plugin_loaded", "The versions of policy plugins that are loaded", self.loaded.clone());
        own.register(
            "plugin_quarantines",
            "Times that a policy plugin was left alone",
            self.quarantines.clone(),
        );
    }

    /// Counts a call.
    pub(super) fn called(&self, call: &Call) {
        let plugin = call.identity.as_ref().map_or(NOT_LOADED, |identity| &identity.name).to_owned();
        let decision = call.decision.label();
        let result = call.fault.as_ref().map_or("answered", |fault| fault.category());
        self.calls.get_or_create(&Asked { plugin: plugin.clone(), decision, result }).inc();
        if !call.ran {
            return;
        }
        let of = Of { plugin, decision };
        if let Some(took_us) = call.cost.took_us {
            self.seconds.get_or_create(&of).observe(Duration::from_micros(took_us).as_secs_f64());
        }
        if let Some(fuel) = call.cost.fuel {
            self.fuel.get_or_create(&of).inc_by(fuel);
        }
        let bytes = usize::try_from(call.cost.memory_bytes).unwrap_or(usize::MAX);
        self.memory.get_or_create(&of).set(signed(bytes));
    }

    /// Counts a quarantine.
    pub(super) fn quarantined(&self, plugin: &str) {
        self.quarantines.get_or_create(&Named { plugin: plugin.to_owned() }).inc();
    }

    /// Notes what was loaded, refused or removed.
    pub(super) fn news(&self, news: &News) {
        let plugin = news.name().to_string();
        let result = match news {
            News::Loaded { .. } => "loaded",
            News::Refused { fault, .. } => fault.category(),
            News::Removed { digest, .. } => return self.forget(&plugin, digest.as_ref()),
        };
        self.loads.get_or_create(&Load { plugin: plugin.clone(), result }).inc();
        if let News::Loaded { identity, before, took_us, .. } = news {
            self.forget(&plugin, before.as_ref());
            if let Some(took_us) = took_us {
                let seconds = Duration::from_micros(*took_us).as_secs_f64();
                self.load_seconds.get_or_create(&Named { plugin: plugin.clone() }).set(seconds);
            }
            self.loaded.get_or_create(&Version { plugin, digest: identity.digest.to_string() }).set(1);
        }
    }

    fn forget(&self, plugin: &str, digest: Option<&Digest>) {
        self.load_seconds.remove(&Named { plugin: plugin.to_owned() });
        if let Some(digest) = digest {
            self.loaded.remove(&Version { plugin: plugin.to_owned(), digest: digest.to_string() });
        }
    }
}
