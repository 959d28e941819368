//! The disk: blank, or holding an image and its config drive.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::os::membership::Membership;

/// An image on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Id that Ironic gave it: the last part of its source.
    pub id: Box<str>,
    /// Where it came from.
    pub url: Box<str>,
    /// Checksum as given: a hexadecimal text or a URL.
    pub checksum: Option<Box<str>>,
    /// `raw`, `qcow2` ...
    pub format: Option<Box<str>>,
}

/// Contents of the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    pub(super) image: Option<Box<Image>>,
    pub(super) config_drive: Option<Arc<str>>,
    pub(super) bootloader_installed: bool,
    pub(super) membership: Option<Arc<Membership>>,
}

impl Disk {
    /// The image, if one was written.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        self.image.as_deref()
    }

    /// The config drive as Ironic sent it: base64 of a gzipped ISO 9660 file system, or a URL.
    #[must_use]
    pub fn config_drive(&self) -> Option<&Arc<str>> {
        self.config_drive.as_ref()
    }

    /// Whether a boot from disk finds something.
    #[must_use]
    pub fn is_bootable(&self) -> bool {
        self.image.is_some()
    }

    /// Of which cluster the installed system is a node. Gone with the system.
    #[must_use]
    pub fn membership(&self) -> Option<&Arc<Membership>> {
        self.membership.as_ref()
    }

    /// Whether a boot loader was installed by a command of its own.
    #[must_use]
    pub fn bootloader_installed(&self) -> bool {
        self.bootloader_installed
    }
}

/// A change that an agent command makes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DiskChange {
    /// Everything on it is gone.
    Erase,
    /// An image is written, with its config drive.
    Write {
        image: Box<Image>,
        config_drive: Option<Arc<str>>,
    },
    /// A boot loader is installed.
    InstallBootloader,
}

impl Disk {
    pub(super) fn apply(&mut self, change: DiskChange) {
        match change {
            DiskChange::Erase => *self = Self::default(),
            DiskChange::Write { image, config_drive } => {
                *self = Self {
                    image: Some(image),
                    config_drive,
                    bootloader_installed: false,
                    membership: None,
                };
            }
            DiskChange::InstallBootloader => self.bootloader_installed = true,
        }
    }
}
