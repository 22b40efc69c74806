//! JSON as Go's encoding/json prints what it decoded without a type: the one form in which revisions are compared.
//!
//! Keys are sorted by bytes at every level, there is no white space, and strings are escaped for HTML. Numbers are
//! handled as text; see [`append_number`].

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Most levels of lists and objects within each other. The Pod API has about fifteen.
const MAX_DEPTH: u32 = 100;
/// Most significant decimal digits that a 64-bit float always gives back (C: DBL_DIG).
const EXACT_DIGITS: usize = 15;
/// Powers of ten within which every 64-bit float has its full precision (C: DBL_MIN_10_EXP, and one less than
/// DBL_MAX_10_EXP, since the largest begins with 1.79).
const EXACT_POWERS: core::ops::RangeInclusive<i64> = -307..=307;
/// Powers of ten that Go's encoder writes out; it uses an exponent for all others.
const PLAIN_POWERS: core::ops::Range<i64> = -6..21;

/// An object whose values are still the text that they were.
pub(super) type Members<'text> = BTreeMap<String, &'text RawValue>;

/// Why a text has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not JSON, or not of the shape that was asked for.
    Malformed,
    /// Its levels are more than [`MAX_DEPTH`].
    TooDeep,
    /// One of its numbers is neither a 64-bit integer nor exact as a 64-bit float.
    Number,
}

/// Appends `members` as an object.
pub(super) fn append_object(members: &Members<'_>, to: &mut String) -> Result<(), Refusal> {
    append_members(members, MAX_DEPTH, to)
}

/// `text` taken apart by one level; of a key that is there twice the last value stays, as in Go.
pub(super) fn parse<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| Refusal::Malformed)
}

fn append_members(members: &Members<'_>, depth: u32, to: &mut String) -> Result<(), Refusal> {
    let mut before = '{';
    for (key, value) in members {
        to.push(before);
        before = ',';
        append_string(key, to);
        to.push(':');
        append_value(value.get(), depth, to)?;
    }
    to.push_str(if members.is_empty() { "{}" } else { "}" });
    Ok(())
}

fn append_value(text: &str, depth: u32, to: &mut String) -> Result<(), Refusal> {
    let below = || depth.checked_sub(1).ok_or(Refusal::TooDeep);
    match text.bytes().next() {
        Some(b'{') => append_members(&parse(text)?, below()?, to),
        Some(b'[') => {
            let items: Vec<&RawValue> = parse(text)?;
            let depth = below()?;
            let mut before = '[';
            for item in &items {
                to.push(before);
                before = ',';
                append_value(item.get(), depth, to)?;
            }
            to.push_str(if items.is_empty() { "[]" } else { "]" });
            Ok(())
        }
        Some(b'"') => {
            append_string(&parse::<String>(text)?, to);
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => append_number(text, to),
        _ => {
            to.push_str(text);
            Ok(())
        }
    }
}

/// Escapes what Go's encoder escapes: quotes, backslashes, control characters, `<`, `>`, `&`, U+2028 and U+2029.
fn append_string(text: &str, to: &mut String) {
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\u{c}' => to.push_str("\\f"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                to.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    to.push(char::from_digit((u32::from(letter) >> shift) & 0xf, 16).unwrap_or('0'));
                }
            }
            _ => to.push(letter),
        }
    }
    to.push('"');
}

/// Appends a number as Go prints it that decoded it to an int64 where it fits and to a float64 otherwise.
///
/// No field of the Pod API is anything but an integer. A number that is none is written by its digits, without
/// floats: those are what Go prints as long as there are no more than [`EXACT_DIGITS`] and the power of ten is among
/// [`EXACT_POWERS`]. Beyond that Go rounds, and this refuses.
fn append_number(text: &str, to: &mut String) -> Result<(), Refusal> {
    if let Ok(integer) = text.parse::<i64>() {
        to.push_str(&integer.to_string());
        return Ok(());
    }
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.to_owned() + fraction;
    let digits = all.trim_start_matches('0');
    if negative {
        to.push('-');
    }
    if digits.is_empty() {
        to.push('0');
        return Ok(());
    }
    let exponent: i64 = exponent.parse().map_err(|_| Refusal::Number)?;
    // The power of ten of the first digit that counts.
    let length = |text: &str| i64::try_from(text.len()).map_err(|_| Refusal::Number);
    let power = exponent.saturating_add(length(digits)?).saturating_sub(length(fraction)?).saturating_sub(1);
    let digits = digits.trim_end_matches('0');
    if digits.len() > EXACT_DIGITS || !EXACT_POWERS.contains(&power) {
        return Err(Refusal::Number);
    }
    if PLAIN_POWERS.contains(&power) {
        append_plain(digits, power, to);
    } else {
        append_power(digits, power, to);
    }
    Ok(())
}

