//! The `windlass` program for tests that run it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The program: what `WINDLASS_BINARY` names, else built by the first test that asks.
///
/// # Panics
/// Where it cannot be built.
#[must_use]
pub fn windlass() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("WINDLASS_BINARY").map_or_else(build, PathBuf::from))
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The top of the tree, from which paths in documents begin.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program at the top of the tree, with `input` on its standard input.
///
/// # Panics
/// Where it does not start, or writes what is no text.
#[must_use]
pub fn run<A: AsRef<std::ffi::OsStr>>(arguments: &[A], input: &str) -> Outcome {
    let mut child = Command::new(windlass())
        .args(arguments)
        .current_dir(workspace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that refuses its arguments may be gone before it reads.
    let _unread = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Outcome { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Builds the program as `make build` does; cargo says where it has put it.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--package", "windlass-host", "--bin", "windlass", "--message-format", "json"])
        .current_dir(workspace())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    executable.expect("cargo names what it built")
}
