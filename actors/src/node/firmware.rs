//! Power, self test and boot: what the host does between its power button and a running system.

use std::sync::Arc;

use super::bmc::{BootTarget, PowerState};
use super::effect::AgentParameters;
use crate::time::SimInstant;

pub use crate::wire::redfish::vocabulary::BootProgress;

/// State of the host. Every wait carries the instant at which it ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    /// No power.
    Off,
    /// Mains power is gone.
    Unpowered {
        /// When it is back; none: when the fault ends.
        until: Option<SimInstant>,
        /// The host starts then.
        then_on: bool,
    },
    /// Power is being applied.
    PoweringOn {
        /// When `PowerState` becomes `On`.
        until: SimInstant,
    },
    /// Power-on self test.
    Post {
        /// When the boot target is chosen.
        until: SimInstant,
    },
    /// The boot target is being read.
    Resolving {
        /// What is being read.
        target: BootTarget,
        /// Where the boot order goes on if this fails.
        next: BootOrderPosition,
    },
    /// A system is being loaded.
    Loading {
        /// When it runs.
        until: SimInstant,
        /// What is being loaded.
        system: System,
    },
    /// A system runs.
    Running(System),
    /// Nothing to boot from was found; only a reset helps.
    NoBootDevice,
    /// On the way down.
    PoweringOff {
        /// When power is gone.
        until: SimInstant,
        /// Power returns at once: a restart or power cycle, or an `On` that came too early.
        then_on: bool,
    },
}

/// How far the firmware has come in its boot order. An override is tried before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootOrderPosition(u8);

impl BootOrderPosition {
    /// The entry of `order` at this position, and the position behind it. `None` at the end.
    #[must_use]
    pub fn take(self, order: &[BootTarget]) -> Option<(BootTarget, Self)> {
        let target = order.get(usize::from(self.0))?;
        Some((*target, Self(self.0.saturating_add(1))))
    }
}

/// What can run on a host.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// A ramdisk with the agent.
    Agent(Arc<AgentParameters>),
    /// The operating system on the disk.
    Disk,
    /// A system from a medium that is not the agent's.
    Live,
    /// The firmware's set-up screen, a utility or a shell.
    Setup,
}

impl Host {
    /// Redfish `PowerState`.
    #[must_use]
    pub fn power_state(&self) -> PowerState {
        match self {
            Self::Off | Self::Unpowered { .. } => PowerState::Off,
            Self::PoweringOn { .. } => PowerState::PoweringOn,
            Self::Post { .. }
            | Self::Resolving { .. }
            | Self::Loading { .. }
            | Self::Running(_)
            | Self::NoBootDevice => PowerState::On,
            Self::PoweringOff { .. } => PowerState::PoweringOff,
        }
    }

    /// Redfish `BootProgress.LastState`.
    #[must_use]
    pub fn boot_progress(&self) -> BootProgress {
        match self {
            Self::Off | Self::Unpowered { .. } | Self::PoweringOn { .. } | Self::PoweringOff { .. } => {
                BootProgress::None
            }
            Self::Post { .. } => BootProgress::PrimaryProcessorInitializationStarted,
            Self::Resolving { .. } | Self::NoBootDevice => BootProgress::SystemHardwareInitializationComplete,
            Self::Loading { .. } => BootProgress::OSBootStarted,
            Self::Running(System::Setup) => BootProgress::SetupEntered,
            Self::Running(System::Agent(_) | System::Disk | System::Live) => BootProgress::OSRunning,
        }
    }

    /// When the present wait ends.
    #[must_use]
    pub fn deadline(&self) -> Option<SimInstant> {
        match self {
            Self::PoweringOn { until }
            | Self::Post { until }
            | Self::Loading { until, .. }
            | Self::PoweringOff { until, .. } => Some(*until),
            Self::Unpowered { until, .. } => *until,
            Self::Off | Self::Resolving { .. } | Self::Running(_) | Self::NoBootDevice => None,
        }
    }
}
