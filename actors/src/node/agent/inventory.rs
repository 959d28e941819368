//! What the agent finds of the hardware: the profile, with what is individual derived from the node's identity.

use super::logs;
use crate::fault::{Struck, What};
use crate::ids::MacAddress;
use crate::node::bmc::BootMode;
use crate::node::effect::AgentParameters;
use crate::node::profile::{DiskProfile, HardwareProfile, Transport};
use crate::node::{Identity, Kind};
use crate::wire::agent::{
    Boot, Cpu, Disk, HardwareManager, InspectionConfiguration, InspectionData, Interface, Inventory, Memory,
    SystemFirmware, SystemVendor,
};

/// The smallest disk that the agent installs on (ironic-python-agent `utils.guess_root_disk`).
const SMALLEST_ROOT_DISK: u64 = 4 * 1024 * 1024 * 1024;
/// Collectors of an inspection whose boot parameters name none (ironic-python-agent `inspector.py`).
const USUAL_COLLECTORS: &str = "default,logs";
/// LLDP types (IEEE 802.1AB, table 8-1).
const LLDP_CHASSIS_ID: u8 = 1;
const LLDP_PORT_ID: u8 = 2;
const LLDP_TIME_TO_LIVE: u8 = 3;
const LLDP_SYSTEM_NAME: u8 = 5;
const LLDP_ORGANISATION: u8 = 127;

/// Serial number of a node, as its BMC and its agent both report it.
#[must_use]
pub fn serial_number(identity: &Identity) -> String {
    let bytes = identity.id.as_uuid().as_bytes();
    format!(
        "MS{:02X}{:02X}{:02X}{:02X}{:02X}",
        bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]
    )
}

/// Serial number of a node's disk.
#[must_use]
pub fn disk_serial(identity: &Identity, index: usize) -> String {
    format!("{}D{index}", serial_number(identity))
}

/// The IPv4 address that a network interface got by DHCP, out of 10.0.0.0/8.
#[must_use]
pub fn ipv4_address(mac: MacAddress) -> String {
    let [.., a, b, c] = mac.octets();
    format!("10.{a}.{b}.{c}")
}

/// The link-local IPv6 address of a network interface (RFC 4291, appendix A).
#[must_use]
pub fn ipv6_address(mac: MacAddress) -> String {
    let [a, b, c, d, e, f] = mac.octets();
    std::net::Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]).to_string()
}

/// What faults make of the hardware that the agent finds.
#[derive(Debug, Default)]
pub(in crate::node) struct Flaws {
    /// Size that the first disk shows, in bytes.
    first_disk: Option<u64>,
    /// Numbers of network interfaces that are not there.
    missing: Vec<usize>,
    /// Numbers of network interfaces with an address that is not theirs.
    doubles: Vec<(usize, MacAddress)>,
}

impl Flaws {
    /// Of the faults that struck, in order: of two that contradict each other the first one wins.
    pub(in crate::node) fn of(struck: &[Struck]) -> Self {
        let mut flaws = Self::default();
        for Struck {
            what, common_seed, ..
        } in struck
        {
            match what {
                What::InventoryDiskTooSmall { size_gib } => {
                    flaws.first_disk.get_or_insert(u64::from(*size_gib) << 30);
                }
                What::InventoryNicMissing { nic } => flaws.missing.push(usize::from(*nic)),
                What::InventoryDuplicateMac { nic } => {
                    let nic = usize::from(*nic);
                    if flaws.doubles.iter().all(|(known, _)| *known != nic) {
                        let name = format!("fault-{:016x}", common_seed.value());
                        flaws.doubles.push((nic, MacAddress::derived(&name, nic)));
                    }
                }
                _ => {}
            }
        }
        flaws
    }

    /// The address that a network interface shows; none if it is not there.
    fn address(&self, nic: usize, own: MacAddress) -> Option<MacAddress> {
        let double = self.doubles.iter().find(|(doubled, _)| *doubled == nic);
        let address = double.map_or(own, |(_, address)| *address);
        (!self.missing.contains(&nic)).then_some(address)
    }

