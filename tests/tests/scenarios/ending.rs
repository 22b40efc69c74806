//! Jobs that ended too early, too late, or not at all.

use windlass_core::kube::{CompletionMode, Kind, PodPhase, PodReplacementPolicy};
use windlass_host::request::Operation;
use windlass_tests::simulation::faults::Fault;
use windlass_tests::simulation::script::ScriptDeed;
use windlass_tests::simulation::story::{
    Story, Told, change, creates, hold, holds, job, pod_ended, status_comes_to, untracks, writes_status,
};
use windlass_tests::simulation::workload::{Deed, NAMESPACE};

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// Found by the simulator: the answer to a verdict is lost, and the read that settles it shows a Job that people have
/// resumed since. Its end was planned for one that never started.
#[test]
fn an_end_that_was_planned_for_another_spec_is_not_written() {
    for seed in SEEDS {
        let plan = job("work", |spec| (spec.completions, spec.suspend) = (Some(0), Some(true)));
        let verdict = || status_comes_to(|job| holds(job, "SuccessCriteriaMet"));
        let told = Story::new(seed)
            .job(plan)
            .meets("the answer is lost", 1, writes_status, Fault::AnswerLost)
            .when("Jobs are seen late", 1, verdict(), hold(0, Kind::Job, 60_000))
            .when("people resume it", 1, verdict(), suspend(100, false))
            .tell();
        let job = told.job("work");
        told.must(job.is_complete(), &format!("{:?}", job.status));
        told.must(job.status.start_time.is_some(), &format!("its start was left out: {:?}", job.status));
    }
}

/// 6 (k/k#109485, #109486, a Job ended before its Pods were seen, and their finalizers stayed): no failure is
/// borne, there are more indexes than one batch creates, and the first Pod fails while the rest are created.
#[test]
fn a_job_that_fails_while_it_creates_leaves_no_finalizer() {
    for seed in 1..=3 {
        let plan = job("work", |spec| {
            spec.completions = Some(1_200);
            spec.parallelism = Some(1_200);
            spec.backoff_limit = Some(0);
            spec.completion_mode = Some(CompletionMode::Indexed);
        });
        let plan = plan.lots(|place, lot| match place.index {
            Some(0) => lot.fails_in(1),
            _ => lot.endless().stops_in(50),
        });
        let told = Story::new(seed)
            .job(plan)
            .when("Pods are seen late", 1, pod_ended(PodPhase::Failed), hold(0, Kind::Pod, 3_000))
            .tell();
        told.failed_for("work", "BackoffLimitExceeded");
        let made = told.created().count();
        told.must(made > 400, &format!("only {made} Pods were created before it failed"));
        told.must(told.pods_left().iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
        no_pod_outlives_the_end(&told, "work", "Failed");
    }
}

/// 11 (k/k#119159, a Job ended before all of its finalizers were gone): the last finalizers resist.
#[test]
fn a_job_ends_only_once_every_finalizer_is_gone() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(4);
            spec.parallelism = Some(4);
        });
        let told = Story::new(seed)
            .job(plan)
            .meets("a finalizer does not go", 6, untracks, Fault::Unavailable)
            .meets("it is not known whether it went", 2, untracks, Fault::AnswerLost)
            .tell();
        told.completed("work", 4, 0);
        no_finalizer_outlives_the_end(&told, "work", "Complete");
    }
}

/// 12 (k/k#130103, #130333, an extra Pod for a Job that had ended): Jobs are seen late, so that the finalizer
/// is seen to go before the status that made it go; the answers that would tell are lost.
#[test]
fn a_finalizer_seen_to_go_before_the_status_makes_no_pod() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .job(job("one", |_| {}))
            .when("Jobs are seen late", 1, pod_ended(PodPhase::Succeeded), hold(0, Kind::Job, 20_000))
            .meets("the answer is lost", 3, writes_status, Fault::AnswerLost)
            .tell();
        told.must(told.created().count() == 1, "one completion takes one Pod");
        told.completed("one", 1, 0);
    }
}

