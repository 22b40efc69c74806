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

/// A machine that knows two Jobs of the plugin `p`, each with a Pod that failed, and the plugin.
fn two_jobs(answer: Result<Answer, PluginFault>) -> (Harness, Arc<Fake>) {
    let annotations = r#","annotations":{"policy.windlass.dev/backoff":"p"}"#;
    let other = job("other", 7, annotations, "", r#""startTime":"2026-01-01T00:00:00Z""#);
    let pods = vec![pod("work-1", "work", 8, "Failed"), pod("other-1", "other", 8, "Failed")];
    let mut harness = Harness::new(vec![bound_job(7), other], pods);
    let plugin = load(&mut harness, 1, answer);
    (harness, plugin)
}

/// Loads a version of the plugin `p`.
fn load(harness: &mut Harness, digest: u8, answer: Result<Answer, PluginFault>) -> Arc<Fake> {
    let plugin = Arc::new(Fake::new("p", digest, answer));
    let set = Arc::new(PolicySet::new([Loaded::new(plugin.clone())]));
    let now = harness.now();
    harness.machine.handle_command(now, Command::Policies(set));
    plugin
}

/// Lets a run ask, and end without a plan.
fn ask(harness: &mut Harness, run: &Run) {
    let _plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
    end(harness, run);
}

fn end(harness: &mut Harness, run: &Run) {
    let fault = crate::engine::EngineFault::Trapped(String::new());
    let now = harness.now();
    harness.machine.handle_run(now, run.id, Err(fault));
    harness.take_notices();
}

/// The next run of a Job; runs of others that are due are left under way.
fn run_of(harness: &mut Harness, name: &str) -> Run {
    // Whatever failed before.
    harness.machine.queue.wake(&key(name), 0);
    std::iter::from_fn(|| harness.next_run()).find(|run| run.key == key(name)).expect("a run")
}

fn key(name: &str) -> crate::key::Key {
    crate::key::Key::Job(crate::key::Name { namespace: "default".into(), name: name.into() })
}

/// How often the plugin was asked for an answer.
fn asked(plugin: &Fake) -> usize {
    plugin.asked.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn what_an_old_version_did_says_nothing_of_the_new_one() {
    let (mut harness, _) = two_jobs(Err(PluginFault::TookTooLong));
    // The first Job asks the old version, which takes its time.
    let late = run_of(&mut harness, "work");
    let _plan = NativeEngine.reconcile(&late.snapshot, &late.policy);
    let new = load(&mut harness, 2, Err(PluginFault::TookTooLong));
    for _ in 0..FAILURES_IN_A_ROW {
        let run = run_of(&mut harness, "other");
        ask(&mut harness, &run);
    }
    assert_eq!(asked(&new), 5);
    end(&mut harness, &late);
    let run = run_of(&mut harness, "other");
    ask(&mut harness, &run);
    assert_eq!(asked(&new), 5, "it is in quarantine");
}

#[test]
fn a_call_for_which_there_was_no_room_leaves_the_trial_to_whoever_has_it() {
    let (mut harness, plugin) = two_jobs(Err(PluginFault::TookTooLong));
    // It began before the quarantine, and ends while another has the trial.
    let late = run_of(&mut harness, "work");
    for _ in 0..FAILURES_IN_A_ROW {
        let run = run_of(&mut harness, "other");
        ask(&mut harness, &run);
    }
    harness.pass(11_000);
    let trial = run_of(&mut harness, "other");
    plugin.answer_with(Err(PluginFault::Busy));
    let _plan = NativeEngine.reconcile(&late.snapshot, &late.policy);
    end(&mut harness, &late);
    let before = asked(&plugin);
    let another = run_of(&mut harness, "work");
    ask(&mut harness, &another);
    assert_eq!(asked(&plugin), before, "one run tries it, not two");
    ask(&mut harness, &trial);
    assert_eq!(asked(&plugin), before + 1);
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
