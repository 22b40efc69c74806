//! What a reconcile costs natively and as wasm, the way over the boundary included.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::disallowed_types, reason = "a benchmark reads a clock")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use windlass_core::kube::{JobCondition, PodPhase, Time};
use windlass_core::policy::BuiltIn;
use windlass_core::view::{
    CompletionModeView, JobFlags, JobSnapshot, JobStatusView, JobView, NO_EXIT_CODE, NO_INDEX, PodColumns,
    PodRow, UncountedPods, pod_flag,
};
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::engine::{Engine, SharedPolicy, Snapshot};

/// Pods of the Jobs that are measured.
const SIZES: [u32; 3] = [10, 1_000, 10_000];
/// What wasm may cost above native: so much a call, and so much a Pod.
const CALL_NS: f64 = 15_000.0;
const POD_NS: f64 = 100.0;
/// Rounds of the comparison, of which the fastest counts, each shorter than a turn of the scheduler: what other
/// programs take is left out.
const ROUNDS: u32 = 1_000;
/// The instant of the reconcile, seconds since the Unix epoch.
const NOW_S: i64 = 1_800_000_000;

fn main() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut criterion = Criterion::default().configure_from_args();
    for indexed in [false, true] {
        let mut group = criterion.benchmark_group(if indexed { "reconcile/indexed" } else { "reconcile" });
        for pods in SIZES {
            let snapshot = snapshot(pods, indexed);
            let policy = policy();
            group.bench_function(BenchmarkId::new("native", pods), |bencher| {
                bencher.iter(|| black_box(NativeEngine.reconcile(black_box(&snapshot), &policy)));
            });
            group.bench_function(BenchmarkId::new("wasm", pods), |bencher| {
                bencher.iter(|| black_box(wasm.reconcile(black_box(&snapshot), &policy)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    compare(&wasm);
    starting();
}

/// Prints both engines side by side, and against what is to be reached.
fn compare(wasm: &WasmEngine) {
    println!("\nfastest of {ROUNDS} rounds; to reach: wasm at most native + 15 us + 0.1 us a pod");
    println!("mode        pods   native us     wasm us  ratio  wasm-native ns/pod  allowed us  over by us");
    for indexed in [false, true] {
        for pods in SIZES {
            let snapshot = snapshot(pods, indexed);
            let native_ns = fastest_ns(&NativeEngine, &snapshot, pods);
            let wasm_ns = fastest_ns(wasm, &snapshot, pods);
            let allowed_ns = native_ns + CALL_NS + POD_NS * f64::from(pods);
            println!(
                "{:<10} {pods:>5} {:>11.2} {:>11.2} {:>6.2} {:>19.1} {:>11.2} {:>11.2}",
                if indexed { "indexed" } else { "nonindexed" },
                native_ns / 1e3,
                wasm_ns / 1e3,
                wasm_ns / native_ns,
                (wasm_ns - native_ns) / f64::from(pods),
                allowed_ns / 1e3,
                ((wasm_ns - allowed_ns) / 1e3).max(0.0),
            );
        }
    }
}

/// Prints how long a start waits for the core.
fn starting() {
    let began = Instant::now();
    let engine = WasmEngine::embedded();
    println!("start of the engine: {:.1} ms ({})", began.elapsed().as_secs_f64() * 1e3, how(&engine));
}

fn how(engine: &Result<WasmEngine, windlass_host::engine::wasm::CoreFault>) -> &'static str {
    match engine {
        Ok(engine) if engine.is_precompiled() => "from precompiled code",
        Ok(_) => "compiled by Cranelift",
        Err(_) => "failed",
    }
}

/// Nanoseconds of one reconcile in the fastest round.
fn fastest_ns(engine: &dyn Engine, snapshot: &Snapshot, pods: u32) -> f64 {
    let policy = policy();
    let calls = (1_000 / pods).clamp(1, 25);
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..calls {
            black_box(engine.reconcile(black_box(snapshot), &policy)).expect("a plan");
        }
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    fastest
}

fn policy() -> SharedPolicy {
    Arc::new(BuiltIn::default())
}

/// A Job in the middle of its work: of ten Pods five run and are ready, three are pending, one has just
/// succeeded and one has just failed.
fn snapshot(pods: u32, indexed: bool) -> Snapshot {
    let mut columns = PodColumns::with_capacity(pods as usize);
    for number in 0..pods {
        let phase = match number % 10 {
            0..5 => PodPhase::Running,
            5..8 => PodPhase::Pending,
            8 => PodPhase::Succeeded,
            _ => PodPhase::Failed,
        };
        let ended = matches!(phase, PodPhase::Succeeded | PodPhase::Failed);
        let running = phase == PodPhase::Running;
        let ready = if running { pod_flag::READY } else { 0 };
        let bound = if phase == PodPhase::Pending { 0 } else { pod_flag::BOUND };
        columns.push(PodRow {
            phase,
            flags: pod_flag::TRACKED | pod_flag::OWNED | pod_flag::SELECTED | ready | bound,
            index: if indexed { number } else { NO_INDEX },
            restarts: 0,
            most_restarts: 0,
            most_sidecar_restarts: 0,
            index_failures: 0,
            index_ignored_failures: 0,
            created_s: NOW_S - 300,
            ready_changed_s: if running { NOW_S - 200 } else { 0 },
            finished_s: if ended { NOW_S - 5 } else { 0 },
            exit_code: match phase {
                PodPhase::Succeeded => 0,
                PodPhase::Failed => 1,
                _ => NO_EXIT_CODE,
            },
        });
    }
    let job = JobView {
        owner: "default/work".into(),
        uid: "5a1d8f4e-0b5e-4f4b-9d5c-3f6a2a7e9c10".into(),
        parallelism: pods,
        completions: Some(pods * 2),
        mode: if indexed { CompletionModeView::Indexed } else { CompletionModeView::NonIndexed },
        backoff_limit: u32::MAX,
        status: JobStatusView {
            conditions: Vec::<JobCondition>::new(),
            start_time: Some(Time::from_unix_seconds(NOW_S - 600)),
            active: pods,
            ready: Some(0),
            terminating: Some(0),
            ..JobStatusView::default()
        },
        ..JobView::default()
    };
    Snapshot::Job(JobSnapshot {
        now_ms: NOW_S * 1000,
        flags: JobFlags::default(),
        job: Arc::new(job),
        pods: columns,
        uncounted: UncountedPods::default(),
        live_owner: None,
        admission: None,
        memo: Vec::new(),
    })
}
