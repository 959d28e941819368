//! Update service, software inventory and tasks.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::message::{Message, Severity};
use super::{Link, Status, Uri, resource};

resource! {
    /// `UpdateService`.
    UpdateService<'a> = "#UpdateService.v1_14_0.UpdateService" {
        service_enabled: bool,
        firmware_inventory: Link<'a>,
        status: Status,
        actions: UpdateServiceActions<'a>,
    }
}

/// `Actions` of the update service.
#[derive(Clone, Debug, Serialize)]
pub struct UpdateServiceActions<'a> {
    #[serde(rename = "#UpdateService.SimpleUpdate")]
    pub simple_update: SimpleUpdateAction<'a>,
}

/// `#UpdateService.SimpleUpdate`.
#[derive(Clone, Debug, Serialize)]
pub struct SimpleUpdateAction<'a> {
    pub target: Uri<'a>,
    #[serde(rename = "TransferProtocol@Redfish.AllowableValues")]
    pub protocols: &'a [&'static str],
}

resource! {
    /// `SoftwareInventory`.
    SoftwareInventory<'a> = "#SoftwareInventory.v1_10_0.SoftwareInventory" {
        manufacturer: &'a str,
        version: &'a str,
        updateable: bool,
        related_item: [Link<'a>; 1],
        status: Status,
    }
}

resource! {
    /// `Task`.
    Task<'a> = "#Task.v1_7_4.Task" {
        task_state: TaskState,
        task_status: Severity,
        percent_complete: u8,
        start_time: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        end_time: Option<String>,
        task_monitor: Uri<'a>,
        messages: Vec<Message>,
    }
}

/// `TaskState`, as far as the service's tasks have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TaskState {
    New,
    Running,
    Completed,
    Exception,
}
