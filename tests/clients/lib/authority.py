"""A private certificate authority, as a site has one that no system's list of certificates knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Authority:
    """Files: the authority's certificate, and a server's certificate for 127.0.0.1 with its key."""

    ca: Path
    certificate: Path
    key: Path


def make_authority(folder: Path) -> Authority:
    """A new authority, with a server certificate that it signed."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    made = trustme.CA()
    server = made.issue_cert("127.0.0.1", "localhost")
    made.cert_pem.write_to_path(authority.ca)
    server.private_key_pem.write_to_path(authority.key)
    for index, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(authority.certificate, append=index > 0)
    return authority
