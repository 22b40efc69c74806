//! Pods that were counted twice, not at all, or as what they were not.

use std::collections::BTreeSet;

use windlass_core::kube::{Kind, Object, Pod, PodPhase, ResourceVersion};
use windlass_host::request::Operation;
use windlass_sandbox::Store;
use windlass_tests::simulation::cluster::end_pod as end;
use windlass_tests::simulation::faults::{Fault, Faults};
use windlass_tests::simulation::script::ScriptDeed;
use windlass_tests::simulation::story::{
    Story, Told, end_pod, hold, index_of, job, pod_created, pod_ended, pod_untracked, status_comes_to,
    uncounted, untracks, writes_status,
};
use windlass_tests::simulation::workload::Deed;

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
/// Most Pods that may be uncounted at once (upstream: MaxUncountedPods).
const MAX_UNCOUNTED: usize = 500;

/// 3 (k/k#104666, uids left the list while their Pods had finalizers): more Pods end at once than the list
/// holds, and some of their finalizers do not go at the first attempt.
#[test]
fn a_full_list_keeps_each_pod_until_its_finalizer_is_gone() {
    for seed in 1..=2 {
        let plan = job("work", |spec| {
            spec.completions = Some(900);
            spec.parallelism = Some(900);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.succeeds_in(30_000)))
            .when("Pods are seen late", 1, pod_ended(PodPhase::Succeeded), hold(0, Kind::Pod, 60_000))
            .at("a new process sees them all", 45_000, ScriptDeed::Crash { process: 0, down_ms: 100 })
            .meets("a finalizer does not go", 40, untracks, Fault::ServerError)
            .tell();
        told.must(told.created().count() == 900, "one Pod for each completion");
        told.completed("work", 900, 0);
        let longest = told.states("work").map(|(_, state)| uncounted(state).0.len()).max().unwrap_or(0);
        told.must(longest == MAX_UNCOUNTED, &format!("the list held {longest} at most"));
    }
}

/// 4 (k/k#105200, one Pod counted twice): the Pods are seen late, so that they show finalizers that are gone,
/// while the status has been settled already; the answers that say so are lost.
#[test]
fn a_pod_that_is_seen_late_is_not_counted_again() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(6);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan)
            .when("Pods are seen late", 4, pod_untracked, hold(0, Kind::Pod, 6_000))
            .meets("the answer is lost", 6, untracks, Fault::AnswerLost)
            .tell();
        told.completed("work", 6, 0);
        told.must(told.created().count() == 6, "one Pod for each completion");
    }
}

/// 4 (k/k#105200): a new process begins between the settlement and the sight of the Pods.
#[test]
fn a_new_process_does_not_count_a_pod_again() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(6);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan)
            .meets("it dies before the finalizer goes", 2, untracks, Fault::CrashBeforeWrite)
            .meets("it dies after the finalizer went", 2, untracks, Fault::CrashAfterWrite)
            .meets("it dies after a status write", 2, writes_status, Fault::CrashAfterWrite)
            .tell();
        told.completed("work", 6, 0);
        told.must(told.created().count() == 6, "one Pod for each completion");
    }
}

/// 5 (k/k#105214, a conflict was handled with old data): somebody else changes the Job just before each of the
/// first status writes, and Jobs are seen late.
#[test]
fn after_a_conflict_nothing_is_written_from_the_old_job() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(5);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan)
            .when("Jobs are seen late", 1, pod_created, hold(0, Kind::Job, 20_000))
            .meets("the Job changes just before", 5, writes_status, Fault::Conflict)
            .tell();
        told.completed("work", 5, 0);
        let mut refused = ResourceVersion(0);
        for exchange in told.requests() {
            let Operation::WriteJobStatus(sent) = &exchange.operation else { continue };
            let version = sent.metadata.resource_version;
            told.must(version > refused, &format!("{version} was written again after its refusal"));
            if exchange.refusal() == Some(409) {
                refused = version;
            }
        }
        told.must(refused > ResourceVersion(0), "no write was refused");
    }
}

