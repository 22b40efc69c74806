//! The two sides of a comparison: how each controller is started.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use windlass_control_plane::{Audit, BuiltInControllers, ControlPlane, Options, User};

/// The user as whom this program acts, so that the audit log tells its requests from the controller's.
pub(crate) const BENCH_USER: &str = "bench";
/// The user as whom either controller acts.
pub(crate) const CONTROLLER_USER: &str = "administrator";

/// The built-in controllers that `windlass run` takes the place of.
pub(crate) const REPLACED: &str = "job-controller,ttl-after-finished-controller,cronjob-controller";

/// The built-in controller of DaemonSets, which `windlass run` takes the place of where it is told to.
pub(crate) const DAEMON_SETS: &str = "daemonset-controller";

/// Which controller runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// kube-controller-manager with the controllers that `windlass run` takes the place of, and no other.
    BuiltIn,
    /// `windlass run`.
    Windlass,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::BuiltIn => "built-in",
            Self::Windlass => "windlass",
        })
    }
}

impl Side {
    /// Both sides in the order of a pair: A B, then B A, and so on.
    pub(crate) fn order(pair: u32) -> [Self; 2] {
        if pair.is_multiple_of(2) { [Self::BuiltIn, Self::Windlass] } else { [Self::Windlass, Self::BuiltIn] }
    }

    /// A control plane with this controller, of Jobs or of DaemonSets, and nothing else that acts; `flags` are further
    /// ones of the controller.
    pub(crate) fn start(self, windlass: &Path, flags: &[String], daemon_sets: bool) -> Result<ControlPlane> {
        let built_in = if daemon_sets { DAEMON_SETS } else { REPLACED };
        let controllers = match self {
            Self::BuiltIn => BuiltInControllers::List(built_in.to_owned()),
            Self::Windlass => BuiltInControllers::None,
        };
        // Members of system:masters are exempt from the server's flow control, as the controller's user is.
        let bench = User { name: BENCH_USER.to_owned(), groups: vec!["system:masters".to_owned()] };
        // The client's own limit of 20 requests a second would be what is measured.
        let mut controller_manager_flags =
            vec!["--kube-api-qps=100000".to_owned(), "--kube-api-burst=100000".to_owned()];
        if self == Self::BuiltIn {
            controller_manager_flags.extend_from_slice(flags);
        }
        let mut plane = ControlPlane::start(Options {
            nodes: 0,
            kubelets: false,
            scheduler: false,
            controllers,
            users: vec![bench],
            audit: Audit::JobStatus,
            // The turn is held for all runs together.
            exclusive: false,
            controller_manager_flags,
            ..Options::default()
        })?;
        if self == Self::Windlass {
            let kubeconfig = plane.kubeconfig().display().to_string();
            let ours = if daemon_sets { "daemon-set" } else { "job,cron-job" };
            let fixed =
                ["run", "--kubeconfig", &kubeconfig, "--bind-address", "127.0.0.1:0", "--controllers", ours];
            let arguments =
                fixed.iter().map(|text| (*text).to_owned()).chain(flags.iter().cloned()).collect();
            plane.start_beside(self.program(), windlass, arguments)?;
        }
        Ok(plane)
    }

    /// The process id of the controller.
    pub(crate) fn process_id(self, plane: &ControlPlane) -> Result<u32> {
        let name = self.program();
        plane.process_ids().get(name).copied().with_context(|| format!("{name} does not run"))
    }

    /// The name of the controller's program among the parts of the control plane.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::BuiltIn => "kube-controller-manager",
            Self::Windlass => "windlass",
        }
    }
}
