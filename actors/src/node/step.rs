//! The transition function of a node.

use std::sync::Arc;
use std::time::Duration;

use super::agent::Agent;
use super::bmc::{BmcCommand, BootTarget, LogEvent, MediaType, OverrideEnabled};
use super::effect::{
    BootFailure, BootImage, BootRequest, BootResult, CallKind, Cause, Effect, Effects, Outcome, PhaseChange,
    Record,
};
use super::firmware::{BootOrderPosition, Host, System};
use super::phase::Phase;
use super::{Event, Node, Refused, Reply};
use crate::fault::{Site, SiteKind, Struck, What};
use crate::ids::Epoch;
use crate::seed::Seed;
use crate::time::SimInstant;

mod agent;
mod faults;
mod power;
mod system;
mod update;

pub(super) use self::faults::Meeting;

/// Most transitions of one step. A node whose every duration is zero goes through a boot in fewer than ten; reaching
/// this is a bug, and stopping here keeps one node from holding up its shard.
const MOST_TRANSITIONS: usize = 64;

impl Node {
    /// Takes an event at `now`: changes the node, answers, and leaves effects in `out`.
    ///
    /// Whatever was due before `now` happens first. On an error the caller must drop the changed copy and the
    /// effects, so a refused event changes nothing.
    ///
    /// # Errors
    /// Why the event was refused.
    pub fn step(&mut self, now: SimInstant, event: Event, out: &mut Effects) -> Result<Reply, Refused> {
        self.advance(now, out);
        let phase = self.phase();
        let now = now.max(self.faults_seen);
        (out.at, out.cause) = (now, event.cause());
        let reply = match event {
            Event::Timer => Reply::Done,
            Event::FaultsChanged => {
                self.on_faults_changed(now, out);
                Reply::Done
            }
            Event::Bmc { if_match, command } => {
                if if_match.is_some_and(|revision| revision != self.revision) {
                    return Err(Refused::PreconditionFailed);
                }
                let reply = self.on_bmc(now, command, out)?;
                self.touch();
                reply
            }
            Event::Agent(request) => Reply::Agent(self.on_agent_request(now, request, out)?),
            Event::Outcome { epoch, outcome } => {
                if epoch != self.epoch {
                    return Err(Refused::Stale);
                }
                self.on_outcome(now, outcome, out);
                Reply::Done
            }
            #[cfg(any(test, feature = "test-util"))]
            Event::Bug => {
                self.host = Host::NoBootDevice;
                panic!("a bug, on purpose")
            }
        };
        self.note_phase(now, phase, out);
        self.advance(now, out);
        Ok(reply)
    }

    /// The node's life begins, in this phase and under the faults in force.
    pub(crate) fn start(&mut self, now: SimInstant, power_on: bool, out: &mut Effects) {
        out.at = now;
        self.phase_since = now;
        if power_on {
            self.power_on(now);
            self.touch();
        }
        let change = PhaseChange {
            at: now,
            from: None,
            to: self.phase(),
            lasted: None,
            epoch: self.epoch,
            cause: Cause::Start,
        };
        out.push(self.epoch, Effect::Record(Record::Phase(change)));
        if out.faults().is_some() {
            let phase = self.phase();
            self.on_faults_changed(now, out);
            self.note_phase(now, phase, out);
        }
    }

    /// Records that the phase is another than `before`.
    fn note_phase(&mut self, at: SimInstant, before: Phase, out: &mut Effects) {
        let to = self.phase();
        if to == before {
            return;
        }
        let change = PhaseChange {
            at,
            from: Some(before),
            to,
            lasted: Some(self.phase_lasted(at)),
            epoch: self.epoch,
            cause: out.cause.clone(),
        };
        out.push(self.epoch, Effect::Record(Record::Phase(change)));
        self.review_afflictions(at, out);
        let reviewed = self.phase();
        if reviewed != to {
            let change = PhaseChange {
                at,
                from: Some(to),
                to: reviewed,
                lasted: Some(self.phase_lasted(at)),
                epoch: self.epoch,
                cause: out.cause.clone(),
            };
            out.push(self.epoch, Effect::Record(Record::Phase(change)));
        }
    }

