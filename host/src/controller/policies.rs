//! Which policies answer for a run, and what becomes of what plugins did in it: trust, Events, notices.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use windlass_core::kube::{Kind, ObjectMeta, Str};

use super::events::Said;
use super::{Controller, Notice, RunningKey};
use crate::Now;
use crate::key::{Key, KeyKind, Name};
use crate::plugin::binding::{Binding, OnFailure};
use crate::plugin::circuit::{Circuits, Turn};
use crate::plugin::decision::{Decision, HOLD_MS};
use crate::plugin::facts::NAMESPACE_FAILURES;
use crate::plugin::set::{BoundPolicy, Call, PolicySet};
use crate::plugin::{Digest, Identity, PluginFault};
use crate::snapshot::{Gathered, Subject};

/// The plugins that decide, and what is remembered of them.
#[derive(Debug, Default)]
pub(super) struct Policies {
    set: Arc<PolicySet>,
    circuits: Circuits,
    /// What was told last of each object for which a plugin fails or waits, so that it is told once.
    told: BTreeMap<(Key, Decision), Told>,
    /// Who is due and waits for whoever runs keys with plugins.
    pub(super) lane: VecDeque<Due>,
}

/// Whose turn it is in the lane of plugins.
#[derive(Debug)]
pub(super) enum Due {
    /// A key's.
    Key(Key),
    /// That of the first Job of a namespace that has lined up for its start.
    Start(Str),
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

    /// Whether these very bytes are loaded under their name.
    fn is_loaded(&self, plugin: &Identity) -> bool {
        digest(&self.set, &plugin.name) == Some(plugin.digest)
    }
}

impl Controller {
    /// Lets these plugins decide, and looks again at every object that is bound otherwise than before, or to another
    /// version.
    pub(super) fn take_policies(&mut self, now: Now, set: Arc<PolicySet>) {
        let before = std::mem::replace(&mut self.policies.set, set);
        let Policies { set, circuits, .. } = &mut self.policies;
        circuits.keep_loaded(|name| digest(set, name));
        let bound = |set: &PolicySet, kind: Kind, metadata: &ObjectMeta| -> Vec<(Binding, Option<Digest>)> {
            let with_digest = |binding: Binding| {
                let digest = digest(set, &binding.plugin);
                (binding, digest)
            };
            set.bindings_of(kind, metadata).into_iter().map(with_digest).collect()
        };
        let is_concerned = |kind: Kind, metadata: &ObjectMeta| {
            bound(&before, kind, metadata) != bound(&self.policies.set, kind, metadata)
        };
        let jobs = self.cache.jobs().filter(|(_, entry)| is_concerned(Kind::Job, &entry.job.metadata));
        let cron_jobs =
            self.cache.cron_jobs().filter(|(_, entry)| is_concerned(Kind::CronJob, &entry.cron_job.metadata));
        let daemon_sets =
            self.cache.daemon_sets().filter(|(_, entry)| is_concerned(Kind::DaemonSet, &entry.set.metadata));
        let keys: Vec<Key> = jobs
            .map(|(name, _)| Key::Job(name.clone()))
            .chain(cron_jobs.map(|(name, _)| Key::CronJob(name.clone())))
            .chain(daemon_sets.map(|(name, _)| Key::DaemonSet(name.clone())))
            .collect();
        for key in keys {
            self.queue.add(&key, now.monotonic_ms);
        }
        self.count_anew();
    }

    /// Whether plugins are bound to the object of a key, in what is asked about it.
    pub(super) fn is_bound(&self, key: &Key) -> bool {
        let (kind, metadata) = match key {
            Key::Job(name) => (Kind::Job, self.cache.job(name).map(|entry| &entry.job.metadata)),
            Key::CronJob(name) => {
                (Kind::CronJob, self.cache.cron_job(name).map(|entry| &entry.cron_job.metadata))
            }
            Key::DaemonSet(name) => {
                (Kind::DaemonSet, self.cache.daemon_set(name).map(|entry| &entry.set.metadata))
            }
            Key::TimeToLive(_) | Key::OrphanPod(_) => return false,
        };
        // Of a Job that has started nobody asks whether it may; before, it lines up for that.
        let is_asked = |decision| decision != Decision::Admission;
        metadata.is_some_and(|metadata| self.binds(kind, metadata, is_asked))
    }

    /// Whether a plugin is bound to an object for one of these decisions.
    pub(super) fn binds(
        &self,
        kind: Kind,
        metadata: &ObjectMeta,
        is_meant: impl Fn(Decision) -> bool,
    ) -> bool {
        self.policies.set.binds(kind, metadata, is_meant)
    }

