//! The API server: verbs, refusals and watches, each against what upstream does.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, ConditionStatus, Job, JobCondition, Kind, Object, Pod, ResourceVersion, Time,
};
use windlass_sandbox::{
    Actor, Applied, ApplyError, DeleteOptions, Deletion, ListOptions, Manifest, MetadataPatch, Propagation,
    Store, StoreOptions, Verb, WatchEventKind,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn store() -> Store {
    Store::new(StoreOptions { record_commits: true, ..StoreOptions::default() })
}

fn job_text(name: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"Job","metadata":{{"name":"{name}"}},"spec":{{{spec}"template":{{"spec":
        {{"restartPolicy":"Never","containers":[{{"name":"main","image":"busybox:1"}}]}}}}}}}}"#
    )
}

fn pod_text(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}"}},"spec":
        {{"containers":[{{"name":"main","image":"busybox:1"}}]}}}}"#
    )
}

fn create_job(store: &mut Store, name: &str, spec: &str) -> Result<Arc<Job>, Box<dyn std::error::Error>> {
    match store.apply_manifest(Actor::USER, &job_text(name, spec))? {
        Applied::Object(Object::Job(job)) => Ok(job),
        other => Err(format!("{other:?} is no Job").into()),
    }
}

fn create_pod(store: &mut Store, name: &str) -> Result<Arc<Pod>, Box<dyn std::error::Error>> {
    match store.apply_manifest(Actor::USER, &pod_text(name))? {
        Applied::Object(Object::Pod(pod)) => Ok(pod),
        other => Err(format!("{other:?} is no Pod").into()),
    }
}

fn refusal(result: Result<Applied, ApplyError>) -> ApiStatus {
    match result {
        Err(ApplyError::Refused(status)) => status,
        other => ApiStatus::new(0, "", format!("{other:?}")),
    }
}

