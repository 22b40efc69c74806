//! Between the core's types and those of wit/core, field by field.

mod cron_job;
mod daemon_set;

pub(super) use cron_job::{
    cron_job_snapshot, missed_runs_answer, missed_runs_question, schedule_answer, schedule_question,
};
pub(super) use daemon_set::{daemon_set_snapshot, rollout_answer, rollout_question};

use windlass_core::fault::Fault;
use windlass_core::kube::{
    ConditionStatus, JobCondition, OnExitCodesOperator, PodFailurePolicyAction, PodFailurePolicyRule, Time,
};
use windlass_core::plan::{
    Action, Dependency, EventRecord, JobStatusWrite, Needs, Plan, PodSlot, Read, SettledNodes, Step,
    SyncAction,
};
use windlass_core::policy::backoff;
use windlass_core::view::{
    Admission, CompletionModeView, FailedPod, JobFlags, JobSnapshot, JobStatusView, JobView, LiveOwner,
    OrphanOwner, OrphanSnapshot, PodColumns, UncountedPods,
};

use super::bindings::{backoff as wit_backoff, job as wit_job, types as wit};

/// The contract's snapshot of a Job.
pub(super) fn job_snapshot(snapshot: &JobSnapshot) -> wit_job::Snapshot {
    wit_job::Snapshot {
        now_ms: snapshot.now_ms,
        settings: settings(&snapshot.flags),
        job: job_view(&snapshot.job),
        pods: columns(&snapshot.pods),
        uncounted: uncounted(&snapshot.uncounted),
        live_owner: snapshot.live_owner.map(live_owner),
        admission: snapshot.admission.as_ref().map(admission),
        memo: snapshot.memo.clone(),
    }
}

/// The contract's snapshot of a Pod that may have lost its Job.
pub(super) fn orphan_snapshot(snapshot: &OrphanSnapshot) -> wit_job::OrphanSnapshot {
    wit_job::OrphanSnapshot {
        tracked: snapshot.tracked,
        owner: match snapshot.owner {
            OrphanOwner::Nobody => wit_job::OrphanOwner::Nobody,
            OrphanOwner::OtherKind => wit_job::OrphanOwner::OtherKind,
            OrphanOwner::Gone => wit_job::OrphanOwner::Gone,
            OrphanOwner::Finished => wit_job::OrphanOwner::Finished,
            OrphanOwner::Unfinished => wit_job::OrphanOwner::Unfinished,
            OrphanOwner::ManagedElsewhere => wit_job::OrphanOwner::ManagedElsewhere,
        },
    }
}

/// The core's plan.
pub(super) fn plan(plan: wit::Plan) -> Plan {
    Plan {
        steps: plan.steps.into_iter().map(step).collect(),
        requeue_after_ms: plan.requeue_after_ms,
        wake_at_ms: plan.wake_at_ms,
        read: plan.read.map(|read| match read {
            wit::Read::Owner => Read::Owner,
            wit::Read::ActiveJobs => Read::ActiveJobs,
        }),
        action: match plan.action {
            wit::SyncAction::Reconciling => SyncAction::Reconciling,
            wit::SyncAction::Tracking => SyncAction::Tracking,
            wit::SyncAction::PodsCreated => SyncAction::PodsCreated,
            wit::SyncAction::PodsDeleted => SyncAction::PodsDeleted,
        },
        memo: plan.memo,
        settled: SettledNodes { with_pod: plan.settled.with_pod, without: plan.settled.without },
    }
}

/// The core's fault.
pub(super) fn fault(fault: wit::Fault) -> Fault {
    match fault {
        wit::Fault::UnsupportedKind => Fault::UnsupportedKind,
        wit::Fault::UnequalColumns => Fault::UnequalColumns,
        wit::Fault::PositionOutOfRange => Fault::PositionOutOfRange,
        wit::Fault::MalformedText => Fault::MalformedText,
    }
}

/// A question of the core.
pub(super) fn question(question: wit_backoff::Question) -> backoff::Question {
    backoff::Question {
        owner: question.owner,
        index: question.index,
        failures: question.failures,
        exit_code: question.exit_code,
        reason: question.reason,
        age_ms: question.age_ms,
        seed: question.seed,
        facts: question.facts,
    }
}

/// An answer to the core.
pub(super) fn answer(answer: backoff::Answer) -> wit_backoff::Answer {
    match answer {
        backoff::Answer::RetryAfterMs(delay_ms) => wit_backoff::Answer::RetryAfterMs(delay_ms),
        backoff::Answer::NotCounted => wit_backoff::Answer::NotCounted,
        backoff::Answer::Stop(message) => wit_backoff::Answer::Stop(message),
        backoff::Answer::Hold(hold) => wit_backoff::Answer::Hold(wit_backoff::Hold {
            reason: hold.reason,
            ask_again_ms: hold.ask_again_ms,
        }),
        backoff::Answer::Other(name) => wit_backoff::Answer::Other(name),
    }
}

