//! What must hold whatever a policy of rollouts answers.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::super::fixture::{self, PLAIN};
use super::super::reconcile;
use super::world::World;
use super::{events, rules, snapshot};
use crate::kube::IntOrPercent;
use crate::plan::{Action, DaemonSetAction, Plan};
use crate::policy::rollout::{Answer, Hold, MISSING, OLD, Question, UPDATED, Update, built_in};
use crate::policy::{BuiltIn, Policy, backoff};
use crate::view::{DaemonSetSnapshot, UpdateStrategy};

/// Gives these answers in turn, whatever the question; the built-in ones if there are none.
#[derive(Debug, Default)]
pub(super) struct Wild {
    pub(super) answers: Vec<Answer>,
    next: Cell<usize>,
    asked: RefCell<Vec<Question>>,
}

impl Wild {
    fn saying(answer: Answer) -> Self {
        Self { answers: vec![answer], ..Self::default() }
    }
}

impl Policy for Wild {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        BuiltIn::default().backoff(questions)
    }

    fn rollout(&self, questions: &[Question]) -> Vec<Answer> {
        self.asked.borrow_mut().extend_from_slice(questions);
        let turn = self.next.get();
        self.next.set(turn + 1);
        let answer = self.answers.get(turn % self.answers.len().max(1));
        questions.iter().map(|question| answer.cloned().unwrap_or_else(|| built_in(question))).collect()
    }
}

/// Anything that a policy could say, positions that were not offered included.
fn answer() -> impl Strategy<Value = Answer> {
    let nodes = prop::collection::vec(0_u32..13, 0..9);
    let update = (nodes, prop::option::of(0_u32..4), prop::option::of(1_000_u32..9_000))
        .prop_map(|(nodes, budget, ask_again_ms)| Answer::Update(Update { nodes, budget, ask_again_ms }));
    prop_oneof![8 => update, 1 => Just(pause()), 1 => Just(Answer::Other(String::new()))]
}

fn pause() -> Answer {
    Answer::Pause(Hold { reason: "later".into(), ask_again_ms: 5_000 })
}

/// A snapshot for which a policy is asked: anything, or mostly one in the middle of a rollout.
fn bound() -> impl Strategy<Value = DaemonSetSnapshot> {
    prop_oneof![1 => snapshot(), 4 => rolling()].prop_map(|mut snapshot| {
        snapshot.rollout_policy = Some(Vec::new());
        snapshot
    })
}

/// A snapshot in which nothing is missing and nothing too much, but for Pods that go.
fn rolling() -> impl Strategy<Value = DaemonSetSnapshot> {
    const PODS: [&str; 9] =
        ["old", "old", "old unready", "older", "new", "new", "new unready", "new going", "old going"];
    let second = prop::option::weighted(0.2, prop::sample::select(&["new", "new unready"][..]));
    let shape = prop_oneof![5 => Just(PLAIN), 1 => Just(fixture::NO_SCHEDULE)];
    let node = (prop::sample::select(&PODS[..]), second, shape);
    let limits = (any::<bool>(), 0_i32..4, 1_u32..9);
    (prop::collection::vec(node, 1..9), limits).prop_map(|(nodes, (surges, limit, max_pods_per_sync))| {
        let mut snapshot = fixture::snapshot(nodes.len());
        for (node, (words, second, shape)) in (0_u32..).zip(nodes) {
            let (hash, words) = words.split_once(' ').unwrap_or((words, ""));
            fixture::pod(&mut snapshot, node, hash, words);
            if let Some(words) = second.filter(|_| surges && hash != "new" && shape == PLAIN) {
                fixture::pod(&mut snapshot, node, "new", words.strip_prefix("new").unwrap_or_default());
            }
            snapshot.nodes.shape[node as usize] = shape;
        }
        snapshot.flags.max_pods_per_sync = max_pods_per_sync;
        let limit = Some(IntOrPercent::Int(limit));
        let set = fixture::set(&mut snapshot);
        if surges {
            (set.max_unavailable, set.max_surge) = (Some(IntOrPercent::Int(0)), limit);
        } else {
            set.max_unavailable = limit;
        }
        snapshot
    })
}

/// The nodes that get Pods, and those whose Pods go, by step of the plan.
fn changes(plan: &Plan) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut creates, mut deletes) = (BTreeSet::new(), BTreeSet::new());
    for step in &plan.steps {
        match &step.action {
            Action::DaemonSet(DaemonSetAction::CreatePods { nodes, .. }) => creates.extend(nodes),
            Action::DaemonSet(DaemonSetAction::DeletePods(pods)) => deletes.extend(pods),
            _ => {}
        }
    }
    (creates, deletes)
}

/// Positions in the snapshot of the nodes on which the set is to run.
fn plain(snapshot: &DaemonSetSnapshot) -> Vec<u32> {
    (0_u32..).zip(&snapshot.nodes.shape).filter(|(_, shape)| **shape == PLAIN).map(|(node, _)| node).collect()
}

fn limit_of(limit: Option<&IntOrPercent>, nodes: &[u32]) -> Option<u32> {
    limit.map_or(Some(0), |limit| limit.of(u32::try_from(nodes.len()).unwrap()))
}

