//! What a control plane is made of.

use std::path::PathBuf;

/// What a control plane is made of: the parts that run, and how they are set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many Node objects are created, named `node-0` and so on; each has room for every pod a test makes.
    pub nodes: u32,
    /// Whether kwok runs and acts as the kubelet of every node, also of nodes that are created later.
    pub kubelets: bool,
    /// Whether kube-scheduler runs; without it a pod stays Pending until something else names its node.
    pub scheduler: bool,
    /// Which controllers kube-controller-manager runs.
    pub controllers: BuiltInControllers,
    /// Stage files of kwok that say what pods do, in place of those in `tests/cluster/stages`.
    pub pod_stages: Option<Vec<PathBuf>>,
    /// Who may talk to the API server besides the administrator.
    pub users: Vec<User>,
    /// What the API server's audit log holds.
    pub audit: Audit,
    /// Where state and logs are kept; `None` is a temporary directory, which is removed at the end.
    pub directory: Option<PathBuf>,
    /// Whether to wait until no other exclusive control plane runs on this machine.
    ///
    /// One takes about a gigabyte and both cores of a small machine while it starts, so tests do not overlap.
    pub exclusive: bool,
    /// Further flags of kube-apiserver.
    pub api_server_flags: Vec<String>,
    /// Further flags of kube-controller-manager.
    pub controller_manager_flags: Vec<String>,
    /// Further flags of kube-scheduler.
    pub scheduler_flags: Vec<String>,
}

/// Three nodes with kubelets, the scheduler, and every built-in controller but those that Windlass replaces.
impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3,
            kubelets: true,
            scheduler: true,
            controllers: BuiltInControllers::AllButReplaced,
            pod_stages: None,
            users: Vec::new(),
            audit: Audit::Off,
            directory: None,
            exclusive: true,
            api_server_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
            scheduler_flags: Vec::new(),
        }
    }
}

/// Which controllers kube-controller-manager runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuiltInControllers {
    /// None: kube-controller-manager is not started.
    None,
    /// Those that are on by default in a cluster, Jobs, CronJobs and DaemonSets included.
    All,
    /// Those that are on by default, without the four that Windlass takes the place of.
    AllButReplaced,
    /// What `kube-controller-manager --controllers` is given, such as `namespace-controller,garbage-collector-controller`.
    List(String),
}

impl BuiltInControllers {
    /// The value of `--controllers`, or `None` where the program is not to run.
    pub(crate) fn flag(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::All => Some("*"),
            Self::AllButReplaced => Some(
                "*,-job-controller,-cronjob-controller,-daemonset-controller,-ttl-after-finished-controller",
            ),
            Self::List(list) => Some(list),
        }
    }

    /// Whether the controller runs that takes a node for lost when its kubelet renews no lease.
    pub(crate) fn watch_nodes(&self) -> bool {
        let listed = |name: &str| self.flag().is_some_and(|list| list.split(',').any(|item| item == name));
        listed("node-lifecycle-controller") || (listed("*") && !listed("-node-lifecycle-controller"))
    }
}

/// Who may talk to the API server, with a token of their own and the rights that RBAC objects give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name, as RBAC subjects name it.
    pub name: String,
    /// The groups the user is in, besides `system:authenticated`.
    pub groups: Vec<String>,
}

impl User {
    /// A user who is in no group, so has no rights until a test grants some.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), groups: Vec::new() }
    }
}

/// What the API server's audit log holds, one JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// No audit log.
    Off,
    /// Who asked for what, when, and how it ended.
    Metadata,
    /// The same, and the bodies of status writes of Jobs: enough to tell when what was counted, at little cost.
    JobStatus,
    /// Also the bodies of requests and responses.
    RequestResponse,
}

#[cfg(test)]
mod tests {
    use super::BuiltInControllers;

    #[test]
    fn nodes_are_watched_where_the_controller_is_on_by_name_or_by_default() {
        let watched = |list: &str| BuiltInControllers::List(list.to_owned()).watch_nodes();
        assert!(BuiltInControllers::AllButReplaced.watch_nodes() && watched("node-lifecycle-controller"));
        assert!(!watched("*,-node-lifecycle-controller") && !watched("namespace-controller"));
        assert!(!BuiltInControllers::None.watch_nodes());
    }
}
