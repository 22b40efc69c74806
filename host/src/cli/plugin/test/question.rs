//! A case of one question.

use windlass_host::plugin::document::Answer;
use windlass_host::plugin::{Plugin, PluginFault};

use super::super::{fault_text, log_text};
use super::Verdict;
use super::case::{Expected, QuestionCase};

/// Whether the plugin does what the case expects.
pub(super) fn judge(plugin: &dyn Plugin, case: &QuestionCase) -> Verdict {
    let valid = plugin.validate_settings(case.decision, &case.settings);
    let mut log = valid.log;
    let result = match valid.result {
        Ok(()) => {
            let called = case.question.ask(plugin, &case.settings);
            log.extend(called.log);
            called.result
        }
        Err(fault) => Err(fault),
    };
    let got = match &result {
        Ok(answer) => answer.write().to_string(),
        Err(fault) => format!("no answer: {}", fault_text(fault, &log)),
    };
    let wrong =
        difference(&case.expect, &result).map(|wanted| format!("expected {wanted}\n  got      {got}"));
    Verdict { wrong: wrong.into_iter().collect(), log: log_text(&log) }
}

/// What was expected, if the result is something else.
fn difference(expect: &Expected, result: &Result<Answer, PluginFault>) -> Option<String> {
    let (wanted, is_right) = match (expect, result) {
        (Expected::Answer(written, meant), result) => {
            (written.to_string(), result.as_ref().is_ok_and(|answer| answer == meant))
        }
        (Expected::Refusal(text), result) => {
            let right =
                matches!(result, Err(PluginFault::Refused(message)) if message.contains(text.as_str()));
            (format!("an error with {text:?} in it"), right)
        }
        (Expected::SettingsRefused(text), result) => {
            let right = matches!(result, Err(PluginFault::SettingsRefused(message)) if message.contains(text.as_str()));
            (format!("settings that are refused with {text:?}"), right)
        }
    };
    (!is_right).then_some(wanted)
}
