//! The component: what it is made of, that it is refused when it is not what it should be, and that it
//! says the same as the core compiled in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "component/cron_job.rs"]
mod cron_job;
#[path = "component/daemon_set.rs"]
mod daemon_set;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use wasmparser::{ComponentExternalKind, Parser, Payload};
use windlass_core::kube::{COMPLETION_INDEX_ANNOTATION, Job, Object, Pod, Time};
use windlass_core::plan::{Action, Plan};
use windlass_core::policy::backoff::{Answer, Question};
use windlass_core::policy::{BuiltIn, Policy};
use windlass_core::twin;
use windlass_core::view::{JobFlags, OrphanOwner, OrphanSnapshot};
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::{Budget, CoreFault, Options, WasmEngine};
use windlass_host::engine::{Engine, EngineFault, SharedPolicy, Snapshot};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried, Gathered};
use windlass_tests::arbitrary;
use wit_parser::{Docs, PackageId, Resolve, TypeDefKind};

/// Snapshots compared in one run of the test.
const CASES: u32 = 2_000;

#[test]
fn the_core_imports_nothing_but_questions() {
    let imports = imports_of(&core_file("core.wasm"));
    assert!(imports.iter().all(|name| name.starts_with("windlass:")), "{imports:?}");
    let questions: Vec<&String> = imports.iter().filter(|name| !name.contains("/types@")).collect();
    let decisions = ["backoff", "missed-runs", "rollout", "schedule"];
    let decisions = decisions.map(|name| format!("windlass:{name}/ask@0.1.0"));
    let mut questions: Vec<String> = questions.into_iter().cloned().collect();
    questions.sort();
    assert_eq!(questions, decisions, "of all imports {imports:?}");
}

#[test]
fn the_core_with_built_in_policies_imports_nothing_at_all() {
    let imports = imports_of(&core_file("core-default.wasm"));
    let callable: Vec<&String> = imports.iter().filter(|name| !name.contains("/types@")).collect();
    assert!(callable.is_empty(), "{callable:?}");
    assert!(module_imports_of(&core_file("core-default.module.wasm")).is_empty());
}

#[test]
fn both_variants_export_the_whole_contract() {
    for name in ["core.wasm", "core-default.wasm"] {
        let exports = exports_of(&core_file(name));
        let wanted =
            ["cron-job", "daemon-set", "job", "twin"].map(|part| format!("windlass:core/{part}@0.1.0"));
        assert_eq!(exports, wanted, "{name}");
    }
}

#[test]
fn every_policy_package_resolves_with_the_plugin_package_alone() {
    let wit = root().join("wit");
    let mut packages = 0;
    for decision in std::fs::read_dir(wit.join("policy")).unwrap() {
        for version in std::fs::read_dir(decision.unwrap().path()).unwrap() {
            let directory = version.unwrap().path();
            let mut resolve = Resolve::default();
            resolve.push_path(wit.join("plugin")).unwrap();
            let (package, _) = resolve.push_path(&directory).unwrap_or_else(|error| panic!("{error:?}"));
            let package = &resolve.packages[package];
            assert_eq!(
                package.name.version.as_ref().unwrap().to_string(),
                directory.file_name().unwrap().to_str().unwrap()
            );
            let interfaces: Vec<&str> = package.interfaces.keys().map(String::as_str).collect();
            assert_eq!(interfaces, ["types", "ask", "policy"], "{}", package.name);
            assert!(package.worlds.contains_key("plugin"), "{}", package.name);
            packages += 1;
        }
    }
    assert_eq!(packages, 5);
}

#[test]
fn everything_in_the_contract_is_documented() {
    let (resolve, _) = contract();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.as_deref().unwrap_or_default();
        assert!(interface.docs.contents.is_some(), "interface {name}");
        for function in interface.functions.values() {
            assert!(function.docs.contents.is_some(), "{name}.{}", function.name);
        }
    }
    for (_, kind) in &resolve.types {
        let Some(name) = &kind.name else { continue };
        // A name taken over from another interface is documented there.
        if matches!(kind.kind, TypeDefKind::Type(_)) {
            continue;
        }
        assert!(kind.docs.contents.is_some(), "type {name}");
        for (member, documented) in members(&kind.kind) {
            assert!(documented, "{name}.{member}");
        }
    }
}

