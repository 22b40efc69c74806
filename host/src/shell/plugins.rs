//! `--plugin-dir` on a running controller: the directory is looked at once a second, and what changed is loaded
//! without holding anything up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::PluginDirectory;
use super::driver::Input;
use super::fault::ShellFault;
use crate::metrics::Metrics;
use crate::plugin::directory;
use crate::plugin::library::{Library, News, Update};
use crate::plugin::set::PolicySet;

/// Time between two looks at the directory. A new file is loaded at the second look that finds it unchanged.
const LOOK: Duration = Duration::from_secs(1);

/// Looks after the plugins of one directory.
pub(super) struct Plugins {
    directory: PluginDirectory,
    library: Library,
    metrics: Arc<Metrics>,
    /// Why the directory could not be read at the last look, so that it is told once.
    unreadable: Option<String>,
}

impl Plugins {
    /// Plugins of which none is loaded yet.
    pub(super) fn new(directory: PluginDirectory, metrics: Arc<Metrics>) -> Self {
        let library = Library::new(directory.loader.clone());
        Self { directory, library, metrics, unreadable: None }
    }

    /// Loads what is there, before anything is decided.
    ///
    /// # Errors
    /// [`ShellFault::Plugins`] if the directory cannot be read: at the start that is a mistake in a flag.
    pub(super) async fn start(mut self) -> Result<(Self, Arc<PolicySet>), ShellFault> {
        let update;
        (self, update) = self.look(true).await;
        match &self.unreadable {
            Some(reason) => Err(ShellFault::Plugins(reason.clone())),
            None => Ok((self, update.set.unwrap_or_default())),
        }
    }

    /// Looks again and again, until nobody takes what is found.
    pub(super) async fn watch(mut self, inputs: Sender<Input>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let update;
            (self, update) = self.look(false).await;
            if let Some(set) = update.set
                && inputs.send(Input::Policies(set)).await.is_err()
            {
                return;
            }
        }
    }

    /// Looks once, on a thread that may wait for the disk and for the compiler.
    async fn look(self, at_once: bool) -> (Self, Update) {
        let looked = tokio::task::spawn_blocking(move || {
            let mut this = self;
            let update = this.look_now(at_once);
            (this, update)
        });
        // A panic there is a mistake of ours, and no other than one here.
        looked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn look_now(&mut self, at_once: bool) -> Update {
        let files = match directory::files(&self.directory.path) {
            Ok(files) => files,
            Err(fault) => {
                let reason = fault.to_string();
                if self.unreadable.as_ref() != Some(&reason) {
                    tracing::warn!("{reason}; the policy plugins that are loaded decide on");
                    self.unreadable = Some(reason);
                }
                return Update::default();
            }
        };
        self.unreadable = None;
        let update = self.library.look(&files, at_once);
        for news in &update.news {
            self.metrics.plugin_news(news);
            match news {
                News::Loaded { .. } | News::Removed { .. } => tracing::info!("{news}"),
                News::Refused { .. } | News::Unreadable { .. } => tracing::warn!("{news}"),
            }
        }
        update
    }
}
