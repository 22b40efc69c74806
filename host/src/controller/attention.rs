//! Which nodes of a DaemonSet the next snapshot shows: those where something happened, or is still to be done.
//!
//! A plan says which nodes are settled. They are left out until something happens to them, to their Pods, or to the set,
//! so that an event costs what it changed, whatever the number of nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_core::kube::{Node, Str};
use windlass_core::plan::SettledNodes;

use crate::snapshot::Look;

/// What is known of a DaemonSet's nodes; of one that is new nothing is.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// `None` while every node has to be looked at.
    nodes: Option<Nodes>,
    /// Nodes where something happened after the last snapshot.
    since: BTreeSet<Str>,
    /// Whether what the next plan says of its nodes is out of date already.
    is_void: bool,
}

/// A node that is in neither set needs no Pod and has none.
#[derive(Debug)]
struct Nodes {
    /// Those that were settled with a Pod.
    with_pod: BTreeSet<Str>,
    /// Those that were not settled.
    unsettled: BTreeSet<Str>,
}

impl Attention {
    /// Something happened to a node, or to one of the set's Pods for it.
    pub(super) fn touch(&mut self, node: &Str) {
        if let Some(nodes) = &mut self.nodes {
            nodes.with_pod.remove(node);
            nodes.unsettled.insert(node.clone());
        }
        self.since.insert(node.clone());
    }

    /// Something happened to the set or its revisions: no node is settled any more.
    pub(super) fn forget(&mut self) {
        self.nodes = None;
        self.since.clear();
        self.is_void = true;
    }

    /// What a snapshot that is taken now shows.
    pub(super) fn look(&mut self) -> Look {
        self.since.clear();
        self.is_void = false;
        match &self.nodes {
            None => Look::Everywhere,
            Some(nodes) => Look::At {
                nodes: nodes.unsettled.iter().cloned().collect(),
                settled: u32::try_from(nodes.with_pod.len()).unwrap_or(u32::MAX),
            },
        }
    }

    /// Takes in what the plan for the last snapshot, which showed the nodes `shown`, says of them; `pods_at` are the names
    /// of all nodes that the set has Pods for, rising, whether the nodes are there or not.
    pub(super) fn learn<'a>(
        &mut self,
        shown: &[Arc<Node>],
        settled: &SettledNodes,
        pods_at: impl Iterator<Item = &'a Str>,
    ) {
        if self.is_void {
            return;
        }
        let is_touched = |node: &Str| self.since.contains(node);
        match &mut self.nodes {
            Some(nodes) => {
                let name = |position: &u32| shown.get(*position as usize).map(|node| &node.metadata.name);
                for node in settled.with_pod.iter().filter_map(name).filter(|name| !is_touched(name)) {
                    nodes.unsettled.remove(node);
                    nodes.with_pod.insert(node.clone());
                }
                for node in settled.without.iter().filter_map(name).filter(|name| !is_touched(name)) {
                    nodes.unsettled.remove(node);
                }
            }
            None => {
                let mut nodes = Nodes::of_all(shown, settled, is_touched);
                nodes.unsettled.extend(self.since.iter().cloned());
                nodes.unsettled.extend(missing(shown, pods_at).cloned());
                self.nodes = Some(nodes);
            }
        }
    }

    /// Forgets nodes that are not there any more and that the set has no Pods for, as `is_needed` tells.
    pub(super) fn prune(&mut self, is_needed: impl Fn(&Str) -> bool) {
        if let Some(nodes) = &mut self.nodes {
            nodes.unsettled.retain(is_needed);
        }
    }
}

