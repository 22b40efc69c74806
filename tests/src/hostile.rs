//! Plugins that mean harm, or are broken in every way that we could think of, and what the host must do with each.
//!
//! They are built when a test asks for them: what they are is what is written here.

mod answers;
mod bombs;
mod calls;
mod loads;

use crate::guests::{Decides, Guest};

/// What kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Ends its call by a trap.
    Traps,
    /// Never ends its call.
    EndlessLoops,
    /// Wants all memory that there is.
    Memory,
    /// Wants all of the stack.
    Stack,
    /// Gives an answer that is too much, or none at all.
    Answers,
    /// Is of another version, wants more of its surroundings than a log, or is no plugin.
    Contract,
    /// Takes long to compile.
    CompileBombs,
    /// Tries to give another answer to the same question.
    NonDeterminism,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 8] = [
        Self::Traps,
        Self::EndlessLoops,
        Self::Memory,
        Self::Stack,
        Self::Answers,
        Self::Contract,
        Self::CompileBombs,
        Self::NonDeterminism,
    ];
}

/// What the host must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// Refuse to load it, with a fault of one of these categories.
    Refuse(&'static [&'static str]),
    /// Load it, and take each of its answers for a fault of one of these categories.
    Fault(&'static [&'static str]),
    /// Load it, and get the same answers however often it is asked.
    AnswerAlike,
    /// Load it and get answers, or refuse it: in bounded time and memory either way.
    Survive,
}

/// A hostile plugin.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// What it does, in words.
    pub name: &'static str,
    /// What kind of harm that is.
    pub class: Class,
    /// The decision about which to ask it.
    pub decides: Decides,
    /// The component, or what pretends to be one.
    pub bytes: Vec<u8>,
    /// What the host must do with it.
    pub must: Must,
}

impl Hostile {
    fn new(name: &'static str, class: Class, must: Must, guest: Guest) -> Self {
        Self::of_bytes(name, class, must, guest.component())
    }

    fn of_bytes(name: &'static str, class: Class, must: Must, bytes: Vec<u8>) -> Self {
        Self { name, class, decides: Decides::Backoff, bytes, must }
    }

    fn about(mut self, decides: Decides) -> Self {
        self.decides = decides;
        self
    }
}

/// Every hostile plugin, class by class.
#[must_use]
pub fn all() -> Vec<Hostile> {
    [calls::all(), answers::all(), loads::all(), bombs::all()].concat()
}

/// A backoff plugin that does this for each question.
fn each(body: &str) -> Guest {
    Guest::new(Decides::Backoff, body)
}

/// A backoff plugin whose whole function `decide` is this.
fn whole(body: &str) -> Guest {
    Guest::whole(Decides::Backoff, body)
}

/// A plugin that is as it should be, to which something is added.
fn harmless() -> Guest {
    Guest::retry_after_ms(5_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_sixty_cases_and_each_class_has_some() {
        let cases = all();
        assert!(cases.len() >= 60, "only {} cases", cases.len());
        for class in Class::ALL {
            let number = cases.iter().filter(|case| case.class == class).count();
            assert!(number >= 5, "{class:?} has only {number} cases");
        }
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len(), "two cases have one name");
        let contents: BTreeSet<&[u8]> = cases.iter().map(|case| case.bytes.as_slice()).collect();
        assert_eq!(contents.len(), cases.len(), "two cases are one plugin");
    }
}
