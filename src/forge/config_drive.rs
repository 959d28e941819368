//! Config drives around user data, in the forms in which Ironic takes them (ironic: `api-ref`, `configdrive`).

use metalsim_actors::node::bmc::Secret;
use serde::Serialize;
use serde_json::{Map, Value};

use super::ForgeError;

/// What lies on a drive beside the user data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// `meta_data.json`.
    pub meta_data: Option<Map<String, Value>>,
    /// `network_data.json`.
    pub network_data: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct Dictionary<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_data: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_data: Option<&'a Map<String, Value>>,
    user_data: &'a str,
}

/// The object from which Ironic makes the drive itself. Where meta data lack the machine's UUID and name, Ironic adds those of its
/// node (ironic: `ironic/conductor/utils.py`, `build_configdrive`).
///
/// # Errors
/// Never.
pub fn dictionary(user_data: &Secret, beside: &Beside) -> Result<Secret, ForgeError> {
    let dictionary = Dictionary {
        meta_data: beside.meta_data.as_ref(),
        network_data: beside.network_data.as_ref(),
        user_data: user_data.expose(),
    };
    serde_json::to_string_pretty(&dictionary)
        .map(|text| Secret::new(&(text + "\n")))
        .map_err(|error| ForgeError::Document(error.to_string().into()))
}
