//! How the Jobs stand that compete for places, counted by queue and by namespace.

use std::collections::BTreeMap;

use windlass_core::kube::Str;

use crate::key::Name;
use crate::plugin::admission::Counts;

/// How one Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its queue.
    pub(super) queue: Str,
    /// Whether it has started, or may; else it waits.
    pub(super) runs: bool,
    /// Most Pods that it may have at once.
    pub(super) pods: u32,
}

/// The Jobs that have started and not ended, and those that wait for their start.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    jobs: BTreeMap<Name, Standing>,
    queues: BTreeMap<(Str, Str), Sums>,
    namespaces: BTreeMap<Str, Sums>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    running: u64,
    waiting: u64,
    pods: u64,
}

impl Ledger {
    /// Notes how a Job stands now, `None` for one that is of no interest; returns how it stood before.
    pub(super) fn set(&mut self, name: &Name, standing: Option<Standing>) -> Option<Standing> {
        let before = match &standing {
            Some(standing) => self.jobs.insert(name.clone(), standing.clone()),
            None => self.jobs.remove(name),
        };
        if before == standing {
            return before;
        }
        if let Some(before) = &before {
            self.change(&name.namespace, before, Sums::without);
        }
        if let Some(standing) = &standing {
            self.change(&name.namespace, standing, Sums::with);
        }
        before
    }

    /// The Jobs of a queue.
    pub(super) fn in_queue(&self, namespace: &Str, queue: &Str) -> Counts {
        self.queues.get(&(namespace.clone(), queue.clone())).copied().unwrap_or_default().counts()
    }

    /// The Jobs of a namespace.
    pub(super) fn in_namespace(&self, namespace: &Str) -> Counts {
        self.namespaces.get(namespace).copied().unwrap_or_default().counts()
    }

    fn change(&mut self, namespace: &Str, standing: &Standing, change: impl Fn(Sums, &Standing) -> Sums) {
        let queue = (namespace.clone(), standing.queue.clone());
        let sums = self.queues.entry(queue.clone()).or_default();
        *sums = change(*sums, standing);
        if *sums == Sums::default() {
            self.queues.remove(&queue);
        }
        let sums = self.namespaces.entry(namespace.clone()).or_default();
        *sums = change(*sums, standing);
        if *sums == Sums::default() {
            self.namespaces.remove(namespace);
        }
    }
}

impl Sums {
    fn with(self, standing: &Standing) -> Self {
        let (running, pods) = of(standing);
        Self {
            running: self.running.saturating_add(running),
            waiting: self.waiting.saturating_add(1 - running),
            pods: self.pods.saturating_add(pods),
        }
    }

    fn without(self, standing: &Standing) -> Self {
        let (running, pods) = of(standing);
        Self {
            running: self.running.saturating_sub(running),
            waiting: self.waiting.saturating_sub(1 - running),
            pods: self.pods.saturating_sub(pods),
        }
    }

    fn counts(self) -> Counts {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Counts { running: short(self.running), waiting: short(self.waiting), pods: short(self.pods) }
    }
}

/// One Job if it runs, and the Pods that it then may have.
fn of(standing: &Standing) -> (u64, u64) {
    if standing.runs { (1, u64::from(standing.pods)) } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        Name { namespace: "shop".into(), name: name.into() }
    }

    fn standing(queue: &str, runs: bool, pods: u32) -> Option<Standing> {
        Some(Standing { queue: queue.into(), runs, pods })
    }

    #[test]
    fn each_job_counts_once_in_its_queue_and_its_namespace() {
        let mut ledger = Ledger::default();
        ledger.set(&name("a"), standing("web", true, 3));
        ledger.set(&name("b"), standing("web", false, 5));
        ledger.set(&name("c"), standing("", true, u32::MAX));
        assert_eq!(ledger.set(&name("b"), standing("web", false, 5)), standing("web", false, 5), "again");
        let counts = |running, waiting, pods| Counts { running, waiting, pods };
        assert_eq!(ledger.in_queue(&"shop".into(), &"web".into()), counts(1, 1, 3));
        assert_eq!(ledger.in_namespace(&"shop".into()), counts(2, 1, u32::MAX), "saturating");
        assert_eq!(ledger.set(&name("b"), standing("etl", true, 5)), standing("web", false, 5));
        assert_eq!(ledger.in_queue(&"shop".into(), &"web".into()), counts(1, 0, 3));
        assert_eq!(ledger.in_queue(&"shop".into(), &"etl".into()), counts(1, 0, 5));
        for job in ["a", "b", "c", "d"] {
            ledger.set(&name(job), None);
        }
        assert!(ledger.jobs.is_empty() && ledger.queues.is_empty() && ledger.namespaces.is_empty());
    }
}
