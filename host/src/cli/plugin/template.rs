//! What `windlass plugin new` writes, which is part of this program: templates, the SDK for Rust, and the contract.
//!
//! In the templates `__NAME__` stands for the plugin's name.

/// A decision that there is a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Decision {
    /// When a Pod that failed may be tried again.
    Backoff,
    /// When a CronJob fires.
    Schedule,
    /// Which of the runs that a CronJob missed are still to be made.
    MissedRuns,
    /// Which node of a DaemonSet gets the new revision next.
    Rollout,
    /// Whether a Job may start.
    Admission,
}

impl Decision {
    /// The word for it, as in the contract.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Schedule => "schedule",
            Self::MissedRuns => "missed-runs",
            Self::Rollout => "rollout",
            Self::Admission => "admission",
        }
    }
}

/// A file of a new plugin: where, and what is in it.
pub(super) type File = (&'static str, &'static str);

/// What differs from decision to decision.
pub(super) struct Template {
    /// Source in Rust.
    pub(super) rust: &'static str,
    /// Source in JavaScript.
    pub(super) javascript: &'static str,
    /// Source in Python.
    pub(super) python: &'static str,
    /// Cases that pass in each language.
    pub(super) cases: &'static str,
    /// The decision's package of the contract.
    pub(super) contract: &'static str,
}

macro_rules! sdk {
    ($path:literal) => {
        include_str!(concat!("../../../../plugins/sdk/", $path))
    };
}

macro_rules! wit {
    ($path:literal) => {
        include_str!(concat!("../../../../wit/", $path))
    };
}

macro_rules! template {
    ($rust:literal, $javascript:literal, $python:literal, $cases:literal, $contract:literal) => {
        Template {
            rust: sdk!($rust),
            javascript: sdk!($javascript),
            python: sdk!($python),
            cases: sdk!($cases),
            contract: wit!($contract),
        }
    };
}

/// The template for a decision.
pub(super) fn template(decision: Decision) -> Template {
    match decision {
        Decision::Backoff => template!(
            "rust/template/backoff.rs",
            "javascript/template/backoff.js",
            "python/template/backoff.py",
            "cases/backoff.yaml",
            "policy/backoff/0.1.0/backoff.wit"
        ),
        Decision::Schedule => template!(
            "rust/template/schedule.rs",
            "javascript/template/schedule.js",
            "python/template/schedule.py",
            "cases/schedule.yaml",
            "policy/schedule/0.1.0/schedule.wit"
        ),
        Decision::MissedRuns => template!(
            "rust/template/missed-runs.rs",
            "javascript/template/missed-runs.js",
            "python/template/missed-runs.py",
            "cases/missed-runs.yaml",
            "policy/missed-runs/0.1.0/missed-runs.wit"
        ),
        Decision::Rollout => template!(
            "rust/template/rollout.rs",
            "javascript/template/rollout.js",
            "python/template/rollout.py",
            "cases/rollout.yaml",
            "policy/rollout/0.1.0/rollout.wit"
        ),
        Decision::Admission => template!(
            "rust/template/admission.rs",
            "javascript/template/admission.js",
            "python/template/admission.py",
            "cases/admission.yaml",
            "policy/admission/0.1.0/admission.wit"
        ),
    }
}

/// Manifest of a plugin in Rust.
pub(super) const RUST_MANIFEST: &str = sdk!("rust/template/Cargo.toml");
/// Manifest of a plugin in JavaScript.
pub(super) const JAVASCRIPT_MANIFEST: &str = sdk!("javascript/template/package.json");
/// What plugins in JavaScript share.
pub(super) const JAVASCRIPT_SHARED: &str = sdk!("javascript/template/windlass.js");
/// What a plugin in Python is built with.
pub(super) const PYTHON_REQUIREMENTS: &str = sdk!("python/template/requirements.txt");
/// What plugins in Python share.
pub(super) const PYTHON_SHARED: &str = sdk!("python/template/windlass.py");
/// What every plugin has of the contract.
pub(super) const PLUGIN_CONTRACT: &str = wit!("plugin/plugin.wit");

/// The SDK for Rust, whole: a plugin's directory needs nothing of ours.
pub(super) const RUST_SDK: &[File] = &[
    ("Cargo.toml", sdk!("rust/Cargo.toml")),
    ("src/bindings.rs", sdk!("rust/src/bindings.rs")),
    ("src/decision.rs", sdk!("rust/src/decision.rs")),
    ("src/defaults.rs", sdk!("rust/src/defaults.rs")),
    ("src/jitter.rs", sdk!("rust/src/jitter.rs")),
    ("src/lib.rs", sdk!("rust/src/lib.rs")),
    ("src/log.rs", sdk!("rust/src/log.rs")),
    ("src/meta.rs", sdk!("rust/src/meta.rs")),
    ("src/settings.rs", sdk!("rust/src/settings.rs")),
    ("wit/plugin/plugin.wit", PLUGIN_CONTRACT),
    ("wit/policy/backoff/0.1.0/backoff.wit", wit!("policy/backoff/0.1.0/backoff.wit")),
    ("wit/policy/schedule/0.1.0/schedule.wit", wit!("policy/schedule/0.1.0/schedule.wit")),
    ("wit/policy/missed-runs/0.1.0/missed-runs.wit", wit!("policy/missed-runs/0.1.0/missed-runs.wit")),
    ("wit/policy/rollout/0.1.0/rollout.wit", wit!("policy/rollout/0.1.0/rollout.wit")),
    ("wit/policy/admission/0.1.0/admission.wit", wit!("policy/admission/0.1.0/admission.wit")),
];

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_sdk_is_embedded_whole() {
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/sdk/rust/src");
        let listed = std::fs::read_dir(sources).expect("the SDK's sources");
        let names = listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        let mut missing: Vec<String> = names.map(|name| format!("src/{name}")).collect();
        missing.retain(|name| !RUST_SDK.iter().any(|(embedded, _)| embedded == name));
        assert!(missing.is_empty(), "not embedded: {missing:?}");
    }

    #[test]
    fn every_template_has_cases_of_its_decision_only() {
        for decision in Decision::value_variants() {
            let cases = template(*decision).cases;
            let named = cases.matches("\n  decision: ").count();
            let ours = cases.matches(&format!("\n  decision: {}\n", decision.label())).count();
            assert!(named > 2 && named == ours, "{decision:?}");
        }
    }
}
