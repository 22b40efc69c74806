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
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, start_or_skip};
use windlass_core::kube::Kind;

use api_server::ApiServer;
use compare::Names;
use generate::{Generator, Source};
use request::Request;
use sandbox::Sandbox;
use status::{RULES, StatusWrites};

/// Seeds that run by default, and the length of the sequence that each makes.
const SEEDS: std::ops::Range<u64> = 0..12;
const REQUESTS: usize = 60;
/// The same for writes of Jobs' statuses: long enough that each rule refuses some.
const STATUS_REQUESTS: usize = 70;
/// Kinds that are asked about.
const KINDS: [Kind; 2] = [Kind::Job, Kind::Pod];
/// Differences that are shown before the test gives up.
const MOST_SHOWN: usize = 25;

#[test]
fn the_sandbox_answers_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_answers_as_the_api_server_does")? else { return Ok(()) };
    let mut conversation = Conversation::with(&plane)?;
    for seed in seeds()? {
        conversation.hold(&format!("seed-{seed}"), seed, requests(REQUESTS)?, &mut Generator::new(seed))?;
    }
    conversation.conclude()?;
    let Conversation { asked, taken, .. } = conversation;
    // A comparison of refusals alone, or of no refusal, would prove little.
    assert!(taken * 4 > asked && taken * 10 < asked * 9, "{taken} of {asked} requests were granted");
    Ok(())
}

#[test]
fn the_sandbox_takes_a_jobs_status_as_the_api_server_does() -> Result<()> {
    let Some(plane) = start("the_sandbox_takes_a_jobs_status_as_the_api_server_does")? else { return Ok(()) };
    let mut conversation = Conversation::with(&plane)?;
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
    asked: usize,
    taken: usize,
    events: usize,
    differences: Vec<String>,
    /// What the API server said where it refused something.
    refusals: Vec<String>,
}

impl Conversation {
    fn with(plane: &ControlPlane) -> Result<Self> {
        let server = ApiServer::connect(plane)?;
        let (differences, refusals) = (Vec::new(), Vec::new());
        Ok(Self { server, asked: 0, taken: 0, events: 0, differences, refusals })
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
        let (real, ours) = (self.server.watch(namespace, &KINDS, &version)?, sandbox.watch(&KINDS)?);
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
