//! The cluster of a DaemonSet's case: the set, all nodes, its Pods and revisions, and what the host would carry from
//! plan to plan.

mod carry_out;
mod names;
mod parse;
mod policy;
mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_core::daemon_set::revision;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ControllerRevision, DaemonSet, DaemonTemplate, IntOrPercent,
    LabelSelector, Labels, Node, Object, Pod, PodPhase, ResourceVersion, RollingUpdateDaemonSet, Str,
    TEMPLATE_GENERATION_ANNOTATION, Time,
};
use windlass_core::plan::Plan;
use windlass_core::view::DaemonSetFlags;
use windlass_host::Now;
use windlass_host::cache::Cache;
use windlass_host::check;
use windlass_host::engine::{Engine, SharedPolicy};
use windlass_host::key::Name;
use windlass_host::snapshot::{self, Carried, Gathered, Sight};

use super::Cluster;
use super::world::{EPOCH_S, NAMESPACE, uid};
use names::Naming;
use policy::CasePolicy;

/// How long before the case's beginning everything was made, unless it is said.
const AGE_S: i64 = 3600;
/// Hash of the Pods of the template before the present one, and name and image of its revision.
const OLD: &str = "old";

/// The cluster of a case.
pub(super) struct DaemonWorld {
    set: DaemonSet,
    template: Template,
    nodes: BTreeMap<Str, Node>,
    pods: BTreeMap<Str, Pod>,
    revisions: BTreeMap<Str, ControllerRevision>,
    /// Revisions that have the name which the controller gives, and the number that they had first.
    made: BTreeMap<Str, i64>,
    /// Names of all Pods that plans created.
    named: BTreeSet<Str>,
    /// Whether the case says which revisions there are; else there is that of the template.
    is_history_given: bool,
    now_ms: i64,
    flags: DaemonSetFlags,
    policy: CasePolicy,
    carried: Carried,
    /// Whether there was a plan already: from then on the API server counts changes of the spec.
    has_begun: bool,
    /// What the next plan creates that is to be shown whole.
    shows: Shows,
    last: Option<(Plan, Gathered)>,
}

/// The Pod template: a value that lines of a case change, or a text that stays as it is.
#[derive(Clone)]
enum Template {
    Value(Value),
    Text(String),
}

/// What a case has printed whole.
#[derive(Default)]
struct Shows {
    pods: bool,
    revision: bool,
    question: bool,
}

impl Default for DaemonWorld {
    /// A set called `set` as the API server stores it, seen by the controller while there was no node.
    fn default() -> Self {
        let mut set = DaemonSet::default();
        set.metadata.name = "set".into();
        set.metadata.namespace = NAMESPACE.into();
        set.metadata.uid = uid("set");
        set.metadata.generation = 1;
        set.metadata.annotations = Arc::new([(TEMPLATE_GENERATION_ANNOTATION.into(), "1".into())].into());
        set.status.observed_generation = 1;
        let spec = Arc::make_mut(&mut set.spec);
        spec.selector = Some(LabelSelector { match_labels: selected(), ..LabelSelector::default() });
        spec.update_strategy.kind = "RollingUpdate".into();
        spec.update_strategy.rolling_update = Some(RollingUpdateDaemonSet {
            max_unavailable: Some(IntOrPercent::Int(1)),
            max_surge: Some(IntOrPercent::Int(0)),
        });
        spec.revision_history_limit = Some(10);
        let template = Template::Value(json!({
            "metadata": {"labels": {"app": "set"}},
            "spec": {"containers": [{"name": "main", "image": "v1"}]},
        }));
        let mut world = Self {
            set,
            template,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            revisions: BTreeMap::new(),
            made: BTreeMap::new(),
            named: BTreeSet::new(),
            is_history_given: false,
            now_ms: EPOCH_S * 1000,
            flags: DaemonSetFlags::default(),
            policy: CasePolicy::default(),
            carried: Carried::default(),
            has_begun: false,
            shows: Shows::default(),
            last: None,
        };
        world.set_template();
        world
    }
}

