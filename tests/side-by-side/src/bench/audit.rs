//! What the API server's audit log says of one run: who asked for what, and when what was answered.
//!
//! All lags come from here, so that one clock and one observer serve both sides: a request has happened when the
//! server has answered it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::kubelet::END_MANAGER;
use super::sample::Lags;
use crate::side::{BENCH_USER, CONTROLLER_USER};

/// What the controller did in one run.
#[derive(Debug, Default)]
pub(crate) struct Audited {
    /// How many requests, by verb and resource, such as `create pods`.
    pub(crate) requests: BTreeMap<String, u64>,
    /// How many of them were answered with an error, by verb, resource and code, such as `update jobs/status 409`.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Pods whose finalizer was patched away more than once.
    pub(crate) freed_again: u64,
    /// From the instant of a CronJob's run to the moment at which the server receives the create of its Job.
    pub(crate) skew: Lags,
    /// From the end of a Job's last Pod to the status write that makes the Job Complete.
    pub(crate) end_to_complete: Lags,
    /// From a Pod's end to the patch that takes its finalizer away.
    pub(crate) end_to_freed: Lags,
    /// From a Pod's end to the first status write that has it in `succeeded`: it was freed, and is uncounted no more.
    pub(crate) end_to_counted: Lags,
}

/// Reads what the server received in `span`, microseconds of the epoch; `uids` are those of the Pods of `namespace`, by
/// name.
pub(crate) fn read(
    log: &Path,
    namespace: &str,
    uids: &BTreeMap<String, String>,
    span: Range<i64>,
) -> Result<Audited> {
    let mut seen = Seen::default();
    let file = File::open(log).with_context(|| format!("could not open {}", log.display()))?;
    for line in BufReader::new(file).lines() {
        let entry: Entry =
            serde_json::from_str(&line?).context("a line of the audit log is not understood")?;
        let is_meant = entry.object.namespace == namespace && entry.stage == "ResponseComplete";
        if is_meant && span.contains(&micros(&entry.received)?) {
            seen.note(entry)?;
        }
    }
    Ok(seen.conclude(uids))
}

#[derive(Debug, Default)]
struct Seen {
    requests: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    /// When each Pod ended, in microseconds of the epoch, as every time here.
    ends: BTreeMap<String, i64>,
    /// When the controller patched each Pod.
    frees: BTreeMap<String, Vec<i64>>,
    /// How long after the minute that its name tells each Job was asked for.
    skews: Vec<i64>,
    /// The status writes of each Job.
    statuses: BTreeMap<String, Vec<StatusWrite>>,
}

#[derive(Debug)]
struct StatusWrite {
    received: i64,
    answered: i64,
    status: Status,
}

