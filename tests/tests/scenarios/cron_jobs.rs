//! Bugs of CronJob controllers: rows 26 to 42.

use windlass_core::cron_job::zone::Zone;
use windlass_core::kube::{ConcurrencyPolicy, Kind, Labels, Object};
use windlass_host::request::{Operation, Outcome};
use windlass_tests::simulation::cluster::cron::{keep, make_foreign_job, make_job_by_hand};
use windlass_tests::simulation::cluster::remove_by_force;
use windlass_tests::simulation::faults::Fault;
use windlass_tests::simulation::record::Exchange;
use windlass_tests::simulation::script::ScriptDeed;
use windlass_tests::simulation::story::cron::{
    creates_job, delete_its_job, deletes_job, edit, job_completed, job_made, job_name, stored,
    writes_cron_status,
};
use windlass_tests::simulation::story::{Story, change, hold};
use windlass_tests::simulation::workload::PodFate;
use windlass_tests::simulation::workload::cron::{CronDeed, template};

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;

/// 26 (k/k#36311, #42649, #45825, more than 100 missed starts and it never ran again): nobody is there for three
/// hours.
#[test]
fn a_night_without_a_controller_costs_one_run_and_a_warning() {
    for seed in SEEDS {
        let down = ScriptDeed::Crash { process: 0, down_ms: 180 * MINUTE_MS };
        let told = Story::new(seed)
            .cron_job("* * * * *", 190 * MINUTE_MS + 30_000, |_| {})
            .at("nobody is there", 2 * MINUTE_MS + 30_000, down)
            .tell();
        let made = told.minutes_made();
        told.must(made[..3] == [1, 2, 182], &format!("the latest one missed is run: {made:?}"));
        told.must(made.len() == 3 + 8, &format!("and every one from then on: {made:?}"));
        told.must(told.reasons().contains(&"TooManyMissedTimes"), "and somebody is told");
    }
}

/// 27 (k/k#41655, the parser crashed): an empty schedule, which no server takes any more.
#[test]
fn an_empty_schedule_is_told_and_nothing_else_comes_of_it() {
    for seed in SEEDS {
        let told = Story::new(seed).cron_job("", 5 * MINUTE_MS, |_| {}).as_an_older_server_took_it().tell();
        told.must(told.jobs_made().count() == 0, "no Job");
        told.must(told.told_only("UnparseableSchedule"), &format!("told: {:?}", told.reasons()));
    }
}

/// 28 (k/k#34447, #120649, AlreadyExists at every sync): the process dies after the create, or the status is refused.
#[test]
fn a_job_whose_status_was_not_written_is_found_again() {
    for seed in SEEDS {
        let dies = Story::new(seed)
            .cron_job("* * * * *", 4 * MINUTE_MS + 30_000, |_| {})
            .when("the process dies", 1, job_made, ScriptDeed::Crash { process: 0, down_ms: 5_000 })
            .tell();
        let fails = Story::new(seed)
            .cron_job("* * * * *", 4 * MINUTE_MS + 30_000, |_| {})
            .meets("the status is refused", 3, writes_cron_status, Fault::ServerError)
            .tell();
        for told in [dies, fails] {
            told.must(told.minutes_made() == [1, 2, 3, 4], &format!("{:?}", told.minutes_made()));
            let creates = told.requests().iter().filter(|exchange| creates_job(&exchange.operation)).count();
            told.must(creates == 4, &format!("{creates} creates were sent for four Jobs"));
        }
    }
}

/// 29 (k/k#108023, #107997, Jobs were lost and JobAlreadyActive for ever): the template's labels change while a Job
/// runs.
#[test]
fn a_job_made_from_other_labels_is_still_a_child() {
    for seed in SEEDS {
        let slow = PodFate { start_ms: (5, 50), run_ms: (90_000, 95_000), ..PodFate::default() };
        let told = Story::new(seed)
            .cron_job_with("* * * * *", 6 * MINUTE_MS + 30_000, slow, |spec| {
                spec.concurrency_policy = ConcurrencyPolicy::Forbid;
            })
            .at(
                "the labels change",
                MINUTE_MS + 30_000,
                change(0, |store| {
                    edit(store, |spec| {
                        let labels: Labels = [("team".into(), "other".into())].into();
                        spec.job_template.metadata.labels = std::sync::Arc::new(labels);
                    });
                }),
            )
            .tell();
        told.must(told.minutes_made() == [1, 2, 4, 5], &format!("{:?}", told.minutes_made()));
        told.must(told.reasons().contains(&"JobAlreadyActive"), "a run had to wait");
    }
}

