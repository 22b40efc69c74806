//! The spec of a Pod template, as far as a description shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use windlass_core::kube::{LabelSelector, Labels, PodTemplate, Str};

/// What a description shows of a Pod template's spec; what the manifest leaves out, or gives as null, is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TemplateSpec {
    #[serde(deserialize_with = "or_empty")]
    pub(super) service_account_name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) volumes: Vec<Map<String, Value>>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) topology_spread_constraints: Vec<TopologySpreadConstraint>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) priority_class_name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) node_selector: Labels,
    #[serde(deserialize_with = "or_empty")]
    pub(super) tolerations: Vec<Toleration>,
    pub(super) scheduling_group: Option<SchedulingGroup>,
}

impl TemplateSpec {
    /// What is shown of `template`; nothing of a spec that is absent or of another shape.
    pub(super) fn of(template: &PodTemplate) -> Self {
        template.spec.as_ref().and_then(|text| serde_json::from_str(text.get()).ok()).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) image: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) command: Vec<Str>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) args: Vec<Str>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) ports: Vec<ContainerPort>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) resources: Resources,
    pub(super) liveness_probe: Option<Probe>,
    pub(super) readiness_probe: Option<Probe>,
    pub(super) startup_probe: Option<Probe>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) env_from: Vec<EnvFrom>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) env: Vec<EnvVar>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) volume_mounts: Vec<VolumeMount>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) volume_devices: Vec<VolumeDevice>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) security_context: SecurityContext,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerPort {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    pub(super) container_port: i32,
    pub(super) host_port: i32,
    #[serde(deserialize_with = "or_empty")]
    pub(super) protocol: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    #[serde(deserialize_with = "or_empty")]
    pub(super) limits: BTreeMap<Str, Value>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) requests: BTreeMap<Str, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probe {
    pub(super) initial_delay_seconds: i32,
    pub(super) timeout_seconds: i32,
    pub(super) period_seconds: i32,
    pub(super) success_threshold: i32,
    pub(super) failure_threshold: i32,
    pub(super) exec: Option<ExecAction>,
    pub(super) http_get: Option<HttpGetAction>,
    pub(super) tcp_socket: Option<TcpSocketAction>,
    pub(super) grpc: Option<GrpcAction>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExecAction {
    #[serde(deserialize_with = "or_empty")]
    pub(super) command: Vec<Str>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HttpGetAction {
    #[serde(deserialize_with = "or_empty")]
    pub(super) path: Str,
    pub(super) port: Value,
    #[serde(deserialize_with = "or_empty")]
    pub(super) host: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) scheme: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TcpSocketAction {
    pub(super) port: Value,
    #[serde(deserialize_with = "or_empty")]
    pub(super) host: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GrpcAction {
    pub(super) port: i32,
    #[serde(deserialize_with = "or_empty")]
    pub(super) service: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvFrom {
    #[serde(deserialize_with = "or_empty")]
    pub(super) prefix: Str,
    pub(super) config_map_ref: Option<Reference>,
    pub(super) secret_ref: Option<Reference>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) key: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) optional: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvVar {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) value: Str,
    pub(super) value_from: Option<EnvVarSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvVarSource {
    pub(super) field_ref: Option<FieldRef>,
    pub(super) resource_field_ref: Option<ResourceFieldRef>,
    pub(super) config_map_key_ref: Option<Reference>,
    pub(super) secret_key_ref: Option<Reference>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FieldRef {
    #[serde(deserialize_with = "or_empty")]
    pub(super) api_version: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) field_path: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceFieldRef {
    #[serde(deserialize_with = "or_empty")]
    pub(super) resource: Str,
    pub(super) divisor: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeMount {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) mount_path: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) sub_path: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) read_only: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeDevice {
    #[serde(deserialize_with = "or_empty")]
    pub(super) name: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) device_path: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SecurityContext {
    pub(super) seccomp_profile: Option<SeccompProfile>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SeccompProfile {
    #[serde(rename = "type", deserialize_with = "or_empty")]
    pub(super) kind: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) localhost_profile: Str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TopologySpreadConstraint {
    pub(super) max_skew: i32,
    #[serde(deserialize_with = "or_empty")]
    pub(super) topology_key: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) when_unsatisfiable: Str,
    pub(super) label_selector: Option<LabelSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Toleration {
    #[serde(deserialize_with = "or_empty")]
    pub(super) key: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) operator: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) value: Str,
    #[serde(deserialize_with = "or_empty")]
    pub(super) effect: Str,
    pub(super) toleration_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SchedulingGroup {
    #[serde(deserialize_with = "or_empty")]
    pub(super) pod_group_name: Str,
}

fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