impl Seen {
    fn note(&mut self, entry: Entry) -> Result<()> {
        let accepted = entry.response.code < 300;
        let (received, answered) = (micros(&entry.received)?, micros(&entry.answered)?);
        let object = entry.object;
        if entry.user.username == BENCH_USER {
            let is_end = object.subresource == "status"
                && object.resource == "pods"
                && entry.uri.contains(&format!("fieldManager={END_MANAGER}"));
            if is_end && accepted {
                self.ends.insert(object.name, answered);
            }
            return Ok(());
        }
        // The control plane's starter uses kubectl as the same user.
        if entry.user.username != CONTROLLER_USER || entry.agent.starts_with("kubectl/") {
            return Ok(());
        }
        let separator = if object.subresource.is_empty() { "" } else { "/" };
        let what = format!("{} {}{separator}{}", entry.verb, object.resource, object.subresource);
        *self.requests.entry(what.clone()).or_default() += 1;
        if !accepted {
            *self.refused.entry(format!("{what} {}", entry.response.code)).or_default() += 1;
            return Ok(());
        }
        match what.as_str() {
            "create jobs" => self.skews.extend(minute_of(&object.name).map(|minute| received - minute)),
            "patch pods" => self.frees.entry(object.name).or_default().push(answered),
            "update jobs/status" | "patch jobs/status" => {
                let status = entry.body.map(|body| body.status).unwrap_or_default();
                let write = StatusWrite { received, answered, status };
                self.statuses.entry(object.name).or_default().push(write);
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(mut self, uids: &BTreeMap<String, String>) -> Audited {
        for writes in self.statuses.values_mut() {
            writes.sort_by_key(|write| write.received);
            writes.iter_mut().for_each(|write| write.status.uncounted.succeeded.sort());
        }
        let mut last_ends = BTreeMap::<&str, i64>::new();
        let (mut freed, mut counted) = (Vec::new(), Vec::new());
        for (pod, &end) in &self.ends {
            let job = pod.rsplit_once('-').map_or("", |(job, _)| job);
            let last = last_ends.entry(job).or_insert(end);
            *last = end.max(*last);
            let Some(free) = self.frees.get(pod).and_then(|frees| frees.iter().min().copied()) else {
                continue;
            };
            freed.push(free - end);
            let uid = uids.get(pod);
            let writes = self.statuses.get(job).map(Vec::as_slice).unwrap_or_default();
            let from = writes.partition_point(|write| write.received < free);
            let counts = |write: &&StatusWrite| {
                uid.is_none_or(|uid| write.status.uncounted.succeeded.binary_search(uid).is_err())
            };
            if let Some(write) = writes.iter().skip(from).find(counts) {
                counted.push(write.answered - end);
            }
        }
        let complete = last_ends.iter().filter_map(|(job, end)| {
            let writes = self.statuses.get(*job)?;
            let write = writes.iter().find(|write| write.status.is_complete())?;
            Some(write.answered - end)
        });
        Audited {
            freed_again: self.frees.values().filter(|frees| frees.len() > 1).count() as u64,
            skew: Lags::of_micros(self.skews),
            end_to_complete: Lags::of_micros(complete.collect()),
            end_to_freed: Lags::of_micros(freed),
            end_to_counted: Lags::of_micros(counted),
            requests: self.requests,
            refused: self.refused,
        }
    }
}

/// The start of the minute that the name of a CronJob's Job tells, in microseconds of the epoch.
fn minute_of(name: &str) -> Option<i64> {
    let minute: i64 = name.rsplit_once('-')?.1.parse().ok()?;
    minute.checked_mul(60_000_000)
}

fn micros(time: &str) -> Result<i64> {
    let time: jiff::Timestamp = time.parse().with_context(|| format!("{time} is no time"))?;
    Ok(time.as_microsecond())
}

/// One line of the log.
#[derive(Deserialize)]
struct Entry {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    user: Who,
    #[serde(rename = "userAgent", default)]
    agent: String,
    #[serde(rename = "objectRef", default)]
    object: Object,
    #[serde(rename = "responseStatus", default)]
    response: Response,
    #[serde(rename = "requestObject", default)]
    body: Option<Body>,
    #[serde(rename = "requestReceivedTimestamp")]
    received: String,
    #[serde(rename = "stageTimestamp")]
    answered: String,
}

#[derive(Deserialize)]
struct Who {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    code: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "uncountedTerminatedPods")]
    uncounted: Uncounted,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Uncounted {
    succeeded: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Status {
    fn is_complete(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == "Complete" && condition.status == "True")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(user: &str, what: (&str, &str, &str, &str), millis: u32, more: Value) -> String {
        let (verb, resource, subresource, name) = what;
        let time = format!("2026-01-01T00:00:00.{millis:03}000Z");
        let mut line = json!({
            "stage": "ResponseComplete", "verb": verb, "user": { "username": user }, "requestURI": "/",
            "objectRef": { "namespace": "n", "resource": resource, "subresource": subresource, "name": name },
            "responseStatus": { "code": 200 },
            "requestReceivedTimestamp": time, "stageTimestamp": time,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            line[key] = value.clone();
        }
        line.to_string()
    }

    fn status(millis: u32, uncounted: Value, conditions: Value) -> String {
        let status = json!({ "uncountedTerminatedPods": uncounted, "conditions": conditions });
        let body = json!({ "requestObject": { "status": status } });
        line(CONTROLLER_USER, ("update", "jobs", "status", "j"), millis, body)
    }

    #[test]
    fn lags_go_from_the_end_of_a_pod_to_what_was_answered() -> Result<()> {
        let uri = |text: &str| json!({ "requestURI": text });
        let pod = ("patch", "pods", "", "j-aaaaa");
        let lines = [
            line(BENCH_USER, ("patch", "pods", "status", "j-aaaaa"), 5, uri("/?fieldManager=pod-start")),
            line(BENCH_USER, ("patch", "pods", "status", "j-aaaaa"), 10, uri("/?fieldManager=pod-end")),
            status(20, json!({ "succeeded": ["u1"] }), json!([])),
            // 2026-01-01T00:00:00Z is that minute.
            line(CONTROLLER_USER, ("create", "jobs", "", "it-29453760"), 25, json!({})),
            line(CONTROLLER_USER, ("create", "jobs", "", "another"), 26, json!({})),
            line(CONTROLLER_USER, pod, 30, json!({})),
            line(CONTROLLER_USER, pod, 35, json!({})),
            line(CONTROLLER_USER, pod, 36, json!({ "responseStatus": { "code": 404 } })),
            line(CONTROLLER_USER, ("get", "pods", "", "j-aaaaa"), 37, json!({ "userAgent": "kubectl/v1" })),
            status(40, json!({ "succeeded": ["u1"] }), json!([])),
            status(50, json!({}), json!([{ "type": "SuccessCriteriaMet", "status": "True" }])),
            status(60, json!({}), json!([{ "type": "Complete", "status": "True" }])),
        ];
        let mut log = tempfile::NamedTempFile::new()?;
        std::io::Write::write_all(&mut log, lines.join("\n").as_bytes())?;
        let uids = BTreeMap::from([("j-aaaaa".to_owned(), "u1".to_owned())]);
        let audited = read(log.path(), "n", &uids, 0..i64::MAX)?;
        let expected = [("create jobs", 2), ("patch pods", 3), ("update jobs/status", 4)];
        let expected = BTreeMap::from(expected.map(|(what, count)| (what.to_owned(), count)));
        assert_eq!(audited.requests, expected);
        assert_eq!((audited.skew.count(), audited.skew.percentile(50)), (1, Some(25.0)));
        assert_eq!(audited.refused, BTreeMap::from([("patch pods 404".to_owned(), 1)]));
        assert_eq!(audited.freed_again, 1);
        let lags = [audited.end_to_freed, audited.end_to_counted, audited.end_to_complete];
        assert_eq!(lags.map(|lags| lags.percentile(50)), [Some(20.0), Some(40.0), Some(50.0)]);
        let minute = 29_453_760 * 60_000_000;
        let later = read(log.path(), "n", &uids, minute + 37_000..minute + 50_000)?;
        assert_eq!(later.requests, BTreeMap::from([("update jobs/status".to_owned(), 1)]));
        Ok(())
    }
}
