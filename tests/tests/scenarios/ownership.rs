//! Whose a Pod is: finalizers that stayed or went from the wrong Pod, and Jobs that fought over Pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_core::kube::{
    JOB_TRACKING_FINALIZER, Kind, LabelSelector, Labels, Object, ObjectMeta, OwnerReference, PodManifest,
    PodPhase, PodReplacementPolicy, Str, Uid,
};
use windlass_host::request::Operation;
use windlass_sandbox::{Actor, DeleteOptions, MetadataPatch, Propagation, Store};
use windlass_tests::simulation::faults::Fault;
use windlass_tests::simulation::story::{
    Story, Told, adopts, change, hold, job, pod_created, pod_ended, pod_untracked, status_comes_to,
    to_its_pod, uncounted, untracks,
};
use windlass_tests::simulation::workload::{Deed, JobPlan, NAMESPACE, template};

/// Seeds with which each story is told.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

/// 7 (k/k#109429, #108752, Pods kept the finalizer after their Job was deleted or they were orphaned): the
/// deletion comes while Pods are listed and their finalizers are about to go, in each of its three ways.
#[test]
fn a_deletion_in_the_midst_of_counting_leaves_no_finalizer() {
    for propagation in [Propagation::Background, Propagation::Foreground, Propagation::Orphan] {
        for seed in SEEDS {
            let plan = job("work", |spec| {
                spec.completions = Some(8);
                spec.parallelism = Some(4);
            });
            let listed = status_comes_to(|job| !uncounted(job).0.is_empty());
            let told = Story::new(seed)
                .job(plan)
                .when(
                    "the Job is deleted",
                    1,
                    listed,
                    change(0, move |store| delete_job(store, "work", propagation)),
                )
                .when("Pods are seen late", 1, pod_untracked, hold(0, Kind::Pod, 3_000))
                .tell();
            let left = told.pods_left();
            told.must(
                left.iter().all(|pod| !pod.is_tracked()),
                &format!("{propagation:?}: a finalizer stayed"),
            );
            let orphans = left.iter().filter(|pod| pod.metadata.controller().is_none()).count();
            told.must(
                (orphans > 0) == (propagation == Propagation::Orphan),
                &format!("{propagation:?} left {orphans} Pods without an owner"),
            );
        }
    }
}

/// 20 (k/k#124798, the finalizer went from a Pod of another kind): a Pod that a custom resource controls has the
/// finalizer and the labels of a Job; the Job comes, works, and goes.
#[test]
fn a_pod_of_another_kind_keeps_its_finalizer() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .job(selecting("work"))
            .at("a Pod of another kind comes", 1, change(0, |store| create_foreign_pod(store, "foreign")))
            .at("it ends", 2_500, change(0, |store| end_named(store, "foreign")))
            .deed(60_000, Deed::DeleteJob(0, Propagation::Background))
            .tell();
        let foreign = told.pods_left().into_iter().find(|pod| &*pod.metadata.name == "foreign");
        told.must(foreign.is_some_and(|pod| pod.is_tracked()), "it lost the finalizer, or is gone");
        let touched =
            told.requests().iter().find(|exchange| target(&exchange.operation).as_deref() == Some("foreign"));
        told.must(touched.is_none(), &format!("we touched it: {touched:?}"));
        told.must(told.created().count() == 2, "the Job did its own work");
    }
}

/// 24 (k/k#141346, a finalizer removal of an orphan failed once and was never tried again): the Job's Pods are
/// orphaned and the server fails for a moment.
#[test]
fn an_orphans_finalizer_goes_at_the_next_attempt() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(3);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.endless()))
            .deed(5_000, Deed::DeleteJob(0, Propagation::Orphan))
            .meets("the server fails", 1, untracks, Fault::ServerError)
            .meets("the server is away", 1, untracks, Fault::Unavailable)
            .meets("the server wants a rest", 1, untracks, Fault::TooManyRequests)
            .tell();
        let left = told.pods_left();
        told.must(left.len() == 3, "the Pods run on");
        told.must(left.iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
    }
}

/// 25 (k/k#42176, two Jobs fought over Pods): their selectors are the same, written by hand.
#[test]
fn jobs_whose_selectors_overlap_keep_to_their_own_pods() {
    for seed in SEEDS {
        let told = Story::new(seed).job(selecting("one")).job(selecting("two")).tell();
        told.completed("one", 2, 0);
        told.completed("two", 2, 0);
        told.must(told.created().count() == 4, "four completions take four Pods");
        controllers_never_change(&told);
    }
}

