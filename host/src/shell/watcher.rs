//! Lists and watches: one task for each kind at a time, which decodes what it reads and passes it on.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use kube::client::Body;
use tokio::sync::mpsc::Sender;
use windlass_core::kube::{Kind, ResourceVersion};

use super::call::{Call, collection_path};
use super::client::{Client, Encoding, REQUEST_TIMEOUT, SendFault, chain, read};
use super::decode;
use super::driver::Input;
use crate::watch::{StreamId, WatchBody, WatchEnd, WatchEvent};

/// Objects of one page of a list (upstream: client-go's default page size).
const PAGE_SIZE: u32 = 500;
/// Longest event of a watch, bytes; etcd bounds an object at 1.5 MB and JSON may need some times that.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;
/// Shortest time after which the server is to end a watch (client-go: 5 min, and up to as much again).
const WATCH_SECONDS: u64 = 300;
/// The same where nothing probes the connection, so that only the end shows that it lives.
const UNPROBED_WATCH_SECONDS: u64 = 20;
/// How long a watch may be silent: the server sends a bookmark about each minute, so two are missing by then.
/// It is renewed from where it got, which costs one request where a server sends none.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);
/// The same where nothing probes the connection: the end that was asked for is late by half of the time.
const UNPROBED_SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// Where a list or watch reports to.
#[derive(Clone)]
pub(super) struct Outlet {
    /// Kind that is read.
    pub(super) kind: Kind,
    /// Stream that every event names.
    pub(super) stream: StreamId,
    /// The driver.
    pub(super) inputs: Sender<Input>,
}

/// Reads everything of a kind, page by page, as of now and not from a lagging cache.
pub(super) async fn list(client: Client, outlet: Outlet) {
    let end = match try_list(&client, &outlet).await {
        Ok(version) => return outlet.say(WatchBody::ListDone(version)).await,
        Err(end) => end,
    };
    outlet.say(WatchBody::Ended(end)).await;
}

/// Follows changes after `from` until the watch ends.
pub(super) async fn watch(client: Client, outlet: Outlet, from: ResourceVersion) {
    let end = try_watch(&client, &outlet, from).await;
    outlet.say(WatchBody::Ended(end)).await;
}

impl Outlet {
    async fn say(&self, body: WatchBody) {
        let event = WatchEvent { kind: self.kind, stream: self.stream, body };
        // Without a driver there is nobody to tell.
        let _ = self.inputs.send(Input::Watch(event)).await;
    }
}

async fn try_list(client: &Client, outlet: &Outlet) -> Result<ResourceVersion, WatchEnd> {
    let mut next: Option<String> = None;
    loop {
        let mut path = format!("{}?limit={PAGE_SIZE}", collection_path(outlet.kind));
        if let Some(next) = &next {
            path.push_str("&continue=");
            path.push_str(&query_escape(next));
        }
        let answer = client.send(&get(outlet.kind, path)).await.map_err(broken)?;
        if let Some(status) = answer.refusal() {
            return Err(WatchEnd::Refused(status));
        }
        let page = decode::page(outlet.kind, answer.encoding, &answer.body);
        let page =
            page.map_err(|error| WatchEnd::Undecodable(format!("{}: {error}", outlet.kind.resource())))?;
        outlet.say(WatchBody::Page(page.objects)).await;
        next = page.next;
        if next.is_none() {
            return Ok(page.version);
        }
    }
}

async fn try_watch(client: &Client, outlet: &Outlet, from: ResourceVersion) -> WatchEnd {
    let unprobed = client.is_unprobed();
    let (seconds, silence_limit) = if unprobed {
        (UNPROBED_WATCH_SECONDS, UNPROBED_SILENCE_LIMIT)
    } else {
        // Spread by the stream, so that watches of many processes do not end together.
        (WATCH_SECONDS + spread(outlet.stream) % WATCH_SECONDS, SILENCE_LIMIT)
    };
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&resourceVersion={from}&timeoutSeconds={seconds}",
        collection_path(outlet.kind)
    );
    let response = match tokio::time::timeout(REQUEST_TIMEOUT, client.open(&get(outlet.kind, path))).await {
        Ok(Ok(response)) => response,
        Ok(Err(fault)) => return broken(fault),
        Err(_) => return WatchEnd::Broken(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    };
    if !response.status().is_success() {
        return match read(response).await {
            Ok(answer) => answer.refusal().map_or(WatchEnd::Closed, WatchEnd::Refused),
            Err(fault) => broken(fault),
        };
    }
    let encoding = Encoding::of(&response);
    follow(outlet, encoding, response.into_body(), silence_limit).await
}

