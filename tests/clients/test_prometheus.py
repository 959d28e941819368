"""A real Prometheus scrapes metalsim, with the rules that come with it; its promtool finds nothing wrong.

The dashboard's queries are asked here too: Grafana only draws what Prometheus answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from lib.metalsim_server import PASSWORD, REPOSITORY, USERNAME, MetalsimServer
from lib.prometheus import Prometheus, promtool
from lib.waiting import wait_until

RULES = REPOSITORY / "config" / "prometheus"
BOARD = REPOSITORY / "config" / "grafana" / "metalsim.json"
NODES = 12
TOKEN = "a-token-for-the-control-api"


@pytest.fixture(scope="module")
def metalsim(folder: Path) -> Iterator[MetalsimServer]:
    server = MetalsimServer(folder / "metalsim", nodes=NODES)
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def prometheus(metalsim: MetalsimServer, folder: Path) -> Iterator[Prometheus]:
    """With the sample configuration, but for the target and for how often it is scraped."""
    config = yaml.safe_load((RULES / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES / file) for file in config["rule_files"]]
    (scrape,) = config["scrape_configs"]
    scrape["static_configs"] = [{"targets": [metalsim.control_url.removeprefix("http://")]}]
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(config))
    server = Prometheus(file, folder / "prometheus")
    try:
        yield server.start()
        server.stop()
    finally:
        server.kill()


def test_promtool_finds_the_page_in_order(metalsim: MetalsimServer) -> None:
    # Some requests first, so that series with labels are there.
    metalsim.nodes()
    requests.get(f"{metalsim.redfish_url}/redfish/v1/", timeout=30)
    page = requests.get(f"{metalsim.control_url}/metrics", timeout=30)
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "metalsim_requests_total{" in page.text
    said = promtool("check", "metrics", stdin=page.text)
    assert not said.strip(), said


def test_promtool_finds_rules_and_configuration_in_order() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES / "alerts.yaml")
    assert "SUCCESS" in said
    said = promtool("test", "rules", RULES / "alerts.test.yaml")
    assert "SUCCESS" in said
    said = promtool("check", "config", RULES / "prometheus.yaml")
    assert "SUCCESS" in said
    assert "FAILED" not in said


def test_prometheus_scrapes_without_an_error(metalsim: MetalsimServer, prometheus: Prometheus) -> None:
    wait_until(
        "metalsim is up", lambda: prometheus.number('up{job="metalsim"}') == 1, describe=prometheus.tail
    )
    (target,) = prometheus.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert prometheus.number('metalsim_nodes{phase="off"}') == NODES
    assert prometheus.number("sum(metalsim_nodes)") == NODES
    # It keeps the types, which only a page in order has.
    kinds = {
        name: entries[0]["type"]
        for name, entries in prometheus.api("metadata").items()
        if name.startswith("metalsim_")
    }
    assert len(kinds) > 30
    for name, kind in _table():
        # OpenMetrics has the family's name.
        assert kinds.get(name.removesuffix("_total") if kind == "counter" else name) == kind, name
    assert prometheus.number("metalsim_process_start_time_seconds") > 1.6e9  # type: ignore[operator]


def _table() -> list[tuple[str, str]]:
    """Names and types as documented."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (REPOSITORY / "docs" / "metrics.md").read_text(), re.M)
    assert len(rows) > 30
    return rows


def test_what_happens_shows(metalsim: MetalsimServer, prometheus: Prometheus) -> None:
    for node in metalsim.nodes()[:3]:
        metalsim.reset(node["name"], "On")
    # Without Ironic and boot media they find nothing to boot from.
    wait_until(
        "three nodes have booted in vain",
        lambda: prometheus.number('metalsim_nodes{phase="no_boot_device"}') == 3,
        describe=prometheus.tail,
    )
    assert prometheus.number('metalsim_nodes_power{power="on"}') == 3
    assert prometheus.number('sum(metalsim_boots_total{result="failed"})') >= 3  # type: ignore[operator]
    assert prometheus.number('metalsim_phase_duration_seconds_count{phase="off"}') == 3
    route = "/redfish/v1/Systems/{id}/Actions/ComputerSystem.Reset"
    assert prometheus.number(f'metalsim_requests_total{{route="{route}", status="2xx"}}') == 3
    quantile = prometheus.number("histogram_quantile(0.5, metalsim_step_duration_seconds_bucket)")
    assert quantile is not None
    assert 0 < quantile < 1
    requests.get(f"{metalsim.redfish_url}/no/such/thing", auth=(USERNAME, PASSWORD), timeout=30)
    wait_until(
        "the request without a route is counted",
        lambda: prometheus.query('metalsim_requests_total{protocol="redfish", route="other"}'),
        describe=prometheus.tail,
    )


def test_the_rules_are_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, object]]:
        rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    rules = wait_until("all rules were evaluated", evaluated, describe=prometheus.tail)
    assert len(rules) > 15
    # Some wait: nodes without a boot device, since there is no Ironic here.
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert firing == []


def test_the_dashboards_queries_are_answered(prometheus: Prometheus) -> None:
    """Each is valid, and most find something even in this small and short life."""
    board = json.loads(BOARD.read_text())
    empty = []
    queries = [
        (panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])
    ]
    for title, expression in queries:
        for variable, value in {"$job": "metalsim", "$instance": ".*", "$__rate_interval": "1m"}.items():
            expression = expression.replace(variable, value)
        if not prometheus.query(expression):
            empty.append(title)
    assert len(empty) < len(queries) / 4, empty
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            name = re.fullmatch(r"label_values\(metalsim_build_info.*, (\w+)\)", variable["definition"])
            assert name
            assert prometheus.api(f"label/{name[1]}/values", **{"match[]": "metalsim_build_info"})


def test_an_alert_fires_when_metalsim_is_gone(folder: Path) -> None:
    """With the token as the sample configuration shows it; the rule, but with no patience."""
    server = MetalsimServer(folder / "guarded", nodes=1, settings={"control": {"token": TOKEN}})
    rules = yaml.safe_load((RULES / "alerts.yaml").read_text())
    rules["groups"] = [
        {"name": "down", "rules": [{**rule, "for": "0s"}]}
        for group in rules["groups"]
        for rule in group["rules"]
        if rule["alert"] == "MetalsimDown"
    ]
    (folder / "token").write_text(TOKEN)
    (folder / "down.yaml").write_text(yaml.safe_dump(rules))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "down.yaml")],
        "scrape_configs": [
            {
                "job_name": "metalsim",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [server.control_url.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "guarded.yaml").write_text(yaml.safe_dump(config))
    prometheus = Prometheus(folder / "guarded.yaml", folder / "prometheus-guarded")
    try:
        server.start()
        prometheus.start()
        wait_until(
            "metalsim is up", lambda: prometheus.number('up{job="metalsim"}') == 1, describe=prometheus.tail
        )
        assert prometheus.api("alerts")["alerts"] == []
        server.stop()
        (alert,) = wait_until(
            "the alert fires",
            lambda: [alert for alert in prometheus.api("alerts")["alerts"] if alert["state"] == "firing"],
            describe=prometheus.tail,
        )
        assert alert["labels"]["alertname"] == "MetalsimDown"
        assert "cannot be scraped" in alert["annotations"]["summary"]
    finally:
        prometheus.kill()
        server.kill()
