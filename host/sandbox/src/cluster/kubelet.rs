//! The kubelets: start a bound Pod, end it as its annotations say, and let a deleted one go.

use std::sync::Arc;

use windlass_core::kube::{
    ConditionStatus, ContainerState, ContainerStateTerminated, ContainerStatus, Kind, Pod, PodCondition,
    PodPhase, PodStatus, Str, Time,
};

use super::Cluster;
use super::work::{PodRef, Work};
use crate::{Actor, DeleteOptions};

/// Exit code of a container that was told to end (128 + SIGTERM).
const TERMINATED_EXIT_CODE: i32 = 143;
/// Exit code of a container that was killed (128 + SIGKILL).
const KILLED_EXIT_CODE: i32 = 137;
/// First and longest wait before a container is started again (upstream: kubelet's crash loop backoff).
const RESTART_BACKOFF_MS: u64 = 10_000;
const MAX_RESTART_BACKOFF_MS: u64 = 300_000;
/// Doublings after which the wait is the longest in any case.
const MAX_RESTART_DOUBLINGS: u32 = 5;

/// Words of statuses, shared by all Pods.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) scheduled: Str,
    pub(super) unschedulable: Str,
    sandbox_ready: Str,
    initialized: Str,
    ready: Str,
    containers_ready: Str,
    pod_completed: Str,
    pod_failed: Str,
    containers_not_ready: Str,
    completed: Str,
    error: Str,
    disruption_target: Str,
    deletion_by_pod_gc: Str,
    deletion_by_taint_manager: Str,
    termination_by_kubelet: Str,
    evicted: Str,
    low_on_memory: Str,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            scheduled: "PodScheduled".into(),
            unschedulable: "Unschedulable".into(),
            sandbox_ready: "PodReadyToStartContainers".into(),
            initialized: "Initialized".into(),
            ready: "Ready".into(),
            containers_ready: "ContainersReady".into(),
            pod_completed: "PodCompleted".into(),
            pod_failed: "PodFailed".into(),
            containers_not_ready: "ContainersNotReady".into(),
            completed: "Completed".into(),
            error: "Error".into(),
            disruption_target: "DisruptionTarget".into(),
            deletion_by_pod_gc: "DeletionByPodGC".into(),
            deletion_by_taint_manager: "DeletionByTaintManager".into(),
            termination_by_kubelet: "TerminationByKubelet".into(),
            evicted: "Evicted".into(),
            low_on_memory: "The node was low on resource: memory. ".into(),
        }
    }
}

impl Words {
    pub(super) fn condition(&self, kind: &Str, status: ConditionStatus, now: Time) -> PodCondition {
        PodCondition { kind: kind.clone(), status, last_transition_time: Some(now), reason: None }
    }

    /// The condition of a Pod whose node is gone.
    pub(super) fn lost_node(&self, now: Time) -> PodCondition {
        self.disruption(&self.deletion_by_pod_gc, now)
    }

    /// The condition of a Pod that does not bear its node's taints.
    pub(super) fn tainted_node(&self, now: Time) -> PodCondition {
        self.disruption(&self.deletion_by_taint_manager, now)
    }

    fn disruption(&self, reason: &Str, now: Time) -> PodCondition {
        let mut condition = self.condition(&self.disruption_target, ConditionStatus::True, now);
        condition.reason = Some(reason.clone());
        condition
    }

    /// The conditions that a kubelet reports, those of others kept; times change only with the status.
    fn report(&self, old: &PodStatus, phase: PodPhase, is_ready: bool, now: Time) -> Vec<PodCondition> {
        let ended = match phase {
            PodPhase::Succeeded => Some(&self.pod_completed),
            PodPhase::Failed => Some(&self.pod_failed),
            PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => None,
        };
        let not_ready = ended.or(if is_ready { None } else { Some(&self.containers_not_ready) });
        let holds = |is_true: bool| if is_true { ConditionStatus::True } else { ConditionStatus::False };
        let completed = ended.filter(|_| phase == PodPhase::Succeeded);
        let reported = [
            (&self.sandbox_ready, holds(ended.is_none()), None),
            (&self.initialized, ConditionStatus::True, completed),
            (&self.ready, holds(not_ready.is_none()), not_ready),
            (&self.containers_ready, holds(not_ready.is_none()), not_ready),
        ];
        let mut conditions = Vec::with_capacity(5);
        for (kind, status, reason) in reported {
            let known =
                old.conditions.iter().find(|condition| condition.kind == *kind && condition.status == status);
            let since = known.and_then(|condition| condition.last_transition_time).unwrap_or(now);
            let mut condition = self.condition(kind, status, since);
            condition.reason = reason.cloned();
            conditions.push(condition);
        }
        let of_others =
            |condition: &&PodCondition| reported.iter().all(|(kind, ..)| condition.kind != **kind);
        conditions.extend(old.conditions.iter().filter(of_others).cloned());
        conditions
    }
}