/// 16 (k/k#110294, a deadline was not kept): the process dies and its memory of the timer with it; nothing else
/// happens to the Job.
#[test]
fn a_deadline_is_kept_by_a_new_process() {
    for seed in SEEDS {
        let plan = job("work", |spec| spec.active_deadline_seconds = Some(60));
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.endless().stops_in(50)))
            .at("the process dies", 20_000, ScriptDeed::Crash { process: 0, down_ms: 10_000 })
            .tell();
        told.failed_for("work", "DeadlineExceeded");
        let start = told.states("work").find_map(|(_, state)| state.status.start_time);
        let failed = told.job("work").status.conditions.iter().find(|condition| &*condition.kind == "Failed");
        let ended = failed.and_then(|condition| condition.last_transition_time);
        let took_s =
            ended.map_or(0, |ended| ended.unix_seconds) - start.map_or(0, |start| start.unix_seconds);
        told.must((60..=63).contains(&took_s), &format!("it failed {took_s} s after its start"));
    }
}

/// 16 (k/k#110294): a Job that was suspended has its deadline counted from its resumption.
#[test]
fn a_deadline_counts_from_the_resumption() {
    for seed in SEEDS {
        let plan = job("work", |spec| spec.active_deadline_seconds = Some(30));
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.endless().stops_in(50)))
            .deed(20_000, Deed::SetSuspend(0, true))
            .deed(120_000, Deed::SetSuspend(0, false))
            .tell();
        told.failed_for("work", "DeadlineExceeded");
        let failed_ms = told.since("work", "Failed").unwrap_or(0);
        told.must((149_000..154_000).contains(&failed_ms), &format!("it failed at {failed_ms} ms"));
    }
}

/// 19 (k/k#121147, a panic): replacements wait for Pods that have ended, and more Pods terminate than the
/// lowered parallelism allows.
#[test]
fn more_pods_may_terminate_than_run_at_once() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(8);
            spec.parallelism = Some(4);
            spec.pod_replacement_policy = Some(PodReplacementPolicy::Failed);
        });
        let plan = plan.lots(|place, lot| match place.attempt {
            1..=4 => lot.endless().stops_in(20_000),
            _ => lot.succeeds_in(300),
        });
        let mut story = Story::new(seed).job(plan).deed(6_000, Deed::SetParallelism(0, 1));
        for (position, at_ms) in (5_000..5_040).step_by(10).enumerate() {
            story = story.deed(at_ms, Deed::DeletePod(0, position as u64));
        }
        let told = story.tell();
        let most = told.states("work").filter_map(|(_, state)| state.status.terminating).max();
        told.must(most.is_some_and(|most| most > 1), &format!("{most:?} terminated at most"));
        told.must(holds(told.job("work"), "Complete"), "it never completed");
        no_pod_outlives_the_end(&told, "work", "Complete");
    }
}

/// 21 (k/k#64037, #123775, Complete or Failed while Pods ran on): Pods take 20 s to stop.
#[test]
fn a_job_fails_only_once_its_pods_have_stopped() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
            spec.backoff_limit = Some(0);
        });
        let plan = plan.lots(|place, lot| match place.attempt {
            1 => lot.fails_in(500),
            _ => lot.endless().stops_in(20_000),
        });
        let told = Story::new(seed).job(plan).tell();
        told.failed_for("work", "BackoffLimitExceeded");
        no_pod_outlives_the_end(&told, "work", "Failed");
        let (target, failed) = (told.since("work", "FailureTarget"), told.since("work", "Failed"));
        let waited_ms = failed.unwrap_or(0).saturating_sub(target.unwrap_or(0));
        told.must(waited_ms >= 19_000, &format!("Failed came {waited_ms} ms after FailureTarget"));
    }
}

