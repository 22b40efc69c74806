//! Jobs that were told to wait, in the order in which they are to be asked again.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::Str;

use crate::key::Name;

/// Most Jobs that are asked again at once because a place is free; the others are asked when their wait is over.
pub(super) const MAX_WOKEN: usize = 16;

/// Place of a Job among those of its namespace: the older one comes first, then the one whose name does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Creation, seconds since the Unix epoch.
    pub(super) created_s: i64,
    /// Name.
    pub(super) name: Str,
}

/// What the question about a Job said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Asked {
    /// Its place.
    pub(super) place: Place,
    /// Its queue.
    pub(super) queue: Str,
    /// The Jobs that it waits for, and how they stood.
    pub(super) dependencies: Vec<(Name, &'static str)>,
}

/// The Jobs that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    jobs: BTreeMap<Name, Asked>,
    /// Their places, by queue, and with all others of the namespace.
    places: BTreeMap<(Str, Option<Str>), BTreeSet<Place>>,
    dependents: BTreeMap<Name, BTreeSet<Name>>,
}

impl Held {
    /// A Job waits from now on.
    pub(super) fn insert(&mut self, name: &Name, asked: Asked) {
        self.remove(name);
        for list in lists(name, &asked) {
            self.places.entry(list).or_default().insert(asked.place.clone());
        }
        for (dependency, _) in &asked.dependencies {
            self.dependents.entry(dependency.clone()).or_default().insert(name.clone());
        }
        self.jobs.insert(name.clone(), asked);
    }

    /// A Job waits no more.
    pub(super) fn remove(&mut self, name: &Name) {
        let Some(asked) = self.jobs.remove(name) else { return };
        for list in lists(name, &asked) {
            remove(&mut self.places, &list, &asked.place);
        }
        for (dependency, _) in &asked.dependencies {
            remove(&mut self.dependents, dependency, name);
        }
    }

    /// The first Jobs of a queue that wait, and the first ones of its namespace, in their order.
    pub(super) fn first(&self, namespace: &Str, queue: &Str) -> Vec<Name> {
        let list = |queue| self.places.get(&(namespace.clone(), queue)).into_iter().flatten().take(MAX_WOKEN);
        let chosen: BTreeSet<&Place> = list(Some(queue.clone())).chain(list(None)).collect();
        let name = |place: &Place| Name { namespace: namespace.clone(), name: place.name.clone() };
        chosen.into_iter().map(name).collect()
    }

    /// The Jobs that wait for the one of that name and were asked about when it did not stand so.
    pub(super) fn surprised(&self, name: &Name, state: &'static str) -> Vec<Name> {
        let was_told = |dependent: &&Name| {
            let asked = self.jobs.get(*dependent).map(|asked| &asked.dependencies);
            asked.into_iter().flatten().any(|(of, known)| of == name && *known != state)
        };
        self.dependents.get(name).into_iter().flatten().filter(was_told).cloned().collect()
    }
}

/// The lists that a Job has a place in.
fn lists(name: &Name, asked: &Asked) -> [(Str, Option<Str>); 2] {
    [Some(asked.queue.clone()), None].map(|queue| (name.namespace.clone(), queue))
}

fn remove<K: Ord, V: Ord>(sets: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    let Some(set) = sets.get_mut(key) else { return };
    set.remove(value);
    if set.is_empty() {
        sets.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name { namespace: "shop".into(), name: name.into() }
    }

    fn asked(name: &str, created_s: i64, queue: &str, dependencies: &[&str]) -> Asked {
        let place = Place { created_s, name: name.into() };
        let of = |dependency: &&str| (self::name(dependency), "running");
        Asked { place, queue: queue.into(), dependencies: dependencies.iter().map(of).collect() }
    }

    #[test]
    fn the_oldest_of_a_queue_come_first_and_so_many_only() {
        let mut held = Held::default();
        for number in 0..40_i64 {
            let queue = if number < 20 { "other" } else { "web" };
            let job = format!("job-{number}");
            held.insert(&name(&job), asked(&job, number, queue, &[]));
        }
        let first = held.first(&"shop".into(), &"web".into());
        assert_eq!(first.len(), 2 * MAX_WOKEN, "those of the queue, and those of the namespace");
        assert_eq!((first[0].clone(), first[MAX_WOKEN].clone()), (name("job-0"), name("job-20")));
        assert!(held.first(&"elsewhere".into(), &"web".into()).is_empty());
    }

    #[test]
    fn whoever_waits_for_a_job_is_found_once_it_stands_otherwise() {
        let mut held = Held::default();
        held.insert(&name("b"), asked("b", 1, "", &["a", "x"]));
        assert!(held.surprised(&name("a"), "running").is_empty());
        assert_eq!(held.surprised(&name("a"), "complete"), [name("b")]);
        held.insert(&name("b"), asked("b", 1, "", &["x"]));
        assert!(held.surprised(&name("a"), "complete").is_empty());
        held.remove(&name("b"));
        assert!(held.jobs.is_empty() && held.places.is_empty() && held.dependents.is_empty());
    }
}
