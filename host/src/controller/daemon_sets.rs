//! Which DaemonSets a change of the cache concerns.

use windlass_core::kube::{Node, Str, Uid};
use windlass_core::plan::SettledNodes;

use super::Controller;
use super::notice::Notice;
use crate::Now;
use crate::key::{Key, Name};
use crate::snapshot::Gathered;

impl Controller {
    /// Queues a DaemonSet that is new or different, at once if what is desired of it is.
    pub(super) fn enqueue_changed_daemon_set(&mut self, now: Now, name: &Name, spec: bool) {
        let key = Key::DaemonSet(name.clone());
        if spec {
            self.supersede(&key);
            self.unsettle(name);
        }
        let unreadable = self.cache.daemon_set(name).and_then(|entry| entry.meaning.as_ref().err().copied());
        if let Some(fault) = unreadable.filter(|_| spec) {
            self.notice(Notice::TemplateUnreadable { name: name.clone(), fault });
        }
        let due = if spec { now.monotonic_ms } else { self.due_after_change(now, &key) };
        self.queue.add(&key, due);
    }

    /// Queues the DaemonSet with this uid, if it is one's, of whose Pods for these nodes something changed; a Pod that
    /// was bound is looked at with the next change.
    pub(super) fn enqueue_daemon_set_of_pod(
        &mut self,
        now: Now,
        uid: &Uid,
        nodes: &[Option<Str>],
        is_binding: bool,
    ) {
        let Some(name) = self.cache.daemon_set_name(uid).cloned() else { return };
        for node in nodes.iter().flatten() {
            self.touch(&name, node);
        }
        if !is_binding {
            self.enqueue_all(now, vec![name]);
        }
    }

    /// Queues the DaemonSet with this uid, if it is one's, of whose revisions something changed.
    pub(super) fn enqueue_daemon_set_of_revision(&mut self, now: Now, uid: &Uid) {
        if let Some(name) = self.cache.daemon_set_name(uid).cloned() {
            self.unsettle(&name);
            self.enqueue_all(now, vec![name]);
        }
    }

    /// Takes in which nodes of a snapshot the plan for it calls settled.
    pub(super) fn learn_of_nodes(&mut self, name: &Name, gathered: &Gathered, settled: &SettledNodes) {
        let (Some(scene), Some(set)) = (&gathered.daemon, gathered.subject.daemon_set()) else { return };
        let Some(attention) = self.attention.get_mut(name) else { return };
        let (cache, uid) = (&self.cache, &set.metadata.uid);
        attention.learn(&scene.nodes, settled, cache.nodes_with_pods_of(uid));
        attention.prune(|node| cache.node(node).is_some() || cache.has_pods_at(uid, node));
    }

    /// Queues the DaemonSets that would adopt a Pod without a controller.
    pub(super) fn enqueue_adopting_daemon_sets(&mut self, now: Now, pod: &Name) {
        if !self.config.controllers.daemon_set {
            return;
        }
        let Some(entry) = self.cache.pod(pod).filter(|entry| !entry.removed) else { return };
        let metadata = &entry.pod.metadata;
        if metadata.controller().is_none() && !metadata.is_terminating() {
            let sets = self.cache.daemon_sets_selecting(&pod.namespace, &metadata.labels);
            self.enqueue_all(now, sets);
        }
    }

    /// Queues the DaemonSets that would adopt a revision without a controller.
    pub(super) fn enqueue_heirs_of_revision(&mut self, now: Now, revision: &Name) {
        let Some(found) = self.cache.revision(revision) else { return };
        if found.metadata.controller().is_none() {
            let sets = self.cache.daemon_sets_selecting(&revision.namespace, &found.metadata.labels);
            self.enqueue_all(now, sets);
        }
    }

    /// Queues the DaemonSets for which the change of a node makes a difference: those to which it is another answer
    /// than before, and those of a node that has come in the place of another.
    ///
    /// This costs a microsecond or so a set, whatever the number of nodes.
    pub(super) fn enqueue_daemon_sets_of_node(
        &mut self,
        now: Now,
        before: Option<&Node>,
        after: Option<&Node>,
    ) {
        let is_another = before.map(|node| &node.metadata.uid) != after.map(|node| &node.metadata.uid);
        let concerns = |(name, entry): (&Name, &crate::cache::DaemonSetEntry)| {
            let (was, is) = (entry.answer_for(before), entry.answer_for(after));
            (was != is || is_another && (is.should_run || is.should_continue)).then(|| name.clone())
        };
        let sets: Vec<Name> = self.cache.daemon_sets().filter_map(concerns).collect();
        if let Some(node) = after.or(before) {
            for name in &sets {
                self.touch(name, &node.metadata.name);
            }
        }
        self.enqueue_all(now, sets);
    }

    /// Lets the next snapshot of a DaemonSet show this node.
    fn touch(&mut self, name: &Name, node: &Str) {
        if let Some(attention) = self.attention.get_mut(name) {
            attention.touch(node);
        }
    }

    /// Lets the next snapshot of a DaemonSet show all nodes.
    fn unsettle(&mut self, name: &Name) {
        if let Some(attention) = self.attention.get_mut(name) {
            attention.forget();
        }
    }

    fn enqueue_all(&mut self, now: Now, sets: Vec<Name>) {
        for name in sets {
            let key = Key::DaemonSet(name);
            self.queue.add(&key, self.due_after_change(now, &key));
        }
    }
}
