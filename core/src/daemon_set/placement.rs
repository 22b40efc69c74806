//! On which nodes the Pods of a DaemonSet are to run (upstream: NodeShouldRunDaemonPod).
//!
//! Nodes are many and what decides about them is alike: [`Placement`] holds what a template says,
//! [`NodeShape`] what many nodes share, and [`ShapeAnswer`] all of the answer that does not need a node's name.
//! Conditions, resources, ports and `spec.unschedulable` of a node are not looked at, as upstream.

mod terms;

#[cfg(test)]
mod properties;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::kube::{Labels, Node, PlacementSpec, Str, Taint, Toleration, TolerationOperator};

use terms::{FieldRule, Term};

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Key and effect of the taints that every Pod of a DaemonSet bears (upstream: AddOrUpdateDaemonPodTolerations, whose
/// order this is).
const DEFAULT_TOLERATIONS: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", NO_EXECUTE),
    ("node.kubernetes.io/unreachable", NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/unschedulable", NO_SCHEDULE),
];
/// The taint that those on the node's network bear as well.
const HOST_NETWORK_TOLERATION: (&str, &str) = ("node.kubernetes.io/network-unavailable", NO_SCHEDULE);

/// What a DaemonSet's template says of nodes, made ready once for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The one node that the template names.
    node_name: Option<Str>,
    /// Labels that a node must have.
    selector: Labels,
    /// Terms of which a node must match one, without those that none matches; absent if nothing is required.
    terms: Option<Vec<Term>>,
    /// Tolerations of a Pod.
    tolerations: Vec<Toleration>,
}

/// What of a node decides, its name aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeShape {
    /// Labels, each key once.
    pub labels: Vec<(Str, Str)>,
    /// Taints.
    pub taints: Vec<Taint>,
}

/// The answer for all nodes of a shape, up to what their names decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeAnswer {
    /// The one node that the template names.
    node_name: Option<Str>,
    members: Members,
    /// The answer where the affinity matches.
    matching: Answer,
}

/// Whether a node is to have a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether a Pod is to be created there.
    pub should_run: bool,
    /// Whether a Pod that is there stays.
    pub should_continue: bool,
}

/// Which nodes of a shape the affinity matches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Members {
    None,
    All,
    /// Those that meet all rules of one of the lists.
    AnyOf(Vec<Arc<[FieldRule]>>),
}

impl Placement {
    /// The placement of a template's Pods. A term that cannot be read matches no node and leaves the others alone.
    #[must_use]
    pub fn of(spec: &PlacementSpec) -> Self {
        let node_affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = node_affinity.and_then(|affinity| affinity.required.as_ref());
        Self {
            node_name: Some(&spec.node_name).filter(|name| !name.is_empty()).cloned(),
            selector: spec.node_selector.clone(),
            terms: required.map(|all| all.node_selector_terms.iter().filter_map(Term::read).collect()),
            tolerations: tolerations(spec),
        }
    }

    /// Tolerations of a Pod to be created: those of the template and the defaults.
    #[must_use]
    pub fn tolerations(&self) -> &[Toleration] {
        &self.tolerations
    }

    /// The labels of nodes that matter: a node's other labels may be left out of its shape.
    #[must_use]
    pub fn label_keys(&self) -> BTreeSet<Str> {
        let rules = self.terms.iter().flatten().flat_map(|term| &term.labels).map(|rule| &rule.key);
        self.selector.keys().chain(rules).cloned().collect()
    }

    /// All of the answer for nodes of `shape` that does not need their names.
    #[must_use]
    pub fn on_shape(&self, shape: &NodeShape) -> ShapeAnswer {
        let members = self.members(shape);
        let matching = if members == Members::None { Answer::default() } else { self.bears(&shape.taints) };
        ShapeAnswer { node_name: self.node_name.clone(), members, matching }
    }

