//! The core as a component: bindings, conversion, exports, and nothing else.
//!
//! Built for `wasm32-unknown-unknown`, a target without an operating system, so that all it can import is
//! what wit/core says: the `ask` interfaces, or with the feature `built-in-policies` nothing at all.

mod convert;
mod policy;

use windlass_core::policy::Policy;
use windlass_core::{cron_job, daemon_set, job, twin, view};

use bindings::exports::windlass::core as exports;
use bindings::windlass::core::types::{Fault, Plan};

/// Generated from wit/: the one place with `unsafe`, which moves values through linear memory.
#[allow(unsafe_code, missing_docs, unused_qualifications, unreachable_pub, clippy::all, clippy::pedantic)]
mod bindings {
    #[cfg(not(feature = "built-in-policies"))]
    wit_bindgen::generate!({
        path: [
            "../../wit/plugin",
            "../../wit/policy/backoff/0.1.0",
            "../../wit/policy/schedule/0.1.0",
            "../../wit/policy/missed-runs/0.1.0",
            "../../wit/policy/rollout/0.1.0",
            "../../wit/core",
        ],
        world: "windlass:core/core",
        generate_all,
    });
    #[cfg(feature = "built-in-policies")]
    wit_bindgen::generate!({
        path: [
            "../../wit/plugin",
            "../../wit/policy/backoff/0.1.0",
            "../../wit/policy/schedule/0.1.0",
            "../../wit/policy/missed-runs/0.1.0",
            "../../wit/policy/rollout/0.1.0",
            "../../wit/core",
        ],
        world: "windlass:core/core-default",
        generate_all,
    });

    use super::Core;
    export!(Core);
}

/// What the component exports.
struct Core;

impl exports::job::Guest for Core {
    fn reconcile(snapshot: exports::job::Snapshot) -> Result<Plan, Fault> {
        let snapshot = convert::job_snapshot(snapshot);
        let plan = job::reconcile(&snapshot, &answers(&snapshot.flags));
        plan.map(convert::plan).map_err(convert::fault)
    }

    fn reconcile_orphan(snapshot: exports::job::OrphanSnapshot) -> Result<Plan, Fault> {
        Ok(convert::plan(job::reconcile_orphan(&convert::orphan_snapshot(snapshot))))
    }
}

impl exports::cron_job::Guest for Core {
    fn reconcile(snapshot: exports::cron_job::Snapshot) -> Result<Plan, Fault> {
        let snapshot = convert::cron_job_snapshot(snapshot);
        // No CronJob asks how long to back off, which is all that these flags bear on.
        let plan = cron_job::reconcile(&snapshot, &answers(&view::JobFlags::default()));
        plan.map(convert::plan).map_err(convert::fault)
    }
}

impl exports::daemon_set::Guest for Core {
    fn reconcile(snapshot: exports::daemon_set::Snapshot) -> Result<Plan, Fault> {
        let snapshot = convert::daemon_set_snapshot(snapshot);
        // No DaemonSet asks how long to back off, which is all that these flags bear on.
        let plan = daemon_set::reconcile(&snapshot, &answers(&view::JobFlags::default()));
        plan.map(convert::plan).map_err(convert::fault)
    }
}

impl exports::twin::Guest for Core {
    fn reconcile(request: String) -> Result<String, String> {
        twin::reconcile(&request, answers)
    }
}

/// Who answers the core's questions: the host, or the core itself.
fn answers(flags: &view::JobFlags) -> impl Policy + use<> {
    #[cfg(not(feature = "built-in-policies"))]
    let answers = {
        let _ = flags;
        policy::Asked
    };
    #[cfg(feature = "built-in-policies")]
    let answers = policy::built_in(flags);
    answers
}
