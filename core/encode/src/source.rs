//! What a core was built from, as a hash in a custom section of the wasm file.
//!
//! Included by core/encode, which writes the section, and by host/build.rs, which refuses a stale core:
//! one rule for both. Hence it uses the standard library alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Name of the custom section that holds [`source_hash`].
pub(crate) const SOURCE_SECTION: &str = "windlass-source";

/// Directories and files, from the workspace's root, of which every byte may change the core.
const SOURCES: [&str; 5] =
    ["core/Cargo.toml", "core/src", "core/component/Cargo.toml", "core/component/src", "wit"];
/// The package that becomes the core.
const PACKAGE: &str = "windlass-core-component";

/// Hash, in hexadecimal, of all that decides what the core's bytes are: its sources, the contract, and of
/// the workspace's manifest and lock file only what concerns the packages that it is built from.
///
/// # Errors
/// If a source cannot be read.
pub(crate) fn source_hash(root: &Path) -> io::Result<String> {
    let mut hash = Fnv::default();
    for path in source_files(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path);
        hash.write(name.to_string_lossy().as_bytes());
        hash.write(&fs::read(&path)?);
    }
    let lock = fs::read_to_string(root.join("Cargo.lock"))?;
    let (packages, locked) = locked_packages(&lock);
    for block in locked {
        hash.write(block.as_bytes());
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    for line in manifest_lines(&manifest, &packages) {
        hash.write(line.as_bytes());
    }
    Ok(format!("{:016x}", hash.0))
}

/// Every file that [`source_hash`] reads whole, in order of path.
///
/// # Errors
/// If a directory cannot be listed.
pub(crate) fn source_files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut pending: Vec<PathBuf> = SOURCES.iter().map(|source| root.join(source)).collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else {
            files.insert(path);
        }
    }
    Ok(files.into_iter().collect())
}

/// The text of section [`SOURCE_SECTION`] of a wasm file, module or component; `None` where there is none.
pub(crate) fn recorded_source(wasm: &[u8]) -> Option<String> {
    let mut rest = wasm.get(8..)?;
    let mut found = None;
    while let Some((id, after_id)) = rest.split_first() {
        let (size, body) = read_leb(after_id)?;
        let section = body.get(..size)?;
        rest = body.get(size..)?;
        if *id != 0 {
            continue;
        }
        let (length, named) = read_leb(section)?;
        if named.get(..length)? == SOURCE_SECTION.as_bytes() {
            found = Some(String::from_utf8(named.get(length..)?.to_vec()).ok()?);
        }
    }
    found
}

/// A number in LEB128 and what follows it.
fn read_leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (position, byte) in bytes.iter().enumerate().take(5) {
        number |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(position + 1..)?));
        }
    }
    None
}

/// Names of the packages that the core is built from, and their entries in the lock file.
fn locked_packages(lock: &str) -> (BTreeSet<&str>, Vec<&str>) {
    let blocks: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    let mut names = BTreeSet::new();
    let mut pending = vec![PACKAGE];
    while let Some(name) = pending.pop() {
        if !names.insert(name) {
            continue;
        }
        for block in blocks.iter().filter(|block| value_of(block, "name") == Some(name)) {
            let list = block.split_once("dependencies = [").map_or("", |(_, list)| list);
            let entries = list.lines().filter_map(|line| line.trim().strip_prefix('"'));
            pending.extend(entries.filter_map(|entry| entry.split([' ', '"']).next()));
        }
    }
    let locked =
        blocks.into_iter().filter(|block| value_of(block, "name").is_some_and(|name| names.contains(name)));
    let locked = locked.collect();
    (names, locked)
}

/// The lines of the workspace's manifest that concern `packages`, and those of the guest's profile.
fn manifest_lines<'text>(manifest: &'text str, packages: &BTreeSet<&str>) -> Vec<&'text str> {
    let mut section = "";
    let mut lines = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let concerns = match section {
            "[workspace.dependencies]" => {
                line.split_once(" =").is_some_and(|(name, _)| packages.contains(name))
            }
            "[profile.guest]" | "[profile.release]" => !line.starts_with('#'),
            _ => false,
        };
        if concerns {
            lines.push(line);
        }
    }
    lines
}

fn value_of<'text>(block: &'text str, key: &str) -> Option<&'text str> {
    let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
    line.strip_suffix('"')
}

/// FNV-1a of 64 bits; each write ends with its length, so that parts cannot run into one another.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn write(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in bytes.iter().chain(&length) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
