//! The plan document and the fault document.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{API_VERSION, TwinFault};
use crate::job::naming;
use crate::kube::{
    CronJobStatus, DaemonSetStatus, JOB_TRACKING_FINALIZER, Job, JobStatus, Kind, ManifestFault, ObjectMeta,
    OwnerReference, Pod, PreparedTemplate, ResourceVersion, Str, Uid, job_status,
};
use crate::plan::{
    Action, Dependency, EventRecord, JobStatusWrite, Needs, Plan, PodSlot, Read, Step, SyncAction,
};

/// Content type of the patches.
const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";

/// A plan with whole manifests, ready to be sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanDocument {
    api_version: &'static str,
    kind: &'static str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requeue_after_ms: Option<u64>,
    /// An instant of the wall clock, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<&'static str>,
    steps: Vec<StepDocument>,
    #[serde(skip_serializing_if = "String::is_empty")]
    memo: String,
}

/// One step.
#[derive(Serialize)]
pub(super) struct StepDocument {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) after: Vec<AfterDocument>,
    /// Items of the step, which are independent; the requests of one item follow one another, each only if
    /// the one before it succeeded.
    pub(super) items: Vec<Vec<RequestDocument>>,
}

/// That a step follows another.
#[derive(Serialize)]
pub(super) struct AfterDocument {
    step: u32,
    needs: &'static str,
}

/// One request to the API server.
#[derive(Serialize)]
#[serde(tag = "verb", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum RequestDocument {
    /// Create an object.
    Create { object: Box<RawValue> },
    /// Change an object in part.
    Patch { target: Target, content_type: &'static str, body: PatchDocument },
    /// Delete an object, with its uid as precondition.
    Delete {
        target: Target,
        #[serde(skip_serializing_if = "Option::is_none")]
        propagation_policy: Option<&'static str>,
    },
    /// Replace an object's status subresource.
    UpdateStatus {
        object: Box<StatusDocument>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        uids_from: Vec<UidSource>,
    },
    /// Record an Event on an object.
    RecordEvent {
        target: Target,
        #[serde(rename = "type")]
        kind: &'static str,
        reason: Str,
        message: String,
    },
}

/// Where the uid of a listed Job comes from that is yet to be created: from the answer to an item of a step.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UidSource {
    /// Position in `status.active`.
    pub(super) active: u32,
    /// The step that creates it.
    pub(super) step: u32,
    /// The item of that step.
    pub(super) item: u32,
}

/// An object that exists.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    api_version: &'static str,
    kind: &'static str,
    namespace: Str,
    name: Str,
    uid: Uid,
}

#[derive(Serialize)]
pub(super) struct PatchDocument {
    metadata: MetadataPatch,
    /// A revision's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// A strategic merge patch of metadata; the uid makes it fail on another incarnation of the name.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetadataPatch {
    pub(super) uid: Uid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_version: Option<ResourceVersion>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<&'static str, Str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) owner_references: Vec<ReferencePatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) finalizers: Vec<&'static str>,
    #[serde(rename = "$deleteFromPrimitiveList/finalizers", skip_serializing_if = "Vec::is_empty")]
    pub(super) removed_finalizers: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ReferencePatch {
    Add(OwnerReference),
    Remove {
        #[serde(rename = "$patch")]
        patch: &'static str,
        uid: Uid,
    },
}

/// An object with its status alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusDocument {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: ObjectMeta,
    pub(super) status: StatusOf,
}

/// A whole status.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum StatusOf {
    /// A Job's.
    Job(JobStatus),
    /// A CronJob's.
    CronJob(CronJobStatus),
    /// A DaemonSet's.
    DaemonSet(DaemonSetStatus),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FaultDocument<'fault> {
    api_version: &'static str,
    kind: &'static str,
    category: &'static str,
    message: &'fault str,
}

/// What the steps of a plan refer to.
struct Scene<'request> {
    job: Option<&'request Job>,
    template: Option<PreparedTemplate>,
    children: &'request [&'request Pod],
    /// Names that a new Pod cannot have.
    taken: BTreeSet<Str>,
    /// Positions of Pods that the status names as uncounted, or will name.
    recorded: BTreeSet<u32>,
    next_attempt: u32,
}

impl PlanDocument {
    /// The document for `plan`, which was made for `children`; `pods` are all whose names are taken.
    pub(super) fn new(
        plan: Plan,
        job: Option<&Job>,
        children: &[&Pod],
        pods: &[Pod],
    ) -> Result<Self, TwinFault> {
        let creates = plan.steps.iter().any(|step| matches!(step.action, Action::CreatePods(_)));
        let template = match job {
            Some(job) if creates => Some(PreparedTemplate::new(job).map_err(TwinFault::Template)?),
            _ => None,
        };
        let recorded = recorded(&plan.steps);
        let mut scene = Scene {
            job,
            template,
            children,
            taken: pods.iter().map(|pod| pod.metadata.name.clone()).collect(),
            recorded,
            next_attempt: 0,
        };
        let steps: Result<_, _> = plan.steps.iter().map(|step| scene.step(step)).collect();
        Ok(Self::of_steps(&plan, steps?))
    }

