//! Objects that are bound to plugins: who runs them, with which plugins, and what is told.

use std::sync::Arc;

use windlass_core::policy::backoff::Answer;

use super::*;
use crate::plugin::PluginFault;
use crate::plugin::circuit::FAILURES_IN_A_ROW;
use crate::plugin::fake::Fake;
use crate::plugin::set::{Loaded, PolicySet};

/// A Job that is bound to the plugin `p`.
fn bound_job(version: u64) -> Object {
    let annotations = r#","annotations":{"policy.windlass.dev/backoff":"p"}"#;
    job("work", version, annotations, "", r#""startTime":"2026-01-01T00:00:00Z""#)
}

fn plugins(digest: u8, answer: Result<Answer, PluginFault>) -> Command {
    let plugin = Arc::new(Fake::new("p", digest, answer));
    Command::Policies(Arc::new(PolicySet::new([Loaded::new(plugin)])))
}

/// A machine that knows the Job and a Pod of it that failed.
fn harness(answer: Result<Answer, PluginFault>) -> Harness {
    let mut harness = Harness::new(vec![bound_job(7)], vec![pod("work-1", "work", 8, "Failed")]);
    let now = harness.now();
    harness.machine.handle_command(now, plugins(1, answer));
    harness
}

/// Messages of the Events of that reason that are due.
fn told(harness: &mut Harness, reason: &str) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(request) = harness.request(Flow::Event) {
        if let Operation::RecordEvent(event) = &request.operation
            && &*event.reason == reason
        {
            messages.push(event.message.to_string());
        }
        harness.answer(&request, Outcome::Done(None));
    }
    messages
}

#[test]
fn a_key_with_plugins_is_found_in_the_first_lane_and_run_in_the_second() {
    let mut harness = harness(Ok(Answer::RetryAfterMs(5_000)));
    let now = harness.now();
    assert!(harness.machine.poll_run(now, Lane::Plugins).is_none(), "nobody has looked yet");
    assert!(harness.machine.poll_run(now, Lane::BuiltIn).is_none());
    let run = harness.machine.poll_run(now, Lane::Plugins).expect("a run");
    assert!(harness.machine.poll_run(now, Lane::Plugins).is_none());
    let plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
    harness.machine.handle_run(now, run.id, plan);
}

#[test]
fn a_shutdown_waits_for_no_key_that_waits_for_its_lane() {
    let mut harness = harness(Ok(Answer::RetryAfterMs(5_000)));
    let now = harness.now();
    assert!(harness.machine.poll_run(now, Lane::BuiltIn).is_none());
    harness.machine.handle_command(now, Command::Shutdown);
    assert!(harness.machine.poll_run(now, Lane::Plugins).is_none());
    assert!(harness.machine.is_drained() && harness.machine.queue().is_empty());
}

#[test]
fn other_plugins_are_asked_at_once_where_they_are_others() {
    let annotations = r#","annotations":{"policy.windlass.dev/backoff":"p"}"#;
    let ended = job("work", 7, annotations, "", COMPLETE);
    let mut harness = Harness::new(vec![ended], Vec::new());
    let now = harness.now();
    harness.machine.handle_command(now, plugins(1, Ok(Answer::RetryAfterMs(600_000))));
    assert_eq!(harness.run().len(), 1);
    assert!(harness.machine.queue().is_empty());
    harness.machine.handle_command(now, plugins(1, Ok(Answer::RetryAfterMs(5))));
    assert!(harness.machine.queue().is_empty(), "the same bytes: nobody is looked at again");
    harness.machine.handle_command(now, plugins(2, Ok(Answer::RetryAfterMs(5))));
    assert_eq!(harness.run().len(), 1);
}

#[test]
fn a_failure_is_told_once_and_brings_a_quarantine() {
    let mut harness = harness(Err(PluginFault::TookTooLong));
    for _ in 0..FAILURES_IN_A_ROW + 3 {
        // Each look asks again.
        harness.machine.queue.add(&crate::key::Key::Job(crate::key::Name::of(bound_job(7).metadata())), 0);
        let now = harness.now();
        let Some(run) = harness.next_run() else { break };
        let _plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
        // What the core made of it is of no interest here.
        let fault = crate::engine::EngineFault::Trapped(String::new());
        harness.machine.handle_run(now, run.id, Err(fault));
        harness.take_notices();
        harness.pass(1_000_000);
    }
    let quarantines =
        harness.notices.iter().filter(|notice| matches!(notice, Notice::PluginQuarantined { .. })).count();
    assert!(quarantines >= 1);
    let messages = told(&mut harness, "PolicyFailed");
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("it took too long; the built-in policy answers"), "{messages:?}");
}
