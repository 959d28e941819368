//! The root directory of FAT12 and FAT16 images: the floppy on which Ironic hands parameters to the agent
//! (`ironic: common/images.py`, `create_vfat_image`; layout: Microsoft's FAT specification).

use bytes::{Bytes, BytesMut};

use super::source::{ReadAt, ReadLimits, Source, SourceError, u16_at, u32_at};

/// Label of the floppy with the agent's parameters, in any case (`ipa: utils.py`).
pub const PARAMETERS_LABEL: &str = "ir-vfd-dev";

/// Size of a directory entry.
const ENTRY: usize = 32;

/// Most entries of a root directory: 16 KiB; floppies have 224.
const MOST_ENTRIES: u16 = 512;

/// First cluster numbers that make it FAT16 and FAT32.
const FAT12_CLUSTERS: u32 = 4085;
const FAT16_CLUSTERS: u32 = 65_525;

const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;

/// Why something could not be had from a floppy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloppyError<E> {
    /// A part of it could not be had.
    #[error(transparent)]
    Source(#[from] SourceError<E>),
    /// The boot sector is not that of a FAT12 or FAT16 file system.
    #[error("not a FAT12 or FAT16 file system")]
    NotFat,
    /// A chain of clusters leaves the file system, or is too short.
    #[error("the clusters of {name:?} are damaged")]
    Clusters {
        /// The file.
        name: Box<str>,
    },
    /// A file beyond the limit that the caller gave.
    #[error("{name:?} has {bytes} bytes, at most {limit}")]
    LargeFile {
        /// The file.
        name: Box<str>,
        /// Its size.
        bytes: u32,
        /// What the caller wanted at most.
        limit: u32,
    },
}

/// A file in the root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    long: Option<Box<str>>,
    short: Box<str>,
    cluster: u16,
    size: u32,
}

/// A floppy that has been opened.
#[derive(Debug)]
pub struct Floppy<R> {
    source: Source<R>,
    layout: Layout,
    label: Option<Box<str>>,
    files: Vec<File>,
}

/// Positions and sizes in bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    fat: u64,
    root: u64,
    root_entries: u16,
    data: u64,
    cluster_size: u32,
    clusters: u32,
}

impl<R: ReadAt> Floppy<R> {
    /// Reads the boot sector and the root directory.
    ///
    /// # Errors
    ///
    /// If it is no FAT12 or FAT16 file system, or cannot be read.
    pub async fn open(reader: R, limits: ReadLimits) -> Result<Self, FloppyError<R::Error>> {
        let mut source = Source::new(reader, limits);
        let boot = match source.get(0, 512).await {
            Err(SourceError::Truncated { .. }) => return Err(FloppyError::NotFat),
            other => other?,
        };
        let layout = layout(&boot).ok_or(FloppyError::NotFat)?;
        let length = u64::from(layout.root_entries) * ENTRY as u64;
        let root = source.get(layout.root, length).await?;
        let (label, files) = directory(&root);
        Ok(Self {
            source,
            layout,
            label,
            files,
        })
    }

    /// The volume label in the root directory, without padding.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether the agent takes its parameters from it.
    #[must_use]
    pub fn has_parameters_label(&self) -> bool {
        self.label()
            .is_some_and(|label| label.eq_ignore_ascii_case(PARAMETERS_LABEL))
    }

    /// The content of the file `name` in the root directory, in any case; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it has more than `limit` bytes, is damaged or cannot be read.
    pub async fn read(&mut self, name: &str, limit: u32) -> Result<Option<Bytes>, FloppyError<R::Error>> {
        let wanted = name.to_lowercase();
        let is = |own: &str| own.to_lowercase() == wanted;
        let Some(file) = self
            .files
            .iter()
            .find(|file| is(&file.short) || file.long.as_deref().is_some_and(is))
        else {
            return Ok(None);
        };
        let bytes = file.size;
        if bytes > limit {
            let name = name.into();
            return Err(FloppyError::LargeFile { name, bytes, limit });
        }
        let (mut content, mut cluster) = (BytesMut::new(), file.cluster);
        let (mut left, layout) = (bytes, self.layout);
        // Ends: each round takes at least a byte off what is left.
        while left > 0 {
            let index = u32::from(cluster).checked_sub(2);
            let index = index
                .filter(|index| *index < layout.clusters)
                .ok_or_else(|| FloppyError::Clusters { name: name.into() })?;
            let length = left.min(layout.cluster_size);
            let start = layout.data + u64::from(index) * u64::from(layout.cluster_size);
            content.extend_from_slice(&self.source.get(start, length.into()).await?);
            left -= length;
            cluster = self.next(cluster).await?;
        }
        Ok(Some(content.freeze()))
    }

