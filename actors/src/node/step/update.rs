//! Firmware updates: how their tasks begin, end and go.

use std::sync::Arc;

use crate::fault::{Site, SiteKind, Struck, What};
use crate::node::bmc::LogEvent;
use crate::node::effect::Effects;
use crate::node::update::{Component, End, Progress, Task};
use crate::node::{Node, Refused, Reply};
use crate::time::SimInstant;

impl Node {
    /// Version of the host's firmware.
    #[must_use]
    pub fn bios_version(&self) -> &str {
        self.bmc.firmware_version(&self.kind.profile, Component::Bios)
    }

    pub(super) fn begin_update(
        &mut self,
        now: SimInstant,
        component: Component,
        image: Arc<str>,
        out: &mut Effects,
    ) -> Result<Reply, Refused> {
        if self.bmc.tasks().any(Task::is_running) {
            return Err(Refused::UpdateRunning);
        }
        let takes = self.kind.timing.firmware_update.draw(self.draw("firmware"));
        let end = match self.strike(Site::Plain(SiteKind::RedfishTask), now, out) {
            Some(Struck {
                what: What::TaskFails { message },
                ..
            }) => End::Badly(message),
            Some(_) => End::Never,
            None => End::Well,
        };
        let number = self
            .bmc
            .updates_mut()
            .begin(now, (component, image), (takes, end));
        Ok(Reply::Task(number))
    }

    /// Tasks are at their end. They do not depend on the host: its power and resets change nothing about them.
    pub(super) fn finish_updates(&mut self, now: SimInstant) {
        let kind = Arc::clone(&self.kind);
        self.touch();
        for task in self.bmc.updates_mut().finish(now, &kind.profile) {
            let event = match task.progress {
                Progress::Exception { .. } => LogEvent::FirmwareUpdateFailed(task.component),
                Progress::Running { .. } | Progress::Completed { .. } => {
                    LogEvent::FirmwareUpdated(task.component)
                }
            };
            self.bmc.record(now, event);
        }
    }

    pub(super) fn delete_task(&mut self, number: u32) -> Result<(), Refused> {
        if self.bmc.updates.is_some() && self.bmc.updates_mut().remove(number) {
            Ok(())
        } else {
            Err(Refused::UnknownTask(number))
        }
    }
}
