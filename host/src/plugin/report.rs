//! What a replica of the controller says of PolicyPlugins and PolicyBindings: their statuses, as the loads and the answers
//! of plugins change them.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::kube::{Str, Time};

use super::binding::Rule;
use super::load::LoadFault;
use super::resource::{BindingReplica, Condition, PluginReplica, ResourceFault};
use super::set::{Call, Loaded};
use super::{PluginFault, bounds};
use crate::controller::Notice;
use crate::key::Name;

/// Reason of a condition that nothing speaks against.
const FINE: &str = "AsExpected";

/// The statuses of one replica.
#[derive(Debug)]
pub struct Reports {
    replica: String,
    plugins: BTreeMap<Str, Entry<PluginReplica>>,
    bindings: BTreeMap<Name, Entry<BindingReplica>>,
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Of a PolicyPlugin.
    Plugin(Str, PluginReplica),
    /// Of a PolicyBinding.
    Binding(Name, BindingReplica),
}

/// What is known of a PolicyPlugin when it is reported on.
#[derive(Clone, Copy)]
pub struct PluginView<'a> {
    /// Its name.
    pub name: &'a Str,
    /// Its generation.
    pub generation: i64,
    /// What decides under its name.
    pub loaded: Option<&'a Loaded>,
    /// Why that is not what it says.
    pub fault: Option<PluginTrouble<'a>>,
}

/// Why a PolicyPlugin is not what decides.
#[derive(Clone, Copy, Debug)]
pub enum PluginTrouble<'a> {
    /// It cannot be read.
    Resource(&'a ResourceFault),
    /// What it names cannot be loaded.
    Load(&'a LoadFault),
    /// A file of `--plugin-dir` has its name, and wins.
    Shadowed,
    /// Its bytes are still to be fetched.
    Awaited,
    /// Its bytes are there, and not loaded yet.
    Loading,
}

/// What is known of a PolicyBinding when it is reported on.
#[derive(Clone)]
pub struct BindingView<'a> {
    /// Its name.
    pub name: &'a Name,
    /// Its generation.
    pub generation: i64,
    /// What it says.
    pub rule: Result<&'a Rule, &'a ResourceFault>,
    /// What of its plugin's name is loaded.
    pub loaded: Option<&'a Loaded>,
    /// Why that may not answer, if it may not.
    pub fault: Option<PluginFault>,
}

#[derive(Debug)]
struct Entry<R> {
    replica: R,
    /// Name of the plugin, of a PolicyBinding.
    plugin: Str,
    generation: i64,
    is_due: bool,
}

impl Reports {
    /// What the replica of that name says: nothing yet.
    #[must_use]
    pub fn new(replica: String) -> Self {
        Self { replica, plugins: BTreeMap::new(), bindings: BTreeMap::new() }
    }

    /// Takes in what is loaded and bound, at `now` of the wall clock.
    pub fn look<'a>(
        &mut self,
        now: Time,
        plugins: impl IntoIterator<Item = PluginView<'a>>,
        bindings: impl IntoIterator<Item = BindingView<'a>>,
    ) {
        let mut seen = BTreeSet::new();
        for view in plugins {
            seen.insert(view.name.clone());
            let entry = self.plugins.entry(view.name.clone()).or_insert_with(|| Entry::of(&self.replica));
            entry.look(now, &view);
        }
        self.plugins.retain(|name, _| seen.contains(name));
        let mut seen = BTreeSet::new();
        for view in bindings {
            seen.insert(view.name.clone());
            let entry = self.bindings.entry(view.name.clone()).or_insert_with(|| Entry::of(&self.replica));
            entry.look(now, &view);
        }
        self.bindings.retain(|name, _| seen.contains(name));
    }

    /// Takes in what a plugin did, if the notice is of that, at `now` of the wall clock.
    pub fn notice(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::PolicyAsked { call, .. } => {
                let entry = call.rule.as_ref().and_then(|rule| self.bindings.get_mut(rule));
                if let Some(entry) = entry {
                    entry.answered(now, call);
                }
            }
            Notice::PluginQuarantined { plugin, for_ms } => {
                let of_plugin = self.bindings.values_mut().filter(|entry| entry.plugin == *plugin);
                for entry in of_plugin {
                    let until =
                        Time::from_unix_seconds(now.unix_seconds + for_ms.div_ceil(1_000).cast_signed());
                    let message = format!("the plugin failed too often and is left alone until {until}");
                    entry.tell(now, "Answering", "False", "Quarantined", message);
                }
            }
            Notice::PluginRestored { plugin } => {
                let is_left_alone = |entry: &&mut Entry<BindingReplica>| {
                    let mut conditions = entry.replica.conditions.iter();
                    conditions
                        .any(|condition| condition.kind == "Answering" && condition.reason == "Quarantined")
                };
                let of_plugin = self.bindings.values_mut().filter(|entry| entry.plugin == *plugin);
                for entry in of_plugin.filter(is_left_alone) {
                    let message = "the plugin answers again, and was not asked since".to_owned();
                    entry.say(now, "Answering", "Unknown", "NotAsked", message);
                }
            }
            _ => {}
        }
    }

    /// The statuses that are to be written, each once.
    pub fn take(&mut self) -> Vec<Report> {
        let plugins = self.plugins.iter_mut().filter_map(|(name, entry)| {
            std::mem::take(&mut entry.is_due).then(|| Report::Plugin(name.clone(), entry.replica.clone()))
        });
        let bindings = self.bindings.iter_mut().filter_map(|(name, entry)| {
            std::mem::take(&mut entry.is_due).then(|| Report::Binding(name.clone(), entry.replica.clone()))
        });
        plugins.chain(bindings).collect()
    }

    /// Notes that a status was not written, and is to be once more.
    pub fn not_written(&mut self, report: &Report) {
        match report {
            Report::Plugin(name, _) => {
                self.plugins.entry(name.clone()).and_modify(|entry| entry.is_due = true);
            }
            Report::Binding(name, _) => {
                self.bindings.entry(name.clone()).and_modify(|entry| entry.is_due = true);
            }
        }
    }

    /// Every status as it is, by name.
    pub fn all(&self) -> impl Iterator<Item = Report> {
        let plugins =
            self.plugins.iter().map(|(name, entry)| Report::Plugin(name.clone(), entry.replica.clone()));
        let bindings =
            self.bindings.iter().map(|(name, entry)| Report::Binding(name.clone(), entry.replica.clone()));
        plugins.chain(bindings)
    }
}

