//! The start of a control plane, and its end.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::binaries::{self, Binaries, Unavailable};
use crate::deadline::Deadline;
use crate::files::{self, ADMINISTRATOR, Credential};
use crate::kubectl::Kubectl;
use crate::options::{Audit, BuiltInControllers, Options};
use crate::process::{Component, Program, Watcher, free_ports, loopback};
use crate::recorded;

/// How long one step of a start may take: 2.3 s were measured for etcd and the API server together, on two idle
/// cores, and a machine in use may be twenty times slower.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long an exclusive start waits for its turn.
const TURN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// How often what is waited for is looked at, where looking is cheap.
const GLANCE: Duration = Duration::from_millis(20);

/// How often what is waited for is looked at, where looking takes a process.
const LOOK: Duration = Duration::from_millis(200);

/// How often a start is tried that fails because another process took a port between its choice and its use.
const PORT_ATTEMPTS: u32 = 3;

/// A control plane that runs until this value is dropped.
pub struct ControlPlane {
    components: Vec<Component>,
    watcher: Option<Watcher>,
    binaries: Binaries,
    directory: PathBuf,
    url: String,
    credentials: Vec<Credential>,
    // Dropped last, in this order: the files go once the processes are gone, the turn once the files are.
    _temporary: Option<TempDir>,
    _turn: Option<Turn>,
}

impl ControlPlane {
    /// A control plane whose API server answers and whose nodes are Ready.
    ///
    /// # Errors
    /// [`Unavailable`], in the error's chain, where this machine has no binaries and cannot build them. Any other
    /// error names the part that did not come up and shows the end of its log.
    pub fn start(options: Options) -> Result<Self> {
        let binaries = Binaries::locate()?;
        let turn = options.exclusive.then(|| Turn::take(&binaries)).transpose()?;
        let mut plane = Self::prepare(binaries, turn, &options)?;
        plane.start_api_server(&options)?;
        plane.start_clients(&options)?;
        plane.create_nodes(&options)?;
        Ok(plane)
    }

    /// The address of the API server, such as `https://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token of the administrator, who may do everything.
    pub fn token(&self) -> &str {
        self.credential(ADMINISTRATOR).map_or("", |credential| credential.token.as_str())
    }

    /// The administrator's kubeconfig, which stands alone: it holds the CA and the token.
    pub fn kubeconfig(&self) -> PathBuf {
        files::kubeconfig_path(&self.directory, ADMINISTRATOR)
    }

    /// Where state and logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The log of a part, such as `kube-apiserver`.
    pub fn log(&self, name: &str) -> PathBuf {
        log_path(&self.directory, name)
    }