    fn members(&self, shape: &NodeShape) -> Members {
        if !self.selector.iter().all(|(key, value)| shape.label(key) == Some(value)) {
            return Members::None;
        }
        let Some(terms) = &self.terms else { return Members::All };
        let mut lists = Vec::new();
        for term in terms.iter().filter(|term| term.labels.iter().all(|rule| rule.holds(shape))) {
            if term.fields.is_empty() {
                return Members::All;
            }
            lists.push(term.fields.clone());
        }
        if lists.is_empty() { Members::None } else { Members::AnyOf(lists) }
    }

    /// The answer as far as taints decide it.
    fn bears(&self, taints: &[Taint]) -> Answer {
        let borne = |taint: &Taint| self.tolerations.iter().any(|toleration| tolerates(toleration, taint));
        let all_borne = |effect: &str| taints.iter().filter(|taint| &*taint.effect == effect).all(borne);
        let should_continue = all_borne(NO_EXECUTE);
        Answer { should_run: should_continue && all_borne(NO_SCHEDULE), should_continue }
    }
}

impl NodeShape {
    /// The shape of `node`, of its labels those with one of the `keys`. Taints that decide nothing are left
    /// out, as is their order.
    #[must_use]
    pub fn of(node: &Node, keys: &BTreeSet<Str>) -> Self {
        ShapeRef::of(node, keys).to_shape()
    }

    fn label(&self, key: &Str) -> Option<&Str> {
        self.labels.iter().find(|(other, _)| other == key).map(|(_, value)| value)
    }
}

/// A [`NodeShape`] as it stands in a node, to find the nodes of one shape without copies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeRef<'node> {
    labels: Vec<(&'node Str, &'node Str)>,
    taints: Vec<&'node Taint>,
}

impl<'node> ShapeRef<'node> {
    /// The shape of `node`, as [`NodeShape::of`] has it.
    pub(crate) fn of(node: &'node Node, keys: &BTreeSet<Str>) -> Self {
        let labels = keys.iter().filter_map(|key| node.metadata.labels.get_key_value(key));
        let counts = |taint: &&Taint| matches!(&*taint.effect, NO_SCHEDULE | NO_EXECUTE);
        let mut taints: Vec<&Taint> = node.spec.taints.iter().filter(counts).collect();
        taints.sort();
        taints.dedup();
        Self { labels: labels.collect(), taints }
    }

    /// The shape, with copies of what it holds.
    pub(crate) fn to_shape(&self) -> NodeShape {
        NodeShape {
            labels: self.labels.iter().map(|(key, value)| (Str::clone(key), Str::clone(value))).collect(),
            taints: self.taints.iter().copied().cloned().collect(),
        }
    }
}

impl ShapeAnswer {
    /// The answer for the node `name` of the shape.
    #[must_use]
    pub fn on_node(&self, name: &str) -> Answer {
        let is_meant = self.node_name.as_ref().is_none_or(|only| &**only == name);
        let matches = match &self.members {
            Members::None => false,
            Members::All => true,
            Members::AnyOf(lists) => lists.iter().any(|rules| rules.iter().all(|rule| rule.holds(name))),
        };
        if is_meant && matches { self.matching } else { Answer::default() }
    }
}

/// The template's tolerations with the defaults: each takes the places of those that are about the same, however long
/// they last, else the place after the last (upstream: AddOrUpdateTolerationInPodSpec).
fn tolerations(spec: &PlacementSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone();
    let host_network = spec.host_network.then_some(HOST_NETWORK_TOLERATION);
    for (key, effect) in DEFAULT_TOLERATIONS.into_iter().chain(host_network) {
        let mut known = false;
        let same = |one: &&mut Toleration| {
            let is_plain = one.operator == TolerationOperator::Exists && one.value.is_empty();
            is_plain && &*one.key == key && &*one.effect == effect
        };
        for one in all.iter_mut().filter(same) {
            one.toleration_seconds = None;
            known = true;
        }
        if !known {
            let (key, effect) = (key.into(), effect.into());
            all.push(Toleration {
                key,
                operator: TolerationOperator::Exists,
                effect,
                ..Toleration::default()
            });
        }
    }
    all
}

