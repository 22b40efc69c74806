//! What the controller says of PolicyPlugins and PolicyBindings: an entry for each of its replicas.

use serde::{Deserialize, Serialize};
use windlass_core::kube::Time;

/// What became of a PolicyPlugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyPluginStatus {
    /// What each replica of the controller has loaded.
    #[serde(default)]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::by_name::<PluginReplica>"))]
    pub replicas: Vec<PluginReplica>,
}

/// What one replica of the controller has loaded of a PolicyPlugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PluginReplica {
    /// Name of the replica: that of its Pod or machine.
    pub name: String,
    /// SHA-256 of what is loaded; absent: nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it says is its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
    /// Since when it decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::optional_time"))]
    pub since: Option<Time>,
    /// `Loaded`: whether something is loaded; `UpToDate`: whether that is what the source holds, and why not.
    #[serde(default)]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::by_type::<Condition>"))]
    pub conditions: Vec<Condition>,
}

/// What became of a PolicyBinding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyBindingStatus {
    /// What each replica of the controller makes of it.
    #[serde(default)]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::by_name::<BindingReplica>"))]
    pub replicas: Vec<BindingReplica>,
}

/// What one replica of the controller makes of a PolicyBinding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BindingReplica {
    /// Name of the replica: that of its Pod or machine.
    pub name: String,
    /// SHA-256 of the plugin that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it says is its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `Bound`: whether the plugin may answer; `Answering`: whether its last answer was used, and why not.
    #[serde(default)]
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::by_type::<Condition>"))]
    pub conditions: Vec<Condition>,
}

/// A condition as Kubernetes writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When its status changed last.
    #[cfg_attr(feature = "shell", schemars(schema_with = "schema::time"))]
    pub last_transition_time: Time,
    /// Generation of the object that it is about.
    #[serde(default)]
    pub observed_generation: i64,
}

/// Parts of the schemas that are not derived.
#[cfg(feature = "shell")]
pub(super) mod schema {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    /// An object with any fields.
    pub(in crate::plugin::resource) fn any_object(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
    }

    /// A list of which each item is told by its name, so that every replica owns its own.
    pub(in crate::plugin::resource) fn by_name<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        keyed::<T>(generator, "name")
    }

    /// A list of which each item is told by its type.
    pub(in crate::plugin::resource) fn by_type<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
        keyed::<T>(generator, "type")
    }

    fn keyed<T: JsonSchema>(generator: &mut SchemaGenerator, key: &str) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({
            "type": "array",
            "items": items,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [key],
        })
    }

    /// An instant.
    pub(in crate::plugin::resource) fn time(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }

    /// An instant, or nothing.
    pub(in crate::plugin::resource) fn optional_time(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "nullable": true })
    }
}
