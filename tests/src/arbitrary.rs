//! Generators of snapshots: sensible ones, odd ones, and such as no host would send.

mod cron_job;
mod daemon_set;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use windlass_core::kube::{
    COMPLETION_INDEX_ANNOTATION, CompletionMode, ConditionStatus, JOB_TRACKING_FINALIZER, Job, JobCondition,
    JobSpec, JobStatus, LabelSelector, Labels, ObjectMeta, OnExitCodes, OnExitCodesOperator, OnPodCondition,
    OwnerReference, Pod, PodFailurePolicy, PodFailurePolicyAction, PodFailurePolicyRule, PodPhase, PodStatus,
    PodTemplate, ResourceVersion, Str, SuccessPolicy, SuccessPolicyRule, Time, UncountedTerminatedPods,
};
use windlass_core::policy::backoff::{Answer, Hold};
use windlass_core::view::{
    Admission, CompletionModeView, FailedPod, JobFlags, JobSnapshot, JobStatusView, JobView, LiveOwner,
    NO_EXIT_CODE, NO_INDEX, NO_POD, OrphanOwner, OrphanSnapshot, PodColumns, PodRow, UncountedPods,
};
use windlass_host::engine::Snapshot;

pub use cron_job::{CronJobScene, cron_job_scene, cron_job_snapshot};
pub use daemon_set::{DaemonSetScene, daemon_set_scene, daemon_set_snapshot};

/// Most Pods of a generated snapshot: enough for every branch, few enough to shrink well.
const MOST_PODS: usize = 24;
/// The instant around which all others lie, seconds since the Unix epoch.
pub const NOW_S: i64 = 1_800_000_000;

/// Snapshots of every kind.
pub fn snapshot() -> impl Strategy<Value = Snapshot> {
    prop_oneof![
        20 => job_snapshot().prop_map(Snapshot::Job),
        10 => cron_job_snapshot().prop_map(Snapshot::CronJob),
        10 => daemon_set_snapshot().prop_map(Snapshot::DaemonSet),
        1 => orphan_snapshot().prop_map(Snapshot::Orphan),
    ]
}

/// Snapshots of Jobs; about one in five contradicts itself.
pub fn job_snapshot() -> impl Strategy<Value = JobSnapshot> {
    let whole = (
        (now_ms(), flags(), job_view(), vec(pod_row(), 0..MOST_PODS)),
        (
            uncounted(),
            uncounted(),
            option::weighted(0.3, live_owner()),
            option::weighted(0.2, admission()),
            memo(),
            vec(failed_pod(), 0..3),
        ),
        option::weighted(0.1, (0..12_usize, any::<bool>())),
    );
    whole.prop_map(
        |((now_ms, flags, job, rows), (succeeded, failed, live_owner, admission, memo, details), damage)| {
            let mut pods = PodColumns::with_capacity(rows.len());
            for row in rows {
                pods.push(row);
            }
            pods.failed_details = details;
            if let Some((column, shorter)) = damage {
                damage_column(&mut pods, column, shorter);
            }
            let uncounted = UncountedPods { succeeded, failed };
            JobSnapshot { now_ms, flags, job: Arc::new(job), pods, uncounted, live_owner, admission, memo }
        },
    )
}

fn admission() -> impl Strategy<Value = Admission> {
    prop_oneof![
        Just(Admission::Granted),
        Just(Admission::Held),
        "[a-z ]{0,12}".prop_map(|why| Admission::Refused(why.into())),
    ]
}

/// Snapshots of Pods that may have lost their Job.
pub fn orphan_snapshot() -> impl Strategy<Value = OrphanSnapshot> {
    let owner = prop_oneof![
        Just(OrphanOwner::Nobody),
        Just(OrphanOwner::OtherKind),
        Just(OrphanOwner::Gone),
        Just(OrphanOwner::Finished),
        Just(OrphanOwner::Unfinished),
        Just(OrphanOwner::ManagedElsewhere),
    ];
    (any::<bool>(), owner).prop_map(|(tracked, owner)| OrphanSnapshot { tracked, owner })
}

