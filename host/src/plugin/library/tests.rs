//! A directory that changes, with a loader that makes plugins of single bytes.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::plugin::directory;
use crate::plugin::fake::FakeLoader;

/// A directory that is gone when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("windlass-library-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Replaces a file as a careful author does: the new one is another file.
    fn put(&self, name: &str, bytes: &[u8]) {
        let partial = self.0.join(".partial");
        fs::write(&partial, bytes).expect("a file");
        fs::rename(partial, self.0.join(name)).expect("a file");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn look(library: &mut Library, directory: &Path, at_once: bool) -> Update {
    library.look(&directory::offers(directory).expect("a directory"), at_once)
}

fn digests(set: &PolicySet) -> Vec<(String, u8)> {
    let digest = |loaded: &Arc<Loaded>| {
        let identity = loaded.plugin().identity();
        (identity.name.to_string(), identity.digest.0[0])
    };
    set.plugins().map(digest).collect()
}

#[test]
fn what_is_there_at_the_start_is_loaded_at_once_and_what_comes_later_once_it_has_settled() {
    let directory = Directory::new("settled");
    directory.put("a.wasm", &[1]);
    directory.put("note.txt", &[1]);
    directory.put(".b.wasm", &[1]);
    let mut library = Library::new(Arc::new(FakeLoader));
    let update = look(&mut library, &directory.0, true);
    assert_eq!(digests(&update.set.expect("plugins")), [("a".to_owned(), 1)]);
    directory.put("b.wasm", &[2]);
    let update = look(&mut library, &directory.0, false);
    assert!(update.set.is_none() && update.news.is_empty(), "it may be in the middle of a copy");
    let update = look(&mut library, &directory.0, false);
    assert_eq!(digests(&update.set.expect("plugins")), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    let update = look(&mut library, &directory.0, false);
    assert!(update.set.is_none() && update.news.is_empty());
}

#[test]
fn a_bad_version_is_told_once_and_the_good_one_decides_on() {
    let directory = Directory::new("bad");
    directory.put("a.wasm", &[1]);
    let mut library = Library::new(Arc::new(FakeLoader));
    look(&mut library, &directory.0, true);
    directory.put("a.wasm", b"bad");
    look(&mut library, &directory.0, false);
    let update = look(&mut library, &directory.0, false);
    assert!(update.set.is_none(), "nothing changes");
    let kept = Some(Digest([1; 32]));
    let refused = News::Refused { name: "a".into(), fault: LoadFault::DecidesNothing, kept };
    assert_eq!(update.news, [refused]);
    assert!(look(&mut library, &directory.0, false).news.is_empty(), "told once");
    // Another plugin changes the set, and the good version is still in it.
    directory.put("b.wasm", &[2]);
    look(&mut library, &directory.0, false);
    let update = look(&mut library, &directory.0, false);
    assert_eq!(digests(&update.set.expect("plugins")), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    directory.put("a.wasm", &[3]);
    look(&mut library, &directory.0, false);
    let update = look(&mut library, &directory.0, false);
    assert!(matches!(&update.news[..], [News::Loaded { before, .. }] if *before == kept));
    assert_eq!(digests(&update.set.expect("plugins"))[0], ("a".to_owned(), 3));
}

#[test]
fn a_file_that_was_only_touched_changes_nothing_and_one_that_is_gone_decides_no_more() {
    let directory = Directory::new("gone");
    directory.put("a.wasm", &[1]);
    let mut library = Library::new(Arc::new(FakeLoader));
    look(&mut library, &directory.0, true);
    directory.put("a.wasm", &[1]);
    look(&mut library, &directory.0, false);
    let update = look(&mut library, &directory.0, false);
    assert!(update.set.is_none() && update.news.is_empty());
    fs::remove_file(directory.0.join("a.wasm")).expect("a file");
    let update = look(&mut library, &directory.0, false);
    assert_eq!(update.news, [News::Removed { name: "a".into(), digest: Some(Digest([1; 32])) }]);
    assert!(digests(&update.set.expect("a set")).is_empty());
}
