//! `Boot` of a system: the override, the mode, the HTTP boot URI.

use std::sync::Arc;

use metalsim_actors::node::bmc::{BootPatch, BootTarget};

use super::parse::Fields;
use super::systems::{MODES, OVERRIDES};

/// Longest URL that is taken, of an image or of a boot file.
pub(super) const LONGEST_URL: usize = 2048;

const READ_ONLY: [&str; 9] = [
    "BootNext",
    "BootOptions",
    "BootOrder",
    "BootOrderPropertySelection",
    "AliasBootOrder",
    "Certificates",
    "AutomaticRetryConfig",
    "StopBootOnFault",
    "UefiTargetBootSourceOverride",
];

/// Takes the members of a `Boot` object.
pub(super) fn parse(fields: &mut Fields) -> BootPatch {
    let patch = BootPatch {
        enabled: fields.one_of("BootSourceOverrideEnabled", &OVERRIDES),
        target: fields.one_of("BootSourceOverrideTarget", &BootTarget::ALLOWED),
        mode: fields.one_of("BootSourceOverrideMode", &MODES),
        http_boot_uri: fields
            .nullable_text("HttpBootUri", LONGEST_URL)
            .map(|uri| uri.filter(|uri| !uri.is_empty()).map(Arc::from)),
    };
    if let Some(Some(uri)) = &patch.http_boot_uri
        && !is_http_url(uri)
    {
        fields.wrong_format("HttpBootUri", uri);
    }
    fields.read_only(&READ_ONLY);
    patch
}

/// Whether the text is an absolute URL with a host, of a scheme that a BMC can read from.
pub(super) fn is_http_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<actix_web::http::Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_a_bmc_can_read() {
        for good in [
            "http://10.0.0.1/a.iso",
            "https://[fd00::1]:8080/x?y=z",
            "http://user@host/x",
        ] {
            assert!(is_http_url(good), "{good}");
        }
        for bad in [
            "",
            "nfs://host/x",
            "/a.iso",
            "http://",
            "http:// host/x",
            "file:///etc/passwd",
            "host/x",
        ] {
            assert!(!is_http_url(bad), "{bad}");
        }
    }
}
