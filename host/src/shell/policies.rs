//! The policy plugins of a running controller: a directory that is looked at once a second, PolicyPlugins and PolicyBindings
//! that are watched, what registries and ConfigMaps hold, and the statuses that say what came of it. Nothing here holds up
//! what decides.

mod fetch;
mod resources;
mod statuses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, select};
use kube::core::DynamicObject;
use kube::runtime::watcher::{Error as WatchError, Event};
use tokio::sync::mpsc::Sender;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use windlass_core::kube::{Str, Time};

use super::PolicySettings;
use super::client::REQUEST_TIMEOUT;
use super::clock::Clock;
use super::driver::Input;
use super::fault::ShellFault;
use crate::metrics::Metrics;
use crate::plugin::catalogue::Catalogue;
use crate::plugin::library::{News, Outcome, Update};
use crate::plugin::report::Reports;
use crate::plugin::set::PolicySet;
use fetch::Fetches;
use resources::Kind;

/// Time between two looks. A new file is loaded at the second look that finds it unchanged.
const LOOK: Duration = Duration::from_secs(1);
/// How long after an event of a resource the next look comes: those of one `kubectl apply` are taken together.
const AFTER_EVENT: Duration = Duration::from_millis(50);

/// Looks after the plugins of one controller.
pub(super) struct Policies {
    catalogue: Catalogue,
    directory: Option<PathBuf>,
    /// The API server, where the resources are used.
    client: Option<kube::Client>,
    namespace: String,
    metrics: Arc<Metrics>,
    clock: Clock,
    fetches: Fetches,
    /// The plugin that is being loaded, if one is: on a thread of its own, for as long as that takes.
    load: JoinSet<Outcome>,
    /// Lists that are under way, by kind: what was seen of them.
    listing: BTreeMap<Kind, resources::Listing>,
    /// The kinds that could be watched at some time.
    seen: BTreeSet<Kind>,
    /// What was told last of what cannot be read, by what it is, so that it is told once.
    told: BTreeMap<&'static str, String>,
}

impl Policies {
    /// Plugins of which none is loaded yet; `client` where resources are used.
    pub(super) fn new(
        settings: PolicySettings,
        client: kube::Client,
        replica: &str,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let PolicySettings { loader, directory, resources } = settings;
        let namespace = client.default_namespace().to_owned();
        Self {
            catalogue: Catalogue::new(loader, directory.clone(), replica.to_owned()),
            directory,
            client: resources.then_some(client),
            namespace,
            metrics,
            clock,
            fetches: Fetches::default(),
            load: JoinSet::new(),
            listing: BTreeMap::new(),
            seen: BTreeSet::new(),
            told: BTreeMap::new(),
        }
    }

    /// What is told of the plugins, for whoever hears of their answers.
    pub(super) fn reports(&self) -> Arc<Mutex<Reports>> {
        self.catalogue.reports().clone()
    }

