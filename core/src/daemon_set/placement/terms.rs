//! Terms of a required node affinity, taken apart into rules of labels and rules of fields.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::NodeShape;
use crate::kube::names::{is_label_key, is_label_value};
use crate::kube::{NODE_NAME_FIELD, NodeSelectorOperator, NodeSelectorRequirement, NodeSelectorTerm, Str};

/// Rules that a node must meet all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) labels: Vec<LabelRule>,
    pub(super) fields: Arc<[FieldRule]>,
}

/// What a node's label must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelRule {
    pub(super) key: Str,
    test: LabelTest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelTest {
    In(BTreeSet<Str>),
    NotIn(BTreeSet<Str>),
    Exists,
    DoesNotExist,
    Gt(i64),
    Lt(i64),
}

/// What a node's field must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldRule {
    /// Whether it is about the node's name; every other field reads as empty, as upstream.
    of_name: bool,
    value: Str,
    /// Whether the field must be equal to the value, or must not.
    equal: bool,
}

impl Term {
    /// The term, or nothing if it is empty or has a requirement that cannot be read: either matches no node.
    pub(super) fn read(term: &NodeSelectorTerm) -> Option<Self> {
        if term.is_empty() {
            return None;
        }
        let labels = term.match_expressions.iter().map(LabelRule::read).collect::<Option<_>>()?;
        let fields = term.match_fields.iter().map(FieldRule::read).collect::<Option<_>>()?;
        Some(Self { labels, fields })
    }
}

impl LabelRule {
    /// The rule, or nothing if key or values are not those of a label, whatever the operator, if there are too many or
    /// too few values for it, or if it is not known (upstream: labels.NewRequirement).
    fn read(requirement: &NodeSelectorRequirement) -> Option<Self> {
        let NodeSelectorRequirement { key, operator, values } = requirement;
        if !is_label_key(key) || !values.iter().all(|value| is_label_value(value)) {
            return None;
        }
        let set = || Some(values.iter().cloned().collect()).filter(|set: &BTreeSet<_>| !set.is_empty());
        // The value of a label, so that no sign gets here.
        let number = || one(values).and_then(|value| value.parse().ok());
        let none = values.is_empty();
        let test = match operator {
            NodeSelectorOperator::In => LabelTest::In(set()?),
            NodeSelectorOperator::NotIn => LabelTest::NotIn(set()?),
            NodeSelectorOperator::Exists => Some(LabelTest::Exists).filter(|_| none)?,
            NodeSelectorOperator::DoesNotExist => Some(LabelTest::DoesNotExist).filter(|_| none)?,
            NodeSelectorOperator::Gt => LabelTest::Gt(number()?),
            NodeSelectorOperator::Lt => LabelTest::Lt(number()?),
            NodeSelectorOperator::Unset | NodeSelectorOperator::Other(_) => return None,
        };
        Some(Self { key: key.clone(), test })
    }

    pub(super) fn holds(&self, shape: &NodeShape) -> bool {
        let value = shape.label(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            LabelTest::In(set) => value.is_some_and(|value| set.contains(value)),
            LabelTest::NotIn(set) => value.is_none_or(|value| !set.contains(value)),
            LabelTest::Exists => value.is_some(),
            LabelTest::DoesNotExist => value.is_none(),
            LabelTest::Gt(bound) => number().is_some_and(|number| number > *bound),
            LabelTest::Lt(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl FieldRule {
    /// The rule, or nothing if there is not one value or the operator compares nothing with it.
    fn read(requirement: &NodeSelectorRequirement) -> Option<Self> {
        let equal = match requirement.operator {
            NodeSelectorOperator::In => true,
            NodeSelectorOperator::NotIn => false,
            NodeSelectorOperator::Exists
            | NodeSelectorOperator::DoesNotExist
            | NodeSelectorOperator::Gt
            | NodeSelectorOperator::Lt
            | NodeSelectorOperator::Unset
            | NodeSelectorOperator::Other(_) => return None,
        };
        let value = one(&requirement.values)?.clone();
        Some(Self { of_name: &*requirement.key == NODE_NAME_FIELD, value, equal })
    }

    /// Whether it holds for the node `name`; for one without a name no rule is asked, as upstream.
    pub(super) fn holds(&self, name: &str) -> bool {
        let field = if self.of_name { name } else { "" };
        name.is_empty() || (field == &*self.value) == self.equal
    }
}

fn one<T>(values: &[T]) -> Option<&T> {
    values.first().filter(|_| values.len() == 1)
}
