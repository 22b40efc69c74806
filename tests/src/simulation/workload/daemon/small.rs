//! Small runs of one DaemonSet whose end hangs on no moment: a crash of half a minute changes nothing that is left.

use std::sync::Arc;

use windlass_core::kube::Labels;

use super::{DaemonDeed, DaemonPlan, Limit, NodeDeed, NodePlan, limit, set_zone, spec, strategy};
use crate::simulation::random::{Random, mix};
use crate::simulation::workload::{Deed, PodFate, Workload};

/// Editions of a template whose Pods become ready; the last is the one that a set begins with.
const EDITIONS: [u64; 4] = [1, 2, 4, 0];
/// From one deed to the next, milliseconds: longer than the longest rollout, whose Pods take minutes to stop and fail
/// now and then, and two deaths of a process.
const APART_MS: u64 = 3_600_000;
/// Most nodes, so that a run has few writes.
const MOST_NODES: u64 = 4;
/// Most deeds.
const MOST_DEEDS: u64 = 3;

/// The small run of `seed`: what is done to the set and to its nodes is done when all that came before has come to rest.
#[must_use]
pub fn workload(seed: u64) -> Workload {
    let random = &mut Random::new(seed, 12);
    let mut spec = spec("set-0");
    spec.update_strategy = strategy(random);
    spec.min_ready_seconds = random.chance(300).then(|| random.pick(&[1, 5]));
    spec.revision_history_limit = random.chance(500).then(|| random.pick(&[0, 1, 2]));
    if random.chance(150) {
        set_zone(&mut spec, Some("a"));
    }
    let fate = PodFate {
        seed: mix(seed),
        failing_per_mille: random.pick(&[0, 0, 200]),
        start_ms: (1, 60),
        run_ms: (5, 2_000),
        ..PodFate::default()
    };
    let plan = DaemonPlan {
        name: "set-0".into(),
        annotations: Labels::default(),
        spec: Arc::new(spec),
        created_ms: random.below(3_000),
        fate,
    };
    let size = random.between(1, MOST_NODES);
    let zones = [None, Some("a"), Some("b")];
    let nodes = (0..size).map(|_| NodePlan { zone: random.pick(&zones), is_there: true }).collect();
    let count = random.between(0, MOST_DEEDS);
    let deeds = (1..=count).map(|number| (number * APART_MS, deed(random, size))).collect();
    Workload { sets: vec![plan], nodes, deeds, ..Workload::default() }
}

fn deed(random: &mut Random, nodes: u64) -> Deed {
    let set = |deed| Deed::Daemon(0, deed);
    let node = random.below(nodes) as usize;
    match random.below(10) {
        0..5 => set(DaemonDeed::EditTemplate(random.pick(&EDITIONS))),
        5 => set(DaemonDeed::SetUnavailable(limit(random))),
        6 => set(DaemonDeed::SetSurge(Limit::Nodes(1))),
        7 => Deed::Node(node, NodeDeed::Leave),
        8 => Deed::Node(node, NodeDeed::Replace),
        _ => Deed::Node(node, NodeDeed::Taint(random.pick(&[Some("NoExecute"), Some("NoSchedule"), None]))),
    }
}
