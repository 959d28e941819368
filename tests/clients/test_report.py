"""The page of a report in a real browser, light and dark: nothing fails, all is drawn, and can be read."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lib.browser import load
from lib.metalsim_server import REPOSITORY, binary

_PROBE = (Path(__file__).parent / "probe.js").read_text()
_LISTENER = "window.complaints = []; onerror = (message) => { window.complaints.push(String(message)); };"
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_PLOTS = {"nodes", "traffic", "durations", "memory", "lateness", "processors", "handles"}
_REPORTS = ["thirty", "ten-thousand"]


@pytest.fixture(scope="module", params=_REPORTS)
def rendered(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The page of a committed report, with its JUnit XML beside it."""
    page = folder / f"{request.param}.html"
    source = REPOSITORY / "tests" / "reports" / f"{request.param}.json"
    command = [binary(), "report", source, "--html", page, "--junit", page.with_suffix(".xml")]
    subprocess.run(command, check=True, capture_output=True)
    return page


def probed(page: Path, **how: Any) -> dict[str, Any]:
    """What the probe has found. The page forbids foreign scripts; the probe looks at a copy that does not."""
    text = page.read_text()
    copy, changed = _POLICY.subn(f"<script>{_LISTENER}</script>", text)
    assert changed == 1
    probe = page.with_name(f"probed-{page.name}")
    probe.write_text(copy.replace("</body>", f"<script>{_PROBE}</script></body>"))
    loaded = load(probe, page.with_suffix(".probed-profile"), **how)
    assert loaded.console == []
    found = re.search(r'<pre id="found">([^<]+)</pre>', loaded.dom)
    assert found, loaded.dom[-2000:]
    return json.loads(base64.b64decode(found[1]))


def test_the_script_runs_under_the_pages_own_policy(rendered: Path) -> None:
    loaded = load(rendered, rendered.with_suffix(".profile"), dark=False, width=1240)
    assert loaded.console == []
    assert re.search(r'<button id="theme" type="button">Theme: auto</button>', loaded.dom)
    # Nothing is asked of anybody else.
    assert not re.search(r"\b(src|href)=|url\((?!#)|@import", loaded.dom)


@pytest.mark.parametrize(("dark", "width"), [(False, 1240), (True, 1240), (False, 480)])
def test_the_page_can_be_read(rendered: Path, dark: bool, width: int) -> None:
    found = probed(rendered, dark=dark, width=width)
    for fault in ("errors", "odd", "overlaps", "outside", "faint", "empty"):
        assert found[fault] == [], fault
    assert found["marks"].keys() == _PLOTS
    assert all(found["marks"].values()), found["marks"]
    # The system's preference, and either theme when it was chosen.
    assert found["grounds"] == [["Theme: auto", not dark], ["Theme: light", True], ["Theme: dark", False]]
    assert len(found["tips"]) == 7 * (len(_PLOTS) - 1)
    for tip in found["tips"]:
        assert re.match(r"\d.* \u2013 \d", tip), tip
        assert not re.search(r"NaN|undefined|null", tip), tip
    assert not found["tipStays"]


def test_junit_is_what_others_read(rendered: Path) -> None:
    report = json.loads((REPOSITORY / "tests" / "reports" / f"{rendered.stem}.json").read_text())
    suites = ElementTree.parse(rendered.with_suffix(".xml")).getroot()
    (suite,) = suites.findall("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [verdict["expectation"] for verdict in report["verdicts"]]
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    assert failed == [verdict["expectation"] for verdict in report["verdicts"] if not verdict["held"]]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), str(len(failed)))
    for case in cases:
        if (failure := case.find("failure")) is not None:
            assert "more than 0.01%" in failure.get("message", "")
