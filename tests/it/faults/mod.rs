//! Each fault as those see it whom it befalls.

mod agent;
mod api_server;
mod cluster;
mod etcd;
mod kubelet;
mod redfish;
mod simulator;
mod system;
mod tasks;

use metalsim::observer::Exposition as _;

use crate::world::World;

/// How often faults of this kind struck, as the metrics tell.
fn hits(world: &World, what: &str) -> u64 {
    let sample = format!("metalsim_fault_hits_total{{what=\"{what}\"}} ");
    let page = world.metrics.render();
    let line = page.lines().find_map(|line| line.strip_prefix(&sample));
    line.map_or(0, |value| value.parse().unwrap())
}
