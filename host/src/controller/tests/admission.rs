//! Starts that a plugin decides about: one question of a namespace at a time, and grants that are never forgotten.

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::*;
use crate::key::{Key, Name};
use crate::plugin::admission::{Answer, Counts, Hold, Question};
use crate::plugin::circuit::FAILURES_IN_A_ROW;
use crate::plugin::decision::{Decision, HOLD_MS};
use crate::plugin::set::{Loaded, PolicySet};
use crate::plugin::{Called, Cost, Description, Digest, Identity, Plugin, PluginFault};

/// Wait after which the plugin wants to be asked again, milliseconds.
const ASK_AGAIN_MS: u32 = 60_000;
/// A start, as a status has it.
const STARTED: &str = r#""startTime":"2026-01-01T00:00:00Z""#;

/// Names of Jobs that have started before anybody looks.
const RUNNING: [&str; 2] = ["z", "first"];

/// Starts Jobs while fewer of their queue run than it lets, and none before what they wait for is complete; or traps.
struct Gate {
    identity: Identity,
    description: Description,
    limit: Option<u32>,
}

impl Gate {
    fn answer(limit: u32, question: &Question) -> Answer {
        let waits = question.dependencies.iter().any(|dependency| dependency.state != "complete");
        if question.in_queue.running < limit && !waits {
            return Answer::Start;
        }
        let reason = format!("{} of {limit}", question.in_queue.running);
        Answer::Hold(Hold { reason, ask_again_ms: ASK_AGAIN_MS })
    }
}

impl Plugin for Gate {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn validate_settings(&self, _decision: Decision, _settings: &str) -> Called<()> {
        Called { result: Ok(()), cost: Cost::default(), log: Vec::new() }
    }

