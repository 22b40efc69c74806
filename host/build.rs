//! Puts the core into this program: `WINDLASS_CORE`, or target/core/core.wasm, as `make core` leaves it.
//!
//! Runs no cargo. Without a core the program still compiles, and its wasm engine says what to do; a core
//! that was built from other sources than these is refused. `WINDLASS_REQUIRE_CORE=1` refuses a missing
//! one, too; `WINDLASS_CORE=` (empty) embeds none.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "../core/encode/src/source.rs"]
mod source;

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(windlass_core)");
    println!("cargo::rustc-check-cfg=cfg(windlass_core_precompiled)");
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["WINDLASS_CORE", "WINDLASS_CORE_PRECOMPILED", "WINDLASS_REQUIRE_CORE"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if env::var_os("CARGO_FEATURE_WASM").is_none() {
        return ExitCode::SUCCESS;
    }
    // Cargo always names it to a build script.
    println!("cargo::rustc-env=WINDLASS_TARGET={}", env::var("TARGET").unwrap_or_default());
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            println!("cargo::error={sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Directory, from the workspace's root, in which `make core` leaves its files.
const CORE_DIRECTORY: &str = "target/core";

fn embed() -> Result<(), String> {
    let root = workspace_root()?;
    let Some(core) = file("WINDLASS_CORE", &root, "core.wasm")? else { return without_core() };
    let bytes = read(&core)?;
    let now = watched_sources(&root)?;
    match source::recorded_source(&bytes) {
        Some(recorded) if recorded == now => {}
        Some(_) => {
            return Err(format!("{} is stale, built from other sources: run `make core`", core.display()));
        }
        None => {
            let core = core.display();
            return Err(format!("{core} does not say what it was built from: run `make core`"));
        }
    }
    println!("cargo::rustc-cfg=windlass_core");
    println!("cargo::rustc-env=WINDLASS_CORE_FILE={}", core.display());
    println!("cargo::rustc-env=WINDLASS_CORE_SOURCE={now}");
    embed_precompiled(&root, &now)
}

/// Embeds the machine code as well, if some was made of this very core; it saves time and decides nothing.
fn embed_precompiled(root: &Path, now: &str) -> Result<(), String> {
    let Some(code) = file("WINDLASS_CORE_PRECOMPILED", root, "core.cwasm")? else { return Ok(()) };
    if read(&code)?.starts_with(now.as_bytes()) {
        println!("cargo::rustc-cfg=windlass_core_precompiled");
        println!("cargo::rustc-env=WINDLASS_CORE_PRECOMPILED_FILE={}", code.display());
    }
    Ok(())
}

fn without_core() -> Result<(), String> {
    if env::var("WINDLASS_REQUIRE_CORE").is_ok_and(|value| value == "1") {
        return Err(
            "there is no core.wasm, and WINDLASS_REQUIRE_CORE=1 wants one: run `make core`".to_owned()
        );
    }
    Ok(())
}

/// Hash of the sources as they are, each of which cargo is told to watch.
fn watched_sources(root: &Path) -> Result<String, String> {
    let fault = |error: std::io::Error| format!("cannot read the sources of the core: {error}");
    for path in source::source_files(root).map_err(fault)? {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for name in ["Cargo.toml", "Cargo.lock", "wit", "core/src", "core/component/src"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    source::source_hash(root).map_err(fault)
}

/// The file that `variable` names, or `name` among those that `make core` leaves; `None` if there is none.
fn file(variable: &str, root: &Path, name: &str) -> Result<Option<PathBuf>, String> {
    let path = match env::var_os(variable) {
        Some(empty) if empty.is_empty() => return Ok(None),
        Some(named) => {
            let path = root.join(named);
            if !path.exists() {
                return Err(format!("{variable} names {}, which does not exist", path.display()));
            }
            path
        }
        None => {
            let directory = root.join(CORE_DIRECTORY);
            // Cargo can wait for a file only in a directory that exists.
            let _ = std::fs::create_dir_all(&directory);
            println!("cargo::rerun-if-changed={}", directory.display());
            directory.join(name)
        }
    };
    if !path.exists() {
        return Ok(None);
    }
    println!("cargo::rerun-if-changed={}", path.display());
    Ok(Some(path))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn workspace_root() -> Result<PathBuf, String> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo names no directory of this package")?;
    PathBuf::from(manifest).parent().map(Path::to_path_buf).ok_or_else(|| "host/ has no parent".to_owned())
}
