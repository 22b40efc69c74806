//! The host's side of the contract, generated from wit/.

/// Generated; the world names just what this host uses of the core.
#[allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all, clippy::pedantic)]
mod generated {
    wasmtime::component::bindgen!({
        path: [
            "../wit/plugin",
            "../wit/policy/backoff/0.1.0",
            "../wit/policy/schedule/0.1.0",
            "../wit/policy/missed-runs/0.1.0",
            "../wit/policy/rollout/0.1.0",
            "../wit/core",
        ],
        inline: "
            package windlass:host;
            world guest {
                import windlass:backoff/ask@0.1.0;
                import windlass:schedule/ask@0.1.0;
                import windlass:missed-runs/ask@0.1.0;
                import windlass:rollout/ask@0.1.0;
                export windlass:core/job@0.1.0;
                export windlass:core/cron-job@0.1.0;
                export windlass:core/daemon-set@0.1.0;
                export windlass:core/twin@0.1.0;
            }
        ",
    });
}

pub(super) use generated::exports::windlass::core::{cron_job, daemon_set, job};
pub(super) use generated::windlass::backoff::types as backoff;
pub(super) use generated::windlass::core::types;
pub(super) use generated::windlass::missed_runs::types as missed_runs;
pub(super) use generated::windlass::rollout::types as rollout;
pub(super) use generated::windlass::schedule::types as schedule;
pub(super) use generated::{Guest, GuestPre};
