//! A real registry of OCI artifacts on this machine, for tests.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::program::workspace;

/// Exit status of tests/registry/get where this machine can have no registry.
const UNAVAILABLE: i32 = 77;

/// A registry on a port of its own, which ends and is gone when this value is dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    directory: PathBuf,
    address: String,
}

impl Registry {
    /// A registry for the test of that name, or `None` where this machine can have none, which is said.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        let found = Command::new(workspace().join("tests/registry/get")).output().expect("a shell");
        let said = String::from_utf8_lossy(&found.stderr);
        if found.status.code() == Some(UNAVAILABLE) {
            println!("\nSKIPPED {test}: {}", said.trim().lines().last().unwrap_or_default());
            return None;
        }
        assert!(found.status.success(), "tests/registry/get ended with {}: {said}", found.status);
        let program = String::from_utf8(found.stdout).expect("a path").trim().to_owned();
        let directory = std::env::temp_dir().join(format!("windlass-registry-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let configuration = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address:?}}}\n",
            directory.join("data").display()
        );
        let file = directory.join("config.yml");
        std::fs::write(&file, configuration).expect("a file");
        let mut command = Command::new(program);
        let child = command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut registry = Self { child: child.expect("a registry"), directory, address };
        registry.await_port();
        Some(registry)
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A directory that ends with it; `data` in it is what it stores.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until it says that it listens.
    fn await_port(&mut self) {
        let mut lines = BufReader::new(self.child.stderr.take().expect("stderr is piped")).lines();
        let said = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening on"));
        assert!(said, "the registry ended before it listened on {}", self.address);
        // What it says from now on is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_reaped = self.child.wait();
        let _already_gone = std::fs::remove_dir_all(&self.directory);
    }
}
