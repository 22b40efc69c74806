//! What goes wrong: kinds of fault, how often each strikes in a run, and which have struck at all.
//!
//! A run draws a subset of the kinds and a rate for each, so that some runs are all of one kind and some are
//! a bit of everything. After [`Faults::last_ms`] nothing goes wrong any more, and the run goes on to rest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::random::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A request never arrives; its sender hears nothing.
    RequestLost,
    /// A request is carried out; its sender hears nothing.
    AnswerLost,
    /// A request arrives long after its sender gave it up.
    RequestLate,
    /// Somebody changes the object just before a write of ours arrives.
    Conflict,
    /// Somebody takes the name of a Pod just before we create it.
    NameTaken,
    /// Somebody removes a Pod, or a Job that we delete, by force just before a write of ours arrives, and makes another
    /// of its name.
    NameReused,
    /// 429 with Retry-After.
    TooManyRequests,
    /// 429 without.
    TooManyRequestsBare,
    /// 403, as a quota gives it to creates; a script lets any write meet it, as from who may admit writes.
    Forbidden,
    /// 409 to a create, as a quota gives it that somebody else changed at the same time.
    QuotaConflict,
    /// 500, and nothing was done.
    ServerError,
    /// 503, and nothing was done.
    Unavailable,
    /// 504, and it was done.
    TimeoutApplied,
    /// An answer takes its time.
    AnswerSlow,
    /// A request is not sent: the connection could not be opened.
    NotSent,
    /// A read of one object fails.
    ReadFailed,
    /// A list breaks off.
    ListBroken,
    /// The pages of a list expire before the last was read.
    ListExpired,
    /// A list takes its time between pages.
    ListSlow,
    /// A list is served from an older state than was watched before.
    ListLagging,
    /// The watch of one kind lags.
    WatchDelayed,
    /// The server ends a watch in good order.
    WatchClosed,
    /// The connection of a watch breaks.
    WatchBroken,
    /// The server has forgotten where the watch stood: 410.
    WatchExpired,
    /// A watch says nothing for a while and then breaks.
    WatchSilent,
    /// A watch sends what cannot be read.
    WatchUndecodable,
    /// Events are delivered a second time.
    WatchRepeated,
    /// Events of a watch that was replaced come after all.
    WatchStale,
    /// The process dies before a write of its arrives.
    CrashBeforeWrite,
    /// The process dies after a write was carried out, before it hears.
    CrashAfterWrite,
    /// The process dies at another moment.
    Crash,
    /// The process is told to end, waits for what is in flight, and exits.
    Terminated,
    /// Requests in flight at a crash arrive later than the next process' first.
    CrashLateDelivery,
    /// A process loses the leadership and gets it back.
    LeadershipLost,
    /// A second process acts at the same time.
    SecondProcess,
    /// A run of the core takes its time.
    WorkerSlow,
    /// The core traps.
    CoreTrapped,
    /// The wall clock of a process is set forward for a while.
    ClockForward,
    /// The wall clock of a process is set back for a while.
    ClockBack,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 39] = [
        Self::RequestLost,
        Self::AnswerLost,
        Self::RequestLate,
        Self::Conflict,
        Self::NameTaken,
        Self::NameReused,
        Self::TooManyRequests,
        Self::TooManyRequestsBare,
        Self::Forbidden,
        Self::QuotaConflict,
        Self::ServerError,
        Self::Unavailable,
        Self::TimeoutApplied,
        Self::AnswerSlow,
        Self::NotSent,
        Self::ReadFailed,
        Self::ListBroken,
        Self::ListExpired,
        Self::ListSlow,
        Self::ListLagging,
        Self::WatchDelayed,
        Self::WatchClosed,
        Self::WatchBroken,
        Self::WatchExpired,
        Self::WatchSilent,
        Self::WatchUndecodable,
        Self::WatchRepeated,
        Self::WatchStale,
        Self::CrashBeforeWrite,
        Self::CrashAfterWrite,
        Self::Crash,
        Self::Terminated,
        Self::CrashLateDelivery,
        Self::LeadershipLost,
        Self::SecondProcess,
        Self::WorkerSlow,
        Self::CoreTrapped,
        Self::ClockForward,
        Self::ClockBack,
    ];

    /// How often, in a thousand opportunities, the kind strikes at most: rarer where opportunities abound or
    /// where the damage is great.
    fn most_per_mille(self) -> u64 {
        match self {
            Self::Crash | Self::Terminated | Self::LeadershipLost => 4,
            Self::ClockForward | Self::ClockBack => 20,
            Self::CrashBeforeWrite | Self::CrashAfterWrite => 30,
            Self::WatchClosed
            | Self::WatchBroken
            | Self::WatchExpired
            | Self::WatchSilent
            | Self::WatchUndecodable
            | Self::CoreTrapped => 40,
            Self::SecondProcess | Self::CrashLateDelivery | Self::ListLagging => 1000,
            Self::ListBroken | Self::ListExpired | Self::ListSlow => 400,
            Self::WatchStale => 500,
            _ => 250,
        }
    }

    fn position(self) -> usize {
        self as usize
    }
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub struct Faults {
    per_mille: [u64; Fault::ALL.len()],
    last_ms: u64,
    random: Random,
    struck: Coverage,
}