/// 8 (k/k#111646, a Pod listed as failed succeeded, and every later status was refused): the Job fails while
/// its other Pods are still to be stopped, and these end well.
#[test]
fn a_pod_that_succeeds_after_it_was_listed_as_failed_stays_a_failure() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
            spec.backoff_limit = Some(0);
        });
        let plan = plan.lots(|place, lot| match place.attempt {
            1 => lot.fails_in(400),
            _ => lot.endless().stops_in(20_000),
        });
        let told = Story::new(seed)
            .job(plan)
            .when("a Pod listed as failed succeeds", 1, lists_a_failure_that_runs, succeed_all_listed())
            .meets("its finalizer stays a while", 6, untracks, Fault::ServerError)
            .tell();
        told.nothing_was_invalid();
        told.failed_for("work", "BackoffLimitExceeded");
        let status = &told.job("work").status;
        told.must((status.succeeded, status.failed) == (0, 3), &format!("{status:?}"));
        each_is_listed_once(&told);
    }
}

/// 9 (k/k#125410, a Pod listed as succeeded was listed as failed, too, and every later status was refused): a
/// taint eviction changes what became of a Pod after it was listed.
#[test]
fn a_pod_that_fails_after_it_was_listed_as_succeeded_stays_a_success() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
        });
        let flip = ScriptDeed::Change(
            0,
            Box::new(|store, commit| {
                let Some(Object::Job(job)) = commit.and_then(|commit| commit.after.as_ref()) else { return };
                for uid in uncounted(job).0 {
                    end_pod(store, &uid, 137);
                }
            }),
        );
        let listed = status_comes_to(|job| !uncounted(job).0.is_empty());
        let told = Story::new(seed)
            .job(plan)
            .when("a Pod listed as succeeded fails", 1, listed, flip)
            .meets("its finalizer stays a while", 4, untracks, Fault::ServerError)
            .tell();
        told.nothing_was_invalid();
        told.completed("work", 3, 0);
        each_is_listed_once(&told);
        let flipped = told.commits().iter().any(|commit| match (&commit.before, &commit.after) {
            (Some(Object::Pod(before)), Some(Object::Pod(after))) => {
                (before.status.phase, after.status.phase) == (PodPhase::Succeeded, PodPhase::Failed)
            }
            _ => false,
        });
        told.must(flipped, "no Pod changed its outcome");
    }
}

/// 10 (k/k#109164, a Pod stayed listed and the Job never ended; the cause was never found): a search with
/// everything slow, as on a loaded machine.
#[test]
fn under_load_every_job_settles_and_ends() {
    let slow = [
        (Fault::AnswerSlow, 200),
        (Fault::AnswerLost, 60),
        (Fault::WatchDelayed, 100),
        (Fault::WatchBroken, 30),
        (Fault::WatchSilent, 20),
        (Fault::WatchRepeated, 100),
        (Fault::ListSlow, 300),
        (Fault::WorkerSlow, 200),
        (Fault::TooManyRequests, 60),
        (Fault::TimeoutApplied, 60),
        (Fault::ReadFailed, 100),
    ];
    for seed in 1..=60 {
        let mut faults = Faults::none(seed);
        for (fault, per_mille) in slow {
            faults.allow(fault, per_mille, 120_000);
        }
        let mut story = Story::new(seed).faults(faults);
        for name in ["one", "two", "three"] {
            story = story.job(job(name, |spec| {
                spec.completions = Some(4);
                spec.parallelism = Some(2);
            }));
        }
        let told = story.tell();
        told.must(told.report().struck.total() > 0, "nothing was slow");
        for name in ["one", "two", "three"] {
            told.completed(name, 4, 0);
            told.must(uncounted(told.job(name)) == (vec![], vec![]), "a Pod stayed listed");
        }
    }
}

