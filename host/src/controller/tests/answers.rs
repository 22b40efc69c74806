//! Answers that refuse, that leave something behind, or that do not come.

use windlass_core::kube::{ApiStatus, Object};

use super::super::answers::{READ_BACKOFF, REFUSED_READ_BACKOFF};
use super::super::events::{EVENT_BACKOFF, MAX_EVENT_TRIES, Said};
use super::{COMPLETE, Harness, created, job, pod, what, written};
use crate::controller::{Command, EventLoss, Notice};
use crate::key::{Key, Name};
use crate::queue::SYNC_BACKOFF;
use crate::request::{Flow, Operation, Outcome};
use crate::snapshot::Subject;

fn status(code: u16, reason: &str, retry_after_ms: Option<u64>) -> ApiStatus {
    ApiStatus { retry_after_ms, ..ApiStatus::new(code, reason, "no".to_owned()) }
}

fn name(text: &str) -> Name {
    Name { namespace: "default".into(), name: text.into() }
}

/// A machine that waits for a read which settles the outcome of a create.
fn unsettled() -> Harness {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    harness.run();
    let create = harness.write();
    assert_eq!(what(&create), "create pods");
    harness.answer(&create, Outcome::Unknown);
    harness
}

#[test]
fn a_refused_read_is_told_once_and_tried_again_ever_more_rarely() {
    let mut harness = unsettled();
    for tries in 0..8 {
        let read = harness.request(Flow::Read).expect("the read is due");
        harness.refuse(&read, status(403, "Forbidden", None));
        let wait_ms = REFUSED_READ_BACKOFF.wait_ms(tries);
        harness.pass(wait_ms - 1);
        assert!(harness.request(Flow::Read).is_none(), "try {tries}");
        harness.pass(1);
    }
    let first = harness.notices.iter().filter(|n| matches!(n, Notice::ReadRefused { again: false, .. }));
    let again = harness.notices.iter().filter(|n| matches!(n, Notice::ReadRefused { again: true, .. }));
    assert_eq!((first.count(), again.count()), (1, 7));
}

#[test]
fn a_read_that_the_server_cannot_answer_for_now_is_tried_again_soon() {
    let mut harness = unsettled();
    let read = harness.request(Flow::Read).expect("the read is due");
    harness.refuse(&read, status(500, "InternalError", None));
    harness.pass(READ_BACKOFF.base_ms);
    assert!(harness.request(Flow::Read).is_some());
}

#[test]
fn a_flow_rests_for_as_long_as_any_refusal_asks() {
    for code in [429, 503] {
        let mut harness = Harness::new(vec![job("a", 50, "", "", ""), job("b", 51, "", "", "")], Vec::new());
        harness.run();
        let create = harness.write();
        harness.refuse(&create, status(code, "Busy", Some(5_000)));
        harness.pass(4_999);
        harness.run();
        assert!(harness.request(Flow::Write).is_none(), "{code}");
        harness.pass(1);
        assert!(harness.request(Flow::Write).is_some(), "{code}");
    }
}

#[test]
fn a_job_that_a_finalizer_keeps_after_its_delete_is_seen_as_terminating_and_not_as_gone() {
    let spec = r#","ttlSecondsAfterFinished":0"#;
    let mut harness =
        Harness::new(vec![job("work", 50, "", spec, COMPLETE)], vec![pod("p", "work", 60, "Running")]);
    let kept = job(
        "work",
        101,
        r#","deletionTimestamp":"2026-01-01T00:20:00Z","deletionGracePeriodSeconds":0,"finalizers":["foregroundDeletion"]"#,
        spec,
        COMPLETE,
    );
    for _ in 0..10 {
        harness.run();
        if let Some(read) = harness.request(Flow::Read) {
            harness.answer(&read, Outcome::Done(Some(job("work", 50, "", spec, COMPLETE))));
        }
        let Some(write) = harness.request(Flow::Write) else { continue };
        match &write.operation {
            Operation::DeleteJob { .. } => {
                harness.answer(&write, Outcome::Done(Some(kept)));
                let entry = harness.machine.cache().job(&name("work")).expect("it is not gone");
                assert!(entry.job.metadata.is_terminating());
                return;
            }
            Operation::UntrackPod { .. } => {
                let Object::Pod(pod) = pod("p", "work", 100, "Running") else { panic!("not a Pod") };
                let mut pod = (*pod).clone();
                pod.metadata.finalizers = Default::default();
                harness.answer(&write, Outcome::Done(Some(Object::Pod(pod.into()))));
            }
            _ => harness.answer(&write, Outcome::Done(None)),
        }
    }
    panic!("the Job was never deleted");
}

