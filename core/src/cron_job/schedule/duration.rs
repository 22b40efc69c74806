//! Lengths of time as Go writes them (`time.ParseDuration`), such as `1h30m`.

/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;
/// One more than the longest duration of Go, nanoseconds: a negative one may be as long as this.
const TOO_LONG_NS: u64 = 1 << 63;

/// Why a text is no length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationFault {
    /// There is no number where one must be.
    NoNumber,
    /// A number has no unit after it.
    NoUnit,
    /// A unit is none of those that Go knows.
    UnknownUnit,
    /// It is longer than 292 years.
    TooLong,
}

/// Whole seconds of the length of time that `text` names, as robfig/cron's `Every` takes it: a second at least,
/// and parts of a second left out.
pub(super) fn interval_s(text: &str) -> Result<i64, DurationFault> {
    let (negative, ns) = parse_ns(text)?;
    if negative || ns < SECOND_NS {
        Ok(1)
    } else {
        i64::try_from(ns / SECOND_NS).map_err(|_| DurationFault::TooLong)
    }
}

/// Whether it is negative, and its length in nanoseconds.
fn parse_ns(text: &str) -> Result<(bool, u64), DurationFault> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok((false, 0));
    }
    if rest.is_empty() {
        return Err(DurationFault::NoNumber);
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        // Go's sum of two halves of its range comes round to zero and passes; so does this one.
        total = total.wrapping_add(part);
        if total > TOO_LONG_NS {
            return Err(DurationFault::TooLong);
        }
        rest = after;
    }
    if !negative && total >= TOO_LONG_NS { Err(DurationFault::TooLong) } else { Ok((negative, total)) }
}

/// Nanoseconds of one number with its unit, and what follows it.
fn parse_part(text: &str) -> Result<(u64, &str), DurationFault> {
    let (digits, mut rest) = split_digits(text);
    let mut number = 0_u64;
    for digit in digits.bytes() {
        if number > TOO_LONG_NS / 10 {
            return Err(DurationFault::TooLong);
        }
        number = number * 10 + u64::from(digit - b'0');
        if number > TOO_LONG_NS {
            return Err(DurationFault::TooLong);
        }
    }
    let mut fraction_digits = "";
    if let Some(after_point) = rest.strip_prefix('.') {
        (fraction_digits, rest) = split_digits(after_point);
    }
    if digits.is_empty() && fraction_digits.is_empty() {
        return Err(DurationFault::NoNumber);
    }
    let unit_end = rest.find(|letter: char| letter == '.' || letter.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit_ns = match unit {
        "" => return Err(DurationFault::NoUnit),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND_NS,
        "m" => 60 * SECOND_NS,
        "h" => 3_600 * SECOND_NS,
        _ => return Err(DurationFault::UnknownUnit),
    };
    if number > TOO_LONG_NS / unit_ns {
        return Err(DurationFault::TooLong);
    }
    let ns = number * unit_ns + fraction_ns(fraction_digits, unit_ns);
    if ns > TOO_LONG_NS { Err(DurationFault::TooLong) } else { Ok((ns, rest)) }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()))
}

/// Nanoseconds of the digits after a point. Go rounds as a double does, and so must this, for the second that is
/// cut off later may hang on it: `digits * (unit / 10^n)`.
fn fraction_ns(digits: &str, unit_ns: u64) -> u64 {
    let mut number = 0_u64;
    let mut scale = Double::from(1);
    for digit in digits.bytes() {
        // Further digits are not significant.
        if number > (TOO_LONG_NS - 1) / 10 {
            break;
        }
        let longer = number * 10 + u64::from(digit - b'0');
        if longer > TOO_LONG_NS {
            break;
        }
        number = longer;
        scale = scale.times(Double::from(10));
    }
    if number == 0 { 0 } else { Double::from(number).times(Double::from(unit_ns).over(scale)).floor() }
}

