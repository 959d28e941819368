//! What each command does: computed when the command is taken, applied when its time is over.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::command::CommandName;
use super::inventory::{self, Flaws};
use super::{AgentError, image, logs};
use crate::fault::words::StepPhase;
use crate::fault::{Site, SiteKind, Struck, What};
use crate::node::Node;
use crate::node::disk::DiskChange;
use crate::node::effect::FetchFailure;
use crate::node::profile::{Step, Steps};
use crate::node::step::Meeting;
use crate::wire::agent::CommandError;

/// Most commands of one flow.
const LONGEST_FLOW: usize = 64;

/// A command that was accepted.
pub(in crate::node) struct Planned {
    /// How long it runs, of no meaning for synchronous commands; none: for ever.
    pub(super) duration: Option<Duration>,
    /// How it ends.
    pub(super) ending: Ending,
}

/// How a command ends.
#[derive(Clone, Debug)]
pub(in crate::node) enum Ending {
    /// Well, with a result and changes to the node.
    Succeeded {
        result: Option<Value>,
        changes: Vec<Change>,
    },
    /// Badly.
    Failed(CommandError),
    /// Not begun: the caller's list of steps was made under other versions.
    VersionMismatch(CommandError),
}

/// What a command changes outside the agent.
#[derive(Clone, Debug)]
pub(in crate::node) enum Change {
    /// The disk.
    Disk(DiskChange),
    /// The host turns itself off.
    PowerOff,
    /// The host restarts.
    Reboot,
    /// The agent stops answering; the host stays on.
    FallSilent,
}

impl Ending {
    /// The URL of the config drive that the command has to fetch first.
    pub(super) fn config_drive_url(&self) -> Option<Arc<str>> {
        let Self::Succeeded { changes, .. } = self else {
            return None;
        };
        changes.iter().find_map(|change| match change {
            Change::Disk(DiskChange::Write {
                config_drive: Some(given),
                ..
            }) if image::is_url(given) => Some(Arc::clone(given)),
            Change::Disk(_) | Change::PowerOff | Change::Reboot | Change::FallSilent => None,
        })
    }

    /// The fetch ended: its content takes the place of the URL, or the command fails.
    pub(super) fn config_drive_fetched(&mut self, url: &str, fetched: Result<Arc<str>, FetchFailure>) {
        let Self::Succeeded { changes, .. } = self else {
            return;
        };
        match fetched {
            Ok(content) => {
                for change in changes {
                    if let Change::Disk(DiskChange::Write { config_drive, .. }) = change
                        && config_drive.as_deref() == Some(url)
                    {
                        *config_drive = Some(Arc::clone(&content));
                    }
                }
            }
            // ironic-python-agent: partition_utils.py, get_configdrive.
            Err(FetchFailure(why)) => {
                let details = format!("Failed to create config drive: cannot download {url}: {why}");
                *self = Self::Failed(failure(
                    "InstanceDeployFailure",
                    "Failed to deploy instance",
                    details,
                ));
            }
        }
    }

    /// A result of another shape than any command has.
    fn misshape(&mut self) {
        if let Self::Succeeded { result, .. } = self {
            *result = Some(json!(["unexpected"]));
        }
    }

    fn plain(result: Option<Value>) -> Self {
        Self::Succeeded {
            result,
            changes: Vec::new(),
        }
    }

    fn changing(result: Option<Value>, change: Change) -> Self {
        Self::Succeeded {
            result,
            changes: vec![change],
        }
    }
}

/// Kind of step list.
#[derive(Clone, Copy)]
enum StepKind {
    Clean,
    Deploy,
    Service,
}

impl StepKind {
    fn of(self, steps: &Steps) -> &[Step] {
        match self {
            Self::Clean => &steps.clean,
            Self::Deploy => &steps.deploy,
            Self::Service => &steps.service,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Deploy => "deploy",
            Self::Service => "service",
        }
    }

    fn phase(self) -> StepPhase {
        match self {
            Self::Clean => StepPhase::Clean,
            Self::Deploy => StepPhase::Deploy,
            Self::Service => StepPhase::Service,
        }
    }

    fn error_type(self) -> &'static str {
        match self {
            Self::Clean => "CleaningError",
            Self::Deploy => "DeploymentError",
            Self::Service => "ServicingError",
        }
    }
}