#[test]
fn a_server_error_at_the_finalizer_of_an_orphan_is_tried_again() {
    let orphan = pod("lost", "gone", 60, "Succeeded");
    let mut harness = Harness::new(Vec::new(), vec![orphan.clone()]);
    harness.run();
    let read = harness.request(Flow::Read).expect("its Job is looked for");
    harness.refuse(&read, status(404, "NotFound", None));
    harness.run();
    let patch = harness.write();
    assert_eq!(what(&patch), "patch pods");
    harness.refuse(&patch, status(500, "InternalError", None));
    let read = harness.request(Flow::Read).expect("what became of it is looked up");
    harness.answer(&read, Outcome::Done(Some(orphan)));
    harness.run();
    assert!(harness.request(Flow::Write).is_none(), "not at once");
    harness.pass(SYNC_BACKOFF.base_ms);
    harness.run();
    let read = harness.request(Flow::Read).expect("its Job is looked for once more");
    harness.refuse(&read, status(404, "NotFound", None));
    harness.run();
    assert_eq!(what(&harness.write()), "patch pods");
}

#[test]
fn a_namespace_that_is_ending_makes_no_event_and_no_retry() {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    harness.run();
    let create = harness.write();
    let ending = ApiStatus { namespace_terminating: true, ..status(403, "Forbidden", None) };
    harness.refuse(&create, ending.clone());
    let (mut statuses, mut creates) = (0, 1);
    for _ in 0..100 {
        harness.run();
        while let Some(write) = harness.request(Flow::Write) {
            if what(&write) == "create pods" {
                creates += 1;
                harness.refuse(&write, ending.clone());
            } else {
                statuses += 1;
                harness.answer(&write, written(&write, 200 + statuses));
            }
        }
        assert!(harness.request(Flow::Event).is_none());
        harness.pass(60_000);
    }
    // The one status that says when the Job began brings one more look.
    assert_eq!((statuses, creates), (1, 2));
}

#[test]
fn the_time_to_live_is_a_key_of_its_own_whoever_manages_the_job() {
    let spec = r#","ttlSecondsAfterFinished":60,"managedBy":"example.com/other""#;
    let mut harness = Harness::new(vec![job("work", 50, "", spec, COMPLETE)], Vec::new());
    let keys = |runs: Vec<crate::controller::Run>| runs.into_iter().map(|run| run.key).collect::<Vec<_>>();
    assert_eq!(keys(harness.run()), [Key::Job(name("work")), Key::TimeToLive(name("work"))]);
    // The clock of the harness is so far past the end already.
    let due = harness.machine.poll_timeout();
    assert_eq!(due, None, "{due:?}");
    let read = harness.request(Flow::Read).expect("a live look at the Job");
    harness.answer(&read, Outcome::Done(Some(job("work", 50, "", spec, COMPLETE))));
    assert_eq!(keys(harness.run()), [Key::TimeToLive(name("work"))]);
    let delete = harness.write();
    assert_eq!(what(&delete), "delete jobs");
    harness.refuse(&delete, status(403, "Forbidden", None));
    harness.pass(SYNC_BACKOFF.base_ms - 1);
    assert!(keys(harness.run()).is_empty());
    harness.pass(1);
    assert_eq!(keys(harness.run()), [Key::TimeToLive(name("work"))], "tried again");
    let read = harness.request(Flow::Read).expect("a live look at the Job");
    let longer = spec.replace("60", "6000");
    harness.answer(&read, Outcome::Done(Some(job("work", 101, "", &longer, COMPLETE))));
    harness.run();
    assert!(harness.request(Flow::Write).is_none(), "its life was prolonged");
    let due = harness.machine.poll_timeout().expect("it waits");
    assert_eq!(due, 6_000_000);
}

