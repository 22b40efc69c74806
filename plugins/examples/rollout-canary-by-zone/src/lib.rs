//! Rolls out to canaries, then zone by zone, each with a time to bake, and never two nodes of a rack at once.

use std::collections::{BTreeMap, BTreeSet};

use windlass_plugin::rollout::{Answer, Hold, Node, Question, Rollout, Update};
use windlass_plugin::{ask_again, settings, value_of};

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
        let mut nodes = broken(&question.nodes);
        let update = |nodes, ask_again_ms| Answer::Update(Update { nodes, budget: None, ask_again_ms });
        Ok(match of_stages(settings, &question.nodes) {
            Ok(next) => {
                nodes.extend(next);
                update(nodes, None)
            }
            Err(hold) if nodes.is_empty() => Answer::Pause(hold),
            Err(hold) => update(nodes, Some(hold.ask_again_ms)),
        })
    }
}

windlass_plugin::export!(CanaryByZone: Rollout);

/// The positions of old nodes whose Pod is not available, of each rack one: whatever their stage is, nobody loses
/// by their update.
fn broken(nodes: &[Node]) -> Vec<u32> {
    let busy = racks(nodes, |node| !node.available && !is_old(node));
    one_of_each_rack(nodes, busy, |node| !node.available && is_old(node))
}

/// The positions of the nodes that are next in the first stage that is not done, or what it waits for.
fn of_stages(settings: &Settings, nodes: &[Node]) -> Result<Vec<u32>, Hold> {
    let mut stages: BTreeMap<Stage<'_>, Vec<&Node>> = BTreeMap::new();
    for node in nodes {
        stages.entry(stage_of(node)).or_default().push(node);
    }
    for (stage, members) in stages {
        if members.iter().any(|node| is_old(node)) {
            return next_of(settings, stage, nodes);
        }
        if let Some(node) = members.iter().find(|node| !node.available) {
            let reason = format!("{}: {} is not available", named(stage), node.name);
            return Err(hold(reason, settings.ask_again_ms));
        }
        let youngest_ms = members.iter().map(|node| node.since_ms).min().unwrap_or(u32::MAX);
        if youngest_ms < settings.bake_ms {
            return Err(hold(format!("{} bake", named(stage)), settings.bake_ms - youngest_ms));
        }
    }
    Ok(Vec::new())
}

/// The old nodes of a stage, of each rack one, and none of a rack of which a node is not available.
fn next_of(settings: &Settings, stage: Stage<'_>, nodes: &[Node]) -> Result<Vec<u32>, Hold> {
    let busy = racks(nodes, |node| !node.available);
    let next = one_of_each_rack(nodes, busy, |node| is_old(node) && stage_of(node) == stage);
    if next.is_empty() {
        let reason = format!("{}: every rack has a node that is not available", named(stage));
        return Err(hold(reason, settings.ask_again_ms));
    }
    Ok(next)
}

/// The positions of the nodes that are meant, of each rack the first, and none of the racks that are `taken`.
fn one_of_each_rack<'node>(
    nodes: &'node [Node],
    mut taken: BTreeSet<&'node str>,
    is_meant: impl Fn(&Node) -> bool,
) -> Vec<u32> {
    let first = (0..).zip(nodes).filter(|(_, node)| is_meant(node) && taken.insert(rack_of(node)));
    first.map(|(position, _)| position).collect()
}

/// The racks of the nodes that are meant.
fn racks(nodes: &[Node], is_meant: impl Fn(&Node) -> bool) -> BTreeSet<&str> {
    nodes.iter().filter(|node| is_meant(node)).map(rack_of).collect()
}

/// A node without the label is a rack of its own.
fn rack_of(node: &Node) -> &str {
    value_of(&node.labels, RACK).unwrap_or(&node.name)
}

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

fn hold(reason: String, wait_ms: u32) -> Hold {
    Hold { reason, ask_again_ms: ask_again(wait_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node from `name state since-seconds [unavailable] [canary] [zone=z] [rack=r]`.
    fn node(line: &str) -> Node {
        let mut words = line.split(' ');
        let mut next = || words.next().expect("a word").to_owned();
        let (name, state, since_s) = (next(), next(), next());
        let mut node = Node {
            name,
            state,
            available: true,
            since_ms: (since_s.parse::<f64>().expect("seconds") * 1_000.0).round() as u32,
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

    fn update(nodes: Vec<u32>) -> Answer {
        Answer::Update(Update { nodes, budget: None, ask_again_ms: None })
    }

    /// Nodes that go while their stage waits for something.
    fn update_and_wait(nodes: Vec<u32>, ask_again_ms: u32) -> Answer {
        Answer::Update(Update { nodes, budget: None, ask_again_ms: Some(ask_again_ms) })
    }

    fn pause(reason: String, ask_again_ms: u32) -> Answer {
        Answer::Pause(Hold { reason, ask_again_ms })
    }

    fn asked(lines: &[&str]) -> Answer {
        asked_with(&Settings { bake_ms: 60_000, ask_again_ms: 5_000 }, lines)
    }

    fn asked_with(settings: &Settings, lines: &[&str]) -> Answer {
        let nodes = lines.iter().map(|line| node(line)).collect();
        CanaryByZone::decide(settings, &Question { nodes, ..Question::default() }).expect("it always answers")
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
    fn while_a_stage_bakes_it_is_asked_again_after_a_second_to_a_day() {
        let told = asked(&["a old 9 zone=1", "b updated 59.5 zone=2 canary"]);
        assert_eq!(told, pause("the canaries bake".to_owned(), 1_000));
        let two_days = Settings { bake_ms: 172_800_000, ask_again_ms: 0 };
        let told = asked_with(&two_days, &["a old 9 zone=1", "b updated 0 zone=2 canary"]);
        assert_eq!(told, pause("the canaries bake".to_owned(), 86_400_000));
        let told = asked_with(&two_days, &["a old 9 zone=1", "b updated 172799.999 zone=2 canary"]);
        assert_eq!(told, pause("the canaries bake".to_owned(), 1_000));
        let told = asked_with(&two_days, &["a old 9 zone=1", "b updated 9 zone=2 canary unavailable"]);
        assert_eq!(told, pause("the canaries: b is not available".to_owned(), 1_000));
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
        let told = asked(&["a old 9 rack=1", "b old 9 rack=2 unavailable", "c old 9 rack=2 unavailable"]);
        assert_eq!(told, update(vec![1, 0]));
    }

    #[test]
    fn a_broken_old_node_goes_whatever_its_stage() {
        let of_the_canarys_rack =
            asked(&["a old 9 zone=1 rack=1 canary", "b old 9 zone=2 rack=1 unavailable"]);
        assert_eq!(of_the_canarys_rack, update_and_wait(vec![1], 5_000));
        let while_the_canary_bakes = asked(&["a updated 9 zone=1 canary", "b old 9 zone=2 unavailable"]);
        assert_eq!(while_the_canary_bakes, update_and_wait(vec![1], 51_000));
        let held_by_its_rack =
            asked(&["a updated 9 zone=1 rack=1 canary unavailable", "b old 9 zone=2 rack=1 unavailable"]);
        assert_eq!(held_by_its_rack, pause("the canaries: a is not available".to_owned(), 5_000));
    }

    #[test]
    fn a_rollout_that_is_done_updates_nothing() {
        assert_eq!(asked(&["a updated 60 zone=1", "b updated 60 zone=2 canary"]), update(vec![]));
        assert_eq!(asked(&[]), update(vec![]));
    }
}
