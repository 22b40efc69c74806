//! `windlass manifests`.

use kube::CustomResourceExt as _;
use windlass_host::plugin::resource::{PolicyBinding, PolicyPlugin};

use super::{Failure, output};

/// Prints the CustomResourceDefinitions of PolicyPlugin and PolicyBinding, in YAML.
pub(super) fn run() -> Result<(), Failure> {
    let mut manifests = String::new();
    for definition in [PolicyPlugin::crd(), PolicyBinding::crd()] {
        let text = serde_saphyr::to_string(&definition);
        let text = text.map_err(|error| Failure::Failed(format!("cannot write a manifest: {error}")))?;
        manifests += &format!("---\n{}\n", text.trim_end());
    }
    output::write(&manifests)
}
