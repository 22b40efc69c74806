//! Questions and answers as JSON, for the command line: fields and cases have the names that wit/policy gives them.
//!
//! A question may leave out what it does not matter, and has its facts as a map from name to value. An answer without
//! contents is a word, one with contents a map from its word to them: `"not-counted"`, `{"retry-after-ms": 5000}`.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::decision::Decision;
use super::{Called, Plugin, PluginFault, admission};

/// A question about any decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// About a retry.
    Backoff(backoff::Question),
    /// About a schedule.
    Schedule(schedule::Question),
    /// About missed runs.
    MissedRuns(missed_runs::Question),
    /// About a rollout.
    Rollout(rollout::Question),
    /// About the start of a Job.
    Admission(admission::Question),
}

/// An answer about any decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// About a retry.
    Backoff(backoff::Answer),
    /// About a schedule.
    Schedule(schedule::Answer),
    /// About missed runs.
    MissedRuns(missed_runs::Answer),
    /// About a rollout.
    Rollout(rollout::Answer),
    /// About the start of a Job.
    Admission(admission::Answer),
}

/// Why a document is no question or answer; the reason, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFault(pub String);

impl Question {
    /// The question about `decision` that `document` is.
    ///
    /// # Errors
    /// A [`DocumentFault`] that names the field.
    pub fn read(decision: Decision, document: Value) -> Result<Self, DocumentFault> {
        Ok(match decision {
            Decision::Backoff => Self::Backoff(read::<BackoffQuestionText>(document)?.0),
            Decision::Schedule => Self::Schedule(read::<ScheduleQuestionText>(document)?.0),
            Decision::MissedRuns => Self::MissedRuns(read::<MissedRunsQuestionText>(document)?.0),
            Decision::Rollout => Self::Rollout(read::<RolloutQuestionText>(document)?.0),
            Decision::Admission => Self::Admission(read::<AdmissionQuestionText>(document)?.0),
        })
    }

    /// What the plugin answers, if the answer is one that the host takes.
    #[must_use]
    pub fn ask(&self, plugin: &dyn Plugin, settings: &str) -> Called<Answer> {
        match self {
            Self::Backoff(question) => ask(question, plugin, settings, Answer::Backoff),
            Self::Schedule(question) => ask(question, plugin, settings, Answer::Schedule),
            Self::MissedRuns(question) => ask(question, plugin, settings, Answer::MissedRuns),
            Self::Rollout(question) => ask(question, plugin, settings, Answer::Rollout),
            Self::Admission(question) => ask(question, plugin, settings, Answer::Admission),
        }
    }
}

impl Answer {
    /// The answer about `decision` that `document` is.
    ///
    /// # Errors
    /// A [`DocumentFault`] that names what is wrong.
    pub fn read(decision: Decision, document: Value) -> Result<Self, DocumentFault> {
        Ok(match decision {
            Decision::Backoff => Self::Backoff(read::<BackoffAnswerText>(document)?.0),
            Decision::Schedule => Self::Schedule(read::<ScheduleAnswerText>(document)?.0),
            Decision::MissedRuns => Self::MissedRuns(read::<MissedRunsAnswerText>(document)?.0),
            Decision::Rollout => Self::Rollout(read::<RolloutAnswerText>(document)?.0),
            Decision::Admission => Self::Admission(read::<AdmissionAnswerText>(document)?.0),
        })
    }

