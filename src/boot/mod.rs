//! Parsers of what a node boots. No I/O: who calls them fetches, they say what.
//!
//! [`medium`] puts together what is on a boot medium; [`ipxe`] follows what a network boot starts with. Both end with a
//! kernel command line, and that with what the agent was [told](told::Told).

pub mod agent_files;
pub mod boot_entry;
pub mod config_drive;
pub mod floppy;
pub mod grub;
pub mod ipxe;
pub mod iso9660;
pub mod isolinux;
pub mod kernel_command_line;
pub mod kubeadm;
pub mod medium;
pub mod source;
pub mod system;
pub mod told;
pub mod user_data;
