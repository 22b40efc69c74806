//! The core that build.rs put into this program.

/// The component, if there was one to embed.
pub(super) fn core() -> Option<&'static [u8]> {
    #[cfg(windlass_core)]
    let core = Some(include_bytes!(env!("WINDLASS_CORE_FILE")).as_slice());
    #[cfg(not(windlass_core))]
    let core = None;
    core
}

/// Hash of the sources that it was built from; empty if there is none.
pub(super) fn core_source() -> &'static str {
    option_env!("WINDLASS_CORE_SOURCE").unwrap_or_default()
}

/// Its machine code, if there was some to embed: what follows the hash of the sources in the file.
pub(super) fn precompiled_core() -> Option<&'static [u8]> {
    #[cfg(windlass_core_precompiled)]
    let code = include_bytes!(env!("WINDLASS_CORE_PRECOMPILED_FILE")).strip_prefix(core_source().as_bytes());
    #[cfg(not(windlass_core_precompiled))]
    let code = None;
    code
}
