//! Ignition 2 and 3 (coreos/ignition: `config/v2_3/types`, `config/v3_4/types`): files, units and users.

use data_url::DataUrl;
use metalsim_actors::node::os::description::CommandStage;
use serde::Deserialize;

use super::super::config_drive::{ConfigDriveError, gunzip, is_gzip};
use super::{File, LARGEST, Wanted};

const BROKEN: &str = "its compression is broken";
/// Permissions of a file without any.
const USUAL_MODE: u32 = 0o644;

#[derive(Deserialize)]
struct Config {
    ignition: Header,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    systemd: Systemd,
    #[serde(default)]
    passwd: Passwd,
}

#[derive(Deserialize)]
struct Header {
    version: String,
    #[serde(default)]
    config: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
struct Storage {
    #[serde(default)]
    files: Vec<GivenFile>,
}

#[derive(Deserialize)]
struct GivenFile {
    path: String,
    #[serde(default)]
    mode: Option<u32>,
    #[serde(default)]
    contents: Option<Contents>,
    #[serde(default)]
    append: Option<Append>,
    #[serde(default)]
    user: Option<Owner>,
    #[serde(default)]
    group: Option<Owner>,
}

/// Version 2 has a flag, version 3 a list of contents.
#[derive(Deserialize)]
#[serde(untagged)]
enum Append {
    Flag(bool),
    More(Vec<Contents>),
}

#[derive(Deserialize)]
struct Contents {
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    compression: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    id: Option<u32>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Systemd {
    #[serde(default)]
    units: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    name: String,
    #[serde(default)]
    contents: Option<String>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    enable: Option<bool>,
    #[serde(default)]
    mask: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Passwd {
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

/// Reads a configuration. Returns whether it is one.
pub(super) fn read(text: &str, wanted: &mut Wanted) -> bool {
    let config: Config = match serde_json::from_str(text) {
        Ok(config) => config,
        Err(error) => {
            wanted.warn(format!(
                "Ignition: line {}, column {}: not a configuration",
                error.line(),
                error.column()
            ));
            return true;
        }
    };
    if !config.ignition.version.starts_with(['2', '3']) {
        wanted.warn(format!(
            "Ignition: version {} is unknown",
            config.ignition.version
        ));
    }
    if config.ignition.config.is_some_and(|config| !config.is_empty()) {
        wanted.warn("Ignition: configurations elsewhere are not fetched");
    }
    for given in config.storage.files {
        file(given, wanted);
    }
    for unit in config.systemd.units {
        let runs = unit.enabled.or(unit.enable).unwrap_or(false) && unit.mask != Some(true);
        if let Some(contents) = unit.contents {
            wanted.write(File {
                path: format!("/etc/systemd/system/{}", unit.name).into(),
                mode: USUAL_MODE,
                owner: None,
                content: contents.clone().into_bytes(),
                append: false,
            });
            if runs {
                for line in contents
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix("ExecStart="))
                {
                    wanted.run(CommandStage::Unit, line.to_owned());
                }
            }
        }
    }
    wanted
        .users
        .extend(config.passwd.users.into_iter().map(|user| user.name.into()));
    let hostname = wanted.files.iter().rfind(|file| &*file.path == "/etc/hostname");
    if let Some(hostname) = hostname.and_then(|file| std::str::from_utf8(&file.content).ok()) {
        let short = hostname.trim().split('.').next().unwrap_or_default();
        wanted.hostname = (!short.is_empty()).then(|| short.into());
    }
    true
}

fn file(given: GivenFile, wanted: &mut Wanted) {
    let name = |owner: Option<Owner>| {
        let owner = owner?;
        owner.name.or_else(|| Some(owner.id?.to_string()))
    };
    let owner = match (name(given.user), name(given.group)) {
        (None, None) => None,
        (user, group) => Some(format!("{}:{}", user.unwrap_or_default(), group.unwrap_or_default()).into()),
    };
    let mode = given.mode.filter(|mode| *mode <= 0o7777).unwrap_or(USUAL_MODE);
    let (flag, more) = match given.append {
        None => (false, Vec::new()),
        Some(Append::Flag(flag)) => (flag, Vec::new()),
        Some(Append::More(more)) => (false, more),
    };
    let contents = given.contents.into_iter().map(|contents| (contents, flag));
    let more = more.into_iter().map(|contents| (contents, true));
    for (contents, append) in contents.chain(more) {
        match decode(&contents) {
            Ok(content) => wanted.write(File {
                path: given.path.as_str().into(),
                mode,
                owner: owner.clone(),
                content,
                append,
            }),
            Err(error) => wanted.warn(format!("Ignition: {}: {error}", given.path)),
        }
    }
}

fn decode(contents: &Contents) -> Result<Vec<u8>, &'static str> {
    let Some(source) = contents.source.as_deref().filter(|source| !source.is_empty()) else {
        return Ok(Vec::new());
    };
    let url = DataUrl::process(source).map_err(|_| "its source is not fetched: it is no data URL")?;
    let (bytes, _) = url.decode_to_vec().map_err(|_| "its data URL is broken")?;
    match contents.compression.as_deref() {
        None | Some("") => Ok(bytes),
        Some("gzip") if is_gzip(&bytes) => gunzip(bytes, LARGEST as u64).map_err(|error| match error {
            ConfigDriveError::TooLarge => "it is too large",
            _ => BROKEN,
        }),
        Some("gzip") => Err(BROKEN),
        Some(_) => Err("its compression is unknown"),
    }
}
