//! Watches that end.

use windlass_core::kube::{Kind, ResourceVersion};

use super::super::watches::SOUND_WATCH_MS;
use super::Harness;
use crate::controller::Notice;
use crate::watch::{StreamId, WatchBody, WatchCommand, WatchEnd};

/// Ends the watch of Pods and gives the stream that follows it, if one does at once.
fn close(harness: &mut Harness) -> Option<StreamId> {
    let stream = harness.pods;
    harness.says(Kind::Pod, stream, WatchBody::Ended(WatchEnd::Closed));
    match harness.machine.poll_watch() {
        Some(WatchCommand::Watch { kind: Kind::Pod, stream, from }) => {
            assert_eq!(from, ResourceVersion(100));
            harness.pods = stream;
            Some(stream)
        }
        other => {
            assert_eq!(other, None);
            None
        }
    }
}

#[test]
fn a_quiet_watch_that_the_server_ends_in_its_time_goes_on_at_once_however_often() {
    let mut harness = Harness::new(Vec::new(), Vec::new());
    for _ in 0..5 {
        harness.pass(SOUND_WATCH_MS);
        assert!(close(&mut harness).is_some());
    }
    assert!(harness.machine.poll_timeout().is_none(), "nothing waits");
}

#[test]
fn a_watch_that_ends_as_soon_as_it_began_is_begun_once_at_once_and_then_with_backoff() {
    let mut harness = Harness::new(Vec::new(), Vec::new());
    assert!(close(&mut harness).is_some());
    assert!(close(&mut harness).is_none());
    harness.request(crate::request::Flow::Read);
    assert!(harness.notices.iter().any(|notice| matches!(notice, Notice::WatchEnded { .. })));
    assert!(harness.machine.poll_timeout().is_some_and(|due| due > harness.now_ms));
}
