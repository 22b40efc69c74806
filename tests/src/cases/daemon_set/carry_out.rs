//! What becomes of a case's cluster as a plan is carried out, and what the plan's creates send.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use windlass_core::daemon_set::naming;
use windlass_core::kube::{
    CONTROLLER_REVISION_HASH_LABEL, ControllerRevision, Pod, PodManifest, Str, Time, daemon_set_status,
};
use windlass_core::plan::{Action, DaemonSetAction, Plan};
use windlass_host::snapshot::{DaemonScene, Gathered};

use super::DaemonWorld;
use crate::cases::cron_job::is_met;
use crate::cases::world::uid;

/// Most created Pods that are shown whole.
const MAX_SHOWN_PODS: usize = 2;

impl DaemonWorld {
    /// Does what the last plan says; the steps with these numbers (from 1) fail, and those that the cluster refuses.
    pub(super) fn do_last_plan(&mut self, failing: &[usize]) -> Result<()> {
        let (plan, gathered) = self.last.take().context("there is no plan yet")?;
        let mut done: Vec<bool> = Vec::new();
        for (number, step) in (1..).zip(&plan.steps) {
            let runs = step.after.iter().all(|dependency| is_met(dependency, &done));
            let succeeds = runs && !failing.contains(&number) && self.act(&step.action, &gathered)?;
            done.push(succeeds);
        }
        if failing.iter().any(|number| *number > plan.steps.len()) {
            bail!("the plan has no such step");
        }
        Ok(())
    }

    /// What `plan` creates, as it is sent, as far as the case wants to see it.
    pub(super) fn shown(&mut self, plan: &Plan, gathered: &Gathered) -> Result<String> {
        let shows = std::mem::take(&mut self.shows);
        let scene = gathered.daemon.as_ref().context("no DaemonSet was gathered")?;
        let (mut text, mut left) = (String::new(), MAX_SHOWN_PODS);
        for step in &plan.steps {
            match &step.action {
                Action::DaemonSet(DaemonSetAction::CreatePods { nodes, hash }) if shows.pods => {
                    for node in nodes.iter().take(left) {
                        text += &format!("pod {}\n", self.manifest(scene, *node, hash)?.to_json()?);
                    }
                    left = left.saturating_sub(nodes.len());
                }
                Action::DaemonSet(DaemonSetAction::CreateRevision { number }) if shows.revision => {
                    let manifest = scene.template.revision(&self.set, *number)?;
                    text += &format!("revision {}\n", manifest.to_json()?);
                }
                _ => {}
            }
        }
        Ok(text)
    }

    fn manifest(&self, scene: &DaemonScene, node: u32, hash: &Str) -> Result<PodManifest> {
        let node = scene.nodes.get(node as usize).context("a node that is not there")?;
        let taken = |name: &str| self.pods.contains_key(name);
        let name = naming::pod_name(&self.set, &node.metadata.uid, hash, &taken);
        Ok(scene.template.pod(&self.set, &node.metadata.name, hash, name)?)
    }