/// A Job and Pods in its namespace, as the API server would hold them; instants lie near [`NOW_S`].
pub fn job_with_pods() -> impl Strategy<Value = (Job, Vec<Pod>)> {
    (job(), vec(pod_seed(), 0..12)).prop_map(|(mut job, seeds)| {
        let pods: Vec<Pod> = (0..).zip(seeds).map(|(number, seed)| pod(&job, number, &seed)).collect();
        // Every third tracked Pod that ended is uncounted already, and so is one that nobody knows.
        let ended = pods.iter().filter(|pod| pod.is_terminal() && pod.is_tracked()).step_by(3);
        let mut uncounted = UncountedTerminatedPods::default();
        for pod in ended {
            let list = match pod.status.phase {
                PodPhase::Succeeded => &mut uncounted.succeeded,
                _ => &mut uncounted.failed,
            };
            list.push(pod.metadata.uid.clone());
        }
        if pods.len() > 8 {
            uncounted.failed.push("uid-of-nobody".into());
        }
        job.status.uncounted_terminated_pods = Some(uncounted);
        (job, pods)
    })
}

/// Answers to a question about backoff, those of a later version included.
pub fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => prop_oneof![0..60_000_u32, any::<u32>()].prop_map(Answer::RetryAfterMs),
        1 => Just(Answer::NotCounted),
        1 => text().prop_map(|message| Answer::Stop(message.as_ref().into())),
        1 => (text(), any::<u32>()).prop_map(|(reason, ask_again_ms)| {
            Answer::Hold(Hold { reason: reason.as_ref().into(), ask_again_ms })
        }),
        1 => text().prop_map(|name| Answer::Other(name.as_ref().into())),
    ]
}

fn job() -> impl Strategy<Value = Job> {
    let counts = (1..6_i32, option::weighted(0.8, 1..10_i32), 0..4_i32, option::weighted(0.2, 0..3_i32));
    let switches = (any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let policy = option::weighted(0.3, failure_policy());
    (counts, switches, policy).prop_map(|(counts, (indexed, suspended, terminating), policy)| {
        let spec = JobSpec {
            parallelism: Some(counts.0),
            completions: counts.1,
            backoff_limit: Some(counts.2),
            backoff_limit_per_index: counts.3.filter(|_| indexed),
            completion_mode: Some(if indexed { CompletionMode::Indexed } else { CompletionMode::NonIndexed }),
            suspend: Some(suspended),
            selector: Some(LabelSelector { match_labels: labels("work"), ..LabelSelector::default() }),
            pod_failure_policy: policy,
            template: template(),
            ..JobSpec::default()
        };
        let metadata = ObjectMeta {
            name: "work".into(),
            namespace: "default".into(),
            uid: "uid-of-work".into(),
            resource_version: ResourceVersion(100),
            creation_timestamp: Some(Time::from_unix_seconds(NOW_S - 100)),
            deletion_timestamp: terminating.then(|| Time::from_unix_seconds(NOW_S - 1)),
            ..ObjectMeta::default()
        };
        let status =
            JobStatus { start_time: Some(Time::from_unix_seconds(NOW_S - 90)), ..JobStatus::default() };
        Job { metadata, spec: Arc::new(spec), status }
    })
}

fn template() -> PodTemplate {
    let text = r#"{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}"#;
    let spec = serde_json::value::RawValue::from_string(text.to_owned()).ok();
    let metadata = ObjectMeta { labels: Arc::new(labels("work")), ..ObjectMeta::default() };
    PodTemplate { metadata, spec: spec.map(Into::into) }
}

fn labels(value: &str) -> Labels {
    [("job".into(), value.into())].into()
}

/// What tells one generated Pod from another.
#[derive(Clone, Debug)]
struct PodSeed {
    phase: PodPhase,
    index: Option<u32>,
    tracked: bool,
    owned: bool,
    selected: bool,
    terminating: bool,
    age_s: i64,
}

fn pod_seed() -> impl Strategy<Value = PodSeed> {
    let switches = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
    );
    (phase(), option::weighted(0.9, 0..8_u32), switches, 0..80_i64).prop_map(
        |(phase, index, (tracked, owned, selected, terminating), age_s)| PodSeed {
            phase,
            index,
            tracked,
            owned,
            selected,
            terminating,
            age_s,
        },
    )
}