    /// The audit log, where [`Options::audit`] asked for one.
    pub fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }

    /// The process id of each part that was started, by its name.
    pub fn process_ids(&self) -> BTreeMap<&'static str, u32> {
        self.components.iter().map(|component| (component.program.name, component.process_id())).collect()
    }

    /// kubectl as the administrator.
    pub fn as_administrator(&self) -> Kubectl {
        self.kubectl_with(self.kubeconfig())
    }

    /// kubectl as one of [`Options::users`].
    ///
    /// # Errors
    /// Where there is no user of that name.
    pub fn as_user(&self, name: &str) -> Result<Kubectl> {
        ensure!(self.credential(name).is_some(), "the control plane was started without a user named {name}");
        Ok(self.kubectl_with(files::kubeconfig_path(&self.directory, name)))
    }

    /// What kubectl printed, run as the administrator.
    ///
    /// # Errors
    /// Where kubectl exits with another status than 0; the message holds what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.as_administrator().run(arguments)
    }

    /// Creates or changes what a manifest describes, as the administrator.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.as_administrator().run_with_input(&["apply", "-f", "-"], manifest)
    }

    /// Ends a part with SIGKILL, as a crash does.
    ///
    /// # Errors
    /// Where no part of that name runs.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.take(name).map(drop)
    }

    /// Ends a part with SIGKILL and starts it again with the same flags and the same state.
    ///
    /// # Errors
    /// Where no part of that name runs, or it does not start again.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        let component = self.take(name)?;
        self.run(component.program)?;
        self.wait_ready()
    }

    /// Lets the control plane outlive this process; [`recorded::down`] then ends it by its directory.
    ///
    /// # Errors
    /// Where the control plane has a temporary directory, or its watcher does not let go.
    pub fn detach(mut self) -> Result<()> {
        ensure!(
            self._temporary.is_none(),
            "only a control plane with a directory of its own can be detached"
        );
        if let Some(mut watcher) = self.watcher.take() {
            watcher.release()?;
        }
        self.components.clear();
        Ok(())
    }

    /// Makes the directory and what is in it before anything runs.
    fn prepare(binaries: Binaries, turn: Option<Turn>, options: &Options) -> Result<Self> {
        let (directory, temporary) = match &options.directory {
            Some(directory) => {
                recorded::claim(directory)?;
                (directory.clone(), None)
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("windlass-control-plane-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let directory = directory.canonicalize()?;
        fs::create_dir_all(directory.join("logs"))?;
        let credentials = files::credentials(&options.users)?;
        files::write_tokens(&directory.join("tokens.csv"), &credentials)?;
        files::write_audit_policy(&directory.join("audit-policy.json"), options.audit)?;
        let watcher = Watcher::start(temporary.as_ref().map(TempDir::path))?;
        Ok(Self {
            components: Vec::new(),
            watcher: Some(watcher),
            binaries,
            directory,
            url: String::new(),
            credentials,
            _temporary: temporary,
            _turn: turn,
        })
    }

    /// Starts etcd and kube-apiserver and waits until the API server is ready.
    fn start_api_server(&mut self, options: &Options) -> Result<()> {
        let mut attempt = 1;
        while let Err(error) = self.try_api_server(options) {
            // Ports are chosen, let go and then listened on; another process may have taken one in between.
            if attempt == PORT_ATTEMPTS || !format!("{error:#}").contains("address already in use") {
                return Err(error);
            }
            attempt += 1;
            self.stop();
        }
        let kubectl = self.as_administrator();
        self.wait_until("kube-apiserver", "the namespace default to be made", LOOK, || {
            kubectl.output(&["get", "namespace", "default"]).is_ok_and(|output| output.status.success())
        })
    }

    fn try_api_server(&mut self, options: &Options) -> Result<()> {
        let [client, peer, secure] = free_ports()?;
        self.run(self.etcd(client, peer))?;
        self.wait_until("etcd", "it to listen", GLANCE, || TcpStream::connect(loopback(client)).is_ok())?;
        self.run(self.api_server(client, secure, options))?;
        self.wait_until("kube-apiserver", "it to listen", GLANCE, || {
            TcpStream::connect(loopback(secure)).is_ok()
        })?;
        self.url = format!("https://{}", loopback(secure));
        let certificate = self.directory.join("certificates/apiserver.crt");
        let certificate = fs::read_to_string(&certificate)
            .with_context(|| format!("could not read {}", certificate.display()))?;
        let authority = files::certificate_authority(&certificate);
        files::write(&self.directory.join("ca.crt"), &authority)?;
        for credential in &self.credentials {
            let path = files::kubeconfig_path(&self.directory, &credential.user.name);
            files::write_kubeconfig(&path, &self.url, &authority, credential)?;
        }
        self.wait_ready()
    }

    /// Starts those parts that talk to the API server.
    fn start_clients(&mut self, options: &Options) -> Result<()> {
        if options.controllers != BuiltInControllers::None {
            self.run(self.controller_manager(options))?;
        }
        if options.scheduler {
            self.run(self.scheduler(options))?;
        }
        if options.kubelets {
            self.run(self.kubelets(options))?;
        }
        Ok(())
    }

    /// Creates the nodes and, where they have kubelets, waits until all are Ready.
    fn create_nodes(&mut self, options: &Options) -> Result<()> {
        if options.nodes == 0 {
            return Ok(());
        }
        let kubectl = self.as_administrator();
        kubectl.run_with_input(&["create", "-f", "-"], &files::nodes(options.nodes).to_string())?;
        if !options.kubelets {
            return Ok(());
        }
        let ready = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
        self.wait_until("kwok", "every node to be Ready", LOOK, || {
            kubectl.run(&["get", "nodes", "-o", ready]).is_ok_and(|text| {
                text.split(' ').filter(|status| *status == "True").count() == options.nodes as usize
            })
        })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let kubectl = self.as_administrator();
        self.wait_until("kube-apiserver", "/readyz to say ok", LOOK, || {
            kubectl
                .output(&["get", "--raw=/readyz", "--request-timeout=5s"])
                .is_ok_and(|output| output.status.success())
        })
    }

    /// Waits until `done` says so, for as long as every part lives.
    fn wait_until(
        &mut self,
        who: &str,
        what: &str,
        interval: Duration,
        done: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Deadline::within(START_LIMIT);
        loop {
            if done() {
                return Ok(());
            }
            for component in &mut self.components {
                if component.has_ended() {
                    bail!("{} ended by itself; {}", component.program.name, component.program.log_tail());
                }
            }
            if !deadline.pause(interval) {
                let tail = self.components.iter().find(|component| component.program.name == who);
                let tail = tail.map(|component| component.program.log_tail()).unwrap_or_default();
                bail!("waited {} s for {what}; {tail}", START_LIMIT.as_secs());
            }
        }
    }

    fn run(&mut self, program: Program) -> Result<()> {
        let component = program.start()?;
        if let Some(watcher) = &mut self.watcher {
            watcher.add(&component)?;
        }
        self.components.push(component);
        recorded::write(&self.directory, &self.process_ids())
    }

    /// Ends a part and returns what is left of it.
    fn take(&mut self, name: &str) -> Result<Component> {
        let position = self.components.iter().position(|component| component.program.name == name);
        let position = position.with_context(|| format!("the control plane runs no {name}"))?;
        let mut component = self.components.remove(position);
        component.kill();
        if let Some(watcher) = &mut self.watcher {
            watcher.forget(&component)?;
        }
        component.reap();
        Ok(component)
    }

    /// Ends every part. All are killed before any is waited for, so that none has time to complain about another.
    fn stop(&mut self) {
        for component in self.components.iter_mut().rev() {
            component.kill();
        }
        for component in &mut self.components {
            component.reap();
        }
        self.components.clear();
    }

    fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.user.name == name)
    }

    fn kubectl_with(&self, kubeconfig: PathBuf) -> Kubectl {
        Kubectl::new(self.binaries.program("kubectl"), kubeconfig, self.directory.join("kubectl-cache"))
    }

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

    fn etcd(&self, client: u16, peer: u16) -> Program {
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

    fn api_server(&self, etcd: u16, secure: u16, options: &Options) -> Program {
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
            arguments.push(format!("--audit-log-path={}", self.audit_log().display()));
        }
        arguments.extend(options.api_server_flags.iter().cloned());
        self.program("kube-apiserver", arguments)
    }

    fn controller_manager(&self, options: &Options) -> Program {
        let key = self.binaries.service_account_key();
        let mut arguments = vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
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

    fn scheduler(&self, options: &Options) -> Program {
        let mut arguments = vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--profiling=false".to_owned(),
        ];
        arguments.extend(options.scheduler_flags.iter().cloned());
        self.program("kube-scheduler", arguments)
    }

    fn kubelets(&self, options: &Options) -> Program {
        let mut arguments = vec![
            format!("--kubeconfig={}", self.kubeconfig().display()),
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

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop();
        if let Some(mut watcher) = self.watcher.take() {
            // A watcher that has died has nothing left to watch.
            let _died = watcher.release();
        }
    }
}

/// A control plane, or `None`, said as [`or_skip`] says it, where this machine cannot have one.
///
/// # Errors
/// Where the machine has the binaries and the control plane does not start: that is no reason to skip.
pub fn start_or_skip(test: &str, options: Options) -> Result<Option<ControlPlane>> {
    or_skip(test, ControlPlane::start(options))
}

/// What came of an attempt, or `None` where it failed because this machine cannot have a control plane.
///
/// `None` prints `SKIPPED <test>: <reason>` on a line of its own, past the capturing of test output, so that a test
/// that did not run is seen as such.
///
/// # Errors
/// The attempt's own error, where it is any other.
pub fn or_skip<T>(test: &str, attempt: Result<T>) -> Result<Option<T>> {
    match attempt {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.downcast_ref::<Unavailable>() {
            Some(unavailable) => {
                // The test runner may have printed the test's name without ending the line.
                let mut stdout = std::io::stdout().lock();
                write!(stdout, "\nSKIPPED {test}: {unavailable}\n")?;
                stdout.flush()?;
                Ok(None)
            }
            None => Err(error),
        },
    }
}

/// The right to be the only exclusive control plane on this machine, until it is dropped.
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until no other exclusive control plane runs on this machine.
    ///
    /// # Errors
    /// Where others run for longer than a quarter of an hour.
    pub fn take(binaries: &Binaries) -> Result<Self> {
        let path = binaries.exclusive_lock();
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("could not open {}", path.display()))?;
        let deadline = Deadline::within(TURN_LIMIT);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: lock }),
                Err(TryLockError::WouldBlock) => {
                    ensure!(
                        deadline.pause(LOOK),
                        "waited {} minutes for another control plane on this machine to end",
                        TURN_LIMIT.as_secs() / 60
                    );
                }
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("could not lock {}", path.display()));
                }
            }
        }
    }
}

fn log_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("logs").join(format!("{name}.log"))
}
