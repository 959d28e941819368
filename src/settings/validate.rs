//! From the raw form to [`Settings`]: what single values cannot say.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metalsim_actors::seed::Seed;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::decode::Decoder;
use super::faults::{Checks, faults};
use super::fleet::{self, Labels, MOST_NODES, Members, NodeSpec, Part};
use super::layers::KeyPath;
use super::members;
use super::node_list;
use super::profiles::{self, DEFAULT_PROFILE, file_reason};
use super::raw::{
    Raw, RawAddressing, RawAgent, RawBoot, RawControl, RawEvents, RawFleet, RawIronic, RawRedfish, RawStore,
};
use super::values::{AgentTlsValue, ListenList, TlsValue};
use super::{
    Addressing, Agent, AgentTls, Auth, Boot, Control, Events, HttpUrl, Images, Ironic, Log, Redfish, Runtime,
    Secret, Settings, State, Store, TlsFiles, processors,
};

/// Redfish allows sessions to time out after half a minute to a day (SessionService schema, `SessionTimeout`).
const SESSION_TIMEOUT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(86_400));

/// An image's descriptors and directories are read in one piece of 64 KiB, its boot configuration after them.
const LEAST_READ: u64 = 128 << 10;

/// Most events in memory, of some 200 bytes each.
const MOST_EVENTS: usize = 100_000_000;

/// Validates everything; problems are noted in `decoder`, and the result is meaningless if there are any.
pub(super) fn validate(raw: Raw, decoder: &mut Decoder) -> Settings {
    let effective = serde_json::to_value(&raw).unwrap_or_default();
    let mut warnings = Vec::new();
    if !(raw.speed.is_finite() && raw.speed > 0.0) {
        decoder.blame(&KeyPath::of(&["speed"]), "must be above zero");
    }
    match raw.state.store {
        RawStore::None if raw.state.path.is_some() => {
            decoder.blame(
                &KeyPath::of(&["state", "path"]),
                "has no meaning with store: none",
            );
        }
        RawStore::None => {}
        RawStore::Embedded => {
            decoder.blame(
                &KeyPath::of(&["state", "store"]),
                "embedded is not supported yet: use none",
            );
        }
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&*raw.log.level) {
        decoder.blame(
            &KeyPath::of(&["log", "level"]),
            &format!("no valid filter: {error}"),
        );
    }
    let redfish = redfish(raw.redfish, decoder);
    let agent = agent(raw.agent, decoder);
    let ironic = ironic(raw.ironic, decoder, &mut warnings);
    let default_root = raw.boot.http_root.clone();
    let boot = boot(raw.boot, decoder);
    let images = Images {
        listen: addresses(&raw.images.listen),
    };
    let clusters = super::clusters::validate(&raw.clusters, decoder);
    let control = control(raw.control, decoder);
    let mut taken = Vec::new();
    claim(&mut taken, "redfish.listen", &redfish.listen, decoder);
    claim(&mut taken, "agent.listen", &[agent.listen], decoder);
    claim(&mut taken, "images.listen", &images.listen, decoder);
    claim(&mut taken, "control.listen", &control.listen, decoder);
    if let Some(shared) = clusters.shared() {
        claim(&mut taken, "clusters.port", &[shared], decoder);
    }
    let profiles = profiles::decode_all(&raw.profiles, decoder);
    // A profile that is wrong was complained about; naming it is no second mistake.
    let profile = |name: Option<&str>| {
        let name = name.unwrap_or(DEFAULT_PROFILE);
        profiles
            .get(name)
            .cloned()
            .or_else(|| raw.profiles.contains_key(name).then(Arc::default))
    };
    let known = profiles.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    for (index, entry) in raw.fleet.into_iter().enumerate() {
        let path = KeyPath::of(&["fleet"]).index(index);
        let kind = profile(entry.profile.as_deref());
        if kind.is_none() {
            let name = entry.profile.as_deref().unwrap_or_default();
            decoder.blame(
                &path.key("profile"),
                &format!("there is no profile {name:?}; known are {known}"),
            );
        }
        let Some(members) = members(&entry, &path, decoder, &mut warnings) else {
            continue;
        };
        let labels: Labels = entry
            .labels
            .into_iter()
            .map(|(name, value)| (name, value.0))
            .collect();
        parts.push(Part {
            index,
            members,
            profile: kind.unwrap_or_default(),
            labels: Arc::new(labels),
            power_on: entry.power.is_some_and(|power| power.0),
            http_root: entry
                .http_root
                .as_ref()
                .or(default_root.as_ref())
                .map(|url| url.as_str().into()),
            cluster: entry
                .cluster
                .as_ref()
                .and_then(|member| members::part(member, &path, decoder)),
        });
    }
    members::without_control_plane(&parts, decoder);
    let nodes = expand(parts, decoder);
    let checks = Checks {
        end: None,
        phases: &[],
        // What is wrong with the fleet is no second mistake of the faults.
        nodes: decoder.is_clean().then_some(&*nodes),
        seed: Some(Seed::root(raw.seed)),
    };
    let faults = faults(&raw.faults, &checks, decoder);
    Settings {
        seed: raw.seed,
        speed: raw.speed,
        nodes,
        redfish,
        agent,
        ironic,
        boot,
        images,
        clusters,
        control,
        events: events(raw.events, decoder),
        timing: raw.timing.into(),
        faults,
        state: State { store: Store::None },
        log: Log {
            filter: raw.log.level,
            format: raw.log.format,
        },
        runtime: Runtime {
            arbiters: raw.runtime.arbiters.map_or_else(processors, NonZeroUsize::get),
            http_workers: raw
                .runtime
                .http_workers
                .map_or_else(processors, NonZeroUsize::get),
        },
        warnings,
        effective,
    }
}