/// The snapshot with so much less that may be unavailable or surge; `None` if that would be nothing at all, or no limit
/// is there to be made less.
fn with_budget(snapshot: &DaemonSetSnapshot, budget: u32) -> Option<DaemonSetSnapshot> {
    let nodes = plain(snapshot);
    let mut lowered = snapshot.clone();
    let set = fixture::set(&mut lowered);
    let surge = limit_of(set.max_surge.as_ref(), &nodes)?;
    let limit = if surge > 0 { &mut set.max_surge } else { &mut set.max_unavailable };
    let own = limit_of(limit.as_ref(), &nodes)?;
    let lower = budget.min(own);
    *limit = Some(IntOrPercent::Int(i32::try_from(lower).ok()?));
    (lower > 0).then_some(lowered)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn no_answer_breaks_a_rule(snapshot in bound(), answer in answer()) {
        let policy = Wild::saying(answer.clone());
        let plan = reconcile(&snapshot, &policy).unwrap();
        rules::check(&plan, &snapshot)?;
        // Where nobody is asked, nobody's budget counts: of what is left, no node takes a new Pod.
        if policy.asked.take().is_empty() {
            return Ok(());
        }
        let Answer::Update(Update { budget: Some(budget), .. }) = answer else { return Ok(()) };
        if let Some(lowered) = with_budget(&snapshot, budget) {
            rules::check(&plan, &lowered)?;
        }
    }

    #[test]
    fn a_rollout_begins_at_no_node_that_was_not_named(mut snapshot in bound(), answer in answer()) {
        snapshot.flags.max_pods_per_sync = 100;
        let plan = |answer: &Answer| {
            let policy = Wild::saying(answer.clone());
            let plan = reconcile(&snapshot, &policy).unwrap();
            (changes(&plan), plan, policy.asked.take())
        };
        let ((paused_creates, paused_deletes), paused, _) = plan(&pause());
        let ((creates, deletes), _, asked) = plan(&answer);
        if let (Answer::Update(Update { nodes, .. }), [_]) = (&answer, &*asked) {
            let offered = plain(&snapshot);
            let named: BTreeSet<u32> =
                nodes.iter().filter_map(|place| offered.get(*place as usize).copied()).collect();
            prop_assert!(creates.difference(&paused_creates).all(|node| named.contains(node)));
            let node = |pod: &u32| snapshot.pods.node[*pod as usize];
            prop_assert!(deletes.difference(&paused_deletes).all(|pod| named.contains(&node(pod))));
        }
        prop_assert!(creates.is_superset(&paused_creates) && deletes.is_superset(&paused_deletes));
        if asked.is_empty() {
            prop_assert_eq!((&creates, &deletes), (&paused_creates, &paused_deletes));
        } else {
            prop_assert!(paused.requeue_after_ms.is_some_and(|after_ms| after_ms <= 5_000));
        }
        snapshot.rollout_policy = None;
        let (all_creates, all_deletes) = changes(&reconcile(&snapshot, &BuiltIn::default()).unwrap());
        prop_assert!(all_creates.is_superset(&paused_creates) && all_deletes.is_superset(&paused_deletes));
    }

    #[test]
    fn the_built_in_answer_does_what_is_done_without_a_policy(mut snapshot in bound(), other in any::<bool>()) {
        // Nodes that take no new Pod come last where a policy is asked, and a memo would say whose turn it is.
        snapshot.nodes.shape.fill(PLAIN);
        snapshot.memo.clear();
        let policy = if other { Wild::saying(Answer::Other(String::new())) } else { Wild::default() };
        let mut asked = reconcile(&snapshot, &policy).unwrap();
        snapshot.rollout_policy = None;
        let mut alone = reconcile(&snapshot, &policy).unwrap();
        (asked.memo, alone.memo) = (Vec::new(), Vec::new());
        prop_assert_eq!(asked, alone);
    }

    #[test]
    fn a_question_is_about_all_nodes_by_name_and_asked_while_one_is_old(snapshot in bound()) {
        let policy = Wild::default();
        let plan = reconcile(&snapshot, &policy).unwrap();
        let asked = policy.asked.take();
        prop_assert!(asked.len() <= 1);
        let [question] = &*asked else { return Ok(()) };
        prop_assert!(snapshot.set.strategy != UpdateStrategy::OnDelete);
        let names = plain(&snapshot).into_iter().map(|node| &*snapshot.nodes.name[node as usize]);
        prop_assert!(question.nodes.iter().map(|node| &*node.name).eq(names));
        let is_state = |state: &str| [OLD, UPDATED, MISSING].contains(&state);
        prop_assert!(question.nodes.iter().all(|node| is_state(&node.state)));
        prop_assert!(question.nodes.iter().any(|node| node.state == OLD));
        prop_assert!(question.nodes.iter().all(|node| node.state != MISSING || !node.available));
        let again = Wild::default();
        prop_assert_eq!(reconcile(&snapshot, &again).unwrap(), plan);
        prop_assert_eq!(&again.asked.take(), &asked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn a_history_in_which_a_policy_says_anything_keeps_the_rules_and_comes_to_rest(
        events in events(), answers in prop::collection::vec(answer(), 1..6)
    ) {
        let mut world = World::bound_to(Wild { answers, ..Wild::default() });
        for event in &events {
            world.happen(event)?;
        }
        world.rest()?;
    }
}
