//! What a plugin says about itself, put together from what its decisions say.

use std::sync::Once;

use crate::decision::Decision;

pub use crate::bindings::common::exports::windlass::plugin::meta::Description;

/// What one decision of a plugin contributes to its description.
#[derive(Debug)]
pub struct About {
    decision: &'static str,
    schema: String,
    wants: &'static [&'static str],
    validate: fn(&str) -> Result<(), String>,
}

/// What `Plugin` says about decision `D`.
pub fn about<D: Decision<Plugin>, Plugin>() -> About {
    About { decision: D::NAME, schema: D::schema(), wants: D::wants(), validate: D::validate }
}

/// The description of a plugin. Where its decisions take different settings, the schema allows those of any.
pub fn describe(name: &str, version: &str, abouts: &[About]) -> Description {
    tell_panics();
    let wants = abouts
        .iter()
        .flat_map(|about| about.wants.iter().map(|fact| (about.decision.to_owned(), (*fact).to_owned())));
    let mut schemas: Vec<&str> = Vec::new();
    for about in abouts.iter().filter(|about| !about.schema.is_empty()) {
        if !schemas.contains(&about.schema.as_str()) {
            schemas.push(&about.schema);
        }
    }
    Description {
        name: name.to_owned(),
        version: version.to_owned(),
        settings_schema: match schemas.as_slice() {
            [] => String::new(),
            [only] => (*only).to_owned(),
            several => format!(r#"{{"anyOf":[{}]}}"#, several.join(",")),
        },
        wants: wants.collect(),
        extra: Vec::new(),
    }
}

/// Whether `settings` fit `decision`.
///
/// # Errors
/// What to mend, for people.
pub fn validate(decision: &str, settings: &str, abouts: &[About]) -> Result<(), String> {
    tell_panics();
    match abouts.iter().find(|about| about.decision == decision) {
        Some(about) => (about.validate)(settings),
        None => {
            let known: Vec<&str> = abouts.iter().map(|about| about.decision).collect();
            Err(format!("this plugin decides {}, not {decision}", known.join(", ")))
        }
    }
}

/// From now on a panic tells the host's log where and why. Called on every way in.
pub fn tell_panics() {
    static ONCE: Once = Once::new();
    if cfg!(target_arch = "wasm32") {
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
                crate::log::error(&format!("panicked{place}: {}", panic_message(panic)));
            }));
        });
    }
}

fn panic_message<'panic>(panic: &'panic std::panic::PanicHookInfo<'_>) -> &'panic str {
    panic.payload_as_str().unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about_of(decision: &'static str, schema: &str) -> About {
        let validate =
            |text: &str| if text.is_empty() { Ok(()) } else { Err("no settings, please".to_owned()) };
        About { decision, schema: schema.to_owned(), wants: &["job.namespace"], validate }
    }

    #[test]
    fn a_description_names_each_schema_once() {
        let told = describe("n", "1.2.3", &[about_of("backoff", "{}"), about_of("rollout", "{}")]);
        assert_eq!(
            (told.name.as_str(), told.version.as_str(), told.settings_schema.as_str()),
            ("n", "1.2.3", "{}")
        );
        let told = describe(
            "n",
            "1.2.3",
            &[about_of("backoff", "{}"), about_of("rollout", "true"), about_of("x", "")],
        );
        assert_eq!(told.settings_schema, r#"{"anyOf":[{},true]}"#);
        assert_eq!(told.wants[1], ("rollout".to_owned(), "job.namespace".to_owned()));
    }

    #[test]
    fn settings_are_validated_by_the_decision_they_are_for() {
        let abouts = [about_of("backoff", "")];
        assert_eq!(validate("backoff", "", &abouts), Ok(()));
        assert_eq!(validate("backoff", "{}", &abouts), Err("no settings, please".to_owned()));
        let refusal = "this plugin decides backoff, not schedule".to_owned();
        assert_eq!(validate("schedule", "", &abouts), Err(refusal));
    }
}
