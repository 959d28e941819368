//! Sensor values: computed when they are read, the same for the same node and time.

use std::time::Duration;

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::seed::Seed;
use metalsim_actors::time::SimInstant;

/// A sensor shows a new value this often.
const PERIOD: Duration = Duration::from_secs(20);

/// The sensors of a node at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sensors {
    seed: Seed,
    slot: u64,
    powered: bool,
}

impl Sensors {
    pub(super) fn new(id: NodeId, power: PowerState, now: SimInstant) -> Self {
        let (high, low) = id.as_uuid().as_u64_pair();
        Self {
            seed: Seed::root(high ^ low).child("sensors"),
            slot: now.since(SimInstant::START).as_secs() / PERIOD.as_secs(),
            powered: matches!(power, PowerState::On),
        }
    }

    /// A value around `middle`, at most `spread` away: half of it the node's own, half moving with time.
    fn around(&self, sensor: &str, middle: i64, spread: i64) -> i64 {
        let own = self.seed.child(sensor);
        let part = |seed: Seed| {
            let half = spread / 2;
            i64::try_from(seed.value() % (2 * half.unsigned_abs() + 1)).unwrap_or(0) - half
        };
        middle + part(own) + part(own.indexed(self.slot))
    }

    /// Air at the inlet, in degrees Celsius.
    pub(super) fn inlet_celsius(&self) -> i64 {
        self.around("inlet", 23, 4)
    }

    /// A processor, in degrees Celsius; without power it is as warm as the air.
    pub(super) fn cpu_celsius(&self, index: usize) -> i64 {
        if self.powered {
            self.around(&format!("cpu/{index}"), 52, 16)
        } else {
            self.inlet_celsius()
        }
    }

    /// A fan, in revolutions a minute.
    pub(super) fn fan_rpm(&self, index: usize) -> i64 {
        if self.powered {
            self.around(&format!("fan/{index}"), 6200, 1200)
        } else {
            0
        }
    }

    /// What the server draws, in watts; without power the management controller still does.
    pub(super) fn watts(&self) -> i64 {
        if self.powered {
            self.around("watts", 320, 120)
        } else {
            self.around("standby", 14, 4)
        }
    }

    /// Mains, in volts.
    pub(super) fn line_volts(&self, index: usize) -> i64 {
        self.around(&format!("line/{index}"), 230, 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensors(name: &str, power: PowerState, seconds: u64) -> Sensors {
        let now = SimInstant::from_millis(seconds * 1000);
        Sensors::new(NodeId::from_name(name), power, now)
    }

    #[test]
    fn values_repeat_move_and_stay_within_their_limits() {
        let on = PowerState::On;
        assert_eq!(sensors("a", on, 5).fan_rpm(0), sensors("a", on, 6).fan_rpm(0));
        let values: std::collections::BTreeSet<i64> = (0..50)
            .map(|slot| sensors("a", on, slot * 20).fan_rpm(0))
            .collect();
        assert!(values.len() > 10);
        for slot in 0..200 {
            let at = sensors("b", on, slot * 20);
            assert!((36..=68).contains(&at.cpu_celsius(0)), "{}", at.cpu_celsius(0));
            assert!((200..=440).contains(&at.watts()));
        }
        assert_eq!(sensors("a", PowerState::Off, 5).fan_rpm(0), 0);
    }
}
