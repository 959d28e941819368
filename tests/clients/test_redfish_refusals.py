"""What the BMC answers to what it must refuse: Redfish's own error each time, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lib.metalsim_server import PASSWORD, USERNAME, MetalsimServer

Json = dict[str, Any]


class Bmc:
    """Plain requests to one node's System, past any client library."""

    def __init__(self, server: MetalsimServer, node: Json) -> None:
        self.server, self.node = server, node
        self.system = node["redfish"]["system"]
        self.http = requests.Session()
        self.http.auth = (USERNAME, PASSWORD)

    def send(self, method: str, path: str = "", **more: Any) -> requests.Response:
        return self.http.request(method, f"{self.server.redfish_url}{self.system}{path}", timeout=60, **more)


@pytest.fixture
def bmc(bmcs: MetalsimServer) -> Iterator[Bmc]:
    """A node's BMC. The node must be the same before and after."""
    bmc = Bmc(bmcs, bmcs.nodes()[0])
    before = bmc.send("GET").json()
    yield bmc
    assert bmc.send("GET").json() == before


def refused(answer: requests.Response, status: int, key: str) -> str:
    """Check a Redfish error; its whole text."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert isinstance(error["message"], str)
    infos = error["@Message.ExtendedInfo"]
    assert any(info["MessageId"].startswith("Base.") for info in infos)
    assert any(info["MessageId"].endswith(f".{key}") for info in infos), infos
    assert all(info["Severity"] for info in infos), "sushy reads Severity, not MessageSeverity"
    return json.dumps(error)


def test_unknown_system(bmcs: MetalsimServer) -> None:
    url = f"{bmcs.redfish_url}/redfish/v1/Systems/00000000-0000-0000-0000-000000000000"
    answer = requests.get(url, auth=(USERNAME, PASSWORD), timeout=30)
    assert answer.status_code == 404
    ids = [info["MessageId"] for info in answer.json()["error"]["@Message.ExtendedInfo"]]
    assert any(i.endswith((".ResourceMissingAtURI", ".ResourceNotFound")) for i in ids), ids


def test_unknown_path(bmc: Bmc) -> None:
    refused(bmc.send("GET", "/Nothing"), 404, "ResourceMissingAtURI")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", ""), ("POST", ""), ("GET", "/Actions/ComputerSystem.Reset")]
)
def test_wrong_method(bmc: Bmc, method: str, path: str) -> None:
    answer = bmc.send(method, path)
    refused(answer, 405, "OperationNotAllowed")
    assert method not in answer.headers["Allow"]
    assert answer.headers["Allow"]


@pytest.mark.parametrize(("method", "path"), [("PATCH", ""), ("POST", "/Actions/ComputerSystem.Reset")])
def test_bad_json(bmc: Bmc, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused(bmc.send(method, path, data=b'{"Boot": ', headers=headers), 400, "MalformedJSON")
    answer = bmc.send(method, path, data=b"[1]", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["@Message.ExtendedInfo"]


def test_wrong_type(bmc: Bmc) -> None:
    body = {"Boot": {"BootSourceOverrideTarget": 7}}
    refused(bmc.send("PATCH", json=body), 400, "PropertyValueTypeError")
    answer = bmc.send("POST", "/Actions/ComputerSystem.Reset", json={"ResetType": 7})
    refused(answer, 400, "ActionParameterValueTypeError")


def test_value_not_in_list_names_the_list(bmc: Bmc) -> None:
    body = {"Boot": {"BootSourceOverrideTarget": "Tape"}}
    text = refused(bmc.send("PATCH", json=body), 400, "PropertyValueNotInList")
    for allowed in bmc.send("GET").json()["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"]:
        assert allowed in text
    answer = bmc.send("POST", "/Actions/ComputerSystem.Reset", json={"ResetType": "Kick"})
    text = refused(answer, 400, "ActionParameterValueNotInList")
    for allowed in ("ForceOff", "GracefulShutdown", "Nmi"):
        assert allowed in text


def test_missing_parameter(bmc: Bmc) -> None:
    answer = bmc.send("POST", "/Actions/ComputerSystem.Reset", json={})
    refused(answer, 400, "ActionParameterMissing")


def test_unknown_and_read_only_properties(bmc: Bmc) -> None:
    refused(bmc.send("PATCH", json={"Colour": "red"}), 400, "PropertyUnknown")
    refused(bmc.send("PATCH", json={"PowerState": "On"}), 400, "PropertyNotWritable")


def test_a_refused_part_refuses_the_whole(bmc: Bmc) -> None:
    body = {"IndicatorLED": "Lit", "Boot": {"BootSourceOverrideTarget": "Tape"}}
    refused(bmc.send("PATCH", json=body), 400, "PropertyValueNotInList")


def test_body_over_the_limit(bmc: Bmc) -> None:
    big = b'{"Boot": "' + b"x" * (2 << 20) + b'"}'
    try:
        answer = bmc.send("PATCH", data=big, headers={"Content-Type": "application/json"})
    except requests.ConnectionError:
        # The server may answer and close before it was sent all of it; some clients then see only the close.
        return
    assert answer.status_code == 413


def test_no_and_bad_credentials(bmc: Bmc) -> None:
    url = bmc.server.redfish_url + bmc.system
    for auth in (None, (USERNAME, "wrong"), ("nobody", PASSWORD)):
        answer = requests.get(url, auth=auth, timeout=30)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert answer.json()["error"]["@Message.ExtendedInfo"]
        assert PASSWORD not in answer.text
    # Who has not said who they are learns nothing about what exists.
    unknown = requests.get(f"{bmc.server.redfish_url}/redfish/v1/Systems/none", timeout=30)
    assert unknown.status_code == 401
    broken = requests.patch(url, data=b"{", headers={"Content-Type": "application/json"}, timeout=30)
    assert broken.status_code == 401


def test_expired_session(bmc: Bmc) -> None:
    sessions = f"{bmc.server.redfish_url}/redfish/v1/SessionService/Sessions"
    login = requests.post(sessions, json={"UserName": USERNAME, "Password": PASSWORD}, timeout=30)
    assert login.status_code == 201
    token = {"X-Auth-Token": login.headers["X-Auth-Token"]}
    url = bmc.server.redfish_url + bmc.system
    assert requests.get(url, headers=token, timeout=30).ok
    location = login.headers["Location"]
    session = location if location.startswith("http") else bmc.server.redfish_url + location
    assert requests.delete(session, headers=token, timeout=30).ok
    refused(requests.get(url, headers=token, timeout=30), 401, "NoValidSession")
    bad = requests.post(sessions, json={"UserName": USERNAME, "Password": "wrong"}, timeout=30)
    assert bad.status_code == 401
    assert "X-Auth-Token" not in bad.headers


@pytest.mark.parametrize(
    "path", ["/redfish", "/redfish/v1", "/redfish/v1/", "/redfish/v1/odata", "/redfish/v1/$metadata"]
)
def test_open_to_everyone(bmcs: MetalsimServer, path: str) -> None:
    assert requests.get(bmcs.redfish_url + path, timeout=30).status_code == 200
    assert requests.head(bmcs.redfish_url + path, timeout=30).status_code == 200
