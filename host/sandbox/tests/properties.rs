//! What holds after any sequence of requests and any course of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use windlass_core::kube::{ControllerRevision, DaemonSet, Kind, Object, PodPhase, ResourceVersion, Taint};
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{
    Actor, Commit, DeleteOptions, ListOptions, MetadataPatch, Propagation, Verb, WatchEventKind,
};

/// One request, about one of a few names so that requests meet.
#[derive(Clone, Debug)]
enum Request {
    CreateCronJob(u8),
    CreateJob(u8, Option<u8>),
    CreatePod(u8, Option<u8>),
    CreateDaemonSet(u8),
    CreateRevision(u8, Option<u8>),
    /// A Pod of a DaemonSet for a node.
    CreateDaemonPod(u8, Option<u8>, u8),
    ChangeDaemonSet(u8, Change),
    ChangeNode(u8, NodeChange),
    Patch(Kind, u8, bool),
    Delete(Kind, u8, Option<Propagation>, Option<i64>),
    Wait(u64),
}

/// What is changed of a DaemonSet.
#[derive(Clone, Copy, Debug)]
enum Change {
    Template(u8),
    Seconds(u8),
    Label(u8),
    Status(u8),
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug)]
enum NodeChange {
    Add,
    Remove,
    Taint(&'static str),
    Heal,
}

const FINALIZER: &str = "example.com/hold";

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let kind = || {
        prop_oneof![
            Just(Kind::CronJob),
            Just(Kind::Job),
            Just(Kind::Pod),
            Just(Kind::DaemonSet),
            Just(Kind::ControllerRevision),
        ]
    };
    let change = prop_oneof![
        (0..3_u8).prop_map(Change::Template),
        (0..3_u8).prop_map(Change::Seconds),
        (0..3_u8).prop_map(Change::Label),
        (0..3_u8).prop_map(Change::Status),
    ];
    let node_change = prop_oneof![
        2 => Just(NodeChange::Add),
        2 => Just(NodeChange::Remove),
        1 => Just(NodeChange::Taint("NoSchedule")),
        1 => Just(NodeChange::Taint("NoExecute")),
        1 => Just(NodeChange::Heal),
    ];
    let propagation = || {
        prop_oneof![
            Just(None),
            Just(Some(Propagation::Background)),
            Just(Some(Propagation::Foreground)),
            Just(Some(Propagation::Orphan)),
        ]
    };
    let request = prop_oneof![
        1 => (0..3_u8).prop_map(Request::CreateCronJob),
        2 => (0..3_u8, prop::option::of(0..3_u8)).prop_map(|(name, owner)| Request::CreateJob(name, owner)),
        4 => (0..6_u8, prop::option::of(0..3_u8)).prop_map(|(name, owner)| Request::CreatePod(name, owner)),
        3 => (kind(), 0..6_u8, any::<bool>()).prop_map(|(kind, name, add)| Request::Patch(kind, name, add)),
        3 => (kind(), 0..6_u8, propagation(), prop::option::of(0..3_i64))
            .prop_map(|(kind, name, propagation, grace)| Request::Delete(kind, name, propagation, grace)),
        1 => (0..3_u8).prop_map(Request::CreateDaemonSet),
        1 => (0..3_u8, prop::option::of(0..3_u8)).prop_map(|(name, owner)| Request::CreateRevision(name, owner)),
        3 => (0..6_u8, prop::option::of(0..3_u8), 0..3_u8)
            .prop_map(|(name, owner, node)| Request::CreateDaemonPod(name, owner, node)),
        2 => (0..3_u8, change).prop_map(|(name, change)| Request::ChangeDaemonSet(name, change)),
        2 => (1..3_u8, node_change).prop_map(|(node, change)| Request::ChangeNode(node, change)),
        3 => (1..4000_u64).prop_map(Request::Wait),
        1 => (1..100_000_u64).prop_map(Request::Wait),
    ];
    prop::collection::vec(request, 1..80)
}

/// The spec of a Pod, as its own and as that of a template.
const POD_SPEC: &str = r#"{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox:1"}]}"#;

fn cron_job_text(name: u8) -> String {
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"CronJob","metadata":{{"name":"o{name}"}},"spec":{{"schedule":"@daily",
        "jobTemplate":{{"spec":{{"template":{{"spec":{POD_SPEC}}}}}}}}}}}"#
    )
}

fn job_text(cluster: &Cluster, name: u8, owner: Option<u8>) -> String {
    let owner = owner_text(cluster, Kind::CronJob, owner);
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{{owner}"name":"o{name}"}},"spec":{{"template":
        {{"spec":{POD_SPEC}}}}}}}"#
    )
}

