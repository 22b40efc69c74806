//! Random requests: mostly such that they are granted, some such that one rule or another refuses them.

mod cron_job;

use serde_json::{Value, json};
use windlass_core::kube::Kind;

use crate::dice::Dice;
use crate::request::{Change, Edit, Request, Sent};

/// Names of objects; few, so that requests meet.
const NAMES: [&str; 4] = ["a", "b", "c", "dotted.name"];
const FINALIZERS: [&str; 3] = ["example.com/hold", "batch.kubernetes.io/job-tracking", "example.com/other"];
const OWNERS: [&str; 2] = ["aaaaaaaa-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000002"];

/// Where requests come from.
pub(crate) trait Source {
    /// The next request.
    fn next(&mut self) -> Request;

    /// Takes note of an object that was created, so that requests meet it.
    fn note_created(&mut self, kind: Kind, name: String);
}

/// A source of requests of every sort, about objects of some kinds.
pub(crate) struct Generator {
    dice: Dice,
    kinds: &'static [Kind],
    /// Objects that were created, oldest first; some are gone again.
    created: Vec<(Kind, String)>,
}

/// How many of the objects created last most requests are about.
const RECENT: usize = 5;

impl Source for Generator {
    fn next(&mut self) -> Request {
        let mut kind = *self.dice.choose(self.kinds);
        let mut name = (*self.dice.choose(&NAMES)).to_owned();
        let what = self.dice.below(12);
        if what > 3 && !self.created.is_empty() && !self.dice.one_in(12) {
            let recent = self.created.len().saturating_sub(RECENT);
            (kind, name) = self.dice.choose(&self.created[recent..]).clone();
        }
        match what {
            0..=3 => Request::Create(kind, self.body(kind, &name)),
            4 => Request::Get(kind, name),
            5 | 6 => self.update(kind, name, false),
            7 | 8 => self.update(kind, name, true),
            9 => self.delete(kind, name),
            _ => {
                let change = self.change();
                Request::Patch { kind, name, change, uid: self.sent(), version: self.sent() }
            }
        }
    }

    fn note_created(&mut self, kind: Kind, name: String) {
        self.created.retain(|known| *known != (kind, name.clone()));
        self.created.push((kind, name));
    }
}

impl Generator {
    pub(crate) fn new(seed: u64, kinds: &'static [Kind]) -> Self {
        Self { dice: Dice::new(seed), kinds, created: Vec::new() }
    }

    fn sent(&mut self) -> Sent {
        match self.dice.below(10) {
            0 => Sent::Wrong,
            1..=4 => Sent::Not,
            _ => Sent::Right,
        }
    }

