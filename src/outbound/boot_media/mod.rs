//! What nodes boot: fetches the medium, the image or the boot script that a boot target names, and reads from it what
//! the agent is told.
//!
//! | target | what is read |
//! | --- | --- |
//! | Cd, Usb, Floppy | the image in the slot |
//! | `UefiHttp` | the image at `HttpBootUri` |
//! | Pxe | the scripts below the HTTP root that the network's DHCP server names |
//!
//! What a medium tells wins over the settings; what it leaves out the settings fill in. Ironic writes a new medium with
//! a new token to the same URL for every boot, so nothing that was read is kept for the next.

mod network;
mod settings;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::{BootTarget, Media, OverrideEnabled};
use metalsim_actors::node::effect::{BootFailure, BootImage, BootRequest};
use metalsim_actors::ports::{BootMedia, LocalFuture};
use url::Url;

use self::settings::Fallback;
pub use self::settings::IronicAccess;
use super::background::Background;
use super::web::{Credentials, RemoteImage, Web, WebError, WebLimits, media_trust};
use crate::boot::iso9660::{IsoError, Limits};
use crate::boot::medium::{self, AgentMedium, Medium, NotBootable};
use crate::boot::source::{ReadAt, ReadLimits, SourceError};
use crate::boot::told::Told;

/// How often an image is read anew because it changed while it was read.
const MOST_TRIES: usize = 3;

/// How boot media are read.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// Read them at all; otherwise every ramdisk is taken for one with the agent, told by the settings.
    pub fetch: bool,
    /// Limits of what is read.
    pub limits: WebLimits,
    /// Certificates to trust besides the system's, where a server is to be verified, as PEM.
    pub ca_pem: Option<Arc<str>>,
}

/// The nodes' way to their boot media.
pub struct MediaReader {
    background: Background,
    shared: Arc<Shared>,
}

struct Shared {
    web: Web,
    fetch: bool,
    ca_pem: Option<Arc<str>>,
    fallback: Fallback,
}

impl MediaReader {
    /// Starts the thread that fetches. `access`: what the agent is told where a medium says nothing.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(settings: MediaSettings, access: &IronicAccess) -> std::io::Result<Self> {
        Ok(Self {
            background: Background::start("boot-media")?,
            shared: Arc::new(Shared {
                web: Web::new(settings.limits),
                fetch: settings.fetch,
                ca_pem: settings.ca_pem,
                fallback: Fallback::new(access),
            }),
        })
    }
}

impl BootMedia for MediaReader {
    fn resolve(&self, node: NodeId, request: BootRequest) -> LocalFuture<Result<BootImage, BootFailure>> {
        let target = request.target;
        let told = move |result: &Result<BootImage, BootFailure>| match result {
            Ok(_) => tracing::debug!(%node, ?target, "boot target read"),
            Err(error) => tracing::info!(%node, ?target, %error, "boot failed"),
        };
        if let Some(result) = self.shared.without_reading(&request) {
            told(&result);
            return Box::pin(std::future::ready(result));
        }
        let shared = Arc::clone(&self.shared);
        let resolved = self.background.run(async move {
            let result = shared.resolve(&request).await;
            told(&result);
            result
        });
        Box::pin(async move {
            resolved
                .await
                .unwrap_or_else(|| Err(BootFailure("the medium could not be read".into())))
        })
    }
}

impl Shared {
    /// The answer, if nothing has to be read for it. It is there at once, so that simulated time does not depend on how
    /// busy the machine is.
    fn without_reading(&self, request: &BootRequest) -> Option<Result<BootImage, BootFailure>> {
        if !self.fetch {
            return Some(self.fallback.resolve(request));
        }
        let nothing = |why: &str| Some(Err(BootFailure(why.into())));
        match (request.target, &request.media, &request.http_boot_uri) {
            (BootTarget::Pxe, ..) if request.http_root.is_some() => None,
            (BootTarget::Pxe, ..) if request.enabled == OverrideEnabled::Disabled => {
                nothing("no DHCP server answers")
            }
            // Somebody who sets no HTTP root but names Ironic wants the agent all the same.
            (BootTarget::Pxe, ..) => Some(self.fallback.resolve(request)),
            (BootTarget::UefiHttp, _, None) => nothing("no HttpBootUri is set"),
            (BootTarget::UefiHttp, _, Some(_)) | (_, Some(_), _) => None,
            (_, None, _) => nothing("there is no medium"),
        }
    }

