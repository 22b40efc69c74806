//! A small cluster: an API server, nodes, a kubelet that does what it is told, and what the host keeps.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::fixture::{self, NOW_S, PLAIN};
use super::super::history::{Holder, RevisionRow, Taken};
use super::super::reconcile;
use super::policy::Wild;
use super::rules;
use crate::kube::{IntOrPercent, PodPhase, Str};
use crate::plan::{Action, DaemonSetAction, Needs, Plan, Read};
use crate::policy::BuiltIn;
use crate::view::{
    DaemonPodRow, DaemonSetSnapshot, DaemonSetView, GONE_NODE, LiveOwner, OwnedRevision, UpdateStrategy,
    pod_flag,
};

/// Most looks until a cluster in which nothing else happens is at rest.
const MAX_LOOKS: usize = 400;
/// A delay after which a node starts afresh, milliseconds.
const QUIET_MS: i64 = 1_800_000;

/// What happens between two looks, or a look.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Milliseconds pass.
    Clock(i64),
    /// A node gets the Pod that is meant for it.
    Bind(usize),
    /// A Pod runs and becomes ready.
    Ready(usize),
    /// A Pod is not ready any more.
    Unready(usize),
    /// A Pod ends.
    Fail(usize),
    Succeed(usize),
    /// Somebody asks for the deletion of a Pod.
    Delete(usize),
    /// A Pod that goes is gone.
    Gone(usize),
    /// A node is there, with this shape.
    Node {
        node: u8,
        shape: u32,
    },
    /// A node is not there any more; its Pods are.
    NodeGone(u8),
    /// A Pod without a controller is there which the selector matches.
    Orphan(u8),
    /// Somebody edits the set.
    Template(u8),
    Strategy {
        strategy: UpdateStrategy,
        unavailable: Option<IntOrPercent>,
        surge: Option<IntOrPercent>,
    },
    MinReady(u32),
    /// Somebody else takes the name that the revision for this template would get.
    TakeName(u8),
    /// A look: each bit that is set lets a step fail.
    Reconcile {
        failing: u16,
    },
}

#[derive(Clone, Debug)]
struct ModelPod {
    node: Str,
    row: DaemonPodRow,
    generation: i64,
}

#[derive(Clone, Debug)]
struct ModelRevision {
    row: RevisionRow,
    template: u8,
}

/// What the delay of a node must be, by the words of its definition.
#[derive(Clone, Copy, Debug)]
struct Failure {
    at_ms: i64,
    delay_ms: i64,
}

/// Names of what was there when the snapshot was taken, by position.
struct Names {
    pods: Vec<Str>,
    revisions: Vec<Str>,
}

pub(super) struct World {
    now_ms: i64,
    set: DaemonSetView,
    template: u8,
    /// Number of the template, as the API server counts it.
    template_generation: i64,
    nodes: BTreeMap<Str, u32>,
    pods: BTreeMap<Str, ModelPod>,
    revisions: BTreeMap<Str, ModelRevision>,
    /// Names of revisions that others have.
    foreign: Vec<Str>,
    /// The hash for which the last create of a revision met a name that is taken.
    taken: Option<Str>,
    memo: Vec<u8>,
    failures: BTreeMap<Str, Failure>,
    failures_of: i64,
    next_pod: u32,
    policy: Option<Wild>,
}

impl World {
    pub(super) fn new() -> Self {
        let set = DaemonSetView { revision_history_limit: Some(1), ..(*fixture::snapshot(0).set).clone() };
        let mut world = Self {
            now_ms: NOW_S * 1_000,
            set,
            template: 0,
            template_generation: 1,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            revisions: BTreeMap::new(),
            foreign: Vec::new(),
            taken: None,
            memo: Vec::new(),
            failures: BTreeMap::new(),
            failures_of: 0,
            next_pod: 0,
            policy: None,
        };
        world.set.status.observed_generation = 0;
        for node in 0..4 {
            world.nodes.insert(node_name(node), PLAIN);
        }
        world
    }

