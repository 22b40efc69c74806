//! __NAME__: makes the latest of the runs that were missed.

use windlass_plugin::missed_runs::{Answer, MissedRuns, Question};
use windlass_plugin::settings;

settings! {
    /// What a binding may set, in JSON `{"atMost": 3}`.
    pub struct Settings {
        /// Most runs that are made.
        at_most: u32 = 3,
    }
}

struct Plugin;

impl MissedRuns for Plugin {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let missed = u32::try_from(question.missed_s.len()).map_err(|error| error.to_string())?;
        Ok(Answer::Run((missed.saturating_sub(settings.at_most)..missed).collect()))
    }
}

windlass_plugin::export!(Plugin: MissedRuns);
