//! PolicyPlugin and PolicyBinding: the resources by which a cluster says which plugins there are, and what they decide.
//!
//! Their schemas are derived from the types here; `windlass manifests` prints them. An object that the schema takes may
//! still say nothing that can be done, which [`Offered::of`] and [`rule`] tell.

#![cfg_attr(
    feature = "shell",
    expect(clippy::duplicated_attributes, reason = "columns are of the same types")
)]

mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::kube::{LabelSelector, ObjectMeta, SelectorOperator, SelectorRequirement, Str};

use super::Digest;
use super::binding::{OnFailure, Rule};
use super::decision::Decision;
use crate::key::Name;

#[cfg(feature = "shell")]
use status::schema;
pub use status::{BindingReplica, Condition, PluginReplica, PolicyBindingStatus, PolicyPluginStatus};

/// API group of both resources.
pub const GROUP: &str = "policy.windlass.dev";
/// Version of both resources.
pub const VERSION: &str = "v1alpha1";
/// Their `apiVersion`.
pub const API_VERSION: &str = "policy.windlass.dev/v1alpha1";
/// Most milliseconds that a plugin may be given for a call.
pub const MAX_DEADLINE_MS: u32 = 1_000;
/// Most memory that a plugin may be given for a call, MiB.
pub const MAX_MEMORY_MIB: u32 = 64;

/// A policy plugin: where its bytes are, what it may use, and for whom it decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(kube::CustomResource, schemars::JsonSchema))]
#[cfg_attr(
    feature = "shell",
    kube(
        group = "policy.windlass.dev",
        version = "v1alpha1",
        kind = "PolicyPlugin",
        status = "PolicyPluginStatus",
        doc = "A policy plugin: a WebAssembly component that decides in place of a built-in policy.",
        printcolumn(
            name = "Loaded",
            type_ = "string",
            json_path = ".status.replicas[0].conditions[?(@.type==\"Loaded\")].status"
        ),
        printcolumn(
            name = "Up to date",
            type_ = "string",
            json_path = ".status.replicas[0].conditions[?(@.type==\"UpToDate\")].reason"
        ),
        printcolumn(name = "Version", type_ = "string", json_path = ".status.replicas[0].version"),
        printcolumn(
            name = "Digest",
            type_ = "string",
            priority = "1",
            json_path = ".status.replicas[0].digest"
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPluginSpec {
    /// Where the component is.
    pub source: Source,
    /// SHA-256 of the component, as `sha256:` and 64 hexadecimal digits; another one is not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schemars(regex(pattern = "^sha256:[0-9a-f]{64}$")))]
    pub digest: Option<String>,
    /// What one call may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// Namespaces for whose objects it may decide; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<Vec<String>>,
}

/// Where a component is: one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A file that the controller sees.
    File(FileSource),
    /// An artifact of a registry.
    Oci(OciSource),
    /// A ConfigMap in the controller's own namespace.
    ConfigMap(ConfigMapSource),
}

/// A file that the controller sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// Its path: absolute, or relative to the directory of `--plugin-dir`.
    #[cfg_attr(feature = "shell", schemars(length(min = 1, max = 4096)))]
    pub path: String,
}

/// An artifact of a registry, named by the digest of its manifest, so that it is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OciSource {
    /// Such as `registry.example.com/policies/retry@sha256:` and 64 hexadecimal digits; a tag before the digest is for
    /// people.
    #[cfg_attr(feature = "shell", schemars(regex(pattern = "^[^@\\s]+@sha256:[0-9a-f]{64}$")))]
    pub reference: String,
    /// Whether the registry speaks plain HTTP; what comes is held to the digest all the same.
    #[serde(default)]
    pub plain_http: bool,
}

/// A ConfigMap in the controller's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// Its name.
    #[cfg_attr(feature = "shell", schemars(length(min = 1, max = 253)))]
    pub name: String,
    /// Key of its `binaryData`.
    #[cfg_attr(feature = "shell", schemars(length(min = 1, max = 253)))]
    pub key: String,
}

