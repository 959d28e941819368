//! The Redfish service: every node a `ComputerSystem` under `/redfish/v1/Systems/<uuid>`, with a `Manager` and a
//! `Chassis` of the same id.
//!
//! A handler turns a request into a look into the node or a command for its BMC, and the outcome into the protocol's
//! form. Facts that never change (identity, profile) are read without asking the node.
//!
//! | what | file |
//! | --- | --- |
//! | credentials, before everything else | [`gate`], [`auth`], [`session_store`] |
//! | request bodies and what can be wrong with them | [`parse`] |
//! | answers, entity tags, preconditions | [`respond`] |
//! | errors | [`error`] |
//! | everything else | one file a family of resources |

mod accounts;
mod auth;
mod bios;
mod boot;
mod chassis;
mod error;
mod ethernet_interfaces;
mod faults;
mod gate;
mod log_service;
mod managers;
mod memory;
mod network_adapters;
mod parse;
mod processors;
mod registries;
mod reset;
mod respond;
mod secure_boot;
mod sensors;
mod service_root;
mod session_store;
mod sessions;
mod stale;
mod state;
mod storage;
mod systems;
mod tasks;
mod update_service;
mod virtual_media;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Resource, guard, web};

pub use self::auth::Auth;
pub use self::session_store::SessionStore;
pub use self::state::RedfishState;

use self::error::{RedfishError, allow};
use super::measure::NoRoute;

/// Adds the routes of a service.
pub fn configure(state: Arc<RedfishState>) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(web::Data::from(Arc::clone(&state)))
            .service(routes());
    }
}

/// A resource behind the gate, that answers other methods with 405 and the list of those that it has.
///
/// The gate stands before each resource and not before all, so that also those who are turned away are counted under
/// the route that they wanted.
fn resource(
    path: &str,
    allow: &'static str,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    web::resource(path)
        .default_service(web::to(move || async move {
            Err::<HttpResponse, _>(RedfishError::method_not_allowed(allow))
        }))
        .wrap(from_fn(gate::gate))
}

fn read() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn routes() -> impl HttpServiceFactory {
    // Tried in this order: what is asked for most comes first.
    web::scope("/redfish")
        .configure(system_routes)
        .configure(system_part_routes)
        .configure(chassis_and_manager_routes)
        .configure(service_routes)
        .default_service(web::to(nothing_here))
}

/// 404, or the same URI without its last slash.
async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, RedfishError> {
    request.extensions_mut().insert(NoRoute);
    gate::admit(&request).await?;
    let path = request.path();
    match path.strip_suffix('/') {
        Some(shorter) if !shorter.ends_with('/') && shorter.len() > "/redfish".len() => {
            Err(RedfishError::redirect(true, shorter))
        }
        _ => Err(RedfishError::missing(path)),
    }
}

fn system_routes(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/v1/Systems/{id}", allow::PATCH)
                .route(read().to(systems::get))
                .route(web::patch().to(systems::patch)),
        )
        .service(
            resource("/v1/Systems/{id}/Actions/ComputerSystem.Reset", allow::ACTION)
                .route(web::post().to(reset::post)),
        )
        .service(resource("/v1/Systems/{id}/VirtualMedia", allow::READ).route(read().to(virtual_media::list)))
        .service(
            resource("/v1/Systems/{id}/VirtualMedia/{slot}", allow::PATCH)
                .route(read().to(virtual_media::get))
                .route(web::patch().to(virtual_media::patch)),
        )
        .service(
            resource(
                "/v1/Systems/{id}/VirtualMedia/{slot}/Actions/VirtualMedia.InsertMedia",
                allow::ACTION,
            )
            .route(web::post().to(virtual_media::insert)),
        )
        .service(
            resource(
                "/v1/Systems/{id}/VirtualMedia/{slot}/Actions/VirtualMedia.EjectMedia",
                allow::ACTION,
            )
            .route(web::post().to(virtual_media::eject)),
        )
        .service(
            resource("/v1/Systems/{id}/SecureBoot", allow::PATCH)
                .route(read().to(secure_boot::get))
                .route(web::patch().to(secure_boot::patch)),
        )
        .service(
            resource(
                "/v1/Systems/{id}/SecureBoot/Actions/SecureBoot.ResetKeys",
                allow::ACTION,
            )
            .route(web::post().to(secure_boot::reset_keys)),
        )
        .service(resource("/v1/Systems/{id}/Bios", allow::READ).route(read().to(bios::get)))
        .service(
            resource("/v1/Systems/{id}/Bios/Settings", allow::PATCH)
                .route(read().to(bios::get_settings))
                .route(web::patch().to(bios::patch_settings)),
        )
        .service(
            resource("/v1/Systems/{id}/Bios/Actions/Bios.ResetBios", allow::ACTION)
                .route(web::post().to(bios::reset)),
        );
}

/// Resources that are only read, by path.
macro_rules! readable {
    ($config:ident: $($path:literal => $handler:path,)*) => {
        $config$(.service(resource($path, allow::READ).route(read().to($handler))))*
    };
}

