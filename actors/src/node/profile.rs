//! The hardware of a kind of server: what its BMC reports, what its agent finds, which steps it offers.
//!
//! One profile is shared by all nodes of its kind; what differs from node to node (serial numbers, addresses) is
//! derived from the node's identity when it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bmc::{BootMode, BootTarget, MediaType};

/// A kind of server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardwareProfile {
    /// Maker, in Redfish `Manufacturer` and DMI `sys_vendor`.
    pub manufacturer: Box<str>,
    /// Product name.
    pub model: Box<str>,
    /// Stock-keeping unit.
    pub sku: Box<str>,
    /// Firmware of the host.
    pub bios: Firmware,
    /// The management controller.
    pub bmc: BmcProfile,
    /// Processors; all sockets are alike.
    pub cpu: Cpu,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disks, in the order in which the kernel finds them.
    pub disks: Vec<DiskProfile>,
    /// Network interfaces, in the order of their slots.
    pub nics: Vec<NicProfile>,
    /// Boot mode after a reset to factory settings.
    pub boot_mode: BootMode,
    /// What the firmware tries, in order, when no override says otherwise: any of `Hdd`, `Pxe`, `UefiHttp`, `Cd`,
    /// `Usb`, `Floppy`.
    pub boot_order: Vec<BootTarget>,
    /// Virtual media slots of the BMC.
    pub virtual_media: Vec<MediaSlotProfile>,
    /// BIOS attributes with their factory values.
    pub bios_attributes: BTreeMap<Box<str>, BiosValue>,
    /// What the agent's hardware manager offers.
    pub steps: Steps,
}

/// Version of a piece of firmware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Maker.
    pub vendor: Box<str>,
    /// Version text.
    pub version: Box<str>,
    /// Date of the build, as DMI prints it (`MM/DD/YYYY`).
    pub date: Box<str>,
}

/// The management controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BmcProfile {
    /// Product name, `Manager.Model`.
    pub model: Box<str>,
    /// `Manager.FirmwareVersion`.
    pub firmware_version: Box<str>,
}

/// Processors of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Number of sockets, each filled.
    pub sockets: u32,
    /// Cores of one processor.
    pub cores: u32,
    /// Hardware threads of one core.
    pub threads_per_core: u32,
    /// Model name as `/proc/cpuinfo` shows it.
    pub model: Box<str>,
    /// Maker.
    pub manufacturer: Box<str>,
    /// Highest frequency in MHz.
    pub frequency_mhz: u32,
    /// `x86_64` or `aarch64`.
    pub architecture: Architecture,
    /// CPU flags that the agent reports.
    pub flags: Vec<Box<str>>,
}

impl HardwareProfile {
    /// What a boot order may name.
    pub const BOOT_ORDER: [BootTarget; 6] = [
        BootTarget::Hdd,
        BootTarget::Pxe,
        BootTarget::UefiHttp,
        BootTarget::Cd,
        BootTarget::Usb,
        BootTarget::Floppy,
    ];
}

impl Cpu {
    /// Hardware threads of the whole server.
    #[must_use]
    pub fn threads(&self) -> u32 {
        self.sockets * self.cores * self.threads_per_core
    }
}

/// Instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// The kernel's name, as `uname -m` prints it.
    #[must_use]
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Redfish `Processor.InstructionSet`.
    #[must_use]
    pub fn instruction_set(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "ARM-A64",
        }
    }

    /// Redfish `Processor.ProcessorArchitecture`.
    #[must_use]
    pub fn redfish_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86",
            Self::Aarch64 => "ARM",
        }
    }
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskProfile {
    /// Kernel device, such as `/dev/sda`.
    pub name: Box<str>,
    /// Model text.
    pub model: Box<str>,
    /// Maker.
    pub vendor: Box<str>,
    /// Capacity in bytes.
    pub size_bytes: u64,
    /// A spinning disk.
    pub rotational: bool,
    /// Bus: `sata`, `sas` or `nvme`.
    pub transport: Transport,
}

/// Bus of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Serial ATA.
    Sata,
    /// Serial-attached SCSI.
    Sas,
    /// NVM Express.
    Nvme,
}

impl Transport {
    /// The kernel's word, as `lsblk` prints it.
    #[must_use]
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::Sata => "sata",
            Self::Sas => "sas",
            Self::Nvme => "nvme",
        }
    }

    /// Redfish `Drive.Protocol`.
    #[must_use]
    pub fn redfish_name(self) -> &'static str {
        match self {
            Self::Sata => "SATA",
            Self::Sas => "SAS",
            Self::Nvme => "NVMe",
        }
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NicProfile {
    /// Kernel name, such as `enp1s0f0`.
    pub name: Box<str>,
    /// Link speed in Mbit/s.
    pub speed_mbps: u32,
    /// PCI vendor id, such as `0x8086`.
    pub vendor: Box<str>,
    /// PCI device id.
    pub product: Box<str>,
    /// Kernel driver.
    pub driver: Box<str>,
    /// PCI address.
    pub pci_address: Box<str>,
    /// A cable is plugged in, and a switch answers LLDP.
    pub carrier: bool,
}

