//! docs/policy-interface.md, made from the contract in wit/: what a plugin is asked and may answer.

use std::fmt::Write as _;

/// Files of the contract that concern a plugin, in the order of the document.
pub const SOURCES: [&str; 6] = [
    "wit/plugin/plugin.wit",
    "wit/policy/backoff/0.1.0/backoff.wit",
    "wit/policy/schedule/0.1.0/schedule.wit",
    "wit/policy/missed-runs/0.1.0/missed-runs.wit",
    "wit/policy/rollout/0.1.0/rollout.wit",
    "wit/policy/admission/0.1.0/admission.wit",
];

/// What the core asks the host is none of a plugin's business.
const NOT_FOR_PLUGINS: &str = "ask";

/// The document, from the text of each of [`SOURCES`].
#[must_use]
pub fn document(sources: &[String]) -> String {
    let mut document = String::from(
        "# Interface of policy plugins\n\n\
         Made from [wit/](../wit) by `make interface-reference`; a test holds it to that. Units are in names. What a question carries\n\
         as `facts` is what the plugin's description wants, as far as the host knows it. A plugin imports `windlass:plugin/log` and\n\
         nothing else, and exports `windlass:plugin/meta` and `policy` of each decision that it makes.\n",
    );
    for source in sources {
        package(source, &mut document);
    }
    document
}

/// Adds one package.
fn package(source: &str, document: &mut String) {
    let mut doc: Vec<&str> = Vec::new();
    let mut interface = "";
    let mut fields = false;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
            continue;
        }
        let told = doc.join(" ");
        // Writing to a String cannot fail.
        let _ = if let Some(name) = line.strip_prefix("package ") {
            writeln!(document, "\n## {}\n\n{told}", name.trim_end_matches(';'))
        } else if let Some(name) = opened(line, "interface ") {
            interface = name;
            if name == NOT_FOR_PLUGINS {
                Ok(())
            } else {
                writeln!(document, "\n### Interface `{name}`\n\n{told}")
            }
        } else if opened(line, "world ").is_some() {
            interface = NOT_FOR_PLUGINS;
            Ok(())
        } else if interface == NOT_FOR_PLUGINS {
            Ok(())
        } else if let Some(name) = opened(line, "record ") {
            fields = true;
            writeln!(document, "\n**record `{name}`**: {told}\n\n| Field | Type | Meaning |\n|---|---|---|")
        } else if let Some(name) = opened(line, "variant ") {
            fields = true;
            writeln!(
                document,
                "\n**variant `{name}`**: {told}\n\n| Case | Carries | Meaning |\n|---|---|---|"
            )
        } else if line == "}" {
            fields = false;
            Ok(())
        } else if let Some((name, signature)) = line.split_once(": func") {
            writeln!(document, "\n**`{name}: func{}`**\n\n{told}", signature.trim_end_matches(';'))
        } else if let Some(field) = line.strip_suffix(',').filter(|_| fields) {
            let (name, of) = field_of(field);
            writeln!(document, "| `{name}` | {of} | {told} |")
        } else {
            Ok(())
        };
        doc.clear();
    }
}

/// The name in a line that opens a block of this kind.
fn opened<'line>(line: &'line str, kind: &str) -> Option<&'line str> {
    line.strip_prefix(kind)?.strip_suffix('{').map(str::trim)
}

/// Name and type of `name: type` or `name(type)`; a case may carry nothing.
fn field_of(field: &str) -> (&str, String) {
    if let Some((name, of)) = field.split_once(": ") {
        return (name, format!("`{of}`"));
    }
    match field.strip_suffix(')').and_then(|field| field.split_once('(')) {
        Some((name, of)) => (name, format!("`{of}`")),
        None => (field, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_package_is_told() {
        let source = "/// All about tea.\npackage windlass:tea@0.1.0;\n/// Types.\ninterface types {\n  use a.{b};\n  \
                      /// A cup.\n  record cup {\n    /// How hot,\n    /// in degrees.\n    heat: u32,\n  }\n  \
                      /// A sip.\n  variant sip {\n    /// Some.\n    some(u32),\n    /// None.\n    none,\n  }\n  \
                      /// Drinks.\n  drink: func(cups: list<cup>) -> sip;\n}\n\
                      /// Hidden.\ninterface ask {\n  /// Hidden.\n  ask: func();\n}\n\
                      /// Hidden.\nworld plugin {\n  export policy;\n}\n";
        let document = document(&[source.to_owned()]);
        for part in [
            "## windlass:tea@0.1.0\n\nAll about tea.",
            "### Interface `types`\n\nTypes.",
            "**record `cup`**: A cup.",
            "| `heat` | `u32` | How hot, in degrees. |",
            "| `some` | `u32` | Some. |",
            "| `none` |  | None. |",
            "**`drink: func(cups: list<cup>) -> sip`**\n\nDrinks.",
        ] {
            assert!(document.contains(part), "{part:?} is missing in\n{document}");
        }
        assert!(!document.contains("Hidden"), "{document}");
    }
}
