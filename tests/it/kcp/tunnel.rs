//! Ports of pods through the API server: the upgrade, WebSocket messages, SPDY frames, one forwarded connection (client-go:
//! `tools/portforward`, `transport/websocket`; apimachinery: `pkg/util/httpstream/spdy`).

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex, split};

use super::access::Access;
use super::dictionary::DICTIONARY;
use crate::world::PATIENCE;

/// Bytes that wait on either side of what is put between two streams.
const BUFFER: usize = 64 * 1024;
/// Sizes of the messages that client-go makes of the head of a frame; the rest is one message.
const CUTS: [usize; 9] = [2, 2, 0, 4, 4, 4, 1, 1, usize::MAX];
/// The key of RFC 6455, section 1.3, and what must come back for it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The streams of the one connection.
const ERROR: u32 = 1;
const DATA: u32 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const CANCEL: u32 = 5;

/// How frames are carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// In messages: what Cluster API tries first since 1.12.
    WebSocket,
    /// Bare: what it did before, and does when the first is refused.
    Spdy,
}

/// No upgrade: the code and the Status.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: u16,
    pub(crate) status: Value,
}

/// Connects to a port of a pod in `kube-system`, as KCP does (cluster-api: `controlplane/kubeadm/internal/proxy/dial.go`).
pub(crate) async fn dial(access: &Access, pod: &str, port: u16, way: Way) -> Result<DuplexStream, Refused> {
    let mut stream = access.connect(&[]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    let path = format!("/api/v1/namespaces/kube-system/pods/{pod}/portforward");
    let host = access.address;
    let head = match way {
        Way::WebSocket => format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n\r\n"
        ),
        Way::Spdy => format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nContent-Length: 0\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n"
        ),
    };
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let (answer, rest) = head_of(&mut stream).await;
    let has = |line: &str| answer.lines().any(|found| found == line);
    if !answer.starts_with("http/1.1 101 ") {
        return Err(refused(&answer, rest, &mut stream).await);
    }
    assert!(has("connection: upgrade"), "{answer}");
    let frames = match way {
        Way::WebSocket => {
            let accepted = format!("sec-websocket-accept: {}", ACCEPTED.to_ascii_lowercase());
            assert!(has(&accepted), "{answer}");
            assert!(
                has("sec-websocket-protocol: spdy/3.1+portforward.k8s.io"),
                "{answer}"
            );
            messages(stream, rest)
        }
        Way::Spdy => {
            assert!(has("upgrade: spdy/3.1"), "{answer}");
            assert!(has("x-stream-protocol-version: portforward.k8s.io"), "{answer}");
            bare(stream, rest)
        }
    };
    Ok(forward(frames, port).await)
}

/// The head of an answer in lower case, and what came behind it.
async fn head_of(stream: &mut (impl AsyncRead + Unpin)) -> (String, BytesMut) {
    let mut text = BytesMut::new();
    loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = text.split_to(end + 4);
            return (
                String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase(),
                text,
            );
        }
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut text));
        assert!(
            read.await.expect("no head came").unwrap() > 0,
            "the connection ended"
        );
    }
}

async fn refused(head: &str, mut body: BytesMut, stream: &mut (impl AsyncRead + Unpin)) -> Refused {
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap_or_else(|| panic!("no length: {head}"));
    let length: usize = length.parse().unwrap();
    while body.len() < length {
        assert!(stream.read_buf(&mut body).await.unwrap() > 0);
    }
    Refused {
        code,
        status: serde_json::from_slice(&body).unwrap(),
    }
}

/// The stream with what was read of it already.
fn bare(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, rest: BytesMut) -> DuplexStream {
    let (ours, mut inner) = duplex(BUFFER);
    let mut stream = stream;
    tokio::spawn(async move {
        inner.write_all(&rest).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut inner).await
    });
    ours
}

/// What is written goes into messages, cut without regard to frames; what comes in messages can be read.
fn messages(stream: impl AsyncRead + AsyncWrite + Send + 'static, rest: BytesMut) -> DuplexStream {
    let (ours, inner) = duplex(BUFFER);
    let (mut from, mut to) = split(stream);
    let (mut written, mut read) = split(inner);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        while written.read_buf(&mut buffer).await? > 0 {
            for size in CUTS {
                let piece = buffer.split_to(buffer.len().min(size));
                to.write_all(&message(&piece)).await?;
            }
            to.flush().await?;
        }
        to.shutdown().await
    });
    tokio::spawn(async move {
        let mut buffer = rest;
        loop {
            while let Some(payload) = payload(&mut buffer)? {
                read.write_all(&payload).await?;
            }
            if from.read_buf(&mut buffer).await? == 0 {
                return read.shutdown().await;
            }
        }
    });
    ours
}

