# SPDX-License-Identifier: Apache-2.0
"""fleetctl explain and fleetctl rollout explain against a real fleetd."""
import re

import pytest

from story import Story


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


@pytest.fixture
def real(ctl_for, fleetd):
    return ctl_for(f"http://127.0.0.1:{fleetd.port}", fleetd.token)


def test_a_device_and_a_stage(real, story):
    """First what matters most, then each rollout with its reasons; stages with what they wait for."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next", max_in_flight=1)
    d[0].asks()
    said = real("explain", "d1").out.splitlines()
    assert said[0] == ("d1: the rollout has 1 device under way and may have 1: one has to end first"), said
    assert "rollout r (running), L0.W0: queued" in said
    told = real("explain", "d1", "--rollout", "r", "--json").json
    assert told["rollouts"][0]["lines"][0]["code"] == "slots"
    said = real("rollout", "explain", "r").out.splitlines()
    assert said[0].startswith("L0.W0 (running): it waits for 2 confirmations"), said
    assert real("rollout", "explain", "r", "L0.W0").out.splitlines()[0] == said[0]
    assert real("rollout", "explain", "r", "--json").json[0]["stage"] == "L0.W0"
    assert real("rollout", "explain", "r", "L0.W0", "--json").json["stage"] == "L0.W0"
    assert real("rollout", "explain", "r", "L3.W0").code == 4
    assert real("rollout", "explain", "r", "first").code == 2
    assert real("explain", "nobody").code == 4
    story.work(d, "r", "completed")
    assert "it succeeded" in real("rollout", "explain", "r").out
    assert "has done its part" in real("explain", "d1").out


def test_states_are_words(real, story):
    """Sentences say "waiting for approval", never the wire's word."""
    story.devices(1, app="1.0.0")
    made = real("rollout", "create", "w", "--release", "next", "--wave", "100%", "--approvals", "1")
    assert "rollout w is created: waiting for approval" in made.out, made
    told = real("rollout", "start", "w")
    assert told.code == 6 and "it is waiting for approval and cannot start" in told.err, told
    assert "rollout w (waiting for approval)" in real("explain", "d0").out


def test_block_tells_what_it_did(real, story):
    """version block names the rollouts that it paused and the devices that run the version."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next", max_in_flight=1)
    d[0].asks()
    result = real("version", "block", "app", "2.0.0", "--why", "it leaks")
    assert "paused: r; devices that may still switch: 1" in result.out and "no device runs it" in result.out, result
    assert "(it was so before)" in real("version", "block", "app", "2.0.0").out
    result = real("rollout", "resume", "r")
    assert result.code == 7 and "blocked: it leaks" in result.err, result
    told = real("version", "block", "app", "1.0.0")
    assert "2 devices run it: d0, d1" in told.out and "--selector" in told.err, told
    assert "wait for `rollout resume`" in real("version", "unblock", "app", "2.0.0").out
    result = real("rollout", "resume", "r")
    assert "may still switch, until 20" in result.out, result


def test_freeze(real, story):
    """create, ls and lift; the device's explanation names the freeze as the reason."""
    d = story.devices(1, app="1.0.0")
    result = real("freeze", "create", "sale", "--selector", "id==d0", "--until", "8h", "--why", "open")
    assert result.code == 0 and "sale holds until 20" in result.out, result
    assert "id==d0" in real("freeze", "ls").out
    story.rollout("r", "next")
    assert story.idle(d)
    assert "freeze sale holds for it" in real("explain", "d0").out
    assert "sale is lifted" in real("freeze", "lift", "sale").out
    assert "(it was so before)" in real("freeze", "lift", "sale").out
    d[0].asks()
    planned = real("freeze", "create", "later", "--from", "2100-01-01T00:00:00Z", "--until", "90m")
    assert "later is planned from 2100-01-01T00:00:00" in planned.out and " until 2100-01-01T01:30:00" in planned.out
    assert "may still switch" not in planned.out
    assert re.search(r"^later +planned +2100-01-01T00:00:00", real("freeze", "ls").out, re.M)
    again = real("freeze", "create", "night", "--every", "0 22 * * mon-fri/8h", "--zone", "Europe/Berlin")
    assert "night is planned from 20" in again.out or "night holds until 20" in again.out
    assert "0 22 * * mon-fri for 8 h Europe/Berlin" in real("freeze", "ls").out
    assert real("freeze", "create", "x", "--every", "0 22 * * mon-fri").code == 2
    assert real("freeze", "create", "x", "--until", "soon").code == 2
    assert real("freeze", "create", "x", "--from", "soon").code == 2
    assert real("freeze", "lift", "none").code == 4
