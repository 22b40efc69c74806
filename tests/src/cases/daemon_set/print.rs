//! A plan as text.

use std::fmt::Write;

use windlass_core::kube::Str;
use windlass_core::plan::{Action, DaemonSetAction, Plan, Read};
use windlass_core::view::DaemonSetStatusView;
use windlass_host::engine::Snapshot;
use windlass_host::snapshot::Gathered;

use super::super::print::{dependency, duration};
use super::names::{Naming, fold};

/// `plan` as text; of a status only what differs from the stored one.
pub(super) fn plan(plan: &Plan, gathered: &Gathered, naming: &Naming) -> String {
    let printer = Printer { gathered, naming };
    let mut text = String::new();
    for (number, step) in (1..).zip(&plan.steps) {
        let _ = write!(text, "{number}. {}", printer.action(&step.action));
        let conditions: Vec<String> = step.after.iter().map(dependency).collect();
        if !conditions.is_empty() {
            let _ = write!(text, "   [{}]", conditions.join(", "));
        }
        text.push('\n');
    }
    match plan.read {
        Some(Read::Owner) => text += "read the set live\n",
        Some(Read::ActiveJobs) => text += "a read for another kind\n",
        None => {}
    }
    if let Some(after_ms) = plan.requeue_after_ms {
        let _ = writeln!(text, "again in {}", duration(after_ms));
    }
    if let Some(at_ms) = plan.wake_at_ms {
        let _ = writeln!(text, "wake at {at_ms}");
    }
    if text.is_empty() {
        text += "nothing\n";
    }
    text
}

/// What positions and hashes are called.
struct Printer<'case> {
    gathered: &'case Gathered,
    naming: &'case Naming,
}

impl Printer<'_> {
    fn action(&self, action: &Action) -> String {
        match action {
            Action::DaemonSet(action) => self.daemon_set(action),
            Action::RecordEvent(event) => {
                let kind = if event.warning { "Warning" } else { "Normal" };
                format!("event {kind} {} \"{}\"", event.reason, event.message)
            }
            // The host refuses it, and so does a case that finds this text.
            _ => "an action for another kind".to_owned(),
        }
    }

    fn daemon_set(&self, action: &DaemonSetAction) -> String {
        match action {
            DaemonSetAction::CreatePods { nodes, hash } => {
                format!("create on {} hash={}", self.nodes(nodes), self.naming.hash(hash))
            }
            DaemonSetAction::DeletePods(pods) => format!("delete {}", self.pods(pods)),
            DaemonSetAction::AdoptPods(pods) => format!("adopt {}", self.pods(pods)),
            DaemonSetAction::ReleasePods(pods) => format!("release {}", self.pods(pods)),
            DaemonSetAction::RelabelPods { pods, hash } => {
                format!("relabel {} hash={}", self.pods(pods), self.naming.hash(hash))
            }
            DaemonSetAction::CreateRevision { number } => format!("create revision {number}"),
            DaemonSetAction::AdoptRevisions(revisions) => {
                format!("adopt revision {}", self.revisions(revisions))
            }
            DaemonSetAction::ReleaseRevisions(revisions) => {
                format!("release revision {}", self.revisions(revisions))
            }
            DaemonSetAction::LabelRevision { revision, hash } => {
                format!("label revision {} hash={}", self.revisions(&[*revision]), self.naming.hash(hash))
            }
            DaemonSetAction::RenumberRevision { revision, number } => {
                format!("renumber revision {} to {number}", self.revisions(&[*revision]))
            }
            DaemonSetAction::DeleteRevisions(revisions) => {
                format!("delete revision {}", self.revisions(revisions))
            }
            DaemonSetAction::WriteStatus(status) => format!("status {}", self.status(status)),
        }
    }

    fn nodes(&self, positions: &[u32]) -> String {
        let nodes = self.gathered.daemon.as_ref().map_or(&[][..], |scene| &scene.nodes);
        listed(positions, |position| nodes.get(position).map(|node| &node.metadata.name))
    }

    fn pods(&self, positions: &[u32]) -> String {
        let pods = &self.gathered.children;
        listed(positions, |position| pods.get(position).map(|entry| &entry.pod.metadata.name))
    }

    fn revisions(&self, positions: &[u32]) -> String {
        let revisions = self.gathered.daemon.as_ref().map_or(&[][..], |scene| &scene.revisions);
        let names = positions.iter().map(|position| {
            let revision = revisions.get(*position as usize);
            revision.map_or("?".to_owned(), |revision| self.naming.revision(&revision.metadata.name))
        });
        fold(&names.collect::<Vec<_>>())
    }

    fn status(&self, write: &DaemonSetStatusView) -> String {
        let Snapshot::DaemonSet(snapshot) = &*self.gathered.snapshot else { return "?".to_owned() };
        let stored = &snapshot.set.status;
        let numbers = [
            ("desired", write.desired, stored.desired),
            ("current", write.current, stored.current),
            ("misscheduled", write.misscheduled, stored.misscheduled),
            ("updated", write.updated, stored.updated),
            ("ready", write.ready, stored.ready),
            ("available", write.available, stored.available),
            ("unavailable", write.unavailable, stored.unavailable),
        ];
        let changed = numbers.iter().filter(|(_, new, old)| new != old);
        let mut parts: Vec<String> = changed.map(|(name, new, _)| format!("{name}={new}")).collect();
        if write.observed_generation != stored.observed_generation {
            parts.push(format!("observed={}", write.observed_generation));
        }
        if write.collision_count != stored.collision_count {
            let count = write.collision_count.map_or("none".to_owned(), |count| count.to_string());
            parts.push(format!("collisions={count}"));
        }
        if parts.is_empty() { "unchanged".to_owned() } else { parts.join(" ") }
    }
}

fn listed<'name>(positions: &[u32], name: impl Fn(usize) -> Option<&'name Str>) -> String {
    let name = |position: &u32| name(*position as usize).map_or("?".to_owned(), |name| name.to_string());
    fold(&positions.iter().map(name).collect::<Vec<_>>())
}
