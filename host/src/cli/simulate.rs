//! `windlass simulate`.

pub(super) mod fields;

use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use windlass_core::kube::{Kind, Object, PodPhase};
use windlass_host::controller::{Config, Controllers};
use windlass_host::simulate::driver::{Progress, ended_jobs};
use windlass_host::simulate::manifest::{Document, read_documents};
use windlass_host::simulate::policies::PluginSource;
use windlass_host::simulate::print::human_duration;
use windlass_host::simulate::report::{closing_line, list_report, text_report};
use windlass_host::simulate::{MAX_NODES, Options, Simulation};
use windlass_sandbox::cluster::Cluster;

use super::values::{EngineName, Form, Length};
use super::wall_clock::WallClock;
use super::{Failure, engine, plugin_dir};

/// What a file of a directory must end with to be read.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Most bytes of one manifest.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// Wall time between two looks at a simulation for a terminal.
const REDRAW: Duration = Duration::from_millis(100);
/// Wall time between two lines of progress for a pipe.
const LINE: Duration = Duration::from_secs(2);

/// Flags of `windlass simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Manifest in YAML or JSON, a directory of them, or - for standard input; may be given more than once.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// How many nodes to add to those in the manifests [default: 3 where the manifests have none].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_NODES)))]
    nodes: Option<u32>,
    /// Simulated time after which to stop, where something still happens.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    until: Length,
    /// Decides names, run times given as a range, and the jitter of retries: the same seed gives the same run.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Print first the log of every change and Event.
    #[arg(long)]
    events: bool,
    /// What runs the core.
    #[arg(long, value_enum, default_value_t)]
    engine: EngineName,
    /// Component to run in place of the core that is built in.
    #[arg(long, value_name = "FILE")]
    core: Option<PathBuf>,
    /// Directory of policy plugins: each file NAME.wasm decides where an annotation names it; see docs/policies.md.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
    /// Form of the result: for people as kubectl shows it, or the final CronJobs, DaemonSets with their
    /// ControllerRevisions, Jobs, Pods and Events as a v1 List.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// Simulates, and prints what came of it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.events && arguments.output != Form::Text {
        return Err(Failure::Usage(
            "--events is for people and cannot be joined with -o json or yaml, which holds the Events anyway; leave \
             out one of them"
                .to_owned(),
        ));
    }
    let documents = read_all(&arguments.files)?;
    if let Some(refusal) = documents.iter().find_map(fields::refusal) {
        return Err(Failure::Failed(refusal));
    }
    let engine = engine::open(arguments.engine, arguments.core.as_deref())?;
    let options = Options {
        nodes: arguments.nodes,
        seed: arguments.seed,
        keep_changes: arguments.events,
        controller: Config { controllers: Controllers::ALL, ..Config::default() },
        policies: Arc::default(),
        plugins: plugins(arguments, &documents)?,
    };
    let mut simulation =
        Simulation::new(&documents, engine, options).map_err(|fault| Failure::Failed(fault.to_string()))?;
    let clock = WallClock::start();
    let mut watcher = Watcher::new(clock);
    let until_ms = u64::try_from(arguments.until.0.as_millis()).unwrap_or(u64::MAX);
    let ran = simulation.run_until(until_ms, &mut |progress, cluster| {
        watcher.look(progress, cluster);
    });
    let wall_ms = clock.elapsed().as_millis();
    watcher.end();
    ran.map_err(|fault| Failure::Failed(fault.to_string()))?;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot write the result: {error}"));
    let text = match arguments.output {
        Form::Text => text_report(&mut simulation, arguments.events),
        Form::Json => {
            let list = list_report(&simulation);
            serde_json::to_string_pretty(&list).map_err(|error| failed(&error))? + "\n"
        }
        Form::Yaml => serde_saphyr::to_string(&list_report(&simulation)).map_err(|error| failed(&error))?,
    };
    print(&text).map_err(|error| failed(&error))?;
    if arguments.output == Form::Text {
        // Wall time differs from run to run; standard output does not.
        eprintln!("{}", closing_line(&simulation, u64::try_from(wall_ms).unwrap_or(u64::MAX)));
    }
    Ok(())
}