/// Passes on the events of a watch until it ends.
async fn follow(outlet: &Outlet, encoding: Encoding, mut body: Body, silence_limit: Duration) -> WatchEnd {
    let mut pieces = Pieces::new(encoding);
    loop {
        let frame = match tokio::time::timeout(silence_limit, body.frame()).await {
            Err(_) => {
                return WatchEnd::Broken(format!("nothing was heard for {} s", silence_limit.as_secs()));
            }
            Ok(None) => return WatchEnd::Closed,
            Ok(Some(Err(error))) => return WatchEnd::Broken(chain(&error)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        pieces.add(&data);
        while let Some(piece) = pieces.next() {
            match decode::watch_event(outlet.kind, encoding, &piece) {
                WatchBody::Ended(end) => return end,
                body => outlet.say(body).await,
            }
        }
        if pieces.pending() > MAX_EVENT_BYTES {
            return WatchEnd::Undecodable(format!("an event of more than {MAX_EVENT_BYTES} bytes"));
        }
    }
}

/// Bytes as they come, given back event by event: JSON in lines, protobuf in frames that begin with their length.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    encoding: Encoding,
    buffer: Vec<u8>,
    /// Start of the first piece not given back, and how far no end of a line was found.
    start: usize,
    searched: usize,
}

impl Pieces {
    /// No bytes yet, of events in this encoding.
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, ..Self::default() }
    }

    /// Takes in what was read.
    pub(super) fn add(&mut self, data: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(data);
    }

    /// The next event that is there whole.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        match self.encoding {
            Encoding::Json => self.next_line(),
            Encoding::Protobuf => self.next_frame(),
        }
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let rest = self.buffer.get(self.searched..)?;
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let end = self.searched + length;
            let line = self.buffer.get(self.start..end)?.to_vec();
            self.take_to(end + 1);
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// The next frame: four bytes with its length, the highest first, then as many bytes.
    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.buffer.get(self.start..)?.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let frame = rest.get(..length)?.to_vec();
        self.take_to(self.start + size_of::<u32>() + length);
        Some(frame)
    }

    fn take_to(&mut self, end: usize) {
        self.start = end;
        self.searched = end;
    }

    /// Bytes of an event that is not there whole.
    pub(super) fn pending(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }
}

fn get(kind: Kind, path: String) -> Call {
    Call { method: Method::GET, path, content_type: None, body: String::new(), answer: Some(kind) }
}

fn broken(fault: SendFault) -> WatchEnd {
    match fault {
        SendFault::NotSent(reason) | SendFault::Unknown(reason) => WatchEnd::Broken(reason),
    }
}

/// A number that differs from process to process and from stream to stream.
fn spread(stream: StreamId) -> u64 {
    let mixed = (stream.0 ^ u64::from(std::process::id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 33
}

/// `text` with every byte escaped that has a meaning in a query.
fn query_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_bytes_are_cut() {
        let text = b"one\n\ntwo and more\nthree\n";
        for cut in 1..text.len() {
            let mut lines = Pieces::new(Encoding::Json);
            let mut found = Vec::new();
            for piece in text.chunks(cut) {
                lines.add(piece);
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line).expect("text"));
                }
            }
            assert_eq!(found, ["one", "two and more", "three"], "cut into {cut}");
            assert_eq!(lines.pending(), 0);
        }
    }

    #[test]
    fn frames_come_whole_however_the_bytes_are_cut() {
        let text = b"\0\0\0\x03one\0\0\0\0\0\0\0\x0ctwo and\nmore";
        for cut in 1..text.len() {
            let mut frames = Pieces::new(Encoding::Protobuf);
            let mut found = Vec::new();
            for piece in text.chunks(cut) {
                frames.add(piece);
                while let Some(frame) = frames.next() {
                    found.push(String::from_utf8(frame).expect("text"));
                }
            }
            assert_eq!(found, ["one", "", "two and\nmore"], "cut into {cut}");
            assert_eq!(frames.pending(), 0);
        }
    }

    #[test]
    fn a_continue_token_survives_the_query() {
        assert_eq!(query_escape("a+b/c=="), "a%2Bb%2Fc%3D%3D");
    }
}
