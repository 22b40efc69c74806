//! The rules of the tree that no compiler checks: documents name what exists, files stay readable, and
//! dependencies are licensed as deny.toml allows.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file longer than this is two things.
const MAX_LINES: usize = 700;
/// The only file that may hold unsafe code, besides generated bindings.
const UNSAFE_FILE: &str = "host/src/engine/wasm/precompiled.rs";
/// Where bindings are generated.
const BINDINGS: [&str; 2] = ["core/component/", "plugins/sdk/rust/src/bindings.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is inside the tree").to_path_buf()
}

/// Files of the tree as git knows them, untracked ones included and ignored ones not.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the tree");
    assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("file names are text");
    let read = |name: &str| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?));
    let files: Vec<_> = names.lines().filter_map(read).collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

fn is_source(name: &str) -> bool {
    name.ends_with(".rs") || name.ends_with(".go")
}

#[test]
fn no_source_file_is_longer_than_one_thing() {
    let long: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| is_source(name) && text.lines().count() > MAX_LINES)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "longer than {MAX_LINES} lines: {long:#?}");
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let marks = ["/wo".to_owned() + "rk/", "/ro".to_owned() + "ot/", "/ho".to_owned() + "me/"];
    let found: Vec<_> = files()
        .into_iter()
        .filter(|(name, _)| !name.ends_with(".lock") && !name.ends_with(".sum"))
        .flat_map(|(name, text)| {
            let lines = text.lines().enumerate();
            let hit = |line: &str| marks.iter().any(|mark| line.contains(mark.as_str()));
            lines.filter(|(_, line)| hit(line)).map(|(n, _)| format!("{name}:{}", n + 1)).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn unsafe_code_is_allowed_in_one_file_only() {
    let words = ["allow", "expect"].map(|word| format!("{word}(unsafe{}", "_code"));
    let allows = |text: &str| words.iter().any(|word| text.contains(word.as_str()));
    let found: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| is_source(name) && allows(text))
        .filter(|(name, _)| !BINDINGS.iter().any(|bindings| name.starts_with(bindings)))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, [UNSAFE_FILE]);
}

#[test]
fn nothing_is_left_unfinished_in_silence() {
    let marks = ["to".to_owned() + "do!(", "unimpl".to_owned() + "emented!(", "FIX".to_owned() + "ME"];
    let found: Vec<_> = files()
        .into_iter()
        .filter(|(name, text)| is_source(name) && marks.iter().any(|mark| text.contains(mark.as_str())))
        .map(|(name, _)| name)
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_link_of_a_document_leads_to_a_file() {
    let mut broken = Vec::new();
    let mut links = 0;
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        let folder = root().join(&name).parent().expect("a file has a folder").to_path_buf();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            links += 1;
            let file = target.split('#').next().unwrap_or(target);
            if !folder.join(file).exists() {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(links > 10, "only {links} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("there is a Makefile");
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let mut missing = Vec::new();
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        for target in text.split("`make ").skip(1).filter_map(|rest| rest.split(['`', ' ']).next()) {
            if !target.is_empty() && !targets.contains(target) {
                missing.push(format!("{name}: make {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_the_feature_table_names_exists() {
    let table = fs::read_to_string(root().join("docs/features.md")).expect("there is a table of features");
    let sources: Vec<_> = files().into_iter().filter(|(name, _)| !name.ends_with(".md")).collect();
    let mut proofs = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains("proof:")) {
        for proof in row.split("proof:").skip(1).filter_map(|rest| rest.split('`').nth(1)) {
            proofs += 1;
            let known =
                sources.iter().any(|(name, text)| name == proof || text.contains(&format!("fn {proof}(")));
            assert!(known, "docs/features.md names `{proof}`, which is neither a file nor a test");
        }
    }
    assert!(proofs > 0, "the table of features names no proof");
}

#[test]
fn every_dependency_is_licensed_as_deny_toml_allows() {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("there is a deny.toml");
    let allow =
        deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("deny.toml has a list");
    let allowed: BTreeSet<&str> = allow.split('"').skip(1).step_by(2).collect();
    let excepted: Vec<(&str, &str)> = deny
        .lines()
        .filter_map(|line| {
            let quoted: Vec<&str> = line.split('"').collect();
            (line.contains("crate =") && line.contains("allow =")).then(|| (quoted[1], quoted[3]))
        })
        .collect();
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo tells its metadata");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    assert!(packages.len() > 50, "only {} packages were found", packages.len());
    let mut refused = Vec::new();
    for package in packages {
        let (name, licence) =
            (package["name"].as_str().unwrap_or(""), package["license"].as_str().unwrap_or(""));
        let fits = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|requirement| {
                let text = requirement.to_string();
                allowed.contains(text.as_str()) || excepted.contains(&(name, text.as_str()))
            })
        });
        if !fits {
            refused.push(format!("{name}: {licence:?}"));
        }
    }
    assert!(refused.is_empty(), "not allowed by deny.toml: {refused:#?}");
}
