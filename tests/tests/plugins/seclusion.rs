//! What a plugin can get hold of: nothing of another object's call, and nothing of its surroundings.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use windlass_core::policy::backoff::{Answer, Question};
use windlass_host::controller::Config;
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::load::{LoadFault, Loader as _};
use windlass_host::plugin::wasm::{Compiler, Options as PluginOptions, PluginEngine};
use windlass_host::simulate::manifest::read_documents;
use windlass_host::simulate::report::text_report;
use windlass_host::simulate::{Options, Simulation};
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::hostile::{self, Class, Must};

use super::set;

/// What one object tells its plugin, and no other may hear of.
const CANARY: &str = "canary-7f3a91";
/// Where the spy keeps the secrets of a question for the next one: the length of the last, and the last itself.
const KEPT_LENGTH: u32 = 600;
const KEPT: u32 = 131_072;
/// Where it puts what it tells.
const TOLD: u32 = 200_000;

/// A plugin that remembers the fact of each question, in static memory, a global and memory that it asked for, and tells
/// the next one what it remembers: to its log, and as the message with which it stops the Job.
fn spy() -> Vec<u8> {
    let each = format!(
        "(local $from i32) (local $length i32)
        (if (i32.eqz (global.get $grown)) (then (global.set $grown (memory.grow (i32.const 2)))))
        (call $log (i32.const 1) (i32.const {KEPT}) (i32.load (i32.const {KEPT_LENGTH})))
        (call $log (i32.const 1) (i32.const {KEPT}) (global.get $length))
        (if (i32.load (i32.const {KEPT_LENGTH})) (then
            (memory.copy (i32.const {TOLD}) (i32.const {KEPT}) (i32.load (i32.const {KEPT_LENGTH})))
            (i32.store8 (local.get $a) (i32.const 2))
            (i32.store offset=4 (local.get $a) (i32.const {TOLD}))
            (i32.store offset=8 (local.get $a) (i32.load (i32.const {KEPT_LENGTH})))))
        (if (i32.load offset=48 (local.get $q)) (then
            (local.set $from (i32.load offset=8 (i32.load offset=44 (local.get $q))))
            (local.set $length (i32.load offset=12 (i32.load offset=44 (local.get $q))))
            (memory.copy (i32.const {KEPT}) (local.get $from) (local.get $length))
            (i32.store (i32.const {KEPT_LENGTH}) (local.get $length))
            (global.set $length (local.get $length))))"
    );
    Guest::new(Decides::Backoff, &each)
        .with("(global $grown (mut i32) (i32.const 0)) (global $length (mut i32) (i32.const 0))")
        .wanting("backoff", "job.annotation/example.com/secret")
        .component()
}

fn question(secret: &str) -> Question {
    let facts = vec![("job.annotation/example.com/secret".to_owned(), secret.to_owned())];
    Question { owner: "ops/etl".to_owned(), failures: 1, facts, ..Question::default() }
}