    /// The document that the answer is.
    #[must_use]
    pub fn write(&self) -> Value {
        let written = match self.clone() {
            Self::Backoff(answer) => serde_json::to_value(BackoffAnswerText(answer)),
            Self::Schedule(answer) => serde_json::to_value(ScheduleAnswerText(answer)),
            Self::MissedRuns(answer) => serde_json::to_value(MissedRunsAnswerText(answer)),
            Self::Rollout(answer) => serde_json::to_value(RolloutAnswerText(answer)),
            Self::Admission(answer) => serde_json::to_value(AdmissionAnswerText(answer)),
        };
        // Words, numbers and lists: there is nothing that JSON does not have.
        written.unwrap_or(Value::Null)
    }
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, DocumentFault> {
    serde_json::from_value(document).map_err(|error| DocumentFault(error.to_string()))
}

fn ask<Q: super::decision::Question>(
    question: &Q,
    plugin: &dyn Plugin,
    settings: &str,
    of: impl Fn(Q::Answer) -> Answer,
) -> Called<Answer> {
    let Called { result, cost, log } = Q::decide(plugin, settings, std::slice::from_ref(question));
    let one = result.and_then(|answers| Q::check_all(std::slice::from_ref(question), answers));
    let result = one.and_then(|answers| answers.into_iter().next().ok_or(PluginFault::DoesNotDecide)).map(of);
    Called { result, cost, log }
}

impl fmt::Display for DocumentFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for DocumentFault {}

/// A list of pairs as a map, in its order.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, String)>, D::Error> {
        Ok(BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Names the document of a type that is described below: `Text(value)` in the words of `Shape`.
macro_rules! texts {
    ($($text:ident: $shape:literal, $value:ty, $($derive:ident),+;)+) => {$(
        #[derive($($derive),+)]
        struct $text(#[serde(with = $shape)] $value);
    )+};
}

texts! {
    BackoffQuestionText: "BackoffQuestion", backoff::Question, Deserialize;
    ScheduleQuestionText: "ScheduleQuestion", schedule::Question, Deserialize;
    MissedRunsQuestionText: "MissedRunsQuestion", missed_runs::Question, Deserialize;
    RolloutQuestionText: "RolloutQuestion", rollout::Question, Deserialize;
    NodeText: "RolloutNode", rollout::Node, Deserialize;
    AdmissionQuestionText: "AdmissionQuestion", admission::Question, Deserialize;
    DependencyText: "AdmissionDependency", admission::Dependency, Deserialize;
    BackoffAnswerText: "BackoffAnswer", backoff::Answer, Deserialize, Serialize;
    ScheduleAnswerText: "ScheduleAnswer", schedule::Answer, Deserialize, Serialize;
    MissedRunsAnswerText: "MissedRunsAnswer", missed_runs::Answer, Deserialize, Serialize;
    RolloutAnswerText: "RolloutAnswer", rollout::Answer, Deserialize, Serialize;
    AdmissionAnswerText: "AdmissionAnswer", admission::Answer, Deserialize, Serialize;
}

#[derive(Default, Deserialize)]
#[serde(remote = "backoff::Question", rename_all = "kebab-case", default, deny_unknown_fields)]
struct BackoffQuestion {
    owner: String,
    index: Option<u32>,
    failures: u32,
    exit_code: Option<i32>,
    reason: String,
    age_ms: u32,
    seed: u32,
    #[serde(with = "pairs")]
    facts: Vec<(String, String)>,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "backoff::Answer", rename_all = "kebab-case")]
enum BackoffAnswer {
    RetryAfterMs(u32),
    NotCounted,
    Stop(String),
    #[serde(with = "BackoffHold")]
    Hold(backoff::Hold),
    Other(String),
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "backoff::Hold", rename_all = "kebab-case", deny_unknown_fields)]
struct BackoffHold {
    reason: String,
    ask_again_ms: u32,
}

#[derive(Default, Deserialize)]
#[serde(remote = "schedule::Question", rename_all = "kebab-case", default, deny_unknown_fields)]
struct ScheduleQuestion {
    owner: String,
    schedule: String,
    zone: String,
    after_s: u32,
    until_s: u32,
    limit: u32,
    latest: bool,
    seed: u32,
    #[serde(with = "pairs")]
    facts: Vec<(String, String)>,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "schedule::Answer", rename_all = "kebab-case")]
enum ScheduleAnswer {
    #[serde(with = "ScheduleFiring")]
    Fires(schedule::Firing),
    Refused(String),
    Other(String),
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "schedule::Firing", rename_all = "kebab-case", deny_unknown_fields)]
struct ScheduleFiring {
    at_s: Vec<u32>,
    #[serde(default)]
    more: bool,
}

#[derive(Default, Deserialize)]
#[serde(remote = "missed_runs::Question", rename_all = "kebab-case", default, deny_unknown_fields)]
struct MissedRunsQuestion {
    owner: String,
    missed_s: Vec<u32>,
    more_before: bool,
    why: String,
    now_s: u32,
    starting_deadline_s: Option<u32>,
    concurrency_policy: String,
    active: u32,
    seed: u32,
    #[serde(with = "pairs")]
    facts: Vec<(String, String)>,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "missed_runs::Answer", rename_all = "kebab-case")]
enum MissedRunsAnswer {
    Run(Vec<u32>),
    Other(String),
}

#[derive(Default, Deserialize)]
#[serde(remote = "rollout::Question", rename_all = "kebab-case", default, deny_unknown_fields)]
struct RolloutQuestion {
    owner: String,
    revision: String,
    #[serde(deserialize_with = "nodes")]
    nodes: Vec<rollout::Node>,
    max_unavailable: u32,
    max_surge: u32,
    age_ms: u32,
    seed: u32,
    #[serde(with = "pairs")]
    facts: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "rollout::Node", rename_all = "kebab-case", default, deny_unknown_fields)]
struct RolloutNode {
    name: String,
    #[serde(with = "pairs")]
    labels: Vec<(String, String)>,
    state: String,
    available: bool,
    since_ms: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "rollout::Answer", rename_all = "kebab-case")]
enum RolloutAnswer {
    #[serde(with = "RolloutUpdate")]
    Update(rollout::Update),
    #[serde(with = "RolloutHold")]
    Pause(rollout::Hold),
    Other(String),
}

