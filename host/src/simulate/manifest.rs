//! Manifests as people write them: YAML of one or more documents, or JSON; told apart by nothing, since JSON is YAML.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use serde_saphyr::{MessageFormatter as _, Spanned, UserMessageFormatter};
use windlass_sandbox::ApplyError;

use super::policies::PolicyFault;

/// Most documents in one file.
const MAX_DOCUMENTS: usize = 100_000;
/// Most scalars, lists and maps in one file.
const MAX_NODES: usize = 10_000_000;

/// Annotation of an object that is applied so many seconds after the start of the simulation, and not at the start: what
/// is there by then is changed.
pub const APPLY_AFTER: &str = "sandbox.windlass.dev/apply-after-seconds";

/// One object of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// Its kind, as written.
    pub kind: String,
    /// Kind and name as a person would call it, such as `Job "pi"`.
    pub title: String,
    /// The object as JSON.
    pub text: String,
    /// When it is applied, milliseconds after the start; absent: at the start.
    pub apply_at_ms: Option<u64>,
}

impl Document {
    /// The document that `object` makes, which stands at `place`.
    #[must_use]
    pub fn new(place: Place, object: &Value) -> Self {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let metadata = object.get("metadata");
        let name =
            metadata.and_then(|metadata| metadata.get("name").or_else(|| metadata.get("generateName")));
        let called = if kind.is_empty() { "an object without kind" } else { &kind };
        let title = name
            .and_then(Value::as_str)
            .map_or_else(|| called.to_owned(), |name| format!("{called} {name:?}"));
        Self { place, kind, title, text: object.to_string(), apply_at_ms: None }
    }

    /// The document that `object` makes, applied when its annotation [`APPLY_AFTER`] says so.
    fn timed(place: Place, object: &Value) -> Result<Self, ManifestFault> {
        let document = Self::new(place, object);
        let Some(asked) = object.pointer("/metadata/annotations").and_then(|all| all.get(APPLY_AFTER)) else {
            return Ok(document);
        };
        let seconds = asked.as_str().and_then(|text| text.parse::<u32>().ok());
        let Some(seconds) = seconds else {
            let Self { place, title, .. } = document;
            return Err(ManifestFault::ApplyAfter { place, object: title, found: asked.to_string() });
        };
        Ok(Self { apply_at_ms: Some(u64::from(seconds) * 1_000), ..document })
    }
}

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file as it was given.
    pub source: Arc<str>,
    /// Line of its first word, from 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.source, self.line)
    }
}

/// What is wrong with a manifest: its author's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// The text is neither YAML nor JSON.
    Syntax {
        /// Name of the file.
        source: Arc<str>,
        /// Line and column where it stops making sense, from 1, as far as they are known.
        at: Option<(u64, u64)>,
        /// What was found there.
        found: String,
    },
    /// A document is no object.
    NotAnObject {
        /// Where it stands.
        place: Place,
        /// What it is instead.
        found: &'static str,
    },
    /// The object was not taken.
    Apply {
        /// Where it stands.
        place: Place,
        /// Kind and name as written.
        object: String,
        /// Why.
        error: ApplyError,
    },
    /// The annotation [`APPLY_AFTER`] says no time.
    ApplyAfter {
        /// Where the document stands.
        place: Place,
        /// Kind and name as written.
        object: String,
        /// What the annotation says.
        found: String,
    },
    /// A PolicyPlugin or PolicyBinding cannot be taken.
    Policy {
        /// Where it stands.
        place: Place,
        /// Kind and name as written.
        object: String,
        /// Why, for people.
        reason: String,
    },
    /// The plugins that were given beside the manifests cannot be used.
    Plugins(PolicyFault),
    /// There is no object at all.
    Empty {
        /// Name of the file.
        source: Arc<str>,
    },
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { source, at: Some((line, column)), found } => {
                write!(formatter, "{source}:{line}:{column}: not a manifest in YAML or JSON: {found}")
            }
            Self::Syntax { source, at: None, found } => {
                write!(formatter, "{source}: not a manifest in YAML or JSON: {found}")
            }
            Self::NotAnObject { place, found } => {
                write!(
                    formatter,
                    "{place}: a manifest is an object with apiVersion and kind; this is {found}"
                )
            }
            Self::Apply { place, object, error: ApplyError::Refused(status) } => {
                write!(formatter, "{place}: {object} is refused: {}", causes(&status.message))
            }
            Self::Apply { place, object, error } => write!(formatter, "{place}: {object}: {error}"),
            Self::ApplyAfter { place, object, found } => write!(
                formatter,
                "{place}: {object}: {APPLY_AFTER} takes whole seconds in quotes, such as \"600\"; this is {found}"
            ),
            Self::Policy { place, object, reason } => {
                write!(formatter, "{place}: {object} is refused: {reason}")
            }
            Self::Plugins(fault) => fault.fmt(formatter),
            Self::Empty { source } => write!(formatter, "{source}: there is no manifest in it"),
        }
    }
}

