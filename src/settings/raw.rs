//! The settings as files hold them. Every key of every section is a field here; others are refused.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use metalsim_actors::fault::FaultForm;
use metalsim_actors::fault::words::Role;
use metalsim_actors::kube::controller::Behaviour;
use metalsim_actors::timing::Timing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::values::image_version::ImageVersion;

use super::values::{
    AgentTlsValue, HttpUrl, LabelValue, LatencyValue, Listen, ListenList, NamePattern, PowerValue, Secret,
    Size, Span, TlsValue,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(super) seed: u64,
    pub(super) speed: f64,
    pub(super) fleet: Vec<RawFleet>,
    pub(super) redfish: RawRedfish,
    pub(super) agent: RawAgent,
    pub(super) ironic: RawIronic,
    pub(super) boot: RawBoot,
    pub(super) images: RawImages,
    pub(super) clusters: RawClusters,
    pub(super) control: RawControl,
    pub(super) events: RawEvents,
    pub(super) timing: RawTiming,
    /// What goes wrong from the start. Of two faults that strike at the same time and place, the first one wins.
    pub(super) faults: Vec<FaultForm>,
    /// Decoded one by one, because each is laid over the default profile first.
    pub(super) profiles: BTreeMap<Box<str>, Value>,
    pub(super) state: RawState,
    pub(super) log: RawLog,
    pub(super) runtime: RawRuntime,
}

impl Default for Raw {
    fn default() -> Self {
        let nodes = RawFleet {
            name: "node-{}".parse().ok(),
            count: Some(100),
            start: Some(1),
            profile: Some(super::DEFAULT_PROFILE.into()),
            power: Some(PowerValue(false)),
            ..RawFleet::default()
        };
        Self {
            seed: 1,
            speed: 1.0,
            fleet: vec![nodes],
            redfish: RawRedfish::default(),
            agent: RawAgent::default(),
            ironic: RawIronic::default(),
            boot: RawBoot::default(),
            images: RawImages::default(),
            clusters: RawClusters::default(),
            control: RawControl::default(),
            events: RawEvents::default(),
            timing: RawTiming::default(),
            faults: Vec::new(),
            profiles: BTreeMap::new(),
            state: RawState::default(),
            log: RawLog::default(),
            runtime: RawRuntime::default(),
        }
    }
}

/// Part of the fleet. Fields are optional so that a contradiction can be told from a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawFleet {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<NamePattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) power: Option<PowerValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http_root: Option<HttpUrl>,
    /// An operating system is on the disk already, which makes the machine a node of this cluster when it boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<RawMember>,
    pub(super) labels: BTreeMap<Box<str>, LabelValue>,
}

/// A part in a cluster of the simulation's own. Its first control plane forms it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMember {
    /// Name of the cluster.
    pub(super) name: Box<str>,
    /// The machines' part in it.
    pub(super) role: Role,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRedfish {
    pub(super) listen: ListenList,
    pub(super) addressing: RawAddressing,
    pub(super) username: Option<Box<str>>,
    pub(super) password: Option<Secret>,
    pub(super) htpasswd: Option<Box<str>>,
    pub(super) tls: Option<TlsValue>,
    pub(super) session_timeout: Span,
    pub(super) max_body: Size,
    pub(super) max_connections: NonZeroUsize,
}

