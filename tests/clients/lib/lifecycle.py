"""Takes many nodes through the same list of steps at once, each node at its own pace.

One loop watches all nodes with one request a round, so that the driver does not compete with Ironic for the
processor, and tells whoever wants to know when a node begins and ends a step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ironic_client import FAILED, IronicClient, NodeFailed, describe
from .waiting import NotInTime

Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Something to ask of Ironic, and the provision state that tells that it is done."""

    name: str
    target: str
    verb: str
    arguments: Json = field(default_factory=dict)


MANAGE = Step("manage", "manageable", "manage")
INSPECT = Step("inspect", "manageable", "inspect")
PROVIDE = Step("provide", "available", "provide")
DEPLOY = Step("deploy", "active", "active")
UNDEPLOY = Step("undeploy", "available", "deleted")


def deploy_with(config_drive: Json | str) -> Step:
    """A deployment whose config drive Ironic builds from meta data, user data and network data."""
    return Step("deploy", "active", "active", {"configdrive": config_drive})


@dataclass
class Progress:
    """Where one node is in its list."""

    uuid: str
    name: str
    step: int = 0
    asked: bool = False
    state: str = "enroll"
    began: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    error: str | None = None


class Fleet:
    """Nodes on their way through the same steps."""

    def __init__(
        self,
        client: IronicClient,
        nodes: Mapping[str, str],
        steps: Sequence[Step] | Mapping[str, Sequence[Step]],
        watch: Callable[[Sequence[Progress]], None] = lambda _: None,
        go_on_after_failure: bool = False,
    ) -> None:
        """``nodes``: UUID to name. ``steps``: of all, or of each by its UUID. ``watch`` is called after each
        look at Ironic."""
        self._client = client
        self._steps = steps if isinstance(steps, Mapping) else dict.fromkeys(nodes, steps)
        self._watch = watch
        self._go_on = go_on_after_failure
        self.nodes = {uuid: Progress(uuid, name) for uuid, name in nodes.items()}

    def run(self, limit: float = 1800) -> list[Progress]:
        """Until each node has done all steps. Raises on the first failure unless told to go on."""
        deadline = time.monotonic() + limit
        while True:
            open_ones = [node for node in self.nodes.values() if self._is_open(node)]
            for node in open_ones:
                if not node.asked:
                    self._ask(node)
            states = self._client.states()
            for node in open_ones:
                self._look(node, states[node.uuid])
            self._watch(list(self.nodes.values()))
            if not any(self._is_open(node) for node in self.nodes.values()):
                return list(self.nodes.values())
            if time.monotonic() > deadline:
                late = [describe(states[n.uuid]) for n in self.nodes.values() if self._is_open(n)]
                raise NotInTime(f"not done within {limit:.0f} s: " + "; ".join(late))
            time.sleep(0.5)

    def _is_open(self, node: Progress) -> bool:
        return node.error is None and node.step < len(self._steps[node.uuid])

    def _ask(self, node: Progress) -> None:
        step = self._steps[node.uuid][node.step]
        node.began = time.monotonic()
        self._client.set_state(node.uuid, step.verb, **step.arguments)
        node.asked = True

    def _look(self, node: Progress, seen: Json) -> None:
        step = self._steps[node.uuid][node.step]
        node.state = seen["provision_state"]
        # A verb that ends in the state it began in (inspect) is done when Ironic has no target left.
        at_rest = not seen["target_provision_state"]
        if node.state in FAILED or (at_rest and node.state != step.target):
            node.error = self._client.explain(node.uuid)
            if not self._go_on:
                raise NodeFailed(f"{step.name}: {node.error}")
        elif at_rest:
            node.seconds[step.name] = time.monotonic() - node.began
            node.step, node.asked = node.step + 1, False
