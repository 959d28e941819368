//! iPXE scripts, as far as Ironic and Metal3 use them, and what their authors' own scripts are likely to use
//! (`ironic: drivers/modules/boot.ipxe`, `ipxe_config.template`; `ironic-image: ironic-config/inspector.ipxe.j2`).
//!
//! The interpreter does nothing itself: it says what the firmware does next, and goes on when it is told how that
//! went. So a `chain` of a missing file falls through to what follows `||`, as it does in life.
//!
//! Of the language (`ipxe: src/core/exec.c`, `src/image/script.c`, `src/core/settings.c`):
//!
//! - A line holds commands separated by `||`, `&&` or `;`; a word that starts with `#` starts a comment. There are no
//!   quotes. A line that fails ends its script, which then has failed.
//! - `${…}` is replaced in each word after the line was split, innermost first. Unknown settings are empty.
//! - Nobody is there: `prompt` times out, `choose` takes the default, `sleep` takes no time, `shell` ends everything.

mod commands;
mod script;
mod settings;

use std::collections::HashMap;
use std::fmt;

use metalsim_actors::node::bmc::Secret;
use url::Url;

use script::{Next, Script};
pub use settings::Machine;
use settings::Settings;

/// Longest script in bytes.
pub const MOST_SCRIPT: usize = 128 << 10;

/// Commands that are run. A script that retries for ever ends here.
const MOST_STEPS: u32 = 4096;

/// Things that are fetched.
const MOST_FETCHES: u32 = 64;

/// Scripts that wait for scripts that they chained.
const MOST_SCRIPTS: usize = 8;

/// Images that are kept.
const MOST_IMAGES: usize = 32;

/// What the firmware does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch something, and tell how it went.
    Fetch(Fetch),
    /// Start a kernel. Only if that is impossible the script goes on.
    Boot(KernelBoot),
    /// Start from a disk. Only if that is impossible the script goes on.
    SanBoot(SanTarget),
    /// Start over.
    Reboot,
    /// Switch off.
    PowerOff,
    /// The script is over, and the firmware goes on with the next boot device. `false`: it failed.
    Exit(bool),
}

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Absolute.
    pub url: Url,
    /// What it is for.
    pub purpose: Purpose,
}

/// What something is fetched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be run: its content decides what happens next, if it is a script.
    Chain,
    /// A kernel, an initial ramdisk or the like: only whether it is there matters.
    Image,
}

/// A kernel with its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelBoot {
    /// Where it was fetched from.
    pub kernel: Url,
    /// The command line, which may hold secrets.
    pub command_line: Secret,
    /// Where the other images were fetched from, in order.
    pub initrds: Vec<Url>,
}

/// A disk to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanTarget {
    /// The machine's own first disk.
    LocalDisk,
    /// An image or a disk elsewhere, such as an ISO or `iscsi:…`.
    Remote(Box<str>),
}

/// How an [`Action`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It could not be done: nothing there, or not bootable.
    Failed,
    /// It was fetched. Only right for [`Action::Fetch`].
    Fetched,
    /// It was fetched, for [`Purpose::Chain`], and starts with [`SHEBANG`]: this is its text.
    Script(&'a str),
}

/// A file that starts so is a script.
pub const SHEBANG: &str = "#!ipxe";

/// Why a script cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpxeError {
    /// It has no [`SHEBANG`].
    #[error("not an iPXE script: it does not start with {SHEBANG}")]
    NotAScript,
    /// More than [`MOST_SCRIPT`].
    #[error("the iPXE script has {0} bytes, at most {MOST_SCRIPT}")]
    TooLong(usize),
    /// More commands, fetches, scripts, images or settings than is sensible: it probably retries for ever.
    #[error("the iPXE script does not come to an end")]
    Endless,
    /// It waits for somebody at the keyboard.
    #[error("the iPXE script waits for somebody at the keyboard")]
    Waits,
    /// The answer does not suit the action.
    #[error("nothing was asked for that could be answered so")]
    WrongAnswer,
}

/// An image that was fetched.
#[derive(Debug)]
struct Image {
    name: Box<str>,
    url: Url,
    arguments: String,
}

/// What an answer is awaited for.
#[derive(Debug)]
enum Awaited {
    Chain {
        url: Url,
        arguments: String,
        replace: bool,
    },
    Image {
        image: Image,
        select: bool,
    },
    /// A boot, after which nothing comes unless it fails.
    Start,
}

/// What a command did.
enum Done {
    /// Succeeded or failed.
    Result(bool),
    /// The rest of the line does not matter.
    Jump,
    /// The script is over, with this result.
    EndScript(bool),
    /// Something is to be done outside.
    Act(Action),
}

