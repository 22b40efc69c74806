//! The reference of the plugins' interface is the one that the contract gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use windlass_tests::program::workspace;
use windlass_tests::reference::{SOURCES, document};

/// Set, the document is written anew.
const UPDATE: &str = "UPDATE_REFERENCE";

#[test]
fn the_reference_of_the_interface_is_fresh() {
    let root = workspace();
    let sources =
        SOURCES.map(|source| std::fs::read_to_string(root.join(source)).expect("a file of the contract"));
    let fresh = document(&sources);
    let file = root.join("docs/policy-interface.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &fresh).expect("the document can be written");
    }
    let written = std::fs::read_to_string(&file).expect("there is docs/policy-interface.md");
    assert!(written == fresh, "docs/policy-interface.md is stale: run `make interface-reference`");
}
