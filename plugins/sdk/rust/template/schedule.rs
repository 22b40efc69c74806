//! __NAME__: fires once an hour.

use windlass_plugin::schedule::{Answer, Firing, Question, Schedule};
use windlass_plugin::settings;

settings! {
    /// What a binding may set, in JSON `{"minute": 30}`.
    pub struct Settings {
        /// Minute of each hour at which it fires.
        minute: u32 = 30,
    }
}

/// Seconds of an hour.
const HOUR_S: i64 = 3_600;

struct Plugin;

impl Schedule for Plugin {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), String> {
        if settings.minute > 59 { Err("minute is from 0 to 59".to_owned()) } else { Ok(()) }
    }

    fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
        let offset_s = i64::from(settings.minute) * 60;
        // The numbers of the first and of the last hour whose instant is in the window.
        let first = (i64::from(question.after_s) - offset_s).div_euclid(HOUR_S) + 1;
        let last = (i64::from(question.until_s) - offset_s).div_euclid(HOUR_S);
        let count = (last - first + 1).max(0);
        let kept = count.min(i64::from(question.limit));
        let start = if question.latest { last - kept + 1 } else { first };
        let instants = (start..start + kept).map(|hour| hour * HOUR_S + offset_s);
        let at_s = instants.filter_map(|at_s| u32::try_from(at_s).ok()).collect();
        Ok(Answer::Fires(Firing { at_s, more: count > kept }))
    }
}

windlass_plugin::export!(Plugin: Schedule);
