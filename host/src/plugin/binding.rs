//! Which plugin decides for an object: what its annotations say.
//!
//! `policy.windlass.dev/DECISION` names the plugin, `policy.windlass.dev/DECISION-settings` holds its settings as a
//! JSON text, and `policy.windlass.dev/DECISION-on-failure` says what happens when it fails.

use std::ops::Bound;

use windlass_core::kube::{Kind, Labels, Str};

use super::PluginFault;
use super::decision::Decision;

/// What the names of all annotations about policies begin with.
pub const ANNOTATION_PREFIX: &str = "policy.windlass.dev/";
/// What the name of the annotation with the settings ends in.
const SETTINGS: &str = "-settings";
/// What the name of the annotation about failures ends in.
const ON_FAILURE: &str = "-on-failure";

/// That a plugin decides for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What it decides.
    pub decision: Decision,
    /// Name of the plugin.
    pub plugin: Str,
    /// Its settings, a JSON text, or empty.
    pub settings: Str,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// What is wrong with the annotations.
    pub fault: Option<PluginFault>,
}

/// What happens where a plugin gives no answer that can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The built-in policy answers.
    #[default]
    BuiltIn,
    /// What was asked about waits, and the plugin is asked again.
    Hold,
    /// What was asked about fails, as far as it can.
    Fail,
}

impl OnFailure {
    /// The word for it in annotations.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BuiltIn => "BuiltIn",
            Self::Hold => "Hold",
            Self::Fail => "Fail",
        }
    }

    fn of_label(label: &str) -> Option<Self> {
        [Self::BuiltIn, Self::Hold, Self::Fail].into_iter().find(|failure| failure.label() == label)
    }
}

/// What is decided about objects of a kind by the questions of a reconcile.
#[must_use]
pub fn decisions_about(kind: Kind) -> &'static [Decision] {
    match kind {
        Kind::Job => &[Decision::Backoff],
        Kind::CronJob => &[Decision::Schedule, Decision::MissedRuns],
        Kind::DaemonSet | Kind::Pod | Kind::Node | Kind::ControllerRevision => &[],
    }
}

/// Whether annotations say anything of policies.
#[must_use]
pub fn is_bound(annotations: &Labels) -> bool {
    let from_prefix = (Bound::Included(ANNOTATION_PREFIX), Bound::Unbounded);
    let first = annotations.range::<str, _>(from_prefix).next();
    first.is_some_and(|(key, _)| key.starts_with(ANNOTATION_PREFIX))
}

/// The bindings that annotations of an object of that kind make, at most one a decision.
#[must_use]
pub fn of_annotations(kind: Kind, annotations: &Labels) -> Vec<Binding> {
    if !is_bound(annotations) {
        return Vec::new();
    }
    decisions_about(kind).iter().filter_map(|decision| binding(*decision, annotations)).collect()
}

fn binding(decision: Decision, annotations: &Labels) -> Option<Binding> {
    let value = |ending: &str| annotations.get(&*format!("{ANNOTATION_PREFIX}{decision}{ending}"));
    let plugin = value("").filter(|plugin| !plugin.is_empty())?.clone();
    let word = value(ON_FAILURE);
    let on_failure = word.map_or(Some(OnFailure::default()), |word| OnFailure::of_label(word));
    Some(Binding {
        decision,
        plugin,
        settings: value(SETTINGS).cloned().unwrap_or_default(),
        // Whoever wanted a word of their own did not want the built-in answer: waiting hurts least.
        on_failure: on_failure.unwrap_or(OnFailure::Hold),
        fault: word.filter(|_| on_failure.is_none()).cloned().map(PluginFault::UnknownOnFailure),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
    }

    #[test]
    fn annotations_bind_one_plugin_a_decision() {
        let annotations = labels(&[
            ("a", "b"),
            ("policy.windlass.dev/backoff", "jitter"),
            ("policy.windlass.dev/backoff-on-failure", "Fail"),
            ("policy.windlass.dev/backoff-settings", r#"{"x":1}"#),
            ("policy.windlass.dev/schedule", "weekdays"),
        ]);
        let bound = of_annotations(Kind::Job, &annotations);
        let expected = Binding {
            decision: Decision::Backoff,
            plugin: "jitter".into(),
            settings: r#"{"x":1}"#.into(),
            on_failure: OnFailure::Fail,
            fault: None,
        };
        assert_eq!(bound, [expected]);
        let bound = of_annotations(Kind::CronJob, &annotations);
        assert_eq!(bound.len(), 1);
        assert_eq!((bound[0].decision, bound[0].on_failure), (Decision::Schedule, OnFailure::BuiltIn));
        assert!(of_annotations(Kind::Pod, &annotations).is_empty());
    }

    #[test]
    fn other_annotations_bind_nothing() {
        for annotations in [
            labels(&[]),
            labels(&[("policy.windlass.dev.example/backoff", "x")]),
            labels(&[("policy.windlass.dev/backoff-settings", "{}")]),
            labels(&[("policy.windlass.dev/backoff", "")]),
        ] {
            assert!(of_annotations(Kind::Job, &annotations).is_empty(), "{annotations:?}");
        }
    }

    #[test]
    fn a_word_about_failures_that_there_is_none_of_is_told_and_means_a_wait() {
        let annotations = labels(&[
            ("policy.windlass.dev/backoff", "jitter"),
            ("policy.windlass.dev/backoff-on-failure", "builtin"),
        ]);
        let bound = of_annotations(Kind::Job, &annotations);
        assert_eq!(bound[0].fault, Some(PluginFault::UnknownOnFailure("builtin".into())));
        assert_eq!(bound[0].on_failure, OnFailure::Hold);
    }
}
