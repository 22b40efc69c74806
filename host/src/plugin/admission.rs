//! P5, admission: whether a Job may start.

/// Something that a Job declared it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependency {
    /// Namespace and name of the Job waited for, joined by a slash.
    pub owner: String,
    /// How it stands: `absent`, `waiting`, `running`, `complete`, `failed`, or a word of a later version.
    pub state: String,
}

/// Jobs of one queue, or of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that have started and not ended.
    pub running: u32,
    /// Jobs that wait for admission, the one that is asked about included.
    pub waiting: u32,
    /// Pods that the running Jobs may have at once, saturating.
    pub pods: u32,
}

/// A Job that is about to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the Job, joined by a slash.
    pub owner: String,
    /// Name of its queue; empty: the one queue of its namespace.
    pub queue: String,
    /// Most Pods that the Job may have at once.
    pub parallelism: u32,
    /// The Jobs of its queue.
    pub in_queue: Counts,
    /// The Jobs of its namespace.
    pub in_namespace: Counts,
    /// What it waits for.
    pub dependencies: Vec<Dependency>,
    /// Time since the Job was created, milliseconds, saturating.
    pub age_ms: u32,
    /// For jitter: the same for the same question.
    pub seed: u32,
    /// Facts that the policy asked for.
    pub facts: Vec<(String, String)>,
}

/// An answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The Job may start.
    Start,
    /// The Job waits, and the question is asked again later.
    Hold(Hold),
    /// An answer that this version does not know; the built-in answer stands in for it.
    Other(String),
}

/// A wait without a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why, for people.
    pub reason: String,
    /// When to ask again, milliseconds.
    pub ask_again_ms: u32,
}
