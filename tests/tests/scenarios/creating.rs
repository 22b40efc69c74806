//! Pods that were created and should not have been, or should have been and were not.

use windlass_core::kube::{Kind, PodPhase};
use windlass_host::request::Operation;
use windlass_tests::simulation::cluster::delete_pod;
use windlass_tests::simulation::faults::{Fault, Faults};
use windlass_tests::simulation::script::ScriptDeed;
use windlass_tests::simulation::story::{
    Story, creates, hold, job, pod_created, pod_ended, pod_untracked, to_its_pod, untracks, writes_status,
};
use windlass_tests::simulation::workload::Deed;

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;
/// Seeds of a search for what nobody has explained.
const SEARCH_SEEDS: std::ops::RangeInclusive<u64> = 1..=600;

/// 1 (k/k#27997, a Job made 84,000 Pods): parallelism is set, completions are not, and Pods are seen late.
#[test]
fn a_work_queue_makes_no_pod_after_the_first_success() {
    for seed in SEEDS {
        let plan = job("queue", |spec| {
            spec.parallelism = Some(5);
            spec.completions = None;
        });
        let told = Story::new(seed)
            .job(plan)
            .when("Pods are seen late", 1, pod_created, hold(0, Kind::Pod, 20_000))
            .tell();
        told.must(told.created().count() == 5, "five Pods, since each succeeds");
        told.completed("queue", 5, 0);
    }
}

/// 1 (k/k#27997): the same with Pods that fail, of which the limit says how many there may be.
#[test]
fn a_work_queue_whose_pods_fail_stops_at_its_limit() {
    for seed in SEEDS {
        let plan = job("queue", |spec| {
            spec.parallelism = Some(5);
            spec.completions = None;
            spec.backoff_limit = Some(3);
        });
        let told = Story::new(seed).job(plan.lots(|_, lot| lot.fails_in(50))).tell();
        told.failed_for("queue", "BackoffLimitExceeded");
        let made = told.created().count();
        told.must((4..=3 + 5).contains(&made), &format!("{made} Pods for a limit of 3 and 5 at once"));
    }
}

/// 2 (k/k#81227, #78721, completions fell and work was done again): PodGC takes each Pod that ended, either
/// before it is counted or after.
#[test]
fn pods_that_vanish_after_their_end_are_not_run_again() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(6);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan)
            .when(
                "PodGC takes an uncounted Pod",
                3,
                pod_ended(PodPhase::Succeeded),
                to_its_pod(0, delete_pod),
            )
            .when("PodGC takes a counted Pod", 3, pod_untracked, to_its_pod(0, delete_pod))
            .tell();
        told.must(told.created().count() == 6, "each completion takes one Pod");
        told.completed("work", 6, 0);
        let mut most = 0;
        for (_, state) in told.states("work") {
            told.must(state.status.succeeded >= most, "succeeded fell");
            most = most.max(state.status.succeeded);
        }
    }
}

/// 13 (k/k#130683, two Pods minutes apart for one completion; nobody has explained it): a search with every
/// fault there is for one process, but for those by which somebody takes Pods or names away.
#[test]
fn one_completion_never_takes_two_pods_unless_one_fails() {
    let mut struck = 0;
    for seed in SEARCH_SEEDS {
        let mut faults = Faults::of(seed);
        for taken in [Fault::NameTaken, Fault::NameReused, Fault::SecondProcess] {
            faults.forbid(taken);
        }
        let told = Story::new(seed).job(job("one", |_| {})).faults(faults).try_tell();
        told.must(told.report().violation.is_none(), &format!("{:?}", told.report().violation));
        struck += told.report().struck.total();
        let made = told.created().count();
        told.must(made == 1, &format!("{made} Pods for one completion, none of which failed"));
        told.completed("one", 1, 0);
    }
    assert!(struck > 1_000, "only {struck} faults struck");
}

/// 14 (k/k#137210, duplicate Pods): no Pod is seen for half a minute, while the Job is looked at again and again.
#[test]
fn own_creates_that_no_watch_has_shown_are_known() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(4);
            spec.parallelism = Some(4);
        });
        let mut story = Story::new(seed).job(plan.lots(|_, lot| lot.succeeds_in(60_000))).when(
            "Pods are not seen",
            1,
            pod_created,
            hold(0, Kind::Pod, 30_000),
        );
        for touch in 0..20 {
            story = story.deed(3_000 + touch * 500, Deed::TouchJob(0, touch));
        }
        let told = story.tell();
        told.must(told.created().count() == 4, "one Pod for each completion");
    }
}

