"""The ironic.conf of the tests: what the Metal3 image configures, for one process, SQLite and loopback."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path

from .authority import Authority


@dataclass(frozen=True)
class IronicOptions:
    """What a test may choose. Everything else is the same for all."""

    fast_track: bool = False
    heartbeat_timeout: int = 300
    power_state_change_timeout: int = 60
    """Metal3 has 120; tests that wait for it to run out want it short."""
    callback_timeout: int = 1800
    """For inspect wait, clean wait, wait call-back, rescue wait and service wait alike."""
    check_interval: int = 60
    """How often Ironic looks whether one of these waits has lasted too long."""
    agent_api_url: str | None = None
    """What Ironic tells the ramdisk to call, when that is not its own address (a proxy in between)."""
    debug: bool = False
    hash_once: bool = True
    """Keep what Ironic hashes anew for each Redfish call: see hash_once/sitecustomize.py."""
    tls: Authority | None = None
    """Serve the API over TLS with a certificate of this authority, put its certificate on boot media, and
    take no agent that does not serve TLS too."""
    extra: dict[str, dict[str, object]] = field(default_factory=dict)
    """More keys by section."""


def bootloader_url(http_url: str) -> str:
    """The EFI system partition that Ironic puts on the boot media it builds."""
    return f"{http_url}/images/esp.img"


def write_config(
    target: Path, folder: Path, port: int, http_root: Path, http_url: str, options: IronicOptions
) -> None:
    """Write ``target``; all of Ironic's state goes below ``folder``."""
    api_url = f"{'https' if options.tls else 'http'}://127.0.0.1:{port}"
    for name in (
        "images",
        "master",
        "tftp",
        "tftp-master",
        "iso-master",
        "certificates",
        "logs",
        "locks",
        "tmp",
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "auth_strategy": "noauth",
            "rpc_transport": "none",
            "my_ip": "127.0.0.1",
            "host": "localhost",
            "debug": options.debug,
            "state_path": folder,
            "tempdir": folder / "tmp",
            "default_resource_class": "baremetal",
            "enabled_hardware_types": "redfish",
            "enabled_bios_interfaces": "no-bios,redfish",
            "enabled_boot_interfaces": "ipxe,redfish-virtual-media,redfish-https",
            "enabled_console_interfaces": "no-console",
            "enabled_deploy_interfaces": "direct,ramdisk,bootc,custom-agent,autodetect",
            "enabled_firmware_interfaces": "no-firmware,redfish",
            "enabled_inspect_interfaces": "agent,redfish,no-inspect",
            "enabled_management_interfaces": "redfish",
            "enabled_network_interfaces": "noop",
            "enabled_power_interfaces": "redfish",
            "enabled_raid_interfaces": "no-raid,agent,redfish",
            "enabled_rescue_interfaces": "no-rescue,agent",
            "enabled_storage_interfaces": "noop",
            "enabled_vendor_interfaces": "no-vendor,redfish",
            "default_bios_interface": "redfish",
            "default_boot_interface": "ipxe",
            "default_deploy_interface": "direct",
            "default_firmware_interface": "redfish",
            "default_inspect_interface": "agent",
            "default_network_interface": "noop",
            "default_raid_interface": "agent",
            "default_rescue_interface": "agent",
            "isolinux_bin": "/usr/lib/ISOLINUX/isolinux.bin",
        },
        "agent": {
            "require_tls": False,
            "image_download_source": "http",
            "deploy_logs_collect": "always",
            "deploy_logs_local_path": folder / "logs",
            "certificates_path": folder / "certificates",
            "max_command_attempts": 30,
        },
        "api": {
            "host_ip": "127.0.0.1",
            "port": port,
            "api_workers": 1,
            "ramdisk_heartbeat_timeout": options.heartbeat_timeout,
        },
        "conductor": {
            "automated_clean": True,
            "workers_pool_size": 300,
            "max_concurrent_deploy": 1000,
            "max_concurrent_clean": 1000,
            "power_state_change_timeout": options.power_state_change_timeout,
            "bootloader": bootloader_url(http_url),
            "deploy_callback_timeout": options.callback_timeout,
            "clean_callback_timeout": options.callback_timeout,
            "inspect_wait_timeout": options.callback_timeout,
            "rescue_callback_timeout": options.callback_timeout,
            "service_callback_timeout": options.callback_timeout,
            "check_provision_state_interval": options.check_interval,
            "check_rescue_state_interval": options.check_interval,
            "file_url_allowed_paths": folder,
        },
        "database": {
            # Ironic sets WAL mode itself and retries a locked database; waiting in SQLite is cheaper.
            "connection": f"sqlite:///{folder / 'ironic.sqlite'}?timeout=30",
            "sqlite_synchronous": False,
            "sqlite_max_wait_for_retry": 120,
        },
        "deploy": {
            "http_root": http_root,
            "http_url": http_url,
            "iso_master_path": folder / "iso-master",
            "fast_track": options.fast_track,
            "default_boot_option": "local",
            "default_boot_mode": "uefi",
            "erase_devices_priority": 0,
            "erase_devices_metadata_priority": 10,
        },
        "dhcp": {"dhcp_provider": "none"},
        "inspector": {
            "require_managed_boot": True,
            "power_off": not options.fast_track,
            "extra_kernel_params": "ipa-inspection-collectors=default,logs ipa-collect-lldp=1"
            " ipa-enable-vlan-interfaces=all ipa-inspection-dhcp-all-interfaces=1",
            "hooks": "$default_hooks,parse-lldp",
            "add_ports": "all",
            "keep_ports": "present",
            "status_check_period": options.check_interval,
        },
        "oslo_concurrency": {"lock_path": folder / "locks"},
        "pxe": {
            "images_path": folder / "images",
            "instance_master_path": folder / "master",
            "tftp_root": folder / "tftp",
            "tftp_master_path": folder / "tftp-master",
            "kernel_append_params": "nofb nomodeset vga=normal ipa-insecure=1",
        },
        "redfish": {"kernel_append_params": "nofb nomodeset vga=normal ipa-insecure=1", "use_swift": False},
        "service_catalog": {"auth_type": "none", "endpoint_override": options.agent_api_url or api_url},
    }
    if options.tls:
        authority = options.tls
        sections["api"] |= {
            "enable_ssl_api": True,
            "cert_file": authority.certificate,
            "key_file": authority.key,
        }
        sections["agent"] |= {"api_ca_file": authority.ca, "require_tls": True}
        for section in ("pxe", "redfish"):
            # Metal3 turns verification off; here it is what is tested.
            sections[section]["kernel_append_params"] = "nofb nomodeset vga=normal"
    for name, keys in options.extra.items():
        sections[name] = sections.get(name, {}) | keys
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_dict({name: {k: str(v) for k, v in keys.items()} for name, keys in sections.items()})
    with target.open("w") as out:
        parser.write(out)
