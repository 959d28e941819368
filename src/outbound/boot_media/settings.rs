//! What the settings say of Ironic: for media that are not read, and for what media leave out.

use std::sync::Arc;

use metalsim_actors::node::bmc::{BootTarget, OverrideEnabled};
use metalsim_actors::node::effect::{AgentParameters, BootFailure, BootImage, BootRequest};

/// How agents reach Ironic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IronicAccess {
    /// Base URLs of the API; commas separate several. A slash at the end is ignored.
    pub api_url: Option<Box<str>>,
    /// Where inspection data go; commas separate several. `None`: `/v1/continue_inspection` below each API URL.
    pub inspection_callback_url: Option<Box<str>>,
    /// Certificates to trust besides the system's, as PEM.
    pub ca_pem: Option<Arc<str>>,
    /// Don't verify Ironic's certificate.
    pub insecure: bool,
}

/// What the agent is told by the settings.
pub(super) struct Fallback {
    parameters: Arc<AgentParameters>,
}

impl Fallback {
    pub(super) fn new(access: &IronicAccess) -> Self {
        let api_urls = list(access.api_url.as_deref());
        let mut callbacks = list(access.inspection_callback_url.as_deref());
        if callbacks.is_empty() {
            let derived = |url: &Arc<str>| format!("{url}/v1/continue_inspection").into();
            callbacks = api_urls.iter().map(derived).collect();
        }
        Self {
            parameters: Arc::new(AgentParameters {
                api_urls,
                inspection_callback_urls: callbacks,
                insecure: access.insecure,
                ca_pem: access.ca_pem.clone(),
                collect_lldp: true,
                ..AgentParameters::default()
            }),
        }
    }

    /// All that the settings say.
    pub(super) fn parameters(&self) -> &AgentParameters {
        &self.parameters
    }

    /// Whether they say where Ironic is.
    pub(super) fn knows_ironic(&self) -> bool {
        !self.parameters.api_urls.is_empty()
    }

    /// What boots if nothing is read.
    ///
    /// | target | what boots |
    /// | --- | --- |
    /// | Pxe, `UefiHttp` | the agent |
    /// | Cd, Usb and others with media, override Once | the agent |
    /// | the same, override Continuous or none | a live system: Ironic's `ramdisk` deploy interface sets its ISO so, and no other does (ironic: `drivers/modules/redfish/boot.py`) |
    ///
    /// # Errors
    /// The agent could not find Ironic.
    pub(super) fn resolve(&self, request: &BootRequest) -> Result<BootImage, BootFailure> {
        let network = matches!(request.target, BootTarget::Pxe | BootTarget::UefiHttp);
        if !network && request.enabled != OverrideEnabled::Once {
            return Ok(BootImage::LiveSystem);
        }
        if !self.knows_ironic() {
            let missing = if network {
                "boot.http_root or ironic.api_url"
            } else {
                "ironic.api_url"
            };
            return Err(BootFailure(
                format!("no {missing} in the settings, so the agent could not find Ironic").into(),
            ));
        }
        Ok(BootImage::Agent(match request.boot_mac() {
            Some(_) => Arc::new(AgentParameters {
                boot_mac: request.boot_mac(),
                ..AgentParameters::clone(&self.parameters)
            }),
            None => Arc::clone(&self.parameters),
        }))
    }
}

/// The parts of a list separated by commas, without slashes at their ends.
fn list(text: Option<&str>) -> Vec<Arc<str>> {
    text.unwrap_or_default()
        .split(',')
        .map(|part| part.trim().trim_end_matches('/'))
        .filter(|part| !part.is_empty())
        .map(Arc::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use metalsim_actors::ids::{MacAddress, NodeId};
    use metalsim_actors::node::bmc::BootMode;
    use metalsim_actors::node::profile::Architecture;

    use super::*;

    fn fallback(api_url: Option<&str>) -> Fallback {
        Fallback::new(&IronicAccess {
            api_url: api_url.map(Box::from),
            ..IronicAccess::default()
        })
    }

    fn request(target: BootTarget, enabled: OverrideEnabled) -> BootRequest {
        BootRequest {
            target,
            enabled,
            mode: BootMode::Uefi,
            interfaces: if matches!(target, BootTarget::Pxe) {
                [MacAddress::derived("a", 0)].into()
            } else {
                Box::default()
            },
            media: None,
            verify_certificate: false,
            parameters_media: None,
            http_boot_uri: None,
            http_root: None,
            system_id: NodeId::from_name("a"),
            architecture: Architecture::X86_64,
        }
    }

    fn agent(fallback: &Fallback, target: BootTarget) -> Arc<AgentParameters> {
        match fallback.resolve(&request(target, OverrideEnabled::Once)) {
            Ok(BootImage::Agent(parameters)) => parameters,
            other => panic!("an agent, not {other:?}"),
        }
    }

    #[test]
    fn network_boots_know_their_interface_and_media_boots_share() {
        let fallback = fallback(Some("http://a:6385/, http://b:6385"));
        let network = agent(&fallback, BootTarget::Pxe);
        assert_eq!(network.boot_mac, Some(MacAddress::derived("a", 0)));
        assert_eq!(network.api_urls, ["http://a:6385".into(), "http://b:6385".into()]);
        assert_eq!(
            &*network.inspection_callback_urls[1],
            "http://b:6385/v1/continue_inspection"
        );
        let medium = agent(&fallback, BootTarget::Cd);
        assert_eq!(medium.boot_mac, None);
        assert!(Arc::ptr_eq(&medium, &agent(&fallback, BootTarget::Usb)));
    }

    #[test]
    fn a_lasting_override_boots_a_live_system() {
        let resolved = fallback(None).resolve(&request(BootTarget::Cd, OverrideEnabled::Continuous));
        assert!(matches!(resolved, Ok(BootImage::LiveSystem)), "{resolved:?}");
    }

    #[test]
    fn without_an_api_url_the_agent_does_not_boot() {
        let resolved = fallback(None).resolve(&request(BootTarget::Pxe, OverrideEnabled::Once));
        assert!(resolved.unwrap_err().0.contains("ironic.api_url"));
    }
}
