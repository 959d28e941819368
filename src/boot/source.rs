//! Reading parts of an image that is somewhere else, with limits.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

/// Something that bytes can be read from by position: an image behind a URL, or in memory.
pub trait ReadAt {
    /// Why a read failed.
    type Error: std::error::Error;

    /// Reads `range`. Less may come back only where the image ends.
    fn read_at(&mut self, range: Range<u64>) -> impl Future<Output = Result<Bytes, Self::Error>>;

    /// Size of the image in bytes, as far as known by now.
    fn size(&self) -> Option<u64>;
}

/// An image in memory.
#[derive(Clone, Debug, Default)]
pub struct InMemory(pub Bytes);

impl ReadAt for InMemory {
    type Error = std::convert::Infallible;

    async fn read_at(&mut self, range: Range<u64>) -> Result<Bytes, Self::Error> {
        let clip = |at: u64| usize::try_from(at).map_or(self.0.len(), |at| at.min(self.0.len()));
        let start = clip(range.start);
        Ok(self.0.slice(start..clip(range.end).max(start)))
    }

    fn size(&self) -> Option<u64> {
        u64::try_from(self.0.len()).ok()
    }
}

/// How much may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes in all reads together.
    pub bytes: u64,
    /// Reads.
    pub reads: u32,
}

impl Default for ReadLimits {
    /// 1 MiB in 128 reads: Ironic's images take some 100 KiB in 3 or 4 reads.
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            reads: 128,
        }
    }
}

/// Why a part of an image could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError<E> {
    /// The read failed.
    #[error("cannot read the image: {0}")]
    Read(E),
    /// More than [`ReadLimits`] allow.
    #[error("reading the image takes more than {} bytes or {} reads", .0.bytes, .0.reads)]
    TooMuch(ReadLimits),
    /// The image ends before what its structures point at.
    #[error("the image ends before byte {end}")]
    Truncated {
        /// Where the part that is missing ends.
        end: u64,
    },
}

/// What is read first, in one go: descriptors and directories of nearly all images are in it.
pub const HEAD: u64 = 64 << 10;

/// Reads start and end at multiples of this. Small files that are written together are near each other, and a request
/// costs more than some bytes more.
pub const BLOCK: u64 = 16 << 10;

/// Parts that are kept, besides the head.
const RECENT: usize = 4;

/// Largest part that is kept, in bytes.
const MOST_KEPT: usize = 64 << 10;

/// An image whose parts are read when needed: its head at first, and after that only what is not in it.
#[derive(Debug)]
pub struct Source<R> {
    reader: R,
    limits: ReadLimits,
    left: ReadLimits,
    head: Option<Bytes>,
    /// The last parts that were read, and where they start: directories and small files are read in turn.
    recent: VecDeque<(u64, Bytes)>,
}

impl<R: ReadAt> Source<R> {
    /// Reads from `reader`, within `limits`.
    pub fn new(reader: R, limits: ReadLimits) -> Self {
        Self {
            reader,
            limits,
            left: limits,
            head: None,
            recent: VecDeque::new(),
        }
    }

    /// Size of the image, as far as known by now.
    pub fn size(&self) -> Option<u64> {
        self.reader.size()
    }

    /// What has been read so far.
    pub fn used(&self) -> ReadLimits {
        ReadLimits {
            bytes: self.limits.bytes - self.left.bytes,
            reads: self.limits.reads - self.left.reads,
        }
    }

    /// `length` bytes from `start` on: all of them.
    ///
    /// # Errors
    ///
    /// If a read fails, if the image ends before, or if this would be more than the limits allow.
    pub async fn get(&mut self, start: u64, length: u64) -> Result<Bytes, SourceError<R::Error>> {
        let end = start
            .checked_add(length)
            .ok_or(SourceError::Truncated { end: u64::MAX })?;
        let head = match &self.head {
            Some(head) => head.clone(),
            None => {
                let head = self.fetch(0..HEAD.min(self.left.bytes)).await?;
                self.head = Some(head.clone());
                head
            }
        };
        let mut kept = std::iter::once((0, &head)).chain(self.recent.iter().map(|(at, bytes)| (*at, bytes)));
        if let Some(found) = kept.find_map(|(at, bytes)| part(at, bytes, start..end)) {
            return Ok(found);
        }
        if self.size().is_some_and(|size| end > size) {
            return Err(SourceError::Truncated { end });
        }
        let from = start - start % BLOCK;
        let to = end.checked_next_multiple_of(BLOCK).unwrap_or(end);
        let to = self.size().map_or(to, |size| to.min(size));
        let bytes = self.fetch(from..to).await?;
        let found = part(from, &bytes, start..end).ok_or(SourceError::Truncated { end })?;
        if bytes.len() <= MOST_KEPT {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front((from, bytes));
        }
        Ok(found)
    }