/// Decides what a command will do, and what goes wrong with it.
///
/// # Errors
/// Arguments that the command refuses before it starts.
pub(in crate::node) fn plan(
    node: &Node,
    name: CommandName,
    params: &Map<String, Value>,
    meeting: &mut Meeting<'_>,
) -> Result<Planned, AgentError> {
    let site = Site::AgentCommand { command: name.full() };
    let Some(Struck { what, .. }) = meeting.first(site) else {
        return plan_well(node, name, params, Some(meeting));
    };
    let mut planned = plan_well(node, name, params, None)?;
    match what {
        What::AgentCommandFails { message, .. } => {
            let details = message.map_or_else(|| "the command failed".to_owned(), String::from);
            planned.ending = Ending::Failed(execution_failed(details));
        }
        What::AgentCommandHangs { .. } => planned.duration = None,
        What::AgentCommandWrongShape { .. } => planned.ending.misshape(),
        _ => {}
    }
    Ok(planned)
}

/// The same for a command that itself meets no fault; its parts may, if there is a `meeting`.
fn plan_well(
    node: &Node,
    name: CommandName,
    params: &Map<String, Value>,
    mut meeting: Option<&mut Meeting<'_>>,
) -> Result<Planned, AgentError> {
    let mut work = name.full();
    let ending = match name {
        CommandName::GetCleanSteps => list_steps(node, StepKind::Clean),
        CommandName::GetDeploySteps => list_steps(node, StepKind::Deploy),
        CommandName::GetServiceSteps => list_steps(node, StepKind::Service),
        CommandName::ExecuteCleanStep => execute_step(node, StepKind::Clean, params, &mut work, meeting),
        CommandName::ExecuteDeployStep => execute_step(node, StepKind::Deploy, params, &mut work, meeting),
        CommandName::ExecuteServiceStep => execute_step(node, StepKind::Service, params, &mut work, meeting),
        CommandName::PrepareImage | CommandName::CacheImage => write_image(node, params, name.short())?,
        CommandName::ExecuteBootcInstall => bootc_install(params)?,
        CommandName::GetPartitionUuids => Ending::plain(Some(partition_uuids(node))),
        CommandName::Sync => Ending::plain(None),
        CommandName::PowerOff => Ending::changing(None, Change::PowerOff),
        CommandName::RunImage => Ending::changing(None, Change::Reboot),
        CommandName::InstallBootloader => {
            if node.disk().is_bootable() {
                Ending::changing(None, Change::Disk(DiskChange::InstallBootloader))
            } else {
                Ending::Failed(execution_failed("There is no image on the root disk".to_owned()))
            }
        }
        CommandName::CollectSystemLogs => {
            let done: Vec<&str> = node
                .agent()
                .map(|agent| {
                    agent
                        .commands
                        .iter()
                        .map(|command| command.command_name)
                        .collect()
                })
                .unwrap_or_default();
            let archive = logs::archive(node.identity().id, &done);
            Ending::plain(Some(json!({ "system_logs": archive })))
        }
        CommandName::FinalizeRescue => {
            let password = params
                .get("rescue_password")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if password.is_empty() {
                return Err(AgentError::Parameters("rescue_password is missing".to_owned()));
            }
            Ending::changing(None, Change::FallSilent)
        }
        CommandName::Lockdown => Ending::changing(None, Change::FallSilent),
        CommandName::GetHardwareInfo => {
            let struck = meeting
                .as_mut()
                .map(|meeting| meeting.all(Site::Plain(SiteKind::AgentInventory)));
            let flaws = Flaws::of(&struck.unwrap_or_default());
            let hardware = node.agent().map(|agent| {
                let mode = node.bmc().boot().mode;
                let mut found =
                    inventory::inventory(node.identity(), node.kind(), mode, &agent.parameters, &flaws);
                found.system_vendor.firmware.version = node.bios_version().into();
                found
            });
            Ending::plain(serde_json::to_value(hardware).ok())
        }
        CommandName::SetNodeInfo => {
            return Err(AgentError::Parameters(
                "Node info can only be set in standalone mode".to_owned(),
            ));
        }
        CommandName::StartFlow => return flow(node, params, meeting),
    };
    let duration = node
        .kind()
        .timing
        .of_command(work)
        .draw(node.peek_seed("agent-command"));
    Ok(Planned {
        duration: Some(duration),
        ending,
    })
}

/// The error of a command that failed for no reason of its own (ironic-python-agent: `errors.py`).
fn execution_failed(details: String) -> CommandError {
    failure("CommandExecutionError", "Command execution failed", details)
}

fn failure(kind: &'static str, message: &str, details: String) -> CommandError {
    CommandError {
        kind,
        code: 500,
        message: message.to_owned(),
        details,
    }
}

fn list_steps(node: &Node, kind: StepKind) -> Ending {
    let steps = &node.profile().steps;
    let word = kind.word();
    let listed = serde_json::to_value(kind.of(steps)).unwrap_or_default();
    Ending::plain(Some(json!({
        format!("{word}_steps"): { &*steps.manager: listed },
        "hardware_manager_version": manager_version(steps),
    })))
}

