//! Who answers, with plugins that are no components.

use std::sync::atomic::Ordering;

use windlass_core::kube::Job;
use windlass_core::policy::BuiltIn;

use super::*;
use crate::plugin::binding::Rule;
use crate::plugin::circuit::FAILURES_IN_A_ROW;
use crate::plugin::fake::Fake;

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 0 };

fn job(annotations: &str) -> Subject {
    let text =
        format!(r#"{{"metadata":{{"name":"etl","namespace":"ops","annotations":{{{annotations}}}}}}}"#);
    Subject::Job(Arc::new(serde_json::from_str::<Job>(&text).expect("a Job")))
}

fn bound_to(plugin: &str, more: &str) -> Subject {
    job(&format!(r#""policy.windlass.dev/backoff":"{plugin}"{more}"#))
}

fn ask(policy: &BoundPolicy, questions: usize) -> Vec<backoff::Answer> {
    policy.backoff(&vec![backoff::Question { failures: 1, ..Default::default() }; questions])
}

/// The policy for `subject` where `plugin` is loaded.
fn bind(plugin: &Arc<Fake>, subject: &Subject) -> Arc<BoundPolicy> {
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    let set = PolicySet::new([Loaded::new(plugin.clone())]);
    set.bind(subject, &built_in, NOW, &mut Circuits::default(), &|_| None).expect("a plugin is bound")
}

#[test]
fn an_object_without_annotations_has_no_policy_of_its_own() {
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    let set = PolicySet::default();
    assert!(set.bind(&job(""), &built_in, NOW, &mut Circuits::default(), &|_| None).is_none());
    assert!(set.bind(&Subject::Orphan, &built_in, NOW, &mut Circuits::default(), &|_| None).is_none());
}

#[test]
fn a_batch_goes_to_the_plugin_with_its_facts_and_is_recorded() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(5))));
    let policy = bind(&plugin, &bound_to("p", ""));
    assert_eq!(ask(&policy, 2), vec![backoff::Answer::RetryAfterMs(5); 2]);
    assert!(ask(&policy, 0).is_empty(), "nothing is asked");
    let calls = policy.take_calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].ran && calls[0].fault.is_none() && !calls[0].trial);
    assert!(policy.take_calls().is_empty(), "each is told once");
}

#[test]
fn one_answer_past_a_bound_replaces_the_whole_batch() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(u32::MAX))));
    let policy = bind(&plugin, &bound_to("p", ""));
    assert_eq!(ask(&policy, 2), vec![backoff::Answer::RetryAfterMs(10_000); 2], "the built-in answers");
    assert_eq!(policy.take_calls()[0].fault.as_ref().map(PluginFault::category), Some("out_of_bounds"));
}

#[test]
fn what_a_failure_means_is_said_by_the_binding() {
    let plugin = Arc::new(Fake::new("p", 1, Err(PluginFault::TookTooLong)));
    let on_failure = |word: &str| format!(r#","policy.windlass.dev/backoff-on-failure":"{word}""#);
    let why = "policy plugin p (backoff) failed: it took too long";
    let cases = [
        ("BuiltIn", backoff::Answer::RetryAfterMs(10_000)),
        ("Hold", backoff::Answer::Hold(backoff::Hold { reason: why.to_owned(), ask_again_ms: 30_000 })),
        ("Fail", backoff::Answer::Stop(why.to_owned())),
    ];
    for (word, expected) in cases {
        let policy = bind(&plugin, &bound_to("p", &on_failure(word)));
        assert_eq!(ask(&policy, 1), [expected], "{word}");
    }
}

#[test]
fn settings_are_validated_once_and_refused_ones_never_reach_the_plugin() {
    let mut plugin = Fake::new("p", 1, Ok(backoff::Answer::NotCounted));
    plugin.refuses = Some("{}");
    let plugin = Arc::new(plugin);
    let set = PolicySet::new([Loaded::new(plugin.clone())]);
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    let mut ran = Vec::new();
    for settings in ["{}", "[]", "{}", "[]"] {
        let subject = bound_to("p", &format!(r#","policy.windlass.dev/backoff-settings":"{settings}""#));
        let policy = set
            .bind(&subject, &built_in, NOW, &mut Circuits::default(), &|_| None)
            .expect("a plugin is bound");
        ask(&policy, 1);
        let call = policy.take_calls().remove(0);
        let is_refused = matches!(call.fault, Some(PluginFault::SettingsRefused(_)));
        assert_eq!(is_refused, settings == "{}");
        ran.push(call.ran);
    }
    // Whoever is not called did nothing well: a refusal that is known says nothing for the plugin.
    assert_eq!(ran, [true, true, false, true]);
    let counts = [&plugin.validated, &plugin.asked].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [2, 2]);
}

#[test]
fn one_run_asks_plugins_only_so_often() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(5))));
    let policy = bind(&plugin, &bound_to("p", ""));
    // The look at the settings is a call, too.
    for _ in 1..MAX_CALLS {
        assert_eq!(ask(&policy, 1), [backoff::Answer::RetryAfterMs(5)]);
    }
    assert_eq!(ask(&policy, 1), [backoff::Answer::RetryAfterMs(10_000)]);
    assert_eq!(policy.take_calls().pop().and_then(|call| call.fault), Some(PluginFault::TooManyCalls));
}

