# SPDX-License-Identifier: Apache-2.0
"""Stories of rollouts: what the operator does, what the devices say, where it ends."""
import pytest

from story import Story, until


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("lib", "1.0.0", "1.1.0", "1.2.0")
    story.module("app", "1.0.0", "2.0.0", "2.1.0", requires={"lib": "^1.0"})
    story.release("next", app="2.0.0")
    story.release("both", app="2.0.0", lib="1.1.0")
    return story


ONE_IS_ENOUGH = {"success": {"percent": 50, "minimum": 1}, "error": {"percent": 100}}


# ---- the end


def test_a_rollout_is_completed_when_its_last_devices_have_ended(story):
    """A last gate that passes early leaves the rollout running until everybody has confirmed."""
    fleet = story.devices(4, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    for one in fleet[:3]:
        one.asks()
    fleet[0].confirms()
    story.wait_stage("r", 0, 0, "succeeded")
    assert story.get("r")["state"] == "running"
    for one in fleet[1:]:
        one.asks()
        assert story.get("r")["state"] == "running"
        one.confirms()
    story.wait("r", "completed")
    total = story.stats("r")["total"]
    assert total["confirmed"] == total["targets"] == 4
    story.verify()


def test_unreached_devices_do_not_keep_a_rollout_open(story):
    """A silent device is neutral: the rollout completes without it, and it is offered its order when
    it comes back."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH, reach_s=2)
    for one in fleet[:2]:
        one.asks()
        one.confirms()
    story.wait("r", "completed")
    assert story.steps("r")[("d2", 0)] == "unreached"
    fleet[2].asks()
    fleet[2].confirms()
    story.ends("r", fleet[2], 0, "confirmed")
    assert story.get("r")["state"] == "completed"
    assert story.stats("r")["total"]["confirmed"] == 3


def test_a_retry_after_the_end_runs_again(story):
    """Devices that have failed try again although the rollout is completed; it runs until they end."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].confirms()
    fleet[1].asks()
    fleet[1].fails()
    story.wait("r", "completed")
    assert story.verb("r", "retry")["changed"]
    story.wait("r", "running")
    fleet[1].asks()
    fleet[1].confirms()
    story.wait("r", "completed")
    assert story.stats("r")["total"]["failed"] == 0
    assert story.verb("r", "retry")["changed"] is False


def test_a_refused_order_is_neutral(story):
    """A device that refuses its order is neither success nor failure, and a retry asks it again."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].fails("rejected", cause="device")
    fleet[1].asks()
    fleet[1].confirms()
    story.wait("r", "completed")
    total = story.stats("r")["total"]
    assert (total["confirmed"], total["failed"], total["failure"]) == (1, 0, 0)
    story.verb("r", "retry")
    fleet[0].asks()
    fleet[0].confirms()
    story.ends("r", fleet[0], 0, "confirmed")


# ---- one running rollout per device and module


def test_two_planned_rollouts_never_both_have_a_device(story):
    """Of two rollouts that were planned before either ran, the one that started first has the device;
    in the other it is ineligible, in every layer."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.release("other", app="2.1.0")
    story.rollout("first", "both", start=False, gate=ONE_IS_ENOUGH)
    story.rollout("second", "other", start=False, gate=ONE_IS_ENOUGH)
    story.verb("first", "start")
    fleet[0].asks()
    story.verb("second", "start")
    story.wait("second", "paused")
    assert set(story.steps("second").values()) == {"ineligible"}
    fleet[0].confirms()
    story.work(fleet, "first", "completed")
    assert {one.installed["app"] for one in fleet} == {"2.0.0"}
    story.verify()


def test_a_retry_does_not_take_a_device_from_a_newer_rollout(story):
    """A device that failed here and is under way in another rollout now stays failed."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("old", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].confirms()
    fleet[1].asks()
    fleet[1].fails()
    story.wait("old", "completed")
    story.release("fix", app="2.1.0")
    story.rollout("new", "fix", "id==d1")
    fleet[1].asks()
    story.verb("old", "retry")
    story.wait("old", "completed")
    assert story.steps("old")[("d1", 0)] == "failed"
    fleet[1].confirms()
    story.wait("new", "completed")


# ---- gateways


@pytest.fixture(name="line")
def fixture_line(story):
    """A gateway with two devices behind it: app 1 needs hub 1, app 2 takes hub 1 and 2."""
    story.module("hub", "1.0.0", "2.0.0", tier="gateway")
    story.module("meter", "1.0.0", requires={"hub": "^1.0"})
    story.module("meter", "2.0.0", requires={"hub": ">=1.0 <3"})
    story.module("meter", "3.0.0", requires={"hub": "^2.0"})
    story.gateway = story.device("gw", tier="gateway", hub="1.0.0")
    story.behind = [story.device(f"m{i}", gateway="gw", meter="1.0.0") for i in range(2)]
    return story


def test_a_gateway_waits_for_the_devices_behind_it(line):
    """A gateway's step in a later layer is not offered while a device behind it, that failed, still
    needs what the gateway has; after a retry it is."""
    line.release("up", meter="2.0.0", hub="2.0.0")
    line.rollout("r", "up", gate=ONE_IS_ENOUGH)
    for one in line.behind:
        one.asks()
    line.behind[0].confirms()
    line.behind[1].fails("rolled_back")
    line.wait_stage("r", 1, 0, "running")
    until("the gateway has its step", lambda: line.steps("r").get(("gw", 1)) == "queued")
    for _ in range(5):
        assert not line.gateway.poll()
    line.verb("r", "retry")
    line.behind[1].asks()
    line.behind[1].confirms()
    line.gateway.asks()
    line.gateway.confirms()
    line.wait("r", "completed")
    line.verify()


def test_devices_wait_for_their_gateway(line):
    """Devices whose gateway failed in a lower layer are not offered what needs it; others are."""
    line.release("middle", meter="2.0.0")
    line.rollout("first", "middle")
    line.work(line.behind, "first", "completed")
    other = line.device("gw2", tier="gateway", hub="1.0.0")
    leaf = line.device("leaf", gateway="gw2", meter="2.0.0")
    line.release("up", meter="3.0.0", hub="2.0.0")
    line.rollout("r", "up", gate=ONE_IS_ENOUGH)
    line.gateway.asks()
    line.gateway.fails("rolled_back")
    other.asks()
    other.confirms()
    leaf.asks()
    assert line.idle(line.behind)
    leaf.confirms()
    assert line.idle(line.behind)
    line.verb("r", "retry")
    line.gateway.asks()
    line.gateway.confirms()
    line.work(line.behind, "r", "completed")
    assert {one.installed["meter"] for one in line.behind} == {"3.0.0"}
