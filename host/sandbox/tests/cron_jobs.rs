//! CronJobs in the sandbox: verbs, the Jobs that they own, and quotas of Jobs.

use std::sync::Arc;

use windlass_core::kube::{
    ApiStatus, CronJob, CronJobStatus, Job, JobManifest, Kind, Object, ObjectReference, PreparedTemplate,
    ResourceVersion, Time,
};
use windlass_core::plan::PodSlot;
use windlass_sandbox::cluster::{Cluster, ClusterOptions};
use windlass_sandbox::{Actor, Applied, ApplyError, DeleteOptions, MetadataPatch, Propagation, Quota, Store};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SLOT: PodSlot = PodSlot { index: None, index_failures: None, index_ignored_failures: None };
const CONTROLLER: Actor = Actor("controller");

fn text(spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"batch/v1","kind":"CronJob","metadata":{{"name":"nightly"}},"spec":{{
        "schedule":"0 3 * * *",{spec}"jobTemplate":{{"metadata":{{"labels":{{"run":"x"}},"namespace":"elsewhere"}},
        "spec":{{"template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"main","image":"busybox"}}]
        }}}}}}}}}}}}"#
    )
}

fn cluster() -> Result<Cluster, Box<dyn std::error::Error>> {
    let mut cluster = Cluster::new(ClusterOptions::default());
    cluster.add_node(0, "node-0")?;
    Ok(cluster)
}

fn create(cluster: &mut Cluster, spec: &str) -> Result<Arc<CronJob>, Box<dyn std::error::Error>> {
    match cluster.request(0, |store| store.apply_manifest(Actor::USER, &text(spec)))? {
        Applied::Object(Object::CronJob(cron_job)) => Ok(cron_job),
        other => Err(format!("{other:?} is no CronJob").into()),
    }
}

fn stored(store: &Store) -> Result<CronJob, ApiStatus> {
    match store.get(Kind::CronJob, "default", "nightly")? {
        Object::CronJob(cron_job) => Ok(cron_job.as_ref().clone()),
        other => Err(ApiStatus::new(0, "", format!("{other:?}"))),
    }
}

/// The Job of `cron_job` for the minute `minute`.
fn run(cluster: &mut Cluster, cron_job: &CronJob, minute: i64) -> Result<Arc<Job>, ApiStatus> {
    let name = JobManifest::name_at(&cron_job.metadata.name, minute * 60);
    let manifest = JobManifest::new(cron_job, name, "2026-01-01T03:00:00Z".into());
    let now_ms = cluster.store().now_ms();
    cluster.request(now_ms, |store| store.create_job_of(CONTROLLER, &manifest))
}

/// Two Jobs of a CronJob, each with a Pod that its controller has let go of.
fn family(cluster: &mut Cluster) -> Result<Arc<CronJob>, Box<dyn std::error::Error>> {
    let cron_job = create(cluster, "")?;
    for minute in [10, 20] {
        let job = run(cluster, &cron_job, minute)?;
        let mut pod = PreparedTemplate::new(&job)?.pod(SLOT, format!("pod-{minute}").into());
        Arc::make_mut(&mut pod.metadata.finalizers).clear();
        cluster.request(0, |store| store.create_pod(CONTROLLER, &pod))?;
    }
    run_until(cluster, 60_000);
    assert_eq!(counts(cluster), [1, 2, 2]);
    Ok(cron_job)
}

fn counts(cluster: &Cluster) -> [usize; 3] {
    [Kind::CronJob, Kind::Job, Kind::Pod].map(|kind| cluster.store().count(kind))
}

fn run_until(cluster: &mut Cluster, until_ms: u64) {
    while let Some(now_ms) = cluster.next_wake().filter(|now_ms| *now_ms <= until_ms) {
        cluster.advance(now_ms);
    }
    cluster.advance(until_ms);
}

fn delete(cluster: &mut Cluster, propagation: Option<Propagation>) -> Outcome {
    let options = DeleteOptions { propagation, ..DeleteOptions::default() };
    let now_ms = cluster.store().now_ms();
    cluster
        .request(now_ms, |store| store.delete(Actor::USER, Kind::CronJob, "default", "nightly", &options))?;
    Ok(())
}

