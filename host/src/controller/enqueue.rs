//! Which keys a change of the cache concerns, and the Events that wait.

use std::sync::Arc;

use windlass_core::kube::{Job, Kind, Str, Uid};

use super::{Controller, MAX_PENDING_EVENTS, Notice};
use crate::Now;
use crate::cache::Change;
use crate::key::{Key, Name};
use crate::request::{EventManifest, ObjectRef};
use crate::snapshot::managed_elsewhere;

impl Controller {
    /// Queues what a change of the cache concerns.
    pub(super) fn enqueue(&mut self, now: Now, change: &Change) {
        let due = now.monotonic_ms;
        match change {
            Change::Job { name, spec, .. } => {
                if *spec {
                    self.supersede(name);
                }
                self.queue.add(&Key::Job(name.clone()), due);
                if !self.adopts(name) {
                    self.enqueue_pods_without_controller(due, &name.namespace);
                }
            }
            Change::JobGone { name, uid } => {
                self.forget_job(name);
                let orphans: Vec<Name> = self.tracked_pods_of(uid);
                for pod in orphans {
                    self.queue.add(&Key::OrphanPod(pod), due);
                }
                self.enqueue_pods_without_controller(due, &name.namespace);
                // A Job of the same name may have come in its place.
                self.queue.add(&Key::Job(name.clone()), due);
            }
            Change::Pod { name, owners } => {
                for uid in owners.iter().flatten() {
                    if let Some(job) = self.cache.job_name(uid) {
                        let key = Key::Job(job.clone());
                        self.queue.add(&key, due);
                    }
                }
                self.enqueue_pod_itself(due, name);
            }
        }
    }

    /// Queues the Pod itself if no Job will see to its finalizer, and the Jobs that may adopt it.
    fn enqueue_pod_itself(&mut self, due: u64, name: &Name) {
        let Some(entry) = self.cache.pod(name).filter(|entry| entry.crosses()).cloned() else { return };
        let job = match entry.pod.metadata.controller() {
            Some(owner) => {
                if &*owner.kind != Kind::Job.name() {
                    return;
                }
                self.cache.job_name(&owner.uid).cloned()
            }
            None => {
                let labels = entry.pod.metadata.labels.clone();
                let mut adopters: Vec<Name> =
                    self.cache.jobs_selecting(&name.namespace, &labels).cloned().collect();
                adopters.retain(|job| self.adopts(job));
                // One that is about to go is not adopted any more.
                let adopted = !adopters.is_empty() && !entry.pod.metadata.is_terminating();
                for job in adopters {
                    self.queue.add(&Key::Job(job), due);
                }
                if adopted {
                    return;
                }
                None
            }
        };
        let seen_to = job.is_some_and(|job| self.cache.job(&job).is_some());
        if !seen_to && entry.pod.is_tracked() {
            self.queue.add(&Key::OrphanPod(name.clone()), due);
        }
    }

    /// Whether the Job takes in Pods without a controller: not once it has ended or is about to go.
    fn adopts(&self, name: &Name) -> bool {
        self.cache.job(name).is_some_and(|entry| {
            let job = &entry.job;
            !job.metadata.is_terminating() && !job.is_finished() && !managed_elsewhere(job, &self.config.job)
        })
    }

    /// Queues the Pods that a Job would have adopted which adopts no more.
    fn enqueue_pods_without_controller(&mut self, due: u64, namespace: &Str) {
        let tracked = self
            .cache
            .pods_without_controller(namespace)
            .filter(|entry| entry.crosses() && entry.pod.is_tracked());
        let names: Vec<Name> = tracked.map(|entry| Name::of(&entry.pod.metadata)).collect();
        for name in names {
            self.enqueue_pod_itself(due, &name);
        }
    }

    fn tracked_pods_of(&self, uid: &Uid) -> Vec<Name> {
        let tracked = self.cache.pods_of(uid).filter(|entry| entry.crosses() && entry.pod.is_tracked());
        tracked.map(|entry| Name::of(&entry.pod.metadata)).collect()
    }

    /// Adds an Event on a Job to those that wait to be recorded.
    pub(super) fn push_event(
        &mut self,
        now: Now,
        job: Option<&Job>,
        warning: bool,
        reason: &Str,
        message: impl Into<Str>,
    ) {
        let Some(job) = job else { return };
        if self.events.len() >= MAX_PENDING_EVENTS {
            self.events.pop_front();
            self.stats.events_dropped += 1;
            self.notice(Notice::EventDropped);
        }
        self.sequence += 1;
        let unique = (now.unix_ms as u64) << 20 | (self.sequence & 0xf_ffff);
        let metadata = &job.metadata;
        let event = EventManifest {
            name: format!("{}.{unique:x}", metadata.name).into(),
            namespace: metadata.namespace.clone(),
            kind: Kind::Job,
            regarding: ObjectRef {
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone(),
                uid: metadata.uid.clone(),
            },
            resource_version: metadata.resource_version,
            warning,
            reason: reason.clone(),
            message: message.into(),
            unix_ms: now.unix_ms,
        };
        self.events.push_back((Arc::new(event), 0));
    }
}
