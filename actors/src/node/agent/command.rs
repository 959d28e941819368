//! The agent's command API: what it takes, when it refuses, what it remembers.
//!
//! One command at a time; results are kept newest last. Shapes and order of the checks are those of
//! ironic-python-agent (`api/app.py`, `extensions/base.py`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::link::Context;
use super::plan::{self, Ending, Planned};
use super::{Aftermath, Agent, AgentError, Running};
use crate::ids::CommandId;
use crate::node::Node;
use crate::node::bmc::Secret;
use crate::node::effect::{Effect, FetchFailure, Record};
use crate::time::SimInstant;
use crate::wire::agent::{CommandResult, CommandStatus};

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $extension:literal . $name:literal, $kind:ident;)*) => {
        /// Every command of the agent's extensions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CommandName { $($(#[$doc])* $variant,)* }

        impl CommandName {
            /// Every command.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Extension.
            #[must_use]
            pub fn extension(self) -> &'static str {
                match self { $(Self::$variant => $extension,)* }
            }

            /// Name within the extension: `command_name` of results.
            #[must_use]
            pub fn short(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// `<extension>.<name>`.
            #[must_use]
            pub fn full(self) -> &'static str {
                match self { $(Self::$variant => concat!($extension, ".", $name),)* }
            }

            /// Whether the command goes on after its request was answered.
            #[must_use]
            pub fn is_async(self) -> bool {
                match self { $(Self::$variant => commands!(@kind $kind),)* }
            }
        }
    };
    (@kind sync) => { false };
    (@kind background) => { true };
}

commands! {
    /// Lists the clean steps.
    GetCleanSteps = "clean"."get_clean_steps", sync;
    /// Runs a clean step.
    ExecuteCleanStep = "clean"."execute_clean_step", background;
    /// Lists the deploy steps.
    GetDeploySteps = "deploy"."get_deploy_steps", sync;
    /// Runs a deploy step.
    ExecuteDeployStep = "deploy"."execute_deploy_step", background;
    /// Lists the service steps.
    GetServiceSteps = "service"."get_service_steps", sync;
    /// Runs a service step.
    ExecuteServiceStep = "service"."execute_service_step", background;
    /// Writes an image.
    PrepareImage = "standby"."prepare_image", background;
    /// Tells the partitions of the written image.
    GetPartitionUuids = "standby"."get_partition_uuids", sync;
    /// Flushes the disks.
    Sync = "standby"."sync", sync;
    /// Turns the host off.
    PowerOff = "standby"."power_off", background;
    /// Restarts the host.
    RunImage = "standby"."run_image", background;
    /// Installs a bootable container image.
    ExecuteBootcInstall = "standby"."execute_bootc_install", background;
    /// Caches an image without writing its config drive.
    CacheImage = "standby"."cache_image", background;
    /// Makes the written image bootable.
    InstallBootloader = "image"."install_bootloader", background;
    /// Collects logs.
    CollectSystemLogs = "log"."collect_system_logs", sync;
    /// Leaves the ramdisk to its user.
    FinalizeRescue = "rescue"."finalize_rescue", sync;
    /// Takes the agent off the network.
    Lockdown = "system"."lockdown", sync;
    /// Tells the hardware.
    GetHardwareInfo = "poll"."get_hardware_info", sync;
    /// Sets the node record; only an agent without Ironic takes it.
    SetNodeInfo = "poll"."set_node_info", sync;
    /// Runs commands in a row.
    StartFlow = "flow"."start_flow", background;
}

impl CommandName {
    /// Finds the command, or says what is wrong with the name.
    ///
    /// # Errors
    /// A name without a dot, an unknown extension, a command that the extension has not.
    pub fn parse(name: &str) -> Result<Self, AgentError> {
        let (extension, short) = name.split_once('.').ok_or(AgentError::CommandForm)?;
        if !Self::ALL.iter().any(|known| known.extension() == extension) {
            return Err(AgentError::UnknownExtension(extension.to_owned()));
        }
        Self::ALL
            .iter()
            .copied()
            .find(|known| known.extension() == extension && known.short() == short)
            .ok_or_else(|| AgentError::UnknownCommand(short.to_owned()))
    }
}

/// A call of the agent's API.
#[derive(Clone, Debug)]
pub struct AgentRequest {
    /// `agent_token` of the query.
    pub token: Option<Secret>,
    /// What is asked.
    pub operation: Operation,
}

