"""Every call that Ironic's redfish driver makes, made by the library that it makes them with."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import sushy
from lib.metalsim_server import PASSWORD, USERNAME, MetalsimServer
from lib.waiting import wait_until
from sushy.auth import BasicAuth, SessionAuth, SessionOrBasicAuth

Json = dict[str, Any]
On, Off = sushy.PowerState.ON, sushy.PowerState.OFF


@pytest.fixture(scope="module")
def fresh(bmcs: MetalsimServer) -> Iterator[Json]:
    """Nodes that no test has used yet."""
    return iter(bmcs.nodes())


@pytest.fixture
def node(fresh: Iterator[Json]) -> Json:
    return next(fresh)


@pytest.fixture(scope="module")
def root(bmcs: MetalsimServer) -> sushy.Sushy:
    return sushy.Sushy(bmcs.redfish_url, auth=SessionAuth(USERNAME, PASSWORD))


@pytest.fixture
def system(root: sushy.Sushy, node: Json) -> Any:
    return root.get_system(node["redfish"]["system"])


@pytest.fixture
def manager(system: Any) -> Any:
    return system.managers[0]


def power(system: Any) -> sushy.PowerState:
    system.refresh()
    return system.power_state


def reset(system: Any, value: sushy.ResetType, expected: sushy.PowerState) -> None:
    system.reset_system(value)
    wait_until(f"{expected} after {value}", lambda: power(system) == expected)


# Power


def test_all_reset_types_are_offered(system: Any) -> None:
    R = sushy.ResetType
    assert system.get_allowed_reset_system_values() >= {
        R.ON,
        R.FORCE_OFF,
        R.GRACEFUL_SHUTDOWN,
        R.GRACEFUL_RESTART,
        R.FORCE_RESTART,
        R.NMI,
        R.FORCE_ON,
        R.PUSH_POWER_BUTTON,
        R.POWER_CYCLE,
    }


def test_resets_end_in_the_right_power_state(system: Any) -> None:
    R = sushy.ResetType
    assert power(system) == Off
    for value, expected in (
        (R.ON, On),
        (R.ON, On),
        (R.NMI, On),
        (R.FORCE_RESTART, On),
        (R.GRACEFUL_RESTART, On),
        (R.POWER_CYCLE, On),
        (R.FORCE_OFF, Off),
        (R.FORCE_OFF, Off),
        (R.FORCE_RESTART, On),
        (R.FORCE_OFF, Off),
        (R.POWER_CYCLE, On),
        (R.PUSH_POWER_BUTTON, Off),
        (R.PUSH_POWER_BUTTON, On),
        (R.FORCE_OFF, Off),
        (R.FORCE_ON, On),
        (R.FORCE_OFF, Off),
    ):
        reset(system, value, expected)


def test_graceful_shutdown_is_accepted(system: Any) -> None:
    reset(system, sushy.ResetType.ON, On)
    system.reset_system(sushy.ResetType.GRACEFUL_SHUTDOWN)


# Boot


def test_boot_device_once_is_used_up_by_a_boot(system: Any) -> None:
    assert sushy.BootSource.PXE in system.get_allowed_system_boot_source_values()
    system.set_system_boot_options(sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE)
    system.refresh()
    assert system.boot.target == sushy.BootSource.PXE
    assert system.boot.enabled == sushy.BootSourceOverrideEnabled.ONCE
    reset(system, sushy.ResetType.ON, On)

    def used_up() -> bool:
        system.refresh()
        return system.boot.enabled == sushy.BootSourceOverrideEnabled.DISABLED

    wait_until("the override is used up", used_up)


@pytest.mark.parametrize("target", ["Pxe", "Hdd", "Cd", "BiosSetup"])
def test_boot_device_continuous_outlives_boots(system: Any, target: str) -> None:
    source = sushy.BootSource(target)
    system.set_system_boot_options(source, enabled=sushy.BootSourceOverrideEnabled.CONTINUOUS)
    for value, expected in (
        (sushy.ResetType.ON, On),
        (sushy.ResetType.FORCE_OFF, Off),
        (sushy.ResetType.ON, On),
    ):
        reset(system, value, expected)
    assert system.boot.target == source
    assert system.boot.enabled == sushy.BootSourceOverrideEnabled.CONTINUOUS


def test_boot_mode(system: Any) -> None:
    modes = sushy.BootSourceOverrideMode
    for mode in (modes.LEGACY, modes.UEFI):
        system.set_system_boot_options(mode=mode)
        reset(system, sushy.ResetType.FORCE_RESTART, On)
        wait_until("the mode is in force", lambda mode=mode: system.refresh() or system.boot.mode == mode)


def test_http_boot_uri(system: Any) -> None:
    uri = "http://127.0.0.1:9/ipa.iso"
    once = sushy.BootSourceOverrideEnabled.ONCE
    assert "HttpBootUri" in system.json["Boot"]
    system.set_system_boot_options(sushy.BootSource.UEFI_HTTP, enabled=once, http_boot_uri=uri)
    system.refresh()
    assert system.boot.http_boot_uri == uri
    assert system.boot.target == sushy.BootSource.UEFI_HTTP
    system.set_system_boot_options(sushy.BootSource.HDD, enabled=once)
    system.refresh()
    assert system.boot.http_boot_uri is None


def test_secure_boot(system: Any) -> None:
    for wanted in (True, False):
        system.secure_boot.set_enabled(wanted)
        reset(system, sushy.ResetType.FORCE_RESTART, On)
        wait_until(
            "secure boot is as wanted",
            lambda wanted=wanted: system.secure_boot.refresh() or system.secure_boot.enabled is wanted,
        )
    keys = sushy.SecureBootResetKeysType
    assert {keys.RESET_ALL_KEYS_TO_DEFAULT, keys.DELETE_ALL_KEYS} <= set(
        system.secure_boot.get_allowed_reset_keys_values()
    )
    system.secure_boot.reset_keys(keys.DELETE_ALL_KEYS)
    system.secure_boot.reset_keys(keys.RESET_ALL_KEYS_TO_DEFAULT)


# Virtual media


def virtual_cd(system: Any, manager: Any) -> Any:
    """The CD slot, looked for where Ironic looks."""
    collection = system.virtual_media if "VirtualMedia" in system.json else manager.virtual_media
    return next(slot for slot in collection.get_members() if sushy.VirtualMediaType.CD in slot.media_types)


def test_virtual_media_insert_and_eject(system: Any, manager: Any) -> None:
    slot = virtual_cd(system, manager)
    assert (slot.inserted, slot.image) == (False, None)
    image = "http://127.0.0.1:9/images/boot.iso"
    slot.insert_media(image)
    slot.refresh()
    assert (slot.inserted, slot.image) == (True, image)
    assert slot.write_protected is True
    reset(system, sushy.ResetType.ON, On)
    slot.refresh()
    assert slot.inserted is True, "media must survive a boot"
    slot.eject_media()
    slot.refresh()
    assert not slot.inserted
    assert not slot.image
    slot.eject_media()


def test_there_is_a_slot_for_a_config_drive(system: Any, manager: Any) -> None:
    collection = system.virtual_media if "VirtualMedia" in system.json else manager.virtual_media
    types = {kind for slot in collection.get_members() for kind in slot.media_types}
    assert types & {sushy.VirtualMediaType.USB_STICK, sushy.VirtualMediaType.FLOPPY}


# BIOS


def test_bios_attributes_change_at_the_next_boot(system: Any) -> None:
    bios = system.bios
    name, old = next((k, v) for k, v in bios.attributes.items() if isinstance(v, bool))
    registry = bios.get_attribute_registry()
    described = {entry.name: entry.attribute_type for entry in registry.registry_entries.attributes}
    assert described[name] == "Boolean"
    assert described.keys() == bios.attributes.keys()
    new = not old
    bios.set_attribute(name, new)
    bios.refresh()
    assert bios.pending_attributes[name] == new
    assert bios.attributes[name] == old, "a BIOS setting must wait for the next boot"
    reset(system, sushy.ResetType.ON, On)
    wait_until("the setting is in force", lambda: bios.refresh() or bios.attributes[name] == new)
    bios.reset_bios()
    reset(system, sushy.ResetType.FORCE_RESTART, On)
    wait_until("the factory setting is back", lambda: bios.refresh() or bios.attributes[name] == old)


# Inventory


def test_hardware_that_inspection_reads(system: Any, node: Json) -> None:
    assert system.memory_summary.size_gib > 0
    processors = system.processors.get_members()
    assert processors[0].instruction_set == sushy.InstructionSet.X86_64
    assert sum(processor.total_threads for processor in processors) > 0
    assert system.uuid.lower() == node["uuid"].lower()
    for text in (system.name, system.manufacturer, system.json["Model"], system.json["SerialNumber"]):
        assert text
    interfaces = system.ethernet_interfaces.get_members()
    assert node["mac"].lower() in {interface.mac_address.lower() for interface in interfaces}
    macs = system.ethernet_interfaces.summary
    assert node["mac"].lower() in {mac.lower() for mac in macs}, "only healthy, enabled ones are listed"


def test_storage(system: Any) -> None:
    assert system.simple_storage.disks_sizes_bytes
    assert all(device.status for s in system.simple_storage.get_members() for device in s.devices)
    members = system.storage.get_members()
    assert members
    for storage in members:
        for drive in storage.drives:
            assert drive.capacity_bytes > 0
            assert drive.name
        assert storage.volumes.volumes_sizes_bytes is not None


def test_sensors(system: Any) -> None:
    chassis = system.chassis[0]
    assert chassis.uuid
    for fan in chassis.thermal.fans:
        assert fan.reading is not None
    temperatures = chassis.thermal.temperatures
    assert temperatures
    for sensor in temperatures:
        assert isinstance(sensor.sensor_number, int)
        assert sensor.reading_celsius is not None
    assert chassis.power.power_supplies
    expanded = system.chassis_expanded
    assert expanded


def test_network_adapters_and_firmware_versions(system: Any, manager: Any) -> None:
    assert system.json["BiosVersion"]
    assert manager.firmware_version
    assert manager.model
    for adapter in system.chassis[0].network_adapters.get_members():
        assert adapter.manufacturer


def test_indicator_led(system: Any) -> None:
    for target in (system, system.chassis[0]):
        for led in (sushy.IndicatorLED.BLINKING, sushy.IndicatorLED.LIT, sushy.IndicatorLED.OFF):
            target.set_indicator_led(led)
            target.refresh()
            assert target.indicator_led == led


# Manager


def test_manager_and_its_clock(manager: Any) -> None:
    assert manager.manager_type == sushy.ManagerType.BMC
    wanted = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC).isoformat()
    manager.set_datetime(datetime=wanted, datetime_local_offset="+00:00")
    manager.refresh()
    seen = datetime.datetime.fromisoformat(manager.datetime)
    assert seen >= datetime.datetime.fromisoformat(wanted)
    assert manager.datetimelocaloffset == "+00:00"


# Sessions and access


@pytest.mark.parametrize("auth", [BasicAuth, SessionAuth, SessionOrBasicAuth])
def test_ways_to_log_in(bmcs: MetalsimServer, node: Json, auth: type) -> None:
    root = sushy.Sushy(bmcs.redfish_url, auth=auth(USERNAME, PASSWORD))
    assert root.get_system(node["redfish"]["system"]).power_state == Off


@pytest.mark.parametrize("auth", [BasicAuth, SessionAuth])
def test_bad_credentials(bmcs: MetalsimServer, node: Json, auth: type) -> None:
    with pytest.raises(sushy.exceptions.AccessError):
        sushy.Sushy(bmcs.redfish_url, auth=auth(USERNAME, "wrong")).get_system(node["redfish"]["system"])


def test_ended_session_is_renewed(bmcs: MetalsimServer, node: Json) -> None:
    """sushy logs in once more when its token is refused."""
    auth = SessionAuth(USERNAME, PASSWORD)
    root = sushy.Sushy(bmcs.redfish_url, auth=auth)
    root.get_system(node["redfish"]["system"])
    first = auth.get_session_key()
    ended = requests.delete(
        bmcs.redfish_url + auth.get_session_resource_id(), headers={"X-Auth-Token": first}, timeout=30
    )
    assert ended.status_code in (200, 204)
    assert root.get_system(node["redfish"]["system"]).power_state == Off
    assert auth.get_session_key() != first
    auth.close()


def test_session_service(root: sushy.Sushy) -> None:
    service = root.get_session_service()
    assert service.service_enabled
    assert service.session_timeout > 0
    assert service.sessions.get_members()


# ETag


def test_a_stale_etag_is_refused_and_a_fresh_one_accepted(bmcs: MetalsimServer, node: Json) -> None:
    url = bmcs.redfish_url + node["redfish"]["system"]
    http = requests.Session()
    http.auth = (USERNAME, PASSWORD)
    first = http.get(url, timeout=30).headers["ETag"]
    lit, off = {"IndicatorLED": "Lit"}, {"IndicatorLED": "Off"}
    assert http.patch(url, json=lit, headers={"If-Match": first}, timeout=30).ok
    second = http.get(url, timeout=30).headers["ETag"]
    assert second != first
    assert http.patch(url, json=off, headers={"If-Match": first}, timeout=30).status_code == 412
    assert http.get(url, timeout=30).json()["IndicatorLED"] == "Lit"
    assert http.patch(url, json=off, headers={"If-Match": second}, timeout=30).ok
    assert http.get(url, headers={"If-None-Match": "*"}, timeout=30).status_code in (200, 304)


def test_no_boot_device_can_be_seen(bmcs: MetalsimServer, system: Any, node: Json) -> None:
    """A blank disk and a network without a boot server: event log, boot progress and our own API tell."""
    system.reset_system(sushy.ResetType.ON)
    wait_until("the boot has ended", lambda: bmcs.node(node["name"])["phase"] == "no_boot_device")
    system.refresh()
    assert system.power_state == On
    assert system.json["BootProgress"]["LastState"] == "SystemHardwareInitializationComplete"
    entries = requests.get(
        f"{bmcs.redfish_url}{node['redfish']['system']}/LogServices/EventLog/Entries",
        auth=(USERNAME, PASSWORD),
        timeout=30,
    ).json()["Members"]
    messages = [entry["Message"] for entry in entries]
    assert "Boot failed: no DHCP server answers." in messages
    assert messages[-1] == "No bootable device was found.", messages
