//! A DaemonSet's template, read once for each version of the set: its revision, its placement, its Pods.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::daemon_set::TEMPLATE_GENERATION_LABEL;
use super::{
    CONTROLLER_REVISION_HASH_LABEL, DaemonSet, ManifestFault, ObjectMeta, PlacementSpec, PodManifest,
    RevisionManifest, Str, pod_affinity,
};
use crate::daemon_set::placement::Placement;
use crate::daemon_set::revision::{self, TemplateFault};

const AFFINITY: &str = "affinity";
const TOLERATIONS: &str = "tolerations";
/// Members of a Pod's spec that say on which nodes it may run.
const PLACEMENT: [&str; 5] = ["nodeName", "nodeSelector", AFFINITY, TOLERATIONS, "hostNetwork"];

/// What a DaemonSet's template means.
#[derive(Clone, Debug)]
pub struct DaemonTemplate {
    /// Data of its revision.
    pub data: Arc<str>,
    /// The hash that a new revision gets.
    pub hash: Str,
    /// JSON text of what it says of nodes.
    pub placement_text: Str,
    /// What it says of nodes.
    pub placement: Arc<Placement>,
    metadata: ObjectMeta,
    /// JSON text of the spec's affinity, where there is one.
    affinity: Option<Arc<str>>,
    /// JSON text of all other members of the spec, with the tolerations that every Pod has, without the braces.
    others: Arc<str>,
}

#[derive(Deserialize)]
struct Parts<'text> {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(borrow)]
    spec: BTreeMap<String, &'text RawValue>,
}

impl DaemonTemplate {
    /// What the template of `set` means.
    ///
    /// # Errors
    /// A [`TemplateFault`] where it is none of a Pod; what the API server lists has none.
    pub fn read(set: &DaemonSet) -> Result<Self, TemplateFault> {
        let text = set.spec.template.as_ref().ok_or(TemplateFault::Malformed)?.get();
        let data: Arc<str> = revision::data(text)?.into();
        let Parts { metadata, spec } = parse(text)?;
        let members = |is_wanted: &dyn Fn(&str) -> bool| -> BTreeMap<&str, &RawValue> {
            let wanted = spec.iter().filter(|(key, _)| is_wanted(key));
            wanted.map(|(key, value)| (key.as_str(), *value)).collect()
        };
        let placement_text: Str = to_text(&members(&|key| PLACEMENT.contains(&key)))?.into();
        let placement = Placement::of(&parse::<PlacementSpec>(&placement_text)?);
        let tolerations = to_raw(placement.tolerations())?;
        let mut others = members(&|key| key != AFFINITY);
        others.insert(TOLERATIONS, &tolerations);
        let others = to_text(&others)?;
        let inner = others.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        Ok(Self {
            hash: revision::hash(&data, set.status.collision_count),
            data,
            placement_text,
            placement: Arc::new(placement),
            metadata,
            affinity: spec.get(AFFINITY).map(|affinity| affinity.get().into()),
            others: inner.unwrap_or_default().into(),
        })
    }

    /// The manifest of the Pod of `set` for the node `node_name`, of the revision with this hash, under `name`.
    ///
    /// # Errors
    /// [`ManifestFault::MalformedSpec`] if the template's affinity is none.
    pub fn pod(
        &self,
        set: &DaemonSet,
        node_name: &str,
        hash: &Str,
        name: Str,
    ) -> Result<PodManifest, ManifestFault> {
        let affinity = pod_affinity(self.affinity.as_deref(), node_name)?;
        let spec = format!(r#"{{"{AFFINITY}":{affinity},{}}}"#, self.others);
        let spec = RawValue::from_string(spec).map_err(|_| ManifestFault::MalformedSpec)?;
        let mut labels = self.metadata.labels.clone();
        let all = Arc::make_mut(&mut labels);
        all.insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.clone());
        if let Some(generation) = set.template_generation() {
            all.insert(TEMPLATE_GENERATION_LABEL.into(), generation.to_string().into());
        }
        let metadata = ObjectMeta {
            name,
            generate_name: Some(Self::name_prefix(set).into()),
            namespace: set.metadata.namespace.clone(),
            labels,
            annotations: self.metadata.annotations.clone(),
            finalizers: self.metadata.finalizers.clone(),
            owner_references: Arc::new([set.controller_reference()].into()),
            ..ObjectMeta::default()
        };
        Ok(PodManifest { metadata, spec: spec.into(), hostname: None })
    }

    /// The prefix of the names of a set's Pods, dash included.
    #[must_use]
    pub fn name_prefix(set: &DaemonSet) -> String {
        format!("{}-", set.metadata.name)
    }

    /// The revision with this number for the template.
    ///
    /// # Errors
    /// What serde_json finds wrong with the data: nothing, since it was made here.
    pub fn revision(&self, set: &DaemonSet, number: i64) -> Result<RevisionManifest, serde_json::Error> {
        let owner = set.controller_reference();
        RevisionManifest::new(
            &set.metadata,
            owner,
            &self.metadata,
            (*self.data).to_owned(),
            &self.hash,
            number,
        )
    }
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, TemplateFault> {
    serde_json::from_str(text).map_err(|_| TemplateFault::Malformed)
}

fn to_raw<T: serde::Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, TemplateFault> {
    serde_json::value::to_raw_value(value).map_err(|_| TemplateFault::Malformed)
}

fn to_text<T: serde::Serialize>(value: &T) -> Result<String, TemplateFault> {
    serde_json::to_string(value).map_err(|_| TemplateFault::Malformed)
}
