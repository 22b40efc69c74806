//! A plugin that is to be there: where its bytes are, what tells one version from the next, and on which terms it decides.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use windlass_core::kube::Str;

use super::Digest;
use super::binding::Rule;
use super::directory::{self, FileStamp};
use super::load::LoadFault;
use super::resource::Limits;

/// A plugin that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub name: Str,
    /// What changes when the bytes may.
    pub stamp: Stamp,
    /// Where the bytes are.
    pub contents: Contents,
    /// On which terms it decides.
    pub terms: Terms,
    /// What binds it: a version that refuses settings which the one before takes does not replace it.
    pub rules: Vec<Arc<Rule>>,
}

/// What changes when the bytes of a plugin may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// That of a file, which may be in the middle of a copy.
    File(FileStamp),
    /// A name of these very bytes, such as a digest or a resourceVersion.
    Version(Str),
}

/// Where the bytes of a plugin are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Arc<[u8]>),
    /// Nobody needs them: that version was looked at already.
    AsBefore,
    /// They could not be had; why, for people.
    Missing(String),
}

/// On which terms a plugin decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What its bytes must hash to, if that is said.
    pub digest: Option<Digest>,
    /// What a call may use.
    pub limits: Limits,
    /// For whose objects it decides; absent: for all.
    pub namespaces: Option<BTreeSet<Str>>,
}

impl Offer {
    /// The bytes, where they are to be had at this moment.
    ///
    /// # Errors
    /// [`LoadFault::Unreadable`].
    pub fn read(&self) -> Result<Arc<[u8]>, LoadFault> {
        match &self.contents {
            Contents::File(path) => match directory::read(path) {
                Ok(bytes) => Ok(bytes.into()),
                Err(fault) => Err(LoadFault::Unreadable(fault.to_string())),
            },
            Contents::Bytes(bytes) => Ok(bytes.clone()),
            Contents::AsBefore => Err(LoadFault::Unreadable("its bytes are not at hand".to_owned())),
            Contents::Missing(reason) => Err(LoadFault::Unreadable(reason.clone())),
        }
    }
}
