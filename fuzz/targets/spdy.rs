//! A SPDY connection whose streams are sent back, and a head that asks for one. The first byte cuts what comes.
#![no_main]

use actix_web::rt::System;
use bytes::Bytes;
use futures_util::stream;
use libfuzzer_sys::fuzz_target;
use metalsim::frontend::kube::spdy::{Acceptor, Headers, header, serve};
use metalsim::frontend::kube::upgrade;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Sends back what comes.
struct Echo;

impl Acceptor for Echo {
    fn accept(&mut self, headers: &Headers, stream: DuplexStream) -> bool {
        if header(headers, "streamtype") == "error" {
            return false;
        }
        let (mut reader, mut writer) = tokio::io::split(stream);
        actix_web::rt::spawn(async move { tokio::io::copy(&mut reader, &mut writer).await });
        true
    }
}

thread_local! {
    static SYSTEM: actix_web::rt::SystemRunner = System::new();
}

fuzz_target!(|data: &[u8]| {
    drop(upgrade::shown(data));
    let Some((cut, rest)) = data.split_first() else {
        return;
    };
    let size = usize::from(*cut).max(1);
    let pieces: Vec<_> = rest
        .chunks(size)
        .map(|piece| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(piece)))
        .collect();
    SYSTEM.with(|system| {
        system.block_on(async {
            let (output, mut waiting) = mpsc::channel(16);
            let reading = async move { while waiting.recv().await.is_some() {} };
            tokio::join!(serve(stream::iter(pieces), output, Echo), reading);
        });
    });
});
