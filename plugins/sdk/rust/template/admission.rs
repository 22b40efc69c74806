//! __NAME__: lets so many Jobs of a queue run at once.

use windlass_plugin::admission::{Admission, Answer, Hold, Question};
use windlass_plugin::settings;

settings! {
    /// What a binding may set, in JSON `{"jobs": 10}`.
    pub struct Settings {
        /// Jobs of a queue that may run at once.
        jobs: u32 = 10,
    }
}

struct Plugin;

impl Admission for Plugin {
    type Settings = Settings;

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let running = question.in_queue.running;
        if running < settings.jobs {
            return Ok(Answer::Start);
        }
        let reason = format!("queue {:?} runs {running} of {} Jobs", question.queue, settings.jobs);
        Ok(Answer::Hold(Hold { reason, ask_again_ms: 5_000 }))
    }
}

windlass_plugin::export!(Plugin: Admission);
