//! Parsers of what a node boots. No I/O: who calls them fetches, they say what.

pub mod iso9660;
pub mod kernel_command_line;
pub mod source;
pub mod told;
