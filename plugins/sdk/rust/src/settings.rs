//! What a binding may set: a JSON text, read into a struct whose schema comes from the same lines.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Settings of a plugin; [`settings!`](crate::settings) makes them.
pub trait Settings: DeserializeOwned + Default {
    /// Their JSON schema; empty if there is nothing to set.
    fn schema() -> String;
}

/// A type that a setting may have.
pub trait SettingType {
    /// Its JSON schema.
    fn schema() -> Value;
}

/// For plugins that have nothing to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Settings for NoSettings {
    fn schema() -> String {
        String::new()
    }
}

/// Why settings were refused, in words for whoever wrote them.
#[derive(Debug)]
pub(crate) struct SettingsError(serde_json::Error);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings: {}", self.0)
    }
}

impl std::error::Error for SettingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The settings in a JSON text; their defaults where it is empty.
///
/// # Errors
/// If it is no JSON, or does not fit the type.
pub(crate) fn parse<S: Settings>(text: &str) -> Result<S, SettingsError> {
    if text.trim().is_empty() {
        return Ok(S::default());
    }
    serde_json::from_str(text).map_err(SettingsError)
}

/// Makes the settings of a plugin: a struct with a default and a description for each field, in JSON named in
/// camelCase, or an enum of plain words.
///
/// ```
/// windlass_plugin::settings! {
///     /// How to back off.
///     pub struct Settings {
///         /// First delay, milliseconds.
///         base_ms: u32 = 1_000,
///         /// What to do after the last try.
///         at_the_end: AtTheEnd = AtTheEnd::Hold,
///     }
/// }
///
/// windlass_plugin::settings! {
///     /// What to do after the last try.
///     #[derive(Copy)]
///     pub enum AtTheEnd { Hold, Stop }
/// }
///
/// use windlass_plugin::Settings as _;
/// assert!(Settings::schema().contains(r#""default":1000"#));
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $visibility:vis struct $Name:ident {
            $($(#[doc = $doc:literal])* $field:ident: $Type:ty = $default:expr),+ $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "windlass_plugin::serde", rename_all = "camelCase", deny_unknown_fields, default)]
        $visibility struct $Name {
            $($(#[doc = $doc])* $visibility $field: $Type),+
        }

        impl ::std::default::Default for $Name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl $crate::Settings for $Name {
            fn schema() -> ::std::string::String {
                <Self as $crate::SettingType>::schema().to_string()
            }
        }

        impl $crate::SettingType for $Name {
            fn schema() -> $crate::serde_json::Value {
                let defaults = <Self as ::std::default::Default>::default();
                $crate::__settings::object(
                    concat!($($about),*),
                    [$((
                        stringify!($field),
                        concat!($($doc),*),
                        <$Type as $crate::SettingType>::schema(),
                        $crate::serde_json::to_value(&defaults.$field).unwrap_or_default(),
                    )),+],
                )
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        #[derive(Copy)]
        $visibility:vis enum $Name:ident { $($Word:ident),+ $(,)? }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "windlass_plugin::serde", rename_all = "camelCase")]
        #[allow(missing_docs)]
        $visibility enum $Name { $($Word),+ }

        impl $crate::SettingType for $Name {
            fn schema() -> $crate::serde_json::Value {
                $crate::__settings::words(&[$(
                    $crate::serde_json::to_value(Self::$Word).unwrap_or_default()
                ),+])
            }
        }
    };
}

/// What [`settings!`](crate::settings) writes needs.
#[doc(hidden)]
pub mod schema {
    use super::{Value, json};

    /// The schema of an object with these fields: name, description, schema and default of each.
    pub fn object<const N: usize>(about: &str, fields: [(&str, &str, Value, Value); N]) -> Value {
        let properties = fields.into_iter().map(|(name, doc, mut schema, default)| {
            schema["description"] = json!(doc.trim());
            schema["default"] = default;
            (camel_case(name), schema)
        });
        let properties: serde_json::Map<String, Value> = properties.collect();
        json!({
            "type": "object",
            "description": about.trim(),
            "additionalProperties": false,
            "properties": properties,
        })
    }

    /// The schema of one word of several.
    pub fn words(words: &[Value]) -> Value {
        json!({"enum": words})
    }

    /// `base_ms` as `baseMs`.
    fn camel_case(name: &str) -> String {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |whole, word| {
            let (head, tail) = word.split_at(word.len().min(1));
            whole + &head.to_ascii_uppercase() + tail
        })
    }
}

macro_rules! plain {
    ($($Type:ty => $schema:tt),+ $(,)?) => {
        $(impl SettingType for $Type {
            fn schema() -> Value {
                json!($schema)
            }
        })+
    };
}

plain! {
    bool => {"type": "boolean"},
    i32 => {"type": "integer", "minimum": (i32::MIN), "maximum": (i32::MAX)},
    u32 => {"type": "integer", "minimum": 0, "maximum": (u32::MAX)},
    String => {"type": "string"},
}

impl<T: SettingType> SettingType for Option<T> {
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
}

impl<T: SettingType> SettingType for Vec<T> {
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

impl<T: SettingType> SettingType for BTreeMap<String, T> {
    fn schema() -> Value {
        json!({"type": "object", "additionalProperties": T::schema()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// What to do.
        #[derive(Copy)]
        enum AtTheEnd { Hold, StopIt }
    }

    crate::settings! {
        /// Settings of a test.
        struct Example {
            /// First delay, milliseconds.
            base_ms: u32 = 1_000,
            /// Exit codes.
            codes: Vec<i32> = vec![42],
            /// By queue.
            limits: BTreeMap<String, u32> = BTreeMap::new(),
            /// What then.
            at_the_end: AtTheEnd = AtTheEnd::StopIt,
            /// Perhaps.
            label: Option<String> = None,
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(parse::<Example>("").expect("defaults"), Example::default());
        let read: Example = parse(r#"{"baseMs": 5, "atTheEnd": "hold"}"#).expect("settings");
        assert_eq!(
            (read.base_ms, read.codes.as_slice(), read.at_the_end),
            (5, [42].as_slice(), AtTheEnd::Hold)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        let refused = |text: &str| parse::<Example>(text).expect_err("a refusal").to_string();
        let told = refused(r#"{"base": 5}"#);
        assert!(told.starts_with("settings: unknown field `base`, expected one of `baseMs`"), "{told}");
        assert!(refused(r#"{"baseMs": -1}"#).contains("invalid value: integer `-1`, expected u32"));
        assert!(refused("[").contains("line 1 column 1"));
        assert!(parse::<NoSettings>(r#"{"a": 1}"#).is_err());
    }

    #[test]
    fn the_schema_says_what_the_struct_does() {
        let schema: Value = serde_json::from_str(&<Example as Settings>::schema()).expect("a schema");
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["description"], json!("Settings of a test."));
        let base = json!({
            "type": "integer", "minimum": 0, "maximum": u32::MAX,
            "description": "First delay, milliseconds.", "default": 1_000,
        });
        assert_eq!(schema["properties"]["baseMs"], base);
        assert_eq!(schema["properties"]["atTheEnd"]["enum"], json!(["hold", "stopIt"]));
        assert_eq!(schema["properties"]["codes"]["items"]["type"], json!("integer"));
        let names: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
        assert_eq!(names, ["atTheEnd", "baseMs", "codes", "label", "limits"]);
        assert_eq!(NoSettings::schema(), "");
    }
}