/// Where plugins come from, if any are named.
fn plugins(arguments: &Arguments, documents: &[Document]) -> Result<Option<PluginSource>, Failure> {
    let directory = arguments.plugin_dir.clone();
    let is_named =
        documents.iter().any(|document| document.kind == "PolicyPlugin" || document.kind == "PolicyBinding");
    if directory.is_none() && !is_named {
        return Ok(None);
    }
    if let Some(directory) = &directory {
        plugin_dir::check(directory)?;
    }
    Ok(Some(PluginSource { loader: plugin_dir::deterministic()?, directory }))
}

/// The documents of all `files`, in the order in which they are given; of a directory, by name.
fn read_all(files: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    for file in files {
        if file.is_dir() {
            for inner in manifests_in(file)? {
                documents.extend(read(&inner)?);
            }
        } else {
            documents.extend(read(file)?);
        }
    }
    Ok(documents)
}

fn manifests_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error: io::Error| Failure::Failed(format!("cannot read {}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        let sought = EXTENSIONS.join(", .");
        return Err(Failure::Failed(format!(
            "{} holds no file that ends with .{sought}",
            directory.display()
        )));
    }
    Ok(files)
}

fn read(file: &Path) -> Result<Vec<Document>, Failure> {
    let is_standard_input = file.as_os_str() == "-";
    let name = if is_standard_input { "standard input".to_owned() } else { file.display().to_string() };
    let mut bytes = Vec::new();
    let source: io::Result<Box<dyn io::Read>> = if is_standard_input {
        Ok(Box::new(io::stdin()))
    } else {
        fs::File::open(file).map(|file| Box::new(file) as _)
    };
    let length = source.and_then(|source| source.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes));
    match length {
        Err(error) => return Err(Failure::Failed(format!("cannot read {name}: {error}"))),
        Ok(length) if length as u64 > MAX_MANIFEST_BYTES => {
            return Err(Failure::Failed(format!(
                "{name} is larger than {MAX_MANIFEST_BYTES} bytes; split it"
            )));
        }
        Ok(_) => {}
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::Failed(format!("{name}: not a manifest in YAML or JSON: byte {at} is not UTF-8"))
    })?;
    read_documents(&name, &text).map_err(|fault| Failure::Failed(fault.to_string()))
}

/// Prints `text`; a reader that has seen enough and closed the pipe is no failure.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Shows how far a simulation has got on standard error: one line that changes on a terminal, else lines now and
/// then, so that a short simulation says nothing.
struct Watcher {
    clock: WallClock,
    shown: Duration,
    bar: Option<indicatif::ProgressBar>,
}

impl Watcher {
    fn new(clock: WallClock) -> Self {
        let bar = io::stderr().is_terminal().then(indicatif::ProgressBar::new_spinner);
        Self { clock, shown: Duration::ZERO, bar }
    }

    fn look(&mut self, progress: &Progress, cluster: &Cluster) {
        let elapsed = self.clock.elapsed();
        let pause = if self.bar.is_some() { REDRAW } else { LINE };
        if elapsed < self.shown + pause {
            return;
        }
        self.shown = elapsed;
        let simulated = human_duration(i64::try_from(progress.virtual_ms).unwrap_or(i64::MAX));
        let (ended, all) = ended_jobs(cluster);
        let running = running_pods(cluster);
        let line = format!("simulated {simulated}, {ended} of {all} Jobs ended, {running} Pods running");
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => eprintln!("{line}"),
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn running_pods(cluster: &Cluster) -> usize {
    let runs = |object: &&Object| matches!(object, Object::Pod(pod) if pod.status.phase == PodPhase::Running);
    cluster.store().objects(Kind::Pod).filter(runs).count()
}
