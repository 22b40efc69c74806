//! Names of a DaemonSet's Pods: upstream's prefix, and a suffix that says which incarnation for which node this is.
//!
//! As for Jobs, whoever derives the name of the same Pod from the same view gets the same name, so that the API server
//! refuses the second of two creates. The node counts by its uid: one that comes back under its name is another.

use crate::hash::{Fnv, suffix};
use crate::kube::{DaemonSet, DaemonTemplate, PreparedTemplate, Str};

/// Most attempts looked at for one name: past it the last is given though taken, and AlreadyExists settles it.
const MAX_ATTEMPTS: u32 = 1 << 12;

/// Name of the Pod of `set` for the node with `node_uid` and the revision with this hash: of the attempts, the lowest
/// whose name is not `taken`, which must know every Pod of the namespace that the cache holds.
#[must_use]
pub fn pod_name(set: &DaemonSet, node_uid: &str, hash: &str, taken: &dyn Fn(&str) -> bool) -> Str {
    let prefix = DaemonTemplate::name_prefix(set);
    let mut attempt: u32 = 0;
    loop {
        let mut fnv = Fnv::default();
        for part in [&*set.metadata.uid, node_uid, hash] {
            fnv.write(part.as_bytes());
            // A byte that no text contains ends each.
            fnv.write(&[0xff]);
        }
        fnv.write(&attempt.to_le_bytes());
        let name = PreparedTemplate::pod_name(&prefix, &suffix(&fnv));
        if attempt == MAX_ATTEMPTS || !taken(&name) {
            return name;
        }
        attempt = attempt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::kube::ObjectMeta;

    fn set() -> DaemonSet {
        let metadata = ObjectMeta { name: "logs".into(), uid: "set-uid".into(), ..ObjectMeta::default() };
        DaemonSet { metadata, ..DaemonSet::default() }
    }

    #[test]
    fn a_name_is_the_same_for_the_same_view_and_another_for_all_else() {
        let name = |node: &str, hash: &str| pod_name(&set(), node, hash, &|_| false);
        assert_eq!(name("n-1", "abc"), name("n-1", "abc"));
        let mut names = BTreeSet::new();
        for node in 0..200 {
            for hash in ["abc", "abd"] {
                names.insert(name(&format!("node-{node}"), hash));
            }
        }
        assert_eq!(names.len(), 400);
        assert!(names.iter().all(|name| name.starts_with("logs-") && name.len() == 10), "{names:?}");
        assert_ne!(name("n-1a", "bc"), name("n-1", "abc"));
    }

    #[test]
    fn a_taken_name_leaves_the_next() {
        let first = pod_name(&set(), "n", "h", &|_| false).to_string();
        let second = pod_name(&set(), "n", "h", &|name| name == first);
        assert_ne!(*second, *first);
        assert_eq!(pod_name(&set(), "n", "h", &|_| true).len(), 10, "it ends");
    }
}
