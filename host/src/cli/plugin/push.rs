//! `windlass plugin push`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use windlass_host::plugin::oci;
use windlass_host::plugin::wasm::Options;

use super::super::{Failure, output};
use super::{block_on, load, plugin_file, read};

/// Flags of `windlass plugin push`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin, or its directory.
    #[arg(value_name = "PLUGIN")]
    file: PathBuf,
    /// Where it goes, such as registry.example.com/policies/retry:1.0.
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// Speak plain HTTP to the registry, as is done with one on this machine anyway.
    #[arg(long)]
    plain_http: bool,
}

/// Stores a plugin in a registry, and prints the reference by which a PolicyPlugin names it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // What no controller would load is not given to others.
    let plugin = load(&arguments.file, Options::deterministic())?;
    let description = plugin.description();
    let annotations = BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), description.name.clone()),
        ("org.opencontainers.image.version".to_owned(), description.version.clone()),
    ]);
    let bytes = read(&plugin_file(&arguments.file))?;
    let pushed = block_on(oci::push(&arguments.reference, bytes, annotations, arguments.plain_http))?;
    let by_digest = pushed.map_err(|fault| Failure::Failed(fault.to_string()))?;
    output::write(&format!("{by_digest}\n"))
}