    fn backoff(&self, _settings: &str, _questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn schedule(&self, _settings: &str, _questions: &[schedule::Question]) -> Called<Vec<schedule::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn missed_runs(
        &self,
        _settings: &str,
        _questions: &[missed_runs::Question],
    ) -> Called<Vec<missed_runs::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn rollout(&self, _settings: &str, _questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn admission(&self, _settings: &str, questions: &[Question]) -> Called<Vec<Answer>> {
        let Some(limit) = self.limit else { return Called::not(PluginFault::TookTooLong) };
        let answers = questions.iter().map(|question| Self::answer(limit, question)).collect();
        Called { result: Ok(answers), cost: Cost::default(), log: Vec::new() }
    }
}

/// The plugin `gate` that lets so many Jobs of a queue run at once, or that never ends its call.
fn gate(digest: u8, limit: Option<u32>) -> Command {
    let identity = Identity {
        name: "gate".into(),
        digest: Digest([digest; 32]),
        size_bytes: 1,
        decisions: vec![Decision::Admission],
    };
    let plugin = Arc::new(Gate { identity, description: Description::default(), limit });
    Command::Policies(Arc::new(PolicySet::new([Loaded::new(plugin)])))
}

/// A Job that is bound to the plugin, with more annotations.
fn asked_about(name: &str, version: u64, more: &str, spec: &str, status: &str) -> Object {
    let annotations = format!(r#","annotations":{{"policy.windlass.dev/admission":"gate"{more}}}"#);
    job(name, version, &annotations, spec, status)
}

fn waiting(name: &str) -> Object {
    asked_about(name, 7, "", "", "")
}

/// A machine that knows these Jobs, with a plugin that lets so many run.
fn harness(jobs: &[Object], limit: u32) -> Harness {
    let mut harness = Harness::with(Config::default(), jobs, &[]);
    let now = harness.now();
    harness.machine.handle_command(now, gate(1, Some(limit)));
    harness
}

fn key(name: &str) -> Key {
    Key::Job(Name { namespace: "default".into(), name: name.into() })
}

fn question(run: &Run) -> Option<Question> {
    run.start.as_ref().map(|start| start.question.clone())
}

/// Names of the Jobs whose start a status write records.
fn starts(harness: &mut Harness) -> Vec<(String, Request)> {
    let mut starts = Vec::new();
    while let Some(request) = harness.request(Flow::Write) {
        if let Operation::WriteJobStatus(job) = &request.operation {
            assert!(job.status.start_time.is_some(), "what waits is not written: {job:?}");
            starts.push((job.metadata.name.to_string(), request));
        } else {
            let Operation::CreatePod(pod) = &request.operation else { panic!("{request:?}") };
            let owner = pod.metadata.controller().map(|owner| owner.name.to_string()).unwrap_or_default();
            assert!(RUNNING.contains(&&*owner), "a Pod before the start of {owner} is on record");
        }
    }
    starts
}

/// The next run that asks about a start; others are ended before.
fn next_question(harness: &mut Harness) -> Run {
    loop {
        let run = harness.next_run().expect("a run");
        if run.start.is_some() {
            return run;
        }
        end(harness, run);
    }
}

/// Runs what is due and gives the names of the Jobs that were asked about, and what was known of their queue then.
fn asked(harness: &mut Harness) -> Vec<(String, u32)> {
    let mut asked = Vec::new();
    while let Some(run) = harness.next_run() {
        asked.extend(question(&run).map(|question| (question.owner, question.in_queue.running)));
        end(harness, run);
    }
    harness.take_notices();
    asked
}

fn end(harness: &mut Harness, run: Run) {
    let run = run.asked();
    let plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
    harness.machine.handle_run(harness.now(), run.id, plan);
}

fn at(owner: &str, running: u32) -> (String, u32) {
    (format!("default/{owner}"), running)
}

fn forbidden() -> ApiStatus {
    ApiStatus { code: 403, ..ApiStatus::default() }
}

fn names(starts: &[(String, Request)]) -> Vec<&str> {
    starts.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn of_two_jobs_that_are_due_one_takes_the_last_place() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    let now = harness.now();
    assert!(harness.machine.poll_run(now, Lane::BuiltIn).is_none(), "they wait for the lane of plugins");
    let first = harness.machine.poll_run(now, Lane::Plugins).expect("the first");
    assert!(
        harness.machine.poll_run(now, Lane::Plugins).is_none(),
        "while a question is out nobody else is asked"
    );
    let of_first = question(&first).expect("a question");
    let counts = Counts { running: 0, waiting: 2, pods: 0 };
    assert_eq!((of_first.in_queue, of_first.in_namespace, of_first.parallelism), (counts, counts, 1));
    end(&mut harness, first);
    let second = harness.machine.poll_run(now, Lane::Plugins).expect("the second");
    let counts = Counts { running: 1, waiting: 1, pods: 1 };
    assert_eq!(
        question(&second).map(|question| question.in_queue),
        Some(counts),
        "the grant that is out counts"
    );
    end(&mut harness, second);
    let starts = starts(&mut harness);
    assert_eq!(names(&starts), ["a"]);
    harness.answer(&starts[0].1, written(&starts[0].1, 120));
    assert!(asked(&mut harness).is_empty(), "neither who has started nor who waits");
    assert_eq!(what(&harness.write()), "create pods");
}

#[test]
fn a_run_that_nobody_asks_for_starts_nothing() {
    let mut harness = harness(&[waiting("a")], 1);
    let run = harness.next_run().expect("a run");
    let plan = NativeEngine.reconcile(&run.snapshot, &run.policy);
    harness.machine.handle_run(harness.now(), run.id, plan);
    assert!(starts(&mut harness).is_empty());
}

#[test]
fn the_place_is_free_again_when_the_run_fails() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    let run = harness.next_run().expect("a run").asked();
    let fault = crate::engine::EngineFault::Trapped(String::new());
    harness.machine.handle_run(harness.now(), run.id, Err(fault));
    assert_eq!(asked(&mut harness), [at("b", 0)]);
    assert_eq!(names(&starts(&mut harness)), ["b"]);
    harness.pass(1_000);
    assert_eq!(asked(&mut harness), [at("a", 1)]);
}

#[test]
fn the_place_is_free_again_when_the_write_is_refused_and_whoever_waits_is_woken() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    assert_eq!(asked(&mut harness), [at("a", 0), at("b", 1)]);
    let refused = starts(&mut harness);
    assert_eq!(names(&refused), ["a"]);
    harness.refuse(&refused[0].1, forbidden());
    assert_eq!(asked(&mut harness), [at("b", 0)]);
    assert_eq!(names(&starts(&mut harness)), ["b"]);
}

#[test]
fn a_grant_holds_while_nobody_knows_whether_the_start_is_on_record() {
    for has_happened in [true, false] {
        let mut harness = harness(&[waiting("a"), waiting("b")], 1);
        asked(&mut harness);
        let lost = starts(&mut harness);
        harness.answer(&lost[0].1, Outcome::Unknown);
        harness.machine.queue.add(&key("b"), 0);
        assert_eq!(asked(&mut harness), [at("b", 1)], "a may have started");
        let read = harness.request(Flow::Read).expect("a read settles it");
        if has_happened {
            harness.answer(&read, written(&lost[0].1, 120));
            assert!(asked(&mut harness).is_empty());
        } else {
            harness.answer(&read, Outcome::Done(Some(waiting("a"))));
            let asked = asked(&mut harness);
            assert_eq!(asked, [at("a", 0), at("b", 1)], "the first in line once more");
        }
        harness.machine.queue.add(&key("b"), 0);
        assert_eq!(asked(&mut harness), [at("b", 1)]);
    }
}

#[test]
fn whoever_waits_is_asked_as_soon_as_a_place_is_free_the_oldest_first() {
    let running = asked_about("z", 7, "", "", STARTED);
    let mut harness = harness(&[running, waiting("b"), waiting("a"), waiting("c")], 1);
    assert_eq!(asked(&mut harness), [at("a", 1), at("b", 1), at("c", 1)]);
    assert!(starts(&mut harness).is_empty());
    harness.watched(asked_about("z", 108, "", "", COMPLETE));
    assert_eq!(asked(&mut harness), [at("a", 0), at("b", 1), at("c", 1)]);
    assert_eq!(names(&starts(&mut harness)), ["a"]);
}

#[test]
fn a_place_that_becomes_free_while_the_question_is_out_is_not_missed() {
    let running = asked_about("z", 7, "", "", STARTED);
    let mut harness = harness(&[running, waiting("a")], 1);
    let run = next_question(&mut harness);
    harness.watched(asked_about("z", 108, "", "", COMPLETE));
    assert_eq!(question(&run).map(|question| question.in_queue.running), Some(1));
    end(&mut harness, run);
    assert_eq!(asked(&mut harness), [at("a", 0)]);
}

#[test]
fn a_job_that_waits_blocks_nobody_behind_it() {
    let web = |name: &str| asked_about(name, 7, r#","policy.windlass.dev/queue":"web""#, "", "");
    let stuck = asked_about("a", 7, r#","policy.windlass.dev/depends-on":"never""#, "", "");
    let mut harness = harness(&[stuck, web("b"), waiting("c"), web("d")], 1);
    assert_eq!(asked(&mut harness), [at("a", 0), at("b", 0), at("c", 0), at("d", 1)]);
    assert_eq!(names(&starts(&mut harness)), ["b", "c"]);
    harness.pass(u64::from(ASK_AGAIN_MS));
    assert_eq!(asked(&mut harness), [at("a", 1), at("d", 1)], "asked again after the wait that it wanted");
}

#[test]
fn a_job_starts_as_soon_as_what_it_waits_for_is_complete() {
    let second = asked_about("second", 7, r#","policy.windlass.dev/depends-on":"first""#, "", "");
    let mut harness = harness(&[job("first", 7, "", "", STARTED), second], 9);
    let run = next_question(&mut harness);
    let states: Vec<_> = question(&run).expect("a question").dependencies;
    assert_eq!((states[0].owner.as_str(), states[0].state.as_str()), ("default/first", "running"));
    end(&mut harness, run);
    harness.watched(job("first", 108, "", "", COMPLETE));
    assert_eq!(asked(&mut harness), [at("second", 0)]);
    assert_eq!(names(&starts(&mut harness)), ["second"]);
}

#[test]
fn a_job_that_waits_for_too_many_is_told_so_and_not_asked_about() {
    let many: Vec<String> = (0..65).map(|number| format!("j{number}")).collect();
    let depends = format!(r#","policy.windlass.dev/depends-on":"{}""#, many.join(","));
    let mut harness = harness(&[asked_about("a", 7, &depends, "", "")], 1);
    assert!(asked(&mut harness).is_empty() && starts(&mut harness).is_empty());
    let event = harness.request(Flow::Event).expect("an Event");
    let Operation::RecordEvent(event) = &event.operation else { panic!("no Event") };
    assert_eq!(&*event.reason, "PolicyWaits");
    assert!(event.message.contains("more than 64 Jobs"), "{}", event.message);
}

#[test]
fn a_plugin_that_fails_lets_the_job_start_wait_or_fail_as_its_author_says() {
    for (word, conditions) in [("BuiltIn", 0), ("Hold", 0), ("Fail", 1)] {
        let mode = format!(r#","policy.windlass.dev/admission-on-failure":"{word}""#);
        let mut harness = Harness::new(vec![asked_about("a", 7, &mode, "", "")], Vec::new());
        let now = harness.now();
        harness.machine.handle_command(now, gate(1, None));
        assert_eq!(asked(&mut harness), [at("a", 0)]);
        let request = harness.request(Flow::Write);
        let written = request.as_ref().map(|request| match &request.operation {
            Operation::WriteJobStatus(job) => job.status.conditions.clone(),
            other => panic!("{word}: {other:?}"),
        });
        assert_eq!(written.is_some(), word != "Hold", "{word}");
        let failed = written.unwrap_or_default();
        assert_eq!(failed.iter().filter(|one| &*one.reason == "PolicyStopped").count(), conditions, "{word}");
        if word == "Hold" {
            harness.pass(u64::from(HOLD_MS));
            assert_eq!(asked(&mut harness), [at("a", 0)], "asked again");
        }
    }
}

#[test]
fn a_plugin_in_quarantine_holds_whoever_wants_to_wait_for_it() {
    let mode = r#","policy.windlass.dev/admission-on-failure":"Hold""#;
    let mut harness = Harness::new(vec![asked_about("a", 7, mode, "", "")], Vec::new());
    let now = harness.now();
    harness.machine.handle_command(now, gate(1, None));
    for _ in 0..FAILURES_IN_A_ROW + 2 {
        harness.machine.queue.add(&key("a"), 0);
        asked(&mut harness);
    }
    let quarantined = |notice: &Notice| matches!(notice, Notice::PluginQuarantined { .. });
    assert_eq!(harness.notices.iter().filter(|notice| quarantined(notice)).count(), 1);
    assert!(starts(&mut harness).is_empty());
    let now = harness.now();
    harness.machine.handle_command(now, gate(2, Some(1)));
    assert_eq!(asked(&mut harness), [at("a", 0)], "another version is asked at once");
    assert_eq!(names(&starts(&mut harness)), ["a"]);
}

#[test]
fn a_grant_outlives_the_plugin_that_gave_it() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    asked(&mut harness);
    let started = starts(&mut harness);
    let now = harness.now();
    harness.machine.handle_command(now, gate(2, Some(1)));
    assert_eq!(asked(&mut harness), [at("b", 1)], "a is in the middle of its start");
    harness.answer(&started[0].1, written(&started[0].1, 120));
    harness.machine.queue.add(&key("b"), 0);
    assert_eq!(asked(&mut harness), [at("b", 1)]);
}

#[test]
fn who_has_started_is_not_asked_again_until_resumed() {
    let mut harness = harness(&[asked_about("a", 7, "", "", STARTED)], 1);
    let now = harness.now();
    let run = harness.machine.poll_run(now, Lane::BuiltIn).expect("no plugin has a say any more");
    assert!(question(&run).is_none());
    end(&mut harness, run);
    let create = harness.write();
    harness.answer(&create, created(&create, 115));
    let status = harness.write();
    harness.answer(&status, written(&status, 116));
    let suspended = r#""conditions":[{"type":"Suspended","status":"True","reason":"JobSuspended",
        "lastTransitionTime":"2026-01-01T00:00:00Z"}]"#;
    harness.watched(asked_about("a", 120, "", r#","suspend":true"#, suspended));
    assert!(asked(&mut harness).is_empty(), "a suspended Job is suspended, whoever is bound");
    while let Some(request) = harness.request(Flow::Write) {
        harness.refuse(&request, forbidden());
    }
    harness.watched(asked_about("a", 121, "", "", suspended));
    harness.pass(60_000);
    assert_eq!(asked(&mut harness), [at("a", 0)]);
}

#[test]
fn a_job_that_is_deleted_while_it_waits_is_neither_asked_about_nor_started() {
    let mut harness = harness(&[asked_about("z", 7, "", "", STARTED), waiting("a")], 1);
    assert_eq!(asked(&mut harness), [at("a", 1)]);
    let leaving = r#","annotations":{"policy.windlass.dev/admission":"gate"},
        "deletionTimestamp":"2026-01-01T00:00:01Z","finalizers":["foregroundDeletion"]"#;
    harness.watched(job("a", 109, leaving, "", ""));
    assert!(asked(&mut harness).is_empty());
    while let Some(request) = harness.request(Flow::Write) {
        assert_ne!(what(&request), "update jobs/status", "{request:?}");
    }
}

#[test]
fn a_shutdown_waits_for_nobody_who_has_lined_up() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    let now = harness.now();
    let run = harness.next_run().expect("a question is out");
    harness.machine.handle_command(now, Command::Shutdown);
    end(&mut harness, run);
    assert!(harness.next_run().is_none());
    assert!(harness.machine.is_drained() && harness.machine.queue().is_empty());
}

#[test]
fn nothing_is_granted_before_the_caches_are_synced_and_the_next_term_counts_anew() {
    let mut harness = harness(&[waiting("a"), waiting("b")], 1);
    asked(&mut harness);
    let started = starts(&mut harness);
    let now = harness.now();
    harness.machine.handle_command(now, Command::Lead(Term(2)));
    assert!(harness.next_run().is_none());
    let Outcome::Done(Some(a)) = written(&started[0].1, 120) else { panic!("the start was stored") };
    harness.list(&[a, waiting("b")], &[], 130);
    assert_eq!(asked(&mut harness), [at("b", 1)], "the start is on record");
}
