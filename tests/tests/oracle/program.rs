//! Programs that answer questions with the code that upstream uses: a line each way, both JSON.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use windlass_control_plane::Unavailable;

/// The exit status by which a build says that this machine cannot build the program.
const UNAVAILABLE: i32 = 77;

/// A program, and what its environment adds to ours.
pub(crate) struct Program {
    path: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Program {
    /// The program of `tests/<directory>`, which is built first where it is absent.
    ///
    /// # Errors
    /// [`Unavailable`], in the error's chain, where the machine cannot build it; any other error is a broken build.
    pub(crate) fn locate(directory: &str, environment: Vec<(&'static str, OsString)>) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build-oracle");
        let output = Command::new("bash").arg(&script).arg(directory).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("could not run {}", script.display()))?;
        let last_line = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().trim().to_owned()
        };
        if output.status.code() == Some(UNAVAILABLE) {
            return Err(Unavailable { reason: last_line(&output.stderr) }.into());
        }
        ensure!(output.status.success(), "{} failed: {}", script.display(), last_line(&output.stderr));
        Ok(Self { path: last_line(&output.stdout).into(), environment })
    }

    /// Gives `look` each question with its answer; the program works on the next meanwhile.
    pub(crate) fn ask<Q: Sync>(
        &self,
        questions: &[Q],
        request: impl Fn(&Q) -> Value + Send,
        mut look: impl FnMut(&Q, &Value),
    ) -> Result<()> {
        let mut child = Command::new(&self.path)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the oracle does not start")?;
        let mut input = BufWriter::new(child.stdin.take().context("no pipe")?);
        let output = child.stdout.take().context("no pipe")?;
        thread::scope(|scope| -> Result<()> {
            let writer = scope.spawn(move || -> std::io::Result<()> {
                for question in questions {
                    writeln!(input, "{}", request(question))?;
                }
                input.flush()
            });
            // Closed as soon as this ends, be it by a panic of `look`: else program and writer would wait for ever.
            let mut answers = BufReader::new(output).lines();
            for question in questions {
                let answer = answers.next().context("the oracle ended early")??;
                look(question, &serde_json::from_str(&answer)?);
            }
            writer.join().expect("the writer ends")?;
            Ok(())
        })?;
        ensure!(child.wait()?.success(), "the oracle failed");
        Ok(())
    }
}
