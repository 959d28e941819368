//! What a boot loader's configuration starts, and where such configurations are.

use metalsim_actors::node::bmc::{BootMode, Secret};

/// Longest configuration of a boot loader that is read, in bytes.
pub const MOST_CONFIGURATION: usize = 128 << 10;

/// A kernel with its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// The kernel, as the configuration names it.
    pub kernel: Box<str>,
    /// Its command line, which may hold the agent's token.
    pub command_line: Secret,
}

/// Which program reads a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootLoader {
    /// GRUB 2.
    Grub,
    /// ISOLINUX and SYSLINUX.
    Isolinux,
}

/// Where a configuration may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This path.
    Path(&'static str),
    /// `grub.cfg` in any folder of this folder.
    AnyFolderIn(&'static str),
}

/// GRUB's configurations. Ironic writes to `[DEFAULT]grub_config_path`: `EFI/BOOT/grub.cfg` by default, and
/// `EFI/centos/grub.cfg` in Metal3; the others are distributions'.
const GRUB: [Place; 5] = [
    Place::Path("EFI/BOOT/grub.cfg"),
    Place::Path("EFI/centos/grub.cfg"),
    Place::Path("boot/grub/grub.cfg"),
    Place::AnyFolderIn("EFI"),
    Place::Path("boot/grub2/grub.cfg"),
];

/// ISOLINUX's, which it looks for in this order (syslinux: `core/elflink/load_env32.c` and its wiki, "Config").
/// Ironic writes to the first.
const ISOLINUX: [Place; 6] = [
    Place::Path("isolinux/isolinux.cfg"),
    Place::Path("boot/isolinux/isolinux.cfg"),
    Place::Path("isolinux.cfg"),
    Place::Path("boot/syslinux/syslinux.cfg"),
    Place::Path("syslinux/syslinux.cfg"),
    Place::Path("syslinux.cfg"),
];

/// The places to look at on an optical medium, best first: those for `mode`, and then those for the other one.
#[must_use]
pub fn places(mode: BootMode) -> Vec<(BootLoader, Place)> {
    let grub = GRUB.map(|place| (BootLoader::Grub, place));
    let isolinux = ISOLINUX.map(|place| (BootLoader::Isolinux, place));
    match mode {
        BootMode::Uefi => [&grub[..], &isolinux[..]].concat(),
        BootMode::Legacy => [&isolinux[..], &grub[..]].concat(),
    }
}
