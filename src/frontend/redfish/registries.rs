//! `Registries`: the messages that the service sends, and the attributes of each kind of BIOS.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use metalsim_actors::node::profile::{BiosValue, HardwareProfile};
use metalsim_actors::wire::redfish::message;
use metalsim_actors::wire::redfish::service::{
    AttributeRegistry, MessageRegistry, MessageRegistryFile, RegistryAttribute, RegistryEntries,
    RegistryLocation, RegistryMessage,
};
use metalsim_actors::wire::redfish::{Link, Uri};
use sha2::{Digest as _, Sha256};

use super::error::{RedfishError, allow};
use super::respond::{self, Answer};
use super::state::RedfishState;

const REGISTRIES: &str = "/redfish/v1/Registries";
const LANGUAGE: &str = "en";
const BIOS_VERSION: &str = "1.0.0";

/// The attributes of a kind of BIOS.
pub(super) struct BiosRegistry {
    /// `AttributeRegistry` of the BIOS; follows from names and factory values, so equal BIOSes share it.
    pub(super) id: Arc<str>,
    owner: Box<str>,
    attributes: BTreeMap<Box<str>, BiosValue>,
}

impl BiosRegistry {
    pub(super) fn of(profile: &HardwareProfile) -> Self {
        let attributes = profile.bios_attributes.clone();
        let mut hash = Sha256::new();
        for (name, value) in &attributes {
            hash.update(format!("{name:?}={value:?};"));
        }
        let digest = hash.finalize();
        let short: String = digest.iter().take(4).map(|byte| format!("{byte:02X}")).collect();
        Self {
            id: format!("BiosAttributeRegistry{short}.v1_0_0").into(),
            owner: profile.manufacturer.clone(),
            attributes,
        }
    }
}

fn ids(state: &RedfishState) -> Vec<String> {
    let bios = state
        .bios_registries
        .iter()
        .map(|registry| registry.id.to_string());
    let messages = message::REGISTRIES.iter().map(|registry| registry.id.to_owned());
    messages.chain(bios).collect()
}

/// `GET /redfish/v1/Registries`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let ids = ids(&state);
    let links = ids
        .iter()
        .map(|id| Link {
            odata_id: Uri(REGISTRIES, "/", id),
        })
        .collect();
    let odata_type = "#MessageRegistryFileCollection.MessageRegistryFileCollection";
    respond::collection(&request, allow::READ, odata_type, "Registries", links)
}

/// `GET /redfish/v1/Registries/{registry}`: where it is.
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let ids = ids(&state);
    let id = &ids[respond::position(&request, "registry", &ids)?];
    let tail = format!("{id}/Registry");
    respond::json(
        allow::READ,
        &MessageRegistryFile {
            odata_id: Uri(REGISTRIES, "/", id),
            odata_type: MessageRegistryFile::TYPE,
            id,
            name: "Registry file",
            registry: id,
            languages: [LANGUAGE],
            location: [RegistryLocation {
                language: LANGUAGE,
                uri: Uri(REGISTRIES, "/", &tail),
            }],
        },
    )
}

/// `GET /redfish/v1/Registries/{registry}/Registry`: the registry itself.
pub(super) async fn registry(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let id = request.match_info().get("registry").unwrap_or_default();
    if let Some(registry) = message::REGISTRIES.iter().find(|registry| registry.id == id) {
        return messages(registry);
    }
    let found = state.bios_registries.iter().find(|registry| &*registry.id == id);
    let Some(BiosRegistry {
        id,
        owner,
        attributes,
    }) = found
    else {
        return Err(RedfishError::missing(request.path()));
    };
    let attributes = attributes
        .iter()
        .map(|(name, value)| RegistryAttribute {
            attribute_name: name,
            display_name: name,
            kind: value.type_name(),
            default_value: value,
            read_only: false,
            reset_required: true,
            hidden: false,
        })
        .collect();
    respond::json(
        allow::READ,
        &AttributeRegistry {
            odata_type: "#AttributeRegistry.v1_3_8.AttributeRegistry",
            id,
            name: "BIOS attributes",
            language: LANGUAGE,
            registry_version: BIOS_VERSION,
            owning_entity: owner,
            registry_entries: RegistryEntries { attributes },
        },
    )
}

fn messages(registry: &'static message::Registry) -> Answer {
    let messages: BTreeMap<&str, RegistryMessage> = registry
        .messages
        .iter()
        .map(|definition| {
            let message = RegistryMessage {
                description: definition.text,
                message: definition.text,
                severity: definition.severity,
                message_severity: definition.severity,
                number_of_args: definition.arguments,
                param_types: vec!["string"; definition.arguments],
                resolution: definition.resolution,
            };
            (definition.key, message)
        })
        .collect();
    respond::json(
        allow::READ,
        &MessageRegistry {
            odata_type: "#MessageRegistry.v1_6_3.MessageRegistry",
            id: registry.id,
            name: registry.name,
            language: LANGUAGE,
            description: "The messages of the registry that this service sends",
            registry_prefix: registry.prefix,
            registry_version: registry.version,
            owning_entity: "DMTF",
            messages,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_attributes_share_a_registry() {
        let one = HardwareProfile::default();
        let mut other = HardwareProfile {
            model: "Another".into(),
            ..HardwareProfile::default()
        };
        assert_eq!(BiosRegistry::of(&one).id, BiosRegistry::of(&other).id);
        other
            .bios_attributes
            .insert("Extra".into(), BiosValue::Bool(true));
        assert_ne!(BiosRegistry::of(&one).id, BiosRegistry::of(&other).id);
    }
}