    /// How long the phase has lasted that ends at `at`. The next one begins there.
    fn phase_lasted(&mut self, at: SimInstant) -> Duration {
        at.since(std::mem::replace(&mut self.phase_since, at))
    }

    /// Does everything that is due, in order, each at the instant at which it was due: how late a timer is served
    /// changes nothing.
    fn advance(&mut self, now: SimInstant, out: &mut Effects) {
        for _ in 0..MOST_TRANSITIONS {
            let Some(due) = self.next_deadline().filter(|due| *due <= now) else {
                return;
            };
            // What a fault held up goes on when the fault ends.
            let at = due.max(self.faults_seen);
            let phase = self.phase();
            (out.at, out.cause) = (at, Cause::Time);
            if self.fault_edge == Some(due) {
                self.on_fault_edge(at, out);
            } else if self.host_deadline() == Some(due) {
                self.advance_host(at, out);
            } else if self.agent_deadline() == Some(due) {
                self.advance_agent(at, out);
            } else if self.bmc.deadline() == Some(due) {
                self.finish_updates(at);
            } else {
                self.advance_os(at, out);
            }
            self.note_phase(at, phase, out);
            if out.asks() {
                // The answer may be there at once, and comes before what is due later.
                return;
            }
        }
    }

    /// Every draw has a number of its own.
    pub(super) fn draw(&mut self, purpose: &str) -> Seed {
        let seed = self.peek_seed(purpose);
        self.draws = self.draws.wrapping_add(1);
        seed
    }

    /// The seed of the next draw.
    pub(super) fn peek_seed(&self, purpose: &str) -> Seed {
        self.seed.child(purpose).indexed(u64::from(self.draws))
    }

    fn touch(&mut self) {
        self.revision = self.revision.wrapping_add(1);
    }

    /// A power or boot change: results of what was under way no longer count.
    fn new_epoch(&mut self) -> Epoch {
        self.epoch = self.epoch.next();
        self.agent = None;
        self.os = None;
        self.epoch
    }

    // --- host ---------------------------------------------------------------------------------------------------

    fn advance_host(&mut self, now: SimInstant, out: &mut Effects) {
        self.touch();
        match self.host.clone() {
            Host::PoweringOn { .. } => {
                self.bmc.record(now, LogEvent::PoweredOn);
                self.begin_post(now);
            }
            Host::Post { .. } => self.choose_target(now, out),
            Host::Loading { system, .. } => self.run(now, system, out),
            Host::PoweringOff { then_on, .. } => {
                self.host = Host::Off;
                self.bmc.record(now, LogEvent::PoweredOff);
                if then_on {
                    self.power_on(now);
                }
            }
            Host::Unpowered { then_on, .. } => {
                self.host = Host::Off;
                if then_on {
                    self.power_on(now);
                }
            }
            Host::Off | Host::Resolving { .. } | Host::Running(_) | Host::NoBootDevice => {}
        }
    }

    fn begin_post(&mut self, now: SimInstant) {
        let latency = self.kind.timing.post.draw(self.draw("post"));
        self.host = Host::Post { until: now + latency };
    }

    /// End of the self test: pending settings take effect, a one-time override is used up, the target is chosen.
    fn choose_target(&mut self, now: SimInstant, out: &mut Effects) {
        self.bmc.apply_pending(now);
        let first = BootOrderPosition::default();
        match self.bmc.take_override() {
            Some(_)
                if self
                    .strike(Site::Plain(SiteKind::BootOverride), now, out)
                    .is_some() =>
            {
                self.try_boot_order(now, first, out);
            }
            Some(chosen) => self.try_target(now, chosen, first, out),
            None => self.try_boot_order(now, first, out),
        }
    }

