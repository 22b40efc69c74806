//! What an answer of a plugin may be: the one place.
//!
//! A batch is taken as a whole or not at all: one answer past a bound, and the built-in answers or the declared
//! failure stand in for all of it.

use std::fmt;

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::admission;

/// Longest delay of a retry, milliseconds: a day. Upstream's own longest is ten minutes.
pub const MAX_DELAY_MS: u32 = 86_400_000;
/// Shortest wait after which a plugin may want to be asked again, milliseconds, so that nobody asks without end.
pub const MIN_ASK_AGAIN_MS: u32 = 1_000;
/// Longest one, milliseconds: a day.
pub const MAX_ASK_AGAIN_MS: u32 = 86_400_000;
/// Most bytes of a text for people.
pub const MAX_TEXT_BYTES: usize = 1_024;

/// Why an answer may not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfBounds {
    /// Not as many answers as questions.
    Count {
        /// Questions.
        asked: usize,
        /// Answers.
        answered: usize,
    },
    /// A delay longer than [`MAX_DELAY_MS`].
    Delay(u32),
    /// A wait that is not between [`MIN_ASK_AGAIN_MS`] and [`MAX_ASK_AGAIN_MS`].
    AskAgain(u32),
    /// A text longer than [`MAX_TEXT_BYTES`].
    Text(usize),
    /// A text that is needed and empty.
    NoText,
    /// An instant outside the window that was asked about, seconds.
    Outside(u32),
    /// An instant or a position that does not rise.
    NotRising(u32),
    /// More instants than were asked for.
    TooMany(usize),
    /// A position that was not offered.
    NotOffered(u32),
    /// A position that is named twice.
    Twice(u32),
}

/// A text for people, without what is past [`MAX_TEXT_BYTES`].
pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

/// Whether there are as many answers as questions.
pub(super) fn count(asked: usize, answered: usize) -> Result<(), OutOfBounds> {
    if asked == answered { Ok(()) } else { Err(OutOfBounds::Count { asked, answered }) }
}

/// Whether an answer about a retry may be given.
pub(super) fn backoff(answer: &backoff::Answer) -> Result<(), OutOfBounds> {
    match answer {
        backoff::Answer::RetryAfterMs(delay_ms) if *delay_ms > MAX_DELAY_MS => {
            Err(OutOfBounds::Delay(*delay_ms))
        }
        backoff::Answer::RetryAfterMs(_) | backoff::Answer::NotCounted => Ok(()),
        backoff::Answer::Stop(message) => needed_text(message),
        backoff::Answer::Hold(hold) => hold_of(&hold.reason, hold.ask_again_ms),
        backoff::Answer::Other(name) => text(name),
    }
}

/// Whether the instants of a schedule may be these.
pub(super) fn schedule(question: &schedule::Question, answer: &schedule::Answer) -> Result<(), OutOfBounds> {
    match answer {
        schedule::Answer::Fires(firing) => {
            let limit = usize::try_from(question.limit).unwrap_or(usize::MAX);
            if firing.at_s.len() > limit {
                return Err(OutOfBounds::TooMany(firing.at_s.len()));
            }
            let is_outside = |at_s: &&u32| **at_s <= question.after_s || **at_s > question.until_s;
            if let Some(outside) = firing.at_s.iter().find(is_outside) {
                return Err(OutOfBounds::Outside(*outside));
            }
            rising(&firing.at_s)
        }
        schedule::Answer::Refused(message) => needed_text(message),
        schedule::Answer::Other(name) => text(name),
    }
}

/// Whether these runs may be made.
pub(super) fn missed_runs(
    question: &missed_runs::Question,
    answer: &missed_runs::Answer,
) -> Result<(), OutOfBounds> {
    match answer {
        missed_runs::Answer::Run(positions) => {
            offered(positions, question.missed_s.len())?;
            rising(positions)
        }
        missed_runs::Answer::Other(name) => text(name),
    }
}