#[test]
fn a_run_whose_plugins_took_long_asks_no_more_of_them() {
    let mut plugin = Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(5)));
    plugin.took_us = Some(MAX_TIME_US / 2);
    let policy = bind(&Arc::new(plugin), &bound_to("p", ""));
    let answers: Vec<_> = (0..3).flat_map(|_| ask(&policy, 1)).collect();
    let [soon, late] = [5, 10_000].map(backoff::Answer::RetryAfterMs);
    assert_eq!(answers, [soon.clone(), soon, late]);
    assert_eq!(policy.take_calls().pop().and_then(|call| call.fault), Some(PluginFault::NoTimeLeft));
}

#[test]
fn an_object_is_served_only_where_the_plugin_may_and_a_rule_is_recorded() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(5))));
    let rule = Rule {
        name: Name { namespace: "ops".into(), name: "soon".into() },
        decision: Decision::Backoff,
        selector: None,
        plugin: "p".into(),
        settings: Str::default(),
        priority: 0,
        on_failure: OnFailure::Fail,
    };
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    for (namespace, fault) in [("ops", None), ("shop", Some(PluginFault::NotForNamespace))] {
        let namespaces = BTreeSet::from([namespace.into()]);
        let loaded = Loaded::for_namespaces(plugin.clone(), Some(namespaces));
        let set = PolicySet::new([loaded]).with_rules(Arc::new(Rules::new([rule.clone()])));
        let policy =
            set.bind(&job(""), &built_in, NOW, &mut Circuits::default(), &|_| None).expect("it is bound");
        ask(&policy, 1);
        let call = policy.take_calls().pop().expect("a call");
        assert_eq!((call.fault, call.rule), (fault, Some(rule.name.clone())));
    }
}

#[test]
fn a_plugin_in_quarantine_is_not_asked() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::RetryAfterMs(5))));
    let mut circuits = Circuits::default();
    for _ in 0..FAILURES_IN_A_ROW {
        circuits.failed(0, plugin.identity(), false);
    }
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    let set = PolicySet::new([Loaded::new(plugin.clone())]);
    let bind = |circuits: &mut Circuits, monotonic_ms| {
        let now = Now { monotonic_ms, ..NOW };
        set.bind(&bound_to("p", ""), &built_in, now, circuits, &|_| None).expect("a plugin is bound")
    };
    let policy = bind(&mut circuits, 1);
    assert_eq!(ask(&policy, 1), [backoff::Answer::RetryAfterMs(10_000)]);
    let call = &policy.take_calls()[0];
    assert!(!call.ran && matches!(call.fault, Some(PluginFault::Quarantined { .. })));
    let policy = bind(&mut circuits, 10_000);
    assert_eq!(policy.trials().count(), 1);
    assert_eq!(ask(&policy, 1), [backoff::Answer::RetryAfterMs(5)]);
    assert!(policy.take_calls()[0].trial);
}

#[test]
fn what_is_wrong_with_a_binding_is_known_before_anything_is_asked() {
    let plugin = Arc::new(Fake::new("p", 1, Ok(backoff::Answer::NotCounted)));
    let defect = |subject: &Subject| {
        let policy = bind(&plugin, subject);
        policy.defects().map(|(_, fault)| fault.category()).collect::<Vec<_>>()
    };
    assert_eq!(defect(&bound_to("q", "")), ["not_loaded"]);
    assert_eq!(
        defect(&bound_to("p", r#","policy.windlass.dev/backoff-on-failure":"x""#)),
        ["unknown_on_failure"]
    );
    assert!(defect(&bound_to("p", "")).is_empty());
}
