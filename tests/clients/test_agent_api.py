"""The agent's own API, asked in ways in which Ironic never asks: each refusal as the real agent words it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from lib.ironic_config import IronicOptions
from lib.lifecycle import INSPECT, MANAGE, Fleet
from lib.process import free_port
from lib.proxy import Answer, Forward, Proxy, Request
from lib.rig import Rig
from lib.waiting import wait_until

Json = dict[str, Any]


class Agent:
    """A running agent, and the token that Ironic gave it: overheard on the line between the two."""

    def __init__(self) -> None:
        self.token = ""
        self.url = ""

    def overhear(self, request: Request, forward: Forward) -> Answer:
        answer = forward()
        if "/lookup" in request.path and answer.status == 200:
            token = json.loads(answer.body)["config"]["agent_token"]
            self.token = self.token if token.startswith("*") else token
        if "/heartbeat/" in request.path and answer.status == 202:
            self.url = json.loads(request.body)["callback_url"]
        return answer

    def get(self, path: str, **query: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", params=query, timeout=30)

    def post(self, body: Any, token: str | None = None, **more: Any) -> requests.Response:
        query = {"agent_token": self.token if token is None else token}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(f"{self.url}/v1/commands/", params=query, data=data, timeout=30, **more)


@pytest.fixture(scope="module")
def agent() -> Agent:
    return Agent()


@pytest.fixture(scope="module")
def rig(folder: Path, agent: Agent) -> Iterator[Rig]:
    """One node whose agent waits for commands, each of which takes it an hour."""
    line = Proxy(f"http://127.0.0.1:{free_port()}", agent.overhear)
    options = IronicOptions(fast_track=True, agent_api_url=line.url)
    try:
        timing = {"agent_command": "1h"}
        with Rig(folder, 1, options, timing, settings={"agent": {"max_body": "1MiB"}}) as rig:
            line.connect(rig.ironic.url)
            Fleet(rig.client, rig.enroll(), [MANAGE, INSPECT]).run()
            wait_until("the agent beats", lambda: agent.url and agent.token)
            yield rig
    finally:
        line.close()


@pytest.fixture
def unchanged(rig: Rig) -> Iterator[None]:
    """No refusal may change the node."""
    before = rig.metalsim.nodes()[0]
    yield
    after = rig.metalsim.nodes()[0]
    assert (after["power"], after["phase"]) == (before["power"], before["phase"])


def refused(answer: requests.Response, status: int, words: str) -> None:
    """Ironic needs a text in ``faultstring`` of every refusal, and stumbles without one."""
    assert answer.status_code == status, answer.text
    assert words.lower() in answer.json()["faultstring"].lower()


@pytest.mark.usefixtures("rig")
def test_open_answers(agent: Agent) -> None:
    assert agent.get("/").json()["default_version"]["id"] == "v1"
    assert agent.get("/v1/status").json()["version"]


@pytest.mark.usefixtures("unchanged")
def test_token_missing_or_wrong(agent: Agent) -> None:
    command = {"name": "clean.get_clean_steps", "params": {"node": {}, "ports": []}}
    refused(agent.post(command, token="wrong"), 401, "token invalid")
    refused(requests.post(f"{agent.url}/v1/commands/", json=command, timeout=30), 401, "token invalid")
    refused(agent.get("/v1/commands/"), 401, "token invalid")
    refused(agent.get("/v1/commands/", agent_token="wrong"), 401, "token invalid")


@pytest.mark.usefixtures("unchanged")
def test_bad_commands(agent: Agent) -> None:
    refused(agent.post(b'{"name": '), 400, "")
    refused(agent.post({"name": "clean.get_clean_steps"}), 400, "missing or invalid name or params")
    refused(agent.post({"name": "clean", "params": {}}), 400, "<extension>.<name>")
    refused(agent.post({"name": "clean.dust", "params": {}}), 400, "unknown command: dust")
    refused(agent.post({"name": "attic.clean", "params": {}}), 404, "extension with id attic not found")
    refused(agent.get("/v1/commands/none", agent_token=agent.token), 404, "with id none not found")
    refused(agent.get("/v1/nothing", agent_token=agent.token), 404, "not found")
    assert requests.delete(f"{agent.url}/v1/commands/", timeout=30).status_code == 405


@pytest.mark.usefixtures("unchanged")
def test_body_over_the_limit(agent: Agent) -> None:
    try:
        answer = agent.post(b'{"name": "' + b"x" * (2 << 20) + b'", "params": {}}')
    except requests.ConnectionError:
        return
    assert answer.status_code == 413
    assert answer.json()["faultstring"]


@pytest.mark.usefixtures("unchanged")
def test_unknown_agent_is_not_there_at_all(agent: Agent) -> None:
    """A server without an agent refuses connections; an answer, even 404, would mislead Ironic."""
    parts = urlsplit(agent.url)
    stranger = f"{parts.scheme}://{parts.netloc}/00000000-0000-0000-0000-000000000000/v1/commands/"
    with pytest.raises(requests.ConnectionError):
        requests.get(stranger, params={"agent_token": agent.token}, timeout=30)


def test_second_command_while_one_runs(rig: Rig, agent: Agent) -> None:
    step = {"interface": "deploy", "step": "burnin_cpu"}
    params = {"step": step, "node": {}, "ports": [], "clean_version": None}
    first = agent.post({"name": "clean.execute_clean_step", "params": params})
    assert first.json()["command_status"] == "RUNNING"
    for name in ("clean.get_clean_steps", "standby.sync"):
        again = agent.post({"name": name, "params": {"node": {}, "ports": []}})
        refused(again, 409, "busy: executing command execute_clean_step")
    listing = agent.get("/v1/commands/", agent_token=agent.token).json()["commands"]
    assert [c["command_status"] for c in listing if c["id"] == first.json()["id"]] == ["RUNNING"]


def test_gone_agent_does_not_answer(rig: Rig, agent: Agent) -> None:
    """Runs last: the server loses its power."""
    uuid = next(iter(rig.client.states()))
    rig.client.set_power(uuid, "power off")
    wait_until("the server is off", lambda: rig.metalsim.nodes()[0]["phase"] == "off")
    with pytest.raises(requests.ConnectionError):
        agent.get("/v1/commands/", agent_token=agent.token)
