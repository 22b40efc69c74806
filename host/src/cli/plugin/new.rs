//! `windlass plugin new`: a directory with a plugin that builds, and cases that pass.

use std::path::{Path, PathBuf};

use super::super::output;
use super::Failure;
use super::template::{self, Decision, File};

/// Most characters of a plugin's name: that of a label's value, which it may become.
const MAX_NAME: usize = 63;

/// What git should not keep of a plugin's directory.
const GITIGNORE: &str = "*.wasm\ntarget/\nnode_modules/\n.venv/\n__pycache__/\n";

/// Flags of `windlass plugin new`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Name of the plugin: small letters, digits and hyphens. A directory of that name is made.
    #[arg(value_parser = name)]
    name: String,
    /// What it decides.
    #[arg(long, value_enum)]
    decision: Decision,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Where the directory is made.
    #[arg(long = "in", value_name = "DIRECTORY", default_value = ".")]
    parent: PathBuf,
}

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Language {
    /// Small and fast: microseconds a call.
    Rust,
    /// One and a half megabytes.
    #[value(name = "javascript")]
    JavaScript,
    /// Eighteen megabytes.
    Python,
}

/// Makes the directory, and says what to do next.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let directory = match arguments.parent.as_path() {
        // As a person would write it.
        here if here == Path::new(".") => PathBuf::from(&arguments.name),
        parent => parent.join(&arguments.name),
    };
    std::fs::create_dir(&directory).map_err(|error| {
        Failure::Failed(format!("cannot make the directory {}: {error}", directory.display()))
    })?;
    for (path, text) in files(arguments.language, arguments.decision) {
        write(&directory.join(path), &text.replace("__NAME__", &arguments.name))?;
    }
    let directory = directory.display();
    output::write(&format!(
        "{directory} decides about {}. Next:\n  \
         windlass plugin build {directory}\n  \
         windlass plugin test {directory}\n",
        arguments.decision.label()
    ))
}

/// The files of a new plugin.
fn files(language: Language, decision: Decision) -> Vec<(PathBuf, &'static str)> {
    let template = template::template(decision);
    let mut files: Vec<(PathBuf, &'static str)> = Vec::new();
    let mut add = |file: File| files.push((PathBuf::from(file.0), file.1));
    add((".gitignore", GITIGNORE));
    add(("cases.yaml", template.cases));
    match language {
        Language::Rust => {
            add(("Cargo.toml", template::RUST_MANIFEST));
            add(("src/lib.rs", template.rust));
            let vendored = Path::new("windlass-plugin");
            files.extend(template::RUST_SDK.iter().map(|(path, text)| (vendored.join(path), *text)));
            return files;
        }
        Language::JavaScript => {
            add(("package.json", template::JAVASCRIPT_MANIFEST));
            add(("plugin.js", template.javascript));
            add(("windlass.js", template::JAVASCRIPT_SHARED));
        }
        Language::Python => {
            add(("requirements.txt", template::PYTHON_REQUIREMENTS));
            add(("plugin.py", template.python));
            add(("windlass.py", template::PYTHON_SHARED));
        }
    }
    add(("wit/deps/plugin/plugin.wit", template::PLUGIN_CONTRACT));
    files.push((PathBuf::from(format!("wit/{}.wit", decision.label())), template.contract));
    files
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}

/// A name that is good for a package in each language, for a file, and for an annotation.
fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    if begins_well && text.bytes().all(plain) && !text.ends_with('-') && text.len() <= MAX_NAME {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "a name begins with a small letter, and goes on with small letters, digits and hyphens, at most {MAX_NAME} in all"
        ))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_name_is_good_everywhere() {
        assert_eq!(name("slow-start2"), Ok("slow-start2".to_owned()));
        for wrong in ["", "2fast", "Slow", "a_b", "a-", "../a", &"a".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_template_names_itself_and_has_what_it_is_built_from() {
        for decision in Decision::value_variants() {
            for (language, manifest) in [
                (Language::Rust, "Cargo.toml"),
                (Language::JavaScript, "package.json"),
                (Language::Python, "requirements.txt"),
            ] {
                let files = files(language, *decision);
                let has = |name: &str| files.iter().any(|(path, _)| path == Path::new(name));
                assert!(has(manifest) && has("cases.yaml"), "{decision:?} {language:?}");
                assert!(files.iter().any(|(_, text)| text.contains("__NAME__")), "{decision:?} {language:?}");
            }
        }
    }
}