/// 30 (k/k#63371, #65457, #57853, #123220, "sent out 1000 emails"): the schedule is edited to instants that are over.
#[test]
fn an_edit_of_the_schedule_does_not_run_the_past() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("0 8 * * *", 21 * MINUTE_MS, |_| {})
            .cron_deed(10 * MINUTE_MS + 30_000, CronDeed::SetSchedule("*/5 * * * *"))
            .tell();
        told.must(told.minutes_made() == [15, 20], &format!("{:?}", told.minutes_made()));
    }
}

/// Found by the simulator: an edit was seen while the clock of the process was an hour ahead, and nothing ran for
/// that hour once it was right again.
#[test]
fn an_edit_seen_by_a_clock_that_was_ahead_does_not_stop_the_schedule() {
    for seed in SEEDS {
        let ahead = ScriptDeed::SetClock { process: 0, off_ms: 3_600_000 };
        let right = ScriptDeed::SetClock { process: 0, off_ms: 0 };
        let told = Story::new(seed)
            .cron_job("0 8 * * *", 20 * MINUTE_MS + 30_000, |_| {})
            .at("the clock is ahead", 5 * MINUTE_MS + 20_000, ahead)
            .cron_deed(5 * MINUTE_MS + 30_000, CronDeed::SetSchedule("*/5 * * * *"))
            .at("the clock is right", 6 * MINUTE_MS, right)
            .cron_deed(6 * MINUTE_MS + 10_000, CronDeed::Touch(1))
            .tell();
        told.must(told.minutes_made() == [10, 15, 20], &format!("{:?}", told.minutes_made()));
    }
}

/// 31 (k/k#121594, a daily run at 02:00 came twice): the clocks go back in its zone. Both instants that read 02:00
/// fire, as upstream documents it; neither runs again, though the history keeps nothing.
#[test]
fn the_hour_that_comes_twice_runs_each_of_its_instants_once() {
    // 2026-10-24T22:00:00Z, three hours before the change in Vienna.
    let start_s = 1_792_879_200;
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("0 2 * * *", 600 * MINUTE_MS, |spec| {
                spec.time_zone = Some("Europe/Vienna".into());
                spec.successful_jobs_history_limit = Some(0);
            })
            .begins(start_s)
            .tell();
        let made: Vec<u64> = told.jobs_made().map(|(at_ms, _)| at_ms / MINUTE_MS).collect();
        told.must(made == [120, 180], &format!("runs {made:?} minutes after the start"));
    }
}

/// Found by the simulator: the clocks go back by half an hour. 01:30 comes twice, and each time is run once.
#[test]
fn the_half_hour_that_comes_twice_runs_each_of_its_instants_once() {
    // 2026-04-04T13:00:00Z, midnight on Lord Howe Island and two hours before the change.
    let start_s = 1_775_307_600;
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("*/30 1-3 * * *", 300 * MINUTE_MS, |spec| {
                spec.time_zone = Some("Australia/Lord_Howe".into());
            })
            .begins(start_s)
            .tell();
        let made: Vec<u64> = told.jobs_made().map(|(at_ms, _)| at_ms / MINUTE_MS).collect();
        told.must(
            made == [60, 90, 120, 150, 180, 210, 240],
            &format!("runs {made:?} minutes after the start"),
        );
    }
}

