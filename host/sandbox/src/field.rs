//! Faults of fields, worded as upstream's field errors (apimachinery, pkg/util/validation/field).

use std::fmt::{self, Display};

/// The faults of one object, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Appends the faults of a part of the object, whose paths begin at `prefix`.
    pub(crate) fn append_under(&mut self, prefix: &str, part: &Self) {
        for fault in &part.0 {
            self.add(format!("{prefix}.{fault}"));
        }
    }

    pub(crate) fn required(&mut self, path: impl Display, detail: &str) {
        self.push(path, "Required value", detail);
    }

    pub(crate) fn forbidden(&mut self, path: impl Display, detail: &str) {
        self.push(path, "Forbidden", detail);
    }

    /// A value that is shown as it is written in JSON: numbers bare, text in quotes.
    pub(crate) fn invalid(&mut self, path: impl Display, value: impl Display, detail: &str) {
        self.push(path, &format!("Invalid value: {value}"), detail);
    }

    pub(crate) fn invalid_text(&mut self, path: impl Display, value: &str, detail: &str) {
        self.push(path, &format!("Invalid value: {value:?}"), detail);
    }

    /// A fault whose value is not shown.
    pub(crate) fn invalid_unshown(&mut self, path: impl Display, detail: &str) {
        self.push(path, "Invalid value", detail);
    }

    pub(crate) fn duplicate(&mut self, path: impl Display, value: impl Display) {
        self.push(path, &format!("Duplicate value: {value}"), "");
    }

    pub(crate) fn not_supported(&mut self, path: impl Display, value: &str, supported: &[&str]) {
        self.not_supported_value(path, format_args!("{value:?}"), supported);
    }

    /// As [`Self::not_supported`], for a value that is shown as it is written.
    pub(crate) fn not_supported_value(
        &mut self,
        path: impl Display,
        value: impl Display,
        supported: &[&str],
    ) {
        let list: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        self.push(
            path,
            &format!("Unsupported value: {value}"),
            &format!("supported values: {}", list.join(", ")),
        );
    }

    pub(crate) fn too_many(&mut self, path: impl Display, count: usize, limit: usize) {
        self.push(path, &format!("Too many: {count}"), &format!("must have at most {limit} items"));
    }

    pub(crate) fn too_long(&mut self, path: impl Display, limit: usize) {
        self.push(path, "Too long", &format!("may not be more than {limit} bytes"));
    }

    pub(crate) fn not_negative(&mut self, path: impl Display, value: i64) {
        if value < 0 {
            self.invalid(path, value, "must be greater than or equal to 0");
        }
    }

    fn push(&mut self, path: impl Display, body: &str, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.add(format!("{path}: {body}{colon}{detail}"));
    }

    fn add(&mut self, fault: String) {
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }
}

impl Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => formatter.write_str(one),
            many => write!(formatter, "[{}]", many.join(", ")),
        }
    }
}
