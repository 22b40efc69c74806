//! v1 Pod, as far as the controllers read it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::job::ConditionStatus;
use super::{JOB_TRACKING_FINALIZER, Job, ObjectMeta, Str, Time};

/// A Pod. Of its containers only the names of sidecars are decoded: nothing here decides by more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: Arc<PodSpec>,
    /// Observed state.
    pub status: Arc<PodStatus>,
}

impl Pod {
    /// Whether the Pod ended: phase Succeeded or Failed.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether the Pod's Job has still to count it.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.metadata.has_finalizer(JOB_TRACKING_FINALIZER)
    }

    /// Whether the Pod's end may have to be counted yet: then its finalizer may go only from the Pod as it was
    /// seen, since it may have ended meanwhile.
    ///
    /// Not so if it ended, or is recorded, or if its Job succeeds, with which nothing counts any more that had
    /// not ended. A Pod without its Job is let go only as it was seen, too: it may have been adopted.
    #[must_use]
    pub fn may_yet_count(&self, job: Option<&Job>, is_recorded: bool) -> bool {
        !is_recorded && !job.is_some_and(|job| self.is_terminal() || job.has_met_success_criteria())
    }

    /// The node that the Pod was bound to, or else may alone run on, if it names one (upstream: GetTargetNodeName).
    #[must_use]
    pub fn target_node(&self) -> Option<&Str> {
        let bound_to = self.spec.node_name.as_ref().filter(|name| !name.is_empty());
        bound_to.or(self.spec.pinned_to.as_ref())
    }

    /// Statuses of the init containers that run along with the containers.
    pub fn sidecar_statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        let statuses = self.status.init_container_statuses.iter();
        statuses.filter(|status| self.spec.sidecars.contains(&status.name))
    }

    /// The Ready condition, if it is reported.
    #[must_use]
    pub fn ready_condition(&self) -> Option<&PodCondition> {
        self.status.conditions.iter().find(|condition| &*condition.kind == "Ready")
    }
}

/// The slim part of a Pod's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Node that it was bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<Str>,
    /// Host name inside the Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Str>,
    /// Always, OnFailure or Never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<Str>,
    /// Node on which alone it may run, as its affinity says.
    #[serde(rename = "affinity", skip_serializing_if = "Option::is_none", with = "pinned")]
    pub pinned_to: Option<Str>,
    /// Names of the init containers that run along with the containers; the others are not kept.
    #[serde(rename = "initContainers", skip_serializing_if = "Vec::is_empty", with = "sidecars")]
    pub sidecars: Vec<Str>,
}

/// The slim part of a Pod's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// Where the Pod is in its life.
    pub phase: PodPhase,
    /// Conditions, in the order reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<PodCondition>,
    /// Why it is in this phase, in CamelCase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Str>,
    /// Why it is in this phase, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Str>,
    /// When the kubelet saw it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// One entry for each container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// One entry for each init container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// Phase of a Pod's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// The node has not been heard from, or the phase is one that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One condition of a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCondition {
    /// Type of the condition, such as Ready or DisruptionTarget.
    #[serde(rename = "type")]
    pub kind: Str,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// When the status changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, in CamelCase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Str>,
}

/// State of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Name of the container.
    pub name: Str,
    /// How often the kubelet started it again.
    pub restart_count: u32,
    /// Whether it passes its readiness probe.
    pub ready: bool,
    /// What it does now.
    pub state: ContainerState,
}

/// What a container does now; only its end matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Set once it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStateTerminated {
    /// Exit code of its process.
    pub exit_code: i32,
    /// Why, in CamelCase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Str>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// The node of a Pod that its affinity ties to one, as DaemonSets' Pods are before they are bound.
mod pinned {
    use alloc::string::String;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
    use serde_json::value::RawValue;

    use super::Str;
    use crate::kube::{Affinity, pod_affinity};

    pub(super) fn serialize<S: Serializer>(node: &Option<Str>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(node) = node else { return serializer.serialize_none() };
        let text: String = pod_affinity(None, node).map_err(ser::Error::custom)?;
        RawValue::from_string(text).map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Str>, D::Error> {
        let affinity = Option::<Affinity>::deserialize(deserializer)?.unwrap_or_default();
        Ok(affinity.only_node().cloned())
    }
}

/// Sidecars as the API writes them: init containers whose restartPolicy is Always.
mod sidecars {
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Str;

    const ALWAYS: &str = "Always";

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct InitContainer {
        #[serde(default)]
        name: Str,
        #[serde(default)]
        restart_policy: Option<Str>,
    }

    pub(super) fn serialize<S: Serializer>(names: &[Str], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            names
                .iter()
                .map(|name| InitContainer { name: name.clone(), restart_policy: Some(ALWAYS.into()) }),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Str>, D::Error> {
        let all = Option::<Vec<InitContainer>>::deserialize(deserializer)?.unwrap_or_default();
        let sidecars = all.into_iter().filter(|one| one.restart_policy.as_deref() == Some(ALWAYS));
        Ok(sidecars.map(|one| one.name).collect())
    }
}
