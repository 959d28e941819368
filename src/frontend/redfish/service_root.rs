//! The way in: versions, service root, OData documents, and the collections with a member a node.

use std::fmt::Write as _;
use std::sync::OnceLock;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use metalsim_actors::wire::redfish::service::{
    RootLinks, ServiceDocument, ServiceDocumentEntry, ServiceRoot,
};
use metalsim_actors::wire::redfish::{Collection, Link, Uri};

use super::error::allow;
use super::respond::{self, Answer, CHASSIS, MANAGERS, SYSTEMS};
use super::sessions::SESSIONS;
use super::state::RedfishState;

/// Protocol version (DSP0266).
const PROTOCOL: &str = "1.20.0";
/// The services that hang off the root, by name and URI.
const SERVICES: [(&str, &str); 8] = [
    ("Systems", "/redfish/v1/Systems"),
    ("Chassis", "/redfish/v1/Chassis"),
    ("Managers", "/redfish/v1/Managers"),
    ("SessionService", "/redfish/v1/SessionService"),
    ("AccountService", "/redfish/v1/AccountService"),
    ("TaskService", "/redfish/v1/TaskService"),
    ("UpdateService", "/redfish/v1/UpdateService"),
    ("Registries", "/redfish/v1/Registries"),
];

/// `GET /redfish`
pub(super) async fn versions() -> HttpResponse {
    respond::head(StatusCode::OK, allow::READ).body(r#"{"v1":"/redfish/v1/"}"#)
}

/// `GET /redfish/v1/`
pub(super) async fn root(state: web::Data<RedfishState>) -> Answer {
    let uuid = state.uuid.to_string();
    let [
        systems,
        chassis,
        managers,
        sessions,
        accounts,
        tasks,
        updates,
        registries,
    ] = SERVICES.map(|(_, uri)| Link::new(uri, ""));
    let payload = ServiceRoot {
        odata_id: Uri("/redfish/v1/", "", ""),
        odata_type: ServiceRoot::TYPE,
        id: "RootService",
        name: "Root service",
        redfish_version: PROTOCOL,
        uuid: &uuid,
        product: "metalsim",
        systems,
        chassis,
        managers,
        session_service: sessions,
        account_service: accounts,
        tasks,
        update_service: updates,
        registries,
        links: RootLinks {
            sessions: Link::new(SESSIONS, ""),
        },
    };
    respond::json(allow::READ, &payload)
}

/// `GET /redfish/v1/odata`
pub(super) async fn odata() -> Answer {
    let mut value = vec![ServiceDocumentEntry {
        name: "Service",
        kind: "Singleton",
        url: "/redfish/v1/",
    }];
    value.extend(SERVICES.map(|(name, url)| ServiceDocumentEntry {
        name,
        kind: "Singleton",
        url,
    }));
    value.push(ServiceDocumentEntry {
        name: "Sessions",
        kind: "Singleton",
        url: SESSIONS,
    });
    let context = "/redfish/v1/$metadata";
    let body = serde_json::to_vec(&ServiceDocument { context, value })?;
    Ok(respond::head(StatusCode::OK, allow::READ).body(body))
}

/// Schemas of the payloads, with the versions used; a collection has none.
const SCHEMAS: [(&str, &str); 45] = [
    ("AccountService", "v1_15_0"),
    ("AttributeRegistry", "v1_3_8"),
    ("Bios", "v1_2_1"),
    ("Chassis", "v1_25_0"),
    ("ChassisCollection", ""),
    ("ComputerSystem", "v1_22_0"),
    ("ComputerSystemCollection", ""),
    ("Drive", "v1_20_0"),
    ("EthernetInterface", "v1_12_0"),
    ("EthernetInterfaceCollection", ""),
    ("LogEntry", "v1_17_0"),
    ("LogEntryCollection", ""),
    ("LogService", "v1_8_0"),
    ("LogServiceCollection", ""),
    ("Manager", "v1_20_0"),
    ("ManagerAccount", "v1_12_0"),
    ("ManagerAccountCollection", ""),
    ("ManagerCollection", ""),
    ("ManagerNetworkProtocol", "v1_10_0"),
    ("Memory", "v1_20_0"),
    ("MemoryCollection", ""),
    ("Message", "v1_2_1"),
    ("MessageRegistry", "v1_6_3"),
    ("MessageRegistryFile", "v1_1_3"),
    ("MessageRegistryFileCollection", ""),
    ("Power", "v1_7_3"),
    ("Processor", "v1_20_0"),
    ("ProcessorCollection", ""),
    ("Role", "v1_3_1"),
    ("RoleCollection", ""),
    ("SecureBoot", "v1_1_0"),
    ("Session", "v1_7_0"),
    ("SessionCollection", ""),
    ("SessionService", "v1_1_9"),
    ("SimpleStorage", "v1_3_1"),
    ("SimpleStorageCollection", ""),
    ("SoftwareInventory", "v1_10_0"),
    ("Storage", "v1_17_0"),
    ("StorageCollection", ""),
    ("StorageController", "v1_8_0"),
    ("Task", "v1_7_4"),
    ("TaskService", "v1_2_1"),
    ("Thermal", "v1_7_3"),
    ("UpdateService", "v1_14_0"),
    ("VirtualMedia", "v1_6_0"),
];
/// More schemas of collections without a version.
const COLLECTIONS: [&str; 5] = [
    "SoftwareInventoryCollection",
    "StorageControllerCollection",
    "TaskCollection",
    "VirtualMediaCollection",
    "VolumeCollection",
];

/// `GET /redfish/v1/$metadata`
pub(super) async fn metadata() -> HttpResponse {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Bytes::from(edmx()));
    respond::head(StatusCode::OK, allow::READ)
        .insert_header((CONTENT_TYPE, "application/xml"))
        .body(document.clone())
}

