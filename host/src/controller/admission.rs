//! Whether a Job may start, where a plugin decides that: asked with the Job's run, for one Job of a namespace at a
//! time, so that two Jobs never both take the last place.
//!
//! A Job that has its start ahead lines up among those of its namespace. The oldest one's run carries the question,
//! with counts from the cache and from the grants that are out: starts that were granted and are not on record yet.
//! Until the answer is there, nobody else of the namespace is asked. The answer enters the snapshot as a value. Once
//! the start is in the Job's status, that is the record; a grant ends with the plan that it was given for.
//!
//! A Job that is told to wait is asked again when its wait is over, when a place becomes free, and when a Job that it
//! depends on stands otherwise.

mod held;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use windlass_core::kube::{CompletionMode, Job, Kind, Str, Uid};
use windlass_core::seed_of;
use windlass_core::view::{Admission, JobView};

use super::policies::Due;
use super::{Controller, Run, RunningKey};
use crate::Now;
use crate::engine::Snapshot;
use crate::key::{Key, Name};
use crate::plugin::admission::{
    Dependency, MAX_DEPENDENCIES, Question, Verdict, dependencies_of, is_ahead_of, queue_of, state_of,
};
use crate::plugin::decision::Decision;
use crate::plugin::set::BoundPolicy;
use crate::snapshot::{Gathered, managed_elsewhere};

pub(super) use held::Asked;
use held::{Held, Place};
use ledger::{Ledger, Standing};

/// Who lines up, who is asked, what is granted, and who waits.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    /// How the Jobs stand; absent until somebody is asked.
    ledger: Option<Ledger>,
    /// Starts that were granted and are not settled, by the Job and its uid.
    granted: BTreeMap<Name, Uid>,
    /// Namespaces of which a question is out, and whether a place has become free since it was put.
    asking: BTreeMap<Str, bool>,
    /// Jobs whose keys are due and that are to be asked about, by namespace; at most one place a key.
    lined_up: BTreeMap<Str, BTreeSet<Place>>,
    held: Held,
}

/// A question about a start, for whoever runs the core: plugins are called there.
#[derive(Clone)]
pub struct StartQuestion {
    /// What is asked.
    pub question: Question,
    bound: Arc<BoundPolicy>,
}

impl Run {
    /// The run with the answer about its Job's start in the snapshot, where that is asked. A plugin may be called.
    #[must_use]
    pub fn asked(mut self) -> Self {
        if let Some(StartQuestion { question, bound }) = self.start.take() {
            let verdict = bound.admit(question);
            if let Snapshot::Job(snapshot) = Arc::make_mut(&mut self.snapshot) {
                snapshot.admission = Some(Admission::from(&verdict));
            }
        }
        self
    }
}

impl Admissions {
    /// The next Job of a namespace that is to be asked about, and whether others follow.
    fn next(&mut self, namespace: &Str) -> Option<(Name, bool)> {
        if self.asking.contains_key(namespace) {
            return None;
        }
        let places = self.lined_up.get_mut(namespace)?;
        let first = places.pop_first()?;
        let follow = !places.is_empty();
        if !follow {
            self.lined_up.remove(namespace);
        }
        Some((Name { namespace: namespace.clone(), name: first.name }, follow))
    }

    /// Ends the wait of everybody who has lined up.
    pub(super) fn disband(&mut self) -> Vec<Key> {
        let lined_up = std::mem::take(&mut self.lined_up).into_iter();
        let keys = lined_up.flat_map(|(namespace, places)| {
            places
                .into_iter()
                .map(move |place| Key::Job(Name { namespace: namespace.clone(), name: place.name }))
        });
        keys.collect()
    }
}

impl Controller {
    /// Whether the Job of a key is to be asked about before it starts.
    pub(super) fn awaits_answer(&self, key: &Key) -> bool {
        let Key::Job(name) = key else { return false };
        let job = self.cache.job(name).map(|entry| &entry.job);
        job.is_some_and(|job| self.is_asked_about(job) && !job.is_ending())
    }