/// Whether a rollout may go on so.
pub(super) fn rollout(question: &rollout::Question, answer: &rollout::Answer) -> Result<(), OutOfBounds> {
    match answer {
        rollout::Answer::Update(rollout::Update { nodes, ask_again_ms, .. }) => {
            offered(nodes, question.nodes.len())?;
            let mut sorted = nodes.clone();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(OutOfBounds::Twice(pair[0]));
            }
            ask_again_ms.map_or(Ok(()), ask_again)
        }
        rollout::Answer::Pause(hold) => hold_of(&hold.reason, hold.ask_again_ms),
        rollout::Answer::Other(name) => text(name),
    }
}

/// Whether a Job may be answered so.
pub(super) fn admission(answer: &admission::Answer) -> Result<(), OutOfBounds> {
    match answer {
        admission::Answer::Start => Ok(()),
        admission::Answer::Hold(hold) => hold_of(&hold.reason, hold.ask_again_ms),
        admission::Answer::Other(name) => text(name),
    }
}

fn hold_of(reason: &str, ask_again_ms: u32) -> Result<(), OutOfBounds> {
    needed_text(reason)?;
    ask_again(ask_again_ms)
}

fn ask_again(ask_again_ms: u32) -> Result<(), OutOfBounds> {
    if (MIN_ASK_AGAIN_MS..=MAX_ASK_AGAIN_MS).contains(&ask_again_ms) {
        Ok(())
    } else {
        Err(OutOfBounds::AskAgain(ask_again_ms))
    }
}

fn offered(positions: &[u32], number: usize) -> Result<(), OutOfBounds> {
    let is_offered = |position: u32| usize::try_from(position).is_ok_and(|position| position < number);
    match positions.iter().find(|position| !is_offered(**position)) {
        Some(position) => Err(OutOfBounds::NotOffered(*position)),
        None => Ok(()),
    }
}

fn rising(numbers: &[u32]) -> Result<(), OutOfBounds> {
    match numbers.iter().zip(numbers.iter().skip(1)).find(|(before, after)| before >= after) {
        Some((_, after)) => Err(OutOfBounds::NotRising(*after)),
        None => Ok(()),
    }
}

fn text(text: &str) -> Result<(), OutOfBounds> {
    if text.len() > MAX_TEXT_BYTES { Err(OutOfBounds::Text(text.len())) } else { Ok(()) }
}

fn needed_text(needed: &str) -> Result<(), OutOfBounds> {
    if needed.is_empty() { Err(OutOfBounds::NoText) } else { text(needed) }
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { asked, answered } => write!(formatter, "{answered} answers to {asked} questions"),
            Self::Delay(delay_ms) => {
                write!(formatter, "a delay of {delay_ms} ms; the longest is {MAX_DELAY_MS} ms")
            }
            Self::AskAgain(wait_ms) => write!(
                formatter,
                "to be asked again after {wait_ms} ms; that is from {MIN_ASK_AGAIN_MS} to {MAX_ASK_AGAIN_MS} ms"
            ),
            Self::Text(bytes) => {
                write!(formatter, "a text of {bytes} bytes; the longest has {MAX_TEXT_BYTES}")
            }
            Self::NoText => formatter.write_str("a reason that says nothing"),
            Self::Outside(at_s) => {
                write!(formatter, "the instant {at_s}, which is outside the window that was asked about")
            }
            Self::NotRising(number) => write!(formatter, "{number}, which is not above the one before it"),
            Self::TooMany(number) => write!(formatter, "{number} instants, more than were asked for"),
            Self::Twice(position) => write!(formatter, "the position {position} twice"),
            Self::NotOffered(position) => write!(formatter, "the position {position}, which was not offered"),
        }
    }
}

