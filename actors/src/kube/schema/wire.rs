//! Protobuf's wire format: keys, numbers, lengths (protobuf.dev: "Encoding").

use thiserror::Error;

/// Bytes that are no message. The words are those of Go's generated decoders (gogo/protobuf: `plugin/unmarshal`).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WireError {
    /// The message ends within a value.
    #[error("unexpected EOF")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A length of 2^63 or more.
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    /// The end of a group that did not start.
    #[error("proto: unexpected end of group")]
    EndOfGroup,
    /// A field with number 0 or more than 29 bits.
    #[error("proto: illegal tag {number} (wire type {wire})")]
    IllegalTag {
        /// Number.
        number: u64,
        /// Wire type.
        wire: u8,
    },
    /// A wire type that does not exist.
    #[error("proto: illegal wireType {0}")]
    IllegalType(u8),
}

/// How a value is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WireType {
    /// A number of 1 to 10 bytes.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A length and that many bytes.
    Bytes,
    /// Start of a group, which no message here has.
    Group,
    /// End of a group.
    GroupEnd,
    /// Four bytes.
    Fixed32,
}

impl WireType {
    /// Its number.
    pub(super) const fn number(self) -> u8 {
        self as u8
    }
}

/// Reads a message.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Number and layout of the next field; `None` at the end of the message.
    pub(super) fn key(&mut self) -> Result<Option<(u32, WireType)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (number, wire) = (key >> 3, (key & 7) as u8);
        let wire_type = match wire {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::Group,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            other => return Err(WireError::IllegalType(other)),
        };
        match u32::try_from(number) {
            Ok(small) if small != 0 && small < 1 << 29 => Ok(Some((small, wire_type))),
            _ => Err(WireError::IllegalTag { number, wire }),
        }
    }

    /// A number.
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Overflow)
    }

    /// Eight bytes.
    pub(super) fn fixed64(&mut self) -> Result<u64, WireError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A length and that many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        if i64::try_from(length).is_err() {
            return Err(WireError::NegativeLength);
        }
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Leaves a value out.
    pub(super) fn skip(&mut self, wire: WireType) -> Result<(), WireError> {
        let mut depth = 0_u32;
        let mut wire = wire;
        loop {
            match wire {
                WireType::Varint => drop(self.varint()?),
                WireType::Fixed64 => drop(self.fixed64()?),
                WireType::Bytes => drop(self.bytes()?),
                WireType::Group => depth = depth.checked_add(1).ok_or(WireError::Overflow)?,
                WireType::GroupEnd => depth = depth.checked_sub(1).ok_or(WireError::EndOfGroup)?,
                WireType::Fixed32 => {
                    let (_, rest) = self.rest.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
                    self.rest = rest;
                }
            }
            if depth == 0 {
                return Ok(());
            }
            wire = self.key()?.ok_or(WireError::Truncated)?.1;
        }
    }
}

/// Writes a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Goes on after these bytes.
    pub(super) const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn raw_varint(&mut self, mut value: u64) {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                self.bytes.push(low);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }

    fn key(&mut self, number: u32, wire: WireType) {
        self.raw_varint(u64::from(number) << 3 | u64::from(wire.number()));
    }

    /// A number; negative ones as two's complement of 64 bits.
    pub(super) fn varint(&mut self, number: u32, value: i64) {
        self.key(number, WireType::Varint);
        self.raw_varint(value.cast_unsigned());
    }

    /// A floating-point number.
    pub(super) fn double(&mut self, number: u32, value: f64) {
        self.key(number, WireType::Fixed64);
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Text, bytes or a message.
    pub(super) fn put(&mut self, number: u32, value: &[u8]) {
        self.key(number, WireType::Bytes);
        self.raw_varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests;
