//! Volume descriptors (ECMA-119 section 8; Joliet specification, "SVD identification").

use super::Damage;
use crate::boot::source::{u16_at, u32_at};

/// A volume descriptor's size, and the unit in which directory records do not straddle, in bytes.
pub(super) const SECTOR: u32 = 2048;

/// Where the volume descriptors start, in sectors.
pub(super) const FIRST_DESCRIPTOR: u32 = 16;

/// A part of an image: a whole file or directory, or a section of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// First logical block.
    pub(super) block: u32,
    /// Length in bytes.
    pub(super) length: u32,
}

/// A volume descriptor.
#[derive(Debug)]
pub(super) enum Descriptor {
    /// Type 0, of El Torito.
    Boot,
    /// Type 1.
    Primary(Volume),
    /// Type 2 with an escape sequence of Joliet.
    Joliet(Volume),
    /// Type 255: there are no more.
    Terminator,
    /// Of no concern.
    Other,
}

/// What a primary or supplementary descriptor says.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) volume_id: Box<str>,
    pub(super) publisher_id: Box<str>,
    /// Size of a logical block in bytes: 512, 1024 or 2048.
    pub(super) block_size: u32,
    pub(super) root: Extent,
}

/// Reads the descriptor in `sector`.
pub(super) fn read(sector: &[u8]) -> Result<Descriptor, Damage> {
    if sector.get(1..6) != Some(b"CD001") {
        return Err(Damage::NotIso9660);
    }
    match sector.first().copied() {
        Some(0) if sector.get(7..30) == Some(b"EL TORITO SPECIFICATION") => Ok(Descriptor::Boot),
        Some(1) => volume(sector, latin).map(Descriptor::Primary),
        Some(2) if matches!(sector.get(88..91), Some(b"%/@" | b"%/C" | b"%/E")) => {
            volume(sector, ucs2).map(Descriptor::Joliet)
        }
        Some(255) => Ok(Descriptor::Terminator),
        _ => Ok(Descriptor::Other),
    }
}

fn volume(sector: &[u8], text: fn(&[u8]) -> String) -> Result<Volume, Damage> {
    let read = || -> Option<Volume> {
        let trimmed = |from: usize, to: usize| -> Option<Box<str>> {
            Some(text(sector.get(from..to)?).trim_matches([' ', '\0']).into())
        };
        Some(Volume {
            volume_id: trimmed(40, 72)?,
            publisher_id: trimmed(318, 446)?,
            block_size: u32::from(u16_at(sector, 128)?),
            root: Extent {
                block: u32_at(sector, 158)?,
                length: u32_at(sector, 166)?,
            },
        })
    };
    let volume = read().ok_or(Damage::Descriptor)?;
    if !matches!(volume.block_size, 512 | 1024 | SECTOR) {
        return Err(Damage::BlockSize(volume.block_size));
    }
    Ok(volume)
}

/// Text in one byte a character. Rock Ridge names are UTF-8 in practice, and the rest should be ASCII.
pub(super) fn latin(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Text in big-endian UCS-2, or UTF-16.
pub(super) fn ucs2(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    char::decode_utf16(units.map(u16::from_be_bytes))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