/// What a kubelet has to say of a Pod.
#[derive(Clone, Copy)]
struct Report {
    phase: PodPhase,
    is_ready: bool,
    /// How its containers ended, if they did.
    exit_code: Option<i32>,
    /// How often they were started again.
    restarts: u32,
    /// Whether it was evicted.
    is_evicted: bool,
}

impl Report {
    fn running(is_ready: bool, restarts: u32) -> Self {
        Self { phase: PodPhase::Running, is_ready, exit_code: None, restarts, is_evicted: false }
    }

    fn ended(phase: PodPhase, exit_code: Option<i32>, restarts: u32) -> Self {
        Self { phase, is_ready: false, exit_code, restarts, is_evicted: false }
    }
}

impl Cluster {
    pub(super) fn start(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if pod.status.phase != PodPhase::Pending || pod.metadata.is_terminating() {
            return;
        }
        if self.kubelet_at_work(&pod, || Work::Start(reference.clone())) {
            self.run(&pod, 0);
            let state = self.pods.get(&reference.uid);
            if let Some(delay_ms) = state.and_then(|state| state.behavior.eviction_ms(state.ordinal)) {
                self.after(delay_ms, Work::EvictFromKubelet(reference.clone()));
            }
        }
    }

    pub(super) fn restart(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if pod.status.phase != PodPhase::Running || pod.metadata.is_terminating() {
            return;
        }
        if self.kubelet_at_work(&pod, || Work::Restart(reference.clone())) {
            self.run(&pod, restarts(&pod).saturating_add(1));
        }
    }

    pub(super) fn become_ready(&mut self, reference: &PodRef, after_restarts: u32) {
        let Some(pod) = self.pod(reference) else { return };
        let runs = pod.status.container_statuses.iter().all(|status| status.state.terminated.is_none());
        if pod.status.phase != PodPhase::Running || !runs || restarts(&pod) != after_restarts {
            return;
        }
        if self.kubelet_at_work(&pod, || Work::Ready(reference.clone(), after_restarts)) {
            self.report(&pod, Report::running(true, after_restarts));
        }
    }

    /// Ends a Pod for good because its node is short of something (upstream: the kubelet's eviction manager).
    pub(super) fn evict_from_kubelet(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if pod.status.phase != PodPhase::Running || pod.metadata.is_terminating() {
            return;
        }
        if self.kubelet_at_work(&pod, || Work::EvictFromKubelet(reference.clone())) {
            let ended = Report::ended(PodPhase::Failed, Some(KILLED_EXIT_CODE), restarts(&pod));
            self.report(&pod, Report { is_evicted: true, ..ended });
        }
    }

    pub(super) fn finish(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if pod.status.phase != PodPhase::Running
            || !self.kubelet_at_work(&pod, || Work::Finish(reference.clone()))
        {
            return;
        }
        let Some(state) = self.pods.get(&reference.uid) else { return };
        let runs = restarts(&pod);
        let exit_code = state.behavior.exit_code_after(state.ordinal.saturating_add(runs));
        let runs_again = match pod.spec.restart_policy.as_deref() {
            Some("Never") => false,
            Some("OnFailure") => exit_code != 0,
            Some(_) | None => true,
        };
        if runs_again && !pod.metadata.is_terminating() {
            self.report(&pod, Report::ended(PodPhase::Running, Some(exit_code), runs));
            let wait_ms = RESTART_BACKOFF_MS.saturating_mul(1 << runs.min(MAX_RESTART_DOUBLINGS));
            self.after(wait_ms.min(MAX_RESTART_BACKOFF_MS), Work::Restart(reference.clone()));
            return;
        }
        let phase = if exit_code == 0 { PodPhase::Succeeded } else { PodPhase::Failed };
        self.report(&pod, Report::ended(phase, Some(exit_code), runs));
    }

