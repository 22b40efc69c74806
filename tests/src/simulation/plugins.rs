//! The plugins of a run: what each does when it is called, and a record of all that was asked and answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windlass_core::kube::Str;
use windlass_core::policy::{Policy, backoff, missed_runs, rollout, schedule};
use windlass_host::engine::SharedPolicy;
use windlass_host::plugin::decision::Decision;
use windlass_host::plugin::{
    Called, Cost, Description, Digest, Identity, LogLine, Plugin, PluginFault, admission,
};

use super::random::{Random, mix};
use super::workload::plugins::{Manner, Version};

/// Longest time of a call, milliseconds: the deadline that the host sets by default.
pub const CALL_MS: u64 = 10;
/// Delays of odd answers, milliseconds.
const ODD_DELAYS_MS: [u32; 6] = [0, 1, 700, 5_000, 45_000, 400_000];
/// Waits of odd answers, milliseconds.
const ODD_WAITS_MS: [u32; 3] = [1_000, 4_000, 60_000];
/// Seconds between the instants of odd schedules.
const ODD_PERIODS_S: [u32; 3] = [60, 420, 3_600];

/// Questions of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Questions {
    /// About retries.
    Backoff(Vec<backoff::Question>),
    /// About schedules.
    Schedule(Vec<schedule::Question>),
    /// About missed runs.
    MissedRuns(Vec<missed_runs::Question>),
    /// About rollouts.
    Rollout(Vec<rollout::Question>),
}

/// Answers to one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// About retries.
    Backoff(Vec<backoff::Answer>),
    /// About schedules.
    Schedule(Vec<schedule::Answer>),
    /// About missed runs.
    MissedRuns(Vec<missed_runs::Answer>),
    /// About rollouts.
    Rollout(Vec<rollout::Answer>),
}

/// One call of a plugin, as the plugin knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginCall {
    /// Name of the plugin.
    pub plugin: Str,
    /// Which version was called.
    pub digest: Digest,
    /// What it was asked about.
    pub decision: Decision,
    /// What it gave: answers, or nothing where only its settings were looked at.
    pub gave: Result<Option<Answers>, PluginFault>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// A batch of questions of the core, what it was told, and which calls of plugins that took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The questions.
    pub questions: Questions,
    /// The answers that the core got.
    pub told: Answers,
    /// The calls that were made meanwhile.
    pub calls: Vec<PluginCall>,
}

/// Calls of plugins that nobody has looked at yet.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    calls: Vec<PluginCall>,
    /// Versions that ever failed.
    failed: BTreeSet<Digest>,
}

/// A plugin that is no component.
pub struct Native {
    identity: Identity,
    description: Description,
    manner: Manner,
    calls: Calls,
    called: AtomicU64,
}

/// Whoever answers the core's questions, and a record of what was asked.
pub struct Recorder {
    policy: SharedPolicy,
    calls: Calls,
    asked: Mutex<Vec<Asked>>,
}

impl Questions {
    /// What they are about.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::Backoff(_) => Decision::Backoff,
            Self::Schedule(_) => Decision::Schedule,
            Self::MissedRuns(_) => Decision::MissedRuns,
            Self::Rollout(_) => Decision::Rollout,
        }
    }

    /// What `policy` answers.
    #[must_use]
    pub fn put_to(&self, policy: &dyn Policy) -> Answers {
        match self {
            Self::Backoff(questions) => Answers::Backoff(policy.backoff(questions)),
            Self::Schedule(questions) => Answers::Schedule(policy.schedule(questions)),
            Self::MissedRuns(questions) => Answers::MissedRuns(policy.missed_runs(questions)),
            Self::Rollout(questions) => Answers::Rollout(policy.rollout(questions)),
        }
    }

    /// What `plugin` answers when nobody looks at it.
    pub fn put_to_plugin(&self, plugin: &dyn Plugin) -> Result<Answers, PluginFault> {
        match self {
            Self::Backoff(questions) => plugin.backoff("", questions).result.map(Answers::Backoff),
            Self::Schedule(questions) => plugin.schedule("", questions).result.map(Answers::Schedule),
            Self::MissedRuns(questions) => plugin.missed_runs("", questions).result.map(Answers::MissedRuns),
            Self::Rollout(questions) => plugin.rollout("", questions).result.map(Answers::Rollout),
        }
    }
}

