//! Each fault as those see it whom it befalls.

mod redfish;
mod simulator;
mod tasks;
