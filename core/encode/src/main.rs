//! Encodes the core.
fn main() {}
