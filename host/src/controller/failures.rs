//! How many Pods of a namespace's Jobs failed in the last hour, for plugins that want to know.
//!
//! Counted from what this process has seen since it began to lead: a failure counts when the Job's status counts it,
//! to the minute.

use std::collections::{BTreeMap, VecDeque};

use windlass_core::kube::Str;

/// Minutes that are looked back, the one that runs included.
const MINUTES: u64 = 60;
/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;
/// Most namespaces of which failures are remembered; that of the oldest failure is forgotten first.
const MAX_NAMESPACES: usize = 4_096;

/// Failures of the last hour, by namespace.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Minute and number, the oldest first.
    namespaces: BTreeMap<Str, VecDeque<(u64, u32)>>,
}

impl Failures {
    /// So many Pods failed.
    pub(super) fn add(&mut self, now_ms: u64, namespace: &Str, count: u32) {
        if count == 0 {
            return;
        }
        let minute = now_ms / MINUTE_MS;
        if !self.namespaces.contains_key(namespace) && self.namespaces.len() >= MAX_NAMESPACES {
            let latest = |minutes: &VecDeque<(u64, u32)>| minutes.back().map(|(minute, _)| *minute);
            let oldest = self.namespaces.iter().min_by_key(|(_, minutes)| latest(minutes));
            if let Some(oldest) = oldest.map(|(namespace, _)| namespace.clone()) {
                self.namespaces.remove(&oldest);
            }
        }
        let minutes = self.namespaces.entry(namespace.clone()).or_default();
        while minutes.front().is_some_and(|(of, _)| of + MINUTES <= minute) {
            minutes.pop_front();
        }
        match minutes.back_mut() {
            Some((of, known)) if *of == minute => *known = known.saturating_add(count),
            Some(_) | None => minutes.push_back((minute, count)),
        }
    }

    /// How many failed in the last hour.
    pub(super) fn last_hour(&self, now_ms: u64, namespace: &Str) -> u32 {
        let minute = now_ms / MINUTE_MS;
        let minutes = self.namespaces.get(namespace).into_iter().flatten();
        let recent = minutes.filter(|(of, _)| of + MINUTES > minute);
        recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_for_an_hour_in_their_namespace() {
        let mut failures = Failures::default();
        let (shop, ops): (Str, Str) = ("shop".into(), "ops".into());
        failures.add(0, &shop, 2);
        failures.add(30_000, &shop, 1);
        failures.add(59 * MINUTE_MS, &shop, 4);
        assert_eq!(failures.last_hour(59 * MINUTE_MS, &shop), 7);
        assert_eq!(failures.last_hour(60 * MINUTE_MS, &shop), 4);
        assert_eq!(failures.last_hour(60 * MINUTE_MS, &ops), 0);
        failures.add(200 * MINUTE_MS, &shop, 1);
        assert_eq!(failures.namespaces[&shop].len(), 1, "what is old is forgotten");
    }

    #[test]
    fn only_so_many_namespaces_are_remembered() {
        let mut failures = Failures::default();
        for number in 0..=MAX_NAMESPACES as u64 {
            failures.add(number * MINUTE_MS, &format!("n-{number}").into(), 1);
        }
        assert_eq!(failures.namespaces.len(), MAX_NAMESPACES);
        assert_eq!(failures.last_hour(0, &"n-0".into()), 0);
    }
}
