//! iPXE's commands (`ipxe: src/hci/commands/`, <https://ipxe.org/cmd>).

use metalsim_actors::node::bmc::Secret;
use url::Url;

use super::{Action, Awaited, Done, Fetch, Image, Interpreter, IpxeError, KernelBoot, Purpose, SanTarget};

/// The drive that a machine boots from unless told otherwise.
const FIRST_DRIVE: &str = "0x80";

/// Most drives that are attached.
const MOST_DRIVES: usize = 32;

/// The options of a command, and what follows them.
struct Arguments<'a> {
    options: Vec<(&'a str, &'a str)>,
    rest: &'a [String],
}

impl<'a> Arguments<'a> {
    /// Splits `words`, the command's arguments. `flags` are options without a value; all have a long name and a letter.
    fn new(words: &'a [String], flags: &[&str]) -> Self {
        let mut options = Vec::new();
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) else {
                break;
            };
            rest = after;
            let long = option.strip_prefix('-');
            if long == Some("") {
                break;
            }
            let (name, value) = match (long, long.and_then(|long| long.split_once('='))) {
                (_, Some((name, value))) => (name, Some(value)),
                (Some(long), None) => (long, None),
                // A letter, perhaps with its value right behind it.
                (None, _) => {
                    let letter = option.chars().next().map_or(0, char::len_utf8);
                    let (letter, value) = option.split_at(letter);
                    (letter, Some(value).filter(|value| !value.is_empty()))
                }
            };
            if flags.contains(&name) || value.is_some() {
                options.push((name, value.unwrap_or_default()));
            } else if let Some((value, after)) = rest.split_first() {
                options.push((name, value));
                rest = after;
            }
        }
        Self { options, rest }
    }

    /// The value of an option by long name or letter.
    fn option(&self, long: &str, letter: &str) -> Option<&'a str> {
        let found = self
            .options
            .iter()
            .rev()
            .find(|(name, _)| *name == long || *name == letter);
        found.map(|(_, value)| *value)
    }

    fn has(&self, long: &str, letter: &str) -> bool {
        self.option(long, letter).is_some()
    }
}

/// Options of the commands that fetch or run images, and need no value.
const IMAGE_FLAGS: [&str; 4] = ["autofree", "a", "replace", "r"];

impl Interpreter {
    /// Runs one command.
    pub(super) fn execute(&mut self, words: &[String]) -> Result<Done, IpxeError> {
        let Some((name, words)) = words.split_first() else {
            return Ok(Done::Result(true));
        };
        let first = words.first().map_or("", String::as_str);
        let result = match name.as_str() {
            "goto" => {
                let jumped = self.scripts.last_mut().is_some_and(|script| script.go_to(first));
                return Ok(if jumped { Done::Jump } else { Done::Result(false) });
            }
            "exit" => return Ok(Done::EndScript(matches!(first, "" | "0"))),
            "isset" => !first.is_empty(),
            "iseq" => matches!(words, [one, other] if one == other),
            "set" => {
                let value = words.get(1..).unwrap_or_default().join(" ");
                self.settings.set(first, &value).ok_or(IpxeError::Endless)?
            }
            "clear" => {
                self.settings.clear(first);
                true
            }
            "inc" => match words.get(1).map_or(Ok(1), |by| by.parse()) {
                Ok(by) => {
                    self.settings.increase(first, by).ok_or(IpxeError::Endless)?;
                    true
                }
                Err(_) => false,
            },
            // What follows is a command.
            "time" => return self.execute_nested(words),
            "kernel" | "imgselect" | "imgload" => return self.image(words, true),
            "initrd" | "imgfetch" | "module" => return self.image(words, false),
            "imgargs" => self.image_arguments(words),
            "imgfree" => {
                self.free(first);
                true
            }
            "boot" | "imgexec" => return Ok(self.boot(words)),
            "chain" => return self.chain(words),
            "sanboot" => return Ok(self.san_boot(words)),
            "sanhook" => self.san_hook(words)?,
            "sanunhook" => {
                let arguments = Arguments::new(words, &[]);
                self.hooked
                    .remove(arguments.option("drive", "d").unwrap_or(FIRST_DRIVE));
                true
            }
            "reboot" => return Ok(Done::Act(Action::Reboot)),
            "poweroff" => return Ok(Done::Act(Action::PowerOff)),
            "shell" => return Err(IpxeError::Waits),
            "prompt" if Arguments::new(words, &[]).has("timeout", "t") => false,
            "prompt" => return Err(IpxeError::Waits),
            "menu" => {
                self.choice = None;
                true
            }
            "item" => {
                self.item(words);
                true
            }
            "choose" => self.choose(words)?,
            "echo" | "sleep" | "dhcp" | "ifopen" | "ifclose" | "ifconf" | "ifstat" | "iflinkwait"
            | "route" | "imgstat" | "imgtrust" | "imgverify" | "console" | "colour" | "color" | "cpair"
            | "cpuid" | "params" | "param" | "show" | "sync" | "ntp" | "nslookup" | "ping" | "config"
            | "ipstat" | "pciscan" | "usbscan" | "fdt" | "certstat" => true,
            // Unknown, or with nothing behind it here.
            _ => false,
        };
        Ok(Done::Result(result))
    }

    fn execute_nested(&mut self, words: &[String]) -> Result<Done, IpxeError> {
        match words.first().map(String::as_str) {
            // Only once, so that words do not become a depth.
            Some("time") => Ok(Done::Result(false)),
            _ => self.execute(words),
        }
    }

    /// A URL, relative to the script's.
    fn resolve(&self, url: &str) -> Option<Url> {
        self.scripts.last()?.url().join(url).ok()
    }

