//! The request document.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use super::{API_VERSION, REQUEST_KIND, TwinFault};
use crate::kube::{ControllerRevision, CronJob, DaemonSet, Job, Node, ObjectMeta, Pod, Str, Time, Uid};
use crate::view::{
    Admission, CronJobFlags, DaemonSetFlags, JobFlags, LiveOwner, OrphanOwner, OrphanSnapshot,
};

/// How to mend a request that is not about one object.
const ONE_SUBJECT: &str = "give a job with its pods, a cronJob with its jobs, a daemonSet with its pods and revisions \
    and the nodes, or an orphanOwner with one pod";

/// A request, parsed and checked.
pub(super) struct Request {
    pub(super) now_ms: i64,
    pub(super) flags: JobFlags,
    pub(super) cron_job_flags: CronJobFlags,
    pub(super) daemon_set_flags: DaemonSetFlags,
    pub(super) subject: Subject,
    /// Pods by name.
    pub(super) pods: Vec<Pod>,
    /// Jobs by name, of a CronJob.
    pub(super) jobs: Vec<Job>,
    /// Nodes by name, of a DaemonSet.
    pub(super) nodes: Vec<Node>,
    /// Revisions by name, of a DaemonSet.
    pub(super) revisions: Vec<ControllerRevision>,
    /// When the CronJob's schedule or zone was seen to change, seconds since the Unix epoch.
    pub(super) edited_s: Option<i64>,
    /// The newest instant for which the embedder has seen a Job of the CronJob, seconds since the Unix epoch.
    pub(super) newest_run_s: Option<i64>,
    pub(super) live_owner: Option<LiveOwner>,
    /// What was decided about the start of the Job.
    pub(super) admission: Option<Admission>,
    /// What became of Jobs that the status lists, by uid.
    pub(super) live_jobs: BTreeMap<Uid, LiveOwner>,
    pub(super) memo: Vec<u8>,
}

/// What a request is about.
pub(super) enum Subject {
    /// A Job and its Pods.
    Job(Box<Job>),
    /// A CronJob and its Jobs.
    CronJob(Box<CronJob>),
    /// A DaemonSet with its Pods and revisions, and the nodes.
    DaemonSet(Box<DaemonSet>),
    /// The one Pod of the request, which may have lost its Job.
    Orphan(OrphanSnapshot),
}

/// A request as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    now: String,
    #[serde(default)]
    flags: FlagsDocument,
    job: Option<Box<Job>>,
    #[serde(default)]
    pods: Vec<Pod>,
    cron_job: Option<Box<CronJob>>,
    #[serde(default)]
    jobs: Vec<Job>,
    daemon_set: Option<Box<DaemonSet>>,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    revisions: Vec<ControllerRevision>,
    edited_at: Option<Time>,
    newest_run_at: Option<Time>,
    live_owner: Option<LiveOwnerDocument>,
    admission: Option<AdmissionDocument>,
    #[serde(default)]
    live_jobs: BTreeMap<Uid, LiveOwnerDocument>,
    orphan_owner: Option<OrphanOwnerDocument>,
    #[serde(default)]
    memo: String,
}

/// What every document begins with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
}

/// Settings; absent ones are upstream's.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct FlagsDocument {
    backoff_base_ms: Option<u32>,
    backoff_max_ms: Option<u32>,
    sync_batch_ms: Option<u32>,
    progress_window_ms: Option<u32>,
    max_uncounted_pods: Option<u32>,
    max_pods_per_sync: Option<u32>,
    managed_by: Option<Str>,
    default_zone: Option<Str>,
    edits_run_the_past: Option<bool>,
}

#[derive(Deserialize, Clone, Copy)]
enum LiveOwnerDocument {
    Alive,
    Terminating,
    Gone,
}

#[derive(Deserialize)]
enum AdmissionDocument {
    Granted,
    Held,
    Refused(Str),
}

#[derive(Deserialize, Clone, Copy)]
enum OrphanOwnerDocument {
    Nobody,
    OtherKind,
    Gone,
    Finished,
    Unfinished,
    ManagedElsewhere,
}

