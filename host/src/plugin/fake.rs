//! A plugin for tests that is no component.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};

use super::decision::Decision;
use super::load::{LoadFault, Loader};
use super::resource::Limits;
use super::{Called, Cost, Description, Digest, Identity, Plugin, PluginFault, admission};

/// Answers about retries as it is told, and counts how often it is asked.
pub(crate) struct Fake {
    identity: Identity,
    description: Description,
    answer: Mutex<Result<backoff::Answer, PluginFault>>,
    /// Settings that it refuses.
    pub(crate) refuses: Option<&'static str>,
    /// How long each of its answers takes, microseconds.
    pub(crate) took_us: Option<u64>,
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
        Self {
            identity,
            description,
            answer: Mutex::new(answer),
            refuses: None,
            took_us: None,
            asked,
            validated,
        }
    }

    /// Lets it answer so from now on.
    pub(crate) fn answer_with(&self, answer: Result<backoff::Answer, PluginFault>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// A plugin of that name and digest that decides about rollouts as the built-in policy does, and wants to see the labels
    /// of nodes with these keys.
    pub(crate) fn for_rollouts(name: &str, digest: u8, labels: &[&str]) -> Self {
        let mut fake = Self::new(name, digest, Ok(backoff::Answer::NotCounted));
        fake.identity.decisions = vec![Decision::Rollout];
        let want = |key: &&str| ("rollout".to_owned(), format!("node.label/{key}"));
        fake.description.wants = labels.iter().map(want).collect();
        fake
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
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = answer.map(|answer| vec![answer; questions.len()]);
        let cost = Cost { took_us: self.took_us, ..Cost::default() };
        Called { result, cost, log: Vec::new() }
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

    fn rollout(&self, _settings: &str, questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let result = Ok(questions.iter().map(rollout::built_in).collect());
        Called { result, cost: Cost::default(), log: Vec::new() }
    }

    fn admission(
        &self,
        _settings: &str,
        _questions: &[admission::Question],
    ) -> Called<Vec<admission::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }
}

/// The byte of a plugin that refuses [`REFUSED_SETTINGS`].
pub(crate) const REFUSES_SETTINGS: u8 = 200;
/// What it refuses.
const REFUSED_SETTINGS: &str = r#"{"x":1}"#;

/// Makes a plugin of one byte, which is its digest; of anything else it makes none.
pub(crate) struct FakeLoader;

impl Loader for FakeLoader {
    fn load_within(&self, name: &str, bytes: &[u8], _limits: Limits) -> Result<Arc<dyn Plugin>, LoadFault> {
        match bytes {
            [digest] => {
                let mut fake = Fake::new(name, *digest, Ok(backoff::Answer::NotCounted));
                fake.refuses = (*digest == REFUSES_SETTINGS).then_some(REFUSED_SETTINGS);
                Ok(Arc::new(fake))
            }
            _ => Err(LoadFault::DecidesNothing),
        }
    }
}
