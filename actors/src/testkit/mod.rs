//! For tests: a node in virtual time, and generators of events.

mod generate;
mod ports;
mod rig;

pub use self::generate::{Action, action};
pub use self::ports::{AgentMedia, HandClock, KindClusters, KindIronic, Notes, PlainDrives, ReadDrives};
pub use self::rig::{LookupAnswer, Members, Rig, boot_override, identity, kind, only_faults};
