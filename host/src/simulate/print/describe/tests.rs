use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_core::kube::{CronJob, ObjectMeta};

use super::super::{get_cron_jobs, get_jobs};
use super::*;

/// What kubectl 1.37.1 showed of a Job or a CronJob on a real control plane, and what it read.
macro_rules! captured {
    ($name:literal, $object:literal) => {
        Captured {
            object: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/", $object)),
            events: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/events.json")),
            described: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/describe.txt")),
            listed: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/get.txt")),
        }
    };
}

struct Captured {
    object: &'static str,
    events: &'static str,
    described: &'static str,
    listed: &'static str,
}

#[derive(Deserialize)]
struct EventList {
    items: Vec<PrintedEvent>,
}

impl Captured {
    fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(self.object).expect("the captured object")
    }

    /// The Events about the object, in order of their names, as the server lists them to kubectl.
    fn events(&self, metadata: &ObjectMeta) -> Vec<PrintedEvent> {
        let list: EventList = serde_json::from_str(self.events).expect("the captured Events");
        let about = |event: &PrintedEvent| event.involved_object.uid == metadata.uid;
        list.items.into_iter().filter(about).collect()
    }
}

/// The instant `seconds` after the object was created, milliseconds since the Unix epoch.
fn after(metadata: &ObjectMeta, seconds: i64) -> i64 {
    metadata.creation_timestamp.expect("a creation").unix_ms() + seconds * 1000
}

#[test]
fn jobs_are_described_and_listed_as_kubectl_does() {
    for (captured, described_after_s, listed_after_s) in [
        (captured!("pi-calculation", "job.json"), 6, 6),
        (captured!("indexed-job", "job.json"), 10, 10),
        (captured!("failing-job", "job.json"), 37, 37),
        (captured!("on-failure-job", "job.json"), 7, 7),
        (captured!("parallel-job", "job.json"), 12, 12),
        (captured!("rich-template", "job.json"), 4, 5),
    ] {
        let job: Job = captured.read();
        let events = captured.events(&job.metadata);
        assert_eq!(describe_job(&job, &events, after(&job.metadata, described_after_s)), captured.described);
        assert_eq!(get_jobs(&[&job], after(&job.metadata, listed_after_s)), captured.listed);
    }
}

#[test]
fn cron_jobs_are_described_and_listed_as_kubectl_does() {
    for (captured, after_s) in [
        (captured!("cron-every-minute", "cron-job.json"), 189),
        (captured!("cron-forbidding", "cron-job.json"), 143),
        (captured!("cron-replacing", "cron-job.json"), 144),
        (captured!("cron-nightly-cleanup", "cron-job.json"), 144),
        (captured!("cron-failing", "cron-job.json"), 171),
    ] {
        let cron_job: CronJob = captured.read();
        let events = captured.events(&cron_job.metadata);
        let now_unix_ms = after(&cron_job.metadata, after_s);
        assert_eq!(describe_cron_job(&cron_job, &events, now_unix_ms), captured.described);
        assert_eq!(get_cron_jobs(&[&cron_job], now_unix_ms), captured.listed);
    }
}
