//! What annotations tell a Pod to do.

use windlass_core::kube::ObjectMeta;

use super::ClusterOptions;
use crate::dice::number_for;

/// Prefix of the annotations that tell a Pod what to do:
///
/// | annotation | value | meaning |
/// |---|---|---|
/// | `start-seconds` | `2`, `0.5` or `1-3` | from binding to start |
/// | `ready-seconds` | `3`, `0.5` or `1-3` | from start to readiness |
/// | `run-seconds` | `5`, `0.5` or `5-10` | from start to end |
/// | `exit-code` | `3` | how its containers end |
/// | `fail-first` | `2` | only so many first Pods of the Job, or of the index, end badly (with `exit-code`, else 1) |
/// | `hang-terminating-seconds` | `600` | how long it takes to end once it is deleted |
/// | `not-ready` | `true` | it runs without becoming ready |
/// | `evict-seconds` | `5`, `0.5` or `5-10` | from start to its eviction by the kubelet, which leaves it Failed for good |
/// | `evict-first` | `2` | only so many first Pods of the Job, of the index, or of the DaemonSet on a node are evicted |
///
/// A range is settled by the seed and the Pod's name. A Pod whose restartPolicy is Always runs on, unless
/// `run-seconds`, `exit-code` or `fail-first` says that it ends; then it is started again.
pub const ANNOTATION_PREFIX: &str = "sandbox.windlass.dev/";

/// What one Pod does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behavior {
    pub(super) start_ms: u64,
    pub(super) run_ms: u64,
    pub(super) exit_code: i32,
    pub(super) fail_first: Option<u32>,
    pub(super) hang_terminating_ms: Option<u64>,
    pub(super) is_ready: bool,
    pub(super) ready_after_ms: u64,
    pub(super) evict_after_ms: Option<u64>,
    pub(super) evict_first: Option<u32>,
    /// Whether an annotation says when a run ends.
    says_run: bool,
    /// Whether an annotation says how a run ends.
    says_exit: bool,
}

impl Behavior {
    /// What a Pod with `metadata` does, and the first annotation that is not understood.
    pub(super) fn of(metadata: &ObjectMeta, options: &ClusterOptions, seed: u64) -> (Self, Option<String>) {
        let mut behavior = Self {
            start_ms: options.start_ms,
            run_ms: options.run_ms,
            exit_code: 0,
            fail_first: None,
            hang_terminating_ms: None,
            is_ready: true,
            ready_after_ms: 0,
            evict_after_ms: None,
            evict_first: None,
            says_run: false,
            says_exit: false,
        };
        let mut malformed = None;
        // Annotations are sorted, so that the ones meant are found without looking at the others.
        let from: std::sync::Arc<str> = ANNOTATION_PREFIX.into();
        for (key, text) in metadata.annotations.range(from..) {
            let Some(name) = key.strip_prefix(ANNOTATION_PREFIX) else { break };
            let mut salt = seed;
            let mut span = || {
                salt = salt.wrapping_add(u64::try_from(name.len()).unwrap_or(0));
                span_ms(text, || number_for(salt, [&metadata.namespace, &metadata.name]))
            };
            let understood = match name {
                "start-seconds" => span().map(|ms| behavior.start_ms = ms),
                "run-seconds" => {
                    behavior.says_run = true;
                    span().map(|ms| behavior.run_ms = ms)
                }
                "ready-seconds" => span().map(|ms| behavior.ready_after_ms = ms),
                "evict-seconds" => span().map(|ms| behavior.evict_after_ms = Some(ms)),
                "evict-first" => text.parse().ok().map(|count| behavior.evict_first = Some(count)),
                "hang-terminating-seconds" => span().map(|ms| behavior.hang_terminating_ms = Some(ms)),
                "exit-code" => {
                    behavior.says_exit = true;
                    text.parse().ok().map(|code| behavior.exit_code = code)
                }
                "fail-first" => text.parse().ok().map(|count| behavior.fail_first = Some(count)),
                "not-ready" => text.parse::<bool>().ok().map(|not_ready| behavior.is_ready = !not_ready),
                _ => None,
            };
            if understood.is_none() && malformed.is_none() {
                malformed = Some(format!("{key}: {text}"));
            }
        }
        (behavior, malformed)
    }

