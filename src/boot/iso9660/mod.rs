//! ISO 9660 images (ECMA-119) with Joliet and Rock Ridge, read by parts.
//!
//! Only what is asked for is read: descriptors and directories, which nearly always are in the first 64 KiB, and
//! then the files. Directories that were moved to where they are less deep (Rock Ridge's `CL` and `RE`) appear where
//! they belong. Of an image with several sessions the descriptors at sector 16 count: xorriso writes those of the
//! newest session there too.
//!
//! ```
//! use metalsim::boot::iso9660::{Image, Limits};
//! use metalsim::boot::source::InMemory;
//!
//! async fn hostname(bytes: bytes::Bytes) -> Option<bytes::Bytes> {
//!     let mut image = Image::open(InMemory(bytes), Limits::default()).await.ok()?;
//!     let file = image.find("etc/hostname").await.ok()??;
//!     image.read(&file, 4096).await.ok()
//! }
//! ```

mod record;
mod susp;
mod volume;

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use super::source::{ReadAt, ReadLimits, Source, SourceError};
use record::{Record, first, records};
use susp::{SystemUse, announced};
use volume::{Descriptor, Extent, FIRST_DESCRIPTOR, SECTOR, Volume};

/// Volume descriptors that are looked at.
const MOST_DESCRIPTORS: u32 = 32;

/// Continuations of one record's system use area.
const MOST_CONTINUATIONS: usize = 32;

/// Sections of one file; each can have 4 GiB.
const MOST_EXTENTS: usize = 256;

/// What a hostile image may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What may be read.
    pub read: ReadLimits,
    /// Bytes of one directory.
    pub directory: u32,
    /// Entries of one directory.
    pub entries: usize,
    /// Directories on the way to a file.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: ReadLimits::default(),
            directory: 256 << 10,
            entries: 4096,
            depth: 32,
        }
    }
}

/// Which set of names an image is read by. Linux takes the first that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameSpace {
    /// POSIX names.
    RockRidge,
    /// Unicode names of up to 64 characters, or 103 with some programs.
    Joliet,
    /// Upper-case names, which are shown in lower case and without version.
    Plain,
}

/// What is wrong with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// There is no volume descriptor where one should be.
    #[error("it has no ISO 9660 volume descriptors")]
    NotIso9660,
    /// No primary descriptor before the last one.
    #[error("it has no primary volume descriptor")]
    NoPrimary,
    /// A descriptor without what it must have.
    #[error("a volume descriptor is damaged")]
    Descriptor,
    /// Neither 512, 1024 nor 2048.
    #[error("its logical blocks have {0} bytes")]
    BlockSize(u32),
    /// A directory record.
    #[error("the directory record at byte {0} of a directory is damaged")]
    Record(usize),
    /// Rock Ridge.
    #[error("a system use entry is damaged")]
    SystemUse,
    /// Too long.
    #[error("a name is too long")]
    Name,
    /// A file's sections do not end, or are of different kinds.
    #[error("the sections of a file are damaged")]
    Sections,
    /// A directory that contains itself.
    #[error("a directory contains itself")]
    Loop,
}

/// Why something could not be had from an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsoError<E> {
    /// A part of it could not be had.
    #[error(transparent)]
    Source(#[from] SourceError<E>),
    /// Its structures are wrong.
    #[error("not a good ISO 9660 image: {0}")]
    Damaged(#[from] Damage),
    /// A directory beyond [`Limits::directory`] or [`Limits::entries`].
    #[error("a directory of {bytes} bytes is too large, or has too many entries")]
    LargeDirectory {
        /// Its size.
        bytes: u64,
    },
    /// A file beyond the limit that the caller gave.
    #[error("a file of {bytes} bytes is larger than {limit}")]
    LargeFile {
        /// Its size.
        bytes: u64,
        /// What the caller wanted at most.
        limit: u64,
    },
    /// More directories than [`Limits::depth`].
    #[error("the path has too many directories")]
    Depth,
    /// A directory was expected, or a file.
    #[error("that is a {}", if *.directory { "directory" } else { "file" })]
    Kind {
        /// What it is.
        directory: bool,
    },
    /// Files whose pieces are mixed with those of others. No program makes them.
    #[error("interleaved files are not supported")]
    Interleaved,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    name: Box<str>,
    directory: bool,
    extents: Vec<Extent>,
    interleaved: bool,
}

impl Entry {
    /// Its name, in the image's name space.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.length)).sum()
    }
}

/// An image that has been opened.
#[derive(Debug)]
pub struct Image<R> {
    source: Source<R>,
    limits: Limits,
    primary: Volume,
    joliet: Option<Volume>,
    /// There is Rock Ridge; this many bytes of each system use area are not part of it.
    rock_ridge: Option<usize>,
    name_space: NameSpace,
    bootable: bool,
}

