//! Starts a real Kubernetes control plane on loopback and leaves it running.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use windlass_control_plane::{Audit, BuiltInControllers, ControlPlane, Options, Unavailable, recorded};

const USAGE: &str = "\
Starts a real Kubernetes control plane on the loopback interface.

  control-plane up [--dir DIR] [--nodes N] [--built-in-job-controller] [--audit] [--detach]
  control-plane down [--dir DIR]

up     Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok's kubelets, and prints what
       a shell needs to use it: where the kubeconfig and kubectl are. The binaries are built first where they
       are absent. Without --detach it runs until it is interrupted.
down   Ends what `up` started, and removes its directory.

  --dir DIR                   where state and logs are kept (windlass-cluster in the directory of temporary files)
  --nodes N                   how many nodes it has (3)
  --built-in-job-controller   also run the built-in controllers of Jobs, CronJobs and DaemonSets
  --audit                     log every request with its body to audit.log in DIR
  --detach                    return once it is ready
";

/// The exit status of wrong usage.
const WRONG_USAGE: u8 = 2;

/// The exit status where this machine cannot have a control plane.
const UNAVAILABLE: u8 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match Invocation::parse(&arguments) {
        Ok(Invocation::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Invocation::Up(up)) => up.run(),
        Ok(Invocation::Down { directory }) => down(&directory),
        Err(error) => {
            eprintln!("control-plane: {error:#}\n\n{USAGE}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("control-plane: {error:#}");
            ExitCode::from(if error.is::<Unavailable>() { UNAVAILABLE } else { 1 })
        }
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Invocation {
    Help,
    Up(Up),
    Down { directory: PathBuf },
}

#[derive(Debug, PartialEq, Eq)]
struct Up {
    directory: PathBuf,
    nodes: u32,
    built_in_job_controller: bool,
    audit: bool,
    detach: bool,
}

impl Invocation {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut up = Up {
            directory: std::env::temp_dir().join("windlass-cluster"),
            nodes: Options::default().nodes,
            built_in_job_controller: false,
            audit: false,
            detach: false,
        };
        let mut rest = arguments.iter().map(String::as_str);
        let command = match rest.next() {
            Some("help" | "-h" | "--help") => return Ok(Self::Help),
            Some(command @ ("up" | "down")) => command,
            Some(other) => bail!("there is no command {other}; say up or down"),
            None => bail!("say up or down"),
        };
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match (command, argument) {
                (_, "-h" | "--help") => return Ok(Self::Help),
                (_, "--dir") => up.directory = PathBuf::from(value()?),
                ("up", "--nodes") => up.nodes = value()?.parse().context("--nodes needs a number")?,
                ("up", "--built-in-job-controller") => up.built_in_job_controller = true,
                ("up", "--audit") => up.audit = true,
                ("up", "--detach") => up.detach = true,
                _ => bail!("control-plane {command} has no argument {argument}"),
            }
        }
        Ok(if command == "up" { Self::Up(up) } else { Self::Down { directory: up.directory } })
    }
}

impl Up {
    fn run(self) -> Result<()> {
        let Self { directory, nodes, built_in_job_controller, audit, detach } = self;
        let controllers = if built_in_job_controller {
            BuiltInControllers::All
        } else {
            BuiltInControllers::AllButReplaced
        };
        let options = Options {
            nodes,
            controllers,
            audit: if audit { Audit::RequestResponse } else { Audit::Off },
            directory: Some(directory),
            // Who starts one by hand wants it now, and to run tests beside it.
            exclusive: false,
            ..Options::default()
        };
        let plane = ControlPlane::start(options)?;
        println!("export KUBECONFIG={}", plane.kubeconfig().display());
        println!("export PATH={}:$PATH", plane.programs_directory().display());
        if detach {
            println!("# to end it: control-plane down --dir {}", plane.directory().display());
            return plane.detach();
        }
        println!("# interrupt this program to end it");
        // The watcher ends every part when this process dies, so there is nothing to do but to live.
        loop {
            std::thread::park();
        }
    }
}

fn down(directory: &Path) -> Result<()> {
    let ended = recorded::down(directory)?;
    println!(
        "ended {}",
        if ended.is_empty() { "nothing: no part was running".to_owned() } else { ended.join(", ") }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation> {
        Invocation::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn up_takes_its_options_in_any_order() -> Result<()> {
        let expected =
            Up { directory: "/d".into(), nodes: 7, built_in_job_controller: true, audit: true, detach: true };
        let line = "up --detach --nodes 7 --audit --built-in-job-controller --dir /d";
        assert_eq!(parse(line)?, Invocation::Up(expected));
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["", "sideways", "up --nodes", "up --nodes many", "up --size 3", "down --nodes 3"] {
            assert!(parse(line).is_err(), "{line:?} was accepted");
        }
    }
}
