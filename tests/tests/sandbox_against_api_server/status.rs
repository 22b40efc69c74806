//! Random status writes of Jobs: mostly such as controllers make them, some with a field or two that break a rule.

use serde_json::{Value, json};
use windlass_core::kube::Kind;

use crate::dice::Dice;
use crate::generate::Source;
use crate::request::{Edit, Request, Sent};

/// Status writes that one Job gets before the next one is made: a Job that has ended takes few others.
const WRITES: usize = 14;

/// What the API server says where a rule of a Job's status refuses a write; each has to have been heard.
///
/// One rule is out of reach: SuccessCriteriaMet for a Job that is Complete without it, since none can become so.
pub(crate) const RULES: [&str; 28] = [
    "must be greater than or equal to 0",
    "must not be empty",
    "Duplicate value",
    "cannot set Complete=True and Failed=true conditions",
    "cannot set Complete=True and FailureTarget=true conditions",
    "cannot set completionTime when there is no Complete=True condition",
    "completionTime is required for Complete jobs",
    "must be equal to or after `startTime`",
    "cannot set Failed=True condition without the FailureTarget=true condition",
    "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    "active>0 is invalid for finished job",
    "startTime is required for finished job",
    "must be empty for finished job",
    "terminating>0 is invalid for finished job",
    "error parsing completedIndexes",
    "error parsing failedIndexes",
    "cannot set non-empty completedIndexes when non-indexed completion mode",
    "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
    "failedIndexes and completedIndexes overlap at index",
    "cannot set more ready pods than active",
    "cannot set SuccessCriteriaMet=True and Failed=true conditions",
    "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
    "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
    "cannot disable the terminal",
    "cannot disable the SuccessCriteriaMet=True condition",
    "cannot decrease the failed counter",
    "cannot decrease the succeeded counter",
    "field is immutable for unsuspended job once set",
];

/// A source of Jobs and of writes of their status.
pub(crate) struct StatusWrites {
    dice: Dice,
    jobs: usize,
    left: usize,
}

impl Source for StatusWrites {
    fn next(&mut self) -> Request {
        if self.left == 0 {
            self.jobs += 1;
            self.left = WRITES;
            return Request::Create(Kind::Job, self.job());
        }
        self.left -= 1;
        let mut edits: Vec<Edit> = Vec::new();
        // What is not replaced stays as it was: every rule about a change has both sides.
        if !self.dice.one_in(4) {
            edits.push(("/status".to_owned(), Some(self.status())));
        }
        let breaks = *self.dice.choose(&[0, 0, 1, 1, 2]);
        for _ in 0..breaks {
            let (field, value) = self.dice.choose(&breaking()).clone();
            edits.push((format!("/status/{field}"), value));
        }
        let version = if self.dice.one_in(20) { Sent::Wrong } else { Sent::Right };
        Request::Update { kind: Kind::Job, name: self.name(), status: true, edits, uid: Sent::Not, version }
    }

    fn note_created(&mut self, _kind: Kind, _name: String) {}
}