    /// The cluster after `cluster` in its chain.
    async fn next(&mut self, cluster: u16) -> Result<u16, SourceError<R::Error>> {
        let wide = self.layout.clusters >= FAT12_CLUSTERS;
        let number = u64::from(cluster);
        let at = self.layout.fat + if wide { number * 2 } else { number + number / 2 };
        let pair = self.source.get(at, 2).await?;
        let pair = u16_at(&pair, 0).unwrap_or_default();
        Ok(match (wide, cluster % 2) {
            (true, _) => pair,
            (false, 0) => pair & 0x0fff,
            (false, _) => pair >> 4,
        })
    }
}

fn layout(boot: &[u8]) -> Option<Layout> {
    if boot.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let sector = u64::from(u16_at(boot, 11)?);
    let per_cluster = *boot.get(13)?;
    let root_entries = u16_at(boot, 17)?;
    let per_fat = u64::from(u16_at(boot, 22)?);
    let total = match u16_at(boot, 19)? {
        0 => u64::from(u32_at(boot, 32)?),
        small => u64::from(small),
    };
    let good = matches!(sector, 512 | 1024 | 2048 | 4096) && per_cluster.is_power_of_two() && per_fat > 0;
    if !good || root_entries == 0 || root_entries > MOST_ENTRIES {
        return None;
    }
    let fat = u64::from(u16_at(boot, 14)?);
    let root = fat + u64::from(*boot.get(16)?) * per_fat;
    let data = root + (u64::from(root_entries) * ENTRY as u64).div_ceil(sector);
    let clusters = total.checked_sub(data)? / u64::from(per_cluster);
    let clusters = u32::try_from(clusters)
        .ok()
        .filter(|clusters| *clusters < FAT16_CLUSTERS)?;
    Some(Layout {
        fat: fat * sector,
        root: root * sector,
        root_entries,
        data: data * sector,
        cluster_size: u32::from(per_cluster) * u32::try_from(sector).ok()?,
        clusters,
    })
}