fn pod_text(cluster: &Cluster, name: u8, owner: Option<u8>) -> String {
    let owner = owner_text(cluster, Kind::Job, owner);
    format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{{owner}"name":"o{name}"}},"spec":{POD_SPEC}}}"#)
}

fn daemon_set_text(name: u8) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{{"name":"o{name}"}},"spec":{{
        "selector":{{"matchLabels":{{"a":"b"}}}},"template":{{"metadata":{{"labels":{{"a":"b"}}}},
        "spec":{{"containers":[{{"name":"main","image":"busybox:1"}}]}}}}}}}}"#
    )
}

fn revision_text(cluster: &Cluster, name: u8, owner: Option<u8>) -> String {
    let owner = owner_text(cluster, Kind::DaemonSet, owner);
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{{{owner}"name":"o{name}"}},
        "data":{{"b": {name}, "a":"\u003c"}}}}"#
    )
}

fn daemon_pod_text(cluster: &Cluster, name: u8, owner: Option<u8>, node: u8) -> String {
    let owner = owner_text(cluster, Kind::DaemonSet, owner);
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{{owner}"name":"o{name}"}},"spec":{{"affinity":{{
        "nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{{"matchFields":
        [{{"key":"metadata.name","operator":"In","values":["node-{node}"]}}]}}]}}}}}},
        "containers":[{{"name":"main","image":"busybox:1"}}]}}}}"#
    )
}

/// The field with an owner of `kind`, which may be gone.
fn owner_text(cluster: &Cluster, kind: Kind, owner: Option<u8>) -> String {
    let Some(owner) = owner else { return String::new() };
    let name = format!("o{owner}");
    let found = cluster.store().get(kind, "default", &name);
    let uid = found.map_or_else(|_| "gone".to_owned(), |owner| owner.metadata().uid.to_string());
    format!(
        r#""ownerReferences":[{{"apiVersion":"{}","kind":"{}","name":"{name}","uid":"{uid}",
        "controller":true,"blockOwnerDeletion":true}}],"#,
        kind.api_version(),
        kind.name()
    )
}