/// A binary message of a client: masked (RFC 6455, section 5.2).
fn message(payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0x82);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => bytes.put_u8(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            bytes.put_u8(0x80 | 126);
            bytes.put_u16(length);
        }
        Err(_) => {
            bytes.put_u8(0x80 | 127);
            bytes.put_u64(payload.len().try_into().unwrap());
        }
    }
    bytes.put_slice(&MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// The payload of the next message of a server, if it is whole.
fn payload(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let mut head = &buffer[..];
    if head.len() < 2 {
        return Ok(None);
    }
    let (first, second) = (head.get_u8(), head.get_u8());
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let length = match second {
        126 if head.len() >= 2 => u64::from(head.get_u16()),
        127 if head.len() >= 8 => head.get_u64(),
        126 | 127 => return Ok(None),
        length => u64::from(length),
    };
    let length = usize::try_from(length).unwrap();
    if head.len() < length {
        return Ok(None);
    }
    let start = buffer.len() - head.len();
    buffer.advance(start);
    let payload = buffer.split_to(length).freeze();
    match first & 0x0f {
        // A continuation, or bytes.
        0 | 2 => Ok(Some(payload)),
        8 => Err(io::ErrorKind::ConnectionReset.into()),
        other => panic!("a message of type {other}"),
    }
}

/// Frames to a server.
struct Frames {
    deflate: Compress,
}

impl Frames {
    fn new() -> Self {
        let mut deflate = Compress::new(Compression::default(), true);
        deflate.set_dictionary(&DICTIONARY).unwrap();
        Self { deflate }
    }

    fn open(&mut self, stream: u32, headers: [(&str, &str); 3]) -> BytesMut {
        let mut block = BytesMut::new();
        block.put_u32(3);
        for (name, value) in headers {
            for text in [name, value] {
                block.put_u32(text.len().try_into().unwrap());
                block.put_slice(text.as_bytes());
            }
        }
        let mut packed = Vec::with_capacity(4096);
        self.deflate
            .compress_vec(&block, &mut packed, FlushCompress::Sync)
            .unwrap();
        let mut body = BytesMut::new();
        body.put_u32(stream);
        // No other stream belongs to it, and no priority.
        body.put_u32(0);
        body.put_u16(0);
        body.put_slice(&packed);
        control(SYN_STREAM, &body)
    }
}

fn control(kind: u16, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u16(0x8003);
    bytes.put_u16(kind);
    bytes.put_u32(body.len().try_into().unwrap());
    bytes.put_slice(body);
    bytes
}

fn data(stream: u32, bytes: &[u8], fin: bool) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u32(stream);
    frame.put_u32(u32::from(fin) << 24 | u32::try_from(bytes.len()).unwrap());
    frame.put_slice(bytes);
    frame
}

/// A frame of a server.
#[derive(Debug)]
enum Frame {
    Control { kind: u16, first: u32 },
    Data { stream: u32, bytes: Vec<u8>, fin: bool },
}

async fn next(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let (first, second) = (from.read_u32().await?, from.read_u32().await?);
    let mut body = vec![0; usize::try_from(second & 0x00ff_ffff).unwrap()];
    from.read_exact(&mut body).await?;
    if first & 0x8000_0000 == 0 {
        return Ok(Frame::Data {
            stream: first,
            bytes: body,
            fin: second >> 24 & 1 == 1,
        });
    }
    assert_eq!(first >> 16, 0x8003, "another version");
    Ok(Frame::Control {
        kind: u16::try_from(first & 0xffff).unwrap(),
        first: (&body[..]).get_u32(),
    })
}

/// Opens one connection over the frames.
async fn forward(frames: DuplexStream, port: u16) -> DuplexStream {
    let (mut from, mut to) = split(frames);
    let port = port.to_string();
    let mut out = Frames::new();
    let mut headers = [("streamtype", "error"), ("port", &*port), ("requestid", "0")];
    to.write_all(&out.open(ERROR, headers)).await.unwrap();
    expect(&mut from, SYN_REPLY, ERROR).await;
    // KCP closes it at once: it writes no errors.
    to.write_all(&data(ERROR, &[], true)).await.unwrap();
    headers[0].1 = "data";
    to.write_all(&out.open(DATA, headers)).await.unwrap();
    expect(&mut from, SYN_REPLY, DATA).await;
    to.write_all(&control(PING, &1_u32.to_be_bytes())).await.unwrap();
    let (ours, inner) = duplex(BUFFER);
    let (mut written, mut read) = split(inner);
    tokio::spawn(async move {
        let mut buffer = BytesMut::with_capacity(32 * 1024);
        while written.read_buf(&mut buffer).await? > 0 {
            to.write_all(&data(DATA, &buffer.split(), false)).await?;
            buffer.reserve(32 * 1024);
        }
        let mut body = DATA.to_be_bytes().to_vec();
        body.extend(CANCEL.to_be_bytes());
        to.write_all(&control(RST_STREAM, &body)).await?;
        to.shutdown().await
    });
    tokio::spawn(async move {
        loop {
            match next(&mut from).await? {
                Frame::Data {
                    stream: DATA,
                    bytes,
                    fin,
                } => {
                    read.write_all(&bytes).await?;
                    if fin {
                        return read.shutdown().await;
                    }
                }
                Frame::Control {
                    kind: RST_STREAM,
                    first: DATA,
                } => return read.shutdown().await,
                Frame::Control { kind: PING, first } => assert_eq!(first, 1),
                Frame::Data { .. } | Frame::Control { .. } => {}
            }
        }
    });
    ours
}

async fn expect(from: &mut (impl AsyncRead + Unpin), wanted: u16, stream: u32) {
    let frame = tokio::time::timeout(PATIENCE, next(from)).await;
    match frame.expect("no frame came").unwrap() {
        Frame::Control { kind, first } if kind == wanted && first == stream => {}
        other => panic!("{other:?} instead of a frame {wanted} of stream {stream}"),
    }
}

#[test]
fn the_key_and_its_answer_belong_together() {
    let text = format!("{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    assert_eq!(BASE64_STANDARD.encode(digest), ACCEPTED);
}
