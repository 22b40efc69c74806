//! What must hold for every template and node: shape and member say what the whole node says, and only the labels
//! that are named matter.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::{Answer, NodeShape, Placement};
use crate::kube::names::{is_label_key, is_label_value};
use crate::kube::{
    Affinity, Labels, Node, NodeAffinity, NodeSelector, NodeSelectorOperator, NodeSelectorRequirement,
    NodeSelectorTerm, PlacementSpec, Str, Taint, Toleration, TolerationOperator,
};

const KEYS: [&str; 7] = ["a", "b", "c", "kubernetes.io/hostname", "metadata.name", "-a", ""];
const VALUES: [&str; 9] =
    ["", "a", "n1", "5", "6", "-5", "007", "9223372036854775807", "9223372036854775808"];
const NAMES: [&str; 3] = ["n1", "n2", ""];
const TAINT_KEYS: [&str; 4] = ["a", "b", "", "node.kubernetes.io/not-ready"];
const EFFECTS: [&str; 5] = ["NoSchedule", "NoExecute", "PreferNoSchedule", "", "NoSmoke"];

/// The whole answer for one node, rule after rule as upstream goes through them, with nothing made ready.
fn direct(spec: &PlacementSpec, node: &Node) -> Answer {
    let name = &*node.metadata.name;
    let labels = &node.metadata.labels;
    if !spec.node_name.is_empty() && &*spec.node_name != name {
        return Answer::default();
    }
    if spec.node_selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        return Answer::default();
    }
    let required =
        spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref()?.required.as_ref());
    if let Some(required) = required
        && !required.node_selector_terms.iter().any(|term| matches(term, name, labels) == Some(true))
    {
        return Answer::default();
    }
    let placement = Placement::of(spec);
    let untolerated = |effects: &[&str]| {
        let counted = node.spec.taints.iter().filter(|taint| effects.contains(&&*taint.effect));
        counted.filter(|taint| !placement.tolerations().iter().any(|one| tolerates(one, taint))).count() > 0
    };
    let should_run = !untolerated(&["NoSchedule", "NoExecute"]);
    Answer { should_run, should_continue: should_run || !untolerated(&["NoExecute"]) }
}

/// Whether the term matches; nothing if one of its requirements cannot be read.
fn matches(term: &NodeSelectorTerm, name: &str, labels: &Labels) -> Option<bool> {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        return None;
    }
    let mut all = true;
    for NodeSelectorRequirement { key, operator, values } in &term.match_expressions {
        if !is_label_key(key) || values.iter().any(|value| !is_label_value(value)) {
            return None;
        }
        let label = labels.get(key);
        all &= match (operator, &**values) {
            (NodeSelectorOperator::In, [_, ..]) => label.is_some_and(|label| values.contains(label)),
            (NodeSelectorOperator::NotIn, [_, ..]) => !label.is_some_and(|label| values.contains(label)),
            (NodeSelectorOperator::Exists, []) => label.is_some(),
            (NodeSelectorOperator::DoesNotExist, []) => label.is_none(),
            (NodeSelectorOperator::Gt | NodeSelectorOperator::Lt, [bound]) => {
                let bound: i64 = bound.parse().ok()?;
                let number = label.and_then(|label| label.parse::<i64>().ok());
                let greater = *operator == NodeSelectorOperator::Gt;
                number.is_some_and(|number| if greater { number > bound } else { number < bound })
            }
            _ => return None,
        };
    }
    for NodeSelectorRequirement { key, operator, values } in &term.match_fields {
        let [value] = &**values else { return None };
        let field = if &**key == "metadata.name" { name } else { "" };
        let holds = match operator {
            NodeSelectorOperator::In => field == &**value,
            NodeSelectorOperator::NotIn => field != &**value,
            _ => return None,
        };
        all &= holds || name.is_empty();
    }
    Some(all)
}

fn tolerates(one: &Toleration, taint: &Taint) -> bool {
    (one.effect.is_empty() || one.effect == taint.effect)
        && (one.key.is_empty() || one.key == taint.key)
        && match one.operator {
            TolerationOperator::Unset | TolerationOperator::Equal => one.value == taint.value,
            TolerationOperator::Exists => true,
            _ => false,
        }
}

fn word<const N: usize>(words: [&'static str; N]) -> impl Strategy<Value = Str> {
    select(words.to_vec()).prop_map(Str::from)
}

fn pairs() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map(word(KEYS), word(VALUES), 0..4)
}

