//! Every hostile plugin through the whole host: read, compiled in a process of its own, bound, asked by the state machine
//! for Jobs and CronJobs in a cluster in memory, and nobody else is the worse for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use windlass_core::kube::{Kind, Object};
use windlass_host::controller::Config;
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::Plugin;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::load::{LoadFault, Loader as _};
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::plugin::wasm::{Budget, Compiler, Options as PluginOptions, PluginEngine};
use windlass_host::simulate::driver::PluginTally;
use windlass_host::simulate::manifest::read_documents;
use windlass_host::simulate::report::text_report;
use windlass_host::simulate::{Options, Simulation};
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::hostile::{self, Class, Hostile, Must};
use windlass_tests::program;

/// Fuel of a call: enough for whoever means no harm, and soon used up by whoever never ends.
const FUEL: u64 = 2_000_000;
/// Longest simulated time, milliseconds: long enough for a quarantine and a trial after it.
const UNTIL_MS: u64 = 900_000;
/// Most memory that this process may have resident once everything hostile was asked, bytes: what the tests themselves
/// hold, and far less than what one of the plugins wants.
const MAX_RESIDENT_BYTES: u64 = 1 << 30;
/// Names of what happens on a failure, in annotations.
const WORDS: [&str; 3] = ["BuiltIn", "Hold", "Fail"];

/// Runs plugins by fuel, and has them compiled as `windlass run` does.
fn engine() -> &'static Arc<PluginEngine> {
    static ENGINE: OnceLock<Arc<PluginEngine>> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let options = PluginOptions { budget: Budget::Fuel(FUEL), ..PluginOptions::deterministic() };
        let arguments = ["plugin", "compile", "--fuel"].map(ToOwned::to_owned).to_vec();
        let compiler = Compiler::Child { program: program::windlass().to_owned(), arguments };
        PluginEngine::with_compiler(options, compiler, None).unwrap()
    })
}

/// A plugin that answers after seven seconds, and never lets anybody down.
fn friend() -> Arc<Loaded> {
    static FRIEND: OnceLock<Arc<dyn Plugin>> = OnceLock::new();
    let load = || engine().load("friend", &Guest::retry_after_ms(7_000).component()).unwrap();
    Loaded::new(FRIEND.get_or_init(load).clone())
}

/// Why nobody is asked about DaemonSets here.
const NO_ROLLOUTS: &str =
    "no hostile plugin decides about rollouts alone: what ends a call is the same for all decisions";

/// What became of everybody.
struct Aftermath {
    simulation: Simulation,
    report: String,
}

/// Lets time pass where three objects are bound to the hostile plugin, one for each word about failures, beside a Job
/// that is bound to a friend and one that is bound to nobody.
fn simulate(decides: Decides, hostile: Option<&Arc<dyn Plugin>>) -> Aftermath {
    let objects = WORDS.map(|word| match decides {
        Decides::Backoff => job(&word.to_lowercase(), &bound("hostile", decides, Some(word))),
        Decides::Schedule | Decides::MissedRuns => {
            cron_job(&word.to_lowercase(), &bound("hostile", decides, Some(word)))
        }
        Decides::Rollout => panic!("{NO_ROLLOUTS}"),
    });
    let others = [job("befriended", &bound("friend", Decides::Backoff, None)), job("beside", "")];
    let manifest = objects.iter().chain(&others).cloned().collect::<Vec<_>>().join("\n---\n");
    let documents = read_documents("test", &manifest).unwrap();
    let hostile = hostile.map(|plugin| Loaded::new(plugin.clone()));
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: true,
        controller: Config::default(),
        plugins: None,
        policies: Arc::new(PolicySet::new(hostile.into_iter().chain([friend()]))),
    };
    let mut simulation = Simulation::new(&documents, Arc::new(NativeEngine), options).unwrap();
    simulation.run_until(UNTIL_MS, &mut |_, _| {}).unwrap();
    let report = text_report(&mut simulation, true);
    Aftermath { simulation, report }
}

