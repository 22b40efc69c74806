//! Pods in the API server's protobuf: only the fields that slim Pods have are decoded.
//!
//! The server writes it with about a tenth less of its processor time than JSON, and it is read with half of ours
//! (`make bench-cluster`). Field numbers are those of api/core/v1, apimachinery/pkg/apis/meta/v1 and
//! apimachinery/pkg/runtime generated.proto. What a Go server writes for an absent text is an empty one, and for an
//! absent time an empty message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prost::{DecodeError, Message};
use windlass_core::kube::{
    ApiStatus, ConditionStatus, ContainerState, ContainerStateTerminated, ContainerStatus, Labels,
    NODE_NAME_FIELD, Object, ObjectMeta, OwnerReference, Pod, PodCondition, PodPhase, PodSpec, PodStatus,
    ResourceVersion, Str, Time,
};

use super::decode::{NAMESPACE_TERMINATING, Page};
use crate::watch::{WatchBody, WatchEnd};

/// What begins every object that is not part of another (apimachinery pkg/runtime/serializer/protobuf).
const MAGIC: &[u8] = b"k8s\0";

/// Why bytes are no object.
#[derive(Debug)]
pub(super) enum Fault {
    /// They do not begin as an object does.
    NoObject,
    /// They are no protobuf of the kind that was expected.
    Malformed(DecodeError),
    /// A resourceVersion is no number.
    Version(String),
    /// A Status stands in place of an object.
    Status,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoObject => formatter.write_str("the bytes are no Kubernetes object"),
            Self::Malformed(error) => error.fmt(formatter),
            Self::Version(text) => write!(formatter, "resourceVersion {text:?} is not a number"),
            Self::Status => formatter.write_str("a Status in place of an object"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The page of Pods in the body of an answer.
pub(super) fn page(body: &[u8]) -> Result<Page, Fault> {
    let envelope = unwrap(body)?;
    if envelope.kind != "PodList" {
        return Err(Fault::NoObject);
    }
    let list = WirePodList::decode(envelope.raw.as_slice())?;
    let meta = list.metadata.unwrap_or_default();
    let pods = list.items.into_iter().map(|pod| Ok(Object::Pod(Arc::new(pod.into_pod()?))));
    Ok(Page {
        objects: pods.collect::<Result<_, Fault>>()?,
        version: version(&meta.resource_version)?,
        next: Some(meta.next).filter(|next| !next.is_empty()),
    })
}

/// The Pod in the body of an answer; `None` where the server only says that it is done.
pub(super) fn pod(body: &[u8]) -> Result<Option<Object>, Fault> {
    let envelope = unwrap(body)?;
    if envelope.kind != "Pod" {
        return Ok(None);
    }
    let pod = WirePod::decode(envelope.raw.as_slice())?;
    Ok(Some(Object::Pod(Arc::new(pod.into_pod()?))))
}

/// The refusal in the body of an answer, if it is one.
pub(super) fn status(body: &[u8]) -> Option<ApiStatus> {
    let envelope = unwrap(body).ok().filter(|envelope| envelope.kind == "Status")?;
    Some(WireStatus::decode(envelope.raw.as_slice()).ok()?.into_status())
}

/// What one frame of a watch of Pods says.
pub(super) fn watch_frame(frame: &[u8]) -> WatchBody {
    match try_watch_frame(frame) {
        Ok(body) => body,
        Err(fault) => WatchBody::Ended(WatchEnd::Undecodable(format!("pods: {fault}"))),
    }
}

fn try_watch_frame(frame: &[u8]) -> Result<WatchBody, Fault> {
    let event = WireEvent::decode(frame)?;
    let object = event.object.unwrap_or_default().raw;
    let decoded = || pod(&object)?.ok_or(Fault::Status);
    Ok(match event.kind.as_str() {
        "ADDED" | "MODIFIED" => WatchBody::Applied(decoded()?),
        "DELETED" => WatchBody::Deleted(decoded()?),
        "BOOKMARK" => WatchBody::Bookmark(decoded()?.metadata().resource_version),
        "ERROR" => WatchBody::Ended(WatchEnd::Refused(status(&object).ok_or(Fault::NoObject)?)),
        other => {
            let reason = format!("a watch event of the unknown type {other:?}");
            WatchBody::Ended(WatchEnd::Undecodable(reason))
        }
    })
}

/// An object with its kind.
struct Envelope {
    kind: String,
    raw: Vec<u8>,
}

fn unwrap(body: &[u8]) -> Result<Envelope, Fault> {
    let unknown = WireUnknown::decode(body.strip_prefix(MAGIC).ok_or(Fault::NoObject)?)?;
    Ok(Envelope { kind: unknown.type_meta.unwrap_or_default().kind, raw: unknown.raw })
}

fn version(text: &str) -> Result<ResourceVersion, Fault> {
    text.parse().map(ResourceVersion).map_err(|_| Fault::Version(text.to_owned()))
}

fn some(text: String) -> Option<Str> {
    Some(text).filter(|text| !text.is_empty()).map(Str::from)
}

fn shared(map: BTreeMap<String, String>) -> Arc<Labels> {
    Arc::new(map.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

/// runtime.Unknown.
#[derive(Message)]
struct WireUnknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<WireTypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

/// runtime.TypeMeta.
#[derive(Message)]
struct WireTypeMeta {
    #[prost(string, tag = "2")]
    kind: String,
}

/// meta.v1.WatchEvent.
#[derive(Message)]
struct WireEvent {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, optional, tag = "2")]
    object: Option<WireRaw>,
}

/// runtime.RawExtension.
#[derive(Message)]
struct WireRaw {
    #[prost(bytes = "vec", tag = "1")]
    raw: Vec<u8>,
}

/// meta.v1.Status.
#[derive(Message)]
struct WireStatus {
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(message, optional, tag = "5")]
    details: Option<WireDetails>,
    #[prost(int32, tag = "6")]
    code: i32,
}

/// meta.v1.StatusDetails.
#[derive(Message)]
struct WireDetails {
    #[prost(message, repeated, tag = "4")]
    causes: Vec<WireCause>,
    #[prost(int32, tag = "5")]
    retry_after_seconds: i32,
}

/// meta.v1.StatusCause.
#[derive(Message)]
struct WireCause {
    #[prost(string, tag = "1")]
    reason: String,
}

impl WireStatus {
    fn into_status(self) -> ApiStatus {
        let details = self.details.unwrap_or_default();
        let seconds = u64::try_from(details.retry_after_seconds).ok().filter(|seconds| *seconds > 0);
        ApiStatus {
            code: u16::try_from(self.code).unwrap_or_default(),
            reason: self.reason.into(),
            message: self.message,
            retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)),
            namespace_terminating: details.causes.iter().any(|cause| cause.reason == NAMESPACE_TERMINATING),
        }
    }
}

