//! What holds of DaemonSets once nothing more is to happen: V1, V4, C10 and D6.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass_core::kube::{
    ControllerRevision, DaemonSet, DaemonSetStatus, DaemonTemplate, Kind, Object, Pod, PodPhase, Str,
};
use windlass_sandbox::Store;

use super::Violation;
use super::daemon::{Answer, answer, current_hashes, is_updated, target};
use super::plugins::waits_for_ever;
use crate::simulation::cluster::daemon::{hash_of, is_ready};

/// The DaemonSets as they are at rest.
pub(super) fn check(store: &Store) -> Result<(), Violation> {
    for object in store.objects(Kind::DaemonSet) {
        let Object::DaemonSet(set) = object else { continue };
        let name = &set.metadata.name;
        let wrong =
            |(predicate, why): (&'static str, String)| Violation::new(predicate, format!("{name}: {why}"));
        if set.metadata.is_terminating() {
            return Err(wrong(("V1", "is still about to go".to_owned())));
        }
        let Ok(template) = DaemonTemplate::read(set) else {
            return Err(wrong(("V1", "has a template that cannot be read".to_owned())));
        };
        if waits_for_ever(&set.metadata.annotations) {
            continue;
        }
        let at_rest = AtRest::of(store, set);
        let current = at_rest.check_revisions(&template).map_err(wrong)?;
        let status = at_rest.check_nodes(store, &current).map_err(wrong)?;
        if set.status != status {
            return Err(wrong(("C10", format!("says {:?}, and it is {status:?}", set.status))));
        }
    }
    Ok(())
}

struct AtRest<'a> {
    set: &'a Arc<DaemonSet>,
    pods: Vec<Arc<Pod>>,
    revisions: Vec<Arc<ControllerRevision>>,
}

impl<'a> AtRest<'a> {
    fn of(store: &Store, set: &'a Arc<DaemonSet>) -> Self {
        let mut at_rest = Self { set, pods: Vec::new(), revisions: Vec::new() };
        for key in store.dependents(&set.metadata.uid) {
            match store.get(key.kind, &key.namespace, &key.name) {
                Ok(Object::Pod(pod)) => at_rest.pods.push(pod),
                Ok(Object::ControllerRevision(revision)) => at_rest.revisions.push(revision),
                _ => {}
            }
        }
        at_rest
    }

    /// One revision holds the template, is the newest, and there are no more than may stay; gives its hash.
    fn check_revisions(&self, template: &DaemonTemplate) -> Result<BTreeSet<Str>, (&'static str, String)> {
        let holding: Vec<_> = self.revisions.iter().filter(|one| one.holds(&template.data)).collect();
        let [current] = holding[..] else {
            return Err(("D6", format!("{} revisions hold the template", holding.len())));
        };
        if let Some(newer) = self.revisions.iter().find(|one| one.revision > current.revision) {
            let why = format!("{} is newer than {}", newer.metadata.name, current.metadata.name);
            return Err(("D6", why));
        }
        let is_used = |revision: &&Arc<ControllerRevision>| {
            let hash = hash_of(&revision.metadata);
            revision.metadata.uid == current.metadata.uid
                || self.pods.iter().any(|pod| hash_of(&pod.metadata) == hash)
        };
        let unused = self.revisions.iter().filter(|one| !is_used(one)).count();
        let limit = self.set.spec.revision_history_limit.and_then(|limit| usize::try_from(limit).ok());
        if limit.is_some_and(|limit| unused > limit) {
            return Err(("D6", format!("{unused} revisions that no Pod is of are kept, of {limit:?}")));
        }
        Ok(current_hashes(&self.revisions, template))
    }

    /// Each node has what it is to have; gives the status that this is.
    fn check_nodes(
        &self,
        store: &Store,
        current: &BTreeSet<Str>,
    ) -> Result<DaemonSetStatus, (&'static str, String)> {
        let mut status = DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            collision_count: self.set.status.collision_count,
            ..DaemonSetStatus::default()
        };
        let mut placed = 0;
        for object in store.objects(Kind::Node) {
            let Object::Node(node) = object else { continue };
            let name = &node.metadata.name;
            let pods: Vec<&Arc<Pod>> = self.pods.iter().filter(|pod| target(pod) == Some(name)).collect();
            placed += pods.len();
            let Answer { runs, keeps } = answer(self.set, node);
            let most = usize::from(keeps);
            if pods.len() < usize::from(runs) || pods.len() > most {
                return Err(("V4", format!("{name} has {} Pods, is to have one: {runs}", pods.len())));
            }
            status.desired_number_scheduled += i32::from(runs);
            let Some(pod) = pods.first() else { continue };
            if !runs {
                status.number_misscheduled += 1;
                continue;
            }
            let is_new = is_updated(self.set, current, &pod.metadata);
            let must_be_new = &*self.set.spec.update_strategy.kind == "RollingUpdate";
            if pod.metadata.is_terminating() || pod.status.phase != PodPhase::Running || !is_ready(pod) {
                return Err(("V4", format!("{} on {name} does not run, or is not ready", pod.metadata.name)));
            }
            if must_be_new && !is_new {
                return Err(("V4", format!("{} on {name} is of an old template", pod.metadata.name)));
            }
            status.current_number_scheduled += 1;
            status.number_ready += 1;
            status.number_available += 1;
            status.updated_number_scheduled += i32::from(is_new);
        }
        if placed != self.pods.len() {
            return Err(("V4", format!("{} Pods are on no node that is there", self.pods.len() - placed)));
        }
        Ok(status)
    }
}