/// 18 (k/k#115349, the status only moved when new indexes ended, and kept those out of range): completions and
/// parallelism fall together once some of the indexes above have ended.
#[test]
fn indexes_out_of_range_leave_the_status_when_completions_fall() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(6);
            spec.parallelism = Some(6);
            spec.completion_mode = Some(windlass_core::kube::CompletionMode::Indexed);
        });
        let plan = plan.lots(|place, lot| match place.index {
            Some(0) => lot.endless().stops_in(50),
            _ => lot.succeeds_in(300),
        });
        let told = Story::new(seed)
            .job(plan)
            .deed(10_000, Deed::Scale(0, 3))
            .at("index 0 ends", 40_000, succeed_index(0))
            .tell();
        let before = told.states("work").filter(|(at_ms, _)| *at_ms < 10_000).last();
        let before = before.map(|(_, state)| state.status.completed_indexes.to_string());
        told.must(before.as_deref() == Some("1-5"), &format!("{before:?} had ended before"));
        let after = told.states("work").filter(|(at_ms, _)| *at_ms < 30_000).last();
        let after =
            after.map(|(_, state)| (state.status.completed_indexes.to_string(), state.status.succeeded));
        told.must(after == Some(("1,2".to_owned(), 2)), &format!("{after:?} are left of 3"));
        told.completed("work", 3, 0);
    }
}

fn succeed_index(index: u32) -> ScriptDeed {
    ScriptDeed::Change(
        0,
        Box::new(move |store, _| {
            for pod in pods(store).iter().filter(|pod| index_of(pod) == Some(index)) {
                end(store, pod, 0);
            }
        }),
    )
}

fn lists_a_failure_that_runs(commit: &windlass_sandbox::Commit) -> bool {
    status_comes_to(|job| uncounted(job).1.len() > 1)(commit)
}

fn succeed_all_listed() -> ScriptDeed {
    ScriptDeed::Change(
        0,
        Box::new(|store, commit| {
            let Some(Object::Job(job)) = commit.and_then(|commit| commit.after.as_ref()) else { return };
            for uid in uncounted(job).1 {
                let running =
                    pods(store).into_iter().find(|pod| pod.metadata.uid == uid && !pod.is_terminal());
                if let Some(pod) = running {
                    end(store, &pod, 0);
                }
            }
        }),
    )
}

fn pods(store: &Store) -> Vec<Pod> {
    let pods = store.objects(Kind::Pod).filter_map(|object| match object {
        Object::Pod(pod) => Some(Pod::clone(pod)),
        _ => None,
    });
    pods.collect()
}

/// No uid enters the lists a second time, nor both of them.
fn each_is_listed_once(told: &Told) {
    let mut listed = BTreeSet::new();
    let mut now = BTreeSet::new();
    for (_, state) in told.states("work") {
        let (succeeded, failed) = uncounted(state);
        let count = succeeded.len() + failed.len();
        let new: BTreeSet<_> = succeeded.into_iter().chain(failed).collect();
        told.must(new.len() == count, "a Pod is in both lists");
        for uid in new.difference(&now) {
            told.must(listed.insert(uid.clone()), &format!("{uid} is listed again"));
        }
        now = new;
    }
    told.must(!listed.is_empty(), "no Pod was ever listed");
}

/// Found by the simulator (one Pod in both uncounted lists): a user deletes a Pod, which counts as a failure at
/// once, and the Pod ends well all the same.
#[test]
fn a_deleted_pod_that_ends_well_is_in_one_list_only() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(2);
            spec.parallelism = Some(2);
        });
        let plan = plan.lots(|place, lot| match place.attempt {
            1 => lot.endless().stops_in(5_000),
            _ => lot.succeeds_in(400),
        });
        let listed = status_comes_to(|job| !uncounted(job).1.is_empty());
        let told = Story::new(seed)
            .job(plan)
            .deed(4_000, Deed::DeletePod(0, 0))
            .deed(4_000, Deed::DeletePod(0, 1))
            .when("the Pod succeeds after all", 1, listed, succeed_all_listed())
            .meets("its finalizer stays a while", 3, untracks, Fault::ServerError)
            .tell();
        told.nothing_was_invalid();
        each_is_listed_once(&told);
        told.completed("work", 2, 1);
    }
}