    /// Keys of the node labels that the plugin wants to see which decides about a DaemonSet's rollouts, if one is bound.
    pub(super) fn rollout_labels(&self, name: &Name) -> Option<Vec<Str>> {
        self.policies.set.rollout_labels(&self.cache.daemon_set(name)?.set.metadata)
    }

    /// Ends the wait of the keys with plugins, which are not run any more.
    pub(super) fn leave_plugin_lane(&mut self) {
        let turns = std::mem::take(&mut self.policies.lane).into_iter();
        let keys = turns.filter_map(|turn| match turn {
            Due::Key(key) => Some(key),
            Due::Start(_) => None,
        });
        for key in keys.chain(self.admissions.disband()) {
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
        let failures = &self.failures;
        let known = |fact: &str| {
            let (_, metadata) = gathered.subject.regarding().filter(|_| fact == NAMESPACE_FAILURES)?;
            Some(failures.last_hour(now.monotonic_ms, &metadata.namespace).to_string())
        };
        let bound = set.bind(&gathered.subject, &self.built_in, now, circuits, &known)?;
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
            if self.policies.is_loaded(identity) && !calls.iter().any(is_used) {
                self.policies.circuits.unused(identity);
            }
        }
        let mut waits = false;
        let mut tried = BTreeSet::new();
        for mut call in calls {
            // The first call says how the trial went, and the others of the run nothing more.
            call.trial = call.trial && tried.insert(call.plugin.clone());
            let turn = self.judge(now, &call);
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
                        rule: call.rule.clone(),
                    };
                    self.tell_failure(now, &run.key, subject, &binding, fault);
                }
                (None, Some(reason)) => self.tell_wait(now, &run.key, subject, &call, reason),
                (None, None) => {
                    self.policies.told.remove(&(run.key.clone(), call.decision));
                }
            }
            let plugin = call.plugin.clone();
            // First the call, then what came of it: that is what stays in the status.
            self.notice(Notice::PolicyAsked { key: run.key.clone(), call: Box::new(call) });
            match turn {
                Some(Turn::Quarantined { for_ms }) => {
                    self.notice(Notice::PluginQuarantined { plugin, for_ms });
                }
                Some(Turn::Restored) => self.notice(Notice::PluginRestored { plugin }),
                None => {}
            }
        }
        if waits {
            self.queue.add(&run.key, now.monotonic_ms.saturating_add(u64::from(HOLD_MS)));
        }
    }

    /// What a call says of whether its plugin can be trusted, and whether that changes anything.
    fn judge(&mut self, now: Now, call: &Call) -> Option<Turn> {
        let identity = call.identity.as_ref().filter(|_| call.ran)?;
        // A run that began before a swap says nothing of what is loaded since.
        if !self.policies.is_loaded(identity) {
            return None;
        }
        let circuits = &mut self.policies.circuits;
        match &call.fault {
            Some(fault) if fault.is_misbehaviour() => circuits.failed(now.monotonic_ms, identity, call.trial),
            // The host had no room: nothing is known, and another may try the plugin.
            Some(PluginFault::Busy) => {
                if call.trial {
                    circuits.unused(identity);
                }
                None
            }
            Some(_) | None => circuits.succeeded(identity, call.trial),
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
        let consequence = on_failure.consequence(*decision);
        let message = format!("policy plugin {plugin} ({decision}) failed: {fault}; {consequence}");
        self.tell(now, key, subject, *decision, Told::Failed(plugin.clone(), fault.category()), message);
    }

    fn tell_wait(&mut self, now: Now, key: &Key, subject: &Subject, call: &Call, reason: &str) {
        let Call { decision, plugin, .. } = call;
        let message = format!("policy plugin {plugin} ({decision}) waits: {reason}");
        self.tell(now, key, subject, *decision, Told::Held(reason.to_owned()), message);
    }

    /// Tells the author of a Job why it waits though nobody was asked about it.
    pub(super) fn tell_of_wait(&mut self, now: Now, key: &Key, subject: &Subject, reason: &str) {
        let decision = Decision::Admission;
        let message = format!("{decision} waits: {reason}");
        self.tell(now, key, subject, decision, Told::Held(reason.to_owned()), message);
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

/// What of that name is loaded.
fn digest(set: &PolicySet, name: &str) -> Option<Digest> {
    set.plugin(name).map(|loaded| loaded.plugin().identity().digest)
}
