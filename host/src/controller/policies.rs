//! Which policies answer for a run, and what becomes of what plugins did in it: trust, Events, notices.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{Kind, ObjectMeta, Str};

use super::events::Said;
use super::{Controller, Notice, RunningKey};
use crate::Now;
use crate::key::{Key, KeyKind};
use crate::plugin::binding::{Binding, OnFailure, of_annotations};
use crate::plugin::circuit::{Circuits, Turn};
use crate::plugin::decision::{Decision, HOLD_MS};
use crate::plugin::set::{BoundPolicy, Call, PolicySet};
use crate::plugin::{Digest, PluginFault};
use crate::snapshot::{Gathered, Subject};

/// The plugins that decide, and what is remembered of them.
#[derive(Debug, Default)]
pub(super) struct Policies {
    set: Arc<PolicySet>,
    circuits: Circuits,
    /// What was told last of each object for which a plugin fails or waits, so that it is told once.
    told: BTreeMap<(Key, Decision), Told>,
    /// Keys that are due and wait for whoever runs those with plugins.
    pub(super) lane: VecDeque<Key>,
}

/// What an object's author was told of a plugin.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// That the plugin of this name fails, and in which way.
    Failed(Str, &'static str),
    /// That it makes the object wait, and why.
    Held(String),
}

impl Policies {
    /// Forgets what was told of an object that is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        for decision in Decision::ALL {
            self.told.remove(&(key.clone(), decision));
        }
    }

    /// Ends a term: no run of it will report.
    pub(super) fn follow(&mut self) {
        self.circuits.forget_trials();
        self.told.clear();
        self.lane.clear();
    }
}

impl Controller {
    /// Lets these plugins decide, and looks again at every object that is bound to one that is another than before.
    pub(super) fn take_policies(&mut self, now: Now, set: Arc<PolicySet>) {
        let before = std::mem::replace(&mut self.policies.set, set);
        let digest = |set: &PolicySet, name: &str| -> Option<Digest> {
            set.plugin(name).map(|loaded| loaded.plugin().identity().digest)
        };
        let is_concerned = |kind: Kind, metadata: &ObjectMeta| {
            of_annotations(kind, &metadata.annotations).iter().any(|binding| {
                digest(&before, &binding.plugin) != digest(&self.policies.set, &binding.plugin)
            })
        };
        let jobs = self.cache.jobs().filter(|(_, entry)| is_concerned(Kind::Job, &entry.job.metadata));
        let cron_jobs =
            self.cache.cron_jobs().filter(|(_, entry)| is_concerned(Kind::CronJob, &entry.cron_job.metadata));
        let keys: Vec<Key> = jobs
            .map(|(name, _)| Key::Job(name.clone()))
            .chain(cron_jobs.map(|(name, _)| Key::CronJob(name.clone())))
            .collect();
        for key in keys {
            self.queue.add(&key, now.monotonic_ms);
        }
    }

    /// Whether plugins are bound to the object of a key, in what is asked about it.
    pub(super) fn is_bound(&self, key: &Key) -> bool {
        let (kind, metadata) = match key {
            Key::Job(name) => (Kind::Job, self.cache.job(name).map(|entry| &entry.job.metadata)),
            Key::CronJob(name) => {
                (Kind::CronJob, self.cache.cron_job(name).map(|entry| &entry.cron_job.metadata))
            }
            Key::TimeToLive(_) | Key::OrphanPod(_) | Key::DaemonSet(_) => return false,
        };
        metadata.is_some_and(|metadata| !of_annotations(kind, &metadata.annotations).is_empty())
    }

    /// Ends the wait of the keys with plugins, which are not run any more.
    pub(super) fn leave_plugin_lane(&mut self) {
        for key in std::mem::take(&mut self.policies.lane) {
            self.queue.done(&key);
        }
    }

    /// Who answers the questions of a run, where plugins are bound to its object.
    pub(super) fn bind(&mut self, now: Now, key: &Key, gathered: &Gathered) -> Option<Arc<BoundPolicy>> {
        match gathered.scope {
            KeyKind::Job | KeyKind::CronJob | KeyKind::DaemonSet => {}
            KeyKind::TimeToLive | KeyKind::OrphanPod => return None,
        }
        let Policies { set, circuits, .. } = &mut self.policies;
        let bound = set.bind(&gathered.subject, &self.built_in, now, circuits)?;
        // Told before anything is asked: a name that is misspelt is seen at once, not at the first failure.
        for (binding, fault) in bound.defects() {
            self.tell_failure(now, key, &gathered.subject, binding, fault);
        }
        Some(bound)
    }

