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
    let mut streams = Streams::new();
    read(input, frames, &mut streams, &mut acceptor).await;
    // The owners of streams see their ends; when the last has let go, the writer ends.
    for (_, stream) in streams {
        end(stream).await;
    }
    drop(acceptor);
    let _ended = writer.await;
}

/// What the client writes goes here, by stream.
type Streams = HashMap<u32, WriteHalf<DuplexStream>>;

/// Tells the owner of a stream that nothing more comes. To let go of the half is not enough: the other half keeps the stream open.
async fn end(mut stream: WriteHalf<DuplexStream>) {
    // The owner may have gone.
    let _gone = stream.shutdown().await;
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
    streams: &mut Streams,
    acceptor: &mut impl Acceptor,
) {
    let mut input = std::pin::pin!(input);
    let mut decoder = Decoder::new();
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
                    let opened = open(stream, &headers, streams, &frames, acceptor);
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
                        if fin && let Some(writer) = streams.remove(&stream) {
                            end(writer).await;
                        }
                    }
                    None
                }
                Frame::RstStream { stream, .. } => {
                    if let Some(writer) = streams.remove(&stream) {
                        end(writer).await;
                    }
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
    streams: &Streams,
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Sends back what comes, until it ends.
    struct Echo;

    impl Acceptor for Echo {
        fn accept(&mut self, _: &Headers, stream: DuplexStream) -> bool {
            let (mut reader, mut writer) = split(stream);
            actix_rt::spawn(async move { tokio::io::copy(&mut reader, &mut writer).await });
            true
        }
    }

    fn opened() -> Vec<Frame> {
        let data = Frame::Data {
            stream: 1,
            bytes: Bytes::from_static(b"abc"),
            fin: false,
        };
        let open = Frame::SynStream {
            stream: 1,
            headers: vec![("streamtype".to_owned(), "data".to_owned())],
            fin: false,
        };
        vec![open, data]
    }

    fn sent(frames: &[Frame]) -> Result<Bytes, Infallible> {
        let (mut encoder, mut bytes) = (Encoder::new(), BytesMut::new());
        frames.iter().for_each(|frame| encoder.write(frame, &mut bytes));
        Ok(bytes.freeze())
    }

    #[actix_rt::test]
    async fn a_client_that_leaves_with_open_streams_leaves_nothing_behind() {
        for last in [None, Some(Frame::GoAway)] {
            let mut frames = opened();
            frames.extend(last);
            let (output, mut waiting) = mpsc::channel(16);
            let reading = async move { while waiting.recv().await.is_some() {} };
            let serving = serve(stream::iter([sent(&frames)]), output, Echo);
            let both = futures_util::future::join(serving, reading);
            tokio::time::timeout(PATIENCE, both).await.expect("it ends");
        }
    }

    #[actix_rt::test]
    async fn the_owner_of_a_stream_that_is_called_off_sees_its_end() {
        let mut frames = opened();
        frames.push(Frame::RstStream {
            stream: 1,
            status: CANCEL,
        });
        let (output, mut waiting) = mpsc::channel(16);
        // The connection stays open.
        let input = stream::iter([sent(&frames)]).chain(stream::pending());
        actix_rt::spawn(serve(input, output, Echo));
        let mut decoder = Decoder::new();
        let ended = async {
            loop {
                decoder.push(&waiting.recv().await.expect("the connection is open"));
                while let Some(frame) = decoder.next().expect("frames") {
                    if matches!(frame, Frame::Data { fin: true, .. }) {
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    }
}
