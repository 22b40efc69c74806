//! Between the types of wit/core and those of the core: field by field, columns moved and not copied.

mod cron_job;
mod daemon_set;

pub(crate) use cron_job::cron_job_snapshot;
pub(crate) use daemon_set::daemon_set_snapshot;

use windlass_core::kube::{
    ConditionStatus, JobCondition, OnExitCodes, OnExitCodesOperator, OnPodCondition, PodFailurePolicy,
    PodFailurePolicyAction, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule, Time,
};
use windlass_core::plan::{Action, EventRecord, JobStatusWrite, Needs, Plan, PodSlot, Read, SyncAction};
use windlass_core::view::{
    Admission, CompletionModeView, FailedPod, JobFlags, JobSnapshot, JobStatusView, JobView, LiveOwner,
    OrphanOwner, OrphanSnapshot, PodColumns, UncountedPods,
};
use windlass_core::{fault, plan as core_plan};

use crate::bindings::exports::windlass::core::job as wit_job;
use crate::bindings::windlass::core::types as wit;

/// The core's snapshot of a Job.
pub(crate) fn job_snapshot(snapshot: wit_job::Snapshot) -> JobSnapshot {
    JobSnapshot {
        now_ms: snapshot.now_ms,
        flags: flags(snapshot.settings),
        job: job_view(snapshot.job).into(),
        pods: columns(snapshot.pods),
        uncounted: uncounted(snapshot.uncounted),
        live_owner: snapshot.live_owner.map(live_owner),
        admission: snapshot.admission.map(admission),
        memo: snapshot.memo,
    }
}

/// The core's snapshot of a Pod that may have lost its Job.
pub(crate) fn orphan_snapshot(snapshot: wit_job::OrphanSnapshot) -> OrphanSnapshot {
    OrphanSnapshot {
        tracked: snapshot.tracked,
        owner: match snapshot.owner {
            wit_job::OrphanOwner::Nobody => OrphanOwner::Nobody,
            wit_job::OrphanOwner::OtherKind => OrphanOwner::OtherKind,
            wit_job::OrphanOwner::Gone => OrphanOwner::Gone,
            wit_job::OrphanOwner::Finished => OrphanOwner::Finished,
            wit_job::OrphanOwner::Unfinished => OrphanOwner::Unfinished,
            wit_job::OrphanOwner::ManagedElsewhere => OrphanOwner::ManagedElsewhere,
        },
    }
}

/// The contract's plan.
pub(crate) fn plan(plan: Plan) -> wit::Plan {
    wit::Plan {
        steps: plan.steps.into_iter().map(step).collect(),
        requeue_after_ms: plan.requeue_after_ms,
        wake_at_ms: plan.wake_at_ms,
        read: plan.read.map(|read| match read {
            Read::Owner => wit::Read::Owner,
            Read::ActiveJobs => wit::Read::ActiveJobs,
        }),
        action: match plan.action {
            SyncAction::Reconciling => wit::SyncAction::Reconciling,
            SyncAction::Tracking => wit::SyncAction::Tracking,
            SyncAction::PodsCreated => wit::SyncAction::PodsCreated,
            SyncAction::PodsDeleted => wit::SyncAction::PodsDeleted,
        },
        memo: plan.memo,
        settled: wit::SettledNodes { with_pod: plan.settled.with_pod, without: plan.settled.without },
    }
}

/// The contract's fault.
pub(crate) fn fault(fault: fault::Fault) -> wit::Fault {
    match fault {
        fault::Fault::UnsupportedKind => wit::Fault::UnsupportedKind,
        fault::Fault::UnequalColumns => wit::Fault::UnequalColumns,
        fault::Fault::PositionOutOfRange => wit::Fault::PositionOutOfRange,
        fault::Fault::MalformedText => wit::Fault::MalformedText,
    }
}

fn admission(admission: wit_job::Admission) -> Admission {
    match admission {
        wit_job::Admission::Granted => Admission::Granted,
        wit_job::Admission::Held => Admission::Held,
        wit_job::Admission::Refused(why) => Admission::Refused(why.into()),
    }
}

fn live_owner(owner: wit::LiveOwner) -> LiveOwner {
    match owner {
        wit::LiveOwner::Alive => LiveOwner::Alive,
        wit::LiveOwner::Terminating => LiveOwner::Terminating,
        wit::LiveOwner::Gone => LiveOwner::Gone,
    }
}