impl std::error::Error for ManifestFault {}

/// The objects in `text`, which `source` names; the items of a `v1 List` count one by one.
///
/// # Errors
/// A [`ManifestFault`] for text that is no YAML, for a document that is no object, and for no document at all.
pub fn read_documents(source: &str, text: &str) -> Result<Vec<Document>, ManifestFault> {
    let source: Arc<str> = source.into();
    let options = serde_saphyr::options! {
        // Kubernetes reads YAML 1.1, in which `defaultMode: 0644` is octal.
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
    };
    let read: Vec<Spanned<Value>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax(&source, &error))?;
    let mut documents = Vec::new();
    for document in read {
        let place = Place { source: source.clone(), line: document.referenced.line() };
        push(&mut documents, &place, document.value)?;
    }
    if documents.is_empty() {
        return Err(ManifestFault::Empty { source });
    }
    Ok(documents)
}

/// The objects that `value` is, which stands at `place`; the items of a `v1 List` count one by one.
///
/// # Errors
/// A [`ManifestFault`] where it is no object.
pub fn documents_of(place: &Place, value: Value) -> Result<Vec<Document>, ManifestFault> {
    let mut documents = Vec::new();
    push(&mut documents, place, value)?;
    Ok(documents)
}

fn push(documents: &mut Vec<Document>, place: &Place, value: Value) -> Result<(), ManifestFault> {
    let found = match &value {
        Value::Object(_) => None,
        Value::Null => Some("nothing"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some("a single word"),
        Value::Array(_) => Some("a list"),
    };
    if let Some(found) = found {
        return Err(ManifestFault::NotAnObject { place: place.clone(), found });
    }
    if value.get("kind").and_then(Value::as_str) == Some("List")
        && let Some(Value::Array(items)) = value.get("items")
    {
        return items.iter().try_for_each(|item| push(documents, place, item.clone()));
    }
    let mut value = value;
    remove_nulls(&mut value);
    documents.push(Document::timed(place.clone(), &value)?);
    Ok(())
}

/// Removes fields that are null: to the API they are absent, and templates of manifests are full of them.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn syntax(source: &Arc<str>, error: &serde_saphyr::Error) -> ManifestFault {
    let location = error.location().filter(|location| location.line() > 0);
    ManifestFault::Syntax {
        source: source.clone(),
        at: location.map(|location| (location.line(), location.column())),
        found: UserMessageFormatter.format_message(error.without_snippet()).into_owned(),
    }
}

/// The API server's message with each of its causes on a line of its own, as kubectl sets them.
fn causes(message: &str) -> String {
    let Some((head, list)) = message.split_once(": [") else { return message.to_owned() };
    let Some(list) = list.strip_suffix(']') else { return message.to_owned() };
    let mut lines = vec![format!("{head}:")];
    // A cause begins with its field and a colon; a comma inside a cause is followed by other words.
    for part in list.split(", ") {
        let begins = part.split_once(": ").is_some_and(|(field, _)| is_field_path(field));
        match lines.last_mut() {
            Some(last) if !begins && last.starts_with("* ") => {
                last.push_str(", ");
                last.push_str(part);
            }
            _ => lines.push(format!("* {part}")),
        }
    }
    lines.join("\n")
}