#[test]
fn a_cron_job_is_stored_with_upstreams_defaults_and_its_template_with_those_of_a_pod_alone() -> Outcome {
    let mut cluster = cluster()?;
    let cron_job = create(&mut cluster, "")?;
    let whole = cluster.store().to_json(&Object::CronJob(cron_job));
    let spec = &whole["spec"];
    assert_eq!(
        (whole["kind"].as_str(), whole["metadata"]["generation"].as_i64()),
        (Some("CronJob"), Some(1))
    );
    assert_eq!(spec["concurrencyPolicy"], "Allow");
    assert_eq!(spec["suspend"], false);
    assert_eq!(
        (spec["successfulJobsHistoryLimit"].as_i64(), spec["failedJobsHistoryLimit"].as_i64()),
        (Some(3), Some(1))
    );
    let job = &spec["jobTemplate"]["spec"];
    assert_eq!(job["template"]["spec"]["schedulerName"], "default-scheduler");
    assert_eq!(job["parallelism"], serde_json::Value::Null);
    Ok(())
}

#[test]
fn the_spec_counts_generations_and_the_status_does_not() -> Outcome {
    let mut cluster = cluster()?;
    let created = create(&mut cluster, "")?;
    let store = &mut cluster;
    let unchanged = store.request(0, |store| store.update_cron_job(Actor::USER, &created))?;
    assert_eq!(unchanged, created);
    let mut changed = created.as_ref().clone();
    Arc::make_mut(&mut changed.spec).suspend = Some(true);
    let updated = store.request(0, |store| store.update_cron_job(Actor::USER, &changed))?;
    assert_eq!((updated.metadata.generation, updated.is_suspended()), (2, true));
    let mut told = updated.as_ref().clone();
    told.status = CronJobStatus {
        active: vec![ObjectReference { name: "nightly-1".into(), ..ObjectReference::default() }],
        last_schedule_time: Some(Time::from_unix_seconds(60)),
        last_successful_time: None,
    };
    Arc::make_mut(&mut told.spec).schedule = "not even a schedule".into();
    let told = store.request(0, |store| store.update_cron_job_status(CONTROLLER, &told))?;
    assert_eq!((told.metadata.generation, &*told.spec.schedule), (2, "0 3 * * *"));
    assert_eq!(told.status.active.len(), 1);
    let mut stale = told.as_ref().clone();
    stale.metadata.resource_version = ResourceVersion(1);
    let refused = store.request(0, |store| store.update_cron_job_status(CONTROLLER, &stale));
    assert!(refused.is_err_and(|status| status.is_conflict()));
    assert_eq!(stored(cluster.store())?, *told);
    Ok(())
}

