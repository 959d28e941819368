//! The section `clusters`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::kube::version::{KubernetesVersion, NoVersion};

use super::decode::Decoder;
use super::layers::KeyPath;
use super::raw::{RawClusterAddressing, RawClusters};
use crate::values::addressing::Addressing;
use crate::values::image_version::ImageVersion;
use crate::values::names::is_subdomain;

/// The word for a configuration that comes from the pod's own service account.
const IN_CLUSTER: &str = "in-cluster";
/// Shortest and longest network of addresses: 2 to 16 million of them.
const LENGTHS: std::ops::RangeInclusive<u8> = 8..=30;

/// Clusters that appear on nodes, and registered ones.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Endpoints of registered clusters.
    pub addressing: Addressing,
    /// The management cluster, where their keys are.
    pub management: Option<Management>,
    /// The version of Kubernetes of clusters for which nobody names one.
    pub kubernetes_version: KubernetesVersion,
    /// How the version is read from an image's name.
    pub image_version: ImageVersion,
    /// How clusters behave.
    pub behaviour: Behaviour,
}

/// How to reach the management cluster, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// The kubeconfig; `None`: the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Whether hosts that are provisioned become nodes.
    pub reconcile: bool,
}

impl Clusters {
    /// The port that all registered clusters share, if they do.
    pub(super) fn shared(&self) -> Option<SocketAddr> {
        match &self.addressing {
            Addressing::Name { listen, port, .. } => Some(SocketAddr::new(*listen, *port)),
            Addressing::Port { .. } | Addressing::Address { .. } => None,
        }
    }
}

/// Validates the section.
pub(super) fn validate(raw: &RawClusters, decoder: &mut Decoder) -> Clusters {
    let section = KeyPath::of(&["clusters"]);
    let version = match raw.kubernetes_version.parse() {
        Ok(version) => Some(version),
        Err(error) => {
            let error: NoVersion = error;
            decoder.blame(&section.key("kubernetes_version"), &error.to_string());
            None
        }
    };
    let image_version = match ImageVersion::new(&raw.image_version) {
        Ok(pattern) => pattern,
        Err(error) => {
            decoder.blame(&section.key("image_version"), &format!("is no pattern: {error}"));
            ImageVersion::default()
        }
    };
    Clusters {
        addressing: addressing(raw, &section, decoder),
        management: management(raw, &section, decoder),
        kubernetes_version: version.unwrap_or_default(),
        image_version,
        behaviour: Behaviour {
            node_ready: raw.node_ready.0,
            pod_start: raw.pod_start.0,
            pod_stop: raw.pod_stop.0,
            pod_run: raw.pod_run.0,
            node_monitor_grace: raw.node_monitor_grace.0,
            ..Behaviour::default()
        },
    }
}

fn addressing(raw: &RawClusters, section: &KeyPath, decoder: &mut Decoder) -> Addressing {
    let advertised = raw.advertise_host.parse::<IpAddr>();
    if advertised.is_err() && !is_subdomain(&raw.advertise_host) {
        decoder.blame(
            &section.key("advertise_host"),
            "is neither an IP address nor a DNS name in lower case",
        );
    }
    let listen = raw.listen.as_deref().map(str::parse::<IpAddr>);
    if matches!(listen, Some(Err(_))) {
        decoder.blame(&section.key("listen"), "is no IP address");
    }
    let ports = raw
        .ports
        .split_once('-')
        .and_then(|(first, last)| {
            Some((
                first.trim().parse::<u16>().ok()?,
                last.trim().parse::<u16>().ok()?,
            ))
        })
        .filter(|(first, last)| *first > 0 && first <= last);
    if ports.is_none() {
        decoder.blame(
            &section.key("ports"),
            "is no range of ports: write it like 20000-29999",
        );
    }
    let network = raw.addresses.split_once('/').and_then(|(address, length)| {
        let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(u32::from(length))?)?;
        (LENGTHS.contains(&length) && u32::from(address) & !mask == 0).then_some((address, length))
    });
    if network.is_none() {
        decoder.blame(
            &section.key("addresses"),
            "is no IPv4 network from /8 to /30: write it like 127.20.0.0/16",
        );
    }
    if raw.port == 0 {
        decoder.blame(&section.key("port"), "must be above zero");
    }
    let domain = raw.domain.as_deref();
    if domain.is_some_and(|domain| !is_subdomain(domain)) {
        decoder.blame(&section.key("domain"), "is no DNS name in lower case");
    }
    let listen_or_advertised = match (listen, &advertised) {
        (Some(Ok(address)), _) => Some(address),
        (None, Ok(address)) => Some(*address),
        (Some(Err(_)), _) | (None, Err(_)) => None,
    };
    match raw.addressing {
        RawClusterAddressing::Port | RawClusterAddressing::Name if listen_or_advertised.is_none() => {
            if raw.listen.is_none() {
                decoder.blame(
                    &section.key("listen"),
                    "is required, because clusters.advertise_host is no IP address",
                );
            }
        }
        RawClusterAddressing::Address if raw.listen.is_some() => {
            decoder.blame(&section.key("listen"), "has no meaning with addressing: address");
        }
        RawClusterAddressing::Name if domain.is_none() => {
            decoder.blame(&section.key("domain"), "is required with addressing: name");
        }
        RawClusterAddressing::Port | RawClusterAddressing::Address | RawClusterAddressing::Name => {}
    }
    let listen = listen_or_advertised.unwrap_or(Ipv4Addr::LOCALHOST.into());
    match raw.addressing {
        RawClusterAddressing::Port => {
            let (first, last) = ports.unwrap_or((1, 1));
            Addressing::Port {
                host: advertised.map_or_else(
                    |_| raw.advertise_host.clone(),
                    |address| address.to_string().into(),
                ),
                listen,
                ports: first..=last,
            }
        }
        RawClusterAddressing::Address => {
            let (network, length) = network.unwrap_or((Ipv4Addr::LOCALHOST, 30));
            Addressing::Address {
                network,
                length,
                port: raw.port,
            }
        }
        RawClusterAddressing::Name => Addressing::Name {
            domain: domain.unwrap_or_default().into(),
            listen,
            port: raw.port,
        },
    }
}

fn management(raw: &RawClusters, section: &KeyPath, decoder: &mut Decoder) -> Option<Management> {
    let key = section.key("management_kubeconfig");
    let Some(text) = raw.management_kubeconfig.as_deref() else {
        if raw.reconcile {
            decoder.blame(
                &section.key("reconcile"),
                "needs management_kubeconfig: the cluster where the hosts are",
            );
        }
        return None;
    };
    if cfg!(not(feature = "management")) {
        decoder.blame(&key, "this metalsim was built without the feature management");
    }
    let kubeconfig = (text != IN_CLUSTER).then(|| decoder.file(&key, text));
    if let Some(file) = &kubeconfig
        && let Err(error) = std::fs::File::open(file)
    {
        decoder.blame(&key, &format!("cannot read {}: {error}", file.display()));
    }
    Some(Management {
        kubeconfig,
        reconcile: raw.reconcile,
    })
}