/// What one call of a plugin may use; what is absent is as the controller's flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Time, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schemars(with = "Option<i32>", range(min = 1, max = 1000)))]
    pub deadline_milliseconds: Option<u32>,
    /// Memory, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schemars(with = "Option<i32>", range(min = 1, max = 64)))]
    pub memory_mebibytes: Option<u32>,
}

/// For what a plugin decides in a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(kube::CustomResource, schemars::JsonSchema))]
#[cfg_attr(
    feature = "shell",
    kube(
        group = "policy.windlass.dev",
        version = "v1alpha1",
        kind = "PolicyBinding",
        namespaced,
        status = "PolicyBindingStatus",
        doc = "For which objects of its namespace a policy plugin decides.",
        printcolumn(name = "Decision", type_ = "string", json_path = ".spec.decision"),
        printcolumn(name = "Plugin", type_ = "string", json_path = ".spec.plugin"),
        printcolumn(
            name = "Bound",
            type_ = "string",
            json_path = ".status.replicas[0].conditions[?(@.type==\"Bound\")].status"
        ),
        printcolumn(
            name = "Answering",
            type_ = "string",
            json_path = ".status.replicas[0].conditions[?(@.type==\"Answering\")].status"
        ),
        printcolumn(name = "Version", type_ = "string", json_path = ".status.replicas[0].version"),
        printcolumn(name = "Priority", type_ = "integer", priority = "1", json_path = ".spec.priority"),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBindingSpec {
    /// What it decides.
    pub decision: DecisionName,
    /// Name of the PolicyPlugin, or of a plugin in the controller's `--plugin-dir`.
    #[cfg_attr(feature = "shell", schemars(length(min = 1, max = 253)))]
    pub plugin: String,
    /// The objects of this namespace that are concerned, by their labels; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorSpec>,
    /// Settings, as the plugin's schema describes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::any_object"))]
    pub settings: Option<Value>,
    /// Which of two bindings decides for an object that both select: the larger number, then the first name.
    #[serde(default)]
    pub priority: i32,
    /// What happens where the plugin gives no answer that can be used: the built-in policy answers, what was asked about
    /// waits, or it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What a plugin decides, as the resource spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DecisionName {
    /// When a Pod that failed may be tried again.
    Backoff,
    /// At which instants a schedule fires.
    Schedule,
    /// Which missed runs are made.
    MissedRuns,
    /// Which nodes of a DaemonSet are updated next.
    Rollout,
    /// Whether a Job may start.
    Admission,
}

/// A selector of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SelectorSpec {
    /// Values that labels must have.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that labels must meet.
    #[serde(default)]
    pub match_expressions: Vec<RequirementSpec>,
}

/// A requirement that a label must meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RequirementSpec {
    /// The label.
    pub key: String,
    /// What must hold.
    pub operator: OperatorName,
    /// Values, for `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What must hold of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
pub enum OperatorName {
    /// It has one of the values.
    In,
    /// It has none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A PolicyPlugin that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its name.
    pub name: Str,
    /// Its generation.
    pub generation: i64,
    /// Where its bytes are.
    pub source: Source,
    /// What they must hash to, if that is said.
    pub digest: Option<Digest>,
    /// What a call may use.
    pub limits: Limits,
    /// For whose objects it decides; absent: for all.
    pub namespaces: Option<BTreeSet<Str>>,
}

/// What one call of a plugin may use; what is absent is as the engine's options say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time, milliseconds.
    pub deadline_ms: Option<u32>,
    /// Memory, bytes.
    pub memory_bytes: Option<usize>,
}

/// What is wrong with a PolicyPlugin or PolicyBinding: its author's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceFault {
    /// The text is none of the kind; what is wrong, for people.
    Malformed(String),
    /// The digest is none.
    Digest(String),
    /// The reference of an artifact names no digest.
    NoDigest(String),
    /// A limit is none that may be given.
    Limit {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// Largest value.
        most: u32,
    },
}

