//! What follows from the kind of a fault: where it is asked for, whom it befalls, how it comes about.

use super::site::{Site, SiteKind};
use super::value::Glob;
use super::what::What;

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A node: its hardware, agent, operating system, kubelet or etcd member.
    Node,
    /// A cluster as a whole.
    Cluster,
}

/// How a fault comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Something is being done, and goes wrong. Asked with [`super::FaultSet::at`].
    Occasion,
    /// Something is wrong as long as the fault lasts. Asked with [`super::FaultSet::state`].
    State,
    /// Something happens by itself at the beginning of each window. Asked with [`super::FaultSet::next_event`].
    Event,
}

impl What {
    /// Where it is asked for.
    #[must_use]
    pub fn site(&self) -> SiteKind {
        match self {
            Self::BmcSlow { .. } | Self::BmcStatus { .. } => SiteKind::RedfishRequest,
            Self::BmcUnreachable { .. } => SiteKind::RedfishConnection,
            Self::BmcWrongCredentials {} => SiteKind::RedfishLogin,
            Self::BmcBadBody { .. } => SiteKind::RedfishResponse,
            Self::BmcStaleReads { .. } => SiteKind::RedfishRead,
            Self::ResetIgnored { .. } => SiteKind::Reset,
            Self::PowerFlap { .. } => SiteKind::PowerEvent,
            Self::PowerLoss { .. } => SiteKind::Power,
            Self::StuckInPost {} => SiteKind::Post,
            Self::BootOverrideIgnored {} => SiteKind::BootOverride,
            Self::MediaInsertFails { .. } | Self::MediaInsertLingers { .. } => SiteKind::MediaInsert,
            Self::MediaEjectIgnored {} => SiteKind::MediaEject,
            Self::SessionExpires { .. } => SiteKind::RedfishSession,
            Self::TaskNeverEnds {} | Self::TaskFails { .. } => SiteKind::RedfishTask,
            Self::BootMediaUnreachable { .. }
            | Self::BootMediaSlow { .. }
            | Self::BootMediaCorrupt { .. } => SiteKind::BootMedia,
            Self::NoBootDevice {} => SiteKind::BootTarget,
            Self::AgentNeverStarts {} | Self::AgentStartsLate { .. } => SiteKind::AgentStart,
            Self::AgentUnreachable { .. } => SiteKind::AgentConnection,
            Self::AgentLosesHeartbeats {} | Self::AgentWrongToken {} => SiteKind::AgentHeartbeat,
            Self::AgentCommandFails { .. }
            | Self::AgentCommandHangs { .. }
            | Self::AgentCommandWrongShape { .. } => SiteKind::AgentCommand,
            Self::AgentStepFails { .. } => SiteKind::AgentStep,
            Self::InventoryDiskTooSmall { .. }
            | Self::InventoryNicMissing { .. }
            | Self::InventoryDuplicateMac { .. } => SiteKind::AgentInventory,
            Self::IronicUnreachable { .. } | Self::IronicSlow { .. } | Self::IronicStatus { .. } => {
                SiteKind::IronicCall
            }
            Self::CloudInitFails { .. } => SiteKind::CloudInit,
            Self::KubeadmFails { .. } => SiteKind::Kubeadm,
            Self::OsHangs {} => SiteKind::OsProgress,
            Self::RebootLoop { .. } => SiteKind::OsUp,
            Self::NodeNotReady { .. } | Self::KubeletFlaps { .. } | Self::NodePressure { .. } => {
                SiteKind::Kubelet
            }
            Self::ApiSlow { .. } | Self::ApiStatus { .. } | Self::ApiTooManyRequests { .. } => {
                SiteKind::ApiRequest
            }
            Self::ApiUnreachable { .. } => SiteKind::ApiConnection,
            Self::ApiWatchCut { .. } => SiteKind::ApiWatch,
            Self::ApiBadCertificate { .. } => SiteKind::ApiHandshake,
            Self::EtcdMemberDown {} | Self::EtcdAlarm { .. } => SiteKind::EtcdMember,
            Self::EtcdSlow { .. } => SiteKind::EtcdRequest,
            Self::EtcdLeaderFlaps { .. } => SiteKind::EtcdLeader,
            Self::NodeActorPanics {} => SiteKind::NodeStep,
            Self::ClusterActorPanics {} => SiteKind::ClusterStep,
        }
    }

