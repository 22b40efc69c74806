//! Notices of the state machine as log lines: what went wrong where everyone sees it, plans at -v 2.

use crate::controller::Notice;

/// Logs a notice; never a whole object.
pub(super) fn notice(notice: &Notice) {
    match notice {
        Notice::Listed { .. } => tracing::info!("{notice}"),
        Notice::WatchEnded { .. }
        | Notice::Rewound { .. }
        | Notice::Refused { .. }
        | Notice::EventDropped => tracing::warn!("{notice}"),
        Notice::PlanRefused { .. } | Notice::EngineFault { .. } => tracing::error!("{notice}"),
        Notice::Planned { .. } | Notice::Synced { .. } => tracing::debug!("{notice}"),
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
