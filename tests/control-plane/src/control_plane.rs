//! The start of a control plane, and its end.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::binaries::{Binaries, Unavailable};
use crate::deadline::Deadline;
use crate::files::{self, ADMINISTRATOR, Credential};
use crate::kubectl::Kubectl;
use crate::options::{BuiltInControllers, Options};
use crate::process::{Component, Program, Watcher, free_ports, loopback};
use crate::programs::{AUDIT_LOG, Programs, log_path};
use crate::recorded;
use crate::turn::Turn;

/// How long one step of a start may take: 2.3 s were measured for etcd and the API server together, on two idle
/// cores, and a machine in use may be twenty times slower.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How much longer each node may take to be Ready: 15 ms were measured, with 1000 nodes.
const NODE_LIMIT: Duration = Duration::from_millis(200);

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
    programs: Programs,
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
        files::kubeconfig_path(&self.programs.directory, ADMINISTRATOR)
    }

    /// Where state and logs are.
    pub fn directory(&self) -> &Path {
        &self.programs.directory
    }

    /// Where the programs are, kubectl among them.
    pub fn programs_directory(&self) -> PathBuf {
        self.programs.binaries.directory()
    }

    /// The log of a part, such as `kube-apiserver`.
    pub fn log(&self, name: &str) -> PathBuf {
        log_path(&self.programs.directory, name)
    }

    /// The audit log, where [`Options::audit`] asked for one.
    pub fn audit_log(&self) -> PathBuf {
        self.programs.directory.join(AUDIT_LOG)
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
        Ok(self.kubectl_with(files::kubeconfig_path(&self.programs.directory, name)))
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

    /// Starts a program that works on this control plane; its log, its end and its process id are as those of a part.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn start_beside(&mut self, name: &'static str, path: &Path, arguments: Vec<String>) -> Result<()> {
        let log = self.log(name);
        self.run(Program { name, path: path.to_owned(), arguments, environment: Vec::new(), log })
    }

    /// Ends kube-controller-manager with SIGKILL and starts it again with other controllers and no further flags.
    ///
    /// # Errors
    /// Where none runs, or it does not start again.
    pub fn change_controllers(&mut self, controllers: BuiltInControllers) -> Result<()> {
        self.take("kube-controller-manager")?;
        let options = Options { controllers, ..Options::default() };
        self.run(self.programs.controller_manager(&options))
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
            programs: Programs { binaries, directory },
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
            fs::remove_dir_all(self.programs.directory.join("etcd"))?;
        }
        let kubectl = self.as_administrator();
        self.wait_until(wait("kube-apiserver", "the namespace default to be made", LOOK), || {
            kubectl.output(&["get", "namespace", "default"]).is_ok_and(|output| output.status.success())
        })
    }

    fn try_api_server(&mut self, options: &Options) -> Result<()> {
        let [client, peer, secure] = free_ports()?;
        self.run(self.programs.etcd(client, peer))?;
        self.wait_until(wait("etcd", "it to listen", GLANCE), || {
            TcpStream::connect(loopback(client)).is_ok()
        })?;
        self.run(self.programs.api_server(client, secure, options))?;
        self.wait_until(wait("kube-apiserver", "it to listen", GLANCE), || {
            TcpStream::connect(loopback(secure)).is_ok()
        })?;
        self.url = format!("https://{}", loopback(secure));
        let certificate = self.programs.directory.join("certificates/apiserver.crt");
        let certificate = fs::read_to_string(&certificate)
            .with_context(|| format!("could not read {}", certificate.display()))?;
        let authority = files::certificate_authority(&certificate);
        files::write(&self.programs.directory.join("ca.crt"), &authority)?;
        for credential in &self.credentials {
            let path = files::kubeconfig_path(&self.programs.directory, &credential.user.name);
            files::write_kubeconfig(&path, &self.url, &authority, credential)?;
        }
        self.wait_ready()
    }

    /// Starts those parts that talk to the API server.
    fn start_clients(&mut self, options: &Options) -> Result<()> {
        if options.controllers != BuiltInControllers::None {
            self.run(self.programs.controller_manager(options))?;
        }
        if options.scheduler {
            self.run(self.programs.scheduler(options))?;
        }
        if options.kubelets {
            self.run(self.programs.kubelets(options))?;
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
        let limit = START_LIMIT + NODE_LIMIT * options.nodes;
        self.wait_until(Wait { limit, ..wait("kwok", "every node to be Ready", LOOK) }, || {
            kubectl.run(&["get", "nodes", "-o", ready]).is_ok_and(|text| {
                text.split(' ').filter(|status| *status == "True").count() == options.nodes as usize
            })
        })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let kubectl = self.as_administrator();
        self.wait_until(wait("kube-apiserver", "/readyz to say ok", LOOK), || {
            kubectl
                .output(&["get", "--raw=/readyz", "--request-timeout=5s"])
                .is_ok_and(|output| output.status.success())
        })
    }

    /// Waits until `done` says so, for as long as every part lives.
    fn wait_until(&mut self, wait: Wait<'_>, done: impl Fn() -> bool) -> Result<()> {
        let Wait { who, what, interval, limit } = wait;
        let deadline = Deadline::within(limit);
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
                bail!("waited {} s for {what}; {tail}", limit.as_secs());
            }
        }
    }

    fn run(&mut self, program: Program) -> Result<()> {
        let component = program.start()?;
        if let Some(watcher) = &mut self.watcher {
            watcher.add(&component)?;
        }
        self.components.push(component);
        recorded::write(&self.programs.directory, &self.process_ids())
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
        for mut component in std::mem::take(&mut self.components) {
            if let Some(watcher) = &mut self.watcher {
                // A watcher that has died kills nothing.
                let _died = watcher.forget(&component);
            }
            component.reap();
        }
    }

    fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.user.name == name)
    }

    fn kubectl_with(&self, kubeconfig: PathBuf) -> Kubectl {
        Kubectl::new(
            self.programs.binaries.program("kubectl"),
            kubeconfig,
            self.programs.directory.join("kubectl-cache"),
        )
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

/// What is waited for, of which part, how often that is looked at, and how long.
struct Wait<'a> {
    who: &'a str,
    what: &'a str,
    interval: Duration,
    limit: Duration,
}

/// A wait for what every start has to wait for.
fn wait<'a>(who: &'a str, what: &'a str, interval: Duration) -> Wait<'a> {
    Wait { who, what, interval, limit: START_LIMIT }
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