    /// Ends a deleted Pod, if it has not ended by itself, and confirms with a delete without grace.
    pub(super) fn stop(&mut self, reference: &PodRef) {
        let Some(pod) = self.pod(reference) else { return };
        if !pod.metadata.is_terminating() || !self.kubelet_at_work(&pod, || Work::Stop(reference.clone())) {
            return;
        }
        if !pod.is_terminal() {
            let exit_code = (pod.status.phase == PodPhase::Running).then_some(TERMINATED_EXIT_CODE);
            self.report(&pod, Report::ended(PodPhase::Failed, exit_code, restarts(&pod)));
        }
        let options =
            DeleteOptions { uid: Some(&reference.uid), grace_seconds: Some(0), ..DeleteOptions::default() };
        // It may be gone already, where its last finalizer went with the write above.
        let _confirmed =
            self.store.delete(Actor::KUBELET, Kind::Pod, &reference.namespace, &reference.name, &options);
    }

    /// How long a Pod takes to end once it is deleted, milliseconds.
    pub(super) fn stop_delay_ms(&self, pod: &Pod) -> u64 {
        let hang_ms = self.pods.get(&pod.metadata.uid).and_then(|state| state.behavior.hang_terminating_ms);
        hang_ms.unwrap_or_else(|| {
            let grace_s = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            self.options.stop_ms.min(u64::try_from(grace_s).unwrap_or(0).saturating_mul(1000))
        })
    }

    fn run(&mut self, pod: &Arc<Pod>, restarts: u32) {
        let Some(state) = self.pods.get(&pod.metadata.uid) else { return };
        let (behavior, earlier) = (state.behavior, state.ordinal.saturating_add(restarts));
        let is_ready = behavior.is_ready && behavior.ready_after_ms == 0;
        self.report(pod, Report::running(is_ready, restarts));
        if behavior.is_ready && !is_ready {
            self.after(behavior.ready_after_ms, Work::Ready(PodRef::of(pod), restarts));
        }
        let is_always_restarted = !matches!(pod.spec.restart_policy.as_deref(), Some("Never" | "OnFailure"));
        if !is_always_restarted || behavior.ends_if_restarted(earlier) {
            self.after(behavior.run_ms, Work::Finish(PodRef::of(pod)));
        }
    }

    fn report(&mut self, pod: &Arc<Pod>, report: Report) {
        let Report { phase, is_ready, exit_code, restarts, is_evicted } = report;
        let Some(body) = self.store.pod_body(&pod.metadata.namespace, &pod.metadata.name) else { return };
        let now = self.store.time();
        let reason = exit_code.map(|code| if code == 0 { &self.words.completed } else { &self.words.error });
        let state = |exit_code: Option<i32>| ContainerState {
            terminated: exit_code.map(|exit_code| ContainerStateTerminated {
                exit_code,
                reason: reason.cloned(),
                finished_at: Some(now),
            }),
        };
        // A Pod that never ran has no containers to report.
        let has_run = phase == PodPhase::Running || exit_code.is_some();
        let containers =
            body.containers.iter().filter(|_| has_run).enumerate().map(|(position, container)| {
                // The exit code is that of the first container; the others end well unless all were told to end.
                let told = matches!(exit_code, Some(TERMINATED_EXIT_CODE | KILLED_EXIT_CODE));
                let code = exit_code.map(|code| if position == 0 || told { code } else { 0 });
                ContainerStatus {
                    name: container.name.clone(),
                    restart_count: restarts,
                    ready: is_ready,
                    state: state(code),
                }
            });
        let init = body.init_containers.iter().filter(|_| has_run).map(|container| ContainerStatus {
            name: container.name.clone(),
            restart_count: 0,
            ready: true,
            state: state(Some(0)),
        });
        let mut conditions = self.words.report(&pod.status, phase, is_ready, now);
        if is_evicted {
            conditions.push(self.words.disruption(&self.words.termination_by_kubelet, now));
        }
        // What was said of an eviction stays said.
        let said = |new: &Str, old: &Option<Str>| if is_evicted { Some(new.clone()) } else { old.clone() };
        let status = PodStatus {
            phase,
            conditions,
            reason: said(&self.words.evicted, &pod.status.reason),
            message: said(&self.words.low_on_memory, &pod.status.message),
            start_time: pod.status.start_time.or(Some(now)),
            container_statuses: containers.collect(),
            init_container_statuses: init.collect(),
        };
        // The Pod was read just now from the same store, so this cannot be refused.
        let _reported = self.store.set_pod_status(Actor::KUBELET, pod, status);
    }
}

fn restarts(pod: &Pod) -> u32 {
    pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0)
}
