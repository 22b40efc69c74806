//! Which plugin decides for an object: what its annotations say, else the PolicyBindings of its namespace.
//!
//! `policy.windlass.dev/DECISION` names the plugin, `policy.windlass.dev/DECISION-settings` holds its settings as a
//! JSON text, and `policy.windlass.dev/DECISION-on-failure` says what happens when it fails. An annotation stands on the
//! object itself, and so wins over every PolicyBinding; of those the one with the highest priority wins, then the first
//! by name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use windlass_core::kube::{Kind, LabelSelector, Labels, ObjectMeta, Str};

use super::PluginFault;
use super::decision::Decision;
use crate::key::Name;

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
    /// The PolicyBinding that says so; absent: the object's annotations.
    pub rule: Option<Name>,
}

/// What a PolicyBinding says: that a plugin decides for the objects of its namespace that a selector takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Namespace and name of the PolicyBinding.
    pub name: Name,
    /// What the plugin decides.
    pub decision: Decision,
    /// For which objects, by their labels; absent: for all.
    pub selector: Option<LabelSelector>,
    /// Name of the plugin.
    pub plugin: Str,
    /// Its settings, a JSON text, or empty.
    pub settings: Str,
    /// Which of two rules wins: the larger number.
    pub priority: i32,
    /// What happens when the plugin fails.
    pub on_failure: OnFailure,
}

/// The rules of all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those of a namespace, by what they decide; the one that wins first.
    namespaces: BTreeMap<Str, BTreeMap<Decision, Vec<Arc<Rule>>>>,
}

impl Rules {
    /// These rules.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut namespaces: BTreeMap<Str, BTreeMap<Decision, Vec<Arc<Rule>>>> = BTreeMap::new();
        for rule in rules {
            let of_namespace = namespaces.entry(rule.name.namespace.clone()).or_default();
            of_namespace.entry(rule.decision).or_default().push(Arc::new(rule));
        }
        for rules in namespaces.values_mut().flat_map(BTreeMap::values_mut) {
            rules.sort_by(|one, other| {
                (Reverse(one.priority), &one.name).cmp(&(Reverse(other.priority), &other.name))
            });
        }
        Self { namespaces }
    }

    /// The plugins that decide for an object, in what is asked about its kind: one a decision.
    #[must_use]
    pub fn of(&self, kind: Kind, metadata: &ObjectMeta) -> Vec<Binding> {
        let rules = self.namespaces.get(&metadata.namespace);
        let annotated = is_bound(&metadata.annotations);
        if rules.is_none() && !annotated {
            return Vec::new();
        }
        let of = |decision: &Decision| {
            let by_annotations = annotated.then(|| binding(*decision, &metadata.annotations)).flatten();
            by_annotations.or_else(|| {
                let rule = rules?.get(decision)?.iter().find(|rule| rule.takes(&metadata.labels))?;
                Some(rule.binding())
            })
        };
        decisions_about(kind).iter().filter_map(of).collect()
    }

    /// Whether a plugin decides for an object in something that `is_meant`; as [`Rules::of`] says, with nothing copied.
    pub fn binds(&self, kind: Kind, metadata: &ObjectMeta, is_meant: impl Fn(Decision) -> bool) -> bool {
        let rules = self.namespaces.get(&metadata.namespace);
        let annotated = is_bound(&metadata.annotations);
        if rules.is_none() && !annotated {
            return false;
        }
        let of_rules = |decision: &Decision| {
            let rules = rules.and_then(|rules| rules.get(decision));
            rules.is_some_and(|rules| rules.iter().any(|rule| rule.takes(&metadata.labels)))
        };
        let of_annotations =
            |decision: &Decision| annotated && binding(*decision, &metadata.annotations).is_some();
        let decisions = decisions_about(kind).iter().filter(|decision| is_meant(**decision));
        decisions.into_iter().any(|decision| of_annotations(decision) || of_rules(decision))
    }
}