fn flags(flags: wit_job::Settings) -> JobFlags {
    JobFlags {
        backoff_base_ms: flags.backoff_base_ms,
        backoff_max_ms: flags.backoff_max_ms,
        sync_batch_ms: flags.sync_batch_ms,
        progress_window_ms: flags.progress_window_ms,
        max_uncounted_pods: flags.max_uncounted_pods,
        max_pods_per_sync: flags.max_pods_per_sync,
        managed_by: flags.managed_by.map(Into::into),
    }
}

fn job_view(view: wit_job::View) -> JobView {
    JobView {
        owner: view.owner.into(),
        uid: view.uid.into(),
        terminating: view.terminating,
        parallelism: view.parallelism,
        completions: view.completions,
        mode: match view.mode {
            wit_job::CompletionMode::NonIndexed => CompletionModeView::NonIndexed,
            wit_job::CompletionMode::Indexed => CompletionModeView::Indexed,
            wit_job::CompletionMode::Unknown => CompletionModeView::Unknown,
        },
        backoff_limit: view.backoff_limit,
        backoff_limit_per_index: view.backoff_limit_per_index,
        max_failed_indexes: view.max_failed_indexes,
        active_deadline_seconds: view.active_deadline_seconds,
        ttl_seconds_after_finished: view.ttl_seconds_after_finished,
        suspended: view.suspended,
        replace_only_failed: view.replace_only_failed,
        restart_on_failure: view.restart_on_failure,
        pod_failure_policy: view
            .pod_failure_policy
            .map(|rules| PodFailurePolicy { rules: rules.into_iter().map(failure_rule).collect() }),
        success_policy: view
            .success_policy
            .map(|rules| SuccessPolicy { rules: rules.into_iter().map(success_rule).collect() }),
        managed_by: view.managed_by.map(Into::into),
        status: status(view.status),
    }
}

fn status(status: wit_job::Status) -> JobStatusView {
    JobStatusView {
        conditions: status.conditions.into_iter().map(condition).collect(),
        start_time: status.start_time_s.map(Time::from_unix_seconds),
        completion_time: status.completion_time_s.map(Time::from_unix_seconds),
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        terminating: status.terminating,
        ready: status.ready,
        completed_indexes: status.completed_indexes.into(),
        failed_indexes: status.failed_indexes.map(Into::into),
    }
}

fn condition(condition: wit::JobCondition) -> JobCondition {
    JobCondition {
        kind: condition.kind.into(),
        status: condition_status(condition.status),
        last_probe_time: condition.last_probe_time_s.map(Time::from_unix_seconds),
        last_transition_time: condition.last_transition_time_s.map(Time::from_unix_seconds),
        reason: condition.reason.into(),
        message: condition.message.into(),
    }
}

fn condition_status(status: wit::ConditionStatus) -> ConditionStatus {
    match status {
        wit::ConditionStatus::True => ConditionStatus::True,
        wit::ConditionStatus::False => ConditionStatus::False,
        wit::ConditionStatus::Unknown => ConditionStatus::Unknown,
    }
}

fn failure_rule(rule: wit_job::FailureRule) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: match rule.action {
            wit_job::FailureAction::FailJob => PodFailurePolicyAction::FailJob,
            wit_job::FailureAction::FailIndex => PodFailurePolicyAction::FailIndex,
            wit_job::FailureAction::Ignore => PodFailurePolicyAction::Ignore,
            wit_job::FailureAction::Count => PodFailurePolicyAction::Count,
            wit_job::FailureAction::Other(name) => PodFailurePolicyAction::Other(name.into()),
        },
        on_exit_codes: rule.on_exit_codes.map(|codes| OnExitCodes {
            container_name: codes.container_name.map(Into::into),
            operator: match codes.operator {
                wit_job::ExitCodeOperator::In => OnExitCodesOperator::In,
                wit_job::ExitCodeOperator::NotIn => OnExitCodesOperator::NotIn,
                wit_job::ExitCodeOperator::Other(name) => OnExitCodesOperator::Other(name.into()),
            },
            values: codes.values,
        }),
        on_pod_conditions: rule
            .on_pod_conditions
            .into_iter()
            .map(|wanted| OnPodCondition {
                kind: wanted.kind.into(),
                status: condition_status(wanted.status),
            })
            .collect(),
    }
}

fn success_rule(rule: wit_job::SuccessRule) -> SuccessPolicyRule {
    SuccessPolicyRule {
        succeeded_indexes: rule.succeeded_indexes.map(Into::into),
        succeeded_count: rule.succeeded_count,
    }
}

