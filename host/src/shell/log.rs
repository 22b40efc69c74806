//! Notices of the state machine as log lines: what went wrong where everyone sees it, plans at -v 2.

use crate::controller::{EventLoss, Notice};
use crate::plugin::LogLine;

/// A text of a stranger in one line.
fn one_line(text: &str) -> String {
    let escaped = |letter: char| -> String {
        if letter.is_control() { letter.escape_default().collect() } else { letter.to_string() }
    };
    text.chars().map(escaped).collect()
}

/// Logs a notice; never a whole object.
pub(super) fn notice(notice: &Notice) {
    match notice {
        Notice::Listed { .. } | Notice::ManagedElsewhere { .. } | Notice::JobExpired { .. } => {
            tracing::info!("{notice}");
        }
        Notice::PluginRestored { .. } => tracing::info!("{notice}"),
        Notice::PolicyTold { failed: false, .. } => tracing::info!("{notice}"),
        Notice::PolicyTold { failed: true, .. } | Notice::PluginQuarantined { .. } => {
            tracing::warn!("{notice}");
        }
        Notice::PolicyAsked { key, call } => {
            for LogLine { level, message } in &call.log {
                let (plugin, decision) = (&*call.plugin, call.decision.label());
                // A plugin makes no lines that look like the host's.
                let message = one_line(message);
                match level {
                    0 => tracing::error!(plugin, decision, %key, "{message}"),
                    1 => tracing::warn!(plugin, decision, %key, "{message}"),
                    2 => tracing::info!(plugin, decision, %key, "{message}"),
                    _ => tracing::debug!(plugin, decision, %key, "{message}"),
                }
            }
            tracing::trace!("{notice}");
        }
        // There is nothing to be done about it, and it is over soon.
        Notice::Refused { status, .. } if status.namespace_terminating => tracing::debug!("{notice}"),
        Notice::WatchEnded { .. }
        | Notice::Rewound { .. }
        | Notice::TemplateUnreadable { .. }
        | Notice::Refused { .. }
        | Notice::ReadRefused { again: false, .. }
        | Notice::EventLost {
            loss: EventLoss::Refused | EventLoss::QueueFull | EventLoss::Unanswered, ..
        } => {
            tracing::warn!("{notice}");
        }
        Notice::PlanRefused { .. } | Notice::EngineFault { .. } => tracing::error!("{notice}"),
        Notice::PodCreation { .. } => tracing::trace!("{notice}"),
        Notice::Synced { .. }
        | Notice::FailureHandled { .. }
        | Notice::ReadRefused { again: true, .. }
        | Notice::JobScheduled { .. }
        | Notice::EventLost { .. } => tracing::debug!("{notice}"),
        Notice::StatusWritten { after, .. } => {
            let status = &after.status;
            let condition = status.conditions.last().map_or("", |condition| &*condition.kind);
            tracing::debug!(
                active = status.active,
                succeeded = status.succeeded,
                failed = status.failed,
                condition,
                "{notice}"
            );
        }
    }
}