fn bound(plugin: &str, decides: Decides, word: Option<&str>) -> String {
    let decision = decides.word();
    let word = word.map(|word| format!(r#", "policy.windlass.dev/{decision}-on-failure": "{word}""#));
    format!(r#""policy.windlass.dev/{decision}": "{plugin}"{}"#, word.unwrap_or_default())
}

/// A Job whose first two Pods fail.
fn job(name: &str, annotations: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {{"name": "{name}", "namespace": "ops", "annotations": {{{annotations}}}}},
            "spec": {{"backoffLimit": 20, "template": {{
                "metadata": {{"annotations": {{"sandbox.windlass.dev/fail-first": "2"}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
    )
}

/// A CronJob that fires every minute.
fn cron_job(name: &str, annotations: &str) -> String {
    format!(
        r#"{{"apiVersion": "batch/v1", "kind": "CronJob",
            "metadata": {{"name": "{name}", "namespace": "ops", "annotations": {{{annotations}}}}},
            "spec": {{"schedule": "* * * * *", "jobTemplate": {{"spec": {{"template": {{
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}}}}}"#
    )
}

impl Aftermath {
    /// Seconds between the creations of a Job's Pods, less those that a Pod itself takes.
    fn delays_s(&self, job: &str) -> Vec<i64> {
        let pods = self.simulation.store().objects(Kind::Pod).map(Object::metadata);
        let of_job = pods.filter(|pod| pod.controller().is_some_and(|owner| &*owner.name == job));
        let mut created: Vec<i64> = of_job.map(|pod| pod.creation_timestamp.unwrap().unix_seconds).collect();
        created.sort_unstable();
        created.windows(2).map(|pair| pair[1] - pair[0] - 6).collect()
    }

    /// Jobs that a CronJob made.
    fn runs(&self, cron_job: &str) -> u64 {
        let object = self.simulation.store().get(Kind::CronJob, "ops", cron_job).unwrap();
        self.simulation.runs_of(&object.metadata().uid).made
    }

    /// The reason of the condition of a Job that is of this type.
    fn reason(&self, job: &str, kind: &str) -> Option<String> {
        let Object::Job(job) = self.simulation.store().get(Kind::Job, "ops", job).unwrap() else {
            panic!("a Job")
        };
        let condition = job.status.conditions.iter().find(|condition| &*condition.kind == kind)?;
        Some(condition.reason.to_string())
    }

    /// How often the author of an object was told that its plugin fails.
    fn told(&self, object: &str) -> u32 {
        let events = self.simulation.store().events();
        let about =
            events.filter(|event| &*event.reason == "PolicyFailed" && &*event.regarding.name == object);
        about.map(|event| event.series.map_or(1, |(count, _)| count)).sum()
    }

    fn tally(&self, plugin: &str) -> PluginTally {
        let calls = self.simulation.plugin_calls();
        let of_plugin = calls.iter().find(|((name, _), _)| &**name == plugin);
        of_plugin.map(|(_, tally)| tally.clone()).unwrap_or_default()
    }
}

/// What must not change for others, whatever the plugin does.
fn assert_unhurt(name: &str, after: &Aftermath) {
    assert_eq!(after.delays_s("beside"), [10, 20], "{name}: the Job beside it");
    assert_eq!(after.reason("beside", "Complete").as_deref(), Some("CompletionsReached"), "{name}");
    assert_eq!(after.told("beside") + after.told("befriended"), 0, "{name}: only its own authors are told");
    assert_eq!(after.delays_s("befriended"), [7, 7], "{name}: the Job of another plugin");
    let alone = simulate_alone();
    assert_eq!(after.tally("friend"), *alone, "{name}: the other plugin is called as if it were alone");
}

/// What the friend does where nobody means harm.
fn simulate_alone() -> &'static PluginTally {
    static ALONE: OnceLock<PluginTally> = OnceLock::new();
    ALONE.get_or_init(|| {
        let tally = simulate(Decides::Backoff, None).tally("friend");
        assert!(tally.calls > 0 && tally.faults.is_empty());
        tally
    })
}

/// What becomes of the objects of a plugin that never gives an answer of use.
fn assert_declared(case: &Hostile, categories: &[&str], after: &Aftermath) {
    let name = case.name;
    match case.decides {
        Decides::Backoff => {
            assert_eq!(after.delays_s("builtin"), [10, 20], "{name}: as the built-in policy says");
            assert_eq!(after.reason("builtin", "Complete").as_deref(), Some("CompletionsReached"), "{name}");
            assert!(after.delays_s("hold").is_empty(), "{name}: it waits");
            assert_eq!(after.reason("hold", "Failed"), None, "{name}: it waits");
            assert!(after.delays_s("fail").is_empty(), "{name}: it fails");
            assert_eq!(after.reason("fail", "Failed").as_deref(), Some("PolicyStopped"), "{name}");
        }
        Decides::Schedule | Decides::MissedRuns => {
            assert_eq!(after.runs("builtin"), UNTIL_MS / 60_000 - 1, "{name}: as the built-in policy says");
            assert_eq!(after.runs("hold"), 0, "{name}: it waits");
            assert_eq!(after.runs("fail"), 0, "{name}: it fails");
        }
        Decides::Rollout => panic!("{name}: {NO_ROLLOUTS}"),
    }
    for word in ["builtin", "hold", "fail"] {
        assert_eq!(after.told(word), 1, "{name}: {word} is told once\n{}", after.report);
    }
    let tally = after.tally("hostile");
    assert_eq!(tally.answered, 0, "{name}");
    let faults: BTreeSet<&str> = tally.faults.keys().copied().collect();
    let is_expected = |fault: &&str| categories.contains(fault) || *fault == "quarantined";
    assert!(faults.iter().all(is_expected), "{name}: {faults:?}, and not {categories:?}");
    assert!(faults.contains("quarantined"), "{name} is put into quarantine: {faults:?}");
    let called: u64 = tally.faults.iter().filter(|(fault, _)| **fault != "quarantined").map(|(_, n)| n).sum();
    assert!((5..=20).contains(&called), "{name} is called {called} times in a quarter of an hour");
}

/// Puts every plugin of a class through the host; gives how many there were.
fn put_through(class: Class) -> usize {
    let cases: Vec<Hostile> = hostile::all().into_iter().filter(|case| case.class == class).collect();
    for case in &cases {
        let name = case.name;
        let plugin = match (engine().load("hostile", &case.bytes), case.must) {
            (Err(fault), Must::Refuse(categories)) => {
                assert!(categories.contains(&fault.category()), "{name}: {fault}");
                continue;
            }
            // As long as it is bounded.
            (Err(LoadFault::NotCompiled(_)), Must::Survive) => continue,
            (Err(fault), _) => panic!("{name} is refused: {fault}"),
            (Ok(_), Must::Refuse(_)) => panic!("{name} is loaded"),
            (Ok(plugin), Must::Fault(_) | Must::AnswerAlike | Must::Survive) => plugin,
        };
        let after = simulate(case.decides, Some(&plugin));
        assert_unhurt(name, &after);
        match case.must {
            Must::Fault(categories) => assert_declared(case, categories, &after),
            Must::AnswerAlike => {
                assert!(
                    after.tally("hostile").faults.is_empty(),
                    "{name}: {:?}",
                    after.tally("hostile").faults
                );
                assert_eq!(
                    after.report,
                    simulate(case.decides, Some(&plugin)).report,
                    "{name}: twice the same"
                );
            }
            Must::Survive => assert!(after.tally("hostile").calls > 0, "{name}"),
            Must::Refuse(_) => {}
        }
    }
    let resident = resident_bytes();
    assert!(resident < MAX_RESIDENT_BYTES, "{resident} bytes are resident after {class:?}");
    cases.len()
}

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1_024
}

#[test]
fn plugins_that_trap_hurt_nobody() {
    assert!(put_through(Class::Traps) >= 12);
}

#[test]
fn plugins_that_never_end_hurt_nobody() {
    assert!(put_through(Class::EndlessLoops) >= 9);
}

#[test]
fn plugins_that_want_all_memory_hurt_nobody() {
    assert!(put_through(Class::Memory) >= 8);
}

#[test]
fn plugins_that_want_all_of_the_stack_hurt_nobody() {
    assert!(put_through(Class::Stack) >= 7);
}

#[test]
fn plugins_that_answer_too_much_or_nonsense_hurt_nobody() {
    assert!(put_through(Class::Answers) >= 27);
}

#[test]
fn plugins_of_another_contract_hurt_nobody() {
    assert!(put_through(Class::Contract) >= 16);
}

#[test]
fn plugins_that_take_long_to_compile_hurt_nobody() {
    assert!(put_through(Class::CompileBombs) >= 8);
}

#[test]
fn plugins_that_answer_differently_each_time_hurt_nobody() {
    assert!(put_through(Class::NonDeterminism) >= 8);
}

#[test]
fn all_hostile_plugins_at_once_hurt_nobody() {
    let loaded: BTreeMap<String, Arc<Loaded>> = hostile::all()
        .iter()
        .filter(|case| case.decides == Decides::Backoff && case.class != Class::CompileBombs)
        .filter(|case| matches!(case.must, Must::Fault(_)))
        .enumerate()
        .map(|(number, case)| {
            let name = format!("hostile-{number}");
            let plugin = engine().load(&name, &case.bytes).unwrap();
            (name, Loaded::new(plugin))
        })
        .collect();
    let jobs = loaded.keys().map(|name| job(name, &bound(name, Decides::Backoff, None)));
    let others = [job("befriended", &bound("friend", Decides::Backoff, None)), job("beside", "")];
    let manifest = jobs.chain(others).collect::<Vec<_>>().join("\n---\n");
    let documents = read_documents("test", &manifest).unwrap();
    let options = Options {
        nodes: None,
        seed: 1,
        keep_changes: false,
        controller: Config::default(),
        plugins: None,
        policies: Arc::new(PolicySet::new(loaded.values().cloned().chain([friend()]))),
    };
    let mut simulation = Simulation::new(&documents, Arc::new(NativeEngine), options).unwrap();
    simulation.run_until(UNTIL_MS, &mut |_, _| {}).unwrap();
    let after = Aftermath { simulation, report: String::new() };
    assert_unhurt("all of them", &after);
    for name in loaded.keys() {
        assert_eq!((after.delays_s(name), after.told(name)), (vec![10, 20], 1), "{name}");
    }
    assert!(after.simulation.plugin_calls().keys().all(|(_, decision)| *decision == Decision::Backoff));
}
