//! Each fault as those see it whom it befalls.

mod agent;
mod api_server;
mod cluster;
mod etcd;
mod kubelet;
mod redfish;
mod shared_port;
mod simulator;
mod system;
mod tasks;

use std::time::Duration;

use metalsim::observer::Exposition as _;
use serde_json::Value;

use crate::world::World;

/// How often faults of this kind struck, as the metrics tell.
fn hits(world: &World, what: &str) -> u64 {
    let sample = format!("metalsim_fault_hits_total{{what=\"{what}\"}} ");
    let page = world.metrics.render();
    let line = page.lines().find_map(|line| line.strip_prefix(&sample));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Simulated times of the events that have these fields, in their order.
fn times(world: &World, fields: &Value) -> Vec<Duration> {
    let fields = fields.as_object().unwrap();
    let events = world.events.read(0, 10_000).events;
    let events = events.iter().filter(|event| {
        let event = serde_json::to_value(&***event).unwrap();
        fields.iter().all(|(name, value)| event.get(name) == Some(value))
    });
    events
        .map(|event| Duration::from_millis(event.at.as_millis()))
        .collect()
}

/// A node at times `speed` met the fault once, and what it tried has failed once since: it waited for so long, in simulated time.
#[track_caller]
fn assert_waited(world: &World, fault: &Value, failure: &Value, waited: Duration, speed: f64) {
    let (struck, failed) = (times(world, fault), times(world, failure));
    let ([struck], [failed]) = (&struck[..], &failed[..]) else {
        panic!("{fault}: {struck:?}, {failure}: {failed:?}");
    };
    let took = failed.checked_sub(*struck).expect("it fails after the fault");
    assert!(took >= waited, "{took:?} of {waited:?}");
    // As long in real time, it would have taken that much simulated time.
    assert!(took < waited.mul_f64(speed), "{took:?} for {waited:?}");
}
