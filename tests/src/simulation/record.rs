//! Everything that was committed and asked for in a run, kept for whoever judges it afterwards.

use windlass_host::request::{Operation, Outcome};
use windlass_sandbox::Commit;

/// Commits and requests in their order; empty unless they are kept.
#[derive(Clone, Debug, Default)]
pub struct Record {
    is_kept: bool,
    /// Every commit.
    pub commits: Vec<Commit>,
    /// Every request of ours that reached the server.
    pub requests: Vec<Exchange>,
}

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When, milliseconds since the start.
    pub at_ms: u64,
    /// Position of the process that sent it.
    pub process: usize,
    /// What it asked for.
    pub operation: Operation,
    /// What the server made of it, whatever became of the answer.
    pub outcome: Outcome,
}

impl Record {
    /// A record that is kept, or one that is not.
    #[must_use]
    pub fn new(is_kept: bool) -> Self {
        Self { is_kept, ..Self::default() }
    }

    /// Adds a commit.
    pub fn commit(&mut self, commit: &Commit) {
        if self.is_kept {
            self.commits.push(commit.clone());
        }
    }

    /// Adds a request.
    pub fn request(&mut self, at_ms: u64, process: usize, operation: &Operation, outcome: &Outcome) {
        if self.is_kept {
            let (operation, outcome) = (operation.clone(), outcome.clone());
            self.requests.push(Exchange { at_ms, process, operation, outcome });
        }
    }
}

impl Exchange {
    /// Status code of a refusal; `None` if it was carried out.
    #[must_use]
    pub fn refusal(&self) -> Option<u16> {
        match &self.outcome {
            Outcome::Rejected(status) => Some(status.code),
            Outcome::NotSent | Outcome::Done(_) | Outcome::Unknown => None,
        }
    }
}
