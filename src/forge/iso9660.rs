//! A writer of small ISO 9660 images with Joliet names (ECMA-119; Joliet specification): files in one folder two levels deep.
//!
//! Names are as they are given, in lower case and with more than eight letters, in both trees, as genisoimage writes a
//! config drive; Ironic looks files up by these names (ironic: `conductor/configdrive_utils.py`).

use super::ForgeError;

const SECTOR: usize = 2048;
/// First sectors of what an image has. A folder and a path table fit into one each.
const FIRST_DESCRIPTOR: usize = 16;
const TABLES: u32 = 19;
const FOLDERS: u32 = 23;
const FILES: u32 = 29;
/// Folders of each tree: the root and two below each other.
const DEPTH: u32 = 3;
/// 1 January 1970 in Greenwich (ECMA-119, 9.1.5): the same files make the same image.
const DATE: [u8; 7] = [70, 1, 1, 0, 0, 0, 0];
/// Not known (ECMA-119, 8.4.26.1).
const NO_DATE: [u8; 17] = *b"0000000000000000\0";
const FOLDER: u8 = 2;
/// Level 3 of UCS-2 (Joliet specification, "SVD escape sequences").
const JOLIET: [u8; 3] = *b"%/E";

/// A file's name and content.
pub type File<'a> = (&'a str, &'a [u8]);

/// One of the two trees of names over the same files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Primary,
    Joliet,
}

/// Where something is, and how many bytes it has.
#[derive(Clone, Copy)]
struct Extent {
    sector: u32,
    length: u32,
}

/// An image with the volume id, the folders within each other, and the files in the inner one.
///
/// # Errors
/// More than four gigabytes, or more files than fit into a sector of names.
pub fn image(volume: &str, folders: [&str; 2], files: &[File<'_>]) -> Result<Vec<u8>, ForgeError> {
    let too_large = || ForgeError::Document("the config drive is too large".into());
    let mut extents = Vec::new();
    let mut sector = FILES;
    for (_, content) in files {
        let length = u32::try_from(content.len()).map_err(|_| too_large())?;
        extents.push(Extent { sector, length });
        sector = sector
            .checked_add(length.div_ceil(SECTOR as u32))
            .ok_or_else(too_large)?;
    }
    let mut image = vec![0; FIRST_DESCRIPTOR * SECTOR];
    let mut put = |part: Vec<u8>| -> Result<(), ForgeError> {
        let mut part = part;
        if part.len() > SECTOR {
            return Err(too_large());
        }
        part.resize(SECTOR, 0);
        image.extend(part);
        Ok(())
    };
    let trees = [Tree::Primary, Tree::Joliet];
    for tree in trees {
        put(tree.descriptor(volume, folders, sector))?;
    }
    put(b"\xffCD001\x01".to_vec())?;
    for tree in trees {
        put(tree.path_table(folders, u32::to_le_bytes, u16::to_le_bytes))?;
        put(tree.path_table(folders, u32::to_be_bytes, u16::to_be_bytes))?;
    }
    for tree in trees {
        put(tree.folder(0, &[tree.record(tree.place(1), FOLDER, &tree.name(folders[0]))]))?;
        put(tree.folder(1, &[tree.record(tree.place(2), FOLDER, &tree.name(folders[1]))]))?;
        let records: Vec<Vec<u8>> = files
            .iter()
            .zip(&extents)
            .map(|((name, _), extent)| tree.record(*extent, 0, &tree.file_name(name)))
            .collect();
        put(tree.folder(2, &records))?;
    }
    for (_, content) in files {
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(SECTOR), 0);
    }
    Ok(image)
}

