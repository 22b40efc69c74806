//! The manifest of a Pod to create: metadata in parts, the spec as text shared by all Pods of a Job.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    COMPLETION_INDEX_ANNOTATION, INDEX_FAILURE_COUNT_ANNOTATION, INDEX_IGNORED_FAILURE_COUNT_ANNOTATION,
    JOB_TRACKING_FINALIZER, Job, Labels, ObjectMeta, OwnerReference, Str,
};
use crate::plan::PodSlot;

/// Longest name of a Pod, and how much of it a server-made suffix takes (upstream: apiserver names).
const MAX_NAME_LENGTH: usize = 63;
const SUFFIX_LENGTH: usize = 5;
/// Environment variable with the completion index.
const COMPLETION_INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// A Pod to create.
#[derive(Clone, Debug)]
pub struct PodManifest {
    /// Metadata, name included.
    pub metadata: ObjectMeta,
    /// JSON text of the spec, without `hostname` where one is given here.
    pub spec: Arc<RawValue>,
    /// Host name inside the Pod, for an Indexed Job.
    pub hostname: Option<Str>,
}

/// A Job's template, made ready once for all of its Pods.
#[derive(Clone, Debug)]
pub struct PreparedTemplate {
    job_name: Str,
    namespace: Str,
    indexed: bool,
    labels: Arc<Labels>,
    annotations: Arc<Labels>,
    finalizers: Arc<Vec<Str>>,
    owner_references: Arc<Vec<OwnerReference>>,
    spec: Arc<RawValue>,
}

/// Why a Job's template cannot become a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// The template has no spec.
    NoSpec,
    /// The template's spec does not have the shape of a Pod's spec.
    MalformedSpec,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoSpec => "the Pod template has no spec",
            Self::MalformedSpec => "the Pod template's spec is not that of a Pod",
        })
    }
}

impl core::error::Error for ManifestFault {}

impl PreparedTemplate {
    /// The template of `job` with what every Pod of it gets: owner, finalizer, and for an Indexed Job the
    /// variable JOB_COMPLETION_INDEX in every container that does not set it.
    ///
    /// # Errors
    /// A [`ManifestFault`] if the template has no spec of a Pod's shape.
    pub fn new(job: &Job) -> Result<Self, ManifestFault> {
        let template = &job.spec.template;
        let text = template.spec.as_ref().ok_or(ManifestFault::NoSpec)?;
        let spec = if job.is_indexed() { indexed_spec(text.get())? } else { text.clone() };
        let tracking: Str = JOB_TRACKING_FINALIZER.into();
        let mut finalizers = template.metadata.finalizers.as_ref().clone();
        if !finalizers.contains(&tracking) {
            finalizers.push(tracking);
        }
        Ok(Self {
            job_name: job.metadata.name.clone(),
            namespace: job.metadata.namespace.clone(),
            indexed: job.is_indexed(),
            labels: template.metadata.labels.clone(),
            annotations: template.metadata.annotations.clone(),
            finalizers: Arc::new(finalizers),
            owner_references: Arc::new([job.controller_reference()].into()),
            spec,
        })
    }

    /// The prefix of the names of Pods for `slot`, dash included and cut to leave room for a suffix.
    #[must_use]
    pub fn name_prefix(&self, slot: PodSlot) -> String {
        match slot.index {
            Some(index) if self.indexed => {
                // Upstream (podGenerateNameWithIndex) cuts the Job's name, so that the index stays whole.
                let appendix = format!("-{index}-");
                let room = MAX_NAME_LENGTH.saturating_sub(SUFFIX_LENGTH).saturating_sub(appendix.len());
                format!("{}{appendix}", head(&self.job_name, room))
            }
            _ => format!("{}-", self.job_name),
        }
    }

