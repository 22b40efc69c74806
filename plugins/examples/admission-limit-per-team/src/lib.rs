//! Lets so many Jobs of a team run at once. A team is a queue.

use std::collections::BTreeMap;

use windlass_plugin::admission::{Admission, Answer, Hold, Question};
use windlass_plugin::{ask_again, jitter, settings};

settings! {
    /// How much a team may run.
    pub struct Settings {
        /// Jobs of a team that may run at once.
        jobs: u32 = 10,
        /// Another number for some teams.
        jobs_by_team: BTreeMap<String, u32> = BTreeMap::new(),
        /// Pods of a team that may run at once; without it, any number.
        pods: Option<u32> = None,
        /// When to look again, milliseconds, about.
        ask_again_ms: u32 = 5_000,
    }
}

struct LimitPerTeam;

impl Admission for LimitPerTeam {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        Ok(match obstacle(settings, question) {
            None => Answer::Start,
            Some(reason) => Answer::Hold(Hold {
                reason,
                ask_again_ms: ask_again(jitter(question.seed).around(settings.ask_again_ms, 20)),
            }),
        })
    }
}

windlass_plugin::export!(LimitPerTeam: Admission);

/// Why the Job may not start yet.
fn obstacle(settings: &Settings, question: &Question) -> Option<String> {
    let (team, counts) = (&question.queue, question.in_queue);
    let jobs = settings.jobs_by_team.get(team).copied().unwrap_or(settings.jobs);
    if counts.running >= jobs {
        return Some(format!("team {team:?} runs {} of {jobs} Jobs", counts.running));
    }
    let pods = settings.pods?;
    // A Job that is larger than the limit runs alone, or it would never run.
    let too_many = counts.pods.saturating_add(question.parallelism) > pods && counts.running > 0;
    too_many.then(|| {
        format!(
            "team {team:?} runs {} of {pods} Pods, and this Job has {}",
            counts.pods, question.parallelism
        )
    })
}

#[cfg(test)]
mod tests {
    use windlass_plugin::admission::Counts;

    use super::*;

    fn asked(settings: &Settings, running: u32, pods: u32, parallelism: u32) -> Answer {
        let in_queue = Counts { running, pods, waiting: 1 };
        let question = Question { queue: "web".to_owned(), in_queue, parallelism, ..Question::default() };
        LimitPerTeam::decide(settings, &question).expect("it has an answer for everything")
    }

    fn reason(answer: Answer) -> String {
        let Answer::Hold(hold) = answer else { panic!("no hold but {answer:?}") };
        assert!((4_000..=6_000).contains(&hold.ask_again_ms));
        hold.reason
    }

    #[test]
    fn a_job_starts_while_the_team_has_a_place() {
        assert_eq!(asked(&Settings::default(), 9, 90, 1), Answer::Start);
        assert_eq!(reason(asked(&Settings::default(), 10, 90, 1)), "team \"web\" runs 10 of 10 Jobs");
    }

    #[test]
    fn it_is_asked_again_no_sooner_than_a_second_and_no_later_than_a_day() {
        let waits_ms = |ask_again_ms| {
            let settings = Settings { jobs: 0, ask_again_ms, ..Settings::default() };
            (0..50).map(move |seed| {
                let answer = LimitPerTeam::decide(&settings, &Question { seed, ..Question::default() });
                let Ok(Answer::Hold(hold)) = answer else { panic!("no hold but {answer:?}") };
                hold.ask_again_ms
            })
        };
        assert!(waits_ms(1_000).all(|wait_ms| (1_000..=1_200).contains(&wait_ms)));
        assert!(waits_ms(86_400_000).all(|wait_ms| (69_120_000..=86_400_000).contains(&wait_ms)));
    }

    #[test]
    fn a_team_may_have_a_limit_of_its_own() {
        let settings =
            Settings { jobs_by_team: BTreeMap::from([("web".to_owned(), 1)]), ..Settings::default() };
        assert_eq!(asked(&settings, 0, 0, 1), Answer::Start);
        assert_eq!(reason(asked(&settings, 1, 1, 1)), "team \"web\" runs 1 of 1 Jobs");
    }

    #[test]
    fn pods_are_limited_too_but_a_large_job_may_run_alone() {
        let settings = Settings { pods: Some(20), ..Settings::default() };
        assert_eq!(asked(&settings, 2, 15, 5), Answer::Start);
        assert_eq!(reason(asked(&settings, 2, 15, 6)), "team \"web\" runs 15 of 20 Pods, and this Job has 6");
        assert_eq!(asked(&settings, 0, 0, 100), Answer::Start);
    }
}