/// What a call asks.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `GET /v1/status`, and whether anybody answers at all. Needs no token.
    Status,
    /// `GET /v1/commands`.
    List,
    /// `GET /v1/commands/<id>`.
    Get(Box<str>),
    /// `POST /v1/commands`.
    Execute {
        /// `<extension>.<command>`.
        name: String,
        /// Arguments.
        params: Map<String, Value>,
    },
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentReply {
    /// When the agent started, and its version.
    Status {
        /// Start.
        started_at: SimInstant,
    },
    /// All results, oldest first.
    Commands(Vec<Arc<CommandResult>>),
    /// One result.
    Command(Arc<CommandResult>),
}

impl AgentReply {
    /// The synchronous command that was begun and hangs: its request gets no answer as long as it does.
    #[must_use]
    pub fn stuck(&self) -> Option<CommandId> {
        match self {
            Self::Command(result)
                if result.command_status == CommandStatus::Running
                    && CommandName::ALL
                        .iter()
                        .any(|name| name.short() == result.command_name && !name.is_async()) =>
            {
                Some(result.id)
            }
            Self::Command(_) | Self::Commands(_) | Self::Status { .. } => None,
        }
    }
}

impl Agent {
    /// Checks the token of a request. An agent that has none yet takes nobody's.
    fn authorise(&self, given: Option<&Secret>) -> Result<(), AgentError> {
        match (&self.token, given) {
            (Some(own), Some(given)) if same_text(own.expose(), given.expose()) => Ok(()),
            _ => Err(AgentError::InvalidToken),
        }
    }

    pub(in crate::node) fn answer(&self, request: &AgentRequest) -> Result<AgentReply, AgentError> {
        if matches!(request.operation, Operation::Status) {
            return Ok(AgentReply::Status {
                started_at: self.started_at,
            });
        }
        self.authorise(request.token.as_ref())?;
        match &request.operation {
            Operation::Status => Ok(AgentReply::Status {
                started_at: self.started_at,
            }),
            Operation::List => {
                let hidden = usize::from(self.stuck().is_some());
                let shown = self.commands.len().saturating_sub(hidden);
                Ok(AgentReply::Commands(
                    self.commands.iter().take(shown).cloned().collect(),
                ))
            }
            Operation::Get(id) => {
                let known = id.parse().ok().and_then(|id| self.command(id));
                let known = known.ok_or_else(|| AgentError::UnknownResult(id.to_string()))?;
                Ok(AgentReply::Command(Arc::clone(known)))
            }
            Operation::Execute { name, .. } => {
                if let Some(stuck) = self.stuck() {
                    return Err(AgentError::Stuck(stuck));
                }
                if let Some(running) = &self.running {
                    return Err(AgentError::Busy(running.name.short()));
                }
                // Checked before anything is planned; the command itself is begun by the caller.
                CommandName::parse(name).map(|_| AgentReply::Commands(Vec::new()))
            }
        }
    }

    /// The synchronous command that hangs. The real agent answers its request when it ends, holds a lock meanwhile that every
    /// further command needs, and puts it into the list afterwards.
    fn stuck(&self) -> Option<CommandId> {
        let running = self.running.as_ref()?;
        (!running.name.is_async()).then_some(running.id)
    }

    /// Begins a command that [`Self::answer`] let through.
    pub(in crate::node) fn begin(
        &mut self,
        now: SimInstant,
        id: CommandId,
        name: CommandName,
        planned: Planned,
        history: usize,
    ) -> (Arc<CommandResult>, Aftermath) {
        let mut result = CommandResult {
            id,
            command_name: name.short(),
            command_status: CommandStatus::Running,
            command_error: None,
            command_result: None,
        };
        self.stop_inspecting();
        let mut aftermath = Aftermath::default();
        if name.is_async() || planned.duration.is_none() {
            self.running = Some(Arc::new(Running {
                id,
                name,
                finish_at: planned.duration.map(|duration| now + duration),
                fetching: planned.ending.config_drive_url().is_some(),
                ending: planned.ending,
            }));
        } else {
            aftermath = settle(&mut result, planned.ending);
            if result.command_status == CommandStatus::Failed {
                // `extensions/base.py`: an exception is caught where only the whole name is known.
                result.command_name = name.full();
            }
        }
        while self.commands.len() >= history.max(1) {
            self.commands.pop_front();
        }
        let result = Arc::new(result);
        self.commands.push_back(Arc::clone(&result));
        (result, aftermath)
    }

