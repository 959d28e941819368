//! For tests: a node in virtual time, and generators of events.

mod generate;
mod ports;
mod rig;

pub use self::generate::{Action, action};
pub use self::ports::{AgentMedia, HandClock, KindClusters, KindIronic, Notes, PlainDrives};
pub use self::rig::{LookupAnswer, Rig, identity, kind};
