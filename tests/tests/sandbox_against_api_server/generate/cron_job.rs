//! Random CronJobs, changes of them, and writes of their status.

use serde_json::{Value, json};

use super::Generator;
use crate::request::Edit;

const SCHEDULES: [&str; 9] = [
    "0 3 * * *",
    "*/5 * * * *",
    "30 6-16/4 * * 1-5",
    "0 0 31 2 *",
    "15,45 * ? jan,JUL sun",
    "@hourly",
    "@every 90s",
    "@every 1h30m",
    "  7  *  *  *  *  ",
];
const BAD_SCHEDULES: [&str; 16] = [
    "",
    "   ",
    "TZ=UTC 0 3 * * *",
    "CRON_TZ=Europe/Vienna 0 3 * * *",
    "TZ=Nowhere/Land 0 3 * * *",
    "TZ=0",
    "0 3 * *",
    "0 0 3 * * *",
    "60 3 * * *",
    "0 3 0 * *",
    "5-1 3 * * *",
    "*/0 3 * * *",
    "a 3 * * *",
    "0 3 * * 7",
    "@never",
    "@every day",
];
const ZONES: [&str; 4] = ["Europe/Vienna", "UTC", "Etc/GMT+5", "America/Argentina/ComodRivadavia"];
const BAD_ZONES: [&str; 12] = [
    "Nowhere/Land",
    "europe/vienna",
    "local",
    "",
    "Local",
    "../UTC",
    "Europe//Vienna",
    "/UTC",
    "-UTC",
    "Much-too-long-a-part/UTC",
    "Europe/Wien Mitte",
    "Zürich",
];

impl Generator {
    pub(super) fn cron_job(&mut self, mut metadata: Value) -> Value {
        if self.dice.one_in(20) {
            metadata["name"] = json!("n".repeat(*self.dice.choose(&[52, 53, 64, 254])));
        }
        let mut template = json!({ "spec": self.job_spec() });
        let template_metadata = [
            json!({ "labels": { "app": "x" }, "annotations": { "note": "y" } }),
            json!({ "name": "of-template", "namespace": "elsewhere", "finalizers": ["a/b/c"] }),
            json!({ "labels": { "bad key": "bad value" } }),
        ];
        self.maybe(&mut template, "metadata", &template_metadata, 3);
        let schedule = if self.dice.one_in(10) {
            *self.dice.choose(&BAD_SCHEDULES)
        } else {
            *self.dice.choose(&SCHEDULES)
        };
        let mut spec = json!({ "schedule": schedule, "jobTemplate": template });
        if self.dice.one_in(3) {
            let zones: &[&str] = if self.dice.one_in(4) { &BAD_ZONES } else { &ZONES };
            spec["timeZone"] = json!(*self.dice.choose(zones));
        }
        let numbers = [json!(0), json!(5), json!(-1)];
        for field in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            self.maybe(&mut spec, field, &numbers, 2);
        }
        let policies = [json!("Forbid"), json!("Replace"), json!("Allow"), json!(""), json!("Odd")];
        self.maybe(&mut spec, "concurrencyPolicy", &policies, 4);
        self.maybe(&mut spec, "suspend", &[json!(true), json!(false)], 2);
        for field in ["schedule", "jobTemplate"] {
            if self.dice.one_in(40) {
                spec.as_object_mut().map(|fields| fields.remove(field));
            }
        }
        json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec })
    }

    pub(super) fn cron_job_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(4) {
            return self.metadata_edit();
        }
        let field = |name: &str, value: &str| vec![(format!("/spec/{name}"), Some(json!(value)))];
        match self.dice.below(9) {
            0 | 1 => return field("schedule", self.dice.choose::<&str>(&SCHEDULES)),
            2 => return field("schedule", self.dice.choose::<&str>(&BAD_SCHEDULES)),
            3 => return field("timeZone", self.dice.choose::<&str>(&ZONES)),
            4 => return field("timeZone", self.dice.choose::<&str>(&BAD_ZONES)),
            _ => {}
        }
        let job = "/spec/jobTemplate/spec";
        let in_job = |path: &str, value: Value| (format!("{job}{path}"), Some(value));
        let edits = [
            ("/spec/timeZone".to_owned(), None),
            ("/spec/suspend".to_owned(), Some(json!(true))),
            ("/spec/suspend".to_owned(), Some(json!(false))),
            ("/spec/suspend".to_owned(), None),
            ("/spec/startingDeadlineSeconds".to_owned(), Some(json!(30))),
            ("/spec/startingDeadlineSeconds".to_owned(), Some(json!(-30))),
            ("/spec/startingDeadlineSeconds".to_owned(), None),
            ("/spec/concurrencyPolicy".to_owned(), Some(json!("Forbid"))),
            ("/spec/concurrencyPolicy".to_owned(), Some(json!("Odd"))),
            ("/spec/concurrencyPolicy".to_owned(), None),
            ("/spec/successfulJobsHistoryLimit".to_owned(), Some(json!(0))),
            ("/spec/successfulJobsHistoryLimit".to_owned(), None),
            ("/spec/failedJobsHistoryLimit".to_owned(), Some(json!(-2))),
            ("/spec/failedJobsHistoryLimit".to_owned(), None),
            ("/spec/jobTemplate/metadata/labels/colour".to_owned(), Some(json!("red"))),
            ("/spec/jobTemplate/metadata/generateName".to_owned(), Some(json!("x-"))),
            ("/status/lastScheduleTime".to_owned(), Some(json!("2026-01-01T00:00:00Z"))),
            in_job("/parallelism", json!(4)),
            in_job("/parallelism", json!(-4)),
            in_job("/completionMode", json!("Indexed")),
            in_job("/manualSelector", json!(true)),
            in_job("/selector", json!({ "matchLabels": { "a": "b" } })),
            in_job("/template/spec/containers/0/image", json!("other:2")),
            in_job("/template/spec/restartPolicy", json!("OnFailure")),
            in_job("/template/spec/restartPolicy", json!("Always")),
            in_job("/template/metadata/labels/bad key", json!("red")),
            in_job("/managedBy", json!("example.com/y")),
        ];
        vec![self.dice.choose(&edits).clone()]
    }

    pub(super) fn cron_job_status_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(5) {
            return self.metadata_edit();
        }
        let whole = json!({
            "kind": "Job", "namespace": "elsewhere", "name": "a-1", "uid": "u-1", "apiVersion": "batch/v1",
            "resourceVersion": "not a number", "fieldPath": "spec.containers{main}",
        });
        let plain = json!({ "kind": "Job", "name": "a-2", "uid": "u-2" });
        self.one(&[
            ("/status/active", Some(json!([whole]))),
            ("/status/active", Some(json!([whole, plain]))),
            ("/status/active", Some(json!([plain, plain]))),
            ("/status/active", Some(json!([{}]))),
            ("/status/active", Some(json!([]))),
            ("/status/active", None),
            ("/status/lastScheduleTime", Some(json!("2026-01-01T03:00:00Z"))),
            ("/status/lastScheduleTime", Some(json!("2020-01-01T03:00:00+01:00"))),
            ("/status/lastScheduleTime", None),
            ("/status/lastSuccessfulTime", Some(json!("2026-01-01T03:00:09Z"))),
            ("/status/lastSuccessfulTime", None),
            ("/status", None),
            ("/spec/suspend", Some(json!(true))),
            ("/spec/schedule", Some(json!("5 4 * * *"))),
        ])
    }
}
