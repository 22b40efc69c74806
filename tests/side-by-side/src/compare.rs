//! The same Jobs, CronJobs and DaemonSets with the built-in controllers and with Windlass: what a user sees of them, row by row.
//!
//! Every scenario ([`scenarios`]) is run in a namespace of its own, all at once, first with the built-in controller
//! and then with ours, on one control plane. What its script waits for is one check; the other is that everything
//! that the API server told of the namespace ([`state`]) is the same but for chance and time ([`plain`]). Pods are
//! started and ended by [`kubelet`], so that both sides meet the same fates.

mod kubelet;
mod plain;
mod scenarios;
mod state;
mod world;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use windlass_control_plane::{BuiltInControllers, ControlPlane, Options, User};

use self::kubelet::Kubelet;
use self::scenarios::{Declared, Scenario};
use self::state::State;
use self::world::World;
use crate::client::{Client, PAUSE};
use crate::side::{DAEMON_SETS, REPLACED, Side};

/// The user as whom scripts act.
const SCRIPT_USER: &str = "script";
/// Those that `windlass run` is told to run.
const CONTROLLERS: &str = "job,cron-job,daemon-set";
/// Built-in controllers that both sides run with.
const OTHERS: &str = "garbage-collector-controller,namespace-controller,resourcequota-controller";

/// What both sides are judged by, and the quotas that scenarios wait for.
const WATCHED: [&str; 7] = [
    "/apis/apps/v1/controllerrevisions",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/cronjobs",
    "/apis/batch/v1/jobs",
    "/api/v1/pods",
    "/api/v1/events",
    "/api/v1/resourcequotas",
];

/// What came of one scenario.
#[derive(Debug)]
pub struct Row {
    rows: &'static str,
    name: &'static str,
    outcome: Outcome,
    /// Rows of docs/differences.md that explain what differs.
    declared: Vec<&'static str>,
}

#[derive(Debug)]
enum Outcome {
    /// Everything is the same, but for what is declared.
    Same,
    /// The path, what the built-in controller has, what ours has.
    Differs(Vec<(String, String, String)>),
    /// A script waited in vain.
    Broke(String),
}

impl Row {
    /// Whether nothing differs but what is declared.
    pub fn is_equal(&self) -> bool {
        matches!(self.outcome, Outcome::Same)
    }

    /// Titles of the rows of docs/differences.md that explain what differs.
    pub fn declared(&self) -> &[&'static str] {
        &self.declared
    }
}

/// One line of the table, and one more for each difference.
impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<14}{:<24}", self.rows, self.name)?;
        match &self.outcome {
            Outcome::Same if self.declared.is_empty() => write!(formatter, "equal"),
            Outcome::Same => write!(formatter, "equal but for: {}", self.declared.join("; ")),
            Outcome::Broke(error) => write!(formatter, "BROKE: {error}"),
            Outcome::Differs(differences) => {
                write!(formatter, "DIFFERS")?;
                for (path, built_in, ours) in differences {
                    write!(formatter, "\n    {path}\n      built-in {built_in}\n      windlass {ours}")?;
                }
                Ok(())
            }
        }
    }
}

/// Runs every scenario whose name contains `only` with both controllers.
///
/// # Errors
/// Where the machine can have no control plane, or a controller does not start.
pub fn compare(windlass: &Path, flags: &[&str], only: &str) -> Result<Vec<Row>> {
    let mut plane = ControlPlane::start(Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::List(format!("{REPLACED},{DAEMON_SETS},{OTHERS}")),
        users: vec![User { name: SCRIPT_USER.to_owned(), groups: vec!["system:masters".to_owned()] }],
        controller_manager_flags: vec!["--kube-api-qps=1000".to_owned(), "--kube-api-burst=1000".to_owned()],
        ..Options::default()
    })?;
    let scenarios: Vec<Scenario> =
        scenarios::all().into_iter().filter(|scenario| scenario.name.contains(only)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let built_in = runtime.block_on(run_all(&plane, &scenarios, Side::BuiltIn))?;
    plane.change_controllers(BuiltInControllers::List(OTHERS.to_owned()))?;
    let kubeconfig = plane.kubeconfig().display().to_string();
    let fixed =
        ["run", "--kubeconfig", &kubeconfig, "--bind-address", "127.0.0.1:0", "--controllers", CONTROLLERS];
    let arguments = fixed.iter().chain(flags).map(|text| (*text).to_owned()).collect();
    plane.start_beside("windlass", windlass, arguments)?;
    let ours = runtime.block_on(run_all(&plane, &scenarios, Side::Windlass))?;
    runtime.shutdown_background();
    let rows = scenarios.iter().zip(built_in).zip(ours);
    Ok(rows.map(|((scenario, built_in), ours)| judge(scenario, built_in, ours)).collect())
}

