//! Each fault as those see it whom it befalls.

mod agent;
mod api_server;
mod cluster;
mod etcd;
mod kubelet;
mod redfish;
mod simulator;
mod system;
