//! The parts of a Pod's spec that say on which nodes it may run, and the affinity that binds it to one.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{Labels, ManifestFault, PodTemplate, Str};

/// The field that stands for a node's name (upstream: metav1.ObjectNameField).
pub const NODE_NAME_FIELD: &str = "metadata.name";

const NODE_AFFINITY: &str = "nodeAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const TERMS: &str = "nodeSelectorTerms";

/// What a Pod's spec says of nodes. Null stands for absent everywhere, as upstream reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlacementSpec {
    /// The one node that it may run on; empty if any.
    #[serde(deserialize_with = "or_default")]
    pub node_name: Str,
    /// Labels that the node must have.
    #[serde(deserialize_with = "or_default")]
    pub node_selector: Labels,
    /// Rules of affinity.
    pub affinity: Option<Affinity>,
    /// Taints that are borne.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
    /// Whether it uses the node's network.
    #[serde(deserialize_with = "or_default")]
    pub host_network: bool,
}

/// Rules of affinity, as far as they are about nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// Rules about nodes.
    pub node_affinity: Option<NodeAffinity>,
}

/// Rules about nodes, without those that only prefer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// What a node must be like.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// Terms of which a node must match one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// The terms.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Requirements that a node must meet all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements of labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<NodeSelectorRequirement>,
    /// Requirements of fields.
    #[serde(deserialize_with = "or_default")]
    pub match_fields: Vec<NodeSelectorRequirement>,
}

/// One requirement of a label or field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeSelectorRequirement {
    /// Label or field that it is about.
    #[serde(deserialize_with = "or_default")]
    pub key: Str,
    /// What must hold.
    #[serde(deserialize_with = "or_default")]
    pub operator: NodeSelectorOperator,
    /// Values to compare with.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<Str>,
}

/// Operators of a node selector's requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum NodeSelectorOperator {
    /// None is said; that is none that is known.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// The label is a greater whole number.
    Gt,
    /// The label is a lesser whole number.
    Lt,
    /// One that this version does not know; its term matches no node.
    #[serde(untagged)]
    Other(Str),
}

/// A taint that is borne, or many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// Key of the taint; empty for any.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "str::is_empty")]
    pub key: Str,
    /// How values are compared.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "TolerationOperator::is_unset")]
    pub operator: TolerationOperator,
    /// Value to compare with.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "str::is_empty")]
    pub value: Str,
    /// Effect of the taint; empty for any.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "str::is_empty")]
    pub effect: Str,
    /// Seconds for which a NoExecute taint is borne; absent means for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration compares values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TolerationOperator {
    /// None is said; that means `Equal`, and is yet another text.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// The values are equal.
    Equal,
    /// Every value will do.
    Exists,
    /// The taint's number is less.
    Lt,
    /// The taint's number is greater.
    Gt,
    /// One that this version does not know; it bears nothing.
    #[serde(untagged)]
    Other(Str),
}

impl PlacementSpec {
    /// What the Pods of `template` say of nodes.
    ///
    /// # Errors
    /// A [`ManifestFault`] if the template has no spec of a Pod's shape.
    pub fn of(template: &PodTemplate) -> Result<Self, ManifestFault> {
        parse(template.spec.as_ref().ok_or(ManifestFault::NoSpec)?.get())
    }
}

impl Affinity {
    /// The node that a Pod with this affinity may alone run on, as the controller of DaemonSets writes it: the value of
    /// the first requirement that names a node (upstream: util.GetTargetNodeName).
    #[must_use]
    pub fn only_node(&self) -> Option<&Str> {
        let required = self.node_affinity.as_ref()?.required.as_ref()?;
        let fields = required.node_selector_terms.iter().flat_map(|term| &term.match_fields);
        let names = |field: &&NodeSelectorRequirement| {
            &*field.key == NODE_NAME_FIELD && field.operator == NodeSelectorOperator::In
        };
        match &fields.into_iter().find(names)?.values[..] {
            [name] => Some(name),
            _ => None,
        }
    }
}

impl NodeSelectorTerm {
    /// Whether it requires nothing, and so matches no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_expressions.is_empty() && self.match_fields.is_empty()
    }
}

