//! What an agent was told about Ironic, from whichever place it read it.

use std::sync::Arc;

use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::Secret;
use metalsim_actors::node::effect::AgentParameters;
use metalsim_actors::wire::agent::ApiVersion;

/// What the agent was told. `None` everywhere means *not told*, so that a caller can merge it with its own settings.
///
/// What each key means is in `ipa: config.py`; the agent takes kernel parameters as the defaults of its options, so
/// that its configuration files win over them: see [`Told::then`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `ipa-api-url`: base URLs of Ironic's API, without a trailing slash; never empty. `mdns` counts as not told.
    pub api_urls: Option<Vec<Arc<str>>>,
    /// `ipa-inspection-callback-url`: where to post the inventory, as given; never empty. `mdns` counts as not told.
    pub inspection_callback_urls: Option<Vec<Arc<str>>>,
    /// `ipa-agent-token`: a token that Ironic made in advance.
    pub agent_token: Option<Secret>,
    /// `BOOTIF`: the network interface that the ramdisk was booted from.
    pub boot_mac: Option<MacAddress>,
    /// `ipa-global-request-id`: sent back to Ironic on every call.
    pub global_request_id: Option<Box<str>>,
    /// `ipa-insecure`: do not verify server certificates.
    pub insecure: Option<bool>,
    /// Certificates to verify Ironic with, as PEM. Only files on a medium say it.
    pub ca_pem: Option<Arc<str>>,
    /// `ipa-debug`.
    pub debug: Option<bool>,
    /// `boot_method`.
    pub boot_method: Option<BootMethod>,
    /// `ir_pub_id`: the publisher id that the medium should have, in any case.
    pub publisher_id: Option<Box<str>>,
    /// `ipa-inspection-collectors`; empty if told to collect only what is required.
    pub inspection_collectors: Option<Vec<Box<str>>>,
    /// `ipa-collect-lldp`.
    pub collect_lldp: Option<bool>,
    /// `ipa-ironic-api-version`: the newest API version to use, without asking Ironic.
    pub ironic_api_version: Option<ApiVersion>,
    /// Keys whose values could not be used, so that they count as not told. The real agent does not start with some.
    pub unusable: Vec<&'static str>,
}

/// `boot_method`: how the ramdisk was booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootMethod {
    /// `vmedia`: from virtual media, so that files of the medium count.
    VirtualMedia,
    /// Something else.
    Other(Box<str>),
}

impl Told {
    /// What was told by `self` and, later and with more weight, by `later`.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        let mut unusable = self.unusable;
        unusable.extend(later.unusable);
        Self {
            api_urls: later.api_urls.or(self.api_urls),
            inspection_callback_urls: later.inspection_callback_urls.or(self.inspection_callback_urls),
            agent_token: later.agent_token.or(self.agent_token),
            boot_mac: later.boot_mac.or(self.boot_mac),
            global_request_id: later.global_request_id.or(self.global_request_id),
            insecure: later.insecure.or(self.insecure),
            ca_pem: later.ca_pem.or(self.ca_pem),
            debug: later.debug.or(self.debug),
            boot_method: later.boot_method.or(self.boot_method),
            publisher_id: later.publisher_id.or(self.publisher_id),
            inspection_collectors: later.inspection_collectors.or(self.inspection_collectors),
            collect_lldp: later.collect_lldp.or(self.collect_lldp),
            ironic_api_version: later.ironic_api_version.or(self.ironic_api_version),
            unusable,
        }
    }

    /// Whether it was told where Ironic is, in one way or the other.
    #[must_use]
    pub fn knows_ironic(&self) -> bool {
        self.api_urls.is_some() || self.inspection_callback_urls.is_some()
    }

    /// The parameters of an agent that was told this, with `fallback` for what was not told.
    ///
    /// The two kinds of URLs go together: who was told one of them does not get the other from the fallback. An agent
    /// that cleans has no call-back, and must not inspect because the settings know one.
    #[must_use]
    pub fn over(&self, fallback: &AgentParameters) -> AgentParameters {
        let (api_urls, inspection_callback_urls) = if self.knows_ironic() {
            (
                self.api_urls.clone().unwrap_or_default(),
                self.inspection_callback_urls.clone().unwrap_or_default(),
            )
        } else {
            (
                fallback.api_urls.clone(),
                fallback.inspection_callback_urls.clone(),
            )
        };
        AgentParameters {
            api_urls,
            inspection_callback_urls,
            token: self.agent_token.clone().or_else(|| fallback.token.clone()),
            boot_mac: self.boot_mac.or(fallback.boot_mac),
            global_request_id: self
                .global_request_id
                .clone()
                .or_else(|| fallback.global_request_id.clone()),
            insecure: self.insecure.unwrap_or(fallback.insecure),
            ca_pem: self.ca_pem.clone().or_else(|| fallback.ca_pem.clone()),
            collectors: match &self.inspection_collectors {
                Some(names) => Some(names.join(",").into()),
                None => fallback.collectors.clone(),
            },
            collect_lldp: self.collect_lldp.unwrap_or(fallback.collect_lldp),
            newest_version: self.ironic_api_version.or(fallback.newest_version),
        }
    }
}

/// A list of URLs separated by commas, as the agent reads it; `Ok(None)` for `mdns` and for nothing at all, which it
/// takes for not told. Not a URL of HTTP: an error.
pub(super) fn urls(text: &str) -> Result<Option<Vec<Arc<str>>>, NotUrls> {
    if text.is_empty() || text == "mdns" {
        return Ok(None);
    }
    let mut urls = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let host = part
            .strip_prefix("http://")
            .or_else(|| part.strip_prefix("https://"));
        if urls.len() == MOST_URLS || host.is_none_or(str::is_empty) {
            return Err(NotUrls);
        }
        urls.push(Arc::from(part));
    }
    Ok((!urls.is_empty()).then_some(urls))
}

/// [`urls`] without slashes at their ends, as the agent's API client takes them.
pub(super) fn base_urls(text: &str) -> Result<Option<Vec<Arc<str>>>, NotUrls> {
    let bare = |url: Arc<str>| match url.strip_suffix('/') {
        Some(_) => Arc::from(url.trim_end_matches('/')),
        None => url,
    };
    Ok(urls(text)?.map(|urls| urls.into_iter().map(bare).collect()))
}

/// A text that is no list of URLs.
pub(super) struct NotUrls;

/// Most URLs in a list; more are a mistake.
const MOST_URLS: usize = 16;

/// A truth value as oslo.config reads it.
pub(super) fn truth(text: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "1", "on", "yes", "t", "y"];
    const FALSE: [&str; 6] = ["false", "0", "off", "no", "f", "n"];
    let is = |word: &str| word.eq_ignore_ascii_case(text.trim());
    if TRUE.iter().any(|word| is(word)) {
        Some(true)
    } else {
        FALSE.iter().any(|word| is(word)).then_some(false)
    }
}
