//! Text cases, the simulator, and the tests on a real control plane.
