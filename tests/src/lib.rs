//! Text cases, the simulator, and the tests on a real control plane.

pub mod arbitrary;
pub mod cases;
pub mod program;
pub mod reference;
pub mod simulation;