/// 21 (k/k#123775): the same where a success policy ends the Job.
#[test]
fn a_job_completes_only_once_its_pods_have_stopped() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
            spec.completion_mode = Some(CompletionMode::Indexed);
            spec.success_policy = Some(windlass_core::kube::SuccessPolicy {
                rules: vec![windlass_core::kube::SuccessPolicyRule {
                    succeeded_indexes: Some("0".into()),
                    succeeded_count: None,
                }],
            });
        });
        let plan = plan.lots(|place, lot| match place.index {
            Some(0) => lot.succeeds_in(500),
            _ => lot.endless().stops_in(20_000),
        });
        let told = Story::new(seed).job(plan).tell();
        no_pod_outlives_the_end(&told, "work", "Complete");
        let (met, complete) = (told.since("work", "SuccessCriteriaMet"), told.since("work", "Complete"));
        let waited_ms = complete.unwrap_or(0).saturating_sub(met.unwrap_or(0));
        told.must(waited_ms >= 19_000, &format!("Complete came {waited_ms} ms after SuccessCriteriaMet"));
    }
}

/// 22 (k/k#134769, every status refused after the resumption): the Job is resumed at the moment when its status
/// first says that it is suspended, before whoever wrote so hears of it; and suspended again, three times.
#[test]
fn a_job_resumed_at_once_keeps_a_status_that_the_server_takes() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(4);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.succeeds_in(20_000)))
            .deed(5_000, Deed::SetSuspend(0, true))
            .when("it is resumed", 3, status_comes_to(|job| holds(job, "Suspended")), suspend(0, false))
            .when("it is suspended again", 2, status_comes_to(is_resumed), suspend(500, true))
            .when(
                "Jobs are seen late",
                3,
                status_comes_to(|job| holds(job, "Suspended")),
                hold(0, Kind::Job, 1_000),
            )
            .meets("the answer is lost", 2, says_suspended, Fault::AnswerLost)
            .meets("the Job changes just before", 2, writes_status, Fault::Conflict)
            .tell();
        told.nothing_was_invalid();
        told.must(holds(told.job("work"), "Complete"), "it never completed");
        let mut started = None;
        for (_, state) in told.states("work") {
            let start = state.status.start_time;
            told.must(started.is_none() || start.is_some() || state.is_suspended(), "startTime went");
            started = start;
        }
    }
}

fn is_resumed(job: &windlass_core::kube::Job) -> bool {
    job.status.conditions.iter().any(|condition| &*condition.reason == "JobResumed")
}

fn says_suspended(operation: &Operation) -> bool {
    matches!(operation, Operation::WriteJobStatus(job) if holds(job, "Suspended"))
}

fn suspend(after_ms: u64, is_suspended: bool) -> ScriptDeed {
    change(after_ms, move |store| {
        let Ok(windlass_core::kube::Object::Job(job)) = store.get(Kind::Job, NAMESPACE, "work") else {
            return;
        };
        let mut new = windlass_core::kube::Job::clone(&job);
        std::sync::Arc::make_mut(&mut new.spec).suspend = Some(is_suspended);
        let _ = store.update_job(windlass_sandbox::Actor::USER, &new);
    })
}