/// meta.v1.ListMeta.
#[derive(Message)]
struct WireListMeta {
    #[prost(string, tag = "2")]
    resource_version: String,
    #[prost(string, tag = "3")]
    next: String,
}

/// meta.v1.Time.
#[derive(Clone, Copy, Message)]
struct WireTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl WireTime {
    fn into_time(self) -> Option<Time> {
        (self.seconds != 0 || self.nanos != 0).then(|| Time::from_unix_seconds(self.seconds))
    }
}

/// meta.v1.ObjectMeta.
#[derive(Message)]
struct WireMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    generate_name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "5")]
    uid: String,
    #[prost(string, tag = "6")]
    resource_version: String,
    #[prost(int64, tag = "7")]
    generation: i64,
    #[prost(message, optional, tag = "8")]
    creation_timestamp: Option<WireTime>,
    #[prost(message, optional, tag = "9")]
    deletion_timestamp: Option<WireTime>,
    #[prost(int64, optional, tag = "10")]
    deletion_grace_period_seconds: Option<i64>,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    annotations: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "13")]
    owner_references: Vec<WireOwner>,
    #[prost(string, repeated, tag = "14")]
    finalizers: Vec<String>,
}

/// meta.v1.OwnerReference.
#[derive(Message)]
struct WireOwner {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    uid: String,
    #[prost(string, tag = "5")]
    api_version: String,
    #[prost(bool, optional, tag = "6")]
    controller: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    block_owner_deletion: Option<bool>,
}