    /// Ends the running command if its time has come.
    pub(in crate::node) fn finish_due(&mut self, context: &Context<'_>) -> Option<(Aftermath, Effect)> {
        let running = self
            .running
            .take_if(|running| running.finish_at.is_some_and(|at| at <= context.now) && !running.fetching)?;
        let Running { id, name, ending, .. } = Arc::unwrap_or_clone(running);
        let result = self.commands.iter_mut().rev().find(|result| result.id == id)?;
        let result = Arc::make_mut(result);
        let aftermath = settle(result, ending);
        let record = Effect::Record(Record::Command(name, result.command_status));
        self.force_heartbeat(context);
        Some((aftermath, record))
    }
}

impl Agent {
    /// What the running command has to fetch before it can end.
    fn wanted(&self) -> Option<Effect> {
        let running = self.running.as_ref().filter(|running| running.fetching)?;
        Some(Effect::FetchConfigDrive {
            command: running.id,
            url: running.ending.config_drive_url()?,
            parameters: Arc::clone(&self.parameters),
        })
    }

    /// The config drive of a command came, or did not.
    pub(in crate::node) fn on_config_drive(
        &mut self,
        command: CommandId,
        url: &str,
        result: Result<Arc<str>, FetchFailure>,
    ) {
        if let Some(running) = self.running.as_mut().filter(|running| running.id == command) {
            let running = Arc::make_mut(running);
            running.ending.config_drive_fetched(url, result);
            running.fetching = false;
        }
    }
}

fn settle(result: &mut CommandResult, ending: Ending) -> Aftermath {
    match ending {
        Ending::Succeeded {
            result: value,
            changes,
        } => {
            result.command_status = CommandStatus::Succeeded;
            result.command_result = value;
            Aftermath { changes }
        }
        Ending::Failed(error) => {
            result.command_status = CommandStatus::Failed;
            result.command_error = Some(error);
            Aftermath::default()
        }
        Ending::VersionMismatch(error) => {
            result.command_status = CommandStatus::CleanVersionMismatch;
            result.command_error = Some(error);
            Aftermath::default()
        }
    }
}

impl Node {
    /// Takes a call of the agent's API.
    pub(in crate::node) fn on_agent_request(
        &mut self,
        now: SimInstant,
        request: AgentRequest,
        out: &mut crate::node::Effects,
    ) -> Result<AgentReply, crate::node::Refused> {
        let agent = self
            .agent
            .as_ref()
            .filter(|agent| agent.is_serving())
            .ok_or(crate::node::Refused::NoAgent)?;
        let reply = agent.answer(&request)?;
        let Operation::Execute { name, params } = request.operation else {
            return Ok(reply);
        };
        let name = CommandName::parse(&name)?;
        // A command runs because it was asked for, whatever becomes of it.
        let cause = out.cause.clone();
        let planned = self.meet(now, out, |node, meeting| plan::plan(node, name, &params, meeting))?;
        out.cause = cause;
        let id = CommandId::from_random(self.draw("command-id").value(), self.draw("command-id").value());
        let history = self.kind().agent.command_history;
        let Some(agent) = self.agent.as_mut() else {
            return Err(crate::node::Refused::NoAgent);
        };
        let (result, aftermath) = agent.begin(now, id, name, planned, history);
        let wanted = agent.wanted();
        if let Some(fetch) = wanted {
            out.push(self.epoch(), fetch);
        }
        if result.command_status != CommandStatus::Running {
            out.push(
                self.epoch(),
                Effect::Record(Record::Command(name, result.command_status)),
            );
        }
        self.apply_aftermath(now, aftermath);
        Ok(AgentReply::Command(result))
    }
}

/// Compares without telling by its duration where the texts differ.
fn same_text(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differing, (a, b)| differing | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_errors_name_the_fault() {
        for &name in CommandName::ALL {
            assert_eq!(CommandName::parse(name.full()), Ok(name));
        }
        assert_eq!(CommandName::parse("sync"), Err(AgentError::CommandForm));
        assert_eq!(
            CommandName::parse("nope.sync"),
            Err(AgentError::UnknownExtension("nope".into()))
        );
        assert_eq!(
            CommandName::parse("standby.nope"),
            Err(AgentError::UnknownCommand("nope".into()))
        );
    }
}
