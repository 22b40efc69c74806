//! One trait a decision, all of one shape, and the way from a component's exports to them.

use crate::settings::{Settings, parse};
use crate::{Facts, value_of};

/// A decision, and what `Plugin` has to say about it.
#[doc(hidden)]
pub trait Decision<Plugin> {
    /// Name of the decision, as the contract has it.
    const NAME: &'static str;

    /// JSON schema of the plugin's settings; empty if it takes none.
    fn schema() -> String;

    /// Facts that the plugin wants with each question.
    fn wants() -> &'static [&'static str];

    /// Whether the plugin may be bound with these settings.
    fn validate(settings: &str) -> Result<(), String>;
}

macro_rules! decision {
    ($module:ident, $name:literal, $Trait:ident, $title:literal, $($types:ident),+) => {
        #[doc = concat!("Decision `", $name, "`: ", $title, ".")]
        pub mod $module {
            use super::{Decision, Facts, Settings, parse, value_of};
            use crate::decisions;

            pub use crate::bindings::$module::windlass::$module::types::{$($types),+};

            #[doc = concat!("A plugin that decides ", $title, ".")]
            pub trait $Trait {
                /// What a binding may set; [`NoSettings`](crate::NoSettings) if nothing.
                type Settings: Settings;

                /// Facts that each question is to carry, such as `job.annotation/example.com/tier`.
                const WANTS: &'static [&'static str] = &[];

                /// Whether settings that have the right types make sense together.
                ///
                /// # Errors
                /// What to mend, for people.
                fn check(settings: &Self::Settings) -> Result<(), String> {
                    let _ = settings;
                    Ok(())
                }

                /// The answer to one question.
                ///
                /// # Errors
                /// Why there is none, for people: the host does as the binding says.
                fn decide(settings: &Self::Settings, question: &Question) -> Result<Answer, String>;
            }

            impl<Plugin: $Trait> Decision<Plugin> for decisions::$Trait {
                const NAME: &'static str = $name;

                fn schema() -> String {
                    Plugin::Settings::schema()
                }

                fn wants() -> &'static [&'static str] {
                    Plugin::WANTS
                }

                fn validate(settings: &str) -> Result<(), String> {
                    settings_of::<Plugin>(settings).map(drop)
                }
            }

            impl Facts for Question {
                fn fact(&self, name: &str) -> Option<&str> {
                    value_of(&self.facts, name)
                }
            }

            /// What the component exports: one answer a question, in their order.
            #[doc(hidden)]
            pub fn decide_all<Plugin: $Trait>(
                settings: &str,
                questions: &[Question],
            ) -> Result<Vec<Answer>, String> {
                crate::meta::tell_panics();
                let settings = settings_of::<Plugin>(settings)?;
                questions.iter().map(|question| Plugin::decide(&settings, question)).collect()
            }

            fn settings_of<Plugin: $Trait>(settings: &str) -> Result<Plugin::Settings, String> {
                let settings = parse::<Plugin::Settings>(settings).map_err(|error| error.to_string())?;
                Plugin::check(&settings)?;
                Ok(settings)
            }
        }
    };
}

decision!(backoff, "backoff", Backoff, "when a Pod that failed may be tried again", Answer, Hold, Question);
decision!(schedule, "schedule", Schedule, "when a CronJob's schedule fires", Answer, Firing, Question);
decision!(missed_runs, "missed-runs", MissedRuns, "which missed runs are still to be made", Answer, Question);
decision!(
    rollout,
    "rollout",
    Rollout,
    "which node of a DaemonSet is next",
    Answer,
    Hold,
    Node,
    Question,
    Update
);
decision!(
    admission,
    "admission",
    Admission,
    "whether a Job may start",
    Answer,
    Counts,
    Dependency,
    Hold,
    Question
);