#[test]
fn what_one_object_tells_is_not_heard_by_another() {
    let policies = set(&[("spy", spy())]);
    // It would tell if it could: within one call it does.
    let plugin = policies.plugin("spy").unwrap().plugin();
    let called = plugin.backoff("", &[question(CANARY), question("other")]);
    assert_eq!(called.result.as_ref().unwrap()[1], Answer::Stop(CANARY.to_owned()));
    assert!(called.log.iter().any(|line| line.message == CANARY));
    // In a call of its own it does not.
    for secret in ["other", CANARY, "another", CANARY] {
        let called = plugin.backoff("", &[question(secret)]);
        assert_eq!(called.result, Ok(vec![Answer::RetryAfterMs(0)]));
        assert!(called.log.iter().all(|line| line.message.is_empty()), "{:?}", called.log);
    }
    // Nor does it by way of Jobs, their conditions, their Events, or its log.
    let job = |name: &str, secret: &str| {
        format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "{name}", "namespace": "ops",
                "annotations": {{"policy.windlass.dev/backoff": "spy", "example.com/secret": "{secret}"}}}},
            "spec": {{"backoffLimit": 20, "template": {{
                "metadata": {{"annotations": {{"sandbox.windlass.dev/fail-first": "3"}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
        )
    };
    let manifest = [job("a", CANARY), job("b", "quiet"), job("c", CANARY), job("d", "quiet")].join("\n---\n");
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: true,
        controller: Config::default(),
        plugins: None,
        policies,
    };
    let documents = read_documents("test", &manifest).unwrap();
    let mut simulation = Simulation::new(&documents, Arc::new(NativeEngine), options).unwrap();
    simulation.run_until(3_600_000, &mut |_, _| {}).unwrap();
    let report = text_report(&mut simulation, true);
    // The annotation itself is shown with its Job, and nowhere else.
    let is_own =
        |line: &str| line.trim_start_matches("Annotations:").trim_start().starts_with("example.com/secret:");
    assert!(!report.lines().any(|line| line.contains(CANARY) && !is_own(line)), "{report}");
    for event in simulation.store().events() {
        assert!(!event.message.contains(CANARY), "{}", event.message);
    }
    let tally = simulation.plugin_calls().values().next().unwrap();
    assert!(tally.calls > 10 && tally.answered == tally.calls);
    assert!(!tally.log.is_empty() && tally.log.iter().all(|(_, line)| line.message.is_empty()));
    // The Jobs went on, which the one that was told to stop would not have.
    for object in simulation.store().objects(windlass_core::kube::Kind::Job) {
        let windlass_core::kube::Object::Job(job) = object else { panic!("a Job") };
        assert!(job.is_complete(), "{}", job.metadata.name);
    }
}

/// An engine whose compiler leaves a file behind when it is started, and the file.
fn watched_engine() -> (Arc<PluginEngine>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let script = format!("echo > {}/compiled; exit 1", directory.path().display());
    let compiler = Compiler::Child { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script] };
    let engine = PluginEngine::with_compiler(PluginOptions::deterministic(), compiler, None).unwrap();
    (engine, directory)
}

#[test]
fn what_is_no_plugin_of_this_contract_is_refused_before_anything_is_compiled() {
    let (engine, directory) = watched_engine();
    let mark = directory.path().join("compiled");
    let cases = hostile::all().into_iter().filter(|case| case.class == Class::Contract);
    let mut refused = 0;
    for case in cases {
        let Must::Refuse(categories) = case.must else { panic!("{} must be refused", case.name) };
        let fault = engine.load("hostile", &case.bytes).err().unwrap();
        // That types differ is seen once something is compiled and linked: its names are those that are known.
        if categories == ["wrong_type"] {
            assert!(mark.exists(), "{}", case.name);
            std::fs::remove_file(&mark).unwrap();
            continue;
        }
        assert!(categories.contains(&fault.category()), "{}: {fault}", case.name);
        assert!(!mark.exists(), "{} is compiled", case.name);
        refused += 1;
    }
    assert_eq!(refused, 15);
    let fault = engine.load("good", &Guest::retry_after_ms(1).component()).err().unwrap();
    assert_eq!(
        (fault.category(), mark.exists()),
        ("not_compiled", true),
        "the mark shows what it is to show"
    );
}

/// A name of an interface as one may import it.
fn interface() -> impl Strategy<Value = String> {
    let namespace = proptest::sample::select(vec!["wasi", "windlass", "example", "a"]);
    let version = prop_oneof![Just(String::new()), "@[0-9]\\.[0-9]\\.[0-9]"];
    let parts = (namespace, "[a-z]{1,9}", "[a-z]{1,9}(-[a-z]{1,5})?", version);
    parts.prop_map(|(namespace, package, name, version)| format!("{namespace}:{package}/{name}{version}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_imports_anything_but_a_log_is_refused_by_its_name(name in interface()) {
        let component = format!(
            r#"(component (import "{name}" (instance (export "now" (func (result u64)))))
                (instance $empty) (export "windlass:plugin/meta@0.1.0" (instance $empty))
                (export "windlass:backoff/policy@0.1.0" (instance $empty)))"#
        );
        static WATCHED: OnceLock<(Arc<PluginEngine>, tempfile::TempDir)> = OnceLock::new();
        let (engine, directory) = WATCHED.get_or_init(watched_engine);
        let fault = engine.load("guest", &wat::parse_str(&component).unwrap()).err();
        prop_assert_eq!(fault, Some(LoadFault::ForeignImport(name)));
        prop_assert!(!directory.path().join("compiled").exists());
    }

    #[test]
    fn bytes_that_were_changed_are_refused_or_run_and_never_hurt(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = Guest::retry_after_ms(5_000).component();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] ^= byte;
        }
        static ENGINE: OnceLock<Arc<PluginEngine>> = OnceLock::new();
        let engine = ENGINE.get_or_init(|| PluginEngine::new(PluginOptions::deterministic()).unwrap());
        if let Ok(plugin) = engine.load("guest", &bytes) {
            let called = plugin.backoff("", &[question("")]);
            prop_assert!(called.log.len() <= 64);
        }
    }
}
