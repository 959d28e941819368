//! Configuration files of the agent that come on its medium (`ipa: utils.py`, `copy_config_from_vmedia`, `config.py`).

use std::sync::Arc;

use bytes::Bytes;
use metalsim_actors::node::bmc::Secret;

use super::told::{Told, base_urls, truth, urls};

/// Folders of a medium whose files the agent takes over, each under the same path.
pub const FOLDERS: [&str; 2] = ["/etc/ironic-python-agent", "/etc/ironic-python-agent.d"];

/// The file that is read first, if it is there; then every `*.conf` of the second folder, by name.
const MAIN_FILE: &str = "/etc/ironic-python-agent/ironic-python-agent.conf";

/// Most bytes of a configuration file or certificate that are looked at.
pub const MOST_BYTES: usize = 64 << 10;

/// A file of [`FOLDERS`]. It may be a private key, so that debug output shows only the path.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentFile {
    /// Absolute.
    pub path: Box<str>,
    /// What is in it.
    pub content: Bytes,
}

impl std::fmt::Debug for AgentFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFiles {
    /// What the agent is told. It wins over kernel parameters, which are the agent's defaults.
    pub told: Told,
    /// `cafile` if it is none of the files: the ramdisk's own, or a mistake.
    pub other_ca_file: Option<Box<str>>,
}

impl AgentFiles {
    /// Reads the files, in the order in which the agent does. The last one that says something wins.
    ///
    /// Of the INI syntax (oslo.config, `iniparser.py`) comments, sections, quotes and values that go on in indented
    /// lines are known; of the options, those that matter here.
    #[must_use]
    pub fn read(files: &[AgentFile]) -> Self {
        let folder = format!("{}/", FOLDERS[1]);
        let is_option_file = |path: &str| path.starts_with(&folder) && path.ends_with(".conf");
        let mut sources: Vec<&AgentFile> = files.iter().filter(|file| is_option_file(&file.path)).collect();
        sources.sort_by(|one, other| one.path.cmp(&other.path));
        let main = files.iter().find(|file| *file.path == *MAIN_FILE);
        let mut read = Self::default();
        for file in main.into_iter().chain(sources) {
            if let Some(text) = text(&file.content) {
                for (name, value) in options(text) {
                    read.take(&name, value.trim(), files);
                }
            }
        }
        read
    }

    fn take(&mut self, name: &str, value: &str, files: &[AgentFile]) {
        let told = &mut self.told;
        let known = match name {
            "api_url" => base_urls(value).map(|urls| told.api_urls = urls).is_ok(),
            "inspection_callback_url" => urls(value)
                .map(|urls| told.inspection_callback_urls = urls)
                .is_ok(),
            "agent_token" => {
                told.agent_token = (!value.is_empty()).then(|| Secret::new(value));
                true
            }
            "global_request_id" => {
                told.global_request_id = (!value.is_empty()).then(|| value.into());
                true
            }
            "insecure" => set(&mut told.insecure, truth(value)),
            "debug" => set(&mut told.debug, truth(value)),
            "collect_lldp" => set(&mut told.collect_lldp, truth(value)),
            "cafile" => {
                let file = files.iter().find(|file| *file.path == *value);
                self.other_ca_file = (file.is_none() && !value.is_empty()).then(|| value.into());
                let pem = file.map(|file| {
                    text(&file.content).filter(|text| text.contains("-----BEGIN CERTIFICATE-----"))
                });
                told.ca_pem = pem.flatten().map(Arc::from);
                !matches!(pem, Some(None))
            }
            _ => true,
        };
        const NAMES: [&str; 6] = [
            "api_url",
            "inspection_callback_url",
            "insecure",
            "debug",
            "collect_lldp",
            "cafile",
        ];
        if let Some(name) = NAMES.into_iter().find(|own| !known && *own == name) {
            told.unusable.push(name);
        }
    }
}

fn set(option: &mut Option<bool>, value: Option<bool>) -> bool {
    *option = value.or(*option);
    value.is_some()
}

fn text(content: &[u8]) -> Option<&str> {
    let content = content.get(..MOST_BYTES).unwrap_or(content);
    // A cut may have gone through a character.
    match std::str::from_utf8(content) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(content.get(..error.valid_up_to())?)
            .ok()
            .filter(|_| error.error_len().is_none()),
    }
}

