//! The management controller: boot override, virtual media, BIOS settings, secure boot, indicator, event log.
//!
//! It answers while the host is off. Its own power state is the host's: see [`super::firmware`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Refused;
use super::profile::{BiosValue, HardwareProfile};
use super::update::{Component, Task, Updates};
use crate::time::SimInstant;

pub use crate::wire::redfish::vocabulary::{
    BootMode, BootTarget, IndicatorLed, MediaType, OverrideEnabled, PowerState, ResetKeysType, ResetType,
    TransferMethod, TransferProtocol,
};

/// Entries of the event log that are kept; the oldest goes first.
pub const LOG_ENTRIES: usize = 32;

/// Redfish `Boot` properties that a client may set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootSettings {
    /// How long the override lasts.
    pub enabled: OverrideEnabled,
    /// What to boot.
    pub target: BootTarget,
    /// Firmware mode.
    pub mode: BootMode,
    /// `HttpBootUri`.
    pub http_boot_uri: Option<Arc<str>>,
}

/// A change of [`BootSettings`]; absent members stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootPatch {
    /// New `BootSourceOverrideEnabled`.
    pub enabled: Option<OverrideEnabled>,
    /// New `BootSourceOverrideTarget`.
    pub target: Option<BootTarget>,
    /// New `BootSourceOverrideMode`.
    pub mode: Option<BootMode>,
    /// New `HttpBootUri`; the inner `None` clears it.
    pub http_boot_uri: Option<Option<Arc<str>>>,
}

/// An image in a virtual media slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// URL of the image.
    pub image: Arc<str>,
    /// `Inserted`; a client may set an image without inserting it.
    pub inserted: bool,
    /// `WriteProtected`.
    pub write_protected: bool,
    /// `TransferMethod`.
    pub transfer_method: TransferMethod,
    /// `TransferProtocolType`.
    pub transfer_protocol: Option<TransferProtocol>,
    /// User for the image's server.
    pub username: Option<Box<str>>,
    /// Password for the image's server; never reported or logged.
    pub password: Option<Secret>,
    /// From when the host sees it.
    pub available_at: SimInstant,
}

/// A secret text: it does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Hidden here too, so that no document holds it by accident.
impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// One virtual media slot. The profile says what fits into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaSlot {
    /// What is in it.
    pub media: Option<Box<Media>>,
    /// `VerifyCertificate`: verify the image server's certificate.
    pub verify_certificate: bool,
}

/// BIOS attributes that differ from the profile's, and those that wait for the next boot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BiosChanges {
    /// In force.
    pub current: BTreeMap<Box<str>, BiosValue>,
    /// In force after the next power-on self test.
    pub pending: BTreeMap<Box<str>, BiosValue>,
    /// The next power-on self test restores the factory values first.
    pub reset_pending: bool,
    /// When settings were last applied.
    pub applied_at: Option<SimInstant>,
}

/// Secure boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureBoot {
    /// `SecureBootEnable`: wanted from the next boot on.
    pub enable: bool,
    /// `SecureBootCurrentBoot`: in force since the last boot.
    pub current_boot: bool,
    /// A platform key is present; without it the firmware is in set-up mode.
    pub keys_present: bool,
}

/// What an entry of the event log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A reset was requested.
    Reset(ResetType),
    /// The host was given power.
    PoweredOn,
    /// The host lost power.
    PoweredOff,
    /// Mains power was lost.
    PowerLost,
    /// A boot target was chosen.
    Booting(BootTarget),
    /// Nothing to boot from was found.
    NoBootableDevice,
    /// The boot medium could not be used.
    BootFailed(Box<str>),
    /// An image was inserted into a slot.
    MediaInserted(Box<str>),
    /// A slot was emptied.
    MediaEjected(Box<str>),
    /// BIOS settings were applied.
    BiosApplied,
    /// A firmware update was done.
    FirmwareUpdated(Component),
    /// A firmware update failed.
    FirmwareUpdateFailed(Component),
}

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Number, from 1.
    pub id: u32,
    /// When it was written.
    pub at: SimInstant,
    /// What it says.
    pub event: LogEvent,
}

/// State of the management controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Bmc {
    pub(super) boot: BootSettings,
    pub(super) media: Box<[MediaSlot]>,
    pub(super) bios: Option<Box<BiosChanges>>,
    pub(super) secure_boot: SecureBoot,
    pub(super) indicator: IndicatorLed,
    pub(super) asset_tag: Option<Box<str>>,
    pub(super) clock_offset_millis: i64,
    /// Shared, because the node is copied for every step and the log seldom changes in one.
    pub(super) log: Option<Arc<VecDeque<LogEntry>>>,
    pub(super) log_count: u32,
    /// Shared for the same reason.
    pub(super) updates: Option<Arc<Updates>>,
}

