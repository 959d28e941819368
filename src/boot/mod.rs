//! Parsers of what a node boots. No I/O: who calls them fetches, they say what.

pub mod boot_entry;
pub mod floppy;
pub mod grub;
pub mod ipxe;
pub mod iso9660;
pub mod isolinux;
pub mod kernel_command_line;
pub mod source;
pub mod told;
