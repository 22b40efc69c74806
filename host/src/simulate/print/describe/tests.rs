use serde::Deserialize;

use super::super::get_jobs;
use super::*;

/// What kubectl 1.37.1 showed of a Job on a real control plane, and what it read.
macro_rules! captured {
    ($name:literal) => {
        Captured {
            job: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/job.json")),
            events: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/events.json")),
            described: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/describe.txt")),
            listed: include_str!(concat!("../../../../../tests/golden/describe/", $name, "/get.txt")),
        }
    };
}

struct Captured {
    job: &'static str,
    events: &'static str,
    described: &'static str,
    listed: &'static str,
}

#[derive(Deserialize)]
struct EventList {
    items: Vec<PrintedEvent>,
}

impl Captured {
    fn job(&self) -> Job {
        serde_json::from_str(self.job).expect("the captured Job")
    }

    /// The Events about the Job, in order of their names, as the server lists them to kubectl.
    fn events(&self, job: &Job) -> Vec<PrintedEvent> {
        let list: EventList = serde_json::from_str(self.events).expect("the captured Events");
        let about = |event: &PrintedEvent| event.involved_object.uid == job.metadata.uid;
        list.items.into_iter().filter(about).collect()
    }

    fn assert_shown_alike(&self, described_unix_s: i64, listed_unix_s: i64) {
        let job = self.job();
        let described = describe_job(&job, &self.events(&job), described_unix_s * 1000);
        assert_eq!(described, self.described);
        assert_eq!(get_jobs(&[&job], listed_unix_s * 1000), self.listed);
    }
}

fn seconds_after(captured: &Captured, seconds: i64) -> i64 {
    captured.job().metadata.creation_timestamp.expect("a creation").unix_seconds + seconds
}

#[test]
fn jobs_are_described_and_listed_as_kubectl_does() {
    for (captured, described_after_s, listed_after_s) in [
        (captured!("pi-calculation"), 6, 6),
        (captured!("indexed-job"), 10, 10),
        (captured!("failing-job"), 37, 37),
        (captured!("on-failure-job"), 7, 7),
        (captured!("parallel-job"), 12, 12),
        (captured!("rich-template"), 4, 5),
    ] {
        let (described, listed) =
            (seconds_after(&captured, described_after_s), seconds_after(&captured, listed_after_s));
        captured.assert_shown_alike(described, listed);
    }
}
