//! Where a node is in its life: a closed set, for the control API and the metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Phase of a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// No power.
    Off,
    /// Power is being applied.
    PoweringOn,
    /// Power-on self test.
    Post,
    /// A boot target is being read or loaded.
    Booting,
    /// Nothing to boot from.
    NoBootDevice,
    /// The agent posts its inventory.
    Inspecting,
    /// The agent looks for Ironic and for itself in it.
    LookingUp,
    /// The agent sends heartbeats and waits for commands.
    AgentReady,
    /// The agent carries out a command.
    AgentBusy,
    /// The ramdisk runs, but its agent does not answer: rescued, locked down, or kept from starting by a fault.
    AgentSilent,
    /// cloud-init sets the operating system from disk up.
    CloudInit,
    /// kubeadm forms or joins a cluster.
    Bootstrapping,
    /// An operating system from disk runs.
    OsRunning,
    /// A live system or set-up screen runs.
    LiveSystem,
    /// On the way down.
    PoweringOff,
    /// Parked after repeated faults of the simulator itself.
    Parked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 16] = [
        Self::Off,
        Self::PoweringOn,
        Self::Post,
        Self::Booting,
        Self::NoBootDevice,
        Self::Inspecting,
        Self::LookingUp,
        Self::AgentReady,
        Self::AgentBusy,
        Self::AgentSilent,
        Self::CloudInit,
        Self::Bootstrapping,
        Self::OsRunning,
        Self::LiveSystem,
        Self::PoweringOff,
        Self::Parked,
    ];

    /// The word for it in the control API and in metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::PoweringOn => "powering_on",
            Self::Post => "post",
            Self::Booting => "booting",
            Self::NoBootDevice => "no_boot_device",
            Self::Inspecting => "inspecting",
            Self::LookingUp => "looking_up",
            Self::AgentReady => "agent_ready",
            Self::AgentBusy => "agent_busy",
            Self::AgentSilent => "agent_silent",
            Self::CloudInit => "cloud_init",
            Self::Bootstrapping => "bootstrapping",
            Self::OsRunning => "os_running",
            Self::LiveSystem => "live_system",
            Self::PoweringOff => "powering_off",
            Self::Parked => "parked",
        }
    }

    /// The phase with this discriminant.
    #[must_use]
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

impl std::str::FromStr for Phase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_words_name_the_same_phases() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_index(phase as u8), Some(phase));
            assert_eq!(phase.as_str().parse(), Ok(phase));
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.as_str());
        }
    }
}
