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

/// A loader for which the machine fails at first.
struct Unlucky(std::sync::atomic::AtomicU32);

impl Loader for Unlucky {
    fn load_within(
        &self,
        name: &str,
        bytes: &[u8],
        limits: crate::plugin::resource::Limits,
    ) -> Result<Arc<dyn crate::plugin::Plugin>, LoadFault> {
        use std::sync::atomic::Ordering;
        if self.0.fetch_sub(1, Ordering::Relaxed) > 1 {
            return Err(LoadFault::NoCompiler("no process".to_owned()));
        }
        FakeLoader.load_within(name, bytes, limits)
    }
}

#[test]
fn what_failed_in_passing_is_tried_again_later_each_time() {
    let directory = Directory::new("passing");
    directory.put("a.wasm", &[1]);
    let mut library = Library::new(Arc::new(Unlucky(3.into())));
    let told = look(&mut library, &directory.0, true).news;
    assert!(matches!(&told[..], [News::Refused { fault: LoadFault::NoCompiler(_), .. }]), "{told:?}");
    let looks_until = |library: &mut Library, is_over: fn(&Library) -> bool| {
        (1..2_000).find(|_| {
            let news = look(library, &directory.0, false).news;
            assert!(!matches!(&news[..], [News::Refused { .. }]), "told once");
            is_over(library)
        })
    };
    let tries = |library: &Library| library.state("a").0.is_some();
    assert_eq!(
        looks_until(&mut library, tries),
        Some((FIRST_RETRY_LOOKS + 2 * FIRST_RETRY_LOOKS) as usize),
        "the second try fails as well"
    );
    assert_eq!(library.state("a").1, None);
}

#[test]
fn nothing_waits_for_a_load_and_one_of_what_is_offered_no_more_changes_nothing() {
    let directory = Directory::new("slow");
    directory.put("a.wasm", &[1]);
    directory.put("b.wasm", &[2]);
    let mut library = Library::new(Arc::new(FakeLoader));
    let survey = |library: &mut Library, at_once| {
        library.survey(&directory::offers(&directory.0).expect("a directory"), at_once)
    };
    assert!(survey(&mut library, true).set.is_none(), "nothing is loaded yet");
    let slow = library.next_load().expect("a load");
    assert_eq!(&**slow.name(), "a");
    // While it goes on, it is not begun again.
    survey(&mut library, true);
    let other = library.next_load().expect("a load");
    assert_eq!(&**other.name(), "b");
    assert!(library.next_load().is_none());
    let update = library.settle(other.run());
    assert_eq!(digests(&update.set.expect("plugins")), [("b".to_owned(), 2)]);
    // The file is another by now: what was begun for the first is let go.
    directory.put("a.wasm", &[3]);
    survey(&mut library, true);
    assert!(library.settle(slow.run()).set.is_none());
    let newest = library.next_load().expect("a load").run();
    assert_eq!(digests(&library.settle(newest).set.expect("plugins"))[0], ("a".to_owned(), 3));
    // And so is what was begun for a file that is gone.
    directory.put("a.wasm", &[4]);
    survey(&mut library, true);
    let late = library.next_load().expect("a load").run();
    fs::remove_file(directory.0.join("a.wasm")).expect("a file");
    survey(&mut library, true);
    let update = library.settle(late);
    assert!(update.set.is_none() && update.news.is_empty());
}
