//! apps/v1 DaemonSet, whole but for its Pod template, which stays the text it came in.

use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, LabelSelector, ObjectMeta, OwnerReference, Str};

/// A DaemonSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonSet {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Desired state; shared, since a status change leaves it as it is.
    pub spec: Arc<DaemonSetSpec>,
    /// Observed state.
    pub status: DaemonSetStatus,
}

impl DaemonSet {
    /// The reference that makes the DaemonSet the controller of a Pod or revision (upstream: metav1.NewControllerRef).
    #[must_use]
    pub fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: Kind::DaemonSet.api_version().into(),
            kind: Kind::DaemonSet.name().into(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// How often the template has changed, as the API server counts it in an annotation; `None` if it does not say.
    ///
    /// Upstream knows a Pod of the present template by this number, too (util.GetTemplateGeneration).
    #[must_use]
    pub fn template_generation(&self) -> Option<i64> {
        self.metadata.annotations.get(TEMPLATE_GENERATION_ANNOTATION)?.parse().ok()
    }
}

/// Annotation of a DaemonSet that counts the changes of its template (upstream: apps/v1 types.go).
pub const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";
/// Label of a Pod with the number that this annotation had when it was made (upstream: apps/v1 types.go).
pub const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

/// Desired state of a DaemonSet. Numbers are as the API server validated them: not negative.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetSpec {
    /// Which Pods are the DaemonSet's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// JSON text of what each Pod looks like, untouched: a revision holds it to the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Arc<RawValue>>,
    /// How a new template reaches the nodes.
    pub update_strategy: DaemonSetUpdateStrategy,
    /// Seconds for which a Pod must be ready to count as available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
    /// Most revisions kept besides those in use; the server's default is 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
}

impl PartialEq for DaemonSetSpec {
    fn eq(&self, other: &Self) -> bool {
        let text = |spec: &Self| spec.template.as_ref().map(|template| Str::from(template.get()));
        self.selector == other.selector
            && text(self) == text(other)
            && self.update_strategy == other.update_strategy
            && self.min_ready_seconds == other.min_ready_seconds
            && self.revision_history_limit == other.revision_history_limit
    }
}

/// How a new template reaches the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetUpdateStrategy {
    /// RollingUpdate, OnDelete, or a word of a later version.
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    pub kind: Str,
    /// Limits of a rolling update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdateDaemonSet>,
}

/// Limits of a rolling update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdateDaemonSet {
    /// Most nodes whose Pod may be unavailable; the server's default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrPercent>,
    /// Most nodes that may have a second Pod; the server's default is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrPercent>,
}

/// A number, or a share of the nodes (upstream: intstr.IntOrString).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// A number.
    Int(i32),
    /// Text such as `10%`; anything else is no limit that can be read.
    Text(Str),
}

impl IntOrPercent {
    /// The number that it means of `total`, a share rounded up; `None` if it cannot be read.
    #[must_use]
    pub fn of(&self, total: u32) -> Option<u32> {
        match self {
            Self::Int(number) => Some(u32::try_from(*number).unwrap_or(0)),
            Self::Text(text) => {
                let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
                let share = u64::from(percent).saturating_mul(u64::from(total)).div_ceil(100);
                Some(u32::try_from(share).unwrap_or(u32::MAX))
            }
        }
    }
}

/// Observed state of a DaemonSet: how many nodes are so, see
/// [`DaemonSetStatusView`](crate::view::DaemonSetStatusView).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetStatus {
    /// Are to have a Pod and have one.
    pub current_number_scheduled: i32,
    /// Have a Pod and are not to have one.
    pub number_misscheduled: i32,
    /// Are to have a Pod.
    pub desired_number_scheduled: i32,
    /// Have a Pod that is ready.
    pub number_ready: i32,
    /// Generation that the counters are about.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Have a Pod of the present template.
    #[serde(skip_serializing_if = "is_none")]
    pub updated_number_scheduled: i32,
    /// Have a Pod that has been ready for long enough.
    #[serde(skip_serializing_if = "is_none")]
    pub number_available: i32,
    /// Are to have a Pod, and have none that has been ready for long enough.
    #[serde(skip_serializing_if = "is_none")]
    pub number_unavailable: i32,
    /// How often the name of a new revision was taken by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Conditions, as they came: no controller of this project writes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
}

/// Conditions as the text they came in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conditions(Arc<RawValue>);

impl PartialEq for Conditions {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(number: &i32) -> bool {
    *number == 0
}
