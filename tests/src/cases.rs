//! Text cases: Kubernetes objects in, the plan out, in a notation that can be judged without reading code.
//!
//! A case is a file: a title, where the behaviour comes from, and scenes. A scene says what changed in the
//! cluster, then after `=>` what the plan must be. What a scene does not mention stays as it was; the memo
//! goes from plan to plan. The notation is described in tests/cases/README.md. With `UPDATE_CASES=1` in the
//! environment the expected plans are written anew, to be read before they are committed.

mod cron_job;
mod daemon_set;
mod parse;
mod print;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use windlass_host::engine::Engine;

use cron_job::CronWorld;
use daemon_set::DaemonWorld;
use world::World;

/// Environment variable that has the expected plans written anew.
pub const UPDATE_VARIABLE: &str = "UPDATE_CASES";

/// One case, as its file says.
struct Case<'text> {
    head: Vec<&'text str>,
    scenes: Vec<Scene<'text>>,
}

/// One reconcile: what changed before it, and the plan it must give.
struct Scene<'text> {
    /// The line that opens the scene; empty for the first.
    opening: &'text str,
    setting: Vec<&'text str>,
    expected: Vec<&'text str>,
}

/// The cluster of a case: one object that is reconciled, and what else there is.
trait Cluster: Default {
    /// Changes it as a line of a setting says.
    fn apply(&mut self, line: &str) -> Result<()>;

    /// The plan that `engine` gives now, as text; the memo and the plan are kept for the next scene.
    fn reconcile(&mut self, engine: &dyn Engine) -> Result<String>;
}

/// Runs every case of Jobs in `folder` with `engine`, and returns how many there were.
///
/// # Errors
/// Every case whose plan is not the expected one, with both, or a file that is no case.
pub fn run_jobs(folder: &Path, engine: &dyn Engine) -> Result<usize> {
    run_all::<World>(folder, engine)
}

/// Runs every case of CronJobs in `folder` with `engine`, and returns how many there were.
///
/// # Errors
/// Every case whose plan is not the expected one, with both, or a file that is no case.
pub fn run_cron_jobs(folder: &Path, engine: &dyn Engine) -> Result<usize> {
    run_all::<CronWorld>(folder, engine)
}

/// Runs every case of DaemonSets in `folder` with `engine`, and returns how many there were.
///
/// # Errors
/// Every case whose plan is not the expected one, with both, or a file that is no case.
pub fn run_daemon_sets(folder: &Path, engine: &dyn Engine) -> Result<usize> {
    run_all::<DaemonWorld>(folder, engine)
}

fn run_all<C: Cluster>(folder: &Path, engine: &dyn Engine) -> Result<usize> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "case"));
    files.sort();
    let mut failures = Vec::new();
    for file in &files {
        if let Err(failure) = run_file::<C>(file, engine) {
            failures.push(format!("{}: {failure:#}", file.display()));
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {} cases failed:\n\n{}",
        failures.len(),
        files.len(),
        failures.join("\n\n")
    );
    Ok(files.len())
}

fn run_file<C: Cluster>(file: &Path, engine: &dyn Engine) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let case = Case::parse(&text)?;
    let actual = case.play::<C>(engine)?;
    if actual == text {
        return Ok(());
    }
    if std::env::var_os(UPDATE_VARIABLE).is_some_and(|value| value == "1") {
        return Ok(fs::write(file, actual)?);
    }
    bail!("the plan differs (- expected, + actual)\n{}", difference(&text, &actual))
}

impl<'text> Case<'text> {
    fn parse(text: &'text str) -> Result<Self> {
        let mut case = Self { head: Vec::new(), scenes: Vec::new() };
        let mut lines = text.lines();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            case.head.push(line);
        }
        ensure!(!case.head.is_empty(), "the first line of a case is its title");
        case.scenes.push(Scene { opening: "", setting: Vec::new(), expected: Vec::new() });
        let mut is_expected = false;
        for line in lines {
            if line == "then" || line.starts_with("then ") {
                case.scenes.push(Scene { opening: line, setting: Vec::new(), expected: Vec::new() });
                is_expected = false;
            } else if line == "=>" {
                is_expected = true;
            } else if let Some(scene) = case.scenes.last_mut() {
                let part = if is_expected { &mut scene.expected } else { &mut scene.setting };
                part.push(line);
            }
        }
        Ok(case)
    }

    /// The text of the case with the plans that `engine` gives.
    fn play<C: Cluster>(&self, engine: &dyn Engine) -> Result<String> {
        let mut text = self.head.join("\n") + "\n\n";
        let mut cluster = C::default();
        for scene in &self.scenes {
            if !scene.opening.is_empty() {
                text += &format!("\n{}\n", scene.opening);
            }
            for line in &scene.setting {
                cluster.apply(line).with_context(|| format!("in the line `{line}`"))?;
                text += &format!("{line}\n");
            }
            text += "=>\n";
            text += &cluster.reconcile(engine)?;
        }
        Ok(text)
    }
}

/// The lines that differ, with what comes right before them.
fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = old.iter().zip(&new).take_while(|(one, two)| one == two).count();
    let rest = |lines: &[&str]| {
        lines
            .iter()
            .rev()
            .zip(old.iter().rev().zip(new.iter().rev()))
            .take_while(|(_, (one, two))| one == two)
            .count()
    };
    let tail = rest(&old).min(old.len() - same).min(new.len() - same);
    let mut text = String::new();
    for line in &old[same.saturating_sub(3)..same] {
        text += &format!("  {line}\n");
    }
    for line in &old[same..old.len() - tail] {
        text += &format!("- {line}\n");
    }
    for line in &new[same..new.len() - tail] {
        text += &format!("+ {line}\n");
    }
    text
}