impl std::error::Error for OutOfBounds {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_delayed_by_a_day_at_most_and_a_reason_says_something() {
        let hold = |reason: &str, ask_again_ms| {
            backoff::Answer::Hold(backoff::Hold { reason: reason.to_owned(), ask_again_ms })
        };
        let long = "x".repeat(MAX_TEXT_BYTES + 1);
        let cases = [
            (backoff::Answer::RetryAfterMs(MAX_DELAY_MS), Ok(())),
            (backoff::Answer::RetryAfterMs(MAX_DELAY_MS + 1), Err(OutOfBounds::Delay(MAX_DELAY_MS + 1))),
            (backoff::Answer::NotCounted, Ok(())),
            (backoff::Answer::Stop("enough".to_owned()), Ok(())),
            (backoff::Answer::Stop(String::new()), Err(OutOfBounds::NoText)),
            (backoff::Answer::Stop(long.clone()), Err(OutOfBounds::Text(MAX_TEXT_BYTES + 1))),
            (hold("busy", MIN_ASK_AGAIN_MS), Ok(())),
            (hold("busy", 0), Err(OutOfBounds::AskAgain(0))),
            (hold("busy", u32::MAX), Err(OutOfBounds::AskAgain(u32::MAX))),
            (hold("", 5_000), Err(OutOfBounds::NoText)),
            (backoff::Answer::Other(String::new()), Ok(())),
            (backoff::Answer::Other(long), Err(OutOfBounds::Text(MAX_TEXT_BYTES + 1))),
        ];
        for (answer, expected) in cases {
            assert_eq!(backoff(&answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn instants_rise_within_the_window_and_the_limit() {
        let question = schedule::Question { after_s: 10, until_s: 20, limit: 3, ..Default::default() };
        let check = |at_s: &[u32]| {
            let firing = schedule::Firing { at_s: at_s.to_vec(), more: false };
            schedule(&question, &schedule::Answer::Fires(firing))
        };
        assert_eq!(check(&[11, 15, 20]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[10]), Err(OutOfBounds::Outside(10)));
        assert_eq!(check(&[21]), Err(OutOfBounds::Outside(21)));
        assert_eq!(check(&[12, 12]), Err(OutOfBounds::NotRising(12)));
        assert_eq!(check(&[13, 12]), Err(OutOfBounds::NotRising(12)));
        assert_eq!(check(&[11, 12, 13, 14]), Err(OutOfBounds::TooMany(4)));
        let refused = schedule::Answer::Refused(String::new());
        assert_eq!(schedule(&question, &refused), Err(OutOfBounds::NoText));
    }

    #[test]
    fn only_runs_that_were_missed_are_made_each_once() {
        let question = missed_runs::Question { missed_s: vec![1, 2, 3], ..Default::default() };
        let check = |positions: &[u32]| missed_runs(&question, &missed_runs::Answer::Run(positions.to_vec()));
        assert_eq!(check(&[0, 2]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[3]), Err(OutOfBounds::NotOffered(3)));
        assert_eq!(check(&[1, 1]), Err(OutOfBounds::NotRising(1)));
        assert_eq!(check(&[2, 0]), Err(OutOfBounds::NotRising(0)));
    }

    #[test]
    fn only_nodes_that_were_offered_are_next_each_once_in_any_order() {
        let question = rollout::Question { nodes: vec![rollout::Node::default(); 3], ..Default::default() };
        let check = |nodes: &[u32], ask_again_ms| {
            let update = rollout::Update { nodes: nodes.to_vec(), budget: None, ask_again_ms };
            rollout(&question, &rollout::Answer::Update(update))
        };
        assert_eq!(check(&[2, 0], Some(MIN_ASK_AGAIN_MS)), Ok(()));
        assert_eq!(check(&[3], None), Err(OutOfBounds::NotOffered(3)));
        assert_eq!(check(&[1, 0, 1], None), Err(OutOfBounds::Twice(1)));
        assert_eq!(check(&[], Some(1)), Err(OutOfBounds::AskAgain(1)));
    }

    #[test]
    fn each_question_has_one_answer() {
        assert_eq!(count(2, 2), Ok(()));
        assert_eq!(count(2, 1), Err(OutOfBounds::Count { asked: 2, answered: 1 }));
    }
}