    /// The manifest of the Pod for `slot` under `name`, which is the prefix, cut as upstream does, and a suffix.
    #[must_use]
    pub fn pod(&self, slot: PodSlot, name: Str) -> PodManifest {
        let (mut labels, mut annotations) = (self.labels.clone(), self.annotations.clone());
        let mut hostname = None;
        if let (Some(index), true) = (slot.index, self.indexed) {
            let text: Str = index.to_string().into();
            Arc::make_mut(&mut labels).insert(COMPLETION_INDEX_ANNOTATION.into(), text.clone());
            let notes = Arc::make_mut(&mut annotations);
            notes.insert(COMPLETION_INDEX_ANNOTATION.into(), text);
            let counts = [
                (INDEX_FAILURE_COUNT_ANNOTATION, slot.index_failures),
                (INDEX_IGNORED_FAILURE_COUNT_ANNOTATION, slot.index_ignored_failures),
            ];
            for (note, number) in counts {
                if let Some(number) = number {
                    notes.insert(note.into(), number.to_string().into());
                }
            }
            hostname = Some(format!("{}-{index}", self.job_name).into());
        }
        let metadata = ObjectMeta {
            name,
            generate_name: Some(self.name_prefix(slot).into()),
            namespace: self.namespace.clone(),
            labels,
            annotations,
            finalizers: self.finalizers.clone(),
            owner_references: self.owner_references.clone(),
            ..ObjectMeta::default()
        };
        PodManifest { metadata, spec: self.spec.clone(), hostname }
    }

    /// Name of a Pod: the prefix, cut to 58 bytes as the API server cuts generateName, and `suffix`.
    #[must_use]
    pub fn pod_name(prefix: &str, suffix: &str) -> Str {
        format!("{}{suffix}", head(prefix, MAX_NAME_LENGTH - SUFFIX_LENGTH)).into()
    }
}

impl PodManifest {
    /// The whole Pod as JSON text, ready to be sent.
    ///
    /// # Errors
    /// [`ManifestFault::MalformedSpec`] if the spec is not a JSON object.
    pub fn to_json(&self) -> Result<String, ManifestFault> {
        let metadata = serde_json::to_string(&self.metadata).map_err(|_| ManifestFault::MalformedSpec)?;
        let spec = self.spec_json()?;
        Ok(format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{metadata},"spec":{spec}}}"#))
    }

    /// The Pod's spec as JSON text, host name included.
    ///
    /// # Errors
    /// [`ManifestFault::MalformedSpec`] if the spec is not a JSON object.
    pub fn spec_json(&self) -> Result<String, ManifestFault> {
        let text = self.spec.get();
        let Some(hostname) = &self.hostname else { return Ok(text.to_owned()) };
        let rest = text.strip_prefix('{').ok_or(ManifestFault::MalformedSpec)?.trim_start();
        let comma = if rest.starts_with('}') { "" } else { "," };
        let hostname = serde_json::to_string(hostname).map_err(|_| ManifestFault::MalformedSpec)?;
        Ok(format!(r#"{{"hostname":{hostname}{comma}{rest}"#))
    }
}

/// The spec of an Indexed Job's Pods: no host name of its own, and the variable in every container.
///
/// Only the levels that change are taken apart; everything below them stays the text it was.
fn indexed_spec(text: &str) -> Result<Arc<RawValue>, ManifestFault> {
    let mut spec: BTreeMap<String, Box<RawValue>> = parse(text)?;
    spec.remove("hostname");
    for list in ["initContainers", "containers"] {
        let Some(raw) = spec.get(list) else { continue };
        if raw.get() == "null" {
            continue;
        }
        let mut containers: Vec<BTreeMap<String, Box<RawValue>>> = parse(raw.get())?;
        for container in &mut containers {
            add_index_variable(container)?;
        }
        spec.insert(list.to_owned(), to_raw(&containers)?);
    }
    Ok(to_raw(&spec)?.into())
}

fn add_index_variable(container: &mut BTreeMap<String, Box<RawValue>>) -> Result<(), ManifestFault> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let mut variables: Vec<Box<RawValue>> = match container.get("env") {
        Some(raw) if raw.get() != "null" => parse(raw.get())?,
        _ => Vec::new(),
    };
    for variable in &variables {
        if parse::<Named>(variable.get())?.name == COMPLETION_INDEX_VARIABLE {
            return Ok(());
        }
    }
    let source = format!(
        r#"{{"name":"{COMPLETION_INDEX_VARIABLE}","valueFrom":{{"fieldRef":{{"fieldPath":"metadata.labels['{COMPLETION_INDEX_ANNOTATION}']"}}}}}}"#
    );
    variables.push(RawValue::from_string(source).map_err(|_| ManifestFault::MalformedSpec)?);
    container.insert("env".to_owned(), to_raw(&variables)?);
    Ok(())
}

fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, ManifestFault> {
    serde_json::from_str(text).map_err(|_| ManifestFault::MalformedSpec)
}

fn to_raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, ManifestFault> {
    serde_json::value::to_raw_value(value).map_err(|_| ManifestFault::MalformedSpec)
}

/// The longest head of `text` with at most `length` bytes that ends between characters.
fn head(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or(text)
}
