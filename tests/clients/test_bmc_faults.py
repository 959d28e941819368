"""Faults of BMCs as the library sees them that Ironic talks to BMCs with.

Each test has two nodes of one service: a fault picks the first, the second must be as ever, and the first
again when the fault is gone. Faults come and go over the control API while the server runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import sushy
from lib.metalsim_server import NO_LATENCY, PASSWORD, USERNAME, MetalsimServer
from lib.waiting import wait_until
from sushy import exceptions
from sushy.auth import BasicAuth, SessionAuth
from sushy.connector import Connector

Json = dict[str, Any]
On, Off = sushy.PowerState.ON, sushy.PowerState.OFF
IMAGE = "http://127.0.0.1:9/images/boot.iso"
ONCE = sushy.BootSourceOverrideEnabled.ONCE
# Far beyond the end of the test, in simulated time.
LONG = "100h"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[MetalsimServer]:
    """Nodes whose boot media are not read: whatever is inserted boots, and its agent calls in vain.

    Without a medium they find nothing to boot.
    """
    settings = {
        "boot": {"fetch": False},
        "profiles": {"disk": {"boot_order": ["Hdd"]}},
        "fleet": [{"name": "node-{}", "count": 100, "profile": "disk"}],
    }
    timing = NO_LATENCY | {"firmware_update": "1s"}
    nowhere = "http://127.0.0.1:9"
    server = MetalsimServer(
        folder / "metalsim", nodes=0, ironic_url=nowhere, timing=timing, settings=settings
    )
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def fresh(server: MetalsimServer) -> Iterator[Json]:
    """Nodes that no test has used yet."""
    return iter(server.nodes())


@dataclass
class Client:
    """sushy, for one node."""

    server: MetalsimServer
    node: Json
    auth: Any
    root: sushy.Sushy

    @property
    def uri(self) -> str:
        return self.node["redfish"]["system"]

    def system(self) -> Any:
        return self.root.get_system(self.uri)

    def power(self) -> sushy.PowerState:
        return self.system().power_state

    def reset(self, value: sushy.ResetType = sushy.ResetType.ON) -> None:
        self.system().reset_system(value)

    def boot_progress(self) -> str:
        return self.system().json["BootProgress"]["LastState"]

    def log(self) -> list[str]:
        entries = self.root._conn.get(f"{self.uri}/LogServices/EventLog/Entries").json()["Members"]
        return [entry["Message"] for entry in entries]

    def slot(self, kind: sushy.VirtualMediaType = sushy.VirtualMediaType.CD) -> Any:
        return next(slot for slot in self.system().virtual_media.get_members() if kind in slot.media_types)

    def boot_from(self, source: sushy.BootSource) -> None:
        self.system().set_system_boot_options(source, enabled=ONCE)
        self.reset()

    def phase(self) -> str:
        return self.server.node(self.node["name"])["phase"]


def client_of(
    server: MetalsimServer, node: Json, auth: type = BasicAuth, timeout: float = 60, tries: int = 1
) -> Client:
    """sushy with as many tries as given and next to no pause between them."""
    connector = Connector(
        server.redfish_url,
        server_side_retries=tries,
        server_side_retries_delay=0.01,
        default_request_timeout=timeout,
    )
    auth = auth(USERNAME, PASSWORD)
    return Client(server, node, auth, sushy.Sushy(server.redfish_url, auth=auth, connector=connector))


@pytest.fixture
def hit(server: MetalsimServer, fresh: Iterator[Json]) -> Client:
    """The node that faults pick."""
    return client_of(server, next(fresh))


@pytest.fixture
def spared(server: MetalsimServer, fresh: Iterator[Json]) -> Client:
    """A node that no fault picks."""
    return client_of(server, next(fresh))


class Faults:
    """The faults in force, all of one node."""

    def __init__(self, server: MetalsimServer, node: Json) -> None:
        self.url = f"{server.control_url}/api/v1/faults"
        self.name = node["name"]
        self.server = server

    def add(self, what: Json | str, when: Json | None = None) -> None:
        fault = {"name": f"of-{self.name}", "which": {"names": [self.name]}, "when": when or {}, "what": what}
        answer = requests.post(self.url, params={"base": "now"}, json=fault, timeout=30)
        assert answer.status_code == 201, answer.text

    def remove(self) -> None:
        assert requests.delete(f"{self.url}/of-{self.name}", timeout=30).status_code == 204

    def hits(self, what: str) -> float:
        return self.server.metric("metalsim_fault_hits_total", what=what)


@pytest.fixture
def faults(server: MetalsimServer, hit: Client) -> Iterator[Faults]:
    """Faults of the first node; none is left behind."""
    faults = Faults(server, hit.node)
    yield faults
    assert requests.delete(faults.url, timeout=30).status_code == 204


# Answers


def test_late_answers(server: MetalsimServer, faults: Faults, hit: Client, spared: Client) -> None:
    impatient = client_of(server, hit.node, timeout=1)
    faults.add({"bmc_slow": {"delay": "3s", "methods": ["GET"]}})
    with pytest.raises(exceptions.ConnectionError, match="timed out"):
        impatient.system()
    assert spared.power() == Off
    assert hit.power() == Off, "patience is rewarded"
    faults.remove()
    assert impatient.power() == Off


@pytest.mark.parametrize("how", ["refuse", "drop", "hang"])
def test_no_connection(server: MetalsimServer, faults: Faults, hit: Client, spared: Client, how: str) -> None:
    impatient = client_of(server, hit.node, timeout=1)
    faults.add({"bmc_unreachable": {"how": how}})
    with pytest.raises(exceptions.ConnectionError):
        impatient.system()
    assert spared.power() == Off
    faults.remove()
    assert hit.power() == Off


@pytest.mark.parametrize("auth", [BasicAuth, SessionAuth])
def test_credentials_are_refused(
    server: MetalsimServer, faults: Faults, hit: Client, spared: Client, auth: type
) -> None:
    client = client_of(server, hit.node, auth)
    faults.add("bmc_wrong_credentials")
    with pytest.raises(exceptions.AccessError) as refused:
        client.system()
    assert refused.value.status_code == 401
    assert spared.power() == Off
    faults.remove()
    assert client.power() == Off


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, exceptions.BadRequestError),
        (403, exceptions.AccessError),
        (404, exceptions.ResourceNotFoundError),
        (500, exceptions.ServerSideError),
        (503, exceptions.ServerSideError),
    ],
)
def test_errors(faults: Faults, hit: Client, spared: Client, status: int, expected: type) -> None:
    faults.add({"bmc_status": {"status": status}})
    with pytest.raises(expected) as failed:
        hit.system()
    assert failed.value.status_code == status
    assert spared.power() == Off
    faults.remove()
    assert hit.power() == Off


def test_an_error_of_some_requests(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add({"bmc_status": {"status": 500, "methods": ["POST"], "routes": ["**/ComputerSystem.Reset"]}})
    for client in (hit, spared):
        assert client.power() == Off
        client.slot().insert_media(IMAGE)
    with pytest.raises(exceptions.ServerSideError):
        hit.reset()
    assert hit.power() == Off, "a reset that failed did nothing"
    spared.reset()
    faults.remove()
    hit.reset()
    assert (hit.power(), spared.power()) == (On, On)


def test_one_error_is_outlived_by_trying_again(server: MetalsimServer, faults: Faults, hit: Client) -> None:
    stubborn = client_of(server, hit.node, tries=2)
    faults.add({"bmc_status": {"status": 503}}, when={"first": 2})
    assert stubborn.power() == Off
    assert faults.hits("bmc_status") >= 2


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("malformed", ValueError),
        ("truncated", exceptions.ConnectionError),
        # An empty body is an empty document to sushy.
        ("empty", exceptions.MissingAttributeError),
        ("html", ValueError),
        ("wrong_shape", (AttributeError, TypeError, exceptions.MissingAttributeError)),
    ],
)
def test_broken_bodies(faults: Faults, hit: Client, spared: Client, how: str, expected: type) -> None:
    faults.add({"bmc_bad_body": {"how": how, "methods": ["GET"]}})
    with pytest.raises(expected):
        hit.system()
    assert spared.power() == Off
    faults.remove()
    assert hit.power() == Off


def test_stale_reads(
    server: MetalsimServer,
    faults: Faults,
    hit: Client,
    spared: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults.add({"bmc_stale_reads": {"age": LONG, "routes": ["/redfish/v1/Systems/{id}"]}})
    for client in (hit, spared):
        assert client.power() == Off
        client.reset()
    assert spared.power() == On
    assert server.node(hit.node["name"])["power"] == "On"
    assert hit.power() == Off, "it answers what it answered before"
    slot = hit.slot()
    slot.insert_media(IMAGE)
    slot.refresh()
    assert slot.image == IMAGE, "of other resources it tells the truth"
    # What is so decides about a change: the entity tag that sushy was told is refused, and it tries without.
    hit.system().set_indicator_led(sushy.IndicatorLED.LIT)
    assert "returned code 412" in caplog.text
    assert hit.system().indicator_led == sushy.IndicatorLED.OFF
    faults.remove()
    assert (hit.power(), hit.system().indicator_led) == (On, sushy.IndicatorLED.LIT)


# Sessions


def test_sessions_expire_early(server: MetalsimServer, faults: Faults, hit: Client, spared: Client) -> None:
    picked, other = client_of(server, hit.node, SessionAuth), client_of(server, spared.node, SessionAuth)
    for client in (picked, other):
        assert client.power() == Off
    first, theirs = picked.auth.get_session_key(), other.auth.get_session_key()
    session = picked.auth.get_session_resource_id()
    # Each use of a session ends it once: sushy logs in anew and gets through.
    faults.add("session_expires", when={"nth": 1})
    assert picked.power() == Off
    assert picked.auth.get_session_key() != first
    gone = requests.get(server.redfish_url + session, auth=(USERNAME, PASSWORD), timeout=30)
    assert gone.status_code == 404
    assert other.power() == Off
    assert other.auth.get_session_key() == theirs
    faults.remove()
    second = picked.auth.get_session_key()
    assert picked.power() == Off
    assert picked.auth.get_session_key() == second


def test_a_session_that_never_holds(server: MetalsimServer, faults: Faults, hit: Client) -> None:
    client = client_of(server, hit.node, SessionAuth)
    faults.add("session_expires")
    with pytest.raises(exceptions.AccessError):
        client.system()
    assert hit.power() == Off, "credentials without a session are taken"
    faults.remove()
    assert client.power() == Off
    faults.add({"session_expires": {"after": LONG}})
    assert client.power() == Off, "it is too young"


# Power


def test_a_reset_is_ignored(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add({"reset_ignored": {"types": ["On"]}})
    for client in (hit, spared):
        client.reset()
    assert (hit.power(), spared.power()) == (Off, On)
    assert hit.log()[-1] == "Reset requested: On."
    hit.reset(sushy.ResetType.FORCE_ON)
    assert hit.power() == On, "another type of reset is not ignored"
    hit.reset(sushy.ResetType.FORCE_OFF)
    faults.remove()
    hit.reset()
    assert hit.power() == On


def test_power_flaps(faults: Faults, hit: Client, spared: Client) -> None:
    for client in (hit, spared):
        client.reset()
        wait_until("the boot is over", lambda client=client: client.phase() == "no_boot_device")
    faults.add({"power_flap": {"off_for": "1s"}})
    wait_until("power was lost", lambda: "The host lost its power." in hit.log())
    wait_until("power is back", lambda: hit.power() == On)
    assert hit.log().count("The host lost its power.") == 1
    assert spared.power() == On
    assert "The host lost its power." not in spared.log()


def test_power_is_lost(faults: Faults, hit: Client, spared: Client) -> None:
    for client in (hit, spared):
        client.reset()
    faults.add("power_loss")
    assert (hit.power(), spared.power()) == (Off, On)
    hit.reset(sushy.ResetType.FORCE_ON)
    assert hit.power() == Off, "there is no power to be switched on"
    faults.remove()
    assert hit.power() == On, "it does what it did before"
    faults.add({"power_loss": {"restore": "off"}})
    faults.remove()
    assert hit.power() == Off


def test_power_is_lost_with_the_bmc(
    server: MetalsimServer, faults: Faults, hit: Client, spared: Client
) -> None:
    impatient = client_of(server, hit.node, timeout=1)
    faults.add({"power_loss": {"bmc": True}})
    with pytest.raises(exceptions.ConnectionError):
        impatient.system()
    assert spared.power() == Off
    faults.remove()
    assert hit.power() == Off


# Boot


def test_the_self_test_does_not_end(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add("stuck_in_post")
    for client in (hit, spared):
        client.reset()
    wait_until("the other has booted", lambda: spared.phase() == "no_boot_device")
    assert (hit.power(), hit.boot_progress()) == (On, "PrimaryProcessorInitializationStarted")
    faults.remove()
    wait_until("it goes on", lambda: hit.phase() == "no_boot_device")


def test_a_boot_override_is_ignored(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add("boot_override_ignored")
    for client in (hit, spared):
        client.boot_from(sushy.BootSource.BIOS_SETUP)
    wait_until("the other is in its set-up", lambda: spared.boot_progress() == "SetupEntered")
    wait_until("the boot order decided", lambda: hit.phase() == "no_boot_device")
    assert hit.system().boot.enabled == sushy.BootSourceOverrideEnabled.DISABLED, "it is used up"
    hit.reset(sushy.ResetType.FORCE_OFF)
    faults.remove()
    hit.boot_from(sushy.BootSource.BIOS_SETUP)
    wait_until("it is in its set-up", lambda: hit.boot_progress() == "SetupEntered")


@pytest.mark.parametrize(
    ("what", "logged"),
    [
        ("no_boot_device", "Boot failed: there is no such device."),
        ("boot_media_unreachable", "Boot failed: the server cannot be reached."),
        ({"boot_media_corrupt": {"how": "noise"}}, "Boot failed: the medium holds no file system."),
        ({"boot_media_corrupt": {"how": "truncated"}}, "Boot failed: the medium ends too early."),
    ],
)
def test_a_medium_does_not_boot(
    faults: Faults, hit: Client, spared: Client, what: Json | str, logged: str
) -> None:
    faults.add(what)
    for client in (hit, spared):
        client.slot().insert_media(IMAGE)
        client.boot_from(sushy.BootSource.CD)
    wait_until("the other runs", lambda: spared.boot_progress() == "OSRunning")
    wait_until("nothing boots", lambda: hit.phase() == "no_boot_device")
    assert hit.power() == On
    assert logged in hit.log()
    hit.reset(sushy.ResetType.FORCE_OFF)
    faults.remove()
    hit.boot_from(sushy.BootSource.CD)
    wait_until("it runs", lambda: hit.boot_progress() == "OSRunning")


def test_a_medium_loads_slowly(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add({"boot_media_slow": {"delay": LONG}})
    for client in (hit, spared):
        client.slot().insert_media(IMAGE)
        client.boot_from(sushy.BootSource.CD)
    wait_until("the other runs", lambda: spared.boot_progress() == "OSRunning")
    assert hit.boot_progress() == "SystemHardwareInitializationComplete"
    hit.reset(sushy.ResetType.FORCE_OFF)
    faults.remove()
    hit.boot_from(sushy.BootSource.CD)
    wait_until("it runs", lambda: hit.boot_progress() == "OSRunning")


# Virtual media


def shown(slot: Any) -> tuple[bool, str | None]:
    slot.refresh()
    return slot.inserted, slot.image


def test_media_are_not_inserted(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add({"media_insert_fails": {"status": 500}})
    with pytest.raises(exceptions.ServerSideError):
        hit.slot().insert_media(IMAGE)
    faults.remove()
    faults.add("media_insert_fails")
    for client, expected in ((hit, (False, None)), (spared, (True, IMAGE))):
        slot = client.slot()
        slot.insert_media(IMAGE)
        assert shown(slot) == expected
    faults.remove()
    slot = hit.slot()
    slot.insert_media(IMAGE)
    assert shown(slot) == (True, IMAGE)


def test_media_appear_late(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add({"media_insert_lingers": {"delay": LONG}})
    for client, inserted in ((hit, False), (spared, True)):
        slot = client.slot()
        slot.insert_media(IMAGE)
        assert shown(slot) == (inserted, IMAGE)
    faults.remove()
    slot = hit.slot()
    slot.insert_media(IMAGE)
    assert shown(slot) == (True, IMAGE)


def test_media_stay(faults: Faults, hit: Client, spared: Client) -> None:
    faults.add("media_eject_ignored")
    slots = [client.slot() for client in (hit, spared)]
    for slot in slots:
        slot.insert_media(IMAGE)
        slot.eject_media()
    assert [shown(slot) for slot in slots] == [(True, IMAGE), (False, None)]
    faults.remove()
    slots[0].eject_media()
    assert shown(slots[0]) == (False, None)


# Firmware updates


def update(client: Client, image: str, target: str | None = None) -> Any:
    """A firmware update as Ironic begins it: with the system as its target."""
    service = client.root.get_update_service()
    return service.simple_update(image, targets=[target or client.uri])


def finished(client: Client, monitor: Any) -> Any:
    """The task at its end, as Ironic reads it: from the monitor."""
    wait_until("the task is over", lambda: not monitor.check_is_processing)
    again = client.root.get_task_monitor(monitor.task_monitor_uri)
    assert not again.is_processing
    return again.get_task()


def versions(client: Client) -> Json:
    """Versions as Ironic reads them, which the inventory must show, too."""
    system = client.system()
    shown = {"BIOS": system.bios_version, "BMC": system.managers[0].firmware_version}
    inventory = client.root.get_update_service().firmware_inventory
    for name, version in shown.items():
        identity = next(
            uri for uri in inventory.members_identities if uri.endswith(f"{client.node['uuid']}-{name}")
        )
        member = inventory.get_member(identity)
        assert (member.name, member.version, member.updateable) == (name, version, True)
    return shown


@pytest.mark.parametrize("target", [None, "/redfish/v1/Managers/{}"])
def test_firmware_of_the_bmc_is_updated(hit: Client, spared: Client, target: str | None) -> None:
    before = versions(hit)
    target = target and target.format(hit.node["uuid"])
    monitor = update(hit, "http://127.0.0.1:9/firmware/bmc-7.8.9.bin", target)
    assert monitor.is_processing
    assert monitor.task_monitor_uri.startswith("/redfish/v1/TaskService/TaskMonitors/")
    task = finished(hit, monitor)
    assert task.task_state == sushy.TaskState.COMPLETED
    assert (task.task_status, task.percent_complete) == (sushy.Health.OK, 100)
    assert "successfully updated" in task.messages[0].message
    assert versions(hit) == before | {"BMC": "7.8.9"}
    assert versions(spared) == before
    tasks = hit.root.get_task_service().tasks
    assert tasks.summary[task.identity] == sushy.TaskState.COMPLETED
    assert task.identity.startswith(hit.node["uuid"])


def test_firmware_of_the_host_is_updated(hit: Client) -> None:
    before = versions(hit)
    task = finished(hit, update(hit, "http://127.0.0.1:9/firmware/bios-2.3.4.bin"))
    assert task.task_state == sushy.TaskState.COMPLETED
    assert versions(hit) == before, "it waits for a self test"
    hit.reset()
    wait_until("the firmware is the new one", lambda: versions(hit) == before | {"BIOS": "2.3.4"})
    # A name without a version brings a new one all the same.
    finished(hit, update(hit, "http://127.0.0.1:9/firmware/latest"))
    hit.reset(sushy.ResetType.FORCE_RESTART)
    wait_until("the firmware is a newer one", lambda: versions(hit)["BIOS"] not in ("2.3.4", before["BIOS"]))


def test_an_update_must_name_its_node(hit: Client) -> None:
    service = hit.root.get_update_service()
    for targets in (None, ["/redfish/v1/Systems/none"]):
        with pytest.raises(exceptions.BadRequestError, match="Targets"):
            service.simple_update("http://127.0.0.1:9/bios-1.2.3.bin", targets=targets)


def test_a_task_never_ends(faults: Faults, hit: Client, spared: Client) -> None:
    image = "http://127.0.0.1:9/firmware/bmc-7.8.9.bin"
    before = versions(hit)
    faults.add("task_never_ends")
    stuck, other = update(hit, image), update(spared, image)
    assert finished(spared, other).task_state == sushy.TaskState.COMPLETED
    wait_until("it is as good as done", lambda: stuck.get_task().percent_complete == 99)
    faults.remove()
    assert stuck.check_is_processing, "it began under the fault"
    assert stuck.task.task_state == sushy.TaskState.RUNNING
    with pytest.raises(exceptions.HTTPError) as refused:
        update(hit, image)
    assert refused.value.status_code == 409
    assert stuck.cancellable
    hit.root._conn.delete(stuck.task_monitor_uri)
    with pytest.raises(exceptions.ResourceNotFoundError):
        stuck.refresh()
    assert versions(hit) == before
    assert finished(hit, update(hit, image)).task_state == sushy.TaskState.COMPLETED
    assert versions(hit)["BMC"] == "7.8.9"


def test_a_task_fails(faults: Faults, hit: Client, spared: Client) -> None:
    image = "http://127.0.0.1:9/firmware/bmc-7.8.9.bin"
    before = versions(hit)
    faults.add({"task_fails": {"message": "The image is for another model."}})
    task = finished(hit, update(hit, image))
    assert (task.task_state, task.task_status) == (sushy.TaskState.EXCEPTION, sushy.Health.CRITICAL)
    assert [message.message for message in task.messages] == ["The image is for another model."]
    assert versions(hit) == before
    assert finished(spared, update(spared, image)).task_state == sushy.TaskState.COMPLETED
    faults.remove()
    assert finished(hit, update(hit, image)).task_state == sushy.TaskState.COMPLETED
    assert versions(hit)["BMC"] == "7.8.9"


def test_faults_of_requests_befall_updates(faults: Faults, hit: Client, spared: Client) -> None:
    """The service is there for all nodes: the body, or the name of a part, says whose faults count."""
    image = "http://127.0.0.1:9/firmware/bmc-7.8.9.bin"
    faults.add({"bmc_status": {"status": 500, "routes": ["**/UpdateService/**"]}})
    with pytest.raises(exceptions.ServerSideError):
        update(hit, image)
    assert finished(spared, update(spared, image)).task_state == sushy.TaskState.COMPLETED
    faults.remove()
    monitor = update(hit, image)
    faults.add({"bmc_status": {"status": 503, "routes": ["**/TaskMonitors/**"]}})
    with pytest.raises(exceptions.ServerSideError):
        monitor.refresh()
    faults.remove()
    assert finished(hit, monitor).task_state == sushy.TaskState.COMPLETED
