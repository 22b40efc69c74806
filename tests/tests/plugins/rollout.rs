//! What plugins do to the rollouts of DaemonSets, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{ConditionStatus, Kind, Object, Pod};
use windlass_host::engine::Engine;
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::set::PolicySet;
use windlass_host::simulate::Simulation;
use windlass_host::simulate::report::text_report;
use windlass_tests::guests::{Decides, Guest};

use super::examples::examples;
use super::set;
use super::simulated::{events, simulate, simulate_on};

/// The example.
const EXAMPLE: &str = "rollout-canary-by-zone";
/// When the second template is applied, seconds after the start.
const SECOND_S: i64 = 120;
/// Time for which each stage of the example bakes, seconds.
const BAKE_S: i64 = 60;

/// A DaemonSet with that image; the second one is applied later.
fn daemon_set(image: &str, plugin: &str, more: &str) -> String {
    let later = format!(r#""sandbox.windlass.dev/apply-after-seconds": "{SECOND_S}""#);
    let after = if image == "v1" { "" } else { &*format!(", {later}") };
    let limits = r#"{"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 4, "maxSurge": 0}}"#;
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {{"name": "agent", "namespace": "ops", "annotations": {{
                "policy.windlass.dev/rollout": "{plugin}"{more}{after}}}}},
            "spec": {{"selector": {{"matchLabels": {{"app": "agent"}}}}, "updateStrategy": {limits}, "template": {{
                "metadata": {{"labels": {{"app": "agent"}}}},
                "spec": {{"containers": [{{"name": "main", "image": "{image}"}}]}}}}}}}}"#
    )
}

/// Six nodes in two zones and four racks, one of them a canary, and the DaemonSet with both templates.
fn cluster(plugin: &str, more: &str) -> String {
    let canary = r#", "windlass.dev/canary": "true""#;
    let nodes = [("a", 1, ""), ("a", 1, ""), ("a", 2, ""), ("b", 3, ""), ("b", 3, ""), ("b", 4, canary)];
    let node = |(number, (zone, rack, more)): (usize, &(&str, u32, &str))| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "node-{number}", "labels": {{
                "topology.kubernetes.io/zone": "{zone}", "topology.kubernetes.io/rack": "{rack}"{more}}}}}}}"#
        )
    };
    let sets = ["v1", "v2"].map(|image| daemon_set(image, plugin, more));
    (1..).zip(&nodes).map(node).chain(sets).collect::<Vec<_>>().join("\n---\n")
}

/// Of each node with a Pod of the second template when that was made, and when it became ready, seconds after the template
/// was applied.
fn updates(simulation: &Simulation) -> BTreeMap<String, (i64, i64)> {
    let pod = |object: &Object| match object {
        Object::Pod(pod) => Some(pod.clone()),
        _ => None,
    };
    let pods: Vec<Arc<Pod>> = simulation.store().objects(Kind::Pod).filter_map(pod).collect();
    assert_eq!(pods.len(), 6);
    let created_s = |pod: &Pod| pod.metadata.creation_timestamp.unwrap().unix_seconds;
    let first_s = simulation
        .store()
        .get(Kind::DaemonSet, "ops", "agent")
        .unwrap()
        .metadata()
        .creation_timestamp
        .unwrap()
        .unix_seconds;
    let update = |pod: &Arc<Pod>| {
        let since_s = created_s(pod) - first_s - SECOND_S;
        let ready = pod.status.conditions.iter().find(|condition| &*condition.kind == "Ready")?;
        let is_ready = ready.status == ConditionStatus::True;
        let ready_s = ready.last_transition_time.filter(|_| is_ready)?.unix_seconds;
        let node = pod.spec.node_name.as_ref()?.to_string();
        (since_s >= 0).then_some((node, (since_s, ready_s - first_s - SECOND_S)))
    };
    pods.iter().filter_map(update).collect()
}

fn calls(simulation: &Simulation) -> u64 {
    let tallies = simulation.plugin_calls().iter();
    tallies.filter(|((_, decision), _)| *decision == Decision::Rollout).map(|(_, tally)| tally.calls).sum()
}

