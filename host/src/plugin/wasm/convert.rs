//! Between the core's questions and answers and those of wit/policy, field by field.

use windlass_core::policy::{backoff, missed_runs, schedule};

use super::bindings::{
    backoff as wit_backoff, meta as wit_meta, missed_runs as wit_missed_runs, schedule as wit_schedule,
};
use crate::plugin::Description;

pub(super) fn description(description: wit_meta::Description) -> Description {
    let wit_meta::Description { name, version, settings_schema, wants, extra } = description;
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
