//! What stands in the way of a run: each is told once for as long as it stands.

use alloc::string::String;
use alloc::vec::Vec;

use crate::hash::{Fnv, owner_mark};
use crate::plan::EventRecord;

/// Most complaints that a memo remembers; what more there are is told again.
const MAX_REMEMBERED: usize = 16;
/// Version of the memo's layout.
const VERSION: u8 = 2;

/// Complaints of one reconcile, in the order found.
#[derive(Default)]
pub(super) struct Complaints {
    found: Vec<Complaint>,
}

struct Complaint {
    event: EventRecord,
    /// The instant that it is about, where its text does not say it.
    about_s: i64,
}

impl Complaints {
    /// Adds a Warning.
    pub(super) fn warn(&mut self, reason: &'static str, message: String) {
        self.found.push(Complaint { event: EventRecord::new(true, reason, message), about_s: 0 });
    }

    /// Adds something that is as it should be, and yet stands in the way of the run at `about_s`.
    pub(super) fn note(&mut self, reason: &'static str, message: &str, about_s: i64) {
        self.found.push(Complaint { event: EventRecord::new(false, reason, message), about_s });
    }

    /// Those that the last reconcile of the CronJob with `uid` did not find, and the memo for the next.
    pub(super) fn settle(self, memo: &[u8], uid: &str) -> (Vec<EventRecord>, Vec<u8>) {
        let known = read(memo, uid);
        let hashes: Vec<u64> = self.found.iter().map(hash).collect();
        let new = self.found.into_iter().zip(&hashes).filter(|(_, hash)| !known.contains(hash));
        let new = new.map(|(complaint, _)| complaint.event).collect();
        (new, write(&hashes, uid))
    }
}

fn hash(complaint: &Complaint) -> u64 {
    let mut hash = Fnv::default();
    hash.write(complaint.event.reason.as_bytes());
    hash.write(&[0]);
    hash.write(complaint.event.message.as_bytes());
    hash.write(&complaint.about_s.to_le_bytes());
    hash.finish()
}

fn read(memo: &[u8], uid: &str) -> Vec<u64> {
    let Some((&VERSION, numbers)) = memo.split_first() else { return Vec::new() };
    let mut numbers = numbers.as_chunks().0.iter().map(|bytes: &[u8; 8]| u64::from_le_bytes(*bytes));
    match numbers.next() {
        Some(owner) if owner == owner_mark(uid) => numbers.collect(),
        Some(_) | None => Vec::new(),
    }
}

fn write(hashes: &[u64], uid: &str) -> Vec<u8> {
    if hashes.is_empty() {
        return Vec::new();
    }
    let mut memo = Vec::from([VERSION]);
    memo.extend(owner_mark(uid).to_le_bytes());
    memo.extend(hashes.iter().take(MAX_REMEMBERED).flat_map(|hash| hash.to_le_bytes()));
    memo
}
