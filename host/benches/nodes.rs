//! DaemonSets: 10,000 nodes of 20 shapes with 20 sets. What a node that joins costs over all sets, what a full pass of
//! one set costs, and what nodes and Pods take of memory.
#![allow(clippy::disallowed_types, reason = "a benchmark reads a clock")]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use windlass_core::daemon_set::revision;
use windlass_core::kube::{
    ControllerRevision, DaemonSet, DaemonTemplate, Kind, Node, Object, ObjectMeta, Pod, ResourceVersion, Str,
};
use windlass_host::Now;
use windlass_host::controller::{Command, Config, Controller, Controllers, Lane};
use windlass_host::engine::Engine;
use windlass_host::engine::native::NativeEngine;
use windlass_host::engine::wasm::WasmEngine;
use windlass_host::request::{DaemonSetOperation, Flow, Operation, Outcome, Term};
use windlass_host::watch::{StreamId, WatchBody, WatchCommand, WatchEvent};

const NODES: u64 = 10_000;
const SHAPES: u64 = 20;
const SETS: u64 = 20;
/// Nodes that join, one after the other.
const JOINS: u64 = 50;
const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_767_225_600_000 };

fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("JSON of that kind")
}

/// A node with labels as kubelets and clouds set them; its shape is its zone and one of two taints.
fn node(number: u64, version: u64) -> Arc<Node> {
    let shape = number % SHAPES;
    let taints = if shape.is_multiple_of(2) {
        ""
    } else {
        r#"{"key":"dedicated","value":"some","effect":"NoSchedule"}"#
    };
    Arc::new(read(&format!(
        r#"{{"metadata":{{"name":"node-{number:05}","uid":"node-uid-{number}","resourceVersion":"{version}",
            "labels":{{"kubernetes.io/hostname":"node-{number:05}","kubernetes.io/os":"linux","kubernetes.io/arch":"amd64",
              "topology.kubernetes.io/zone":"zone-{shape}","node.kubernetes.io/instance-type":"large"}}}},
          "spec":{{"taints":[{taints}]}}}}"#
    )))
}

/// A set that tolerates everything and asks about the zone.
fn set(number: u64) -> DaemonSet {
    read(&format!(
        r#"{{"metadata":{{"name":"set-{number}","namespace":"default","uid":"set-uid-{number}","generation":1,
            "resourceVersion":"{}","creationTimestamp":"2026-01-01T00:00:00Z"}},
          "spec":{{"selector":{{"matchLabels":{{"app":"set-{number}"}}}},
            "updateStrategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxUnavailable":"10%","maxSurge":0}}}},
            "template":{{"metadata":{{"labels":{{"app":"set-{number}"}}}},
              "spec":{{"tolerations":[{{"operator":"Exists"}}],
                "affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[
                  {{"matchExpressions":[{{"key":"topology.kubernetes.io/zone","operator":"Exists"}}]}}]}}}}}},
                "containers":[{{"name":"c","image":"i"}}]}}}}}},
          "status":{{"observedGeneration":1,"currentNumberScheduled":{NODES},"desiredNumberScheduled":{NODES},
            "numberReady":{NODES},"updatedNumberScheduled":{NODES},"numberAvailable":{NODES}}}}}"#,
        number + 1
    ))
}

/// The revision of the set's template.
fn revision_of(number: u64, set: &DaemonSet) -> (ControllerRevision, Str) {
    let template = DaemonTemplate::read(set).expect("a template");
    let name = revision::name(&set.metadata.name, &template.hash);
    let data: serde_json::Value = read(&template.data);
    let text = serde_json::json!({
        "metadata": { "name": &*name, "namespace": "default", "uid": format!("revision-uid-{number}"),
            "resourceVersion": (number + 1).to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": format!("set-{number}"), "controller-revision-hash": &*template.hash },
            "ownerReferences": [owner(number)] },
        "data": data, "revision": 1,
    });
    (read(&text.to_string()), template.hash.clone())
}

fn owner(set: u64) -> serde_json::Value {
    serde_json::json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": format!("set-{set}"),
        "uid": format!("set-uid-{set}"), "controller": true, "blockOwnerDeletion": true })
}

/// A Pod of a set for a node, in one of the three states in which watches show it: created, bound, and ready.
fn pod(set: u64, hash: &str, node: &str, name: &str, version: u64, state: u32) -> Arc<Pod> {
    let here = serde_json::json!([{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] }]);
    let text = serde_json::json!({
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}"),
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": format!("set-{set}"), "controller-revision-hash": hash, "pod-template-generation": "1" },
            "ownerReferences": [owner(set)] },
        "spec": {
            "nodeName": if state > 0 { node } else { "" },
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": here } } },
        },
        "status": if state < 2 { serde_json::json!({ "phase": "Pending" }) } else { serde_json::json!({
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }] }) },
    });
    Arc::new(read(&text.to_string()))
}

