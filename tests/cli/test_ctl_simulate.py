# SPDX-License-Identifier: Apache-2.0
"""fleetctl simulate, and the gates' options, against a real fleetd."""
import json
import xml.dom.minidom

import pytest

from story import Story


@pytest.fixture
def real(ctl_for, fleetd):
    return ctl_for(f"http://127.0.0.1:{fleetd.port}", fleetd.token)


def test_strategies_side_by_side(real, tmp_path):
    """A table, JSON and a picture of the same runs."""
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"waves": [{"percent": 5}, {"percent": 100}]}))
    words = ("simulate", "--devices", "200", "--runs", "2", "--strategy", f"mine={mine}",
             "--case", "bricks:silent_percent=20", "--link", "always:percent=50", "--link", "duty:percent=50,on_s=600,off_s=600")
    result = real(*words, "--plot", tmp_path / "out.svg")
    assert result.code == 0, result
    assert "bricks" in result.out and "mine" in result.out and "200 devices, seed 1" in result.out
    assert xml.dom.minidom.parse(str(tmp_path / "out.svg")).documentElement.tagName == "svg"
    chart = real(*words, "--plot", "-", "--suppose", "0:install_s=900").out
    assert "bricks: devices that are through" in chart and "mine" in chart, chart
    got = real(*words, "--json").json
    assert len(got["results"][0]["curve"]) == 20 and got["connections"] == "given"
    assert real("simulate", "--suppose", "app:fail_percent=3").code == 2
    assert got["results"][0]["case"] == "bricks" and got["complete"]
    assert real("simulate", "--case", "x:fail_percent").code == 2
    assert "one of: all at once" in real("simulate", "--strategy", "nofile").err
    assert real("simulate", "--strategy", "nofile").code == 2


def test_a_described_fleet_by_name_within_80_columns(real):
    """Strategies by their names, gateways and deltas described; the table fits a terminal, and says what a gateway
    costs and what deltas save."""
    result = real("simulate", "--devices", "20000", "--runs", "1", "--behind", "9", "--sites", "20", "--bytes", "90000000",
                  "--delta", "10", "--zone", "Asia/Tokyo", "--strategy", "all at once", "--case", "gateways:gateways_silent_percent=10")
    title, columns, row = result.out.splitlines()[:3]
    assert title == "gateways" and row.startswith("all at once") and len(columns) <= 80, result
    cells = dict(zip(columns.split(), row.replace("all at once", "all").split()))
    assert 1400 < int(cells["HARM"]) < 2600, "a tenth of the gateways, each with nine devices"
    assert (cells["BYTES"], cells["FULL"]) == ("168G", "1.6T"), cells
    assert cells["PASS"] in ("0%", "100%") and cells["RQ/S"].isdigit(), cells


def test_gates_on_the_command_line(real, fleetd):
    """--gate reaches the plan, which shows what it would do; decisions are listed."""
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    devices = story.devices(3, app="1.0.0")
    result = real("plan", "preview", "--release", "next", "--wave", "100%", "--gate", "sprt:p0_percent=1")
    assert result.code == 7 and "needs 55 outcomes" in result.out, result
    plan = real("plan", "preview", "--release", "next", "--wave", "100%", "--gate",
                "stop:type=timed_out,threshold=10", "--gate", "external:within_s=60").out
    assert "Gates: what they would do" in plan and "more than 10 % of at least 1 timed out" in plan, plan
    assert real("plan", "preview", "--release", "next", "--gate", "luck").code == 2
    story.rollout("r", "next", gate={"external": {}})
    story.work(devices, "r", "running")
    assert real("rollout", "verdict", "r", "--stage", "L0.W0", "--verdict", "pass", "--why", "green").code == 0
    assert real("rollout", "verdict", "r").code == 2
    story.work(devices, "r", "completed")
    assert "the verdict is pass" in real("rollout", "decisions", "r").out
    assert "external" in real("rollout", "show", "r").out
    assert "no strata are watched" in real("rollout", "strata", "r").out
    assert "it was not held" in real("rollout", "release", "r", "attribute.hw==rev2").out
    assert real("plan", "preview", "--release", "next", "--hold-by", "hw").code == 2
