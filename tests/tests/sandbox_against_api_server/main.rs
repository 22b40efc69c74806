//! The sandbox and a real API server, asked the same: what they answer must be the same, but for a list of declared
//! differences (see `compare`).
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

use anyhow::{Context as _, Result, bail};
use windlass_control_plane::{BuiltInControllers, Options, start_or_skip};

use api_server::ApiServer;
use compare::Names;
use generate::Generator;
use request::Request;
use sandbox::Sandbox;

/// Seeds that run by default, and the length of the sequence that each makes.
const SEEDS: std::ops::Range<u64> = 0..12;
const REQUESTS: usize = 60;
/// Differences that are shown before the test gives up.
const MOST_SHOWN: usize = 25;

#[test]
fn the_sandbox_answers_as_the_api_server_does() -> Result<()> {
    let options = Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::None,
        ..Options::default()
    };
    let test = "the_sandbox_answers_as_the_api_server_does";
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let mut server = ApiServer::connect(&plane)?;
    let mut differences = Vec::new();
    let (mut asked, mut taken) = (0_usize, 0_usize);
    for seed in seeds()? {
        let namespace = format!("seed-{seed}");
        server.create_namespace(&namespace)?;
        let mut sandbox = Sandbox::new(seed, &namespace);
        let mut names = [Names::default(), Names::default()];
        let mut generator = Generator::new(seed);
        let mut history = Vec::new();
        for position in 0..requests()? {
            let request = generator.next();
            let real = server.ask(&namespace, &request)?;
            let ours = sandbox.ask(&request)?;
            asked += 1;
            taken += usize::from(real.code < 300);
            if let (Request::Create(..), 201) = (&request, real.code) {
                let (kind, name) = owned(&request);
                // A name that the server made differs between the two, so it is not asked about again.
                if !name.is_empty() {
                    generator.note_created(kind, name);
                }
            }
            if let Some(difference) = compare::difference(&request, &real, &ours, &mut names) {
                let before: Vec<&str> = history
                    .iter()
                    .filter(|(target, _)| *target == owned(&request))
                    .map(|(_, line): &(_, String)| line.as_str())
                    .collect();
                differences.push(format!(
                    "seed {seed}, request {position}: {request:?}\n{difference}\nbefore it, on the same object:\n  {}",
                    before.join("\n  ")
                ));
                // What follows would differ because of this, so the rest of the sequence says nothing.
                break;
            }
            history.push((owned(&request), format!("{} {request:?}", real.code)));
        }
        if differences.len() >= MOST_SHOWN {
            break;
        }
    }
    println!("{asked} requests, {taken} of them granted, {} differences", differences.len());
    if !differences.is_empty() {
        bail!("the sandbox and the API server differ:\n\n{}", differences.join("\n\n"));
    }
    // A comparison of refusals alone, or of no refusal, would prove little.
    assert!(taken * 4 > asked && taken * 10 < asked * 9, "{taken} of {asked} requests were granted");
    Ok(())
}

fn owned(request: &Request) -> (windlass_core::kube::Kind, String) {
    let (kind, name) = request.target();
    (kind, name.to_owned())
}

fn seeds() -> Result<std::ops::Range<u64>> {
    let Ok(text) = std::env::var("WINDLASS_SEEDS") else { return Ok(SEEDS) };
    let (from, to) = text.split_once("..").context("WINDLASS_SEEDS is to be FROM..TO")?;
    Ok(from.parse()?..to.parse()?)
}

fn requests() -> Result<usize> {
    std::env::var("WINDLASS_REQUESTS").map_or(Ok(REQUESTS), |text| Ok(text.parse()?))
}
