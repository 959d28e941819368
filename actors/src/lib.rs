//! The simulation: pure state machines of the simulated hardware, and the actors that run them.
//!
//! Nothing here opens a socket or a file, reads the wall clock or draws from global randomness: time comes in
//! as [`time::SimInstant`], chance from [`seed::Seed`], and whatever must happen outside leaves as an effect
//! through [`ports`]. `use actix` stands only under [`shell`].

pub mod fault;
pub mod ids;
pub mod kube;
pub mod node;
pub mod phase;
pub mod ports;
pub mod seed;
pub mod shell;
pub mod time;
pub mod timing;
pub mod wire;

#[cfg(any(test, feature = "test-util"))]
pub mod testkit;
