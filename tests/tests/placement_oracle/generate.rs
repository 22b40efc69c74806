//! Templates and nodes, likely and unlikely ones, of few words, so that they have to do with one another.

use serde_json::{Map, Value, json};
use windlass_tests::simulation::random::Random;

const KEYS: [&str; 6] = ["zone", "disk", "cores", "example.com/gpu", "kubernetes.io/hostname", "-bad-"];
const VALUES: [&str; 8] = ["", "a", "b", "node-1", "8", "16", "-5", "not a value"];
const OPERATORS: [&str; 12] =
    ["In", "In", "In", "NotIn", "NotIn", "Exists", "Exists", "DoesNotExist", "Gt", "Lt", "", "Like"];
const FIELDS: [&str; 8] = [
    "metadata.name",
    "metadata.name",
    "metadata.name",
    "metadata.name",
    "metadata.name",
    "metadata.name",
    "spec.podCIDR",
    "",
];
const FIELD_OPERATORS: [&str; 10] =
    ["In", "In", "In", "In", "NotIn", "NotIn", "NotIn", "NotIn", "Exists", "Gt"];
const TAINT_KEYS: [&str; 10] = [
    "dedicated",
    "dedicated",
    "gpu",
    "",
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/out-of-service",
];
const TAINT_VALUES: [&str; 5] = ["", "", "a", "5", "07"];
const EFFECTS: [&str; 8] =
    ["NoSchedule", "NoSchedule", "NoSchedule", "NoExecute", "NoExecute", "PreferNoSchedule", "", "NoSmoke"];
const TOLERATION_OPERATORS: [&str; 9] =
    ["", "Equal", "Equal", "Exists", "Exists", "Exists", "Gt", "Lt", "exists"];

/// The spec of a template, as far as placement reads it.
pub(crate) fn spec(random: &mut Random) -> Value {
    let mut spec = match random.below(8) {
        0..5 => {
            let terms: Vec<Value> = (0..random.below(4)).map(|_| term(random)).collect();
            requiring(&if terms.is_empty() && random.chance(300) { Value::Null } else { json!(terms) })
        }
        5 => json!({ "affinity": { "nodeAffinity": {} } }),
        6 => json!({ "affinity": null }),
        _ => json!({}),
    };
    if let Some(affinity) = spec.get_mut("affinity").filter(|affinity| affinity.is_object()) {
        if random.chance(300) {
            affinity["podAntiAffinity"] =
                json!({ "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "zone" }] });
        }
        if random.chance(300) {
            affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = json!([{ "weight": 3,
                "preference": { "matchExpressions": [{ "key": "disk", "operator": "Exists" }] } }]);
        }
    }
    if random.chance(80) {
        spec["nodeName"] = name(random, 4).into();
    }
    if random.chance(250) {
        spec["nodeSelector"] = labels(random, 1, 2);
    }
    if random.chance(300) {
        spec["hostNetwork"] = random.chance(800).into();
    }
    if random.chance(700) {
        spec["tolerations"] = (0..random.below(4)).map(|_| toleration(random)).collect();
    }
    spec
}

/// The spec that requires one of the terms of a node.
pub(crate) fn requiring(terms: &Value) -> Value {
    let required = json!({ "nodeSelectorTerms": terms });
    json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } } })
}

/// The node in place `nth`; half of them are alike but for their names.
pub(crate) fn node(random: &mut Random, nth: u64) -> Value {
    let (labels, taints) = if nth.is_multiple_of(2) {
        (json!({ "zone": "a", "cores": "8" }), json!([]))
    } else {
        (labels(random, 0, 4), (0..random.below(3)).map(|_| taint(random)).collect())
    };
    let name = if random.chance(20) { String::new() } else { format!("node-{nth}") };
    json!({ "metadata": { "name": name, "labels": labels }, "spec": { "taints": taints } })
}

/// A text that is the key of a label about as often as not.
pub(crate) fn label_key(random: &mut Random) -> String {
    let length = random.pick(&[1, 3, 62, 63, 64]);
    let name = word(random, length, "-_.A/ ä");
    match random.below(4) {
        0 => name,
        1 => format!("example.com/{name}"),
        2 => format!("/{name}"),
        _ => {
            let length = random.pick(&[1, 4, 64, 252, 253, 254]);
            format!("{}/{name}", word(random, length, "-._A/"))
        }
    }
}

/// A text that is the value of a label about as often as not.
pub(crate) fn label_value(random: &mut Random) -> String {
    let length = random.pick(&[0, 1, 2, 5, 62, 63, 64]);
    word(random, length, "-_.A/ \n\u{130}")
}