    fn fetch(&mut self, url: Url, purpose: Purpose, awaited: Awaited) -> Result<Done, IpxeError> {
        self.fetches_left = self.fetches_left.checked_sub(1).ok_or(IpxeError::Endless)?;
        self.awaited = Some(awaited);
        Ok(Done::Act(Action::Fetch(Fetch { url, purpose })))
    }

    fn image(&mut self, words: &[String], select: bool) -> Result<Done, IpxeError> {
        let arguments = Arguments::new(words, &IMAGE_FLAGS);
        let Some((location, rest)) = arguments.rest.split_first() else {
            return Ok(Done::Result(false));
        };
        if let Some(at) = self.position(location) {
            // Already here: the name of an image.
            if select {
                self.selected = Some(at);
            }
            if let Some(image) = self.images.get_mut(at).filter(|_| !rest.is_empty()) {
                image.arguments = rest.join(" ");
            }
            return Ok(Done::Result(true));
        }
        let Some(url) = self.resolve(location) else {
            return Ok(Done::Result(false));
        };
        let last = || url.path().rsplit('/').next().unwrap_or_default();
        let name = arguments.option("name", "n").unwrap_or_else(last).into();
        let image = Image {
            name,
            url: url.clone(),
            arguments: rest.join(" "),
        };
        self.fetch(url, Purpose::Image, Awaited::Image { image, select })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.images.iter().position(|image| *image.name == *name)
    }

    fn image_arguments(&mut self, words: &[String]) -> bool {
        let Some((name, rest)) = words.split_first() else {
            return false;
        };
        let at = self.position(name);
        match at.and_then(|at| self.images.get_mut(at)) {
            Some(image) => {
                image.arguments = rest.join(" ");
                true
            }
            None => false,
        }
    }

    fn free(&mut self, name: &str) {
        self.selected = None;
        if name.is_empty() {
            self.images.clear();
        } else {
            self.images.retain(|image| *image.name != *name);
        }
    }

    fn boot(&mut self, words: &[String]) -> Done {
        let arguments = Arguments::new(words, &IMAGE_FLAGS);
        let named = arguments.rest.first().and_then(|name| self.position(name));
        // One image alone need not be selected.
        let only = (self.images.len() == 1).then_some(0);
        let at = match arguments.rest.first() {
            Some(_) => named,
            None => self.selected.or(only),
        };
        let Some((at, image)) = at.and_then(|at| Some((at, self.images.get(at)?))) else {
            return Done::Result(false);
        };
        let others = self.images.iter().enumerate().filter(|(index, _)| *index != at);
        let action = Action::Boot(KernelBoot {
            kernel: image.url.clone(),
            command_line: Secret::new(&image.arguments),
            initrds: others.map(|(_, image)| image.url.clone()).collect(),
        });
        self.awaited = Some(Awaited::Start);
        Done::Act(action)
    }

    fn chain(&mut self, words: &[String]) -> Result<Done, IpxeError> {
        let arguments = Arguments::new(words, &IMAGE_FLAGS);
        let Some((location, rest)) = arguments.rest.split_first() else {
            return Ok(Done::Result(false));
        };
        let Some(url) = self.resolve(location) else {
            return Ok(Done::Result(false));
        };
        let awaited = Awaited::Chain {
            url: url.clone(),
            arguments: rest.join(" "),
            replace: arguments.has("replace", "r"),
        };
        self.fetch(url, Purpose::Chain, awaited)
    }

    fn san_boot(&mut self, words: &[String]) -> Done {
        let arguments = Arguments::new(words, &["no-describe", "n", "keep", "k"]);
        let drive = arguments.option("drive", "d").unwrap_or(FIRST_DRIVE);
        let target = match (arguments.rest.first(), self.hooked.get(drive)) {
            (Some(location), _) => SanTarget::Remote(self.san_location(location)),
            (None, Some(hooked)) => SanTarget::Remote(hooked.clone()),
            (None, None) => SanTarget::LocalDisk,
        };
        self.awaited = Some(Awaited::Start);
        Done::Act(Action::SanBoot(target))
    }

    fn san_hook(&mut self, words: &[String]) -> Result<bool, IpxeError> {
        let arguments = Arguments::new(words, &["no-describe", "n"]);
        let Some(location) = arguments.rest.first() else {
            return Ok(false);
        };
        if self.hooked.len() == MOST_DRIVES {
            return Err(IpxeError::Endless);
        }
        let location = self.san_location(location);
        self.hooked.insert(
            arguments.option("drive", "d").unwrap_or(FIRST_DRIVE).into(),
            location,
        );
        Ok(true)
    }

    /// `iscsi:…` and the like are no URLs that one could resolve.
    fn san_location(&self, location: &str) -> Box<str> {
        match self.resolve(location) {
            Some(url) if matches!(url.scheme(), "http" | "https" | "ftp" | "tftp" | "nfs") => {
                url.as_str().into()
            }
            _ => location.into(),
        }
    }

    fn item(&mut self, words: &[String]) {
        let arguments = Arguments::new(words, &["gap", "g", "default", "d"]);
        if arguments.has("gap", "g") {
            return;
        }
        let label = arguments.rest.first().map(|label| label.as_str().into());
        if arguments.has("default", "d") || self.choice.is_none() {
            self.choice = label.or(self.choice.take());
        }
    }

    fn choose(&mut self, words: &[String]) -> Result<bool, IpxeError> {
        let arguments = Arguments::new(words, &["keep", "k"]);
        let default = arguments
            .option("default", "d")
            .map(Box::from)
            .or_else(|| self.choice.clone());
        match (arguments.rest.first(), default) {
            (Some(name), Some(default)) => self.settings.set(name, &default).ok_or(IpxeError::Endless),
            _ => Ok(false),
        }
    }
}
