//! Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2), as far as Kubernetes' streams use them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary::DICTIONARY;

/// Largest frame that is read. Kubernetes' clients send data in pieces of at most 32 KiB.
const FRAME_MAX: usize = 1 << 20;
/// Largest header block, unpacked.
const HEADERS_MAX: usize = 64 * 1024;
/// Most headers of a block.
const HEADER_COUNT_MAX: u32 = 64;

/// Names and values of a header block; names in lower case.
pub(super) type Headers = Vec<(String, String)>;

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// A new stream.
    SynStream {
        stream: u32,
        headers: Headers,
        fin: bool,
    },
    /// It is accepted.
    SynReply { stream: u32, headers: Headers },
    /// More headers of a stream.
    Headers { stream: u32 },
    /// Bytes of a stream.
    Data { stream: u32, bytes: Bytes, fin: bool },
    /// A stream ends at once.
    RstStream { stream: u32, status: u32 },
    /// Life sign; to be sent back.
    Ping(u32),
    /// No more streams.
    GoAway,
    /// Settings and windows, which nobody heeds here: sockets push back.
    Ignored,
}

/// Status of a `RST_STREAM` that calls a stream off.
pub(super) const CANCEL: u32 = 5;
/// Status of a `RST_STREAM` that refuses a stream.
pub(super) const REFUSED_STREAM: u32 = 3;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;
/// Version 3 with the control bit.
const CONTROL: u16 = 0x8003;
const FIN: u8 = 1;

/// Why a connection cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// Another version, or no SPDY at all.
    #[error("not a SPDY/3 frame")]
    Version,
    /// A frame that is larger than any client sends.
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
    /// A frame that is too short for its type.
    #[error("a truncated frame of type {0}")]
    Truncated(u16),
    /// A header block that is not what the specification says.
    #[error("a malformed header block")]
    Headers,
}

/// Bytes to frames.
pub(super) struct Decoder {
    buffer: BytesMut,
    inflate: Decompress,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            inflate: Decompress::new(true),
        }
    }

    /// Takes bytes, whole frames or parts of them.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` until more bytes have come.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(mut head) = self.buffer.get(..8) else {
            return Ok(None);
        };
        let (first, second, rest) = (head.get_u16(), head.get_u16(), head.get_u32());
        let length = usize::try_from(rest & 0x00ff_ffff).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Err(FrameError::TooLarge(length));
        }
        if first & 0x8000 != 0 && first != CONTROL {
            return Err(FrameError::Version);
        }
        if self.buffer.len() < 8 + length {
            return Ok(None);
        }
        self.buffer.advance(8);
        let mut body = self.buffer.split_to(length).freeze();
        let fin = rest.to_be_bytes().first().is_some_and(|flags| flags & FIN != 0);
        if first & 0x8000 == 0 {
            let stream = (u32::from(first) << 16) | u32::from(second);
            return Ok(Some(Frame::Data {
                stream,
                bytes: body,
                fin,
            }));
        }
        let mut word = |needed: usize| {
            if body.len() < needed {
                return Err(FrameError::Truncated(second));
            }
            Ok(body.get_u32())
        };
        Ok(Some(match second {
            SYN_STREAM => {
                let stream = word(10)? & 0x7fff_ffff;
                let _associated = word(6)?;
                body.advance(2);
                Frame::SynStream {
                    stream,
                    headers: self.headers(&body)?,
                    fin,
                }
            }
            SYN_REPLY => {
                let stream = word(4)? & 0x7fff_ffff;
                Frame::SynReply {
                    stream,
                    headers: self.headers(&body)?,
                }
            }
            HEADERS => {
                let stream = word(4)? & 0x7fff_ffff;
                // Unread, but the one zlib stream of all blocks must go on.
                self.headers(&body)?;
                Frame::Headers { stream }
            }
            RST_STREAM => Frame::RstStream {
                stream: word(8)? & 0x7fff_ffff,
                status: word(4)?,
            },
            PING => Frame::Ping(word(4)?),
            GOAWAY => Frame::GoAway,
            SETTINGS | WINDOW_UPDATE => Frame::Ignored,
            _ => return Err(FrameError::Version),
        }))
    }

    /// Unpacks a header block. Blocks of one direction are one zlib stream.
    fn headers(&mut self, mut packed: &[u8]) -> Result<Headers, FrameError> {
        let mut plain = Vec::with_capacity(512);
        while !packed.is_empty() {
            if plain.len() == plain.capacity() {
                if plain.len() >= HEADERS_MAX {
                    return Err(FrameError::Headers);
                }
                plain.reserve(plain.len());
            }
            let before = (self.inflate.total_in(), plain.len());
            let result = self
                .inflate
                .decompress_vec(packed, &mut plain, FlushDecompress::Sync);
            let taken = usize::try_from(self.inflate.total_in() - before.0).unwrap_or(usize::MAX);
            packed = packed.get(taken..).unwrap_or_default();
            match result {
                Ok(Status::StreamEnd) => return Err(FrameError::Headers),
                Ok(_) if taken == 0 && plain.len() == before.1 && plain.len() < plain.capacity() => {
                    return Err(FrameError::Headers);
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate
                        .set_dictionary(&DICTIONARY)
                        .map_err(|_| FrameError::Headers)?;
                }
                Err(_) => return Err(FrameError::Headers),
            }
        }
        read_block(&plain)
    }
}