/// The decisions as types, under the names of their traits.
#[doc(hidden)]
pub mod decisions {
    /// Decision `backoff`.
    #[derive(Debug)]
    pub struct Backoff;
    /// Decision `schedule`.
    #[derive(Debug)]
    pub struct Schedule;
    /// Decision `missed-runs`.
    #[derive(Debug)]
    pub struct MissedRuns;
    /// Decision `rollout`.
    #[derive(Debug)]
    pub struct Rollout;
    /// Decision `admission`.
    #[derive(Debug)]
    pub struct Admission;
}

/// Exports one decision of a plugin, as a part of [`export!`](crate::export).
#[doc(hidden)]
#[macro_export]
macro_rules! __export_decision {
    (Backoff, $plugin:ty) => {
        $crate::__export_policy!($plugin, backoff, export_backoff);
    };
    (Schedule, $plugin:ty) => {
        $crate::__export_policy!($plugin, schedule, export_schedule);
    };
    (MissedRuns, $plugin:ty) => {
        $crate::__export_policy!($plugin, missed_runs, export_missed_runs);
    };
    (Rollout, $plugin:ty) => {
        $crate::__export_policy!($plugin, rollout, export_rollout);
    };
    (Admission, $plugin:ty) => {
        $crate::__export_policy!($plugin, admission, export_admission);
    };
}

/// Implements and exports the interface `policy` of one decision.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_policy {
    ($plugin:ty, $module:ident, $export:ident) => {
        impl $crate::bindings::$module::exports::windlass::$module::policy::Guest for WindlassPlugin {
            fn decide(
                settings: ::std::string::String,
                questions: ::std::vec::Vec<$crate::$module::Question>,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::$module::Answer>, ::std::string::String> {
                $crate::$module::decide_all::<$plugin>(&settings, &questions)
            }
        }
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$module::$export!(WindlassPlugin with_types_in $crate::bindings::$module);
    };
}

#[cfg(test)]
mod tests {
    use super::backoff::{Answer, Backoff, Question, decide_all};
    use super::{Decision, decisions};
    use crate::Facts;

    crate::settings! {
        /// Settings of a test.
        struct Delay {
            /// Milliseconds.
            delay_ms: u32 = 5,
        }
    }

    struct Fixed;

    impl Backoff for Fixed {
        type Settings = Delay;

        fn check(settings: &Delay) -> Result<(), String> {
            if settings.delay_ms == 0 { Err("delayMs must be at least 1".to_owned()) } else { Ok(()) }
        }

        fn decide(settings: &Delay, question: &Question) -> Result<Answer, String> {
            match question.fact("job.namespace") {
                Some(_) => Ok(Answer::RetryAfterMs(settings.delay_ms)),
                None => Err("no namespace".to_owned()),
            }
        }
    }

    fn in_namespace() -> Question {
        Question { facts: vec![("job.namespace".to_owned(), "shop".to_owned())], ..Question::default() }
    }

    #[test]
    fn every_question_of_a_batch_is_answered_in_its_order() {
        let answers = decide_all::<Fixed>(r#"{"delayMs": 9}"#, &[in_namespace(), in_namespace()]);
        assert_eq!(answers, Ok(vec![Answer::RetryAfterMs(9), Answer::RetryAfterMs(9)]));
        assert_eq!(decide_all::<Fixed>("", &[]), Ok(Vec::new()));
    }

    #[test]
    fn one_question_without_an_answer_refuses_the_batch() {
        let refusal = decide_all::<Fixed>("", &[in_namespace(), Question::default()]);
        assert_eq!(refusal, Err("no namespace".to_owned()));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_when_bound_and_when_asked() {
        let refusal = Err("delayMs must be at least 1".to_owned());
        let validate = <decisions::Backoff as Decision<Fixed>>::validate;
        assert_eq!(validate(r#"{"delayMs": 0}"#), refusal);
        assert_eq!(decide_all::<Fixed>(r#"{"delayMs": 0}"#, &[]).map(drop), refusal);
        assert_eq!(validate(""), Ok(()));
    }
}