fn pod(job: &Job, number: u32, seed: &PodSeed) -> Pod {
    let time = |age_s: i64| Time::from_unix_seconds(NOW_S - age_s);
    let owner = OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    let annotations: Labels = seed
        .index
        .map(|index| (COMPLETION_INDEX_ANNOTATION.into(), index.to_string().into()))
        .into_iter()
        .collect();
    let metadata = ObjectMeta {
        name: format!("work-{number:02}").into(),
        namespace: job.metadata.namespace.clone(),
        uid: format!("uid-of-work-{number:02}").into(),
        resource_version: ResourceVersion(200 + u64::from(number)),
        creation_timestamp: Some(time(seed.age_s + 5)),
        deletion_timestamp: seed.terminating.then(|| time(seed.age_s)),
        labels: Arc::new(labels(if seed.selected { "work" } else { "other" })),
        annotations: Arc::new(annotations),
        owner_references: Arc::new(seed.owned.then_some(owner).into_iter().collect()),
        finalizers: Arc::new(seed.tracked.then(|| JOB_TRACKING_FINALIZER.into()).into_iter().collect()),
        ..ObjectMeta::default()
    };
    let status = PodStatus { phase: seed.phase, start_time: Some(time(seed.age_s)), ..PodStatus::default() };
    Pod { metadata, status: Arc::new(status), ..Pod::default() }
}

/// Makes one column longer or shorter than the others.
fn damage_column(pods: &mut PodColumns, column: usize, shorter: bool) {
    fn damage<T: Copy + Default>(column: &mut Vec<T>, shorter: bool) {
        if !shorter || column.pop().is_none() {
            column.push(T::default());
        }
    }
    match column {
        0 => damage(&mut pods.phase, shorter),
        1 => damage(&mut pods.flags, shorter),
        2 => damage(&mut pods.index, shorter),
        3 => damage(&mut pods.restarts, shorter),
        4 => damage(&mut pods.most_restarts, shorter),
        5 => damage(&mut pods.most_sidecar_restarts, shorter),
        6 => damage(&mut pods.index_failures, shorter),
        7 => damage(&mut pods.index_ignored_failures, shorter),
        8 => damage(&mut pods.created_s, shorter),
        9 => damage(&mut pods.ready_changed_s, shorter),
        10 => damage(&mut pods.finished_s, shorter),
        _ => damage(&mut pods.exit_code, shorter),
    }
}

fn now_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => (-5_000_000..5_000_000_i64).prop_map(|shift| NOW_S * 1000 + shift),
        1 => any::<i64>(),
    ]
}

fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => (-5_000..1_000_i64).prop_map(|shift| NOW_S + shift),
        3 => Just(0),
        1 => any::<i64>(),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    seconds().prop_map(Time::from_unix_seconds)
}

/// Small numbers for the most part, and the largest.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 0..12_u32, 2 => 0..2_000_u32, 1 => any::<u32>()]
}

/// Text for the most part of plain letters, and of any characters.
fn text() -> impl Strategy<Value = Str> {
    prop_oneof![6 => "[a-z]{0,8}", 1 => "\\PC{0,6}"].prop_map(Str::from)
}

/// Indexes in compact text, and text that is none.
fn indexes() -> impl Strategy<Value = Str> {
    prop_oneof![
        3 => Just(Str::from("")),
        6 => "[0-9]{1,2}(,[0-9]{1,2}(-[0-9]{1,2})?){0,3}".prop_map(Str::from),
        1 => "[-,0-9x]{0,12}".prop_map(Str::from),
        1 => Just(Str::from("0-4294967295")),
    ]
}

