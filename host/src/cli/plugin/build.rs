//! `windlass plugin build`: a plugin's directory becomes a component, whatever it is written in.

use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::ComponentEncoder;

use super::super::output;
use super::Failure;

/// How guests are built for wasm32: the same for our own and for those of users.
const TOOLCHAIN: &str = include_str!("../../../../core/toolchain.sh");
/// Where cargo leaves modules, below the directory of a toolchain.
const MODULES: &str = "wasm32-unknown-unknown/guest";
/// What a plugin in JavaScript is made a component with: below its directory.
const COMPONENTIZE_QJS: &str = "node_modules/.bin/componentize-qjs";
/// What a plugin in Python is made a component with: below its directory.
const COMPONENTIZE_PY: &str = ".venv/bin/componentize-py";

/// Flags of `windlass plugin build`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Directory of the plugin.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where the component goes; NAME.wasm in the directory, where NAME is the directory's.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Builds the plugin, and says what came out.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = arguments.directory.canonicalize().map_err(|error| {
        Failure::Failed(format!("there is no directory {}: {error}", arguments.directory.display()))
    })?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = match &arguments.output {
        // Tools run in the plugin's directory, so that a path has to hold there, too.
        Some(file) => std::path::absolute(file).map_err(|error| Failure::Failed(error.to_string()))?,
        None => directory.join(format!("{name}.wasm")),
    };
    if directory.join("Cargo.toml").exists() {
        build_rust(&directory, &output)?;
    } else if directory.join("package.json").exists() {
        build_javascript(&directory, &output)?;
    } else if directory.join("requirements.txt").exists() {
        build_python(&directory, &output)?;
    } else {
        return Err(Failure::Usage(format!(
            "{} is no plugin's directory: it has neither Cargo.toml nor package.json nor requirements.txt; \
             `windlass plugin new` makes one",
            directory.display()
        )));
    }
    let bytes = std::fs::metadata(&output).map_err(|error| unwritten(&output, &error))?.len();
    output::write(&format!("{}: {bytes} bytes\n", output.display()))
}

fn build_rust(directory: &Path, output: &Path) -> Result<(), Failure> {
    let script = format!(
        r#"set -euo pipefail
{TOOLCHAIN}
toolchain=$(choose_toolchain)
if [ "$toolchain" = none ]; then no_toolchain 'windlass plugin build' 'the same'; exit 1; fi
hide_paths
rm -f "target/plugin/$toolchain/{MODULES}"/*.wasm
cargo_build_guest "$toolchain" target/plugin/"$toolchain" --quiet --lib
ls "target/plugin/$toolchain/{MODULES}"/*.wasm >target/plugin/module"#
    );
    let mut bash = Command::new("bash");
    // A user's machine gets no packages that the user did not ask for.
    tool(bash.args(["-c", &script]).env("WINDLASS_GUEST_INSTALL", "no"), directory, "bash")?;
    let listed = directory.join("target/plugin/module");
    let listed = std::fs::read_to_string(&listed).map_err(|error| unwritten(&listed, &error))?;
    let module = listed.lines().next().unwrap_or_default();
    let module =
        std::fs::read(directory.join(module)).map_err(|error| unwritten(Path::new(module), &error))?;
    let component =
        ComponentEncoder::default().validate(true).module(&module).and_then(|encoder| encoder.encode());
    let component = component.map_err(|error| {
        Failure::Failed(format!(
            "the module is no plugin: {error:#}; does it call `windlass_plugin::export!`?"
        ))
    })?;
    std::fs::write(output, component).map_err(|error| unwritten(output, &error))
}

fn build_javascript(directory: &Path, output: &Path) -> Result<(), Failure> {
    if !directory.join(COMPONENTIZE_QJS).exists() {
        tool(Command::new("npm").args(["install", "--no-audit", "--no-fund"]), directory, "npm")?;
    }
    let mut componentize = Command::new(directory.join(COMPONENTIZE_QJS));
    componentize.args(["--wit", "wit", "--world", "plugin", "--js", "plugin.js", "--module-root", "."]);
    componentize.args(["--sync", "--stub-wasi", "--output"]).arg(output);
    tool(&mut componentize, directory, COMPONENTIZE_QJS)
}

fn build_python(directory: &Path, output: &Path) -> Result<(), Failure> {
    if !directory.join(COMPONENTIZE_PY).exists() {
        tool(Command::new("python3").args(["-m", "venv", ".venv"]), directory, "python3")?;
        let mut pip = Command::new(directory.join(".venv/bin/pip"));
        tool(pip.args(["install", "--quiet", "-r", "requirements.txt"]), directory, "pip")?;
    }
    let mut componentize = Command::new(directory.join(COMPONENTIZE_PY));
    componentize
        .args(["-d", "wit", "-w", "plugin", "componentize", "--stub-wasi", "plugin", "-o"])
        .arg(output);
    tool(&mut componentize, directory, COMPONENTIZE_PY)
}

/// Runs a tool in the plugin's directory; what it says goes to standard error.
fn tool(command: &mut Command, directory: &Path, name: &str) -> Result<(), Failure> {
    let done = command.current_dir(directory).stdout(std::io::stderr()).status();
    match done {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(format!("{name} failed: {status}"))),
        Err(error) => Err(Failure::Failed(format!("cannot run {name}: {error}; is it installed?"))),
    }
}

fn unwritten(file: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", file.display()))
}
