//! Directory records (ECMA-119 section 9.1).

use super::Damage;
use super::volume::{Extent, SECTOR};
use crate::boot::source::u32_at;

/// Bytes of a record before its name.
const FIXED: usize = 33;

const FLAG_DIRECTORY: u8 = 0x02;
const FLAG_ASSOCIATED: u8 = 0x04;
const FLAG_MULTI_EXTENT: u8 = 0x80;

/// A directory record, in the directory that it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// Where its data are, after its extended attributes.
    pub(super) extent: Extent,
    flags: u8,
    /// File unit size or gap: its data are in pieces with other files' in between.
    pub(super) interleaved: bool,
    /// As stored.
    pub(super) name: &'a [u8],
    /// What follows the name: Rock Ridge.
    pub(super) system_use: &'a [u8],
}

impl Record<'_> {
    pub(super) fn is_directory(&self) -> bool {
        self.flags & FLAG_DIRECTORY != 0
    }

    /// More sections of the same file follow in the next records.
    pub(super) fn continues(&self) -> bool {
        self.flags & FLAG_MULTI_EXTENT != 0
    }

    /// Not a file of its own, such as a resource fork.
    pub(super) fn is_associated(&self) -> bool {
        self.flags & FLAG_ASSOCIATED != 0
    }

    /// `.`
    pub(super) fn is_self(&self) -> bool {
        self.name == [0]
    }

    /// `..`
    pub(super) fn is_parent(&self) -> bool {
        self.name == [1]
    }
}

/// The records of a directory with the content `directory`, in order. Ends after the first one that is damaged.
pub(super) fn records(directory: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Damage>> {
    let sector = SECTOR as usize;
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let length = usize::from(*directory.get(at)?);
            let in_sector = sector - at % sector;
            if length == 0 {
                // Records do not straddle sectors: the rest of this one is empty.
                at += in_sector;
                continue;
            }
            let bytes = (length <= in_sector).then(|| directory.get(at..at + length));
            let record = bytes.flatten().and_then(read).ok_or(Damage::Record(at));
            at = if record.is_ok() {
                at + length
            } else {
                directory.len()
            };
            return Some(record);
        }
    })
}

/// The first record of a directory: `.`.
pub(super) fn first(directory: &[u8]) -> Result<Record<'_>, Damage> {
    records(directory).next().unwrap_or(Err(Damage::Record(0)))
}

fn read(bytes: &[u8]) -> Option<Record<'_>> {
    let attributes = u32::from(*bytes.get(1)?);
    let name_end = FIXED.checked_add(usize::from(*bytes.get(32)?))?;
    let name = bytes.get(FIXED..name_end)?;
    if name.is_empty() {
        return None;
    }
    // A name of even length is followed by a byte that makes it odd.
    let system_use = bytes
        .get(name_end + usize::from(name.len().is_multiple_of(2))..)
        .unwrap_or_default();
    Some(Record {
        extent: Extent {
            block: u32_at(bytes, 2)?.checked_add(attributes)?,
            length: u32_at(bytes, 10)?,
        },
        flags: *bytes.get(25)?,
        interleaved: *bytes.get(26)? != 0 || *bytes.get(27)? != 0,
        name,
        system_use,
    })
}
