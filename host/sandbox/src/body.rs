//! What the sandbox keeps of objects beside their slim structs: specs as text, read once for all Pods of a template.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use windlass_core::kube::{Labels, PodSpec, Str};

use crate::defaults;
use crate::field::Faults;
use crate::validate;

/// Most Pod specs that are kept read; the oldest goes first.
const MAX_BODIES: usize = 1024;
/// Grace where a spec names none (upstream: DefaultTerminationGracePeriodSeconds).
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// A Pod's spec, shared by all Pods made from the same text.
#[derive(Debug)]
pub(crate) struct PodBody {
    /// The spec with its defaults, as JSON text.
    pub(crate) text: Arc<RawValue>,
    pub(crate) slim: Arc<PodSpec>,
    pub(crate) grace_seconds: i64,
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) node_selector: Labels,
    pub(crate) tolerations: Vec<Toleration>,
    /// What is wrong with the spec.
    pub(crate) faults: Faults,
}

/// A container as far as the sandbox reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    pub(crate) name: Str,
    pub(crate) image: Str,
    pub(crate) resources: Resources,
}

/// A toleration of a node's taint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Toleration {
    pub(crate) key: Str,
    pub(crate) operator: Str,
    pub(crate) value: Str,
    pub(crate) effect: Str,
    /// Seconds for which a NoExecute taint is borne; absent means for ever.
    pub(crate) toleration_seconds: Option<i64>,
}

/// A Node's text beside its slim struct.
#[derive(Debug)]
pub(crate) struct NodeBody {
    /// The whole Node as JSON text, of which metadata, taints and schedulability are overlaid when printed.
    pub(crate) text: Arc<RawValue>,
    /// Whether its Ready condition is True.
    pub(crate) ready: bool,
    /// Most Pods that it takes.
    pub(crate) pod_capacity: usize,
}

/// What is kept beside one stored object.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Nothing: the slim struct holds all of it.
    Slim,
    /// A Pod's spec.
    Pod(Arc<PodBody>),
    /// A Node's text.
    Node(Arc<NodeBody>),
}

/// Pod specs that were read before, by their text.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    by_text: BTreeMap<Arc<str>, Arc<PodBody>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Bodies {
    /// The body for a spec's `text`, read now or before.
    pub(crate) fn of(&mut self, text: &RawValue) -> Arc<PodBody> {
        if let Some(body) = self.by_text.get(text.get()) {
            return body.clone();
        }
        let body = Arc::new(PodBody::read(text));
        let key: Arc<str> = text.get().into();
        self.by_text.insert(key.clone(), body.clone());
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > MAX_BODIES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_text.remove(&oldest);
        }
        body
    }
}

/// The fields of a spec that the sandbox acts by.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecHead {
    termination_grace_period_seconds: Option<i64>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    node_selector: Labels,
    tolerations: Vec<Toleration>,
}

impl PodBody {
    fn read(text: &RawValue) -> Self {
        let mut faults = Faults::default();
        let defaulted = defaults::defaulted_text(text, defaults::pod_spec);
        if defaulted.is_none() {
            faults.required("spec.containers", "");
        }
        let text = defaulted.unwrap_or_else(|| text.to_owned().into());
        validate::pod::spec(text.get(), "spec", &mut faults);
        let head: SpecHead = serde_json::from_str(text.get()).unwrap_or_default();
        let slim: PodSpec = serde_json::from_str(text.get()).unwrap_or_default();
        Self {
            text,
            slim: Arc::new(slim),
            grace_seconds: head.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_SECONDS),
            containers: head.containers,
            init_containers: head.init_containers,
            node_selector: head.node_selector,
            tolerations: head.tolerations,
            faults,
        }
    }
}

impl PodBody {
    /// The whole spec of a Pod with this body, what its slim spec says included.
    pub(crate) fn whole_spec(&self, slim: &PodSpec, hostname: Option<&Str>) -> Map<String, Value> {
        let mut spec: Map<String, Value> = serde_json::from_str(self.text.get()).unwrap_or_default();
        if let Some(hostname) = hostname.or(slim.hostname.as_ref()) {
            spec.insert("hostname".to_owned(), Value::from(&**hostname));
        }
        if let Some(node) = &slim.node_name {
            spec.insert("nodeName".to_owned(), Value::from(&**node));
        }
        spec
    }

    /// The quality-of-service class that the containers' resources give (upstream: pkg/apis/core/helper/qos).
    pub(crate) fn qos_class(&self) -> &'static str {
        let mut all = self.containers.iter().chain(&self.init_containers);
        if all.clone().all(|container| container.resources.is_empty()) {
            "BestEffort"
        } else if all.all(|container| container.resources.is_guaranteed()) {
            "Guaranteed"
        } else {
            "Burstable"
        }
    }
}

/// A container's requests and limits, as far as they decide the class.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    requests: BTreeMap<String, Value>,
    limits: BTreeMap<String, Value>,
}

impl Resources {
    fn is_empty(&self) -> bool {
        let named = |map: &BTreeMap<String, Value>| map.contains_key("cpu") || map.contains_key("memory");
        !named(&self.requests) && !named(&self.limits)
    }

    fn is_guaranteed(&self) -> bool {
        ["cpu", "memory"]
            .iter()
            .all(|name| self.limits.get(*name).is_some_and(|limit| self.requests.get(*name) == Some(limit)))
    }
}
