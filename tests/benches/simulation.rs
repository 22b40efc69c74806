//! Simulated steps a second: inputs that the state machine handles, checkers and all.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use windlass_host::engine::native::NativeEngine;
use windlass_tests::simulation::run_seed;

/// Seeds of one measurement: one in eight of them runs without faults.
const SEEDS: std::ops::Range<u64> = 1..65;

fn simulated_steps(criterion: &mut Criterion) {
    let steps: u64 = SEEDS.map(|seed| run_seed(seed, &NativeEngine, None, false).steps).sum();
    let mut group = criterion.benchmark_group("simulation");
    group.throughput(Throughput::Elements(steps));
    group.sample_size(10);
    group.bench_function("64 seeds", |bencher| {
        bencher.iter(|| SEEDS.map(|seed| run_seed(seed, &NativeEngine, None, false).steps).sum::<u64>());
    });
    group.finish();
}

criterion_group!(benches, simulated_steps);
criterion_main!(benches);
