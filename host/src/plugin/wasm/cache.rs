//! Machine code of plugins on disk: a directory of our own, to which nobody else can write.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use crate::plugin::Digest;

/// What a file begins with; its checksum follows.
const MARK: &[u8] = b"windlass plugin code 1\n";
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 32;
/// Most bytes of a file.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// Rights of the directory: its owner's alone.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// Rights of a file.
const PRIVATE_FILE: u32 = 0o600;
/// The rights of others, none of which may be there.
const OTHERS: u32 = 0o077;

/// Keeps machine code under the digest of the plugin.
///
/// Machine code is run as it is, so that whoever can write here can do whatever this process can. The directory is
/// therefore this user's alone, or it is not used.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    owner: u32,
}

/// Why a directory cannot hold machine code.
#[derive(Debug)]
pub enum CacheFault {
    /// It cannot be made, read or written.
    Unusable(PathBuf, io::Error),
    /// Others than this user may read or write it, or it is another's.
    NotOurs(PathBuf),
}

impl Cache {
    /// The cache in `directory`, which is made where it is not there.
    ///
    /// # Errors
    /// A [`CacheFault`] if the directory is not this user's alone.
    pub fn open(directory: &Path) -> Result<Self, CacheFault> {
        let unusable = |error| CacheFault::Unusable(directory.to_path_buf(), error);
        fs::DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(directory).map_err(unusable)?;
        // Whoever this process is owns what it makes.
        let probe = directory.join(format!(".probe-{}", std::process::id()));
        let probed = fs::OpenOptions::new().write(true).create(true).mode(PRIVATE_FILE).open(&probe);
        let owner = probed.and_then(|file| file.metadata()).map(|metadata| metadata.uid()).map_err(unusable);
        let _ = fs::remove_file(&probe);
        let (owner, metadata) = (owner?, fs::metadata(directory).map_err(unusable)?);
        if metadata.uid() != owner || metadata.mode() & OTHERS != 0 {
            return Err(CacheFault::NotOurs(directory.to_path_buf()));
        }
        Ok(Self { directory: directory.to_path_buf(), owner })
    }

    /// The machine code for `engine` of the plugin with that digest, if it is here and whole.
    pub(super) fn get(&self, engine: &Engine, digest: Digest) -> Option<Vec<u8>> {
        let path = self.path(engine, digest);
        let metadata = fs::symlink_metadata(&path).ok()?;
        let is_ours = metadata.is_file() && metadata.uid() == self.owner && metadata.mode() & OTHERS == 0;
        if !is_ours || metadata.len() > MAX_FILE_BYTES {
            return None;
        }
        let file = fs::read(path).ok()?;
        let (checksum, code) = file.strip_prefix(MARK)?.split_at_checked(CHECKSUM_BYTES)?;
        (Sha256::digest(code).as_slice() == checksum).then(|| code.to_vec())
    }

    /// Keeps machine code; where that fails, it is made anew the next time.
    pub(super) fn put(&self, engine: &Engine, digest: Digest, code: &[u8]) {
        let path = self.path(engine, digest);
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE_FILE)
            .open(&partial)
            .and_then(|mut file| {
                file.write_all(MARK)?;
                file.write_all(&Sha256::digest(code))?;
                file.write_all(code)
            })
            .and_then(|()| fs::rename(&partial, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&partial);
            tracing::warn!(
                "cannot keep the machine code of a plugin in {}: {error}",
                self.directory.display()
            );
        }
    }

    /// Where the code for this engine is: another version of the engine, or other settings, have files of their own.
    fn path(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let mut fits = Fits(Sha256::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut fits);
        let of_engine = Digest(fits.0.finalize().into()).to_string();
        let of_engine = of_engine.trim_start_matches("sha256:").get(..16).unwrap_or_default().to_owned();
        let of_plugin = digest.to_string();
        self.directory.join(format!("{}-{of_engine}.cwasm", of_plugin.trim_start_matches("sha256:")))
    }
}

/// A hasher whose result is the same in every process.
struct Fits(Sha256);

impl std::hash::Hasher for Fits {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the whole digest is taken.
    fn finish(&self) -> u64 {
        0
    }
}

impl std::fmt::Display for CacheFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unusable(path, error) => {
                write!(formatter, "{} cannot hold machine code: {error}", path.display())
            }
            Self::NotOurs(path) => write!(
                formatter,
                "{} is not this user's alone: machine code is taken from a directory with rights 0700 only",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CacheFault {}
