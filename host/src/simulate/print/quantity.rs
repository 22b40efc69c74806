//! Amounts of a resource (`500m`, `64Mi`, `1e3`), in the form in which the API server gives them back.

/// Billionths of a unit: the finest amount that Kubernetes keeps.
const NANOS: i128 = 1_000_000_000;
/// Decimal suffixes, finest first, with the power of ten by which they multiply a billionth.
const DECIMAL: [(&str, u32); 10] =
    [("n", 0), ("u", 3), ("m", 6), ("", 9), ("k", 12), ("M", 15), ("G", 18), ("T", 21), ("P", 24), ("E", 27)];
/// Binary suffixes, finest first, with the power of two by which they multiply a unit.
const BINARY: [(&str, u32); 7] =
    [("", 0), ("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// An amount of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    nanos: i128,
    form: Form,
}

impl Quantity {
    /// One unit.
    pub(super) const ONE: Self = Self { nanos: NANOS, form: Form::Decimal };

    /// The amount that `text` names; `None` where it names none, or one past every resource.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits_end = text
            .find(|character: char| !matches!(character, '0'..='9' | '.' | '+' | '-'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        if let Some((_, power)) = BINARY.iter().skip(1).find(|(name, _)| *name == suffix) {
            let nanos = scaled(number, 9)?.checked_mul(1 << power)?;
            return Some(Self { nanos, form: Form::Binary });
        }
        if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
            return Some(Self { nanos: scaled(number, *power)?, form: Form::Decimal });
        }
        let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        let power = u32::try_from(exponent.checked_add(9)?).ok()?;
        Some(Self { nanos: scaled(number, power)?, form: Form::Exponent })
    }

    /// Whether the amount is more than nothing.
    pub(super) fn is_positive(self) -> bool {
        self.nanos > 0
    }

    /// How many of `divisor` hold the amount, both first rounded up to whole `10^-decimals`; `None` by nothing.
    pub(super) fn divided_up(self, divisor: Self, decimals: u32) -> Option<i128> {
        let unit = NANOS / 10_i128.checked_pow(decimals)?;
        let divisor = ceiling(divisor.nanos, unit);
        (divisor > 0).then(|| ceiling(ceiling(self.nanos, unit), divisor))
    }
}

impl std::fmt::Display for Quantity {
    /// The shortest whole number with a suffix, as upstream's canonical form.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nanos == 0 {
            return formatter.write_str("0");
        }
        let whole = self.nanos % NANOS == 0;
        if self.form == Form::Binary && whole && (self.nanos / NANOS).abs() >= 1024 {
            let units = self.nanos / NANOS;
            let fits = |(_, power): &&(&str, u32)| units % (1_i128 << power) == 0;
            let (suffix, power) = BINARY.iter().rev().find(fits).unwrap_or(&BINARY[0]);
            return write!(formatter, "{}{suffix}", units >> power);
        }
        let fits = |(_, power): &&(&str, u32)| self.nanos % 10_i128.pow(*power) == 0;
        let (suffix, power) = DECIMAL.iter().rev().find(fits).unwrap_or(&DECIMAL[0]);
        let amount = self.nanos / 10_i128.pow(*power);
        match (self.form, i64::from(*power) - 9) {
            (Form::Exponent, 0) | (Form::Decimal | Form::Binary, _) => write!(formatter, "{amount}{suffix}"),
            (Form::Exponent, exponent) => write!(formatter, "{amount}e{exponent}"),
        }
    }
}

/// `amount` in whole `unit`s, rounded away from nothing, as upstream rounds.
fn ceiling(amount: i128, unit: i128) -> i128 {
    let quotient = amount / unit;
    if amount % unit == 0 { quotient } else { quotient + amount.signum() }
}

/// A decimal number times `10^power`, rounded up to whole numbers.
fn scaled(number: &str, power: u32) -> Option<i128> {
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    let shift = i64::from(power) - i64::try_from(fraction.len()).ok()?;
    let factor = 10_i128.checked_pow(u32::try_from(shift.abs()).ok()?)?;
    let value = if shift >= 0 { value.checked_mul(factor)? } else { ceiling(value, factor) };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_given_back_in_canonical_form() {
        for (written, canonical) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1e0", "1"),
            ("0.1n", "1n"),
            ("2E", "2E"),
            ("-1", "-1"),
        ] {
            let parsed = Quantity::parse(written).map(|quantity| quantity.to_string());
            assert_eq!(parsed.as_deref(), Some(canonical), "of {written}");
        }
        for wrong in ["", "m", "1mm", "1.2.3", "one", "--1", "1e", "99999999999999999999999999999999E"] {
            assert_eq!(Quantity::parse(wrong), None, "of {wrong}");
        }
    }

    #[test]
    fn a_share_is_rounded_up() {
        let of = |amount: &str, divisor: &str, decimals| {
            Quantity::parse(amount)?.divided_up(Quantity::parse(divisor)?, decimals)
        };
        assert_eq!(of("1500m", "1", 3), Some(2));
        assert_eq!(of("1500m", "1m", 3), Some(1500));
        assert_eq!(of("1Gi", "1Mi", 0), Some(1024));
        assert_eq!(of("1", "0", 0), None);
    }
}