fn expand(parts: Vec<Part>, decoder: &mut Decoder) -> Vec<NodeSpec> {
    let fleet = KeyPath::of(&["fleet"]);
    let total = parts.iter().fold(0_u64, |total, part| {
        total.saturating_add(match &part.members {
            Members::Pattern { count, .. } => *count,
            Members::Listed(nodes) => nodes.len() as u64,
        })
    });
    if total > MOST_NODES {
        decoder.blame(
            &fleet,
            &format!("{total} nodes are more than the {MOST_NODES} that are possible"),
        );
        return Vec::new();
    }
    let (nodes, duplicates) = fleet::expand(parts);
    for (index, reason) in duplicates {
        decoder.complain(&fleet.index(index), &reason);
    }
    nodes
}

/// The nodes of one entry of the fleet.
fn members(
    entry: &RawFleet,
    path: &KeyPath,
    decoder: &mut Decoder,
    warnings: &mut Vec<String>,
) -> Option<Members> {
    if let Some(from) = &entry.from {
        let contradictions = [
            ("name", entry.name.is_some()),
            ("count", entry.count.is_some()),
            ("start", entry.start.is_some()),
        ];
        for (key, given) in contradictions {
            if given {
                decoder.blame(&path.key(key), "contradicts from: the file names the nodes");
            }
        }
        let file = decoder.file(&path.key("from"), from);
        return match node_list::read(&file) {
            Ok(list) => {
                if !list.ignored.is_empty() {
                    let keys = list.ignored.into_iter().collect::<Vec<_>>().join(", ");
                    warnings.push(format!(
                        "{}: ignored keys without a meaning here: {keys}",
                        file.display()
                    ));
                }
                Some(Members::Listed(list.nodes))
            }
            Err(problems) => {
                for problem in problems {
                    if problem.key.is_empty() {
                        decoder.complain(&path.key("from"), &file_reason(&file, &problem.reason));
                    } else {
                        decoder.extend([problem]);
                    }
                }
                None
            }
        };
    }
    let Some(pattern) = entry.name.clone() else {
        decoder.blame(
            &path.key("name"),
            "is required: a name pattern such as node-{}, unless from names a file",
        );
        return None;
    };
    let numbered = pattern.after.is_some();
    let count = match entry.count {
        Some(count) if !numbered && count > 1 => {
            decoder.blame(
                &path.key("name"),
                &format!("{count} nodes need a {{}} in their name pattern"),
            );
            return None;
        }
        Some(0) => {
            decoder.blame(&path.key("count"), "must be above zero");
            return None;
        }
        Some(count) => count,
        None if numbered => {
            decoder.blame(&path.key("count"), "is required: the number of nodes");
            return None;
        }
        None => 1,
    };
    if entry.start.is_some() && !numbered {
        decoder.blame(
            &path.key("start"),
            "has no meaning without {} in the name pattern",
        );
    }
    let start = entry.start.unwrap_or(1);
    if start.checked_add(count).is_none() {
        decoder.blame(&path.key("start"), "is too large");
        return None;
    }
    Some(Members::Pattern {
        pattern,
        start,
        count,
    })
}

