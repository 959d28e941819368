//! Config drives: fetched where Ironic passes a URL, and read as cloud-init reads them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::effect::{AgentParameters, FetchFailure};
use metalsim_actors::node::os::description::SystemDescription;
use metalsim_actors::ports::{ConfigDrives, LocalFuture};

use super::background::Background;
use super::trust::Trust;
use super::web::{Web, WebError, WebLimits};
use crate::boot::system;

/// Largest config drive (ironic-python-agent: `partition_utils.py`, `MAX_CONFIG_DRIVE_SIZE_MB`).
const LARGEST: u64 = 64 << 20;
/// Fetches at once of one server: each may hold [`LARGEST`] bytes.
const MOST_FETCHES: usize = 8;

/// The nodes' way to their config drives.
pub struct DriveReader {
    background: Background,
    web: Arc<Web>,
}

impl DriveReader {
    /// Starts the thread that fetches and reads. Only the time limit of `limits` counts.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(limits: WebLimits) -> std::io::Result<Self> {
        Ok(Self {
            background: Background::start("config-drives")?,
            web: Arc::new(Web::new(WebLimits {
                max_in_flight: MOST_FETCHES,
                ..limits
            })),
        })
    }
}

impl ConfigDrives for DriveReader {
    fn fetch(
        &self,
        _: NodeId,
        url: Arc<str>,
        parameters: Arc<AgentParameters>,
    ) -> LocalFuture<Result<Arc<str>, FetchFailure>> {
        let web = Arc::clone(&self.web);
        let fetched = self
            .background
            .run(async move { fetch(&web, &url, &parameters).await });
        Box::pin(async move {
            match fetched.await {
                Some(Ok(text)) => Ok(text),
                Some(Err(error)) => Err(FetchFailure(error.to_string().into())),
                None => Err(FetchFailure("the fetch was called off".into())),
            }
        })
    }

    fn read(&self, node: NodeId, config_drive: Arc<str>) -> LocalFuture<Arc<SystemDescription>> {
        let read = self.background.run(async move {
            // It unpacks and parses, which may take a while: not where connections wait.
            let opened = tokio::task::spawn_blocking(move || system::of_config_drive(&config_drive)).await;
            opened.unwrap_or_else(|error| {
                tracing::error!(%node, %error, "reading a config drive panicked");
                SystemDescription::unreadable("the config drive could not be read")
            })
        });
        Box::pin(async move {
            Arc::new(
                read.await
                    .unwrap_or_else(|| SystemDescription::unreadable("the config drive was not read")),
            )
        })
    }
}

/// Base64 text as it is; bytes in base64 (ironic-python-agent: `partition_utils.py`, `get_configdrive`).
async fn fetch(web: &Web, url: &str, parameters: &AgentParameters) -> Result<Arc<str>, WebError> {
    let body = web
        .visit(url, &Trust::of(parameters), None)
        .await?
        .get(LARGEST)
        .await?;
    Ok(match std::str::from_utf8(&body) {
        Ok(text) if is_base64(text) => text.into(),
        _ => BASE64_STANDARD.encode(&body).into(),
    })
}

fn is_base64(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n \t".contains(&byte);
    text.bytes().all(known)
}
