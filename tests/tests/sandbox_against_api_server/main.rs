//! The sandbox and a real API server, asked the same: what they answer, and what their watches tell, must be the
//! same, but for a list of declared differences (see `compare`).
//!
//! Each seed is a sequence of random requests in a namespace of its own. `WINDLASS_SEEDS=FROM..TO` asks other seeds
//! than the few that run by default, `WINDLASS_REQUESTS=N` makes each sequence longer.

mod answer;
mod api_server;
mod compare;
mod dice;
mod generate;
mod request;
mod sandbox;
mod status;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};
use windlass_core::kube::Kind;

use api_server::ApiServer;
use compare::Names;
use generate::{Generator, Source};
use request::{Request, Sent};
use sandbox::Sandbox;
use status::{RULES, StatusWrites};

/// Seeds that run by default, and the length of the sequence that each makes.
const SEEDS: std::ops::Range<u64> = 0..12;
const REQUESTS: usize = 60;
/// The same for writes of Jobs' statuses: long enough that each rule refuses some.
const STATUS_REQUESTS: usize = 70;
/// The same for CronJobs: long enough that each of their rules refuses some.
const CRON_JOB_REQUESTS: usize = 80;
/// What the API server says where a rule of a CronJob refuses a request; each has to have been heard.
const CRON_JOB_RULES: [&str; 19] = [
    "expected exactly 5 fields",
    "above maximum",
    "provided bad location",
    "unrecognized descriptor",
    "unknown time zone europe/vienna",
    "spec.schedule: Required value",
    "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    "timeZone must be nil or non-empty string",
    "unknown time zone",
    "timeZone must be an explicit time zone",
    "spec.startingDeadlineSeconds: Invalid value: -",
    "spec.successfulJobsHistoryLimit: Invalid value: -",
    "spec.failedJobsHistoryLimit: Invalid value: -",
    "spec.concurrencyPolicy: Unsupported value",
    "must be no more than 52 characters",
    "spec.jobTemplate.spec.template.spec.restartPolicy: Required value",
    "`selector` will be auto-generated",
    "spec.jobTemplate.spec.manualSelector: Unsupported value: true",
    "spec.jobTemplate.spec.template.labels: Invalid value",
];
/// Kinds that are asked about.
const KINDS: [Kind; 2] = [Kind::Job, Kind::Pod];
/// The same where CronJobs are: alone, so that each of their rules is met.
const CRON_JOBS: [Kind; 1] = [Kind::CronJob];
/// Differences that are shown before the test gives up.
const MOST_SHOWN: usize = 25;

#[test]
fn the_sandbox_answers_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_answers_as_the_api_server_does")? else { return Ok(()) };
    let mut conversation = Conversation::with(&plane, &KINDS)?;
    for seed in seeds()? {
        let mut source = Generator::new(seed, &KINDS);
        conversation.hold(&format!("seed-{seed}"), seed, requests(REQUESTS)?, &mut source)?;
    }
    conversation.conclude()?;
    let Conversation { asked, taken, .. } = conversation;
    // A comparison of refusals alone, or of no refusal, would prove little.
    assert!(taken * 4 > asked && taken * 10 < asked * 9, "{taken} of {asked} requests were granted");
    Ok(())
}

#[test]
fn the_sandbox_takes_cron_jobs_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_takes_cron_jobs_as_the_api_server_does")? else { return Ok(()) };
    let mut conversation = Conversation::with(&plane, &CRON_JOBS)?;
    for seed in seeds()? {
        let mut source = Generator::new(seed, &CRON_JOBS);
        conversation.hold(&format!("cron-{seed}"), seed, requests(CRON_JOB_REQUESTS)?, &mut source)?;
    }
    conversation.conclude()?;
    let Conversation { asked, taken, refusals, .. } = conversation;
    assert!(taken * 4 > asked && taken * 10 < asked * 9, "{taken} of {asked} requests were granted");
    let unheard: Vec<&str> =
        CRON_JOB_RULES.into_iter().filter(|rule| !refusals.iter().any(|said| said.contains(rule))).collect();
    assert!(unheard.is_empty(), "no request was refused by these rules: {unheard:#?}");
    Ok(())
}

#[test]
fn the_sandbox_takes_a_jobs_status_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_takes_a_jobs_status_as_the_api_server_does")? else { return Ok(()) };
    let mut conversation = Conversation::with(&plane, &KINDS)?;
    for seed in seeds()? {
        let length = requests(STATUS_REQUESTS)?;
        conversation.hold(&format!("status-{seed}"), seed, length, &mut StatusWrites::new(seed))?;
    }
    conversation.conclude()?;
    let Conversation { asked, taken, refusals, .. } = conversation;
    assert!(taken * 4 > asked && taken * 4 < asked * 3, "{taken} of {asked} requests were granted");
    let unheard: Vec<&str> =
        RULES.into_iter().filter(|rule| !refusals.iter().any(|said| said.contains(rule))).collect();
    assert!(unheard.is_empty(), "no write was refused by these rules: {unheard:#?}");
    Ok(())
}

