//! CronJobs: the default core, and the twin, say the same as the core compiled in.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use windlass_core::kube::{CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION, JobManifest, Object, Time};
use windlass_core::plan::{Action, ActiveJob, Plan};
use windlass_core::policy::BuiltIn;
use windlass_core::twin;
use windlass_core::view::{CronJobFlags, LiveOwner};
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::{Options, WasmEngine};
use windlass_host::engine::{Engine, Snapshot};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried, Gathered};
use windlass_tests::arbitrary::{self, CronJobScene};

#[test]
fn the_default_core_answers_for_cron_jobs_as_the_built_in_policy_does() {
    let asking = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let alone = WasmEngine::new(&super::core_file("core-default.wasm"), Options::default()).unwrap();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::cron_job_snapshot(), |snapshot| {
        let snapshot = Snapshot::CronJob(snapshot);
        let (one, two) = (super::built_in(), super::nobody());
        prop_assert_eq!(asking.reconcile(&snapshot, &one), alone.reconcile(&snapshot, &two));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_twin_agrees_about_cron_jobs_with_the_typed_path_natively_and_as_wasm() {
    let wasm = WasmEngine::embedded().expect("a core is built in: run `make core`");
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&arbitrary::cron_job_scene(), |scene| {
        let live = scene.live.iter().map(|(uid, found)| (uid.to_string(), Value::from(word(*found))));
        let request = json!({
            "apiVersion": "windlass.dev/v1alpha1", "kind": "ReconcileRequest",
            "now": Time::from_unix_seconds(arbitrary::NOW_S), "cronJob": scene.cron_job, "jobs": scene.jobs,
            "liveJobs": live.collect::<serde_json::Map<_, _>>(),
        });
        let document = twin::reconcile(&request.to_string(), |_| BuiltIn::default());
        let guest = wasm.reconcile_document(&request.to_string(), &super::built_in());
        prop_assert_eq!(&guest, &Ok(document.clone()));
        let document: Value = serde_json::from_str(&document.unwrap()).unwrap();

        let gathered = gather(&scene);
        let plan = NativeEngine.reconcile(&gathered.snapshot, &super::built_in()).unwrap();
        prop_assert_eq!(outline_of_document(&document), outline(&plan, &gathered));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

fn word(found: LiveOwner) -> &'static str {
    match found {
        LiveOwner::Alive => "Alive",
        LiveOwner::Terminating => "Terminating",
        LiveOwner::Gone => "Gone",
    }
}

/// What the host gathers of a scene from its cache.
fn gather(scene: &CronJobScene) -> Gathered {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(Object::CronJob(Arc::new(scene.cron_job.clone())), &mut changes);
    for job in &scene.jobs {
        cache.watched(Object::Job(Arc::new(job.clone())), &mut changes);
    }
    let now = Now { monotonic_ms: 0, unix_ms: arbitrary::NOW_S * 1000 };
    let carried = Carried { live_jobs: scene.live.clone(), ..Carried::default() };
    let name = Name::of(&scene.cron_job.metadata);
    snapshot::cron_job(&cache, &name, &CronJobFlags::default(), now, None, &carried).unwrap()
}

/// A plan in a few words: its steps, what each follows, and the objects that it is about.
fn outline(plan: &Plan, gathered: &Gathered) -> Vec<String> {
    let wake = plan.wake_at_ms.map(|at_ms| Time::from_unix_ms(at_ms).to_string());
    let head = format!("wake {wake:?} read {} memo {}", plan.read.is_some(), super::hexadecimal(&plan.memo));
    let cron_job = gathered.subject.cron_job().unwrap();
    let created = plan.steps.iter().position(|step| matches!(step.action, Action::CreateJobs(_)));
    let mut lines = vec![head];
    for step in &plan.steps {
        let after: Vec<String> =
            step.after.iter().map(|after| format!("{:?} {}", after.needs, after.step)).collect();
        let items: Vec<String> = match &step.action {
            Action::CreateJobs(slots) => slots
                .iter()
                .map(|slot| {
                    let name = JobManifest::name_at(&cron_job.metadata.name, slot.scheduled_s);
                    format!("create {name} {}", slot.timestamp)
                })
                .collect(),
            Action::DeleteJobs(positions) => positions
                .iter()
                .map(|position| {
                    format!("delete {} Background", gathered.jobs[*position as usize].metadata.uid)
                })
                .collect(),
            Action::WriteCronJobStatus(write) => {
                let active = write.active.iter().map(|active| match *active {
                    ActiveJob::Listed(place) => cron_job.status.active[place as usize].uid.to_string(),
                    ActiveJob::Known(position) => gathered.jobs[position as usize].metadata.uid.to_string(),
                    ActiveJob::Created(slot) => format!("of step {} item {slot}", created.unwrap()),
                });
                let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
                vec![format!(
                    "updateStatus {:?} {} {}",
                    active.collect::<Vec<_>>(),
                    time(write.last_schedule_time),
                    time(write.last_successful_time),
                )]
            }
            Action::RecordEvent(event) => {
                let kind = if event.warning { "Warning" } else { "Normal" };
                vec![format!("recordEvent {kind} {} {}", event.reason, event.message)]
            }
            other => panic!("no plan for a CronJob has {other:?}"),
        };
        lines.push(format!("after {after:?} do {items:?}"));
    }
    lines
}

/// As [`outline`], of a plan document.
fn outline_of_document(plan: &Value) -> Vec<String> {
    let wake = plan["wakeAt"].as_str().map(str::to_owned);
    let memo = plan["memo"].as_str().unwrap_or_default();
    let head = format!("wake {wake:?} read {} memo {memo}", plan["read"] == "ActiveJobs");
    super::outline_of_steps(head, plan, request_outline)
}

fn request_outline(request: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match text(&request["verb"]).as_str() {
        "create" => {
            let metadata = &request["object"]["metadata"];
            assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-of-cron");
            let timestamp = &metadata["annotations"][CRON_JOB_SCHEDULED_TIMESTAMP_ANNOTATION];
            format!("create {} {}", text(&metadata["name"]), text(timestamp))
        }
        "delete" => {
            format!("delete {} {}", text(&request["target"]["uid"]), text(&request["propagationPolicy"]))
        }
        "updateStatus" => {
            let status = &request["object"]["status"];
            let mut active: Vec<String> = status["active"]
                .as_array()
                .map(|active| active.iter().map(|link| text(&link["uid"])).collect())
                .unwrap_or_default();
            for source in request["uidsFrom"].as_array().into_iter().flatten() {
                let place = usize::try_from(source["active"].as_u64().unwrap()).unwrap();
                assert_eq!(active[place], "", "its uid is not known");
                active[place] = format!("of step {} item {}", source["step"], source["item"]);
            }
            let times = [&status["lastScheduleTime"], &status["lastSuccessfulTime"]].map(text);
            format!("updateStatus {active:?} {} {}", times[0], times[1])
        }
        "recordEvent" => format!(
            "recordEvent {} {} {}",
            text(&request["type"]),
            text(&request["reason"]),
            text(&request["message"])
        ),
        verb => panic!("no plan for a CronJob has {verb}"),
    }
}
