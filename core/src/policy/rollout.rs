//! P4, rollout: which node of a DaemonSet gets the new revision next.

use alloc::string::String;
use alloc::vec::Vec;

/// State of a node whose Pod is of an earlier revision.
pub const OLD: &str = "old";
/// State of a node whose Pod is of the revision that is rolled out.
pub const UPDATED: &str = "updated";
/// State of a node that has no Pod.
pub const MISSING: &str = "missing";

/// One node on which the DaemonSet is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name of the node.
    pub name: String,
    /// The labels that the policy asked for, as key and value.
    pub labels: Vec<(String, String)>,
    /// State of the Pod there: [`OLD`], [`UPDATED`], [`MISSING`], or a word of a later version.
    pub state: String,
    /// Whether the Pod there is available.
    pub available: bool,
    /// How long the Pod there has been in this state, milliseconds, saturating.
    pub since_ms: u32,
}

/// The state of one rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the DaemonSet, joined by a slash.
    pub owner: String,
    /// Hash of the revision that is rolled out.
    pub revision: String,
    /// The nodes, by name.
    pub nodes: Vec<Node>,
    /// Most nodes whose Pod may be unavailable at once.
    pub max_unavailable: u32,
    /// Most nodes that may have a second Pod at once.
    pub max_surge: u32,
    /// How long the rollout has been going on, milliseconds, saturating.
    pub age_ms: u32,
    /// For jitter: the same for the same revision of the same DaemonSet.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// The nodes that are next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Nodes to update now, first ones first, by their position in `nodes`; no more are taken than the budget allows.
    pub nodes: Vec<u32>,
    /// A budget below the question's own, for this answer; a larger one is passed over.
    pub budget: Option<u32>,
    /// When to ask again though nothing happens, milliseconds; absent: when something happens.
    pub ask_again_ms: Option<u32>,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go on with these nodes.
    Update(Update),
    /// Update nothing for now.
    Pause(Hold),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// A wait without a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, for people.
    pub reason: String,
    /// When to ask again, milliseconds.
    pub ask_again_ms: u32,
}

/// The built-in answer: old Pods that are unavailable first, then the others, by the names of their nodes (upstream:
/// rollingUpdate).
#[must_use]
pub fn built_in(question: &Question) -> Answer {
    let old = |available: bool| {
        let nodes = (0_u32..).zip(&question.nodes);
        nodes.filter(move |(_, node)| node.state == OLD && node.available == available)
    };
    let nodes = old(false).chain(old(true)).map(|(position, _)| position).collect();
    Answer::Update(Update { nodes, ..Update::default() })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn unavailable_old_pods_go_first_and_only_old_ones_go() {
        let node = |state: &str, available| Node { state: state.into(), available, ..Node::default() };
        let nodes = vec![
            node(OLD, true),
            node(UPDATED, false),
            node(OLD, false),
            node(MISSING, false),
            node(OLD, true),
        ];
        let answer = built_in(&Question { nodes, ..Question::default() });
        assert_eq!(answer, Answer::Update(Update { nodes: vec![2, 0, 4], ..Update::default() }));
    }
}