impl Nodes {
    /// What the first plan says of all nodes, in time that is linear in them.
    fn of_all(shown: &[Arc<Node>], settled: &SettledNodes, is_touched: impl Fn(&Str) -> bool) -> Self {
        let mut says = vec![None; shown.len()];
        for (positions, with_pod) in [(&settled.with_pod, true), (&settled.without, false)] {
            for position in positions {
                if let Some(said) = says.get_mut(*position as usize) {
                    *said = Some(with_pod);
                }
            }
        }
        let names = || shown.iter().map(|node| &node.metadata.name).zip(&says);
        let is_with_pod = |(node, said): &(&Str, &Option<bool>)| **said == Some(true) && !is_touched(node);
        let is_unsettled = |(node, said): &(&Str, &Option<bool>)| said.is_none() || is_touched(node);
        Self {
            with_pod: names().filter(is_with_pod).map(|(node, _)| node.clone()).collect(),
            unsettled: names().filter(is_unsettled).map(|(node, _)| node.clone()).collect(),
        }
    }
}

/// Those of `names` that are not among the nodes `shown`; both rise.
fn missing<'a>(shown: &[Arc<Node>], names: impl Iterator<Item = &'a Str>) -> impl Iterator<Item = &'a Str> {
    let mut shown = shown.iter().map(|node| &node.metadata.name).peekable();
    names.filter(move |name| {
        while shown.next_if(|node| node < name).is_some() {}
        shown.peek().is_none_or(|node| node > name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<Arc<Node>> {
        let node = |name: &&str| {
            let mut node = Node::default();
            node.metadata.name = (*name).into();
            Arc::new(node)
        };
        names.iter().map(node).collect()
    }

    fn at(names: &[&str], settled: u32) -> Look {
        Look::At { nodes: names.iter().map(|name| Str::from(*name)).collect(), settled }
    }

    fn settled(with_pod: &[u32], without: &[u32]) -> SettledNodes {
        SettledNodes { with_pod: with_pod.to_vec(), without: without.to_vec() }
    }

    /// Of a, b, c and d the first two were settled with a Pod, and the third without.
    fn learned() -> Attention {
        let mut attention = Attention::default();
        assert_eq!(attention.look(), Look::Everywhere);
        attention.learn(&nodes(&["a", "b", "c", "d"]), &settled(&[0, 1], &[2]), [].iter());
        attention
    }

    #[test]
    fn only_what_is_unsettled_or_touched_is_looked_at() {
        let mut attention = learned();
        assert_eq!(attention.look(), at(&["d"], 2));
        attention.touch(&"b".into());
        attention.touch(&"new".into());
        assert_eq!(attention.look(), at(&["b", "d", "new"], 1));
        attention.learn(&nodes(&["b", "d", "new"]), &settled(&[0], &[1, 2]), [].iter());
        assert_eq!(attention.look(), at(&[], 2));
    }

    #[test]
    fn what_happens_while_a_plan_is_made_counts_after_it() {
        let mut attention = learned();
        attention.touch(&"b".into());
        assert_eq!(attention.look(), at(&["b", "d"], 1));
        attention.touch(&"b".into());
        attention.touch(&"a".into());
        attention.learn(&nodes(&["b", "d"]), &settled(&[0, 1], &[]), [].iter());
        assert_eq!(attention.look(), at(&["a", "b"], 1));

        let mut attention = Attention::default();
        attention.look();
        attention.touch(&"e".into());
        attention.touch(&"a".into());
        attention.learn(&nodes(&["a", "b"]), &settled(&[0, 1], &[]), [].iter());
        assert_eq!(attention.look(), at(&["a", "e"], 1));
    }

    #[test]
    fn another_template_unsettles_everything_whatever_a_plan_for_the_last_one_says() {
        let mut attention = learned();
        attention.look();
        attention.forget();
        attention.learn(&nodes(&["d"]), &settled(&[0], &[]), [].iter());
        assert_eq!(attention.look(), Look::Everywhere);
    }

    #[test]
    fn a_node_that_is_gone_is_looked_at_until_its_pods_are_gone() {
        let mut attention = Attention::default();
        attention.look();
        attention.learn(&nodes(&["a", "d"]), &settled(&[0], &[]), ["a".into(), "gone".into()].iter());
        assert_eq!(attention.look(), at(&["d", "gone"], 1));
        attention.prune(|node| &**node != "d");
        assert_eq!(attention.look(), at(&["gone"], 1));
    }
}
