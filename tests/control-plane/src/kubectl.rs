//! kubectl, as one user of a control plane.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// kubectl, as one user of a control plane.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { program, kubeconfig, cache }
    }

    /// The kubeconfig it uses, which stands alone: it holds the CA and the user's token.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A command that is set up but not started, for what outlasts one answer, such as `get --watch`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .env("KUBECACHEDIR", &self.cache)
            // A developer's own preferences are no part of a test.
            .env("KUBERC", "off")
            .stdin(Stdio::null());
        command
    }

    /// What a command printed.
    ///
    /// # Errors
    /// Where the command cannot be run or exits with another status than 0; the message holds what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        expect_success(arguments, output)
    }

    /// How a command ended and what it printed, whatever its status.
    ///
    /// # Errors
    /// Where the command cannot be run.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments).output().with_context(|| format!("could not run {}", self.program.display()))
    }

    /// What a command printed that was given `input`, such as a manifest for `apply -f -`.
    ///
    /// # Errors
    /// Where the command cannot be run or exits with another status than 0; the message holds what it said.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not run {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl reads its whole input before it prints, so this cannot block on a full pipe. One that ended
            // early says why on its stderr, which tells more than a broken pipe.
            let _ended_early = stdin.write_all(input.as_bytes());
        }
        expect_success(arguments, child.wait_with_output()?)
    }
}

fn expect_success(arguments: &[&str], output: Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl {} failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    String::from_utf8(output.stdout).context("kubectl printed what is not UTF-8")
}
