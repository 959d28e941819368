//! The limit that the Redfish benchmark is measured against: an actix-web server that does nothing but answer every
//! request with the bytes of a file.
//!
//! `cargo run --release --example bare -- ADDRESS WORKERS FILE`

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(workers), Some(file)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        anyhow::bail!("usage: bare ADDRESS WORKERS FILE");
    };
    let body = web::Bytes::from(std::fs::read(file)?);
    let server = HttpServer::new(move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(body) }
        };
        App::new().default_service(web::to(answer))
    });
    server
        .workers(workers.parse()?)
        .bind(address.parse::<SocketAddr>()?)?
        .run()
        .await?;
    Ok(())
}
