//! docs/write-a-plugin.md, followed word for word in a clean directory.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use windlass_tests::program::{self, workspace};

use super::templates::tools;

/// A line that stands for any number of lines.
const ELISION: &str = "...";
/// The line behind which the document's line of code goes: `answer` begins with it.
const BEGINNING: &str = "function answer(settings, question) {\n";

/// The blocks of a document: language and text.
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                blocks.push((language, String::new()));
            }
            None if is_inside => {
                let (_, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// Runs a command of the document in `directory`; what it prints has to have the lines that are shown, in their order,
/// and others only where they are elided.
fn play(directory: &Path, command: &str, shown: &[&str]) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(program::windlass()).args(&words[1..]).current_dir(directory).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "{command}:\n{printed}");
    let mut rest = printed.lines();
    let mut may_skip = false;
    for line in shown {
        if *line == ELISION {
            may_skip = true;
            continue;
        }
        let found = if may_skip { rest.any(|printed| printed == *line) } else { rest.next() == Some(*line) };
        assert!(found, "`{command}` does not print {line:?} in its place:\n{printed}");
        may_skip = false;
    }
    assert!(may_skip || rest.next().is_none(), "`{command}` prints more:\n{printed}");
}

#[test]
fn the_way_to_a_plugin_of_ones_own_is_as_it_is_told() {
    let Some(modules) = tools("javascript", "the_way_to_a_plugin_of_ones_own_is_as_it_is_told") else {
        return;
    };
    let document = std::fs::read_to_string(workspace().join("docs/write-a-plugin.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut played = 0;
    for (language, text) in blocks(&document) {
        match language {
            "console" => {
                let lines: Vec<&str> = text.lines().collect();
                for (position, line) in lines.iter().enumerate() {
                    let Some(command) = line.strip_prefix("$ ") else { continue };
                    let shown = lines[position + 1..].iter().take_while(|line| !line.starts_with("$ "));
                    play(directory, command, &shown.copied().collect::<Vec<_>>());
                    played += 1;
                    if command.contains(" plugin new ") {
                        // What the first build would fetch.
                        symlink(&modules, directory.join("slow-start/node_modules")).unwrap();
                    }
                }
            }
            "yaml" if text.starts_with("- name") => {
                let file = directory.join("slow-start/cases.yaml");
                let cases = std::fs::read_to_string(&file).unwrap();
                std::fs::write(&file, cases + &text).unwrap();
            }
            "yaml" => std::fs::write(directory.join("job.yaml"), text).unwrap(),
            "javascript" => {
                let file = directory.join("slow-start/plugin.js");
                let source = std::fs::read_to_string(&file).unwrap();
                assert!(source.contains(BEGINNING), "{source}");
                std::fs::write(&file, source.replace(BEGINNING, &format!("{BEGINNING}{text}"))).unwrap();
            }
            other => panic!("a block in {other}"),
        }
    }
    assert_eq!(played, 6, "every command of the document is played");
}
