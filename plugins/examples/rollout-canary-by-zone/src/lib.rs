//! Rolls out to canaries, then zone by zone, each with a time to bake, and never two nodes of a rack at once.

use std::collections::{BTreeMap, BTreeSet};

use windlass_plugin::rollout::{Answer, Hold, Node, Question, Rollout, Update};
use windlass_plugin::{settings, value_of};

/// Label of the nodes that go first; its value is `true`.
const CANARY: &str = "windlass.dev/canary";
/// Label that names a node's zone.
const ZONE: &str = "topology.kubernetes.io/zone";
/// Label that names a node's rack.
const RACK: &str = "topology.kubernetes.io/rack";

settings! {
    /// How fast it goes.
    pub struct Settings {
        /// How long the last node of a stage must have been available before the next stage begins, milliseconds.
        bake_ms: u32 = 600_000,
        /// When to look again at a stage that is not available, milliseconds.
        ask_again_ms: u32 = 30_000,
    }
}

/// The canaries, or a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage<'node> {
    Canaries,
    Zone(&'node str),
}

struct CanaryByZone;

impl Rollout for CanaryByZone {
    type Settings = Settings;

    const WANTS: &'static [&'static str] = &[
        "node.label/windlass.dev/canary",
        "node.label/topology.kubernetes.io/zone",
        "node.label/topology.kubernetes.io/rack",
    ];

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let mut stages: BTreeMap<Stage<'_>, Vec<u32>> = BTreeMap::new();
        for (position, node) in (0..).zip(&question.nodes) {
            stages.entry(stage_of(node)).or_default().push(position);
        }
        let node = |position: &u32| &question.nodes[*position as usize];
        for (stage, positions) in stages {
            if positions.iter().any(|position| is_old(node(position))) {
                return Ok(next_of(settings, stage, &positions, &question.nodes));
            }
            let not_available = positions.iter().map(node).find(|node| !node.available);
            if let Some(node) = not_available {
                let reason = format!("{}: {} is not available", named(stage), node.name);
                return Ok(pause(reason, settings.ask_again_ms));
            }
            let youngest_ms =
                positions.iter().map(|position| node(position).since_ms).min().unwrap_or(u32::MAX);
            if youngest_ms < settings.bake_ms {
                return Ok(pause(format!("{} bake", named(stage)), settings.bake_ms - youngest_ms));
            }
        }
        Ok(update(Vec::new()))
    }
}

windlass_plugin::export!(CanaryByZone: Rollout);

fn stage_of(node: &Node) -> Stage<'_> {
    if value_of(&node.labels, CANARY) == Some("true") {
        return Stage::Canaries;
    }
    Stage::Zone(value_of(&node.labels, ZONE).unwrap_or_default())
}

fn named(stage: Stage<'_>) -> String {
    match stage {
        Stage::Canaries => "the canaries".to_owned(),
        Stage::Zone("") => "the nodes without a zone".to_owned(),
        Stage::Zone(zone) => format!("the nodes of zone {zone}"),
    }
}

fn is_old(node: &Node) -> bool {
    node.state == "old"
}

/// The old nodes of a stage, unavailable ones first, of each rack one, and none of a rack of which another node
/// is not available.
fn next_of(settings: &Settings, stage: Stage<'_>, positions: &[u32], nodes: &[Node]) -> Answer {
    let mut busy: BTreeMap<&str, &str> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.available) {
        busy.entry(rack_of(node)).or_insert(&node.name);
    }
    let mut old: Vec<u32> =
        positions.iter().copied().filter(|position| is_old(&nodes[*position as usize])).collect();
    old.sort_by_key(|position| (nodes[*position as usize].available, *position));
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    old.retain(|position| {
        let node = &nodes[*position as usize];
        let free = busy.get(rack_of(node)).is_none_or(|name| *name == node.name);
        free && taken.insert(rack_of(node))
    });
    if old.is_empty() {
        return pause(
            format!("{}: every rack has a node that is not available", named(stage)),
            settings.ask_again_ms,
        );
    }
    update(old)
}

/// A node without the label is a rack of its own.
fn rack_of(node: &Node) -> &str {
    value_of(&node.labels, RACK).unwrap_or(&node.name)
}