impl Cluster for DaemonWorld {
    fn apply(&mut self, line: &str) -> Result<()> {
        let before = self.set.spec.clone();
        parse::apply(line, self)?;
        self.set_template();
        if self.has_begun && self.set.spec != before {
            self.count_change(raw(&before) != raw(&self.set.spec));
        }
        Ok(())
    }

    fn reconcile(&mut self, engine: &dyn Engine) -> Result<String> {
        if !self.has_begun && !self.is_history_given {
            self.make_history()?;
        }
        self.has_begun = true;
        let gathered = self.gather()?;
        let policy: SharedPolicy = Arc::new(self.policy.clone());
        let plan = engine.reconcile(&gathered.snapshot, &policy)?;
        check::check(plan.clone(), &gathered)
            .map_err(|defect| anyhow::anyhow!("the plan is refused: {defect}"))?;
        let mut text = print::plan(&plan, &gathered, &self.naming()?);
        let asked = self.policy.take_asked(&self.naming()?);
        if self.shows.question {
            text += &asked;
        }
        text += &self.shown(&plan, &gathered)?;
        self.carried.forget_reads();
        self.carried.memo.clone_from(&plan.memo);
        self.last = Some((plan, gathered));
        Ok(text)
    }
}

impl DaemonWorld {
    fn gather(&self) -> Result<Gathered> {
        let now = Now { monotonic_ms: 0, unix_ms: self.now_ms };
        let name = Name::of(&self.set.metadata);
        let sight = Sight { rollout_labels: self.policy.labels.clone(), ..Sight::default() };
        let gathered = snapshot::daemon_set(&self.cache(), &name, &self.flags, now, &self.carried, &sight);
        gathered.context("no DaemonSet, or one whose template is none of a Pod")
    }

    fn cache(&self) -> Cache {
        let (mut cache, mut changes) = (Cache::default(), Vec::new());
        let sets = [Object::DaemonSet(Arc::new(self.set.clone()))];
        let nodes = self.nodes.values().map(|node| Object::Node(Arc::new(node.clone())));
        let pods = self.pods.values().map(|pod| Object::Pod(Arc::new(pod.clone())));
        let revisions = self.revisions.values();
        let revisions = revisions.map(|revision| Object::ControllerRevision(Arc::new(revision.clone())));
        for (version, object) in (1..).zip(sets.into_iter().chain(nodes).chain(pods).chain(revisions)) {
            cache.watched(at_version(object, ResourceVersion(version)), &mut changes);
        }
        cache
    }

    /// Puts the case's template into the set.
    fn set_template(&mut self) {
        let text = match &self.template {
            Template::Value(value) => value.to_string(),
            Template::Text(text) => text.clone(),
        };
        let template = RawValue::from_string(text).ok().map(Arc::from);
        Arc::make_mut(&mut self.set.spec).template = template;
    }

    /// Counts a change of the spec, as the API server does.
    fn count_change(&mut self, of_template: bool) {
        self.set.metadata.generation += 1;
        if of_template && let Some(generation) = self.set.template_generation() {
            let annotations = Arc::make_mut(&mut self.set.metadata.annotations);
            annotations.insert(TEMPLATE_GENERATION_ANNOTATION.into(), (generation + 1).to_string().into());
        }
    }

