//! A Job whose Pods somebody else counted waits for its Pods.
//!
//! Jobs and Pods come by watches of their own. Where another process counted Pods and let them go (a former
//! leader's request that arrives late, a second instance by mistake), the Job may show it before the Pods do;
//! whoever then went on would count those Pods again. So the key waits until a list of Pods that was begun
//! afterwards is complete. A single leader never waits: it knows its own status writes.

use windlass_core::kube::Kind;

use super::Controller;
use crate::Now;
use crate::key::{Key, Name};
use crate::snapshot::managed_elsewhere;

impl Controller {
    /// Holds the key of a Job whose counters were changed by another than this process.
    pub(super) fn hold_if_counted_by_another(&mut self, name: &Name) {
        if !self.config.controllers.job {
            return;
        }
        let key = Key::Job(name.clone());
        let Some(entry) = self.cache.job(name) else { return };
        // Who counts a Job that is managed elsewhere is none of our business.
        if entry.job.is_finished() || managed_elsewhere(&entry.job, &self.config.job) {
            return;
        }
        let status = &entry.job.status;
        if self.executing.get(&key).is_some_and(|execution| execution.wrote_counts_of(status)) {
            return;
        }
        self.held.insert(key, self.watches.lists_begun(Kind::Pod));
        self.watches.list_anew(Kind::Pod);
    }

    /// Lets go of the keys that waited for a list of Pods begun after them, now that list number `list` is
    /// complete; gives whether others still wait.
    pub(super) fn release_held(&mut self, now: Now, list: u64) -> bool {
        let waits = |begun: &u64| *begun < list;
        let ready: Vec<Key> =
            self.held.iter().filter(|(_, begun)| waits(begun)).map(|(key, _)| key.clone()).collect();
        for key in ready {
            self.held.remove(&key);
            self.queue.add(&key, now.monotonic_ms);
        }
        !self.held.is_empty()
    }
}
