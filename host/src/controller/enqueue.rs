//! Which keys a change of the cache concerns.

use windlass_core::kube::{Kind, Str, Time, Uid};

use super::{Controller, Notice};
use crate::Now;
use crate::cache::Change;
use crate::key::{Key, Name};
use crate::snapshot::{has_time_to_live, managed_elsewhere};

impl Controller {
    /// Queues what a change of the cache concerns.
    pub(super) fn enqueue(&mut self, now: Now, change: &Change) {
        let due = now.monotonic_ms;
        match change {
            Change::Job { name, spec, failures, is_new, owners, .. } => {
                self.enqueue_cron_jobs(due, owners);
                if !self.config.controllers.job {
                    return;
                }
                self.failures.add(due, &name.namespace, *failures);
                if *spec {
                    self.supersede(&Key::Job(name.clone()));
                }
                self.stands(now, name);
                let key = Key::Job(name.clone());
                let due_for_job = if *spec { due } else { self.due_after_change(now, &key) };
                self.queue.add(&key, due_for_job);
                self.enqueue_end_of_job(due, name, *is_new);
                if !self.adopts(name) {
                    self.enqueue_pods_without_controller(due, &name.namespace);
                }
            }
            Change::JobGone { name, uid, owner } => {
                self.enqueue_cron_jobs(due, std::slice::from_ref(owner));
                if !self.config.controllers.job {
                    return;
                }
                self.forget_job(name);
                self.stands(now, name);
                let orphans: Vec<Name> = self.tracked_pods_of(uid);
                for pod in orphans {
                    self.queue.add(&Key::OrphanPod(pod), due);
                }
                self.enqueue_pods_without_controller(due, &name.namespace);
                // A Job of the same name may have come in its place.
                self.queue.add(&Key::Job(name.clone()), due);
            }
            Change::CronJob { name, spec, rescheduled } => {
                let key = Key::CronJob(name.clone());
                if *spec {
                    self.supersede(&key);
                }
                if *rescheduled {
                    self.rescheduled.insert(name.clone(), Time::from_unix_ms(now.unix_ms).unix_seconds);
                }
                self.queue.add(&key, due);
            }
            Change::CronJobGone { name } => {
                self.forget_cron_job(name);
                // One of the same name may have come in its place.
                self.queue.add(&Key::CronJob(name.clone()), due);
            }
            Change::Pod { name, owners, nodes, is_binding, is_passive, held } => {
                self.stats.held_pods_added += u64::from(!held[0] && held[1]);
                self.stats.held_pods_deleted += u64::from(held[0] && !held[1]);
                for uid in owners.iter().flatten() {
                    if let Some(job) = self.cache.job_name(uid) {
                        let key = Key::Job(job.clone());
                        let due = if *is_passive {
                            due.saturating_add(u64::from(self.config.job.sync_batch_ms))
                        } else {
                            self.due_after_change(now, &key)
                        };
                        self.queue.add(&key, due);
                    }
                    self.enqueue_daemon_set_of_pod(now, uid, nodes, *is_binding);
                }
                if self.config.controllers.job {
                    self.enqueue_pod_itself(due, name);
                }
                self.enqueue_adopting_daemon_sets(now, name);
            }
            Change::DaemonSet { name, spec } => self.enqueue_changed_daemon_set(now, name, *spec),
            Change::DaemonSetGone { name } => {
                self.forget_daemon_set(name);
                // One of the same name may have come in its place.
                self.queue.add(&Key::DaemonSet(name.clone()), due);
            }
            Change::Node { before, after } => {
                self.enqueue_daemon_sets_of_node(now, before.as_deref(), after.as_deref());
            }
            Change::Revision { name, owners } => {
                for uid in owners.iter().flatten() {
                    self.enqueue_daemon_set_of_revision(now, uid);
                }
                self.enqueue_heirs_of_revision(now, name);
            }
        }
    }

    /// Queues the CronJobs with these uids.
    fn enqueue_cron_jobs(&mut self, due: u64, owners: &[Option<Uid>]) {
        for uid in owners.iter().flatten() {
            if let Some(name) = self.cache.cron_job_name(uid) {
                self.queue.add(&Key::CronJob(name.clone()), due);
            }
        }
    }

    /// When a Job or DaemonSet is looked at of which something changed, milliseconds of the monotonic clock.
    pub(super) fn due_after_change(&self, now: Now, key: &Key) -> u64 {
        self.paces.get(key).map_or(now.monotonic_ms, |pace| pace.due(now))
    }

    /// Queues the time to live of a Job that has ended, and tells of one that another controller manages.
    fn enqueue_end_of_job(&mut self, due: u64, name: &Name, is_new: bool) {
        let Some(job) = self.cache.job(name).map(|entry| entry.job.clone()) else { return };
        if has_time_to_live(&job) {
            self.queue.add(&Key::TimeToLive(name.clone()), due);
        }
        if is_new
            && managed_elsewhere(&job, &self.config.job)
            && let Some(by) = &job.spec.managed_by
        {
            self.notice(Notice::ManagedElsewhere { name: name.clone(), by: by.clone() });
        }
    }

    /// Queues the Pod itself if no Job will see to its finalizer, and the Jobs that may adopt it.
    fn enqueue_pod_itself(&mut self, due: u64, name: &Name) {
        let Some(entry) = self.cache.pod(name).filter(|entry| entry.crosses()).cloned() else { return };
        let job = match entry.pod.metadata.controller() {
            Some(owner) => {
                if !owner.names(Kind::Job) {
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
        let tracked = self.cache.pods_without_controller(namespace).filter(|entry| entry.is_tracked());
        let names: Vec<Name> = tracked.map(|entry| Name::of(&entry.pod.metadata)).collect();
        for name in names {
            self.enqueue_pod_itself(due, &name);
        }
    }

    fn tracked_pods_of(&self, uid: &Uid) -> Vec<Name> {
        let tracked = self.cache.crossing_pods_of(uid).filter(|entry| entry.is_tracked());
        tracked.map(|entry| Name::of(&entry.pod.metadata)).collect()
    }
}
