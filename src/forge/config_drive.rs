//! Config drives around user data, in the forms in which Ironic takes them (ironic: `api-ref`, `configdrive`).

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use metalsim_actors::node::bmc::Secret;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{ForgeError, iso9660};

/// Label of a config drive.
const LABEL: &str = "config-2";

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

/// An image with the files, as cloud-init finds it by its label (cloud-init: `sources/DataSourceConfigDrive.py`). Ironic adds
/// nothing to it.
///
/// # Errors
/// More than fits.
pub fn image(user_data: &Secret, beside: &Beside) -> Result<Vec<u8>, ForgeError> {
    let text = |object: &Map<String, Value>| {
        serde_json::to_vec(object).map_err(|error| ForgeError::Document(error.to_string().into()))
    };
    let meta_data = beside.meta_data.as_ref().map(text).transpose()?;
    let network_data = beside.network_data.as_ref().map(text).transpose()?;
    let files = [
        ("meta_data.json", meta_data.as_deref()),
        ("network_data.json", network_data.as_deref()),
        ("user_data", Some(user_data.expose().as_bytes())),
    ];
    let files: Vec<iso9660::File<'_>> = files
        .into_iter()
        .filter_map(|(name, content)| Some((name, content?)))
        .collect();
    iso9660::image(LABEL, ["openstack", "latest"], &files)
}

/// An image as Ironic takes it: gzipped, in base64.
///
/// # Errors
/// Never.
pub fn packed(image: &[u8]) -> Result<String, ForgeError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let bytes = encoder.write_all(image).and_then(|()| encoder.finish());
    bytes
        .map(|bytes| BASE64_STANDARD.encode(bytes))
        .map_err(|error| ForgeError::Document(error.to_string().into()))
}
