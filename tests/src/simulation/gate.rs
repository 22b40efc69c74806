//! A policy plugin that is no component: it lets so many Jobs of a queue run at once, as their settings say.

use std::sync::Arc;

use windlass_core::policy::{backoff, missed_runs, rollout, schedule};
use windlass_host::plugin::admission::{Answer, Hold, Question};
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::set::{Loaded, PolicySet};
use windlass_host::plugin::{Called, Cost, Description, Digest, Identity, Plugin, PluginFault};

/// Name of the plugin.
pub const GATE: &str = "gate";
/// Wait after which it wants to be asked again, milliseconds: long, so that whoever is not woken is late.
pub const ASK_AGAIN_MS: u32 = 600_000;

struct Gate {
    identity: Identity,
    description: Description,
}

/// The plugin, alone.
#[must_use]
pub fn policies() -> Arc<PolicySet> {
    let identity = Identity {
        name: GATE.into(),
        digest: Digest([7; 32]),
        size_bytes: 1,
        decisions: vec![Decision::Admission],
    };
    Arc::new(PolicySet::new([Loaded::new(Arc::new(Gate { identity, description: Description::default() }))]))
}

fn called<A>(result: Result<A, PluginFault>) -> Called<A> {
    Called { result, cost: Cost::default(), log: Vec::new() }
}

impl Plugin for Gate {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn validate_settings(&self, _decision: Decision, settings: &str) -> Called<()> {
        let refused = |error: std::num::ParseIntError| PluginFault::SettingsRefused(error.to_string());
        called(settings.parse::<u32>().map(|_| ()).map_err(refused))
    }

    fn backoff(&self, _settings: &str, _questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
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

    fn admission(&self, settings: &str, questions: &[Question]) -> Called<Vec<Answer>> {
        let limit = settings.parse().unwrap_or(0);
        let answer = |question: &Question| match question.in_queue.running {
            running if running < limit => Answer::Start,
            running => {
                let reason = format!("{running} of {limit}");
                Answer::Hold(Hold { reason, ask_again_ms: ASK_AGAIN_MS })
            }
        };
        called(Ok(questions.iter().map(answer).collect()))
    }
}
