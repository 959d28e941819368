"""Debian's etcdctl, unmodified, through a ``kubectl port-forward`` to a member's pod."""

from __future__ import annotations

import datetime
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .kubectl import Kubectl
from .metalsim_server import REPOSITORY
from .process import Child
from .waiting import wait_until

# Where scripts/venv unpacks Debian's etcd-client.
PROGRAM = REPOSITORY / "target" / "etcd-client" / "usr" / "bin" / "etcdctl"

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> \d+")


@dataclass(frozen=True)
class Certificate:
    """Files: a client's certificate and its key."""

    certificate: Path
    key: Path


def client_certificate(folder: Path, name: str, authority: tuple[str, str]) -> Certificate:
    """A certificate as KubeadmControlPlane makes one for itself, signed by this authority."""
    issuer = x509.load_pem_x509_certificate(authority[0].encode())
    issuer_key = serialization.load_pem_private_key(authority[1].encode(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster-api.x-k8s.io")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    files = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@contextmanager
def forwarded(kubectl: Kubectl, pod: str, port: int, env: Mapping[str, str]) -> Iterator[tuple[int, Path]]:
    """A port of this machine that leads to a pod in ``kube-system`` while this is open, and its log."""
    log = kubectl.home / f"forward-{pod}-{port}.log"
    log.unlink(missing_ok=True)
    command = [
        str(kubectl.program),
        "-v=4",
        "port-forward",
        "--namespace",
        "kube-system",
        f"pod/{pod}",
        f":{port}",
    ]
    child = Child("kubectl port-forward", command, log, {**kubectl.env, **env})

    def ready() -> re.Match[str] | None:
        found = _FORWARDING.search(log.read_text())
        assert found or child.running(), f"kubectl ended.\n{child.tail()}"
        return found

    try:
        yield int(wait_until("the port is forwarded", ready, describe=child.tail)[1]), log
    finally:
        child.stop()


@dataclass(frozen=True)
class Etcdctl:
    """etcdctl for the member behind a forwarded port."""

    port: int
    ca: Path
    client: Certificate | None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            str(PROGRAM),
            *("--endpoints", f"https://127.0.0.1:{self.port}"),
            *("--cacert", str(self.ca)),
            *("--dial-timeout", "10s", "--command-timeout", "20s"),
        ]
        if self.client:
            command += ["--cert", str(self.client.certificate), "--key", str(self.client.key)]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=60, env={"ETCDCTL_API": "3"}
        )

    def __call__(self, *arguments: str) -> str:
        """What it prints; it must not fail."""
        done = self.run(*arguments)
        assert done.returncode == 0, (
            f"etcdctl {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def fails(self, *arguments: str) -> str:
        """What it says; it must fail."""
        done = self.run(*arguments)
        assert done.returncode != 0, f"etcdctl {' '.join(arguments)} did not fail:\n{done.stdout}"
        return done.stderr

    def alert(self) -> str:
        """The TLS alert with which the member refuses the client's certificate, in OpenSSL's words."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.client:
            context.load_cert_chain(self.client.certificate, self.client.key)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
                    # With TLS 1.3 a client is refused after its handshake.
                    stream.recv(1)
            except ssl.SSLError as error:
                return error.reason or str(error)
        return ""

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--write-out", "json"))

    def members(self) -> dict[str, str]:
        """Identity of each member by its name."""
        return {member["name"]: f"{member['ID']:x}" for member in self.json("member", "list")["members"]}
