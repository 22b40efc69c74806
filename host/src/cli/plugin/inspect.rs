//! `windlass plugin inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use windlass_host::plugin::wasm::Options;
use windlass_host::plugin::wasm::inspect::{KNOWN_VERSION, inspect};

use super::super::output;
use super::super::values::Form;
use super::{Failure, load, plugin_file, read};

/// Flags of `windlass plugin inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin, or its directory.
    #[arg(value_name = "PLUGIN")]
    file: PathBuf,
    /// Form of the result.
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// What a plugin is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    name: String,
    version: String,
    decisions: Vec<&'static str>,
    interface_version: &'static str,
    imports: Vec<String>,
    exports: Vec<String>,
    wants: Vec<Want>,
    /// As JSON where it is that, else as text; absent where the plugin takes no settings.
    #[serde(skip_serializing_if = "Value::is_null")]
    settings_schema: Value,
    size_bytes: u64,
    digest: String,
}

#[derive(Serialize)]
struct Want {
    decision: String,
    fact: String,
}

/// Inspects, and prints what was found.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = plugin_file(&arguments.file);
    let found = inspect(&read(&file)?);
    let found = found.map_err(|fault| Failure::Failed(format!("{}: {fault}", file.display())))?;
    let plugin = load(&file, Options::deterministic())?;
    let description = plugin.description();
    let schema = &description.settings_schema;
    let account = Account {
        name: description.name.clone(),
        version: description.version.clone(),
        decisions: found.decisions.iter().map(|decision| decision.label()).collect(),
        interface_version: KNOWN_VERSION,
        imports: found.imports,
        exports: found.exports,
        wants: description
            .wants
            .iter()
            .map(|(decision, fact)| Want { decision: decision.clone(), fact: fact.clone() })
            .collect(),
        settings_schema: match serde_json::from_str(schema) {
            _ if schema.is_empty() => Value::Null,
            Ok(schema) => schema,
            Err(_) => Value::String(schema.clone()),
        },
        size_bytes: found.size_bytes,
        digest: found.digest.to_string(),
    };
    output::print(&account, arguments.output, text)
}

fn text(account: &Account) -> String {
    let mut text = String::new();
    let mut line = |title: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title:<12} {value}");
    };
    let lines =
        |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join("\n             ") };
    line("Name:", &account.name);
    line("Version:", &account.version);
    line("Decides:", &account.decisions.join(", "));
    line("Interface:", account.interface_version);
    line("Imports:", &lines(&account.imports));
    line("Exports:", &lines(&account.exports));
    let wants: Vec<String> =
        account.wants.iter().map(|Want { decision, fact }| format!("{fact} ({decision})")).collect();
    line("Wants:", &lines(&wants));
    line("Size:", &format!("{} bytes", account.size_bytes));
    line("Digest:", &account.digest);
    match &account.settings_schema {
        Value::Null => line("Settings:", "none"),
        Value::String(schema) => line("Settings:", schema),
        schema => line("Settings:", &schema.to_string()),
    }
    text
}