impl Offered {
    /// What a PolicyPlugin of this metadata and spec says.
    ///
    /// # Errors
    /// A [`ResourceFault`] that says what cannot be done.
    pub fn of(metadata: &ObjectMeta, spec: &Value) -> Result<Self, ResourceFault> {
        let spec: PolicyPluginSpec = parse(spec)?;
        let digest = match spec.digest {
            Some(text) => Some(Digest::parse(&text).ok_or(ResourceFault::Digest(text))?),
            None => None,
        };
        if let Source::Oci(OciSource { reference, .. }) = &spec.source
            && reference.split_once('@').and_then(|(_, digest)| Digest::parse(digest)).is_none()
        {
            return Err(ResourceFault::NoDigest(reference.clone()));
        }
        let limits = spec.limits.unwrap_or_default();
        let within = |field, value: Option<u32>, most| match value {
            Some(value) if value == 0 || value > most => Err(ResourceFault::Limit { field, value, most }),
            value => Ok(value),
        };
        let deadline_ms =
            within("limits.deadlineMilliseconds", limits.deadline_milliseconds, MAX_DEADLINE_MS)?;
        let memory_mib = within("limits.memoryMebibytes", limits.memory_mebibytes, MAX_MEMORY_MIB)?;
        let memory_bytes = memory_mib.and_then(|mib| usize::try_from(mib).ok()).map(|mib| mib << 20);
        let namespaces = spec.allowed_namespaces;
        Ok(Self {
            name: metadata.name.clone(),
            generation: metadata.generation,
            source: spec.source,
            digest,
            limits: Limits { deadline_ms, memory_bytes },
            namespaces: namespaces.map(|names| names.into_iter().map(Str::from).collect()),
        })
    }
}

/// What a PolicyBinding of this metadata and spec says.
///
/// # Errors
/// [`ResourceFault::Malformed`].
pub fn rule(metadata: &ObjectMeta, spec: &Value) -> Result<Rule, ResourceFault> {
    let spec: PolicyBindingSpec = parse(spec)?;
    Ok(Rule {
        name: Name::of(metadata),
        decision: spec.decision.into(),
        selector: spec.selector.map(LabelSelector::from),
        plugin: Str::from(spec.plugin),
        settings: spec.settings.as_ref().map(|settings| Str::from(canonical(settings))).unwrap_or_default(),
        priority: spec.priority,
        on_failure: spec.on_failure,
    })
}

fn parse<T: for<'de> Deserialize<'de>>(spec: &Value) -> Result<T, ResourceFault> {
    T::deserialize(spec).map_err(|error| ResourceFault::Malformed(error.to_string()))
}

/// JSON text with the fields of every object by name: the same for the same settings.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

impl From<DecisionName> for Decision {
    fn from(name: DecisionName) -> Self {
        match name {
            DecisionName::Backoff => Self::Backoff,
            DecisionName::Schedule => Self::Schedule,
            DecisionName::MissedRuns => Self::MissedRuns,
            DecisionName::Rollout => Self::Rollout,
            DecisionName::Admission => Self::Admission,
        }
    }
}

impl From<SelectorSpec> for LabelSelector {
    fn from(spec: SelectorSpec) -> Self {
        let requirement = |spec: RequirementSpec| SelectorRequirement {
            key: Str::from(spec.key),
            operator: match spec.operator {
                OperatorName::In => SelectorOperator::In,
                OperatorName::NotIn => SelectorOperator::NotIn,
                OperatorName::Exists => SelectorOperator::Exists,
                OperatorName::DoesNotExist => SelectorOperator::DoesNotExist,
            },
            values: spec.values.into_iter().map(Str::from).collect(),
        };
        let labels = spec.match_labels.into_iter();
        Self {
            match_labels: labels.map(|(key, value)| (Str::from(key), Str::from(value))).collect(),
            match_expressions: spec.match_expressions.into_iter().map(requirement).collect(),
        }
    }
}

impl ResourceFault {
    /// The word for it in conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed",
            Self::Digest(_) | Self::NoDigest(_) => "BadDigest",
            Self::Limit { .. } => "BadLimit",
        }
    }
}

