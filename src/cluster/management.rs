//! The management cluster: where Cluster API keeps the keys of clusters.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::keys::{ClusterKeys, KeySource};
use super::names::ClusterName;

/// Longest time for an answer; informers wait longer by themselves.
const PATIENCE: Duration = Duration::from_secs(30);

/// A management cluster that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    /// The kubeconfig.
    #[error("{0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// The service account of the pod.
    #[error("{0}")]
    InCluster(#[from] kube::config::InClusterError),
    /// A client cannot be made of it.
    #[error("{0}")]
    Client(#[from] kube::Error),
}

/// A client for the management cluster: by a kubeconfig, or as the pod that this runs in. Nothing is asked of it yet.
///
/// # Errors
/// See [`ManagementError`].
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ManagementError> {
    let mut config = match kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster()?,
    };
    config.connect_timeout = Some(PATIENCE);
    Ok(Client::try_from(config)?)
}

/// Keys from Cluster API's Secrets (cluster-api: `util/secret/consts.go`, `certificates.go`).
pub struct SecretKeys {
    client: Client,
}

impl SecretKeys {
    /// Reads with this client, which may get Secrets.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// `tls.crt` and `tls.key` of a Secret; `None`: there is none.
    async fn secret(&self, cluster: &ClusterName, purpose: &str) -> Result<Option<(String, String)>, String> {
        let name = format!("{}-{purpose}", cluster.name());
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
        let secrets: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), cluster.namespace(), &resource);
        let found = tokio::time::timeout(PATIENCE, secrets.get_opt(&name))
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())?;
        let Some(secret) = found else {
            return Ok(None);
        };
        let text = |key: &str| {
            let data = secret.data.get("data")?.get(key)?.as_str()?;
            String::from_utf8(STANDARD.decode(data).ok()?).ok()
        };
        match (text("tls.crt"), text("tls.key")) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            _ => Err(format!(
                "Secret {}/{name} has no tls.crt and tls.key",
                cluster.namespace()
            )),
        }
    }
}

impl KeySource for SecretKeys {
    fn keys<'a>(&'a self, cluster: &'a ClusterName) -> BoxFuture<'a, Result<Option<ClusterKeys>, String>> {
        Box::pin(async move {
            let Some((ca, ca_key)) = self.secret(cluster, "ca").await? else {
                return Ok(None);
            };
            let Some((etcd, etcd_key)) = self.secret(cluster, "etcd").await? else {
                return Ok(None);
            };
            let account = self.secret(cluster, "sa").await?;
            ClusterKeys::from_pem(
                (&ca, &ca_key),
                (&etcd, &etcd_key),
                account.as_ref().map(|(_, key)| key.as_str()),
            )
            .map(Some)
            .map_err(|error| format!("the Secrets of {cluster}: {error}"))
        })
    }
}
