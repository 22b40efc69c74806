//! Policy plugins for [Windlass](https://github.com/windlass-dev/windlass), in Rust.
//!
//! A plugin is a type that implements the trait of a decision, such as [`backoff::Backoff`], and [`export!`],
//! which makes a component of the crate. It is asked one question at a time, knows nothing but the question and
//! its settings, and remembers nothing: every call gets a fresh instance.
//!
//! ```
//! use windlass_plugin::backoff::{Answer, Backoff, Question};
//! use windlass_plugin::{jitter, settings};
//!
//! settings! {
//!     /// How to back off.
//!     pub struct Settings {
//!         /// First delay, milliseconds.
//!         base_ms: u32 = 1_000,
//!     }
//! }
//!
//! struct Doubling;
//!
//! impl Backoff for Doubling {
//!     type Settings = Settings;
//!
//!     fn decide(settings: &Settings, question: &Question) -> Result<Answer, String> {
//!         let doubled = settings.base_ms.saturating_mul(1 << question.failures.saturating_sub(1).min(10));
//!         Ok(Answer::RetryAfterMs(jitter(question.seed).between(doubled / 2, doubled)))
//!     }
//! }
//!
//! windlass_plugin::export!(Doubling: Backoff);
//! # fn main() {}
//! ```
//!
//! The name and the version that the plugin tells are those of its package. A panic ends the call; where and
//! why reaches the host's log, and the host answers as the binding says.

#[doc(hidden)]
pub mod bindings;
mod decision;
mod defaults;
mod jitter;
pub mod log;
#[doc(hidden)]
pub mod meta;
mod settings;

pub use decision::{admission, backoff, missed_runs, rollout, schedule};
pub use jitter::{Jitter, jitter};
pub use settings::{NoSettings, SettingType, Settings};

#[doc(hidden)]
pub use decision::decisions;
#[doc(hidden)]
pub use serde;
#[doc(hidden)]
pub use serde_json;
#[doc(hidden)]
pub use settings::schema as __settings;

// The macros of this crate name it as its users do; its own tests use them, too.
extern crate self as windlass_plugin;

/// Longest delay of a retry that the host takes, milliseconds: a day. An answer past it is a fault of the plugin.
pub const MAX_DELAY_MS: u32 = 86_400_000;
/// Shortest wait until it asks again that the host takes, milliseconds.
pub const MIN_ASK_AGAIN_MS: u32 = 1_000;
/// Longest one, milliseconds: a day.
pub const MAX_ASK_AGAIN_MS: u32 = 86_400_000;

/// The wait nearest to `wait_ms` that the host takes. A plugin that is asked too early says to wait once more.
pub fn ask_again(wait_ms: u32) -> u32 {
    wait_ms.clamp(MIN_ASK_AGAIN_MS, MAX_ASK_AGAIN_MS)
}

/// What the policies of every decision may look up in the facts that a question carries.
pub trait Facts {
    /// The value of the fact `name`, if the host knew it.
    fn fact(&self, name: &str) -> Option<&str>;
}

/// The value of `key` in `pairs`, such as facts, or the labels of a node.
pub fn value_of<'pairs>(pairs: &'pairs [(String, String)], key: &str) -> Option<&'pairs str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Makes a component of this crate: `export!(Plugin: Backoff)`, or several decisions of one type,
/// `export!(Plugin: Schedule, MissedRuns)`.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($decision:ident),+ $(,)?) => {
        const _: () = {
            struct WindlassPlugin;

            impl $crate::bindings::common::exports::windlass::plugin::meta::Guest for WindlassPlugin {
                fn describe() -> $crate::meta::Description {
                    $crate::meta::describe(
                        env!("CARGO_PKG_NAME"),
                        env!("CARGO_PKG_VERSION"),
                        &[$($crate::meta::about::<$crate::decisions::$decision, $plugin>()),+],
                    )
                }

                fn validate_settings(
                    decision: ::std::string::String,
                    settings: ::std::string::String,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::meta::validate(
                        &decision,
                        &settings,
                        &[$($crate::meta::about::<$crate::decisions::$decision, $plugin>()),+],
                    )
                }
            }

            // Natively, as in unit tests, the linker refuses the names of the exports.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::common::export_common!(WindlassPlugin with_types_in $crate::bindings::common);
            #[cfg(not(target_arch = "wasm32"))]
            #[used]
            static ABOUT: [fn() -> $crate::meta::About; [$(stringify!($decision)),+].len()] =
                [$($crate::meta::about::<$crate::decisions::$decision, $plugin>),+];
            $($crate::__export_decision!($decision, $plugin);)+
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_from_a_second_to_a_day() {
        let waits_ms = [0, 999, 1_000, 30_000, 86_400_000, 86_400_001, u32::MAX].map(ask_again);
        assert_eq!(waits_ms, [1_000, 1_000, 1_000, 30_000, 86_400_000, 86_400_000, 86_400_000]);
    }
}
