//! What is recorded of a control plane in its directory, by which it can be ended when its starter is gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::deadline::Deadline;
use crate::files;

/// How long a killed process may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often a killed process is looked for.
const GLANCE: Duration = Duration::from_millis(20);

/// Makes `directory` ready for a new control plane: there is none, or what an ended one left, which is removed.
///
/// # Errors
/// Where a control plane runs there, or there is anything that no control plane has put there.
pub(crate) fn claim(directory: &Path) -> Result<()> {
    let shown = directory.display();
    ensure!(
        !is_up(directory),
        "a control plane runs in {shown} already; end it with: control-plane down --dir {shown}"
    );
    if record_path(directory).exists() {
        fs::remove_dir_all(directory).with_context(|| format!("could not remove {shown}"))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("could not make {shown}"))?;
    if fs::read_dir(directory)?.next().is_some() {
        bail!("{shown} is not empty, and no control plane made it");
    }
    Ok(())
}

/// Ends the control plane of `directory`, removes the directory, and returns the names of the parts it ended.
///
/// A process id that has meanwhile been given to another program is left alone: each part has the directory in its
/// command line.
///
/// # Errors
/// Where no control plane is recorded there, or a part does not end.
pub fn down(directory: &Path) -> Result<Vec<String>> {
    let directory =
        directory.canonicalize().with_context(|| format!("there is no directory {}", directory.display()))?;
    let path = record_path(&directory);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("no control plane was left in {}", directory.display()))?;
    let parts: BTreeMap<String, u32> =
        serde_json::from_str(&text).with_context(|| format!("{} is not a record of ours", path.display()))?;
    let mut ended = Vec::new();
    for (name, process_id) in parts {
        if !is_ours(process_id, &directory) {
            continue;
        }
        kill(process_id)?;
        let deadline = Deadline::within(END_LIMIT);
        while is_running(process_id) {
            ensure!(deadline.pause(GLANCE), "{name}, process {process_id}, does not end");
        }
        ended.push(name);
    }
    fs::remove_dir_all(&directory).with_context(|| format!("could not remove {}", directory.display()))?;
    Ok(ended)
}

/// Whether any part of the control plane of `directory` runs.
pub(crate) fn is_up(directory: &Path) -> bool {
    let Ok(directory) = directory.canonicalize() else { return false };
    fs::read_to_string(record_path(&directory))
        .ok()
        .and_then(|text| serde_json::from_str::<BTreeMap<String, u32>>(&text).ok())
        .is_some_and(|parts| parts.values().any(|process_id| is_ours(*process_id, &directory)))
}

/// Whether a process runs, by its id; one that has ended and waits for its parent to notice does not.
pub fn is_running(process_id: u32) -> bool {
    let state = if has_proc() {
        // The state follows the program's name, which stands in parentheses and may hold some itself.
        let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    } else {
        ps(process_id, "state=")
    };
    !matches!(state.trim_start().chars().next(), None | Some('Z' | 'X'))
}

/// Records the process ids of a control plane in its directory.
pub(crate) fn write(directory: &Path, parts: &BTreeMap<&'static str, u32>) -> Result<()> {
    files::write(&record_path(directory), &serde_json::to_string_pretty(parts)?)
}

fn record_path(directory: &Path) -> PathBuf {
    directory.join("processes.json")
}

/// Whether a process has `directory` in its command line.
fn is_ours(process_id: u32, directory: &Path) -> bool {
    let command_line = if has_proc() {
        let bytes = fs::read(format!("/proc/{process_id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        ps(process_id, "args=")
    };
    command_line.contains(&*directory.to_string_lossy())
}

/// Whether the system tells about processes in files, as Linux does.
fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// What `ps` says of a process, or nothing where there is no such process.
fn ps(process_id: u32, format: &str) -> String {
    let output = Command::new("ps").args(["-o", format, "-p", &process_id.to_string()]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn kill(process_id: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", r#"kill -9 "$1""#, "sh", &process_id.to_string()])
        .stdin(Stdio::null())
        .status()
        .context("could not run sh")?;
    ensure!(status.success(), "process {process_id} could not be killed");
    Ok(())
}