/// What a Redfish client can ask of the BMC.
#[derive(Clone, Debug, PartialEq)]
pub enum BmcCommand {
    /// `#ComputerSystem.Reset`.
    Reset(ResetType),
    /// `PATCH` of `ComputerSystem.Boot`.
    SetBoot(BootPatch),
    /// `#VirtualMedia.InsertMedia`, or `PATCH` of a slot. Replaces what was in the slot.
    InsertMedia {
        /// Slot id.
        slot: Box<str>,
        /// The image. `available_at` is set by the BMC.
        media: Box<Media>,
    },
    /// `#VirtualMedia.EjectMedia`. An empty slot stays empty.
    EjectMedia {
        /// Slot id.
        slot: Box<str>,
    },
    /// `PATCH` of `VerifyCertificate`.
    SetMediaVerification {
        /// Slot id.
        slot: Box<str>,
        /// New value.
        verify: bool,
    },
    /// `PATCH` of the pending BIOS settings.
    SetBios(BTreeMap<Box<str>, BiosValue>),
    /// `#Bios.ResetBios`.
    ResetBios,
    /// `PATCH` of `SecureBootEnable`.
    SetSecureBoot(bool),
    /// `#SecureBoot.ResetKeys`.
    ResetSecureBootKeys(ResetKeysType),
    /// `PATCH` of `IndicatorLED`.
    SetIndicator(IndicatorLed),
    /// `PATCH` of `AssetTag`; an empty text clears it.
    SetAssetTag(Box<str>),
    /// `PATCH` of `Manager.DateTime`: how far the BMC's clock is ahead of simulated time, in milliseconds.
    SetClock {
        /// Offset, negative if behind.
        offset_millis: i64,
    },
    /// `#LogService.ClearLog`.
    ClearLog,
    /// `#UpdateService.SimpleUpdate` for this node.
    UpdateFirmware {
        /// Whose firmware.
        component: Component,
        /// URI of the image.
        image: Arc<str>,
    },
    /// `DELETE` of a task; one that runs is called off.
    DeleteTask(u32),
}

impl Bmc {
    pub(super) fn new(profile: &HardwareProfile) -> Self {
        Self {
            boot: BootSettings {
                mode: profile.boot_mode,
                ..BootSettings::default()
            },
            media: profile
                .virtual_media
                .iter()
                .map(|_| MediaSlot::default())
                .collect(),
            bios: None,
            secure_boot: SecureBoot {
                enable: false,
                current_boot: false,
                keys_present: true,
            },
            indicator: IndicatorLed::Off,
            asset_tag: None,
            clock_offset_millis: 0,
            log: None,
            log_count: 0,
            updates: None,
        }
    }

