//! Transition tests: a state, one event, and the exact answer, new state and effects; and properties over random
//! lists of events.

mod agent_commands;
mod agent_faults;
mod boot;
mod faults;
mod link;
mod os;
mod properties;
mod reset;
mod system_faults;
mod update;

/// The budget of an idle node is 4 KiB with its actor, handle and directory entry; its state is the smaller part.
#[test]
fn an_idle_node_is_small() {
    let size = size_of::<super::Node>();
    assert!(size <= 512, "a node without its boxes takes {size} bytes");
}
