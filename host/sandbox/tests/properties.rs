//! What holds after any sequence of requests and any course of time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use windlass_core::kube::{Kind, Object, ResourceVersion};
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{
    Actor, Commit, DeleteOptions, ListOptions, MetadataPatch, Propagation, WatchEventKind,
};

/// One request, about one of a few names so that requests meet.
#[derive(Clone, Debug)]
enum Request {
    CreateCronJob(u8),
    CreateJob(u8, Option<u8>),
    CreatePod(u8, Option<u8>),
    Patch(Kind, u8, bool),
    Delete(Kind, u8, Option<Propagation>, Option<i64>),
    Wait(u64),
}

const FINALIZER: &str = "example.com/hold";

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let kind = || prop_oneof![Just(Kind::CronJob), Just(Kind::Job), Just(Kind::Pod)];
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
        3 => (1..4000_u64).prop_map(Request::Wait),
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

/// The field with an owner of `kind`, which may be gone.
fn owner_text(cluster: &Cluster, kind: Kind, owner: Option<u8>) -> String {
    let Some(owner) = owner else { return String::new() };
    let name = format!("o{owner}");
    let found = cluster.store().get(kind, "default", &name);
    let uid = found.map_or_else(|_| "gone".to_owned(), |owner| owner.metadata().uid.to_string());
    format!(
        r#""ownerReferences":[{{"apiVersion":"batch/v1","kind":"{}","name":"{name}","uid":"{uid}",
        "controller":true,"blockOwnerDeletion":true}}],"#,
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
            let by_delete = commit.verb == windlass_sandbox::Verb::Delete;
            prop_assert!(!added || by_delete, "a finalizer was added to what is being deleted");
        }
    }
    if let (Some(old), None) = (&commit.before, &commit.after) {
        let by_delete = commit.verb == windlass_sandbox::Verb::Delete;
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
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

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
                let ended = pod.is_terminal() || metadata.is_terminating();
                prop_assert!(ended, "neither ended nor running: {pod:?}");
            }
        }
    }
}
