//! The contract in JSON: one request document in, one plan document out.
//!
//! For embedders of any language, and for recordings that were made under another version of the contract.
//! Objects are Kubernetes' own; the plan's requests can be sent as they are.
//! Documents are written by typed structs, so that the order of their keys hangs on nothing.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::cron_job;
use crate::daemon_set::{self, revision::TemplateFault};
use crate::fault::Fault;
use crate::job;
use crate::kube::ManifestFault;
use crate::policy::Policy;
use crate::view::JobFlags;

mod cron_job_plan;
mod daemon_set_plan;
mod document;
mod gather;
mod request;

use document::PlanDocument;
use gather::{Gathered, GatheredCronJob, GatheredDaemonSet};
use request::{Request, Subject};

/// Group and version of every document of the twin.
pub const API_VERSION: &str = "windlass.dev/v1alpha1";
/// Kind of a request.
pub const REQUEST_KIND: &str = "ReconcileRequest";

/// The plan document for a request document; `policy` gives who answers the core's questions under the
/// request's settings.
///
/// # Errors
/// A document of kind Fault, with a stable `category` and a `message` for people.
pub fn reconcile<P: Policy>(request: &str, policy: impl FnOnce(&JobFlags) -> P) -> Result<String, String> {
    plan_document(request, policy).map_err(|fault| document::fault(&fault))
}

/// Why a request document has no plan document.
enum TwinFault {
    /// It is not a request; the reason, for people.
    Malformed(String),
    /// It is a document of another kind or version; which.
    UnknownDocument(String),
    /// The Job's template cannot become a Pod.
    Template(ManifestFault),
    /// The DaemonSet's template has no revision.
    DaemonTemplate(TemplateFault),
    /// The core refused what the document says.
    Refused(Fault),
}

fn plan_document<P: Policy>(request: &str, policy: impl FnOnce(&JobFlags) -> P) -> Result<String, TwinFault> {
    let request = Request::parse(request)?;
    let policy = policy(&request.flags);
    let document = match &request.subject {
        Subject::Job(job) => {
            let gathered = Gathered::of(&request, job);
            let plan = job::reconcile(&gathered.snapshot, &policy).map_err(TwinFault::Refused)?;
            PlanDocument::new(plan, Some(&**job), &gathered.children, &request.pods)?
        }
        Subject::CronJob(cron_job) => {
            let gathered = GatheredCronJob::of(&request, cron_job);
            let plan = cron_job::reconcile(&gathered.snapshot, &policy).map_err(TwinFault::Refused)?;
            PlanDocument::of_cron_job(&plan, cron_job, &gathered.jobs)?
        }
        Subject::DaemonSet(set) => {
            let gathered = GatheredDaemonSet::of(&request, set)?;
            let plan = daemon_set::reconcile(&gathered.snapshot, &policy).map_err(TwinFault::Refused)?;
            PlanDocument::of_daemon_set(&plan, set, &gathered, &request.pods)?
        }
        Subject::Orphan(snapshot) => {
            let children: Vec<_> = request.pods.iter().collect();
            PlanDocument::new(job::reconcile_orphan(snapshot), None, &children, &request.pods)?
        }
    };
    serde_json::to_string(&document).map_err(|error| TwinFault::Malformed(format!("{error}")))
}

#[cfg(test)]
mod tests;
