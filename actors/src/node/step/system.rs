//! The installed system: cloud-init, then kubeadm if its user data call it.

use std::sync::Arc;

use crate::fault::words::KubeadmAction;
use crate::fault::{Site, SiteKind, Struck, What};
use crate::node::Node;
use crate::node::effect::{Effect, Effects};
use crate::node::os::description::SystemDescription;
use crate::node::os::intent::Intent;
use crate::node::os::membership::{BootstrapFailure, Machine, Membership, PATIENCE, RETRY};
use crate::node::os::{Os, Stage};
use crate::time::SimInstant;

impl Node {
    pub(super) fn start_os(&mut self, out: &mut Effects) {
        let stage = match self.disk.config_drive() {
            Some(config_drive) => {
                out.push(self.epoch, Effect::ReadConfigDrive(Arc::clone(config_drive)));
                Stage::Reading
            }
            None => Stage::Up,
        };
        self.os = Some(Box::new(Os {
            stage,
            description: None,
            complaint: None,
        }));
    }

    pub(super) fn on_config_drive_read(
        &mut self,
        now: SimInstant,
        description: Arc<SystemDescription>,
        out: &mut Effects,
    ) {
        let description = match self.strike(Site::Plain(SiteKind::CloudInit), now, out) {
            Some(Struck {
                what: What::CloudInitFails { message },
                ..
            }) => {
                let why = message.as_deref().unwrap_or("cloud-init failed");
                Arc::new(SystemDescription::unreadable(why))
            }
            _ => description,
        };
        let latency = self.kind.timing.cloud_init.draw(self.draw("cloud-init"));
        if let Some(os) = self.os.as_mut().filter(|os| os.stage == Stage::Reading) {
            os.stage = Stage::Configuring { until: now + latency };
            os.description = Some(description);
        }
    }

    pub(super) fn advance_os(&mut self, now: SimInstant, out: &mut Effects) {
        let Some(os) = self.os.as_deref() else { return };
        let until = match os.stage {
            Stage::Configuring { .. } => now + PATIENCE,
            Stage::Bootstrapping { until, .. } => until,
            Stage::Reading | Stage::Up | Stage::BootstrapFailed => return,
        };
        let kubeadm = os.intent().is_some_and(Intent::calls_kubeadm);
        let action = match os.intent() {
            Some(Intent::Init(_)) => KubeadmAction::Init,
            _ => KubeadmAction::Join,
        };
        if kubeadm
            && self.disk.membership.is_none()
            && let Some(struck) = self.strike(Site::Kubeadm { action }, now, out)
        {
            if let Some(os) = &mut self.os {
                let message = match struck.what {
                    What::KubeadmFails { message, .. } => message,
                    _ => None,
                };
                os.stage = Stage::BootstrapFailed;
                os.complaint = Some(message.unwrap_or_else(|| "kubeadm failed".into()));
            }
            return;
        }
        let Some(os) = self.os.as_deref() else { return };
        let stage = match &os.description {
            // It runs once: at later boots only the kubelet starts.
            Some(description) if kubeadm && self.disk.membership.is_none() => {
                let machine = Machine {
                    identity: Arc::clone(&self.identity),
                    kind: Arc::clone(&self.kind),
                    image: self.disk.image.clone(),
                };
                let bootstrap = Effect::Bootstrap {
                    description: Arc::clone(description),
                    machine: Box::new(machine),
                };
                out.push(self.epoch, bootstrap);
                Stage::Bootstrapping { retry: None, until }
            }
            _ => Stage::Up,
        };
        if let Some(os) = &mut self.os {
            os.stage = stage;
        }
    }

    pub(super) fn on_bootstrapped(
        &mut self,
        now: SimInstant,
        result: Result<Arc<Membership>, BootstrapFailure>,
    ) {
        let Some(os) = &mut self.os else { return };
        let Stage::Bootstrapping { retry: None, until } = os.stage else {
            return;
        };
        match result {
            Ok(membership) => {
                self.disk.membership = Some(membership);
                os.complaint = None;
                os.stage = Stage::Up;
            }
            Err(failure) => {
                let retry = now + RETRY;
                os.stage = if failure.again && retry < until {
                    Stage::Bootstrapping {
                        retry: Some(retry),
                        until,
                    }
                } else {
                    Stage::BootstrapFailed
                };
                os.complaint = Some(failure.why);
            }
        }
    }
}
