//! Events, as far as they are printed.

use serde::Deserialize;
use windlass_core::kube::{Str, Time};

use super::columns::Columns;
use super::duration::human_duration;

/// A v1 Event, as far as it is printed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrintedEvent {
    /// Normal or Warning.
    #[serde(rename = "type")]
    pub kind: Str,
    /// Why, in CamelCase.
    pub reason: Str,
    /// For people.
    pub message: Str,
    /// Object that it is about.
    pub involved_object: Regarding,
    /// Who says so.
    pub source: Source,
    /// Who says so, in newer Events.
    pub reporting_component: Str,
    /// When it was first seen.
    pub first_timestamp: Option<Time>,
    /// When it was last seen.
    pub last_timestamp: Option<Time>,
    /// When it was first seen, in newer Events.
    pub event_time: Option<Time>,
    /// How often it was seen.
    pub count: i32,
    /// How often and when it was seen again, in newer Events.
    pub series: Option<Series>,
}

/// The object that an Event is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Regarding {
    /// Kind.
    pub kind: Str,
    /// Uid.
    pub uid: Str,
    /// Part of the object.
    pub field_path: Str,
}

/// Who reported an Event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Component.
    pub component: Str,
}

/// A run of Events that say the same.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Series {
    /// How often it was seen.
    pub count: i32,
    /// When it was last seen.
    pub last_observed_time: Option<Time>,
}

/// Writes the last part of a description: the Events by the time when they were last seen.
pub(super) fn describe_events(out: &mut Columns, events: &[PrintedEvent], now_unix_ms: i64) {
    if events.is_empty() {
        out.line(0, format_args!("Events:\t<none>"));
        return;
    }
    let mut by_time: Vec<&PrintedEvent> = events.iter().collect();
    by_time.sort_by_key(|event| event.last_timestamp);
    out.flush();
    out.line(0, format_args!("Events:"));
    out.line(1, format_args!("Type\tReason\tAge\tFrom\tMessage"));
    out.line(1, format_args!("----\t------\t----\t----\t-------"));
    for event in by_time {
        let source = if event.source.component.is_empty() {
            &event.reporting_component
        } else {
            &event.source.component
        };
        let age = age(event, now_unix_ms);
        let path = &event.involved_object.field_path;
        let separator = if path.is_empty() { "" } else { ": " };
        let message = event.message.trim();
        out.line(
            1,
            format_args!("{}\t{}\t{age}\t{source}\t{path}{separator}{message}", event.kind, event.reason),
        );
    }
}

/// How long before `now_unix_ms` the instant was, shortened.
pub(super) fn since(time: Option<Time>, now_unix_ms: i64) -> String {
    time.map_or_else(
        || "<unknown>".to_owned(),
        |time| human_duration(now_unix_ms.saturating_sub(time.unix_ms())),
    )
}

fn age(event: &PrintedEvent, now_unix_ms: i64) -> String {
    let first = since(event.event_time.or(event.first_timestamp), now_unix_ms);
    if let Some(series) = &event.series {
        return format!("{} (x{} over {first})", since(series.last_observed_time, now_unix_ms), series.count);
    }
    if event.count > 1 {
        return format!("{} (x{} over {first})", since(event.last_timestamp, now_unix_ms), event.count);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_events_say_how_often_and_since_when() {
        let event = PrintedEvent {
            kind: "Warning".into(),
            reason: "FailedCreate".into(),
            message: " no quota\n".into(),
            reporting_component: "job-controller".into(),
            first_timestamp: Some(Time::from_unix_seconds(100)),
            last_timestamp: Some(Time::from_unix_seconds(400)),
            count: 7,
            ..PrintedEvent::default()
        };
        let mut out = Columns::of_describe();
        describe_events(&mut out, &[event], 460_000);
        assert_eq!(
            out.finish(),
            [
                "Events:\n",
                "  Type     Reason        Age               From            Message\n",
                "  ----     ------        ----              ----            -------\n",
                "  Warning  FailedCreate  60s (x7 over 6m)  job-controller  no quota\n",
            ]
            .concat()
        );
    }
}