    /// The tasks that are kept, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.updates.iter().flat_map(|updates| updates.tasks())
    }

    /// Version of the firmware in force.
    #[must_use]
    pub fn firmware_version<'a>(&'a self, profile: &'a HardwareProfile, component: Component) -> &'a str {
        let updated = self
            .updates
            .as_ref()
            .and_then(|updates| updates.version(component));
        updated.map_or_else(
            || match component {
                Component::Bios => &*profile.bios.version,
                Component::Bmc => &*profile.bmc.firmware_version,
            },
            |version| &**version,
        )
    }

    /// When the first task ends.
    pub(super) fn deadline(&self) -> Option<SimInstant> {
        self.updates.as_ref()?.deadline()
    }

    pub(super) fn updates_mut(&mut self) -> &mut Updates {
        Arc::make_mut(self.updates.get_or_insert_default())
    }

    /// Boot override, boot mode and HTTP boot URI.
    #[must_use]
    pub fn boot(&self) -> &BootSettings {
        &self.boot
    }

    /// The slots, in the order of the profile's.
    #[must_use]
    pub fn media(&self) -> &[MediaSlot] {
        &self.media
    }

    /// Secure boot.
    #[must_use]
    pub fn secure_boot(&self) -> SecureBoot {
        self.secure_boot
    }

    /// Indicator light.
    #[must_use]
    pub fn indicator(&self) -> IndicatorLed {
        self.indicator
    }

    /// Asset tag, if one was set.
    #[must_use]
    pub fn asset_tag(&self) -> Option<&str> {
        self.asset_tag.as_deref()
    }

    /// How far the BMC's clock is ahead of simulated time, in milliseconds.
    #[must_use]
    pub fn clock_offset_millis(&self) -> i64 {
        self.clock_offset_millis
    }

    /// BIOS attributes in force: the profile's, overlaid with what was changed.
    #[must_use]
    pub fn bios_attributes(&self, profile: &HardwareProfile) -> BTreeMap<Box<str>, BiosValue> {
        let mut attributes = profile.bios_attributes.clone();
        if let Some(changes) = &self.bios {
            attributes.extend(
                changes
                    .current
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        attributes
    }

    /// BIOS changes, if any were ever made.
    #[must_use]
    pub fn bios_changes(&self) -> Option<&BiosChanges> {
        self.bios.as_deref()
    }

    /// The event log, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().flat_map(|log| log.iter())
    }

    /// The image in the first slot that holds any of `types` and that the host can see at `now`, and whether the slot
    /// wants its server's certificate verified.
    #[must_use]
    pub fn inserted(
        &self,
        profile: &HardwareProfile,
        types: &[MediaType],
        now: SimInstant,
    ) -> Option<(&Media, bool)> {
        profile
            .virtual_media
            .iter()
            .zip(&self.media)
            .filter(|(slot, _)| slot.media_types.iter().any(|kind| types.contains(kind)))
            .find_map(|(_, slot)| {
                let media = slot.media.as_deref()?;
                (media.inserted && media.available_at <= now).then_some((media, slot.verify_certificate))
            })
    }

    pub(super) fn record(&mut self, at: SimInstant, event: LogEvent) {
        let log = Arc::make_mut(self.log.get_or_insert_default());
        if log.len() == LOG_ENTRIES {
            log.pop_front();
        }
        self.log_count += 1;
        log.push_back(LogEntry {
            id: self.log_count,
            at,
            event,
        });
    }

    /// Checks and applies a change of the boot settings. Setting a target without `enabled` on a disabled override
    /// leaves it disabled, as the schema has it.
    pub(super) fn set_boot(&mut self, patch: BootPatch) -> Result<(), Refused> {
        let mut boot = self.boot.clone();
        if let Some(enabled) = patch.enabled {
            boot.enabled = enabled;
        }
        if let Some(target) = patch.target {
            if !BootTarget::ALLOWED.contains(&target) {
                return Err(Refused::BootTargetNotAllowed(target));
            }
            boot.target = target;
        }
        if let Some(mode) = patch.mode {
            boot.mode = mode;
        }
        if let Some(uri) = patch.http_boot_uri {
            boot.http_boot_uri = uri;
        }
        if boot.enabled != OverrideEnabled::Disabled
            && boot.target.needs_uefi()
            && boot.mode == BootMode::Legacy
        {
            return Err(Refused::BootTargetNeedsUefi(boot.target));
        }
        if boot.mode == BootMode::Legacy && self.secure_boot.enable {
            return Err(Refused::SecureBootNeedsUefi);
        }
        self.boot = boot;
        Ok(())
    }

    pub(super) fn slot_mut(
        &mut self,
        profile: &HardwareProfile,
        slot: &str,
    ) -> Result<&mut MediaSlot, Refused> {
        let index = profile.virtual_media.iter().position(|known| &*known.id == slot);
        index
            .and_then(|index| self.media.get_mut(index))
            .ok_or_else(|| Refused::UnknownSlot(slot.into()))
    }

    /// Checks names and types against the profile's attributes and keeps the values for the next boot.
    pub(super) fn set_bios(
        &mut self,
        profile: &HardwareProfile,
        values: BTreeMap<Box<str>, BiosValue>,
    ) -> Result<(), Refused> {
        for (name, value) in &values {
            let known = profile
                .bios_attributes
                .get(name)
                .ok_or_else(|| Refused::UnknownBiosAttribute(name.clone()))?;
            if !known.same_type(value) {
                return Err(Refused::BiosAttributeType {
                    name: name.clone(),
                    expected: known.type_name(),
                });
            }
        }
        self.bios.get_or_insert_with(Box::default).pending.extend(values);
        Ok(())
    }

    /// Drops what waits for the next boot and asks it for the factory values.
    pub(super) fn reset_bios(&mut self) {
        let bios = self.bios.get_or_insert_with(Box::default);
        bios.pending.clear();
        bios.reset_pending = true;
    }

    /// What the power-on self test does with settings that waited for it.
    pub(super) fn apply_pending(&mut self, now: SimInstant) {
        if self.updates.is_some() {
            self.updates_mut().self_tested();
        }
        self.secure_boot.current_boot = self.secure_boot.enable && self.secure_boot.keys_present;
        let Some(bios) = &mut self.bios else { return };
        if bios.pending.is_empty() && !bios.reset_pending {
            return;
        }
        if std::mem::take(&mut bios.reset_pending) {
            bios.current.clear();
        }
        let pending = std::mem::take(&mut bios.pending);
        bios.current.extend(pending);
        bios.applied_at = Some(now);
        self.record(now, LogEvent::BiosApplied);
    }

    pub(super) fn set_secure_boot(&mut self, enable: bool) -> Result<(), Refused> {
        if enable && self.boot.mode == BootMode::Legacy {
            return Err(Refused::SecureBootNeedsUefi);
        }
        self.secure_boot.enable = enable;
        Ok(())
    }

    pub(super) fn reset_keys(&mut self, kind: ResetKeysType) {
        self.secure_boot.keys_present = kind == ResetKeysType::ResetAllKeysToDefault;
    }

    /// The override that the boot now starting uses; a one-time override is used up by this call.
    pub(super) fn take_override(&mut self) -> Option<(BootTarget, OverrideEnabled)> {
        let taken = (self.boot.target, self.boot.enabled);
        match self.boot.enabled {
            OverrideEnabled::Disabled => return None,
            OverrideEnabled::Once => {
                self.boot.enabled = OverrideEnabled::Disabled;
                self.boot.target = BootTarget::None;
            }
            OverrideEnabled::Continuous => {}
        }
        (taken.0 != BootTarget::None).then_some(taken)
    }
}
