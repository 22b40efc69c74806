//! Runs the programs of a control plane, and sees to it that none is left behind.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// How much of a log an error message shows, in lines.
const LOG_TAIL_LINES: usize = 20;

/// How a program is started: kept, so that it can be started again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) log: PathBuf,
}

impl Program {
    /// Starts the program in a process group of its own, so that an interrupt at the terminal is ours to answer.
    pub(crate) fn start(self) -> Result<Component> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("could not open {}", self.log.display()))?;
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", self.path.display()))?;
        Ok(Component { program: self, child })
    }

    /// The end of what the program has logged, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_TAIL_LINES);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        format!("the end of {}:\n{tail}", self.log.display())
    }
}

/// A program that was started.
pub(crate) struct Component {
    pub(crate) program: Program,
    child: Child,
}

impl Component {
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the program has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the program; its process id stays taken until [`Component::reap`].
    pub(crate) fn kill(&mut self) {
        // One that has ended already needs no killing.
        let _ended = self.child.kill();
    }

    /// Waits for a program that was killed.
    pub(crate) fn reap(&mut self) {
        let _status = self.child.wait();
    }
}

/// A small process that ends every program when this one dies, whatever it dies of.
///
/// It reads from a pipe that only this process holds open, so the end of that pipe is the end of this process.
pub(crate) struct Watcher {
    child: Child,
    orders: Option<ChildStdin>,
}

/// Reads `add N` and `forget N` for process ids, and `release`. At the end of its input it kills what it was told to
/// add and not to forget, and removes the directory.
const WATCHER: &str = r#"
pids=
while read -r word rest; do
    case $word in
        add) pids="$pids $rest" ;;
        forget)
            others=
            for pid in $pids; do [ "$pid" = "$rest" ] || others="$others $pid"; done
            pids=$others ;;
        release) exit 0 ;;
    esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -z "$1" ] || rm -rf -- "$1"
"#;

impl Watcher {
    /// Starts the watcher; `remove` is a directory that it removes when this process dies.
    pub(crate) fn start(remove: Option<&Path>) -> Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", WATCHER, "control-plane-watcher"])
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start sh")?;
        let orders = child.stdin.take();
        Ok(Self { child, orders })
    }

    /// Puts a program into the watcher's care.
    pub(crate) fn add(&mut self, component: &Component) -> Result<()> {
        self.say(&format!("add {}\n", component.process_id()))
    }

    /// Takes a program that has ended out of the watcher's care, for its process id may be given to another.
    pub(crate) fn forget(&mut self, component: &Component) -> Result<()> {
        self.say(&format!("forget {}\n", component.process_id()))
    }

    /// Ends the watcher without it doing anything.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.say("release\n")?;
        self.orders = None;
        self.child.wait().context("could not wait for the watcher")?;
        Ok(())
    }

    fn say(&mut self, order: &str) -> Result<()> {
        if let Some(orders) = &mut self.orders {
            orders.write_all(order.as_bytes()).context("the watcher of the control plane has died")?;
        }
        Ok(())
    }
}

/// Ports of the loopback interface that nothing listens on at the moment.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // All are held until all are known, so that no two are the same.
    let mut held = Vec::with_capacity(COUNT);
    for port in &mut ports {
        let listener =
            TcpListener::bind(loopback(0)).context("could not listen on the loopback interface")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// The address of a port of the loopback interface.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
