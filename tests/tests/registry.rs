//! Plugins in a registry, which is a real one: pushed and pulled by the program, and loaded by a digest.
//!
//! A machine that can have no registry skips this, and says so.

use std::path::Path;

use windlass_tests::guests::Guest;
use windlass_tests::program::run;
use windlass_tests::registry::Registry;

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_plugin_is_pushed_and_what_its_digest_names_is_pulled() {
    let Some(registry) = Registry::start("a_plugin_is_pushed_and_what_its_digest_names_is_pulled") else {
        return;
    };
    let (first, second) =
        (Guest::retry_after_ms(1_000).component(), Guest::retry_after_ms(2_000).component());
    let file = registry.directory().join("retry.wasm");
    let reference = format!("{}/policies/retry:1.0", registry.address());
    std::fs::write(&file, &first).expect("a file");
    let pushed = run(&["plugin", "push", &shown(&file), &reference], "");
    assert_eq!(pushed.code, Some(0), "{}", pushed.err);
    let by_digest = pushed.out.trim().to_owned();
    assert!(by_digest.starts_with(&format!("{}/policies/retry@sha256:", registry.address())), "{by_digest}");

    // A tag moves; what a digest names does not.
    std::fs::write(&file, &second).expect("a file");
    assert_eq!(run(&["plugin", "push", &shown(&file), &reference], "").code, Some(0));
    let pulled = registry.directory().join("pulled.wasm");
    for (reference, expected) in [(&by_digest, &first), (&reference, &second)] {
        let outcome = run(&["plugin", "pull", reference, "-o", &shown(&pulled)], "");
        assert_eq!(outcome.code, Some(0), "{}", outcome.err);
        assert_eq!(std::fs::read(&pulled).expect("a file"), *expected);
    }

    // What is no plugin goes nowhere: the tag is what it was. What is not there is told in one sentence.
    std::fs::write(&file, b"no component").expect("a file");
    assert_eq!(run(&["plugin", "push", &shown(&file), &reference], "").code, Some(1));
    std::fs::remove_file(&pulled).expect("what was pulled before");
    assert_eq!(run(&["plugin", "pull", &reference, "-o", &shown(&pulled)], "").code, Some(0));
    assert_eq!(std::fs::read(&pulled).expect("a file"), second);
    let none = format!("{}/policies/none:1.0", registry.address());
    let outcome = run(&["plugin", "pull", &none, "-o", &shown(&pulled)], "");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("manifest unknown") && outcome.err.lines().count() == 1, "{}", outcome.err);

    // Bytes that were changed in the registry's storage are not what the digest names, and are not kept.
    let blobs = registry.directory().join("data/docker/registry/v2/blobs/sha256");
    let layer = windlass_host::plugin::Digest::of(&first).to_string();
    let layer = layer.trim_start_matches("sha256:");
    std::fs::write(blobs.join(&layer[..2]).join(layer).join("data"), &second).expect("a blob");
    std::fs::remove_file(&pulled).expect("what was pulled before");
    let outcome = run(&["plugin", "pull", &by_digest, "-o", &shown(&pulled)], "");
    assert_eq!(outcome.code, Some(1), "{}", outcome.out);
    assert!(outcome.err.contains(&format!("Invalid digest. Expected sha256:{layer}")), "{}", outcome.err);
    assert!(!pulled.exists(), "bytes that are not what was named were kept");
}
