//! Which plugins may be asked, found independently of the host: five failures in a row, a quarantine that is twice as
//! long each time, and one run that tries the plugin then.

use std::collections::BTreeMap;

use windlass_core::kube::Str;
use windlass_host::controller::RunId;
use windlass_host::plugin::Digest;

use super::Outcome;

/// Failures in a row that bring a quarantine.
const FAILURES_IN_A_ROW: u32 = 5;
/// The first quarantine, milliseconds.
const FIRST_MS: u64 = 10_000;
/// The longest one, milliseconds.
const LONGEST_MS: u64 = 600_000;

/// The plugins of one process that have failed.
#[derive(Debug, Default)]
pub(super) struct Circuits(BTreeMap<Str, Circuit>);

#[derive(Debug)]
struct Circuit {
    digest: Digest,
    failures: u32,
    quarantines: u32,
    until_ms: Option<u64>,
    trial: Option<RunId>,
}

/// Whether a run may ask a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    BeAsked,
    NotBeAsked,
}

impl Circuits {
    /// Forgets what is not loaded any more.
    pub(super) fn keep(&mut self, loaded: &BTreeMap<Str, Digest>) {
        self.0.retain(|name, circuit| loaded.get(name) == Some(&circuit.digest));
    }

    /// No run that tries a plugin will report.
    pub(super) fn forget_trials(&mut self) {
        self.0.values_mut().for_each(|circuit| circuit.trial = None);
    }

    /// Whether `run` may ask the plugin; after a quarantine it is the one that tries it.
    pub(super) fn admit(&mut self, now_ms: u64, plugin: &Str, run: RunId) -> May {
        let Some(circuit) = self.0.get_mut(plugin) else { return May::BeAsked };
        match circuit.until_ms {
            None => May::BeAsked,
            Some(until_ms) if until_ms > now_ms || circuit.trial.is_some() => May::NotBeAsked,
            Some(_) => {
                circuit.trial = Some(run);
                May::BeAsked
            }
        }
    }

    /// A call of `run` ended; the first of a run that tries a plugin says whether it is trusted again.
    pub(super) fn ended(
        &mut self,
        now_ms: u64,
        plugin: &Str,
        (run, digest): (RunId, Digest),
        outcome: Outcome,
    ) {
        let new = || Circuit { digest, failures: 0, quarantines: 0, until_ms: None, trial: None };
        match (outcome, self.0.get_mut(plugin)) {
            (Outcome::Unknown, Some(circuit)) if circuit.trial == Some(run) => circuit.trial = None,
            (Outcome::Unknown, _) | (Outcome::Well, None) => {}
            // It was asked before the quarantine began.
            (_, Some(circuit)) if circuit.until_ms.is_some() && circuit.trial != Some(run) => {}
            (Outcome::Well, Some(_)) => drop(self.0.remove(plugin)),
            (Outcome::Badly, _) => self.0.entry(plugin.clone()).or_insert_with(new).fail(now_ms),
        }
    }

    /// A run is over; if it was to try a plugin and did not, another may.
    pub(super) fn unused(&mut self, run: RunId) {
        self.0
            .values_mut()
            .filter(|circuit| circuit.trial == Some(run))
            .for_each(|circuit| circuit.trial = None);
    }
}

impl Circuit {
    fn fail(&mut self, now_ms: u64) {
        self.failures += 1;
        self.trial = None;
        if self.failures >= FAILURES_IN_A_ROW {
            let for_ms = (FIRST_MS << self.quarantines.min(20)).min(LONGEST_MS);
            self.quarantines += 1;
            self.until_ms = Some(now_ms + for_ms);
        }
    }
}
