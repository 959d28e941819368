//! What nodes boot. The media themselves are not read: every ramdisk is taken for one with the agent, and what it would
//! say about Ironic comes from the settings.

use std::sync::Arc;

use dashmap::DashMap;
use metalsim_actors::ids::{MacAddress, NodeId};
use metalsim_actors::node::bmc::{BootTarget, OverrideEnabled};
use metalsim_actors::node::effect::{AgentParameters, BootFailure, BootImage, BootRequest};
use metalsim_actors::ports::{BootMedia, LocalFuture};

/// Parameters with the address of a network interface that are kept for the next boot of the same node. They are
/// about 150 bytes each.
const MOST_KEPT: usize = 1 << 17;

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

/// Boot media that hold what the settings say.
///
/// | target | what boots |
/// | --- | --- |
/// | Pxe, `UefiHttp` | the agent |
/// | Cd, Usb and others with media, override Once | the agent |
/// | the same, override Continuous or none | a live system: Ironic's `ramdisk` deploy interface sets its ISO so, and no other does (ironic: `drivers/modules/redfish/boot.py`) |
pub struct SettingsMedia {
    /// Without a network interface's address: shared by all nodes that boot from media.
    shared: Option<Arc<AgentParameters>>,
    /// With it, by address: a node that boots again gets the same.
    by_mac: DashMap<MacAddress, Arc<AgentParameters>>,
}

impl SettingsMedia {
    /// Media that say `access`.
    #[must_use]
    pub fn new(access: &IronicAccess) -> Self {
        let api_urls = list(access.api_url.as_deref());
        let mut callbacks = list(access.inspection_callback_url.as_deref());
        if callbacks.is_empty() {
            let derived = |url: &Arc<str>| format!("{url}/v1/continue_inspection").into();
            callbacks = api_urls.iter().map(derived).collect();
        }
        let shared = (!api_urls.is_empty()).then(|| {
            Arc::new(AgentParameters {
                api_urls,
                inspection_callback_urls: callbacks,
                insecure: access.insecure,
                ca_pem: access.ca_pem.clone(),
                ..AgentParameters::default()
            })
        });
        Self {
            shared,
            by_mac: DashMap::default(),
        }
    }

    fn resolve_now(&self, request: &BootRequest) -> Result<BootImage, BootFailure> {
        let network = matches!(request.target, BootTarget::Pxe | BootTarget::UefiHttp);
        if !network && request.enabled != OverrideEnabled::Once {
            return Ok(BootImage::LiveSystem);
        }
        let shared = self.shared.as_ref().ok_or_else(|| {
            BootFailure("no ironic.api_url in the settings, so the agent could not find Ironic".into())
        })?;
        match request.boot_mac.filter(|_| network) {
            Some(mac) => Ok(BootImage::Agent(self.with_mac(shared, mac))),
            None => Ok(BootImage::Agent(Arc::clone(shared))),
        }
    }

    fn with_mac(&self, shared: &Arc<AgentParameters>, mac: MacAddress) -> Arc<AgentParameters> {
        if let Some(known) = self.by_mac.get(&mac) {
            return Arc::clone(&known);
        }
        let made = Arc::new(AgentParameters {
            boot_mac: Some(mac),
            ..(**shared).clone()
        });
        if self.by_mac.len() < MOST_KEPT {
            self.by_mac.insert(mac, Arc::clone(&made));
        }
        made
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

impl BootMedia for SettingsMedia {
    fn resolve(&self, _: NodeId, request: BootRequest) -> LocalFuture<Result<BootImage, BootFailure>> {
        let resolved = self.resolve_now(&request);
        Box::pin(std::future::ready(resolved))
    }
}

#[cfg(test)]
mod tests {
    use metalsim_actors::node::bmc::BootMode;

    use super::*;

    fn media(api_url: Option<&str>) -> SettingsMedia {
        SettingsMedia::new(&IronicAccess {
            api_url: api_url.map(Box::from),
            ..IronicAccess::default()
        })
    }

    fn request(target: BootTarget, enabled: OverrideEnabled) -> BootRequest {
        BootRequest {
            target,
            enabled,
            mode: BootMode::Uefi,
            boot_mac: Some(MacAddress::derived("a", 0)),
            media: None,
            http_boot_uri: None,
        }
    }

    fn agent(media: &SettingsMedia, target: BootTarget) -> Arc<AgentParameters> {
        match media.resolve_now(&request(target, OverrideEnabled::Once)) {
            Ok(BootImage::Agent(parameters)) => parameters,
            other => panic!("an agent, not {other:?}"),
        }
    }

    #[test]
    fn network_boots_know_their_interface_and_media_boots_share() {
        let media = media(Some("http://a:6385/, http://b:6385"));
        let network = agent(&media, BootTarget::Pxe);
        assert_eq!(network.boot_mac, Some(MacAddress::derived("a", 0)));
        assert_eq!(network.api_urls, ["http://a:6385".into(), "http://b:6385".into()]);
        assert_eq!(
            &*network.inspection_callback_urls[1],
            "http://b:6385/v1/continue_inspection"
        );
        assert!(Arc::ptr_eq(&network, &agent(&media, BootTarget::UefiHttp)));
        let medium = agent(&media, BootTarget::Cd);
        assert_eq!(medium.boot_mac, None);
        assert!(Arc::ptr_eq(&medium, &agent(&media, BootTarget::Usb)));
    }

    #[test]
    fn a_lasting_override_boots_a_live_system() {
        let resolved = media(None).resolve_now(&request(BootTarget::Cd, OverrideEnabled::Continuous));
        assert!(matches!(resolved, Ok(BootImage::LiveSystem)), "{resolved:?}");
    }

    #[test]
    fn without_an_api_url_the_agent_does_not_boot() {
        let resolved = media(None).resolve_now(&request(BootTarget::Pxe, OverrideEnabled::Once));
        assert!(resolved.unwrap_err().0.contains("ironic.api_url"));
    }
}