    /// Numbers and addresses of the network interfaces that are there.
    fn interfaces(&self, identity: &Identity) -> impl Iterator<Item = (usize, MacAddress)> {
        identity
            .macs
            .iter()
            .enumerate()
            .filter_map(|(nic, own)| Some((nic, self.address(nic, *own)?)))
    }

    /// The address of the interface that the ramdisk was booted from. One that is missing now was there then.
    fn boot_address(&self, identity: &Identity, parameters: &AgentParameters) -> Option<MacAddress> {
        let own = parameters.boot_mac?;
        let nic = identity.macs.iter().position(|mac| *mac == own);
        Some(nic.and_then(|nic| self.address(nic, own)).unwrap_or(own))
    }
}

/// The addresses by which the agent looks itself up: of all network interfaces in its inventory.
pub(in crate::node) fn addresses(identity: &Identity, flaws: &Flaws) -> Vec<MacAddress> {
    flaws.interfaces(identity).map(|(_, address)| address).collect()
}

/// The hardware of a node.
pub(in crate::node) fn inventory(
    identity: &Identity,
    kind: &Kind,
    mode: BootMode,
    parameters: &AgentParameters,
    flaws: &Flaws,
) -> Inventory {
    let profile = &*kind.profile;
    let mut disks: Vec<Disk> = profile
        .disks
        .iter()
        .enumerate()
        .map(|(index, disk)| describe_disk(identity, index, disk))
        .collect();
    if let (Some(disk), Some(size)) = (disks.first_mut(), flaws.first_disk) {
        disk.size = size;
    }
    Inventory {
        interfaces: interfaces(identity, profile, parameters.collect_lldp, flaws),
        cpu: Cpu {
            model_name: profile.cpu.model.to_string(),
            frequency: format!("{}.0000", profile.cpu.frequency_mhz),
            count: profile.cpu.threads(),
            architecture: profile.cpu.architecture.kernel_name().to_owned(),
            flags: profile.cpu.flags.clone(),
            socket_count: profile.cpu.sockets,
        },
        disks,
        memory: Memory {
            // The kernel keeps a part for itself.
            total: profile.memory_mib * 1024 * 1024 / 100 * 98,
            physical_mb: profile.memory_mib,
        },
        bmc_address: kind.agent.bmc_address.as_deref().map(str::to_owned),
        bmc_v6address: None,
        system_vendor: SystemVendor {
            product_name: profile.model.to_string(),
            serial_number: serial_number(identity),
            manufacturer: profile.manufacturer.to_string(),
            firmware: SystemFirmware {
                vendor: profile.bios.vendor.to_string(),
                version: profile.bios.version.to_string(),
                build_date: profile.bios.date.to_string(),
            },
        },
        boot: Boot {
            current_boot_mode: match mode {
                BootMode::Legacy => "bios".to_owned(),
                BootMode::Uefi => "uefi".to_owned(),
            },
            pxe_interface: flaws.boot_address(identity, parameters),
        },
        hostname: identity.name.to_string(),
    }
}

/// The body of the inspection call-back.
pub(in crate::node) fn inspection_data(
    identity: &Identity,
    kind: &Kind,
    mode: BootMode,
    parameters: &AgentParameters,
    flaws: &Flaws,
) -> InspectionData {
    let collectors: Vec<String> = parameters
        .collectors
        .as_deref()
        .unwrap_or(USUAL_COLLECTORS)
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let with_logs = collectors.iter().any(|name| name == "logs");
    let inventory = inventory(identity, kind, mode, parameters, flaws);
    let root_disk = inventory
        .disks
        .iter()
        .filter(|disk| disk.size >= SMALLEST_ROOT_DISK)
        .min_by(|a, b| (a.size, &a.name).cmp(&(b.size, &b.name)))
        .cloned();
    InspectionData {
        inventory,
        root_disk,
        boot_interface: flaws.boot_address(identity, parameters),
        configuration: InspectionConfiguration {
            collectors,
            managers: vec![HardwareManager {
                name: kind.profile.steps.manager_key.to_string(),
                version: kind.profile.steps.manager_version.to_string(),
            }],
        },
        logs: with_logs.then(|| logs::archive(identity.id, &[])),
        error: None,
    }
}