/// A virtual media slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSlotProfile {
    /// Last segment of the slot's URI.
    pub id: Box<str>,
    /// What can be inserted.
    pub media_types: Vec<MediaType>,
}

/// Value of a BIOS attribute; its JSON type is the attribute's type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BiosValue {
    /// `Boolean`.
    Bool(bool),
    /// `Integer`.
    Integer(i64),
    /// `String` or `Enumeration`.
    Text(Box<str>),
}

impl BiosValue {
    /// Whether both have the same type.
    #[must_use]
    pub fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Redfish attribute registry type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "Boolean",
            Self::Integer(_) => "Integer",
            Self::Text(_) => "String",
        }
    }
}

/// The steps that the agent's hardware manager offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Steps {
    /// Hardware manager that offers them.
    pub manager: Box<str>,
    /// Key of its version in `hardware_manager_version`.
    pub manager_key: Box<str>,
    /// Its version; Ironic compares it while steps run.
    pub manager_version: Box<str>,
    /// `clean.get_clean_steps`.
    pub clean: Vec<Step>,
    /// `deploy.get_deploy_steps`.
    pub deploy: Vec<Step>,
    /// `service.get_service_steps`.
    pub service: Vec<Step>,
}

/// One step as `get_*_steps` lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Method name.
    pub step: Box<str>,
    /// Order in automated runs; 0 means only when asked for.
    #[serde(default)]
    pub priority: u32,
    /// Ironic interface it belongs to.
    #[serde(default)]
    pub interface: StepInterface,
    /// The agent asks for a reboot after it.
    #[serde(default)]
    pub reboot_requested: bool,
    /// Ironic may abort it.
    #[serde(default)]
    pub abortable: bool,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub argsinfo: BTreeMap<Box<str>, ArgInfo>,
}

/// Description of a step's argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgInfo {
    /// What it is.
    pub description: Box<str>,
    /// Whether the step refuses to run without it.
    #[serde(default)]
    pub required: bool,
}

/// Ironic interface of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepInterface {
    /// Deploy interface.
    #[default]
    Deploy,
    /// RAID interface.
    Raid,
    /// BIOS interface.
    Bios,
    /// Management interface.
    Management,
    /// Firmware interface.
    Firmware,
}

impl Step {
    fn deploy(step: &str, priority: u32) -> Self {
        Self {
            step: step.into(),
            priority,
            interface: StepInterface::Deploy,
            reboot_requested: false,
            abortable: false,
            argsinfo: BTreeMap::new(),
        }
    }

    fn raid(step: &str) -> Self {
        Self {
            interface: StepInterface::Raid,
            ..Self::deploy(step, 0)
        }
    }

    fn abortable(mut self) -> Self {
        self.abortable = true;
        self
    }

    fn with_args(mut self, args: &[(&str, bool, &str)]) -> Self {
        self.argsinfo = args
            .iter()
            .map(|&(name, required, description)| {
                (
                    name.into(),
                    ArgInfo {
                        description: description.into(),
                        required,
                    },
                )
            })
            .collect();
        self
    }
}