    /// Tries the boot order from `position` on.
    fn try_boot_order(&mut self, now: SimInstant, position: BootOrderPosition, out: &mut Effects) {
        let kind = Arc::clone(&self.kind);
        match position.take(&kind.profile.boot_order) {
            Some((target, next)) => self.try_target(now, (target, OverrideEnabled::Disabled), next, out),
            None => {
                self.bmc.record(now, LogEvent::NoBootableDevice);
                self.host = Host::NoBootDevice;
            }
        }
    }

    /// Tries a target; one that has nothing to boot leaves its turn to the boot order from `next` on.
    fn try_target(
        &mut self,
        now: SimInstant,
        (target, enabled): (BootTarget, OverrideEnabled),
        next: BootOrderPosition,
        out: &mut Effects,
    ) {
        let built_in = matches!(
            target,
            BootTarget::BiosSetup | BootTarget::Utilities | BootTarget::Diags | BootTarget::UefiShell
        );
        if !built_in && self.strike(Site::Plain(SiteKind::BootTarget), now, out).is_some() {
            return self.boot_failed(now, "there is no such device".into(), next, out);
        }
        let types: &[MediaType] = match target {
            BootTarget::Cd => &[MediaType::Cd, MediaType::Dvd],
            BootTarget::Usb => &[MediaType::UsbStick],
            BootTarget::Floppy => &[MediaType::Floppy],
            BootTarget::Hdd | BootTarget::None => {
                if self.disk.is_bootable() {
                    self.bmc.record(now, LogEvent::Booting(target));
                    out.push(
                        self.epoch,
                        Effect::Record(Record::Boot(BootTarget::Hdd, BootResult::Disk)),
                    );
                    self.load(now, System::Disk);
                } else {
                    self.try_boot_order(now, next, out);
                }
                return;
            }
            BootTarget::Pxe | BootTarget::UefiHttp => {
                let linked: Box<[_]> = self
                    .identity
                    .macs
                    .iter()
                    .zip(&self.kind.profile.nics)
                    .filter_map(|(mac, nic)| nic.carrier.then_some(*mac))
                    .collect();
                if linked.is_empty() {
                    return self.boot_failed(now, "no network link".into(), next, out);
                }
                let request = BootRequest {
                    interfaces: linked,
                    http_boot_uri: self.bmc.boot().http_boot_uri.clone(),
                    ..self.boot_request(target, enabled)
                };
                return self.resolve(now, request, next, out);
            }
            BootTarget::BiosSetup | BootTarget::Utilities | BootTarget::Diags | BootTarget::UefiShell => {
                self.bmc.record(now, LogEvent::Booting(target));
                self.host = Host::Running(System::Setup);
                return;
            }
            BootTarget::UefiTarget
            | BootTarget::SDCard
            | BootTarget::RemoteDrive
            | BootTarget::UefiBootNext
            | BootTarget::Recovery => {
                return self.boot_failed(now, "there is no such device".into(), next, out);
            }
        };
        let kind = Arc::clone(&self.kind);
        match self.bmc.inserted(&kind.profile, types, now) {
            Some((media, verify_certificate)) => {
                let beside: &[MediaType] = match target {
                    BootTarget::Cd => &[MediaType::Floppy, MediaType::UsbStick],
                    _ => &[],
                };
                let parameters_media = self.bmc.inserted(&kind.profile, beside, now);
                let request = BootRequest {
                    parameters_media: parameters_media.map(|(media, _)| media.clone()),
                    media: Some(media.clone()),
                    verify_certificate,
                    ..self.boot_request(target, enabled)
                };
                self.resolve(now, request, next, out);
            }
            // Firmware that finds the slot empty goes on with its boot order.
            None => self.try_boot_order(now, next, out),
        }
    }