fn interfaces(
    identity: &Identity,
    profile: &HardwareProfile,
    collect_lldp: bool,
    flaws: &Flaws,
) -> Vec<Interface> {
    let describe = |(index, mac): (usize, MacAddress)| {
        let nic = profile.nics.get(index)?;
        Some(Interface {
            name: nic.name.to_string(),
            mac_address: mac,
            ipv4_address: nic.carrier.then(|| ipv4_address(mac)),
            ipv6_address: nic.carrier.then(|| format!("{}%{}", ipv6_address(mac), nic.name)),
            has_carrier: nic.carrier,
            lldp: (nic.carrier && collect_lldp).then(|| lldp(identity, index)),
            vendor: nic.vendor.to_string(),
            product: nic.product.to_string(),
            client_id: None,
            biosdevname: None,
            speed_mbps: nic.carrier.then_some(nic.speed_mbps),
            pci_address: nic.pci_address.to_string(),
            driver: nic.driver.to_string(),
        })
    };
    flaws.interfaces(identity).filter_map(describe).collect()
}

fn describe_disk(identity: &Identity, index: usize, disk: &DiskProfile) -> Disk {
    let serial = disk_serial(identity, index);
    let bytes = identity.id.as_uuid().as_bytes();
    let wwn = format!(
        "0x5000c5{:02x}{:02x}{:02x}{:02x}{index:02x}",
        bytes[12], bytes[13], bytes[14], bytes[15]
    );
    let nvme = disk.transport == Transport::Nvme;
    Disk {
        name: disk.name.to_string(),
        model: disk.model.to_string(),
        size: disk.size_bytes,
        rotational: disk.rotational,
        wwn: Some(wwn.clone()),
        serial,
        vendor: disk.vendor.to_string(),
        wwn_with_extension: Some(wwn),
        wwn_vendor_extension: None,
        hctl: (!nvme).then(|| format!("{index}:0:0:0")),
        by_path: if nvme {
            format!("/dev/disk/by-path/pci-0000:{:02x}:00.0-nvme-1", 0x40 + index)
        } else {
            format!("/dev/disk/by-path/pci-0000:00:17.0-ata-{}", index + 1)
        },
        logical_sectors: 512,
        physical_sectors: 4096,
        tran: disk.transport.kernel_name().to_owned(),
    }
}

/// What a top-of-rack switch sends: 40 servers a switch, each interface number on a switch of its own.
fn lldp(identity: &Identity, interface: usize) -> Vec<(u8, String)> {
    let bytes = identity.id.as_uuid().as_bytes();
    let (switch, port) = (bytes[14], bytes[15] % 40 + 1);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let named = |subtype: u8, text: String| hex(&[&[subtype], text.as_bytes()].concat());
    let unit = u8::try_from(interface).unwrap_or(u8::MAX);
    vec![
        // Chassis id, subtype 4: MAC address.
        (LLDP_CHASSIS_ID, hex(&[4, 0x02, 0x5e, 0, unit, 0, switch])),
        // Port id, subtype 5: interface name.
        (LLDP_PORT_ID, named(5, format!("Ethernet1/{port}"))),
        (LLDP_TIME_TO_LIVE, hex(&[0, 120])),
        (LLDP_SYSTEM_NAME, hex(format!("tor-{switch}-{unit}").as_bytes())),
        // IEEE 802.1 port VLAN id 1 (OUI 00-80-C2, subtype 1).
        (LLDP_ORGANISATION, hex(&[0x00, 0x80, 0xc2, 0x01, 0x00, 0x01])),
    ]
}
