//! The bytes of an image: a function of its name and the position, so that any part can be made at once.

use metalsim_actors::seed::Seed;
use sha2::{Digest as _, Sha256};

/// Bytes of one draw.
const WORD: u64 = 8;

/// An image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    seed: Seed,
    size: u64,
}

impl Content {
    /// The image `name` of `size` bytes. A longer one of the same name begins with the same bytes.
    pub(super) fn new(name: &str, size: u64) -> Self {
        Self {
            seed: Seed::root(0).child("image").child(name),
            size,
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// `length` bytes from `start`; fewer at the end.
    pub(super) fn read(&self, start: u64, length: u64) -> Vec<u8> {
        let end = start.saturating_add(length).min(self.size);
        let skip = usize::try_from(start % WORD).unwrap_or_default();
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or_default();
        let words = (start / WORD)..end.div_ceil(WORD);
        let bytes = words.flat_map(|word| self.seed.indexed(word).value().to_le_bytes());
        bytes.skip(skip).take(length).collect()
    }

    /// Checksum in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        const PIECE: u64 = 1024 * 1024;
        let mut hash = Sha256::new();
        let mut at = 0;
        while at < self.size {
            hash.update(self.read(at, PIECE));
            at += PIECE;
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_whole() {
        let content = Content::new("a.raw", 1000);
        let whole = content.read(0, 2000);
        assert_eq!(whole.len(), 1000);
        for (start, length) in [(0, 1), (3, 10), (8, 8), (990, 100), (1000, 5), (2000, 5)] {
            let end = (start + length).min(1000);
            let expected = whole.get(start..end).unwrap_or_default();
            assert_eq!(
                content.read(start as u64, length as u64),
                expected,
                "{start} {length}"
            );
        }
        assert_ne!(whole, Content::new("b.raw", 1000).read(0, 1000));
        assert_eq!(content.sha256().len(), 64);
    }
}