    /// A request without what belongs to one kind of target only.
    fn boot_request(&self, target: BootTarget, enabled: OverrideEnabled) -> BootRequest {
        BootRequest {
            target,
            enabled,
            mode: self.bmc.boot().mode,
            interfaces: Box::default(),
            media: None,
            verify_certificate: false,
            parameters_media: None,
            http_boot_uri: None,
            http_root: self.kind.http_root.clone(),
            system_id: self.identity.id,
            architecture: self.kind.profile.cpu.architecture,
        }
    }

    fn resolve(&mut self, now: SimInstant, request: BootRequest, next: BootOrderPosition, out: &mut Effects) {
        self.bmc.record(now, LogEvent::Booting(request.target));
        self.host = Host::Resolving {
            target: request.target,
            next,
        };
        out.push(self.epoch, Effect::ResolveBoot(Box::new(request)));
    }

    fn boot_failed(&mut self, now: SimInstant, why: Box<str>, next: BootOrderPosition, out: &mut Effects) {
        self.bmc.record(now, LogEvent::BootFailed(why));
        self.try_boot_order(now, next, out);
    }

    fn load(&mut self, now: SimInstant, system: System) {
        let timing = &self.kind.timing;
        let latency = match &system {
            System::Agent(_) => timing.ramdisk_boot,
            System::Disk | System::Live | System::Setup => timing.os_boot,
        };
        let until = now + latency.draw(self.draw("boot"));
        self.host = Host::Loading { until, system };
    }

    fn run(&mut self, now: SimInstant, system: System, out: &mut Effects) {
        match &system {
            System::Agent(parameters) => {
                let agent = match self.strike(Site::Plain(SiteKind::AgentStart), now, out) {
                    Some(Struck {
                        what: What::AgentStartsLate { delay },
                        seed,
                        ..
                    }) => Agent::late(Arc::clone(parameters), now + delay.draw(seed.child("delay"))),
                    Some(_) => Agent::silent(Arc::clone(parameters), now),
                    None => Agent::new(Arc::clone(parameters), now),
                };
                self.agent = Some(Box::new(agent));
                self.host = Host::Running(system);
            }
            System::Disk => {
                self.host = Host::Running(system);
                self.start_os(now, out);
            }
            System::Live | System::Setup => self.host = Host::Running(system),
        }
    }

    // --- BMC ----------------------------------------------------------------------------------------------------

    fn on_bmc(&mut self, now: SimInstant, command: BmcCommand, out: &mut Effects) -> Result<Reply, Refused> {
        let kind = Arc::clone(&self.kind);
        let profile = &kind.profile;
        match command {
            BmcCommand::Reset(reset) => {
                self.bmc.record(now, LogEvent::Reset(reset));
                if self.strike(Site::Reset { reset }, now, out).is_none() {
                    self.reset(now, reset);
                }
            }
            BmcCommand::SetBoot(patch) => self.bmc.set_boot(patch)?,
            BmcCommand::InsertMedia { slot, mut media } => {
                let mut delay = kind.timing.virtual_media.draw(self.draw("virtual-media"));
                match self.strike(Site::Plain(SiteKind::MediaInsert), now, out) {
                    Some(Struck {
                        what: What::MediaInsertFails { status },
                        ..
                    }) => return Ok(status.map_or(Reply::Done, Reply::Failed)),
                    Some(Struck {
                        what: What::MediaInsertLingers { delay: late },
                        seed,
                        ..
                    }) => delay += late.draw(seed.child("delay")),
                    _ => {}
                }
                media.available_at = now + delay;
                self.bmc.slot_mut(profile, &slot)?.media = Some(media);
                self.bmc.record(now, LogEvent::MediaInserted(slot));
            }
            BmcCommand::EjectMedia { slot } => {
                self.bmc.slot_mut(profile, &slot)?;
                let ignored = self.strike(Site::Plain(SiteKind::MediaEject), now, out).is_some();
                if !ignored && self.bmc.slot_mut(profile, &slot)?.media.take().is_some() {
                    self.bmc.record(now, LogEvent::MediaEjected(slot));
                }
            }
            BmcCommand::SetMediaVerification { slot, verify } => {
                self.bmc.slot_mut(profile, &slot)?.verify_certificate = verify;
            }
            BmcCommand::SetBios(values) => self.bmc.set_bios(profile, values)?,
            BmcCommand::ResetBios => self.bmc.reset_bios(),
            BmcCommand::SetSecureBoot(enable) => self.bmc.set_secure_boot(enable)?,
            BmcCommand::ResetSecureBootKeys(kind) => self.bmc.reset_keys(kind),
            BmcCommand::SetIndicator(indicator) => self.bmc.indicator = indicator,
            BmcCommand::SetAssetTag(tag) => self.bmc.asset_tag = (!tag.is_empty()).then_some(tag),
            BmcCommand::SetClock { offset_millis } => self.bmc.clock_offset_millis = offset_millis,
            BmcCommand::ClearLog => self.bmc.log = None,
            BmcCommand::UpdateFirmware { component, image } => {
                return self.begin_update(now, component, image, out);
            }
            BmcCommand::DeleteTask(number) => self.delete_task(number)?,
        }
        Ok(Reply::Done)
    }

