//! User data: cloud-init's formats and Ignition, as far as they say what a cluster node is (cloud-init:
//! `cloudinit/user_data.py`, `cloudinit/handlers`).
//!
//! Nothing is run. What cannot be understood is a warning, as it is to cloud-init, which boots on.

mod cloud_config;
mod ignition;
mod jinja;
mod mime;
mod yaml;

use metalsim_actors::node::os::description::CommandStage;

use super::config_drive::{decode_base64, gunzip, is_gzip};

pub use self::jinja::Variables;
pub(super) use self::jinja::missing_in as jinja_missing;
pub(super) use self::yaml::parse as parse_yaml;

/// Largest user data, unpacked and rendered, and largest total of the files that they write.
pub const LARGEST: usize = 16 << 20;
/// Most files, commands, users and warnings.
pub const MOST_ITEMS: usize = 10_000;
/// Parts within parts.
const DEEPEST: usize = 4;

/// What user data ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Host name.
    pub hostname: Option<Box<str>>,
    /// Keep the name that the image has.
    pub preserve_hostname: bool,
    /// Files in the order in which they are written.
    pub files: Vec<File>,
    /// Commands in the order in which they run.
    pub commands: Vec<(CommandStage, String)>,
    /// Users.
    pub users: Vec<Box<str>>,
    /// What was wrong.
    pub warnings: Vec<Box<str>>,
    /// Bytes of all files together.
    written: usize,
}

/// A file to write. Its content may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Path.
    pub path: Box<str>,
    /// Permissions.
    pub mode: u32,
    /// `user:group`.
    pub owner: Option<Box<str>>,
    /// Content.
    pub content: Vec<u8>,
    /// The content goes behind what is there already.
    pub append: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

impl Wanted {
    fn warn(&mut self, text: impl Into<Box<str>>) {
        if self.warnings.len() < MOST_ITEMS {
            self.warnings.push(text.into());
        }
    }

    /// Adds a file, within the limits.
    fn write(&mut self, file: File) {
        let written = self.written.saturating_add(file.content.len());
        if self.files.len() >= MOST_ITEMS || written > LARGEST {
            self.warn(format!("{}: more files than fit", file.path));
        } else {
            self.written = written;
            self.files.push(file);
        }
    }

    fn run(&mut self, stage: CommandStage, line: String) {
        if self.commands.len() < MOST_ITEMS {
            self.commands.push((stage, line));
        }
    }
}

/// Reads user data. `variables` are what a jinja template may use.
#[must_use]
pub fn read(bytes: &[u8], variables: &Variables) -> Wanted {
    let mut wanted = Wanted::default();
    let mut configs = cloud_config::Merged::default();
    part(bytes, variables, (0, None), &mut configs, &mut wanted);
    configs.apply(&mut wanted);
    wanted
}

/// One part: the whole, or one of several. Comes with how deep it lies, and with its `Merge-Type`.
fn part(
    bytes: &[u8],
    variables: &Variables,
    (depth, merge): (usize, Option<&str>),
    configs: &mut cloud_config::Merged,
    wanted: &mut Wanted,
) {
    if depth > DEEPEST {
        return wanted.warn("user data: parts within parts within parts");
    }
    if is_gzip(bytes) {
        return match gunzip(bytes.to_vec(), LARGEST as u64) {
            Ok(unpacked) => part(&unpacked, variables, (depth + 1, merge), configs, wanted),
            Err(error) => wanted.warn(format!("user data: {error}")),
        };
    }
    if bytes.len() > LARGEST {
        return wanted.warn(format!("user data: more than {LARGEST} bytes"));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return wanted.warn("user data: no text");
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    let first = text.lines().next().unwrap_or_default().trim_end();
    if text.is_empty() {
    } else if let Some(rest) = template(text, first) {
        match variables.render(rest) {
            Ok(rendered) => {
                if !plain(&rendered, merge, configs, wanted) {
                    wanted.warn("user data: a template of no known kind");
                }
            }
            Err(error) => wanted.warn(format!("user data: the template cannot be rendered: {error}")),
        }
    } else if mime::is_mime(first) {
        for found in mime::parts(text, wanted) {
            let inner = (depth + 1, found.merge.as_deref());
            part(&found.content, variables, inner, configs, wanted);
        }
    } else if !plain(text, merge, configs, wanted) {
        match decode_base64(text).filter(|decoded| looks_like_user_data(decoded)) {
            Some(decoded) => part(&decoded, variables, (depth + 1, merge), configs, wanted),
            None => wanted.warn("user data: of no known kind"),
        }
    }
}

/// What follows the jinja header, if `first` is one (cloud-init: `cloudinit/templater.py`).
fn template<'a>(text: &'a str, first: &str) -> Option<&'a str> {
    let kind = first.strip_prefix("##")?.trim().strip_prefix("template:")?;
    let rest = text.get(first.len()..)?;
    kind.trim()
        .eq_ignore_ascii_case("jinja")
        .then(|| rest.trim_start_matches(['\r', '\n']))
}

/// Reads a part that is no container. Returns whether it knew the kind.
fn plain(text: &str, merge: Option<&str>, configs: &mut cloud_config::Merged, wanted: &mut Wanted) -> bool {
    let first = text.lines().next().unwrap_or_default().trim_end();
    let is = |header: &str| first.starts_with(header);
    if first == "#cloud-config" || is("#cloud-config ") {
        configs.add(text, merge, wanted);
    } else if is("#!") {
        wanted.warn("user data: a shell script is not run");
    } else if text.starts_with('{') {
        return ignition::read(text, wanted);
    } else {
        const NOT_SIMULATED: [&str; 7] = [
            "#include",
            "#include-once",
            "#cloud-config-archive",
            "#cloud-config-jsonp",
            "#upstart-job",
            "#part-handler",
            "#cloud-boothook",
        ];
        let Some(kind) = NOT_SIMULATED.into_iter().find(|kind| first == *kind) else {
            return false;
        };
        wanted.warn(format!("user data: a part of the kind {kind} is ignored"));
    }
    true
}

fn looks_like_user_data(bytes: &[u8]) -> bool {
    is_gzip(bytes)
        || [&b"#"[..], b"{", b"Content-Type", b"MIME-Version"]
            .iter()
            .any(|start| bytes.starts_with(start))
}

/// Permissions written as a number in octal, as text or as YAML's own octal.
fn octal(text: &str) -> Option<u32> {
    let digits = text.trim().trim_start_matches("0o");
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777)
}