fn update(nodes: Vec<u32>) -> Answer {
    Answer::Update(Update { nodes, budget: None, ask_again_ms: None })
}

fn pause(reason: String, ask_again_ms: u32) -> Answer {
    Answer::Pause(Hold { reason, ask_again_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node from `name state [unavailable] since-seconds [canary] zone=z rack=r`.
    fn node(line: &str) -> Node {
        let mut words = line.split(' ');
        let mut next = || words.next().expect("a word").to_owned();
        let (name, state, since_s) = (next(), next(), next());
        let mut node = Node {
            name,
            state,
            available: true,
            since_ms: since_s.parse::<u32>().expect("seconds") * 1_000,
            labels: Vec::new(),
        };
        for word in words {
            match word.split_once('=') {
                Some(("zone", zone)) => node.labels.push((ZONE.to_owned(), zone.to_owned())),
                Some(("rack", rack)) => node.labels.push((RACK.to_owned(), rack.to_owned())),
                None if word == "canary" => node.labels.push((CANARY.to_owned(), "true".to_owned())),
                None if word == "unavailable" => node.available = false,
                _ => panic!("{word:?} means nothing"),
            }
        }
        node
    }

    fn asked(lines: &[&str]) -> Answer {
        let nodes = lines.iter().map(|line| node(line)).collect();
        let settings = Settings { bake_ms: 60_000, ask_again_ms: 5_000 };
        CanaryByZone::decide(&settings, &Question { nodes, ..Question::default() })
            .expect("it always answers")
    }

    #[test]
    fn canaries_go_first_whatever_their_zone() {
        assert_eq!(asked(&["a old 9 zone=1", "b old 9 zone=2 canary", "c old 9 zone=1"]), update(vec![1]));
    }

    #[test]
    fn a_stage_must_be_available_and_bake_before_the_next() {
        let told = asked(&["a old 9 zone=1", "b updated 59 zone=2 canary"]);
        assert_eq!(told, pause("the canaries bake".to_owned(), 1_000));
        let told = asked(&["a old 9 zone=1", "b updated 99 zone=2 canary unavailable"]);
        assert_eq!(told, pause("the canaries: b is not available".to_owned(), 5_000));
        assert_eq!(asked(&["a old 9 zone=1", "b updated 60 zone=2 canary"]), update(vec![0]));
    }

    #[test]
    fn zones_follow_one_another_by_name() {
        assert_eq!(asked(&["a old 9 zone=2", "b old 9 zone=1", "c old 9"]), update(vec![2]));
        assert_eq!(asked(&["a old 9 zone=2", "b old 9 zone=1", "c updated 60"]), update(vec![1]));
        let told = asked(&["a old 9 zone=2", "b updated 9 zone=1", "c updated 60"]);
        assert_eq!(told, pause("the nodes of zone 1 bake".to_owned(), 51_000));
    }

    #[test]
    fn never_two_nodes_of_a_rack_at_once() {
        assert_eq!(
            asked(&["a old 9 rack=1", "b old 9 rack=1", "c old 9 rack=2", "d old 9"]),
            update(vec![0, 2, 3])
        );
        assert_eq!(
            asked(&["a updated 9 rack=1 unavailable", "b old 9 rack=1", "c old 9 rack=2"]),
            update(vec![2])
        );
        let told = asked(&["a updated 9 rack=1 unavailable", "b old 9 rack=1"]);
        let reason = "the nodes without a zone: every rack has a node that is not available";
        assert_eq!(told, pause(reason.to_owned(), 5_000));
    }

    #[test]
    fn a_broken_old_node_goes_first_and_its_rack_waits_for_it() {
        let told = asked(&["a old 9 rack=1", "b old 9 rack=1 unavailable", "c old 9 rack=2"]);
        assert_eq!(told, update(vec![1, 2]));
    }

    #[test]
    fn a_rollout_that_is_done_updates_nothing() {
        assert_eq!(asked(&["a updated 60 zone=1", "b updated 60 zone=2 canary"]), update(vec![]));
        assert_eq!(asked(&[]), update(vec![]));
    }
}