/// 32 (k/k#121763, #127678, all at once, and six hours early and again on time; nobody has explained it): a search
/// with a clock that is wrong, and a process that dies.
#[test]
fn a_clock_that_jumps_runs_no_instant_twice() {
    for seed in 1..=40 {
        let ahead = ScriptDeed::SetClock { process: 0, off_ms: 6 * 3_600_000 };
        let right = ScriptDeed::SetClock { process: 0, off_ms: 0 };
        let down = ScriptDeed::Crash { process: 0, down_ms: 1_000 };
        let told = Story::new(seed)
            .cron_job("0 * * * *", 605 * MINUTE_MS, |spec| spec.successful_jobs_history_limit = Some(0))
            .at("the clock is ahead", 30 * MINUTE_MS + seed * 1_000, ahead)
            .at("the process dies", 31 * MINUTE_MS + seed * 500, down)
            .at("the clock is right", 32 * MINUTE_MS, right)
            .tell();
        let made = told.minutes_made();
        let distinct: std::collections::BTreeSet<i64> = made.iter().copied().collect();
        told.must(made.len() == distinct.len(), &format!("an instant ran twice: {made:?}"));
        told.must(made == [360, 420, 480, 540, 600], &format!("what the wrong clock ran is over: {made:?}"));
    }
}

/// 33 (k/k#109250, #118724, wrong instants): intervals, which count from the last run however often the CronJob is
/// looked at, and steps within a range.
#[test]
fn intervals_and_steps_fire_when_they_should() {
    for seed in SEEDS {
        let mut every = Story::new(seed).cron_job("@every 5m", 31 * MINUTE_MS, |_| {});
        for touch in 0..60 {
            every = every.cron_deed(touch * 30_000 + 7_000, CronDeed::Touch(touch));
        }
        let told = every.tell();
        told.must(told.minutes_made() == [5, 10, 15, 20, 25, 30], &format!("{:?}", told.minutes_made()));
        // From 09:00 on a Monday.
        let told = Story::new(seed).cron_job("30 6-16/4 * * 1-5", 30 * 60 * MINUTE_MS, |_| {}).tell();
        let hours: Vec<i64> = told.minutes_made().iter().map(|minute| (minute - 30) / 60 + 9).collect();
        told.must(hours == [10, 14, 30, 34, 38], &format!("hours {hours:?}"));
    }
}

/// 34 (k/k#119776, no cleanup, so that the quota never freed): the quota is used up by the history.
#[test]
fn the_history_is_cleaned_though_creates_are_refused() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("* * * * *", 12 * MINUTE_MS, |_| {})
            .cron_deed(3 * MINUTE_MS + 30_000, CronDeed::Limit(Some(3)))
            .cron_deed(5 * MINUTE_MS + 30_000, CronDeed::SetLimits(1, 1))
            .tell();
        let made = told.minutes_made();
        told.must(!made.contains(&4), &format!("the quota refused: {made:?}"));
        told.must(made.contains(&7) && made.contains(&11), &format!("and has room again: {made:?}"));
        told.must(told.reasons().contains(&"FailedCreate"), "and somebody was told");
    }
}

/// 35 (k/k#121327, a wrong time to look again left runs stuck): a Job fails, and one never ends.
#[test]
fn a_failed_job_and_one_that_is_stuck_hold_back_no_other() {
    for seed in SEEDS {
        let fails = PodFate { failing_per_mille: 1_000, run_ms: (300, 900), ..PodFate::default() };
        let stuck = PodFate { endless: true, ..PodFate::default() };
        for fate in [fails, stuck] {
            let told =
                Story::new(seed).cron_job_with("* * * * *", 5 * MINUTE_MS + 30_000, fate, |_| {}).tell();
            told.must(told.minutes_made() == [1, 2, 3, 4, 5], &format!("{:?}", told.minutes_made()));
        }
    }
}

/// 36 (k/k#102642, #118530, #122025, no lastSuccessfulTime): the Job that succeeds was made by hand and is seen late,
/// and the process dies as it ends.
#[test]
fn a_job_made_by_hand_that_succeeds_is_told() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("0 8 * * *", 5 * MINUTE_MS, |_| {})
            .at("Jobs are seen late", MINUTE_MS - 1_000, hold(0, Kind::Job, 6_000))
            .when(
                "the process dies as it ends",
                1,
                job_completed,
                ScriptDeed::Crash { process: 0, down_ms: 300 },
            )
            .at(
                "somebody makes a Job by hand",
                MINUTE_MS,
                change(0, |store| {
                    if let Some(cron_job) = stored(store) {
                        make_job_by_hand(store, &cron_job, "cron-by-hand".into());
                    }
                }),
            )
            .tell();
        let seen_ms = told.states("cron-by-hand").find(|(_, job)| job.status.start_time.is_some());
        let seen_ms = seen_ms.map_or(0, |(at_ms, _)| at_ms);
        told.must(seen_ms >= MINUTE_MS + 5_000, &format!("it was seen at {seen_ms} ms, which is not late"));
        let status = &told.cron().status;
        told.must(status.last_successful_time.is_some(), "its success is told");
        told.must(status.last_schedule_time.is_none(), "and no instant of the schedule has passed");
    }
}

