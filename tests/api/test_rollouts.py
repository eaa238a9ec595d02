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