impl Calls {
    /// The calls since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<PluginCall> {
        std::mem::take(&mut self.noted().calls)
    }

    /// How many there are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.noted().calls.len()
    }

    /// The last of them.
    #[must_use]
    pub fn last(&self) -> Option<PluginCall> {
        self.noted().calls.last().cloned()
    }

    /// Whether a call of that version ever failed.
    #[must_use]
    pub fn has_failed(&self, digest: &Digest) -> bool {
        self.noted().failed.contains(digest)
    }

    fn note(&self, call: PluginCall) {
        let mut noted = self.noted();
        if call.gave.is_err() {
            noted.failed.insert(call.digest);
        }
        noted.calls.push(call);
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// A record of what is asked of `policy`, whose plugins note their calls in `calls`.
    #[must_use]
    pub fn new(policy: SharedPolicy, calls: &Calls) -> Self {
        Self { policy, calls: calls.clone(), asked: Mutex::default() }
    }

    /// What was asked, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, questions: Questions) -> Answers {
        let told = questions.put_to(&*self.policy);
        let asked = Asked { questions, told: told.clone(), calls: self.calls.take() };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        told
    }
}

impl Policy for Recorder {
    fn backoff(&self, questions: &[backoff::Question]) -> Vec<backoff::Answer> {
        match self.note(Questions::Backoff(questions.to_vec())) {
            Answers::Backoff(answers) => answers,
            Answers::Schedule(_) | Answers::MissedRuns(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn schedule(&self, questions: &[schedule::Question]) -> Vec<schedule::Answer> {
        match self.note(Questions::Schedule(questions.to_vec())) {
            Answers::Schedule(answers) => answers,
            Answers::Backoff(_) | Answers::MissedRuns(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn missed_runs(&self, questions: &[missed_runs::Question]) -> Vec<missed_runs::Answer> {
        match self.note(Questions::MissedRuns(questions.to_vec())) {
            Answers::MissedRuns(answers) => answers,
            Answers::Backoff(_) | Answers::Schedule(_) | Answers::Rollout(_) => Vec::new(),
        }
    }

    fn rollout(&self, questions: &[rollout::Question]) -> Vec<rollout::Answer> {
        match self.note(Questions::Rollout(questions.to_vec())) {
            Answers::Rollout(answers) => answers,
            Answers::Backoff(_) | Answers::Schedule(_) | Answers::MissedRuns(_) => Vec::new(),
        }
    }
}

impl Native {
    /// A version of a plugin, which notes its calls in `calls`.
    #[must_use]
    pub fn new(version: &Version, calls: &Calls) -> Self {
        let identity = Identity {
            name: version.name.clone(),
            digest: version.digest(),
            size_bytes: 1,
            decisions: vec![Decision::Backoff, Decision::Schedule, Decision::MissedRuns, Decision::Rollout],
        };
        Self {
            identity,
            description: Description::default(),
            manner: version.manner,
            calls: calls.clone(),
            called: AtomicU64::new(0),
        }
    }

    fn note(&self, decision: Decision, gave: Result<Option<Answers>, PluginFault>) -> u64 {
        let is_slow = matches!(self.manner, Manner::Slow | Manner::Loops);
        let took_ms = if is_slow { CALL_MS } else { 0 };
        let (plugin, digest) = (self.identity.name.clone(), self.identity.digest);
        self.calls.note(PluginCall { plugin, digest, decision, gave, took_ms });
        took_ms
    }

    /// What a call comes to: the fault that the plugin has, or what it makes of the questions.
    fn call<Q, A: Clone>(
        &self,
        decision: Decision,
        questions: &[Q],
        answer: Answering<Q, A>,
        wrap: fn(Vec<A>) -> Answers,
    ) -> Called<Vec<A>> {
        let called = self.called.fetch_add(1, Ordering::Relaxed);
        let result = self.fault(called).map_or_else(|| Ok(self.answers(questions, called, answer)), Err);
        let took_ms = self.note(decision, result.clone().map(|answers| Some(wrap(answers))));
        let cost = Cost { fuel: None, took_us: Some(took_ms * 1_000), memory_bytes: 0 };
        let log = vec![LogLine { level: 2, message: format!("call {called}") }];
        Called { result, cost, log }
    }

    fn fault(&self, called: u64) -> Option<PluginFault> {
        let trap = || PluginFault::Trapped("wasm `unreachable` instruction executed".to_owned());
        match self.manner {
            Manner::Traps => Some(trap()),
            Manner::Flaky if called % 2 == 1 => Some(trap()),
            Manner::Loops => Some(PluginFault::TookTooLong),
            Manner::Hungry => Some(PluginFault::TooMuchMemory { bytes: 1 << 30 }),
            Manner::Floods => Some(PluginFault::TooMuchOutput),
            Manner::Refuses => Some(PluginFault::Refused("not today".to_owned())),
            Manner::Busy => Some(PluginFault::Busy),
            _ => None,
        }
    }

    fn answers<Q, A: Clone>(&self, questions: &[Q], called: u64, answer: Answering<Q, A>) -> Vec<A> {
        let random = |question: &Q| {
            let count = if self.manner == Manner::Fickle { called } else { 0 };
            Random::new((answer.seed)(question) ^ mix(count), 10)
        };
        let one = |question: &Q| match self.manner {
            Manner::Odd | Manner::Fickle | Manner::Slow => (answer.odd)(question, &mut random(question)),
            Manner::Other => (answer.other)(),
            _ => (answer.plain)(question),
        };
        let mut answers: Vec<A> = questions.iter().map(one).collect();
        match self.manner {
            Manner::TooMany => answers.extend(answers.last().cloned()),
            Manner::TooFew => drop(answers.pop()),
            Manner::OutOfBounds | Manner::LongText => {
                if let (Some(last), Some(question)) = (answers.last_mut(), questions.last()) {
                    *last = if self.manner == Manner::LongText {
                        (answer.long)()
                    } else {
                        (answer.bad)(question)
                    };
                }
            }
            _ => {}
        }
        answers
    }
}

/// How questions about one decision are answered.
struct Answering<Q, A> {
    seed: fn(&Q) -> u64,
    plain: fn(&Q) -> A,
    odd: fn(&Q, &mut Random) -> A,
    other: fn() -> A,
    bad: fn(&Q) -> A,
    long: fn() -> A,
}

impl Plugin for Native {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn validate_settings(&self, decision: Decision, _settings: &str) -> Called<()> {
        let result = match self.manner {
            Manner::RefusesSettings => Err(PluginFault::SettingsRefused("not these".to_owned())),
            _ => Ok(()),
        };
        let took_ms = self.note(decision, result.clone().map(|()| None));
        let cost = Cost { fuel: None, took_us: Some(took_ms * 1_000), memory_bytes: 0 };
        Called { result, cost, log: Vec::new() }
    }

    fn backoff(&self, _settings: &str, questions: &[backoff::Question]) -> Called<Vec<backoff::Answer>> {
        let answering = Answering {
            seed: |question: &backoff::Question| u64::from(question.seed),
            plain: |question| {
                backoff::exponential(windlass_core::policy::BuiltIn::default(), question.failures)
            },
            odd: odd_retry,
            other: || backoff::Answer::Other("ask-a-human".to_owned()),
            bad: |_| backoff::Answer::RetryAfterMs(u32::MAX),
            long: || backoff::Answer::Stop("x".repeat(100_000)),
        };
        self.call(Decision::Backoff, questions, answering, Answers::Backoff)
    }

    fn schedule(&self, _settings: &str, questions: &[schedule::Question]) -> Called<Vec<schedule::Answer>> {
        let answering = Answering {
            seed: |question: &schedule::Question| u64::from(question.seed),
            plain: schedule::built_in,
            odd: odd_instants,
            other: || schedule::Answer::Other("when-it-rains".to_owned()),
            bad: |question| {
                let at_s = vec![question.until_s, question.until_s.saturating_add(1)];
                schedule::Answer::Fires(schedule::Firing { at_s, more: false })
            },
            long: || schedule::Answer::Refused("x".repeat(100_000)),
        };
        self.call(Decision::Schedule, questions, answering, Answers::Schedule)
    }

    fn missed_runs(
        &self,
        _settings: &str,
        questions: &[missed_runs::Question],
    ) -> Called<Vec<missed_runs::Answer>> {
        let answering = Answering {
            seed: |question: &missed_runs::Question| u64::from(question.seed),
            plain: missed_runs::built_in,
            odd: odd_runs,
            other: || missed_runs::Answer::Other("some".to_owned()),
            bad: |question| missed_runs::Answer::Run(vec![question.missed_s.len() as u32]),
            long: || missed_runs::Answer::Other("x".repeat(100_000)),
        };
        self.call(Decision::MissedRuns, questions, answering, Answers::MissedRuns)
    }

    fn rollout(&self, _settings: &str, questions: &[rollout::Question]) -> Called<Vec<rollout::Answer>> {
        let answering = Answering {
            seed: |question: &rollout::Question| u64::from(question.seed) ^ u64::from(question.age_ms),
            plain: rollout::built_in,
            odd: odd_nodes,
            other: || rollout::Answer::Other("when-the-moon-is-full".to_owned()),
            bad: |question| {
                let nodes = vec![question.nodes.len() as u32];
                rollout::Answer::Update(rollout::Update { nodes, ..rollout::Update::default() })
            },
            long: || {
                rollout::Answer::Pause(rollout::Hold { reason: "x".repeat(100_000), ask_again_ms: 1_000 })
            },
        };
        self.call(Decision::Rollout, questions, answering, Answers::Rollout)
    }

    fn admission(
        &self,
        _settings: &str,
        _questions: &[admission::Question],
    ) -> Called<Vec<admission::Answer>> {
        Called::not(PluginFault::DoesNotDecide)
    }
}

fn odd_retry(question: &backoff::Question, random: &mut Random) -> backoff::Answer {
    // As it goes on, so that not every failure is answered alike.
    let random = &mut Random::new(random.number() ^ u64::from(question.failures), 11);
    match random.below(20) {
        0 => backoff::Answer::Stop("enough is enough".to_owned()),
        1 => backoff::Answer::NotCounted,
        2 => backoff::Answer::Other("ask-a-human".to_owned()),
        3..6 => backoff::Answer::Hold(backoff::Hold {
            reason: "maintenance".to_owned(),
            ask_again_ms: random.pick(&ODD_WAITS_MS),
        }),
        _ => backoff::Answer::RetryAfterMs(random.pick(&ODD_DELAYS_MS)),
    }
}

/// The instants of another schedule, or of the same with some left out; now and then a refusal.
fn odd_instants(question: &schedule::Question, random: &mut Random) -> schedule::Answer {
    match random.below(10) {
        0 => schedule::Answer::Refused("closed today".to_owned()),
        1..5 => {
            let schedule::Answer::Fires(mut firing) = schedule::built_in(question) else {
                return schedule::Answer::Refused("no schedule".to_owned());
            };
            firing.at_s.retain(|at_s| !mix(u64::from(*at_s)).is_multiple_of(3));
            schedule::Answer::Fires(firing)
        }
        _ => {
            let period_s = random.pick(&ODD_PERIODS_S);
            let limit = question.limit as usize;
            let mut at_s: Vec<u32> = if question.latest {
                let last = question.until_s / period_s * period_s;
                (0..question.limit).map_while(|place| last.checked_sub(place * period_s)).collect()
            } else {
                let first = question.after_s / period_s * period_s;
                (1..=question.limit).map_while(|place| first.checked_add(place * period_s)).collect()
            };
            at_s.retain(|at_s| *at_s > question.after_s && *at_s <= question.until_s);
            at_s.sort_unstable();
            let more = question.latest && at_s.len() == limit;
            schedule::Answer::Fires(schedule::Firing { at_s, more })
        }
    }
}

/// All of the runs, or none, or some.
fn odd_runs(question: &missed_runs::Question, random: &mut Random) -> missed_runs::Answer {
    let count = question.missed_s.len() as u32;
    let every = random.pick(&[1, 1, 2, 3, u32::MAX]);
    missed_runs::Answer::Run((0..count).filter(|position| (position + 1).is_multiple_of(every)).collect())
}

/// A wait, or some of the nodes in any order, with a budget or none.
fn odd_nodes(question: &rollout::Question, random: &mut Random) -> rollout::Answer {
    let ask_again_ms = random.pick(&ODD_WAITS_MS);
    if random.chance(250) {
        return rollout::Answer::Pause(rollout::Hold { reason: "change freeze".to_owned(), ask_again_ms });
    }
    let mut nodes: Vec<u32> = (0..question.nodes.len() as u32).filter(|_| random.chance(600)).collect();
    if random.chance(500) {
        nodes.reverse();
    }
    let budget = random.pick(&[None, None, Some(0), Some(1), Some(3), Some(u32::MAX)]);
    let ask_again_ms = random.chance(700).then_some(ask_again_ms);
    rollout::Answer::Update(rollout::Update { nodes, budget, ask_again_ms })
}