impl Default for RawRedfish {
    fn default() -> Self {
        Self {
            listen: ListenList(vec![Listen::loopback(8000)]),
            addressing: RawAddressing::Path,
            username: None,
            password: None,
            htpasswd: None,
            tls: None,
            // bmcweb's default (bmcweb: include/sessions.hpp).
            session_timeout: Span(Duration::from_secs(1800)),
            max_body: Size(1 << 20),
            max_connections: at_least_one(20_000),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawAddressing {
    Path,
    Port,
    Address,
    Host,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAgent {
    pub(super) listen: Listen,
    pub(super) advertise_url: Option<HttpUrl>,
    pub(super) tls: AgentTlsValue,
    pub(super) version: Box<str>,
    pub(super) command_history: NonZeroUsize,
    pub(super) max_body: Size,
    pub(super) max_connections: NonZeroUsize,
}

impl Default for RawAgent {
    fn default() -> Self {
        Self {
            listen: Listen::loopback(9999),
            advertise_url: None,
            tls: AgentTlsValue::Off,
            version: "13.0.0".into(),
            command_history: at_least_one(50),
            // A command may carry a whole config drive, gzipped and in base64; Ironic's own limit is 64 MiB raw.
            max_body: Size(96 << 20),
            max_connections: at_least_one(20_000),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawIronic {
    pub(super) api_url: Option<HttpUrl>,
    pub(super) inspection_callback_url: Option<HttpUrl>,
    pub(super) ca_file: Option<Box<str>>,
    pub(super) insecure: bool,
    pub(super) max_in_flight: NonZeroUsize,
    pub(super) request_timeout: Span,
}

impl Default for RawIronic {
    fn default() -> Self {
        Self {
            api_url: None,
            inspection_callback_url: None,
            ca_file: None,
            insecure: false,
            max_in_flight: at_least_one(64),
            // ironic-python-agent: config.py, http_request_timeout.
            request_timeout: Span(Duration::from_secs(30)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBoot {
    pub(super) fetch: bool,
    pub(super) http_root: Option<HttpUrl>,
    pub(super) ca_file: Option<Box<str>>,
    pub(super) max_in_flight: NonZeroUsize,
    pub(super) request_timeout: Span,
    pub(super) max_read: Size,
    pub(super) max_skipped: Size,
}

impl Default for RawBoot {
    fn default() -> Self {
        Self {
            fetch: true,
            http_root: None,
            ca_file: None,
            max_in_flight: at_least_one(64),
            request_timeout: Span(Duration::from_secs(30)),
            max_read: Size(1 << 20),
            max_skipped: Size(64 << 20),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawImages {
    pub(super) listen: ListenList,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawClusters {
    pub(super) addressing: RawClusterAddressing,
    pub(super) advertise_host: Box<str>,
    pub(super) listen: Option<Box<str>>,
    pub(super) ports: Box<str>,
    pub(super) addresses: Box<str>,
    pub(super) domain: Option<Box<str>>,
    pub(super) port: u16,
    pub(super) management_kubeconfig: Option<Box<str>>,
    pub(super) reconcile: bool,
    pub(super) kubernetes_version: Box<str>,
    pub(super) image_version: Box<str>,
    pub(super) node_ready: LatencyValue,
    pub(super) pod_start: LatencyValue,
    pub(super) pod_stop: LatencyValue,
    pub(super) pod_run: LatencyValue,
    pub(super) node_monitor_grace: Span,
}

impl Default for RawClusters {
    fn default() -> Self {
        let Behaviour {
            node_ready,
            pod_start,
            pod_stop,
            pod_run,
            node_monitor_grace,
            ..
        } = Behaviour::default();
        Self {
            addressing: RawClusterAddressing::Port,
            advertise_host: "127.0.0.1".into(),
            listen: None,
            ports: "20000-29999".into(),
            addresses: "127.20.0.0/16".into(),
            domain: None,
            // kubernetes: `cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go`, DefaultAPIBindPort.
            port: 6443,
            management_kubeconfig: None,
            reconcile: false,
            kubernetes_version: "v1.34.2".into(),
            image_version: ImageVersion::DEFAULT.into(),
            node_ready: LatencyValue(node_ready),
            pod_start: LatencyValue(pod_start),
            pod_stop: LatencyValue(pod_stop),
            pod_run: LatencyValue(pod_run),
            node_monitor_grace: Span(node_monitor_grace),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawClusterAddressing {
    Port,
    Address,
    Name,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawControl {
    pub(super) listen: ListenList,
    pub(super) token: Option<Secret>,
}

impl Default for RawControl {
    fn default() -> Self {
        Self {
            listen: ListenList(vec![Listen::loopback(3333)]),
            token: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEvents {
    pub(super) keep: NonZeroUsize,
    pub(super) file: Option<Box<str>>,
}

impl Default for RawEvents {
    fn default() -> Self {
        Self {
            keep: at_least_one(100_000),
            file: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTiming {
    pub(super) power_on: LatencyValue,
    pub(super) power_off: LatencyValue,
    pub(super) graceful_shutdown: LatencyValue,
    pub(super) post: LatencyValue,
    pub(super) ramdisk_boot: LatencyValue,
    pub(super) os_boot: LatencyValue,
    pub(super) cloud_init: LatencyValue,
    pub(super) agent_command: LatencyValue,
    pub(super) agent_commands: BTreeMap<Box<str>, LatencyValue>,
    pub(super) virtual_media: LatencyValue,
    pub(super) firmware_update: LatencyValue,
}

impl Default for RawTiming {
    fn default() -> Self {
        // Taken apart field by field, so that a new one in `Timing` cannot be forgotten here.
        let Timing {
            power_on,
            power_off,
            graceful_shutdown,
            post,
            ramdisk_boot,
            os_boot,
            cloud_init,
            agent_command,
            agent_commands,
            virtual_media,
            firmware_update,
        } = Timing::default();
        Self {
            power_on: LatencyValue(power_on),
            power_off: LatencyValue(power_off),
            graceful_shutdown: LatencyValue(graceful_shutdown),
            post: LatencyValue(post),
            ramdisk_boot: LatencyValue(ramdisk_boot),
            os_boot: LatencyValue(os_boot),
            cloud_init: LatencyValue(cloud_init),
            agent_command: LatencyValue(agent_command),
            agent_commands: agent_commands
                .into_iter()
                .map(|(name, latency)| (name, LatencyValue(latency)))
                .collect(),
            virtual_media: LatencyValue(virtual_media),
            firmware_update: LatencyValue(firmware_update),
        }
    }
}

impl From<RawTiming> for Timing {
    fn from(raw: RawTiming) -> Self {
        Self {
            power_on: raw.power_on.0,
            power_off: raw.power_off.0,
            graceful_shutdown: raw.graceful_shutdown.0,
            post: raw.post.0,
            ramdisk_boot: raw.ramdisk_boot.0,
            os_boot: raw.os_boot.0,
            cloud_init: raw.cloud_init.0,
            agent_command: raw.agent_command.0,
            agent_commands: raw
                .agent_commands
                .into_iter()
                .map(|(name, latency)| (name, latency.0))
                .collect(),
            virtual_media: raw.virtual_media.0,
            firmware_update: raw.firmware_update.0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawState {
    pub(super) store: RawStore,
    pub(super) path: Option<Box<str>>,
}

impl Default for RawState {
    fn default() -> Self {
        Self {
            store: RawStore::None,
            path: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawStore {
    None,
    Embedded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) level: Box<str>,
    pub(super) format: super::LogFormat,
}

impl Default for RawLog {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: super::LogFormat::Text,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRuntime {
    pub(super) arbiters: Option<NonZeroUsize>,
    pub(super) http_workers: Option<NonZeroUsize>,
}

/// A limit that is written in this file, so never zero.
fn at_least_one(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN)
}