impl Request {
    /// The request that `text` holds.
    pub(super) fn parse(text: &str) -> Result<Self, TwinFault> {
        let head: Head = parse(text)?;
        if head.api_version != API_VERSION || head.kind != REQUEST_KIND {
            return Err(TwinFault::UnknownDocument(format!("{} {}", head.api_version, head.kind)));
        }
        let document: Document = parse(text)?;
        let now: jiff::Timestamp = document
            .now
            .parse()
            .map_err(|_| TwinFault::Malformed(format!("now: {:?} is not an RFC 3339 time", document.now)))?;
        let pods = by_name(document.pods, |pod| &pod.metadata);
        let subject = match (document.job, document.cron_job, document.daemon_set, document.orphan_owner) {
            (Some(job), None, None, None) => Some(Subject::Job(job)),
            (None, Some(cron_job), None, None) => Some(Subject::CronJob(cron_job)),
            (None, None, Some(set), None) => Some(Subject::DaemonSet(set)),
            (None, None, None, Some(owner)) => orphan(owner, &pods),
            _ => None,
        };
        let live_jobs = document.live_jobs.into_iter().map(|(uid, owner)| (uid, owner.into()));
        Ok(Self {
            now_ms: now.as_millisecond(),
            cron_job_flags: document.flags.cron_job_flags(),
            daemon_set_flags: document.flags.daemon_set_flags(),
            flags: document.flags.into_flags(),
            subject: subject.ok_or_else(|| TwinFault::Malformed(ONE_SUBJECT.to_string()))?,
            pods,
            jobs: by_name(document.jobs, |job| &job.metadata),
            nodes: by_name(document.nodes, |node| &node.metadata),
            revisions: by_name(document.revisions, |revision| &revision.metadata),
            edited_s: document.edited_at.map(|time| time.unix_seconds),
            newest_run_s: document.newest_run_at.map(|time| time.unix_seconds),
            live_owner: document.live_owner.map(Into::into),
            admission: document.admission.map(Into::into),
            live_jobs: live_jobs.collect(),
            memo: from_hex(&document.memo)
                .ok_or_else(|| TwinFault::Malformed("memo: not hexadecimal".to_string()))?,
        })
    }
}

impl From<LiveOwnerDocument> for LiveOwner {
    fn from(owner: LiveOwnerDocument) -> Self {
        match owner {
            LiveOwnerDocument::Alive => Self::Alive,
            LiveOwnerDocument::Terminating => Self::Terminating,
            LiveOwnerDocument::Gone => Self::Gone,
        }
    }
}

impl From<AdmissionDocument> for Admission {
    fn from(admission: AdmissionDocument) -> Self {
        match admission {
            AdmissionDocument::Granted => Self::Granted,
            AdmissionDocument::Held => Self::Held,
            AdmissionDocument::Refused(why) => Self::Refused(why),
        }
    }
}

impl FlagsDocument {
    fn cron_job_flags(&self) -> CronJobFlags {
        let default = CronJobFlags::default();
        CronJobFlags {
            default_zone: self.default_zone.clone().unwrap_or(default.default_zone),
            edits_run_the_past: self.edits_run_the_past.unwrap_or(default.edits_run_the_past),
        }
    }

    fn daemon_set_flags(&self) -> DaemonSetFlags {
        let upstream = DaemonSetFlags::default();
        DaemonSetFlags {
            max_pods_per_sync: self.max_pods_per_sync.unwrap_or(upstream.max_pods_per_sync),
            backoff_base_ms: self.backoff_base_ms.unwrap_or(upstream.backoff_base_ms),
            backoff_max_ms: self.backoff_max_ms.unwrap_or(upstream.backoff_max_ms),
        }
    }

    fn into_flags(self) -> JobFlags {
        let upstream = JobFlags::default();
        JobFlags {
            backoff_base_ms: self.backoff_base_ms.unwrap_or(upstream.backoff_base_ms),
            backoff_max_ms: self.backoff_max_ms.unwrap_or(upstream.backoff_max_ms),
            sync_batch_ms: self.sync_batch_ms.unwrap_or(upstream.sync_batch_ms),
            progress_window_ms: self
                .progress_window_ms
                .or(self.sync_batch_ms)
                .unwrap_or(upstream.progress_window_ms),
            max_uncounted_pods: self.max_uncounted_pods.unwrap_or(upstream.max_uncounted_pods),
            max_pods_per_sync: self.max_pods_per_sync.unwrap_or(upstream.max_pods_per_sync),
            managed_by: self.managed_by,
        }
    }
}

/// The subject of a request that is about a Pod alone.
fn orphan(owner: OrphanOwnerDocument, pods: &[Pod]) -> Option<Subject> {
    let [pod] = pods else { return None };
    let owner = match owner {
        OrphanOwnerDocument::Nobody => OrphanOwner::Nobody,
        OrphanOwnerDocument::OtherKind => OrphanOwner::OtherKind,
        OrphanOwnerDocument::Gone => OrphanOwner::Gone,
        OrphanOwnerDocument::Finished => OrphanOwner::Finished,
        OrphanOwnerDocument::Unfinished => OrphanOwner::Unfinished,
        OrphanOwnerDocument::ManagedElsewhere => OrphanOwner::ManagedElsewhere,
    };
    Some(Subject::Orphan(OrphanSnapshot { tracked: pod.is_tracked(), owner }))
}

fn by_name<T>(mut objects: Vec<T>, metadata: impl Fn(&T) -> &ObjectMeta) -> Vec<T> {
    objects.sort_by(|a, b| metadata(a).name.cmp(&metadata(b).name));
    objects
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, TwinFault> {
    serde_json::from_str(text).map_err(|error| TwinFault::Malformed(error.to_string()))
}

/// The bytes that a hexadecimal text stands for.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| pair.iter().try_fold(0_u8, |byte, digit| Some(byte.checked_mul(16)? | digit))).collect()
}
