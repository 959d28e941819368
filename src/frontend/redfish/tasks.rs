//! `TaskService`. Every operation answers when it has begun and shows its progress in the resource itself, so there
//! never is a task.

use actix_web::HttpRequest;
use metalsim_actors::wire::redfish::service::TaskService;
use metalsim_actors::wire::redfish::{Link, Status, Uri};

use super::error::allow;
use super::respond::{self, Answer};

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
            tasks: Link::new("/redfish/v1/TaskService/Tasks", ""),
            status: Status::OK,
        },
    )
}

/// `GET /redfish/v1/TaskService/Tasks`
pub(super) async fn list(request: HttpRequest) -> Answer {
    let none: Vec<Link<'_>> = Vec::new();
    let odata_type = "#TaskCollection.TaskCollection";
    respond::collection(&request, allow::READ, odata_type, "Tasks", none)
}