    /// The same where a policy of rollouts is bound.
    pub(super) fn bound_to(policy: Wild) -> Self {
        Self { policy: Some(policy), ..Self::new() }
    }

    /// The hash that a revision for the template gets.
    fn hash(&self, template: u8) -> Str {
        match self.set.status.collision_count {
            None => format!("t{template}").into(),
            Some(count) => format!("t{template}-{count}").into(),
        }
    }

    fn snapshot(&self, live_owner: Option<LiveOwner>) -> DaemonSetSnapshot {
        let mut snapshot = fixture::snapshot(0);
        snapshot.now_ms = self.now_ms;
        snapshot.flags.max_pods_per_sync = 3;
        snapshot.set =
            Arc::new(DaemonSetView { template_hash: self.hash(self.template), ..self.set.clone() });
        snapshot.nodes.name = self.nodes.keys().cloned().collect();
        snapshot.nodes.shape = self.nodes.values().copied().collect();
        for pod in self.pods.values() {
            let place = self.nodes.keys().position(|name| *name == pod.node);
            let is_of_generation = pod.generation == self.template_generation;
            let generation = if is_of_generation { pod_flag::OF_GENERATION } else { 0 };
            let row = DaemonPodRow {
                node: place.map_or(GONE_NODE, |place| u32::try_from(place).unwrap()),
                flags: pod.row.flags | generation,
                ..pod.row.clone()
            };
            fixture::push(&mut snapshot, &row);
        }
        let revision = |one: &ModelRevision| OwnedRevision {
            row: RevisionRow { holds_template: one.template == self.template, ..one.row.clone() },
            owned: true,
            selected: true,
        };
        snapshot.revisions = self.revisions.values().map(revision).collect();
        let taken = Taken {
            holds_template: false,
            holder: Holder::Other,
            matches_selector: true,
            terminating: false,
        };
        snapshot.taken =
            self.taken.as_ref().filter(|hash| **hash == snapshot.set.template_hash).map(|_| taken);
        snapshot.live_owner = live_owner;
        snapshot.memo.clone_from(&self.memo);
        snapshot.rollout_policy = self.policy.is_some().then(Vec::new);
        snapshot
    }

    fn nth(&mut self, number: usize) -> Option<&mut ModelPod> {
        let count = self.pods.len().max(1);
        self.pods.values_mut().nth(number % count)
    }

    fn edit(&mut self) {
        self.set.generation += 1;
    }