/// Follows a script, and those that it chains.
pub struct Interpreter {
    settings: Settings,
    scripts: Vec<Script>,
    images: Vec<Image>,
    selected: Option<usize>,
    /// Disks that were attached, by drive number as given.
    hooked: HashMap<Box<str>, Box<str>>,
    /// First choice of the menu that is being put together.
    choice: Option<Box<str>>,
    awaited: Option<Awaited>,
    steps_left: u32,
    fetches_left: u32,
}

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Settings and arguments may be secret.
        let scripts: Vec<_> = self.scripts.iter().map(Script::position).collect();
        f.debug_struct("Interpreter")
            .field("scripts", &scripts)
            .finish_non_exhaustive()
    }
}

impl Interpreter {
    /// Starts the script `text`, which came from `url`, on a machine.
    ///
    /// # Errors
    ///
    /// If it is no script, or too long.
    pub fn new(machine: &Machine, url: Url, text: &str) -> Result<Self, IpxeError> {
        let mut new = Self {
            settings: Settings::new(machine),
            scripts: Vec::new(),
            images: Vec::new(),
            selected: None,
            hooked: HashMap::new(),
            choice: None,
            awaited: None,
            steps_left: MOST_STEPS,
            fetches_left: MOST_FETCHES,
        };
        new.push(url, text)?;
        Ok(new)
    }

    /// Follows the script to its first action.
    ///
    /// # Errors
    ///
    /// If it cannot be followed, or an answer is awaited.
    pub fn run(&mut self) -> Result<Action, IpxeError> {
        match self.awaited {
            None => self.follow(None),
            Some(_) => Err(IpxeError::WrongAnswer),
        }
    }

    /// Follows the script to the next action, after the last one went so.
    ///
    /// # Errors
    ///
    /// If it cannot be followed, if nothing was awaited, or something else.
    pub fn resume(&mut self, answer: Answer<'_>) -> Result<Action, IpxeError> {
        let awaited = self.awaited.take().ok_or(IpxeError::WrongAnswer)?;
        match (answer, awaited) {
            (Answer::Failed, _) => self.follow(Some(false)),
            (Answer::Fetched, Awaited::Image { image, select }) => {
                if self.images.len() == MOST_IMAGES {
                    return Err(IpxeError::Endless);
                }
                if select {
                    self.selected = Some(self.images.len());
                }
                self.images.push(image);
                self.follow(Some(true))
            }
            // Not a script: a boot loader or a kernel.
            (Answer::Fetched, Awaited::Chain { url, arguments, .. }) => {
                self.awaited = Some(Awaited::Start);
                Ok(Action::Boot(KernelBoot {
                    kernel: url,
                    command_line: Secret::new(&arguments),
                    initrds: self.images.iter().map(|image| image.url.clone()).collect(),
                }))
            }
            (Answer::Script(text), Awaited::Chain { url, replace, .. }) => {
                if replace {
                    self.scripts.pop();
                }
                match self.push(url, text) {
                    // What looks like a script and is none cannot be run.
                    Err(IpxeError::NotAScript) => self.follow(Some(false)),
                    Err(error) => Err(error),
                    Ok(()) => self.follow(None),
                }
            }
            (Answer::Fetched, Awaited::Start) | (Answer::Script(_), _) => Err(IpxeError::WrongAnswer),
        }
    }

    fn push(&mut self, url: Url, text: &str) -> Result<(), IpxeError> {
        let is_script = text
            .strip_prefix(SHEBANG)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if !is_script {
            return Err(IpxeError::NotAScript);
        }
        if text.len() > MOST_SCRIPT {
            return Err(IpxeError::TooLong(text.len()));
        }
        if self.scripts.len() == MOST_SCRIPTS {
            return Err(IpxeError::Endless);
        }
        self.scripts.push(Script::new(url, text));
        Ok(())
    }

    /// Runs commands until something is to be done outside. `last` is the result of the command before.
    fn follow(&mut self, mut last: Option<bool>) -> Result<Action, IpxeError> {
        loop {
            let Some(script) = self.scripts.last_mut() else {
                return Ok(Action::Exit(last.unwrap_or(true)));
            };
            let command = match script.next(last.take()) {
                Next::Command(command) => command,
                Next::End(result) => {
                    self.scripts.pop();
                    last = Some(result);
                    continue;
                }
            };
            self.steps_left = self.steps_left.checked_sub(1).ok_or(IpxeError::Endless)?;
            let words: Option<Vec<String>> = command.iter().map(|word| self.settings.expand(word)).collect();
            match self.execute(&words.ok_or(IpxeError::Endless)?)? {
                Done::Result(result) => last = Some(result),
                Done::Jump => {}
                Done::EndScript(result) => {
                    self.scripts.pop();
                    last = Some(result);
                }
                Done::Act(action) => return Ok(action),
            }
        }
    }
}

#[cfg(test)]
mod tests;
