//! The agent's turn in a step: what it finishes, whom it calls, and what its commands change.

use std::sync::Arc;

use crate::fault::{Site, SiteKind};
use crate::node::Node;
use crate::node::agent::inventory::{self, Flaws};
use crate::node::agent::link::Context;
use crate::node::agent::{Aftermath, Agent, Change};
use crate::node::effect::Effects;
use crate::time::SimInstant;

impl Node {
    /// Calls `talk` with the agent and its surroundings.
    pub(super) fn with_agent<T>(
        &mut self,
        now: SimInstant,
        talk: impl FnOnce(&mut Agent, &Context<'_>) -> T,
    ) -> Option<T> {
        let seed = self.draw("agent");
        let context = Context {
            now,
            speed: self.kind.speed,
            seed,
            settings: &self.kind.agent,
            node_id: &self.identity.id,
        };
        self.agent.as_deref_mut().map(|agent| talk(agent, &context))
    }

    pub(super) fn advance_agent(&mut self, now: SimInstant, out: &mut Effects) {
        let epoch = self.epoch;
        if let Some(agent) = self.agent.as_mut().filter(|agent| agent.late) {
            agent.late = false;
            return;
        }
        if let Some(Some((aftermath, record))) =
            self.with_agent(now, |agent, context| agent.finish_due(context))
        {
            out.push(epoch, record);
            self.apply_aftermath(now, aftermath);
            return;
        }
        let (identity, kind, mode) = (
            Arc::clone(&self.identity),
            Arc::clone(&self.kind),
            self.bmc.boot().mode,
        );
        let Some(agent) = self.agent.as_deref() else {
            return;
        };
        let parameters = Arc::clone(&agent.parameters);
        let flaws = if agent.looks_at_hardware(now) {
            Flaws::of(&self.strike_all(Site::Plain(SiteKind::AgentInventory), now, out))
        } else {
            Flaws::default()
        };
        let bios: Box<str> = self.bios_version().into();
        let inventory = || {
            let mut data = inventory::inspection_data(&identity, &kind, mode, &parameters, &flaws);
            data.inventory.system_vendor.firmware.version = bios.into();
            data
        };
        let addresses = || inventory::addresses(&identity, &flaws);
        let call = |agent: &mut Agent, context: &Context<'_>| agent.due_call(context, inventory, addresses);
        if let Some(Some(effect)) = self.with_agent(now, call) {
            out.push(epoch, effect);
        }
    }

    pub(in crate::node) fn apply_aftermath(&mut self, now: SimInstant, aftermath: Aftermath) {
        for change in aftermath.changes {
            match change {
                Change::Disk(change) => self.disk.apply(change),
                Change::PowerOff => {
                    self.touch();
                    self.power_off(now, false, false);
                }
                Change::Reboot => {
                    self.touch();
                    self.restart(now);
                }
                Change::FallSilent => {
                    if let Some(agent) = &mut self.agent {
                        agent.fall_silent();
                    }
                }
            }
        }
    }
}