impl TolerationOperator {
    fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

/// JSON text of the affinity of a Pod that may run on the node `node_name` alone.
///
/// It is the `template`'s affinity, JSON text as well, with what is required of nodes replaced by that one; what is
/// preferred of nodes, and what is said of other Pods, stays the text it was
/// (upstream: ReplaceDaemonSetPodNodeNameNodeAffinity).
///
/// # Errors
/// [`ManifestFault::MalformedSpec`] if `template` is no affinity.
pub fn pod_affinity(template: Option<&str>, node_name: &str) -> Result<String, ManifestFault> {
    let mut affinity = members(template)?;
    let mut node_affinity = members(affinity.get(NODE_AFFINITY).map(|raw| raw.get()))?;
    let mut required = members(node_affinity.get(REQUIRED).map(|raw| raw.get()))?;
    let values = to_raw(&[node_name])?;
    let here =
        format!(r#"[{{"matchFields":[{{"key":"{NODE_NAME_FIELD}","operator":"In","values":{values}}}]}}]"#);
    required.insert(TERMS.to_owned(), parse(&here)?);
    node_affinity.insert(REQUIRED.to_owned(), to_raw(&required)?);
    affinity.insert(NODE_AFFINITY.to_owned(), to_raw(&node_affinity)?);
    Ok(to_raw(&affinity)?.get().to_string())
}

/// The members of a JSON object, each as the text it came in; none if it is absent or null.
fn members(object: Option<&str>) -> Result<BTreeMap<String, Box<RawValue>>, ManifestFault> {
    let members: Option<_> = object.map_or(Ok(None), parse)?;
    Ok(members.unwrap_or_default())
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, ManifestFault> {
    serde_json::from_str(text).map_err(|_| ManifestFault::MalformedSpec)
}

fn to_raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, ManifestFault> {
    serde_json::value::to_raw_value(value).map_err(|_| ManifestFault::MalformedSpec)
}

fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_spec_is_read_and_unknown_words_survive() {
        let template: PodTemplate = serde_json::from_str(
            r#"{"spec":{"containers":[{"name":"a","image":"b"}],"nodeName":"node-1","nodeSelector":{"disk":"ssd"},
                "hostNetwork":true,
                "tolerations":[{"operator":"Near","effect":"NoSmoke"},{"key":"a","tolerationSeconds":300}],
                "affinity":{"podAffinity":{"anything":1},"nodeAffinity":{
                  "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}],
                  "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
                    {"matchExpressions":[{"key":"a","operator":"Like","values":["b"]}]},
                    {"matchFields":[{"key":"metadata.name","operator":"In","values":["node-1"]}]}]}}}}}"#,
        )
        .unwrap();
        let spec = PlacementSpec::of(&template).unwrap();
        assert_eq!((&*spec.node_name, spec.host_network), ("node-1", true));
        assert_eq!(spec.node_selector.get("disk").map(|value| &**value), Some("ssd"));
        assert_eq!(spec.tolerations[0].operator, TolerationOperator::Other("Near".into()));
        assert_eq!(&*spec.tolerations[0].effect, "NoSmoke");
        let written = serde_json::to_string(&spec.tolerations).unwrap();
        let kept = r#"[{"operator":"Near","effect":"NoSmoke"},{"key":"a","tolerationSeconds":300}]"#;
        assert_eq!(written, kept);
        let terms = spec.affinity.unwrap().node_affinity.unwrap().required.unwrap().node_selector_terms;
        assert_eq!(terms[0].match_expressions[0].operator, NodeSelectorOperator::Other("Like".into()));
        assert_eq!(terms[1].match_fields[0].values, vec!["node-1".into()]);
    }

    #[test]
    fn null_stands_for_absent() {
        let nothing =
            r#"{"nodeName":null,"nodeSelector":null,"affinity":null,"tolerations":null,"hostNetwork":null}"#;
        assert_eq!(parse::<PlacementSpec>(nothing).unwrap(), PlacementSpec::default());
        let hollow = r#"{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{
            "nodeSelectorTerms":[{"matchExpressions":null,"matchFields":[{"key":null,"operator":null,"values":null}]}]}}},
            "tolerations":[{"key":null,"operator":null,"value":null,"effect":null,"tolerationSeconds":null}]}"#;
        let spec = parse::<PlacementSpec>(hollow).unwrap();
        assert_eq!(spec.tolerations, vec![Toleration::default()]);
        assert_eq!(parse::<PlacementSpec>(r#"{"tolerations":7}"#), Err(ManifestFault::MalformedSpec));
        assert_eq!(PlacementSpec::of(&PodTemplate::default()), Err(ManifestFault::NoSpec));
    }

    #[test]
    fn the_affinity_of_a_pod_names_its_node_and_keeps_the_rest() {
        let here = json!({ "nodeSelectorTerms": [
            { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-\"1\""] }] }
        ] });
        let pinned = |template: Option<&str>| -> Value {
            serde_json::from_str(&pod_affinity(template, "node-\"1\"").unwrap()).unwrap()
        };
        let bare = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": here } });
        let required_null = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":null}}"#;
        for template in [
            None,
            Some("null"),
            Some("{}"),
            Some(r#"{"nodeAffinity":null}"#),
            Some(r#"{"nodeAffinity":{}}"#),
            Some(required_null),
        ] {
            assert_eq!(pinned(template), bare, "{template:?}");
        }
        let full = r#"{"podAntiAffinity":{"x":[1.50]},"podAffinity":{"y":2},"nodeAffinity":{
            "preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3,"preference":{"matchExpressions":[]}}],
            "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
              {"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["other"]}]},{}]}}}"#;
        let mut expected: Value = serde_json::from_str(full).unwrap();
        expected["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = here;
        assert_eq!(pinned(Some(full)), expected);
        assert!(pod_affinity(Some(full), "a").unwrap().contains(r#"{"x":[1.50]}"#));
        assert_eq!(pod_affinity(Some("7"), "a"), Err(ManifestFault::MalformedSpec));
    }
}
