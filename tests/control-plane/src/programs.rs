//! The command line of each part of a control plane.

use std::path::{Path, PathBuf};

use crate::binaries::{self, Binaries};
use crate::files::{self, ADMINISTRATOR};
use crate::options::{Audit, Options};
use crate::process::{Program, loopback};

/// The audit log's name in the directory of a control plane.
pub(crate) const AUDIT_LOG: &str = "audit.log";

/// The parts of a control plane that keeps its files in one directory.
pub(crate) struct Programs {
    pub(crate) binaries: Binaries,
    pub(crate) directory: PathBuf,
}

impl Programs {
    fn program(&self, name: &'static str, arguments: Vec<String>) -> Program {
        Program {
            name,
            path: self.binaries.program(name),
            arguments,
            // kwok reads a configuration of the developer's own unless it is told another place.
            environment: vec![("KWOK_WORKDIR", self.directory.join("kwok").display().to_string())],
            log: log_path(&self.directory, name),
        }
    }

    pub(crate) fn etcd(&self, client: u16, peer: u16) -> Program {
        let (client, peer) = (format!("http://{}", loopback(client)), format!("http://{}", loopback(peer)));
        let arguments = vec![
            format!("--data-dir={}", self.directory.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nobody needs this state after a power cut.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        self.program("etcd", arguments)
    }

    pub(crate) fn api_server(&self, etcd: u16, secure: u16, options: &Options) -> Program {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let (key, certificate) =
            (self.binaries.service_account_key(), self.binaries.service_account_certificate());
        let mut arguments = vec![
            format!("--etcd-servers=http://{}", loopback(etcd)),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={secure}"),
            format!("--cert-dir={}", path("certificates")),
            format!("--token-auth-file={}", path("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            // Pods need no service account here; new nodes would keep the taint that only a kubelet takes away.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", certificate.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // A server on the loopback interface cannot be an endpoint of the service kubernetes.
            "--endpoint-reconciler-type=none".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if options.audit != Audit::Off {
            arguments.push(format!("--audit-policy-file={}", path("audit-policy.json")));
            arguments.push(format!("--audit-log-path={}", path(AUDIT_LOG)));
        }
        arguments.extend(options.api_server_flags.iter().cloned());
        self.program("kube-apiserver", arguments)
    }

    pub(crate) fn controller_manager(&self, options: &Options) -> Program {
        let key = self.binaries.service_account_key();
        let mut arguments = vec![
            format!("--kubeconfig={}", files::kubeconfig_path(&self.directory, ADMINISTRATOR).display()),
            format!("--controllers={}", options.controllers.flag().unwrap_or_default()),
            format!("--service-account-private-key-file={}", key.display()),
            format!("--root-ca-file={}", self.directory.join("ca.crt").display()),
            "--use-service-account-credentials=false".to_owned(),
            "--leader-elect=false".to_owned(),
            // It serves nothing that is needed here, so it listens nowhere.
            "--secure-port=0".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend(options.controller_manager_flags.iter().cloned());
        self.program("kube-controller-manager", arguments)
    }

    pub(crate) fn scheduler(&self, options: &Options) -> Program {
        let mut arguments = vec![
            format!("--kubeconfig={}", files::kubeconfig_path(&self.directory, ADMINISTRATOR).display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--profiling=false".to_owned(),
            // Its own limit of 50 requests a second would be what a test of a controller measures.
            "--kube-api-qps=1000".to_owned(),
            "--kube-api-burst=2000".to_owned(),
        ];
        arguments.extend(options.scheduler_flags.iter().cloned());
        self.program("kube-scheduler", arguments)
    }

    pub(crate) fn kubelets(&self, options: &Options) -> Program {
        let mut arguments = vec![
            format!("--kubeconfig={}", files::kubeconfig_path(&self.directory, ADMINISTRATOR).display()),
            "--manage-all-nodes=true".to_owned(),
            "--node-ip=10.64.0.1".to_owned(),
            // Pods get addresses of their own: room for four million.
            "--cidr=10.64.0.0/10".to_owned(),
        ];
        if options.controllers.watch_nodes() {
            // A kubelet's default. Where nobody would miss a lease, none is renewed: that is load on the server.
            arguments.push("--node-lease-duration-seconds=40".to_owned());
        }
        let pod_stages = options.pod_stages.clone().unwrap_or_else(binaries::pod_stages);
        for stage in self.binaries.node_stages().into_iter().chain(pod_stages) {
            arguments.push(format!("--config={}", stage.display()));
        }
        self.program("kwok", arguments)
    }
}

/// Where a part of the control plane in `directory` logs.
pub(crate) fn log_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("logs").join(format!("{name}.log"))
}