    /// Lets a key that is due wait for its turn among those of its namespace.
    pub(super) fn line_up(&mut self, key: &Key) {
        let name = key.name();
        let created_s = self.cache.job(name).map_or(0, |entry| created_s(&entry.job));
        let place = Place { created_s, name: name.name.clone() };
        let places = self.admissions.lined_up.entry(name.namespace.clone()).or_default();
        let is_first = places.is_empty();
        places.insert(place);
        if is_first {
            self.policies.lane.push_back(Due::Start(name.namespace.clone()));
        }
    }

    /// The key of a namespace whose turn it is; `None` while a question is out.
    pub(super) fn next_start(&mut self, namespace: &Str) -> Option<Key> {
        let (name, follow) = self.admissions.next(namespace)?;
        if follow {
            self.policies.lane.push_back(Due::Start(namespace.clone()));
        }
        Some(Key::Job(name))
    }

    /// What a run has to ask before its Job starts, and what is noted of it; the snapshot says that the Job waits
    /// until there is an answer.
    pub(super) fn ask_about_start(
        &mut self,
        now: Now,
        key: &Key,
        gathered: &mut Gathered,
        bound: Option<&Arc<BoundPolicy>>,
    ) -> Option<(StartQuestion, Asked)> {
        let (Key::Job(name), Some(job)) = (key, gathered.subject.job().cloned()) else { return None };
        if !self.is_asked_about(&job) {
            return None;
        }
        gathered.decide_start(Admission::Held);
        // A Job that is about to end or to go does not start any more, and takes no place.
        let bound = bound.filter(|_| !job.is_ending())?;
        let Some(dependencies) = dependencies_of(&job) else {
            let reason = format!("it names more than {MAX_DEPENDENCIES} Jobs that it waits for");
            self.tell_of_wait(now, key, &gathered.subject, &reason);
            return None;
        };
        self.open_ledger();
        let (question, asked) = self.question(now, name, &job, &dependencies);
        self.admissions.held.remove(name);
        self.admissions.asking.insert(name.namespace.clone(), false);
        Some((StartQuestion { question, bound: bound.clone() }, asked))
    }

    /// Takes in what was answered about the start of a run's Job, and lets the next one of its namespace be asked about.
    pub(super) fn start_answered(&mut self, now: Now, run: &mut RunningKey) {
        let Some(asked) = run.asked.take() else { return };
        let name = run.key.name().clone();
        let is_free = self.admissions.asking.remove(&name.namespace).unwrap_or(false);
        if self.admissions.lined_up.contains_key(&name.namespace) {
            self.policies.lane.push_back(Due::Start(name.namespace.clone()));
        }
        // Where nobody answered, the core was shown a Job that waits.
        let Some(verdict) = run.bound.as_ref().and_then(|bound| bound.take_verdict()) else { return };
        run.gathered.decide_start(Admission::from(&verdict));
        match verdict {
            Verdict::Start => {
                let uid = run.gathered.subject.job().map(|job| job.metadata.uid.clone());
                self.admissions.granted.insert(name.clone(), uid.unwrap_or_default());
                self.stands(now, &name);
            }
            Verdict::Hold(hold) => {
                let is_known = self.standing(&name).is_some_and(|standing| !standing.runs);
                let is_outdated = asked.dependencies.iter().any(|(of, state)| self.state(of) != *state);
                if is_known {
                    self.admissions.held.insert(&name, asked);
                }
                let wait_ms = if is_free || is_outdated { 0 } else { u64::from(hold.ask_again_ms) };
                self.queue.add(&run.key, now.monotonic_ms.saturating_add(wait_ms));
            }
            Verdict::Fail(_) => {}
        }
    }

    /// Ends the grant of a key whose plan has come to its end: from here on the Job's status says whether it started.
    pub(super) fn settle_grant(&mut self, now: Now, key: &Key) {
        if let Key::Job(name) = key
            && self.admissions.granted.remove(name).is_some()
        {
            self.stands(now, name);
        }
    }

