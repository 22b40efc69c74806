//! PolicyPlugins and PolicyBindings as the API server has them.
//!
//! They are read as whatever they are: one that cannot be understood is reported on, and keeps nobody from the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{Error as WatchError, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use windlass_core::kube::{ObjectMeta, Str};

use super::super::client::chain;
use super::super::fault::ShellFault;
use crate::key::Name;
use crate::plugin::catalogue::Catalogue;
use crate::plugin::resource::{GROUP, VERSION};

/// Time between two tries to list at the start.
const RETRY: Duration = Duration::from_millis(500);

/// The resources of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Plugin,
    Binding,
}

/// Names that were seen of a list that is under way.
#[derive(Debug, Default)]
pub(super) struct Listing {
    plugins: BTreeSet<Str>,
    bindings: BTreeSet<Name>,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 2] = [Self::Plugin, Self::Binding];

    fn name(self) -> &'static str {
        match self {
            Self::Plugin => "PolicyPlugin",
            Self::Binding => "PolicyBinding",
        }
    }

    /// Name of its resource.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Plugin => "policyplugins",
            Self::Binding => "policybindings",
        }
    }

    /// How the API server is asked for it.
    pub(super) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, self.name()), self.plural())
    }
}

/// All of a kind, at the start; none where the cluster does not have the resource, or does not let it be read.
///
/// # Errors
/// [`ShellFault::PolicyResources`] where the API server does not say within `timeout`.
pub(super) async fn list(
    client: &kube::Client,
    kind: Kind,
    timeout: Duration,
) -> Result<Vec<DynamicObject>, ShellFault> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let deadline = Instant::now() + timeout;
    loop {
        let parameters = ListParams::default();
        let error = match timeout_at(deadline, api.list(&parameters)).await {
            Ok(Ok(list)) => return Ok(list.items),
            Ok(Err(error)) => error,
            Err(_) => {
                let reason = format!("no answer within {} s", timeout.as_secs());
                return Err(ShellFault::PolicyResources { plural: kind.plural(), reason });
            }
        };
        match &error {
            kube::Error::Api(status) if status.code == 404 => {
                tracing::debug!("the cluster has no {}; `windlass manifests` prints them", kind.plural());
                return Ok(Vec::new());
            }
            kube::Error::Api(status) if status.code == 403 => {
                tracing::info!("{} are not used: there is no permission to list them", kind.plural());
                return Ok(Vec::new());
            }
            _ if Instant::now() + RETRY >= deadline => {
                return Err(ShellFault::PolicyResources { plural: kind.plural(), reason: chain(&error) });
            }
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

/// What happens to a kind, for ever; where something fails, it is tried again, later each time.
pub(super) fn watch(
    client: &kube::Client,
    kind: Kind,
) -> BoxStream<'static, (Kind, Result<Event<DynamicObject>, WatchError>)> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let events = watcher(api, watcher::Config::default()).default_backoff();
    events.map(move |event| (kind, event)).boxed()
}

/// Takes in an event, and returns whether anything may have changed.
pub(super) fn take_in(
    catalogue: &mut Catalogue,
    listing: &mut BTreeMap<Kind, Listing>,
    kind: Kind,
    event: Event<DynamicObject>,
) -> bool {
    match event {
        Event::Init => {
            listing.insert(kind, Listing::default());
            return false;
        }
        Event::InitApply(object) => {
            let metadata = put(catalogue, kind, &object);
            let seen = listing.entry(kind).or_default();
            match kind {
                Kind::Plugin => seen.plugins.insert(metadata.name),
                Kind::Binding => seen.bindings.insert(Name::of(&metadata)),
            };
        }
        Event::InitDone => {
            let seen = listing.remove(&kind).unwrap_or_default();
            match kind {
                Kind::Plugin => catalogue.keep_plugins(&seen.plugins),
                Kind::Binding => catalogue.keep_bindings(&seen.bindings),
            }
        }
        Event::Apply(object) => {
            put(catalogue, kind, &object);
        }
        Event::Delete(object) => {
            let metadata = metadata(&object);
            match kind {
                Kind::Plugin => catalogue.remove_plugin(&metadata.name),
                Kind::Binding => catalogue.remove_binding(&Name::of(&metadata)),
            }
        }
    }
    true
}

/// Puts an object into the catalogue, and returns whose it is.
pub(super) fn put(catalogue: &mut Catalogue, kind: Kind, object: &DynamicObject) -> ObjectMeta {
    let metadata = metadata(object);
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    match kind {
        Kind::Plugin => catalogue.put_plugin(&metadata, spec),
        Kind::Binding => catalogue.put_binding(&metadata, spec),
    }
    metadata
}

/// Whether a watch failed because the cluster does not have the resource or does not let it be read, which was told at the
/// start: then nothing is amiss, and it is looked for again.
pub(super) fn is_absent(error: &WatchError) -> bool {
    match error {
        WatchError::InitialListFailed(kube::Error::Api(status))
        | WatchError::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 403 | 404),
        _ => false,
    }
}

/// A failed watch as a sentence.
pub(super) fn describe(kind: Kind, error: &WatchError) -> String {
    format!("cannot watch {}: {}", kind.plural(), chain(error))
}

/// What of an object's metadata counts here.
fn metadata(object: &DynamicObject) -> ObjectMeta {
    let text = |text: &Option<String>| text.as_deref().map(Str::from).unwrap_or_default();
    ObjectMeta {
        name: text(&object.metadata.name),
        namespace: text(&object.metadata.namespace),
        generation: object.metadata.generation.unwrap_or_default(),
        ..ObjectMeta::default()
    }
}
