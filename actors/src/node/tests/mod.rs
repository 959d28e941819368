//! Transition tests: a state, one event, and the exact answer, new state and effects; and properties over random
//! lists of events.

mod agent_commands;
mod boot;
mod link;
mod properties;
mod reset;
