//! The streams of one connection.
//!
//! One task reads frames and feeds the streams, one writes frames, and each stream has a small one that turns what its owner writes into
//! frames. So a stream that nobody reads holds up what comes in, as a full socket would, but never what goes out.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;

use super::frame::{CANCEL, Decoder, Encoder, Frame, Headers, REFUSED_STREAM};

/// Bytes that wait on each side of a stream.
const STREAM_BUFFER: usize = 64 * 1024;
/// Frames that wait to be written.
const FRAMES: usize = 32;
/// Most streams of one connection at once. kubectl opens two for each connection that it forwards.
const STREAMS_MAX: usize = 512;

/// What becomes of the streams that the client opens.
pub trait Acceptor {
    /// A new stream, whose `headers` say what it is for. What the owner writes into `stream` goes to the client.
    /// `false` refuses it.
    fn accept(&mut self, headers: &Headers, stream: DuplexStream) -> bool;
}

/// Serves a connection until the client ends it. `input` is what the client sends, however it is cut; to `output` goes what it is to get.
pub async fn serve<E>(
    input: impl Stream<Item = Result<Bytes, E>>,
    output: mpsc::Sender<Bytes>,
    mut acceptor: impl Acceptor,
) {
    let (frames, waiting) = mpsc::channel(FRAMES);
    let writer = actix_rt::spawn(write(waiting, output));
    read(input, frames, &mut acceptor).await;
    // The owners of streams see their ends; when the last has let go, the writer ends.
    drop(acceptor);
    let _ended = writer.await;
}

async fn write(mut frames: mpsc::Receiver<Frame>, output: mpsc::Sender<Bytes>) {
    let mut encoder = Encoder::new();
    while let Some(frame) = frames.recv().await {
        let mut bytes = BytesMut::new();
        encoder.write(&frame, &mut bytes);
        while let Ok(frame) = frames.try_recv() {
            encoder.write(&frame, &mut bytes);
            if bytes.len() >= STREAM_BUFFER {
                break;
            }
        }
        if output.send(bytes.freeze()).await.is_err() {
            return;
        }
    }
}

async fn read<E>(
    input: impl Stream<Item = Result<Bytes, E>>,
    frames: mpsc::Sender<Frame>,
    acceptor: &mut impl Acceptor,
) {
    let mut input = std::pin::pin!(input);
    let mut decoder = Decoder::new();
    let mut streams: HashMap<u32, WriteHalf<DuplexStream>> = HashMap::new();
    while let Some(Ok(bytes)) = input.next().await {
        decoder.push(&bytes);
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "a SPDY connection was ended");
                    return;
                }
            };
            let answer = match frame {
                Frame::SynStream { stream, headers, fin } => {
                    let opened = open(stream, &headers, &streams, &frames, acceptor);
                    match opened {
                        Some(mut writer) => {
                            if fin {
                                let _gone = writer.shutdown().await;
                            }
                            streams.insert(stream, writer);
                            Some(Frame::SynReply {
                                stream,
                                headers: Headers::new(),
                            })
                        }
                        None => Some(Frame::RstStream {
                            stream,
                            status: REFUSED_STREAM,
                        }),
                    }
                }
                Frame::Data { stream, bytes, fin } => {
                    if let Some(writer) = streams.get_mut(&stream) {
                        // The owner may have gone: the client is told by the end of what it wrote.
                        let _gone = writer.write_all(&bytes).await;
                        if fin {
                            let _gone = writer.shutdown().await;
                            streams.remove(&stream);
                        }
                    }
                    None
                }
                Frame::RstStream { stream, .. } => {
                    streams.remove(&stream);
                    None
                }
                Frame::Ping(id) => Some(Frame::Ping(id)),
                Frame::GoAway => return,
                Frame::SynReply { .. } | Frame::Headers { .. } | Frame::Ignored => None,
            };
            if let Some(answer) = answer
                && frames.send(answer).await.is_err()
            {
                return;
            }
        }
    }
}

/// Opens a stream, if it is new and somebody takes it.
fn open(
    stream: u32,
    headers: &Headers,
    streams: &HashMap<u32, WriteHalf<DuplexStream>>,
    frames: &mpsc::Sender<Frame>,
    acceptor: &mut impl Acceptor,
) -> Option<WriteHalf<DuplexStream>> {
    if stream == 0 || streams.len() >= STREAMS_MAX || streams.contains_key(&stream) {
        return None;
    }
    let (ours, theirs) = tokio::io::duplex(STREAM_BUFFER);
    if !acceptor.accept(headers, theirs) {
        return None;
    }
    let (reader, writer) = split(ours);
    actix_rt::spawn(pump(stream, reader, frames.clone()));
    Some(writer)
}

/// What the owner of a stream writes, as frames.
async fn pump(stream: u32, mut reader: ReadHalf<DuplexStream>, frames: mpsc::Sender<Frame>) {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    loop {
        let frame = match reader.read_buf(&mut buffer).await {
            Ok(0) => Frame::Data {
                stream,
                bytes: Bytes::new(),
                fin: true,
            },
            Ok(_) => Frame::Data {
                stream,
                bytes: buffer.split().freeze(),
                fin: false,
            },
            Err(_) => Frame::RstStream {
                stream,
                status: CANCEL,
            },
        };
        let last = !matches!(frame, Frame::Data { fin: false, .. });
        if frames.send(frame).await.is_err() || last {
            return;
        }
        buffer.reserve(16 * 1024);
    }
}

/// The value of a header.
pub fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map_or("", |(_, value)| value)
}
