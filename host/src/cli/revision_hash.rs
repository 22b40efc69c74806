//! `windlass revision-hash`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use windlass_core::daemon_set::revision;

use super::values::Form;
use super::{Failure, output};

/// Most bytes of a DaemonSet: several times what an API server stores of one object.
const MAX_BYTES: u64 = 16 << 20;

/// Which DaemonSet, and how its hash is printed.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    /// DaemonSet in JSON, or - for standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    file: PathBuf,
    /// Form of the result: the hash alone, or a document with the name of the revision, too.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// What is read of a DaemonSet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'text"))]
struct DaemonSet<'text> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(borrow)]
    spec: Option<Spec<'text>>,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Spec<'text> {
    #[serde(borrow)]
    template: Option<&'text RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    collision_count: Option<i32>,
}

/// The result as a document.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    hash: String,
    /// Name of the ControllerRevision.
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    collision_count: Option<i32>,
}

/// Reads the DaemonSet, and prints the hash.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = match arguments.file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => arguments.file.display().to_string(),
    };
    let text = read(&arguments.file).map_err(|error| {
        Failure::Failed(format!("cannot read {name}: {error}; give the JSON of a DaemonSet"))
    })?;
    let document = document(&text).map_err(|fault| Failure::Failed(format!("{name}: {fault}")))?;
    output::print(&document, arguments.output, |document| format!("{}\n", document.hash))
}

fn read(file: &Path) -> io::Result<String> {
    let source: Box<dyn Read> =
        if file.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    if source.take(MAX_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// The hash of the revision for the DaemonSet that `text` is; else what is wrong with it, and the mend.
fn document(text: &str) -> Result<Document, String> {
    let set: DaemonSet<'_> =
        serde_json::from_str(text).map_err(|error| format!("not the JSON of a DaemonSet: {error}"))?;
    if (set.api_version.as_str(), set.kind.as_str()) != ("apps/v1", "DaemonSet") {
        return Err(match (set.api_version.as_str(), set.kind.as_str()) {
            (_, "") => {
                "not a Kubernetes object, since it has no kind; give a DaemonSet of apps/v1".to_owned()
            }
            (_, "List") => {
                "a List; give one DaemonSet, as `kubectl get daemonset NAME -o json` prints it".to_owned()
            }
            (version, kind) => format!("a {kind} of {version}; give a DaemonSet of apps/v1"),
        });
    }
    let template = set.spec.and_then(|spec| spec.template);
    let template = template.ok_or("the DaemonSet has no spec.template; give it as the API server has it")?;
    let data = revision::data(template.get()).map_err(|fault| fault.to_string())?;
    let collision_count = set.status.collision_count;
    let hash = revision::hash(&data, collision_count);
    let revision = revision::name(&set.metadata.name, &hash);
    Ok(Document { hash: hash.as_ref().into(), revision: revision.as_ref().into(), collision_count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_sentence_with_the_mend() {
        let refused = |text: &str| document(text).expect_err("a refusal");
        assert_eq!(
            refused(r#"{"kind":"Job","apiVersion":"batch/v1"}"#),
            "a Job of batch/v1; give a DaemonSet of apps/v1"
        );
        assert!(refused("{}").contains("no kind"));
        assert!(
            refused(r#"{"apiVersion":"v1","kind":"List","items":[]}"#).contains("kubectl get daemonset NAME")
        );
        assert!(refused("kind: DaemonSet").starts_with("not the JSON of a DaemonSet: "));
        let set = r#"{"apiVersion":"apps/v1","kind":"DaemonSet","spec":{}}"#;
        assert!(refused(set).contains("no spec.template"));
        assert!(refused(&set.replace("{}", r#"{"template":7}"#)).contains("not a JSON object"));
    }
}