    pub(super) fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let now_s = self.now_ms.div_euclid(1_000);
        match event {
            Event::Clock(millis) => self.now_ms += millis,
            Event::Bind(number) => self.on_living(*number, |row| row.flags |= pod_flag::BOUND),
            Event::Ready(number) => self.on_living(*number, |row| make_ready(row, now_s)),
            Event::Unready(number) => self.on_living(*number, |row| {
                row.flags &= !pod_flag::READY;
                row.ready_changed_s = now_s;
            }),
            Event::Fail(number) => self.on_living(*number, |row| end(row, PodPhase::Failed)),
            Event::Succeed(number) => self.on_living(*number, |row| end(row, PodPhase::Succeeded)),
            Event::Delete(number) => {
                if let Some(pod) = self.nth(*number) {
                    pod.row.flags |= pod_flag::TERMINATING;
                }
            }
            Event::Gone(number) => {
                let is_going = |pod: &ModelPod| pod.row.flags & pod_flag::TERMINATING != 0;
                let going: Vec<Str> =
                    self.pods.iter().filter(|(_, pod)| is_going(pod)).map(|(name, _)| name.clone()).collect();
                if let Some(name) = going.get(number % going.len().max(1)) {
                    self.pods.remove(name);
                }
            }
            Event::Node { node, shape } => {
                self.nodes.insert(node_name(*node), *shape);
            }
            Event::NodeGone(node) => {
                self.nodes.remove(&node_name(*node));
            }
            Event::Orphan(node) => self.add(node_name(*node), "t0".into(), pod_flag::ORPHAN),
            Event::Template(template) if *template != self.template => {
                self.template = *template;
                self.template_generation += 1;
                self.edit();
            }
            Event::Template(_) => {}
            Event::Strategy { strategy, unavailable, surge } => {
                self.set.strategy = *strategy;
                (self.set.max_unavailable, self.set.max_surge) = (unavailable.clone(), surge.clone());
                self.edit();
            }
            Event::MinReady(seconds) => {
                self.set.min_ready_seconds = *seconds;
                self.edit();
            }
            Event::TakeName(template) => {
                let name = format!("set-{}", self.hash(*template)).into();
                if !self.revisions.contains_key(&name) {
                    self.foreign.push(name);
                }
            }
            Event::Reconcile { failing } => {
                self.reconcile(*failing)?;
            }
        }
        Ok(())
    }

    /// Changes a Pod that has not ended.
    fn on_living(&mut self, number: usize, change: impl FnOnce(&mut DaemonPodRow)) {
        let has_ended = |pod: &ModelPod| matches!(pod.row.phase, PodPhase::Failed | PodPhase::Succeeded);
        if let Some(pod) = self.nth(number).filter(|pod| !has_ended(pod)) {
            change(&mut pod.row);
        }
    }

    fn add(&mut self, node: Str, hash: Str, owner: u16) {
        let row = DaemonPodRow {
            phase: PodPhase::Pending,
            flags: owner | pod_flag::SELECTED,
            node: 0,
            hash,
            created_s: self.now_ms.div_euclid(1_000),
            ready_changed_s: 0,
        };
        // As names are: in no order of time.
        let name = format!("pod-{:010}", self.next_pod.wrapping_mul(2_654_435_761)).into();
        self.next_pod += 1;
        let generation = if owner == pod_flag::OWNED { self.template_generation } else { 0 };
        self.pods.insert(name, ModelPod { node, row, generation });
    }

    fn reconcile(&mut self, failing: u16) -> Result<Plan, TestCaseError> {
        let mut snapshot = self.snapshot(None);
        let mut plan = self.plan(&snapshot);
        rules::check(&plan, &snapshot)?;
        if plan.read == Some(Read::Owner) {
            snapshot = self.snapshot(Some(LiveOwner::Alive));
            plan = self.plan(&snapshot);
            rules::check(&plan, &snapshot)?;
        }
        self.check_delays(&plan, &snapshot)?;
        let names = Names {
            pods: self.pods.keys().cloned().collect(),
            revisions: self.revisions.keys().cloned().collect(),
        };
        let mut done: Vec<bool> = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let runs = step.after.iter().all(|dependency| match dependency.needs {
                Needs::Succeeded => done[dependency.step as usize],
                Needs::Failed => !done[dependency.step as usize],
                Needs::Settled => true,
            });
            let fails = number < 16 && failing & (1 << number) != 0;
            let succeeds = runs && !fails;
            done.push(succeeds && self.act(&step.action, &snapshot, &names)?);
        }
        self.memo.clone_from(&plan.memo);
        Ok(plan)
    }

    fn plan(&self, snapshot: &DaemonSetSnapshot) -> Plan {
        match &self.policy {
            Some(policy) => reconcile(snapshot, policy).unwrap(),
            None => reconcile(snapshot, &BuiltIn::default()).unwrap(),
        }
    }

    /// A failed Pod goes no sooner than the delay says that the failures before it on its node have earned.
    fn check_delays(&mut self, plan: &Plan, snapshot: &DaemonSetSnapshot) -> Result<(), TestCaseError> {
        if self.failures_of != snapshot.set.status.observed_generation {
            self.failures_of = snapshot.set.status.observed_generation;
            self.failures.clear();
        }
        for position in deleted(plan) {
            let row = snapshot.pods.get(position as usize).unwrap();
            let is_counted = row.phase == PodPhase::Failed
                && row.flags & pod_flag::OF_GENERATION != 0
                && row.node < GONE_NODE
                && snapshot.nodes.shape[row.node as usize] != fixture::NO_EXECUTE;
            if !is_counted {
                continue;
            }
            let node = snapshot.nodes.name[row.node as usize].clone();
            let last = self.failures.get(&node).filter(|last| self.now_ms - last.at_ms <= QUIET_MS);
            let delay_ms = last.map_or(1_000, |last| (last.delay_ms * 2).min(900_000));
            if let Some(last) = last {
                prop_assert!(
                    self.now_ms >= last.at_ms + last.delay_ms,
                    "{node}: {last:?} and {}",
                    self.now_ms
                );
            }
            self.failures.insert(node, Failure { at_ms: self.now_ms, delay_ms });
        }
        Ok(())
    }

    /// Carries an action out; returns whether it succeeded.
    fn act(
        &mut self,
        action: &Action,
        snapshot: &DaemonSetSnapshot,
        names: &Names,
    ) -> Result<bool, TestCaseError> {
        let Action::DaemonSet(action) = action else { return Ok(true) };
        let Names { pods: names, revisions } = names;
        match action {
            DaemonSetAction::CreatePods { nodes, hash } => {
                let exists = self.revisions.values().any(|one| one.row.label == *hash);
                prop_assert!(exists, "no revision has the hash {hash}");
                for node in nodes {
                    self.add(snapshot.nodes.name[*node as usize].clone(), hash.clone(), pod_flag::OWNED);
                }
            }
            DaemonSetAction::DeletePods(positions) => {
                self.on_pods(names, positions, |row| row.flags |= pod_flag::TERMINATING);
            }
            DaemonSetAction::AdoptPods(positions) => self.on_pods(names, positions, |row| {
                row.flags = (row.flags & !pod_flag::ORPHAN) | pod_flag::OWNED;
            }),
            DaemonSetAction::RelabelPods { pods, hash } => {
                self.on_pods(names, pods, |row| row.hash = hash.clone());
            }
            DaemonSetAction::CreateRevision { number } => {
                let name: Str = format!("set-{}", snapshot.set.template_hash).into();
                if self.foreign.contains(&name) || self.revisions.contains_key(&name) {
                    self.taken = Some(snapshot.set.template_hash.clone());
                    return Ok(false);
                }
                let mut row = fixture::revision(&snapshot.set.template_hash, *number, true).row;
                row.created_s = self.now_ms.div_euclid(1_000);
                self.revisions.insert(name, ModelRevision { row, template: self.template });
            }
            DaemonSetAction::RenumberRevision { revision, number } => {
                let name = &revisions[*revision as usize];
                self.revisions.get_mut(name).unwrap().row.number = *number;
            }
            DaemonSetAction::DeleteRevisions(positions) => {
                for position in positions {
                    let name = &revisions[*position as usize];
                    let removed = self.revisions.remove(name).unwrap();
                    let is_ours = |pod: &&ModelPod| pod.row.flags & pod_flag::OWNED != 0;
                    let is_named =
                        self.pods.values().filter(is_ours).any(|pod| pod.row.hash == removed.row.label);
                    prop_assert!(!is_named && removed.template != self.template, "{removed:?}");
                }
            }
            DaemonSetAction::WriteStatus(status) => {
                let stored = &mut self.set.status;
                prop_assert!(status.observed_generation >= stored.observed_generation);
                *stored = *status;
            }
            other => prop_assert!(false, "{other:?}"),
        }
        Ok(true)
    }

    fn on_pods(&mut self, names: &[Str], positions: &[u32], change: impl Fn(&mut DaemonPodRow)) {
        for position in positions {
            let name = &names[*position as usize];
            if let Some(pod) = self.pods.get_mut(name) {
                change(&mut pod.row);
            }
        }
    }

    /// The kubelet and the scheduler do all that is to be done at once.
    fn settle(&mut self) {
        let now_s = self.now_ms.div_euclid(1_000);
        self.pods.retain(|_, pod| pod.row.flags & pod_flag::TERMINATING == 0);
        for pod in self.pods.values_mut().filter(|pod| self.nodes.contains_key(&pod.node)) {
            if !matches!(pod.row.phase, PodPhase::Failed | PodPhase::Succeeded) {
                make_ready(&mut pod.row, now_s);
            }
        }
    }

    /// Looks without any fault until nothing is left to do, and checks what then holds.
    pub(super) fn rest(&mut self) -> Result<(), TestCaseError> {
        let is_readable =
            |limit: &Option<IntOrPercent>| limit.as_ref().is_none_or(|limit| limit.of(1).is_some());
        if !is_readable(&self.set.max_unavailable) || !is_readable(&self.set.max_surge) {
            (self.set.max_unavailable, self.set.max_surge) = (Some(IntOrPercent::Int(2)), None);
            self.edit();
        }
        if let Some(policy) = &mut self.policy {
            policy.answers.clear();
        }
        let mut looks = 0;
        loop {
            self.settle();
            let plan = self.reconcile(0)?;
            if plan.steps.is_empty() && plan.requeue_after_ms.is_none() {
                break;
            }
            if plan.steps.is_empty() {
                self.now_ms += i64::try_from(plan.requeue_after_ms.unwrap_or(0)).unwrap();
            }
            looks += 1;
            prop_assert!(looks < MAX_LOOKS, "it never rests: {plan:?}");
        }
        self.check_rest()
    }

    fn check_rest(&self) -> Result<(), TestCaseError> {
        let status = &self.set.status;
        prop_assert_eq!(status.observed_generation, self.set.generation);
        let holding: Vec<_> = self.revisions.values().filter(|one| one.template == self.template).collect();
        prop_assert_eq!(holding.len(), 1);
        let highest = self.revisions.values().map(|one| one.row.number).max();
        prop_assert_eq!(Some(holding[0].row.number), highest);
        let spare = self.revisions.values().filter(|one| {
            one.template != self.template && self.pods.values().all(|pod| pod.row.hash != one.row.label)
        });
        prop_assert!(spare.count() <= 1, "the history is too long");
        for (node, shape) in &self.nodes {
            let pods: Vec<_> = self.pods.values().filter(|pod| pod.node == *node).collect();
            match *shape {
                fixture::NO_EXECUTE => prop_assert!(pods.is_empty(), "{node}: {pods:?}"),
                fixture::NO_SCHEDULE => prop_assert!(pods.len() <= 1, "{node}: {pods:?}"),
                _ => {
                    prop_assert_eq!(pods.len(), 1, "{}: {:?}", node, pods);
                    let is_updated = pods[0].row.hash == holding[0].row.label;
                    prop_assert!(is_updated || self.set.strategy == UpdateStrategy::OnDelete);
                }
            }
        }
        let plain = self.nodes.values().filter(|shape| **shape == PLAIN).count();
        let counters = [status.desired, status.current, status.ready, status.available];
        prop_assert_eq!(counters.map(|counter| counter as usize), [plain; 4]);
        prop_assert_eq!(status.unavailable, 0);
        Ok(())
    }
}

fn node_name(node: u8) -> Str {
    format!("node-{node}").into()
}

fn make_ready(row: &mut DaemonPodRow, now_s: i64) {
    row.phase = PodPhase::Running;
    if row.flags & pod_flag::READY == 0 {
        row.ready_changed_s = now_s;
    }
    row.flags |= pod_flag::READY | pod_flag::BOUND;
}

fn end(row: &mut DaemonPodRow, phase: PodPhase) {
    row.phase = phase;
    row.flags = (row.flags & !pod_flag::READY) | pod_flag::BOUND;
}

fn deleted(plan: &Plan) -> Vec<u32> {
    let positions = |action: &Action| match action {
        Action::DaemonSet(DaemonSetAction::DeletePods(positions)) => positions.clone(),
        _ => Vec::new(),
    };
    plan.steps.iter().flat_map(|step| positions(&step.action)).collect()
}
