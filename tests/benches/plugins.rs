//! What policy plugins cost: what one adds to a reconcile in Rust, JavaScript and Python, how long one takes to load, what
//! a host with many of them holds in memory, and what other objects' reconciles feel of one that never ends.
//!
//! The plugins are those of `target/plugins`: `make plugins` builds the one in Rust, and `tests/benches/plugins.sh` those
//! in JavaScript and Python. `make bench` does both; what is absent is not measured, which is said.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark reads a clock")]

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use windlass_core::kube::{Job, Kind, Object, Pod, ResourceVersion};
use windlass_core::policy::BuiltIn;
use windlass_core::policy::backoff::Question;
use windlass_host::Now;
use windlass_host::controller::{Command, Config, Controller, Lane, Run};
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::engine::{Engine, SharedPolicy};
use windlass_host::plugin::circuit::Circuits;
use windlass_host::plugin::load::Loader as _;
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::plugin::wasm::{Cache, Compiler, Options, PluginEngine};
use windlass_host::request::Term;
use windlass_host::snapshot::Subject;
use windlass_host::watch::{WatchBody, WatchCommand, WatchEvent};
use windlass_tests::guests::{Decides, Guest};
use windlass_tests::program::workspace;

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_767_225_600_000 };
/// The plugins that are measured: the language, the file, and what it may add to a reconcile, microseconds.
const LANGUAGES: [(&str, &str, u64); 3] = [
    ("Rust", "backoff-by-exit-code", 15),
    ("JavaScript", "backoff-javascript", 150),
    ("Python", "backoff-python", 1_000),
];
/// What loading the one in Rust from the cache may take, microseconds.
const LOAD_US: u64 = 5_000;
/// A host whose memory is measured: plugins, and Jobs that are bound to them.
const PLUGINS: usize = 20;
const BINDINGS: usize = 200;
/// What it may hold, bytes.
const RESIDENT_BYTES: u64 = 150_000_000;
/// Says that this process is that host, and where its machine code is.
const RESIDENT: &str = "WINDLASS_BENCH_RESIDENT";
/// Reconciles by which the median and the last hundredth are known.
const SAMPLES: usize = 20_000;

/// Where compiled plugins are.
fn directory() -> PathBuf {
    workspace().join("target/plugins")
}

fn plugin(file: &str) -> Option<Vec<u8>> {
    std::fs::read(directory().join(format!("{file}.wasm"))).ok()
}

/// A Job that is bound to a plugin, and a Pod of it that failed.
fn objects(number: usize, plugin: &str) -> (Object, Object) {
    let annotations = match plugin {
        "" => String::new(),
        plugin => format!(r#","annotations":{{"policy.windlass.dev/backoff":"{plugin}"}}"#),
    };
    let job = format!(
        r#"{{"metadata":{{"name":"job-{number}","namespace":"default","uid":"job-uid-{number}","resourceVersion":"1",
            "creationTimestamp":"2026-01-01T00:00:00Z","generation":1{annotations}}},
            "spec":{{"parallelism":1,"completions":1,"backoffLimit":6,
              "selector":{{"matchLabels":{{"batch.kubernetes.io/controller-uid":"job-uid-{number}"}}}},
              "template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"i"}}]}}}}}},
            "status":{{"startTime":"2026-01-01T00:00:00Z"}}}}"#
    );
    let pod = format!(
        r#"{{"metadata":{{"name":"job-{number}-a","namespace":"default","uid":"pod-uid-{number}","resourceVersion":"2",
            "creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["batch.kubernetes.io/job-tracking"],
            "labels":{{"batch.kubernetes.io/controller-uid":"job-uid-{number}","job-name":"job-{number}"}},
            "ownerReferences":[{{"apiVersion":"batch/v1","kind":"Job","name":"job-{number}","uid":"job-uid-{number}",
              "controller":true,"blockOwnerDeletion":true}}]}},
          "spec":{{"nodeName":"node-1"}},
          "status":{{"phase":"Failed","containerStatuses":[{{"name":"c","state":{{"terminated":{{"exitCode":1,
            "finishedAt":"2026-01-01T00:00:00Z"}}}}}}]}}}}"#
    );
    let job = Object::Job(Arc::new(serde_json::from_str::<Job>(&job).expect("a Job")));
    (job, Object::Pod(Arc::new(serde_json::from_str::<Pod>(&pod).expect("a Pod"))))
}

