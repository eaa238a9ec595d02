# SPDX-License-Identifier: Apache-2.0
"""Two rollouts that want the same devices: side by side, one over the other, and back."""
import pytest

from story import Story, until

ONE_IS_ENOUGH = {"success": {"percent": 50, "minimum": 1}, "error": {"percent": 100}}


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("lib", "1.0.0", "1.1.0", "2.0.0")
    story.module("app", "1.0.0", "2.0.0", "3.0.0", requires={"lib": ">=1.0"})
    story.module("tool", "1.0.0", "2.0.0")
    story.release("apps", app="2.0.0")
    story.release("fix", app="3.0.0")
    story.release("tools", tool="2.0.0")
    return story


def have(fleet, module):
    return {one.id: one.installed[module] for one in fleet}


# ---- side by side


def test_rollouts_of_other_modules_run_side_by_side(story):
    """Each device takes the orders of both rollouts one after the other; a manifest never takes back what
    the other rollout has brought, and who starts while the other runs is not refused for drift."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0", tool="1.0.0")
    story.rollout("a", "apps", start=False)
    story.rollout("t", "tools", start=False)
    story.verb("a", "start")
    fleet[0].asks()
    fleet[0].confirms()
    story.verb("t", "start")
    fleet[0].asks()
    assert fleet[0].wants() == {"app": "2.0.0", "lib": "1.0.0", "tool": "2.0.0"}
    fleet[1].asks()
    assert fleet[1].wants() == {"app": "2.0.0", "lib": "1.0.0", "tool": "1.0.0"}
    story.work(fleet, "a", "completed")
    story.work(fleet, "t", "completed")
    for one in fleet:
        assert one.installed == {"app": "2.0.0", "lib": "1.0.0", "tool": "2.0.0"}
    assert set(story.steps("a").values()) == set(story.steps("t").values()) == {"confirmed"}
    story.verify()


def test_a_device_that_says_nothing_of_what_it_has_keeps_what_both_brought(story):
    """Who confirms without a list of modules counts as having what its manifest said, all of it."""
    one = story.device("d0", app="1.0.0", lib="1.0.0", tool="1.0.0")
    for name, release in (("a", "apps"), ("t", "tools")):
        story.rollout(name, release)
        one.asks()
        one.take(one.order)
        one.says("confirmed")
        one.order = None
        story.wait(name, "completed")
    assert one.installed == {"app": "2.0.0", "lib": "1.0.0", "tool": "2.0.0"}
    shown = story.api.get("/api/v1/devices/d0").json()["installed"]
    assert {m["module"]: m["version"] for m in shown} == one.installed


def test_a_rollback_leaves_what_another_rollout_brought(story):
    """Whichever of the two goes back, and in whatever order, only its own modules do."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0", tool="1.0.0")
    story.rollout("a", "apps")
    story.work(fleet, "a", "completed")
    story.rollout("t", "tools")
    story.work(fleet, "t", "completed")
    story.verb("a", "rollback")
    story.work(fleet, "a", "rolled_back")
    assert {tuple(sorted(one.installed.items())) for one in fleet} == {
        (("app", "1.0.0"), ("lib", "1.0.0"), ("tool", "2.0.0"))}
    story.verb("t", "rollback")
    story.work(fleet, "t", "rolled_back")
    assert {tuple(sorted(one.installed.items())) for one in fleet} == {
        (("app", "1.0.0"), ("lib", "1.0.0"), ("tool", "1.0.0"))}
    story.verify()


@pytest.fixture(name="tower")
def fixture_tower(story):
    """The plug-in, brought by the second rollout, needs what the first one has brought."""
    story.module("plug", "1.0.0")
    story.module("plug", "2.0.0", requires={"app": ">=2.0"})
    story.release("plugs", plug="2.0.0")
    story.fleet = story.devices(2, app="1.0.0", lib="1.0.0", plug="1.0.0")
    story.rollout("a", "apps")
    story.work(story.fleet, "a", "completed")
    story.rollout("p", "plugs")
    story.work(story.fleet, "p", "completed")
    return story


def test_what_another_rollout_needs_is_not_taken_back(tower):
    """Devices end held rather than lose what a module of another rollout requires."""
    tower.verb("a", "rollback")
    tower.work(tower.fleet, "a", "rolled_back")
    assert set(tower.steps("a").values()) == {"held"}
    assert set(have(tower.fleet, "app").values()) == {"2.0.0"}
    tower.verify()


def test_a_rollback_waits_for_another_that_is_above_it(tower):
    """Both go back at once: who is required waits until who requires it is back."""
    tower.verb("p", "rollback")
    tower.verb("a", "rollback")
    tower.work(tower.fleet, "a", "rolled_back")
    tower.wait("p", "rolled_back")
    assert set(have(tower.fleet, "app").values()) == {"1.0.0"}
    assert set(have(tower.fleet, "plug").values()) == {"1.0.0"}


def test_what_would_break_another_rollouts_module_is_not_delivered(story):
    """A module came meanwhile that does not bear what the plan brings: the device is ineligible."""
    story.module("old", "1.0.0", "1.1.0")
    story.module("old", "2.0.0", requires={"app": "<2.0"})
    story.release("olds", old="2.0.0")
    fleet = story.devices(1, app="1.0.0", lib="1.0.0", old="1.0.0")
    story.rollout("a", "apps", start=False)
    story.rollout("o", "olds")
    story.work(fleet, "o", "completed")
    story.verb("a", "start", accept_drift=True)
    until("it asks", lambda: not fleet[0].poll() and story.steps("a") == {("d0", 0): "ineligible"})
    story.wait("a", "paused")
