//! How a command prints its result.

use std::fmt::Display;
use std::io::{self, Write as _};

use serde::Serialize;

use super::Failure;
use super::values::Form;

/// Prints `document` in the form that was asked for; for people, what `text` makes of it.
pub(super) fn print<T: Serialize>(
    document: &T,
    form: Form,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let failed = |error: &dyn Display| Failure::Failed(format!("cannot write the result: {error}"));
    let printed = match form {
        Form::Text => text(document),
        Form::Json => serde_json::to_string_pretty(document).map_err(|error| failed(&error))? + "\n",
        Form::Yaml => serde_saphyr::to_string(document).map_err(|error| failed(&error))?,
    };
    write(&printed)
}

/// Prints a text as it is.
///
/// A reader that has seen enough and closed the pipe is no failure.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Failed(format!("cannot write the result: {error}"))),
    }
}
