//! Which nodes the rollout may touch: all of them, or those that a policy names, in its order.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::hash::Fnv32;
use crate::kube::Str;
use crate::policy::Policy;
use crate::policy::rollout::{self, Answer, MISSING, OLD, Question, UPDATED, Update};

use super::super::facts::{Facts, Node};
use super::super::pods::Pod;
use super::super::revisions::Revisions;
use super::Limits;

/// Stands in [`Choice`] for a node that was not named.
const UNNAMED: u32 = u32::MAX;

/// What a policy says of a rollout, or nothing where the built-in one decides.
#[derive(Default)]
pub(super) struct Asked {
    /// The nodes that it may touch.
    pub(super) choice: Choice,
    /// A limit below the set's own.
    pub(super) budget: Option<u32>,
    /// When to ask again though nothing happens, milliseconds from now.
    pub(super) ask_again_ms: Option<u64>,
}

/// The nodes that a rollout may touch, and in which order.
#[derive(Default)]
pub(super) struct Choice {
    /// Of each node of the snapshot its place in the order, or [`UNNAMED`]; `None` if all may be touched, in the order of
    /// [`Facts::nodes`].
    places: Option<Vec<u32>>,
}

impl Choice {
    /// Whether the rollout may begin at this node.
    pub(super) fn has(&self, node: Node<'_>) -> bool {
        self.place(node.position) != UNNAMED
    }

    /// Puts changes of nodes into the order of the choice; `node` tells the node of one.
    pub(super) fn sort<T>(&self, changes: &mut [T], node: impl Fn(&T) -> u32) {
        if self.places.is_some() {
            changes.sort_by_key(|change| self.place(node(change)));
        }
    }

    fn place(&self, node: u32) -> u32 {
        let Some(places) = &self.places else { return 0 };
        places.get(node as usize).copied().unwrap_or(UNNAMED)
    }

    /// These nodes of so many, named by their positions in the snapshot; of one that is named twice the first counts.
    ///
    /// The order goes on after the node with which the last plan began, if nothing has come of that: what is refused for
    /// one node for ever keeps nothing from the others that are named.
    fn of(facts: &Facts<'_>, named: &[u32]) -> Self {
        let tried = named.iter().position(|node| Some(*node) == facts.tried);
        let first = tried.map_or(0, |tried| tried.saturating_add(1));
        let (before, after) = named.split_at_checked(first).unwrap_or((named, &[]));
        let mut places = vec![UNNAMED; facts.snapshot.nodes.name.len()];
        for (place, node) in (0_u32..).zip(after.iter().chain(before)) {
            if let Some(free) = places.get_mut(*node as usize).filter(|free| **free == UNNAMED) {
                *free = place;
            }
        }
        Self { places: Some(places) }
    }
}

/// Asks the policy that is bound, if one is, as long as a node has a Pod of an earlier revision which the set's present
/// one is to replace.
///
/// Nodes on which no Pod is to run are not asked about: their old Pods go by the built-in rules once no other is left.
pub(super) fn ask(
    facts: &Facts<'_>,
    revisions: &Revisions,
    limits: &Limits,
    since_ms: i64,
    policy: &dyn Policy,
) -> Asked {
    let Some(keys) = &facts.snapshot.rollout_policy else { return Asked::default() };
    let nodes: Vec<Stand<'_>> = facts
        .by_name()
        .filter(|node| node.answer.should_run)
        .map(|node| Stand::of(facts, revisions, node))
        .collect();
    if nodes.iter().all(|node| node.state != OLD) {
        return Asked::default();
    }
    let question = Question {
        owner: facts.set.owner.to_string(),
        revision: revisions.hash.to_string(),
        nodes: described(facts, keys, &nodes),
        max_unavailable: limits.unavailable,
        max_surge: limits.surge,
        age_ms: span_ms(facts, since_ms),
        seed: seed(facts, revisions),
        facts: Vec::new(),
    };
    let questions = [question];
    let answer = policy.rollout(&questions).into_iter().next();
    let [question] = &questions;
    let answer = match answer {
        Some(Answer::Other(_)) | None => rollout::built_in(question),
        Some(answer @ (Answer::Update(_) | Answer::Pause(_))) => answer,
    };
    match answer {
        Answer::Update(Update { nodes: named, budget, ask_again_ms }) => {
            let position = |place: &u32| nodes.get(*place as usize).map(|node| node.position);
            let named: Vec<u32> = named.iter().filter_map(position).collect();
            Asked { choice: Choice::of(facts, &named), budget, ask_again_ms: ask_again_ms.map(u64::from) }
        }
        Answer::Pause(hold) => Asked {
            choice: Choice::of(facts, &[]),
            budget: None,
            ask_again_ms: Some(u64::from(hold.ask_again_ms)),
        },
        // The built-in answer is none of these.
        Answer::Other(_) => Asked::default(),
    }
}

