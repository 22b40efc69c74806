//! The plugins of plugins/examples and those that are kept, by the program and their cases.

use std::process::Command;

use windlass_tests::program::{Outcome, workspace};

use super::windlass;

/// What plugins/build says where a machine has no toolchain for guests.
const UNAVAILABLE: i32 = 77;

/// Every file in a directory with that ending, by name.
fn files(directory: &str, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(workspace().join(directory)).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort_unstable();
    files
}

#[test]
fn every_example_passes_its_cases() {
    let built = Command::new(workspace().join("plugins/build")).output().unwrap();
    if built.status.code() == Some(UNAVAILABLE) {
        println!("SKIPPED every_example_passes_its_cases: no toolchain for wasm32-unknown-unknown");
        return;
    }
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let examples = std::fs::read_dir(workspace().join("plugins/examples")).unwrap();
    let mut names: Vec<String> =
        examples.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let plugin = format!("target/plugins/{name}.wasm");
        let cases = format!("plugins/examples/{name}/cases.yaml");
        let Outcome { code, out, err } = windlass(&["plugin", "test", &plugin, &cases], "");
        assert_eq!(code, Some(0), "{name}:\n{out}{err}");
    }
}

#[test]
fn every_kept_plugin_passes_its_cases_and_scenarios() {
    let plugins = files("tests/kept/0.1.0", "wasm");
    assert!(plugins.len() >= 5, "{plugins:?}");
    for plugin in plugins {
        let cases = plugin.with_extension("json").display().to_string();
        let plugin = plugin.display().to_string();
        let Outcome { code, out, err } = windlass(&["plugin", "test", &plugin, &cases], "");
        assert_eq!(code, Some(0), "{plugin}:\n{out}{err}");
    }
}
