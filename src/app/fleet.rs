//! The nodes, and what their actors call outside.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use metalsim_actors::fault::NodeIndex;
use metalsim_actors::node::agent::AgentSettings;
use metalsim_actors::node::profile::HardwareProfile;
use metalsim_actors::node::{Identity, Kind};
use metalsim_actors::shell::{Fleet, NodeStart, Permits, Services, ShardPlan};

use super::Common;
use super::installed::Installer;
use crate::cluster::manager::{Manager, ManagerPort};
use crate::outbound::boot_media::{IronicAccess, MediaReader, MediaSettings};
use crate::outbound::config_drives::DriveReader;
use crate::outbound::ironic::{CallLimits, IronicClient};
use crate::outbound::web::WebLimits;
use crate::settings::{self, Settings};

/// Requests under way for all nodes together, and for one.
const PERMITS: (u32, u16) = (100_000, 64);
/// Shards on a thread of nodes.
const SHARDS_PER_ARBITER: usize = 2;

/// Starts the nodes.
///
/// # Errors
/// If a client cannot be made.
pub(super) async fn start(
    settings: &Settings,
    agent: AgentSettings,
    common: &Common,
    clusters: &Arc<Manager>,
) -> anyhow::Result<Fleet> {
    let calls = CallLimits {
        max_in_flight: settings.ironic.max_in_flight,
        timeout: settings.ironic.request_timeout,
    };
    let ironic = IronicClient::start(
        calls,
        common.seed,
        Arc::clone(&common.services.clock),
        Arc::clone(&common.calls),
    )?;
    let text = |url: &settings::HttpUrl| Box::from(url.as_str());
    let ca_pem = pem_of(settings.ironic.ca_file.as_deref()).context("ironic.ca_file")?;
    let access = IronicAccess {
        api_url: settings.ironic.api_url.as_ref().map(text),
        inspection_callback_url: settings.ironic.inspection_callback_url.as_ref().map(text),
        ca_pem,
        insecure: settings.ironic.insecure,
    };
    let boot = &settings.boot;
    let limits = WebLimits {
        max_in_flight: boot.max_in_flight,
        timeout: boot.request_timeout,
        max_read: boot.max_read,
        max_skipped: boot.max_skipped,
    };
    let media = MediaSettings {
        fetch: boot.fetch,
        limits,
        ca_pem: pem_of(boot.ca_file.as_deref()).context("boot.ca_file")?,
    };
    let services = Arc::new(Services {
        clock: Arc::clone(&common.services.clock),
        ironic: Arc::new(ironic),
        boot_media: Arc::new(MediaReader::start(media, &access)?),
        config_drives: Arc::new(DriveReader::start(limits)?),
        clusters: Arc::new(ManagerPort(Arc::clone(clusters))),
        recorder: Arc::clone(&common.services.recorder),
        faults: Arc::clone(&common.services.faults),
    });
    let permits = Arc::new(Permits::new(
        PERMITS.0,
        PERMITS.1,
        Arc::clone(&common.services.recorder),
    ));
    common.metrics.watch_permits(&permits);
    let mut kinds = Kinds {
        settings,
        agent,
        known: Vec::new(),
    };
    let mut installer = Installer::new(clusters, settings.clusters.kubernetes_version.clone());
    let mut starts = Vec::with_capacity(settings.nodes.len());
    for (index, node) in (0..).map(NodeIndex).zip(&settings.nodes) {
        starts.push(NodeStart {
            identity: Arc::new(Identity {
                index,
                id: node.id,
                name: node.name.clone(),
                macs: node.macs.clone(),
                labels: Arc::clone(&node.labels),
            }),
            kind: kinds.of(&node.profile, node.http_root.as_ref()),
            power_on: node.power_on,
            installed: installer.install(node)?,
        });
    }
    let identities = starts.iter().map(|start| Arc::clone(&start.identity));
    common.events.recorder.know(identities);
    let plan = ShardPlan {
        arbiters: settings.runtime.arbiters,
        shards_per_arbiter: SHARDS_PER_ARBITER,
    };
    Ok(Fleet::start(plan, common.seed, starts, services, permits).await)
}

fn pem_of(file: Option<&Path>) -> std::io::Result<Option<Arc<str>>> {
    file.map(|file| std::fs::read_to_string(file).map(Arc::from))
        .transpose()
}

/// One [`Kind`] a hardware profile and network, shared by all its nodes.
struct Kinds<'a> {
    settings: &'a Settings,
    agent: AgentSettings,
    known: Vec<Arc<Kind>>,
}

impl Kinds<'_> {
    fn of(&mut self, profile: &Arc<HardwareProfile>, http_root: Option<&Arc<str>>) -> Arc<Kind> {
        // Neighbours in the settings are mostly of one kind, so the newest is looked at first.
        if let Some(kind) = self
            .known
            .iter()
            .rev()
            .find(|kind| Arc::ptr_eq(&kind.profile, profile) && kind.http_root.as_ref() == http_root)
        {
            return Arc::clone(kind);
        }
        let kind = Arc::new(Kind {
            profile: Arc::clone(profile),
            timing: self.settings.timing.clone(),
            speed: self.settings.speed,
            agent: self.agent.clone(),
            http_root: http_root.cloned(),
        });
        self.known.push(Arc::clone(&kind));
        kind
    }
}
