//! Integration tests: one binary of modules.

mod architecture;
mod settings;
