//! `windlass simulate`: manifests in, what a cluster would make of them out, in virtual time.
//!
//! The state machine and the core are those of `windlass run`; only the API server, the scheduler and the kubelets
//! are the sandbox's.

pub mod adapter;
pub mod change_log;
pub mod driver;
pub mod manifest;
pub mod policies;
pub mod print;
pub mod report;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use windlass_core::kube::{Object, Str, Time, Uid};
use windlass_sandbox::cluster::{Cluster, ClusterOptions, Runs};
use windlass_sandbox::{Actor, Applied, ApplyError, Commit, Store, StoreOptions};

use crate::controller::Config;
use crate::engine::Engine;
use crate::plugin::LogLine;
use crate::plugin::report::Report;
use crate::plugin::set::PolicySet;
use driver::{Driver, PluginCalls, Progress};
use manifest::{Document, ManifestFault, Place};
use policies::{PluginSource, Policies};

/// Nodes of the cluster where neither the options nor the manifests say how many.
pub const DEFAULT_NODES: u32 = 3;
/// Most nodes that the options may ask for; more must be in the manifests.
pub const MAX_NODES: u32 = 10_000;

/// What a simulation is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes the cluster has, besides those in the manifests; by default [`DEFAULT_NODES`] where the
    /// manifests have none.
    pub nodes: Option<u32>,
    /// Decides uids, names, run times given as a range, and the jitter of retries.
    pub seed: u64,
    /// Whether changes are kept for the log.
    pub keep_changes: bool,
    /// What the controller is to be like.
    pub controller: Config,
    /// The plugins that decide, where [`plugins`](Self::plugins) says nothing.
    pub policies: Arc<PolicySet>,
    /// Where plugins come from; needed for PolicyPlugins in manifests, too.
    pub plugins: Option<PluginSource>,
}

/// The state machine on a cluster in memory that holds what the manifests say.
pub struct Simulation {
    driver: Driver,
    jobs: Vec<(Str, Uid)>,
    policies: Option<Policies>,
    /// What is applied later, by when.
    later: VecDeque<(u64, Document)>,
}

impl Simulation {
    /// A simulation at its start: the nodes are there and `documents` are applied, in order, but for those that are for
    /// later.
    ///
    /// # Errors
    /// A [`ManifestFault`] for the first document that is not taken.
    pub fn new(
        documents: &[Document],
        engine: Arc<dyn Engine>,
        options: Options,
    ) -> Result<Self, ManifestFault> {
        let store = StoreOptions {
            seed: options.seed,
            record_commits: options.keep_changes,
            ..StoreOptions::default()
        };
        let mut cluster = Cluster::new(ClusterOptions { store, ..ClusterOptions::default() });
        let brings_nodes = documents.iter().any(|document| document.kind == "Node");
        let nodes = options.nodes.unwrap_or(if brings_nodes { 0 } else { DEFAULT_NODES });
        for number in 0..nodes.min(MAX_NODES) {
            let name = format!("node-{number}");
            let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
            let place = Place { source: "--nodes".into(), line: u64::from(number) + 1 };
            apply(&mut cluster, &Document::new(place, &node))?;
        }
        let mut jobs = Vec::new();
        let mut later: Vec<(u64, Document)> = Vec::new();
        let mut policies = options.plugins.as_ref().map(Policies::new);
        for document in documents {
            if let Some(at_ms) = document.apply_at_ms {
                later.push((at_ms, document.clone()));
                continue;
            }
            if policies::is_policy(document) {
                take_in(policies.as_mut(), document)?;
                continue;
            }
            if let Applied::Object(Object::Job(job)) = apply(&mut cluster, document)? {
                jobs.push((job.metadata.name.clone(), job.metadata.uid.clone()));
            }
        }
        let config = Config { seed: options.seed, ..options.controller };
        later.sort_by_key(|(at_ms, _)| *at_ms);
        let mut driver = Driver::new(cluster, engine, config);
        driver.set_policies(options.policies);
        let mut simulation = Self { driver, jobs, policies, later: later.into() };
        if let Some(policies) = &simulation.policies {
            simulation.driver.set_reports(policies.reports());
        }
        simulation.load_policies()?;
        Ok(simulation)
    }

