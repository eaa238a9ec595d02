# SPDX-License-Identifier: Apache-2.0
"""Two rollouts that want the same devices: side by side, one over the other, and back."""
import pytest

from story import Story
from waiting import until

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


# ---- one over the other


def said(story, device, rollout):
    """The codes of an explanation."""
    parts = story.api.get(f"/api/v1/devices/{device}/explain?rollout={rollout}").json()["rollouts"]
    return [line["code"] for line in parts[0]["lines"]]


def events(story, name, kind):
    items = story.api.get(f"/api/v1/events?subject={name}&limit=200").json()["items"]
    return [e["data"] for e in items if e["kind"] == kind]


def test_a_hotfix_takes_devices_over(story):
    """At its start it has all devices that are not installing yet; who installs finishes and goes on in the
    hotfix; the older rollout, whose gate gets no more, ends stopped with a sentence."""
    fleet = story.devices(4, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps", gate={"success": {"percent": 90, "minimum": 4}})
    waiting, loading, installing, done = fleet
    for one in fleet:
        one.asks()
    loading.says("downloading")
    installing.says("installing")
    done.confirms()
    story.rollout("fix", "fix", supersede=True)
    for one in (waiting, loading):
        story.ends("old", one, 0, "superseded")
        one.asks()
        assert one.wants()["app"] == "3.0.0" and one.order["step"]["rollout"] == "fix"
        one.confirms()
    assert story.steps("old")[(installing.id, 0)] == "installing"
    assert installing.poll() and installing.order["step"]["rollout"] == "old"
    installing.confirms()
    ended = story.wait("old", "stopped")
    assert ended["reason"].startswith("superseded: other rollouts have taken over 2 devices of L0.W0")
    story.work(fleet, "fix", "completed")
    assert set(have(fleet, "app").values()) == {"3.0.0"}
    assert story.stats("old")["total"]["targets"] == 2
    assert any(e["state"] == "stopped" and e["reason"] == ended["reason"]
               for e in events(story, "old", "rollout.state"))
    story.verify()


def test_an_equal_that_does_not_supersede_waits(story):
    """Without supersede what an older rollout has under way is held by it, and a plan that is left with nobody is
    refused; with it the plan has everybody."""
    story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps")
    body = {"release": "fix", "strategy": {"waves": [{"percent": 100}]}}
    assert story.api.put("/api/v1/rollouts/later", body).status in (201, 202)
    refused = story.wait("later", "failed")["reason"]
    assert "rollout old is changing app" in refused and "supersede" in refused
    assert story.api.get("/api/v1/rollouts/later/plan").json()["totals"]["held"] == 2
    story.rollout("fix", "fix", start=False, supersede=True)
    assert story.api.get("/api/v1/rollouts/fix/plan").json()["totals"]["update"] == 2


def test_a_higher_priority_takes_over_and_a_lower_one_never_does(story):
    """Priority comes before supersede, whoever starts first."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("low", "apps", start=False, supersede=True)
    story.rollout("high", "fix", start=False, priority=10)
    story.verb("low", "start")
    fleet[0].asks()
    story.verb("high", "start")
    story.ends("low", fleet[0], 0, "superseded")
    story.wait("low", "stopped")
    assert said(story, "d0", "low")[:2] == ["step_superseded", "rival"]
    story.work(fleet, "high", "completed")
    assert set(have(fleet, "app").values()) == {"3.0.0"}
    story.module("app", "4.0.0", "5.0.0", requires={"lib": ">=1.0"})
    story.release("four", app="4.0.0")
    story.release("five", app="5.0.0")
    story.rollout("first", "four", start=False, priority=10)
    story.rollout("second", "five", start=False, supersede=True)
    story.verb("first", "start")
    story.wait("first", "running")
    story.verb("second", "start")
    until("nobody is left to it", lambda: set(story.steps("second").values()) == {"ineligible"})


@pytest.fixture(name="both")
def fixture_both(story):
    """The old rollout has brought app 2 to d0 and is at d1; the hotfix has brought app 3 to d0 and d1."""
    story.fleet = fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps", gate=ONE_IS_ENOUGH, max_in_flight=1)
    until("one has it", lambda: any(one.poll() for one in fleet))
    first = next(one for one in fleet if one.order)
    first.confirms()
    story.first, story.others = first, [one for one in fleet if one is not first]
    story.rollout("fix", "fix", supersede=True)
    story.work(fleet, "fix", "completed")
    story.wait("old", "completed", "stopped")
    return story


def test_a_rollback_of_the_older_leaves_the_hotfix_alone(both):
    """Nothing of what the hotfix has set goes back with the older rollout; the hotfix then leads to what
    is left: what the older one brought has been taken back."""
    both.verb("old", "rollback")
    both.work(both.fleet, "old", "rolled_back")
    assert set(have(both.fleet, "app").values()) == {"3.0.0"}
    both.verb("fix", "rollback")
    both.work(both.fleet, "fix", "rolled_back")
    assert set(have(both.fleet, "app").values()) == {"1.0.0"}
    both.verify()


def test_a_rollback_of_the_hotfix_leads_to_the_newest_confirmed(both):
    """Each device goes to what it had confirmed before; what the older rollout still has of it is then that
    one's to take back."""
    both.verb("fix", "rollback")
    both.work(both.fleet, "fix", "rolled_back")
    assert both.first.installed["app"] == "2.0.0"
    assert {one.installed["app"] for one in both.others} == {"1.0.0"}
    both.verb("old", "rollback")
    both.work(both.fleet, "old", "rolled_back")
    assert set(have(both.fleet, "app").values()) == {"1.0.0"}
    both.verify()


def test_a_rollback_passes_by_what_is_blocked(both):
    """The newest confirmed set without blocked versions."""
    answer = both.api.post("/api/v1/modules/app/versions/2.0.0/block", {"blocked": True, "why": "bad"})
    assert answer.status == 200, answer
    both.verb("fix", "rollback")
    both.work(both.fleet, "fix", "rolled_back")
    assert set(have(both.fleet, "app").values()) == {"1.0.0"}


def test_a_hotfix_over_a_paused_rollout(story):
    """What is paused loses its devices too; resumed, it ends as stopped instead of asking somebody."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps")
    story.verb("old", "pause")
    story.rollout("fix", "fix", supersede=True)
    until("they are taken over", lambda: set(story.steps("old").values()) == {"superseded"})
    assert story.get("old")["state"] == "paused"
    story.verb("old", "resume")
    assert story.wait("old", "stopped")["reason"].startswith("superseded")
    story.work(fleet, "fix", "completed")


def test_a_hotfix_over_a_rollback(story):
    """Devices that wait to go back go on to the hotfix instead; who goes back already finishes first."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps")
    story.work(fleet, "old", "completed")
    story.verb("old", "rollback")
    fleet[0].asks()
    fleet[0].says("installing")
    story.rollout("fix", "fix", supersede=True)
    for one in fleet[1:]:
        story.ends("old", one, 0, "superseded")
        one.asks()
        assert one.wants()["app"] == "3.0.0"
        one.confirms()
    fleet[0].confirms()
    assert fleet[0].installed["app"] == "1.0.0"
    story.wait("old", "rolled_back")
    story.work(fleet, "fix", "completed")
    assert set(have(fleet, "app").values()) == {"3.0.0"}
    story.verify()


