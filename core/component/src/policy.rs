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
    use windlass_core::policy::{Policy, backoff};

    use crate::bindings::windlass::backoff::ask;
    use crate::bindings::windlass::backoff::types as wit;

    /// The host, which routes each question to a plugin or to the built-in answer.
    pub(crate) struct Asked;

    impl Policy for Asked {
        fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
            let questions: Vec<wit::Question> = questions.iter().map(question).collect();
            ask::ask(&questions).into_iter().map(answer).collect()
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
}
