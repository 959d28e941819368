//! `TaskService`: the tasks of all nodes, each with a monitor. Firmware updates have them; every other operation answers when it has begun
//! and shows its progress in the resource itself.
//!
//! A monitor answers 202 with the task while that runs, and 200 with the task afterwards, whatever came of it: Ironic reads the state there,
//! and takes a monitor that is gone for success. `Retry-After` is left out, because sushy cannot wait for a number that comes as a text.

use std::sync::{Arc, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, web};
use metalsim_actors::fault::NodeIndex;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::BmcCommand;
use metalsim_actors::node::update::{self, Progress};
use metalsim_actors::shell::NodeRef;
use metalsim_actors::time::{Clock, SimInstant};
use metalsim_actors::wire::redfish::message::{self, Message, Severity};
use metalsim_actors::wire::redfish::service::TaskService;
use metalsim_actors::wire::redfish::update::{Task, TaskState};
use metalsim_actors::wire::redfish::{Link, Status, Uri};

use super::error::{RedfishError, allow};
use super::managers::shifted;
use super::respond::{self, Answer, Tagged};
use super::state::RedfishState;

const TASKS: &str = "/redfish/v1/TaskService/Tasks";
const MONITORS: &str = "/redfish/v1/TaskService/TaskMonitors";

/// Node and rest of the id of something that belongs to a node and lies beside those of other nodes: `<uuid>-<rest>`.
pub(super) fn part_of_node(id: &str) -> Option<(NodeId, &str)> {
    let (node, rest) = id.split_at_checked(36)?;
    Some((node.parse().ok()?, rest.strip_prefix('-')?))
}

/// URI of a task's monitor.
pub(super) fn monitor_uri(node: NodeId, number: u32) -> String {
    format!("{MONITORS}/{node}-{number}")
}

/// `GET /redfish/v1/TaskService`
pub(super) async fn service() -> Answer {
    respond::json(
        allow::READ,
        &TaskService {
            odata_id: Uri("/redfish/v1/TaskService", "", ""),
            odata_type: TaskService::TYPE,
            id: "TaskService",
            name: "Task service",
            service_enabled: true,
            completed_task_over_write_policy: "Oldest",
            life_cycle_event_on_task_state_change: false,
            tasks: Link::new(TASKS, ""),
            status: Status::OK,
        },
    )
}

/// `GET /redfish/v1/TaskService/Tasks`: of the nodes that had an update, so that none of the others is looked at.
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let updated: Vec<NodeIndex> = {
        let updated = state.updated.lock().unwrap_or_else(PoisonError::into_inner);
        updated.iter().copied().collect()
    };
    let mut ids = Vec::new();
    for index in updated {
        let Some(node) = state.directory.nodes().get(index.0 as usize) else {
            continue;
        };
        let numbers: Vec<u32> = node
            .read(|node, _| node.bmc().tasks().map(|task| task.number).collect())
            .await?;
        let id = node.identity().id;
        ids.extend(numbers.into_iter().map(|number| format!("{id}-{number}")));
    }
    let links = ids
        .iter()
        .map(|id| Link {
            odata_id: Uri(TASKS, "/", id),
        })
        .collect();
    let odata_type = "#TaskCollection.TaskCollection";
    respond::collection(&request, allow::READ, odata_type, "Tasks", links)
}

/// The task that the path names.
struct Named {
    node: Arc<NodeRef>,
    number: u32,
    /// Its id; also the last segment of its monitor's URI.
    id: String,
    path: String,
}

impl Named {
    fn of(state: &RedfishState, request: &HttpRequest) -> Result<Self, RedfishError> {
        let missing = || RedfishError::missing(request.path());
        let id = request.match_info().get("task").unwrap_or_default();
        let (node, number) = part_of_node(id).ok_or_else(missing)?;
        let node = state.directory.get(&node).ok_or_else(missing)?;
        let number = number.parse().map_err(|_| missing())?;
        // Other spellings of the same are no ids here.
        let own = format!("{}-{number}", node.identity().id);
        if own != id {
            return Err(missing());
        }
        Ok(Self {
            node,
            number,
            id: own,
            path: request.path().to_owned(),
        })
    }
}