fn manager_version(steps: &Steps) -> Value {
    json!({ &*steps.manager_key: &*steps.manager_version })
}

fn execute_step<'a>(
    node: &'a Node,
    kind: StepKind,
    params: &Map<String, Value>,
    work: &mut &'a str,
    meeting: Option<&mut Meeting<'_>>,
) -> Ending {
    let steps = &node.profile().steps;
    let word = kind.word();
    let given = params.get("step").and_then(Value::as_object);
    let Some((given, step)) = given.and_then(|step| Some((step, step.get("step")?.as_str()?))) else {
        let details = format!(
            "Malformed {word}_step, no \"step\" key: {}",
            params.get("step").unwrap_or(&Value::Null)
        );
        return Ending::Failed(execution_failed(details));
    };
    let version = params
        .get(&format!("{word}_version"))
        .filter(|version| !version.is_null());
    if version.is_some_and(|version| *version != manager_version(steps)) {
        return Ending::VersionMismatch(CommandError {
            kind: "VersionMismatch",
            code: 409,
            message: "Hardware managers version mismatch, reload agent with correct version".to_owned(),
            details: format!("Current versions: {}", manager_version(steps)),
        });
    }
    let Some(known) = kind.of(steps).iter().find(|known| &*known.step == step) else {
        let details = format!("Could not find method: {step}");
        return Ending::Failed(failure(
            "HardwareManagerMethodNotFound",
            "No method found",
            details,
        ));
    };
    *work = &known.step;
    let empty = Map::new();
    let arguments = given.get("args").and_then(Value::as_object).unwrap_or(&empty);
    if let Some((missing, _)) = known
        .argsinfo
        .iter()
        .find(|(name, info)| info.required && arguments.get(&***name).is_none_or(Value::is_null))
    {
        let message = capitalised(word) + " step failed";
        return Ending::Failed(failure(
            kind.error_type(),
            &message,
            format!("{message}: step {step} needs the argument {missing}"),
        ));
    }
    let site = Site::AgentStep {
        phase: kind.phase(),
        step,
    };
    if let Some(What::AgentStepFails { message, .. }) = meeting
        .and_then(|meeting| meeting.first(site))
        .map(|struck| struck.what)
    {
        // ironic-python-agent: extensions/clean.py and its like name the step in front of what the step said.
        let why = message.as_deref().unwrap_or("the step failed");
        let details = format!("Error performing {word} step {step}: {why}");
        let message = capitalised(word) + " step failed";
        return Ending::Failed(failure(kind.error_type(), &message, details));
    }
    let (value, changes) = match step_work(node, params, step, arguments) {
        Ok(done) => done,
        Err(error) => {
            let message = capitalised(word) + " step failed";
            return Ending::Failed(failure(kind.error_type(), &message, error.to_string()));
        }
    };
    // Ironic compares interface and step only. The arguments stay out: they would carry the config drive into
    // every later list of commands.
    let echo: Map<String, Value> = given
        .iter()
        .filter(|(key, _)| *key != "args")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ending::Succeeded {
        result: Some(json!({ format!("{word}_result"): value, format!("{word}_step"): echo })),
        changes,
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a step gives and changes. A step of the profile that is not known here does nothing but take its time.
fn step_work(
    node: &Node,
    params: &Map<String, Value>,
    step: &str,
    arguments: &Map<String, Value>,
) -> Result<(Value, Vec<Change>), AgentError> {
    let done = match step {
        "erase_devices" | "erase_devices_metadata" | "erase_devices_express" => {
            (Value::Null, vec![Change::Disk(DiskChange::Erase)])
        }
        "delete_configuration" => (Value::Null, vec![Change::Disk(DiskChange::Erase)]),
        "create_configuration" | "apply_configuration" => {
            let target = params.get("node").and_then(|node| node.get("target_raid_config"));
            let config = arguments
                .get("raid_config")
                .or(target)
                .filter(|config| config.is_object());
            let disks = config
                .and_then(|config| config.get("logical_disks"))
                .cloned()
                .unwrap_or_else(|| json!([]));
            (
                json!({ "logical_disks": disks }),
                vec![Change::Disk(DiskChange::Erase)],
            )
        }
        "write_image" => {
            let image = image::parse(arguments.get("image_info"))?;
            let text = written(node, "write_image", &image.id);
            let config_drive = image::config_drive(arguments);
            (
                Value::String(text),
                vec![Change::Disk(DiskChange::Write { image, config_drive })],
            )
        }
        "execute_bootc_install" => {
            let image = image::parse(Some(&json!({ "urls": [arguments.get("image_source")] })))?;
            let config_drive = image::config_drive(arguments);
            (
                Value::Null,
                vec![Change::Disk(DiskChange::Write { image, config_drive })],
            )
        }
        _ if node
            .profile()
            .steps
            .deploy
            .iter()
            .any(|known| &*known.step == step) =>
        {
            (Value::Null, custom_deploy(params))
        }
        _ => (Value::Null, Vec::new()),
    };
    Ok(done)
}

/// A custom deploy step writes whatever the node record names, as the deploy interface `custom-agent` expects.
fn custom_deploy(params: &Map<String, Value>) -> Vec<Change> {
    let node = params.get("node");
    let info = node.and_then(|node| node.get("instance_info"));
    let Some(source) = info
        .and_then(|info| info.get("image_source"))
        .and_then(Value::as_str)
    else {
        return Vec::new();
    };
    let Ok(image) = image::parse(Some(&json!({ "urls": [source] }))) else {
        return Vec::new();
    };
    vec![Change::Disk(DiskChange::Write {
        image,
        config_drive: image::config_drive_of_node(node),
    })]
}

fn write_image(node: &Node, params: &Map<String, Value>, command: &str) -> Result<Ending, AgentError> {
    let image = image::parse(params.get("image_info"))?;
    let text = written(node, command, &image.id);
    let config_drive = image::config_drive(params);
    let change = Change::Disk(DiskChange::Write { image, config_drive });
    Ok(Ending::changing(Some(json!({ "result": text })), change))
}

fn bootc_install(params: &Map<String, Value>) -> Result<Ending, AgentError> {
    let image = image::parse(Some(&json!({ "urls": [params.get("image_source")] })))?;
    let text = format!("execute_bootc_install: image ({}) installed", image.url);
    let config_drive = image::config_drive(params);
    Ok(Ending::changing(
        Some(json!({ "result": text })),
        Change::Disk(DiskChange::Write { image, config_drive }),
    ))
}

fn written(node: &Node, command: &str, image: &str) -> String {
    let device = node
        .profile()
        .disks
        .first()
        .map_or("/dev/sda", |disk| &*disk.name);
    format!(
        "{command}: image ({image}) written to device {device} root_uuid={}",
        disk_identifier(node)
    )
}

fn disk_identifier(node: &Node) -> String {
    let bytes = node.identity().id.as_uuid().as_bytes();
    format!(
        "0x{:02x}{:02x}{:02x}{:02x}",
        bytes[12], bytes[13], bytes[14], bytes[15]
    )
}

fn partition_uuids(node: &Node) -> Value {
    if node.disk().is_bootable() {
        json!({ "root uuid": disk_identifier(node) })
    } else {
        json!({})
    }
}

/// A flow is the sum of its parts, up to the first that fails.
fn flow(
    node: &Node,
    params: &Map<String, Value>,
    mut meeting: Option<&mut Meeting<'_>>,
) -> Result<Planned, AgentError> {
    let malformed =
        || AgentError::Parameters("flow must be a list of {\"<extension>.<command>\": {…}}".to_owned());
    let parts = params
        .get("flow")
        .and_then(Value::as_array)
        .ok_or_else(malformed)?;
    if parts.len() > LONGEST_FLOW {
        return Err(AgentError::Parameters(format!(
            "flow has more than {LONGEST_FLOW} commands"
        )));
    }
    let (mut duration, mut all_changes) = (Some(Duration::ZERO), Vec::new());
    for part in parts {
        let part = part
            .as_object()
            .filter(|part| part.len() == 1)
            .ok_or_else(malformed)?;
        for (name, arguments) in part {
            let name = CommandName::parse(name)?;
            if name == CommandName::StartFlow {
                return Err(AgentError::Parameters("a flow cannot start a flow".to_owned()));
            }
            let arguments = arguments.as_object().ok_or_else(malformed)?;
            let planned = match &mut meeting {
                Some(meeting) => plan(node, name, arguments, meeting)?,
                None => plan_well(node, name, arguments, None)?,
            };
            // One that hangs is the last one.
            duration = duration.zip(planned.duration).map(|(before, more)| before + more);
            match planned.ending {
                Ending::Succeeded { changes, .. } => all_changes.extend(changes),
                Ending::Failed(error) | Ending::VersionMismatch(error) => {
                    return Ok(Planned {
                        duration,
                        ending: Ending::Failed(error),
                    });
                }
            }
        }
    }
    Ok(Planned {
        duration,
        ending: Ending::Succeeded {
            result: None,
            changes: all_changes,
        },
    })
}
