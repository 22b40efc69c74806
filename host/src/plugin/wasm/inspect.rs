//! What a plugin is, read from its bytes before anything is compiled.

use wasmparser::{Encoding, Parser, Payload, Validator};

use crate::plugin::decision::Decision;
use crate::plugin::load::LoadFault;
use crate::plugin::{Digest, bounds};

/// Most bytes of a plugin: one in Python has about 18 million.
pub const MAX_BYTES: u64 = 64 << 20;
/// Version of every interface that this host knows.
pub const KNOWN_VERSION: &str = "0.1.0";
/// What a plugin may import, besides types.
const LOG: &str = "windlass:plugin/log@0.1.0";
/// What says what a plugin is.
const META: &str = "windlass:plugin/meta";

/// What the bytes of a plugin say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Hash of the bytes.
    pub digest: Digest,
    /// Number of the bytes.
    pub size_bytes: u64,
    /// What it decides, in the order of [`Decision::ALL`].
    pub decisions: Vec<Decision>,
    /// What it imports, in its order.
    pub imports: Vec<String>,
    /// What it exports, in its order.
    pub exports: Vec<String>,
}

/// What `bytes` are, without compiling them.
///
/// # Errors
/// A [`LoadFault`] if they are no component, one that wants more than a log, or one that this host asks nothing.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadFault> {
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size_bytes > MAX_BYTES {
        return Err(LoadFault::TooLarge { bytes: size_bytes, most: MAX_BYTES });
    }
    let (imports, exports) = names(bytes)?;
    if let Some(foreign) = imports.iter().find(|name| !is_known_import(name)) {
        return Err(LoadFault::ForeignImport(bounds::cut(foreign.clone())));
    }
    if !has_known(&exports, META)? {
        return Err(LoadFault::NoDescription);
    }
    let mut decisions = Vec::new();
    for decision in Decision::ALL {
        if has_known(&exports, &format!("windlass:{decision}/policy"))? {
            decisions.push(decision);
        }
    }
    if decisions.is_empty() {
        return Err(LoadFault::DecidesNothing);
    }
    // What the names promise is worth nothing where the bytes are not valid.
    Validator::new()
        .validate_all(bytes)
        .map_err(|error| LoadFault::NotAComponent(bounds::cut(error.to_string())))?;
    let digest = Digest::of(bytes);
    Ok(Inspection { digest, size_bytes, decisions, imports, exports })
}

/// How WebAssembly begins.
const MAGIC: &[u8] = b"\0asm";

/// Names of what the component imports and exports, those of the components inside it left out.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), LoadFault> {
    let not_a_component = |reason: &dyn ToString| LoadFault::NotAComponent(bounds::cut(reason.to_string()));
    if !bytes.starts_with(MAGIC) {
        return Err(not_a_component(&"it does not begin as WebAssembly does"));
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| not_a_component(&error))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(not_a_component(&"it is a core module: encode it with wasm-tools component new"));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(|error| not_a_component(&error))?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(|error| not_a_component(&error))?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// Whether a plugin may import what has that name: the log, or the types of a decision.
fn is_known_import(name: &str) -> bool {
    name == LOG
        || Decision::ALL
            .into_iter()
            .any(|decision| name == format!("windlass:{decision}/types@{KNOWN_VERSION}"))
}

/// Whether the interface is exported in the version that this host knows; an export of another version is a fault.
fn has_known(exports: &[String], interface: &str) -> Result<bool, LoadFault> {
    let of_interface = |export: &&String| {
        let rest = export.strip_prefix(interface);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    let mut other = None;
    for export in exports.iter().filter(of_interface) {
        if export.strip_prefix(interface).and_then(|rest| rest.strip_prefix('@')) == Some(KNOWN_VERSION) {
            return Ok(true);
        }
        other = Some(export);
    }
    match other {
        Some(export) => {
            Err(LoadFault::WrongVersion { export: bounds::cut(export.clone()), known: KNOWN_VERSION })
        }
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        for bytes in [&b""[..], b"not wasm at all", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\xff\xff"] {
            let fault = inspect(bytes).expect_err("a refusal");
            assert_eq!(fault.category(), "not_a_component", "{fault}");
        }
        let empty = b"\0asm\x0d\0\x01\0";
        assert_eq!(inspect(empty), Err(LoadFault::NoDescription));
    }

    #[test]
    fn only_the_log_and_types_may_be_imported() {
        assert!(is_known_import("windlass:plugin/log@0.1.0"));
        assert!(is_known_import("windlass:missed-runs/types@0.1.0"));
        for name in ["windlass:plugin/log@0.2.0", "windlass:backoff/ask@0.1.0", "wasi:cli/environment@0.2.0"]
        {
            assert!(!is_known_import(name), "{name}");
        }
    }

    #[test]
    fn an_interface_is_known_in_one_version() {
        let exports = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let known = exports(&["windlass:backoff/policy@0.2.0", "windlass:backoff/policy@0.1.0"]);
        assert_eq!(has_known(&known, "windlass:backoff/policy"), Ok(true));
        assert_eq!(has_known(&known, "windlass:back"), Ok(false));
        let other = exports(&["windlass:backoff/policy@0.2.0"]);
        let fault = has_known(&other, "windlass:backoff/policy").expect_err("a refusal");
        assert_eq!(fault.category(), "wrong_version");
        let none = exports(&["windlass:backoff/policy"]);
        assert!(has_known(&none, "windlass:backoff/policy").is_err(), "no version is none that is known");
    }
}
