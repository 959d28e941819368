"""A thin client of Ironic's API.

Thin on purpose: one list request tells the state of every node, so that watching thirty nodes does not take
Ironic more time than working on them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from .waiting import NotInTime

Json = dict[str, Any]

STATE_FIELDS = "uuid,name,provision_state,target_provision_state,power_state,last_error,maintenance"
FAILED = (
    "error",
    "clean failed",
    "deploy failed",
    "inspect failed",
    "rescue failed",
    "service failed",
    "unrescue failed",
    "adopt failed",
)


class IronicError(AssertionError):
    """Ironic refused a request."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        request = response.request
        super().__init__(f"{request.method} {request.url}: {self.status} {response.text[:800]}")


class NodeFailed(AssertionError):
    """A node went into a failed state, or back where it came from with an error."""


@dataclass(frozen=True)
class NodeSpec:
    """What an operator must know of a server to enroll it."""

    name: str
    address: str
    system_id: str
    mac: str
    username: str
    password: str
    driver_info: Json = field(default_factory=dict)
    interfaces: Json = field(default_factory=dict)
    properties: Json = field(default_factory=dict)


class IronicClient:
    """Requests as the newest API version that the server speaks."""

    def __init__(self, url: str, verify: str | bool = True) -> None:
        self.url = url
        self._http = requests.Session()
        self._http.verify = verify
        # Everything is on loopback, and certificates named in the environment would win over `verify`.
        self._http.trust_env = False
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=64))
        self._version: str | None = None

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, body: Any = None, accept_conflict: bool = False) -> Any:
        """One request. A locked node (409) is tried again for as long as a real client would, and longer."""
        if self._version is None:
            root = self._http.get(f"{self.url}/", timeout=60)
            self._version = root.json()["default_version"]["version"]
        headers = {"X-OpenStack-Ironic-API-Version": self._version, "Accept": "application/json"}
        deadline = time.monotonic() + 120
        while True:
            answer = self._http.request(method, self.url + path, json=body, headers=headers, timeout=120)
            locked = answer.status_code == 409 and "locked" in answer.text and not accept_conflict
            if not (locked or answer.status_code == 503) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if not answer.ok:
            raise IronicError(answer)
        return answer.json() if answer.content else None

    # Nodes

    def enroll(self, spec: NodeSpec) -> str:
        """Create the node and its boot port; the node's UUID."""
        node = self.request(
            "POST",
            "/v1/nodes",
            {
                "name": spec.name,
                "driver": "redfish",
                "driver_info": {
                    "redfish_address": spec.address,
                    "redfish_system_id": spec.system_id,
                    "redfish_username": spec.username,
                    "redfish_password": spec.password,
                    "redfish_verify_ca": False,
                    **spec.driver_info,
                },
                "properties": {"capabilities": "boot_mode:uefi", **spec.properties},
                **spec.interfaces,
            },
        )
        self.request(
            "POST", "/v1/ports", {"node_uuid": node["uuid"], "address": spec.mac, "pxe_enabled": True}
        )
        return str(node["uuid"])

    def node(self, uuid: str) -> Json:
        return self.request("GET", f"/v1/nodes/{uuid}")

    def states(self) -> dict[str, Json]:
        """The state of every node, by UUID, in one request."""
        listing = self.request("GET", f"/v1/nodes?limit=1000&fields={STATE_FIELDS}")
        return {node["uuid"]: node for node in listing["nodes"]}

    def update(self, uuid: str, **fields: Any) -> Json:
        """Set fields, given as ``instance_info={...}`` or with ``__`` for a slash: ``driver_info__x=1``."""
        patch = [
            {"op": "add", "path": "/" + name.replace("__", "/"), "value": value}
            for name, value in fields.items()
        ]
        return self.request("PATCH", f"/v1/nodes/{uuid}", patch)

    def set_state(self, uuid: str, verb: str, **more: Any) -> None:
        """Ask for a provision state by its verb, such as ``provide`` or ``deleted``."""
        self.request("PUT", f"/v1/nodes/{uuid}/states/provision", {"target": verb, **more})

    def set_power(self, uuid: str, target: str) -> None:
        self.request("PUT", f"/v1/nodes/{uuid}/states/power", {"target": target})

    def set_maintenance(self, uuid: str, on: bool) -> None:
        self.request("PUT" if on else "DELETE", f"/v1/nodes/{uuid}/maintenance", {} if on else None)

    def delete(self, uuid: str) -> None:
        self.request("DELETE", f"/v1/nodes/{uuid}")

    def ports(self, uuid: str) -> list[Json]:
        return self.request("GET", f"/v1/nodes/{uuid}/ports?detail=True")["ports"]

    def inventory(self, uuid: str) -> Json:
        return self.request("GET", f"/v1/nodes/{uuid}/inventory")

    def history(self, uuid: str) -> list[Json]:
        return self.request("GET", f"/v1/nodes/{uuid}/history?detail=True")["history"]

    # Waiting

    def wait_for(
        self, uuids: Iterable[str] | str, target: str, limit: float = 900, passing: str | None = None
    ) -> dict[str, Json]:
        """Wait until all nodes are in provision state ``target``; tell at once if one of them fails.

        ``passing`` names a failed state that lies on the way. ``limit`` only ends a run that hangs.
        """
        wanted = {uuids} if isinstance(uuids, str) else set(uuids)
        deadline = time.monotonic() + limit
        while True:
            states = {uuid: node for uuid, node in self.states().items() if uuid in wanted}
            if all(node["provision_state"] == target for node in states.values()):
                assert len(states) == len(wanted), f"nodes vanished: {wanted - set(states)}"
                return states
            for node in states.values():
                if node["provision_state"] in FAILED and node["provision_state"] not in (target, passing):
                    raise NodeFailed(self.explain(node["uuid"]))
            if time.monotonic() > deadline:
                late = "; ".join(describe(n) for n in states.values() if n["provision_state"] != target)
                raise NotInTime(f"not {target} within {limit:.0f} s: {late}")
            time.sleep(0.5)

    def explain(self, uuid: str) -> str:
        """Why a node is where it is, as Ironic tells it."""
        text = describe(self.node(uuid))
        events = [f"  {event['created_at']} {event['event']}" for event in self.history(uuid)]
        return "\n".join([text, *events])


def describe(node: Json) -> str:
    """One line on a node's state."""
    line = f"{node['name']} ({node['uuid']}) is {node['provision_state']!r}, power {node['power_state']!r}"
    if node.get("target_provision_state"):
        line += f", on its way to {node['target_provision_state']!r}"
    if node.get("maintenance"):
        line += ", in maintenance"
    return f"{line}: {node.get('last_error') or 'no error'}"