def test_a_standing_order_ends_when_a_newer_rollout_has_the_device(story):
    """A device that was silent until after the end is offered what the newer rollout brings, not the old."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("old", "apps", gate=ONE_IS_ENOUGH, reach_s=1)
    fleet[0].asks()
    fleet[0].confirms()
    story.wait("old", "completed")
    story.rollout("fix", "fix", waves=[{"selector": "id==d0"}, {"percent": 100}])
    assert not fleet[1].poll()
    assert story.steps("old")[("d1", 0)] == "superseded"
    story.work(fleet, "fix", "completed")
    assert set(have(fleet, "app").values()) == {"3.0.0"}


def test_orders_of_the_higher_priority_come_first(story):
    """Of two rollouts of different modules a device gets the one with the higher priority first."""
    fleet = story.devices(1, app="1.0.0", lib="1.0.0", tool="1.0.0")
    story.rollout("a", "apps", start=False)
    story.rollout("t", "tools", start=False, priority=5)
    story.verb("a", "start")
    story.verb("t", "start")
    for name in ("a", "t"):
        until("its row is there", lambda name=name: story.steps(name) == {("d0", 0): "queued"})
    until("it is told", lambda: said(story, "d0", "a")[0] == "behind")
    fleet[0].asks()
    assert fleet[0].order["step"]["rollout"] == "t"
    fleet[0].confirms()
    story.work(fleet, "a", "completed")


@pytest.fixture(name="behind")
def fixture_behind(story):
    """A gateway and a device behind it, which installs what one rollout has brought when a hotfix starts."""
    for n in (1, 2, 3):
        story.module("base", f"{n}.0.0", tier="gateway")
        story.module("leaf", f"{n}.0.0", requires={"base": f">={n}.0"})
    for name, version in (("two", "2.0.0"), ("three", "3.0.0")):
        story.release(name, base=version, leaf=version)
    gateway = story.device("gw", tier="gateway", base="1.0.0")
    one = story.device("d", gateway="gw", leaf="1.0.0")
    story.rollout("old", "two", start=False)
    story.rollout("fix", "three", start=False, supersede=True)
    story.verb("old", "start")
    gateway.asks()
    gateway.confirms()
    one.asks()
    one.says("installing")
    story.verb("fix", "start", accept_drift=True)
    return gateway, one


def test_a_gateway_waits_for_those_behind_it_when_two_rollouts_go_back(story, behind):
    """A hotfix and the rollout that it overtook are taken back while a device installs the older one's version:
    the gateway keeps what that needs until the device is back."""
    gateway, one = behind
    gateway.asks()
    assert gateway.wants()["base"] == "3.0.0"
    gateway.order = None
    story.verb("old", "rollback")
    story.verb("fix", "rollback")
    until("the hotfix goes back", lambda: story.steps("fix")[("gw", 0)] == "queued")
    assert story.idle([gateway])
    one.take(one.order)
    one.order = None
    story.work([one, gateway], "fix", "rolled_back")
    assert (one.installed, gateway.installed) == ({"leaf": "1.0.0"}, {"base": "1.0.0"})
    story.verify()


def test_a_device_behind_a_gateway_goes_back_to_what_another_rollout_brought(story, behind):
    """A hotfix over another rollout is taken back: the device and then its gateway go back to the version in between,
    which no plan had them go back to, since the gateway still meets what that requires."""
    gateway, one = behind
    one.confirms()
    one.order = None
    story.work([one, gateway], "fix", "completed")
    story.verb("fix", "rollback")
    story.work([one, gateway], "fix", "rolled_back")
    assert (one.installed, gateway.installed) == ({"leaf": "2.0.0"}, {"base": "2.0.0"})
    story.verify()