fn redfish(raw: RawRedfish, decoder: &mut Decoder) -> Redfish {
    let section = KeyPath::of(&["redfish"]);
    let word = match raw.addressing {
        RawAddressing::Path => None,
        RawAddressing::Port => Some("port"),
        RawAddressing::Address => Some("address"),
        RawAddressing::Host => Some("host"),
    };
    if let Some(word) = word {
        decoder.blame(
            &section.key("addressing"),
            &format!("{word} is not supported yet: use path"),
        );
    }
    let (shortest, longest) = SESSION_TIMEOUT;
    if raw.session_timeout.0 < shortest || raw.session_timeout.0 > longest {
        decoder.blame(&section.key("session_timeout"), "must be from 30s to 24h");
    }
    let auth = match (raw.username, raw.password, raw.htpasswd) {
        (None, None, None) => None,
        (Some(username), Some(password), None) => {
            if username.is_empty() || username.contains(':') {
                decoder.blame(
                    &section.key("username"),
                    "must not be empty and must not contain a colon",
                );
            }
            Some(Auth::Single { username, password })
        }
        (None, None, Some(file)) => htpasswd(&file, &section.key("htpasswd"), decoder).map(Auth::Htpasswd),
        (username, password, htpasswd) => {
            if htpasswd.is_some() {
                decoder.blame(
                    &section.key("htpasswd"),
                    "contradicts username and password: give one or the other",
                );
            } else if username.is_none() {
                decoder.blame(&section.key("username"), "is required with password");
            } else if password.is_none() {
                decoder.blame(&section.key("password"), "is required with username");
            }
            None
        }
    };
    let listen = listeners(&raw.listen, &section, decoder);
    Redfish {
        listen,
        addressing: Addressing::Path,
        auth,
        tls: raw
            .tls
            .and_then(|tls| tls_files(&tls, &section.key("tls"), decoder)),
        session_timeout: raw.session_timeout.0,
        max_body: body_limit(raw.max_body.0, &section, decoder),
        max_connections: raw.max_connections.get(),
    }
}

fn agent(raw: RawAgent, decoder: &mut Decoder) -> Agent {
    let section = KeyPath::of(&["agent"]);
    let listen = SocketAddr::new(raw.listen.ip, raw.listen.first);
    if raw.listen.first != raw.listen.last {
        decoder.blame(
            &section.key("listen"),
            "all agents share one port: a range is not possible",
        );
    }
    let tls = match raw.tls {
        AgentTlsValue::Off => AgentTls::Off,
        AgentTlsValue::SelfSigned => AgentTls::SelfSigned,
        AgentTlsValue::Files(files) => {
            tls_files(&files, &section.key("tls"), decoder).map_or(AgentTls::Off, AgentTls::Files)
        }
    };
    match &raw.advertise_url {
        None if listen.ip().is_unspecified() => decoder.blame(
            &section.key("advertise_url"),
            "is required, because agent.listen is a wildcard address that Ironic cannot call",
        ),
        // A proxy may stand between, so http in the URL and TLS here is possible; the other way is too.
        Some(_) | None => {}
    }
    let parts: Vec<&str> = raw.version.split('.').collect();
    if parts.len() < 2
        || parts
            .iter()
            .any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()))
    {
        decoder.blame(&section.key("version"), "must be a version such as 13.0.0");
    }
    Agent {
        listen,
        advertise_url: raw.advertise_url,
        tls,
        version: raw.version,
        command_history: raw.command_history.get(),
        max_body: body_limit(raw.max_body.0, &section, decoder),
        max_connections: raw.max_connections.get(),
    }
}

