//! Config drives in every form in which Ironic passes them (ironic: `conductor/configdrive_utils.py`;
//! ironic-python-agent: `partition_utils.py`; openstacksdk: `openstack/baremetal/configdrive.py`).
//!
//! | given | form |
//! | --- | --- |
//! | base64 text | of an ISO 9660 image, gzipped or not |
//! | JSON object | the four files as keys |

use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::FutureExt as _;
use serde_json::{Map, Value};

use super::iso9660::{Entry, Image, IsoError, Limits};
use super::source::{InMemory, ReadLimits};

/// Largest drive, unpacked (ironic-python-agent: `partition_utils.py`, `MAX_CONFIG_DRIVE_SIZE_MB`).
pub const LARGEST: u64 = 64 << 20;
/// Largest file on it.
const LARGEST_FILE: u64 = 16 << 20;
/// The folder of the newest version.
const LATEST: &str = "openstack/latest";

/// The files of a config drive that say something of a machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigDrive {
    /// `meta_data.json`.
    pub meta_data: Map<String, Value>,
    /// `network_data.json`.
    pub network_data: Option<Value>,
    /// `user_data`.
    pub user_data: Option<UserDataBytes>,
    /// `vendor_data2.json` or `vendor_data.json`.
    pub vendor_data: Option<Value>,
}

/// User data as they are on the drive. They hold secrets, so that debug output shows only their size.
#[derive(Clone, PartialEq, Eq)]
pub struct UserDataBytes(pub Bytes);

impl std::fmt::Debug for UserDataBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Why a config drive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigDriveError {
    /// Neither base64 nor a JSON object.
    #[error("it is neither base64 text nor a JSON object")]
    Form,
    /// Larger than [`LARGEST`].
    #[error("it is larger than {LARGEST} bytes")]
    TooLarge,
    /// Broken compression.
    #[error("its compression is broken")]
    Gzip,
    /// No file system that can be read.
    #[error("its file system: {0}")]
    Image(Box<str>),
    /// A file system without the folder.
    #[error("it has no folder openstack/latest, nor one of an older version")]
    Empty,
    /// A file that is not what it should be.
    #[error("{0} is no JSON object")]
    Json(&'static str),
}

/// Opens a config drive as Ironic passes it.
///
/// # Errors
/// Why it cannot be read.
pub fn open(given: &str) -> Result<ConfigDrive, ConfigDriveError> {
    let given = given.trim();
    if given.starts_with('{') {
        return of_object(given);
    }
    if given.len() as u64 > LARGEST / 3 * 4 + 4 {
        return Err(ConfigDriveError::TooLarge);
    }
    let bytes = decode_base64(given).ok_or(ConfigDriveError::Form)?;
    of_image(gunzip(bytes, LARGEST)?)
}

fn of_object(text: &str) -> Result<ConfigDrive, ConfigDriveError> {
    let mut given: Map<String, Value> = serde_json::from_str(text).map_err(|_| ConfigDriveError::Form)?;
    let user_data = match given.remove("user_data") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.into_bytes()),
        // openstacksdk writes anything else as JSON, which Ignition is.
        Some(other) => Some(other.to_string().into_bytes()),
    };
    Ok(ConfigDrive {
        meta_data: match given.remove("meta_data") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(meta_data)) => meta_data,
            Some(_) => return Err(ConfigDriveError::Json("meta_data")),
        },
        network_data: given.remove("network_data").filter(|data| !data.is_null()),
        user_data: user_data.map(|data| UserDataBytes(data.into())),
        vendor_data: given.remove("vendor_data").filter(|data| !data.is_null()),
    })
}

fn of_image(bytes: Vec<u8>) -> Result<ConfigDrive, ConfigDriveError> {
    let limits = Limits {
        read: ReadLimits {
            bytes: 4 * LARGEST,
            reads: 1024,
        },
        ..Limits::default()
    };
    // Everything is in memory, so nothing is waited for.
    read_image(Bytes::from(bytes), limits)
        .now_or_never()
        .unwrap_or(Err(ConfigDriveError::Empty))
}

async fn read_image(bytes: Bytes, limits: Limits) -> Result<ConfigDrive, ConfigDriveError> {
    fn broken<E: std::error::Error>(error: IsoError<E>) -> ConfigDriveError {
        ConfigDriveError::Image(error.to_string().into())
    }
    let mut image = Image::open(InMemory(bytes), limits).await.map_err(broken)?;
    let folder = match image.find(LATEST).await.map_err(broken)? {
        Some(folder) => folder,
        None => dated(&mut image)
            .await
            .map_err(broken)?
            .ok_or(ConfigDriveError::Empty)?,
    };
    let mut drive = ConfigDrive::default();
    let mut vendor_data = None;
    for entry in image.list(&folder).await.map_err(broken)? {
        if entry.is_directory() {
            continue;
        }
        let name = entry.name().to_owned();
        let kept = [
            "meta_data.json",
            "network_data.json",
            "user_data",
            "vendor_data.json",
            "vendor_data2.json",
        ];
        if !kept.contains(&name.as_str()) {
            continue;
        }
        let content = image.read(&entry, LARGEST_FILE).await.map_err(broken)?;
        let json = |what| serde_json::from_slice(&content).map_err(|_| ConfigDriveError::Json(what));
        match name.as_str() {
            "meta_data.json" => drive.meta_data = json("meta_data.json")?,
            "network_data.json" => drive.network_data = Some(Value::Object(json("network_data.json")?)),
            "user_data" => drive.user_data = Some(UserDataBytes(content)),
            "vendor_data2.json" => drive.vendor_data = Some(Value::Object(json("vendor_data2.json")?)),
            _ => vendor_data = Some(Value::Object(json("vendor_data.json")?)),
        }
    }
    drive.vendor_data = drive.vendor_data.or(vendor_data);
    Ok(drive)
}

/// The folder of the newest dated version (`openstack/2020-10-14`).
async fn dated(image: &mut Image<InMemory>) -> Result<Option<Entry>, IsoError<std::convert::Infallible>> {
    let Some(versions) = image.find("openstack").await? else {
        return Ok(None);
    };
    let folders = image.list(&versions).await?;
    Ok(folders
        .into_iter()
        .filter(|entry| entry.is_directory() && entry.name().starts_with("20"))
        .max_by(|a, b| a.name().cmp(b.name())))
}

/// Decodes base64 with line breaks and with or without padding.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let plain: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, config).decode(plain).ok()
}

/// Whether the bytes begin as gzip does (RFC 1952, section 2.3.1).
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks what is gzipped, and leaves alone what is not.
pub(super) fn gunzip(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, ConfigDriveError> {
    if bytes.len() as u64 > limit {
        return Err(ConfigDriveError::TooLarge);
    }
    if !is_gzip(&bytes) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(&*bytes)
        .take(limit + 1)
        .read_to_end(&mut unpacked);
    if unpacked.len() as u64 > limit {
        return Err(ConfigDriveError::TooLarge);
    }
    read.map_err(|_| ConfigDriveError::Gzip)?;
    Ok(unpacked)
}