impl StatusWrites {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), jobs: 0, left: 0 }
    }

    fn name(&self) -> String {
        format!("job-{}", self.jobs)
    }

    fn job(&mut self) -> Value {
        let mut spec = self
            .dice
            .choose(&[
                json!({ "completions": 5, "parallelism": 2 }),
                json!({ "parallelism": 2 }),
                json!({ "completions": 5, "parallelism": 5, "completionMode": "Indexed" }),
                json!({ "completions": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 1 }),
                json!({
                    "completions": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
                    "successPolicy": { "rules": [{ "succeededCount": 1 }] },
                }),
                json!({ "completions": 0, "suspend": true }),
                json!({ "completions": 5, "suspend": true }),
            ])
            .clone();
        spec["template"] = json!({ "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "busybox" }] } });
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": self.name() }, "spec": spec })
    }

    /// A status as a controller writes it, whatever the Job is like.
    fn status(&mut self) -> Value {
        let counts = *self.dice.choose(&[(1, 0), (1, 1), (3, 1), (3, 2)]);
        let mut status = json!({ "startTime": time(1), "succeeded": counts.0, "failed": counts.1 });
        match self.dice.below(9) {
            0..=2 => {
                status["active"] = json!(2);
                status["ready"] = json!(1);
                status["uncountedTerminatedPods"] = json!({ "succeeded": ["u1", "u2"], "failed": ["u3"] });
            }
            3 => {
                status["startTime"] = Value::Null;
                status["conditions"] = json!([condition("Suspended", "True")]);
            }
            4 => {
                status["startTime"] = time(6);
                status["conditions"] = json!([condition("Suspended", "False")]);
            }
            5 => {
                status["terminating"] = json!(1);
                status["conditions"] = json!([condition("SuccessCriteriaMet", "True")]);
            }
            6 => {
                status["terminating"] = json!(1);
                status["conditions"] = json!([condition("FailureTarget", "True")]);
            }
            7 => {
                status["completionTime"] = time(7);
                status["conditions"] =
                    json!([condition("SuccessCriteriaMet", "True"), condition("Complete", "True")]);
            }
            _ => {
                status["conditions"] =
                    json!([condition("FailureTarget", "True"), condition("Failed", "True")]);
            }
        }
        if self.dice.one_in(3) {
            status["completedIndexes"] = json!("0,2-3");
        }
        if self.dice.one_in(5) {
            status["failedIndexes"] = json!("1");
        }
        status
    }
}

/// Fields that break a rule, of one Job or another, in one state or another.
fn breaking() -> Vec<(&'static str, Option<Value>)> {
    let conditions = |kinds: &[&str]| {
        ("conditions", Some(kinds.iter().map(|kind| condition(kind, "True")).collect::<Value>()))
    };
    vec![
        ("active", Some(json!(3))),
        ("active", Some(json!(-1))),
        ("ready", Some(json!(4))),
        ("ready", Some(json!(-1))),
        ("terminating", Some(json!(2))),
        ("terminating", Some(json!(-2))),
        ("succeeded", Some(json!(0))),
        ("failed", Some(json!(0))),
        ("startTime", None),
        ("startTime", Some(time(9))),
        ("completionTime", None),
        ("completionTime", Some(time(0))),
        ("completionTime", Some(time(8))),
        ("completedIndexes", Some(json!("1-2"))),
        ("completedIndexes", Some(json!("0-9"))),
        ("completedIndexes", Some(json!("3,1"))),
        ("completedIndexes", Some(json!("1,,3"))),
        ("failedIndexes", Some(json!("2"))),
        ("failedIndexes", Some(json!("7"))),
        ("failedIndexes", Some(json!("x"))),
        ("failedIndexes", None),
        ("uncountedTerminatedPods", Some(json!({ "succeeded": ["u1"] }))),
        ("uncountedTerminatedPods", Some(json!({ "succeeded": ["u1"], "failed": ["u1"] }))),
        ("uncountedTerminatedPods", Some(json!({ "failed": ["", "u4"] }))),
        conditions(&["Complete"]),
        conditions(&["Failed"]),
        conditions(&["Complete", "Failed"]),
        conditions(&["SuccessCriteriaMet", "Complete", "Failed"]),
        conditions(&["FailureTarget", "Complete"]),
        conditions(&["SuccessCriteriaMet", "FailureTarget"]),
        conditions(&["SuccessCriteriaMet", "FailureTarget", "Failed"]),
        conditions(&["SuccessCriteriaMet"]),
        conditions(&[]),
        ("conditions", Some(json!([condition("Failed", "False"), condition("Complete", "Unknown")]))),
    ]
}

fn condition(kind: &str, status: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": "Why", "lastTransitionTime": time(1) })
}

fn time(second: u8) -> Value {
    json!(format!("2026-01-01T00:00:{second:02}Z"))
}
