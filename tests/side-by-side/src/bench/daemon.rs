//! The workload `nodes`: a DaemonSet on 1,000 nodes is created, rolled, and gets more nodes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::audit::{self, Audited};
use super::kubelet::{Kubelet, Life};
use super::run::{NAMESPACE, SETTLE, Spent, WARM_UP, WARM_UP_LIMIT, within};
use super::sample::{Lags, Sample};
use super::workload::Workload;
use crate::client::{Client, PAUSE};
use crate::clock::{self, Stopwatch};

/// Nodes that there are at first.
pub(crate) const NODES: u32 = 1_000;
/// Nodes that come later.
pub(crate) const MORE_NODES: u32 = 100;
/// How often one of these comes.
const NODE_INTERVAL: Duration = Duration::from_millis(100);
/// What the DaemonSet is called.
const NAME: &str = "nodes";
/// Nodes created at once, where they are not timed.
const CREATES_IN_FLIGHT: usize = 8;

/// What this workload alone has.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    /// What was asked of the server from the DaemonSet's create until all Pods were available.
    pub(crate) creation: Audited,
    /// The same from the change of the template on.
    pub(crate) roll: Audited,
    /// From the create of a node to the moment at which its Pod was seen.
    pub(crate) joins: Lags,
}

/// Runs it.
pub(crate) async fn drive(
    client: &Client,
    workload: &Workload,
    log: &Path,
    spent: impl Fn() -> Result<Spent>,
) -> Result<Sample> {
    let kubelet = Kubelet::start(client.clone(), Life::Stays);
    let mut sets = SetWatch::start(client.clone());
    create_node(client, "warm-up", WARM_UP).await?;
    client.create(&path(WARM_UP), &manifest("warm-up", WARM_UP)).await?;
    within(WARM_UP_LIMIT, "the warm-up", sets.wait(WARM_UP, 1, 1)).await?;
    create_nodes(client).await?;
    tokio::time::sleep(SETTLE).await;

    let before = spent()?;
    let create_micros = clock::unix_micros();
    let watch = Stopwatch::start();
    client.create(&path(NAMESPACE), &manifest(NAME, NAMESPACE)).await?;
    within(workload.limit(), "the creation", sets.wait(NAMESPACE, 1, NODES)).await?;
    let mut wall = watch.elapsed();
    tokio::time::sleep(SETTLE).await;

    let roll_micros = clock::unix_micros();
    let watch = Stopwatch::start();
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": { "version": "2" } } } } });
    let there = client.patch(&format!("{}/{NAME}", path(NAMESPACE)), &patch).await?;
    ensure!(there, "the DaemonSet is gone");
    within(workload.limit(), "the roll", sets.wait(NAMESPACE, 2, NODES)).await?;
    wall += watch.elapsed();
    tokio::time::sleep(SETTLE).await;

    let join_micros = clock::unix_micros();
    let watch = Stopwatch::start();
    let mut created = BTreeMap::new();
    for number in NODES..NODES + MORE_NODES {
        tokio::time::sleep((NODE_INTERVAL * (number - NODES)).saturating_sub(watch.elapsed())).await;
        let name = node_name(number);
        create_node(client, &name, NAMESPACE).await?;
        created.insert(name, Stopwatch::start());
    }
    within(workload.limit(), "the join", sets.wait(NAMESPACE, 2, NODES + MORE_NODES)).await?;
    wall += watch.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = spent()?;

    kubelet.pods(NAMESPACE)?;
    let seen = kubelet.seen_on_nodes();
    let lag = |(node, since): (&String, &Stopwatch)| {
        let age = seen.get(node)?;
        i64::try_from(since.elapsed().saturating_sub(*age).as_micros()).ok()
    };
    let lags: Vec<i64> = created.iter().filter_map(lag).collect();
    ensure!(lags.len() == MORE_NODES as usize, "of {MORE_NODES} nodes {} got a Pod", lags.len());
    let none = BTreeMap::new();
    let phases = Phases {
        creation: audit::read(log, NAMESPACE, &none, create_micros..roll_micros)?,
        roll: audit::read(log, NAMESPACE, &none, roll_micros..join_micros)?,
        joins: Lags::of_micros(lags),
    };
    let audited = audit::read(log, NAMESPACE, &none, create_micros..i64::MAX)?;
    Ok(Sample { phases: Some(phases), ..Sample::of(wall, &before, &after, audited) })
}

/// Creates the nodes that there are at first.
async fn create_nodes(client: &Client) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..NODES {
        if tasks.len() >= CREATES_IN_FLIGHT {
            tasks.join_next().await.context("a create is under way")???;
        }
        let client = client.clone();
        tasks.spawn(async move { create_node(&client, &node_name(number), NAMESPACE).await });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    Ok(())
}

async fn create_node(client: &Client, name: &str, pool: &str) -> Result<()> {
    let size = json!({ "cpu": "8", "memory": "32Gi", "pods": "110" });
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "pool": pool,
        }},
        "status": { "allocatable": size, "capacity": size },
    });
    client.create("/api/v1/nodes", &node).await
}

fn node_name(number: u32) -> String {
    format!("node-{number:05}")
}

fn path(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/daemonsets")
}

/// A DaemonSet on the nodes of a pool, a tenth of which may be without a Pod while it is rolled.
fn manifest(name: &str, pool: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "10%" } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": {
                    "nodeSelector": { "pool": pool },
                    "containers": [{ "name": "main", "image": "busybox", "command": ["sleep", "infinity"] }],
                },
            },
        },
    })
}

/// A watch of all DaemonSets that tells how far each has come.
struct SetWatch {
    statuses: UnboundedReceiver<Set>,
    task: JoinHandle<()>,
}

impl SetWatch {
    fn start(client: Client) -> Self {
        let (sender, statuses) = unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                // A watch that ends is begun again; it then starts with everything that is there.
                let watched = client.watch("/apis/apps/v1/daemonsets", |event: Event| {
                    // Nobody waits any more where nobody listens.
                    let _unheard = sender.send(event.object);
                });
                if let Err(error) = watched.await {
                    eprintln!("the watch of DaemonSets is begun again: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { statuses, task }
    }

    /// Waits until so many Pods of a generation are available.
    async fn wait(&mut self, namespace: &str, generation: i64, nodes: u32) -> Result<()> {
        loop {
            let Some(Set { metadata, status }) = self.statuses.recv().await else {
                bail!("the watch of DaemonSets has ended")
            };
            if metadata.namespace == namespace
                && status.observed_generation >= generation
                && [status.desired_number_scheduled, status.updated_number_scheduled, status.number_available]
                    == [nodes; 3]
            {
                return Ok(());
            }
        }
    }
}

impl Drop for SetWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Event {
    object: Set,
}

#[derive(Deserialize)]
struct Set {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    desired_number_scheduled: u32,
    updated_number_scheduled: u32,
    number_available: u32,
}