fn columns(pods: wit_job::PodColumns) -> PodColumns {
    PodColumns {
        phase: pods.phase,
        flags: pods.flags,
        index: pods.index,
        restarts: pods.restarts,
        most_restarts: pods.most_restarts,
        most_sidecar_restarts: pods.most_sidecar_restarts,
        index_failures: pods.index_failures,
        index_ignored_failures: pods.index_ignored_failures,
        created_s: pods.created_s,
        ready_changed_s: pods.ready_changed_s,
        finished_s: pods.finished_s,
        exit_code: pods.exit_code,
        failed_details: pods.failed_details.into_iter().map(failed_pod).collect(),
    }
}

fn failed_pod(pod: wit_job::FailedPod) -> FailedPod {
    FailedPod {
        pod: pod.pod,
        name: pod.name,
        exits: pod.exits.into_iter().map(|(container, code)| (container.into(), code)).collect(),
        conditions: pod
            .conditions
            .into_iter()
            .map(|(kind, status)| (kind.into(), condition_status(status)))
            .collect(),
    }
}

fn uncounted(pods: wit::UncountedPods) -> UncountedPods {
    UncountedPods { succeeded: pods.succeeded, failed: pods.failed }
}

fn step(step: core_plan::Step) -> wit::Step {
    wit::Step { after: step.after.into_iter().map(dependency).collect(), action: action(step.action) }
}

fn dependency(dependency: core_plan::Dependency) -> wit::Dependency {
    wit::Dependency {
        step: dependency.step,
        needs: match dependency.needs {
            Needs::Succeeded => wit::Needs::Succeeded,
            Needs::Settled => wit::Needs::Settled,
            Needs::Failed => wit::Needs::Failed,
        },
    }
}

fn action(action: Action) -> wit::Action {
    match action {
        Action::CreatePods(slots) => wit::Action::CreatePods(slots.into_iter().map(slot).collect()),
        Action::DeletePods { pods, untrack } => wit::Action::DeletePods(wit::PodDeletion { pods, untrack }),
        Action::UntrackPods(pods) => wit::Action::UntrackPods(pods),
        Action::AdoptPods(pods) => wit::Action::AdoptPods(pods),
        Action::ReleasePods(pods) => wit::Action::ReleasePods(pods),
        Action::WriteJobStatus(status) => wit::Action::WriteJobStatus(status_write(status)),
        Action::DeleteJob => wit::Action::DeleteJob,
        Action::CreateJobs(slots) => {
            wit::Action::CreateJobs(slots.into_iter().map(cron_job::job_slot).collect())
        }
        Action::DeleteJobs(jobs) => wit::Action::DeleteJobs(jobs),
        Action::WriteCronJobStatus(status) => wit::Action::WriteCronJobStatus(cron_job::status_write(status)),
        Action::DaemonSet(action) => wit::Action::DaemonSet(daemon_set::action(action)),
        Action::RecordEvent(EventRecord { warning, reason, message }) => {
            wit::Action::RecordEvent(wit::EventRecord { warning, reason: (&*reason).into(), message })
        }
    }
}

fn slot(slot: PodSlot) -> wit::PodSlot {
    wit::PodSlot {
        index: slot.index,
        index_failures: slot.index_failures,
        index_ignored_failures: slot.index_ignored_failures,
    }
}

fn status_write(status: JobStatusWrite) -> wit::JobStatusWrite {
    wit::JobStatusWrite {
        conditions: status.conditions.iter().map(condition_out).collect(),
        start_time_s: status.start_time.map(|time| time.unix_seconds),
        completion_time_s: status.completion_time.map(|time| time.unix_seconds),
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        terminating: status.terminating,
        ready: status.ready,
        completed_indexes: (&*status.completed_indexes).into(),
        failed_indexes: status.failed_indexes.as_deref().map(Into::into),
        uncounted: wit::UncountedPods {
            succeeded: status.uncounted.succeeded,
            failed: status.uncounted.failed,
        },
    }
}

fn condition_out(condition: &JobCondition) -> wit::JobCondition {
    wit::JobCondition {
        kind: (&*condition.kind).into(),
        status: match condition.status {
            ConditionStatus::True => wit::ConditionStatus::True,
            ConditionStatus::False => wit::ConditionStatus::False,
            ConditionStatus::Unknown => wit::ConditionStatus::Unknown,
        },
        last_probe_time_s: condition.last_probe_time.map(|time| time.unix_seconds),
        last_transition_time_s: condition.last_transition_time.map(|time| time.unix_seconds),
        reason: (&*condition.reason).into(),
        message: (&*condition.message).into(),
    }
}