/// Names and values of the section `[DEFAULT]`.
fn options(text: &str) -> Vec<(String, String)> {
    let mut options: Vec<(String, String)> = Vec::new();
    let mut wanted = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = options.last_mut().filter(|_| wanted) {
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some(section) = trimmed.strip_prefix('[') {
            wanted = section.strip_suffix(']') == Some("DEFAULT");
        } else if let Some(at) = trimmed.find(['=', ':']).filter(|_| wanted) {
            let (name, value) = trimmed.split_at(at);
            let value = value.get(1..).unwrap_or_default().trim();
            let unquoted = ['"', '\'']
                .into_iter()
                .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            options.push((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned()));
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn file(path: &str, content: &str) -> AgentFile {
        AgentFile {
            path: path.into(),
            content: Bytes::copy_from_slice(content.as_bytes()),
        }
    }

    fn conf(content: &str) -> AgentFiles {
        AgentFiles::read(&[file("/etc/ironic-python-agent.d/x.conf", content)])
    }

    #[test]
    fn ironics_certificate() {
        let files = [
            file("/etc/ironic-python-agent/ironic.crt", PEM),
            file(
                "/etc/ironic-python-agent.d/ironic-tls.conf",
                "[DEFAULT]\ncafile = /etc/ironic-python-agent/ironic.crt",
            ),
        ];
        let expected = AgentFiles {
            told: Told {
                ca_pem: Some(PEM.into()),
                ..Told::default()
            },
            other_ca_file: None,
        };
        assert_eq!(AgentFiles::read(&files), expected);
        assert!(!format!("{files:?}").contains("MIIB"));
    }

    #[test]
    fn files_in_their_order() {
        let files = [
            file(
                "/etc/ironic-python-agent.d/20.conf",
                "[DEFAULT]\ninsecure = false",
            ),
            file(
                "/etc/ironic-python-agent.d/10.conf",
                "[DEFAULT]\ninsecure = true\napi_url: http://ten/",
            ),
            file(MAIN_FILE, "[DEFAULT]\napi_url = http://main\ndebug = on\n"),
            file(
                "/etc/ironic-python-agent.d/30.txt",
                "[DEFAULT]\napi_url = http://never\n",
            ),
        ];
        let told = AgentFiles::read(&files).told;
        assert_eq!((told.insecure, told.debug), (Some(false), Some(true)));
        assert_eq!(told.api_urls, Some(vec!["http://ten".into()]));
    }

    #[test]
    fn syntax() {
        let read = conf(
            "insecure = true\n# comment\n[other]\ninsecure = true\n[DEFAULT]\n; comment\n\
             inspection_callback_url = http://a/v1,\n  \nagent_token = \"tok en\"\nglobal_request_id='req-1'\n\
             unknown = 1\nno sign\ncollect_lldp=Yes\n[last]\ncafile = /x\n",
        );
        let expected = Told {
            inspection_callback_urls: Some(vec!["http://a/v1".into()]),
            agent_token: Some(Secret::new("tok en")),
            global_request_id: Some("req-1".into()),
            collect_lldp: Some(true),
            ..Told::default()
        };
        assert_eq!(read.told, expected);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let read = conf("[DEFAULT]\ninsecure = perhaps\napi_url = x\ncafile = /etc/pki/ca.pem\n");
        assert_eq!(read.told.unusable, ["insecure", "api_url"]);
        assert_eq!(read.other_ca_file.as_deref(), Some("/etc/pki/ca.pem"));
        let files = [
            file("/etc/ironic-python-agent/ca", "no certificate"),
            file(MAIN_FILE, "[DEFAULT]\ncafile = /etc/ironic-python-agent/ca"),
        ];
        let read = AgentFiles::read(&files);
        assert_eq!(
            (read.told.ca_pem, &read.told.unusable[..]),
            (None, &["cafile"][..])
        );
    }

    proptest! {
        #[test]
        fn no_content_breaks_it(content in any::<Vec<u8>>(), ini in "(\\[DEFAULT\\]|cafile|api_url|[ =:\n'\"x\\[\\]]){0,60}") {
            for content in [Bytes::from(content), Bytes::from(ini)] {
                let _ = AgentFiles::read(&[AgentFile { path: MAIN_FILE.into(), content }]);
            }
        }
    }
}