/// The entry of a replica in a status.
trait Replica {
    fn of(replica: &str) -> Self;
    fn conditions(&mut self) -> &mut Vec<Condition>;
}

impl Replica for PluginReplica {
    fn of(replica: &str) -> Self {
        Self { name: replica.to_owned(), ..Self::default() }
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }
}

impl Replica for BindingReplica {
    fn of(replica: &str) -> Self {
        Self { name: replica.to_owned(), ..Self::default() }
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }
}

impl<R: Replica> Entry<R> {
    /// An entry that says nothing yet.
    fn of(replica: &str) -> Self {
        Self { replica: R::of(replica), plugin: Str::default(), generation: 0, is_due: true }
    }

    /// Says it, unless nothing but the message is new, which may differ from call to call.
    fn say(&mut self, now: Time, kind: &str, status: &str, reason: &str, message: String) {
        let said = Said { kind, status, reason, generation: self.generation, with_message: false };
        self.is_due |= said.into_conditions(self.replica.conditions(), now, message);
    }

    /// Says it, even where nothing but the message is new.
    fn tell(&mut self, now: Time, kind: &str, status: &str, reason: &str, message: String) {
        let said = Said { kind, status, reason, generation: self.generation, with_message: true };
        self.is_due |= said.into_conditions(self.replica.conditions(), now, message);
    }
}

impl Entry<PluginReplica> {
    fn look(&mut self, now: Time, view: &PluginView<'_>) {
        self.generation = view.generation;
        let identity = view.loaded.map(|loaded| loaded.plugin().identity());
        let digest = identity.map(|identity| identity.digest.to_string());
        if self.replica.digest != digest {
            self.replica.since = identity.map(|_| now);
            self.replica.version = view.loaded.map(|loaded| loaded.plugin().description().version.clone());
            let labels = |decisions: &[super::decision::Decision]| {
                decisions.iter().map(|decision| decision.label().to_owned()).collect()
            };
            self.replica.decisions = identity.map(|identity| labels(&identity.decisions)).unwrap_or_default();
            self.replica.digest = digest;
            self.is_due = true;
        }
        let trouble = view.fault.map(|fault| (fault.reason(), fault.message()));
        match (&self.replica.digest, &trouble) {
            (Some(_), _) => {
                let message = "what is loaded decides".to_owned();
                self.say(now, "Loaded", "True", FINE, message);
            }
            (None, Some((reason, message))) => {
                self.tell(now, "Loaded", "False", &reason.clone(), message.clone());
            }
            (None, None) => self.say(now, "Loaded", "False", "NotYet", "it is being loaded".to_owned()),
        }
        match trouble {
            Some((reason, message)) => self.tell(now, "UpToDate", "False", &reason, message),
            None if self.replica.digest.is_some() => {
                self.say(now, "UpToDate", "True", FINE, "what its source holds is loaded".to_owned());
            }
            None => self.say(now, "UpToDate", "False", "NotYet", "it is being loaded".to_owned()),
        }
    }
}