impl Rule {
    fn takes(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }

    fn binding(&self) -> Binding {
        Binding {
            decision: self.decision,
            plugin: self.plugin.clone(),
            settings: self.settings.clone(),
            on_failure: self.on_failure,
            fault: None,
            rule: Some(self.name.clone()),
        }
    }
}

/// What happens where a plugin gives no answer that can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
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

    /// What it means where that is decided, as the end of a sentence.
    #[must_use]
    pub const fn consequence(self, decision: Decision) -> &'static str {
        match (self, decision) {
            (Self::BuiltIn, _) => "the built-in policy answers",
            (Self::Hold | Self::Fail, Decision::MissedRuns) => "no missed run is made up for",
            (Self::Hold | Self::Fail, Decision::Rollout) => "the rollout pauses",
            (Self::Hold, _) => "what it decides waits",
            (Self::Fail, _) => "what it decides fails",
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
        Kind::Job => &[Decision::Backoff, Decision::Admission],
        Kind::CronJob => &[Decision::Schedule, Decision::MissedRuns],
        Kind::DaemonSet => &[Decision::Rollout],
        Kind::Pod | Kind::Node | Kind::ControllerRevision => &[],
    }
}

/// Whether annotations say anything of policies.
fn is_bound(annotations: &Labels) -> bool {
    let from_prefix = (Bound::Included(ANNOTATION_PREFIX), Bound::Unbounded);
    let first = annotations.range::<str, _>(from_prefix).next();
    first.is_some_and(|(key, _)| key.starts_with(ANNOTATION_PREFIX))
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
        rule: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
    }

    fn of_annotations(kind: Kind, annotations: &Labels) -> Vec<Binding> {
        let metadata = ObjectMeta { annotations: annotations.clone().into(), ..ObjectMeta::default() };
        Rules::default().of(kind, &metadata)
    }

    fn rule(name: &str, priority: i32, selector: Option<&str>) -> Rule {
        let matching = |team: &str| LabelSelector {
            match_labels: labels(&[("team", team)]),
            ..LabelSelector::default()
        };
        Rule {
            name: Name { namespace: "ops".into(), name: name.into() },
            decision: Decision::Backoff,
            selector: selector.map(matching),
            plugin: name.into(),
            settings: Str::default(),
            priority,
            on_failure: OnFailure::Hold,
        }
    }

    #[test]
    fn the_rule_with_the_highest_priority_wins_and_an_annotation_over_all() {
        let rules = Rules::new([
            rule("all", 0, None),
            rule("also", 0, None),
            rule("b-data", 5, Some("data")),
            rule("a-data", 5, Some("data")),
        ]);
        let plugin = |namespace: &str, team: &str, annotations: &[(&str, &str)]| {
            let metadata = ObjectMeta {
                namespace: namespace.into(),
                labels: labels(&[("team", team)]).into(),
                annotations: labels(annotations).into(),
                ..ObjectMeta::default()
            };
            rules.of(Kind::Job, &metadata).first().map(|binding| binding.plugin.to_string())
        };
        assert_eq!(plugin("ops", "web", &[]).as_deref(), Some("all"));
        assert_eq!(plugin("ops", "data", &[]).as_deref(), Some("a-data"));
        assert_eq!(plugin("shop", "data", &[]), None, "rules hold in their namespace");
        let own = [("policy.windlass.dev/backoff", "own")];
        assert_eq!(plugin("ops", "data", &own).as_deref(), Some("own"));
        let elsewhere = [("policy.windlass.dev/schedule", "own")];
        assert_eq!(plugin("ops", "data", &elsewhere).as_deref(), Some("a-data"));
        let metadata = ObjectMeta { namespace: "ops".into(), ..ObjectMeta::default() };
        assert!(rules.of(Kind::CronJob, &metadata).is_empty(), "each is about one decision");
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
            rule: None,
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
