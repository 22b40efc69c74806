//! Plugins that are replaced while they are asked: files of a directory, the real loader, and the state machine.

use std::sync::Arc;

use windlass_core::kube::{Kind, Object};
use windlass_host::controller::Config;
use windlass_host::engine::native::NativeEngine;
use windlass_host::plugin::Digest;
use windlass_host::plugin::directory;
use windlass_host::plugin::library::{Library, News};
use windlass_host::plugin::wasm::{Cache, Compiler, Options as PluginOptions, PluginEngine};
use windlass_host::simulate::driver::Driver;
use windlass_sandbox::Actor;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_tests::guests::{Decides, Guest};

/// Times that the file is replaced.
const SWAPS: u64 = 300;
/// One in so many versions is one that traps, is no plugin at all, or is gone.
const BAD_EVERY: u64 = 7;
/// Jobs that are bound to the plugin.
const JOBS: usize = 20;
/// Virtual time between two versions, milliseconds.
const STEP_MS: u64 = 700;
/// Delays of the two good versions, milliseconds.
const DELAYS_MS: [u32; 2] = [1_000, 2_000];

#[test]
fn a_file_is_replaced_hundreds_of_times_while_jobs_ask_it_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("swapped.wasm");
    let cache = Cache::open(&directory.path().join("code")).unwrap();
    let options = PluginOptions::deterministic();
    let engine = PluginEngine::with_compiler(options, Compiler::Here, Some(cache)).unwrap();
    let mut library = Library::new(Arc::new(engine));
    let good = DELAYS_MS.map(|delay_ms| Guest::retry_after_ms(delay_ms).component());
    let traps = Guest::new(Decides::Backoff, "unreachable").component();
    let mut driver = Driver::new(cluster(), Arc::new(NativeEngine), Config::default());
    let (mut loaded, mut refused, mut decides): (u64, u64, Option<Digest>) = (0, 0, None);
    for swap in 0..SWAPS {
        let version = swap as usize % 2;
        match (swap % BAD_EVERY == BAD_EVERY - 1, swap % 3) {
            (true, 0) => std::fs::write(&file, &traps).unwrap(),
            (true, 1) => std::fs::write(&file, b"no plugin").unwrap(),
            (true, _) => std::fs::remove_file(&file).unwrap(),
            (false, _) => std::fs::write(&file, &good[version]).unwrap(),
        }
        let update = library.look(&directory::offers(directory.path()).unwrap(), true);
        for news in &update.news {
            match news {
                News::Loaded { identity, before, .. } => {
                    assert_eq!(*before, decides, "it takes the place of the one that decided");
                    decides = Some(identity.digest);
                    loaded += 1;
                }
                News::Refused { kept, .. } => {
                    assert_eq!(*kept, decides, "a bad version leaves the good one");
                    assert!(update.set.is_none());
                    refused += 1;
                }
                News::Removed { digest, .. } => {
                    assert_eq!(*digest, decides.take());
                }
            }
        }
        if let Some(set) = update.set {
            assert_eq!(set.plugin("swapped").map(|plugin| plugin.plugin().identity().digest), decides);
            driver.set_policies(set);
        }
        driver.run_until((swap + 1) * STEP_MS, &mut |_, _| {});
        driver.rest_until((swap + 1) * STEP_MS);
    }
    assert!(loaded > SWAPS * 3 / 4 && refused > 5, "{loaded} loaded, {refused} refused");
    // The last one is good, so that everybody comes to an end.
    std::fs::write(&file, &good[1]).unwrap();
    let update = library.look(&directory::offers(directory.path()).unwrap(), true);
    if let Some(set) = update.set {
        driver.set_policies(set);
    }
    driver.run_until(3_600_000, &mut |_, _| {});
    let jobs: Vec<_> = driver.cluster().store().objects(Kind::Job).collect();
    assert_eq!(jobs.len(), JOBS);
    for job in jobs {
        let Object::Job(job) = job else { panic!("a Job") };
        assert!(job.is_complete(), "{}: {:?}", job.metadata.name, job.status);
        assert_eq!((job.status.failed, job.status.succeeded), (30, 1), "{}", job.metadata.name);
    }
    let tally = driver.plugin_calls().values().next().unwrap();
    assert!(tally.calls > 600 && tally.answered > tally.calls / 2, "{} of {}", tally.answered, tally.calls);
}

/// A cluster of Jobs whose first thirty Pods fail.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(ClusterOptions::default());
    let node = r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}"#.to_owned();
    let jobs = (0..JOBS).map(|number| {
        format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "job-{number}", "namespace": "default",
                "annotations": {{"policy.windlass.dev/backoff": "swapped"}}}},
            "spec": {{"backoffLimit": 50, "template": {{
                "metadata": {{"annotations": {{"sandbox.windlass.dev/fail-first": "30"}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "busybox"}}]}}}}}}}}"#
        )
    });
    for text in std::iter::once(node).chain(jobs) {
        cluster.request(0, |store| store.apply_manifest(Actor::USER, &text)).unwrap();
    }
    cluster
}
