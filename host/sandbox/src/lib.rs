//! A Kubernetes API server, scheduler, kubelets and garbage collector in memory: without I/O, threads, clocks, or
//! randomness other than a seed.
//!
//! [`Store`] is the API server. Objects are the slim shared structs of `windlass_core::kube`; watches, lists and
//! history hand out the same `Arc`s, and JSON is written and read only at the edges. Every verb names an [`Actor`] and
//! is refused with an `ApiStatus` in upstream's codes, reasons and words.
//!
//! | verb | method |
//! |---|---|
//! | create | [`Store::create_pod`], [`Store::create_job`], [`Store::create_job_of`], [`Store::create_cron_job`], [`Store::create_daemon_set`], [`Store::create_revision`], [`Store::create_revision_of`], [`Store::create`] and [`Store::apply_manifest`] from JSON, [`Store::create_namespace`], [`Store::create_event`] |
//! | get, list | [`Store::get`], [`Store::list`] (pages of one revision, also of an older one), [`Store::objects`] |
//! | watch | [`Store::events_after`] a revision; a bookmark is [`Store::revision`]; 410 after [`Store::forget_history`] |
//! | update | [`Store::update_job`], [`Store::update_cron_job`], [`Store::update_daemon_set`], [`Store::update_revision`], [`Store::update_pod`] |
//! | update status | [`Store::update_job_status`], [`Store::update_cron_job_status`], [`Store::update_daemon_set_status`], [`Store::update_pod_status`] |
//! | patch | [`Store::patch`] with a [`MetadataPatch`]: finalizer, owner, labels, annotations; uid and resourceVersion |
//! | delete | [`Store::delete`] with [`DeleteOptions`], [`Store::delete_namespace`] |
//! | quota | [`Store::limit_jobs`], [`Store::limit_pods`]: creates beyond it are refused, as by a ResourceQuota |
//! | history | [`Store::drain_commits`]: every [`Commit`] in order, where [`StoreOptions::record_commits`] is set |
//! | print | [`Store::to_json`], [`Store::event_json`], [`Store::namespace_json`] |
//!
//! [`cluster::Cluster`] is the store with its surroundings, driven by virtual time (milliseconds since the start):
//!
//! ```
//! use windlass_sandbox::{Actor, cluster::{Cluster, ClusterOptions}};
//!
//! let mut cluster = Cluster::new(ClusterOptions::default());
//! cluster.add_node(0, "node-0")?;
//! let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"once",
//!     "annotations":{"sandbox.windlass.dev/run-seconds":"3"}},
//!     "spec":{"restartPolicy":"Never","containers":[{"name":"main","image":"busybox"}]}}"#;
//! cluster.request(0, |store| store.apply_manifest(Actor::USER, pod))?;
//! while let Some(now_ms) = cluster.next_wake() {
//!     cluster.advance(now_ms);
//! }
//! let pod = cluster.store().get(windlass_core::kube::Kind::Pod, "default", "once")?;
//! assert_eq!(cluster.store().to_json(&pod)["status"]["phase"], "Succeeded");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a Pod does is said by its annotations: see [`cluster::ANNOTATION_PREFIX`]. A request goes through
//! [`cluster::Cluster::request`], so that scheduler, kubelets and garbage collector take note of what it changed.
//! Time costs nothing: work is done in order of (time, sequence), and a run is decided by its seed and its requests.

pub mod cluster;

mod body;
mod defaults;
mod dice;
mod field;
mod manifest;
mod names;
mod print;
mod refusal;
mod resource;
mod store;
mod validate;

pub use manifest::{Applied, ApplyError, KINDS_SERVED, Manifest};
pub use resource::{ObjectKey, Resource};
pub use store::{
    Actor, Commit, ContinueToken, DEFAULT_WATCH_HISTORY, DeleteOptions, Deletion, Event, ListOptions,
    MetadataPatch, Page, Propagation, Quota, Regarding, Store, StoreOptions, Verb, WatchEvent,
    WatchEventKind,
};
