//! What a ControllerRevision of a DaemonSet holds, and what it is called.
//!
//! Revisions are found by their data, byte for byte, whoever wrote them: data that differs from upstream's for the
//! same template would make a new revision, and roll every Pod, as soon as the other controller takes over. The hash
//! is only a name, read back from the object's label, so that ours need not be upstream's.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use serde_json::value::RawValue;

use super::canonical_json::{Members, Refusal, append_object, parse};
use crate::hash::{ALPHABET, Fnv32};
use crate::kube::{CONTROLLER_REVISION_HASH_LABEL, Labels, Str};

/// Most bytes of the set's name in that of a revision (upstream: history.ControllerRevisionName).
const MAX_PREFIX_LENGTH: usize = 223;

/// Why a template has no revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// It is not a JSON object.
    Malformed,
    /// It has more levels within each other than any Pod.
    TooDeep,
    /// It has a number that is neither a 64-bit integer nor a decimal of at most 15 digits; the Pod API has none.
    Number,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "the Pod template is not a JSON object",
            Self::TooDeep => "the Pod template has more levels within each other than any Pod",
            Self::Number => "the Pod template has a number that is neither an integer nor a short decimal",
        })
    }
}

impl core::error::Error for TemplateFault {}

impl From<Refusal> for TemplateFault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed,
            Refusal::TooDeep => Self::TooDeep,
            Refusal::Number => Self::Number,
        }
    }
}

