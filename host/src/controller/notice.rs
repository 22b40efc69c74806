//! What the machine has to tell people: a bounded ring of values, turned into log lines and metrics outside.

use std::fmt;
use std::sync::Arc;

use windlass_core::kube::{ApiStatus, Job, Kind};
use windlass_core::plan::SyncAction;

use super::Controller;
use crate::check::PlanDefect;
use crate::engine::EngineFault;
use crate::key::Key;
use crate::watch::WatchEnd;

/// Most notices that wait; past it the oldest is dropped.
pub const MAX_NOTICES: usize = 1_024;

/// Something worth a log line or a metric.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A list of a kind is complete.
    Listed {
        /// Kind that was listed.
        kind: Kind,
        /// How many objects it had.
        objects: usize,
    },
    /// A list or watch ended otherwise than in good order.
    WatchEnded {
        /// Kind that was watched.
        kind: Kind,
        /// Why.
        end: WatchEnd,
    },
    /// The server's history went back; everything of the kind was forgotten and listed anew.
    Rewound {
        /// Kind that is concerned.
        kind: Kind,
    },
    /// A key was reconciled.
    Planned {
        /// The key.
        key: Key,
        /// What it mainly came to.
        action: SyncAction,
    },
    /// Every step of a key's plan has settled.
    Synced {
        /// The key.
        key: Key,
        /// Whether all of them succeeded.
        succeeded: bool,
    },
    /// The check refused the core's plan.
    PlanRefused {
        /// The key.
        key: Key,
        /// Why.
        defect: PlanDefect,
    },
    /// The engine gave no plan.
    EngineFault {
        /// The key.
        key: Key,
        /// Why.
        fault: EngineFault,
    },
    /// The server refused a request.
    Refused {
        /// The key that it was for.
        key: Key,
        /// What was asked, as a verb and a resource.
        what: &'static str,
        /// What the server said.
        status: ApiStatus,
    },
    /// A Job's status was written.
    StatusWritten {
        /// The Job before.
        before: Arc<Job>,
        /// The Job now.
        after: Arc<Job>,
    },
    /// An Event was dropped because too many waited.
    EventDropped,
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed { kind, objects } => write!(formatter, "listed {objects} {}", kind.resource()),
            Self::WatchEnded { kind, end } => {
                write!(formatter, "the watch of {} ended: {end}", kind.resource())
            }
            Self::Rewound { kind } => write!(
                formatter,
                "the API server's history of {} went back; everything known of them was dropped and listed anew",
                kind.resource()
            ),
            Self::Planned { key, action } => write!(formatter, "{key}: {action:?}"),
            Self::Synced { key, succeeded: true } => write!(formatter, "{key}: synced"),
            Self::Synced { key, succeeded: false } => {
                write!(formatter, "{key}: not all of its plan was done")
            }
            Self::PlanRefused { key, defect } => write!(formatter, "{key}: {defect}"),
            Self::EngineFault { key, fault } => write!(formatter, "{key}: {fault}"),
            Self::Refused { key, what, status } => write!(formatter, "{key}: {what} was refused: {status}"),
            Self::StatusWritten { after, .. } => {
                write!(formatter, "status of {}/{} written", after.metadata.namespace, after.metadata.name)
            }
            Self::EventDropped => formatter.write_str("an Event was dropped because too many were waiting"),
        }
    }
}

impl Controller {
    pub(super) fn notice(&mut self, notice: Notice) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }
}
