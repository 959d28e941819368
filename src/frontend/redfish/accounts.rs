//! `AccountService`: the accounts that the settings give, none of which can be changed here.

use actix_web::http::header::{ETAG, HeaderValue};
use actix_web::{HttpRequest, web};
use metalsim_actors::wire::redfish::service::{AccountLinks, AccountService, ManagerAccount, Role};
use metalsim_actors::wire::redfish::{EntityTag, Link, Status, Uri};

use super::error::allow;
use super::respond::{self, Answer};
use super::state::RedfishState;

const ACCOUNTS: &str = "/redfish/v1/AccountService/Accounts";
const ROLES: &str = "/redfish/v1/AccountService/Roles";
/// The role of every account.
const ADMINISTRATOR: &str = "Administrator";
/// The roles that the specification defines, with their privileges (DSP0266, 13.4.5).
static PREDEFINED: [(&str, &[&str]); 3] = [
    (
        ADMINISTRATOR,
        &[
            "Login",
            "ConfigureManager",
            "ConfigureUsers",
            "ConfigureComponents",
            "ConfigureSelf",
        ],
    ),
    ("Operator", &["Login", "ConfigureComponents", "ConfigureSelf"]),
    ("ReadOnly", &["Login", "ConfigureSelf"]),
];

/// `GET /redfish/v1/AccountService`
pub(super) async fn service() -> Answer {
    respond::json(
        allow::READ,
        &AccountService {
            odata_id: Uri("/redfish/v1/AccountService", "", ""),
            odata_type: AccountService::TYPE,
            id: "AccountService",
            name: "Account service",
            service_enabled: true,
            accounts: Link::new(ACCOUNTS, ""),
            roles: Link::new(ROLES, ""),
            status: Status::OK,
        },
    )
}

/// Accounts are numbered from 1 in the order of their names.
fn ids(count: usize) -> Vec<String> {
    (1..=count).map(|number| number.to_string()).collect()
}

/// `GET /redfish/v1/AccountService/Accounts`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let usernames = state.auth.usernames();
    let ids = ids(usernames.len());
    let about = ("#ManagerAccountCollection.ManagerAccountCollection", "Accounts");
    respond::members(&request, about, &ids, |index| {
        account(&ids[index], usernames[index])
    })
}

/// `GET /redfish/v1/AccountService/Accounts/{account}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let usernames = state.auth.usernames();
    let ids = ids(usernames.len());
    let index = respond::position(&request, "account", &ids)?;
    let mut answer = respond::json(allow::READ, &account(&ids[index], usernames[index]))?;
    // Accounts never change.
    let etag = HeaderValue::from_static("\"1\"");
    answer.headers_mut().insert(ETAG, etag);
    Ok(answer)
}

fn account<'a>(id: &'a str, user_name: &'a str) -> ManagerAccount<'a> {
    ManagerAccount {
        odata_id: Uri(ACCOUNTS, "/", id),
        odata_type: ManagerAccount::TYPE,
        id,
        name: "User account",
        etag: EntityTag::Strong(1),
        user_name,
        password: None,
        role_id: ADMINISTRATOR,
        enabled: true,
        locked: false,
        account_types: ["Redfish"],
        links: AccountLinks {
            role: Link {
                odata_id: Uri(ROLES, "/", ADMINISTRATOR),
            },
        },
    }
}

fn role_ids() -> [String; 3] {
    PREDEFINED.map(|(id, _)| id.to_owned())
}

/// `GET /redfish/v1/AccountService/Roles`
pub(super) async fn roles(request: HttpRequest) -> Answer {
    let about = ("#RoleCollection.RoleCollection", "Roles");
    respond::members(&request, about, &role_ids(), role)
}

/// `GET /redfish/v1/AccountService/Roles/{role}`
pub(super) async fn get_role(request: HttpRequest) -> Answer {
    let index = respond::position(&request, "role", &role_ids())?;
    respond::json(allow::READ, &role(index))
}

fn role(index: usize) -> Role<'static> {
    let (id, privileges) = PREDEFINED[index];
    Role {
        odata_id: Uri(ROLES, "/", id),
        odata_type: Role::TYPE,
        id,
        name: id,
        role_id: id,
        is_predefined: true,
        assigned_privileges: privileges,
        oem_privileges: [],
    }
}
