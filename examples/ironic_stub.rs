//! A stub of Ironic for soaks: takes look-ups and heartbeats of any number of agents.
//!
//! `cargo run --release --example ironic_stub -- ADDRESS HEARTBEAT_TIMEOUT_SECONDS`. Prints its address once it listens.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is how it tells its address and its counts"
)]

#[path = "common/ironic.rs"]
mod ironic;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use actix_web::{App, HttpServer, web};

use self::ironic::{IronicStub, answer};

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(timeout)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: ironic_stub ADDRESS HEARTBEAT_TIMEOUT_SECONDS");
    };
    let stub = IronicStub::new(timeout.parse()?);
    let data = web::Data::from(std::sync::Arc::clone(&stub));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
        .workers(1)
        .bind(address.parse::<SocketAddr>()?)?;
    for address in server.addrs() {
        println!("{address}");
    }
    server.run().await?;
    eprintln!(
        "{} look-ups, {} heartbeats",
        stub.lookups.load(Ordering::Relaxed),
        stub.heartbeats.load(Ordering::Relaxed)
    );
    Ok(())
}