impl WireMeta {
    fn into_meta(self) -> Result<ObjectMeta, Fault> {
        let owner = |owner: WireOwner| OwnerReference {
            api_version: owner.api_version.into(),
            kind: owner.kind.into(),
            name: owner.name.into(),
            uid: owner.uid.into(),
            controller: owner.controller,
            block_owner_deletion: owner.block_owner_deletion,
        };
        Ok(ObjectMeta {
            name: self.name.into(),
            generate_name: some(self.generate_name),
            namespace: self.namespace.into(),
            uid: self.uid.into(),
            resource_version: version(&self.resource_version)?,
            generation: self.generation,
            creation_timestamp: self.creation_timestamp.and_then(WireTime::into_time),
            deletion_timestamp: self.deletion_timestamp.and_then(WireTime::into_time),
            deletion_grace_period_seconds: self.deletion_grace_period_seconds,
            labels: shared(self.labels),
            annotations: shared(self.annotations),
            owner_references: Arc::new(self.owner_references.into_iter().map(owner).collect()),
            finalizers: Arc::new(self.finalizers.into_iter().map(Str::from).collect()),
        })
    }
}

/// core.v1.PodList.
#[derive(Message)]
struct WirePodList {
    #[prost(message, optional, tag = "1")]
    metadata: Option<WireListMeta>,
    #[prost(message, repeated, tag = "2")]
    items: Vec<WirePod>,
}

/// core.v1.Pod.
#[derive(Message)]
struct WirePod {
    #[prost(message, optional, tag = "1")]
    metadata: Option<WireMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<WirePodSpec>,
    #[prost(message, optional, tag = "3")]
    status: Option<WirePodStatus>,
}

/// core.v1.PodSpec.
#[derive(Message)]
struct WirePodSpec {
    #[prost(string, tag = "3")]
    restart_policy: String,
    #[prost(string, tag = "10")]
    node_name: String,
    #[prost(string, tag = "16")]
    hostname: String,
    #[prost(message, optional, tag = "18")]
    affinity: Option<WireAffinity>,
    #[prost(message, repeated, tag = "20")]
    init_containers: Vec<WireContainer>,
}

/// core.v1.Affinity.
#[derive(Message)]
struct WireAffinity {
    #[prost(message, optional, tag = "1")]
    node_affinity: Option<WireNodeAffinity>,
}

/// core.v1.NodeAffinity.
#[derive(Message)]
struct WireNodeAffinity {
    #[prost(message, optional, tag = "1")]
    required: Option<WireNodeSelector>,
}

/// core.v1.NodeSelector.
#[derive(Message)]
struct WireNodeSelector {
    #[prost(message, repeated, tag = "1")]
    terms: Vec<WireNodeSelectorTerm>,
}

/// core.v1.NodeSelectorTerm.
#[derive(Message)]
struct WireNodeSelectorTerm {
    #[prost(message, repeated, tag = "2")]
    match_fields: Vec<WireNodeSelectorRequirement>,
}

/// core.v1.NodeSelectorRequirement.
#[derive(Message)]
struct WireNodeSelectorRequirement {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    operator: String,
    #[prost(string, repeated, tag = "3")]
    values: Vec<String>,
}

