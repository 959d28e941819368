//! The kernel and its command line in an `isolinux.cfg` or `syslinux.cfg` (syslinux: `doc/syslinux.txt`).

use metalsim_actors::node::bmc::Secret;

use super::boot_entry::{BootEntry, MOST_CONFIGURATION};

/// Most labels of a configuration.
const MOST_LABELS: usize = 512;

/// Why no kernel was found in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolinuxError {
    /// The label that would be booted starts no kernel, or there is no label.
    #[error("the ISOLINUX configuration starts no kernel")]
    NoKernel,
    /// Nothing in this file, but it includes others, which are not read.
    #[error("the ISOLINUX configuration includes {0:?}, and has no kernel of its own")]
    Include(Box<str>),
    /// More than is sensible.
    #[error("the ISOLINUX configuration is too large")]
    Limit,
}

#[derive(Debug, Default)]
struct Label<'a> {
    name: &'a str,
    kernel: Option<&'a str>,
    /// `-` for none at all.
    append: Option<&'a str>,
    initrd: Option<&'a str>,
}

/// What the default label of the configuration `text` boots.
///
/// # Errors
///
/// If it boots no kernel, or is beyond the limits.
pub fn boot_entry(text: &str) -> Result<BootEntry, IsolinuxError> {
    if text.len() > MOST_CONFIGURATION {
        return Err(IsolinuxError::Limit);
    }
    let mut labels: Vec<Label<'_>> = Vec::new();
    let (mut default, mut menu_default, mut include) = (None, None, None);
    // Stands for what comes before the first label: it holds for all.
    let mut global = Label::default();
    for line in text.lines() {
        let (keyword, value) = split(line);
        let label = labels.last_mut().unwrap_or(&mut global);
        match keyword.to_ascii_lowercase().as_str() {
            "default" => default = Some(value),
            "label" => {
                if labels.len() == MOST_LABELS {
                    return Err(IsolinuxError::Limit);
                }
                labels.push(Label {
                    name: value,
                    ..Label::default()
                });
            }
            "kernel" | "linux" => label.kernel = Some(value),
            "append" => label.append = Some(value),
            "initrd" => label.initrd = Some(value),
            "include" => include = include.or(Some(value)),
            "menu" => {
                let (word, value) = split(value);
                if word.eq_ignore_ascii_case("default") {
                    menu_default = menu_default.or(Some(label.name));
                } else if word.eq_ignore_ascii_case("include") {
                    include = include.or(Some(value));
                }
            }
            _ => {}
        }
    }
    // With a menu, `DEFAULT` names the menu program, and the menu knows which label it starts.
    let named = |name: &str| {
        labels
            .iter()
            .find(|label| label.name.eq_ignore_ascii_case(name) && label.kernel.is_some())
    };
    let wanted = menu_default.and_then(named).or_else(|| default.and_then(named));
    if let Some(label) = wanted.or_else(|| labels.iter().find(|label| label.kernel.is_some())) {
        let arguments = match label.append.or(global.append) {
            Some("-") | None => String::new(),
            Some(append) => append.to_owned(),
        };
        let arguments = match label.initrd.or(global.initrd) {
            Some(initrd) => format!("initrd={initrd} {arguments}"),
            None => arguments,
        };
        return Ok(BootEntry {
            kernel: label.kernel.unwrap_or_default().into(),
            command_line: Secret::new(arguments.trim_end()),
        });
    }
    match include {
        Some(file) => Err(IsolinuxError::Include(file.into())),
        None => Err(IsolinuxError::NoKernel),
    }
}

/// The first word of a line, and the rest.
fn split(line: &str) -> (&str, &str) {
    let line = line.trim();
    match line.split_once(char::is_whitespace) {
        Some((keyword, value)) => (keyword, value.trim_start()),
        None => (line, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> (String, String) {
        let entry = boot_entry(text).unwrap();
        (entry.kernel.into(), entry.command_line.expose().to_owned())
    }

    #[test]
    fn ironics_configuration() {
        let text = "default boot\n\nlabel boot\nkernel /vmlinuz\n\
                    append initrd=/initrd text ir_pub_id=01d9 ipa-agent-token=secret boot_method=vmedia --\n";
        let line = "initrd=/initrd text ir_pub_id=01d9 ipa-agent-token=secret boot_method=vmedia --";
        assert_eq!(entry(text), ("/vmlinuz".into(), line.into()));
        assert!(!format!("{:?}", boot_entry(text)).contains("secret"));
    }

    #[test]
    fn the_default_label_and_what_it_appends() {
        let labels = "APPEND everywhere=1\r\nlabel one\n  KERNEL /one\n  APPEND a=1\nLabel Two\n  Linux /two\n\
                      label three\n MENU LABEL x\n kernel /three\n append -\n initrd /i\n";
        for (default, kernel, line) in [
            ("", "/one", "a=1"),
            ("DEFAULT two\n", "/two", "everywhere=1"),
            ("default THREE\n", "/three", "initrd=/i"),
            ("default vesamenu.c32\n", "/one", "a=1"),
        ] {
            assert_eq!(entry(&format!("{default}{labels}")), (kernel.into(), line.into()));
        }
        let menu = format!("default vesamenu.c32\n{labels}label four\n menu default\n kernel /four\n");
        assert_eq!(entry(&menu).0, "/four");
    }

    #[test]
    fn without_a_kernel() {
        assert_eq!(boot_entry(""), Err(IsolinuxError::NoKernel));
        assert_eq!(boot_entry("label x\nlocalboot 0\n"), Err(IsolinuxError::NoKernel));
        for text in ["include menu.cfg\n", "default x\nMENU INCLUDE menu.cfg\n"] {
            assert_eq!(boot_entry(text), Err(IsolinuxError::Include("menu.cfg".into())));
        }
        assert_eq!(
            boot_entry(&"label x\n".repeat(MOST_LABELS + 1)),
            Err(IsolinuxError::Limit)
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "((label|kernel|append|default|menu|include)|[ \na-]){0,60}") {
            let _ = boot_entry(&text);
        }
    }
}
