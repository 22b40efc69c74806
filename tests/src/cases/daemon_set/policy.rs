//! What a case lets the policy of rollouts answer, and what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use windlass_core::kube::Str;
use windlass_core::policy::rollout::{Answer, Hold, Question, Update, built_in};
use windlass_core::policy::{BuiltIn, Policy, backoff};

use super::super::parse::{duration_ms, pairs};
use super::super::print::duration;
use super::names::{Naming, expand};

/// The policy of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct CasePolicy {
    /// Keys of the node labels that it asks for, where one is bound.
    pub(super) labels: Option<Vec<Str>>,
    answer: Option<Given>,
    asked: Arc<Mutex<Vec<Question>>>,
}

/// An answer, of which nodes are named by their names.
#[derive(Clone, Debug)]
enum Given {
    Update { nodes: Vec<Str>, budget: Option<u32>, ask_again_ms: Option<u32> },
    Pause(u32),
    Other,
}

impl CasePolicy {
    /// `update n-3,n-1 budget=2 again=30s`, `update none`, `pause 45s`, `other`, `labels a,b`, or `built-in` for none.
    pub(super) fn apply(&mut self, text: &str) -> Result<()> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        self.labels.get_or_insert_default();
        match word {
            "built-in" => *self = Self::default(),
            "labels" => self.labels = Some(rest.split(',').map(Into::into).collect()),
            "other" => self.answer = Some(Given::Other),
            "pause" => self.answer = Some(Given::Pause(duration_ms(rest)?)),
            "update" => {
                let (names, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let nodes = if names == "none" { Vec::new() } else { expand(names)? };
                let (mut budget, mut ask_again_ms) = (None, None);
                for (key, value) in pairs(rest) {
                    match key {
                        "budget" => budget = Some(value.parse()?),
                        "again" => ask_again_ms = Some(duration_ms(value)?),
                        _ => bail!("an update has budget and again, and no {key}"),
                    }
                }
                self.answer = Some(Given::Update { nodes, budget, ask_again_ms });
            }
            _ => bail!("a policy is update, pause, other, labels or built-in"),
        }
        Ok(())
    }

    /// What it was asked last, as text; nothing of what it was asked is left.
    pub(super) fn take_asked(&self, naming: &Naming) -> String {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.drain(..).map(|question| print(&question, naming)).collect()
    }

    fn answer(&self, question: &Question) -> Answer {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(question.clone());
        match &self.answer {
            None => built_in(question),
            Some(Given::Other) => Answer::Other(String::new()),
            Some(Given::Pause(ask_again_ms)) => {
                Answer::Pause(Hold { reason: "the case says so".to_owned(), ask_again_ms: *ask_again_ms })
            }
            Some(Given::Update { nodes, budget, ask_again_ms }) => {
                // A node that the question does not have is a position that it does not have.
                let position = |name: &Str| {
                    let found = question.nodes.iter().position(|node| node.name == **name);
                    u32::try_from(found.unwrap_or(question.nodes.len())).unwrap_or(u32::MAX)
                };
                let nodes = nodes.iter().map(position).collect();
                Answer::Update(Update { nodes, budget: *budget, ask_again_ms: *ask_again_ms })
            }
        }
    }
}

impl Policy for CasePolicy {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        BuiltIn::default().backoff(questions)
    }

    fn rollout(&self, questions: &[Question]) -> Vec<Answer> {
        questions.iter().map(|question| self.answer(question)).collect()
    }
}

/// A question as text: a line of its own for each node.
fn print(question: &Question, naming: &Naming) -> String {
    let Question { owner, revision, max_unavailable, max_surge, age_ms, .. } = question;
    let (hash, age) = (naming.hash(revision), duration(u64::from(*age_ms)));
    let mut text = format!(
        "asked about {owner} hash={hash} maxUnavailable={max_unavailable} maxSurge={max_surge} for {age}\n"
    );
    for node in &question.nodes {
        let available = if node.available { "available" } else { "unavailable" };
        let since = duration(u64::from(node.since_ms));
        text += &format!("  {} {} {available} for {since}", node.name, node.state);
        for (key, value) in &node.labels {
            text += &format!(" {key}={value}");
        }
        text.push('\n');
    }
    text
}
