//! The installed system from its kernel's start: cloud-init reads the config drive, carries out what it says, and the
//! system is up.

use std::sync::Arc;

use super::description::SystemDescription;
use super::intent::Intent;
use crate::fault::FaultName;
use crate::time::SimInstant;

/// The installed system while it runs. It lives from the end of the boot until power or boot change.
#[derive(Clone, Debug, PartialEq)]
pub struct Os {
    pub(in crate::node) stage: Stage,
    pub(in crate::node) description: Option<Arc<SystemDescription>>,
    /// What kubeadm complained of last.
    pub(in crate::node) complaint: Option<Box<str>>,
    /// A fault makes it restart.
    pub(in crate::node) restart: Option<Box<Restart>>,
}

/// A system that restarts by itself.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::node) struct Restart {
    /// When.
    pub(in crate::node) at: SimInstant,
    /// The fault that makes it.
    pub(in crate::node) fault: FaultName,
}

/// How far the installed system has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// cloud-init reads the config drive.
    Reading,
    /// cloud-init carries out what it read.
    Configuring {
        /// When it has ended.
        until: SimInstant,
    },
    /// kubeadm makes a node of the machine.
    Bootstrapping {
        /// When it tries again; `None` while it tries.
        retry: Option<SimInstant>,
        /// When it gives up.
        until: SimInstant,
    },
    /// Up.
    Up,
    /// Up, but kubeadm failed: no node.
    BootstrapFailed,
}

impl Stage {
    /// Whether the system is up.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up | Self::BootstrapFailed)
    }
}

impl Os {
    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What the config drive made of the system. `None`: there is none, or it is still being read.
    #[must_use]
    pub fn description(&self) -> Option<&Arc<SystemDescription>> {
        self.description.as_ref()
    }

    /// Host name, once it is set.
    #[must_use]
    pub fn hostname(&self) -> Option<&str> {
        self.description.as_ref()?.hostname.as_deref()
    }

    /// What the system is for, once that is known.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        Some(&self.description.as_ref()?.intent)
    }

    /// What kubeadm complained of last, while it tries or after it gave up.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    /// When it restarts by itself, if it does.
    #[must_use]
    pub fn restarts_at(&self) -> Option<SimInstant> {
        self.restart.as_ref().map(|restart| restart.at)
    }

    /// When the present stage ends.
    #[must_use]
    pub fn deadline(&self) -> Option<SimInstant> {
        match self.stage {
            Stage::Configuring { until } => Some(until),
            Stage::Bootstrapping { retry, .. } => retry,
            Stage::Reading => None,
            Stage::Up | Stage::BootstrapFailed => self.restarts_at(),
        }
    }
}