fn ironic(raw: RawIronic, decoder: &mut Decoder, warnings: &mut Vec<String>) -> Ironic {
    let section = KeyPath::of(&["ironic"]);
    let ca_file = raw.ca_file.and_then(|text| {
        let key = section.key("ca_file");
        let file = decoder.file(&key, &text);
        pem(&file, &key, decoder, "certificate", has_certificate).then_some(file)
    });
    if raw.insecure {
        if ca_file.is_some() {
            decoder.blame(
                &section.key("insecure"),
                "contradicts ca_file: with it nothing is verified",
            );
        } else {
            warnings.push("ironic.insecure: Ironic's certificate is not verified".into());
        }
    }
    if raw.request_timeout.0.is_zero() {
        decoder.blame(&section.key("request_timeout"), "must be above zero");
    }
    // Where an Ironic without a separate inspector takes them.
    let derived = || {
        format!("{}/v1/continue_inspection", raw.api_url.as_ref()?)
            .parse::<HttpUrl>()
            .ok()
    };
    Ironic {
        inspection_callback_url: raw.inspection_callback_url.clone().or_else(derived),
        api_url: raw.api_url,
        ca_file,
        insecure: raw.insecure,
        max_in_flight: raw.max_in_flight.get(),
        request_timeout: raw.request_timeout.0,
    }
}

fn boot(raw: RawBoot, decoder: &mut Decoder) -> Boot {
    let section = KeyPath::of(&["boot"]);
    let ca_file = raw.ca_file.and_then(|text| {
        let key = section.key("ca_file");
        let file = decoder.file(&key, &text);
        pem(&file, &key, decoder, "certificate", has_certificate).then_some(file)
    });
    if raw.request_timeout.0.is_zero() {
        decoder.blame(&section.key("request_timeout"), "must be above zero");
    }
    if raw.max_read.0 < LEAST_READ {
        decoder.blame(
            &section.key("max_read"),
            "must be at least 128KiB: directories and boot configuration would not fit",
        );
    }
    Boot {
        fetch: raw.fetch,
        ca_file,
        max_in_flight: raw.max_in_flight.get(),
        request_timeout: raw.request_timeout.0,
        max_read: raw.max_read.0,
        max_skipped: raw.max_skipped.0,
    }
}

fn control(raw: RawControl, decoder: &mut Decoder) -> Control {
    let section = KeyPath::of(&["control"]);
    let listen = listeners(&raw.listen, &section, decoder);
    if raw.token.as_ref().is_some_and(|token| token.expose().is_empty()) {
        decoder.blame(&section.key("token"), "must not be empty");
    }
    if raw.token.is_none() && listen.iter().any(|address| !address.ip().is_loopback()) {
        decoder.blame(
            &section.key("token"),
            "is required, because control.listen is not a loopback address",
        );
    }
    Control {
        listen,
        token: raw.token,
    }
}

fn events(raw: RawEvents, decoder: &mut Decoder) -> Events {
    let section = KeyPath::of(&["events"]);
    let keep = raw.keep.get();
    if keep > MOST_EVENTS {
        decoder.blame(&section.key("keep"), &format!("must be at most {MOST_EVENTS}"));
    }
    Events {
        keep,
        file: raw.file.map(|text| decoder.file(&section.key("file"), &text)),
    }
}

fn addresses(listen: &ListenList) -> Vec<SocketAddr> {
    listen
        .0
        .iter()
        .copied()
        .flat_map(super::values::Listen::addresses)
        .collect()
}

/// The addresses of a section that must listen somewhere.
fn listeners(listen: &ListenList, section: &KeyPath, decoder: &mut Decoder) -> Vec<SocketAddr> {
    if listen.0.is_empty() {
        decoder.blame(&section.key("listen"), "needs at least one address");
    }
    addresses(listen)
}