/// A machine that knows these objects and has these plugins.
fn machine(objects: &[(Object, Object)], set: PolicySet) -> Controller {
    let mut controller = Controller::new(Config::default());
    controller.handle_command(NOW, Command::Policies(Arc::new(set)));
    controller.handle_command(NOW, Command::Lead(Term(1)));
    while let Some(command) = controller.poll_watch() {
        let WatchCommand::List { kind, stream } = command else { continue };
        let items = match kind {
            Kind::Job => objects.iter().map(|(job, _)| job.clone()).collect(),
            Kind::Pod => objects.iter().map(|(_, pod)| pod.clone()).collect(),
            Kind::CronJob | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => Vec::new(),
        };
        controller.handle_watch(NOW, WatchEvent { kind, stream, body: WatchBody::Page(items) });
        let body = WatchBody::ListDone(ResourceVersion(9));
        controller.handle_watch(NOW, WatchEvent { kind, stream, body });
    }
    controller
}

/// The run of a Job with a Pod that failed.
fn run(objects: &(Object, Object)) -> Run {
    let mut controller = machine(std::slice::from_ref(objects), PolicySet::default());
    Lane::ALL.into_iter().find_map(|lane| controller.poll_run(NOW, lane)).expect("a run")
}

fn core() -> WasmEngine {
    WasmEngine::embedded().expect("a core is built in: run `make core`")
}