/// Digits of which the first counts ten to the `power`, written out.
fn append_plain(digits: &str, power: i64, to: &mut String) {
    if power < 0 {
        to.push_str("0.");
        (1..power.saturating_neg()).for_each(|_| to.push('0'));
        to.push_str(digits);
        return;
    }
    let mut left = digits.chars();
    (0..=power).for_each(|_| to.push(left.next().unwrap_or('0')));
    if !left.as_str().is_empty() {
        to.push('.');
        to.push_str(left.as_str());
    }
}

fn append_power(digits: &str, power: i64, to: &mut String) {
    let mut left = digits.chars();
    to.extend(left.next());
    if !left.as_str().is_empty() {
        to.push('.');
        to.push_str(left.as_str());
    }
    to.push_str(if power < 0 { "e-" } else { "e+" });
    to.push_str(&power.unsigned_abs().to_string());
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Result<String, Refusal> {
        let mut to = String::new();
        append_value(text, MAX_DEPTH, &mut to)?;
        Ok(to)
    }

    /// What Go's encoder makes of a float64, from the shortest digits that Rust prints of it.
    fn as_go_prints(float: f64) -> String {
        let power: i64 = format!("{float:e}").split_once('e').unwrap().1.parse().unwrap();
        if float == 0.0 || PLAIN_POWERS.contains(&power) {
            return format!("{float}");
        }
        let text = format!("{float:e}");
        if power > 0 { text.replace('e', "e+") } else { text }
    }

    #[test]
    fn numbers_are_as_go_prints_them() {
        // Decoded and encoded by sigs.k8s.io/json and encoding/json of Go 1.26.
        let pairs = [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0"),
            ("0.0", "0"),
            ("0e5", "0"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("-1.5e+2", "-150"),
            ("123456789012345678", "123456789012345678"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("123e19", "1.23e+21"),
            ("100000000000000000000000", "1e+23"),
            ("1e-6", "0.000001"),
            ("1e-7", "1e-7"),
            ("12.5e-8", "1.25e-7"),
        ];
        for (text, expected) in pairs {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn numbers_that_go_would_round_or_refuse_are_refused() {
        let texts = [
            "9223372036854775808",
            "0.1234567890123456789",
            "1e308",
            "1E400",
            "1e-308",
            "1e99999999999999999999",
        ];
        for text in texts {
            assert_eq!(canonical(text), Err(Refusal::Number), "{text}");
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = r#""<>&\u2028\u2029\u0000\u0001\u001F\u007f\b\f\n\r\t\/\"\\ \u00e9\ud83d\ude00""#;
        let expected =
            "\"\\u003c\\u003e\\u0026\\u2028\\u2029\\u0000\\u0001\\u001f\u{7f}\\b\\f\\n\\r\\t/\\\"\\\\ é😀\"";
        assert_eq!(canonical(text).as_deref(), Ok(expected));
        assert_eq!(canonical(r#""\ud800""#), Err(Refusal::Malformed), "half a surrogate pair");
    }

    #[test]
    fn keys_are_sorted_by_bytes_and_escaped_and_the_last_of_two_stays() {
        let text =
            r#" { "\ud83d\ude00": 1, "\ue000": 2, "b": [ ], "B": { }, "<": null, "b": [true, false] } "#;
        let expected = "{\"\\u003c\":null,\"B\":{},\"b\":[true,false],\"\u{e000}\":2,\"😀\":1}";
        assert_eq!(canonical(text.trim()).as_deref(), Ok(expected));
    }

    #[test]
    fn levels_without_end_are_refused_before_the_stack_ends() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(canonical(&nested(MAX_DEPTH as usize)).is_ok());
        assert_eq!(canonical(&nested(MAX_DEPTH as usize + 1)), Err(Refusal::TooDeep));
        assert_eq!(canonical(&nested(100_000)), Err(Refusal::TooDeep));
    }

    proptest! {
        #[test]
        fn a_number_of_few_digits_is_as_go_prints_the_float(
            digits in 0_u64..1_000_000_000_000_000,
            exponent in -300_i32..290,
            negative: bool,
            point in any::<bool>(),
        ) {
            let sign = if negative { "-" } else { "" };
            let text = if point { format!("{sign}0.{digits:015}e{exponent}") } else { format!("{sign}{digits}E{exponent}") };
            let float: f64 = text.parse().unwrap();
            prop_assert_eq!(canonical(&text), Ok(as_go_prints(float)));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = canonical(&text);
        }

        #[test]
        fn a_string_comes_back_as_it_was(text in any::<String>()) {
            let mut encoded = String::new();
            append_string(&text, &mut encoded);
            let unsafe_in_html = ['<', '>', '&', '\u{2028}', '\u{2029}', '\n'];
            prop_assert!(!encoded.contains(unsafe_in_html), "{}", encoded);
            prop_assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text);
        }
    }
}
