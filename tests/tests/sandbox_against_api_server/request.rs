//! Requests that both servers understand: each fills in its own uids and versions.

use serde_json::Value;
use windlass_core::kube::Kind;

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// POST of an object.
    Create(Kind, Value),
    /// GET of an object.
    Get(Kind, String),
    /// PUT of an object or its status, as it is read just before but for some fields.
    Update { kind: Kind, name: String, status: bool, edits: Vec<Edit>, uid: Sent, version: Sent },
    /// PATCH of metadata.
    Patch { kind: Kind, name: String, change: Change, uid: Sent, version: Sent },
    /// DELETE of an object.
    Delete {
        kind: Kind,
        name: String,
        uid: Sent,
        version: Sent,
        grace_seconds: Option<i64>,
        propagation: Option<&'static str>,
    },
}

impl Request {
    /// The object that it is about.
    pub(crate) fn target(&self) -> (Kind, &str) {
        match self {
            Self::Create(kind, body) => (*kind, body["metadata"]["name"].as_str().unwrap_or_default()),
            Self::Get(kind, name)
            | Self::Update { kind, name, .. }
            | Self::Patch { kind, name, .. }
            | Self::Delete { kind, name, .. } => (*kind, name),
        }
    }
}

/// A field, as a JSON pointer, and its new value; absent to remove it.
pub(crate) type Edit = (String, Option<Value>);

/// How an identity or a version is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Not at all.
    Not,
    /// As it is.
    Right,
    /// As it is not.
    Wrong,
}

/// A change of metadata.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Nothing but what uid and version say.
    Nothing,
    /// A finalizer is added.
    AddFinalizer(&'static str),
    /// A finalizer is removed.
    RemoveFinalizer(&'static str),
    /// An owner is added, under this uid; the second says whether as controller.
    AddOwner(&'static str, bool),
    /// The owner with this uid is removed.
    RemoveOwner(&'static str),
    /// A label is set, or removed.
    Label(&'static str, Option<&'static str>),
    /// An annotation is set, or removed.
    Annotation(&'static str, Option<&'static str>),
}

/// A uid that no object has.
pub(crate) const WRONG_UID: &str = "11111111-2222-3333-4444-555555555555";
/// A resourceVersion that no object has any more.
pub(crate) const WRONG_VERSION: &str = "1";

/// Makes the edits in `object`; parents that are absent are made.
pub(crate) fn edit(object: &mut Value, edits: &[Edit]) {
    for (position, (pointer, value)) in edits.iter().enumerate() {
        let mut place = &mut *object;
        let parts: Vec<&str> = pointer.trim_start_matches('/').split('/').collect();
        let Some((last, parents)) = parts.split_last() else { continue };
        for part in parents {
            let part = part.replace("~1", "/");
            place = match part.parse::<usize>() {
                Ok(index) if place.is_array() => match place.get_mut(index) {
                    Some(place) => place,
                    None => return,
                },
                _ => {
                    if !place.is_object() {
                        *place = Value::Object(serde_json::Map::new());
                    }
                    // A parent that nothing is put into stays absent.
                    if value.is_none() && place.get(&part).is_none() {
                        return edit(object, &edits[position + 1..]);
                    }
                    &mut place[part]
                }
            };
        }
        let last = last.replace("~1", "/");
        match (value, place) {
            (Some(value), place) => place[last] = value.clone(),
            (None, Value::Object(fields)) => {
                fields.remove(&last);
            }
            (None, _) => {}
        }
    }
}