fn flags() -> impl Strategy<Value = JobFlags> {
    let sensible =
        option::weighted(0.2, text()).prop_map(|managed_by| JobFlags { managed_by, ..JobFlags::default() });
    let odd = (number(), number(), number(), number(), number(), number(), option::of(text())).prop_map(
        |(
            backoff_base_ms,
            backoff_max_ms,
            sync_batch_ms,
            progress_window_ms,
            max_uncounted_pods,
            max_pods_per_sync,
            managed_by,
        )| {
            JobFlags {
                backoff_base_ms,
                backoff_max_ms,
                sync_batch_ms,
                progress_window_ms,
                max_uncounted_pods,
                max_pods_per_sync,
                managed_by,
            }
        },
    );
    prop_oneof![3 => sensible, 1 => odd]
}

fn job_view() -> impl Strategy<Value = JobView> {
    let counts = (
        number(),
        option::weighted(0.8, number()),
        number(),
        option::weighted(0.3, number()),
        option::weighted(0.2, number()),
        option::weighted(0.2, prop_oneof![0..5_000_i64, any::<i64>()]),
        option::weighted(0.2, number()),
    );
    let switches = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        prop_oneof![
            8 => Just(CompletionModeView::NonIndexed),
            8 => Just(CompletionModeView::Indexed),
            1 => Just(CompletionModeView::Unknown),
        ],
    );
    let policies = (
        option::weighted(0.3, failure_policy()),
        option::weighted(0.2, success_policy()),
        option::weighted(0.1, text()),
        status(),
    );
    (text(), counts, switches, policies).prop_map(|(uid, counts, switches, policies)| JobView {
        owner: "default/work".into(),
        uid,
        terminating: switches.0,
        parallelism: counts.0,
        completions: counts.1,
        mode: switches.4,
        backoff_limit: counts.2,
        backoff_limit_per_index: counts.3,
        max_failed_indexes: counts.4,
        active_deadline_seconds: counts.5,
        ttl_seconds_after_finished: counts.6,
        suspended: switches.1,
        replace_only_failed: switches.2,
        restart_on_failure: switches.3,
        pod_failure_policy: policies.0,
        success_policy: policies.1,
        managed_by: policies.2,
        status: policies.3,
    })
}

fn status() -> impl Strategy<Value = JobStatusView> {
    let times = (vec(condition(), 0..3), option::weighted(0.8, time()), option::weighted(0.1, time()));
    let counts = (number(), number(), number(), option::of(number()), option::of(number()));
    (times, counts, indexes(), option::weighted(0.3, indexes())).prop_map(
        |((conditions, start_time, completion_time), counts, completed_indexes, failed_indexes)| {
            JobStatusView {
                conditions,
                start_time,
                completion_time,
                active: counts.0,
                succeeded: counts.1,
                failed: counts.2,
                terminating: counts.3,
                ready: counts.4,
                completed_indexes,
                failed_indexes,
            }
        },
    )
}

fn condition() -> impl Strategy<Value = JobCondition> {
    let kind = prop_oneof![
        prop::sample::select(vec!["Suspended", "SuccessCriteriaMet", "FailureTarget", "Complete", "Failed"])
            .prop_map(Str::from),
        text(),
    ];
    (kind, condition_status(), option::of(time()), option::of(time()), text(), text()).prop_map(
        |(kind, status, last_probe_time, last_transition_time, reason, message)| JobCondition {
            kind,
            status,
            last_probe_time,
            last_transition_time,
            reason,
            message,
        },
    )
}

fn condition_status() -> impl Strategy<Value = ConditionStatus> {
    prop_oneof![Just(ConditionStatus::True), Just(ConditionStatus::False), Just(ConditionStatus::Unknown)]
}

fn exit_code() -> impl Strategy<Value = i32> {
    prop_oneof![6 => 0..4_i32, 2 => Just(NO_EXIT_CODE), 1 => any::<i32>()]
}