/// Whether `text` may name a field: `spec.template.spec.containers[0].image`.
fn is_field_path(text: &str) -> bool {
    ["metadata", "spec", "status"].iter().any(|root| {
        text.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }) && !text.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        read_documents("jobs.yaml", text).expect_err("a fault").to_string()
    }

    #[test]
    fn documents_and_items_of_lists_come_one_by_one_with_their_lines() {
        let text = "# a comment\n---\nkind: Job\nmetadata: {name: a}\n---\n---\nkind: List\nitems:\n- kind: Pod\n- kind: Node\n";
        let documents = read_documents("jobs.yaml", text).expect("documents");
        let seen: Vec<(String, &str)> =
            documents.iter().map(|document| (document.place.to_string(), document.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("jobs.yaml:3".to_owned(), r#"{"kind":"Job","metadata":{"name":"a"}}"#),
                ("jobs.yaml:7".to_owned(), r#"{"kind":"Pod"}"#),
                ("jobs.yaml:7".to_owned(), r#"{"kind":"Node"}"#),
            ]
        );
    }

    #[test]
    fn an_annotation_says_when_a_document_is_applied() {
        let timed = |seconds: &str| {
            format!("kind: Job\nmetadata: {{name: a, annotations: {{{APPLY_AFTER}: {seconds}}}}}\n")
        };
        let documents = read_documents("jobs.yaml", &timed("\"90\"")).expect("a document");
        assert_eq!(documents[0].apply_at_ms, Some(90_000));
        for (seconds, found) in [("90", "90"), ("\"soon\"", "\"soon\""), ("\"-1\"", "\"-1\"")] {
            let told = format!(
                "jobs.yaml:1: Job \"a\": {APPLY_AFTER} takes whole seconds in quotes, such as \"600\"; this is {found}"
            );
            assert_eq!(fault(&timed(seconds)), told);
        }
    }

    #[test]
    fn json_is_read_too() {
        let documents = read_documents("-", "{\n  \"kind\": \"Job\",\n\t\"spec\": {\"parallelism\": 2}\n}\n");
        assert_eq!(documents.expect("a document")[0].text, r#"{"kind":"Job","spec":{"parallelism":2}}"#);
    }

    #[test]
    fn scalars_mean_what_kubernetes_takes_them_for() {
        let text = "mode: 0644\nsuspend: yes\nquoted: \"5\"\nversion: 1.20\n";
        let documents = read_documents("-", text).expect("a document");
        assert_eq!(documents[0].text, r#"{"mode":420,"quoted":"5","suspend":true,"version":1.2}"#);
    }

    #[test]
    fn fields_that_are_null_are_absent() {
        let documents =
            read_documents("-", "kind: Pod\nmetadata:\n  labels:\nspec:\n  list: [{a: ~, b: 1}]\n");
        let text = documents.expect("a document").remove(0).text;
        assert_eq!(text, r#"{"kind":"Pod","metadata":{},"spec":{"list":[{"b":1}]}}"#);
    }

    #[test]
    fn text_that_is_no_yaml_is_told_with_line_and_column() {
        let told = fault("kind: Job\nspec: [1, 2\nmore: }\n");
        assert!(told.starts_with("jobs.yaml:3:"), "{told}");
        let told = fault("kind: Job\nkind: Pod\n");
        assert!(told.starts_with("jobs.yaml:2:1: ") && told.contains("kind"), "{told}");
    }

    #[test]
    fn documents_that_are_no_objects_are_told_by_what_they_are() {
        assert_eq!(
            fault("---\nhello\n"),
            "jobs.yaml:2: a manifest is an object with apiVersion and kind; this is a single word"
        );
        assert_eq!(fault("# nothing\n"), "jobs.yaml: there is no manifest in it");
    }

    #[test]
    fn causes_stand_on_lines_of_their_own() {
        let message = "Job.batch \"x\" is invalid: [spec.parallelism: Invalid value: -1: must be greater, or equal, \
                       spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"]";
        assert_eq!(
            causes(message),
            "Job.batch \"x\" is invalid:\n* spec.parallelism: Invalid value: -1: must be greater, or equal\n\
             * spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
        );
        assert_eq!(causes("jobs.batch \"x\" already exists"), "jobs.batch \"x\" already exists");
    }
}