#[test]
fn the_sandbox_refuses_jobs_by_a_quota_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_refuses_jobs_by_a_quota_as_the_api_server_does")? else {
        return Ok(());
    };
    let mut server = ApiServer::connect(&plane)?;
    let namespace = "quota";
    server.create_namespace(namespace)?;
    server.limit_jobs(namespace, "few-jobs", 2, 0)?;
    let mut sandbox = Sandbox::new(0, namespace);
    sandbox.limit_jobs("few-jobs", 2);
    let mut names = [Names::default(), Names::default()];
    let job = |name: &str, policy: &str| {
        let pod = json!({ "restartPolicy": policy, "containers": [{ "name": "main", "image": "busybox" }] });
        let spec = json!({ "template": { "spec": pod } });
        let metadata = json!({ "name": name });
        let whole = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec });
        Request::Create(Kind::Job, whole)
    };
    // A quota lets what is malformed be refused for that, and comes before a name that is taken.
    let asked = [
        ("a", "Never", 201),
        ("b", "Never", 201),
        ("c", "Never", 403),
        ("c", "Always", 422),
        ("a", "Never", 403),
    ];
    for (name, policy, code) in asked {
        let request = job(name, policy);
        let (real, ours) = (server.ask(namespace, &request)?, sandbox.ask(&request)?);
        assert_eq!(real.code, code, "{name}: {real:?}");
        assert_eq!(compare::difference(&request, &real, &ours, &mut names), None);
    }
    let gone = |name: &str| Request::Delete {
        kind: Kind::Job,
        name: name.to_owned(),
        uid: Sent::Not,
        version: Sent::Not,
        grace_seconds: None,
        propagation: Some("Background"),
    };
    server.ask(namespace, &gone("a"))?;
    sandbox.ask(&gone("a"))?;
    server.limit_jobs(namespace, "few-jobs", 2, 1)?;
    for (name, code) in [("d", 201), ("e", 403)] {
        let request = job(name, "Never");
        let (real, ours) = (server.ask(namespace, &request)?, sandbox.ask(&request)?);
        assert_eq!(real.code, code, "{name}: {real:?}");
        assert_eq!(compare::difference(&request, &real, &ours, &mut names), None);
    }
    Ok(())
}

fn start(test: &str) -> Result<Option<ControlPlane>> {
    let options = Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::None,
        ..Options::default()
    };
    start_or_skip(test, options)
}

/// What was asked of both so far, and what came of it.
struct Conversation {
    server: ApiServer,
    /// Kinds that are watched.
    kinds: &'static [Kind],
    asked: usize,
    taken: usize,
    events: usize,
    differences: Vec<String>,
    /// What the API server said where it refused something.
    refusals: Vec<String>,
}

impl Conversation {
    fn with(plane: &ControlPlane, kinds: &'static [Kind]) -> Result<Self> {
        let server = ApiServer::connect(plane)?;
        let (differences, refusals) = (Vec::new(), Vec::new());
        Ok(Self { server, kinds, asked: 0, taken: 0, events: 0, differences, refusals })
    }

    /// Asks both the same in a namespace of its own, until they differ, and then what watches have to tell.
    fn hold(&mut self, namespace: &str, seed: u64, length: usize, source: &mut dyn Source) -> Result<()> {
        if self.differences.len() >= MOST_SHOWN {
            return Ok(());
        }
        self.server.create_namespace(namespace)?;
        let version = self.server.version(namespace)?;
        let mut sandbox = Sandbox::new(seed, namespace);
        let mut names = [Names::default(), Names::default()];
        let mut history: Vec<((Kind, String), String)> = Vec::new();
        for position in 0..length {
            let request = source.next();
            let real = self.server.ask(namespace, &request)?;
            let ours = sandbox.ask(&request)?;
            self.asked += 1;
            self.taken += usize::from(real.code < 300);
            if let (Request::Create(..), 201) = (&request, real.code) {
                let (kind, name) = owned(&request);
                // A name that the server made differs between the two, so it is not asked about again.
                if !name.is_empty() {
                    source.note_created(kind, name);
                }
            }
            if real.code >= 400 {
                self.refusals.extend(real.body["message"].as_str().map(str::to_owned));
            }
            if let Some(difference) = compare::difference(&request, &real, &ours, &mut names) {
                let before = history.iter().filter(|(target, _)| *target == owned(&request));
                let before: Vec<&str> = before.map(|(_, line)| line.as_str()).collect();
                self.differences.push(format!(
                    "{namespace}, request {position}: {request:?}\n{difference}\nbefore it, on the same object:\n  {}",
                    before.join("\n  ")
                ));
                // What follows would differ because of this, so the rest of the sequence says nothing.
                return Ok(());
            }
            history.push((owned(&request), format!("{} {request:?}", real.code)));
        }
        let (real, ours) = (self.server.watch(namespace, self.kinds, &version)?, sandbox.watch(self.kinds)?);
        for (real, ours) in real.iter().zip(&ours) {
            self.events += real.len();
            let difference = compare::watch_difference(real, ours, &mut names);
            self.differences.extend(difference.map(|difference| format!("{namespace}: {difference}")));
        }
        Ok(())
    }

    /// Says how much was compared.
    ///
    /// # Errors
    /// Where anything differed.
    fn conclude(&self) -> Result<()> {
        let Self { asked, taken, events, differences, .. } = self;
        println!(
            "{asked} requests, {taken} granted, {events} watch events, {} differences",
            differences.len()
        );
        if !differences.is_empty() {
            bail!("the sandbox and the API server differ:\n\n{}", differences.join("\n\n"));
        }
        Ok(())
    }
}

fn owned(request: &Request) -> (Kind, String) {
    let (kind, name) = request.target();
    (kind, name.to_owned())
}

fn seeds() -> Result<std::ops::Range<u64>> {
    let Ok(text) = std::env::var("WINDLASS_SEEDS") else { return Ok(SEEDS) };
    let (from, to) = text.split_once("..").context("WINDLASS_SEEDS is to be FROM..TO")?;
    Ok(from.parse()?..to.parse()?)
}

fn requests(usual: usize) -> Result<usize> {
    std::env::var("WINDLASS_REQUESTS").map_or(Ok(usual), |text| Ok(text.parse()?))
}
