//! Power: resets, and what the loss and return of the mains do to the host.

use crate::fault::words::RestorePolicy;
use crate::fault::{Struck, What};
use crate::node::Node;
use crate::node::affliction::{Afflictions, PowerLoss, off_for};
use crate::node::bmc::{LogEvent, ResetType};
use crate::node::effect::Effects;
use crate::node::firmware::Host;
use crate::time::SimInstant;

impl Node {
    /// What is wrong with the node has changed.
    pub(super) fn on_afflictions(&mut self, before: Option<&Afflictions>, now: SimInstant, _: &mut Effects) {
        let was = before.and_then(|before| before.power_loss);
        let is = self
            .afflictions
            .as_ref()
            .and_then(|afflictions| afflictions.power_loss);
        match (was, is) {
            (None, Some(_)) => self.lose_power(now, None),
            (Some(loss), None) => self.regain_power(now, loss),
            _ => {}
        }
    }

    /// Power fails, and comes back after a while.
    pub(super) fn on_power_event(&mut self, now: SimInstant, event: &Struck, _: &mut Effects) {
        if let What::PowerFlap { off_for: latency } = &event.what {
            self.lose_power(now, Some(now + off_for(latency, event.seed)));
        }
    }

    /// Everything that runs ends at once. A host that was on starts again when power is back.
    fn lose_power(&mut self, now: SimInstant, until: Option<SimInstant>) {
        let then_on = match self.host {
            // The longer loss counts.
            Host::Unpowered { until: None, .. } => return,
            Host::Unpowered { then_on, .. } | Host::PoweringOff { then_on, .. } => then_on,
            Host::Off => false,
            _ => true,
        };
        if self.host != Host::Off {
            self.bmc.record(now, LogEvent::PowerLost);
        }
        self.touch();
        self.new_epoch();
        self.host = Host::Unpowered { until, then_on };
    }

    fn regain_power(&mut self, now: SimInstant, loss: PowerLoss) {
        let Host::Unpowered { then_on, .. } = self.host else {
            return;
        };
        self.touch();
        self.host = Host::Off;
        let start = match loss.restore {
            RestorePolicy::Last => then_on,
            RestorePolicy::Off => false,
            RestorePolicy::On => true,
        };
        if start {
            self.power_on(now);
        }
    }

    pub(super) fn power_on(&mut self, now: SimInstant) {
        self.new_epoch();
        let latency = self.kind.timing.power_on.draw(self.draw("power-on"));
        self.host = Host::PoweringOn { until: now + latency };
    }

    pub(super) fn power_off(&mut self, now: SimInstant, graceful: bool, then_on: bool) {
        self.new_epoch();
        let timing = &self.kind.timing;
        let latency = if graceful {
            timing.graceful_shutdown
        } else {
            timing.power_off
        };
        let until = now + latency.draw(self.draw("power-off"));
        self.host = Host::PoweringOff { until, then_on };
    }

    /// A restart that leaves the power on.
    pub(super) fn restart(&mut self, now: SimInstant) {
        self.new_epoch();
        self.begin_post(now);
    }

    /// The reset table. Resets that ask for the state the host is in, or on its way to, succeed without effect.
    pub(super) fn reset(&mut self, now: SimInstant, reset: ResetType) {
        match (reset, &mut self.host) {
            (ResetType::Nmi, _) => {}
            // Without mains only the wish is kept.
            (ResetType::ForceOff | ResetType::GracefulShutdown, Host::Unpowered { then_on, .. }) => {
                *then_on = false;
            }
            (_, Host::Unpowered { then_on, .. }) => *then_on = true,
            // On while the host goes down: it comes back as soon as it is down.
            (
                ResetType::On
                | ResetType::ForceOn
                | ResetType::ForceRestart
                | ResetType::GracefulRestart
                | ResetType::PowerCycle
                | ResetType::PushPowerButton,
                Host::PoweringOff { then_on, .. },
            ) => *then_on = true,
            (
                ResetType::On
                | ResetType::ForceOn
                | ResetType::ForceRestart
                | ResetType::GracefulRestart
                | ResetType::PowerCycle
                | ResetType::PushPowerButton,
                Host::Off,
            ) => self.power_on(now),
            (ResetType::On | ResetType::ForceOn, _) => {}
            (ResetType::ForceOff | ResetType::GracefulShutdown, Host::Off) => {}
            // A forced power-off overtakes a graceful one that is under way.
            (ResetType::ForceOff, _) => self.power_off(now, false, false),
            (ResetType::GracefulShutdown, Host::PoweringOff { then_on, .. }) => *then_on = false,
            (ResetType::GracefulShutdown | ResetType::PushPowerButton, host) => {
                let graceful = matches!(host, Host::Running(_));
                self.power_off(now, graceful, false);
            }
            (ResetType::GracefulRestart, host) => {
                let graceful = matches!(host, Host::Running(_));
                self.power_off(now, graceful, true);
            }
            (ResetType::PowerCycle, _) => self.power_off(now, false, true),
            // A warm reset never drops power, and one while power is coming up changes nothing.
            (ResetType::ForceRestart, Host::PoweringOn { .. }) => {}
            (ResetType::ForceRestart, _) => self.restart(now),
        }
    }
}
