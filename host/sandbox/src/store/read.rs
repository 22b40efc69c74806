//! Reads: one object, or all of a kind in pages that show one revision.

use std::collections::BTreeMap;
use std::ops::Bound;

use windlass_core::kube::{ApiStatus, Kind, Object, ResourceVersion, Str};

use super::Store;
use crate::{Resource, refusal};

/// What a list is to show.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only objects of this namespace.
    pub namespace: Option<Str>,
    /// Most objects on the page; all where absent or zero.
    pub limit: Option<usize>,
    /// Where the page before ended.
    pub continue_from: Option<ContinueToken>,
    /// State at this revision, as a server that lags would show it; the newest where absent.
    pub at: Option<ResourceVersion>,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    revision: ResourceVersion,
    namespace: Str,
    name: Str,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Objects in order of namespace and name.
    pub items: Vec<Object>,
    /// The revision that all pages of the list show.
    pub revision: ResourceVersion,
    /// Where to go on; absent on the last page.
    pub continue_from: Option<ContinueToken>,
}

impl Store {
    /// One object as it is now.
    ///
    /// # Errors
    /// 404 NotFound.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Object, ApiStatus> {
        self.object(kind, namespace, name)
            .cloned()
            .ok_or_else(|| refusal::not_found(Resource::from(kind), name))
    }

    /// All objects of `kind` as they are now, in order of namespace and name.
    pub fn objects(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.table(kind).by_namespace.values().flat_map(BTreeMap::values).map(|entry| &entry.object)
    }

    /// One page of the objects of `kind`.
    ///
    /// # Errors
    /// 410 Expired where the revision to be shown is older than the history; 504 Timeout where it is ahead.
    pub fn list(&self, kind: Kind, options: &ListOptions) -> Result<Page, ApiStatus> {
        let token = options.continue_from.as_ref();
        let revision = token.map(|token| token.revision).or(options.at).unwrap_or(self.revision());
        if revision > self.revision() {
            return Err(refusal::too_large_version(revision, self.revision()));
        }
        let history = &self.table(kind).history;
        if revision < history.forgotten() {
            return Err(if token.is_some() {
                refusal::continue_expired()
            } else {
                refusal::watch_expired(revision, history.forgotten())
            });
        }
        // What changed since is undone, newest first, so that every page shows the same revision.
        let mut undone: BTreeMap<(&str, &str), Option<&Object>> = BTreeMap::new();
        for event in history.after(revision).rev() {
            let metadata = event.object.metadata();
            undone.insert((&metadata.namespace, &metadata.name), event.before());
        }
        let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut items: Vec<Object> = Vec::new();
        let mut more = false;
        for object in self.merged(kind, token, undone) {
            if options.namespace.as_ref().is_some_and(|namespace| *namespace != object.metadata().namespace) {
                continue;
            }
            if items.len() == limit {
                more = true;
                break;
            }
            items.push(object.clone());
        }
        let continue_from = items.last().filter(|_| more).map(|last| ContinueToken {
            revision,
            namespace: last.metadata().namespace.clone(),
            name: last.metadata().name.clone(),
        });
        Ok(Page { items, revision, continue_from })
    }

    /// Objects after `token` in order, `undone` in place of what is stored now.
    fn merged<'a>(
        &'a self,
        kind: Kind,
        token: Option<&ContinueToken>,
        mut undone: BTreeMap<(&'a str, &'a str), Option<&'a Object>>,
    ) -> impl Iterator<Item = &'a Object> {
        let (namespace, name) = token.map_or((String::new(), String::new()), |token| {
            (token.namespace.to_string(), token.name.to_string())
        });
        let begun = token.is_some();
        undone.retain(|key, _| !begun || *key > (namespace.as_str(), name.as_str()));
        let table = &self.table(kind).by_namespace;
        let from = if begun { Bound::Included(namespace.as_str()) } else { Bound::Unbounded };
        let mut stored = table
            .range::<str, _>((from, Bound::Unbounded))
            .flat_map(|(namespace, objects)| {
                objects.iter().map(move |(name, entry)| ((&**namespace, &**name), &entry.object))
            })
            .filter(move |(key, _)| !begun || *key > (namespace.as_str(), name.as_str()))
            .peekable();
        let mut undone = undone.into_iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let stored_key = stored.peek().map(|(key, _)| *key);
                let undone_key = undone.peek().map(|(key, _)| *key);
                match (stored_key, undone_key) {
                    (None, None) => return None,
                    (Some(_), None) => return stored.next().map(|(_, object)| object),
                    (Some(stored_key), Some(undone_key)) if stored_key < undone_key => {
                        return stored.next().map(|(_, object)| object);
                    }
                    (stored_key, Some(undone_key)) => {
                        if stored_key == Some(undone_key) {
                            stored.next();
                        }
                        if let Some((_, Some(object))) = undone.next() {
                            return Some(object);
                        }
                    }
                }
            }
        })
    }
}
