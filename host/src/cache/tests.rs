//! The cache under events and answers in every order.

use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Object, ObjectMeta, OwnerReference, Pod, ResourceVersion};

use super::{Cache, Change};
use crate::key::Name;

fn name(text: &str) -> Name {
    Name { namespace: "default".into(), name: text.into() }
}

fn metadata(text: &str, uid: &str, version: u64) -> ObjectMeta {
    ObjectMeta {
        name: text.into(),
        namespace: "default".into(),
        uid: uid.into(),
        resource_version: ResourceVersion(version),
        ..ObjectMeta::default()
    }
}

fn pod(text: &str, version: u64) -> Object {
    let owner = OwnerReference {
        kind: "Job".into(),
        api_version: "batch/v1".into(),
        name: "work".into(),
        uid: "job-uid".into(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta { owner_references: Arc::new(vec![owner]), ..metadata(text, text, version) };
    Object::Pod(Arc::new(Pod { metadata, ..Pod::default() }))
}

fn job(uid: &str, version: u64, generation: i64) -> Object {
    let metadata = ObjectMeta { generation, ..metadata("work", uid, version) };
    Object::Job(Arc::new(Job { metadata, ..Job::default() }))
}

fn version(cache: &Cache, text: &str) -> Option<u64> {
    cache.pod(&name(text)).map(|entry| entry.pod.metadata.resource_version.0)
}

#[test]
fn an_answer_that_the_watch_has_got_past_never_brings_an_object_back() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(pod("a", 5), &mut changes);
    cache.watched_removal(&pod("a", 8), &mut changes);
    cache.acknowledged(pod("a", 7), &mut changes);
    assert_eq!(version(&cache, "a"), None);
    cache.acknowledged(pod("a", 9), &mut changes);
    assert_eq!(version(&cache, "a"), Some(9));
}

#[test]
fn an_own_write_is_seen_before_the_watch_delivers_it_and_its_echo_changes_nothing() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.acknowledged(pod("a", 9), &mut changes);
    assert_eq!(version(&cache, "a"), Some(9));
    changes.clear();
    cache.watched(pod("a", 7), &mut changes);
    cache.watched(pod("a", 9), &mut changes);
    assert_eq!((version(&cache, "a"), changes), (Some(9), Vec::new()));
}

#[test]
fn a_list_drops_what_it_does_not_hold_unless_that_is_newer() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(pod("old", 3), &mut changes);
    cache.acknowledged(pod("new", 12), &mut changes);
    changes.clear();
    cache.listed(Kind::Pod, vec![pod("listed", 4)], ResourceVersion(10), &mut changes);
    assert_eq!(version(&cache, "old"), None);
    assert_eq!(version(&cache, "new"), Some(12));
    assert_eq!(version(&cache, "listed"), Some(4));
    assert_eq!(cache.reached(Kind::Pod), ResourceVersion(10));
    assert_eq!(changes.len(), 2, "{changes:?}");
}

#[test]
fn the_answer_to_a_delete_marks_and_the_watch_removes() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(job("job-uid", 1, 1), &mut changes);
    cache.watched(pod("a", 5), &mut changes);
    cache.acknowledged_removal(Kind::Pod, &name("a"), &"a".into(), &mut changes);
    assert_eq!(version(&cache, "a"), Some(5), "its name stays taken");
    assert_eq!(cache.crossing_pods_of(&"job-uid".into()).count(), 0, "reconcile does not see it");
    assert_eq!(cache.pod_count_of(&"job-uid".into()), 1);
    cache.watched_removal(&pod("a", 6), &mut changes);
    assert_eq!(version(&cache, "a"), None);
}

#[test]
fn the_mark_of_a_delete_does_not_fall_on_a_later_incarnation() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(pod("a", 5), &mut changes);
    cache.acknowledged_removal(Kind::Pod, &name("a"), &"an-earlier-uid".into(), &mut changes);
    assert_eq!(cache.crossing_pods_of(&"job-uid".into()).count(), 1);
}

