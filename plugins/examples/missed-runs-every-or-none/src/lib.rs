//! Runs every missed run of a CronJob that is not too late, or none but the one that is due now.

use windlass_plugin::missed_runs::{Answer, MissedRuns, Question};
use windlass_plugin::settings;

settings! {
    /// Which runs are made.
    pub struct Settings {
        /// Every run that is not too late, or none but the one that is due now.
        run: Run = Run::Every,
        /// Most runs that are made; the latest ones where more were missed.
        at_most: u32 = 24,
        /// Seconds after its instant for which a run is due, and not missed yet.
        due_s: u32 = 60,
    }
}

settings! {
    /// Which runs are made.
    #[derive(Copy)]
    pub enum Run { Every, None }
}

struct EveryOrNone;

impl MissedRuns for EveryOrNone {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        Ok(Answer::Run(match settings.run {
            Run::None => due(settings.due_s, question),
            Run::Every => positions(settings.at_most, question),
        }))
    }
}

windlass_plugin::export!(EveryOrNone: MissedRuns);

/// Position of the latest run, if it is due: a question is asked of every run, and not only of those that are late.
fn due(due_s: u32, question: &Question) -> Vec<u32> {
    let latest = question.missed_s.iter().zip(0_u32..).last();
    let due = latest.filter(|(at_s, _)| question.now_s.saturating_sub(**at_s) < due_s);
    due.map(|(_, position)| position).into_iter().collect()
}

/// Positions of the runs that are not too late, rising; of more than `at_most` the latest.
fn positions(at_most: u32, question: &Question) -> Vec<u32> {
    let earliest_s = question.starting_deadline_s.map_or(0, |span_s| question.now_s.saturating_sub(span_s));
    let in_time = question.missed_s.iter().zip(0_u32..).filter(|(at_s, _)| **at_s >= earliest_s);
    let positions: Vec<u32> = in_time.map(|(_, position)| position).collect();
    let surplus = positions.len().saturating_sub(at_most as usize);
    positions[surplus..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(settings: &Settings, starting_deadline_s: Option<u32>) -> Answer {
        let missed_s = vec![1_000, 1_060, 1_120, 1_180];
        let question = Question { missed_s, now_s: 1_200, starting_deadline_s, ..Question::default() };
        EveryOrNone::decide(settings, &question).expect("it has an answer for everything")
    }

    #[test]
    fn every_run_is_made_up_to_the_limit_the_latest_first_to_stay() {
        assert_eq!(asked(&Settings::default(), None), Answer::Run(vec![0, 1, 2, 3]));
        assert_eq!(asked(&Settings { at_most: 2, ..Settings::default() }, None), Answer::Run(vec![2, 3]));
        assert_eq!(asked(&Settings { at_most: 0, ..Settings::default() }, None), Answer::Run(vec![]));
    }

    #[test]
    fn a_run_past_its_deadline_is_too_late() {
        assert_eq!(asked(&Settings::default(), Some(80)), Answer::Run(vec![2, 3]));
        assert_eq!(asked(&Settings::default(), Some(79)), Answer::Run(vec![3]));
        assert_eq!(asked(&Settings::default(), Some(u32::MAX)), Answer::Run(vec![0, 1, 2, 3]));
    }

    #[test]
    fn none_of_those_that_were_missed_is_made_but_one_that_is_due() {
        let asked = |due_s| asked(&Settings { run: Run::None, due_s, ..Settings::default() }, None);
        assert_eq!(asked(20), Answer::Run(vec![]));
        assert_eq!(asked(21), Answer::Run(vec![3]), "and no earlier one, though it was not made");
    }
}
