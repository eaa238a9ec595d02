# SPDX-License-Identifier: Apache-2.0
"""fleetctl channel on a real server: from its creation to its end."""
import json
import re

import pytest


@pytest.fixture(name="real", scope="module")
def fixture_real(shared_fleetd, tmp_path_factory, ctl_of):
    """fleetctl as admin of a server with two releases."""
    ctl = ctl_of(tmp_path_factory.mktemp("channel"), f"http://127.0.0.1:{shared_fleetd.port}", shared_fleetd.token)
    assert shared_fleetd.put("/api/v1/modules/app", {"kind": "wasm"}).status == 201
    for n in (1, 2):
        assert shared_fleetd.put(f"/api/v1/modules/app/versions/{n}.0.0", {"variants": [{}]}).status == 201
        entries = [{"module": "app", "version": f"{n}.0.0"}]
        assert shared_fleetd.put(f"/api/v1/releases/r{n}", {"entries": entries}).status == 201
    return ctl


def test_a_channels_life(real):
    """set makes and changes it, show and ls tell what it is, pause, resume and delete do what they say."""
    made = real("channel", "set", "stable", "--selector", "label.ring==a", "--release", "r1", "--error", "5%",
                "--error-minimum", "20", "--retries", "1", "--max-in-flight", "7")
    assert made.code == 0 and "channel stable is created: r1" in made.out, made
    shown = real("channel", "show", "stable", "--json").json
    assert (shown["release"], shown["error"], shown["retries"], shown["max_in_flight"]) == (
        "r1", {"percent": 5, "minimum": 20}, 1, 7)
    text = real("channel", "show", "stable").out
    assert re.search(r"halts with +more than 5 % of at least 20 failed\n", text), text
    assert re.search(r"stable +on +r1 ", real("channel", "ls").out)
    again = real("channel", "set", "stable", "--selector", "label.ring==a", "--release", "r2")
    assert "is as you want it: r2" in again.out
    assert real("channel", "pause", "stable").out == "channel stable is paused\n"
    assert real("channel", "resume", "stable").out == "channel stable is on\n"
    assert real("channel", "set", "stable", "--release", "none").code == 7
    assert "deleted" in real("channel", "delete", "stable").out
    assert real("channel", "show", "stable").code == 4


def test_a_rollout_for_a_channel(real):
    """rollout create --channel takes the channel's devices."""
    assert real("channel", "set", "beta", "--selector", "label.ring==b", "--release", "r1").code == 0
    assert real("rollout", "create", "up", "--channel", "beta", "--release", "r2").code == 0
    got = json.loads(real("rollout", "show", "up", "--json").out)
    assert (got["selector"], got["channel"], got["brings"]) == ("label.ring==b", "beta", False)
    assert real("plan", "preview", "--channel", "beta", "--release", "r2").code == 0
    assert real("rollout", "create", "no", "--channel", "none", "--release", "r2").code == 7