fn perform(cluster: &mut Cluster, request: &Request) {
    let now_ms = cluster.store().now_ms();
    match request {
        Request::CreateCronJob(name) => {
            let text = cron_job_text(*name);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::CreateJob(name, owner) => {
            let text = job_text(cluster, *name, *owner);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::CreatePod(name, owner) => {
            let text = pod_text(cluster, *name, *owner);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::CreateDaemonSet(name) => {
            let text = daemon_set_text(*name);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::CreateRevision(name, owner) => {
            let text = revision_text(cluster, *name, *owner);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::CreateDaemonPod(name, owner, node) => {
            let text = daemon_pod_text(cluster, *name, *owner, *node);
            let _ = cluster.request(now_ms, |store| store.apply_manifest(Actor::USER, &text));
        }
        Request::ChangeDaemonSet(name, change) => change_daemon_set(cluster, *name, *change),
        Request::ChangeNode(node, change) => change_node(cluster, &format!("node-{node}"), *change),
        Request::Patch(kind, name, add) => {
            let patch = MetadataPatch {
                add_finalizer: add.then_some(FINALIZER),
                remove_finalizer: (!add).then_some(FINALIZER),
                ..MetadataPatch::default()
            };
            let name = format!("o{name}");
            let _ =
                cluster.request(now_ms, |store| store.patch(Actor::USER, *kind, "default", &name, &patch));
        }
        Request::Delete(kind, name, propagation, grace_seconds) => {
            let options = DeleteOptions {
                propagation: *propagation,
                grace_seconds: *grace_seconds,
                ..DeleteOptions::default()
            };
            let name = format!("o{name}");
            let _ =
                cluster.request(now_ms, |store| store.delete(Actor::USER, *kind, "default", &name, &options));
        }
        Request::Wait(ms) => {
            cluster.advance(now_ms + ms);
        }
    }
}

fn change_daemon_set(cluster: &mut Cluster, name: u8, change: Change) {
    let now_ms = cluster.store().now_ms();
    let stored = cluster.store().get(Kind::DaemonSet, "default", &format!("o{name}"));
    let Ok(Object::DaemonSet(stored)) = stored else { return };
    let mut set = stored.as_ref().clone();
    match change {
        Change::Template(image) => {
            let text = daemon_set_text(name).replace("busybox:1", &format!("busybox:{image}"));
            let asked: DaemonSet = serde_json::from_str(&text).unwrap_or_default();
            Arc::make_mut(&mut set.spec).template = asked.spec.template.clone();
        }
        Change::Seconds(seconds) => Arc::make_mut(&mut set.spec).min_ready_seconds = Some(seconds.into()),
        Change::Label(value) => {
            Arc::make_mut(&mut set.metadata.labels).insert("a".into(), value.to_string().into());
        }
        Change::Status(ready) => {
            set.status.number_ready = ready.into();
            let _ = cluster.request(now_ms, |store| store.update_daemon_set_status(Actor::USER, &set));
            return;
        }
    }
    let _ = cluster.request(now_ms, |store| store.update_daemon_set(Actor::USER, &set));
}

fn change_node(cluster: &mut Cluster, name: &str, change: NodeChange) {
    let now_ms = cluster.store().now_ms();
    match change {
        NodeChange::Add => {
            let _ = cluster.add_node(now_ms, name);
        }
        NodeChange::Remove => {
            cluster.remove_node(now_ms, name);
        }
        NodeChange::Taint(effect) => {
            let taint = Taint { key: "a".into(), effect: effect.into(), ..Taint::default() };
            cluster.set_node_taints(now_ms, name, vec![taint]);
        }
        NodeChange::Heal => {
            cluster.set_node_taints(now_ms, name, Vec::new());
        }
    }
}

type Image = BTreeMap<(Kind, String), Object>;

fn image(cluster: &Cluster) -> Image {
    let kinds = Kind::ALL.into_iter();
    kinds
        .flat_map(|kind| cluster.store().objects(kind).map(move |object| (kind, object)))
        .map(|(kind, object)| ((kind, object.metadata().name.to_string()), object.clone()))
        .collect()
}

/// What a client knows that follows every kind from `from` on.
fn replay(cluster: &Cluster, from: ResourceVersion) -> Result<Image, TestCaseError> {
    let mut image = Image::new();
    for kind in Kind::ALL {
        let page = cluster.store().list(kind, &ListOptions { at: Some(from), ..ListOptions::default() });
        let page = page.map_err(|status| TestCaseError::fail(status.to_string()))?;
        for object in page.items {
            image.insert((kind, object.metadata().name.to_string()), object);
        }
        let events = cluster.store().events_after(kind, from);
        let mut last = from;
        for event in events.map_err(|status| TestCaseError::fail(status.to_string()))? {
            prop_assert!(event.revision > last);
            last = event.revision;
            let key = (kind, event.object.metadata().name.to_string());
            let known = match event.kind {
                WatchEventKind::Added => image.insert(key, event.object.clone()).is_none(),
                WatchEventKind::Modified => image.insert(key, event.object.clone()).is_some(),
                WatchEventKind::Deleted => image.remove(&key).is_some(),
            };
            prop_assert!(known, "{:?} of {:?} does not fit what came before", event.kind, event.object);
        }
    }
    Ok(image)
}

/// What a write may change of a DaemonSet and of a revision, and how the first is counted.
fn check_apps(commit: &Commit) -> Result<(), TestCaseError> {
    match (&commit.before, &commit.after) {
        (Some(Object::DaemonSet(old)), Some(Object::DaemonSet(new))) => {
            let template = |set: &DaemonSet| set.spec.template.as_ref().map(|text| text.get().to_owned());
            let templates = i64::from(template(old) != template(new));
            prop_assert_eq!(
                new.template_generation(),
                old.template_generation().map(|count| count + templates)
            );
            if commit.verb == Verb::Update {
                let specs = i64::from(old.spec != new.spec);
                prop_assert_eq!(new.metadata.generation, old.metadata.generation + specs);
            } else {
                prop_assert_eq!(&new.spec, &old.spec);
            }
            prop_assert!(old.status == new.status || commit.verb == Verb::UpdateStatus);
        }
        (Some(Object::ControllerRevision(old)), Some(Object::ControllerRevision(new))) => {
            let data =
                |revision: &ControllerRevision| revision.data.as_ref().map(|data| data.get().to_owned());
            prop_assert_eq!(data(old), data(new));
        }
        _ => {}
    }
    Ok(())
}

fn check_commit(commit: &Commit, before: u64) -> Result<(), TestCaseError> {
    prop_assert_eq!(commit.revision.0, before + 1);
    if let (Some(old), Some(new)) = (&commit.before, &commit.after) {
        let (old, new) = (old.metadata(), new.metadata());
        prop_assert_eq!(&old.uid, &new.uid);
        prop_assert!(new.resource_version > old.resource_version);
        prop_assert!(new.generation >= old.generation);
        prop_assert!(!old.is_terminating() || new.is_terminating(), "a deletion was taken back");
        if old.is_terminating() {
            let added = new.finalizers.iter().any(|finalizer| !old.finalizers.contains(finalizer));
            // A second delete may still choose what becomes of dependents, as upstream lets it.
            let by_delete = commit.verb == Verb::Delete;
            prop_assert!(!added || by_delete, "a finalizer was added to what is being deleted");
        }
    }
    if let (Some(old), None) = (&commit.before, &commit.after) {
        let by_delete = commit.verb == Verb::Delete;
        // A write that removes the last finalizer removes the object. A delete needs that there is none, but for
        // those of the garbage collector, which a second delete may take back.
        let of_collector = |finalizer: &str| matches!(finalizer, "orphan" | "foregroundDeletion");
        let held = old.metadata().finalizers.iter().any(|finalizer| !of_collector(finalizer));
        prop_assert!(!by_delete || !held, "removed with a finalizer: {old:?}");
        prop_assert!(by_delete || old.metadata().is_terminating());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn watches_lists_and_history_agree_whatever_is_asked(requests in requests(), split in 0..80_usize) {
        let mut options = ClusterOptions::default();
        options.store.record_commits = true;
        let mut cluster = Cluster::new(options);
        prop_assert!(cluster.add_node(0, "node-0").is_ok());
        let mut middle = cluster.store().revision();
        let mut middle_image = image(&cluster);
        for (position, request) in requests.iter().enumerate() {
            perform(&mut cluster, request);
            if position == split {
                middle = cluster.store().revision();
                middle_image = image(&cluster);
            }
        }
        prop_assert_eq!(replay(&cluster, ResourceVersion(0))?, image(&cluster));
        prop_assert_eq!(replay(&cluster, middle)?, image(&cluster));
        let at = ListOptions { at: Some(middle), limit: Some(2), ..ListOptions::default() };
        for kind in Kind::ALL {
            let mut options = at.clone();
            let mut items = Vec::new();
            loop {
                let page = cluster.store().list(kind, &options);
                let page = page.map_err(|status| TestCaseError::fail(status.to_string()))?;
                items.extend(page.items);
                options.continue_from = page.continue_from;
                if options.continue_from.is_none() {
                    break;
                }
            }
            let wanted: Vec<_> =
                middle_image.iter().filter(|((of, _), _)| *of == kind).map(|(_, object)| object.clone()).collect();
            prop_assert_eq!(items, wanted);
        }
        let mut revision = 0;
        for commit in cluster.drain_commits() {
            check_commit(&commit, revision)?;
            check_apps(&commit)?;
            revision = commit.revision.0;
        }
        prop_assert_eq!(revision, cluster.store().revision().0);
    }

    #[test]
    fn what_waits_for_nobody_comes_to_rest(requests in requests()) {
        let mut cluster = Cluster::new(ClusterOptions::default());
        prop_assert!(cluster.add_node(0, "node-0").is_ok());
        for request in &requests {
            perform(&mut cluster, request);
        }
        let mut steps = 0;
        while let Some(now_ms) = cluster.next_wake() {
            cluster.advance(now_ms);
            steps += 1;
            prop_assert!(steps < 10_000, "the surroundings do not come to rest");
        }
        for object in Kind::ALL.into_iter().flat_map(|kind| cluster.store().objects(kind)) {
            let metadata = object.metadata();
            let held = metadata.has_finalizer(FINALIZER);
            let waits = cluster.store().dependents(&metadata.uid).next().is_some();
            prop_assert!(!metadata.is_terminating() || held || waits, "left behind: {object:?}");
            if let Object::Pod(pod) = object {
                let node_of = |name: &str| cluster.store().get(Kind::Node, "", name).ok();
                let tainted = |node: &Object| matches!(node, Object::Node(node) if !node.spec.taints.is_empty());
                let at_rest = match (&pod.spec.node_name, &pod.spec.pinned_to) {
                    _ if pod.is_terminal() || metadata.is_terminating() => true,
                    (Some(node), Some(wanted)) => {
                        node == wanted && pod.status.phase == PodPhase::Running && node_of(node).is_some()
                    }
                    (None, Some(wanted)) => node_of(wanted).is_none_or(|node| tainted(&node)),
                    (Some(_) | None, None) => false,
                };
                prop_assert!(at_rest, "neither ended nor where it is to run: {pod:?}");
            }
        }
    }
}
