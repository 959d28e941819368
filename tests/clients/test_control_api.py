"""The control API: its document, checked by a validator of OpenAPI, and the program's own commands for it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from lib.metalsim_server import MetalsimServer, binary
from lib.waiting import wait_until
from openapi_spec_validator import OpenAPIV31SpecValidator

Json = dict[str, Any]
TOKEN = "not-a-secret"


@pytest.fixture(scope="module")
def metalsim(folder: Path) -> Iterator[MetalsimServer]:
    server = MetalsimServer(folder / "control", 3, settings={"events": {"file": "events.jsonl"}})
    try:
        yield server.start()
        server.stop()
        # The file holds the whole run.
        lines = [json.loads(line) for line in (server.folder / "events.jsonl").read_text().splitlines()]
        assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
        assert (lines[0]["kind"], lines[-1]["kind"]) == ("run_started", "run_ended")
    finally:
        server.kill()


class Commands:
    """metalsim's commands for a server that runs."""

    def __init__(self, server: MetalsimServer) -> None:
        self._url = server.control_url

    def run(self, *arguments: str, stdin: str = "") -> str:
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binary(), *arguments, "--url", self._url],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def commands(metalsim: MetalsimServer) -> Commands:
    return Commands(metalsim)


def document_of(server: MetalsimServer) -> Json:
    answer = requests.get(f"{server.control_url}/openapi.json", timeout=30)
    answer.raise_for_status()
    return answer.json()


def test_the_document_is_valid(metalsim: MetalsimServer) -> None:
    document = document_of(metalsim)
    errors = [
        f"{'/'.join(map(str, error.path))}: {error.message}"
        for error in OpenAPIV31SpecValidator(document).iter_errors()
    ]
    assert errors == []
    # One that is broken is refused: the validator looks.
    document["paths"]["/healthz"]["get"]["responses"] = {"200": {}}
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


def test_answers_are_as_the_document_says(metalsim: MetalsimServer, commands: Commands) -> None:
    from jsonschema import Draft202012Validator

    document = document_of(metalsim)
    commands.run("fault", "add", "{name: shown, which: {names: [node-1]}, what: reset_ignored}")
    answers = {
        "NodeList": "/api/v1/nodes",
        "Node": "/api/v1/nodes/node-1",
        "Labels": "/api/v1/nodes/node-1/labels",
        "FaultList": "/api/v1/faults",
        "Fault": "/api/v1/faults/shown",
        "ClusterList": "/api/v1/clusters",
        "Error": "/api/v1/nodes/nobody",
    }
    for name, path in answers.items():
        answer = requests.get(f"{metalsim.control_url}{path}", timeout=30).json()
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(answer)
    with requests.get(f"{metalsim.control_url}/api/v1/events?after=0", stream=True, timeout=30) as stream:
        lines = (line.decode() for line in stream.iter_lines())
        events = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
        schema = {"$ref": "#/components/schemas/Event", "components": document["components"]}
        for _ in range(4):
            Draft202012Validator(schema).validate(next(events))
    commands.run("fault", "remove", "shown")


def test_faults_by_command(commands: Commands, folder: Path) -> None:
    file = folder / "faults.yaml"
    file.write_text(
        """
faults:
  - {name: dark, which: {names: [node-2]}, what: power_loss}
  - {name: deaf, which: {count: 2}, what: {bmc_status: {status: 503}}}
"""
    )
    assert commands.run("fault", "add", str(file)) == "dark: added\ndeaf: added\n"
    rows = [line.split() for line in commands.run("fault", "list").splitlines()]
    assert rows == [
        ["NAME", "WHAT", "OF", "NODES"],
        ["dark", "power_loss", "node", "1"],
        ["deaf", "bmc_status", "node", "2"],
    ]
    shown = commands.run("fault", "show", "deaf")
    # What is shown may be given back.
    assert commands.run("fault", "replace", "-", stdin=shown) == "deaf: replaced\n"
    taken = commands.attempt("fault", "add", str(file))
    assert (taken.returncode, "there is a fault dark already" in taken.stderr) == (1, True), taken.stderr
    wrong = commands.attempt("fault", "add", "{name: x, what: {bmc_slow: {delay: soon}}}")
    assert wrong.returncode == 1
    assert "what" in wrong.stderr
    assert "soon" in wrong.stderr
    assert commands.run("fault", "remove", "dark") == "dark: removed\n"
    commands.run("fault", "remove", "--all")
    assert json.loads(commands.run("fault", "list", "--json"))["items"] == []


def test_nodes_by_command(metalsim: MetalsimServer, commands: Commands) -> None:
    assert json.loads(commands.run("node", "label", "node-3", "rack=a", "row=1")) == {"rack": "a", "row": "1"}
    assert json.loads(commands.run("node", "label", "node-3", "row-")) == {"rack": "a"}
    rows = [line.split() for line in commands.run("node", "list", "--label", "rack=a").splitlines()]
    assert [row[0] for row in rows] == ["NAME", "node-3"]
    assert rows[1][-1] == "rack=a"
    assert len(json.loads(commands.run("node", "list", "--json"))) == 3
    commands.run("node", "power", "on", "node-3")
    wait_until("the power to be on", lambda: metalsim.node("node-3")["power"] == "On", limit=30)
    commands.run("node", "kill", "node-3")
    assert json.loads(commands.run("node", "show", "node-3"))["power"] == "On"
    commands.run("node", "power", "off", "node-3")
    wait_until("the power to be off", lambda: metalsim.node("node-3")["power"] == "Off", limit=30)
    nobody = commands.attempt("node", "kill", "node-9")
    assert (nobody.returncode, 'no node "node-9"' in nobody.stderr) == (1, True), nobody.stderr


def test_tokens_are_sent_and_wanted(folder: Path) -> None:
    server = MetalsimServer(folder / "token", 1, settings={"control": {"token": TOKEN}})
    try:
        server.start()
        commands = Commands(server)
        refused = commands.attempt("node", "list")
        assert refused.returncode == 1
        assert "bearer token" in refused.stderr
        assert "node-1" in commands.run("node", "list", "--token", TOKEN)
        document_of(server)
        server.stop()
    finally:
        server.kill()