fn failure_policy() -> impl Strategy<Value = PodFailurePolicy> {
    let action = prop_oneof![
        Just(PodFailurePolicyAction::FailJob),
        Just(PodFailurePolicyAction::FailIndex),
        Just(PodFailurePolicyAction::Ignore),
        Just(PodFailurePolicyAction::Count),
        text().prop_map(PodFailurePolicyAction::Other),
    ];
    let operator = prop_oneof![
        Just(OnExitCodesOperator::In),
        Just(OnExitCodesOperator::NotIn),
        text().prop_map(OnExitCodesOperator::Other),
    ];
    let codes = (option::of(container()), operator, vec(exit_code(), 0..3))
        .prop_map(|(container_name, operator, values)| OnExitCodes { container_name, operator, values });
    let wanted =
        (pod_condition(), condition_status()).prop_map(|(kind, status)| OnPodCondition { kind, status });
    let rule = (action, option::of(codes), vec(wanted, 0..2)).prop_map(
        |(action, on_exit_codes, on_pod_conditions)| PodFailurePolicyRule {
            action,
            on_exit_codes,
            on_pod_conditions,
        },
    );
    vec(rule, 0..3).prop_map(|rules| PodFailurePolicy { rules })
}

fn success_policy() -> impl Strategy<Value = SuccessPolicy> {
    let rule = (option::of(indexes()), option::of(prop_oneof![0..4_i32, any::<i32>()])).prop_map(
        |(succeeded_indexes, succeeded_count)| SuccessPolicyRule { succeeded_indexes, succeeded_count },
    );
    vec(rule, 0..3).prop_map(|rules| SuccessPolicy { rules })
}

fn container() -> impl Strategy<Value = Str> {
    prop::sample::select(vec!["main", "side"]).prop_map(Str::from)
}

fn pod_condition() -> impl Strategy<Value = Str> {
    prop::sample::select(vec!["DisruptionTarget", "Ready", "ConfigIssue"]).prop_map(Str::from)
}

fn phase() -> impl Strategy<Value = PodPhase> {
    prop_oneof![
        3 => Just(PodPhase::Pending),
        4 => Just(PodPhase::Running),
        4 => Just(PodPhase::Succeeded),
        4 => Just(PodPhase::Failed),
        1 => Just(PodPhase::Unknown),
    ]
}

fn pod_row() -> impl Strategy<Value = PodRow> {
    // Most Pods are owned, selected and tracked; the other bits are as they come.
    let bits =
        prop_oneof![4 => (0..128_u16).prop_map(|bits| (bits | 0b1_1010) & !0b10_0000), 1 => any::<u16>()];
    let index = prop_oneof![8 => 0..12_u32, 1 => Just(NO_INDEX), 1 => any::<u32>()];
    let numbers = (number(), number(), number());
    (phase(), bits, index, numbers, (seconds(), seconds(), seconds()), exit_code()).prop_map(
        |(phase, flags, index, numbers, times, exit_code)| PodRow {
            phase,
            flags,
            index,
            restarts: numbers.0,
            most_restarts: numbers.0 / 2,
            most_sidecar_restarts: numbers.0 % 3,
            index_failures: numbers.1,
            index_ignored_failures: numbers.2,
            created_s: times.0,
            ready_changed_s: times.1,
            finished_s: times.2,
            exit_code,
        },
    )
}

fn failed_pod() -> impl Strategy<Value = FailedPod> {
    let exits = vec((container(), exit_code()), 0..3);
    let conditions = vec((pod_condition(), condition_status()), 0..3);
    (position(), text(), exits, conditions).prop_map(|(pod, name, exits, conditions)| FailedPod {
        pod,
        name: format!("default/{name}"),
        exits,
        conditions,
    })
}

fn position() -> impl Strategy<Value = u32> {
    prop_oneof![20 => 0..12_u32, 2 => Just(NO_POD), 1 => any::<u32>()]
}

fn uncounted() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![2 => Just(Vec::new()), 1 => vec(position(), 0..4)]
}

fn live_owner() -> impl Strategy<Value = LiveOwner> {
    prop_oneof![Just(LiveOwner::Alive), Just(LiveOwner::Terminating), Just(LiveOwner::Gone)]
}

fn memo() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..40)]
}
