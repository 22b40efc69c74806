//! __NAME__: updates broken nodes first, then one at a time, and none while a Pod is not available.

use windlass_plugin::rollout::{Answer, Hold, Question, Rollout, Update};
use windlass_plugin::{ask_again, settings};

settings! {
    /// What a binding may set, in JSON `{"askAgainMs": 30000}`.
    pub struct Settings {
        /// When to look again at a Pod that is not available, milliseconds.
        ask_again_ms: u32 = 30_000,
    }
}

struct Plugin;

impl Rollout for Plugin {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let old = (0..).zip(&question.nodes).filter(|(_, node)| node.state == "old");
        // What a bad release has broken makes way for the next one, or the rollout would wait for it for ever.
        let (working, broken): (Vec<_>, Vec<_>) = old.partition(|(_, node)| node.available);
        let mut next = broken;
        if next.is_empty() {
            if let Some(node) = question.nodes.iter().find(|node| !node.available) {
                let reason = format!("{} is not available", node.name);
                return Ok(Answer::Pause(Hold { reason, ask_again_ms: ask_again(settings.ask_again_ms) }));
            }
            next = working.into_iter().take(1).collect();
        }
        let nodes = next.into_iter().map(|(position, _)| position).collect();
        Ok(Answer::Update(Update { nodes, budget: None, ask_again_ms: None }))
    }
}

windlass_plugin::export!(Plugin: Rollout);