#[test]
fn a_job_is_stored_with_upstreams_defaults_selector_and_labels() -> Outcome {
    let mut store = store();
    let job = create_job(&mut store, "pi", "")?;
    let whole = store.to_json(&Object::Job(job.clone()));
    let uid = &*job.metadata.uid;
    assert_eq!(whole["spec"]["parallelism"], 1);
    assert_eq!(whole["spec"]["completions"], 1);
    assert_eq!(whole["spec"]["backoffLimit"], 6);
    assert_eq!(whole["spec"]["completionMode"], "NonIndexed");
    assert_eq!(whole["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
    assert_eq!(whole["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], uid);
    assert_eq!(whole["spec"]["template"]["metadata"]["labels"]["job-name"], "pi");
    assert_eq!(whole["metadata"]["labels"]["controller-uid"], uid);
    assert_eq!(whole["metadata"]["generation"], 1);
    assert_eq!(whole["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30);
    Ok(())
}

#[test]
fn an_invalid_job_is_refused_with_every_fault_in_upstreams_words() {
    let mut store = store();
    let text = job_text("pi", r#""parallelism":-1,"completionMode":"Indexed","maxFailedIndexes":1,"#)
        .replace("Never", "Always");
    let status = refusal(store.apply_manifest(Actor::USER, &text));
    assert_eq!((status.code, &*status.reason), (422, "Invalid"));
    assert_eq!(
        status.message,
        "Job.batch \"pi\" is invalid: [spec.parallelism: Invalid value: -1: must be greater than or equal to 0, \
         spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified, spec.completions: Required \
         value: when completion mode is Indexed, spec.template.spec.restartPolicy: Required value: valid values: \
         \"OnFailure\", \"Never\"]"
    );
    assert_eq!(store.count(Kind::Job), 0);
}

#[test]
fn a_name_is_taken_until_the_object_is_gone() -> Outcome {
    let mut store = store();
    create_pod(&mut store, "a")?;
    let status = refusal(store.apply_manifest(Actor::USER, &pod_text("a")));
    assert!(status.is_already_exists());
    assert_eq!(status.message, "pods \"a\" already exists");
    store.delete(Actor::USER, Kind::Pod, "default", "a", &DeleteOptions::default())?;
    create_pod(&mut store, "a")?;
    Ok(())
}

#[test]
fn a_generated_name_has_the_prefix_and_five_letters() -> Outcome {
    let mut store = store();
    let text = pod_text("x").replace(r#""name":"x""#, r#""generateName":"x-""#);
    let Applied::Object(pod) = store.apply_manifest(Actor::USER, &text)? else {
        return Err("no object".into());
    };
    assert!(pod.metadata().name.starts_with("x-"));
    assert_eq!(pod.metadata().name.len(), 7);
    Ok(())
}

#[test]
fn a_manifest_of_another_kind_names_the_kinds_served() {
    let error = store().apply_manifest(Actor::USER, r#"{"apiVersion":"v1","kind":"Secret"}"#);
    let text = error.map_or_else(|error| error.to_string(), |_| String::new());
    assert_eq!(
        text,
        format!("v1 Secret is not served here; these kinds are: {}", windlass_sandbox::KINDS_SERVED)
    );
}

#[test]
fn an_update_needs_the_stored_version_and_uid() -> Outcome {
    let mut store = store();
    let job = create_job(&mut store, "pi", "")?;
    let mut stale = job.as_ref().clone();
    stale.metadata.resource_version = ResourceVersion(1);
    let refused = store.update_job(Actor::USER, &stale).err().ok_or("it was taken")?;
    assert!(refused.is_conflict());
    assert_eq!(
        refused.message,
        "Operation cannot be fulfilled on jobs.batch \"pi\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );
    let mut other = job.as_ref().clone();
    other.metadata.uid = "another".into();
    assert!(store.update_job(Actor::USER, &other).is_err_and(|status| status.is_conflict()));
    Ok(())
}

#[test]
fn a_change_of_the_spec_raises_the_generation_and_one_of_nothing_is_no_write() -> Outcome {
    let mut store = store();
    let job = create_job(&mut store, "pi", "")?;
    let before = store.revision();
    assert_eq!(store.update_job(Actor::USER, &job)?.metadata.resource_version, job.metadata.resource_version);
    assert_eq!(store.revision(), before);
    let mut wider = job.as_ref().clone();
    Arc::make_mut(&mut wider.spec).parallelism = Some(3);
    assert_eq!(store.update_job(Actor::USER, &wider)?.metadata.generation, 2);
    Ok(())
}

#[test]
fn a_running_jobs_template_and_a_plain_jobs_completions_cannot_change() -> Outcome {
    let mut store = store();
    let job = create_job(&mut store, "pi", "")?;
    let mut changed = job.as_ref().clone();
    let spec = Arc::make_mut(&mut changed.spec);
    spec.completions = Some(5);
    Arc::make_mut(&mut spec.template.metadata.annotations).insert("a".into(), "b".into());
    let refused = store.update_job(Actor::USER, &changed).err().ok_or("it was taken")?;
    assert!(refused.message.contains("spec.completions: Invalid value: 5: field is immutable"));
    assert!(refused.message.contains("spec.template: Invalid value: {"));
    Ok(())
}

fn with_conditions(job: &Job, kinds: &[&str]) -> Job {
    let mut job = job.clone();
    let condition = |kind: &&str| JobCondition {
        kind: (**kind).into(),
        status: ConditionStatus::True,
        ..JobCondition::default()
    };
    job.status.conditions = kinds.iter().map(condition).collect();
    job
}

#[test]
fn a_job_ends_only_by_upstreams_rules() -> Outcome {
    let mut store = store();
    let job = create_job(&mut store, "pi", "")?;
    let refused = store.update_job_status(Actor::USER, &with_conditions(&job, &["Complete"]));
    let message = refused.err().map(|status| status.message).unwrap_or_default();
    for part in [
        "status.completionTime: Required value: completionTime is required for Complete jobs",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true \
         condition",
        "status.startTime: Required value: startTime is required for finished job",
    ] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    let mut complete = with_conditions(&job, &["SuccessCriteriaMet", "Complete"]);
    complete.status.start_time = Some(Time::from_unix_seconds(10));
    complete.status.completion_time = Some(Time::from_unix_seconds(20));
    let complete = store.update_job_status(Actor::USER, &complete)?;
    let reopened = store.update_job_status(Actor::USER, &with_conditions(&complete, &["SuccessCriteriaMet"]));
    assert!(
        reopened.is_err_and(|status| status.message.contains("cannot disable the terminal Complete=True"))
    );
    Ok(())
}

#[test]
fn a_finalizer_holds_an_object_until_it_is_removed() -> Outcome {
    let mut store = store();
    create_pod(&mut store, "a")?;
    let patch = |finalizer| MetadataPatch { add_finalizer: Some(finalizer), ..MetadataPatch::default() };
    store.patch(Actor::USER, Kind::Pod, "default", "a", &patch("x.dev/a"))?;
    let deleted = store.delete(Actor::USER, Kind::Pod, "default", "a", &DeleteOptions::default())?;
    assert!(matches!(deleted, Deletion::Pending(pod) if pod.metadata().is_terminating()));
    let refused = store.patch(Actor::USER, Kind::Pod, "default", "a", &patch("x.dev/b"));
    let message = refused.err().map(|status| status.message).unwrap_or_default();
    assert!(message.contains("no new finalizers can be added if the object is being deleted"), "{message}");
    let remove = MetadataPatch { remove_finalizer: Some("x.dev/a"), ..MetadataPatch::default() };
    store.patch(Actor::USER, Kind::Pod, "default", "a", &remove)?;
    assert!(store.get(Kind::Pod, "default", "a").is_err_and(|status| status.is_not_found()));
    Ok(())
}

#[test]
fn a_delete_needs_the_uid_and_version_that_it_names() -> Outcome {
    let mut store = store();
    let pod = create_pod(&mut store, "a")?;
    let by_uid = DeleteOptions { uid: Some("another"), ..DeleteOptions::default() };
    let refused =
        store.delete(Actor::USER, Kind::Pod, "default", "a", &by_uid).err().ok_or("it was taken")?;
    assert!(refused.is_conflict());
    let by_version = DeleteOptions { resource_version: Some(ResourceVersion(1)), ..DeleteOptions::default() };
    assert!(
        store.delete(Actor::USER, Kind::Pod, "default", "a", &by_version).is_err_and(|s| s.is_conflict())
    );
    let right = DeleteOptions { uid: Some(&pod.metadata.uid), ..DeleteOptions::default() };
    assert!(matches!(store.delete(Actor::USER, Kind::Pod, "default", "a", &right)?, Deletion::Removed(_)));
    Ok(())
}

#[test]
fn a_job_orphans_its_pods_unless_told_otherwise() -> Outcome {
    let mut store = store();
    create_job(&mut store, "a", "")?;
    let held = store.delete(Actor::USER, Kind::Job, "default", "a", &DeleteOptions::default())?;
    assert!(matches!(&held, Deletion::Pending(job) if job.metadata().has_finalizer("orphan")));
    create_job(&mut store, "b", "")?;
    let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    let gone = store.delete(Actor::USER, Kind::Job, "default", "b", &background)?;
    assert!(matches!(gone, Deletion::Removed(_)));
    Ok(())
}

#[test]
fn a_watch_tells_what_happened_and_a_deletion_has_a_version_of_its_own() -> Outcome {
    let mut store = store();
    let from = store.revision();
    create_pod(&mut store, "a")?;
    let label = [("x".into(), Some("y".into()))];
    let patch = MetadataPatch { labels: &label, ..MetadataPatch::default() };
    store.patch(Actor::USER, Kind::Pod, "default", "a", &patch)?;
    store.delete(Actor::USER, Kind::Pod, "default", "a", &DeleteOptions::default())?;
    let events: Vec<_> = store.events_after(Kind::Pod, from)?.collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    // A Pod that is bound to no node is marked with a grace of zero, then removed.
    let modified = WatchEventKind::Modified;
    assert_eq!(kinds, [WatchEventKind::Added, modified, modified, WatchEventKind::Deleted]);
    assert!(events.iter().all(|event| event.object.metadata().resource_version == event.revision));
    assert_eq!(events.last().map(|event| event.revision), Some(store.revision()));
    Ok(())
}

#[test]
fn a_watch_from_before_the_history_or_after_the_store_is_refused() -> Outcome {
    let mut store = Store::new(StoreOptions { watch_history: 2, ..StoreOptions::default() });
    let from = store.revision();
    for name in ["a", "b", "c"] {
        create_pod(&mut store, name)?;
    }
    assert!(store.events_after(Kind::Pod, from).err().is_some_and(|status| status.is_expired()));
    assert!(store.events_after(Kind::Job, from).is_ok());
    let ahead = ResourceVersion(store.revision().0 + 1);
    assert_eq!(store.events_after(Kind::Pod, ahead).err().map(|status| status.code), Some(504));
    store.forget_history(Kind::Job);
    assert!(store.events_after(Kind::Job, from).err().is_some_and(|status| status.is_expired()));
    Ok(())
}

#[test]
fn all_pages_of_a_list_show_the_revision_of_the_first() -> Outcome {
    let mut store = store();
    for name in ["a", "b", "c", "d"] {
        create_pod(&mut store, name)?;
    }
    let mut options = ListOptions { limit: Some(2), ..ListOptions::default() };
    let first = store.list(Kind::Pod, &options)?;
    store.delete(Actor::USER, Kind::Pod, "default", "c", &DeleteOptions::default())?;
    create_pod(&mut store, "cc")?;
    options.continue_from = first.continue_from.clone();
    let second = store.list(Kind::Pod, &options)?;
    let names: Vec<_> =
        first.items.iter().chain(&second.items).map(|pod| pod.metadata().name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!((second.revision, second.continue_from), (first.revision, None));
    store.forget_history(Kind::Pod);
    assert!(store.list(Kind::Pod, &options).is_err_and(|status| status.is_expired()));
    Ok(())
}

#[test]
fn history_names_verb_and_actor_of_every_revision_without_a_gap() -> Outcome {
    let mut store = store();
    create_pod(&mut store, "a")?;
    store.delete(Actor("me"), Kind::Pod, "default", "a", &DeleteOptions::default())?;
    let commits: Vec<_> = store.drain_commits().collect();
    let revisions: Vec<_> = commits.iter().map(|commit| commit.revision.0).collect();
    assert_eq!(revisions, (1..=store.revision().0).collect::<Vec<_>>());
    let last = commits.last().ok_or("there are commits")?;
    assert_eq!((last.verb, last.actor), (Verb::Delete, Actor("me")));
    assert!(last.before.is_some() && last.after.is_none());
    assert_eq!(store.lost_commits(), 0);
    Ok(())
}

#[test]
fn a_manifest_can_be_read_before_it_is_applied() -> Outcome {
    let Manifest::Pod(pod) = Manifest::parse(&pod_text("a"))? else { return Err("no Pod".into()) };
    let created = store().create_pod(Actor::USER, &pod)?;
    assert_eq!(&*created.metadata.namespace, "default");
    Ok(())
}
