//! WebSocket messages of a port-forward: frames as they come over the connection, to the bytes within.
#![no_main]

use actix_web::http::header;
use actix_web::rt::System;
use actix_web::test::TestRequest;
use actix_web::{FromRequest as _, web};
use futures_util::StreamExt as _;
use libfuzzer_sys::fuzz_target;
use metalsim::frontend::kube::port_forward::bytes_of;

thread_local! {
    static SYSTEM: actix_web::rt::SystemRunner = System::new();
}

fuzz_target!(|data: &[u8]| {
    SYSTEM.with(|system| {
        system.block_on(async {
            let (request, mut payload) = TestRequest::get()
                .insert_header((header::CONNECTION, "upgrade"))
                .insert_header((header::UPGRADE, "websocket"))
                .insert_header((header::SEC_WEBSOCKET_VERSION, "13"))
                .insert_header((header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="))
                .set_payload(data.to_vec())
                .to_http_parts();
            let payload = web::Payload::from_request(&request, &mut payload)
                .await
                .expect("a payload");
            let (answer, session, messages) = actix_ws::handle(&request, payload).expect("an upgrade");
            // Pings are answered into it; without a reader they would wait.
            drop(answer);
            let mut bytes = std::pin::pin!(bytes_of(messages, session));
            let mut read = 0;
            // An error is the end, as for the connection that reads them.
            while let Some(Ok(piece)) = bytes.next().await {
                read += piece.len();
            }
            assert!(read <= data.len());
        });
    });
});