fn system_part_routes(config: &mut web::ServiceConfig) {
    readable! { config:
        "/v1/Systems/{id}/EthernetInterfaces" => ethernet_interfaces::list,
        "/v1/Systems/{id}/EthernetInterfaces/{part}" => ethernet_interfaces::get,
        "/v1/Systems/{id}/Processors" => processors::list,
        "/v1/Systems/{id}/Processors/{part}" => processors::get,
        "/v1/Systems/{id}/Memory" => memory::list,
        "/v1/Systems/{id}/Memory/{part}" => memory::get,
        "/v1/Systems/{id}/SimpleStorage" => storage::list_simple,
        "/v1/Systems/{id}/SimpleStorage/{part}" => storage::get_simple,
        "/v1/Systems/{id}/Storage" => storage::list,
        "/v1/Systems/{id}/Storage/{part}" => storage::get,
        "/v1/Systems/{id}/Storage/{part}/Volumes" => storage::volumes,
        "/v1/Systems/{id}/Storage/{part}/Controllers" => storage::controllers,
        "/v1/Systems/{id}/Storage/{part}/Controllers/{controller}" => storage::get_controller,
        "/v1/Systems/{id}/Storage/{part}/Drives/{drive}" => storage::get_drive,
        "/v1/Systems/{id}/LogServices" => log_service::list,
        "/v1/Systems/{id}/LogServices/EventLog" => log_service::get,
        "/v1/Systems/{id}/LogServices/EventLog/Entries" => log_service::entries,
        "/v1/Systems/{id}/LogServices/EventLog/Entries/{entry}" => log_service::get_entry,
    }
    .service(
        resource(
            "/v1/Systems/{id}/LogServices/EventLog/Actions/LogService.ClearLog",
            allow::ACTION,
        )
        .route(web::post().to(log_service::clear)),
    );
}

fn chassis_and_manager_routes(config: &mut web::ServiceConfig) {
    readable! { config:
        "/v1/Managers/{id}/NetworkProtocol" => managers::network_protocol,
        "/v1/Managers/{id}/EthernetInterfaces" => managers::interfaces,
        "/v1/Managers/{id}/EthernetInterfaces/{part}" => managers::get_interface,
        "/v1/Chassis/{id}/NetworkAdapters" => network_adapters::list,
        "/v1/Chassis/{id}/NetworkAdapters/{part}" => network_adapters::get,
        "/v1/Chassis/{id}/Power" => chassis::get_power,
        "/v1/Chassis/{id}/Thermal" => chassis::get_thermal,
    }
    .service(
        resource("/v1/Managers/{id}", allow::PATCH)
            .route(read().to(managers::get))
            .route(web::patch().to(managers::patch)),
    )
    .service(
        resource("/v1/Chassis/{id}", allow::PATCH)
            .route(read().to(chassis::get))
            .route(web::patch().to(chassis::patch)),
    );
}

fn service_routes(config: &mut web::ServiceConfig) {
    readable! { config:
        "" => service_root::versions,
        "/" => service_root::versions,
        "/v1" => service_root::root,
        "/v1/" => service_root::root,
        "/v1/odata" => service_root::odata,
        "/v1/$metadata" => service_root::metadata,
        "/v1/Systems" => service_root::systems,
        "/v1/Chassis" => service_root::chassis,
        "/v1/Managers" => service_root::managers,
        "/v1/SessionService" => sessions::service,
        "/v1/AccountService" => accounts::service,
        "/v1/AccountService/Accounts" => accounts::list,
        "/v1/AccountService/Accounts/{account}" => accounts::get,
        "/v1/AccountService/Roles" => accounts::roles,
        "/v1/AccountService/Roles/{role}" => accounts::get_role,
        "/v1/TaskService" => tasks::service,
        "/v1/TaskService/Tasks" => tasks::list,
        "/v1/UpdateService" => update_service::service,
        "/v1/UpdateService/FirmwareInventory" => update_service::inventory,
        "/v1/UpdateService/FirmwareInventory/{software}" => update_service::get,
        "/v1/Registries" => registries::list,
        "/v1/Registries/{registry}" => registries::get,
        "/v1/Registries/{registry}/Registry" => registries::registry,
    }
    .service(
        resource("/v1/TaskService/Tasks/{task}", allow::DELETE)
            .route(read().to(tasks::get))
            .route(web::delete().to(tasks::delete)),
    )
    .service(
        resource("/v1/TaskService/TaskMonitors/{task}", allow::DELETE)
            .route(read().to(tasks::monitor))
            .route(web::delete().to(tasks::delete)),
    )
    .service(
        resource(
            "/v1/UpdateService/Actions/UpdateService.SimpleUpdate",
            allow::ACTION,
        )
        .route(web::post().to(update_service::simple_update)),
    )
    .service(
        resource("/v1/SessionService/Sessions", allow::CREATE)
            .route(read().to(sessions::list))
            .route(web::post().to(sessions::create)),
    )
    .service(
        resource("/v1/SessionService/Sessions/Members", allow::ACTION)
            .route(web::post().to(sessions::create)),
    )
    .service(
        resource("/v1/SessionService/Sessions/{session}", allow::DELETE)
            .route(read().to(sessions::get))
            .route(web::delete().to(sessions::delete)),
    );
}
