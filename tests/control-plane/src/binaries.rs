//! Where the programs of a control plane are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// A directory that `tests/cluster/build` made, with every program of a control plane in it.
#[derive(Clone, Debug)]
pub struct Binaries {
    root: PathBuf,
}

/// Why there can be no control plane on this machine: nothing is broken, something is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// One sentence for whoever reads that a test was skipped.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for Unavailable {}

/// The exit status by which the build says that this machine cannot build a control plane.
const UNAVAILABLE: i32 = 77;

impl Binaries {
    /// The programs, which are built first where they are absent: some 20 minutes of processor time the first time.
    ///
    /// # Errors
    /// [`Unavailable`], in the error's chain, where the machine cannot build them; any other error is a broken build.
    pub fn locate() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/build");
        // What the build has to say beforehand comes through, for it may take minutes.
        let output = Command::new("bash")
            .arg(&script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(pass_on_stderr)
            .with_context(|| format!("could not run {}", script.display()))?;
        let last_line = |text: &str| text.lines().last().unwrap_or_default().trim().to_owned();
        if output.status.code() == Some(UNAVAILABLE) {
            let said = last_line(&output.stderr);
            let reason = said.strip_prefix("tests/cluster/build: ").unwrap_or(&said).to_owned();
            return Err(Unavailable { reason }.into());
        }
        ensure!(output.status.success(), "{} failed: {}", script.display(), last_line(&output.stderr));
        let root = PathBuf::from(last_line(&output.stdout));
        ensure!(root.is_dir(), "{} printed {}, which is no directory", script.display(), root.display());
        Ok(Self { root })
    }

    /// The directory of the programs.
    pub fn directory(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The path of one program, such as `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// kwok's own stages of a node: how it becomes Ready and stays so.
    pub(crate) fn node_stages(&self) -> [PathBuf; 2] {
        ["node-initialize.yaml", "node-heartbeat-with-lease.yaml"]
            .map(|name| self.root.join("stages").join(name))
    }

    /// The private key with which service account tokens are signed.
    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.root.join("service-account.key")
    }

    /// The certificate of that key, from which the API server takes the public key.
    pub(crate) fn service_account_certificate(&self) -> PathBuf {
        self.root.join("service-account.crt")
    }

    /// The lock that exclusive control planes hold while they run.
    pub(crate) fn exclusive_lock(&self) -> PathBuf {
        self.root.with_file_name("control-plane.running")
    }
}

/// The stages of a pod that `tests/cluster/stages` holds.
pub(crate) fn pod_stages() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/stages");
    ["pod-run", "pod-end", "pod-restart", "pod-stop", "pod-delete"]
        .map(|name| directory.join(format!("{name}.yaml")))
        .to_vec()
}

/// What a finished build printed.
struct Finished {
    status: std::process::ExitStatus,
    stdout: String,
    stderr: String,
}

/// Waits for `child`, copying each line of its stderr to ours as it comes.
fn pass_on_stderr(mut child: std::process::Child) -> std::io::Result<Finished> {
    use std::io::{BufRead as _, BufReader};
    let mut stderr = String::new();
    if let Some(pipe) = child.stderr.take() {
        for line in BufReader::new(pipe).lines() {
            let line = line?;
            eprintln!("{line}");
            stderr.push_str(&line);
            stderr.push('\n');
        }
    }
    let output = child.wait_with_output()?;
    Ok(Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr,
    })
}