/// 14 (k/k#137210): the answers to the creates are lost besides.
#[test]
fn creates_whose_answer_is_lost_are_not_sent_again() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(4);
            spec.parallelism = Some(4);
        });
        let told = Story::new(seed)
            .job(plan)
            .when("Pods are not seen", 1, pod_created, hold(0, Kind::Pod, 30_000))
            .meets("the answer is lost", 4, creates, Fault::AnswerLost)
            .tell();
        told.must(told.created().count() == 4, "one Pod for each completion");
        told.completed("work", 4, 0);
    }
}

/// 15 (k/k#70251, #62382, #60735, 64 failed Pods with a limit of 10): reconciles fail again and again, and
/// only Pods that failed are to count.
#[test]
fn the_limit_counts_pods_that_failed_and_nothing_else() {
    for seed in SEEDS {
        let plan = job("work", |spec| spec.backoff_limit = Some(3));
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.fails_in(100)))
            .meets("a status write fails", 12, writes_status, Fault::ServerError)
            .meets("a create is refused", 6, creates, Fault::Forbidden)
            .tell();
        told.failed_for("work", "BackoffLimitExceeded");
        told.must(told.created().count() == 4, "three retries are four Pods");
        told.must(told.job("work").status.failed == 4, "all of which are counted");
        let made: Vec<u64> = told.created().map(|(at_ms, _)| at_ms).collect();
        let ended: Vec<u64> =
            told.commits().iter().filter(|c| pod_ended(PodPhase::Failed)(c)).map(|c| c.time_ms).collect();
        for (position, delay_ms) in [(1, 10_000), (2, 20_000), (3, 40_000)] {
            // Ends are stored in whole seconds.
            let waited_ms = made[position].saturating_sub(ended[position - 1] / 1000 * 1000);
            told.must(waited_ms >= delay_ms, &format!("retry {position} came after {waited_ms} ms"));
        }
    }
}

/// Found by the simulator (a retry came at once): a Pod failed and is recorded, but its finalizer does not go, so
/// that the plan that recorded it fails.
#[test]
fn a_retry_waits_though_the_finalizer_of_the_failed_pod_does_not_go() {
    for seed in SEEDS {
        let plan = job("work", |_| {}).lots(|place, lot| match place.attempt {
            1 => lot.fails_in(500),
            _ => lot.succeeds_in(500),
        });
        let told = Story::new(seed)
            .job(plan)
            .meets("the finalizer does not go", 2, untracks, Fault::ServerError)
            .tell();
        told.completed("work", 1, 1);
        let made: Vec<u64> = told.created().map(|(at_ms, _)| at_ms).collect();
        told.must(made.len() == 2 && made[1] >= made[0] + 9_500, &format!("Pods were made at {made:?} ms"));
    }
}

/// 17 (k/k#111026, a reconcile was not tried again): a quota refuses the creates for a while, and nothing else
/// ever happens to the Job.
#[test]
fn a_quota_that_refuses_for_a_while_is_tried_again() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
        });
        let told = Story::new(seed)
            .job(plan)
            .meets("the quota refuses", 5, creates, Fault::Forbidden)
            .meets("the quota is changed by another", 3, creates, Fault::QuotaConflict)
            .tell();
        told.completed("work", 3, 0);
        told.must(told.created().count() == 3, "one Pod for each completion");
        told.must(told.report().virtual_ms < 300_000, "and within minutes");
    }
}

/// 13 and 14: a process that is killed after each of its creates finds the Pods again.
#[test]
fn a_new_process_finds_the_pods_of_the_last() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(4);
            spec.parallelism = Some(4);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.succeeds_in(60_000)))
            .when("the process dies", 3, pod_created, ScriptDeed::Crash { process: 0, down_ms: 300 })
            .tell();
        told.must(told.created().count() == 4, "one Pod for each completion");
        let names: std::collections::BTreeSet<_> = told
            .requests()
            .iter()
            .filter_map(|exchange| match &exchange.operation {
                Operation::CreatePod(manifest) => Some(manifest.metadata.name.clone()),
                _ => None,
            })
            .collect();
        told.must(names.len() == 4, &format!("four names were asked for, not {names:?}"));
    }
}