fn requirements() -> impl Strategy<Value = Vec<NodeSelectorRequirement>> {
    let operators = [
        NodeSelectorOperator::In,
        NodeSelectorOperator::NotIn,
        NodeSelectorOperator::Exists,
        NodeSelectorOperator::DoesNotExist,
        NodeSelectorOperator::Gt,
        NodeSelectorOperator::Lt,
        NodeSelectorOperator::Unset,
        NodeSelectorOperator::Other("Like".into()),
    ];
    let requirement = (word(KEYS), select(operators.to_vec()), prop::collection::vec(word(VALUES), 0..3))
        .prop_map(|(key, operator, values)| NodeSelectorRequirement { key, operator, values });
    prop::collection::vec(requirement, 0..3)
}

fn specs() -> impl Strategy<Value = PlacementSpec> {
    let operators = [
        TolerationOperator::Unset,
        TolerationOperator::Equal,
        TolerationOperator::Exists,
        TolerationOperator::Gt,
        TolerationOperator::Other("Near".into()),
    ];
    let term = (requirements(), requirements())
        .prop_map(|(match_expressions, match_fields)| NodeSelectorTerm { match_expressions, match_fields });
    let affinity = prop::option::of(prop::collection::vec(term, 0..4)).prop_map(|terms| {
        let required = terms.map(|node_selector_terms| NodeSelector { node_selector_terms });
        Some(Affinity { node_affinity: Some(NodeAffinity { required }) })
    });
    let toleration = (word(TAINT_KEYS), select(operators.to_vec()), word(["", "a"]), word(EFFECTS));
    let tolerations = prop::collection::vec(toleration, 0..4).prop_map(|all| {
        let toleration = |(key, operator, value, effect)| Toleration {
            key,
            operator,
            value,
            effect,
            toleration_seconds: Some(7),
        };
        all.into_iter().map(toleration).collect()
    });
    let selector = prop_oneof![3 => Just(Labels::new()), 1 => pairs()];
    let node_name = prop_oneof![3 => Just(Str::from("")), 1 => word(NAMES)];
    (node_name, selector, affinity, tolerations, any::<bool>()).prop_map(
        |(node_name, node_selector, affinity, tolerations, host_network)| PlacementSpec {
            node_name,
            node_selector,
            affinity,
            tolerations,
            host_network,
        },
    )
}

fn nodes() -> impl Strategy<Value = Node> {
    let taint = (word(TAINT_KEYS), word(["", "a"]), word(EFFECTS)).prop_map(|(key, value, effect)| Taint {
        key,
        value,
        effect,
    });
    (word(NAMES), pairs(), prop::collection::vec(taint, 0..3)).prop_map(|(name, labels, taints)| {
        let mut node = Node::default();
        node.metadata.name = name;
        node.metadata.labels = Arc::new(labels);
        node.spec.taints = taints;
        node
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn shape_and_member_say_what_the_node_says(spec in specs(), node in nodes()) {
        let placement = Placement::of(&spec);
        let shape = NodeShape::of(&node, &placement.label_keys());
        prop_assert_eq!(placement.on_shape(&shape).on_node(&node.metadata.name), direct(&spec, &node));
    }

    #[test]
    fn labels_that_are_not_named_change_no_answer(spec in specs(), node in nodes(), more in pairs()) {
        let placement = Placement::of(&spec);
        let every_key: BTreeSet<Str> = KEYS.into_iter().map(Str::from).collect();
        let whole = placement.on_shape(&NodeShape::of(&node, &every_key));
        let keys = placement.label_keys();
        prop_assert_eq!(&placement.on_shape(&NodeShape::of(&node, &keys)), &whole);
        let mut changed = node.clone();
        let labels = Arc::make_mut(&mut changed.metadata.labels);
        labels.extend(more.into_iter().filter(|(key, _)| !keys.contains(key)));
        prop_assert_eq!(&placement.on_shape(&NodeShape::of(&changed, &every_key)), &whole);
    }

    #[test]
    fn what_is_to_run_may_go_on(spec in specs(), node in nodes()) {
        let placement = Placement::of(&spec);
        let shape = NodeShape::of(&node, &placement.label_keys());
        let answer = placement.on_shape(&shape).on_node(&node.metadata.name);
        prop_assert!(answer.should_continue || !answer.should_run);
    }
}
