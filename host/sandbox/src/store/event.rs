//! Events, recorded for people; kept in a bounded ring as upstream keeps them for an hour.

use std::collections::{BTreeSet, VecDeque};

use windlass_core::kube::{ApiStatus, ResourceVersion, Str, Time, Uid};

use super::{Actor, Store, Verb};
use crate::{Resource, refusal};

/// Most Events kept; the oldest goes first.
const MAX_EVENTS: usize = 100_000;

/// An Event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Namespace.
    pub namespace: Str,
    /// Name, unique in its namespace.
    pub name: Str,
    /// Object that it is about.
    pub regarding: Regarding,
    /// Whether it is of type Warning; else Normal.
    pub warning: bool,
    /// Why, in CamelCase.
    pub reason: Str,
    /// For people.
    pub message: Str,
    /// Who says so.
    pub controller: Str,
    /// When it happened; set by the store where absent.
    pub time: Option<Time>,
    /// How often it has happened and when it did last, if more than once.
    pub series: Option<(u32, Time)>,
    /// Version of the stored Event; set by the store.
    pub resource_version: ResourceVersion,
}

/// The object that an Event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regarding {
    /// Group and version.
    pub api_version: Str,
    /// Kind.
    pub kind: Str,
    /// Namespace.
    pub namespace: Str,
    /// Name.
    pub name: Str,
    /// Uid.
    pub uid: Uid,
}

#[derive(Debug, Default)]
pub(super) struct Events {
    oldest_first: VecDeque<Event>,
    names: BTreeSet<(Str, Str)>,
}

impl Store {
    /// Records an Event.
    ///
    /// # Errors
    /// 409 AlreadyExists for a name that is taken; 403 Forbidden where the namespace is ending.
    pub fn create_event(&mut self, actor: Actor, mut event: Event) -> Result<(), ApiStatus> {
        self.admit_to_namespace(actor, Resource::Event, &event.namespace.clone(), &event.name)?;
        if !self.events.names.insert((event.namespace.clone(), event.name.clone())) {
            return Err(refusal::already_exists(Resource::Event, &event.name, false));
        }
        self.revision += 1;
        event.resource_version = ResourceVersion(self.revision);
        event.time.get_or_insert(self.time());
        self.events.oldest_first.push_back(event);
        if self.events.oldest_first.len() > MAX_EVENTS
            && let Some(oldest) = self.events.oldest_first.pop_front()
        {
            self.events.names.remove(&(oldest.namespace, oldest.name));
        }
        self.log(actor, Verb::Create, Resource::Event, None, None);
        Ok(())
    }

    /// Notes that an Event has happened `count` times by now, the last time at `last`.
    ///
    /// # Errors
    /// 404 NotFound if there is no such Event.
    pub fn repeat_event(
        &mut self,
        actor: Actor,
        namespace: &str,
        name: &str,
        count: u32,
        last: Time,
    ) -> Result<(), ApiStatus> {
        let is_meant = |event: &&mut Event| &*event.namespace == namespace && &*event.name == name;
        let Some(event) = self.events.oldest_first.iter_mut().rev().find(is_meant) else {
            return Err(refusal::not_found(Resource::Event, name));
        };
        self.revision += 1;
        event.resource_version = ResourceVersion(self.revision);
        event.series = Some((count, last));
        self.log(actor, Verb::Patch, Resource::Event, None, None);
        Ok(())
    }

    /// The Events that are kept, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.oldest_first.iter()
    }

    pub(crate) fn forget_events_in(&mut self, namespace: &str) {
        self.events.oldest_first.retain(|event| &*event.namespace != namespace);
        self.events.names.retain(|(of, _)| &**of != namespace);
    }
}