    /// Loads what is there, before anything is decided; what takes longer than `timeout` comes later, and is meanwhile
    /// as if it was not loaded.
    ///
    /// # Errors
    /// [`ShellFault::Plugins`] if the directory cannot be read, which at the start is a mistake in a flag, or
    /// [`ShellFault::PolicyResources`] if the API server gives no lists: an object must not be decided for by the built-in policy only because its binding was not
    /// seen yet.
    pub(super) async fn start(mut self, timeout: Duration) -> Result<(Self, Arc<PolicySet>), ShellFault> {
        let deadline = Instant::now() + timeout;
        if let Some(client) = &self.client {
            for kind in Kind::ALL {
                let listed = resources::list(client, kind, timeout).await?;
                for object in &listed {
                    resources::put(&mut self.catalogue, kind, object);
                }
            }
            let brought = self.fetches.all(&self.catalogue, client, &self.namespace, deadline).await;
            for (name, source, contents) in brought {
                self.catalogue.supply(&name, source, contents);
            }
        }
        let mut update;
        (self, update) = self.blocking(|this| this.survey(true)).await;
        if let Some(reason) = self.told.get(DIRECTORY) {
            return Err(ShellFault::Plugins(reason.clone()));
        }
        loop {
            self.begin_load();
            match timeout_at(deadline, self.load.join_next()).await {
                Ok(Some(outcome)) => {
                    let later;
                    (self, later) = self.settle(outcome).await;
                    update.add(later);
                }
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!("not all policy plugins are loaded yet; the others decide");
                    break;
                }
            }
        }
        Ok((self, update.set.unwrap_or_default()))
    }

    /// Looks again and again, until nobody takes what is found.
    pub(super) async fn watch(mut self, inputs: Sender<Input>) {
        let mut events: BoxStream<'static, (Kind, Result<Event<DynamicObject>, WatchError>)> =
            match &self.client {
                Some(client) => {
                    let [plugins, bindings] = Kind::ALL.map(|kind| resources::watch(client, kind));
                    select(plugins, bindings).boxed()
                }
                None => futures_util::stream::pending().boxed(),
            };
        // Beside everything else: an API server that does not take a status keeps nothing else waiting.
        let mut writer = JoinSet::new();
        if let Some(client) = &self.client {
            writer.spawn(statuses::write_on(client.clone(), self.catalogue.reports().clone()));
        }
        let mut next_look = Instant::now() + LOOK;
        loop {
            let update;
            tokio::select! {
                Some((kind, event)) = events.next() => {
                    if self.take_in(kind, event) {
                        next_look = next_look.min(Instant::now() + AFTER_EVENT);
                    }
                    continue;
                }
                (name, source, contents) = self.fetches.next() => {
                    self.catalogue.supply(&name, source, contents);
                    next_look = next_look.min(Instant::now() + AFTER_EVENT);
                    continue;
                }
                Some(outcome) = self.load.join_next(), if !self.load.is_empty() => {
                    (self, update) = self.settle(outcome).await;
                }
                () = sleep_until(next_look) => {
                    if let Some(client) = &self.client {
                        self.fetches.begin(&self.catalogue, client, &self.namespace);
                    }
                    (self, update) = self.blocking(|this| this.survey(false)).await;
                    next_look = Instant::now() + LOOK;
                }
            }
            self.begin_load();
            if let Some(set) = update.set
                && inputs.send(Input::Policies(set)).await.is_err()
            {
                return;
            }
            if inputs.is_closed() {
                return;
            }
        }
    }

    /// Takes in what the watch of a resource said, and returns whether anything may have changed.
    fn take_in(&mut self, kind: Kind, event: Result<Event<DynamicObject>, WatchError>) -> bool {
        let event = match event {
            Ok(event) => event,
            // Told at the start; where it was there since, it is told now.
            Err(error) if resources::is_absent(&error) && !self.seen.contains(&kind) => return false,
            Err(error) => {
                self.tell_once(kind.plural(), &resources::describe(kind, &error));
                return false;
            }
        };
        self.told.remove(kind.plural());
        if matches!(event, Event::InitDone) {
            self.seen.insert(kind);
        }
        resources::take_in(&mut self.catalogue, &mut self.listing, kind, event)
    }

    /// Begins to load a plugin, if one is to be loaded and none is being loaded.
    fn begin_load(&mut self) {
        if self.load.is_empty()
            && let Some(load) = self.catalogue.next_load()
        {
            self.load.spawn_blocking(move || load.run());
        }
    }

    /// Takes in what came of a load.
    async fn settle(self, outcome: Result<Outcome, JoinError>) -> (Self, Update) {
        let outcome = outcome.unwrap_or_else(resume);
        self.blocking(move |this| {
            let update = this.catalogue.settle(this.now(), outcome);
            this.tell(update)
        })
        .await
    }

    /// Does something on a thread that may wait for the disk, and for what plugins say of their settings.
    async fn blocking(self, what: impl FnOnce(&mut Self) -> Update + Send + 'static) -> (Self, Update) {
        let done = tokio::task::spawn_blocking(move || {
            let mut this = self;
            let update = what(&mut this);
            (this, update)
        });
        done.await.unwrap_or_else(resume)
    }

    fn now(&self) -> Time {
        Time::from_unix_ms(self.clock.now().unix_ms)
    }

    /// Looks once.
    fn survey(&mut self, at_once: bool) -> Update {
        let (update, read) = self.catalogue.survey(self.now(), at_once);
        match read {
            Ok(()) => {
                self.told.remove(DIRECTORY);
            }
            Err(fault) => self.tell_once(DIRECTORY, &fault.to_string()),
        }
        self.tell(update)
    }

    /// Counts and logs what happened to plugins.
    fn tell(&self, update: Update) -> Update {
        for news in &update.news {
            self.metrics.plugin_news(news);
            match news {
                News::Loaded { .. } | News::Removed { .. } => tracing::info!("{news}"),
                News::Refused { .. } => tracing::warn!("{news}"),
            }
        }
        update
    }

    /// Warns of something that cannot be read, unless that was told last.
    fn tell_once(&mut self, what: &'static str, reason: &str) {
        if self.told.get(what).is_some_and(|told| told == reason) {
            return;
        }
        tracing::warn!("{reason}; the policy plugins that are loaded decide on");
        self.told.insert(what, reason.to_owned());
    }
}

/// A panic of a task is a mistake of ours, and no other than one here.
fn resume<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}

/// What is told of the directory stands under this name.
const DIRECTORY: &str = "directory";

impl std::fmt::Debug for Policies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Policies").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Name of a plugin, and what was brought for its source.
type Brought =
    (Str, crate::plugin::resource::Source, Result<(crate::plugin::offer::Stamp, Arc<[u8]>), String>);
