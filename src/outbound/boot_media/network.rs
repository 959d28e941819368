//! Network boot: follows the iPXE scripts below the HTTP root, as the firmware does.

use metalsim_actors::node::effect::{BootFailure, BootImage, BootRequest};
use metalsim_actors::node::profile::Architecture;
use url::Url;

use super::{Shared, failed};
use crate::boot::ipxe::{Action, Answer, Interpreter, MOST_SCRIPT, Machine, Purpose, SHEBANG, SanTarget};
use crate::boot::kernel_command_line::CommandLine;
use crate::outbound::trust::Trust;
use crate::outbound::web::WebError;

/// The script that DHCP names (ironic: `common/pxe_utils.py`, `[pxe]ipxe_bootfile_name_by_arch`; ironic-image:
/// `ironic-config/dnsmasq.conf.j2`).
const SCRIPT: &str = "boot.ipxe";

impl Shared {
    /// Follows the scripts to what they boot.
    pub(super) async fn network_boot(
        &self,
        request: &BootRequest,
        root: &str,
    ) -> Result<BootImage, BootFailure> {
        let url = format!("{root}/{SCRIPT}");
        let boot_mac = request
            .boot_mac()
            .ok_or_else(|| BootFailure("no network link".into()))?;
        let start = Url::parse(&url).map_err(|error| failed(&url, &error))?;
        let first = self.script(&start).await.map_err(|error| failed(&url, &error))?;
        let machine = Machine {
            macs: request.interfaces.to_vec(),
            boot_mac,
            mode: request.mode,
            architecture: match request.architecture {
                Architecture::X86_64 => "x86_64".into(),
                Architecture::Aarch64 => "arm64".into(),
            },
            uuid: *request.system_id.as_uuid(),
            other: Vec::new(),
        };
        let wrong = |error| failed(&url, &error);
        let mut interpreter = Interpreter::new(&machine, start, &first.unwrap_or_default()).map_err(wrong)?;
        let mut action = interpreter.run().map_err(wrong)?;
        loop {
            match action {
                Action::Fetch(fetch) => {
                    let fetched = match fetch.purpose {
                        Purpose::Chain => self.script(&fetch.url).await,
                        Purpose::Image => self.exists(&fetch.url).await.map(|()| None),
                    };
                    action = match &fetched {
                        Ok(Some(text)) => interpreter.resume(Answer::Script(text)),
                        Ok(None) => interpreter.resume(Answer::Fetched),
                        Err(error) => {
                            tracing::debug!(url = %fetch.url, %error, "not fetched");
                            interpreter.resume(Answer::Failed)
                        }
                    }
                    .map_err(wrong)?;
                }
                Action::Boot(kernel) => {
                    let parameters = CommandLine::parse(kernel.command_line.expose())
                        .map_err(|error| failed(&url, &error))?;
                    return Ok(if parameters.speaks_to_agent() {
                        self.agent(&parameters.told(), request)
                    } else {
                        self.unspoken(request)
                    });
                }
                Action::SanBoot(SanTarget::LocalDisk) => return Ok(BootImage::Disk),
                Action::SanBoot(SanTarget::Remote(_)) => return Ok(BootImage::LiveSystem),
                Action::Reboot | Action::PowerOff => {
                    return Err(failed(&url, &"the script ends in a reboot or power-off"));
                }
                Action::Exit(_) => return Err(failed(&url, &"the script boots nothing")),
            }
        }
    }

    /// A script's text; `None` if the file is something else.
    async fn script(&self, url: &Url) -> Result<Option<String>, WebError> {
        let visit = self.web.visit(url.as_str(), &Trust::default(), None).await?;
        let content = match visit.get(MOST_SCRIPT as u64).await {
            Ok(content) => content,
            // A boot loader or kernel, unless it is the script that should have been there.
            Err(WebError::TooLarge(_)) if !url.path().ends_with(SCRIPT) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !content.starts_with(SHEBANG.as_bytes()) && !url.path().ends_with(SCRIPT) {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&content).into_owned()))
    }

    async fn exists(&self, url: &Url) -> Result<(), WebError> {
        self.web
            .visit(url.as_str(), &Trust::default(), None)
            .await?
            .exists()
            .await
    }
}
