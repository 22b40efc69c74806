//! What a plugin may want to know of the object for which it decides.
//!
//! A fact is named by the kind of the object and what of it is meant, such as `job.annotation/example.com/tier`. What
//! the host does not know, or what the object does not have, is left out.

use windlass_core::kube::{Job, Kind, ObjectMeta, Str};

use super::Description;
use super::decision::Decision;
use crate::snapshot::Subject;

/// Most facts of one question; what a plugin wants beyond them is left out.
pub const MAX_FACTS: usize = 32;
/// Most bytes of one fact; a longer one is left out, since half of it would say something else.
pub const MAX_FACT_BYTES: usize = 4_096;

/// Most labels of nodes that a plugin is shown; what it wants beyond them is left out, since each node of a rollout comes
/// with them.
pub const MAX_NODE_LABELS: usize = 8;
/// Most bytes of the key of a label: a domain name, a slash and a name (upstream's validation: IsQualifiedName).
const MAX_LABEL_KEY_BYTES: usize = 317;
/// What the names of facts begin with that are labels of nodes.
const NODE_LABEL: &str = "node.label/";

/// Keys of the node labels that a plugin of that description wants to see in the questions about rollouts, each once, in
/// the order in which it names them.
#[must_use]
pub fn node_labels(description: &Description) -> Vec<Str> {
    let mut keys: Vec<Str> = Vec::new();
    let wants = description.wants.iter().filter(|(of, _)| of == Decision::Rollout.label());
    for key in wants.filter_map(|(_, fact)| fact.strip_prefix(NODE_LABEL)) {
        let is_known = keys.iter().any(|known| **known == *key);
        if !is_known && keys.len() < MAX_NODE_LABELS && key.len() <= MAX_LABEL_KEY_BYTES {
            keys.push(key.into());
        }
    }
    keys
}
/// How many Pods of its namespace's Jobs failed in the last hour, as far as the state machine has seen.
pub const NAMESPACE_FAILURES: &str = "job.namespace-failures-last-hour";

/// What the state machine knows beyond the object itself, by the name of the fact.
pub type Known<'known> = dyn Fn(&str) -> Option<String> + 'known;

/// The facts about `subject` that a plugin of that description wants for a decision, in the order in which it names
/// them.
#[must_use]
pub fn wanted(
    description: &Description,
    decision: Decision,
    subject: &Subject,
    known: &Known<'_>,
) -> Vec<(String, String)> {
    let Some((kind, metadata)) = subject.regarding() else { return Vec::new() };
    let wants = description.wants.iter().filter(|(of, _)| of == decision.label());
    let told = wants.filter_map(|(_, fact)| {
        let of_object = fact_of(fact, kind, metadata, subject.job().map(|job| &**job));
        let value = of_object.or_else(|| known(fact))?;
        (value.len() <= MAX_FACT_BYTES).then(|| (fact.clone(), value))
    });
    told.take(MAX_FACTS).collect()
}

fn fact_of(fact: &str, kind: Kind, metadata: &ObjectMeta, job: Option<&Job>) -> Option<String> {
    let rest = fact.strip_prefix(prefix(kind)?)?.strip_prefix('.')?;
    if let Some(key) = rest.strip_prefix("annotation/") {
        return metadata.annotations.get(key).map(ToString::to_string);
    }
    if let Some(key) = rest.strip_prefix("label/") {
        return metadata.labels.get(key).map(ToString::to_string);
    }
    match (rest, job) {
        ("namespace", _) => Some(metadata.namespace.to_string()),
        ("name", _) => Some(metadata.name.to_string()),
        ("uid", _) => Some(metadata.uid.to_string()),
        ("backoff-limit", Some(job)) => job.spec.backoff_limit.map(|number| number.to_string()),
        ("completions", Some(job)) => job.spec.completions.map(|number| number.to_string()),
        ("parallelism", Some(job)) => job.spec.parallelism.map(|number| number.to_string()),
        ("failed", Some(job)) => Some(job.status.failed.to_string()),
        ("succeeded", Some(job)) => Some(job.status.succeeded.to_string()),
        _ => None,
    }
}

/// What the names of facts about objects of a kind begin with.
fn prefix(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Job => Some("job"),
        Kind::CronJob => Some("cron-job"),
        Kind::DaemonSet => Some("daemon-set"),
        Kind::Pod | Kind::Node | Kind::ControllerRevision => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn subject() -> Subject {
        let text = format!(
            r#"{{"metadata":{{"name":"etl","namespace":"ops","labels":{{"team":"a"}},
                "annotations":{{"example.com/tier":"gold","long":"{}"}}}},"spec":{{"backoffLimit":3}}}}"#,
            "x".repeat(MAX_FACT_BYTES + 1)
        );
        Subject::Job(Arc::new(serde_json::from_str(&text).expect("a Job")))
    }

    fn ask(wants: &[&str]) -> Vec<(String, String)> {
        let wants = wants.iter().map(|fact| ("backoff".to_owned(), (*fact).to_owned())).collect();
        let description = Description { wants, ..Description::default() };
        let known = |fact: &str| (fact == NAMESPACE_FAILURES).then(|| "7".to_owned());
        wanted(&description, Decision::Backoff, &subject(), &known)
    }

    #[test]
    fn what_is_known_is_told_and_the_rest_left_out() {
        let known = [
            "job.annotation/example.com/tier",
            "job.label/team",
            "job.namespace",
            "job.backoff-limit",
            NAMESPACE_FAILURES,
        ];
        let unknown =
            ["job.annotation/none", "job.weather", "cron-job.name", "name", "job.annotation/long", ""];
        let values: Vec<String> =
            ask(&[&known[..], &unknown[..]].concat()).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["gold", "a", "ops", "3", "7"]);
    }

    #[test]
    fn labels_of_nodes_are_told_of_rollouts_alone_and_only_so_many() {
        let want = |decision: &str, fact: &str| (decision.to_owned(), fact.to_owned());
        let wants =
            [("backoff", "node.label/a"), ("rollout", "node.label/b/c"), ("rollout", "daemon-set.name")];
        let mut wants: Vec<_> = wants.iter().map(|(decision, fact)| want(decision, fact)).collect();
        wants.extend((0..9).map(|number| want("rollout", &format!("node.label/{}", number / 2))));
        wants.push(want("rollout", &format!("node.label/{}", "x".repeat(MAX_LABEL_KEY_BYTES + 1))));
        let description = Description { wants, ..Description::default() };
        let keys: Vec<Str> = ["b/c", "0", "1", "2", "3", "4"].map(Into::into).to_vec();
        assert_eq!(node_labels(&description), keys);
        let wants = (0..9).map(|number| want("rollout", &format!("node.label/{number}"))).collect();
        assert_eq!(node_labels(&Description { wants, ..description }).len(), MAX_NODE_LABELS);
    }

    #[test]
    fn a_fact_is_told_for_the_decision_that_wants_it_and_only_so_many() {
        let wants = vec![("schedule".to_owned(), "job.name".to_owned())];
        let description = Description { wants, ..Description::default() };
        assert!(wanted(&description, Decision::Backoff, &subject(), &|_| None).is_empty());
        assert_eq!(ask(&["job.name"; MAX_FACTS + 1]).len(), MAX_FACTS);
    }
}