    /// Whether a run of a Pod that is always started again ends at all, with `earlier` runs before it.
    pub(super) fn ends_if_restarted(&self, earlier: u32) -> bool {
        let ends_badly = self.exit_code_after(earlier) != 0;
        self.says_run || ends_badly || (self.says_exit && self.fail_first.is_none())
    }

    /// Milliseconds from the start of the Pod to its eviction, if it is evicted with `earlier` Pods before it.
    pub(super) fn eviction_ms(&self, earlier: u32) -> Option<u64> {
        self.evict_after_ms.filter(|_| self.evict_first.is_none_or(|count| earlier < count))
    }

    /// Exit code of the run that has `earlier` runs of the same Job or index before it.
    pub(super) fn exit_code_after(&self, earlier: u32) -> i32 {
        match self.fail_first {
            None => self.exit_code,
            Some(first) if earlier < first => {
                if self.exit_code == 0 {
                    1
                } else {
                    self.exit_code
                }
            }
            Some(_) => 0,
        }
    }
}

/// Milliseconds that `5`, `0.5` or `5-10` seconds are; a range is settled by `dice`.
fn span_ms(text: &str, dice: impl FnOnce() -> u64) -> Option<u64> {
    let Some((low, high)) = text.split_once('-') else { return seconds_ms(text) };
    let (low, high) = (seconds_ms(low)?, seconds_ms(high)?);
    let width = high.checked_sub(low)?.checked_add(1)?;
    Some(low + dice() % width)
}

fn seconds_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = fraction.get(..fraction.len().min(3))?;
    let scale = [1000, 100, 10, 1].get(digits.len())?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction_ms = digits.parse::<u64>().ok()?.checked_mul(*scale)?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction_ms)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use windlass_core::kube::Labels;

    use super::*;

    fn behavior(annotations: &[(&str, &str)]) -> (Behavior, Option<String>) {
        let annotations: Labels = annotations
            .iter()
            .map(|(name, text)| (format!("{ANNOTATION_PREFIX}{name}").into(), (*text).into()))
            .collect();
        let metadata = ObjectMeta { annotations: Arc::new(annotations), ..ObjectMeta::default() };
        Behavior::of(&metadata, &ClusterOptions::default(), 1)
    }

    #[test]
    fn seconds_may_have_a_fraction_or_be_a_range() {
        assert_eq!(behavior(&[("run-seconds", "0.25")]).0.run_ms, 250);
        assert_eq!(behavior(&[("run-seconds", "7")]).0.run_ms, 7000);
        let ranged = behavior(&[("run-seconds", "5-10")]).0.run_ms;
        assert!((5000..=10_000).contains(&ranged));
        assert_eq!(behavior(&[("run-seconds", "5-10")]).0.run_ms, ranged);
    }

    #[test]
    fn an_annotation_that_is_not_understood_is_named_and_the_default_holds() {
        let (behavior, malformed) = behavior(&[("run-seconds", "soon")]);
        assert_eq!(behavior.run_ms, 5000);
        assert_eq!(malformed.as_deref(), Some("sandbox.windlass.dev/run-seconds: soon"));
    }

    #[test]
    fn a_pod_that_is_always_started_again_runs_on_unless_it_is_told_to_end() {
        assert!(!behavior(&[("ready-seconds", "4")]).0.ends_if_restarted(0));
        assert!(behavior(&[("run-seconds", "4")]).0.ends_if_restarted(0));
        assert!(behavior(&[("exit-code", "0")]).0.ends_if_restarted(0));
        let crashing = behavior(&[("fail-first", "1"), ("exit-code", "7")]).0;
        assert_eq!([0, 1].map(|earlier| crashing.ends_if_restarted(earlier)), [true, false]);
    }

    #[test]
    fn only_the_first_pods_are_evicted_where_their_number_is_given() {
        let evicted = behavior(&[("evict-seconds", "2"), ("evict-first", "1")]).0;
        assert_eq!([0, 1].map(|earlier| evicted.eviction_ms(earlier)), [Some(2000), None]);
        assert_eq!(behavior(&[("evict-seconds", "2")]).0.eviction_ms(9), Some(2000));
        assert_eq!(behavior(&[("evict-first", "2")]).0.eviction_ms(0), None);
    }

    #[test]
    fn only_the_first_runs_fail_where_their_number_is_given() {
        let behavior = behavior(&[("fail-first", "2"), ("exit-code", "3")]).0;
        assert_eq!([0, 1, 2].map(|earlier| behavior.exit_code_after(earlier)), [3, 3, 0]);
    }
}
