//! On a real control plane, Jobs, CronJobs and DaemonSets look the same with the built-in controllers and with Windlass, row by row.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use windlass_control_plane::or_skip;
use windlass_side_by_side::compare::compare;

/// The binary beside this test's own directory.
fn windlass() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let profile = own.ancestors().nth(2).context("the test is not in a target directory")?;
    let binary = profile.join("windlass");
    ensure!(binary.is_file(), "{} is absent: build it with `make build`", binary.display());
    Ok(binary)
}

#[test]
fn every_row_looks_as_with_the_built_in_controller() -> Result<()> {
    let test = "every_row_looks_as_with_the_built_in_controller";
    let Some(rows) = or_skip(test, compare(&windlass()?, &["--engine", "wasm"], ""))? else { return Ok(()) };
    let table: Vec<String> = rows.iter().map(ToString::to_string).collect();
    println!("{}", table.join("\n"));
    assert!(rows.len() > 100, "only {} scenarios were run", rows.len());
    let different: Vec<String> = rows.iter().filter(|row| !row.is_equal()).map(ToString::to_string).collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let differences = include_str!("../../../docs/differences.md");
    for title in rows.iter().flat_map(|row| row.declared()) {
        ensure!(differences.contains(&format!("| {title} |")), "docs/differences.md has no row {title:?}");
    }
    Ok(())
}