#[test]
fn the_example_goes_from_the_canary_zone_by_zone_and_never_to_two_nodes_of_a_rack() {
    let test = "the_example_goes_from_the_canary_zone_by_zone_and_never_to_two_nodes_of_a_rack";
    let Some(policies) = examples(test, &[EXAMPLE]) else { return };
    let settings =
        format!(r#", "policy.windlass.dev/rollout-settings": "{{\"bakeMs\": {}}}""#, BAKE_S * 1_000);
    let manifest = cluster(EXAMPLE, &settings);
    let simulation = simulate(&manifest, policies.clone());
    let updates = updates(&simulation);
    let [n1, n2, n3, n4, n5, canary] = [1, 2, 3, 4, 5, 6].map(|number| updates[&format!("node-{number}")]);
    assert!(canary.0 < BAKE_S, "the canary goes at once: {updates:?}");
    for zone_a in [n1, n2, n3] {
        assert!(zone_a.0 >= canary.1 + BAKE_S, "the canary bakes first: {updates:?}");
    }
    for zone_b in [n4, n5] {
        let ready_s = n1.1.max(n2.1).max(n3.1);
        assert!(zone_b.0 >= ready_s + BAKE_S, "zone a bakes first: {updates:?}");
    }
    for (one, two) in [(n1, n2), (n4, n5)] {
        assert!(two.0 >= one.1, "both are of a rack: {updates:?}");
    }
    assert!(n3.0 < n2.0, "another rack does not wait: {updates:?}");
    let told = events(&simulation, "PolicyWaits");
    let bakes = "policy plugin rollout-canary-by-zone (rollout) waits: the canaries bake";
    assert!(told.iter().any(|(message, _)| message == bakes), "{told:?}");
    assert!(events(&simulation, "PolicyFailed").is_empty());

    let wasm: Arc<dyn Engine> =
        Arc::new(WasmEngine::embedded().expect("a core is built in: run `make core`"));
    let text = |mut simulation| text_report(&mut simulation, true);
    assert_eq!(text(simulation), text(simulate_on(wasm, &manifest, policies)), "on both engines");
}

/// A plugin that names the last node of all, and wants to be asked again every ten seconds.
fn last_first() -> Guest {
    let last = "(i32.sub (i32.load offset=20 (local.get $q)) (i32.const 1))";
    Guest::new(
        Decides::Rollout,
        &format!(
            "(i32.store (i32.const 600) {last})
             (i32.store offset=4 (local.get $a) (i32.const 600))
             (i32.store offset=8 (local.get $a) (i32.const 1))
             (i32.store8 offset=20 (local.get $a) (i32.const 1))
             (i32.store offset=24 (local.get $a) (i32.const 10000))"
        ),
    )
}

fn of(guest: &Guest) -> Arc<PolicySet> {
    set(&[("p", guest.clone().component())])
}

#[test]
fn no_node_is_updated_that_the_plugin_does_not_name() {
    let simulation = simulate(&cluster("p", ""), of(&last_first()));
    assert_eq!(updates(&simulation).into_keys().collect::<Vec<_>>(), ["node-6"]);
    assert!(calls(&simulation) > 1_000, "it is asked again every ten seconds");
    assert!(simulation.store().objects(Kind::Pod).count() == 6, "and yet each node has its Pod");
}

#[test]
fn a_plugin_that_pauses_says_why_on_the_daemon_set() {
    let mut guest = Guest::new(Decides::Rollout, "");
    let reason = guest.store_text(4, "frozen until Monday");
    let each = format!(
        "(i32.store8 (local.get $a) (i32.const 1)) {reason} (i32.store offset=12 (local.get $a) (i32.const 3600000))"
    );
    let simulation = simulate(&cluster("p", ""), of(&guest.answering(&each)));
    assert!(updates(&simulation).is_empty());
    let told = events(&simulation, "PolicyWaits");
    assert_eq!(told, [("policy plugin p (rollout) waits: frozen until Monday".to_owned(), 1)]);
}

#[test]
fn a_plugin_that_fails_stops_the_rollout_only_where_its_author_says_so() {
    let broken = || of(&Guest::new(Decides::Rollout, "unreachable"));
    for (word, updated) in [("BuiltIn", 6), ("Hold", 0), ("Fail", 0)] {
        let more = format!(r#", "policy.windlass.dev/rollout-on-failure": "{word}""#);
        let simulation = simulate(&cluster("p", &more), broken());
        assert_eq!(updates(&simulation).len(), updated, "{word}");
        let told = events(&simulation, "PolicyFailed");
        assert_eq!(told.len(), 1, "{word}: {told:?}");
    }
}

#[test]
fn an_answer_that_names_a_node_which_is_not_there_is_none() {
    let each = "(i32.store (i32.const 600) (i32.const 6)) (i32.store offset=4 (local.get $a) (i32.const 600))
        (i32.store offset=8 (local.get $a) (i32.const 1))";
    let simulation = simulate(&cluster("p", ""), of(&Guest::new(Decides::Rollout, each)));
    let told = events(&simulation, "PolicyFailed");
    assert!(told[0].0.contains("the position 6, which was not offered"), "{told:?}");
    assert_eq!(updates(&simulation).len(), 6, "the built-in policy answers");
}