#[test]
fn a_deleted_job_tells_how_late_it_was() {
    let spec = r#","ttlSecondsAfterFinished":990"#;
    let mut harness = Harness::new(vec![job("work", 50, "", spec, COMPLETE)], Vec::new());
    harness.run();
    let read = harness.request(Flow::Read).expect("a live look at the Job");
    harness.answer(&read, Outcome::Done(Some(job("work", 50, "", spec, COMPLETE))));
    harness.run();
    let delete = harness.write();
    harness.answer(&delete, Outcome::Done(None));
    let late: Vec<u64> = harness
        .notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::JobExpired { late_ms, .. } => Some(*late_ms),
            _ => None,
        })
        .collect();
    assert_eq!(late, [10_000]);
}

#[test]
fn an_event_that_is_refused_for_now_is_tried_again_with_waits_and_then_given_up() {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    harness.run();
    let create = harness.write();
    harness.answer(&create, created(&create, 200));
    for tries in 0..MAX_EVENT_TRIES {
        let event = harness.request(Flow::Event).expect("the Event is due");
        assert!(harness.request(Flow::Event).is_none());
        harness.refuse(&event, status(500, "InternalError", None));
        harness.pass(EVENT_BACKOFF.wait_ms(tries) - 1);
        assert!(harness.request(Flow::Event).is_none(), "try {tries}");
        harness.pass(1);
    }
    assert!(harness.request(Flow::Event).is_none());
    assert_eq!(harness.machine.stats().events_lost.get(&EventLoss::Unanswered), Some(&1));
}

#[test]
fn an_event_of_which_the_server_knows_nothing_any_more_is_recorded_anew() {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    let now = harness.now();
    let owner = Subject::Job(harness.machine.cache().job(&name("work")).expect("it is cached").job.clone());
    let said = || Said { warning: true, of_child: false, reason: "Odd".into(), message: "again".to_owned() };
    for _ in 0..3 {
        harness.machine.push_event(now, &owner, said());
    }
    let first = harness.request(Flow::Event).expect("the Event");
    assert_eq!(what(&first), "create events");
    assert!(harness.request(Flow::Event).is_none(), "how often it happened waits until it is there");
    harness.answer(&first, Outcome::Done(None));
    let again = harness.request(Flow::Event).expect("its repetitions");
    let Operation::RecordEvent(event) = &again.operation else { panic!("not an Event") };
    assert_eq!((what(&again), event.count), ("patch events", 3));
    assert!(harness.request(Flow::Event).is_none(), "two in one");
    harness.refuse(&again, status(404, "NotFound", None));
    harness.machine.push_event(now, &owner, said());
    let anew = harness.request(Flow::Event).expect("the Event");
    let Operation::RecordEvent(created) = &anew.operation else { panic!("not an Event") };
    assert_eq!((what(&anew), &created.name), ("create events", &event.name));
    assert!(harness.request(Flow::Event).is_none(), "the fourth waits for it");
    harness.answer(&anew, Outcome::Done(None));
    let fourth = harness.request(Flow::Event).expect("the fourth");
    let Operation::RecordEvent(counted) = &fourth.operation else { panic!("not an Event") };
    assert_eq!((what(&fourth), counted.count, &counted.name), ("patch events", 4, &event.name));
}

#[test]
fn no_count_of_an_event_overtakes_one_that_waits_to_be_tried_again() {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    let now = harness.now();
    let owner = Subject::Job(harness.machine.cache().job(&name("work")).expect("it is cached").job.clone());
    let said = || Said { warning: true, of_child: false, reason: "Odd".into(), message: "again".to_owned() };
    let mut sent = Vec::new();
    for _ in 0..3 {
        harness.machine.push_event(now, &owner, said());
        let request = harness.request(Flow::Event);
        sent.extend(request.iter().map(what));
        if let Some(request) = request {
            harness.refuse(&request, status(503, "ServiceUnavailable", None));
        }
    }
    assert_eq!(sent, ["create events"], "the others wait for it");
    harness.pass(EVENT_BACKOFF.wait_ms(0));
    while let Some(request) = harness.request(Flow::Event) {
        sent.push(what(&request));
        harness.answer(&request, Outcome::Done(None));
    }
    assert_eq!(sent, ["create events", "create events", "patch events"]);
}