    async fn resolve(&self, request: &BootRequest) -> Result<BootImage, BootFailure> {
        match (
            request.target,
            &request.media,
            &request.http_boot_uri,
            &request.http_root,
        ) {
            (BootTarget::Pxe, .., Some(root)) => self.network_boot(request, root).await,
            (BootTarget::UefiHttp, _, Some(uri), _) => self.image_boot(request, uri, None).await,
            (_, Some(media), ..) => {
                self.image_boot(request, &image_url(media), credentials(media))
                    .await
            }
            _ => Err(BootFailure("there is nothing to read".into())),
        }
    }

    async fn image_boot(
        &self,
        request: &BootRequest,
        url: &str,
        credentials: Option<Credentials>,
    ) -> Result<BootImage, BootFailure> {
        let trust = media_trust(request.verify_certificate, self.ca_pem.as_ref());
        let mut tries = 0;
        let medium = loop {
            tries += 1;
            let visit = self
                .web
                .visit(url, &trust, credentials.clone())
                .await
                .map_err(|error| failed(url, &error))?;
            let limits = Limits {
                read: self.read_limits(),
                ..Limits::default()
            };
            match medium::examine(Source(visit.image()), request.mode, limits).await {
                Err(NotBootable::Image(IsoError::Source(SourceError::Read(WebError::Changed))))
                    if tries < MOST_TRIES => {}
                Ok(medium) => break medium,
                Err(error) => return Err(failed(url, &error)),
            }
        };
        Ok(match medium {
            Medium::Agent(mut agent) => {
                if let Some(media) = &request.parameters_media {
                    self.add_parameters(&mut agent, media).await;
                }
                self.agent(&agent.told(), request)
            }
            Medium::OtherSystem(_) => self.unspoken(request),
        })
    }

    /// Adds what a configuration floppy beside the medium says. The agent goes on without one that it cannot read.
    async fn add_parameters(&self, agent: &mut AgentMedium, media: &Media) {
        let url = image_url(media);
        let trust = media_trust(false, None);
        let read = async {
            let visit = self
                .web
                .visit(&url, &trust, credentials(media))
                .await
                .map_err(|error| failed(&url, &error))?;
            medium::floppy_parameters(Source(visit.image()), self.read_limits())
                .await
                .map_err(|error| failed(&url, &error))
        };
        match read.await {
            Ok(Some(parameters)) => agent.add_floppy(parameters),
            Ok(None) => {}
            Err(error) => tracing::info!(%error, "no parameters on the medium beside"),
        }
    }

    fn read_limits(&self) -> ReadLimits {
        ReadLimits {
            bytes: self.web.limits().max_read,
            ..ReadLimits::default()
        }
    }

    /// The agent, told this.
    fn agent(&self, told: &Told, request: &BootRequest) -> BootImage {
        let mut parameters = told.over(self.fallback.parameters());
        // The override named the interface, if the medium did not.
        parameters.boot_mac = parameters.boot_mac.or(request.boot_mac());
        BootImage::Agent(Arc::new(parameters))
    }

    /// A system that was told nothing of Ironic: a ramdisk of the user's own, if the settings can tell it, or an
    /// operating system. Ironic sets lasting overrides only for the latter (ironic: `drivers/modules/redfish/boot.py`).
    fn unspoken(&self, request: &BootRequest) -> BootImage {
        if request.enabled == OverrideEnabled::Continuous || !self.fallback.knows_ironic() {
            return BootImage::LiveSystem;
        }
        self.agent(&Told::default(), request)
    }
}

fn credentials(media: &Media) -> Option<Credentials> {
    media.username.as_ref().map(|username| Credentials {
        username: username.clone(),
        password: media.password.clone(),
    })
}

/// The image's URL. Redfish allows one without a scheme when `TransferProtocolType` names it.
fn image_url(media: &Media) -> String {
    let scheme = media
        .transfer_protocol
        .map(|protocol| format!("{protocol:?}").to_ascii_lowercase());
    match scheme {
        Some(scheme) if !media.image.contains("://") => {
            format!("{scheme}://{}", media.image.trim_start_matches('/'))
        }
        _ => media.image.to_string(),
    }
}

/// The reason, with the URL but without what may be secret in it.
fn failed(url: &str, error: &dyn std::fmt::Display) -> BootFailure {
    let shown = Url::parse(url).map_or_else(
        |_| "the medium".to_owned(),
        |mut url| {
            // A URL without a host can have neither, and refuses.
            url.set_username("").ok();
            url.set_password(None).ok();
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        },
    );
    BootFailure(format!("{shown}: {error}").into())
}

/// A remote image, as the parsers read it.
struct Source(RemoteImage);

impl ReadAt for Source {
    type Error = WebError;

    async fn read_at(&mut self, range: Range<u64>) -> Result<Bytes, WebError> {
        self.0.read(range).await
    }

    fn size(&self) -> Option<u64> {
        self.0.length()
    }
}
