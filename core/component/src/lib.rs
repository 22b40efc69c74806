//! The core as a component.