/// 25 (k/k#42176): one of them is deleted and leaves its Pods, which the other takes in; only then.
#[test]
fn an_orphan_is_taken_in_by_the_job_whose_selector_matches() {
    for seed in SEEDS {
        let told = Story::new(seed)
            .job(selecting("one").lots(|_, lot| lot.succeeds_in(30_000)))
            .job(selecting("two").lots(|_, lot| lot.succeeds_in(30_000)))
            .deed(10_000, Deed::DeleteJob(0, Propagation::Orphan))
            .tell();
        told.completed("two", 2, 0);
        let taken = told.requests().iter().filter(|exchange| adopts(&exchange.operation)).count();
        told.must(taken > 0, "no Pod was taken in");
        told.must(told.pods_left().iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
    }
}

/// Found by the simulator (finalizers of Pods without a controller): a Pod loses its owner and the labels that
/// any Job would know it by, while its Job goes on.
#[test]
fn a_pod_that_nobody_owns_any_more_loses_the_finalizer() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(2);
            spec.parallelism = Some(2);
        });
        let told = Story::new(seed)
            .job(plan.lots(|_, lot| lot.succeeds_in(5_000)))
            .when("a Pod is disowned", 1, pod_created, to_its_pod(1_000, disown))
            .tell();
        told.completed("work", 2, 0);
        let free = told
            .pods_left()
            .into_iter()
            .filter(|pod| pod.metadata.controller().is_none())
            .collect::<Vec<_>>();
        told.must(free.len() == 1 && !free[0].is_tracked(), &format!("{free:?}"));
    }
}

/// Found by the simulator (a late adoption gave back the finalizer of a Pod that was counted): the request to
/// adopt arrives long after another has adopted the Pod, and the Pod has ended and been counted.
#[test]
fn an_adoption_that_comes_late_changes_nothing() {
    for seed in SEEDS {
        let plan = selecting("work").lots(|_, lot| lot.succeeds_in(4_000));
        let told = Story::new(seed)
            .job(plan)
            .when("a Pod loses its owner alone", 1, pod_created, to_its_pod(500, lose_owner))
            .meets("the adoption comes late", 1, adopts, Fault::RequestLate)
            .tell();
        told.completed("work", 2, 0);
        let sent: Vec<_> = told.requests().iter().filter(|exchange| adopts(&exchange.operation)).collect();
        told.must(sent.len() >= 2, &format!("{} adoptions arrived", sent.len()));
        let carried_out = sent.iter().filter(|exchange| exchange.refusal().is_none()).count();
        told.must(carried_out == 1, &format!("{carried_out} adoptions were carried out"));
        told.must(told.pods_left().iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
    }
}

/// Found by the simulator (a Pod was seen after its last finalizer had gone): the answer to the removal of the
/// finalizer of a deleted Pod shows the Pod once more, and no watch says that it is gone.
#[test]
fn a_pod_whose_last_finalizer_went_is_gone() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(1);
            spec.pod_replacement_policy = Some(PodReplacementPolicy::Failed);
        });
        let told = Story::new(seed)
            .job(plan.lots(|place, lot| match place.attempt {
                1 => lot.endless().stops_in(100),
                _ => lot.succeeds_in(500),
            }))
            .deed(4_000, Deed::DeletePod(0, 0))
            .when("nothing is seen of its removal", 1, pod_untracked, hold(0, Kind::Pod, 60_000))
            .tell();
        told.must(told.created().count() == 2, "it was not replaced");
        let removed = told.commits().iter().find(|commit| pod_untracked(commit));
        told.must(
            removed.is_some_and(|commit| commit.after.is_none()),
            "its finalizer was not the last thing",
        );
        let removed_ms = removed.map_or(0, |commit| commit.time_ms);
        let replaced_ms = told.created().last().map_or(u64::MAX, |(at_ms, _)| at_ms);
        // The delay of a retry is 10 s; a Pod that still counted as terminating would be waited for.
        told.must(replaced_ms < removed_ms + 15_000, &format!("{removed_ms} ms, {replaced_ms} ms"));
        let removals = told.requests().iter().filter(|exchange| untracks(&exchange.operation));
        told.must(
            removals.filter(|exchange| exchange.at_ms < replaced_ms).count() == 1,
            "it was removed again",
        );
    }
}