#[derive(Default, Deserialize, Serialize)]
#[serde(remote = "rollout::Update", rename_all = "kebab-case", default, deny_unknown_fields)]
struct RolloutUpdate {
    nodes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask_again_ms: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "rollout::Hold", rename_all = "kebab-case", deny_unknown_fields)]
struct RolloutHold {
    reason: String,
    ask_again_ms: u32,
}

#[derive(Default, Deserialize)]
#[serde(remote = "admission::Question", rename_all = "kebab-case", default, deny_unknown_fields)]
struct AdmissionQuestion {
    owner: String,
    queue: String,
    parallelism: u32,
    #[serde(with = "AdmissionCounts")]
    in_queue: admission::Counts,
    #[serde(with = "AdmissionCounts")]
    in_namespace: admission::Counts,
    #[serde(deserialize_with = "dependencies")]
    dependencies: Vec<admission::Dependency>,
    age_ms: u32,
    seed: u32,
    #[serde(with = "pairs")]
    facts: Vec<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(remote = "admission::Counts", rename_all = "kebab-case", default, deny_unknown_fields)]
struct AdmissionCounts {
    running: u32,
    waiting: u32,
    pods: u32,
}

#[derive(Default, Deserialize)]
#[serde(remote = "admission::Dependency", rename_all = "kebab-case", default, deny_unknown_fields)]
struct AdmissionDependency {
    owner: String,
    state: String,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "admission::Answer", rename_all = "kebab-case")]
enum AdmissionAnswer {
    Start,
    #[serde(with = "AdmissionHold")]
    Hold(admission::Hold),
    Other(String),
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "admission::Hold", rename_all = "kebab-case", deny_unknown_fields)]
struct AdmissionHold {
    reason: String,
    ask_again_ms: u32,
}

fn nodes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<rollout::Node>, D::Error> {
    Ok(Vec::<NodeText>::deserialize(deserializer)?.into_iter().map(|text| text.0).collect())
}

fn dependencies<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<admission::Dependency>, D::Error> {
    Ok(Vec::<DependencyText>::deserialize(deserializer)?.into_iter().map(|text| text.0).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_has_the_names_of_the_interface_and_leaves_out_what_it_likes() {
        let document =
            json!({"owner": "ops/etl", "failures": 2, "exit-code": -1, "facts": {"b": "2", "a": "1"}});
        let question = Question::read(Decision::Backoff, document).expect("a question");
        let facts =
            [("a", "1"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let expected = backoff::Question {
            owner: "ops/etl".into(),
            failures: 2,
            exit_code: Some(-1),
            facts,
            ..Default::default()
        };
        assert_eq!(question, Question::Backoff(expected));
        let nodes =
            json!({"nodes": [{"name": "a", "state": "old", "labels": {"zone": "z"}}], "max-unavailable": 1});
        let Ok(Question::Rollout(question)) = Question::read(Decision::Rollout, nodes) else {
            panic!("a question")
        };
        assert_eq!(question.nodes[0].labels, [("zone".to_owned(), "z".to_owned())]);
        let counts =
            json!({"in-queue": {"running": 3}, "dependencies": [{"owner": "a/b", "state": "absent"}]});
        let Ok(Question::Admission(question)) = Question::read(Decision::Admission, counts) else {
            panic!("one")
        };
        assert_eq!((question.in_queue.running, question.dependencies.len()), (3, 1));
    }

    #[test]
    fn a_field_that_there_is_none_of_is_refused_by_its_name() {
        let fault = Question::read(Decision::Backoff, json!({"exit_code": 1})).expect_err("a refusal");
        assert!(fault.0.contains("exit_code") && fault.0.contains("exit-code"), "{fault}");
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        let cases = [
            (Decision::Backoff, json!({"retry-after-ms": 5000})),
            (Decision::Backoff, json!("not-counted")),
            (Decision::Backoff, json!({"hold": {"reason": "busy", "ask-again-ms": 1000}})),
            (Decision::Schedule, json!({"fires": {"at-s": [1, 2], "more": false}})),
            (Decision::Schedule, json!({"refused": "no"})),
            (Decision::MissedRuns, json!({"run": [0]})),
            (Decision::Rollout, json!({"update": {"nodes": [1, 0], "budget": 1}})),
            (Decision::Rollout, json!({"pause": {"reason": "bakes", "ask-again-ms": 2000}})),
            (Decision::Admission, json!("start")),
            (Decision::Admission, json!({"other": "later"})),
        ];
        for (decision, document) in cases {
            let answer = Answer::read(decision, document.clone()).expect("an answer");
            assert_eq!(answer.write(), document);
        }
        assert!(Answer::read(Decision::Admission, json!("stop")).is_err());
    }
}