impl Entry<BindingReplica> {
    fn look(&mut self, now: Time, view: &BindingView<'_>) {
        self.generation = view.generation;
        let rule = match view.rule {
            Ok(rule) => rule,
            Err(fault) => return self.tell(now, "Bound", "False", fault.reason(), fault.to_string()),
        };
        let loaded = view.loaded;
        let digest = loaded.map(|loaded| loaded.plugin().identity().digest.to_string());
        if self.plugin != rule.plugin || self.replica.digest != digest {
            self.plugin = rule.plugin.clone();
            self.replica.digest = digest;
            self.replica.version = loaded.map(|loaded| loaded.plugin().description().version.clone());
            self.is_due = true;
            let message = "this version was not asked yet".to_owned();
            self.say(now, "Answering", "Unknown", "NotAsked", message);
        }
        match &view.fault {
            None => {
                let message = format!("{} may decide", rule.plugin);
                self.tell(now, "Bound", "True", FINE, message);
            }
            Some(fault) => {
                let consequence = rule.on_failure.consequence(rule.decision);
                let message = format!("policy plugin {}: {fault}; {consequence}", rule.plugin);
                self.tell(now, "Bound", "False", &camel(fault.category()), message);
            }
        }
    }

    fn answered(&mut self, now: Time, call: &Call) {
        match &call.fault {
            None => self.say(now, "Answering", "True", FINE, "its last answer was used".to_owned()),
            // Told when the quarantine began, with its end.
            Some(PluginFault::Quarantined { .. }) => {}
            Some(fault) => {
                let consequence = call.on_failure.consequence(call.decision);
                let message = format!("{}: {fault}; {consequence}", call.decision);
                self.say(now, "Answering", "False", &camel(fault.category()), message);
            }
        }
    }
}

impl std::fmt::Debug for BindingView<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, generation, rule, fault, .. } = self;
        let mut shown = formatter.debug_struct("BindingView");
        shown.field("name", name).field("generation", generation).field("rule", rule);
        shown.field("fault", fault).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PluginView<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, generation, fault, .. } = self;
        let mut shown = formatter.debug_struct("PluginView");
        shown
            .field("name", name)
            .field("generation", generation)
            .field("fault", fault)
            .finish_non_exhaustive()
    }
}

impl PluginTrouble<'_> {
    fn reason(self) -> String {
        match self {
            Self::Resource(fault) => fault.reason().to_owned(),
            Self::Load(fault) => camel(fault.category()),
            Self::Shadowed => "Shadowed".to_owned(),
            Self::Awaited => "Fetching".to_owned(),
            Self::Loading => "Loading".to_owned(),
        }
    }

    fn message(self) -> String {
        match self {
            Self::Resource(fault) => fault.to_string(),
            Self::Load(fault) => fault.to_string(),
            Self::Shadowed => "a file of the controller's --plugin-dir has this name, and decides".to_owned(),
            Self::Awaited => "what its source holds is being fetched".to_owned(),
            Self::Loading => "what its source holds is being loaded".to_owned(),
        }
    }
}

/// What is said of one condition.
struct Said<'a> {
    kind: &'a str,
    status: &'a str,
    reason: &'a str,
    generation: i64,
    /// Whether another message is news.
    with_message: bool,
}

impl Said<'_> {
    /// Puts it among the conditions, and returns whether it says something new.
    fn into_conditions(self, conditions: &mut Vec<Condition>, now: Time, message: String) -> bool {
        let Self { kind, status, reason, generation, with_message } = self;
        let message = bounds::cut(message);
        let known = conditions.iter_mut().find(|condition| condition.kind == kind);
        let Some(known) = known else {
            conditions.push(Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                last_transition_time: now,
                observed_generation: generation,
            });
            conditions.sort_by(|one, other| one.kind.cmp(&other.kind));
            return true;
        };
        let has_turned = known.status != status;
        let is_known = !has_turned && known.reason == reason && known.observed_generation == generation;
        if is_known && !(with_message && known.message != message) {
            return false;
        }
        if has_turned {
            known.last_transition_time = now;
        }
        (known.status, known.reason) = (status.to_owned(), reason.to_owned());
        (known.message, known.observed_generation) = (message, generation);
        true
    }
}

/// A category such as `not_loaded` as a reason such as `NotLoaded`.
fn camel(category: &str) -> String {
    let words = category.split('_').filter_map(|word| word.split_at_checked(1));
    words.fold(String::new(), |text, (first, rest)| text + &first.to_uppercase() + rest)
}