    /// The revision of the template, and before it that of the old Pods, where there are any.
    fn make_history(&mut self) -> Result<()> {
        let is_old = |pod: &Pod| {
            pod.metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL).is_some_and(|hash| &**hash == OLD)
        };
        if self.pods.values().any(is_old) {
            let old = self.revision(OLD, 1, Some(OLD))?;
            self.revisions.insert(OLD.into(), old);
        }
        let number = i64::try_from(self.revisions.len())? + 1;
        let name = self.naming()?.new_name();
        let present = self.revision(&name, number, None)?;
        self.made.insert(name.clone(), number);
        self.revisions.insert(name, present);
        Ok(())
    }

    /// A revision that the set controls: of its template, or of one with another image.
    ///
    /// Its hash is its name, or what follows the set's name where the controller gives such a name.
    fn revision(&self, name: &str, number: i64, image: Option<&str>) -> Result<ControllerRevision> {
        let hash = name.strip_prefix(&format!("{}-", self.set.metadata.name)).unwrap_or(name);
        let mut one = ControllerRevision { revision: number, ..ControllerRevision::default() };
        one.metadata.name = name.into();
        one.metadata.namespace = NAMESPACE.into();
        one.metadata.uid = uid(name);
        one.metadata.creation_timestamp = Some(Time::from_unix_seconds(EPOCH_S - AGE_S));
        let mut labels = selected();
        labels.insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.into());
        one.metadata.labels = Arc::new(labels);
        one.metadata.owner_references = Arc::new(vec![self.set.controller_reference()]);
        one.data = Some(self.data(image)?);
        Ok(one)
    }

    /// The data of the revision of the template, or of the template with another image.
    fn data(&self, image: Option<&str>) -> Result<Arc<RawValue>> {
        let text = match (&self.template, image) {
            (Template::Value(value), Some(image)) => with_image(value.clone(), image)?.to_string(),
            (Template::Value(value), None) => value.to_string(),
            (Template::Text(text), None) => text.clone(),
            (Template::Text(_), Some(_)) => bail!("a template that is a text has no other images"),
        };
        Ok(RawValue::from_string(revision::data(&text)?)?.into())
    }

    /// How hashes and revisions are called now.
    fn naming(&self) -> Result<Naming> {
        let template = DaemonTemplate::read(&self.set)?;
        Ok(Naming { set: self.set.metadata.name.clone(), new: template.hash, made: self.made.clone() })
    }

    /// The hash of the set's revision for its template, or that which a new one would get.
    fn present_hash(&self) -> Result<Str> {
        let template = DaemonTemplate::read(&self.set)?;
        let present = self.revisions.values().filter(|revision| revision.holds(&template.data));
        let present = present.max_by_key(|revision| revision.revision);
        let label = present.and_then(|one| one.metadata.labels.get(CONTROLLER_REVISION_HASH_LABEL));
        Ok(label.cloned().unwrap_or(template.hash))
    }

    /// The names for which `text` stands: `a,b-[1-3]`, or `*pending`, `*running`, `*failed`, `*succeeded`,
    /// `*terminating` for all such Pods.
    fn pod_names(&self, text: &str) -> Result<Vec<Str>> {
        let Some(class) = text.strip_prefix('*') else { return names::expand(text) };
        let is_meant: fn(&Pod) -> bool = match class {
            "terminating" => |pod| pod.metadata.is_terminating(),
            "pending" => |pod| pod.status.phase == PodPhase::Pending,
            "running" => |pod| pod.status.phase == PodPhase::Running,
            "failed" => |pod| pod.status.phase == PodPhase::Failed,
            "succeeded" => |pod| pod.status.phase == PodPhase::Succeeded,
            _ => bail!("there are no Pods *{class}"),
        };
        let meant: Vec<Str> =
            self.pods.values().filter(|pod| is_meant(pod)).map(|pod| pod.metadata.name.clone()).collect();
        if meant.is_empty() {
            bail!("no Pod is {class}");
        }
        Ok(meant)
    }
}

fn at_version(object: Object, version: ResourceVersion) -> Object {
    macro_rules! at {
        ($kind:path, $object:expr) => {{
            let mut object = $object;
            Arc::make_mut(&mut object).metadata.resource_version = version;
            $kind(object)
        }};
    }
    match object {
        Object::DaemonSet(object) => at!(Object::DaemonSet, object),
        Object::Node(object) => at!(Object::Node, object),
        Object::Pod(object) => at!(Object::Pod, object),
        Object::ControllerRevision(object) => at!(Object::ControllerRevision, object),
        other @ (Object::Job(_) | Object::CronJob(_)) => other,
    }
}

/// Labels that the set's selector matches.
fn selected() -> Labels {
    [("app".into(), "set".into())].into()
}

fn raw(spec: &windlass_core::kube::DaemonSetSpec) -> Option<&str> {
    spec.template.as_ref().map(|template| template.get())
}

fn with_image(mut template: Value, image: &str) -> Result<Value> {
    let container = template.pointer_mut("/spec/containers/0").context("the template has no container")?;
    container["image"] = image.into();
    Ok(template)
}
