//! A plugin for tests that is no component.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use windlass_core::policy::{backoff, missed_runs, schedule};

use super::decision::Decision;
use super::load::{LoadFault, Loader};
use super::{Called, Cost, Description, Digest, Identity, Plugin, PluginFault, admission, rollout};

/// Answers about retries as it is told, and counts how often it is asked.
pub(crate) struct Fake {
    identity: Identity,
    description: Description,
    answer: Result<backoff::Answer, PluginFault>,
    /// Settings that it refuses.
    pub(crate) refuses: Option<&'static str>,
    pub(crate) asked: AtomicUsize,
    pub(crate) validated: AtomicUsize,
}

impl Fake {
    /// A plugin of that name and digest that gives this answer to every question.
    pub(crate) fn new(name: &str, digest: u8, answer: Result<backoff::Answer, PluginFault>) -> Self {
        let identity = Identity {
            name: name.into(),
            digest: Digest([digest; 32]),
            size_bytes: 1,
            decisions: vec![Decision::Backoff],
        };
        let wants = vec![("backoff".to_owned(), "job.name".to_owned())];
        let description = Description { wants, version: "1".to_owned(), ..Description::default() };
        let (asked, validated) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { identity, description, answer, refuses: None, asked, validated }
    }
}

impl Plugin for Fake {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn validate_settings(&self, _decision: Decision, settings: &str) -> Called<()> {
        self.validated.fetch_add(1, Ordering::Relaxed);
        let refused = self.refuses == Some(settings);
        let result = if refused { Err(PluginFault::SettingsRefused("no".to_owned())) } else { Ok(()) };
        Called { result, cost: Cost::default(), log: Vec::new() }
    }

    fn backoff(&self, _settings: &str, questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(
            questions.iter().all(|question| question.facts.len() == 1),
            "each has the fact that is wanted"
        );
        let result = self.answer.clone().map(|answer| vec![answer; questions.len()]);
        Called { result, cost: Cost::default(), log: Vec::new() }
    }

    fn schedule(&self, _settings: &str, _questions: &[schedule::Question]) -> Called<Vec<schedule::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn missed_runs(
        &self,
        _settings: &str,
        _questions: &[missed_runs::Question],
    ) -> Called<Vec<missed_runs::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn rollout(&self, _settings: &str, _questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }

    fn admission(
        &self,
        _settings: &str,
        _questions: &[admission::Question],
    ) -> Called<Vec<admission::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }
}

/// Makes a plugin of one byte, which is its digest; of anything else it makes none.
pub(crate) struct FakeLoader;

impl Loader for FakeLoader {
    fn load(&self, name: &str, bytes: &[u8]) -> Result<Arc<dyn Plugin>, LoadFault> {
        match bytes {
            [digest] => Ok(Arc::new(Fake::new(name, *digest, Ok(backoff::Answer::NotCounted)))),
            _ => Err(LoadFault::DecidesNothing),
        }
    }
}