    /// Whether the details of `site` are among those that the fault names. The kind of site is compared too.
    #[must_use]
    pub fn applies_to(&self, site: Site<'_>) -> bool {
        fn any<T: PartialEq>(listed: &[T], value: T) -> bool {
            listed.is_empty() || listed.contains(&value)
        }
        fn fits(globs: &[Glob], text: &str) -> bool {
            globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
        }
        if self.site() != site.kind() {
            return false;
        }
        match (self, site) {
            (
                Self::BmcSlow { routes, methods, .. }
                | Self::BmcStatus { routes, methods, .. }
                | Self::BmcBadBody { routes, methods, .. },
                Site::RedfishRequest { method, route } | Site::RedfishResponse { method, route },
            ) => any(methods, method) && fits(routes, route),
            (Self::BmcStaleReads { routes, age: limit }, Site::RedfishRead { route, age }) => {
                age <= limit.0 && fits(routes, route)
            }
            (Self::ResetIgnored { types }, Site::Reset { reset }) => any(types, reset),
            (Self::SessionExpires { after }, Site::RedfishSession { age }) => age >= after.0,
            (
                Self::AgentCommandFails { commands, .. }
                | Self::AgentCommandHangs { commands }
                | Self::AgentCommandWrongShape { commands },
                Site::AgentCommand { command },
            ) => fits(commands, command),
            (Self::AgentStepFails { steps, phases, .. }, Site::AgentStep { phase, step }) => {
                any(phases, phase) && fits(steps, step)
            }
            (
                Self::IronicUnreachable { calls, .. }
                | Self::IronicSlow { calls, .. }
                | Self::IronicStatus { calls, .. },
                Site::IronicCall { call },
            ) => any(calls, call),
            (Self::KubeadmFails { actions, .. }, Site::Kubeadm { action }) => any(actions, action),
            (
                Self::ApiSlow { verbs, resources, .. }
                | Self::ApiStatus { verbs, resources, .. }
                | Self::ApiTooManyRequests { verbs, resources, .. },
                Site::ApiRequest { verb, resource },
            ) => any(verbs, verb) && fits(resources, resource),
            (Self::ApiWatchCut { resources, .. }, Site::ApiWatch { resource }) => fits(resources, resource),
            // The kind of site is the same, and it has no details that a fault could name.
            _ => true,
        }
    }

    /// The words for all faults.
    pub const WORDS: [&'static str; 55] = [
        "bmc_slow",
        "bmc_unreachable",
        "bmc_wrong_credentials",
        "bmc_status",
        "bmc_bad_body",
        "bmc_stale_reads",
        "reset_ignored",
        "power_flap",
        "power_loss",
        "stuck_in_post",
        "boot_override_ignored",
        "media_insert_fails",
        "media_insert_lingers",
        "media_eject_ignored",
        "session_expires",
        "task_never_ends",
        "task_fails",
        "boot_media_unreachable",
        "boot_media_slow",
        "boot_media_corrupt",
        "no_boot_device",
        "agent_never_starts",
        "agent_starts_late",
        "agent_unreachable",
        "agent_loses_heartbeats",
        "agent_wrong_token",
        "agent_command_fails",
        "agent_command_hangs",
        "agent_command_wrong_shape",
        "agent_step_fails",
        "inventory_disk_too_small",
        "inventory_nic_missing",
        "inventory_duplicate_mac",
        "ironic_unreachable",
        "ironic_slow",
        "ironic_status",
        "cloud_init_fails",
        "kubeadm_fails",
        "os_hangs",
        "reboot_loop",
        "node_not_ready",
        "kubelet_flaps",
        "node_pressure",
        "api_slow",
        "api_unreachable",
        "api_status",
        "api_too_many_requests",
        "api_watch_cut",
        "api_bad_certificate",
        "etcd_member_down",
        "etcd_alarm",
        "etcd_slow",
        "etcd_leader_flaps",
        "node_actor_panics",
        "cluster_actor_panics",
    ];

