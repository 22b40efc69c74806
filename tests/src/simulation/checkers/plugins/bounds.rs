//! What an answer may be, found independently of the host: P2.

use std::collections::BTreeSet;

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use crate::simulation::plugins::{Answers, Questions};

/// A day, milliseconds: longest delay, and longest wait.
const DAY_MS: u32 = 86_400_000;
/// Shortest wait, milliseconds.
const SECOND_MS: u32 = 1_000;
/// Most bytes of a text.
const MAX_TEXT_BYTES: usize = 1_024;

/// Whether a batch may be answered so: one answer each, and none past a bound.
pub(super) fn is_allowed(questions: &Questions, answers: &Answers) -> bool {
    match (questions, answers) {
        (Questions::Backoff(questions), Answers::Backoff(answers)) => {
            questions.len() == answers.len() && answers.iter().all(is_retry)
        }
        (Questions::Schedule(questions), Answers::Schedule(answers)) => {
            questions.len() == answers.len()
                && questions.iter().zip(answers).all(|(question, answer)| are_instants(question, answer))
        }
        (Questions::MissedRuns(questions), Answers::MissedRuns(answers)) => {
            questions.len() == answers.len()
                && questions.iter().zip(answers).all(|(question, answer)| are_runs(question, answer))
        }
        (Questions::Rollout(questions), Answers::Rollout(answers)) => {
            questions.len() == answers.len()
                && questions.iter().zip(answers).all(|(question, answer)| are_nodes(question, answer))
        }
        _ => false,
    }
}

fn is_retry(answer: &backoff::Answer) -> bool {
    match answer {
        backoff::Answer::RetryAfterMs(delay_ms) => *delay_ms <= DAY_MS,
        backoff::Answer::NotCounted => true,
        backoff::Answer::Stop(text) => says_something(text),
        backoff::Answer::Hold(hold) => {
            says_something(&hold.reason) && (SECOND_MS..=DAY_MS).contains(&hold.ask_again_ms)
        }
        backoff::Answer::Other(name) => name.len() <= MAX_TEXT_BYTES,
    }
}

fn are_instants(question: &schedule::Question, answer: &schedule::Answer) -> bool {
    match answer {
        schedule::Answer::Fires(firing) => {
            let at_s = &firing.at_s;
            at_s.len() <= question.limit as usize
                && at_s.iter().all(|at_s| *at_s > question.after_s && *at_s <= question.until_s)
                && at_s.windows(2).all(|pair| pair[0] < pair[1])
        }
        schedule::Answer::Refused(text) => says_something(text),
        schedule::Answer::Other(name) => name.len() <= MAX_TEXT_BYTES,
    }
}

fn are_runs(question: &missed_runs::Question, answer: &missed_runs::Answer) -> bool {
    match answer {
        missed_runs::Answer::Run(positions) => {
            positions.iter().all(|position| (*position as usize) < question.missed_s.len())
                && positions.windows(2).all(|pair| pair[0] < pair[1])
        }
        missed_runs::Answer::Other(name) => name.len() <= MAX_TEXT_BYTES,
    }
}

fn are_nodes(question: &rollout::Question, answer: &rollout::Answer) -> bool {
    match answer {
        rollout::Answer::Update(rollout::Update { nodes, ask_again_ms, .. }) => {
            let different: BTreeSet<&u32> = nodes.iter().collect();
            different.len() == nodes.len()
                && nodes.iter().all(|position| (*position as usize) < question.nodes.len())
                && ask_again_ms.is_none_or(|wait_ms| (SECOND_MS..=DAY_MS).contains(&wait_ms))
        }
        rollout::Answer::Pause(hold) => {
            says_something(&hold.reason) && (SECOND_MS..=DAY_MS).contains(&hold.ask_again_ms)
        }
        rollout::Answer::Other(name) => name.len() <= MAX_TEXT_BYTES,
    }
}

fn says_something(text: &str) -> bool {
    (1..=MAX_TEXT_BYTES).contains(&text.len())
}
