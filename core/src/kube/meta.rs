//! Object metadata and label selectors.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Kind, Time};

/// Shared text: copies cost a reference count.
pub type Str = Arc<str>;
/// An object's unique identifier, as the API server gave it.
pub type Uid = Arc<str>;
/// Labels or annotations, in key order.
pub type Labels = BTreeMap<Str, Str>;

/// A resourceVersion; comparable within one resource only (KEP-5504).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceVersion(pub u64);

impl fmt::Display for ResourceVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl Serialize for ResourceVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

impl<'de> Deserialize<'de> for ResourceVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Str>::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|_| de::Error::custom(format!("resourceVersion {text:?} is not a number")))
    }
}

impl ResourceVersion {
    fn is_unset(&self) -> bool {
        self.0 == 0
    }
}

/// The metadata fields that the controllers read or write back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Name, unique within kind and namespace.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: Str,
    /// Prefix from which the server made the name, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<Str>,
    /// Namespace; empty for cluster-wide kinds.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: Str,
    /// Identity of this incarnation of the name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: Uid,
    /// Version of the stored object; zero when unknown.
    #[serde(skip_serializing_if = "ResourceVersion::is_unset")]
    pub resource_version: ResourceVersion,
    /// Counts changes of the desired state; zero when the kind has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When the server stored it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Time>,
    /// Set once deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Time>,
    /// Seconds allowed between the deletion request and removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Labels.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub labels: Arc<Labels>,
    /// Annotations.
    #[serde(skip_serializing_if = "is_empty_map")]
    pub annotations: Arc<Labels>,
    /// Owners; at most one has `controller` set.
    #[serde(skip_serializing_if = "is_empty_list")]
    pub owner_references: Arc<Vec<OwnerReference>>,
    /// What must be removed before the object goes.
    #[serde(skip_serializing_if = "is_empty_list")]
    pub finalizers: Arc<Vec<Str>>,
}

impl ObjectMeta {
    /// The reference of the controlling owner, if there is one.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|reference| reference.controller == Some(true))
    }

    /// Whether `name` is among the finalizers.
    #[must_use]
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| &**finalizer == name)
    }

    /// Whether deletion was asked for.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// A link from an object to one that owns it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: Str,
    /// Kind of the owner.
    pub kind: Str,
    /// Name of the owner.
    pub name: Str,
    /// Uid of the owner.
    pub uid: Uid,
    /// Whether this owner manages the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether foreground deletion of the owner waits for the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

impl OwnerReference {
    /// Whether the owner is of `kind`, in the version that the controllers use.
    #[must_use]
    pub fn names(&self, kind: Kind) -> bool {
        *self.kind == *kind.name() && *self.api_version == *kind.api_version()
    }
}

/// A label selector: all of its parts must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Exact values by label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: Labels,
    /// Requirements by operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorRequirement {
    /// Label that it is about.
    pub key: Str,
    /// What must hold.
    pub operator: SelectorOperator,
    /// Values for `In` and `NotIn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Str>,
}

/// Operators of a selector requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectorOperator {
    /// The label has one of the values.
    #[default]
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label exists.
    Exists,
    /// The label does not exist.
    DoesNotExist,
    /// One that this version does not know; it matches nothing.
    #[serde(untagged)]
    Other(Str),
}

impl LabelSelector {
    /// Whether the selector has no part at all; as upstream, it then matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether every part of the selector matches `labels`.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl SelectorRequirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
            SelectorOperator::Other(_) => false,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_empty_map(map: &Arc<Labels>) -> bool {
    map.is_empty()
}

fn is_empty_list<T>(list: &Arc<Vec<T>>) -> bool {
    list.is_empty()
}