impl WireAffinity {
    /// The node that a Pod with this affinity may alone run on (as [`Affinity::only_node`]).
    ///
    /// [`Affinity::only_node`]: windlass_core::kube::Affinity::only_node
    fn only_node(self) -> Option<Str> {
        let required = self.node_affinity?.required?;
        let mut fields = required.terms.into_iter().flat_map(|term| term.match_fields);
        let field = fields.find(|field| field.key == NODE_NAME_FIELD && field.operator == "In")?;
        let [name] = <[String; 1]>::try_from(field.values).ok()?;
        Some(name.into())
    }
}

/// core.v1.Container.
#[derive(Message)]
struct WireContainer {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "24")]
    restart_policy: String,
}

/// core.v1.PodStatus.
#[derive(Message)]
struct WirePodStatus {
    #[prost(string, tag = "1")]
    phase: String,
    #[prost(message, repeated, tag = "2")]
    conditions: Vec<WireCondition>,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(message, optional, tag = "7")]
    start_time: Option<WireTime>,
    #[prost(message, repeated, tag = "8")]
    container_statuses: Vec<WireContainerStatus>,
    #[prost(message, repeated, tag = "10")]
    init_container_statuses: Vec<WireContainerStatus>,
}

/// core.v1.PodCondition.
#[derive(Message)]
struct WireCondition {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    status: String,
    #[prost(message, optional, tag = "4")]
    last_transition_time: Option<WireTime>,
    #[prost(string, tag = "5")]
    reason: String,
}

/// core.v1.ContainerStatus.
#[derive(Message)]
struct WireContainerStatus {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    state: Option<WireContainerState>,
    #[prost(bool, tag = "4")]
    ready: bool,
    #[prost(int32, tag = "5")]
    restart_count: i32,
}

/// core.v1.ContainerState.
#[derive(Message)]
struct WireContainerState {
    #[prost(message, optional, tag = "3")]
    terminated: Option<WireTerminated>,
}

/// core.v1.ContainerStateTerminated.
#[derive(Message)]
struct WireTerminated {
    #[prost(int32, tag = "1")]
    exit_code: i32,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(message, optional, tag = "6")]
    finished_at: Option<WireTime>,
}

impl WirePod {
    fn into_pod(self) -> Result<Pod, Fault> {
        Ok(Pod {
            metadata: self.metadata.unwrap_or_default().into_meta()?,
            spec: Arc::new(self.spec.unwrap_or_default().into_spec()),
            status: Arc::new(self.status.unwrap_or_default().into_status()),
        })
    }
}

impl WirePodSpec {
    fn into_spec(self) -> PodSpec {
        let sidecars = self.init_containers.into_iter().filter(|one| one.restart_policy == "Always");
        PodSpec {
            node_name: some(self.node_name),
            hostname: some(self.hostname),
            restart_policy: some(self.restart_policy),
            pinned_to: self.affinity.and_then(WireAffinity::only_node),
            sidecars: sidecars.map(|one| one.name.into()).collect(),
        }
    }
}

impl WirePodStatus {
    fn into_status(self) -> PodStatus {
        let statuses =
            |list: Vec<WireContainerStatus>| list.into_iter().map(WireContainerStatus::into_status).collect();
        PodStatus {
            phase: phase(&self.phase),
            conditions: self.conditions.into_iter().map(WireCondition::into_condition).collect(),
            reason: some(self.reason),
            message: some(self.message),
            start_time: self.start_time.and_then(WireTime::into_time),
            container_statuses: statuses(self.container_statuses),
            init_container_statuses: statuses(self.init_container_statuses),
        }
    }
}

fn phase(text: &str) -> PodPhase {
    match text {
        "" | "Pending" => PodPhase::Pending,
        "Running" => PodPhase::Running,
        "Succeeded" => PodPhase::Succeeded,
        "Failed" => PodPhase::Failed,
        _ => PodPhase::Unknown,
    }
}

impl WireCondition {
    fn into_condition(self) -> PodCondition {
        PodCondition {
            kind: self.kind.into(),
            status: match self.status.as_str() {
                "True" => ConditionStatus::True,
                "False" => ConditionStatus::False,
                _ => ConditionStatus::Unknown,
            },
            last_transition_time: self.last_transition_time.and_then(WireTime::into_time),
            reason: some(self.reason),
        }
    }
}

