//! `windlass plugin pull`.

use std::path::PathBuf;

use windlass_host::plugin::{Digest, oci};

use super::super::{Failure, output};
use super::block_on;

/// Flags of `windlass plugin pull`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to fetch, such as registry.example.com/policies/retry:1.0, or by digest.
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// Where it goes [default: the last part of the repository's name, with .wasm].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Speak plain HTTP to the registry, as is done with one on this machine anyway.
    #[arg(long)]
    plain_http: bool,
}

/// Fetches a plugin from a registry, and prints where it went and what its bytes hash to.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let pulled = block_on(oci::pull(&arguments.reference, arguments.plain_http))?;
    let pulled = pulled.map_err(|fault| Failure::Failed(fault.to_string()))?;
    let file = arguments.output.clone().unwrap_or_else(|| PathBuf::from(file_name(&arguments.reference)));
    std::fs::write(&file, &pulled.bytes)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", file.display())))?;
    output::write(&format!("{}  {}\n", file.display(), Digest::of(&pulled.bytes)))
}

/// The file that a reference is stored in, unless said otherwise.
fn file_name(reference: &str) -> String {
    let repository = reference.split('@').next().unwrap_or_default();
    let last = repository.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().filter(|name| !name.is_empty()).unwrap_or("plugin");
    format!("{name}.wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_name_of_the_repository() {
        let digest = format!("localhost:5000/policies/retry:1.0@sha256:{}", "ab".repeat(32));
        for reference in ["localhost:5000/policies/retry", "registry.example.com/retry:1.0", &digest] {
            assert_eq!(file_name(reference), "retry.wasm");
        }
    }
}
