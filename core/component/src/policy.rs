//! Who answers the core's questions.

#[cfg(not(feature = "built-in-policies"))]
pub(crate) use asked::Asked;
#[cfg(feature = "built-in-policies")]
pub(crate) use built_in::built_in;

#[cfg(feature = "built-in-policies")]
mod built_in {
    use windlass_core::policy::BuiltIn;
    use windlass_core::view::JobFlags;

    /// The built-in answers under the host's settings.
    pub(crate) fn built_in(flags: &JobFlags) -> BuiltIn {
        BuiltIn { backoff_base_ms: flags.backoff_base_ms, backoff_max_ms: flags.backoff_max_ms }
    }
}

#[cfg(not(feature = "built-in-policies"))]
mod asked {
    use windlass_core::policy::{Policy, backoff, missed_runs, rollout, schedule};

    use crate::bindings::windlass::backoff::types as wit;
    use crate::bindings::windlass::missed_runs::types as wit_missed_runs;
    use crate::bindings::windlass::rollout::types as wit_rollout;
    use crate::bindings::windlass::schedule::types as wit_schedule;
    use crate::bindings::windlass::{
        backoff::ask, missed_runs as missed, rollout as rollouts, schedule as schedules,
    };

    /// The host, which routes each question to a plugin or to the built-in answer.
    pub(crate) struct Asked;

    impl Policy for Asked {
        fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
            let questions: Vec<wit::Question> = questions.iter().map(question).collect();
            ask::ask(&questions).into_iter().map(answer).collect()
        }

        fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
            let questions: Vec<_> = questions.iter().map(schedule_question).collect();
            schedules::ask::ask(&questions).into_iter().map(schedule_answer).collect()
        }

        fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
            let questions: Vec<_> = questions.iter().map(missed_runs_question).collect();
            missed::ask::ask(&questions).into_iter().map(missed_runs_answer).collect()
        }

        fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
            let questions: Vec<_> = questions.iter().map(rollout_question).collect();
            rollouts::ask::ask(&questions).into_iter().map(rollout_answer).collect()
        }
    }

    fn question(question: &backoff::Question) -> wit::Question {
        wit::Question {
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

    fn answer(answer: wit::Answer) -> backoff::Answer {
        match answer {
            wit::Answer::RetryAfterMs(delay_ms) => backoff::Answer::RetryAfterMs(delay_ms),
            wit::Answer::NotCounted => backoff::Answer::NotCounted,
            wit::Answer::Stop(message) => backoff::Answer::Stop(message),
            wit::Answer::Hold(hold) => {
                backoff::Answer::Hold(backoff::Hold { reason: hold.reason, ask_again_ms: hold.ask_again_ms })
            }
            wit::Answer::Other(name) => backoff::Answer::Other(name),
        }
    }

    fn schedule_question(question: &schedule::Question) -> wit_schedule::Question {
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

    fn schedule_answer(answer: wit_schedule::Answer) -> schedule::Answer {
        match answer {
            wit_schedule::Answer::Fires(wit_schedule::Firing { at_s, more }) => {
                schedule::Answer::Fires(schedule::Firing { at_s, more })
            }
            wit_schedule::Answer::Refused(reason) => schedule::Answer::Refused(reason),
            wit_schedule::Answer::Other(name) => schedule::Answer::Other(name),
        }
    }

    fn missed_runs_question(question: &missed_runs::Question) -> wit_missed_runs::Question {
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

    fn missed_runs_answer(answer: wit_missed_runs::Answer) -> missed_runs::Answer {
        match answer {
            wit_missed_runs::Answer::Run(positions) => missed_runs::Answer::Run(positions),
            wit_missed_runs::Answer::Other(name) => missed_runs::Answer::Other(name),
        }
    }

    fn rollout_question(question: &rollout::Question) -> wit_rollout::Question {
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

    fn rollout_answer(answer: wit_rollout::Answer) -> rollout::Answer {
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
}
