//! `metalsim cluster serve`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cluster::serve;
use crate::settings::{Log, LogFormat};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Runs one cluster of ready nodes in the foreground, without servers, until SIGTERM or SIGINT
    Serve(ServeArgs),
}

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Number of nodes; the first is a control plane node
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: u32,
    /// Name of the cluster, and start of its nodes' names
    #[arg(long, default_value = "metalsim")]
    name: String,
    /// Where the API server listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// File for the administrator's kubeconfig, written once the API server answers
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Version of Kubernetes that the cluster shows
    #[arg(long, default_value = "v1.34.2")]
    kubernetes_version: String,
    /// Simulated seconds in a real one
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Root of all chance
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Log filter: a level, or target=level pairs
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log_level: String,
}

pub(super) fn run(command: &ClusterCommand) -> anyhow::Result<()> {
    let ClusterCommand::Serve(args) = command;
    telemetry::logs::init(&Log {
        filter: args.log_level.as_str().into(),
        format: LogFormat::Text,
    })?;
    anyhow::ensure!(
        args.speed.is_finite() && args.speed > 0.0,
        "--speed must be more than 0"
    );
    serve::run(&serve::ServeOptions {
        nodes: args.nodes,
        name: args.name.clone(),
        listen: args.listen,
        kubeconfig: args.kubeconfig.clone(),
        version: args.kubernetes_version.clone(),
        speed: args.speed,
        seed: args.seed,
    })
}