/// A number, or nearly one, often at an edge of 64 bits.
pub(crate) fn number(random: &mut Random) -> String {
    match random.below(8) {
        0 => {
            random.pick(&["", "-", "+", "0", "-0", "007", "1e3", "1_0", "0x10", "9.0", " 7", "٧"]).to_owned()
        }
        1 => format!("{}", u128::from(u64::MAX >> 1) + u128::from(random.below(3))),
        2 => format!("-{}", u128::from(u64::MAX >> 1) + u128::from(random.below(3))),
        3 => format!("{}{}", random.pick(&["-", "+", "0"]), random.below(12)),
        4 => random.number().to_string(),
        _ => random.below(12).to_string(),
    }
}

fn term(random: &mut Random) -> Value {
    let mut term = Map::new();
    if random.chance(750) {
        let all = (0..random.below(3)).map(|_| requirement(random, &KEYS, &OPERATORS)).collect();
        term.insert("matchExpressions".to_owned(), all);
    }
    if random.chance(400) {
        let all = (0..random.below(3)).map(|_| requirement(random, &FIELDS, &FIELD_OPERATORS)).collect();
        term.insert("matchFields".to_owned(), all);
    }
    term.into()
}

fn requirement(random: &mut Random, keys: &[&'static str], operators: &[&'static str]) -> Value {
    let operator = random.pick(operators);
    let is_field = keys.len() == FIELDS.len();
    // As many values as the operator wants, nearly always.
    let wanted = match operator {
        "In" | "NotIn" if is_field => 1,
        "In" | "NotIn" => random.between(1, 3),
        "Gt" | "Lt" => 1,
        _ => 0,
    };
    let count = if random.chance(100) { random.below(3) } else { wanted };
    let value = |random: &mut Random| -> Value {
        if is_field {
            name(random, 8).into()
        } else if matches!(operator, "Gt" | "Lt") && random.chance(600) {
            random.below(20).to_string().into()
        } else {
            let likely = if random.chance(850) { 5 } else { VALUES.len() };
            random.pick(&VALUES[..likely]).into()
        }
    };
    let values: Vec<Value> = (0..count).map(|_| value(random)).collect();
    let key = if !is_field && random.chance(900) { random.pick(&keys[..5]) } else { random.pick(keys) };
    let mut requirement = json!({ "key": key, "operator": operator });
    if !values.is_empty() || random.chance(300) {
        requirement["values"] = values.into();
    }
    requirement
}

fn labels(random: &mut Random, low: u64, high: u64) -> Value {
    let mut labels = Map::new();
    for _ in 0..random.between(low, high) {
        labels.insert(random.pick(&KEYS).to_owned(), random.pick(&VALUES).into());
    }
    labels.into()
}

fn name(random: &mut Random, of: u64) -> String {
    if random.chance(50) { String::new() } else { format!("node-{}", random.below(of)) }
}

fn taint(random: &mut Random) -> Value {
    let value = random.pick(&TAINT_VALUES);
    json!({ "key": random.pick(&TAINT_KEYS), "value": value, "effect": random.pick(&EFFECTS) })
}

fn toleration(random: &mut Random) -> Value {
    let mut toleration = json!({});
    let parts = [("key", random.pick(&TAINT_KEYS)), ("effect", random.pick(&EFFECTS))];
    let operator = ("operator", random.pick(&TOLERATION_OPERATORS));
    let value = if random.chance(500) { "" } else { random.pick(&TAINT_VALUES) };
    for (part, text) in parts.into_iter().chain([operator, ("value", value)]) {
        if random.chance(850) {
            toleration[part] = text.into();
        }
    }
    if random.chance(200) {
        toleration["tolerationSeconds"] = random.below(400).into();
    }
    toleration
}

/// A word of `length` letters with a few `odd` ones at its ends and within.
fn word(random: &mut Random, length: u64, odd: &str) -> String {
    let odd: Vec<char> = odd.chars().collect();
    let mut word: Vec<char> = (0..length).map(|_| random.pick(&['a', 'b', '7'])).collect();
    for _ in 0..random.below(2) * random.between(1, 2) {
        let at = match random.below(3) {
            0 => 0,
            1 => length.saturating_sub(1),
            _ => random.below(length),
        };
        if let Some(letter) = word.get_mut(at as usize) {
            *letter = random.pick(&odd);
        }
    }
    word.into_iter().collect()
}
