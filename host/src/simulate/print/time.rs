//! Instants as kubectl writes them.

use windlass_core::kube::Time;

/// The instant in the form of RFC 1123 with a numeric zone, in UTC: `Sun, 22 Nov 2026 09:57:48 +0000`.
pub(super) fn rfc_1123(time: Time) -> String {
    jiff::Timestamp::from_second(time.unix_seconds).map_or_else(
        |_| time.to_string(),
        |instant| instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_two_digits_and_the_zone_is_numeric() {
        assert_eq!(rfc_1123(Time::from_unix_seconds(1_767_225_600)), "Thu, 01 Jan 2026 00:00:00 +0000");
    }
}
