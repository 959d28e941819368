//! `LogServices`: the event log of a system.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use metalsim_actors::node::bmc::{self, BmcCommand, LogEvent};
use metalsim_actors::time::Clock;
use metalsim_actors::wire::redfish::log::{LogEntry, LogService, LogServiceActions};
use metalsim_actors::wire::redfish::message::Severity;
use metalsim_actors::wire::redfish::system::Action;
use metalsim_actors::wire::redfish::{Collection, Status, Uri};

use super::error::{RedfishError, allow};
use super::managers::{LOCAL_OFFSET, shifted};
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer, SYSTEMS, Tagged, View, link};
use super::state::RedfishState;

const ID: &str = "EventLog";
const SERVICE: &str = "/LogServices/EventLog";
const ENTRIES_TYPE: &str = "#LogEntryCollection.LogEntryCollection";
const ENTRIES: &str = "/LogServices/EventLog/Entries";

/// `GET /redfish/v1/Systems/{id}/LogServices`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let id = node.identity().id.to_string();
    let now = respond::date_time(state.clock.calendar(state.clock.now()));
    let about = ("#LogServiceCollection.LogServiceCollection", "Log services");
    respond::members(&request, about, &[ID.to_owned()], |_| service(&id, now.clone()))
}

/// `GET /redfish/v1/Systems/{id}/LogServices/EventLog`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    respond::show(
        &request,
        &node,
        (Tagged::Weak, allow::READ, LogService::TYPE),
        move |view, out| {
            let now = shifted(clock.calendar(view.now), view.node.bmc().clock_offset_millis());
            let payload = service(view.id, respond::date_time(now));
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

fn service(id: &str, now: String) -> LogService<'_> {
    LogService {
        odata_id: Uri(SYSTEMS, id, SERVICE),
        odata_type: LogService::TYPE,
        id: ID,
        name: "Event log",
        service_enabled: true,
        max_number_of_records: bmc::LOG_ENTRIES,
        over_write_policy: "WrapsWhenFull",
        log_entry_type: "Event",
        date_time: now,
        date_time_local_offset: LOCAL_OFFSET,
        entries: link(SYSTEMS, id, ENTRIES),
        status: Status::OK,
        actions: LogServiceActions {
            clear: Action {
                target: Uri(SYSTEMS, id, "/LogServices/EventLog/Actions/LogService.ClearLog"),
            },
        },
    }
}

/// `GET /redfish/v1/Systems/{id}/LogServices/EventLog/Entries`: whole entries, as the specification wants it.
pub(super) async fn entries(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::READ, ENTRIES_TYPE),
        move |view, out| {
            let names: Vec<Named> = view.node.bmc().log().map(Named::of).collect();
            let log = view.node.bmc().log().zip(&names);
            let members: Vec<LogEntry<'_>> = log
                .map(|(logged, named)| entry(view, &*clock, logged, named))
                .collect();
            let payload = Collection {
                odata_id: Uri(SYSTEMS, view.id, ENTRIES),
                odata_type: ENTRIES_TYPE,
                name: "Event log entries",
                count: members.len(),
                members,
            };
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// `GET /redfish/v1/Systems/{id}/LogServices/EventLog/Entries/{entry}`
pub(super) async fn get_entry(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let node = respond::node(&state, &request)?;
    let clock = Arc::clone(&state.clock);
    let wanted = request.match_info().get("entry").unwrap_or_default().to_owned();
    let path = request.path().to_owned();
    respond::show(
        &request,
        &node,
        (Tagged::Strong, allow::READ, LogEntry::TYPE),
        move |view, out| {
            let mut log = view.node.bmc().log();
            let Some(logged) = log.find(|entry| entry.id.to_string() == wanted) else {
                return Err(RedfishError::missing(&path));
            };
            let named = Named::of(logged);
            let payload = entry(view, &*clock, logged, &named);
            Ok(serde_json::to_writer(out, &payload)?)
        },
    )
    .await
}

/// The texts that an entry's payload borrows.
struct Named {
    id: String,
    tail: String,
}

impl Named {
    fn of(logged: &bmc::LogEntry) -> Self {
        let id = logged.id.to_string();
        let tail = format!("{ENTRIES}/{id}");
        Self { id, tail }
    }
}

fn entry<'a>(view: &View<'a>, clock: &dyn Clock, logged: &bmc::LogEntry, named: &'a Named) -> LogEntry<'a> {
    let at = shifted(clock.calendar(logged.at), view.node.bmc().clock_offset_millis());
    let (severity, message) = describe(&logged.event);
    LogEntry {
        odata_id: Uri(SYSTEMS, view.id, &named.tail),
        odata_type: LogEntry::TYPE,
        id: &named.id,
        name: "Event log entry",
        entry_type: "Event",
        severity,
        created: respond::date_time(at),
        message,
    }
}

fn describe(event: &LogEvent) -> (Severity, String) {
    match event {
        LogEvent::Reset(reset) => (Severity::Ok, format!("Reset requested: {reset:?}.")),
        LogEvent::PoweredOn => (Severity::Ok, "The host is powered on.".to_owned()),
        LogEvent::PowerLost => (Severity::Critical, "The host lost its power.".to_owned()),
        LogEvent::PoweredOff => (Severity::Ok, "The host is powered off.".to_owned()),
        LogEvent::Booting(target) => (Severity::Ok, format!("Booting from {target:?}.")),
        LogEvent::NoBootableDevice => (Severity::Critical, "No bootable device was found.".to_owned()),
        LogEvent::BootFailed(why) => (Severity::Warning, format!("Boot failed: {why}.")),
        LogEvent::MediaInserted(slot) => (Severity::Ok, format!("Virtual media inserted: {slot}.")),
        LogEvent::MediaEjected(slot) => (Severity::Ok, format!("Virtual media ejected: {slot}.")),
        LogEvent::FirmwareUpdated(component) => {
            (Severity::Ok, format!("Firmware updated: {}.", component.as_str()))
        }
        LogEvent::FirmwareUpdateFailed(component) => {
            let text = format!("Firmware update failed: {}.", component.as_str());
            (Severity::Critical, text)
        }
        LogEvent::BiosApplied => (Severity::Ok, "BIOS settings were applied.".to_owned()),
    }
}

/// `POST /redfish/v1/Systems/{id}/LogServices/EventLog/Actions/LogService.ClearLog`
pub(super) async fn clear(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let node = respond::node(&state, &request)?;
    let if_match = respond::precondition(request.headers(), &node).await?;
    let body = parse::parameters(&state, &request, payload).await?;
    Fields::new(Purpose::Action("LogService.ClearLog"), body).finish(&[])?;
    respond::command(&node, if_match, BmcCommand::ClearLog).await?;
    Ok(respond::no_content())
}