    async fn fetch(&mut self, range: Range<u64>) -> Result<Bytes, SourceError<R::Error>> {
        let length = range.end.saturating_sub(range.start);
        let left = self.left;
        let (Some(bytes), Some(reads)) = (left.bytes.checked_sub(length), left.reads.checked_sub(1)) else {
            return Err(SourceError::TooMuch(self.limits));
        };
        self.left = ReadLimits { bytes, reads };
        let mut bytes = self.reader.read_at(range).await.map_err(SourceError::Read)?;
        // Who sends more than asked for does not get it kept.
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(bytes)
    }
}

/// The part `range` of an image of which `bytes` start at `at`.
fn part(at: u64, bytes: &Bytes, range: Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(range.start.checked_sub(at)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(at)?).ok()?;
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

/// The little-endian number of 16 bits at `at`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let end = at.checked_add(2)?;
    Some(u16::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// The little-endian number of 32 bits at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Remembers the ranges that were asked for.
    struct Counted(InMemory, Vec<Range<u64>>, bool);

    impl ReadAt for Counted {
        type Error = std::convert::Infallible;

        async fn read_at(&mut self, range: Range<u64>) -> Result<Bytes, Self::Error> {
            self.1.push(range.clone());
            self.0.read_at(range).await
        }

        fn size(&self) -> Option<u64> {
            self.0.size().filter(|_| self.2)
        }
    }

    fn source(size: usize, knows: bool) -> Source<Counted> {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        Source::new(
            Counted(InMemory(bytes.into()), Vec::new(), knows),
            ReadLimits::default(),
        )
    }

    fn get(source: &mut Source<Counted>, start: u64, length: u64) -> Result<Bytes, String> {
        let got = source.get(start, length).now_or_never().unwrap();
        got.map_err(|error| error.to_string())
    }

    #[test]
    fn the_head_is_read_once_and_the_rest_by_blocks() {
        let mut source = source(200_001, true);
        for (start, length) in [(0, 1), (65_535, 1), (32_768, 2048), (70_000, 10), (70_100, 900)] {
            let got = get(&mut source, start, length).unwrap();
            let expected: Vec<u8> = (start..start + length).map(|at| (at % 251) as u8).collect();
            assert_eq!(got, expected);
        }
        assert_eq!(get(&mut source, 200_000, 1).unwrap().len(), 1);
        assert_eq!(source.reader.1, [0..65_536, 65_536..81_920, 196_608..200_001]);
        assert_eq!(source.used().reads, 3);
    }

    #[test]
    fn what_is_beyond_the_end_is_an_error() {
        for knows in [true, false] {
            let mut source = source(100_000, knows);
            for (start, length) in [
                (99_999, 2),
                (100_000, 1),
                (u64::MAX, 1),
                (u64::MAX - 1, 1),
                (u64::MAX, u64::MAX),
            ] {
                let error = get(&mut source, start, length).unwrap_err();
                assert!(
                    error.contains("the image ends") || error.contains("takes more"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn limits_are_kept() {
        let mut large = source(3 << 20, false);
        assert!(
            get(&mut large, 70_000, 2 << 20)
                .unwrap_err()
                .contains("1048576 bytes")
        );
        let mut at = HEAD;
        while get(&mut large, at, 1).is_ok() {
            at += BLOCK;
        }
        assert_eq!(large.used().bytes, 1 << 20);
        let mut twice = source(3 << 20, false);
        twice.left.reads = 2;
        assert!(get(&mut twice, 0, 1).is_ok() && get(&mut twice, HEAD, 1).is_ok());
        assert!(
            get(&mut twice, HEAD + BLOCK, 1)
                .unwrap_err()
                .contains("128 reads")
        );
        assert!(get(&mut twice, HEAD + BLOCK - 1, 1).is_ok());
    }
}