/// How often each kind of fault has struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Fault, u64>);

impl Faults {
    /// A run in which nothing goes wrong.
    #[must_use]
    pub fn none(seed: u64) -> Self {
        Self {
            per_mille: [0; Fault::ALL.len()],
            last_ms: 0,
            random: Random::new(seed, 4),
            struck: Coverage::default(),
        }
    }

    /// The faults of `seed`; every eighth run has none.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut faults = Self::none(seed);
        if seed.is_multiple_of(8) {
            return faults;
        }
        let random = &mut Random::new(seed, 5);
        faults.last_ms = random.spread(2_000, 400_000);
        let share = random.pick(&[60, 150, 300, 600]);
        let intensity = random.pick(&[100, 400, 1000]);
        for kind in Fault::ALL {
            if random.chance(share) {
                let most = kind.most_per_mille() * intensity / 1000;
                faults.per_mille[kind.position()] = random.between(1, most.max(1));
            }
        }
        faults
    }

    /// Lets what goes wrong do so until `last_ms`, if anything does.
    pub fn until(&mut self, last_ms: u64) {
        if self.last_ms > 0 {
            self.last_ms = last_ms;
        }
    }

    /// Lets `kind` strike `per_mille` times in a thousand until `last_ms`.
    pub fn allow(&mut self, kind: Fault, per_mille: u64, last_ms: u64) {
        self.per_mille[kind.position()] = per_mille;
        self.last_ms = self.last_ms.max(last_ms);
    }

    /// Whether `kind` strikes at this opportunity; it counts as struck then.
    pub fn strikes(&mut self, kind: Fault, now_ms: u64) -> bool {
        let per_mille = self.per_mille[kind.position()];
        if per_mille == 0 || now_ms > self.last_ms || !self.random.chance(per_mille) {
            return false;
        }
        self.struck.note(kind);
        true
    }

    /// Lets `kind` never strike.
    pub fn forbid(&mut self, kind: Fault) {
        self.per_mille[kind.position()] = 0;
    }

    /// Counts a strike that was not left to chance.
    pub fn force(&mut self, kind: Fault) {
        self.struck.note(kind);
    }

    /// Nothing goes wrong any more.
    pub fn end(&mut self) {
        self.per_mille = [0; Fault::ALL.len()];
    }

    /// After this instant nothing goes wrong any more, milliseconds.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// Numbers for the details of a fault.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What has struck so far.
    #[must_use]
    pub fn struck(&self) -> &Coverage {
        &self.struck
    }
}

impl Coverage {
    /// Counts one strike.
    pub fn note(&mut self, kind: Fault) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Adds the strikes of another run.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }

    /// Strikes in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Kinds that never struck.
    #[must_use]
    pub fn missing(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|kind| !self.0.contains_key(kind)).collect()
    }

    /// A line a kind.
    #[must_use]
    pub fn table(&self) -> String {
        Fault::ALL.into_iter().fold(String::new(), |mut table, kind| {
            let count = self.0.get(&kind).copied().unwrap_or(0);
            let _ = writeln!(table, "  {:<20} {count:>10}", format!("{kind:?}"));
            table
        })
    }
}
