//! The volumes of a Pod template (upstream: describeVolumes).

use serde_json::{Map, Value};

use super::super::columns::Columns;
use super::super::quantity::Quantity;
use super::container::{amount, plain};

/// How one kind of volume is described.
struct Source {
    /// Field of the volume by which its kind is known.
    field: &'static str,
    /// What follows `Type:`.
    kind: &'static str,
    /// Titles, the fields that they show, and what stands for an absent one.
    shown: &'static [(&'static str, &'static str, &'static str)],
}

/// The kinds whose description is a list of fields, in the order in which upstream looks for them.
const SOURCES: [Source; 9] = [
    Source {
        field: "hostPath",
        kind: "HostPath (bare host directory volume)",
        shown: &[("Path:", "path", ""), ("HostPathType:", "type", "<none>")],
    },
    Source {
        field: "secret",
        kind: "Secret (a volume populated by a Secret)",
        shown: &[("SecretName:", "secretName", ""), ("Optional:", "optional", "false")],
    },
    Source {
        field: "configMap",
        kind: "ConfigMap (a volume populated by a ConfigMap)",
        shown: &[("Name:", "name", ""), ("Optional:", "optional", "false")],
    },
    Source {
        field: "nfs",
        kind: "NFS (an NFS mount that lasts the lifetime of a pod)",
        shown: &[("Server:", "server", ""), ("Path:", "path", ""), ("ReadOnly:", "readOnly", "false")],
    },
    Source {
        field: "persistentVolumeClaim",
        kind: "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        shown: &[("ClaimName:", "claimName", ""), ("ReadOnly:", "readOnly", "false")],
    },
    Source {
        field: "azureFile",
        kind: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        shown: &[
            ("SecretName:", "secretName", ""),
            ("ShareName:", "shareName", ""),
            ("ReadOnly:", "readOnly", "false"),
        ],
    },
    Source {
        field: "gitRepo",
        kind: "GitRepo (a volume that is pulled from git when the pod is created)",
        shown: &[("Repository:", "repository", ""), ("Revision:", "revision", "")],
    },
    Source {
        field: "csi",
        kind: "CSI (a Container Storage Interface (CSI) volume source)",
        shown: &[("Driver:", "driver", ""), ("FSType:", "fsType", ""), ("ReadOnly:", "readOnly", "false")],
    },
    Source {
        field: "image",
        kind: "Image (a container image or OCI artifact)",
        shown: &[("Reference:", "reference", ""), ("PullPolicy:", "pullPolicy", "")],
    },
];

/// Writes `volumes`; a kind that is not among [`SOURCES`] nor below shows as `<unknown>`.
pub(super) fn describe_all(out: &mut Columns, volumes: &[Map<String, Value>]) {
    if volumes.is_empty() {
        out.line(0, format_args!("  Volumes:\t<none>"));
        return;
    }
    out.line(0, format_args!("  Volumes:"));
    for volume in volumes {
        out.line(1, format_args!(" {}:", volume.get("name").map(plain).unwrap_or_default()));
        describe(out, volume);
    }
}

fn describe(out: &mut Columns, volume: &Map<String, Value>) {
    if let Some(source) = volume.get("emptyDir") {
        empty_dir(out, source);
    } else if let Some(source) = volume.get("downwardAPI") {
        downward_api(out, source);
    } else if let Some(source) = volume.get("projected") {
        projected(out, source);
    } else if let Some(source) = volume.get("ephemeral") {
        ephemeral(out, source);
    } else if let Some((known, source)) =
        SOURCES.iter().find_map(|known| Some((known, volume.get(known.field)?)))
    {
        out.line(2, format_args!("Type:\t{}", known.kind));
        for (title, field, absent) in known.shown {
            let value = source.get(field).map(plain);
            out.line(2, format_args!("{title}\t{}", value.as_deref().unwrap_or(absent)));
        }
        if known.field == "csi" {
            attributes(out, source.get("volumeAttributes"));
        }
    } else {
        out.line(1, format_args!("<unknown>"));
    }
}

