//! Turns the core's wasm module into a component and records what it was built from; does the former for plugins.
//!
//! Called by core/build, from the workspace's root:
//! `windlass-core-encode fresh FILE...` says by its exit status whether every file is there and built from
//! the sources as they are; `component MODULE OUT` encodes; `module MODULE OUT` only records the sources.
//! Called by plugins/build: `plugins MODULE OUT...` encodes each module, and records nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

mod source;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fresh", files @ ..] => {
            let fresh = are_fresh(files)?;
            return Ok(if fresh { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        ["component", module, out] => {
            let component = encode(module).context("does the module fit the contract in wit/core?")?;
            write(out, recorded(component)?)?;
        }
        ["module", module, out] => write(out, recorded(read(module)?)?)?,
        ["plugins", pairs @ ..] => encode_plugins(pairs)?,
        _ => bail!(
            "usage: windlass-core-encode fresh FILE... | component MODULE OUT | module MODULE OUT | plugins MODULE OUT..."
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether every file exists and records the sources as they are now.
fn are_fresh(files: &[&str]) -> Result<bool> {
    let now = current_sources()?;
    for file in files {
        if !Path::new(file).exists() || source::recorded_source(&read(file)?).as_deref() != Some(&now) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn current_sources() -> Result<String> {
    source::source_hash(Path::new(".")).context("run this from the root of the workspace")
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {path}"))
}

/// Encodes each module of `pairs` to the file that follows it.
fn encode_plugins(pairs: &[&str]) -> Result<()> {
    for pair in pairs.chunks(2) {
        let [module, out] = pair else { bail!("a module without the name of its component: {pair:?}") };
        let component = encode(module).with_context(|| format!("does {module} fit the contract in wit/?"))?;
        write(out, component)?;
    }
    Ok(())
}

/// The module as a component.
fn encode(module: &str) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(&read(module)?)
        .context("the module does not carry the contract's types")?
        .encode()
}

/// `wasm` with the section that records its sources.
fn recorded(mut wasm: Vec<u8>) -> Result<Vec<u8>> {
    let hash = current_sources()?;
    let mut section = leb(source::SOURCE_SECTION.len());
    section.extend(source::SOURCE_SECTION.bytes());
    section.extend(hash.bytes());
    wasm.push(0);
    wasm.extend(leb(section.len()));
    wasm.extend(section);
    Ok(wasm)
}

/// Writes `wasm`; whole or not at all.
fn write(path: &str, wasm: Vec<u8>) -> Result<()> {
    let partial = format!("{path}.partial");
    std::fs::write(&partial, wasm).with_context(|| format!("cannot write {partial}"))?;
    std::fs::rename(&partial, path).with_context(|| format!("cannot write {path}"))
}

/// LEB128 of `number`.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_source_is_read_back_from_an_empty_module() {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        assert_eq!(source::recorded_source(&wasm), None);
        wasm.extend([0, 17 + 4, 15]);
        wasm.extend(b"windlass-source");
        wasm.extend(b"12345");
        assert_eq!(source::recorded_source(&wasm).as_deref(), Some("12345"));
    }

    #[test]
    fn a_cut_file_records_nothing() {
        assert_eq!(source::recorded_source(b"\0asm\x01\0\0\0\0\x40"), None);
        assert_eq!(source::recorded_source(b"\0as"), None);
    }

    #[test]
    fn the_hash_is_the_same_twice_and_lists_the_contract() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace's root");
        let first = source::source_hash(root).expect("sources can be read");
        assert_eq!(source::source_hash(root).expect("sources can be read"), first);
        let files = source::source_files(root).expect("sources can be listed");
        assert!(files.iter().any(|file| file.ends_with("wit/core/job.wit")));
        let inside = |file: &Path| file.strip_prefix(root).expect("it is in the tree").to_path_buf();
        assert!(!files.iter().any(|file| inside(file).starts_with("core/encode")));
    }

    #[test]
    fn numbers_of_every_width_are_written_in_leb128() {
        assert_eq!(leb(0), [0]);
        assert_eq!(leb(127), [127]);
        assert_eq!(leb(128), [0x80, 1]);
        assert_eq!(leb(624_485), [0xe5, 0x8e, 0x26]);
    }
}
