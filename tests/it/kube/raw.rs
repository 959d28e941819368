//! Clients that do what no library does: they see heads before bodies, and do not read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::harness::Running;
use crate::world::PATIENCE;

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// Checks the code, and that the answer is a Status if it is a failure.
    #[track_caller]
    pub(crate) fn must(&self, code: u16) -> Value {
        let body = self.json();
        assert_eq!(self.code, code, "{body}");
        if code >= 400 {
            assert_eq!(body["kind"], "Status", "{body}");
            assert_eq!(body["apiVersion"], "v1", "{body}");
            assert_eq!(body["status"], "Failure", "{body}");
            assert_eq!(body["code"], code, "{body}");
        }
        body
    }
}

/// Sends single requests over HTTP/1.1.
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    headers: Vec<(&'static str, String)>,
}

impl Http {
    pub(crate) fn new(running: &Running) -> Self {
        Self {
            client: reqwest::Client::builder()
                .http1_only()
                .no_proxy()
                .tls_danger_accept_invalid_certs(true)
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            base: format!("https://{}", running.address()),
            headers: running.credentials(),
        }
    }

    /// From now on a request carries this token.
    pub(crate) fn set_token(&mut self, token: &str) {
        self.headers = vec![("authorization", format!("Bearer {token}"))];
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        let mut request = self.request(method, path);
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        let response = request.send().await.unwrap();
        Reply {
            code: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: response.bytes().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string().into_bytes();
        self.send("POST", path, Some(("application/json", body))).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string().into_bytes();
        self.send("PUT", path, Some(("application/json", body))).await
    }

    /// `kind`: `merge`, `strategic-merge`, `json`.
    pub(crate) async fn patch(&self, kind: &str, path: &str, body: &Value) -> Reply {
        let content_type = format!("application/{kind}-patch+json");
        let body = body.to_string().into_bytes();
        self.send("PATCH", path, Some((&content_type, body))).await
    }

    /// Opens a watch; returns as soon as its head is there.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        let response = self.request("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        Events {
            response,
            text: BytesMut::new(),
        }
    }
}

/// Events of a watch.
pub(crate) struct Events {
    response: reqwest::Response,
    text: BytesMut,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = line(&mut self.text) {
                return Some(event);
            }
            match self.response.chunk().await.unwrap() {
                Some(chunk) => self.text.extend_from_slice(&chunk),
                None => {
                    assert!(self.text.is_empty(), "an event was cut off");
                    return None;
                }
            }
        }
    }
}

/// Takes a whole line.
fn line(text: &mut BytesMut) -> Option<Value> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = text.split_to(end + 1);
    Some(serde_json::from_slice(&line).unwrap())
}

/// Takes any certificate: these tests are not about trust.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// How a TLS client names the protocols that it speaks.
pub(crate) fn connector(alpn: &[&[u8]]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Connects. `buffer`: bytes that the kernel keeps for a client that does not read; none: its default.
pub(crate) async fn connect(
    address: SocketAddr,
    alpn: &[&[u8]],
    buffer: Option<u32>,
) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(buffer) = buffer {
        socket.set_recv_buffer_size(buffer).unwrap();
    }
    let stream = socket.connect(address).await.unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    connector(alpn).connect(name, stream).await.unwrap()
}

/// A connection that speaks HTTP/1.1, without a library's buffers.
pub(crate) struct Plain {
    stream: TlsStream<TcpStream>,
    text: BytesMut,
}

impl Plain {
    /// Sends a request over a new connection without ALPN, and does not read.
    pub(crate) async fn ask(running: &Running, path: &str, buffer: Option<u32>) -> Self {
        let mut stream = connect(running.address(), &[], buffer).await;
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", running.address());
        for (name, value) in running.credentials() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        Self {
            stream,
            text: BytesMut::new(),
        }
    }

    /// Reads the head: status line and headers, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            let end = self.text.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.text.split_to(end + 4);
                return String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase();
            }
            assert!(self.more().await, "no head came");
        }
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.text));
        read.await.expect("nothing came").unwrap() > 0
    }

    /// The next chunk of a chunked body; `None` at its end.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            let end = self.text.windows(2).position(|two| two == b"\r\n");
            if let Some(end) = end {
                let size = std::str::from_utf8(&self.text[..end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if size == 0 {
                    return None;
                }
                if self.text.len() >= end + 2 + size + 2 {
                    self.text.advance(end + 2);
                    let chunk = self.text.split_to(size).freeze();
                    self.text.advance(2);
                    return Some(chunk);
                }
            }
            assert!(self.more().await, "the connection ended within the body");
        }
    }

    /// Reads events to the end of the stream and returns the last one.
    pub(crate) async fn last_event(&mut self) -> Value {
        let mut last = None;
        let mut text = BytesMut::new();
        while let Some(chunk) = self.chunk().await {
            text.extend_from_slice(&chunk);
            while let Some(event) = line(&mut text) {
                last = Some(event);
            }
        }
        last.expect("no event came")
    }
}

/// A connection that speaks HTTP/2. Its windows let nothing in but what is read.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    connection: AbortHandle,
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
}

impl Http2 {
    /// `window`: bytes that the server may send on a stream before they are read.
    pub(crate) async fn connect(running: &Running, window: u32) -> Self {
        let stream = connect(running.address(), &[b"h2"], None).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            // Only the streams' own windows hold the server back.
            .initial_connection_window_size(1 << 30)
            .handshake(stream)
            .await
            .unwrap();
        let connection = tokio::spawn(async move {
            // It ends with the test.
            drop(connection.await);
        });
        Self {
            sender,
            connection: connection.abort_handle(),
            address: running.address(),
            headers: running.credentials(),
        }
    }

    /// Closes the connection without a word.
    pub(crate) fn cut(&self) {
        self.connection.abort();
    }

    /// Sends a request.
    pub(crate) async fn ask(&self, path: &str) -> ResponseFuture {
        let mut request = http::Request::get(format!("https://{}{path}", self.address));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(()).unwrap();
        let mut sender = self.sender.clone().ready().await.unwrap();
        sender.send_request(request, true).unwrap().0
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn get(&self, path: &str) -> (u16, Bytes) {
        let response = self.ask(path).await.await.unwrap();
        let code = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            bytes.extend_from_slice(&data);
        }
        (code, bytes.freeze())
    }
}

/// Reads the events of a stream to its end and returns the last one.
pub(crate) async fn last_event(body: &mut h2::RecvStream) -> Value {
    let mut last = None;
    let mut text = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
        while let Some(event) = line(&mut text) {
            last = Some(event);
        }
    }
    last.expect("no event came")
}