fn edmx() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"4.0\">\n",
    );
    let collections = COLLECTIONS.iter().map(|name| (*name, ""));
    let root = ("ServiceRoot", "v1_17_0");
    for (name, version) in SCHEMAS.into_iter().chain(collections).chain([root]) {
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "  <edmx:Reference Uri=\"http://redfish.dmtf.org/schemas/v1/{name}_v1.xml\">\n    \
             <edmx:Include Namespace=\"{name}\"/>\n"
        );
        if !version.is_empty() {
            let _ = writeln!(text, "    <edmx:Include Namespace=\"{name}.{version}\"/>");
        }
        text.push_str("  </edmx:Reference>\n");
    }
    text.push_str(
        "  <edmx:DataServices>\n    \
         <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"Service\">\n      \
         <EntityContainer Name=\"Service\" Extends=\"ServiceRoot.v1_17_0.ServiceContainer\"/>\n    \
         </Schema>\n  </edmx:DataServices>\n</edmx:Edmx>\n",
    );
    text
}

/// `GET /redfish/v1/Systems`
pub(super) async fn systems(state: web::Data<RedfishState>) -> Answer {
    let about = ("#ComputerSystemCollection.ComputerSystemCollection", "Systems");
    fleet(&state, &state.collections.systems, SYSTEMS, about)
}

/// `GET /redfish/v1/Chassis`
pub(super) async fn chassis(state: web::Data<RedfishState>) -> Answer {
    let about = ("#ChassisCollection.ChassisCollection", "Chassis");
    fleet(&state, &state.collections.chassis, CHASSIS, about)
}

/// `GET /redfish/v1/Managers`
pub(super) async fn managers(state: web::Data<RedfishState>) -> Answer {
    let about = ("#ManagerCollection.ManagerCollection", "Managers");
    fleet(&state, &state.collections.managers, MANAGERS, about)
}

/// A collection with a member a node: written once, never in pages, since sushy reads only the first.
fn fleet(
    state: &RedfishState,
    written: &OnceLock<Bytes>,
    prefix: &'static str,
    (odata_type, name): (&'static str, &'static str),
) -> Answer {
    if let Some(body) = written.get() {
        return Ok(respond::ready(allow::READ, odata_type, body.clone()));
    }
    let nodes = state.directory.nodes();
    let ids: Vec<String> = nodes.iter().map(|node| node.identity().id.to_string()).collect();
    let payload = Collection {
        odata_id: Uri(prefix.trim_end_matches('/'), "", ""),
        odata_type,
        name,
        count: ids.len(),
        members: ids.iter().map(|id| respond::link(prefix, id, "")).collect(),
    };
    let body = Bytes::from(serde_json::to_vec(&payload)?);
    Ok(respond::ready(
        allow::READ,
        odata_type,
        written.get_or_init(|| body).clone(),
    ))
}