    /// Takes in what plugins did in a run that has ended.
    pub(super) fn policies_asked(&mut self, now: Now, run: &RunningKey) {
        let Some(bound) = &run.bound else { return };
        let calls = bound.take_calls();
        for identity in bound.trials() {
            let is_used = |call: &Call| call.trial && call.identity.as_ref() == Some(identity);
            if !calls.iter().any(is_used) {
                self.policies.circuits.unused(identity);
            }
        }
        let mut waits = false;
        for call in calls {
            self.judge(now, &call);
            waits |= call.fault.is_some() && call.on_failure != OnFailure::BuiltIn;
            let subject = &run.gathered.subject;
            match (&call.fault, &call.held) {
                (Some(fault), _) => {
                    let binding = Binding {
                        decision: call.decision,
                        plugin: call.plugin.clone(),
                        settings: Str::default(),
                        on_failure: call.on_failure,
                        fault: None,
                    };
                    self.tell_failure(now, &run.key, subject, &binding, fault);
                }
                (None, Some(reason)) => self.tell_wait(now, &run.key, subject, &call, reason),
                (None, None) => {
                    self.policies.told.remove(&(run.key.clone(), call.decision));
                }
            }
            self.notice(Notice::PolicyAsked { key: run.key.clone(), call: Box::new(call) });
        }
        if waits {
            self.queue.add(&run.key, now.monotonic_ms.saturating_add(u64::from(HOLD_MS)));
        }
    }

    /// What a call says of whether its plugin can be trusted.
    fn judge(&mut self, now: Now, call: &Call) {
        let Some(identity) = call.identity.as_ref().filter(|_| call.ran) else { return };
        let circuits = &mut self.policies.circuits;
        let turn = match &call.fault {
            Some(fault) if fault.is_misbehaviour() => circuits.failed(now.monotonic_ms, identity, call.trial),
            // The host had no room: nothing is known.
            Some(PluginFault::Busy) => {
                circuits.unused(identity);
                None
            }
            Some(_) | None => circuits.succeeded(identity, call.trial),
        };
        let plugin = call.plugin.clone();
        match turn {
            Some(Turn::Quarantined { for_ms }) => self.notice(Notice::PluginQuarantined { plugin, for_ms }),
            Some(Turn::Restored) => self.notice(Notice::PluginRestored { plugin }),
            None => {}
        }
    }

    fn tell_failure(
        &mut self,
        now: Now,
        key: &Key,
        subject: &Subject,
        binding: &Binding,
        fault: &PluginFault,
    ) {
        let Binding { decision, plugin, on_failure, .. } = binding;
        let told = self.policies.told.get(&(key.clone(), *decision));
        // That it is left alone follows from what was told, and so does the trial that fails again.
        if matches!(fault, PluginFault::Quarantined { .. })
            && matches!(told, Some(Told::Failed(of, _)) if of == plugin)
        {
            return;
        }
        let consequence = match on_failure {
            OnFailure::BuiltIn => "the built-in policy answers",
            OnFailure::Hold => "what it decides waits",
            OnFailure::Fail => "what it decides fails",
        };
        let message = format!("policy plugin {plugin} ({decision}) failed: {fault}; {consequence}");
        self.tell(now, key, subject, *decision, Told::Failed(plugin.clone(), fault.category()), message);
    }

    fn tell_wait(&mut self, now: Now, key: &Key, subject: &Subject, call: &Call, reason: &str) {
        let Call { decision, plugin, .. } = call;
        let message = format!("policy plugin {plugin} ({decision}) waits: {reason}");
        self.tell(now, key, subject, *decision, Told::Held(reason.to_owned()), message);
    }

    /// Tells the object's author something of a plugin, unless it was told last.
    fn tell(
        &mut self,
        now: Now,
        key: &Key,
        subject: &Subject,
        decision: Decision,
        told: Told,
        message: String,
    ) {
        let slot = (key.clone(), decision);
        if self.policies.told.get(&slot) == Some(&told) {
            return;
        }
        let failed = matches!(told, Told::Failed(..));
        let reason = if failed { "PolicyFailed" } else { "PolicyWaits" };
        self.policies.told.insert(slot, told);
        let said = Said { warning: failed, of_child: false, reason: reason.into(), message: message.clone() };
        self.push_event(now, subject, said);
        self.notice(Notice::PolicyTold { key: key.clone(), failed, message });
    }
}