    /// The document for `plan`, of which `steps` are the steps.
    pub(super) fn of_steps(plan: &Plan, steps: Vec<StepDocument>) -> Self {
        let wake_at = plan.wake_at_ms.and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
        Self {
            api_version: API_VERSION,
            kind: "Plan",
            action: match plan.action {
                SyncAction::Reconciling => "reconciling",
                SyncAction::Tracking => "tracking",
                SyncAction::PodsCreated => "pods_created",
                SyncAction::PodsDeleted => "pods_deleted",
            },
            requeue_after_ms: plan.requeue_after_ms,
            wake_at: wake_at.map(|at| at.to_string()),
            read: plan.read.map(|read| match read {
                Read::Owner => "Owner",
                Read::ActiveJobs => "ActiveJobs",
            }),
            steps,
            memo: plan.memo.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// The document that says why there is no plan.
pub(super) fn fault(fault: &TwinFault) -> String {
    let (category, message) = match fault {
        TwinFault::Malformed(reason) => {
            ("malformed_request", format!("the request cannot be read: {reason}"))
        }
        TwinFault::UnknownDocument(found) => {
            ("unknown_document", format!("the document is {found:?} and not {API_VERSION} ReconcileRequest"))
        }
        TwinFault::Template(fault) => ("malformed_template", fault.to_string()),
        TwinFault::DaemonTemplate(fault) => ("malformed_template", fault.to_string()),
        TwinFault::Refused(fault) => (fault.category(), fault.to_string()),
    };
    let document = FaultDocument { api_version: API_VERSION, kind: "Fault", category, message: &message };
    serde_json::to_string(&document).unwrap_or_else(|error| error.to_string())
}

impl Scene<'_> {
    fn step(&mut self, step: &Step) -> Result<StepDocument, TwinFault> {
        Ok(StepDocument { after: after(&step.after), items: self.items(&step.action)? })
    }

    fn items(&mut self, action: &Action) -> Result<Vec<Vec<RequestDocument>>, TwinFault> {
        let each = |pods: &[u32], item: &dyn Fn(u32, &Pod) -> Vec<RequestDocument>| {
            let pods = pods.iter().filter_map(|position| Some(item(*position, self.child(*position)?)));
            pods.filter(|requests| !requests.is_empty()).collect()
        };
        let of_job = |request: &dyn Fn(&Job) -> RequestDocument| {
            self.job.map(|job| [request(job)].into()).into_iter().collect()
        };
        Ok(match action {
            Action::CreatePods(slots) => {
                let created: Result<Vec<_>, _> = slots.iter().map(|slot| self.create(*slot)).collect();
                created.map_err(TwinFault::Template)?.into_iter().flatten().map(|one| [one].into()).collect()
            }
            Action::DeletePods { pods, untrack } => each(pods, &|position, pod| {
                let mut requests = if *untrack { self.untrack(position, pod) } else { Vec::new() };
                requests.push(RequestDocument::Delete { target: pod_target(pod), propagation_policy: None });
                requests
            }),
            Action::UntrackPods(pods) => each(pods, &|position, pod| self.untrack(position, pod)),
            Action::AdoptPods(pods) => {
                each(pods, &|_, pod| self.job.map(|job| adopt(pod, job)).into_iter().collect())
            }
            Action::ReleasePods(pods) => {
                each(pods, &|_, pod| self.job.map(|job| release(pod, job)).into_iter().collect())
            }
            Action::WriteJobStatus(status) => of_job(&|job| self.update_status(job, status)),
            Action::DeleteJob => of_job(&|job| RequestDocument::Delete {
                target: job_target(job),
                propagation_policy: Some("Foreground"),
            }),
            // These are for other kinds.
            Action::CreateJobs(_)
            | Action::DeleteJobs(_)
            | Action::WriteCronJobStatus(_)
            | Action::DaemonSet(_) => Vec::new(),
            Action::RecordEvent(record) => of_job(&|job| event(job_target(job), record)),
        })
    }

    fn child(&self, position: u32) -> Option<&Pod> {
        self.children.get(usize::try_from(position).ok()?).copied()
    }

    fn create(&mut self, slot: PodSlot) -> Result<Option<RequestDocument>, ManifestFault> {
        let (Some(job), Some(template)) = (self.job, &self.template) else { return Ok(None) };
        let first = if slot.index.is_some() { 0 } else { self.next_attempt };
        let taken = |name: &str| self.taken.contains(name);
        let (name, attempt) = naming::pod_name(template, &job.metadata.uid, slot, first, &taken);
        let text = template.pod(slot, name.clone()).to_json()?;
        self.taken.insert(name);
        if slot.index.is_none() {
            self.next_attempt = attempt.saturating_add(1);
        }
        let object = RawValue::from_string(text).map_err(|_| ManifestFault::MalformedSpec)?;
        Ok(Some(RequestDocument::Create { object }))
    }

    /// The removal of the finalizer; of a Pod whose end may yet count, only as it was seen.
    fn untrack(&self, position: u32, pod: &Pod) -> Vec<RequestDocument> {
        if !pod.is_tracked() {
            return Vec::new();
        }
        let is_recorded = self.recorded.contains(&position)
            || self.job.is_some_and(|job| is_recorded(job, &pod.metadata.uid));
        let metadata = MetadataPatch {
            uid: pod.metadata.uid.clone(),
            resource_version: pod
                .may_yet_count(self.job, is_recorded)
                .then_some(pod.metadata.resource_version),
            removed_finalizers: [JOB_TRACKING_FINALIZER].into(),
            ..MetadataPatch::default()
        };
        [patch(pod_target(pod), metadata, None)].into()
    }

    fn update_status(&self, job: &Job, write: &JobStatusWrite) -> RequestDocument {
        let status = job_status(write, |position| Some(self.child(position)?.metadata.uid.clone()));
        RequestDocument::UpdateStatus {
            object: Box::new(StatusDocument {
                api_version: Kind::Job.api_version(),
                kind: Kind::Job.name(),
                metadata: job.metadata.clone(),
                status: StatusOf::Job(status),
            }),
            uids_from: Vec::new(),
        }
    }
}

/// What a step follows.
pub(super) fn after(dependencies: &[Dependency]) -> Vec<AfterDocument> {
    let after = dependencies.iter().map(|dependency| AfterDocument {
        step: dependency.step,
        needs: match dependency.needs {
            Needs::Succeeded => "Succeeded",
            Needs::Settled => "Settled",
            Needs::Failed => "Failed",
        },
    });
    after.collect()
}

/// The request that records an Event on `target`.
pub(super) fn event(target: Target, record: &EventRecord) -> RequestDocument {
    RequestDocument::RecordEvent {
        target,
        kind: if record.warning { "Warning" } else { "Normal" },
        reason: record.reason.clone(),
        message: record.message.clone(),
    }
}

/// Positions that one of the plan's status writes names as uncounted.
fn recorded(steps: &[Step]) -> BTreeSet<u32> {
    let mut positions = BTreeSet::new();
    for step in steps {
        if let Action::WriteJobStatus(status) = &step.action {
            positions.extend(status.uncounted.succeeded.iter().chain(&status.uncounted.failed));
        }
    }
    positions
}

fn is_recorded(job: &Job, uid: &Uid) -> bool {
    let uncounted = job.status.uncounted_terminated_pods.as_ref();
    uncounted.is_some_and(|pods| pods.succeeded.contains(uid) || pods.failed.contains(uid))
}

fn adopt(pod: &Pod, job: &Job) -> RequestDocument {
    let metadata = MetadataPatch {
        uid: pod.metadata.uid.clone(),
        // Only as it was seen: a late adoption would give back the finalizer of a counted Pod.
        resource_version: Some(pod.metadata.resource_version),
        owner_references: [ReferencePatch::Add(job.controller_reference())].into(),
        finalizers: [JOB_TRACKING_FINALIZER].into(),
        ..MetadataPatch::default()
    };
    patch(pod_target(pod), metadata, None)
}

fn release(pod: &Pod, job: &Job) -> RequestDocument {
    let removed = ReferencePatch::Remove { patch: "delete", uid: job.metadata.uid.clone() };
    let metadata = MetadataPatch {
        uid: pod.metadata.uid.clone(),
        resource_version: Some(pod.metadata.resource_version),
        owner_references: [removed].into(),
        removed_finalizers: [JOB_TRACKING_FINALIZER].into(),
        ..MetadataPatch::default()
    };
    patch(pod_target(pod), metadata, None)
}

/// The request that changes the metadata of `target`, and of a revision its number.
pub(super) fn patch(target: Target, metadata: MetadataPatch, revision: Option<i64>) -> RequestDocument {
    RequestDocument::Patch {
        target,
        content_type: STRATEGIC_MERGE,
        body: PatchDocument { metadata, revision },
    }
}

fn pod_target(pod: &Pod) -> Target {
    target(Kind::Pod, &pod.metadata)
}

/// A Job that exists.
pub(super) fn job_target(job: &Job) -> Target {
    target(Kind::Job, &job.metadata)
}

/// An object that exists.
pub(super) fn target(kind: Kind, metadata: &ObjectMeta) -> Target {
    Target {
        api_version: kind.api_version(),
        kind: kind.name(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
    }
}