#[test]
fn a_pods_row_learns_of_its_job_whichever_comes_first() {
    use windlass_core::view::pod_flag::OWNED;
    for job_first in [true, false] {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let mut objects = vec![job("job-uid", 1, 1), pod("a", 2)];
        if !job_first {
            objects.reverse();
        }
        for object in objects {
            cache.watched(object, &mut changes);
        }
        let entry = cache
            .crossing_pods_of(&"job-uid".into())
            .next()
            .cloned()
            .expect("the Pod is indexed by its owner");
        assert_ne!(entry.row.flags & OWNED, 0, "job first: {job_first}");
        assert_ne!(cache.pod(&name("a")).expect("it is cached").row.flags & OWNED, 0);
    }
}

#[test]
fn a_job_of_the_same_name_with_another_uid_is_another_job() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(job("first", 1, 1), &mut changes);
    changes.clear();
    cache.watched(job("second", 4, 1), &mut changes);
    assert!(changes.contains(&Change::JobGone { name: name("work"), uid: "first".into(), owner: None }));
    assert!(changes.contains(&Change::Job {
        name: name("work"),
        spec: true,
        counts: false,
        failures: 0,
        is_new: true,
        owners: [None, None]
    }));
    assert_eq!(cache.job_name(&"first".into()), None);
    assert_eq!(cache.job_name(&"second".into()), Some(&name("work")));
}

#[test]
fn only_a_change_of_the_spec_or_a_deletion_puts_a_plan_out_of_date() {
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(job("u", 1, 1), &mut changes);
    changes.clear();
    cache.watched(job("u", 2, 1), &mut changes);
    cache.watched(job("u", 3, 2), &mut changes);
    assert_eq!(
        changes,
        [
            Change::Job {
                name: name("work"),
                spec: false,
                counts: false,
                failures: 0,
                is_new: false,
                owners: [None, None]
            },
            Change::Job {
                name: name("work"),
                spec: true,
                counts: false,
                failures: 0,
                is_new: false,
                owners: [None, None]
            }
        ]
    );
}

#[test]
fn the_newest_instant_of_a_cron_job_outlives_the_job_that_was_made_for_it() {
    let text = r#"{"metadata":{"name":"tick-29453880","namespace":"default","uid":"j","resourceVersion":"7",
        "annotations":{"batch.kubernetes.io/cronjob-scheduled-timestamp":"2026-01-01T03:00:00+01:00"},
        "ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"tick","uid":"c","controller":true}]},"spec":{}}"#;
    let job = |text: &str| Object::Job(Arc::new(serde_json::from_str::<Job>(text).expect("a Job")));
    let made_by_hand = text.replace("tick-29453880", "tick-by-hand").replace(r#""uid":"j""#, r#""uid":"h""#);
    let (mut cache, mut changes) = (Cache::default(), Vec::new());
    cache.watched(job(&made_by_hand), &mut changes);
    assert_eq!(cache.newest_run_s(&"c".into()), None);
    let cron_job = r#"{"metadata":{"name":"tick","namespace":"default","uid":"c","resourceVersion":"3"},
        "spec":{"schedule":"0 * * * *","concurrencyPolicy":"Allow","jobTemplate":{}}}"#;
    let cron_job = Object::CronJob(Arc::new(serde_json::from_str(cron_job).expect("a CronJob")));
    cache.watched(cron_job.clone(), &mut changes);
    cache.watched(job(text), &mut changes);
    assert_eq!(cache.newest_run_s(&"c".into()), Some(1_767_232_800));
    for (gone, version) in [(text, "8"), (&made_by_hand, "9")] {
        let last = gone.replace(r#""resourceVersion":"7""#, &format!(r#""resourceVersion":"{version}""#));
        cache.watched_removal(&job(&last), &mut changes);
    }
    assert_eq!(cache.job_count(), 0);
    assert_eq!(cache.newest_run_s(&"c".into()), Some(1_767_232_800), "the status may not tell of it yet");
    cache.watched_removal(&cron_job, &mut changes);
    assert_eq!(cache.newest_run_s(&"c".into()), None);
}
