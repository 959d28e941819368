//! The kernel command line, as the agent reads it (`ipa: utils.py`, `_read_params_from_file`).

use std::collections::BTreeMap;
use std::fmt;

use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::Secret;

use super::told::{BootMethod, Told, base_urls, truth, urls};

/// Longest command line, in bytes. Linux takes 2048 on x86 and 64 KiB at most elsewhere.
pub const MOST_BYTES: usize = 64 << 10;

/// Most different parameters.
pub const MOST_PARAMETERS: usize = 1024;

/// Parameters by name. Their values may be secrets, so that debug output shows only the names.
///
/// The agent splits at white space, keeps the words that have a `=`, cuts them at the first one, and lets the last of
/// several with the same name win. Quotes have no meaning. `parameters.txt` of a configuration floppy has the same syntax.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CommandLine(BTreeMap<Box<str>, Box<str>>);

/// A command line that is beyond what a kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// More than [`MOST_BYTES`].
    #[error("the kernel command line has {0} bytes, at most {MOST_BYTES}")]
    TooLong(usize),
    /// More than [`MOST_PARAMETERS`].
    #[error("the kernel command line has more than {MOST_PARAMETERS} parameters")]
    TooMany,
}

impl CommandLine {
    /// Reads a command line, or the text of a `parameters.txt`.
    ///
    /// # Errors
    ///
    /// If it is beyond the limits.
    pub fn parse(text: &str) -> Result<Self, CommandLineError> {
        if text.len() > MOST_BYTES {
            return Err(CommandLineError::TooLong(text.len()));
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            parameters.insert(name.into(), value.into());
            if parameters.len() > MOST_PARAMETERS {
                return Err(CommandLineError::TooMany);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Whether any parameter is one of the agent's.
    #[must_use]
    pub fn speaks_to_agent(&self) -> bool {
        self.names().any(|name| name.starts_with("ipa-"))
    }

    /// Whether the ramdisk takes files from its medium: `boot_method=vmedia`.
    #[must_use]
    pub fn is_virtual_media(&self) -> bool {
        self.get("boot_method") == Some("vmedia")
    }

    /// Takes over all parameters of `other`, which win.
    pub fn update(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What these parameters tell the agent.
    #[must_use]
    pub fn told(&self) -> Told {
        let mut unusable = Vec::new();
        let flag = |name: &'static str, unusable: &mut Vec<&'static str>| {
            self.get(name).and_then(|value| {
                let read = truth(value);
                if read.is_none() {
                    unusable.push(name);
                }
                read
            })
        };
        let filled = |name: &str| self.get(name).filter(|value| !value.is_empty());
        let api_urls = filled("ipa-api-url").and_then(|value| {
            base_urls(value).unwrap_or_else(|_| {
                unusable.push("ipa-api-url");
                None
            })
        });
        let inspection_callback_urls = filled("ipa-inspection-callback-url").and_then(|value| {
            urls(value).unwrap_or_else(|_| {
                unusable.push("ipa-inspection-callback-url");
                None
            })
        });
        let boot_mac = filled("BOOTIF").and_then(|value| {
            let read = boot_interface(value);
            if read.is_none() {
                unusable.push("BOOTIF");
            }
            read
        });
        let ironic_api_version = filled("ipa-ironic-api-version").and_then(|value| {
            let read = value.parse().ok();
            if read.is_none() {
                unusable.push("ipa-ironic-api-version");
            }
            read
        });
        let collectors = |value: &str| {
            value
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(Box::from)
                .collect()
        };
        Told {
            api_urls,
            inspection_callback_urls,
            agent_token: filled("ipa-agent-token").map(Secret::new),
            boot_mac,
            global_request_id: filled("ipa-global-request-id").map(Box::from),
            insecure: flag("ipa-insecure", &mut unusable),
            ca_pem: None,
            debug: flag("ipa-debug", &mut unusable),
            boot_method: filled("boot_method").map(|value| match value {
                "vmedia" => BootMethod::VirtualMedia,
                other => BootMethod::Other(other.into()),
            }),
            publisher_id: filled("ir_pub_id").map(Box::from),
            inspection_collectors: self.get("ipa-inspection-collectors").map(collectors),
            collect_lldp: flag("ipa-collect-lldp", &mut unusable),
            ironic_api_version,
            unusable,
        }
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `BOOTIF`: a MAC address, or with dashes and the hardware type in front as PXELINUX writes it (`01-02-aa-…`).
fn boot_interface(value: &str) -> Option<MacAddress> {
    match value.parse() {
        Ok(mac) => Some(mac),
        Err(_) => {
            let (kind, rest) = value.split_once('-')?;
            let is_type = kind.len() == 2 && kind.bytes().all(|c| c.is_ascii_hexdigit());
            is_type.then(|| rest.parse().ok())?
        }
    }
}

#[cfg(test)]
mod tests {
    use metalsim_actors::node::effect::AgentParameters;
    use metalsim_actors::wire::agent::ApiVersion;
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";

    fn told(text: &str) -> Told {
        CommandLine::parse(text).unwrap().told()
    }

    #[test]
    fn inspection_from_virtual_media() {
        let text = format!(
            "ir_pub_id=48fb0001 ipa-inspection-collectors=default,logs ipa-enable-vlan-interfaces=all \
             ipa-inspection-dhcp-all-interfaces=1 ipa-collect-lldp=1 \
             ipa-inspection-callback-url=http://192.0.2.1:6385/v1/continue_inspection ipa-agent-token={TOKEN} \
             ipa-debug=1 boot_method=vmedia nofb nomodeset vga=normal ipa-insecure=1 --"
        );
        let line = CommandLine::parse(&text).unwrap();
        assert!(line.speaks_to_agent() && line.is_virtual_media());
        assert_eq!(line.get("vga"), Some("normal"));
        assert_eq!(line.get("nofb"), None);
        let callback = "http://192.0.2.1:6385/v1/continue_inspection";
        let expected = Told {
            inspection_callback_urls: Some(vec![callback.into()]),
            agent_token: Some(Secret::new(TOKEN)),
            insecure: Some(true),
            debug: Some(true),
            boot_method: Some(BootMethod::VirtualMedia),
            publisher_id: Some("48fb0001".into()),
            inspection_collectors: Some(vec!["default".into(), "logs".into()]),
            collect_lldp: Some(true),
            ..Told::default()
        };
        assert_eq!(line.told(), expected);
        assert!(!format!("{line:?} {:?}", line.told()).contains(TOKEN));
    }

    #[test]
    fn clean_and_deploy_from_the_network() {
        let told = told(
            "selinux=0 troubleshoot=0 text nofb nomodeset vga=normal ipa-insecure=1 ipa-debug=1 \
             ipa-api-url=http://192.0.2.1:6385/,https://[2001:db8::1]:6385 ipa-global-request-id=req-1 \
             BOOTIF=02:AA:00:00:00:01 initrd=deploy_ramdisk",
        );
        assert_eq!(
            told.api_urls,
            Some(vec![
                "http://192.0.2.1:6385".into(),
                "https://[2001:db8::1]:6385".into()
            ])
        );
        assert_eq!(told.boot_mac, "02:aa:00:00:00:01".parse().ok());
        assert_eq!(told.global_request_id.as_deref(), Some("req-1"));
        assert_eq!(told.boot_method, None);
        assert_eq!(told.unusable, Vec::<&str>::new());
    }

    #[test]
    fn interfaces_in_every_form() {
        let mac = "02:aa:00:00:00:0f".parse().ok();
        for form in [
            "02:aa:00:00:00:0f",
            "02-aa-00-00-00-0f",
            "01-02-aa-00-00-00-0f",
            "01-02-AA-00-00-00-0F",
        ] {
            assert_eq!(told(&format!("BOOTIF={form}")).boot_mac, mac, "{form}");
        }
        for wrong in [
            "x",
            "01-",
            "1-02-aa-00-00-00-0f",
            "01-02-aa-00-00",
            "zz-02-aa-00-00-00-0f",
        ] {
            let told = told(&format!("BOOTIF={wrong}"));
            assert_eq!(
                (told.boot_mac, &told.unusable[..]),
                (None, &["BOOTIF"][..]),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_first_equals_sign_cuts_and_the_last_duplicate_wins() {
        let line = CommandLine::parse("a=1=2 a=3=4 sshkey=\"ssh-rsa AAAA x\" b= =c").unwrap();
        assert_eq!(line.get("a"), Some("3=4"));
        assert_eq!(line.get("sshkey"), Some("\"ssh-rsa"));
        assert_eq!((line.get("b"), line.get("")), (Some(""), Some("c")));
        assert_eq!(line.names().count(), 4);
    }

    #[test]
    fn multicast_discovery_counts_as_not_told_and_nonsense_is_named() {
        assert_eq!(
            told("ipa-api-url=mdns ipa-inspection-callback-url=mdns ipa-api-url2=x"),
            Told::default()
        );
        assert_eq!(
            told("ipa-api-url= ipa-agent-token= BOOTIF= ipa-inspection-callback-url=,"),
            Told {
                unusable: vec![],
                ..Told::default()
            }
        );
        let told = told(
            "ipa-api-url=http:// ipa-inspection-callback-url=ftp://x ipa-insecure=maybe ipa-ironic-api-version=latest",
        );
        assert_eq!(told.api_urls, None);
        assert_eq!(
            told.unusable,
            [
                "ipa-api-url",
                "ipa-inspection-callback-url",
                "ipa-ironic-api-version",
                "ipa-insecure"
            ]
        );
        assert_eq!(
            super::tests::told("ipa-ironic-api-version=1.68").ironic_api_version,
            Some(ApiVersion { minor: 68 })
        );
    }

    #[test]
    fn limits_are_kept() {
        assert_eq!(
            CommandLine::parse(&"x".repeat(MOST_BYTES + 1)),
            Err(CommandLineError::TooLong(MOST_BYTES + 1))
        );
        let many: String = (0..=MOST_PARAMETERS).map(|at| format!("a{at}=1 ")).collect();
        assert_eq!(CommandLine::parse(&many), Err(CommandLineError::TooMany));
    }

    #[test]
    fn what_was_told_wins_over_the_fallback_and_urls_go_together() {
        let fallback = AgentParameters {
            api_urls: vec!["http://f".into()],
            inspection_callback_urls: vec!["http://f/v1/continue_inspection".into()],
            insecure: true,
            ca_pem: Some("PEM".into()),
            boot_mac: "02:00:00:00:00:09".parse().ok(),
            ..AgentParameters::default()
        };
        assert_eq!(Told::default().over(&fallback), fallback);
        let cleaning = told("ipa-api-url=http://a ipa-insecure=0 ipa-agent-token=t").over(&fallback);
        assert_eq!(cleaning.api_urls, ["http://a".into()]);
        assert_eq!(
            cleaning.inspection_callback_urls,
            Vec::<std::sync::Arc<str>>::new()
        );
        assert_eq!(
            (cleaning.insecure, cleaning.token),
            (false, Some(Secret::new("t")))
        );
        assert_eq!(
            (cleaning.ca_pem, cleaning.boot_mac),
            (fallback.ca_pem.clone(), fallback.boot_mac)
        );
        let inspecting = told("ipa-inspection-callback-url=http://a/v1/continue_inspection/").over(&fallback);
        assert!(inspecting.api_urls.is_empty());
        assert_eq!(
            inspecting.inspection_callback_urls,
            ["http://a/v1/continue_inspection/".into()]
        );
    }

    #[test]
    fn a_floppy_wins_over_the_command_line() {
        let mut line = CommandLine::parse("a=1 ipa-api-url=http://a").unwrap();
        line.update(CommandLine::parse("ipa-api-url=http://b\nipa-debug=1\n").unwrap());
        assert_eq!(line.told().api_urls, Some(vec!["http://b".into()]));
        assert_eq!((line.get("a"), line.told().debug), (Some("1"), Some(true)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_the_way_python_reads_it(text in "[a-c= \n\t\"]{0,60}") {
            let line = CommandLine::parse(&text).unwrap();
            for name in line.names() {
                let last = text
                    .split_whitespace()
                    .rfind(|word| word.starts_with(&format!("{name}=")))
                    .unwrap();
                prop_assert_eq!(line.get(name), Some(&last[name.len() + 1..]));
            }
        }

        #[test]
        fn no_text_breaks_it(text in any::<String>(), value in any::<String>()) {
            for text in [text, format!("BOOTIF={value} ipa-api-url={value} ipa-ironic-api-version={value}")] {
                let _ = CommandLine::parse(&text).unwrap().told().over(&AgentParameters::default());
            }
        }
    }
}