/// Whether `toleration` bears `taint`. Comparing numbers is off, as upstream has it
/// (gate TaintTolerationComparisonOperators, alpha in 1.37).
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let covers = |wanted: &str, actual: &str| wanted.is_empty() || wanted == actual;
    let is_value_fine = match toleration.operator {
        TolerationOperator::Unset | TolerationOperator::Equal => toleration.value == taint.value,
        TolerationOperator::Exists => true,
        TolerationOperator::Lt | TolerationOperator::Gt | TolerationOperator::Other(_) => false,
    };
    is_value_fine && covers(&toleration.effect, &taint.effect) && covers(&toleration.key, &taint.key)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;

    use super::*;

    const RUN: Answer = Answer { should_run: true, should_continue: true };
    const CONTINUE: Answer = Answer { should_run: false, should_continue: true };
    const GO: Answer = Answer { should_run: false, should_continue: false };

    /// The answer for a node with labels as `a=b c=d` and taints as `key=value:effect`.
    fn answer(spec: &str, name: &str, labels: &str, taints: &str) -> Answer {
        let spec: PlacementSpec = serde_json::from_str(spec).unwrap();
        let pair = |text: &str| -> (Str, Str) {
            let (key, value) = text.split_once('=').unwrap();
            (key.into(), value.into())
        };
        let taint = |text: &str| {
            let (rest, effect) = text.rsplit_once(':').unwrap();
            let (key, value) = pair(rest);
            Taint { key, value, effect: effect.into() }
        };
        let mut node = Node::default();
        node.metadata.labels = Arc::new(labels.split_whitespace().map(pair).collect());
        node.spec.taints = taints.split_whitespace().map(taint).collect();
        let placement = Placement::of(&spec);
        placement.on_shape(&NodeShape::of(&node, &placement.label_keys())).on_node(name)
    }

    fn required(terms: &str) -> String {
        format!(
            r#"{{"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":
            {{"nodeSelectorTerms":[{terms}]}}}}}}}}"#
        )
    }

    fn expression(key: &str, operator: &str, values: &str) -> String {
        let requirement = format!(r#"{{"key":"{key}","operator":"{operator}","values":[{values}]}}"#);
        required(&format!(r#"{{"matchExpressions":[{requirement}]}}"#))
    }

    fn field(key: &str, operator: &str, values: &str) -> String {
        let requirement = format!(r#"{{"key":"{key}","operator":"{operator}","values":[{values}]}}"#);
        required(&format!(r#"{{"matchFields":[{requirement}]}}"#))
    }

    #[test]
    fn node_name_names_the_only_node() {
        let spec = r#"{"nodeName":"node-1"}"#;
        assert_eq!(answer(spec, "node-1", "", ""), RUN);
        assert_eq!(answer(spec, "node-2", "", ""), GO);
        assert_eq!(answer(spec, "node-1", "", "a=b:NoSchedule"), CONTINUE);
        assert_eq!(answer("{}", "node-2", "", ""), RUN);
        let with_selector = r#"{"nodeName":"node-1","nodeSelector":{"a":"b"}}"#;
        assert_eq!(answer(with_selector, "node-1", "a=b", ""), RUN);
        assert_eq!(answer(with_selector, "node-1", "a=c", ""), GO);
    }

    #[test]
    fn node_selector_wants_every_label() {
        let spec = r#"{"nodeSelector":{"a":"b","c":""}}"#;
        assert_eq!(answer(spec, "n", "a=b c= d=e", ""), RUN);
        assert_eq!(answer(spec, "n", "a=b", ""), GO);
        assert_eq!(answer(spec, "n", "a=x c=", ""), GO);
        let odd = r#"{"nodeSelector":{"-a/b/c":"-5"}}"#;
        assert_eq!(answer(odd, "n", "-a/b/c=-5", ""), RUN, "neither keys nor values are checked");
    }

    #[test]
    fn node_selector_and_affinity_must_both_match() {
        let affinity = expression("c", "In", r#""d""#);
        let spec = affinity.replacen('{', r#"{"nodeSelector":{"a":"b"},"#, 1);
        assert_eq!(answer(&spec, "n", "a=b c=d", ""), RUN);
        assert_eq!(answer(&spec, "n", "a=b", ""), GO);
        assert_eq!(answer(&spec, "n", "c=d", ""), GO);
    }

    #[test]
    fn affinity_without_terms_matches_no_node() {
        assert_eq!(answer(&required(""), "n", "", ""), GO);
        assert_eq!(answer(&required("{}"), "n", "", ""), GO);
        let with_another = required(r#"{},{"matchExpressions":[{"key":"a","operator":"Exists"}]}"#);
        assert_eq!(answer(&with_another, "n", "a=b", ""), RUN);
        assert_eq!(answer(r#"{"affinity":{}}"#, "n", "", ""), RUN);
        assert_eq!(answer(r#"{"affinity":{"nodeAffinity":{}}}"#, "n", "", ""), RUN);
    }

    #[test]
    fn what_is_preferred_does_not_count() {
        let spec = r#"{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[
            {"weight":1,"preference":{"matchExpressions":[{"key":"a","operator":"Exists"}]}}]}}}"#;
        assert_eq!(answer(spec, "n", "", ""), RUN);
    }

    #[test]
    fn one_of_the_terms_must_match_whole() {
        let spec = required(
            r#"{"matchExpressions":[{"key":"a","operator":"Exists"},{"key":"b","operator":"Exists"}]},
               {"matchExpressions":[{"key":"c","operator":"Exists"}],
                "matchFields":[{"key":"metadata.name","operator":"In","values":["node-1"]}]}"#,
        );
        assert_eq!(answer(&spec, "node-2", "a= b=", ""), RUN);
        assert_eq!(answer(&spec, "node-2", "a=", ""), GO);
        assert_eq!(answer(&spec, "node-1", "c=", ""), RUN);
        assert_eq!(answer(&spec, "node-2", "c=", ""), GO);
        assert_eq!(answer(&spec, "node-1", "b=", ""), GO);
    }

    #[test]
    fn operators_of_labels() {
        let cases = [
            ("In", r#""x","y""#, [false, false, true, false]),
            ("NotIn", r#""x","y""#, [true, true, false, true]),
            ("In", r#""""#, [false, true, false, false]),
            ("NotIn", r#""""#, [true, false, true, true]),
            ("Exists", "", [false, true, true, true]),
            ("DoesNotExist", "", [true, false, false, false]),
            ("Gt", r#""6""#, [false, false, false, true]),
            ("Gt", r#""7""#, [false, false, false, false]),
            ("Lt", r#""8""#, [false, false, false, true]),
            ("Lt", r#""7""#, [false, false, false, false]),
        ];
        for (operator, values, expected) in cases {
            let spec = expression("k", operator, values);
            let found = ["", "k=", "k=x", "k=7"].map(|labels| answer(&spec, "n", labels, "").should_run);
            assert_eq!(found, expected, "{operator} {values}");
        }
    }

    #[test]
    fn numbers_are_compared_as_64_bits() {
        let greater = |bound: &str, value: &str| {
            answer(&expression("k", "Gt", &format!("\"{bound}\"")), "n", &format!("k={value}"), "") == RUN
        };
        assert!(greater("007", "8") && greater("007", "08") && !greater("007", "7"));
        assert!(greater("9223372036854775806", "9223372036854775807"));
        assert!(!greater("5", "9223372036854775808"), "a label that is no such number never compares");
        assert!(!greater("5", "1_0") && !greater("5", "0x9") && !greater("5", "9.0") && !greater("5", ""));
        assert!(greater("5", "+6") && !greater("5", "-6"));
        assert!(!greater("9223372036854775808", "9"), "a bound that is no such number is an error");
    }

    #[test]
    fn a_term_that_cannot_be_read_matches_no_node() {
        let cases = [
            ("k", "In", ""),
            ("k", "NotIn", ""),
            ("k", "Exists", r#""x""#),
            ("k", "DoesNotExist", r#""x""#),
            ("k", "Gt", ""),
            ("k", "Gt", r#""1","2""#),
            ("k", "Gt", r#""x""#),
            ("k", "Gt", r#""""#),
            ("k", "Gt", r#""-5""#),
            ("k", "Lt", r#""+5""#),
            ("k", "In", r#""7","not a value""#),
            ("k", "NotIn", r#""-""#),
            ("not a key", "DoesNotExist", ""),
            ("", "DoesNotExist", ""),
            ("a/b/c", "NotIn", r#""x""#),
            ("k", "Like", r#""7""#),
            ("k", "", r#""7""#),
        ];
        for (key, operator, values) in cases {
            let spec = expression(key, operator, values);
            assert_eq!(answer(&spec, "n", "k=7", ""), GO, "{key} {operator} {values}");
            let beside = spec.replacen(
                r#""nodeSelectorTerms":["#,
                r#""nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"Exists"}]},"#,
                1,
            );
            assert_eq!(
                answer(&beside, "n", "k=7", ""),
                RUN,
                "{key} {operator} {values}: the other term holds"
            );
        }
    }

    #[test]
    fn operators_of_fields() {
        let name = "metadata.name";
        assert_eq!(answer(&field(name, "In", r#""a""#), "a", "", ""), RUN);
        assert_eq!(answer(&field(name, "In", r#""a""#), "b", "", ""), GO);
        assert_eq!(answer(&field(name, "NotIn", r#""a""#), "a", "", ""), GO);
        assert_eq!(answer(&field(name, "NotIn", r#""a""#), "b", "", ""), RUN);
        for (operator, values) in [
            ("In", ""),
            ("In", r#""a","b""#),
            ("NotIn", r#""b","c""#),
            ("Exists", ""),
            ("DoesNotExist", ""),
            ("Gt", r#""1""#),
            ("Lt", r#""1""#),
            ("Like", r#""a""#),
        ] {
            assert_eq!(answer(&field(name, operator, values), "a", "", ""), GO, "{operator} {values}");
        }
    }

    #[test]
    fn fields_that_are_not_known_read_as_empty() {
        assert_eq!(answer(&field("spec.podCIDR", "In", r#""""#), "a", "", ""), RUN);
        assert_eq!(answer(&field("spec.podCIDR", "In", r#""a""#), "a", "", ""), GO);
        assert_eq!(answer(&field("spec.podCIDR", "NotIn", r#""a""#), "a", "", ""), RUN);
        assert_eq!(answer(&field("metadata.name", "In", r#""a""#), "", "", ""), RUN, "a node without a name");
    }

    #[test]
    fn untolerated_taints_keep_pods_away_and_those_of_no_execute_drive_them_out() {
        assert_eq!(answer("{}", "n", "", "a=b:NoSchedule"), CONTINUE);
        assert_eq!(answer("{}", "n", "", "a=b:NoExecute"), GO);
        assert_eq!(answer("{}", "n", "", "a=b:NoSchedule c=d:NoExecute"), GO);
        assert_eq!(answer("{}", "n", "", "a=b:PreferNoSchedule"), RUN);
        assert_eq!(answer("{}", "n", "", "a=b:NoSmoke"), RUN);
        assert_eq!(answer(r#"{"nodeSelector":{"a":"b"}}"#, "n", "", "a=b:NoSchedule"), GO);
    }

    #[test]
    fn tolerations_bear_taints() {
        let cases = [
            (r#"{"key":"a","operator":"Equal","value":"b","effect":"NoSchedule"}"#, RUN),
            (r#"{"key":"a","value":"b","effect":"NoSchedule"}"#, RUN),
            (r#"{"key":"a","value":"b"}"#, RUN),
            (r#"{"value":"b"}"#, RUN),
            (r#"{"operator":"Exists"}"#, RUN),
            (r#"{"key":"a","operator":"Exists","value":"c"}"#, RUN),
            (r#"{"key":"a","operator":"Exists","effect":"NoExecute"}"#, CONTINUE),
            (r#"{"key":"c","operator":"Exists"}"#, CONTINUE),
            (r#"{"key":"a","value":"c"}"#, CONTINUE),
            (r#"{"key":"a"}"#, CONTINUE),
            (r#"{"key":"a","operator":"exists"}"#, CONTINUE),
        ];
        for (toleration, expected) in cases {
            let spec = format!(r#"{{"tolerations":[{toleration}]}}"#);
            assert_eq!(answer(&spec, "n", "", "a=b:NoSchedule"), expected, "{toleration}");
        }
        let both =
            r#"{"tolerations":[{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":1}]}"#;
        assert_eq!(answer(both, "n", "", "a=b:NoExecute"), RUN, "for how long is no matter here");
        assert_eq!(answer(both, "n", "", "a=b:NoExecute c=:NoSchedule"), CONTINUE);
    }

    #[test]
    fn tolerations_that_compare_numbers_bear_nothing() {
        for operator in ["Gt", "Lt"] {
            let spec = format!(r#"{{"tolerations":[{{"key":"a","operator":"{operator}","value":"5"}}]}}"#);
            for taint in ["a=4:NoExecute", "a=5:NoExecute", "a=6:NoExecute"] {
                assert_eq!(answer(&spec, "n", "", taint), GO, "{operator} {taint}");
            }
        }
    }

    #[test]
    fn troubles_of_a_node_are_borne_by_default() {
        for (key, effect) in DEFAULT_TOLERATIONS {
            assert_eq!(answer("{}", "n", "", &format!("{key}=:{effect}")), RUN, "{key}");
            let other = if effect == NO_EXECUTE { NO_SCHEDULE } else { NO_EXECUTE };
            assert_ne!(answer("{}", "n", "", &format!("{key}=:{other}")), RUN, "{key}");
        }
        let no_network = "node.kubernetes.io/network-unavailable=:NoSchedule";
        assert_eq!(answer("{}", "n", "", no_network), CONTINUE);
        assert_eq!(answer(r#"{"hostNetwork":true}"#, "n", "", no_network), RUN);
        assert_eq!(answer("{}", "n", "", "node.kubernetes.io/out-of-service=:NoExecute"), GO);
    }

    #[test]
    fn default_tolerations_take_the_places_of_their_like() {
        let spec: PlacementSpec = serde_json::from_str(
            r#"{"hostNetwork":true,"tolerations":[
                {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},
                {"key":"mine","operator":"Exists","tolerationSeconds":5},
                {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"},
                {"key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":7},
                {"key":"node.kubernetes.io/pid-pressure","operator":"Exists","effect":"NoSchedule","value":"x"}]}"#,
        )
        .unwrap();
        let placement = Placement::of(&spec);
        let told: Vec<String> = placement
            .tolerations()
            .iter()
            .map(|one| {
                let key = one.key.strip_prefix("node.kubernetes.io/").unwrap_or(&one.key);
                let seconds = one.toleration_seconds.map_or_else(String::new, |seconds| seconds.to_string());
                format!("{key}:{}:{}:{seconds}", one.effect, one.value)
            })
            .collect();
        assert_eq!(
            told,
            vec![
                "not-ready:NoExecute::",
                "mine:::5",
                "not-ready:NoExecute::",
                "unreachable:::7",
                "pid-pressure:NoSchedule:x:",
                "unreachable:NoExecute::",
                "disk-pressure:NoSchedule::",
                "memory-pressure:NoSchedule::",
                "pid-pressure:NoSchedule::",
                "unschedulable:NoSchedule::",
                "network-unavailable:NoSchedule::",
            ]
        );
    }

    #[test]
    fn only_the_labels_that_matter_are_named() {
        let spec = required(
            r#"{"matchExpressions":[{"key":"a","operator":"Exists"}],
                "matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]},
               {"matchExpressions":[{"key":"unread","operator":"Like"}]},
               {"matchExpressions":[{"key":"a","operator":"In","values":["x"]},{"key":"c","operator":"DoesNotExist"}]}"#,
        )
        .replacen('{', r#"{"nodeSelector":{"b":"c"},"#, 1);
        let keys = Placement::of(&serde_json::from_str(&spec).unwrap()).label_keys();
        assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