/// Found by the simulator (a Pod counted twice by two instances): one sees no Pods for a while, and the other
/// counts them meanwhile and settles them.
#[test]
fn two_processes_count_a_pod_once() {
    for seed in SEEDS {
        let plan = job("work", |spec| {
            spec.completions = Some(6);
            spec.parallelism = Some(3);
        });
        let told = Story::new(seed)
            .two_processes()
            .job(plan.lots(|_, lot| lot.succeeds_in(70_000)))
            .when("one process sees no Pods", 2, pod_ended(PodPhase::Succeeded), hold(1, Kind::Pod, 20_000))
            .tell();
        // Two at once may make a Pod too many: it goes when the Job ends, and then counts as failed, as any does that
        // runs at that moment. What must not be is a Pod that counts twice, which the checkers see, too.
        let job = told.job("work");
        let surplus = told.created().count().saturating_sub(6);
        let (succeeded, failed) =
            (job.status.succeeded, usize::try_from(job.status.failed).unwrap_or(usize::MAX));
        told.must(
            succeeded == 6 && failed <= surplus,
            &format!("{succeeded} succeeded and {failed} failed, and {surplus} were too many"),
        );
        told.must(job.is_complete(), &format!("it is not complete: {:?}", job.status.conditions));
        told.must(told.pods_left().iter().all(|pod| !pod.is_tracked()), "a finalizer stayed");
    }
}

/// A Job of two completions whose selector is written by hand and matches what others make, too.
fn selecting(name: &str) -> JobPlan {
    job(name, |spec| {
        let labels: Labels = [("app".into(), "shared".into())].into();
        spec.completions = Some(2);
        spec.parallelism = Some(2);
        spec.manual_selector = Some(true);
        spec.selector = Some(LabelSelector { match_labels: labels.clone(), ..LabelSelector::default() });
        spec.template.metadata.labels = Arc::new(labels);
    })
}

fn delete_job(store: &mut Store, name: &str, propagation: Propagation) {
    let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
    let _ = store.delete(Actor::USER, Kind::Job, NAMESPACE, name, &options);
}

fn create_foreign_pod(store: &mut Store, name: &str) {
    let owner = OwnerReference {
        api_version: "example.com/v1".into(),
        kind: "Workflow".into(),
        name: "flow".into(),
        uid: "00000000-0000-0000-0000-000000000001".into(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let labels: Labels = [("app".into(), "shared".into())].into();
    let metadata = ObjectMeta {
        name: name.into(),
        namespace: NAMESPACE.into(),
        labels: Arc::new(labels),
        owner_references: Arc::new(vec![owner]),
        finalizers: Arc::new(vec![JOB_TRACKING_FINALIZER.into()]),
        ..ObjectMeta::default()
    };
    let spec = template(true).spec.expect("the template has a spec");
    let created = store.create_pod(Actor::USER, &PodManifest { metadata, spec, hostname: None });
    assert!(created.is_ok(), "{created:?}");
}

fn end_named(store: &mut Store, name: &str) {
    if let Ok(Object::Pod(pod)) = store.get(Kind::Pod, NAMESPACE, name) {
        windlass_tests::simulation::cluster::end_pod(store, &pod, 0);
    }
}

fn disown(store: &mut Store, pod: &windlass_core::kube::Pod) {
    let labels: Vec<(Str, Option<Str>)> = pod.metadata.labels.keys().map(|key| (key.clone(), None)).collect();
    let owner = pod.metadata.controller().map(|owner| owner.uid.clone());
    let patch = MetadataPatch { remove_owner: owner.as_deref(), labels: &labels, ..MetadataPatch::default() };
    let _ = store.patch(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &patch);
}

fn lose_owner(store: &mut Store, pod: &windlass_core::kube::Pod) {
    let owner = pod.metadata.controller().map(|owner| owner.uid.clone());
    let patch = MetadataPatch { remove_owner: owner.as_deref(), ..MetadataPatch::default() };
    let _ = store.patch(Actor::USER, Kind::Pod, NAMESPACE, &pod.metadata.name, &patch);
}

fn target(operation: &Operation) -> Option<Str> {
    match operation {
        Operation::UntrackPod { pod, .. }
        | Operation::AdoptPod { pod, .. }
        | Operation::ReleasePod { pod, .. }
        | Operation::DeletePod(pod) => Some(pod.name.clone()),
        _ => None,
    }
}

fn controllers_never_change(told: &Told) {
    let mut controllers: BTreeMap<Uid, Uid> = BTreeMap::new();
    for commit in told.commits() {
        let Some(Object::Pod(pod)) = &commit.after else { continue };
        let Some(owner) = pod.metadata.controller() else { continue };
        let first = controllers.entry(pod.metadata.uid.clone()).or_insert_with(|| owner.uid.clone());
        told.must(*first == owner.uid, "a Pod changed hands");
    }
}