/// A machine whose caches hold what a cluster at rest has.
struct Machine {
    controller: Controller,
    streams: Vec<(Kind, StreamId)>,
    hashes: Vec<Str>,
    version: u64,
    now: Now,
    /// Processor time of snapshots, of reconciles, and of checks with what follows.
    parts: [Duration; 3],
    /// Number of the node that joined last, and how many did.
    joined: u64,
    joins: u64,
}

impl Machine {
    /// With all nodes and Pods; tells what they take of memory.
    fn at_rest() -> Self {
        let controllers = Controllers { job: false, cron_job: false, daemon_set: true };
        let mut controller = Controller::new(Config { controllers, ..Config::default() });
        controller.handle_command(NOW, Command::Lead(Term(1)));
        let mut machine = Self {
            controller,
            streams: Vec::new(),
            hashes: Vec::new(),
            version: 1_000_000,
            now: NOW,
            parts: [Duration::ZERO; 3],
            joined: 0,
            joins: 0,
        };
        let sets: Vec<DaemonSet> = (0..SETS).map(set).collect();
        let (revisions, hashes): (Vec<ControllerRevision>, Vec<Str>) =
            (0..).zip(&sets).map(|(number, set)| revision_of(number, set)).unzip();
        machine.hashes = hashes;
        while let Some(command) = machine.controller.poll_watch() {
            match command {
                WatchCommand::List { kind, stream } => {
                    let before = resident_bytes();
                    let mut count = 0;
                    match kind {
                        Kind::Node => {
                            count = NODES;
                            machine.page(kind, stream, (0..NODES).map(|n| Object::Node(node(n, n + 1))));
                        }
                        Kind::DaemonSet => machine.page(
                            kind,
                            stream,
                            sets.iter().map(|set| Object::DaemonSet(Arc::new(set.clone()))),
                        ),
                        Kind::ControllerRevision => machine.page(
                            kind,
                            stream,
                            revisions.iter().map(|one| Object::ControllerRevision(Arc::new(one.clone()))),
                        ),
                        Kind::Pod => {
                            count = NODES * SETS;
                            let hashes = machine.hashes.clone();
                            for (set, hash) in (0..SETS).zip(&hashes) {
                                let pods = (0..NODES).map(|n| {
                                    let (node, name) = (format!("node-{n:05}"), format!("set-{set}-{n:05}"));
                                    Object::Pod(pod(set, hash, &node, &name, set * NODES + n + 1, 2))
                                });
                                machine.page(kind, stream, pods);
                            }
                        }
                        Kind::Job | Kind::CronJob => {}
                    }
                    machine.handle(kind, stream, WatchBody::ListDone(ResourceVersion(900_000)));
                    if let (Some(before), Some(after), true) = (before, resident_bytes(), count > 0) {
                        let each = after.saturating_sub(before) / count;
                        println!(
                            "nodes: {each} bytes a cached {kind:?} ({count}, resident memory of the process)"
                        );
                    }
                }
                WatchCommand::Watch { kind, stream, .. } => machine.streams.push((kind, stream)),
                WatchCommand::Stop { .. } => {}
            }
        }
        machine
    }

    fn page(&mut self, kind: Kind, stream: StreamId, objects: impl Iterator<Item = Object>) {
        self.handle(kind, stream, WatchBody::Page(objects.collect()));
    }

    fn handle(&mut self, kind: Kind, stream: StreamId, body: WatchBody) {
        self.controller.handle_watch(self.now, WatchEvent { kind, stream, body });
    }

    /// A watch delivers an object.
    fn watched(&mut self, kind: Kind, object: Object) {
        let stream = self.streams.iter().find(|(other, _)| *other == kind).expect("it is watched").1;
        self.handle(kind, stream, WatchBody::Applied(object));
    }

    /// Runs whatever is due, and answers what is asked of the server; gives the Pods that were created, as set and name,
    /// and how many runs it took.
    fn settle(&mut self, engine: &dyn Engine) -> (Vec<(u64, Str)>, u64) {
        let (mut created, mut runs) = (Vec::new(), 0);
        loop {
            self.now.monotonic_ms += 200;
            self.now.unix_ms += 200;
            self.controller.handle_timeout(self.now);
            let mut is_idle = true;
            loop {
                let began = processor_time();
                let Some(run) = self.controller.poll_run(self.now, Lane::BuiltIn) else { break };
                let gathered = processor_time();
                let plan = engine.reconcile(&run.snapshot, &run.policy);
                let planned = processor_time();
                self.controller.handle_run(self.now, run.id, plan);
                let checked = processor_time();
                runs += 1;
                is_idle = false;
                for (part, from, to) in [(0, began, gathered), (1, gathered, planned), (2, planned, checked)]
                {
                    self.parts[part] += to.saturating_sub(from);
                }
            }
            for flow in [Flow::Write, Flow::Read, Flow::Event] {
                while let Some(request) = self.controller.poll_request(self.now, flow) {
                    is_idle = false;
                    let outcome = self.answer(&request.operation, &mut created);
                    self.controller.handle_answer(self.now, request.id, outcome);
                }
            }
            while self.controller.poll_notice().is_some() {}
            if is_idle {
                return (created, runs);
            }
        }
    }

