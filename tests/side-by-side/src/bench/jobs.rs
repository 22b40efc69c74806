//! Which Jobs have ended.

use anyhow::{Result, bail};
use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::client::{Client, PAUSE};

/// A watch of all Jobs that tells which have ended.
pub(crate) struct JobWatch {
    ended: UnboundedReceiver<Ended>,
    task: JoinHandle<()>,
}

/// A Job that has ended; one may be told more than once.
struct Ended {
    name: String,
    namespace: String,
    complete: bool,
}

impl JobWatch {
    /// Begins to watch.
    pub(crate) fn start(client: Client) -> Self {
        let (sender, ended) = unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                // A watch that ends is begun again; it then starts with everything that is there.
                let watched = client.watch("/apis/batch/v1/jobs", |event: Event| {
                    if let Some(ended) = event.object.ended() {
                        // Nobody waits any more where nobody listens.
                        let _unheard = sender.send(ended);
                    }
                });
                if let Err(error) = watched.await {
                    eprintln!("the watch of Jobs is begun again: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { ended, task }
    }

    /// Waits until `count` Jobs of a namespace are Complete.
    ///
    /// # Errors
    /// Where one has Failed.
    pub(crate) async fn wait(&mut self, namespace: &str, count: u32) -> Result<()> {
        let mut names = std::collections::BTreeSet::new();
        while names.len() < count as usize {
            let Some(ended) = self.ended.recv().await else { bail!("the watch of Jobs has ended") };
            if ended.namespace == namespace {
                anyhow::ensure!(ended.complete, "the Job {} has Failed", ended.name);
                names.insert(ended.name);
            }
        }
        Ok(())
    }
}

impl Drop for JobWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Event {
    object: Job,
}

#[derive(Deserialize)]
struct Job {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Job {
    fn ended(self) -> Option<Ended> {
        let is_true = |kind: &str| {
            self.status
                .conditions
                .iter()
                .any(|condition| condition.kind == kind && condition.status == "True")
        };
        let complete = is_true("Complete");
        (complete || is_true("Failed")).then_some(Ended {
            name: self.metadata.name,
            namespace: self.metadata.namespace,
            complete,
        })
    }
}
