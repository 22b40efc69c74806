//! Between the core's questions and answers and those of wit/policy, field by field.

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::bindings::{
    admission as wit_admission, backoff as wit_backoff, meta as wit_meta, missed_runs as wit_missed_runs,
    rollout as wit_rollout, schedule as wit_schedule,
};
use crate::plugin::{Description, admission, bounds};

pub(super) fn description(description: wit_meta::Description) -> Description {
    let wit_meta::Description { name, version, settings_schema, wants, extra } = description;
    let (name, version) = (bounds::cut(name), bounds::cut(version));
    Description { name, version, settings_schema, wants, extra }
}

pub(super) fn backoff_question(question: &backoff::Question) -> wit_backoff::Question {
    wit_backoff::Question {
        owner: question.owner.clone(),
        index: question.index,
        failures: question.failures,
        exit_code: question.exit_code,
        reason: question.reason.clone(),
        age_ms: question.age_ms,
        seed: question.seed,
        facts: question.facts.clone(),
    }
}

pub(super) fn backoff_answer(answer: wit_backoff::Answer) -> backoff::Answer {
    match answer {
        wit_backoff::Answer::RetryAfterMs(delay_ms) => backoff::Answer::RetryAfterMs(delay_ms),
        wit_backoff::Answer::NotCounted => backoff::Answer::NotCounted,
        wit_backoff::Answer::Stop(message) => backoff::Answer::Stop(message),
        wit_backoff::Answer::Hold(wit_backoff::Hold { reason, ask_again_ms }) => {
            backoff::Answer::Hold(backoff::Hold { reason, ask_again_ms })
        }
        wit_backoff::Answer::Other(name) => backoff::Answer::Other(name),
    }
}

pub(super) fn schedule_question(question: &schedule::Question) -> wit_schedule::Question {
    wit_schedule::Question {
        owner: question.owner.clone(),
        schedule: question.schedule.clone(),
        zone: question.zone.clone(),
        after_s: question.after_s,
        until_s: question.until_s,
        limit: question.limit,
        latest: question.latest,
        seed: question.seed,
        facts: question.facts.clone(),
    }
}

pub(super) fn schedule_answer(answer: wit_schedule::Answer) -> schedule::Answer {
    match answer {
        wit_schedule::Answer::Fires(wit_schedule::Firing { at_s, more }) => {
            schedule::Answer::Fires(schedule::Firing { at_s, more })
        }
        wit_schedule::Answer::Refused(message) => schedule::Answer::Refused(message),
        wit_schedule::Answer::Other(name) => schedule::Answer::Other(name),
    }
}

pub(super) fn missed_runs_question(question: &missed_runs::Question) -> wit_missed_runs::Question {
    wit_missed_runs::Question {
        owner: question.owner.clone(),
        missed_s: question.missed_s.clone(),
        more_before: question.more_before,
        why: question.why.clone(),
        now_s: question.now_s,
        starting_deadline_s: question.starting_deadline_s,
        concurrency_policy: question.concurrency_policy.clone(),
        active: question.active,
        seed: question.seed,
        facts: question.facts.clone(),
    }
}

pub(super) fn missed_runs_answer(answer: wit_missed_runs::Answer) -> missed_runs::Answer {
    match answer {
        wit_missed_runs::Answer::Run(positions) => missed_runs::Answer::Run(positions),
        wit_missed_runs::Answer::Other(name) => missed_runs::Answer::Other(name),
    }
}

pub(super) fn rollout_question(question: &rollout::Question) -> wit_rollout::Question {
    let node = |node: &rollout::Node| wit_rollout::Node {
        name: node.name.clone(),
        labels: node.labels.clone(),
        state: node.state.clone(),
        available: node.available,
        since_ms: node.since_ms,
    };
    wit_rollout::Question {
        owner: question.owner.clone(),
        revision: question.revision.clone(),
        nodes: question.nodes.iter().map(node).collect(),
        max_unavailable: question.max_unavailable,
        max_surge: question.max_surge,
        age_ms: question.age_ms,
        seed: question.seed,
        facts: question.facts.clone(),
    }
}

pub(super) fn rollout_answer(answer: wit_rollout::Answer) -> rollout::Answer {
    match answer {
        wit_rollout::Answer::Update(wit_rollout::Update { nodes, budget, ask_again_ms }) => {
            rollout::Answer::Update(rollout::Update { nodes, budget, ask_again_ms })
        }
        wit_rollout::Answer::Pause(wit_rollout::Hold { reason, ask_again_ms }) => {
            rollout::Answer::Pause(rollout::Hold { reason, ask_again_ms })
        }
        wit_rollout::Answer::Other(name) => rollout::Answer::Other(name),
    }
}

pub(super) fn admission_question(question: &admission::Question) -> wit_admission::Question {
    let counts = |counts: admission::Counts| wit_admission::Counts {
        running: counts.running,
        waiting: counts.waiting,
        pods: counts.pods,
    };
    let dependency = |dependency: &admission::Dependency| wit_admission::Dependency {
        owner: dependency.owner.clone(),
        state: dependency.state.clone(),
    };
    wit_admission::Question {
        owner: question.owner.clone(),
        queue: question.queue.clone(),
        parallelism: question.parallelism,
        in_queue: counts(question.in_queue),
        in_namespace: counts(question.in_namespace),
        dependencies: question.dependencies.iter().map(dependency).collect(),
        age_ms: question.age_ms,
        seed: question.seed,
        facts: question.facts.clone(),
    }
}

pub(super) fn admission_answer(answer: wit_admission::Answer) -> admission::Answer {
    match answer {
        wit_admission::Answer::Start => admission::Answer::Start,
        wit_admission::Answer::Hold(wit_admission::Hold { reason, ask_again_ms }) => {
            admission::Answer::Hold(admission::Hold { reason, ask_again_ms })
        }
        wit_admission::Answer::Other(name) => admission::Answer::Other(name),
    }
}