/// Notes addresses that two listeners would need. Port 0 is any free port, so it never clashes.
fn claim(
    taken: &mut Vec<(SocketAddr, &'static str)>,
    name: &'static str,
    listen: &[SocketAddr],
    decoder: &mut Decoder,
) {
    for address in listen.iter().filter(|address| address.port() != 0) {
        let clash = taken
            .iter()
            .find(|(other, _)| other.port() == address.port() && overlap(other.ip(), address.ip()));
        if let Some((_, owner)) = clash {
            let keys: Vec<&str> = name.split('.').collect();
            decoder.blame(&KeyPath::of(&keys), &format!("{address} is taken by {owner}"));
        }
        taken.push((*address, name));
    }
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

fn body_limit(bytes: u64, section: &KeyPath, decoder: &mut Decoder) -> usize {
    const LEAST: u64 = 1024;
    if bytes < LEAST {
        decoder.blame(&section.key("max_body"), "must be at least 1KiB");
    }
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn tls_files(tls: &TlsValue, path: &KeyPath, decoder: &mut Decoder) -> Option<TlsFiles> {
    let files = TlsFiles {
        cert: decoder.file(&path.key("cert"), &tls.cert),
        key: decoder.file(&path.key("key"), &tls.key),
    };
    let cert = pem(
        &files.cert,
        &path.key("cert"),
        decoder,
        "certificate",
        has_certificate,
    );
    let key = pem(&files.key, &path.key("key"), decoder, "private key", has_key);
    (cert && key).then_some(files)
}

/// Whether `file` is PEM and holds `what`.
fn pem(file: &Path, key: &KeyPath, decoder: &mut Decoder, what: &str, holds: fn(&[u8]) -> bool) -> bool {
    let Some(bytes) = read(file, key, decoder) else {
        return false;
    };
    let found = holds(&bytes);
    if !found {
        decoder.blame(key, &file_reason(file, &format!("holds no {what} in PEM form")));
    }
    found
}

fn has_certificate(bytes: &[u8]) -> bool {
    matches!(CertificateDer::pem_slice_iter(bytes).next(), Some(Ok(_)))
}

fn has_key(bytes: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(bytes).is_ok()
}

fn read(file: &Path, key: &KeyPath, decoder: &mut Decoder) -> Option<Vec<u8>> {
    match fs::read(file) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            decoder.blame(key, &file_reason(file, &format!("cannot read the file: {error}")));
            None
        }
    }
}

/// Accounts of an htpasswd file. Only bcrypt is taken, as sushy-tools does.
fn htpasswd(text: &str, key: &KeyPath, decoder: &mut Decoder) -> Option<Vec<(Box<str>, Secret)>> {
    let file = decoder.file(key, text);
    let text = String::from_utf8_lossy(&read(&file, key, decoder)?).into_owned();
    let mut accounts: Vec<(Box<str>, Secret)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let account = line
            .split_once(':')
            .filter(|(name, hash)| !name.is_empty() && is_bcrypt(hash));
        match account {
            Some((name, _)) if accounts.iter().any(|(known, _)| &**known == name) => {
                decoder.complain(
                    key,
                    &file_reason(&file, &format!("line {number}: {name:?} is there twice")),
                );
            }
            Some((name, hash)) => accounts.push((name.into(), Secret::new(hash))),
            // The line is not shown: it may hold a password.
            None => decoder.complain(
                key,
                &file_reason(
                    &file,
                    &format!("line {number} is no user:hash with a bcrypt hash (htpasswd -B)"),
                ),
            ),
        }
    }
    if accounts.is_empty() {
        decoder.blame(key, &file_reason(&file, "holds no account"));
    }
    Some(accounts)
}

fn is_bcrypt(hash: &str) -> bool {
    const LENGTH: usize = 60;
    hash.len() == LENGTH
        && ["$2a$", "$2b$", "$2x$", "$2y$"]
            .iter()
            .any(|version| hash.starts_with(version))
}