/// Found by the simulator: a run that is replaced is making Pods while its delete finds it gone.
#[test]
fn no_pod_is_made_for_a_run_that_its_delete_found_gone() {
    for seed in SEEDS {
        let endless = PodFate { start_ms: (5, 50), endless: true, ..PodFate::default() };
        let told = Story::new(seed)
            .cron_job_with("* * * * *", 3 * MINUTE_MS - 5_000, endless, |spec| {
                spec.concurrency_policy = ConcurrencyPolicy::Replace;
                spec.job_template.spec = wide_template();
            })
            .at("Jobs are seen late", 2 * MINUTE_MS - 100, hold(0, Kind::Job, 5_000))
            .at(
                "its Pods are removed",
                2 * MINUTE_MS - 30,
                change(0, |store| {
                    let pods: Vec<_> =
                        store.objects(Kind::Pod).map(|pod| pod.metadata().name.clone()).collect();
                    for pod in pods {
                        remove_by_force(store, Kind::Pod, &pod);
                    }
                }),
            )
            .at(
                "and so is the Job",
                2 * MINUTE_MS - 1,
                change(0, |store| {
                    remove_by_force(store, Kind::Job, &job_name(1));
                }),
            )
            .tell();
        told.must(told.minutes_made() == [1, 2], &format!("{:?}", told.minutes_made()));
        let found_gone = |exchange: &&Exchange| {
            deletes_job(&exchange.operation)
                && matches!(&exchange.outcome, Outcome::Rejected(status) if status.is_not_found())
        };
        told.must(told.requests().iter().any(|exchange| found_gone(&exchange)), "the delete found no Job");
    }
}

/// 37 (k/k#136920, an existing Job was not adopted): the create is answered with AlreadyExists, since the answer to
/// an earlier one was lost, and the template names no namespace.
#[test]
fn a_job_that_exists_already_is_adopted() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("* * * * *", 3 * MINUTE_MS + 30_000, |_| {})
            .meets("the answer is lost", 2, creates_job, Fault::AnswerLost)
            .meets("a server error after it was done", 1, creates_job, Fault::TimeoutApplied)
            .tell();
        told.must(told.minutes_made() == [1, 2, 3], &format!("{:?}", told.minutes_made()));
        told.must(!told.reasons().contains(&"FailedCreate"), "nothing failed");
        told.must(told.cron().status.last_schedule_time.is_some(), "and the status tells");
    }
}

/// 38 (k/k#133313, an owned Job was told as unexpected): Jobs are seen late, and the process dies besides.
#[test]
fn a_job_of_its_own_is_never_unexpected() {
    for seed in SEEDS {
        let slow = PodFate { start_ms: (5, 50), run_ms: (70_000, 80_000), ..PodFate::default() };
        let told = Story::new(seed)
            .cron_job_with("* * * * *", 5 * MINUTE_MS + 30_000, slow, |_| {})
            .when("Jobs are seen late", 5, job_made, hold(0, Kind::Job, 5_000))
            .when("the process dies", 2, job_made, ScriptDeed::Crash { process: 0, down_ms: 300 })
            .tell();
        told.must(told.jobs_made().count() == 5, "the process lives when the last three are made");
        told.must(!told.reasons().contains(&"UnexpectedJob"), &format!("{:?}", told.reasons()));
    }
}

