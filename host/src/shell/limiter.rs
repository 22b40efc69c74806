//! A token bucket: at most so many requests a second, and so many at once after a rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::Clock;

/// A token bucket for all requests of a client.
#[derive(Debug)]
pub(super) struct Limiter {
    clock: Clock,
    /// Time that one token takes, and the time that a full bucket is worth.
    interval: Duration,
    depth: Duration,
    /// Instant, since the start of the clock, from which the bucket fills again.
    paid_until: Mutex<Duration>,
}

impl Limiter {
    /// A bucket of `burst` tokens that gains `per_second`; `None` where there is no limit.
    pub(super) fn new(clock: Clock, per_second: f64, burst: u32) -> Option<Self> {
        let interval = Duration::try_from_secs_f64(1.0 / per_second).ok().filter(|_| per_second > 0.0)?;
        let depth = interval.saturating_mul(burst.max(1));
        Some(Self { clock, interval, depth, paid_until: Mutex::new(Duration::ZERO) })
    }

    /// Takes a token, after a wait if there is none.
    pub(super) async fn take(&self) {
        let wait = self.reserve(self.clock.elapsed());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait for the token that is taken at `now`.
    fn reserve(&self, now: Duration) -> Duration {
        let mut paid = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let full = (now + self.interval).saturating_sub(self.depth);
        let token = (*paid).max(full);
        *paid = token + self.interval;
        token.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_waits_its_turn() {
        let limiter = Limiter::new(Clock::start(), 10.0, 3).expect("a limit");
        let now = Duration::from_secs(100);
        let waits: Vec<u128> = (0..5).map(|_| limiter.reserve(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        assert_eq!(limiter.reserve(now + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(Limiter::new(Clock::start(), 0.0, 10).is_none());
    }
}
