//! What lists and watches say, and what they are told: values, whoever carries them.

use std::fmt;

use windlass_core::kube::{ApiStatus, Kind, Object, ResourceVersion};

/// Identity of one list with the watch that follows it; events of an older stream are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Something that a list or a watch of one kind said.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// Kind that is watched.
    pub kind: Kind,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// What was said.
    pub body: WatchBody,
}

/// What was said.
#[derive(Clone, Debug)]
pub enum WatchBody {
    /// One page of a list.
    Page(Vec<Object>),
    /// The list is complete; it shows the state at this resourceVersion.
    ListDone(ResourceVersion),
    /// An object was added or changed.
    Applied(Object),
    /// An object was removed; this is its last state.
    Deleted(Object),
    /// Nothing up to this resourceVersion is outstanding.
    Bookmark(ResourceVersion),
    /// The list or watch ended.
    Ended(WatchEnd),
}

/// Why a list or watch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The server closed it in good order; go on from the last resourceVersion.
    Closed,
    /// Nothing was heard for too long, or the connection broke.
    Broken(String),
    /// The server refused; 410 asks for a new list.
    Refused(ApiStatus),
    /// The server sent an object that cannot be read.
    Undecodable(String),
}

/// What a lister or watcher is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchCommand {
    /// Read everything of this kind, as of now and not from a lagging cache, in pages, then stop.
    List {
        /// Kind to list.
        kind: Kind,
        /// Stream to name in each event.
        stream: StreamId,
    },
    /// Follow changes after `from`.
    Watch {
        /// Kind to watch.
        kind: Kind,
        /// Stream to name in each event.
        stream: StreamId,
        /// State from which to go on.
        from: ResourceVersion,
    },
    /// End whatever runs for this kind.
    Stop {
        /// Kind that is meant.
        kind: Kind,
    },
}

impl fmt::Display for WatchEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("the server closed it"),
            Self::Broken(reason) => write!(formatter, "the connection broke: {reason}"),
            Self::Refused(status) => write!(formatter, "the server refused it: {status}"),
            Self::Undecodable(reason) => write!(formatter, "the server sent what cannot be read: {reason}"),
        }
    }
}
