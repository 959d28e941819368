//! The installed system: cloud-init, then kubeadm if its user data call it.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::words::KubeadmAction;
use crate::fault::{Site, SiteKind, Struck, What};
use crate::node::Node;
use crate::node::effect::{Cause, Effect, Effects};
use crate::node::os::description::SystemDescription;
use crate::node::os::intent::{Intent, Role};
use crate::node::os::membership::{BootstrapFailure, Machine, Membership, PATIENCE, RETRY};
use crate::node::os::{Os, Restart, Stage};
use crate::time::SimInstant;

/// Shortest time for which a system that restarts again and again stays up: without one, a node whose every duration is
/// zero would do nothing else.
const SHORTEST_UPTIME: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn start_os(&mut self, now: SimInstant, out: &mut Effects) {
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
            restart: None,
        }));
        self.look_whether_up(now, out);
    }

    /// A system that has just come up may be one that restarts again and again.
    fn look_whether_up(&mut self, now: SimInstant, out: &mut Effects) {
        if !self.os.as_ref().is_some_and(|os| os.stage.is_up()) {
            return;
        }
        // It is no fault that it came up.
        let cause = out.cause.clone();
        let struck = self.strike(Site::Plain(SiteKind::OsUp), now, out);
        out.cause = cause;
        if let Some(Struck {
            what: What::RebootLoop { uptime },
            fault,
            seed,
            ..
        }) = struck
            && let Some(os) = &mut self.os
        {
            let uptime = uptime.draw(seed.child("uptime")).max(SHORTEST_UPTIME);
            let at = now + uptime;
            os.restart = Some(Box::new(Restart { at, fault }));
        }
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
        match os.stage {
            Stage::Configuring { .. } => self.run_kubeadm(now, out),
            Stage::Bootstrapping { until, .. } => self.look_for_cluster(until, out),
            Stage::Up | Stage::BootstrapFailed => {
                if let Some(restart) = &os.restart {
                    out.cause = Cause::Fault(restart.fault.clone());
                    self.touch();
                    self.restart(now);
                }
                return;
            }
            Stage::Reading => return,
        }
        self.look_whether_up(now, out);
    }

    /// cloud-init has ended. kubeadm runs if it is called and has not left a node on the disk: at later boots only the kubelet
    /// starts.
    fn run_kubeadm(&mut self, now: SimInstant, out: &mut Effects) {
        let Some(os) = &mut self.os else { return };
        let action = match os.intent() {
            Some(intent) if intent.calls_kubeadm() && self.disk.membership.is_none() => match intent {
                Intent::Init(_) | Intent::Incomplete { role: Role::Init, .. } => KubeadmAction::Init,
                _ => KubeadmAction::Join,
            },
            _ => {
                os.stage = Stage::Up;
                return;
            }
        };
        let Some(struck) = self.strike(Site::Kubeadm { action }, now, out) else {
            return self.look_for_cluster(now + PATIENCE, out);
        };
        if let Some(os) = &mut self.os {
            let message = match struck.what {
                What::KubeadmFails { message, .. } => message,
                _ => None,
            };
            os.stage = Stage::BootstrapFailed;
            os.complaint = Some(message.unwrap_or_else(|| "kubeadm failed".into()));
        }
    }

    /// One of kubeadm's tries to find its cluster; it gives up at `until`.
    fn look_for_cluster(&mut self, until: SimInstant, out: &mut Effects) {
        let machine = Machine {
            identity: Arc::clone(&self.identity),
            kind: Arc::clone(&self.kind),
            image: self.disk.image.clone(),
        };
        if let Some(os) = &mut self.os
            && let Some(description) = &os.description
        {
            let bootstrap = Effect::Bootstrap {
                description: Arc::clone(description),
                machine: Box::new(machine),
            };
            out.push(self.epoch, bootstrap);
            os.stage = Stage::Bootstrapping { retry: None, until };
        }
    }

    pub(super) fn on_bootstrapped(
        &mut self,
        now: SimInstant,
        result: Result<Arc<Membership>, BootstrapFailure>,
        out: &mut Effects,
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
        self.look_whether_up(now, out);
    }
}