impl<R: ReadAt> Image<R> {
    /// Reads the descriptors.
    ///
    /// # Errors
    ///
    /// If it is not an ISO 9660 image, or parts of it cannot be read.
    pub async fn open(reader: R, limits: Limits) -> Result<Self, IsoError<R::Error>> {
        let mut source = Source::new(reader, limits.read);
        let (mut primary, mut joliet, mut bootable) = (None, None, false);
        for at in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
            let sector = source.get(u64::from(at) * u64::from(SECTOR), SECTOR.into()).await;
            let sector = match sector {
                // Too short for a descriptor is what most things are that are no image at all.
                Err(SourceError::Truncated { .. }) if at == FIRST_DESCRIPTOR => {
                    return Err(Damage::NotIso9660.into());
                }
                other => other?,
            };
            match volume::read(&sector)? {
                Descriptor::Boot => bootable = true,
                Descriptor::Primary(volume) => primary = primary.or(Some(volume)),
                Descriptor::Joliet(volume) => joliet = joliet.or(Some(volume)),
                Descriptor::Terminator => break,
                Descriptor::Other => {}
            }
        }
        let mut image = Self {
            source,
            limits,
            primary: primary.ok_or(Damage::NoPrimary)?,
            joliet,
            rock_ridge: None,
            name_space: NameSpace::Plain,
            bootable,
        };
        // Only the first sector is needed: the root directory may be large, and its limit matters when it is listed.
        let root = image.primary.root;
        let start = image.position(root.block);
        let sector = image.source.get(start, root.length.min(SECTOR).into()).await?;
        image.rock_ridge = announced(first(&sector)?.system_use);
        image.name_space = image.name_spaces().next().unwrap_or(NameSpace::Plain);
        Ok(image)
    }

    /// Volume id, without padding.
    #[must_use]
    pub fn volume_id(&self) -> &str {
        &self.primary.volume_id
    }

    /// Publisher id, without padding.
    #[must_use]
    pub fn publisher_id(&self) -> &str {
        &self.primary.publisher_id
    }

    /// Whether there is a boot record of El Torito.
    #[must_use]
    pub fn is_bootable(&self) -> bool {
        self.bootable
    }

    /// The sets of names that it has, in the order in which Linux prefers them.
    pub fn name_spaces(&self) -> impl Iterator<Item = NameSpace> + use<R> {
        let rock_ridge = self.rock_ridge.map(|_| NameSpace::RockRidge);
        let joliet = self.joliet.as_ref().map(|_| NameSpace::Joliet);
        [rock_ridge, joliet, Some(NameSpace::Plain)].into_iter().flatten()
    }

    /// The set of names that is used.
    #[must_use]
    pub fn name_space(&self) -> NameSpace {
        self.name_space
    }

    /// Uses another set of names. Returns whether the image has it.
    pub fn use_name_space(&mut self, name_space: NameSpace) -> bool {
        let has = self.name_spaces().any(|one| one == name_space);
        if has {
            self.name_space = name_space;
        }
        has
    }

    /// What has been read so far.
    pub fn used(&self) -> ReadLimits {
        self.source.used()
    }

    /// The root directory. Its name is empty.
    #[must_use]
    pub fn root(&self) -> Entry {
        Entry {
            name: "".into(),
            directory: true,
            extents: vec![self.volume().root],
            interleaved: false,
        }
    }

    /// The file or directory at `path`, whose names are separated by slashes. Upper and lower case do not matter,
    /// except where they tell two names apart. `None` if there is nothing there.
    ///
    /// # Errors
    ///
    /// If the directories on the way are damaged, too large or cannot be read.
    pub async fn find(&mut self, path: &str) -> Result<Option<Entry>, IsoError<R::Error>> {
        let mut at = self.root();
        let mut seen = BTreeSet::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !at.directory {
                return Ok(None);
            }
            if seen.len() == self.limits.depth {
                return Err(IsoError::Depth);
            }
            if at
                .extents
                .first()
                .is_some_and(|extent| !seen.insert(extent.block))
            {
                return Err(Damage::Loop.into());
            }
            let mut entries = self.list(&at).await?;
            let lower = name.to_lowercase();
            let exact = entries.iter().position(|entry| *entry.name == *name);
            let found = exact.or_else(|| {
                entries
                    .iter()
                    .position(|entry| entry.name.to_lowercase() == lower)
            });
            match found {
                Some(index) => at = entries.swap_remove(index),
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// What is in a directory, in the image's order, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// If it is no directory, damaged, too large or cannot be read.
    pub async fn list(&mut self, directory: &Entry) -> Result<Vec<Entry>, IsoError<R::Error>> {
        if !directory.directory {
            return Err(IsoError::Kind { directory: false });
        }
        let bytes = directory.size();
        if bytes > u64::from(self.limits.directory) {
            return Err(IsoError::LargeDirectory { bytes });
        }
        let content = self.content(directory).await?;
        let mut entries = Vec::new();
        // A file in several sections, whose last one has not come yet.
        let mut open: Option<Entry> = None;
        for record in records(&content) {
            let record = record?;
            if record.is_self() || record.is_parent() || record.is_associated() {
                continue;
            }
            let entry = self.entry(&record).await?;
            let entry = match (open.take(), entry) {
                (None, entry) => entry,
                (Some(mut open), Some(next))
                    if open.name == next.name && !open.directory && !next.directory =>
                {
                    open.extents.extend(next.extents);
                    open.interleaved |= next.interleaved;
                    Some(open)
                }
                (Some(_), _) => return Err(Damage::Sections.into()),
            };
            let Some(entry) = entry else { continue };
            if entry.extents.len() > MOST_EXTENTS {
                return Err(Damage::Sections.into());
            }
            if record.continues() {
                open = Some(entry);
            } else if entries.len() < self.limits.entries {
                entries.push(entry);
            } else {
                return Err(IsoError::LargeDirectory { bytes });
            }
        }
        match open {
            Some(_) => Err(Damage::Sections.into()),
            None => Ok(entries),
        }
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// If it is no file, larger, or cannot be read.
    pub async fn read(&mut self, file: &Entry, limit: u64) -> Result<Bytes, IsoError<R::Error>> {
        if file.directory {
            return Err(IsoError::Kind { directory: true });
        }
        if file.interleaved {
            return Err(IsoError::Interleaved);
        }
        let bytes = file.size();
        if bytes > limit {
            return Err(IsoError::LargeFile { bytes, limit });
        }
        self.content(file).await
    }

    fn volume(&self) -> &Volume {
        match (self.name_space, &self.joliet) {
            (NameSpace::Joliet, Some(joliet)) => joliet,
            _ => &self.primary,
        }
    }

    fn position(&self, block: u32) -> u64 {
        u64::from(block) * u64::from(self.volume().block_size)
    }

    async fn content(&mut self, entry: &Entry) -> Result<Bytes, IsoError<R::Error>> {
        if let [only] = *entry.extents.as_slice() {
            return self.extent(only).await;
        }
        // Grows with what has been read, which is limited, and not with what the image promises.
        let mut all = BytesMut::new();
        for extent in &entry.extents {
            all.extend_from_slice(&self.extent(*extent).await?);
        }
        Ok(all.freeze())
    }

    async fn extent(&mut self, extent: Extent) -> Result<Bytes, IsoError<R::Error>> {
        if extent.length == 0 {
            return Ok(Bytes::new());
        }
        let start = self.position(extent.block);
        Ok(self.source.get(start, extent.length.into()).await?)
    }

    /// What a record stands for; `None` if for nothing.
    async fn entry(&mut self, record: &Record<'_>) -> Result<Option<Entry>, IsoError<R::Error>> {
        let mut entry = Entry {
            name: "".into(),
            directory: record.is_directory(),
            extents: vec![record.extent],
            interleaved: record.interleaved,
        };
        entry.name = match (self.name_space, self.rock_ridge) {
            (NameSpace::Joliet, _) => without_version(&volume::ucs2(record.name)).into(),
            (NameSpace::RockRidge, Some(skip)) => {
                let used = self.system_use(record, skip).await?;
                if used.relocated {
                    return Ok(None);
                }
                if let Some(block) = used.child {
                    entry.directory = true;
                    entry.extents = vec![self.moved(block).await?];
                }
                used.name().unwrap_or_else(|| plain(record.name)).into()
            }
            _ => plain(record.name).into(),
        };
        // A directory's name that is none cannot be asked for, and one with a slash would be two.
        let is_name = !entry.name.is_empty()
            && !entry.name.contains(['/', '\0'])
            && !matches!(&*entry.name, "." | "..");
        Ok(is_name.then_some(entry))
    }

    async fn system_use(
        &mut self,
        record: &Record<'_>,
        skip: usize,
    ) -> Result<SystemUse, IsoError<R::Error>> {
        let mut used = SystemUse::default();
        let mut next = used.take(record.system_use.get(skip..).unwrap_or_default())?;
        let mut left = MOST_CONTINUATIONS;
        while let Some(more) = next {
            if left == 0 || more.length > SECTOR {
                return Err(Damage::SystemUse.into());
            }
            left -= 1;
            let start = self.position(more.block) + u64::from(more.offset);
            let area = self.source.get(start, more.length.into()).await?;
            next = used.take(&area)?;
        }
        Ok(used)
    }

    /// Where a directory is that was moved to `block`: its own first record knows its size.
    async fn moved(&mut self, block: u32) -> Result<Extent, IsoError<R::Error>> {
        let start = self.position(block);
        let sector = self.source.get(start, SECTOR.into()).await?;
        let own = first(&sector)?;
        if !own.is_directory() || !own.is_self() || own.extent.block != block {
            return Err(Damage::SystemUse.into());
        }
        Ok(own.extent)
    }
}

/// An ISO 9660 name as people write it: in lower case, without version and without a dot at the end.
fn plain(name: &[u8]) -> String {
    let text = volume::latin(name).to_lowercase();
    let text = without_version(&text);
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

/// `name;1` is version 1 of a file.
fn without_version(name: &str) -> &str {
    match name.rsplit_once(';') {
        Some((name, version)) if version.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests;