/// A positive binary floating-point number of 53 bits, rounded to nearest and ties to even as IEEE 754 has it,
/// but with an exponent that never overflows. `mantissa * 2^exponent`.
#[derive(Clone, Copy)]
struct Double {
    mantissa: u64,
    exponent: i32,
}

impl Double {
    fn from(number: u64) -> Self {
        Self::rounded(u128::from(number), 0)
    }

    fn times(self, other: Self) -> Self {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa);
        Self::rounded(product, self.exponent.saturating_add(other.exponent))
    }

    fn over(self, other: Self) -> Self {
        let dividend = u128::from(self.mantissa) << 74;
        let divisor = u128::from(other.mantissa).max(1);
        // A remainder is told by one bit far below those that are kept.
        let quotient = (dividend / divisor) << 1 | u128::from(dividend % divisor != 0);
        Self::rounded(quotient, self.exponent.saturating_sub(other.exponent).saturating_sub(75))
    }

    fn rounded(mantissa: u128, exponent: i32) -> Self {
        let surplus = (128 - mantissa.leading_zeros()).saturating_sub(53);
        let kept = u64::try_from(mantissa >> surplus).unwrap_or(u64::MAX);
        let rest = mantissa & ((1_u128 << surplus) - 1);
        let half = (1_u128 << surplus) >> 1;
        let up = surplus > 0 && (rest > half || rest == half && kept & 1 == 1);
        // 2^53 itself is exact, so that a carry needs no second rounding.
        Self { mantissa: kept + u64::from(up), exponent: exponent.saturating_add(surplus.cast_signed()) }
    }

    fn floor(self) -> u64 {
        if self.exponent >= 0 {
            self.mantissa.checked_shl(self.exponent.unsigned_abs()).unwrap_or(u64::MAX)
        } else {
            self.mantissa.checked_shr(self.exponent.unsigned_abs()).unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_go() {
        for (text, seconds) in [
            ("1h30m", 5_400),
            ("90m", 5_400),
            ("1.5h", 5_400),
            ("+10s", 10),
            ("-10s", 1),
            ("0", 1),
            ("-0", 1),
            ("999ms", 1),
            ("1999ms", 1),
            ("1000000\u{b5}s", 1),
            ("2000000000ns", 2),
            (".5m", 30),
            ("5.m", 300),
            ("2562047h47m16.854775807s", 9_223_372_036),
            ("-9223372036854775808ns9223372036854775808ns", 1),
        ] {
            assert_eq!(interval_s(text), Ok(seconds), "{text}");
        }
        for (text, fault) in [
            ("", DurationFault::NoNumber),
            ("-", DurationFault::NoNumber),
            (".s", DurationFault::NoNumber),
            ("h", DurationFault::NoNumber),
            (" 1h", DurationFault::NoNumber),
            ("1", DurationFault::NoUnit),
            ("1h1", DurationFault::NoUnit),
            ("1d", DurationFault::UnknownUnit),
            ("1h ", DurationFault::UnknownUnit),
            ("2562047h47m16.854775808s", DurationFault::TooLong),
            ("9223372036854775809ns", DurationFault::TooLong),
            ("99999999999999999999h", DurationFault::TooLong),
        ] {
            assert_eq!(interval_s(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn rounding_is_that_of_a_double() {
        let mut state = 7_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let (number, digits) = (state >> (1 + state % 50), state % 30);
            let (mut scale, mut by_hand) = (1.0_f64, Double::from(1));
            for _ in 0..digits {
                scale *= 10.0;
                by_hand = by_hand.times(Double::from(10));
            }
            for unit in [1_000_u64, 60 * SECOND_NS, 3_600 * SECOND_NS] {
                let expected = number as f64 * (unit as f64 / scale);
                if number > 0 && expected < 1e18 {
                    let found = Double::from(number).times(Double::from(unit).over(by_hand)).floor();
                    assert_eq!(found, expected as u64, "{number} * ({unit} / 1e{digits})");
                }
            }
        }
    }
}