    fn body(&mut self, kind: Kind, name: &str) -> Value {
        let metadata = self.metadata(name);
        match kind {
            Kind::CronJob => self.cron_job(metadata),
            Kind::Job => json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": self.job_spec(),
            }),
            Kind::Pod | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision => {
                let policy = *self.dice.choose(&["Always", "OnFailure", "Never"]);
                json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.pod_spec(policy) })
            }
        }
    }

    fn metadata(&mut self, name: &str) -> Value {
        let mut metadata = json!({ "name": name });
        if self.dice.one_in(12) {
            metadata = json!({ "generateName": "made-" });
        }
        let labels = [
            json!({ "app": "x" }),
            json!({ "example.com/tier": "" }),
            json!({ "bad key": "x" }),
            json!({ "k": "bad value" }),
        ];
        let annotations =
            [json!({ "note": "some text" }), json!({ "Example.com/UPPER": "x" }), json!({ "a/b/c": "x" })];
        let owner = |uid: &str, controller: bool| json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "owner", "uid": uid, "controller": controller });
        let owners = [
            json!([owner(OWNERS[0], true)]),
            json!([owner(OWNERS[0], false), owner(OWNERS[1], true)]),
            json!([owner(OWNERS[0], true), owner(OWNERS[1], true)]),
            json!([{ "apiVersion": "v1", "kind": "", "name": "", "uid": "" }]),
        ];
        let finalizers = [
            json!([FINALIZERS[0]]),
            json!([FINALIZERS[0], FINALIZERS[1]]),
            json!(["orphan"]),
            json!(["foregroundDeletion"]),
            json!(["orphan", "foregroundDeletion"]),
            json!(["not qualified/x/y"]),
        ];
        self.maybe(&mut metadata, "labels", &labels, 2);
        self.maybe(&mut metadata, "annotations", &annotations, 2);
        self.maybe(&mut metadata, "ownerReferences", &owners, 2);
        self.maybe(&mut metadata, "finalizers", &finalizers, 2);
        if self.dice.one_in(30) {
            metadata["name"] = json!(*self.dice.choose(&["Upper", "-dash", "x_y", ""]));
        }
        if self.dice.one_in(20) {
            metadata["uid"] = json!(OWNERS[0]);
            metadata["deletionGracePeriodSeconds"] = json!(5);
        }
        if self.dice.one_in(25) {
            metadata["resourceVersion"] = json!("7");
        }
        metadata
    }

    /// Sets a field now and then, to one of the first `good` values mostly.
    fn maybe(&mut self, object: &mut Value, field: &str, values: &[Value], good: usize) {
        if !self.dice.one_in(4) {
            return;
        }
        let values = if self.dice.one_in(5) { values } else { &values[..good.min(values.len())] };
        object[field] = self.dice.choose(values).clone();
    }

    fn job_spec(&mut self) -> Value {
        let numbers = |list: &[i64]| list.iter().map(|number| json!(number)).collect::<Vec<_>>();
        let policy = match self.dice.below(12) {
            0 => "Always",
            1 => "Odd",
            2..=4 => "OnFailure",
            _ => "Never",
        };
        let mut template = json!({ "spec": self.pod_spec(policy) });
        if self.dice.one_in(4) {
            template["metadata"] = json!({ "labels": { "app": "x" }, "annotations": { "note": "y" } });
        }
        if self.dice.one_in(25) {
            template["metadata"] = json!({ "labels": { "job-name": "another" } });
        }
        if self.dice.one_in(25) {
            template["metadata"] =
                json!({ "labels": { "bad key": "x" }, "annotations": { "also bad": "x" } });
        }
        let mut spec = json!({ "template": template });
        self.maybe(&mut spec, "parallelism", &numbers(&[2, 0, 5, 100_001, -1]), 3);
        self.maybe(&mut spec, "completions", &numbers(&[5, 3, 0, 100_001, -1]), 3);
        self.maybe(&mut spec, "backoffLimit", &numbers(&[0, 4, -1]), 2);
        self.maybe(&mut spec, "activeDeadlineSeconds", &numbers(&[100, 0, -1]), 2);
        self.maybe(&mut spec, "ttlSecondsAfterFinished", &numbers(&[0, 60, -1]), 2);
        self.maybe(&mut spec, "suspend", &[json!(true), json!(false)], 2);
        if self.dice.one_in(2) {
            spec["completionMode"] = json!("Indexed");
            if !self.dice.one_in(8) {
                spec["completions"] = json!(5);
            }
            self.maybe(&mut spec, "backoffLimitPerIndex", &numbers(&[1, 0, -1]), 2);
            self.maybe(&mut spec, "successPolicy", &success_policies(), 2);
        }
        if spec.get("successPolicy").is_some() && spec.get("completions").is_none() {
            // The API server's validation panics on a success policy without completions, and drops the connection.
            spec["completions"] = json!(5);
        }
        self.maybe(
            &mut spec,
            "podReplacementPolicy",
            &[json!("Failed"), json!("TerminatingOrFailed"), json!("Odd")],
            2,
        );
        if self.dice.one_in(3) {
            self.maybe(&mut spec, "podFailurePolicy", &failure_policies(), 2);
            self.maybe(
                &mut spec,
                "managedBy",
                &[json!("example.com/x"), json!("x"), json!("UPPER/x"), json!("")],
                1,
            );
            self.maybe(&mut spec, "maxFailedIndexes", &numbers(&[2, 7, -1, 100_001]), 1);
            self.maybe(&mut spec, "completionMode", &[json!("NonIndexed"), json!("Odd")], 1);
        }
        if self.dice.one_in(12) {
            spec["manualSelector"] = json!(true);
            self.maybe(&mut spec, "selector", &selectors(), 1);
        } else if self.dice.one_in(25) {
            spec["selector"] = self.dice.choose(&selectors()).clone();
        }
        spec
    }

    fn pod_spec(&mut self, policy: &str) -> Value {
        let mut container =
            json!({ "name": "main", "image": *self.dice.choose(&["busybox:1", "busybox", "a/b@sha256:00"]) });
        self.maybe(&mut container, "env", &[json!([{ "name": "X", "value": "1" }, { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]), json!([{ "name": "" }])], 1);
        self.maybe(
            &mut container,
            "resources",
            &[json!({ "requests": { "cpu": "1" } }), json!({ "limits": { "cpu": "1", "memory": "1Gi" } })],
            2,
        );
        self.maybe(&mut container, "ports", &[json!([{ "containerPort": 80 }])], 1);
        self.maybe(&mut container, "imagePullPolicy", &[json!("Never"), json!("Odd")], 1);
        let mut spec = json!({ "restartPolicy": policy, "containers": [container] });
        if self.dice.one_in(6) {
            spec["containers"] =
                json!([{ "name": "main", "image": "x:1" }, { "name": "side", "image": "y:2" }]);
        }
        let bad = [
            json!([]),
            json!([{ "name": "main", "image": "x" }, { "name": "main", "image": "y" }]),
            json!([{ "name": "Main", "image": "x" }]),
            json!([{ "name": "", "image": "x" }]),
            json!([{ "name": "main" }]),
        ];
        if self.dice.one_in(14) {
            spec["containers"] = self.dice.choose(&bad).clone();
        }
        self.maybe(
            &mut spec,
            "initContainers",
            &[json!([{ "name": "init", "image": "x:1" }]), json!([{ "name": "main", "image": "x:1" }])],
            1,
        );
        self.maybe(&mut spec, "terminationGracePeriodSeconds", &[json!(5), json!(0)], 2);
        self.maybe(&mut spec, "volumes", &volumes(), 4);
        self.maybe(&mut spec, "nodeSelector", &[json!({ "disk": "ssd" }), json!({ "bad key": "x" })], 1);
        self.maybe(&mut spec, "tolerations", &[json!([{ "key": "a", "operator": "Exists" }])], 1);
        self.maybe(&mut spec, "nodeName", &[json!("node-0")], 1);
        self.maybe(&mut spec, "activeDeadlineSeconds", &[json!(10), json!(0)], 1);
        self.maybe(&mut spec, "dnsPolicy", &[json!("Default"), json!("Odd")], 1);
        if self.dice.one_in(12) {
            spec.as_object_mut().map(|fields| fields.remove("restartPolicy"));
        }
        spec
    }

    fn update(&mut self, kind: Kind, name: String, status: bool) -> Request {
        let mut edits: Vec<Edit> = Vec::new();
        for _ in 0..=self.dice.below(3) {
            edits.extend(match (kind, status) {
                (Kind::CronJob, true) => self.cron_job_status_edits(),
                (Kind::CronJob, false) => self.cron_job_edits(),
                (Kind::Job, true) => self.job_status_edits(),
                (Kind::Pod | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision, true) => {
                    self.pod_status_edits()
                }
                (Kind::Job, false) => self.job_edits(),
                (Kind::Pod | Kind::Node | Kind::DaemonSet | Kind::ControllerRevision, false) => {
                    self.pod_edits()
                }
            });
        }
        Request::Update { kind, name, status, edits, uid: self.sent(), version: self.sent() }
    }

    fn one(&mut self, choices: &[(&str, Option<Value>)]) -> Vec<Edit> {
        let (path, value) = self.dice.choose(choices);
        vec![((*path).to_owned(), value.clone())]
    }

    fn metadata_edit(&mut self) -> Vec<Edit> {
        self.one(&[
            ("/metadata/labels/colour", Some(json!("red"))),
            ("/metadata/labels/colour", None),
            ("/metadata/labels", None),
            ("/metadata/annotations/note", Some(json!("other"))),
            ("/metadata/annotations/note", None),
            ("/metadata/labels/bad key", Some(json!("red"))),
            ("/metadata/finalizers", Some(json!([FINALIZERS[0]]))),
            ("/metadata/finalizers", None),
            ("/metadata/generation", Some(json!(77))),
            ("/metadata/ownerReferences", None),
            ("/metadata/creationTimestamp", Some(json!("2020-01-01T00:00:00Z"))),
        ])
    }

    fn job_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(4) {
            return self.metadata_edit();
        }
        self.one(&[
            ("/spec/parallelism", Some(json!(4))),
            ("/spec/parallelism", Some(json!(-4))),
            ("/spec/parallelism", None),
            ("/spec/completions", Some(json!(4))),
            ("/spec/suspend", Some(json!(true))),
            ("/spec/suspend", Some(json!(false))),
            ("/spec/backoffLimit", Some(json!(9))),
            ("/spec/activeDeadlineSeconds", Some(json!(9))),
            ("/spec/ttlSecondsAfterFinished", Some(json!(9))),
            ("/spec/completionMode", Some(json!("Indexed"))),
            ("/spec/backoffLimitPerIndex", Some(json!(3))),
            ("/spec/managedBy", Some(json!("example.com/y"))),
            ("/spec/podReplacementPolicy", Some(json!("Failed"))),
            ("/spec/selector/matchLabels/app", Some(json!("x"))),
            ("/spec/template/spec/containers/0/image", Some(json!("other:2"))),
            ("/spec/template/spec/containers/0/resources", Some(json!({ "requests": { "cpu": "2" } }))),
            ("/spec/template/spec/nodeSelector", Some(json!({ "disk": "ssd" }))),
            ("/spec/template/metadata/annotations/note", Some(json!("z"))),
            ("/spec/template/metadata/labels/colour", Some(json!("red"))),
        ])
    }

    fn pod_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(2) {
            return self.metadata_edit();
        }
        self.one(&[
            ("/spec/containers/0/image", Some(json!("other:2"))),
            ("/spec/containers/0/image", Some(json!(" other:2"))),
            ("/spec/containers/0/image", None),
            ("/spec/containers/0/name", Some(json!("other"))),
            ("/spec/containers", Some(json!([{ "name": "x", "image": "y" }, { "name": "z", "image": "y" }, { "name": "w", "image": "y" }]))),
            ("/spec/activeDeadlineSeconds", Some(json!(5))),
            ("/spec/activeDeadlineSeconds", Some(json!(50))),
            ("/spec/activeDeadlineSeconds", None),
            ("/spec/nodeName", Some(json!("node-1"))),
            ("/spec/terminationGracePeriodSeconds", Some(json!(7))),
            ("/spec/restartPolicy", Some(json!("Never"))),
            ("/spec/hostname", Some(json!("host"))),
        ])
    }

    fn job_status_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(8) {
            return self.metadata_edit();
        }
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "Why", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let time = |second: u8| json!(format!("2026-01-01T00:00:{second:02}Z"));
        if self.dice.one_in(4) {
            return vec![
                ("/status/startTime".to_owned(), Some(time(1))),
                ("/status/completionTime".to_owned(), Some(time(2))),
                ("/status/succeeded".to_owned(), Some(json!(5))),
                (
                    "/status/conditions".to_owned(),
                    Some(json!([condition("SuccessCriteriaMet", "True"), condition("Complete", "True")])),
                ),
            ];
        }
        if self.dice.one_in(6) {
            return vec![
                ("/status/startTime".to_owned(), Some(time(1))),
                (
                    "/status/conditions".to_owned(),
                    Some(json!([condition("FailureTarget", "True"), condition("Failed", "True")])),
                ),
            ];
        }
        self.one(&[
            ("/status/active", Some(json!(2))),
            ("/status/active", Some(json!(-2))),
            ("/status/active", None),
            ("/status/succeeded", Some(json!(3))),
            ("/status/succeeded", Some(json!(1))),
            ("/status/failed", Some(json!(2))),
            ("/status/failed", Some(json!(1))),
            ("/status/ready", Some(json!(1))),
            ("/status/ready", Some(json!(9))),
            ("/status/terminating", Some(json!(1))),
            ("/status/startTime", Some(time(1))),
            ("/status/startTime", Some(time(9))),
            ("/status/startTime", None),
            ("/status/completionTime", Some(time(5))),
            ("/status/completionTime", Some(time(0))),
            ("/status/completionTime", None),
            ("/status/completedIndexes", Some(json!("0,2-3"))),
            ("/status/completedIndexes", Some(json!("3,1"))),
            ("/status/completedIndexes", Some(json!("0-9"))),
            ("/status/completedIndexes", Some(json!("one"))),
            ("/status/failedIndexes", Some(json!("1"))),
            ("/status/failedIndexes", Some(json!("2"))),
            ("/status/uncountedTerminatedPods", Some(json!({ "succeeded": ["u1"], "failed": ["u2"] }))),
            ("/status/uncountedTerminatedPods", Some(json!({ "succeeded": ["u1", "u1"] }))),
            ("/status/uncountedTerminatedPods", Some(json!({ "failed": [""] }))),
            ("/status/uncountedTerminatedPods", Some(json!({}))),
            ("/status/uncountedTerminatedPods", None),
            ("/status/conditions", Some(json!([condition("Suspended", "True")]))),
            ("/status/conditions", Some(json!([condition("Suspended", "False")]))),
            ("/status/conditions", Some(json!([condition("SuccessCriteriaMet", "True")]))),
            ("/status/conditions", Some(json!([condition("FailureTarget", "True")]))),
            ("/status/conditions", Some(json!([condition("Complete", "True"), condition("Failed", "True")]))),
            (
                "/status/conditions",
                Some(json!([condition("SuccessCriteriaMet", "True"), condition("FailureTarget", "True")])),
            ),
            ("/status/conditions", None),
            ("/spec/parallelism", Some(json!(50))),
        ])
    }

    fn pod_status_edits(&mut self) -> Vec<Edit> {
        if self.dice.one_in(4) {
            return self.metadata_edit();
        }
        let container = |state: Value| json!([{ "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 1, "state": state }]);
        self.one(&[
            ("/status/phase", Some(json!("Running"))),
            ("/status/phase", Some(json!("Succeeded"))),
            ("/status/phase", Some(json!("Failed"))),
            ("/status/reason", Some(json!("Evicted"))),
            ("/status/conditions", Some(json!([{ "type": "Ready", "status": "True" }]))),
            (
                "/status/conditions",
                Some(json!([{ "type": "DisruptionTarget", "status": "True", "reason": "Why" }])),
            ),
            (
                "/status/containerStatuses",
                Some(container(json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } }))),
            ),
            (
                "/status/containerStatuses",
                Some(container(json!({ "terminated": { "exitCode": 0, "reason": "Completed" } }))),
            ),
            (
                "/status/containerStatuses",
                Some(container(json!({ "terminated": { "exitCode": 1, "reason": "Error" } }))),
            ),
            ("/status/startTime", Some(json!("2026-01-01T00:00:00Z"))),
            ("/spec/nodeName", Some(json!("node-7"))),
        ])
    }

    fn change(&mut self) -> Change {
        match self.dice.below(8) {
            0 => Change::Nothing,
            1 => Change::AddFinalizer(self.dice.choose::<&'static str>(&FINALIZERS)),
            2 | 3 => Change::RemoveFinalizer(self.dice.choose::<&'static str>(&FINALIZERS)),
            4 => Change::AddOwner(self.dice.choose::<&'static str>(&OWNERS), self.dice.one_in(2)),
            5 => Change::RemoveOwner(self.dice.choose::<&'static str>(&OWNERS)),
            6 => Change::Label(
                "colour",
                *self.dice.choose(&[Some("red"), Some("blue"), None, Some("bad value")]),
            ),
            _ => Change::Annotation("note", *self.dice.choose(&[Some("x"), None])),
        }
    }

    fn delete(&mut self, kind: Kind, name: String) -> Request {
        let propagation = *self.dice.choose(&[
            None,
            Some("Background"),
            Some("Background"),
            Some("Foreground"),
            Some("Orphan"),
        ]);
        let grace_seconds = *self.dice.choose(&[None, None, Some(0), Some(3), Some(100)]);
        Request::Delete { kind, name, uid: self.sent(), version: self.sent(), grace_seconds, propagation }
    }
}

fn volumes() -> Vec<Value> {
    let item = json!({ "path": "index", "fieldRef": { "fieldPath": "metadata.labels['app']" } });
    vec![
        json!([{ "name": "scratch" }]),
        json!([{ "name": "info", "downwardAPI": { "items": [item] } }]),
        json!([{ "name": "all", "projected": { "sources": [{ "downwardAPI": { "items": [item] } }] } }]),
        json!([{ "name": "conf", "configMap": { "name": "x" } }, { "name": "key", "secret": { "secretName": "x" } }]),
    ]
}

fn selectors() -> Vec<Value> {
    vec![
        json!({ "matchLabels": { "app": "x" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "In" }] }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "Odd" }] }),
        json!({ "matchLabels": { "app": "bad value" } }),
    ]
}

fn success_policies() -> Vec<Value> {
    vec![
        json!({ "rules": [{ "succeededIndexes": "0-2", "succeededCount": 2 }] }),
        json!({ "rules": [{ "succeededCount": 1 }] }),
        json!({ "rules": [] }),
        json!({ "rules": [{}] }),
        json!({ "rules": [{ "succeededIndexes": "9", "succeededCount": 8 }] }),
    ]
}

fn failure_policies() -> Vec<Value> {
    vec![
        json!({ "rules": [{ "action": "FailJob", "onExitCodes": { "operator": "In", "values": [1, 42] } }] }),
        json!({ "rules": [{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] }] }),
        json!({ "rules": [{ "action": "FailIndex", "onExitCodes": { "operator": "NotIn", "values": [3] } }] }),
        json!({ "rules": [{ "action": "Count", "onExitCodes": { "operator": "In", "values": [0, 5, 3, 3] } }] }),
        json!({ "rules": [{ "action": "Count" }] }),
        json!({ "rules": [{ "action": "Odd", "onExitCodes": { "operator": "Odd", "values": [], "containerName": "x" } }] }),
    ]
}