fn empty_dir(out: &mut Columns, source: &Value) {
    let limit = source
        .get("sizeLimit")
        .filter(|limit| Quantity::parse(&plain(limit)).is_some_and(Quantity::is_positive));
    out.line(2, format_args!("Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)"));
    out.line(2, format_args!("Medium:\t{}", source.get("medium").map(plain).unwrap_or_default()));
    out.line(2, format_args!("SizeLimit:\t{}", limit.map_or_else(|| "<unset>".to_owned(), amount)));
}

fn downward_api(out: &mut Columns, source: &Value) {
    out.line(2, format_args!("Type:\tDownwardAPI (a volume populated by information about the pod)"));
    out.line(2, format_args!("Items:"));
    for item in list(source, "items") {
        let path = item.get("path").map(plain).unwrap_or_default();
        for pointer in ["/fieldRef/fieldPath", "/resourceFieldRef/resource"] {
            if let Some(field) = item.pointer(pointer) {
                out.line(3, format_args!("{} -> {path}", plain(field)));
            }
        }
    }
}

fn projected(out: &mut Columns, source: &Value) {
    out.line(
        2,
        format_args!("Type:\tProjected (a volume that contains injected data from multiple sources)"),
    );
    for part in list(source, "sources") {
        let named = |source: &Value, title: &str, out: &mut Columns| {
            out.line(2, format_args!("{title}:\t{}", source.get("name").map(plain).unwrap_or_default()));
            let optional = source.get("optional").and_then(Value::as_bool).unwrap_or(false);
            out.line(2, format_args!("Optional:\t{optional}"));
        };
        if let Some(secret) = part.get("secret") {
            named(secret, "SecretName", out);
        } else if part.get("downwardAPI").is_some() {
            out.line(2, format_args!("DownwardAPI:\ttrue"));
        } else if let Some(map) = part.get("configMap") {
            named(map, "ConfigMapName", out);
        } else if let Some(token) = part.get("serviceAccountToken") {
            let seconds = token.get("expirationSeconds").map(plain).unwrap_or_default();
            out.line(2, format_args!("TokenExpirationSeconds:\t{seconds}"));
        }
    }
}

/// A claim that does not exist yet has neither capacity nor access modes to show.
fn ephemeral(out: &mut Columns, source: &Value) {
    out.line(
        2,
        format_args!(
            "Type:\tEphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)"
        ),
    );
    let Some(claim) = source.get("volumeClaimTemplate") else { return };
    let text = |pointer: &str| claim.pointer(pointer).map(plain).unwrap_or_default();
    out.line(2, format_args!("StorageClass:\t{}", text("/spec/storageClassName")));
    out.line(2, format_args!("Volume:\t{}", text("/spec/volumeName")));
    for (title, pointer, sign) in
        [("Labels", "/metadata/labels", "="), ("Annotations", "/metadata/annotations", ": ")]
    {
        let pairs = claim.pointer(pointer).and_then(Value::as_object);
        let texts: Vec<String> =
            pairs.into_iter().flatten().map(|(key, value)| format!("{key}{sign}{}", plain(value))).collect();
        multiline(out, title, &texts, "    <none>");
    }
    out.line(2, format_args!("Capacity:\t"));
    out.line(2, format_args!("Access Modes:\t"));
    if let Some(mode) = claim.pointer("/spec/volumeMode") {
        out.line(2, format_args!("VolumeMode:\t{}", plain(mode)));
    }
}

fn attributes(out: &mut Columns, attributes: Option<&Value>) {
    let pairs = attributes.and_then(Value::as_object);
    let texts: Vec<String> =
        pairs.into_iter().flatten().map(|(key, value)| format!("{key}={}", plain(value))).collect();
    multiline(out, "VolumeAttributes", &texts, "<none>");
}

/// Upstream indents each text below its title once more, so the texts begin four spaces into their column; what
/// stands for no text at all differs.
fn multiline(out: &mut Columns, title: &str, texts: &[String], none: &str) {
    out.start(2, format_args!("{title}:"));
    if texts.is_empty() {
        out.line(0, format_args!("\t{none}"));
    }
    for (position, text) in texts.iter().enumerate() {
        let indent = if position == 0 { 0 } else { 2 };
        out.line(indent, format_args!("\t    {text}"));
    }
}

fn list<'a>(source: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    source.get(field).and_then(Value::as_array).into_iter().flatten()
}