fn both32(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

impl Tree {
    /// A folder by its depth.
    fn place(self, depth: u32) -> Extent {
        let first = match self {
            Self::Primary => FOLDERS,
            Self::Joliet => FOLDERS + DEPTH,
        };
        Extent {
            sector: first + depth,
            length: SECTOR as u32,
        }
    }

    fn name(self, name: &str) -> Vec<u8> {
        match self {
            Self::Primary => name.as_bytes().to_vec(),
            Self::Joliet => name.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    /// A file's name: in the primary tree with a dot and a version (ECMA-119, 7.5.1), otherwise bare, as genisoimage has it.
    fn file_name(self, name: &str) -> Vec<u8> {
        match self {
            Self::Primary if name.contains('.') => self.name(&format!("{name};1")),
            Self::Primary => self.name(&format!("{name}.;1")),
            Self::Joliet => self.name(name),
        }
    }

    /// A text of fixed length, with spaces behind it.
    fn text(self, text: &str, length: usize) -> Vec<u8> {
        let mut bytes = self.name(text);
        bytes.truncate(length);
        while bytes.len() < length {
            bytes.extend(self.name(" "));
        }
        bytes.truncate(length);
        bytes
    }

    /// A directory record (ECMA-119, 9.1).
    fn record(self, extent: Extent, flags: u8, name: &[u8]) -> Vec<u8> {
        let mut record = vec![0, 0];
        record.extend(both32(extent.sector));
        record.extend(both32(extent.length));
        record.extend(DATE);
        record.extend([flags, 0, 0]);
        record.extend(both16(1));
        // Names are constants of a few letters.
        record.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        record.extend_from_slice(name);
        if record.len() % 2 == 1 {
            record.push(0);
        }
        let length = u8::try_from(record.len()).unwrap_or(u8::MAX);
        if let Some(first) = record.first_mut() {
            *first = length;
        }
        record
    }

    /// A folder: itself, the one above it, and what is in it.
    fn folder(self, depth: u32, records: &[Vec<u8>]) -> Vec<u8> {
        let mut folder = self.record(self.place(depth), FOLDER, &[0]);
        folder.extend(self.record(self.place(depth.saturating_sub(1)), FOLDER, &[1]));
        folder.extend(records.concat());
        folder
    }

    /// The path table (ECMA-119, 9.4) in one order of bytes.
    fn path_table(self, folders: [&str; 2], long: fn(u32) -> [u8; 4], short: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let names = [vec![0], self.name(folders[0]), self.name(folders[1])];
        let mut table = Vec::new();
        // The root is its own parent.
        for ((depth, name), parent) in (0..DEPTH).zip(names).zip([1, 1, 2]) {
            table.extend([u8::try_from(name.len()).unwrap_or(u8::MAX), 0]);
            table.extend(long(self.place(depth).sector));
            table.extend(short(parent));
            table.extend(&name);
            if name.len() % 2 == 1 {
                table.push(0);
            }
        }
        table
    }

    /// The volume descriptor (ECMA-119, 8.4 and 8.5).
    fn descriptor(self, volume: &str, folders: [&str; 2], sectors: u32) -> Vec<u8> {
        let (kind, escapes, tables) = match self {
            Self::Primary => (1, [0; 3], TABLES),
            Self::Joliet => (2, JOLIET, TABLES + 2),
        };
        let table = self.path_table(folders, u32::to_le_bytes, u16::to_le_bytes);
        let mut bytes = vec![kind];
        bytes.extend(b"CD001\x01\0");
        bytes.extend(self.text("", 32));
        bytes.extend(self.text(volume, 32));
        bytes.extend([0; 8]);
        bytes.extend(both32(sectors));
        bytes.extend(escapes);
        bytes.extend([0; 29]);
        bytes.extend(both16(1));
        bytes.extend(both16(1));
        bytes.extend(both16(SECTOR as u16));
        bytes.extend(both32(u32::try_from(table.len()).unwrap_or_default()));
        bytes.extend(tables.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((tables + 1).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.record(self.place(0), FOLDER, &[0]));
        // Volume set, publisher, preparer, application; then names of three files.
        bytes.extend(self.text("", 4 * 128));
        for _ in 0..3 {
            bytes.extend(self.text("", 37));
        }
        for _ in 0..4 {
            bytes.extend(NO_DATE);
        }
        bytes.push(1);
        bytes
    }
}
