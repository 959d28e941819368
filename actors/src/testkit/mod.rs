//! For tests: a node in virtual time, and generators of events.

mod generate;
mod rig;

pub use self::generate::{Action, action};
pub use self::rig::{LookupAnswer, Rig, identity, kind};