/// The median and the last hundredth of how long something takes, microseconds.
fn measure(samples: usize, mut what: impl FnMut()) -> (f64, f64) {
    let mut took: Vec<Duration> = (0..samples)
        .map(|_| {
            let began = Instant::now();
            what();
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    let at = |per_cent: usize| took[(took.len() * per_cent / 100).min(took.len() - 1)].as_secs_f64() * 1e6;
    (at(50), at(99))
}

/// What a plugin adds to a reconcile of a Job with one failure.
fn added_to_a_reconcile() {
    let (core, engine) = (core(), PluginEngine::new(Options::default()).expect("an engine"));
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    for (language, file, target_us) in LANGUAGES {
        let Some(bytes) = plugin(file) else {
            println!("plugin in {language}: not measured, {}/{file}.wasm is absent", directory().display());
            continue;
        };
        let objects = objects(1, file);
        let run = run(&objects);
        let Object::Job(job) = &objects.0 else { continue };
        let (subject, loaded) = (Subject::Job(job.clone()), engine.load(file, &bytes));
        let set = PolicySet::new([Loaded::new(loaded.expect("the plugin is loaded"))]);
        let mut circuits = Circuits::default();
        let mut bind =
            || set.bind(&subject, &built_in, NOW, &mut circuits, &|_| None).expect("a plugin is bound");
        let samples = if language == "Rust" { SAMPLES } else { SAMPLES / 20 };
        let mut faults = 0;
        let (with_us, with_last_us) = measure(samples, || {
            let bound = bind();
            let policy: SharedPolicy = bound.clone();
            let _plan = core.reconcile(&run.snapshot, &policy);
            faults += bound.take_calls().iter().filter(|call| call.fault.is_some()).count();
        });
        let (without_us, _) = measure(samples, || drop(core.reconcile(&run.snapshot, &built_in)));
        println!(
            "plugin in {language}: adds {:.1} us to a reconcile of {without_us:.1} us (p99 {with_last_us:.1} us in all), \
             {faults} of {samples} calls failed; the goal is {target_us} us",
            with_us - without_us,
        );
    }
}

/// A directory of this process alone, which is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("windlass-bench-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An engine that keeps machine code in a directory.
fn caching(directory: &Path) -> Arc<PluginEngine> {
    let cache = Cache::open(directory).expect("a directory of our own");
    PluginEngine::with_compiler(Options::default(), Compiler::Here, Some(cache)).expect("an engine")
}

fn loading() {
    for (language, file, _) in LANGUAGES {
        let Some(bytes) = plugin(file) else { continue };
        let scratch = Scratch::new("load");
        let engine = caching(&scratch.0);
        let (compiled_us, _) = measure(1, || drop(engine.load(file, &bytes)));
        let (cached_us, last_us) = measure(50, || drop(engine.load(file, &bytes)));
        let goal = if language == "Rust" { format!("; the goal is {LOAD_US} us") } else { String::new() };
        println!(
            "plugin in {language} of {} bytes: {compiled_us:.0} us to compile and load, {cached_us:.0} us from the \
             cache (p99 {last_us:.0} us){goal}",
            bytes.len()
        );
    }
}

/// Memory of a host with many plugins and bindings, in a process of its own.
fn resident() {
    let (_, file, _) = LANGUAGES[0];
    let Some(bytes) = plugin(file) else {
        println!(
            "host with {PLUGINS} plugins: not measured, {}/{file}.wasm is absent",
            directory().display()
        );
        return;
    };
    let scratch = Scratch::new("resident");
    // What compiles is not what is measured: `windlass run` has it done by a process of its own, too.
    load_versions(&caching(&scratch.0), &bytes);
    let program = std::env::current_exe().expect("this program");
    let output = Process::new(program).env(RESIDENT, &scratch.0).output().expect("it starts");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// So many plugins, each another by its bytes.
fn load_versions(engine: &Arc<PluginEngine>, bytes: &[u8]) -> PolicySet {
    let load = |number| {
        let plugin = engine.load(&format!("plugin-{number}"), &with_section(bytes, number));
        Loaded::new(plugin.expect("the plugin is loaded"))
    };
    PolicySet::new((0..PLUGINS).map(load))
}

/// Is that host, and tells what it holds.
fn be_resident(cache: &Path) {
    let (_, file, _) = LANGUAGES[0];
    let bytes = plugin(file).expect("the plugin was there a moment ago");
    let set = load_versions(&caching(cache), &bytes);
    let core = core();
    let objects: Vec<_> =
        (0..BINDINGS).map(|number| objects(number, &format!("plugin-{}", number % PLUGINS))).collect();
    let mut controller = machine(&objects, set);
    let mut asked = 0;
    while let Some(run) = Lane::ALL.into_iter().find_map(|lane| controller.poll_run(NOW, lane)) {
        let plan = core.reconcile(&run.snapshot, &run.policy);
        controller.handle_run(NOW, run.id, plan);
        asked += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    match kilobytes {
        Some(kilobytes) => println!(
            "host with {PLUGINS} plugins in Rust and {BINDINGS} bindings, after {asked} reconciles: {:.0} MB resident; \
             the goal is {} MB",
            kilobytes as f64 * 1_024.0 / 1e6,
            RESIDENT_BYTES / 1_000_000
        ),
        None => println!("host with {PLUGINS} plugins: not measured, this machine does not tell its memory"),
    }
}

/// The plugin with a custom section besides, so that it is another one.
fn with_section(bytes: &[u8], number: usize) -> Vec<u8> {
    let content = [&[1, b'n'], number.to_string().as_bytes()].concat();
    let length = u8::try_from(content.len()).expect("a short section");
    [bytes, &[0, length], &content].concat()
}

/// How long reconciles of other objects take while a plugin that never ends is asked all the time, each lane on a thread of
/// its own.
fn beside_an_endless_plugin() {
    let engine = PluginEngine::new(Options::default()).expect("an engine");
    let endless = Guest::new(Decides::Backoff, "(loop $again (br $again))").component();
    let plugin = engine.load("endless", &endless).expect("the plugin is loaded");
    let run = run(&objects(1, ""));
    let built_in: SharedPolicy = Arc::new(BuiltIn::default());
    let core = core();
    let reconcile = || drop(core.reconcile(&run.snapshot, &built_in));
    let (_, alone_us) = measure(SAMPLES, reconcile);
    let is_over = AtomicBool::new(false);
    let (calls, beside_us) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut calls = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                drop(plugin.backoff("", &[Question::default()]));
                calls += 1;
            }
            calls
        });
        let (_, beside_us) = measure(SAMPLES, reconcile);
        is_over.store(true, Ordering::Relaxed);
        (asking.join().expect("it ends"), beside_us)
    });
    println!(
        "reconciles of other objects: p99 {alone_us:.1} us alone, {beside_us:.1} us beside a plugin that never ends \
         ({calls} calls of it), {:.2} times as long; the goal is less than 2",
        beside_us / alone_us
    );
}

/// Work that is compared from run to run.
fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plugin call");
    let engine = PluginEngine::new(Options::default()).expect("an engine");
    for (language, file, _) in LANGUAGES {
        let Some(bytes) = plugin(file) else { continue };
        let plugin = engine.load(file, &bytes).expect("the plugin is loaded");
        let question = Question { owner: "default/job".to_owned(), failures: 1, ..Question::default() };
        group.bench_function(format!("backoff in {language}"), |bencher| {
            bencher.iter(|| plugin.backoff("", std::slice::from_ref(&question)));
        });
    }
    group.finish();
}

criterion_group!(benches, calls);

fn main() {
    if let Some(cache) = std::env::var_os(RESIDENT) {
        return be_resident(Path::new(&cache));
    }
    resident();
    added_to_a_reconcile();
    loading();
    beside_an_endless_plugin();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
