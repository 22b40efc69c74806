//! Which plugins are trusted for now: so many failures in a row put one into quarantine, for longer each time, and
//! then one call tries it again.

use std::collections::BTreeMap;

use windlass_core::kube::Str;

use super::{Digest, Identity};
use crate::backoff::Backoff;

/// Failures in a row that put a plugin into quarantine.
pub const FAILURES_IN_A_ROW: u32 = 5;
/// How long a quarantine lasts.
pub const QUARANTINE: Backoff = Backoff { base_ms: 10_000, max_ms: 600_000 };

/// What is remembered of each plugin that has failed.
#[derive(Clone, Debug, Default)]
pub struct Circuits {
    plugins: BTreeMap<Str, Circuit>,
}

#[derive(Clone, Debug)]
struct Circuit {
    digest: Digest,
    failures: u32,
    quarantines: u32,
    closed_until_ms: Option<u64>,
    on_trial: bool,
}

/// Whether a plugin may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Free,
    /// It may, and nobody else may ask it until it is known how that went.
    Trial,
    /// It may not.
    Quarantined {
        /// Milliseconds until it is tried.
        for_ms: u64,
    },
}

/// What a call changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The plugin is in quarantine from now on.
    Quarantined {
        /// For so many milliseconds.
        for_ms: u64,
    },
    /// The plugin is trusted again.
    Restored,
}

impl Circuits {
    /// Whether the plugin may be asked at `now_ms` of the monotonic clock; a trial must be settled.
    pub fn admit(&mut self, now_ms: u64, plugin: &Identity) -> Admission {
        let Some(circuit) = self.of(plugin) else { return Admission::Free };
        match circuit.closed_until_ms {
            None => Admission::Free,
            Some(until) if until > now_ms => Admission::Quarantined { for_ms: until - now_ms },
            // Somebody tries it at this moment.
            Some(_) if circuit.on_trial => Admission::Quarantined { for_ms: QUARANTINE.base_ms },
            Some(_) => {
                circuit.on_trial = true;
                Admission::Trial
            }
        }
    }

    /// Notes that a call went well.
    pub fn succeeded(&mut self, plugin: &Identity, was_trial: bool) -> Option<Turn> {
        let circuit = self.of(plugin)?;
        if circuit.closed_until_ms.is_some() && !was_trial {
            // It was asked before the quarantine began.
            return None;
        }
        self.plugins.remove(&plugin.name);
        was_trial.then_some(Turn::Restored)
    }

    /// Notes that a call went badly.
    pub fn failed(&mut self, now_ms: u64, plugin: &Identity, was_trial: bool) -> Option<Turn> {
        let new = Circuit {
            digest: plugin.digest,
            failures: 0,
            quarantines: 0,
            closed_until_ms: None,
            on_trial: false,
        };
        if self.of(plugin).is_none() {
            self.plugins.insert(plugin.name.clone(), new);
        }
        let circuit = self.of(plugin)?;
        if circuit.closed_until_ms.is_some() && !was_trial {
            return None;
        }
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.on_trial = false;
        if circuit.failures < FAILURES_IN_A_ROW {
            return None;
        }
        let for_ms = QUARANTINE.wait_ms(circuit.quarantines);
        circuit.quarantines = circuit.quarantines.saturating_add(1);
        circuit.closed_until_ms = Some(now_ms.saturating_add(for_ms));
        Some(Turn::Quarantined { for_ms })
    }

    /// Gives back a trial that was not used.
    pub fn unused(&mut self, plugin: &Identity) {
        if let Some(circuit) = self.of(plugin) {
            circuit.on_trial = false;
        }
    }

    /// Forgets what is not loaded any more, by what of each name is: another version starts anew.
    pub fn keep_loaded(&mut self, loaded: impl Fn(&str) -> Option<Digest>) {
        self.plugins.retain(|name, circuit| loaded(name) == Some(circuit.digest));
    }

    /// Gives back every trial: whoever had one will not report.
    pub fn forget_trials(&mut self) {
        for circuit in self.plugins.values_mut() {
            circuit.on_trial = false;
        }
    }

    /// Plugins that are in quarantine, on trial or not.
    pub fn quarantined(&self) -> impl Iterator<Item = &Str> {
        let closed = self.plugins.iter().filter(|(_, circuit)| circuit.closed_until_ms.is_some());
        closed.map(|(name, _)| name)
    }

