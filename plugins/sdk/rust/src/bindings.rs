//! Generated from the contract in wit/: the one place with `unsafe`, which moves values through linear memory.
//!
//! Each decision is a world of its own, and what every plugin has is another: a plugin is their union, so that
//! one component may decide several things.
#![allow(unsafe_code, missing_docs, unused_qualifications, unreachable_pub, clippy::all, clippy::pedantic)]

/// What every plugin has, whatever it decides.
pub mod common {
    wit_bindgen::generate!({
        path: ["wit/plugin"],
        inline: "package windlass:sdk; world common {
            import windlass:plugin/log@0.1.0;
            export windlass:plugin/meta@0.1.0;
        }",
        world: "windlass:sdk/common",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_common",
    });
}

/// Decision `admission`.
pub mod admission {
    wit_bindgen::generate!({
        path: ["wit/plugin", "wit/policy/admission/0.1.0"],
        inline: "package windlass:sdk; world admission { export windlass:admission/policy@0.1.0; }",
        world: "windlass:sdk/admission",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_admission",
        additional_derives: [PartialEq, Eq],
    });
}

/// Decision `backoff`.
pub mod backoff {
    wit_bindgen::generate!({
        path: ["wit/plugin", "wit/policy/backoff/0.1.0"],
        inline: "package windlass:sdk; world backoff { export windlass:backoff/policy@0.1.0; }",
        world: "windlass:sdk/backoff",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_backoff",
        additional_derives: [PartialEq, Eq],
    });
}

/// Decision `missed-runs`.
pub mod missed_runs {
    wit_bindgen::generate!({
        path: ["wit/plugin", "wit/policy/missed-runs/0.1.0"],
        inline: "package windlass:sdk; world missed-runs { export windlass:missed-runs/policy@0.1.0; }",
        world: "windlass:sdk/missed-runs",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_missed_runs",
        additional_derives: [PartialEq, Eq],
    });
}

/// Decision `rollout`.
pub mod rollout {
    wit_bindgen::generate!({
        path: ["wit/plugin", "wit/policy/rollout/0.1.0"],
        inline: "package windlass:sdk; world rollout { export windlass:rollout/policy@0.1.0; }",
        world: "windlass:sdk/rollout",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_rollout",
        additional_derives: [PartialEq, Eq],
    });
}

/// Decision `schedule`.
pub mod schedule {
    wit_bindgen::generate!({
        path: ["wit/plugin", "wit/policy/schedule/0.1.0"],
        inline: "package windlass:sdk; world schedule { export windlass:schedule/policy@0.1.0; }",
        world: "windlass:sdk/schedule",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_schedule",
        additional_derives: [PartialEq, Eq],
    });
}
