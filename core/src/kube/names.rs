//! What Kubernetes lets names look like (upstream: apimachinery validate/content).

/// Longest label value, and longest name part of a label key, in bytes.
const MAX_LABEL_LENGTH: usize = 63;
/// Longest DNS subdomain, in bytes.
const MAX_SUBDOMAIN_LENGTH: usize = 253;

/// Whether `text` may be the key of a label: a name, perhaps after a DNS subdomain and a slash.
#[must_use]
pub fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

/// Whether `text` may be the value of a label: a name, or nothing.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

/// Whether `text` is a DNS subdomain in lower case, as names of most objects are.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part = |part: &str| {
        part.bytes().all(is_inner) && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= MAX_SUBDOMAIN_LENGTH && text.split('.').all(is_part)
}

fn is_label_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= MAX_LABEL_LENGTH
        && text.bytes().all(is_inner)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_keys_are_told_from_other_texts() {
        let longest = "a".repeat(63);
        let long_prefix = "a".repeat(253);
        for key in ["a", "A", "9", "a.b_c-D", "example.com/a", "a-b.c/A", &longest] {
            assert!(is_label_key(key), "{key}");
        }
        assert!(is_label_key(&alloc::format!("{long_prefix}/{longest}")));
        assert!(!is_label_key(&alloc::format!("{long_prefix}a/a")));
        assert!(!is_label_key(&alloc::format!("{longest}a")));
        for key in
            ["", "/", "a/", "/a", "a/b/c", "A/b", "-a", "a-", ".a", "a_", "a b", "ä", "a..b/c", "-a/b", "a\n"]
        {
            assert!(!is_label_key(key), "{key}");
        }
    }

    #[test]
    fn label_values_are_told_from_other_texts() {
        for value in ["", "a", "007", "a..b", "A-_.z", &"9".repeat(63)] {
            assert!(is_label_value(value), "{value}");
        }
        for value in ["-5", "+5", "a/b", " ", "a-", "_", "ß", &"9".repeat(64)] {
            assert!(!is_label_value(value), "{value}");
        }
    }
}
