//! Words of the Redfish schemas (DSP8010) that the simulated BMC knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Redfish `ComputerSystem.PowerState` (DSP2046, Resource.PowerState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PowerState {
    /// The host has no power.
    Off,
    /// Power is being applied.
    PoweringOn,
    /// The host has power.
    On,
    /// The host is on its way down.
    PoweringOff,
}

/// Redfish `ResetType`, those that the simulated BMC offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ResetType {
    /// Turn on.
    On,
    /// Turn off at once.
    ForceOff,
    /// Ask the operating system to shut down.
    GracefulShutdown,
    /// Ask the operating system to restart.
    GracefulRestart,
    /// Reset without asking; power stays on.
    ForceRestart,
    /// Non-maskable interrupt.
    Nmi,
    /// Turn on at once.
    ForceOn,
    /// Press the power button for a moment.
    PushPowerButton,
    /// Off, then on.
    PowerCycle,
}

impl ResetType {
    /// Every type, in the order in which it is advertised.
    pub const ALL: [Self; 9] = [
        Self::On,
        Self::ForceOff,
        Self::GracefulShutdown,
        Self::GracefulRestart,
        Self::ForceRestart,
        Self::Nmi,
        Self::ForceOn,
        Self::PushPowerButton,
        Self::PowerCycle,
    ];
}

/// Redfish `BootSourceOverrideTarget`, all values of ComputerSystem v1.27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BootTarget {
    /// The normal boot order.
    #[default]
    None,
    /// Network boot.
    Pxe,
    /// Floppy drive.
    Floppy,
    /// CD or DVD.
    Cd,
    /// USB device.
    Usb,
    /// Hard disk.
    Hdd,
    /// The firmware's set-up screen.
    BiosSetup,
    /// Manufacturer's utilities.
    Utilities,
    /// Manufacturer's diagnostics.
    Diags,
    /// UEFI shell.
    UefiShell,
    /// The UEFI device path in `UefiTargetBootSourceOverride`.
    UefiTarget,
    /// SD card.
    SDCard,
    /// HTTP boot from `HttpBootUri`.
    UefiHttp,
    /// Remote drive, such as iSCSI.
    RemoteDrive,
    /// The UEFI `BootNext` entry.
    UefiBootNext,
    /// Recovery.
    Recovery,
}

impl BootTarget {
    /// The targets that the simulated BMC offers.
    pub const ALLOWED: [Self; 14] = [
        Self::None,
        Self::Pxe,
        Self::Floppy,
        Self::Cd,
        Self::Usb,
        Self::Hdd,
        Self::BiosSetup,
        Self::Utilities,
        Self::Diags,
        Self::UefiShell,
        Self::UefiTarget,
        Self::SDCard,
        Self::UefiHttp,
        Self::RemoteDrive,
    ];

    /// Whether the target exists only in UEFI mode.
    #[must_use]
    pub fn needs_uefi(self) -> bool {
        matches!(
            self,
            Self::UefiHttp | Self::UefiTarget | Self::UefiShell | Self::UefiBootNext
        )
    }
}

/// Redfish `BootSourceOverrideEnabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OverrideEnabled {
    /// The normal boot order applies.
    #[default]
    Disabled,
    /// For the next boot only.
    Once,
    /// Until changed.
    Continuous,
}

/// Redfish `BootSourceOverrideMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BootMode {
    /// BIOS boot.
    Legacy,
    /// UEFI boot.
    #[default]
    #[serde(rename = "UEFI")]
    Uefi,
}

/// Redfish virtual media `MediaTypes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaType {
    /// CD-ROM.
    #[serde(rename = "CD")]
    Cd,
    /// DVD.
    #[serde(rename = "DVD")]
    Dvd,
    /// Floppy disk.
    Floppy,
    /// USB stick.
    #[serde(rename = "USBStick")]
    UsbStick,
}

/// Redfish `TransferMethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransferMethod {
    /// Read while it is used.
    #[default]
    Stream,
    /// Copied first.
    Upload,
}

/// Redfish `TransferProtocolType`, those that the simulated BMC can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransferProtocol {
    /// HTTP.
    #[serde(rename = "HTTP")]
    Http,
    /// HTTPS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// Redfish `IndicatorLED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IndicatorLed {
    /// Off.
    #[default]
    Off,
    /// Lit.
    Lit,
    /// Blinking.
    Blinking,
}

/// Redfish `SecureBoot.ResetKeysType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResetKeysType {
    /// All keys to their defaults.
    ResetAllKeysToDefault,
    /// Delete all keys.
    DeleteAllKeys,
    /// Delete the platform key.
    #[serde(rename = "DeletePK")]
    DeletePk,
}

/// Redfish `BootProgress.LastState`, those that the firmware goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BootProgress {
    /// Not booting.
    None,
    /// First processor started.
    PrimaryProcessorInitializationStarted,
    /// Self test done.
    SystemHardwareInitializationComplete,
    /// In the set-up screen.
    SetupEntered,
    /// The boot target is being loaded.
    OSBootStarted,
    /// A system runs.
    OSRunning,
}