    // --- outcomes -----------------------------------------------------------------------------------------------

    fn on_outcome(&mut self, now: SimInstant, outcome: Outcome, out: &mut Effects) {
        let epoch = self.epoch;
        let mut record = |kind, result| out.push(epoch, Effect::Record(Record::Call(kind, result)));
        match outcome {
            Outcome::Boot(result) => {
                if let Host::Resolving { target, next } = self.host {
                    self.touch();
                    let came = match &result {
                        Ok(BootImage::Agent(_)) => BootResult::Agent,
                        Ok(BootImage::LiveSystem) => BootResult::Live,
                        Ok(BootImage::Disk) if self.disk.is_bootable() => BootResult::Disk,
                        Ok(BootImage::Disk) | Err(_) => BootResult::Failed,
                    };
                    out.push(epoch, Effect::Record(Record::Boot(target, came)));
                    self.on_boot_resolved(now, result, next, out);
                }
            }
            Outcome::ConfigDriveFetched { command, url, result } => {
                if let Some(agent) = &mut self.agent {
                    agent.on_config_drive(command, &url, result);
                }
            }
            Outcome::ConfigDriveRead(description) => self.on_config_drive_read(now, description, out),
            Outcome::Bootstrapped(result) => self.on_bootstrapped(now, result, out),
            Outcome::Inspected(result) => {
                record(
                    CallKind::Inspect,
                    result.as_ref().map(drop).map_err(|error| *error),
                );
                self.with_agent(now, |agent, context| agent.on_inspected(context, result));
            }
            Outcome::Discovered(result) => {
                record(CallKind::Discover, result.map(drop));
                self.with_agent(now, |agent, context| agent.on_discovered(context, result));
            }
            Outcome::LookedUp(result) => {
                record(
                    CallKind::Lookup,
                    result.as_ref().map(drop).map_err(|error| *error),
                );
                self.with_agent(now, |agent, context| agent.on_looked_up(context, result));
            }
            Outcome::Beat(result) => {
                record(CallKind::Heartbeat, result);
                self.with_agent(now, |agent, context| agent.on_beat(context, result));
            }
        }
    }

    fn on_boot_resolved(
        &mut self,
        now: SimInstant,
        result: Result<BootImage, BootFailure>,
        next: BootOrderPosition,
        out: &mut Effects,
    ) {
        match result {
            Ok(BootImage::Agent(parameters)) => self.load(now, System::Agent(parameters)),
            Ok(BootImage::LiveSystem) => self.load(now, System::Live),
            // The network's boot server sends the firmware to its disk: iPXE's `sanboot` without a target.
            Ok(BootImage::Disk) if self.disk.is_bootable() => self.load(now, System::Disk),
            Ok(BootImage::Disk) => {
                self.boot_failed(now, "told to boot a disk that is blank".into(), next, out);
            }
            Err(BootFailure(why)) => self.boot_failed(now, why, next, out),
        }
    }
}
