//! From a config drive to the system that it makes.

use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::os::description::{Command, MetaData, SystemDescription, WrittenFile};
use serde_json::{Map, Value};

use super::config_drive::{self, ConfigDrive, ConfigDriveError};
use super::kubeadm::{self, FileTree};
use super::user_data::{self, Variables};

/// Most addresses that are taken from the network data.
const MOST_ADDRESSES: usize = 64;

/// The system that a config drive makes, given as Ironic passes it. What is wrong is a warning: the system boots.
#[must_use]
pub fn of_config_drive(given: &str) -> SystemDescription {
    match config_drive::open(given) {
        Ok(drive) => describe(&drive),
        Err(error) => unreadable(&error),
    }
}

/// The system that a config drive makes which cannot be read.
#[must_use]
pub fn unreadable(error: &ConfigDriveError) -> SystemDescription {
    SystemDescription::unreadable(&format!("config drive: {error}"))
}

/// The system that the files of a config drive make.
#[must_use]
pub fn describe(drive: &ConfigDrive) -> SystemDescription {
    let meta_data = meta_data(&drive.meta_data);
    let variables = Variables::new(&drive.meta_data);
    let wanted = match &drive.user_data {
        Some(user_data) => user_data::read(&user_data.0, &variables),
        None => user_data::Wanted::default(),
    };
    let mut tree = FileTree::default();
    for file in &wanted.files {
        tree.write(&file.path, &file.content, file.append);
    }
    let intent = kubeadm::intent(&tree, &wanted.commands, &meta_data);
    let from_meta_data = meta_data
        .local_hostname
        .as_deref()
        .or(meta_data.name.as_deref())
        .and_then(|name| name.split('.').next())
        .map(Box::from);
    let hostname = if wanted.preserve_hostname {
        None
    } else {
        wanted.hostname.or(from_meta_data)
    };
    SystemDescription {
        hostname,
        addresses: addresses(drive.network_data.as_ref()),
        meta_data,
        files: wanted
            .files
            .iter()
            .map(|file| WrittenFile {
                path: file.path.clone(),
                mode: file.mode,
                owner: file.owner.clone(),
                size: file.content.len() as u64,
            })
            .collect(),
        commands: wanted
            .commands
            .iter()
            .map(|(stage, line)| Command {
                stage: *stage,
                line: Secret::new(line),
            })
            .collect(),
        users: wanted.users.into(),
        warnings: wanted.warnings.into(),
        intent,
    }
}

fn meta_data(given: &Map<String, Value>) -> MetaData {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| given.get(*name)?.as_str());
        found.filter(|text| !text.is_empty()).map(Box::from)
    };
    MetaData {
        uuid: text(&["uuid"]),
        name: text(&["name"]),
        local_hostname: text(&["local-hostname", "local_hostname", "hostname"]),
        provider_id: text(&["providerid"]),
    }
}

/// The fixed addresses of `network_data.json` (nova: `doc/api_schemas/network_data.json`).
fn addresses(network_data: Option<&Value>) -> Box<[Box<str>]> {
    let networks = network_data
        .and_then(|data| data.get("networks"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    networks
        .filter_map(|network| network.get("ip_address")?.as_str())
        .filter_map(|address| address.split('/').next())
        .take(MOST_ADDRESSES)
        .map(Box::from)
        .collect()
}