/// 39 (k/k#59676, the same Job was deleted over and over): a finalizer keeps the Job that the history has no room for.
#[test]
fn a_job_that_is_about_to_go_is_not_deleted_again() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("*/5 * * * *", 32 * MINUTE_MS, |spec| spec.successful_jobs_history_limit = Some(1))
            .when(
                "a finalizer keeps it",
                1,
                job_made,
                ScriptDeed::Change(
                    0,
                    Box::new(|store, commit| {
                        if let Some(Object::Job(job)) = commit.and_then(|commit| commit.after.as_ref()) {
                            keep(store, &job.metadata.name, true);
                        }
                    }),
                ),
            )
            .at(
                "it is let go",
                30 * MINUTE_MS + 30_000,
                change(0, |store| {
                    keep(store, &job_name(5), false);
                }),
            )
            .tell();
        let of_first = |operation: &Operation| match operation {
            Operation::DeleteJob { job, .. } => deletes_job(operation) && job.name == job_name(5),
            _ => false,
        };
        let deletes = told.requests().iter().filter(|exchange| of_first(&exchange.operation)).count();
        told.must(deletes == 1, &format!("{deletes} deletes of one Job"));
    }
}

/// 40 (k/k#110430, #100927, Jobs made by hand were never cleaned up): they count towards the history.
#[test]
fn jobs_made_by_hand_are_cleaned_up() {
    for seed in SEEDS {
        let mut story = Story::new(seed)
            .cron_job("0 8 * * *", 30 * MINUTE_MS, |spec| spec.successful_jobs_history_limit = Some(2));
        for number in 0..6 {
            story = story.cron_deed((number + 1) * MINUTE_MS, CronDeed::MakeJob(number));
        }
        let told = story.tell();
        let deletes = told.requests().iter().filter(|exchange| deletes_job(&exchange.operation)).count();
        told.must(deletes == 4, &format!("{deletes} of six were deleted"));
        told.must(told.jobs_made().count() == 0, "and none was made");
    }
}

/// 41 (kube-state-metrics#2898, a panic on a valid zone in an image without zone files): zones are built in, so that
/// no file is looked for; a zone that there is not is told.
#[test]
fn zones_are_built_in_and_an_unknown_one_is_told() {
    for zone in ["Europe/Vienna", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC"] {
        assert!(Zone::by_name(zone).is_ok(), "{zone}");
    }
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("* * * * *", 5 * MINUTE_MS, |spec| spec.time_zone = Some("Mars/Olympus".into()))
            .as_an_older_server_took_it()
            .tell();
        told.must(told.jobs_made().count() == 0, "no Job");
        told.must(told.told_only("UnknownTimeZone"), &format!("told: {:?}", told.reasons()));
    }
}

/// 42 (k/k#42177, fights over Jobs): another's Job has the name that a run would have.
#[test]
fn another_ones_job_is_left_alone() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("* * * * *", 4 * MINUTE_MS + 30_000, |spec| {
                spec.concurrency_policy = ConcurrencyPolicy::Replace;
            })
            .at(
                "the name is taken",
                MINUTE_MS + 30_000,
                change(0, |store| {
                    if let Some(cron_job) = stored(store) {
                        make_foreign_job(store, &cron_job, job_name(2));
                    }
                }),
            )
            .tell();
        told.must(told.minutes_made() == [1, 3, 4], &format!("{:?}", told.minutes_made()));
        told.must(told.reasons().contains(&"FailedCreate"), "and somebody is told");
        told.completed(&job_name(2), 1, 0);
        let is_its = |operation: &Operation| matches!(operation, Operation::DeleteJob { job, .. } if job.name == job_name(2));
        told.must(!told.requests().iter().any(|exchange| is_its(&exchange.operation)), "nobody deletes it");
    }
}

/// K1 and its one exception: a Job that somebody removes before its instant is in the status. The process that made
/// it, or saw it, remembers; one that came after does not.
#[test]
fn a_job_removed_before_the_status_tells_is_made_again_by_nobody_who_knew() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .cron_job("*/10 * * * *", 18 * MINUTE_MS, |_| {})
            .meets("the status is refused", 4, writes_cron_status, Fault::ServerError)
            .when("somebody removes the Job", 1, job_made, delete_its_job(5))
            .tell();
        told.must(told.minutes_made() == [10], &format!("{:?}", told.minutes_made()));
    }
}

/// A template of a Job of many Pods, which take their time to be made.
fn wide_template() -> Option<std::sync::Arc<serde_json::value::RawValue>> {
    let text = template(0, None).spec?;
    let wide = text.get().replacen('{', r#"{"parallelism":60,"completions":60,"#, 1);
    serde_json::value::RawValue::from_string(wide).ok().map(Into::into)
}
