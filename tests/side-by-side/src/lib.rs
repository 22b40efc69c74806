//! Windlass side by side with the built-in Job controller, on a real control plane.
//!
//! [`bench`] measures what the same Jobs cost with either; [`compare`] holds what users see with one against what
//! they see with the other. `src/bin` has a program for each.

pub mod bench;
mod client;
mod clock;
pub mod compare;
