//! Questions to start from in unit tests: `Question { failures: 3, ..Question::default() }`.

use crate::{admission, backoff, missed_runs, rollout, schedule};

impl Default for backoff::Question {
    fn default() -> Self {
        Self {
            owner: String::new(),
            index: None,
            failures: 1,
            exit_code: None,
            reason: String::new(),
            age_ms: 0,
            seed: 0,
            facts: Vec::new(),
        }
    }
}

impl Default for schedule::Question {
    fn default() -> Self {
        Self {
            owner: String::new(),
            schedule: String::new(),
            zone: "UTC".to_owned(),
            after_s: 0,
            until_s: 0,
            limit: 100,
            latest: false,
            seed: 0,
            facts: Vec::new(),
        }
    }
}

impl Default for missed_runs::Question {
    fn default() -> Self {
        Self {
            owner: String::new(),
            missed_s: Vec::new(),
            more_before: false,
            why: "unknown".to_owned(),
            now_s: 0,
            starting_deadline_s: None,
            concurrency_policy: "Allow".to_owned(),
            active: 0,
            seed: 0,
            facts: Vec::new(),
        }
    }
}

impl Default for rollout::Question {
    fn default() -> Self {
        Self {
            owner: String::new(),
            revision: String::new(),
            nodes: Vec::new(),
            max_unavailable: 1,
            max_surge: 0,
            age_ms: 0,
            seed: 0,
            facts: Vec::new(),
        }
    }
}

impl Default for admission::Counts {
    fn default() -> Self {
        Self { running: 0, waiting: 1, pods: 0 }
    }
}

impl Default for admission::Question {
    fn default() -> Self {
        Self {
            owner: String::new(),
            queue: String::new(),
            parallelism: 1,
            in_queue: admission::Counts::default(),
            in_namespace: admission::Counts::default(),
            dependencies: Vec::new(),
            age_ms: 0,
            seed: 0,
            facts: Vec::new(),
        }
    }
}
