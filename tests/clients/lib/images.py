"""Tiny stand-ins for what is megabytes in life: kernel, ramdisk, instance image, the user's own ramdisk ISO.

Their content is never run, only fetched, hashed and parsed, so a few kilobytes do.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Images:
    """File names below the file server's root, and the instance image's SHA-256."""

    kernel: str
    ramdisk: str
    instance: str
    instance_sha256: str
    deploy_iso: str
    silent_iso: str
    """A ramdisk of the user's own, told nothing, that looks for a medium with parameters beside its own."""


def make_images(folder: Path) -> Images:
    """Write all images into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ipa.kernel").write_bytes(b"kernel" * 100)
    (folder / "ipa.initramfs").write_bytes(b"ramdisk" * 100)
    # A valid MBR signature: Ironic's format inspector looks at the first sectors.
    image = bytearray(1 << 20)
    image[510:512] = b"\x55\xaa"
    (folder / "instance.raw").write_bytes(image)
    # What Ironic takes for a boot loader is not looked into either.
    (folder / "esp.img").write_bytes(b"esp" * 1000)
    # Ironic cannot add a parameter to an ISO that it did not build, so this one tells nothing of Ironic.
    make_iso(folder / "user-ramdisk.iso", "nofb nomodeset")
    make_iso(folder / "silent-ramdisk.iso", "nofb nomodeset boot_method=vmedia")
    return Images(
        kernel="ipa.kernel",
        ramdisk="ipa.initramfs",
        instance="instance.raw",
        instance_sha256=hashlib.sha256(image).hexdigest(),
        deploy_iso="user-ramdisk.iso",
        silent_iso="silent-ramdisk.iso",
    )


def make_iso(target: Path, kernel_parameters: str) -> None:
    """A bootable-looking ISO: kernel, ramdisk and a GRUB configuration with the given command line."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        (tree / "vmlinuz").write_bytes(b"kernel" * 100)
        (tree / "initrd").write_bytes(b"ramdisk" * 100)
        grub = tree / "boot" / "grub"
        grub.mkdir(parents=True)
        (grub / "grub.cfg").write_text(
            "set default=0\nset timeout=5\n\n"
            'menuentry "boot_partition" {\n'
            f"    linuxefi /vmlinuz {kernel_parameters}\n"
            "    initrdefi /initrd\n"
            "}\n"
        )
        subprocess.run(
            ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-V", "USER_RAMDISK", "-o", target, tree],
            check=True,
            capture_output=True,
        )
