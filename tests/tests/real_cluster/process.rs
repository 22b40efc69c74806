//! The program under test, as a process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// How long anything may take that the program does by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A `windlass` that was started; it is killed when this value is dropped.
pub(super) struct Windlass {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// How a `windlass` ended that was waited for.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stderr: String,
}

/// The binary beside this test's own directory.
pub(super) fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let profile = own.ancestors().nth(2).context("the test is not in a target directory")?;
    let binary = profile.join("windlass");
    ensure!(binary.is_file(), "{} is absent: build it with `cargo build -p windlass-host`", binary.display());
    Ok(binary)
}

/// Runs `windlass` to its end.
pub(super) fn windlass(arguments: &[&str]) -> Result<Ended> {
    let output = command(arguments)?.stdin(Stdio::null()).output()?;
    Ok(Ended { code: output.status.code(), stderr: String::from_utf8(output.stderr)? })
}

/// What `windlass` prints.
#[cfg(feature = "wasm")]
pub(super) fn output(arguments: &[&str]) -> Result<String> {
    let output = command(arguments)?.stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A wait that fails when [`PATIENCE`] is over, however much the log says meanwhile.
#[expect(clippy::disallowed_types, reason = "a process is waited for, in real time")]
struct Wait(std::time::Instant);

#[expect(clippy::disallowed_types, reason = "a process is waited for, in real time")]
impl Wait {
    fn begin() -> Self {
        Self(std::time::Instant::now())
    }

    fn left(&self) -> Duration {
        PATIENCE.saturating_sub(self.0.elapsed())
    }
}

fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(arguments).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    Ok(command)
}

impl Windlass {
    /// `windlass run` with this kubeconfig on a port of its own.
    pub(super) fn run(kubeconfig: &Path, arguments: &[&str]) -> Result<Self> {
        let kubeconfig = kubeconfig.display().to_string();
        let fixed = ["run", "--kubeconfig", &kubeconfig, "--bind-address", "127.0.0.1:0"];
        let mut child =
            command(&[&fixed, arguments].concat())?.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines, seen: Vec::new() })
    }

    /// Waits for a line of the log that contains `part`.
    pub(super) fn wait_for(&mut self, part: &str) -> Result<String> {
        if let Some(line) = self.seen.iter().find(|line| line.contains(part)) {
            return Ok(line.clone());
        }
        let wait = Wait::begin();
        loop {
            match self.next_line(wait.left()) {
                Ok(line) if line.contains(part) => return Ok(line),
                Ok(_) => {}
                Err(_) => bail!("no line of the log contains {part:?}:\n{}", self.log()),
            }
        }
    }

    /// The next line of the log.
    pub(super) fn next_line(&mut self, patience: Duration) -> Result<String, RecvTimeoutError> {
        let line = self.lines.recv_timeout(patience)?;
        self.seen.push(line.clone());
        Ok(line)
    }

    /// Waits until every cache is synced.
    pub(super) fn wait_synced(&mut self) -> Result<()> {
        let wait = Wait::begin();
        for kind in ["cronjobs", "jobs", "pods"] {
            loop {
                let listed = |line: &String| line.contains("listed") && line.ends_with(&format!(" {kind}"));
                if self.seen.iter().any(listed) {
                    break;
                }
                ensure!(
                    self.next_line(wait.left()).is_ok(),
                    "the list of {kind} was not read:\n{}",
                    self.log()
                );
            }
        }
        Ok(())
    }

    /// Status and body of a GET of the endpoint.
    pub(super) fn get(&mut self, path: &str) -> Result<(u16, String)> {
        let line = self.wait_for("on http://")?;
        let address = line.rsplit("http://").next().context("an address")?.trim();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let code = answer.split(' ').nth(1).context("a status line")?.parse()?;
        let body = answer.split_once("\r\n\r\n").context("a body")?.1;
        Ok((code, body.to_owned()))
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) fn terminate(mut self) -> Result<(ExitStatus, String)> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "kill failed");
        let status = self.child.wait()?;
        while self.next_line(PATIENCE).is_ok() {}
        Ok((status, self.log()))
    }

    /// Kills it as a crash does.
    pub(super) fn kill(mut self) -> Result<String> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.log())
    }

    fn log(&self) -> String {
        self.seen.join("\n")
    }
}

impl Drop for Windlass {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}
