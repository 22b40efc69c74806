//! The host's side of what plugins export, generated from wit/.

/// Generated; the world names all that a plugin may export, of which each exports what it decides.
#[allow(missing_docs, unused_qualifications, unreachable_pub, dead_code, clippy::all, clippy::pedantic)]
mod generated {
    wasmtime::component::bindgen!({
        path: [
            "../wit/plugin",
            "../wit/policy/backoff/0.1.0",
            "../wit/policy/schedule/0.1.0",
            "../wit/policy/missed-runs/0.1.0",
            "../wit/policy/rollout/0.1.0",
            "../wit/policy/admission/0.1.0",
        ],
        inline: "
            package windlass:host;
            world plugins {
                import windlass:plugin/log@0.1.0;
                export windlass:plugin/meta@0.1.0;
                export windlass:backoff/policy@0.1.0;
                export windlass:schedule/policy@0.1.0;
                export windlass:missed-runs/policy@0.1.0;
                export windlass:rollout/policy@0.1.0;
                export windlass:admission/policy@0.1.0;
            }
        ",
    });
}

pub(super) use generated::exports::windlass::admission::policy as admission_policy;
pub(super) use generated::exports::windlass::backoff::policy as backoff_policy;
pub(super) use generated::exports::windlass::missed_runs::policy as missed_runs_policy;
pub(super) use generated::exports::windlass::plugin::meta;
pub(super) use generated::exports::windlass::rollout::policy as rollout_policy;
pub(super) use generated::exports::windlass::schedule::policy as schedule_policy;
pub(super) use generated::windlass::admission::types as admission;
pub(super) use generated::windlass::backoff::types as backoff;
pub(super) use generated::windlass::missed_runs::types as missed_runs;
pub(super) use generated::windlass::rollout::types as rollout;
pub(super) use generated::windlass::schedule::types as schedule;