    /// The word for it in files, in metric labels and in events.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::BmcSlow { .. } => "bmc_slow",
            Self::BmcUnreachable { .. } => "bmc_unreachable",
            Self::BmcWrongCredentials {} => "bmc_wrong_credentials",
            Self::BmcStatus { .. } => "bmc_status",
            Self::BmcBadBody { .. } => "bmc_bad_body",
            Self::BmcStaleReads { .. } => "bmc_stale_reads",
            Self::ResetIgnored { .. } => "reset_ignored",
            Self::PowerFlap { .. } => "power_flap",
            Self::PowerLoss { .. } => "power_loss",
            Self::StuckInPost {} => "stuck_in_post",
            Self::BootOverrideIgnored {} => "boot_override_ignored",
            Self::MediaInsertFails { .. } => "media_insert_fails",
            Self::MediaInsertLingers { .. } => "media_insert_lingers",
            Self::MediaEjectIgnored {} => "media_eject_ignored",
            Self::SessionExpires { .. } => "session_expires",
            Self::TaskNeverEnds {} => "task_never_ends",
            Self::TaskFails { .. } => "task_fails",
            Self::BootMediaUnreachable { .. } => "boot_media_unreachable",
            Self::BootMediaSlow { .. } => "boot_media_slow",
            Self::BootMediaCorrupt { .. } => "boot_media_corrupt",
            Self::NoBootDevice {} => "no_boot_device",
            Self::AgentNeverStarts {} => "agent_never_starts",
            Self::AgentStartsLate { .. } => "agent_starts_late",
            Self::AgentUnreachable { .. } => "agent_unreachable",
            Self::AgentLosesHeartbeats {} => "agent_loses_heartbeats",
            Self::AgentWrongToken {} => "agent_wrong_token",
            Self::AgentCommandFails { .. } => "agent_command_fails",
            Self::AgentCommandHangs { .. } => "agent_command_hangs",
            Self::AgentCommandWrongShape { .. } => "agent_command_wrong_shape",
            Self::AgentStepFails { .. } => "agent_step_fails",
            Self::InventoryDiskTooSmall { .. } => "inventory_disk_too_small",
            Self::InventoryNicMissing { .. } => "inventory_nic_missing",
            Self::InventoryDuplicateMac { .. } => "inventory_duplicate_mac",
            Self::IronicUnreachable { .. } => "ironic_unreachable",
            Self::IronicSlow { .. } => "ironic_slow",
            Self::IronicStatus { .. } => "ironic_status",
            Self::CloudInitFails { .. } => "cloud_init_fails",
            Self::KubeadmFails { .. } => "kubeadm_fails",
            Self::OsHangs {} => "os_hangs",
            Self::RebootLoop { .. } => "reboot_loop",
            Self::NodeNotReady { .. } => "node_not_ready",
            Self::KubeletFlaps { .. } => "kubelet_flaps",
            Self::NodePressure { .. } => "node_pressure",
            Self::ApiSlow { .. } => "api_slow",
            Self::ApiUnreachable { .. } => "api_unreachable",
            Self::ApiStatus { .. } => "api_status",
            Self::ApiTooManyRequests { .. } => "api_too_many_requests",
            Self::ApiWatchCut { .. } => "api_watch_cut",
            Self::ApiBadCertificate { .. } => "api_bad_certificate",
            Self::EtcdMemberDown {} => "etcd_member_down",
            Self::EtcdAlarm { .. } => "etcd_alarm",
            Self::EtcdSlow { .. } => "etcd_slow",
            Self::EtcdLeaderFlaps { .. } => "etcd_leader_flaps",
            Self::NodeActorPanics {} => "node_actor_panics",
            Self::ClusterActorPanics {} => "cluster_actor_panics",
        }
    }

    /// Whom it befalls.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.site().subject()
    }

    /// How it comes about.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.site().mode()
    }

    /// What is wrong with its parameters, beyond their types: the parameter and the reason.
    #[must_use]
    pub fn complaint(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AgentStepFails { steps, .. } if steps.is_empty() => {
                Some(("steps", "must name at least one step"))
            }
            Self::NodePressure { conditions } if conditions.is_empty() => {
                Some(("conditions", "must name at least one condition"))
            }
            Self::KubeletFlaps { down, .. } if down.0.is_zero() => Some(("down", "must be above zero")),
            Self::KubeletFlaps { up, .. } if up.0.is_zero() => Some(("up", "must be above zero")),
            Self::EtcdLeaderFlaps { every } if every.0.is_zero() => Some(("every", "must be above zero")),
            Self::BmcStaleReads { age, .. } if age.0.is_zero() => Some(("age", "must be above zero")),
            _ => None,
        }
    }
}
