//! Clusters that nodes form, and registered ones.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use super::Common;
use crate::cluster::endpoints::Endpoints;
use crate::cluster::keys::KeySource;
use crate::cluster::manager::{Manager, NodeDefaults};
use crate::cluster::serve;
use crate::cluster::simulated::Host;
#[cfg(feature = "management")]
use crate::cluster::{management, reconciler};
use crate::frontend::kube::listener::Workers;
use crate::frontend::server::ServerOptions;
use crate::observer::{ClusterCensus, Protocol};
use crate::settings::Settings;

/// The clusters that nodes may form, and registered ones; and the task that adds nodes to these.
pub(super) async fn start(
    settings: &Settings,
    common: &Common,
) -> anyhow::Result<(Arc<Manager>, Option<JoinHandle<()>>)> {
    let host = Host {
        services: common.services.clone(),
        workers: Workers::start(
            settings.runtime.http_workers,
            ServerOptions::new(Protocol::Kube),
            common.metrics.clone(),
            serve::bodies(),
        ),
        seed: common.seed,
        behaviour: settings.clusters.behaviour.clone(),
        interner: Arc::default(),
        observer: common.events.recorder.clone(),
        machines: Arc::default(),
    };
    let defaults = NodeDefaults {
        version: settings.clusters.kubernetes_version.clone(),
        image_version: settings.clusters.image_version.clone(),
    };
    let endpoints = Endpoints::open(settings.clusters.addressing.clone(), &host.workers)?;
    let management = Management::of(settings).await?;
    let manager = Manager::new(host, defaults, endpoints, management.keys());
    let census: Arc<dyn ClusterCensus> = Arc::<Manager>::clone(&manager);
    common.metrics.watch_clusters(&census);
    let reconciling = management.reconcile(&manager);
    Ok((manager, reconciling))
}

/// The management cluster, if there is one.
#[cfg(feature = "management")]
struct Management(Option<(kube::Client, bool)>);

#[cfg(feature = "management")]
impl Management {
    async fn of(settings: &Settings) -> anyhow::Result<Self> {
        let Some(management) = &settings.clusters.management else {
            return Ok(Self(None));
        };
        let client = management::connect(management.kubeconfig.as_deref())
            .await
            .context("clusters.management_kubeconfig")?;
        Ok(Self(Some((client, management.reconcile))))
    }

    fn keys(&self) -> Option<Arc<dyn KeySource>> {
        let (client, _) = self.0.as_ref()?;
        Some(Arc::new(management::SecretKeys::new(client.clone())))
    }

    /// Lets hosts become nodes.
    fn reconcile(self, manager: &Arc<Manager>) -> Option<JoinHandle<()>> {
        let (client, _) = self.0.filter(|(_, reconcile)| *reconcile)?;
        Some(actix_rt::spawn(reconciler::run(client, Arc::clone(manager))))
    }
}

/// Built without.
#[cfg(not(feature = "management"))]
struct Management;

#[cfg(not(feature = "management"))]
impl Management {
    async fn of(_: &Settings) -> anyhow::Result<Self> {
        Ok(Self)
    }

    fn keys(&self) -> Option<Arc<dyn KeySource>> {
        None
    }

    fn reconcile(self, _: &Arc<Manager>) -> Option<JoinHandle<()>> {
        None
    }
}