    /// What is remembered of these very bytes; another version of a plugin starts anew.
    fn of(&mut self, plugin: &Identity) -> Option<&mut Circuit> {
        if self.plugins.get(&plugin.name).is_some_and(|circuit| circuit.digest != plugin.digest) {
            self.plugins.remove(&plugin.name);
        }
        self.plugins.get_mut(&plugin.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(digest: u8) -> Identity {
        let digest = Digest([digest; 32]);
        Identity { name: "flaky".into(), digest, size_bytes: 1, decisions: Vec::new() }
    }

    /// Lets the plugin fail until it is in quarantine.
    fn broken(circuits: &mut Circuits, now_ms: u64) {
        for _ in 1..FAILURES_IN_A_ROW {
            assert_eq!(circuits.failed(now_ms, &plugin(1), false), None);
            assert_eq!(circuits.admit(now_ms, &plugin(1)), Admission::Free);
        }
        let turn = circuits.failed(now_ms, &plugin(1), false);
        assert_eq!(turn, Some(Turn::Quarantined { for_ms: 10_000 }));
    }

    #[test]
    fn failures_in_a_row_bring_a_quarantine_and_a_success_between_them_does_not() {
        let mut circuits = Circuits::default();
        for _ in 1..FAILURES_IN_A_ROW {
            circuits.failed(0, &plugin(1), false);
        }
        assert_eq!(circuits.succeeded(&plugin(1), false), None);
        broken(&mut circuits, 0);
        assert_eq!(circuits.admit(4_000, &plugin(1)), Admission::Quarantined { for_ms: 6_000 });
        assert_eq!(circuits.quarantined().count(), 1);
    }

    #[test]
    fn one_call_tries_the_plugin_again_and_the_next_quarantine_is_longer() {
        let mut circuits = Circuits::default();
        broken(&mut circuits, 0);
        assert_eq!(circuits.admit(10_000, &plugin(1)), Admission::Trial);
        assert!(matches!(circuits.admit(10_000, &plugin(1)), Admission::Quarantined { .. }), "only one");
        let turn = circuits.failed(10_001, &plugin(1), true);
        assert_eq!(turn, Some(Turn::Quarantined { for_ms: 20_000 }));
        assert_eq!(circuits.admit(30_001, &plugin(1)), Admission::Trial);
        circuits.unused(&plugin(1));
        assert_eq!(circuits.admit(30_001, &plugin(1)), Admission::Trial);
        assert_eq!(circuits.succeeded(&plugin(1), true), Some(Turn::Restored));
        assert_eq!(circuits.admit(30_001, &plugin(1)), Admission::Free);
        broken(&mut circuits, 40_000);
    }

    #[test]
    fn calls_from_before_the_quarantine_change_nothing() {
        let mut circuits = Circuits::default();
        broken(&mut circuits, 0);
        assert_eq!(circuits.failed(1, &plugin(1), false), None);
        assert_eq!(circuits.succeeded(&plugin(1), false), None);
        assert_eq!(circuits.admit(1, &plugin(1)), Admission::Quarantined { for_ms: 9_999 });
    }

    #[test]
    fn another_version_starts_anew() {
        let mut circuits = Circuits::default();
        broken(&mut circuits, 0);
        assert_eq!(circuits.admit(1, &plugin(2)), Admission::Free);
    }

    #[test]
    fn a_version_that_comes_back_starts_anew_and_one_that_stays_does_not() {
        let mut circuits = Circuits::default();
        broken(&mut circuits, 0);
        circuits.keep_loaded(|_| Some(plugin(1).digest));
        assert!(matches!(circuits.admit(1, &plugin(1)), Admission::Quarantined { .. }));
        circuits.keep_loaded(|_| Some(plugin(2).digest));
        assert_eq!(circuits.admit(1, &plugin(1)), Admission::Free);
    }

    #[test]
    fn a_trial_that_nobody_reports_is_given_back() {
        let mut circuits = Circuits::default();
        broken(&mut circuits, 0);
        assert_eq!(circuits.admit(10_000, &plugin(1)), Admission::Trial);
        circuits.forget_trials();
        assert_eq!(circuits.admit(10_000, &plugin(1)), Admission::Trial);
    }
}