    /// Takes in how a Job stands now, and wakes those that wait for that.
    pub(super) fn stands(&mut self, now: Now, name: &Name) {
        if self.admissions.ledger.is_none() {
            return;
        }
        let standing = self.standing(name);
        let state = self.state(name);
        let Some(ledger) = &mut self.admissions.ledger else { return };
        let before = ledger.set(name, standing.clone());
        if standing.as_ref().is_none_or(|standing| standing.runs) {
            self.admissions.held.remove(name);
        }
        let mut woken = self.admissions.held.surprised(name, state);
        if let Some(before) = before.filter(|before| before.runs)
            && !standing.is_some_and(|standing| standing.runs && standing.queue == before.queue)
        {
            if let Some(is_free) = self.admissions.asking.get_mut(&name.namespace) {
                *is_free = true;
            }
            woken.extend(self.admissions.held.first(&name.namespace, &before.queue));
        }
        for name in woken {
            self.queue.add(&Key::Job(name), now.monotonic_ms);
        }
    }

    /// Counts the Jobs anew, after others may be asked about than before.
    pub(super) fn count_anew(&mut self) {
        if self.admissions.ledger.take().is_some() {
            self.open_ledger();
        }
    }

    /// Counts the Jobs, the first time that somebody is asked.
    fn open_ledger(&mut self) {
        if self.admissions.ledger.is_some() {
            return;
        }
        let mut ledger = Ledger::default();
        for (name, _) in self.cache.jobs() {
            ledger.set(name, self.standing(name));
        }
        self.admissions.ledger = Some(ledger);
    }

    /// Whether a plugin decides about the start of the Job, which is still to come.
    fn is_asked_about(&self, job: &Job) -> bool {
        is_ahead_of(job)
            && !matches!(job.spec.completion_mode, Some(CompletionMode::Other(_)))
            && self.binds(Kind::Job, &job.metadata, |decision| decision == Decision::Admission)
            && !managed_elsewhere(job, &self.config.job)
    }

    /// How a Job stands among those that compete for places.
    fn standing(&self, name: &Name) -> Option<Standing> {
        let entry = self.cache.job(name)?;
        let job = &entry.job;
        if job.is_finished() {
            return None;
        }
        let is_granted = self.admissions.granted.get(name) == Some(&job.metadata.uid);
        let runs = job.is_started() || is_granted;
        let waits = || self.is_asked_about(job) && !job.is_ending();
        (runs || waits()).then(|| Standing { queue: queue_of(job), runs, pods: most_pods(&entry.view) })
    }

    /// How a Job stands that another one may wait for.
    fn state(&self, name: &Name) -> &'static str {
        state_of(self.cache.job(name).map(|entry| &*entry.job))
    }

    fn question(&self, now: Now, name: &Name, job: &Job, dependencies: &[Str]) -> (Question, Asked) {
        let queue = queue_of(job);
        let (in_queue, in_namespace) = match &self.admissions.ledger {
            Some(ledger) => (ledger.in_queue(&name.namespace, &queue), ledger.in_namespace(&name.namespace)),
            None => Default::default(),
        };
        let of = |dependency: &Str| {
            let name = Name { namespace: name.namespace.clone(), name: dependency.clone() };
            let state = self.state(&name);
            (name, state)
        };
        let dependencies: Vec<(Name, &'static str)> = dependencies.iter().map(of).collect();
        let age_ms = now.unix_ms.saturating_sub(created_s(job).saturating_mul(1_000)).max(0);
        let question = Question {
            owner: name.to_string(),
            queue: queue.to_string(),
            parallelism: self.cache.job(name).map_or(0, |entry| most_pods(&entry.view)),
            in_queue,
            in_namespace,
            dependencies: dependencies
                .iter()
                .map(|(name, state)| Dependency { owner: name.to_string(), state: (*state).to_owned() })
                .collect(),
            age_ms: u32::try_from(age_ms).unwrap_or(u32::MAX),
            seed: seed_of(&job.metadata.uid),
            facts: Vec::new(),
        };
        let place = Place { created_s: created_s(job), name: name.name.clone() };
        (question, Asked { place, queue, dependencies })
    }
}

/// Most Pods that a Job may have at once.
fn most_pods(job: &JobView) -> u32 {
    job.completions.map_or(job.parallelism, |completions| completions.min(job.parallelism))
}

fn created_s(job: &Job) -> i64 {
    job.metadata.creation_timestamp.map_or(0, |time| time.unix_seconds)
}