/// The data of the revision for `template_json`, a DaemonSet's `spec.template` as the API server lists it: a strategic
/// merge patch that puts exactly this template back (upstream: getPatch).
///
/// Fields that this version does not know stay in it. The text must come from a list or a watch: the answer to a
/// write may show `[]` where the stored object has nothing.
///
/// # Errors
/// A [`TemplateFault`]; templates as they come from the API server have none.
pub fn data(template_json: &str) -> Result<String, TemplateFault> {
    let replace: Box<RawValue> = parse(r#""replace""#)?;
    let mut template: Members<'_> = parse(template_json)?;
    template.insert("$patch".to_owned(), &replace);
    let mut data = String::with_capacity(template_json.len() + 64);
    data.push_str(r#"{"spec":{"template":"#);
    append_object(&template, &mut data)?;
    data.push_str("}}");
    Ok(data)
}

/// The hash of a revision with this data, for its name and labels: at most ten letters, the same on every platform.
///
/// `collision_count` is `status.collisionCount` of the set: with each collision of names the hash becomes another. The
/// letters are those of the decimal digits of FNV-1a (32 bits), as upstream's; what is hashed is not: upstream hashes
/// its own types as Go prints them.
#[must_use]
pub fn hash(data: &str, collision_count: Option<i32>) -> Str {
    let mut hash = Fnv32::default();
    hash.write(data.as_bytes());
    if let Some(count) = collision_count {
        hash.write(&count.to_le_bytes());
    }
    let digits = hash.finish().to_string();
    let base = ALPHABET.len();
    let letter = |digit: u8| ALPHABET.get(usize::from(digit) % base).copied().unwrap_or(b'b');
    digits.bytes().map(|digit| char::from(letter(digit))).collect::<String>().into()
}

/// Name of the revision of the set `set_name` with this hash, cut so that the API server takes it.
///
/// Upstream's DaemonSet controller does not cut and is refused for names of more than 242 bytes; this cuts as
/// upstream's other controllers do, and then leaves out what a name must not have before a dash.
#[must_use]
pub fn name(set_name: &str, hash: &str) -> Str {
    let prefix = match set_name.get(..MAX_PREFIX_LENGTH) {
        Some(head) if set_name.len() > MAX_PREFIX_LENGTH => head.trim_end_matches(['.', '-']),
        _ => set_name,
    };
    format!("{prefix}-{hash}").into()
}

/// Labels of a new revision: the template's, by which the set's selector finds it, and its hash.
#[must_use]
pub fn labels(template_labels: &Arc<Labels>, hash: &Str) -> Arc<Labels> {
    let mut labels = template_labels.clone();
    Arc::make_mut(&mut labels).insert(CONTROLLER_REVISION_HASH_LABEL.into(), hash.clone());
    labels
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A JSON value whose printed form is chosen apart from what it means.
    #[derive(Clone, Debug)]
    enum Tree {
        Literal(&'static str),
        Integer(i64),
        Text(String),
        List(Vec<Tree>),
        Object(Vec<(String, Tree)>),
    }

    impl Tree {
        /// The value with or without spaces and escapes, members from the front or from the back.
        fn print(&self, turned: bool) -> String {
            let (open, comma) = if turned { (" \n", " ,\t") } else { ("", ",") };
            let string = |text: &String| {
                if !turned {
                    return serde_json::to_string(text).unwrap();
                }
                let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{units}\"")
            };
            match self {
                Self::Literal(text) => (*text).to_owned(),
                Self::Integer(number) => number.to_string(),
                Self::Text(text) => string(text),
                Self::List(items) => {
                    let items: Vec<String> = items.iter().map(|item| item.print(turned)).collect();
                    format!("[{open}{}]", items.join(comma))
                }
                Self::Object(members) => {
                    let print = |(key, value): &(String, Self)| {
                        format!("{}:{open}{}", string(key), value.print(turned))
                    };
                    let mut members: Vec<String> = members.iter().map(print).collect();
                    if turned {
                        members.reverse();
                    }
                    format!("{{{open}{}}}", members.join(comma))
                }
            }
        }
    }

    fn template() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Tree::Literal),
            any::<i64>().prop_map(Tree::Integer),
            any::<String>().prop_map(Tree::Text),
        ];
        let tree = leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Tree::Object(members.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-zA-Z!~]{0,5}", tree, 0..6)
            .prop_map(|members| Tree::Object(members.into_iter().collect()))
    }

    /// The template that `data` puts back.
    fn template_of(data: &str) -> String {
        data.strip_prefix(r#"{"spec":{"template":"#).unwrap().strip_suffix("}}").unwrap().to_owned()
    }

    #[test]
    fn data_is_the_whole_template_as_upstream_writes_it() {
        let template = r#"{"spec": {"restartPolicy":"Always","containers":[{"resources":{},"name":"main","args":["a<b && c>d","line\u2028separator","naïve"]}],"terminationGracePeriodSeconds":30},
            "metadata":{"labels":{"app":"logs"},"creationTimestamp":null}}"#;
        let expected = r#"{"spec":{"template":{"$patch":"replace","metadata":{"creationTimestamp":null,"labels":{"app":"logs"}},"spec":{"containers":[{"args":["a\u003cb \u0026\u0026 c\u003ed","line\u2028separator","naïve"],"name":"main","resources":{}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30}}}}"#;
        assert_eq!(data(template).as_deref(), Ok(expected));
    }

    #[test]
    fn what_is_no_object_has_no_revision() {
        for text in ["", "null", "[]", "{", "{} {}", "\"text\""] {
            assert_eq!(data(text), Err(TemplateFault::Malformed), "{text}");
        }
        assert_eq!(data(r#"{"a":1e999}"#), Err(TemplateFault::Number));
    }

    #[test]
    fn a_hash_is_upstreams_letters_for_the_digits_of_the_sum() {
        // FNV-1a (32 bits) of the empty text is 2166136261, of "a" 3826002220.
        assert_eq!(&*hash("", None), "65bb57b6b5");
        assert_eq!(&*hash("a", None), "7d6b446664");
    }

    #[test]
    fn a_hash_depends_on_the_collision_count() {
        let hashes = [None, Some(0), Some(1), Some(2)].map(|count| hash("{}", count));
        for (position, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..position].contains(hash), "{hashes:?}");
        }
    }

    #[test]
    fn a_name_is_never_longer_than_the_api_server_takes() {
        assert_eq!(&*name("logs", "6566575665"), "logs-6566575665");
        let long = "a".repeat(MAX_PREFIX_LENGTH);
        assert_eq!(*name(&long, "x"), format!("{long}-x"));
        assert_eq!(*name(&format!("{long}bcd"), "x"), format!("{long}-x"));
        let dotted = format!("{}.-.b", "a".repeat(MAX_PREFIX_LENGTH - 2));
        assert_eq!(*name(&dotted, "x"), format!("{}-x", "a".repeat(MAX_PREFIX_LENGTH - 2)));
        // No name of the API server has these, and none makes it panic.
        assert_eq!(*name(&"é".repeat(200), "x"), format!("{}-x", "é".repeat(200)));
    }

    #[test]
    fn labels_are_the_templates_and_the_hash() {
        let template: Labels =
            [("app".into(), "logs".into()), (CONTROLLER_REVISION_HASH_LABEL.into(), "old".into())].into();
        let expected: Labels =
            [("app".into(), "logs".into()), (CONTROLLER_REVISION_HASH_LABEL.into(), "new".into())].into();
        assert_eq!(*labels(&Arc::new(template), &"new".into()), expected);
    }

    proptest! {
        #[test]
        fn neither_order_nor_spaces_nor_escapes_of_the_template_matter(template in template()) {
            prop_assert_eq!(data(&template.print(false)), data(&template.print(true)));
        }

        #[test]
        fn data_of_the_template_that_it_puts_back_is_the_same(template in template()) {
            let once = data(&template.print(true)).unwrap();
            prop_assert_eq!(data(&template_of(&once)).unwrap(), once);
        }

        #[test]
        fn data_means_the_template_and_the_patch(template in template()) {
            let mut expected: serde_json::Value = serde_json::from_str(&template.print(false)).unwrap();
            expected["$patch"] = "replace".into();
            let found: serde_json::Value = serde_json::from_str(&data(&template.print(false)).unwrap()).unwrap();
            prop_assert_eq!(&found["spec"]["template"], &expected);
        }

        #[test]
        fn a_hash_is_a_label_and_part_of_a_name(text in any::<String>(), count in any::<Option<i32>>()) {
            let hash = hash(&text, count);
            prop_assert!((1..=10).contains(&hash.len()), "{}", hash);
            prop_assert!(hash.bytes().all(|letter| ALPHABET.contains(&letter)), "{}", hash);
        }
    }
}
