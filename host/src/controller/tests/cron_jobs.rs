//! CronJobs: what refusals and odd statuses do to their runs.

use std::sync::Arc;

use windlass_core::kube::{ApiStatus, CronJob, Object, ResourceVersion};

use super::{COMPLETE, Harness, job, what};
use crate::request::{Flow, Operation, Outcome, Request};

/// A CronJob named `tick` that was made at the instant zero, from the text of its other fields.
fn cron_job(version: u64, spec: &str, status: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"tick","namespace":"default","uid":"uid-tick","resourceVersion":"{version}",
            "creationTimestamp":"2026-01-01T00:00:00Z","generation":1}},
            "spec":{{"schedule":"* * * * *","concurrencyPolicy":"Allow","jobTemplate":{{}}{spec}}},
            "status":{{{status}}}}}"#
    );
    Object::CronJob(Arc::new(serde_json::from_str::<CronJob>(&text).expect("a CronJob")))
}

/// The status that a request writes, as the server answers and the watch shows.
fn write_status(harness: &mut Harness, request: &Request, version: u64) {
    let Operation::WriteCronJobStatus(written) = &request.operation else { panic!("{request:?}") };
    let mut written = CronJob::clone(written);
    written.metadata.resource_version = ResourceVersion(version);
    let written = Object::CronJob(Arc::new(written));
    harness.answer(request, Outcome::Done(Some(written.clone())));
    harness.watched(written);
}

#[test]
fn a_history_that_cannot_be_deleted_makes_no_run_late() {
    let owner = r#","ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tick","uid":"uid-tick","controller":true}]"#;
    let old = job("tick-by-hand", 60, owner, "", COMPLETE);
    let mut harness = Harness::new(vec![old], Vec::new());
    let by_others = r#","managedBy":"example.com/other""#;
    let spec = r#","startingDeadlineSeconds":5,"successfulJobsHistoryLimit":0"#;
    let status = r#""lastScheduleTime":"2026-01-01T00:16:00Z","lastSuccessfulTime":"2026-01-01T00:00:00Z""#;
    harness.watched(cron_job(200, spec, status));
    let (mut runs, mut refused, mut version) = (0, 0, 200);
    // Ten minutes, a second at a time: the deadline would pass in a longer wait.
    for _ in 0..600 {
        harness.run();
        while let Some(request) = harness.request(Flow::Write) {
            version += 1;
            match what(&request) {
                "create jobs" => {
                    runs += 1;
                    let Operation::CreateJob(manifest) = &request.operation else { panic!("{request:?}") };
                    let Object::Job(mut made) = job(&manifest.metadata.name, version, owner, by_others, "")
                    else {
                        panic!("not a Job")
                    };
                    Arc::make_mut(&mut made).metadata.annotations = manifest.metadata.annotations.clone();
                    harness.answer(&request, Outcome::Done(Some(Object::Job(made))));
                }
                "update cronjobs/status" => write_status(&mut harness, &request, version),
                "delete jobs" => {
                    refused += 1;
                    harness
                        .refuse(&request, ApiStatus::new(403, "Forbidden", "a webhook says no".to_owned()));
                }
                other => panic!("{other}"),
            }
        }
        harness.pass(1_000);
    }
    assert_eq!(runs, 10);
    assert!(refused > 5, "{refused}");
}

#[test]
fn what_can_be_no_name_is_not_asked_for_and_leaves_the_list() {
    let mut harness = Harness::new(Vec::new(), Vec::new());
    let status = r#""lastScheduleTime":"2026-01-01T00:16:00Z","active":[{"name":"","uid":"a"},
        {"name":"../secrets/token","uid":"b"},{"name":"x?watch=1","uid":"c"},{"name":"..","uid":"d"},{"name":"real","uid":"e"}]"#;
    harness.watched(cron_job(200, "", status));
    harness.run();
    let read = harness.request(Flow::Read).expect("one has a name");
    let Operation::Get { name, .. } = &read.operation else { panic!("{read:?}") };
    assert_eq!(&**name, "real");
    assert!(harness.request(Flow::Read).is_none());
    harness.refuse(&read, ApiStatus::new(404, "NotFound", "gone".to_owned()));
    harness.run();
    let write = harness.write();
    let Operation::WriteCronJobStatus(written) = &write.operation else { panic!("{write:?}") };
    assert!(written.status.active.is_empty(), "{:?}", written.status.active);
}

#[test]
fn another_of_the_same_name_is_told_what_its_predecessor_was_told() {
    let mut harness = Harness::new(Vec::new(), Vec::new());
    let told = |harness: &mut Harness| {
        harness.run();
        let event = harness.request(Flow::Event);
        event.map(|request| what(&request))
    };
    let wrong = r#","timeZone":"Nowhere/Land""#;
    harness.watched(cron_job(200, wrong, ""));
    assert_eq!(told(&mut harness), Some("create events"));
    let Object::CronJob(mut next) = cron_job(300, wrong, "") else { panic!("not a CronJob") };
    Arc::make_mut(&mut next).metadata.uid = "uid-of-the-next".into();
    harness.watched(Object::CronJob(next));
    assert_eq!(told(&mut harness), Some("create events"));
}