fn write(
    (id, task): (&str, &update::Task),
    now: SimInstant,
    date: impl Fn(SimInstant) -> String,
) -> Result<Vec<u8>, serde_json::Error> {
    let component = task.component.as_str();
    let arguments = [&*task.image, component];
    let (task_state, end, message) = match &task.progress {
        Progress::Running { .. } => {
            let state = if now <= task.begun {
                TaskState::New
            } else {
                TaskState::Running
            };
            (state, None, Message::new(&message::UPDATE_IN_PROGRESS, &[]))
        }
        Progress::Completed { at } => {
            let done = Message::new(&message::UPDATE_SUCCESSFUL, &[component, &task.image]);
            (TaskState::Completed, Some(*at), done)
        }
        Progress::Exception { at, message } => {
            let failed = Message::new(&message::APPLY_FAILED, &arguments);
            let failed = match message {
                Some(text) => failed.saying(text),
                None => failed,
            };
            (TaskState::Exception, Some(*at), failed)
        }
    };
    serde_json::to_vec(&Task {
        odata_id: Uri(TASKS, "/", id),
        odata_type: Task::TYPE,
        id,
        name: "Firmware update",
        task_state,
        task_status: match task_state {
            TaskState::Exception => Severity::Critical,
            TaskState::New | TaskState::Running | TaskState::Completed => Severity::Ok,
        },
        percent_complete: task.percent(now),
        start_time: date(task.begun),
        end_time: end.map(date),
        task_monitor: Uri(MONITORS, "/", id),
        messages: vec![message],
    })
}

/// `GET /redfish/v1/TaskService/Tasks/{task}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let Named {
        node,
        number,
        id,
        path,
    } = Named::of(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    let about = (Tagged::Weak, allow::DELETE, Task::TYPE);
    respond::show(&request, &node, about, move |view, out| {
        let task = view.node.bmc().tasks().find(|task| task.number == number);
        let task = task.ok_or_else(|| RedfishError::missing(&path))?;
        let offset = view.node.bmc().clock_offset_millis();
        out.extend(write((&id, task), view.now, |at| shown(&*clock, at, offset))?);
        Ok(())
    })
    .await
}

/// `GET /redfish/v1/TaskService/TaskMonitors/{task}`
pub(super) async fn monitor(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let Named {
        node,
        number,
        id,
        path,
    } = Named::of(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    let (runs, body) = node
        .read(move |node, now| {
            let task = node.bmc().tasks().find(|task| task.number == number);
            let task = task.ok_or_else(|| RedfishError::missing(&path))?;
            let offset = node.bmc().clock_offset_millis();
            let body = write((&id, task), now, |at| shown(&*clock, at, offset))?;
            Ok::<_, RedfishError>((task.is_running(), body))
        })
        .await??;
    let mut response = respond::head(
        if runs {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        },
        allow::DELETE,
    );
    if runs {
        // By exactly this sushy knows that a task can be called off.
        response.insert_header((ALLOW, "DELETE"));
    }
    Ok(response
        .insert_header(respond::described_by(Task::TYPE))
        .body(body))
}

/// `DELETE` of a task or its monitor: one that runs is called off.
pub(super) async fn delete(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let Named {
        node, number, path, ..
    } = Named::of(&state, &request)?;
    let known = node
        .read(move |node, _| node.bmc().tasks().any(|task| task.number == number))
        .await?;
    if !known {
        return Err(RedfishError::missing(&path));
    }
    respond::command(&node, None, BmcCommand::DeleteTask(number)).await?;
    Ok(respond::no_content())
}

fn shown(clock: &dyn Clock, at: SimInstant, offset_millis: i64) -> String {
    respond::date_time(shifted(clock.calendar(at), offset_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_their_node() {
        let node = NodeId::from_name("n0");
        let id = format!("{node}-12");
        assert_eq!(part_of_node(&id), Some((node, "12")));
        let short = &id[..36];
        for wrong in ["", "12", short, "not-a-uuid-but-as-long-as-one-xxxxxxx-1", "é"] {
            assert_eq!(part_of_node(wrong), None, "{wrong}");
        }
    }
}
