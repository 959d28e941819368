//! What belongs to the service itself: root, sessions, accounts, tasks, registries.
#![expect(missing_docs, reason = "properties are named as in the schemas")]

use serde::Serialize;

use super::{EntityTag, Link, Status, Typed, Uri, resource};

resource! {
    /// `ServiceRoot`.
    ServiceRoot<'a> = "#ServiceRoot.v1_17_0.ServiceRoot" {
        redfish_version: &'static str,
        #[serde(rename = "UUID")]
        uuid: &'a str,
        product: &'static str,
        systems: Link<'a>,
        chassis: Link<'a>,
        managers: Link<'a>,
        session_service: Link<'a>,
        account_service: Link<'a>,
        tasks: Link<'a>,
        update_service: Link<'a>,
        registries: Link<'a>,
        links: RootLinks<'a>,
    }
}

/// `Links` of the root.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootLinks<'a> {
    pub sessions: Link<'a>,
}

/// The OData service document.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceDocument {
    #[serde(rename = "@odata.context")]
    pub context: &'static str,
    pub value: Vec<ServiceDocumentEntry>,
}

/// An entry of [`ServiceDocument`].
#[derive(Clone, Debug, Serialize)]
pub struct ServiceDocumentEntry {
    pub name: &'static str,
    pub kind: &'static str,
    pub url: &'static str,
}

resource! {
    /// `SessionService`.
    SessionService<'a> = "#SessionService.v1_1_9.SessionService" {
        service_enabled: bool,
        session_timeout: u64,
        sessions: Link<'a>,
        status: Status,
    }
}

resource! {
    /// `Session`.
    Session<'a> = "#Session.v1_7_0.Session" {
        user_name: &'a str,
    }
}

resource! {
    /// `AccountService`.
    AccountService<'a> = "#AccountService.v1_15_0.AccountService" {
        service_enabled: bool,
        accounts: Link<'a>,
        roles: Link<'a>,
        status: Status,
    }
}

resource! {
    /// `ManagerAccount`.
    ManagerAccount<'a> = "#ManagerAccount.v1_12_0.ManagerAccount" {
        #[serde(rename = "@odata.etag")]
        etag: EntityTag,
        user_name: &'a str,
        /// Always null: passwords are write-only.
        password: Option<&'static str>,
        role_id: &'static str,
        enabled: bool,
        locked: bool,
        account_types: [&'static str; 1],
        links: AccountLinks<'a>,
    }
}

/// `Links` of an account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountLinks<'a> {
    pub role: Link<'a>,
}

resource! {
    /// `Role`.
    Role<'a> = "#Role.v1_3_1.Role" {
        role_id: &'a str,
        is_predefined: bool,
        assigned_privileges: &'static [&'static str],
        #[serde(rename = "OemPrivileges")]
        oem_privileges: [&'static str; 0],
    }
}

resource! {
    /// `TaskService`.
    TaskService<'a> = "#TaskService.v1_2_1.TaskService" {
        service_enabled: bool,
        completed_task_over_write_policy: &'static str,
        life_cycle_event_on_task_state_change: bool,
        tasks: Link<'a>,
        status: Status,
    }
}

resource! {
    /// `MessageRegistryFile`.
    MessageRegistryFile<'a> = "#MessageRegistryFile.v1_1_3.MessageRegistryFile" {
        registry: &'a str,
        languages: [&'static str; 1],
        location: [RegistryLocation<'a>; 1],
    }
}

/// Where a registry is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistryLocation<'a> {
    pub language: &'static str,
    pub uri: Uri<'a>,
}

/// `MessageRegistry`; `M` are the messages by key.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageRegistry<M> {
    #[serde(rename = "@odata.type")]
    pub odata_type: &'static str,
    pub id: &'static str,
    pub name: &'static str,
    pub language: &'static str,
    pub description: &'static str,
    pub registry_prefix: &'static str,
    pub registry_version: &'static str,
    pub owning_entity: &'static str,
    pub messages: M,
}

/// A message of [`MessageRegistry`].
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistryMessage {
    pub description: &'static str,
    pub message: &'static str,
    /// The old name of `MessageSeverity`; sushy asks for this one.
    pub severity: super::message::Severity,
    pub message_severity: super::message::Severity,
    pub number_of_args: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub param_types: Vec<&'static str>,
    pub resolution: &'static str,
}

/// `AttributeRegistry` of a BIOS.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeRegistry<'a, V> {
    #[serde(rename = "@odata.type")]
    pub odata_type: &'static str,
    pub id: &'a str,
    pub name: &'static str,
    pub language: &'static str,
    pub registry_version: &'static str,
    pub owning_entity: &'a str,
    pub registry_entries: RegistryEntries<'a, V>,
}

/// `RegistryEntries`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistryEntries<'a, V> {
    pub attributes: Vec<RegistryAttribute<'a, V>>,
}

/// An attribute; `V` is its value.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistryAttribute<'a, V> {
    pub attribute_name: &'a str,
    pub display_name: &'a str,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    pub default_value: V,
    pub read_only: bool,
    pub reset_required: bool,
    pub hidden: bool,
}

impl<M: Serialize> Typed for MessageRegistry<M> {
    fn odata_type(&self) -> &'static str {
        self.odata_type
    }
}

impl<V: Serialize> Typed for AttributeRegistry<'_, V> {
    fn odata_type(&self) -> &'static str {
        self.odata_type
    }
}
