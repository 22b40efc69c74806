//! Machine code of a plugin: made in this process or in one of its own, and kept under the plugin's digest.
//!
//! The compiler cannot be stopped and trusts its input with time and memory; a process of its own can be ended.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::Cache;
use crate::engine::wasm::load_precompiled;
use crate::plugin::Digest;
use crate::plugin::load::LoadFault;

/// Most bytes of machine code of one plugin.
const MAX_CODE_BYTES: u64 = 512 << 20;
/// Most bytes that are kept of what the compiler's process says.
const MAX_REASON_BYTES: u64 = 4_096;
/// Wall time after which the compiler's process is ended; its own limit of processor time comes first.
const COMPILE_LIMIT: Duration = Duration::from_secs(180);
/// Time between two looks at whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// Who compiles plugins.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// This process, which waits for as long as it takes.
    #[default]
    Here,
    /// A process of this program with these arguments, which reads a component from standard input and writes the
    /// machine code to standard output.
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// The component that `bytes` are, compiled or taken from the cache.
///
/// # Errors
/// [`LoadFault::NotCompiled`] or [`LoadFault::NoCompiler`] with the reason.
pub(super) fn component(
    engine: &Engine,
    compiler: &Compiler,
    cache: Option<&Cache>,
    digest: Digest,
    bytes: &[u8],
) -> Result<Component, LoadFault> {
    if let Some(component) = cache.and_then(|cache| load_precompiled(engine, &cache.get(engine, digest)?)) {
        return Ok(component);
    }
    let code = match compiler {
        Compiler::Here if cache.is_none() => return here(engine, bytes),
        Compiler::Here => precompile(engine, bytes)?,
        Compiler::Child { program, arguments } => in_child(program, arguments, bytes)?,
    };
    let Some(component) = load_precompiled(engine, &code) else {
        let reason =
            "the program on disk is another version than the one that runs, which has to be started anew";
        return Err(LoadFault::NoCompiler(reason.to_owned()));
    };
    if let Some(cache) = cache {
        cache.put(engine, digest, &code);
    }
    Ok(component)
}

/// Machine code of the component that `bytes` are, which this engine takes.
///
/// # Errors
/// [`LoadFault::NotCompiled`] with the reason.
pub(super) fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, LoadFault> {
    let code = engine.precompile_component(bytes);
    let code = code.map_err(|error| LoadFault::NotCompiled(format!("{error:#}")))?;
    if load_precompiled(engine, &code).is_none() {
        // It says why; such a plugin wants more than there is, of memory for example.
        here(engine, bytes)?;
    }
    Ok(code)
}

fn here(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadFault> {
    Component::from_binary(engine, bytes).map_err(|error| LoadFault::NotCompiled(format!("{error:#}")))
}

fn in_child(program: &PathBuf, arguments: &[String], bytes: &[u8]) -> Result<Vec<u8>, LoadFault> {
    let not_started =
        |error: std::io::Error| LoadFault::NoCompiler(format!("cannot start a process for it: {error}"));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (code, reason, ended) = thread::scope(|scope| {
        scope.spawn(move || {
            // A process that is gone reads nothing; how it ended says why.
            let _ = stdin.map(|mut stdin| stdin.write_all(bytes));
        });
        let code = scope.spawn(move || {
            let mut code = Vec::new();
            let read = stdout.map(|stdout| stdout.take(MAX_CODE_BYTES + 1).read_to_end(&mut code));
            matches!(read, Some(Ok(_))).then_some(code)
        });
        let reason = scope.spawn(move || {
            let mut reason = Vec::new();
            let _ = stderr.map(|stderr| stderr.take(MAX_REASON_BYTES).read_to_end(&mut reason));
            String::from_utf8_lossy(&reason).trim().to_owned()
        });
        let ended = wait(&mut child);
        (code.join().ok().flatten(), reason.join().unwrap_or_default(), ended)
    });
    let told = |why: &str| {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        LoadFault::NotCompiled(format!("{why}{reason}"))
    };
    match ended {
        Some(status) if status.success() => match code {
            Some(code) if code.len() as u64 <= MAX_CODE_BYTES => Ok(code),
            Some(_) | None => Err(told("its machine code is too large")),
        },
        Some(status) if status.code().is_some() => Err(told("the compiler refused it")),
        Some(_) => Err(told("the compiler took more time or memory than it may")),
        None => Err(told("the compiler took too long")),
    }
}

/// How the process ended; `None` if it had to be ended.
fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let mut left = COMPILE_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if !left.is_zero() => {
                thread::sleep(POLL);
                left = left.saturating_sub(POLL);
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}
