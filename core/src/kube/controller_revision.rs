//! apps/v1 ControllerRevision: one template of a DaemonSet, kept so that it can be put back.

use alloc::string::String;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{CONTROLLER_REVISION_HASH_LABEL, ObjectMeta, OwnerReference, Str, Uid};
use crate::daemon_set::history::{Holder, RevisionRow};

/// Group and version, and kind, as manifests spell them.
const API_VERSION: &str = "apps/v1";
const KIND: &str = "ControllerRevision";

/// A ControllerRevision.
///
/// The API server keeps `data` as the bytes that it was sent. In JSON it sends them without white space and escaped
/// for HTML, which revisions of upstream and of this controller are already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ControllerRevision {
    /// Metadata.
    pub metadata: ObjectMeta,
    /// Place in the order of the owner's revisions; the highest is the newest.
    pub revision: i64,
    /// What was kept, as text; never changed once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Arc<RawValue>>,
}

impl PartialEq for ControllerRevision {
    fn eq(&self, other: &Self) -> bool {
        self.metadata == other.metadata && self.revision == other.revision && self.text() == other.text()
    }
}

impl ControllerRevision {
    /// Whether its data is `data`, byte for byte.
    #[must_use]
    pub fn holds(&self, data: &str) -> bool {
        self.text() == Some(data)
    }

    /// Whose it is, as the set with this uid sees it.
    #[must_use]
    pub fn holder(&self, set_uid: &Uid) -> Holder {
        match self.metadata.controller() {
            None => Holder::Nobody,
            Some(owner) if owner.uid == *set_uid => Holder::Set,
            Some(_) => Holder::Other,
        }
    }

    /// What the history of a set sees of it, where `data` is that of the set's template.
    #[must_use]
    pub fn row(&self, data: &str) -> RevisionRow {
        let metadata = &self.metadata;
        RevisionRow {
            name: metadata.name.clone(),
            label: metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL).cloned().unwrap_or_default(),
            number: self.revision,
            holds_template: self.holds(data),
            terminating: metadata.is_terminating(),
            created_s: metadata.creation_timestamp.map_or(0, |time| time.unix_seconds),
        }
    }

    fn text(&self) -> Option<&str> {
        self.data.as_deref().map(RawValue::get)
    }
}

/// A ControllerRevision to create.
#[derive(Clone, Debug)]
pub struct RevisionManifest {
    /// Metadata, name included.
    pub metadata: ObjectMeta,
    /// Its number.
    pub revision: i64,
    /// JSON text of its data.
    pub data: Arc<RawValue>,
}

impl RevisionManifest {
    /// The revision with this number for the template of the set with metadata `set`, of which `template` are the
    /// metadata of the template and `data` and `hash` what [`revision`](crate::daemon_set::revision) made of it.
    ///
    /// As upstream (snapshot), it has all annotations that the set has at this moment, kubernetes.io/change-cause among
    /// them, and never gets those that follow.
    ///
    /// # Errors
    /// What serde_json finds wrong with `data`: nothing, where it was made by this crate.
    pub fn new(
        set: &ObjectMeta,
        owner: OwnerReference,
        template: &ObjectMeta,
        data: String,
        hash: &Str,
        revision: i64,
    ) -> Result<Self, serde_json::Error> {
        let metadata = ObjectMeta {
            name: crate::daemon_set::revision::name(&set.name, hash),
            namespace: set.namespace.clone(),
            labels: crate::daemon_set::revision::labels(&template.labels, hash),
            annotations: set.annotations.clone(),
            owner_references: Arc::new([owner].into()),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, revision, data: RawValue::from_string(data)?.into() })
    }

    /// The whole object as JSON text, ready to be sent.
    ///
    /// # Errors
    /// What serde_json finds wrong; metadata as it comes from the API server has nothing of the kind.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'a> {
            api_version: &'static str,
            kind: &'static str,
            metadata: &'a ObjectMeta,
            data: &'a RawValue,
            revision: i64,
        }
        serde_json::to_string(&Whole {
            api_version: API_VERSION,
            kind: KIND,
            metadata: &self.metadata,
            data: &self.data,
            revision: self.revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon_set::revision;

    const LISTED: &str = r#"{"metadata":{"name":"logs-abc","namespace":"ops","uid":"r-1","resourceVersion":"7",
        "creationTimestamp":"2026-01-01T00:00:10Z","labels":{"app":"logs","controller-revision-hash":"abc"},
        "ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"logs","uid":"u-1","controller":true}]},
        "data":{"spec":{"template":{"$patch":"replace","a":"\u003c"}}},"revision":3}"#;

    fn owner() -> OwnerReference {
        OwnerReference {
            api_version: API_VERSION.into(),
            kind: "DaemonSet".into(),
            name: "logs".into(),
            uid: "u-1".into(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    #[test]
    fn a_listed_revision_is_a_row_of_the_sets_history() {
        let listed: ControllerRevision = serde_json::from_str(LISTED).expect("a revision");
        let data = revision::data(r#"{"a":"<"}"#).expect("data");
        let expected = RevisionRow {
            name: "logs-abc".into(),
            label: "abc".into(),
            number: 3,
            holds_template: true,
            terminating: false,
            created_s: 1_767_225_610,
        };
        assert_eq!(listed.row(&data), expected);
        assert!(!listed.holds(&revision::data(r#"{"a":"b"}"#).expect("data")));
        assert_eq!(listed.holder(&"u-1".into()), Holder::Set);
        assert_eq!(listed.holder(&"u-2".into()), Holder::Other);
        assert_eq!(ControllerRevision::default().holder(&"u-1".into()), Holder::Nobody);
        assert!(!ControllerRevision::default().holds(""));
    }

    #[test]
    fn a_revision_is_written_as_it_was_read() {
        let listed: ControllerRevision = serde_json::from_str(LISTED).expect("a revision");
        let written = serde_json::to_string(&listed).expect("JSON");
        assert!(
            written.contains(r#""data":{"spec":{"template":{"$patch":"replace","a":"\u003c"}}}"#),
            "{written}"
        );
        assert_eq!(serde_json::from_str::<ControllerRevision>(&written).expect("a revision"), listed);
    }

    #[test]
    fn a_new_revision_has_the_sets_annotations_the_templates_labels_and_the_data_to_the_byte() {
        let set: ObjectMeta = serde_json::from_str(
            r#"{"name":"logs","namespace":"ops","uid":"u-1","generation":4,"labels":{"its":"own"},"finalizers":["a/b"],
                "annotations":{"deprecated.daemonset.template.generation":"2","kubernetes.io/change-cause":"newer image"}}"#,
        )
        .expect("metadata");
        let template: ObjectMeta =
            serde_json::from_str(r#"{"labels":{"app":"logs"},"annotations":{"not":"this"}}"#)
                .expect("metadata");
        let data =
            revision::data(r#"{"metadata":{"labels":{"app":"logs"}},"spec":{"n":[1,"<"]}}"#).expect("data");
        let hash = revision::hash(&data, Some(1));
        let manifest = RevisionManifest::new(&set, owner(), &template, data, &hash, 5).expect("a manifest");
        let expected = r#"{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"logs-HASH","namespace":"ops","labels":{"app":"logs","controller-revision-hash":"HASH"},"annotations":{"deprecated.daemonset.template.generation":"2","kubernetes.io/change-cause":"newer image"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"logs","uid":"u-1","controller":true,"blockOwnerDeletion":true}]},"data":{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"logs"}},"spec":{"n":[1,"\u003c"]}}}},"revision":5}"#;
        assert_eq!(manifest.to_json().expect("JSON"), expected.replace("HASH", &hash));
    }
}