#[test]
fn a_live_look_at_the_owner_does_not_outlive_a_hold() {
    let Object::Pod(owned) = pod("stray", "work", 60, "Running") else { panic!("not a Pod") };
    let mut stray = (*owned).clone();
    stray.metadata.owner_references = std::sync::Arc::default();
    let stray = vec![Object::Pod(std::sync::Arc::new(stray))];
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], stray.clone());
    harness.run();
    let read = harness.request(Flow::Read).expect("a live look before the adoption");
    // Somebody else has counted a Pod of the Job meanwhile.
    let counted = job("work", 101, "", "", r#""failed":1,"startTime":"2026-01-01T00:00:00Z""#);
    harness.answer(&read, Outcome::Done(Some(counted.clone())));
    assert!(harness.run().is_empty(), "the key is held until the Pods are listed");
    harness.list(&[counted], &stray, 102);
    harness.pass(60_000);
    assert_eq!(harness.run().len(), 1);
    assert!(harness.request(Flow::Write).is_none(), "the look is old by now");
    assert!(harness.request(Flow::Read).is_some());
}

#[test]
fn a_resting_flow_of_events_does_not_hold_up_the_end_of_the_process() {
    let mut harness = Harness::new(vec![job("work", 50, "", "", "")], Vec::new());
    let now = harness.now();
    let owner = Subject::Job(harness.machine.cache().job(&name("work")).expect("it is cached").job.clone());
    for reason in ["One", "Two"] {
        let said =
            Said { warning: true, of_child: false, reason: reason.into(), message: "it is odd".to_owned() };
        harness.machine.push_event(now, &owner, said);
    }
    let first = harness.request(Flow::Event).expect("the first Event");
    harness.machine.handle_command(now, Command::Shutdown);
    harness.refuse(&first, status(429, "TooManyRequests", Some(60_000)));
    assert!(harness.machine.is_drained(), "nothing more can be sent in time");
    assert_eq!(harness.machine.stats().events_lost.get(&EventLoss::Shutdown), Some(&2));
}

#[test]
fn a_status_that_was_planned_for_another_spec_is_not_written() {
    let Object::Job(wants_nothing) = job("work", 50, "", "", "") else { panic!("not a Job") };
    let mut wants_nothing = (*wants_nothing).clone();
    let spec = std::sync::Arc::make_mut(&mut wants_nothing.spec);
    (spec.completions, spec.suspend) = (Some(0), Some(true));
    let mut harness = Harness::new(vec![Object::Job(wants_nothing.into())], Vec::new());
    assert_eq!(harness.run().len(), 1);
    let verdict = harness.write();
    let Operation::WriteJobStatus(sent) = &verdict.operation else { panic!("{verdict:?}") };
    let mut resumed = (**sent).clone();
    harness.answer(&verdict, Outcome::Unknown);
    let read = harness.request(Flow::Read).expect("a read settles what nobody knows");
    // People resume the Job meanwhile.
    (resumed.metadata.resource_version.0, resumed.metadata.generation) = (160, 2);
    std::sync::Arc::make_mut(&mut resumed.spec).suspend = Some(false);
    harness.answer(&read, Outcome::Done(Some(Object::Job(resumed.into()))));
    assert!(harness.request(Flow::Write).is_none(), "the end was planned for a Job that never started");
    assert_eq!(harness.run().len(), 1);
    let end = harness.write();
    let Operation::WriteJobStatus(ended) = &end.operation else { panic!("{end:?}") };
    assert!(ended.status.start_time.is_some(), "{:?}", ended.status);
}