#[test]
fn a_template_of_another_shape_cannot_be_read() {
    let mut store = Store::new(windlass_sandbox::StoreOptions::default());
    let text = text("").replace(r#""template":{"#, r#""parallelism":"many","template":{"#);
    let refused = store.apply_manifest(Actor::USER, &text);
    assert!(matches!(&refused, Err(ApplyError::Refused(status)) if status.code == 400), "{refused:?}");
}

#[test]
fn a_job_of_a_cron_job_is_made_in_its_namespace_with_the_defaults_of_a_job() -> Outcome {
    let mut cluster = cluster()?;
    let cron_job = create(&mut cluster, "")?;
    let job = run(&mut cluster, &cron_job, 29_453_940)?;
    let metadata = &job.metadata;
    assert_eq!((&*metadata.namespace, &*metadata.name), ("default", "nightly-29453940"));
    assert_eq!(metadata.labels.get("run").map(|value| &**value), Some("x"));
    assert_eq!(metadata.controller(), Some(&cron_job.controller_reference()));
    assert_eq!((job.spec.parallelism, job.spec.backoff_limit), (Some(1), Some(6)));
    let again = run(&mut cluster, &cron_job, 29_453_940);
    assert!(again.is_err_and(|status| status.is_already_exists()));
    Ok(())
}

#[test]
fn a_job_whose_name_is_too_long_for_a_label_is_refused() -> Outcome {
    let mut cluster = cluster()?;
    let cron_job = create(&mut cluster, "")?;
    let name = "n".repeat(64);
    let manifest = JobManifest::new(&cron_job, name.as_str().into(), "t".into());
    let refused = cluster.request(0, |store| store.create_job_of(CONTROLLER, &manifest));
    let status = refused.err().ok_or("it was taken")?;
    assert_eq!((status.code, &*status.reason), (422, "Invalid"));
    assert!(status.message.contains("spec.template.labels: Invalid value:"), "{status}");
    Ok(())
}

#[test]
fn a_cron_job_deleted_without_a_word_takes_its_jobs_and_their_pods_along() -> Outcome {
    for propagation in [None, Some(Propagation::Background)] {
        let mut cluster = cluster()?;
        family(&mut cluster)?;
        delete(&mut cluster, propagation)?;
        assert_eq!(counts(&cluster), [0, 2, 2], "{propagation:?}");
        run_until(&mut cluster, 120_000);
        assert_eq!(counts(&cluster), [0, 0, 0], "{propagation:?}");
    }
    Ok(())
}

#[test]
fn a_cron_job_deleted_in_the_foreground_goes_last() -> Outcome {
    let mut cluster = cluster()?;
    family(&mut cluster)?;
    let patch = MetadataPatch { add_finalizer: Some("example.com/hold"), ..MetadataPatch::default() };
    cluster.request(60_000, |store| store.patch(Actor::USER, Kind::Pod, "default", "pod-10", &patch))?;
    delete(&mut cluster, Some(Propagation::Foreground))?;
    run_until(&mut cluster, 120_000);
    assert_eq!(counts(&cluster), [1, 1, 1], "a Pod holds its Job, and the Job the CronJob");
    let patch = MetadataPatch { remove_finalizer: Some("example.com/hold"), ..MetadataPatch::default() };
    cluster.request(120_000, |store| store.patch(Actor::USER, Kind::Pod, "default", "pod-10", &patch))?;
    run_until(&mut cluster, 180_000);
    assert_eq!(counts(&cluster), [0, 0, 0]);
    Ok(())
}

#[test]
fn a_cron_job_that_orphans_its_jobs_leaves_them_with_their_pods() -> Outcome {
    let mut cluster = cluster()?;
    family(&mut cluster)?;
    delete(&mut cluster, Some(Propagation::Orphan))?;
    run_until(&mut cluster, 120_000);
    assert_eq!(counts(&cluster), [0, 2, 2]);
    let mut jobs = cluster.store().objects(Kind::Job);
    assert!(jobs.all(|job| job.metadata().owner_references.is_empty()));
    Ok(())
}

#[test]
fn a_quota_refuses_jobs_in_upstreams_words_until_one_goes() -> Outcome {
    let mut cluster = cluster()?;
    let cron_job = create(&mut cluster, "")?;
    let quota = Quota { name: "jobs".into(), limit: 2 };
    cluster.request(0, |store| store.limit_jobs("default", Some(quota)));
    run(&mut cluster, &cron_job, 1)?;
    run(&mut cluster, &cron_job, 2)?;
    let status = run(&mut cluster, &cron_job, 3).err().ok_or("it was taken")?;
    assert_eq!((status.code, &*status.reason), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "jobs.batch \"nightly-3\" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1, used: \
         count/jobs.batch=2, limited: count/jobs.batch=2"
    );
    assert!(!status.namespace_terminating);
    let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    cluster.request(0, |store| store.delete(CONTROLLER, Kind::Job, "default", "nightly-1", &background))?;
    run(&mut cluster, &cron_job, 3)?;
    assert_eq!(run(&mut cluster, &cron_job, 4).err().map(|status| status.code), Some(403));
    cluster.request(0, |store| store.limit_jobs("default", None));
    run(&mut cluster, &cron_job, 4)?;
    Ok(())
}
