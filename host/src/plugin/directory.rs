//! `--plugin-dir`: a plugin is a file NAME.wasm of a directory, and its name is that of the file.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use windlass_core::kube::Str;

use super::offer::{Contents, Offer, Stamp, Terms};

/// Most plugins of a directory.
pub const MAX_PLUGINS: usize = 256;
/// Most bytes that are read of a file: one more than a plugin may have, so that one too large is seen to be.
const MAX_READ_BYTES: u64 = (64 << 20) + 1;
/// What a file must end with.
const ENDING: &str = "wasm";

/// What of a file changes with its contents: size, time of the last change, and which file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    size_bytes: u64,
    changed_s: i64,
    changed_ns: i64,
    inode: u64,
}

/// Why a directory gives no plugins.
#[derive(Debug)]
pub enum DirectoryFault {
    /// It, or a file in it, cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It holds more files than [`MAX_PLUGINS`].
    TooMany(PathBuf),
}

/// The bytes of a file.
///
/// # Errors
/// [`DirectoryFault::Unreadable`].
pub fn read(path: &Path) -> Result<Vec<u8>, DirectoryFault> {
    let unreadable = |error| DirectoryFault::Unreadable(path.to_path_buf(), error);
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The stamp of a file.
///
/// # Errors
/// [`DirectoryFault::Unreadable`].
pub fn stamp(path: &Path) -> Result<FileStamp, DirectoryFault> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|error| DirectoryFault::Unreadable(path.to_path_buf(), error))?;
    Ok(FileStamp::of(&metadata))
}

/// The plugins of `directory`, by name; files whose names begin with a dot are passed over, such as those that an
/// editor or a copy makes on the way.
///
/// # Errors
/// A [`DirectoryFault`] that names what cannot be read.
pub fn offers(directory: &Path) -> Result<Vec<Offer>, DirectoryFault> {
    let unreadable = |error| DirectoryFault::Unreadable(directory.to_path_buf(), error);
    let mut offers = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_plugin = path.extension().is_some_and(|ending| ending == ENDING);
        let name = path.file_stem().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let (true, Some(name)) = (is_plugin, name.map(Str::from)) else { continue };
        // A link is followed: what Kubernetes mounts is made of links. One that is gone by now is no plugin.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(DirectoryFault::Unreadable(path, error)),
        };
        if !metadata.is_file() {
            continue;
        }
        if offers.len() >= MAX_PLUGINS {
            return Err(DirectoryFault::TooMany(directory.to_path_buf()));
        }
        let stamp = Stamp::File(FileStamp::of(&metadata));
        let contents = Contents::File(path);
        offers.push(Offer { name, stamp, contents, terms: Terms::default(), rules: Vec::new() });
    }
    offers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(offers)
}

impl FileStamp {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            size_bytes: metadata.len(),
            changed_s: metadata.mtime(),
            changed_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &fs::Metadata) -> Self {
        Self { size_bytes: metadata.len(), ..Self::default() }
    }
}

impl fmt::Display for DirectoryFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(formatter, "cannot read {}: {error}", path.display()),
            Self::TooMany(path) => {
                write!(formatter, "{} holds more than {MAX_PLUGINS} plugins", path.display())
            }
        }
    }
}

impl std::error::Error for DirectoryFault {}