/// Reads an unpacked header block: count, then length and text of each name and value.
fn read_block(mut block: &[u8]) -> Result<Headers, FrameError> {
    if block.is_empty() {
        return Ok(Headers::new());
    }
    let number = |block: &mut &[u8]| {
        if block.len() < 4 {
            return Err(FrameError::Headers);
        }
        Ok(block.get_u32())
    };
    let count = number(&mut block)?;
    if count > HEADER_COUNT_MAX {
        return Err(FrameError::Headers);
    }
    let text = |block: &mut &[u8]| {
        let length = usize::try_from(number(block)?).map_err(|_| FrameError::Headers)?;
        let bytes = block.get(..length).ok_or(FrameError::Headers)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::Headers)?;
        block.advance(length);
        Ok(text)
    };
    (0..count)
        .map(|_| Ok((text(&mut block)?, text(&mut block)?)))
        .collect()
}

/// Frames to bytes.
pub(super) struct Encoder {
    deflate: Compress,
}

impl Encoder {
    pub(super) fn new() -> Self {
        let mut deflate = Compress::new(Compression::fast(), true);
        // A fresh stream takes any dictionary.
        let _adler = deflate.set_dictionary(&DICTIONARY);
        Self { deflate }
    }

    /// Appends a frame.
    pub(super) fn write(&mut self, frame: &Frame, out: &mut BytesMut) {
        match frame {
            Frame::Data { stream, bytes, fin } => {
                out.put_u32(stream & 0x7fff_ffff);
                put_length(out, if *fin { FIN } else { 0 }, bytes.len());
                out.extend_from_slice(bytes);
            }
            Frame::SynStream { stream, headers, fin } => {
                let block = self.block(headers);
                control(out, SYN_STREAM, if *fin { FIN } else { 0 }, 10 + block.len());
                out.put_u32(*stream);
                out.put_u32(0);
                out.put_u16(0);
                out.extend_from_slice(&block);
            }
            Frame::SynReply { stream, headers } => {
                let block = self.block(headers);
                control(out, SYN_REPLY, 0, 4 + block.len());
                out.put_u32(*stream);
                out.extend_from_slice(&block);
            }
            Frame::RstStream { stream, status } => {
                control(out, RST_STREAM, 0, 8);
                out.put_u32(*stream);
                out.put_u32(*status);
            }
            Frame::Ping(id) => {
                control(out, PING, 0, 4);
                out.put_u32(*id);
            }
            Frame::GoAway => {
                control(out, GOAWAY, 0, 8);
                out.put_u64(0);
            }
            // Never sent.
            Frame::Headers { .. } | Frame::Ignored => {}
        }
    }

    fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = BytesMut::new();
        let length = |text: usize| u32::try_from(text).unwrap_or(u32::MAX);
        plain.put_u32(length(headers.len()));
        for (name, value) in headers {
            for text in [name, value] {
                plain.put_u32(length(text.len()));
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let mut rest = &plain[..];
        loop {
            let before = self.deflate.total_in();
            let done = self
                .deflate
                .compress_vec(rest, &mut packed, FlushCompress::Sync)
                .is_err();
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if done || (rest.is_empty() && packed.len() < packed.capacity()) {
                return packed;
            }
            packed.reserve(64);
        }
    }
}

fn control(out: &mut BytesMut, kind: u16, flags: u8, length: usize) {
    out.put_u16(CONTROL);
    out.put_u16(kind);
    put_length(out, flags, length);
}

fn put_length(out: &mut BytesMut, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX) & 0x00ff_ffff;
    out.put_u32((u32::from(flags) << 24) | length);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(frames: &[Frame]) -> BytesMut {
        let mut encoder = Encoder::new();
        let mut bytes = BytesMut::new();
        for frame in frames {
            encoder.write(frame, &mut bytes);
        }
        bytes
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let headers = proptest::collection::vec(("[a-z-]{1,12}", "[ -~]{0,40}"), 0..5);
        let id = 1_u32..1000;
        prop_oneof![
            (id.clone(), headers.clone(), any::<bool>())
                .prop_map(|(stream, headers, fin)| { Frame::SynStream { stream, headers, fin } }),
            (id.clone(), headers).prop_map(|(stream, headers)| Frame::SynReply { stream, headers }),
            (
                id.clone(),
                proptest::collection::vec(any::<u8>(), 0..300),
                any::<bool>()
            )
                .prop_map(|(stream, bytes, fin)| Frame::Data {
                    stream,
                    bytes: bytes.into(),
                    fin
                }),
            (id, any::<u32>()).prop_map(|(stream, status)| Frame::RstStream { stream, status }),
            any::<u32>().prop_map(Frame::Ping),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_however_it_is_cut(
            frames in proptest::collection::vec(frame(), 0..12),
            cuts in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let bytes = sent(&frames);
            let mut decoder = Decoder::new();
            let mut read = Vec::new();
            let (mut rest, mut cut) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    read.push(frame);
                }
                rest = after;
            }
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn no_bytes_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }

        #[test]
        fn no_header_block_harms(block in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = BytesMut::new();
            control(&mut bytes, SYN_REPLY, 0, 4 + block.len());
            bytes.put_u32(1);
            bytes.extend_from_slice(&block);
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }

    #[test]
    fn a_packed_flood_is_cut_off() {
        let headers = vec![("a".to_owned(), "x".repeat(HEADERS_MAX * 4))];
        let bytes = sent(&[Frame::SynReply { stream: 1, headers }]);
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        assert_eq!(decoder.next(), Err(FrameError::Headers));
    }
}
