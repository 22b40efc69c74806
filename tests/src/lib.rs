//! Text cases, the simulator, and the tests on a real control plane.

pub mod arbitrary;
pub mod cases;
#[cfg(feature = "wasm")]
pub mod guests;
pub mod program;
pub mod reference;
pub mod registry;
pub mod simulation;

#[cfg(feature = "wasm")]
pub mod hostile;