impl fmt::Display for ResourceFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(formatter, "its spec cannot be read: {reason}"),
            Self::Digest(text) => {
                write!(formatter, "spec.digest is {text:?}; give sha256: and 64 hexadecimal digits")
            }
            Self::NoDigest(reference) => write!(
                formatter,
                "spec.source.oci.reference is {reference:?}, which may be another artifact tomorrow; give its digest \
                 as in NAME@sha256:..., which `windlass plugin push` prints"
            ),
            Self::Limit { field, value, most } => {
                write!(formatter, "spec.{field} is {value}; give 1 to {most}")
            }
        }
    }
}

impl std::error::Error for ResourceFault {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> ObjectMeta {
        ObjectMeta { name: "retry".into(), namespace: "ops".into(), generation: 3, ..ObjectMeta::default() }
    }

    #[test]
    fn a_plugin_is_offered_with_its_source_limits_and_namespaces() {
        let reference = format!("registry.example.com/retry:1.2@sha256:{}", "ab".repeat(32));
        let spec = json!({
            "source": { "oci": { "reference": reference } },
            "limits": { "deadlineMilliseconds": 5, "memoryMebibytes": 8 },
            "allowedNamespaces": ["ops"],
        });
        let offered = Offered::of(&metadata(), &spec).expect("an offer");
        assert_eq!(offered.source, Source::Oci(OciSource { reference, plain_http: false }));
        assert_eq!(offered.limits, Limits { deadline_ms: Some(5), memory_bytes: Some(8 << 20) });
        assert_eq!(offered.namespaces, Some(BTreeSet::from(["ops".into()])));
        assert_eq!((offered.generation, offered.digest), (3, None));
    }

    #[test]
    fn what_cannot_be_done_is_told_with_the_field() {
        let told = |spec: Value| Offered::of(&metadata(), &spec).expect_err("a fault").to_string();
        let file = json!({ "file": { "path": "retry.wasm" } });
        for (spec, expected) in [
            (json!({}), "its spec cannot be read: missing field `source`"),
            (
                json!({ "source": file, "digest": "sha256:12" }),
                "spec.digest is \"sha256:12\"; give sha256: and 64 hexadecimal digits",
            ),
            (
                json!({ "source": file, "limits": { "memoryMebibytes": 65 } }),
                "spec.limits.memoryMebibytes is 65; give 1 to 64",
            ),
            (
                json!({ "source": file, "limits": { "deadlineMilliseconds": 0 } }),
                "spec.limits.deadlineMilliseconds is 0; give 1 to 1000",
            ),
        ] {
            assert_eq!(told(spec), expected);
        }
        let tag = json!({ "source": { "oci": { "reference": "registry.example.com/retry:latest" } } });
        assert!(told(tag).contains("may be another artifact tomorrow"));
    }

    #[test]
    fn a_binding_makes_a_rule_and_its_settings_have_one_text() {
        let spec = json!({
            "decision": "missed-runs",
            "plugin": "every",
            "selector": {
                "matchLabels": { "team": "data" },
                "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["gold"] }],
            },
            "settings": { "b": [1, { "z": true, "a": "é\"" }], "a": null },
            "priority": -2,
            "onFailure": "Hold",
        });
        let rule = rule(&metadata(), &spec).expect("a rule");
        assert_eq!(rule.name.to_string(), "ops/retry");
        assert_eq!((rule.decision, rule.priority), (Decision::MissedRuns, -2));
        assert_eq!(rule.on_failure, OnFailure::Hold);
        assert_eq!(&*rule.settings, r#"{"a":null,"b":[1,{"a":"é\"","z":true}]}"#);
        let selector = rule.selector.expect("a selector");
        let labels =
            |tier: &str| [("team", "data"), ("tier", tier)].map(|(k, v)| (k.into(), v.into())).into();
        assert!(selector.matches(&labels("silver")) && !selector.matches(&labels("gold")));
    }
}