/// How a node stands.
struct Stand<'facts> {
    position: u32,
    name: &'facts Str,
    state: &'static str,
    available: bool,
    since_ms: u32,
}

impl<'facts> Stand<'facts> {
    /// That of `node`. One that has an old Pod and a new one beside it has been updated: nothing is left to be decided.
    fn of(facts: &Facts<'_>, revisions: &Revisions, node: Node<'facts>) -> Self {
        let mut alive = node.pods.iter().filter(|pod| !pod.is_terminating());
        let new = alive.clone().find(|pod| revisions.is_updated(**pod));
        let (state, pod) = match new {
            Some(new) => (UPDATED, Some(new)),
            None => alive.next().map_or((MISSING, None), |old| (OLD, Some(old))),
        };
        Self {
            position: node.position,
            name: node.name,
            state,
            available: pod.is_some_and(|pod| facts.is_available(*pod)),
            since_ms: pod.map_or(0, |pod| span_ms(facts, since_ms(facts, *pod))),
        }
    }
}

/// Since when a Pod has been available, or has not, milliseconds since the Unix epoch.
fn since_ms(facts: &Facts<'_>, pod: Pod) -> i64 {
    match pod.ready_changed_s {
        0 => pod.created_s.saturating_mul(1_000),
        changed_s if facts.is_available(pod) => facts.available_at_ms(changed_s),
        changed_s => changed_s.saturating_mul(1_000),
    }
}

/// The nodes of the question, each with the labels of these keys, in their order.
fn described(facts: &Facts<'_>, keys: &[Str], nodes: &[Stand<'_>]) -> Vec<rollout::Node> {
    let of_shape = |labels: &[(Str, Str)]| -> Vec<(String, String)> {
        let label = |key: &Str| labels.iter().find(|(other, _)| other == key);
        keys.iter().filter_map(label).map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let shapes: Vec<_> = facts.snapshot.shapes.iter().map(|shape| of_shape(&shape.labels)).collect();
    let labels = |position: u32| {
        let shape = facts.snapshot.nodes.shape.get(position as usize)?;
        shapes.get(*shape as usize).cloned()
    };
    let node = |node: &Stand<'_>| rollout::Node {
        name: node.name.to_string(),
        labels: labels(node.position).unwrap_or_default(),
        state: node.state.to_string(),
        available: node.available,
        since_ms: node.since_ms,
    };
    nodes.iter().map(node).collect()
}

/// Time from an instant to now, milliseconds, saturating.
fn span_ms(facts: &Facts<'_>, since_ms: i64) -> u32 {
    let span = facts.snapshot.now_ms.saturating_sub(since_ms).max(0);
    u32::try_from(span).unwrap_or(u32::MAX)
}

fn seed(facts: &Facts<'_>, revisions: &Revisions) -> u32 {
    let mut hash = Fnv32::default();
    hash.write(facts.set.uid.as_bytes());
    hash.write(b"/");
    hash.write(revisions.hash.as_bytes());
    hash.finish()
}