    /// Does one step; whether the cluster takes it.
    fn act(&mut self, action: &Action, gathered: &Gathered) -> Result<bool> {
        let scene = gathered.daemon.as_ref().context("no DaemonSet was gathered")?;
        let pods = |positions: &[u32]| -> Vec<Str> {
            let entries = positions.iter().filter_map(|position| gathered.children.get(*position as usize));
            entries.map(|entry| entry.pod.metadata.name.clone()).collect()
        };
        let revisions = |positions: &[u32]| -> Vec<Str> {
            let all = positions.iter().filter_map(|position| scene.revisions.get(*position as usize));
            all.map(|revision| revision.metadata.name.clone()).collect()
        };
        let Action::DaemonSet(action) = action else { return Ok(true) };
        match action {
            DaemonSetAction::CreatePods { nodes, hash } => {
                for node in nodes {
                    self.create_pod(scene, *node, hash)?;
                }
            }
            DaemonSetAction::DeletePods(positions) => {
                pods(positions).iter().for_each(|name| self.delete_pod(name));
            }
            DaemonSetAction::AdoptPods(positions) => {
                let owner = Arc::new(vec![self.set.controller_reference()]);
                self.change_pods(&pods(positions), |pod| pod.metadata.owner_references = owner.clone());
            }
            DaemonSetAction::ReleasePods(positions) => {
                self.change_pods(&pods(positions), |pod| pod.metadata.owner_references = Arc::default());
            }
            DaemonSetAction::RelabelPods { pods: positions, hash } => {
                self.change_pods(&pods(positions), |pod| {
                    let labels = Arc::make_mut(&mut pod.metadata.labels);
                    labels.insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.clone());
                });
            }
            DaemonSetAction::CreateRevision { number } => return self.create_revision(scene, *number),
            DaemonSetAction::AdoptRevisions(positions) => {
                let owner = Arc::new(vec![self.set.controller_reference()]);
                self.change_revisions(&revisions(positions), |one| {
                    one.metadata.owner_references = owner.clone();
                });
            }
            DaemonSetAction::ReleaseRevisions(positions) => {
                self.change_revisions(&revisions(positions), |one| {
                    one.metadata.owner_references = Arc::default();
                });
            }
            DaemonSetAction::LabelRevision { revision, hash } => {
                self.change_revisions(&revisions(&[*revision]), |one| {
                    let labels = Arc::make_mut(&mut one.metadata.labels);
                    labels.insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.clone());
                });
            }
            DaemonSetAction::RenumberRevision { revision, number } => {
                self.change_revisions(&revisions(&[*revision]), |one| one.revision = *number);
            }
            DaemonSetAction::DeleteRevisions(positions) => {
                for name in revisions(positions) {
                    self.revisions.remove(&name);
                }
            }
            DaemonSetAction::WriteStatus(status) => self.set.status = daemon_set_status(&self.set, status),
        }
        Ok(true)
    }

    /// A Pod as the host would send it, under a name that tells its node: `a.NODE`, the next `b.NODE`.
    fn create_pod(&mut self, scene: &DaemonScene, node: u32, hash: &Str) -> Result<()> {
        let manifest = self.manifest(scene, node, hash)?;
        let mut pod: Pod = serde_json::from_str(&manifest.to_json()?)?;
        let node = pod.spec.pinned_to.clone().context("the Pod is tied to no node")?;
        let name = ('a'..='z').map(|letter| format!("{letter}.{node}"));
        let name: Str = name
            .map(Str::from)
            .find(|name| !self.named.contains(name))
            .context("a node got more Pods than there are letters")?;
        self.named.insert(name.clone());
        pod.metadata.uid = uid(&name);
        pod.metadata.creation_timestamp = Some(Time::from_unix_ms(self.now_ms));
        pod.metadata.name = name.clone();
        self.pods.insert(name, pod);
        Ok(())
    }

    /// Deletes a Pod as the API server does: one that no node has, or that has ended, goes at once unless a
    /// finalizer holds it.
    fn delete_pod(&mut self, name: &Str) {
        let now = Time::from_unix_ms(self.now_ms);
        let Some(pod) = self.pods.get_mut(name) else { return };
        let has_node = pod.spec.node_name.is_some();
        if pod.metadata.finalizers.is_empty() && (!has_node || pod.is_terminal()) {
            self.pods.remove(name);
        } else {
            pod.metadata.deletion_timestamp = Some(now);
        }
    }

    fn create_revision(&mut self, scene: &DaemonScene, number: i64) -> Result<bool> {
        let manifest = scene.template.revision(&self.set, number)?;
        let name = manifest.metadata.name.clone();
        if self.revisions.contains_key(&name) {
            return Ok(false);
        }
        let mut metadata = manifest.metadata;
        metadata.uid = uid(&name);
        metadata.creation_timestamp = Some(Time::from_unix_ms(self.now_ms));
        let one = ControllerRevision { metadata, revision: manifest.revision, data: Some(manifest.data) };
        self.made.insert(name.clone(), number);
        self.revisions.insert(name, one);
        Ok(true)
    }

    fn change_pods(&mut self, names: &[Str], change: impl Fn(&mut Pod)) {
        for name in names {
            if let Some(pod) = self.pods.get_mut(name) {
                change(pod);
            }
        }
    }

    fn change_revisions(&mut self, names: &[Str], change: impl Fn(&mut ControllerRevision)) {
        for name in names {
            if let Some(revision) = self.revisions.get_mut(name) {
                change(revision);
            }
        }
    }
}
