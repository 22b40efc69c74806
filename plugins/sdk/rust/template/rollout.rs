//! __NAME__: updates one node at a time, and none while a Pod is not available.

use windlass_plugin::rollout::{Answer, Hold, Question, Rollout, Update};
use windlass_plugin::settings;

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
        if let Some(node) = question.nodes.iter().find(|node| !node.available) {
            let reason = format!("{} is not available", node.name);
            return Ok(Answer::Pause(Hold { reason, ask_again_ms: settings.ask_again_ms }));
        }
        let old = (0..).zip(&question.nodes).find(|(_, node)| node.state == "old");
        let nodes = old.map(|(position, _)| position).into_iter().collect();
        Ok(Answer::Update(Update { nodes, budget: None, ask_again_ms: None }))
    }
}

windlass_plugin::export!(Plugin: Rollout);