#[test]
fn native_and_wasm_give_the_same_plan_for_any_snapshot() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let input = (arbitrary::snapshot(), prop::collection::vec(arbitrary::answer(), 1..4), 0..4_usize);
    let outcome = runner.run(&input, |(snapshot, answers, missing)| {
        let policy: SharedPolicy = Arc::new(Scripted { answers, missing });
        let native = NativeEngine.reconcile(&snapshot, &policy);
        let guest = wasm.reconcile(&snapshot, &policy);
        // Debug text shows every field, so that equal text is an equal plan byte for byte.
        prop_assert_eq!(format!("{native:#?}"), format!("{guest:#?}"));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn fuel_and_time_as_budgets_give_the_same_plan() {
    let timed = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let fueled = WasmEngine::embedded_with(Options::deterministic()).unwrap();
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::snapshot(), |snapshot| {
        prop_assert_eq!(timed.reconcile(&snapshot, &built_in()), fueled.reconcile(&snapshot, &built_in()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_default_core_answers_as_the_built_in_policy_does() {
    let asking = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let bytes = core_file("core-default.wasm");
    let alone = WasmEngine::new(&bytes, Options::default()).unwrap();
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::job_snapshot(), |snapshot| {
        let built_in: SharedPolicy = Arc::new(BuiltIn {
            backoff_base_ms: snapshot.flags.backoff_base_ms,
            backoff_max_ms: snapshot.flags.backoff_max_ms,
        });
        let snapshot = Snapshot::Job(snapshot);
        prop_assert_eq!(asking.reconcile(&snapshot, &built_in), alone.reconcile(&snapshot, &nobody()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_twin_agrees_with_the_typed_path_natively_and_as_wasm() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::job_with_pods(), |(job, pods)| {
        let request = json!({
            "apiVersion": "windlass.dev/v1alpha1", "kind": "ReconcileRequest",
            "now": Time::from_unix_seconds(arbitrary::NOW_S), "job": job, "pods": pods,
        });
        let document = twin::reconcile(&request.to_string(), |_| BuiltIn::default());
        prop_assert_eq!(&wasm.reconcile_document(&request.to_string(), &built_in()), &Ok(document.clone()));
        let document: Value = serde_json::from_str(&document.unwrap()).unwrap();

        let gathered = gather(&job, &pods);
        let plan = NativeEngine.reconcile(&gathered.snapshot, &built_in()).unwrap();
        prop_assert_eq!(outline_of_document(&document), outline(&plan, &gathered));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn bytes_that_are_no_component_are_refused_with_a_sentence() {
    for bytes in [&b"apiVersion: v1"[..], b"", b"\0asm\x01\0\0\0"] {
        let fault = WasmEngine::new(bytes, Options::default()).unwrap_err();
        assert_eq!(fault.category(), "not_a_component", "{fault}");
        assert!(fault.to_string().contains("make core"), "{fault}");
    }
}

#[test]
fn a_core_with_a_foreign_import_is_refused_by_its_name() {
    let fault = refusal(&core_like(
        "0.1.0",
        r#"(import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64)))))"#,
    ));
    assert_eq!(fault, CoreFault::ForeignImport("wasi:clocks/wall-clock@0.2.0".to_owned()));
    assert!(fault.to_string().contains("wasi:clocks/wall-clock@0.2.0"), "{fault}");
}

#[test]
fn a_core_that_lacks_an_export_is_refused_by_its_name() {
    let bytes = wat::parse_str("(component)").unwrap();
    assert_eq!(refusal(&bytes), CoreFault::MissingExport("windlass:core/job@0.1.0".to_owned()));
}

#[test]
fn a_core_of_another_contract_is_refused_by_its_version() {
    assert_eq!(refusal(&core_like("0.2.0", "")), CoreFault::WrongContract("0.2.0".to_owned()));
}

#[test]
fn a_core_whose_function_has_another_type_is_refused() {
    assert_eq!(refusal(&core_like("0.1.0", "")).category(), "wrong_type");
}

#[test]
fn an_endless_loop_is_ended_and_the_engine_still_works() {
    let endless = hostile_core("(loop $again (br $again)) unreachable");
    let timed = Options { budget: Budget::TimeMs(30), ..Options::default() };
    let fueled = Options { budget: Budget::Fuel(1_000_000), ..Options::default() };
    for options in [timed, fueled] {
        let engine = WasmEngine::new(&endless, options).unwrap();
        for _ in 0..2 {
            let fault = engine.reconcile(&orphan(), &built_in()).unwrap_err();
            assert!(matches!(fault, EngineFault::LimitExceeded(_)), "{fault:?} under {options:?}");
        }
    }
}

#[test]
fn a_trap_costs_one_call_and_not_the_engine() {
    let engine = WasmEngine::new(&hostile_core("unreachable"), Options::default()).unwrap();
    for _ in 0..100 {
        let fault = engine.reconcile(&orphan(), &built_in()).unwrap_err();
        assert!(
            matches!(&fault, EngineFault::Trapped(message) if message.contains("unreachable")),
            "{fault:?}"
        );
    }
}

#[test]
fn a_guest_that_wants_all_memory_is_ended() {
    let greedy = hostile_core("(drop (memory.grow (i32.const 2000))) unreachable");
    let engine = WasmEngine::new(&greedy, Options::default()).unwrap();
    let fault = engine.reconcile(&orphan(), &built_in()).unwrap_err();
    assert!(matches!(&fault, EngineFault::LimitExceeded(message) if message.contains("memory")), "{fault:?}");
}

#[test]
fn a_guest_that_hands_over_too_much_is_ended() {
    // The plan's memo: 33 MiB from the start of memory. Its length is at byte 56 of the result.
    let talkative = hostile_core(
        "(drop (memory.grow (i32.const 600)))
         (i32.store (i32.const 1080) (i32.const 34603008))
         (i32.const 1024)",
    );
    let engine = WasmEngine::new(&talkative, Options::default()).unwrap();
    let fault = engine.reconcile(&orphan(), &built_in()).unwrap_err();
    assert!(
        matches!(&fault, EngineFault::LimitExceeded(message) if message.contains("handed over")),
        "{fault:?}"
    );
}

#[test]
fn the_core_asks_through_the_boundary() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::deterministic();
    let mut asked = 0;
    for _ in 0..2_000 {
        let tree = arbitrary::job_snapshot().new_tree(&mut runner).unwrap();
        let counting = Arc::new(Counting::default());
        let policy: SharedPolicy = counting.clone();
        let _ = wasm.reconcile(&Snapshot::Job(tree.current()), &policy);
        asked += counting.questions.load(Ordering::Relaxed);
    }
    assert!(asked > 0, "no snapshot of 2,000 made the core ask anything");
}

/// What the host gathers of `job` and `pods` from its cache.
fn gather(job: &Job, pods: &[Pod]) -> Gathered {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(Object::Job(Arc::new(job.clone())), &mut changes);
    for pod in pods {
        cache.watched(Object::Pod(Arc::new(pod.clone())), &mut changes);
    }
    let now = Now { monotonic_ms: 0, unix_ms: arbitrary::NOW_S * 1000 };
    let name = Name::of(&job.metadata);
    snapshot::job(&cache, &name, &JobFlags::default(), now, &Carried::default()).unwrap()
}

/// A plan in a few words: its steps, what each follows, and the objects that it is about.
fn outline(plan: &Plan, gathered: &Gathered) -> Vec<String> {
    let uid = |position: &u32| gathered.children[*position as usize].pod.metadata.uid.to_string();
    let tracked = |position: &&u32| gathered.children[**position as usize].pod.is_tracked();
    let mut lines = vec![format!("requeue {:?} memo {}", plan.requeue_after_ms, hexadecimal(&plan.memo))];
    for step in &plan.steps {
        let after: Vec<String> =
            step.after.iter().map(|after| format!("{:?} {}", after.needs, after.step)).collect();
        let items = match &step.action {
            Action::CreateJobs(_)
            | Action::DeleteJobs(_)
            | Action::WriteCronJobStatus(_)
            | Action::DaemonSet(_) => Vec::new(),
            Action::CreatePods(slots) => {
                slots.iter().map(|slot| format!("create {}", index_text(slot.index))).collect()
            }
            Action::DeletePods { pods, untrack } => pods
                .iter()
                .map(|pod| {
                    let patch = if *untrack && tracked(&pod) {
                        format!("patch {} ", uid(pod))
                    } else {
                        String::new()
                    };
                    format!("{patch}delete {}", uid(pod))
                })
                .collect(),
            Action::UntrackPods(pods) => {
                pods.iter().filter(tracked).map(|pod| format!("patch {}", uid(pod))).collect()
            }
            Action::AdoptPods(pods) | Action::ReleasePods(pods) => {
                pods.iter().map(|pod| format!("patch {}", uid(pod))).collect()
            }
            Action::WriteJobStatus(status) => {
                let uids = |list: &[u32]| list.iter().map(uid).collect::<Vec<_>>().join(",");
                let uncounted = &status.uncounted;
                vec![format!(
                    "updateStatus {} {} {} [{}] [{}] {:?}",
                    status.active,
                    status.succeeded,
                    status.failed,
                    uids(&uncounted.succeeded),
                    uids(&uncounted.failed),
                    &*status.completed_indexes,
                )]
            }
            Action::DeleteJob => vec!["delete uid-of-work".to_owned()],
            Action::RecordEvent(event) => vec![format!("recordEvent {} {}", event.reason, event.message)],
        };
        let items: Vec<String> = items;
        lines.push(format!("after {after:?} do {items:?}"));
    }
    lines
}

/// As [`outline`], of a plan document.
fn outline_of_document(plan: &Value) -> Vec<String> {
    let memo = plan["memo"].as_str().unwrap_or_default();
    outline_of_steps(
        format!("requeue {:?} memo {memo}", plan["requeueAfterMs"].as_u64()),
        plan,
        request_outline,
    )
}

/// The steps of a plan document, a line each, under `head`.
fn outline_of_steps(head: String, plan: &Value, request_outline: fn(&Value) -> String) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = vec![head];
    for step in list(&plan["steps"]) {
        let after: Vec<String> = list(&step["after"])
            .iter()
            .map(|after| format!("{} {}", after["needs"].as_str().unwrap(), after["step"]))
            .collect();
        let items: Vec<String> = list(&step["items"])
            .iter()
            .map(|item| list(item).iter().map(request_outline).collect::<Vec<_>>().join(" "))
            .collect();
        lines.push(format!("after {after:?} do {items:?}"));
    }
    lines
}

fn request_outline(request: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = text(&request["verb"]);
    match verb.as_str() {
        "create" => {
            let index = &request["object"]["metadata"]["annotations"][COMPLETION_INDEX_ANNOTATION];
            format!("create {}", index_text(index.as_str().map(|index| index.parse().unwrap())))
        }
        "updateStatus" => {
            let status = &request["object"]["status"];
            let number = |name: &str| status[name].as_u64().unwrap_or_default();
            let uids = |name: &str| {
                let list = status["uncountedTerminatedPods"][name].as_array().cloned().unwrap_or_default();
                list.iter().map(text).collect::<Vec<_>>().join(",")
            };
            format!(
                "updateStatus {} {} {} [{}] [{}] {:?}",
                number("active"),
                number("succeeded"),
                number("failed"),
                uids("succeeded"),
                uids("failed"),
                text(&status["completedIndexes"]),
            )
        }
        "recordEvent" => format!("recordEvent {} {}", text(&request["reason"]), text(&request["message"])),
        _ => format!("{verb} {}", text(&request["target"]["uid"])),
    }
}

fn index_text(index: Option<u32>) -> String {
    index.map_or_else(|| "any".to_owned(), |index| index.to_string())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A policy that gives the same answers in turn, and may give too few.
struct Scripted {
    answers: Vec<Answer>,
    missing: usize,
}

impl Policy for Scripted {
    fn backoff(&self, questions: &[Question]) -> Vec<Answer> {
        let count = if self.missing == 3 { questions.len().saturating_sub(1) } else { questions.len() };
        self.answers.iter().cycle().take(count).cloned().collect()
    }
}

/// The built-in answers, counted.
#[derive(Default)]
struct Counting {
    questions: AtomicUsize,
}

impl Policy for Counting {
    fn backoff(&self, questions: &[Question]) -> Vec<Answer> {
        self.questions.fetch_add(questions.len(), Ordering::Relaxed);
        BuiltIn::default().backoff(questions)
    }
}

fn built_in() -> SharedPolicy {
    Arc::new(BuiltIn::default())
}

/// A policy whose answers nobody should see.
fn nobody() -> SharedPolicy {
    Arc::new(Scripted { answers: vec![Answer::Stop("nobody asked".to_owned())], missing: 0 })
}

fn orphan() -> Snapshot {
    Snapshot::Orphan(OrphanSnapshot { tracked: true, owner: OrphanOwner::Gone })
}

fn refusal(bytes: &[u8]) -> CoreFault {
    WasmEngine::new(bytes, Options::default()).expect_err("such a core is refused")
}

/// A component with the exports of `version` of the contract, all empty, and with `imports`.
fn core_like(version: &str, imports: &str) -> Vec<u8> {
    let exports: String = ["job", "cron-job", "daemon-set", "twin"]
        .iter()
        .map(|part| {
            format!(r#"(instance ${part}) (export "windlass:core/{part}@{version}" (instance ${part}))"#)
        })
        .collect();
    wat::parse_str(format!("(component {imports} {exports})")).unwrap()
}

/// A component of the right contract whose `reconcile-orphan` does `body`.
fn hostile_core(body: &str) -> Vec<u8> {
    let module = format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "windlass:core/job@0.1.0#reconcile") (param i32) (result i32) unreachable)
            (func (export "windlass:core/job@0.1.0#reconcile-orphan") (param i32 i32) (result i32) {body})
            (func (export "cabi_post_windlass:core/job@0.1.0#reconcile-orphan") (param i32))
            (func (export "windlass:core/cron-job@0.1.0#reconcile") (param i32) (result i32) unreachable)
            (func (export "windlass:core/daemon-set@0.1.0#reconcile") (param i32) (result i32) unreachable)
            (func (export "windlass:core/twin@0.1.0#reconcile") (param i32 i32) (result i32) unreachable))"#
    );
    let mut module = wat::parse_str(module).unwrap();
    let (resolve, core) = contract();
    let world = resolve.select_world(&[core], Some("core-default")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// Every package of wit/, and the one of the core.
fn contract() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let decisions = ["backoff", "schedule", "missed-runs", "rollout", "admission"];
    resolve.push_path(root().join("wit/plugin")).unwrap();
    for decision in decisions {
        resolve.push_path(root().join("wit/policy").join(decision).join("0.1.0")).unwrap();
    }
    let (core, _) = resolve.push_path(root().join("wit/core")).unwrap();
    (resolve, core)
}

/// Members of a type, each with whether it is documented.
fn members(kind: &TypeDefKind) -> Vec<(&str, bool)> {
    fn told(docs: &Docs) -> bool {
        docs.contents.is_some()
    }
    match kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().map(|f| (f.name.as_str(), told(&f.docs))).collect()
        }
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().map(|c| (c.name.as_str(), told(&c.docs))).collect()
        }
        TypeDefKind::Enum(cases) => cases.cases.iter().map(|c| (c.name.as_str(), told(&c.docs))).collect(),
        _ => Vec::new(),
    }
}

/// Names of what a component imports.
fn imports_of(component: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    at_the_top(component, |payload| {
        if let Payload::ComponentImportSection(imports) = payload {
            names.extend(imports.into_iter().map(|import| import.unwrap().name.name.to_owned()));
        }
    });
    names
}

/// Names of the instances that a component exports.
fn exports_of(component: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    at_the_top(component, |payload| {
        if let Payload::ComponentExportSection(exports) = payload {
            let exports = exports.into_iter().map(|export| export.unwrap());
            let instances = exports.filter(|export| export.kind == ComponentExternalKind::Instance);
            names.extend(instances.map(|export| export.name.name.to_owned()));
        }
    });
    names.sort();
    names
}

/// Names of what a plain module imports.
fn module_imports_of(module: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    at_the_top(module, |payload| {
        if let Payload::ImportSection(imports) = payload {
            names.extend(imports.into_imports().map(|import| import.unwrap().name.to_owned()));
        }
    });
    names
}

/// Visits the sections of the outermost module or component only.
fn at_the_top(wasm: &[u8], mut visit: impl FnMut(Payload<'_>)) {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        match &payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => visit(payload),
            _ => {}
        }
    }
}

/// A file that `make core` leaves.
fn core_file(name: &str) -> Vec<u8> {
    let core = std::env::var_os("WINDLASS_CORE").filter(|path| !path.is_empty());
    let core = root().join(core.unwrap_or_else(|| "target/core/core.wasm".into()));
    let path = core.with_file_name(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: run `make core`", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
