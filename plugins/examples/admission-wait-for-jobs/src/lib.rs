//! Lets a Job start when the Jobs that it waits for are complete.

use windlass_plugin::admission::{Admission, Answer, Dependency, Hold, Question};
use windlass_plugin::{ask_again, settings};

settings! {
    /// How a Job waits.
    pub struct Settings {
        /// What to do when a Job that is waited for has failed.
        when_failed: WhenFailed = WhenFailed::Hold,
        /// How long a Job waits for one that is not there, milliseconds; without it, for ever.
        absent_ms: Option<u32> = None,
        /// When to look again, milliseconds.
        ask_again_ms: u32 = 10_000,
    }
}

settings! {
    /// What to do when a Job that is waited for has failed.
    #[derive(Copy)]
    pub enum WhenFailed { Hold, Start }
}

/// Most Jobs that a reason names: the host takes 1,024 bytes, and a name with its namespace may have 317.
const MAX_NAMED: usize = 3;

struct WaitForJobs;

impl Admission for WaitForJobs {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let waited_for = question
            .dependencies
            .iter()
            .filter(|dependency| stands_in_the_way(settings, question, dependency));
        let waited_for: Vec<String> =
            waited_for.map(|dependency| format!("{} ({})", dependency.owner, dependency.state)).collect();
        let (named, others) = waited_for.split_at(waited_for.len().min(MAX_NAMED));
        if named.is_empty() {
            return Ok(Answer::Start);
        }
        let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        Ok(Answer::Hold(Hold {
            reason: format!("waits for {}{others}", named.join(", ")),
            ask_again_ms: ask_again(settings.ask_again_ms),
        }))
    }
}

windlass_plugin::export!(WaitForJobs: Admission);

fn stands_in_the_way(settings: &Settings, question: &Question, dependency: &Dependency) -> bool {
    match dependency.state.as_str() {
        "complete" => false,
        "failed" => settings.when_failed == WhenFailed::Hold,
        "absent" => settings.absent_ms.is_none_or(|limit_ms| question.age_ms < limit_ms),
        // Waiting, running, or a word of a later version: not complete, as far as this plugin knows.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(settings: &Settings, age_ms: u32, states: &[&str]) -> Answer {
        let dependency =
            |(state, n): (&&str, u32)| Dependency { owner: format!("shop/{n}"), state: (*state).to_owned() };
        let dependencies = states.iter().zip(0..).map(dependency).collect();
        let question = Question { age_ms, dependencies, ..Question::default() };
        WaitForJobs::decide(settings, &question).expect("it has an answer for everything")
    }

    #[test]
    fn a_job_starts_when_all_are_complete_or_there_are_none() {
        assert_eq!(asked(&Settings::default(), 0, &["complete", "complete"]), Answer::Start);
        assert_eq!(asked(&Settings::default(), 0, &[]), Answer::Start);
    }

    #[test]
    fn a_wait_names_what_it_is_for() {
        let Answer::Hold(hold) = asked(&Settings::default(), 0, &["running", "complete", "absent", "later"])
        else {
            panic!("no hold")
        };
        assert_eq!(hold.reason, "waits for shop/0 (running), shop/2 (absent), shop/3 (later)");
        assert_eq!(hold.ask_again_ms, 10_000);
    }

    #[test]
    fn of_many_it_names_the_first_so_that_the_host_takes_the_reason() {
        let answer = asked(&Settings::default(), 0, &["running"; 64]);
        let Answer::Hold(hold) = answer else { panic!("no hold but {answer:?}") };
        assert_eq!(hold.reason, "waits for shop/0 (running), shop/1 (running), shop/2 (running) and 61 more");
    }

    #[test]
    fn it_is_asked_again_no_sooner_than_a_second() {
        let settings = Settings { ask_again_ms: 0, ..Settings::default() };
        let answer = asked(&settings, 0, &["running"]);
        assert!(matches!(&answer, Answer::Hold(hold) if hold.ask_again_ms == 1_000), "{answer:?}");
    }

    #[test]
    fn settings_say_what_failed_and_absent_ones_mean() {
        let settings =
            Settings { when_failed: WhenFailed::Start, absent_ms: Some(100), ..Settings::default() };
        assert_eq!(asked(&settings, 100, &["failed", "absent"]), Answer::Start);
        assert!(matches!(asked(&settings, 99, &["failed", "absent"]), Answer::Hold(_)));
        assert!(matches!(asked(&Settings::default(), 0, &["failed"]), Answer::Hold(_)));
    }
}
