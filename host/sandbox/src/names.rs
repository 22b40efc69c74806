//! The forms of names, labels and keys, and upstream's words for what is wrong with one
//! (apimachinery, pkg/api/validate/content).

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_WORDS: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                           and must start and end with an alphanumeric character";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                               '-' or '.', and must start and end with an alphanumeric character";
const KEY_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                         alphanumeric character";
const VALUE_WORDS: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' \
                           or '.', and must start and end with an alphanumeric character";
const PERCENT_WORDS: &str = "a valid percent string must be a numeric string followed by an ending '%'";
/// Longest DNS label, label value, and name part of a key.
const MAX_LABEL: usize = 63;
/// Longest DNS subdomain.
const MAX_SUBDOMAIN: usize = 253;
/// What upstream calls bytes where names are too long (apimachinery, pkg/util/validation), and where the keys and
/// values of labels are (pkg/api/validate/content).
const NAME_UNIT: &str = "characters";
const KEY_UNIT: &str = "bytes";

/// What is wrong with `text` as a DNS label.
pub(crate) fn dns_label_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_LABEL {
        faults.push(too_long(MAX_LABEL, NAME_UNIT));
    }
    if !is_dns_label(text) {
        faults.push(if is_dns_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            form(LABEL_WORDS, LABEL_FORM, &["my-name", "123-abc"])
        });
    }
    faults
}

/// What is wrong with `text` as a DNS subdomain.
pub(crate) fn dns_subdomain_faults(text: &str) -> Vec<String> {
    subdomain_faults(text, NAME_UNIT)
}

fn subdomain_faults(text: &str, unit: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        faults.push(too_long(MAX_SUBDOMAIN, unit));
    }
    if !is_dns_subdomain(text) {
        faults.push(form(SUBDOMAIN_WORDS, &format!("{LABEL_FORM}(\\.{LABEL_FORM})*"), &["example.com"]));
    }
    faults
}

/// What is wrong with `text` as the key of a label, an annotation or a finalizer.
pub(crate) fn key_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(
                    subdomain_faults(prefix, KEY_UNIT)
                        .into_iter()
                        .map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
        Some(_) => {
            let words = form(KEY_WORDS, KEY_FORM, &["MyName", "my.name", "123-abc"]);
            faults.push(format!(
                "a valid label key {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return faults;
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        faults.push(format!("name part {}", too_long(MAX_LABEL, KEY_UNIT)));
    }
    if !is_key_part(name) {
        faults.push(format!("name part {}", form(KEY_WORDS, KEY_FORM, &["MyName", "my.name", "123-abc"])));
    }
    faults
}

/// What is wrong with `text` as the value of a label.
pub(crate) fn label_value_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_LABEL {
        faults.push(too_long(MAX_LABEL, KEY_UNIT));
    }
    if !text.is_empty() && !is_key_part(text) {
        faults.push(form(VALUE_WORDS, &format!("({KEY_FORM})?"), &["MyValue", "my_value", "12345"]));
    }
    faults
}

/// What is wrong with `prefix` as the start of a name that the server ends with letters.
pub(crate) fn name_prefix_faults(prefix: &str) -> Vec<String> {
    // As upstream (maskTrailingDash), a letter stands in for a dash at the end and what comes before it.
    let Some(head) = prefix.strip_suffix('-').filter(|head| !head.is_empty()) else {
        return dns_subdomain_faults(prefix);
    };
    let mut letters = head.chars();
    letters.next_back();
    dns_subdomain_faults(&format!("{}a", letters.as_str()))
}

/// What is wrong with `text` as a share in percent.
pub(crate) fn percent_faults(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![form(PERCENT_WORDS, "[0-9]+%", &["1%", "93%"])]
}

fn too_long(limit: usize, unit: &str) -> String {
    format!("must be no more than {limit} {unit}")
}

/// Upstream's sentence about a form (`RegexError`).
fn form(words: &str, expression: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{expression}')", examples.join(" or "))
}

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

fn is_key_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_name_is_described_in_upstreams_words() {
        assert_eq!(
            dns_subdomain_faults("A"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
              must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(dns_label_faults("a.b"), ["must not contain dots"]);
        assert!(dns_label_faults("a-1").is_empty());
        assert!(!dns_label_faults("a-").is_empty());
    }

    #[test]
    fn keys_may_have_one_prefix_and_values_may_be_empty() {
        assert!(key_faults("batch.kubernetes.io/job-tracking").is_empty());
        assert!(!key_faults("a/b/c").is_empty());
        assert!(!key_faults("/b").is_empty());
        assert!(label_value_faults("").is_empty());
        assert!(!label_value_faults("-a").is_empty());
    }

    #[test]
    fn a_prefix_of_a_name_may_end_in_a_dash() {
        assert!(name_prefix_faults("pi-").is_empty());
        assert!(!name_prefix_faults("Pi-").is_empty());
    }
}
