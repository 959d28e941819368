//! What is wrong with a node as long as faults last: the states that its faults put it in.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::words::{EtcdAlarm, Pressure, RestorePolicy};
use crate::fault::{FaultName, Hit, SiteKind, What};
use crate::seed::Seed;
use crate::time::SimInstant;
use crate::timing::Latency;

/// The sites of states and events whose faults a node follows.
pub const FOLLOWED: [SiteKind; 6] = [
    SiteKind::Power,
    SiteKind::PowerEvent,
    SiteKind::Post,
    SiteKind::OsProgress,
    SiteKind::Kubelet,
    SiteKind::EtcdMember,
];

/// What is wrong with a node at present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Afflictions {
    /// No mains power.
    pub power_loss: Option<PowerLoss>,
    /// The power-on self test does not end.
    pub stuck_in_post: bool,
    /// The operating system does nothing.
    pub os_hangs: bool,
    /// What the kubelet reports, or that it is silent. Shared with the cluster.
    pub kubelet: Option<Arc<KubeletAffliction>>,
    /// What is wrong with the etcd member. Shared with the cluster.
    pub etcd: Option<Arc<EtcdAffliction>>,
    /// When a kubelet that comes and goes does so next.
    pub(super) kubelet_turns: Option<SimInstant>,
    /// The faults behind it, by the number of their window.
    pub(super) behind: Vec<(FaultName, u64)>,
}

/// No mains power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerLoss {
    /// The BMC has none either.
    pub bmc: bool,
    /// What the host does when power is back.
    pub restore: RestorePolicy,
}

/// What is wrong with a node's kubelet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KubeletAffliction {
    /// It reports that the node is not ready, for this reason.
    pub not_ready: Option<NotReady>,
    /// It does nothing.
    pub silent: bool,
    /// Pressure that it reports.
    pub pressures: Vec<Pressure>,
}

/// The kubelet reports that the node is not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotReady {
    /// Reason of the condition; none: the kubelet's usual one.
    pub reason: Option<Box<str>>,
}

/// Whether what comes and goes is away, beginning with that, and how long until that changes.
fn flap(passed: Duration, down: Duration, up: Duration) -> (bool, Duration) {
    let cycle = (down + up).as_millis().max(1);
    let into = Duration::from_millis(u64::try_from(passed.as_millis() % cycle).unwrap_or(0));
    if into < down {
        (true, down - into)
    } else {
        (false, down + up - into)
    }
}

/// What is wrong with a node's etcd member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdAffliction {
    /// It is down.
    pub down: bool,
    /// Alarms that it raises.
    pub alarms: Vec<EtcdAlarm>,
}

impl Afflictions {
    /// Adds what a fault of a state does. Of two that contradict each other the first one wins.
    pub(super) fn add(&mut self, hit: &Hit<'_>, now: SimInstant) {
        match hit.what {
            What::PowerLoss { bmc, restore } => {
                self.power_loss.get_or_insert(PowerLoss {
                    bmc: *bmc,
                    restore: *restore,
                });
            }
            What::StuckInPost {} => self.stuck_in_post = true,
            What::OsHangs {} => self.os_hangs = true,
            What::NodeNotReady { reason } => {
                self.kubelet().not_ready.get_or_insert(NotReady {
                    reason: reason.clone(),
                });
            }
            What::KubeletFlaps { down, up } => {
                let (silent, turn) = flap(now.since(hit.window.from), down.0, up.0);
                let turns = now + turn;
                self.kubelet_turns = Some(self.kubelet_turns.map_or(turns, |earlier| earlier.min(turns)));
                self.kubelet().silent |= silent;
            }
            What::NodePressure { conditions } => {
                let pressures = &mut self.kubelet().pressures;
                for pressure in conditions {
                    if !pressures.contains(pressure) {
                        pressures.push(*pressure);
                    }
                }
            }
            What::EtcdMemberDown {} => self.etcd().down = true,
            What::EtcdAlarm { alarm } => {
                let alarms = &mut self.etcd().alarms;
                if !alarms.contains(alarm) {
                    alarms.push(*alarm);
                }
            }
            // Other faults are no states of a node.
            _ => return,
        }
        self.behind.push((hit.fault.clone(), hit.number));
    }

    fn kubelet(&mut self) -> &mut KubeletAffliction {
        Arc::make_mut(self.kubelet.get_or_insert_default())
    }

    fn etcd(&mut self) -> &mut EtcdAffliction {
        Arc::make_mut(self.etcd.get_or_insert_default())
    }
}

/// How long a host is without power by a flap.
pub(super) fn off_for(latency: &Latency, seed: Seed) -> Duration {
    latency.draw(seed.child("off-for"))
}
