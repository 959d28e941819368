//! The system use area of directory records: System Use Sharing Protocol (IEEE P1281) and Rock Ridge (IEEE P1282).

use super::Damage;
use crate::boot::source::u32_at;

/// Longest name that is put together from several parts; file systems have 255 at most.
const MOST_NAME: usize = 1024;

const NAME_CONTINUES: u8 = 0x01;

/// Where the rest of a system use area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Continuation {
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// What the entries of a record say.
#[derive(Debug, Default)]
pub(super) struct SystemUse {
    /// `NM`: the name so far.
    name: Vec<u8>,
    name_done: bool,
    /// `CL`: this is really a directory, in the logical block given.
    pub(super) child: Option<u32>,
    /// `RE`: this directory only keeps others that were moved here.
    pub(super) relocated: bool,
}

impl SystemUse {
    /// The name, if one was given.
    pub(super) fn name(&self) -> Option<String> {
        (!self.name.is_empty()).then(|| String::from_utf8_lossy(&self.name).into_owned())
    }

    /// Takes the entries in `area`. Returns where they go on.
    pub(super) fn take(&mut self, area: &[u8]) -> Result<Option<Continuation>, Damage> {
        let mut next = None;
        let mut rest = area;
        // What is shorter than an entry's head is padding.
        while let [a, b, length, _version, ..] = *rest {
            let length = usize::from(length);
            let (Some(entry), Some(after)) = (rest.get(4..length), rest.get(length..)) else {
                // Padding, or an area that is not SUSP's. Linux stops here as well.
                break;
            };
            match &[a, b] {
                b"NM" => self.name_part(entry)?,
                b"CL" => self.child = Some(u32_at(entry, 0).ok_or(Damage::SystemUse)?),
                b"RE" => self.relocated = true,
                b"CE" => {
                    let number = |at| u32_at(entry, at).ok_or(Damage::SystemUse);
                    next = Some(Continuation {
                        block: number(0)?,
                        offset: number(8)?,
                        length: number(16)?,
                    });
                }
                b"ST" => break,
                _ => {}
            }
            rest = after;
        }
        Ok(next)
    }

    fn name_part(&mut self, entry: &[u8]) -> Result<(), Damage> {
        let (flags, part) = entry.split_first().ok_or(Damage::SystemUse)?;
        if self.name_done {
            return Ok(());
        }
        self.name.extend_from_slice(part);
        self.name_done = flags & NAME_CONTINUES == 0;
        if self.name.len() > MOST_NAME {
            return Err(Damage::Name);
        }
        Ok(())
    }
}

/// How many bytes to skip in each system use area, if the `.` record of the root directory says that there are any.
pub(super) fn announced(root: &[u8]) -> Option<usize> {
    // Before the entries there are 14 bytes in images for CD-ROM XA.
    [0_usize, 14].into_iter().find_map(|at| {
        let entry = root.get(at..at + 7)?;
        let (head, skip) = entry.split_at_checked(6)?;
        (head == b"SP\x07\x01\xbe\xef").then_some(usize::from(*skip.first()?))
    })
}