fn judge(scenario: &Scenario, built_in: Result<Value>, ours: Result<Value>) -> Row {
    let mut declared = Vec::new();
    let outcome = match (built_in, ours) {
        (Err(error), _) => Outcome::Broke(format!("with the built-in controller: {error:#}")),
        (_, Err(error)) => Outcome::Broke(format!("with Windlass: {error:#}")),
        (Ok(built_in), Ok(ours)) => {
            let mut differences = plain::differences(&built_in, &ours);
            differences.retain(|(path, _, ours)| {
                let reason = scenario.declared.iter().find(|Declared { at, .. }| path.contains(at));
                let row = reason.map(|Declared { row, .. }| *row).or_else(|| deleted_again(path, ours));
                declared.extend(row);
                row.is_none()
            });
            if differences.is_empty() { Outcome::Same } else { Outcome::Differs(differences) }
        }
    };
    declared.dedup();
    Row { rows: scenario.rows, name: scenario.name, outcome, declared }
}

/// The row of docs/differences.md of a warning that the built-in controller alone gives, in any scenario, when its
/// cache lags: it deletes a Job a second time, and hears that there is none.
fn deleted_again(path: &str, ours: &str) -> Option<&'static str> {
    let told = path.contains("FailedDelete: Deleted job: ") && path.ends_with("not found");
    (told && ours == "null").then_some("Jobs of the history")
}

/// Runs all scenarios at once, and returns what was told of each.
async fn run_all(plane: &ControlPlane, scenarios: &[Scenario], side: Side) -> Result<Vec<Result<Value>>> {
    let client = Client::connect(plane.as_user(SCRIPT_USER)?.kubeconfig()).await?;
    let (state, kubelet) = (State::default(), Kubelet::new(client.clone()));
    let watches = WATCHED.map(|path| {
        let (client, state, kubelet) = (client.clone(), state.clone(), kubelet.clone());
        tokio::spawn(async move {
            loop {
                // A watch that ends is begun again; it then starts with everything that is there.
                let watched = client.watch(path, |event: Value| {
                    if event["type"] != "DELETED" {
                        kubelet.see(&event["object"]);
                    }
                    state.take(event);
                });
                if let Err(error) = watched.await {
                    eprintln!("the watch of {path} is begun again: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        })
    });
    let mut scripts = Vec::new();
    for scenario in scenarios {
        let namespace = format!("{side}-{}", scenario.name);
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        client.create("/api/v1/namespaces", &object).await?;
        let (client, state, kubelet) = (client.clone(), state.clone(), kubelet.clone());
        scripts.push(tokio::spawn((scenario.script)(World { client, state, kubelet, namespace })));
    }
    let mut outcomes = Vec::new();
    for (script, scenario) in scripts.into_iter().zip(scenarios) {
        let outcome = script.await.context("a script panicked")?;
        outcomes.push((outcome, format!("{side}-{}", scenario.name)));
    }
    let told = state.told();
    let seen = outcomes
        .into_iter()
        .map(|(outcome, namespace)| outcome.map(|()| plain::namespace(&told, &namespace, side)));
    let seen = seen.collect();
    watches.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(seen)
}
