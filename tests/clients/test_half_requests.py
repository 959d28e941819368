"""Ten thousand connections that send half a request: they end by time-out, and the others do not starve."""

from __future__ import annotations

import resource
import selectors
import socket
import time

import pytest
import requests
from lib.metalsim_server import PASSWORD, USERNAME, MetalsimServer

CONNECTIONS = 10_000
# Redfish's routes and the agents' are served by different listeners; each gets half of the connections.
HALVES = {
    "redfish": b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\nX-Half: ",
    "agent": b"POST /00000000-0000-0000-0000-000000000000/v1/commands/ HTTP/1.1\r\nHost: a\r\nContent-Le",
}


@pytest.fixture
def many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > CONNECTIONS + 500, f"this test needs more open files than the system allows ({hard})"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.usefixtures("many_files")
def test_half_requests_end_and_starve_nobody(bmcs: MetalsimServer) -> None:
    node = bmcs.nodes()[0]["redfish"]
    ports = {"redfish": bmcs.redfish_port, "agent": bmcs.agent_port}
    stuck: list[socket.socket] = []
    try:
        for number in range(CONNECTIONS):
            kind = "redfish" if number % 2 else "agent"
            connection = socket.create_connection(("127.0.0.1", ports[kind]), timeout=60)
            connection.sendall(HALVES[kind])
            stuck.append(connection)
            if number % 1000 == 0:
                good_request(node)
        for _ in range(20):
            good_request(node)
        wait_until_all_have_ended(stuck)
        good_request(node)
    finally:
        for connection in stuck:
            connection.close()


def good_request(node: dict[str, str]) -> None:
    answer = requests.get(node["address"] + node["system"], auth=(USERNAME, PASSWORD), timeout=60)
    assert answer.status_code == 200


def wait_until_all_have_ended(connections: list[socket.socket], limit: float = 300.0) -> None:
    """Every connection gets a 408 or nothing, and is then closed by the server."""
    deadline = time.monotonic() + limit
    answers: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            assert time.monotonic() < deadline, f"{len(selector.get_map())} connections are still open"
            for key, _ in selector.select(timeout=1):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                try:
                    data = connection.recv(4096)
                except ConnectionResetError:
                    data = b""
                answers[connection] = answers.get(connection, b"") + data
                if not data:
                    selector.unregister(connection)
    kinds = {answer.split(b"\r\n", 1)[0] for answer in answers.values()}
    assert kinds <= {b"", b"HTTP/1.1 408 Request Timeout"}, kinds
