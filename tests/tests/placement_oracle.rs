//! Our placement of a DaemonSet's Pods held against upstream's own: the same nodes, the same tolerations and the same
//! affinity for the same template.

#[path = "placement_oracle/generate.rs"]
mod generate;
#[path = "oracle/program.rs"]
mod program;

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use windlass_control_plane::or_skip;
use windlass_core::daemon_set::placement::{Answer, NodeShape, Placement, ShapeAnswer};
use windlass_core::kube::{Node, PlacementSpec, pod_affinity};
use windlass_tests::simulation::random::Random;

use program::Program;

/// A template's spec, and nodes.
#[derive(Clone, Debug)]
struct Question {
    spec: Value,
    nodes: Vec<Value>,
}

#[test]
fn generated_templates_are_placed_as_by_upstream() -> Result<()> {
    let test = "generated_templates_are_placed_as_by_upstream";
    let Some(oracle) = or_skip(test, Program::locate("placement-oracle", Vec::new()))? else {
        return Ok(());
    };
    let mut random = Random::new(1, 1);
    let questions: Vec<Question> = (0..10_000)
        .map(|_| {
            let nodes = (0..8).map(|nth| generate::node(&mut random, nth)).collect();
            Question { spec: generate::spec(&mut random), nodes }
        })
        .collect();
    let tally = compare(&oracle, &questions)?;
    tally.print("generated templates");
    assert!(tally.run > 15_000 && tally.go_on > 2_000 && tally.go > 30_000, "{tally:?}");
    assert!(tally.split_shapes > 300, "names decide too seldom: {tally:?}");
    Ok(())
}

#[test]
fn keys_and_values_of_labels_are_read_as_by_upstream() -> Result<()> {
    let test = "keys_and_values_of_labels_are_read_as_by_upstream";
    let Some(oracle) = or_skip(test, Program::locate("placement-oracle", Vec::new()))? else {
        return Ok(());
    };
    let mut random = Random::new(2, 2);
    let questions: Vec<Question> = (0..10_000)
        .map(|_| {
            let requirement = if random.chance(500) {
                json!({ "key": generate::label_key(&mut random), "operator": "DoesNotExist" })
            } else {
                json!({ "key": "k", "operator": "NotIn", "values": [generate::label_value(&mut random)] })
            };
            let terms = json!([{ "matchExpressions": [requirement] }]);
            Question {
                spec: generate::requiring(&terms),
                nodes: vec![json!({ "metadata": { "name": "n" } })],
            }
        })
        .collect();
    let tally = compare(&oracle, &questions)?;
    tally.print("keys and values of labels");
    assert!(tally.run > 2_000 && tally.go > 2_000, "{tally:?}");
    Ok(())
}

#[test]
fn numbers_of_labels_are_compared_as_by_upstream() -> Result<()> {
    let test = "numbers_of_labels_are_compared_as_by_upstream";
    let Some(oracle) = or_skip(test, Program::locate("placement-oracle", Vec::new()))? else {
        return Ok(());
    };
    let mut random = Random::new(3, 3);
    let questions: Vec<Question> = (0..6_000)
        .map(|_| {
            let bound = generate::number(&mut random);
            let operator = random.pick(&["Gt", "Lt"]);
            let requirement = json!({ "key": "k", "operator": operator, "values": [bound] });
            let labelled = |text: String| json!({ "metadata": { "name": "n", "labels": { "k": text } } });
            let nodes = (0..4).map(|_| labelled(generate::number(&mut random))).collect();
            Question { spec: generate::requiring(&json!([{ "matchExpressions": [requirement] }])), nodes }
        })
        .collect();
    let tally = compare(&oracle, &questions)?;
    tally.print("numbers of labels");
    assert!(tally.run > 4_000 && tally.go > 8_000, "{tally:?}");
    Ok(())
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    run: u64,
    go_on: u64,
    go: u64,
    /// Shapes of several nodes, of which a name had more than one answer.
    split_shapes: u64,
}

impl Tally {
    fn print(&self, what: &str) {
        let Self { run, go_on, go, split_shapes } = self;
        println!(
            "placement oracle, {what}: {} nodes compared: {run} get a Pod, {go_on} only keep one, {go} neither; \
             {split_shapes} shapes of which names decide",
            run + go_on + go
        );
    }

    fn add(&mut self, answers: &[Answer]) {
        for answer in answers {
            *match (answer.should_run, answer.should_continue) {
                (true, _) => &mut self.run,
                (false, true) => &mut self.go_on,
                (false, false) => &mut self.go,
            } += 1;
        }
    }
}

/// Holds our answers against upstream's.
fn compare(oracle: &Program, questions: &[Question]) -> Result<Tally> {
    let mut tally = Tally::default();
    oracle.ask(
        questions,
        |question| json!({ "spec": question.spec, "nodes": question.nodes }),
        |question, theirs| {
            let (answers, tolerations) = ours(question, &mut tally);
            tally.add(&answers);
            let answers: Vec<Value> =
                answers.iter().map(|answer| json!([answer.should_run, answer.should_continue])).collect();
            assert_eq!(Value::from(answers), theirs["nodes"], "nodes of {question:#?}");
            assert_eq!(tolerations, theirs["tolerations"], "tolerations of {question:#?}");
            let name = question.nodes[0]["metadata"]["name"].as_str().unwrap_or_default();
            let template = question.spec.get("affinity").map(Value::to_string);
            let affinity = pod_affinity(template.as_deref(), name).expect("an affinity");
            let affinity: Value = serde_json::from_str(&affinity).expect("JSON");
            assert_eq!(affinity, theirs["affinity"], "affinity of {question:#?}");
        },
    )?;
    Ok(tally)
}

/// Our answers, each shape of nodes being asked about once, and our tolerations.
fn ours(question: &Question, tally: &mut Tally) -> (Vec<Answer>, Value) {
    let spec: PlacementSpec = serde_json::from_str(&question.spec.to_string()).expect("a spec");
    let placement = Placement::of(&spec);
    let keys = placement.label_keys();
    let mut shapes: BTreeMap<NodeShape, (ShapeAnswer, Vec<Answer>)> = BTreeMap::new();
    let mut answers = Vec::new();
    for node in &question.nodes {
        let node: Node = serde_json::from_str(&node.to_string()).expect("a node");
        let shape = NodeShape::of(&node, &keys);
        let (of_shape, told) =
            shapes.entry(shape).or_insert_with_key(|shape| (placement.on_shape(shape), Vec::new()));
        let answer = of_shape.on_node(&node.metadata.name);
        told.push(answer);
        answers.push(answer);
    }
    let is_split = |told: &[Answer]| told.iter().any(|answer| *answer != told[0]);
    tally.split_shapes += shapes.values().filter(|(_, told)| is_split(told)).count() as u64;
    (answers, serde_json::to_value(placement.tolerations()).expect("JSON"))
}