    fn answer(&mut self, operation: &Operation, created: &mut Vec<(u64, Str)>) -> Outcome {
        self.version += 1;
        let object = match operation {
            Operation::CreatePod(manifest) => {
                let metadata = &manifest.metadata;
                let set = self.set_of(metadata);
                created.push((set, metadata.name.clone()));
                Some(Object::Pod(self.pod(set, &metadata.name, self.version, 0)))
            }
            Operation::DaemonSet(DaemonSetOperation::WriteStatus(set)) => {
                let mut set = DaemonSet::clone(set);
                set.metadata.resource_version = ResourceVersion(self.version);
                Some(Object::DaemonSet(Arc::new(set)))
            }
            Operation::RecordEvent(_) => None,
            _ => panic!("nothing else is asked of the server: {}", operation.describe()),
        };
        Outcome::Done(object)
    }

    fn set_of(&self, metadata: &ObjectMeta) -> u64 {
        let owner = metadata.controller().expect("a Pod of a set");
        owner.name.trim_start_matches("set-").parse().expect("a number")
    }

    /// A Pod for the node that joined last.
    fn pod(&self, set: u64, name: &str, version: u64, state: u32) -> Arc<Pod> {
        let hash = &self.hashes[usize::try_from(set).expect("a small number")];
        pod(set, hash, &format!("node-{:05}", self.joined), name, version, state)
    }

    /// A node joins; gives the processor time from the node's event to the last status, and until all Pods were created.
    fn join(&mut self, engine: &dyn Engine) -> (Duration, Duration) {
        self.joined = NODES + self.joins;
        self.joins += 1;
        self.version += 1;
        let node = Object::Node(node(self.joined, self.version));
        // What the server and the decoding of watches do is no cost of the machine.
        let mut spent = Duration::ZERO;
        let began = processor_time();
        self.watched(Kind::Node, node);
        let (created, _) = self.settle(engine);
        spent += processor_time().saturating_sub(began);
        let until_created = spent;
        assert_eq!(created.len() as u64, SETS, "each set gets a Pod");
        for state in 1..3 {
            let mut pods = Vec::new();
            for (set, name) in &created {
                self.version += 1;
                pods.push(Object::Pod(self.pod(*set, name, self.version, state)));
            }
            let began = processor_time();
            for pod in pods {
                self.watched(Kind::Pod, pod);
            }
            let (more, _) = self.settle(engine);
            spent += processor_time().saturating_sub(began);
            assert_eq!(more, [], "one Pod a set is enough");
        }
        (spent, until_created)
    }
}

/// Resident memory of this process, bytes (Linux only).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Processor time of this thread (Linux only); else the time of day, which is more where the machine is busy.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = text.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds that each of so many took.
fn each_ms(total: Duration, count: u64) -> f64 {
    total.as_secs_f64() * 1_000.0 / count as f64
}

fn main() {
    let engines: [(&str, Arc<dyn Engine>); 2] = [
        ("wasm", Arc::new(WasmEngine::embedded().expect("a core is built in: run `make core`"))),
        ("native", Arc::new(NativeEngine)),
    ];
    for (name, engine) in engines {
        let mut machine = Machine::at_rest();
        let began = processor_time();
        let (created, runs) = machine.settle(&*engine);
        let spent = processor_time().saturating_sub(began);
        assert_eq!((created, runs), (Vec::new(), SETS), "the cluster is at rest");
        println!(
            "nodes: a full pass of a set with {NODES} nodes of {SHAPES} shapes, {name}: {:.1} ms from cache to checked plan \
             (mean of {SETS}; snapshot {:.1}, reconcile {:.1}, check {:.1})",
            each_ms(spent, SETS),
            each_ms(machine.parts[0], SETS),
            each_ms(machine.parts[1], SETS),
            each_ms(machine.parts[2], SETS),
        );
        let joins: Vec<(Duration, Duration)> = (0..JOINS).map(|_| machine.join(&*engine)).collect();
        let (all, created): (Vec<Duration>, Vec<Duration>) = joins.into_iter().unzip();
        println!(
            "nodes: a node joins {SETS} sets of {NODES} nodes, {name}: {:.2} ms of one processor until all Pods are created, \
             {:.2} ms until all are counted (means of {JOINS})",
            each_ms(created.into_iter().sum(), JOINS),
            each_ms(all.into_iter().sum(), JOINS),
        );
    }
}