fn admission(admission: &Admission) -> wit_job::Admission {
    match admission {
        Admission::Granted => wit_job::Admission::Granted,
        Admission::Held => wit_job::Admission::Held,
        Admission::Refused(why) => wit_job::Admission::Refused((&**why).into()),
    }
}

fn live_owner(owner: LiveOwner) -> wit::LiveOwner {
    match owner {
        LiveOwner::Alive => wit::LiveOwner::Alive,
        LiveOwner::Terminating => wit::LiveOwner::Terminating,
        LiveOwner::Gone => wit::LiveOwner::Gone,
    }
}

fn settings(flags: &JobFlags) -> wit_job::Settings {
    wit_job::Settings {
        backoff_base_ms: flags.backoff_base_ms,
        backoff_max_ms: flags.backoff_max_ms,
        sync_batch_ms: flags.sync_batch_ms,
        progress_window_ms: flags.progress_window_ms,
        max_uncounted_pods: flags.max_uncounted_pods,
        max_pods_per_sync: flags.max_pods_per_sync,
        managed_by: flags.managed_by.as_deref().map(Into::into),
    }
}

fn job_view(view: &JobView) -> wit_job::View {
    wit_job::View {
        owner: (&*view.owner).into(),
        uid: (&*view.uid).into(),
        terminating: view.terminating,
        parallelism: view.parallelism,
        completions: view.completions,
        mode: match view.mode {
            CompletionModeView::NonIndexed => wit_job::CompletionMode::NonIndexed,
            CompletionModeView::Indexed => wit_job::CompletionMode::Indexed,
            CompletionModeView::Unknown => wit_job::CompletionMode::Unknown,
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
            .as_ref()
            .map(|policy| policy.rules.iter().map(failure_rule).collect()),
        success_policy: view.success_policy.as_ref().map(|policy| {
            let rules = policy.rules.iter().map(|rule| wit_job::SuccessRule {
                succeeded_indexes: rule.succeeded_indexes.as_deref().map(Into::into),
                succeeded_count: rule.succeeded_count,
            });
            rules.collect()
        }),
        managed_by: view.managed_by.as_deref().map(Into::into),
        status: status(&view.status),
    }
}

fn status(status: &JobStatusView) -> wit_job::Status {
    wit_job::Status {
        conditions: status.conditions.iter().map(condition).collect(),
        start_time_s: status.start_time.map(|time| time.unix_seconds),
        completion_time_s: status.completion_time.map(|time| time.unix_seconds),
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        terminating: status.terminating,
        ready: status.ready,
        completed_indexes: (&*status.completed_indexes).into(),
        failed_indexes: status.failed_indexes.as_deref().map(Into::into),
    }
}

fn condition(condition: &JobCondition) -> wit::JobCondition {
    wit::JobCondition {
        kind: (&*condition.kind).into(),
        status: condition_status(condition.status),
        last_probe_time_s: condition.last_probe_time.map(|time| time.unix_seconds),
        last_transition_time_s: condition.last_transition_time.map(|time| time.unix_seconds),
        reason: (&*condition.reason).into(),
        message: (&*condition.message).into(),
    }
}

fn condition_status(status: ConditionStatus) -> wit::ConditionStatus {
    match status {
        ConditionStatus::True => wit::ConditionStatus::True,
        ConditionStatus::False => wit::ConditionStatus::False,
        ConditionStatus::Unknown => wit::ConditionStatus::Unknown,
    }
}

fn failure_rule(rule: &PodFailurePolicyRule) -> wit_job::FailureRule {
    wit_job::FailureRule {
        action: match &rule.action {
            PodFailurePolicyAction::FailJob => wit_job::FailureAction::FailJob,
            PodFailurePolicyAction::FailIndex => wit_job::FailureAction::FailIndex,
            PodFailurePolicyAction::Ignore => wit_job::FailureAction::Ignore,
            PodFailurePolicyAction::Count => wit_job::FailureAction::Count,
            PodFailurePolicyAction::Other(name) => wit_job::FailureAction::Other((&**name).into()),
        },
        on_exit_codes: rule.on_exit_codes.as_ref().map(|codes| wit_job::OnExitCodes {
            container_name: codes.container_name.as_deref().map(Into::into),
            operator: match &codes.operator {
                OnExitCodesOperator::In => wit_job::ExitCodeOperator::In,
                OnExitCodesOperator::NotIn => wit_job::ExitCodeOperator::NotIn,
                OnExitCodesOperator::Other(name) => wit_job::ExitCodeOperator::Other((&**name).into()),
            },
            values: codes.values.clone(),
        }),
        on_pod_conditions: rule
            .on_pod_conditions
            .iter()
            .map(|wanted| wit_job::OnPodCondition {
                kind: (&*wanted.kind).into(),
                status: condition_status(wanted.status),
            })
            .collect(),
    }
}

fn columns(pods: &PodColumns) -> wit_job::PodColumns {
    wit_job::PodColumns {
        phase: pods.phase.clone(),
        flags: pods.flags.clone(),
        index: pods.index.clone(),
        restarts: pods.restarts.clone(),
        most_restarts: pods.most_restarts.clone(),
        most_sidecar_restarts: pods.most_sidecar_restarts.clone(),
        index_failures: pods.index_failures.clone(),
        index_ignored_failures: pods.index_ignored_failures.clone(),
        created_s: pods.created_s.clone(),
        ready_changed_s: pods.ready_changed_s.clone(),
        finished_s: pods.finished_s.clone(),
        exit_code: pods.exit_code.clone(),
        failed_details: pods.failed_details.iter().map(failed_pod).collect(),
    }
}

fn failed_pod(pod: &FailedPod) -> wit_job::FailedPod {
    wit_job::FailedPod {
        pod: pod.pod,
        name: pod.name.clone(),
        exits: pod.exits.iter().map(|(container, code)| ((&**container).into(), *code)).collect(),
        conditions: pod
            .conditions
            .iter()
            .map(|(kind, status)| ((&**kind).into(), condition_status(*status)))
            .collect(),
    }
}

fn uncounted(pods: &UncountedPods) -> wit::UncountedPods {
    wit::UncountedPods { succeeded: pods.succeeded.clone(), failed: pods.failed.clone() }
}

fn step(step: wit::Step) -> Step {
    Step { after: step.after.into_iter().map(dependency).collect(), action: action(step.action) }
}

fn dependency(dependency: wit::Dependency) -> Dependency {
    Dependency {
        step: dependency.step,
        needs: match dependency.needs {
            wit::Needs::Succeeded => Needs::Succeeded,
            wit::Needs::Settled => Needs::Settled,
            wit::Needs::Failed => Needs::Failed,
        },
    }
}

fn action(action: wit::Action) -> Action {
    match action {
        wit::Action::CreatePods(slots) => Action::CreatePods(slots.into_iter().map(slot).collect()),
        wit::Action::DeletePods(wit::PodDeletion { pods, untrack }) => Action::DeletePods { pods, untrack },
        wit::Action::UntrackPods(pods) => Action::UntrackPods(pods),
        wit::Action::AdoptPods(pods) => Action::AdoptPods(pods),
        wit::Action::ReleasePods(pods) => Action::ReleasePods(pods),
        wit::Action::WriteJobStatus(status) => Action::WriteJobStatus(status_write(status)),
        wit::Action::DeleteJob => Action::DeleteJob,
        wit::Action::CreateJobs(slots) => {
            Action::CreateJobs(slots.into_iter().map(cron_job::job_slot).collect())
        }
        wit::Action::DeleteJobs(jobs) => Action::DeleteJobs(jobs),
        wit::Action::WriteCronJobStatus(status) => Action::WriteCronJobStatus(cron_job::status_write(status)),
        wit::Action::DaemonSet(action) => Action::DaemonSet(daemon_set::action(action)),
        wit::Action::RecordEvent(wit::EventRecord { warning, reason, message }) => {
            Action::RecordEvent(EventRecord { warning, reason: reason.into(), message })
        }
    }
}

fn slot(slot: wit::PodSlot) -> PodSlot {
    PodSlot {
        index: slot.index,
        index_failures: slot.index_failures,
        index_ignored_failures: slot.index_ignored_failures,
    }
}

fn status_write(status: wit::JobStatusWrite) -> JobStatusWrite {
    JobStatusWrite {
        conditions: status.conditions.into_iter().map(condition_in).collect(),
        start_time: status.start_time_s.map(Time::from_unix_seconds),
        completion_time: status.completion_time_s.map(Time::from_unix_seconds),
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        terminating: status.terminating,
        ready: status.ready,
        completed_indexes: status.completed_indexes.into(),
        failed_indexes: status.failed_indexes.map(Into::into),
        uncounted: UncountedPods { succeeded: status.uncounted.succeeded, failed: status.uncounted.failed },
    }
}

fn condition_in(condition: wit::JobCondition) -> JobCondition {
    JobCondition {
        kind: condition.kind.into(),
        status: match condition.status {
            wit::ConditionStatus::True => ConditionStatus::True,
            wit::ConditionStatus::False => ConditionStatus::False,
            wit::ConditionStatus::Unknown => ConditionStatus::Unknown,
        },
        last_probe_time: condition.last_probe_time_s.map(Time::from_unix_seconds),
        last_transition_time: condition.last_transition_time_s.map(Time::from_unix_seconds),
        reason: condition.reason.into(),
        message: condition.message.into(),
    }
}
