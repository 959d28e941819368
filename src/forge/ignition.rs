//! User data for Ignition 3.4 (cluster-api: `bootstrap/kubeadm/internal/ignition/butane/butane.go`; coreos/ignition:
//! `config/v3_4/types`): the same certificates, kubeadm in a script, the script in a unit.
//!
//! Ignition renders no templates.

use metalsim_actors::node::bmc::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::ForgeError;
use super::bootstrap::Bootstrap;

const VERSION: &str = "3.4.0";
const DOCUMENTS: &str = "/etc/kubeadm.yml";
const SCRIPT: &str = "/etc/kubeadm.sh";
/// Permissions of the two.
const DOCUMENTS_MODE: u32 = 0o600;
const SCRIPT_MODE: u32 = 0o700;
/// The unit runs once: its script moves the documents away.
const UNIT: &str = "[Unit]\nDescription=kubeadm\nConditionPathExists=/etc/kubeadm.yml\nAfter=network.target\n\
                    [Service]\nType=oneshot\nExecStart=/etc/kubeadm.sh\n\
                    [Install]\nWantedBy=multi-user.target\n";
/// Characters that a data URL does not take as they are (RFC 3986, 2.3, and `/`).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

#[derive(Serialize)]
struct Config<'a> {
    ignition: Header,
    storage: Storage<'a>,
    systemd: Systemd,
}

#[derive(Serialize)]
struct Header {
    version: &'static str,
}

#[derive(Serialize)]
struct Storage<'a> {
    files: Vec<StoredFile<'a>>,
}

#[derive(Serialize)]
struct StoredFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Owner>,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Owner>,
    contents: Contents,
    mode: u32,
}

#[derive(Serialize)]
struct Owner {
    name: &'static str,
}

#[derive(Serialize)]
struct Contents {
    source: String,
}

#[derive(Serialize)]
struct Systemd {
    units: [Unit; 1],
}

#[derive(Serialize)]
struct Unit {
    contents: &'static str,
    enabled: bool,
    name: &'static str,
}

/// The user data. They hold secrets.
///
/// # Errors
/// Never.
pub fn render(bootstrap: &Bootstrap) -> Result<Secret, ForgeError> {
    let script = format!(
        "#!/bin/bash\nset -e\n\nkubeadm {} --config {DOCUMENTS}\n\
         mkdir -p /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete\n\
         mv {DOCUMENTS} /tmp/\n",
        bootstrap.role.verb()
    );
    let root = || Some(Owner { name: "root" });
    let mut files: Vec<StoredFile<'_>> = bootstrap
        .certificates
        .iter()
        .map(|file| StoredFile {
            group: root(),
            path: &file.path,
            user: root(),
            contents: contents(file.content.expose()),
            mode: file.mode,
        })
        .collect();
    let documents = bootstrap.joined(true);
    let own = [
        (SCRIPT, script.as_str(), SCRIPT_MODE),
        (DOCUMENTS, documents.expose(), DOCUMENTS_MODE),
    ];
    files.extend(own.map(|(path, text, mode)| StoredFile {
        group: None,
        path,
        user: None,
        contents: contents(text),
        mode,
    }));
    let config = Config {
        ignition: Header { version: VERSION },
        storage: Storage { files },
        systemd: Systemd {
            units: [Unit {
                contents: UNIT,
                enabled: true,
                name: "kubeadm.service",
            }],
        },
    };
    let text =
        serde_json::to_string(&config).map_err(|error| ForgeError::Document(error.to_string().into()))?;
    Ok(Secret::new(&(text + "\n")))
}

fn contents(text: &str) -> Contents {
    Contents {
        source: format!("data:,{}", utf8_percent_encode(text, ESCAPED)),
    }
}