impl Default for Steps {
    /// The steps of the agent's generic hardware manager (ironic-python-agent: `hardware.py`).
    fn default() -> Self {
        let patterns = [(
            "match_patterns",
            false,
            "Regular expressions of the boot entries to remove",
        )];
        let image = [
            ("image_info", true, "Image to write"),
            ("configdrive", false, "Config drive to write"),
        ];
        let files = [
            ("files", false, "Files to write"),
            ("verify_ca", false, "Verify TLS certificates"),
        ];
        let bootc = [
            ("image_source", true, "OCI image"),
            ("configdrive", false, "Config drive to write"),
            ("oci_pull_secret", false, "Registry credentials"),
        ];
        let raid_config = [
            ("raid_config", true, "RAID configuration to apply"),
            ("delete_existing", false, "Delete arrays first"),
        ];
        let burn_in = ["cpu", "gpu", "disk", "memory", "network"];
        let writers = || {
            [
                Step::deploy("write_image", 0).with_args(&image),
                Step::deploy("inject_files", 0).with_args(&files),
                Step::deploy("execute_bootc_install", 0).with_args(&bootc),
            ]
        };
        let mut clean = vec![
            Step::deploy("erase_devices", 10),
            Step::deploy("erase_devices_metadata", 99),
            Step::deploy("erase_devices_express", 0),
            Step::deploy("erase_pstore", 0),
            Step::deploy("clean_uefi_nvram", 0).with_args(&patterns),
        ];
        clean.extend(
            burn_in
                .iter()
                .map(|part| Step::deploy(&format!("burnin_{part}"), 0)),
        );
        let mut clean: Vec<Step> = clean.into_iter().map(Step::abortable).collect();
        clean.extend(["delete_configuration", "create_configuration"].map(Step::raid));
        let mut deploy = vec![
            Step::deploy("erase_devices_metadata", 0),
            Step::deploy("clean_uefi_nvram", 0).with_args(&patterns),
            Step::raid("apply_configuration").with_args(&raid_config),
        ];
        deploy.extend(writers());
        let mut service: Vec<Step> = [
            "delete_configuration",
            "apply_configuration",
            "create_configuration",
        ]
        .map(Step::raid)
        .to_vec();
        service.extend(
            burn_in
                .iter()
                .filter(|part| **part != "disk")
                .map(|part| Step::deploy(&format!("burnin_{part}"), 0)),
        );
        service.extend(writers());
        Self {
            manager: "GenericHardwareManager".into(),
            manager_key: "generic_hardware_manager".into(),
            manager_version: "1.2".into(),
            clean,
            deploy,
            service,
        }
    }
}

impl Default for HardwareProfile {
    /// A common two-socket rack server.
    fn default() -> Self {
        let disk = |name: &str, size_bytes, transport| DiskProfile {
            name: name.into(),
            model: "Simulated SSD".into(),
            vendor: "ATA".into(),
            size_bytes,
            rotational: false,
            transport,
        };
        let nic = |index: u32, carrier| NicProfile {
            name: format!("enp1s0f{index}").into(),
            speed_mbps: 25_000,
            vendor: "0x8086".into(),
            product: "0x159b".into(),
            driver: "ice".into(),
            pci_address: format!("0000:01:00.{index}").into(),
            carrier,
        };
        let slot = |id: &str, media_types: &[MediaType]| MediaSlotProfile {
            id: id.into(),
            media_types: media_types.to_vec(),
        };
        let text = |value: &str| BiosValue::Text(value.into());
        Self {
            manufacturer: "Metalsim".into(),
            model: "Generic 2U".into(),
            sku: "MS-2U".into(),
            bios: Firmware {
                vendor: "Metalsim".into(),
                version: "2.4.1".into(),
                date: "03/17/2026".into(),
            },
            bmc: BmcProfile {
                model: "Simulated BMC".into(),
                firmware_version: "1.12.0".into(),
            },
            cpu: Cpu {
                sockets: 2,
                cores: 16,
                threads_per_core: 2,
                model: "Intel(R) Xeon(R) Gold 6426Y".into(),
                manufacturer: "Intel(R) Corporation".into(),
                frequency_mhz: 4100,
                architecture: Architecture::X86_64,
                flags: [
                    "fpu",
                    "vmx",
                    "pae",
                    "lm",
                    "aes",
                    "avx2",
                    "avx512f",
                    "pdpe1gb",
                    "tsc_deadline_timer",
                ]
                .map(Into::into)
                .to_vec(),
            },
            memory_mib: 256 * 1024,
            disks: vec![
                disk("/dev/sda", 480_103_981_056, Transport::Sata),
                disk("/dev/nvme0n1", 3_840_755_982_336, Transport::Nvme),
            ],
            nics: vec![nic(0, true), nic(1, true)],
            boot_mode: BootMode::Uefi,
            boot_order: vec![BootTarget::Hdd, BootTarget::Pxe],
            virtual_media: vec![
                slot("Cd", &[MediaType::Cd, MediaType::Dvd]),
                slot("Floppy", &[MediaType::Floppy]),
                slot("Usb", &[MediaType::UsbStick]),
            ],
            bios_attributes: BTreeMap::from([
                ("BootMode".into(), text("Uefi")),
                ("LogicalProc".into(), text("Enabled")),
                ("NumaNodesPerSocket".into(), BiosValue::Integer(1)),
                ("ProcTurboMode".into(), text("Enabled")),
                ("ProcVirtualization".into(), text("Enabled")),
                ("QuietBoot".into(), BiosValue::Bool(true)),
                ("SriovGlobalEnable".into(), text("Disabled")),
                ("SysProfile".into(), text("PerfOptimized")),
            ]),
            steps: Steps::default(),
        }
    }
}