    /// Loads what is new of the plugins, and lets it decide.
    fn load_policies(&mut self) -> Result<(), ManifestFault> {
        let Some(policies) = &mut self.policies else { return Ok(()) };
        let now = Time::from_unix_ms(self.driver.cluster().store().unix_ms());
        let at_ms = self.driver.progress().virtual_ms;
        let set = policies.look(at_ms, now).map_err(ManifestFault::Plugins)?;
        if let Some(set) = set {
            self.driver.set_policies(set);
        }
        Ok(())
    }

    /// Goes on until nothing more will happen or virtual time reaches `until_ms`; `report` hears of every instant
    /// at which something happened.
    ///
    /// # Errors
    /// A [`ManifestFault`] for the first document that is for an instant until then and not taken.
    pub fn run_until(
        &mut self,
        until_ms: u64,
        report: &mut dyn FnMut(&Progress, &Cluster),
    ) -> Result<(), ManifestFault> {
        while let Some((at_ms, document)) = self.later.pop_front_if(|(at_ms, _)| *at_ms < until_ms) {
            self.driver.run_until(at_ms, report);
            self.driver.rest_until(at_ms);
            if policies::is_policy(&document) {
                take_in(self.policies.as_mut(), &document)?;
                self.load_policies()?;
                continue;
            }
            let applied = self
                .driver
                .cluster_mut()
                .request(at_ms, |store| store.replace_manifest(Actor::USER, &document.text));
            match applied {
                Ok(Applied::Object(Object::Job(job))) => {
                    let (name, uid) = (job.metadata.name.clone(), job.metadata.uid.clone());
                    if !self.jobs.iter().any(|(_, known)| *known == uid) {
                        self.jobs.push((name, uid));
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    let Document { place, title, .. } = document;
                    return Err(ManifestFault::Apply { place, object: title, error });
                }
            }
        }
        self.driver.run_until(until_ms, report);
        Ok(())
    }

    /// The API server, for reads.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.driver.cluster().store()
    }

    /// How far the simulation has got.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        self.driver.progress()
    }

    /// What each plugin did so far.
    #[must_use]
    pub fn plugin_calls(&self) -> &PluginCalls {
        self.driver.plugin_calls()
    }

    /// What was told of loads so far: when, of which plugin, and what.
    pub fn policy_news(&self) -> impl Iterator<Item = &(u64, Str, LogLine)> {
        self.policies.iter().flat_map(|policies| &policies.told)
    }

    /// What is said of each PolicyPlugin and PolicyBinding.
    #[must_use]
    pub fn policy_reports(&self) -> Vec<Report> {
        self.policies.as_ref().map(Policies::statuses).unwrap_or_default()
    }

    /// Names and uids of the Jobs that the manifests held.
    pub fn applied_jobs(&self) -> impl Iterator<Item = (&Str, &Uid)> {
        self.jobs.iter().map(|(name, uid)| (name, uid))
    }

    /// What became of the Jobs that the CronJob with that uid made.
    #[must_use]
    pub fn runs_of(&self, cron_job: &str) -> Runs {
        self.driver.cluster().runs_of(cron_job)
    }

    /// What was changed since the last call, oldest first; nothing where the options keep no changes.
    pub fn take_commits(&mut self) -> Vec<Commit> {
        self.driver.cluster_mut().drain_commits().collect()
    }
}

/// Takes in a PolicyPlugin or PolicyBinding.
fn take_in(policies: Option<&mut Policies>, document: &Document) -> Result<(), ManifestFault> {
    policies.map_or_else(
        || {
            let (place, object) = (document.place.clone(), document.title.clone());
            let reason = "this simulation has nothing that runs plugins".to_owned();
            Err(ManifestFault::Policy { place, object, reason })
        },
        |policies| policies.apply(document),
    )
}

/// Applies one document as its author would with kubectl; a Namespace that is there already is left as it is.
fn apply(cluster: &mut Cluster, document: &Document) -> Result<Applied, ManifestFault> {
    let applied = cluster.request(0, |store| store.apply_manifest(Actor::USER, &document.text));
    applied.or_else(|error| match error {
        ApplyError::Refused(status) if status.is_already_exists() && document.kind == "Namespace" => {
            Ok(Applied::Namespace(Str::default()))
        }
        error => {
            let (place, object) = (document.place.clone(), document.title.clone());
            Err(ManifestFault::Apply { place, object, error })
        }
    })
}