impl WireContainerStatus {
    fn into_status(self) -> ContainerStatus {
        let terminated = self.state.and_then(|state| state.terminated);
        let terminated = terminated.map(|terminated| ContainerStateTerminated {
            exit_code: terminated.exit_code,
            reason: some(terminated.reason),
            finished_at: terminated.finished_at.and_then(WireTime::into_time),
        });
        ContainerStatus {
            name: self.name.into(),
            restart_count: u32::try_from(self.restart_count).unwrap_or_default(),
            ready: self.ready,
            state: ContainerState { terminated },
        }
    }
}

#[cfg(test)]
mod tests {
    use windlass_core::kube::Kind;

    use super::super::client::Encoding;
    use super::super::{decode, watcher};
    use super::*;

    /// What kube-apiserver 1.37.1 answered, in both encodings.
    const PODS: &[u8] = include_bytes!("../../../tests/golden/protobuf/pods.pb");
    const PODS_AS_JSON: &[u8] = include_bytes!("../../../tests/golden/protobuf/pods.json");
    const REFUSAL: &[u8] = include_bytes!("../../../tests/golden/protobuf/refusal.pb");
    const REFUSAL_AS_JSON: &[u8] = include_bytes!("../../../tests/golden/protobuf/refusal.json");
    const WATCH: &[u8] = include_bytes!("../../../tests/golden/protobuf/watch.pb");

    #[test]
    fn pods_are_the_same_in_either_encoding() {
        let [in_protobuf, in_json] = [(Encoding::Protobuf, PODS), (Encoding::Json, PODS_AS_JSON)]
            .map(|(encoding, body)| decode::page(Kind::Pod, encoding, body).expect("a page"));
        assert_eq!(in_protobuf.objects.len(), 2);
        assert_eq!(in_protobuf.objects, in_json.objects);
        assert_eq!((in_protobuf.version, in_protobuf.next), (in_json.version, in_json.next));
    }

    #[test]
    fn a_refusal_is_the_same_in_either_encoding() {
        let [in_protobuf, in_json] = [(Encoding::Protobuf, REFUSAL), (Encoding::Json, REFUSAL_AS_JSON)]
            .map(|(encoding, body)| decode::refusal(404, encoding, body, None));
        assert!(in_protobuf.is_not_found() && in_protobuf.message.contains("none"), "{in_protobuf:?}");
        assert_eq!(in_protobuf, in_json);
        // Where the body says nothing, the code does.
        assert_eq!(&*decode::refusal(409, Encoding::Protobuf, b"k8s", None).reason, "Conflict");
        assert_eq!(pod(REFUSAL).expect("an answer"), None);
    }

    #[test]
    fn a_watch_tells_the_pods_of_the_list_and_how_far_it_got() {
        let listed = page(PODS).expect("a page");
        let mut frames = watcher::Pieces::new(Encoding::Protobuf);
        frames.add(WATCH);
        let mut applied = Vec::new();
        let mut reached = None;
        while let Some(frame) = frames.next() {
            match watch_frame(&frame) {
                WatchBody::Applied(pod) => applied.push(pod),
                WatchBody::Bookmark(version) => reached = Some(version),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(applied, listed.objects);
        assert_eq!(reached, Some(listed.version));
        assert_eq!(frames.pending(), 0);
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_no_object() {
        // The last four bytes are two empty texts.
        for length in 0..PODS.len() - 4 {
            assert!(page(&PODS[..length]).is_err(), "{length}");
        }
        assert!(page(REFUSAL).is_err());
        assert!(matches!(watch_frame(b"\x0a\x05NOVEL"), WatchBody::Ended(WatchEnd::Undecodable(_))));
        assert!(matches!(watch_frame(b"\x0a\x05ADDED"), WatchBody::Ended(WatchEnd::Undecodable(_))));
    }
}