/// 23 (k/k#139457, `active` was 0 during the delay of a retry, less than `ready`, and every status refused): one
/// Pod failed and waits for its retry while another is ready.
#[test]
fn pods_that_run_are_counted_while_another_waits_for_its_retry() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(2);
            spec.parallelism = Some(2);
            spec.pod_replacement_policy = Some(PodReplacementPolicy::Failed);
        });
        let plan = plan.lots(|place, lot| {
            let lot = match place.attempt {
                1 => lot.fails_in(2_000),
                _ => lot.succeeds_in(60_000),
            };
            windlass_tests::simulation::workload::Lot { becomes_ready: true, ..lot }
        });
        let told = Story::new(seed).job(plan).tell();
        told.nothing_was_invalid();
        told.completed("work", 2, 1);
        let waits = told.states("work").any(|(_, state)| {
            let status = &state.status;
            status.failed == 1 && status.active == 1 && status.ready == Some(1)
        });
        told.must(waits, "no status showed one ready Pod during the delay");
        let ended = told.commits().iter().find(|commit| pod_ended(PodPhase::Failed)(commit));
        let freed = told.requests().iter().find(|exchange| untracks(&exchange.operation));
        let took_ms = freed
            .map_or(u64::MAX, |freed| freed.at_ms)
            .saturating_sub(ended.map_or(0, |ended| ended.time_ms));
        told.must(took_ms < 3_000, &format!("the failed Pod was let go after {took_ms} ms"));
    }
}

/// Found by the simulator (a Pod created late for a Job that had ended): the request arrives long after its
/// sender gave it up, when the Job has failed.
#[test]
fn a_pod_that_comes_after_the_end_is_deleted() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(2);
            spec.parallelism = Some(2);
            spec.active_deadline_seconds = Some(1);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.endless().stops_in(50)))
            .meets("a create comes late", 1, creates, Fault::RequestLate)
            .tell();
        told.failed_for("work", "DeadlineExceeded");
        let ended_ms = told.since("work", "Failed").unwrap_or(u64::MAX);
        let late = told.created().filter(|(at_ms, _)| *at_ms > ended_ms).count();
        told.must(late == 1, &format!("{late} Pods came after the end"));
        told.must(told.pods_left().is_empty(), &format!("{:?} are left", told.pods_left()));
    }
}

/// 12 and the one before: a Pod that comes after the end does not keep the finalizer, even if it has ended too.
#[test]
fn a_pod_that_comes_after_the_end_and_ends_is_let_go() {
    for seed in SEEDS {
        let plan = job("work", |spec| spec.active_deadline_seconds = Some(1));
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.succeeds_in(5)))
            .meets("the first create is not heard of", 1, creates, Fault::RequestLate)
            .tell();
        let ended_ms = told.since("work", "Failed").unwrap_or(u64::MAX);
        let late = told.created().filter(|(at_ms, _)| *at_ms > ended_ms).count();
        told.must(late == 1, &format!("{late} Pods came after the end"));
        told.must(told.pods_left().iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
    }
}

/// When the Job's condition begins to hold, none of its Pods is left that has not ended.
fn no_pod_outlives_the_end(told: &Told, name: &str, condition: &'static str) {
    no_pod_at_the_end(told, name, condition, |pod| !pod.is_terminal(), "has not ended");
}

/// When the Job's condition begins to hold, none of its Pods has the finalizer.
fn no_finalizer_outlives_the_end(told: &Told, name: &str, condition: &'static str) {
    no_pod_at_the_end(told, name, condition, windlass_core::kube::Pod::is_tracked, "has its finalizer");
}

fn no_pod_at_the_end(
    told: &Told,
    name: &str,
    condition: &'static str,
    is_wrong: impl Fn(&windlass_core::kube::Pod) -> bool,
    what: &str,
) {
    use windlass_core::kube::Object;
    let mut pods = std::collections::BTreeMap::new();
    let ends = status_comes_to(move |job| holds(job, condition));
    for commit in told.commits() {
        match (&commit.before, &commit.after) {
            (_, Some(Object::Pod(pod))) => {
                pods.insert(pod.metadata.uid.clone(), pod.clone());
            }
            (Some(Object::Pod(pod)), None) => {
                pods.remove(&pod.metadata.uid);
            }
            _ if ends(commit) => {
                let wrong = pods.values().find(|pod| is_wrong(pod));
                told.must(wrong.is_none(), &format!("{name} is {condition} and a Pod {what}: {wrong:?}"));
                return;
            }
            _ => {}
        }
    }
    told.must(false, &format!("{name} never was {condition}"));
}
