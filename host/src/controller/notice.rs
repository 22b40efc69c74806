//! What the machine has to tell people: a bounded ring of values, turned into log lines and metrics outside.

use std::fmt;
use std::sync::Arc;

use windlass_core::daemon_set::revision::TemplateFault;
use windlass_core::kube::{ApiStatus, Job, Kind, Str};
use windlass_core::plan::SyncAction;

use super::Controller;
use super::events::EventLoss;
use crate::apply::Creation;
use crate::check::PlanDefect;
use crate::engine::EngineFault;
use crate::key::{Key, Name};
use crate::plugin::set::Call;
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
    /// Every step of a key's plan has settled, or there was no plan that could be used.
    Synced {
        /// The key.
        key: Key,
        /// Whether there was a plan, all of whose steps succeeded.
        succeeded: bool,
        /// What upstream's metrics count, where upstream would count it.
        job: Option<JobSync>,
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
    /// The server refused a read on which a key waits; it is tried again after a while.
    ReadRefused {
        /// The key that waits.
        key: Key,
        /// What was asked, as a verb and a resource.
        what: &'static str,
        /// What the server said.
        status: ApiStatus,
        /// Whether this read was refused before.
        again: bool,
    },
    /// A Pod was created, or refused.
    PodCreation {
        /// Why it was to be.
        reason: Creation,
        /// Whether it was created.
        succeeded: bool,
    },
    /// The Pod failure policy decided what the failure of a Pod means.
    FailureHandled {
        /// The action of the rule, as manifests spell it.
        action: &'static str,
    },
    /// A Job that another controller manages was seen for the first time.
    ManagedElsewhere {
        /// The Job.
        name: Name,
        /// Value of its `spec.managedBy`.
        by: Str,
    },
    /// A DaemonSet's template is none of a Pod, which no API server stores: nothing is done for it.
    TemplateUnreadable {
        /// The DaemonSet.
        name: Name,
        /// What is wrong.
        fault: TemplateFault,
    },
    /// A Job was deleted because its time to live was over.
    JobExpired {
        /// Its key.
        key: Key,
        /// How long it had been over, milliseconds.
        late_ms: u64,
    },
    /// A CronJob's Job was created.
    JobScheduled {
        /// Key of the CronJob.
        key: Key,
        /// How long after its instant, milliseconds.
        late_ms: u64,
    },
    /// A Job's status was written.
    StatusWritten {
        /// The Job before.
        before: Arc<Job>,
        /// The Job now.
        after: Arc<Job>,
    },
    /// A policy plugin was asked, or was to be.
    PolicyAsked {
        /// Key of the object.
        key: Key,
        /// What came of it.
        call: Box<Call>,
    },
    /// What a policy plugin does to an object is another thing than before: it fails, or makes it wait.
    PolicyTold {
        /// Key of the object.
        key: Key,
        /// Whether it failed.
        failed: bool,
        /// For people.
        message: String,
    },
    /// A policy plugin failed so often that it is left alone for a while.
    PluginQuarantined {
        /// Name of the plugin.
        plugin: Str,
        /// For how long, milliseconds.
        for_ms: u64,
    },
    /// A policy plugin that was left alone works again.
    PluginRestored {
        /// Name of the plugin.
        plugin: Str,
    },
    /// An Event is not recorded.
    EventLost {
        /// Why it is lost.
        loss: EventLoss,
        /// Reason that the Event gives.
        reason: Str,
        /// What the server said, if it refused.
        status: Option<ApiStatus>,
    },
}

/// A sync of a Job, as upstream's metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSync {
    /// Whether the Job is Indexed.
    pub indexed: bool,
    /// What the sync mainly did.
    pub action: SyncAction,
    /// Time from the snapshot to the last answer, milliseconds.
    pub took_ms: u64,
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
            Self::Synced { key, succeeded, job } => {
                let ending = if *succeeded { "synced" } else { "not all of its plan was done" };
                write!(formatter, "{key}: {ending}")?;
                match job {
                    Some(JobSync { action, took_ms, .. }) => {
                        write!(formatter, " ({action:?}, {took_ms} ms)")
                    }
                    None => Ok(()),
                }
            }
            Self::PlanRefused { key, defect } => write!(formatter, "{key}: {defect}"),
            Self::EngineFault { key, fault } => write!(formatter, "{key}: {fault}"),
            Self::Refused { key, what, status } => write!(formatter, "{key}: {what} was refused: {status}"),
            Self::ReadRefused { key, what, status, .. } => {
                write!(formatter, "{key} waits: {what} was refused, and is tried again: {status}")
            }
            Self::PodCreation { succeeded: true, .. } => formatter.write_str("a Pod was created"),
            Self::PodCreation { succeeded: false, .. } => formatter.write_str("a Pod was not created"),
            Self::FailureHandled { action } => {
                write!(formatter, "the failure of a Pod was handled by its Job's policy: {action}")
            }
            Self::TemplateUnreadable { name, fault } => {
                write!(formatter, "DaemonSet {name} is left alone: {fault}")
            }
            Self::ManagedElsewhere { name, by } => {
                write!(formatter, "job {name} is managed by {by}, and left alone")
            }
            Self::JobExpired { key, late_ms } => {
                write!(formatter, "{key}: deleted {late_ms} ms after its time was over")
            }
            Self::JobScheduled { key, late_ms } => {
                write!(formatter, "{key}: a Job was created {late_ms} ms after its instant")
            }
            Self::StatusWritten { after, .. } => {
                write!(formatter, "status of {}/{} written", after.metadata.namespace, after.metadata.name)
            }
            Self::PolicyAsked { key, call } => {
                let Call { plugin, decision, .. } = &**call;
                write!(formatter, "{key}: policy plugin {plugin} ({decision}) ")?;
                match &call.fault {
                    None => formatter.write_str("answered"),
                    Some(fault) => write!(formatter, "gave no answer: {fault}"),
                }
            }
            Self::PolicyTold { key, message, .. } => write!(formatter, "{key}: {message}"),
            Self::PluginQuarantined { plugin, for_ms } => write!(
                formatter,
                "policy plugin {plugin} failed too often and is left alone for {} s",
                for_ms.div_ceil(1_000)
            ),
            Self::PluginRestored { plugin } => write!(formatter, "policy plugin {plugin} works again"),
            Self::EventLost { loss, reason, status } => {
                write!(formatter, "an Event {reason} is not recorded ({})", loss.label())?;
                match status {
                    Some(status) => write!(formatter, ": {status}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Controller {
    pub(super) fn notice(&mut self, notice: Notice) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
            self.stats.notices_dropped += 1;
        }
        self.notices.push_back(notice);
    }
}
