//! Plugins of a run: what each version of them is like, which are loaded when, and who is bound to them.

use std::sync::Arc;

use windlass_core::kube::{Labels, Str};
use windlass_host::plugin::Digest;

use super::{JobPlan, Workload};
use crate::simulation::random::{Random, mix};

/// A seed that leaves this rest when it is divided by [`EVERY`] has plugins in its run.
const REST: u64 = 2;
const EVERY: u64 = 5;
/// Names of the plugins of a run.
const NAMES: [&str; 3] = ["p-0", "p-1", "p-2"];
/// A name of which no plugin is loaded before the end.
const ABSENT: &str = "p-absent";
/// What the names of annotations about policies begin with.
pub const PREFIX: &str = "policy.windlass.dev/";

/// The plugins of a run.
#[derive(Clone, Debug)]
pub struct PluginPlan {
    /// What is loaded from which instant on, milliseconds; rising. The last set is one of plugins that answer as nobody
    /// else would have: from then on everything comes to rest as without plugins.
    pub sets: Vec<(u64, Vec<Version>)>,
}

/// A version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Name of the plugin.
    pub name: Str,
    /// Which version.
    pub number: u32,
    /// What it does.
    pub manner: Manner,
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Answers as the built-in policies do.
    Plain,
    /// Gives other answers that may be given; the same to the same question.
    Odd,
    /// Gives other answers that may be given, and others each time.
    Fickle,
    /// Gives odd answers, and takes all of the time that it may.
    Slow,
    /// Traps.
    Traps,
    /// Never ends its call.
    Loops,
    /// Wants too much memory.
    Hungry,
    /// Hands over too much.
    Floods,
    /// Gives an error, as one may.
    Refuses,
    /// Refuses its settings.
    RefusesSettings,
    /// Gives one answer more than there are questions.
    TooMany,
    /// Gives one answer less.
    TooFew,
    /// Gives a last answer that may not be given.
    OutOfBounds,
    /// Gives a text that is too long.
    LongText,
    /// Gives answers of a later version.
    Other,
    /// Traps in every second call.
    Flaky,
    /// Would answer, if the host had room for it.
    Busy,
}

/// Those that mean no harm.
const GOOD: [Manner; 4] = [Manner::Plain, Manner::Odd, Manner::Odd, Manner::Fickle];
/// Those that do.
const HOSTILE: [Manner; 13] = [
    Manner::Slow,
    Manner::Traps,
    Manner::Loops,
    Manner::Hungry,
    Manner::Floods,
    Manner::Refuses,
    Manner::RefusesSettings,
    Manner::TooMany,
    Manner::TooFew,
    Manner::OutOfBounds,
    Manner::LongText,
    Manner::Flaky,
    Manner::Busy,
];

impl Version {
    /// The digest that stands for its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let seed = self.name.bytes().fold(u64::from(self.number), |seed, byte| mix(seed ^ u64::from(byte)));
        let mut bytes = [0; 32];
        for (place, part) in bytes.chunks_mut(8).enumerate() {
            part.copy_from_slice(&mix(seed ^ place as u64).to_le_bytes());
        }
        Digest(bytes)
    }
}

impl Workload {
    /// Binds Jobs, CronJobs and DaemonSets to plugins, if `seed` is one of a run with plugins.
    pub(super) fn bind(&mut self, seed: u64) {
        if seed % EVERY != REST {
            return;
        }
        let random = &mut Random::new(seed, 9);
        let last_ms = self.deeds.last().map_or(0, |(at_ms, _)| *at_ms);
        let healed_ms = match self.crons.is_empty() && self.sets.is_empty() {
            true => random.spread(5_000, 300_000),
            false => random.between(last_ms / 10, last_ms * 6 / 10),
        };
        self.plugins = Some(plugins(random, healed_ms));
        for plan in &mut self.jobs {
            bind_job(random, plan);
        }
        for plan in &mut self.sets {
            if random.chance(800) {
                bind(random, &mut plan.annotations, "rollout");
            }
        }
        for plan in &mut self.crons {
            for decision in ["schedule", "missed-runs"] {
                if random.chance(500) {
                    bind(random, &mut plan.annotations, decision);
                }
            }
            if random.chance(300) {
                let template = &mut Arc::make_mut(&mut plan.spec).job_template;
                bind(random, Arc::make_mut(&mut template.metadata.annotations), "backoff");
            }
        }
    }
}

/// Binds most Jobs, and lets more of their Pods fail, so that there is something to ask.
fn bind_job(random: &mut Random, plan: &mut JobPlan) {
    if random.chance(650) {
        bind(random, &mut plan.annotations, "backoff");
        plan.fate.failing_per_mille = plan.fate.failing_per_mille.max(random.pick(&[0, 100, 300, 600]));
        if plan.fate.failing_per_mille < 1_000 && random.chance(400) {
            let spec = Arc::make_mut(&mut plan.spec);
            spec.backoff_limit = spec.backoff_limit.map(|limit| limit + 6);
        }
    }
}

fn bind(random: &mut Random, annotations: &mut Labels, decision: &str) {
    let name = if random.chance(40) { ABSENT } else { random.pick(&NAMES) };
    annotations.insert(format!("{PREFIX}{decision}").into(), name.into());
    let word = random.pick(&[None, None, Some("BuiltIn"), Some("Hold"), Some("Hold"), Some("Fail")]);
    // A word of which there is no meaning lets a Job or a rollout wait, and ask again, for as long as it stands: only
    // CronJobs come to rest with one.
    let is_unknown = random.chance(20) && matches!(decision, "schedule" | "missed-runs");
    let word = if is_unknown { Some("builtin") } else { word };
    if let Some(word) = word {
        annotations.insert(format!("{PREFIX}{decision}-on-failure").into(), word.into());
    }
}

fn plugins(random: &mut Random, healed_ms: u64) -> PluginPlan {
    // A tenth of the plugins mean harm, or half of them, or all.
    let hostile_per_mille = random.pick(&[100, 100, 500, 1_000]);
    let manner = |random: &mut Random| {
        if random.chance(hostile_per_mille) {
            random.pick(&HOSTILE)
        } else if random.chance(80) {
            Manner::Other
        } else {
            random.pick(&GOOD)
        }
    };
    let mut newest = 0;
    let mut version = |name: &str, manner| {
        newest += 1;
        Version { name: name.into(), number: newest, manner }
    };
    let mut set: Vec<Version> = NAMES.iter().map(|name| version(name, manner(random))).collect();
    let mut sets = vec![(0, set.clone())];
    let mut swaps: Vec<u64> =
        (0..random.pick(&[0, 1, 3, 8])).map(|_| random.between(1, healed_ms.max(2) - 1)).collect();
    swaps.sort_unstable();
    for at_ms in swaps {
        let name = random.pick(&NAMES);
        let before = set.iter().find(|version| &*version.name == name).cloned();
        set.retain(|version| &*version.name != name);
        match random.below(10) {
            // It is taken away.
            0 => {}
            // The set is another, and the plugin is not.
            1 => set.extend(before),
            _ => set.push(version(name, manner(random))),
        }
        sets.push((at_ms, set.clone()));
    }
    let healed = NAMES.iter().chain(&[ABSENT]).map(|name| version(name, Manner::Plain)).collect();
    sets.push((healed_ms, healed));
    PluginPlan { sets }
}