/// Label and files in a root directory.
fn directory(root: &[u8]) -> (Option<Box<str>>, Vec<File>) {
    let (mut label, mut files) = (None, Vec::new());
    let mut long = LongName::default();
    for entry in root.chunks_exact(ENTRY) {
        let (Some(&start), Some(&attributes), Some(name)) = (entry.first(), entry.get(11), entry.get(..11))
        else {
            break;
        };
        match (start, attributes) {
            (0, _) => break,
            (0xe5, _) => long = LongName::default(),
            (_, ATTRIBUTE_LONG_NAME) => long.take(entry),
            (_, kind) if kind & ATTRIBUTE_VOLUME != 0 => {
                label = label.or_else(|| Some(text(name).trim_end().into()));
                long = LongName::default();
            }
            (_, kind) if kind & ATTRIBUTE_DIRECTORY != 0 => long = LongName::default(),
            _ => files.push(File {
                long: std::mem::take(&mut long).finish(name),
                short: short(name),
                cluster: u16_at(entry, 26).unwrap_or_default(),
                size: u32_at(entry, 28).unwrap_or_default(),
            }),
        }
    }
    (label, files)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `PARAME~1TXT` is `PARAME~1.TXT`.
fn short(name: &[u8]) -> Box<str> {
    let (base, ending) = name.split_at_checked(8).unwrap_or((name, &[]));
    let (base, ending) = (text(base), text(ending));
    match (base.trim_end(), ending.trim_end()) {
        (base, "") => base.into(),
        (base, ending) => format!("{base}.{ending}").into(),
    }
}

/// A long name, whose parts come before the file's own entry, the last part first.
#[derive(Default)]
struct LongName {
    /// Parts so far, in the order of the directory.
    parts: Vec<[u16; 13]>,
    checksum: u8,
    /// Number of the part that must come next; 0: the file itself.
    expected: u8,
}

impl LongName {
    fn take(&mut self, entry: &[u8]) {
        const LAST: u8 = 0x40;
        const MOST_PARTS: u8 = 20;
        let (Some(&order), Some(&checksum)) = (entry.first(), entry.get(13)) else {
            return;
        };
        let number = order & !LAST;
        if order & LAST != 0 && (1..=MOST_PARTS).contains(&number) {
            *self = Self {
                parts: Vec::new(),
                checksum,
                expected: number,
            };
        }
        if self.expected == 0 || number != self.expected || checksum != self.checksum {
            *self = Self::default();
            return;
        }
        self.expected -= 1;
        let mut part = [0; 13];
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]);
        for (unit, at) in part.iter_mut().zip(places) {
            *unit = u16_at(entry, at).unwrap_or_default();
        }
        self.parts.push(part);
    }

    /// The whole name, if it is that of the file with this short name.
    fn finish(self, short: &[u8]) -> Option<Box<str>> {
        let sum = short
            .iter()
            .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.parts.is_empty() || self.expected != 0 || self.checksum != sum {
            return None;
        }
        let units = self
            .parts
            .iter()
            .rev()
            .flatten()
            .copied()
            .take_while(|unit| *unit != 0);
        let name: Result<String, _> = char::decode_utf16(units).collect();
        name.ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::boot::source::InMemory;

    /// What `mkfs.vfat -C -n ir-vfd-dev IMAGE 1440` and `mcopy parameters.txt` write, with `content` in clusters 2, 4 and 3.
    fn floppy(content: &[u8]) -> Vec<u8> {
        let mut image = vec![0_u8; 1440 << 10];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(
            0,
            b"\xeb\x3c\x90mkfs.fat\0\x02\x01\x01\0\x02\xe0\0\x40\x0b\xf0\x09\0\x12\0\x02\0",
        );
        put(510, b"\x55\xaa");
        // 2 -> 4, 3 is the last, 4 -> 3.
        put(512, b"\xf0\xff\xff\x04\xf0\xff\x03\x00");
        put(0x2600, b"ir-vfd-dev \x08");
        put(0x2620, b"Bt\0\0\0\xff\xff\xff\xff\xff\xff\x0f\0J\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\xff\xff\xff\xff");
        put(0x2640, b"\x01p\0a\0r\0a\0m\0\x0f\0Je\0t\0e\0r\0s\0.\0\0\0t\0x\0");
        put(
            0x2660,
            b"PARAME~1TXT \0\0\x19\x11\x77\x5d\x77\x5d\0\0\x19\x11\x77\x5d\x02\0",
        );
        put(0x267c, &u32::try_from(content.len()).unwrap().to_le_bytes());
        for (part, cluster) in content.chunks(512).zip([2, 4, 3]) {
            put(0x4200 + (cluster - 2) * 512, part);
        }
        image
    }

    fn open(image: Vec<u8>) -> Result<Floppy<InMemory>, String> {
        let opened = Floppy::open(InMemory(image.into()), ReadLimits::default()).now_or_never();
        opened.unwrap().map_err(|error| error.to_string())
    }

    fn read(image: Vec<u8>, name: &str, limit: u32) -> Result<Option<Bytes>, String> {
        let read = open(image)?.read(name, limit).now_or_never().unwrap();
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_by_long_and_by_short_name() {
        let content: Vec<u8> = (0..1300_u32).map(|at| (at % 251) as u8).collect();
        let image = floppy(&content);
        let floppy = open(image.clone()).unwrap();
        assert_eq!(floppy.label(), Some("ir-vfd-dev"));
        assert!(floppy.has_parameters_label());
        for name in ["parameters.txt", "PARAMETERS.TXT", "parame~1.txt"] {
            assert_eq!(
                read(image.clone(), name, 1300).unwrap().unwrap(),
                content,
                "{name}"
            );
        }
        assert_eq!(read(image.clone(), "other.txt", 1300), Ok(None));
        assert!(
            read(image, "parameters.txt", 1299)
                .unwrap_err()
                .contains("1300 bytes")
        );
    }

    #[test]
    fn chains_that_leave_the_file_system_and_names_of_others() {
        let mut image = floppy(&[b'x'; 1300]);
        image[512 + 3] = 0xff;
        assert!(
            read(image, "parameters.txt", 4096)
                .unwrap_err()
                .contains("clusters")
        );
        let mut image = floppy(b"x");
        image[0x2660] = b'Q';
        assert_eq!(read(image, "parameters.txt", 4096), Ok(None));
    }

    #[test]
    fn what_is_no_floppy() {
        for image in [vec![], vec![0; 511], vec![0; 4096], vec![0xff; 4096]] {
            assert!(open(image).unwrap_err().contains("not a FAT"));
        }
        let mut cut = floppy(b"x");
        cut.truncate(0x2700);
        assert!(open(cut).unwrap_err().contains("image ends"));
    }

    proptest::proptest! {
        #[test]
        fn damage_is_never_a_panic(changes in proptest::collection::vec((0..0x4400_usize, proptest::num::u8::ANY), 1..20)) {
            let mut image = floppy(&[b'x'; 1300]);
            for (at, byte) in changes {
                // Where structures are dense, more is hit.
                image[if at % 3 == 0 { at % 64 } else { at }] = byte;
            }
            let _ = read(image, "parameters.txt", 1 << 20);
        }
    }
}
