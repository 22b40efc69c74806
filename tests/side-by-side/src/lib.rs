//! Windlass side by side with the built-in Job controller, on a real control plane.
//!
//! [`bench`] measures what the same Jobs cost with either; `src/bin` has the program.

pub mod bench;
mod client;
mod clock;
