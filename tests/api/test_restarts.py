# SPDX-License-Identifier: Apache-2.0
"""What fleetd finds when it comes back: after a kill in every state of a rollout, after jumps of its clock, and
in another time zone."""
from datetime import timedelta

import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"
UNDER_WAY = ("offered", "waiting", "downloading", "downloaded", "installing", "rebooting", "installed")
SHIFTED = "the clocks of rollouts go on where they were"


def prepared(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


@pytest.fixture(name="story")
def fixture_story(new_fleetd):
    """Who made a rollout may approve it."""
    return prepared(new_fleetd().start(approve_own="yes"))


def picture(story):
    """All that an operator sees of the rollouts: state, reason, times, counters, gates, each step."""
    rollouts = ok(story.api.get(f"{API}/rollouts?limit=1000"))["items"]
    steps = {r["name"]: ok(story.api.get(f"{API}/rollouts/{r['name']}/steps?limit=1000"))["items"] for r in rollouts}
    return [(r, story.stats(r["name"]), steps[r["name"]]) for r in rollouts]


def killed(story):
    """Kill fleetd and start it again; it shows what it showed."""
    before = picture(story)
    story.api.kill()
    story.api.start()
    assert picture(story) == before


def own(story, name, n=1, **strategy):
    """A planned rollout of n devices that no other one has; the devices."""
    fleet = story.devices(n, prefix=f"{name}-", app="1.0.0")
    ids = ",".join(one.id for one in fleet)
    ok(story.create(name, "next", f"id=in=({ids})", **strategy))
    story.wait(name, "ready", "waiting_approval", "failed")
    return fleet


def opened(story, name, n=1, **strategy):
    """The same, started, all its steps made."""
    fleet = own(story, name, n, **strategy)
    story.verb(name, "start")
    until(f"{name} has its steps", lambda: len(story.steps(name)) == n)
    return fleet


def begin(one, state):
    """The device takes its order and comes so far with it."""
    one.asks()
    if state != "offered":
        one.says(state)


def states(story, name):
    return list(story.steps(name).values())


def test_a_rollout_that_has_not_started(story):
    """Killed with rollouts that wait for approval, are denied, ready, scheduled and without a plan: each is what
    it was; those that can be started are started and end."""
    fleet = [*own(story, "waits", approvals=1), *own(story, "ready"), *own(story, "later")]
    own(story, "denied", approvals=1)
    own(story, "failed", gate={"success": {"minimum": 500}})
    story.verb("denied", "deny", why="not this week")
    story.verb("later", "start", at="2100-01-01T00:00:00Z")
    killed(story)
    assert [story.get(n)["state"] for n in ("waits", "denied", "ready", "later", "failed")] == [
        "waiting_approval", "denied", "ready", "scheduled", "failed"]
    assert story.idle(fleet)
    for name in ("waits", "denied", "failed"):
        story.refused(name, "start")
    story.verb("waits", "approve", plan_digest=story.get("waits")["plan_digest"])
    for name in ("waits", "ready", "later"):
        story.verb(name, "start")
        story.work(fleet, name, "completed")
    story.verify()


def test_devices_under_way(story):
    """Killed with devices everywhere on the way of an order, one that waits and one that is through: each goes on
    from where it was, and the rollout is completed."""
    fleet = opened(story, "r", len(UNDER_WAY) + 2)
    for one, state in zip(fleet, UNDER_WAY):
        begin(one, state)
    fleet[-1].asks()
    fleet[-1].confirms()
    killed(story)
    assert states(story, "r") == [*UNDER_WAY, "queued", "confirmed"]
    story.work(fleet, "r", "completed")
    assert set(states(story, "r")) == {"confirmed"}
    story.verify()


def test_a_rollout_that_is_held(story):
    """Killed while one is paused by a person, one by its gate, one stops and one has stopped: no device is offered
    anything; they go on as they were told before."""
    hand, gate = opened(story, "hand", 2), opened(story, "gate", 2)
    stopping, stopped = opened(story, "stopping", 2), opened(story, "stopped")
    begin(hand[0], "downloading")
    gate[0].asks()
    gate[0].fails()
    begin(stopping[0], "installing")
    story.verb("hand", "pause")
    story.verb("stopping", "stop")
    story.verb("stopped", "stop")
    for name, state in (("hand", "paused"), ("gate", "paused"), ("stopping", "stopping"), ("stopped", "stopped")):
        story.wait(name, state)
    until("what waits is canceled", lambda: "queued" not in states(story, "stopping") + states(story, "stopped"))
    killed(story)
    assert story.idle([hand[1], gate[1], stopping[1], *stopped])
    stopping[0].confirms()
    story.wait("stopping", "stopped")
    story.verb("hand", "resume")
    story.work(hand, "hand", "completed")
    story.verb("gate", "rollback")
    story.work(gate, "gate", "rolled_back")
    story.verify()


def test_the_way_back(story):
    """Killed while one is taken back, with devices everywhere on that way, and with one that is back and one that
    is completed: the first gets back, the last can be taken back."""
    fleet = opened(story, "back", len(UNDER_WAY) + 2)
    again, done = opened(story, "again"), opened(story, "done")
    for name, devices in (("back", fleet), ("again", again), ("done", done)):
        story.work(devices, name, "completed")
    story.verb("again", "rollback")
    story.work(again, "again", "rolled_back")
    story.verb("back", "rollback")
    first = until("one is told to go back", lambda: next((one for one in fleet if one.poll()), None))
    first.confirms()
    rest = [one for one in fleet if one is not first]
    for one, state in zip(rest, UNDER_WAY):
        begin(one, state)
    killed(story)
    assert sorted(states(story, "back")) == sorted([*UNDER_WAY, "queued", "rolled_back"])
    story.work(fleet, "back", "rolled_back")
    assert story.get("done")["state"] == "completed" and story.get("again")["state"] == "rolled_back"
    story.verb("done", "rollback")
    story.work(done, "done", "rolled_back")
    assert all(one.installed == {"app": "1.0.0"} for one in [*fleet, *again, *done])
    story.verify()


def test_killed_after_each_word(story):
    """Killed as soon as a call is answered, in whatever passing state that is: what was answered is done."""
    fleet = story.devices(2, app="1.0.0")

    def again():
        story.api.kill()
        story.api.start()

    ok(story.create("r", "next"))
    again()
    story.wait("r", "ready")
    story.verb("r", "start")
    again()
    fleet[0].asks()
    again()
    fleet[0].confirms()
    again()
    story.verb("r", "pause")
    again()
    assert story.get("r")["state"] == "paused"
    story.verb("r", "resume")
    again()
    story.work(fleet, "r", "completed")
    story.verb("r", "rollback")
    again()
    story.work(fleet, "r", "rolled_back")
    story.verify()


def jump(story, clock, fleet, **span):
    """The clock jumps; the devices go along. Comes back when fleetd has noticed."""
    seen = story.api.log().count(SHIFTED)
    clock.forward(fleet, **span)
    until("the jump is noticed", lambda: story.api.log().count(SHIFTED) > seen)


def test_jumps_of_the_clock(new_fleetd, clock):
    """Three hours forth and back while one rollout's device installs and another's wave soaks, longer than both may
    take: no time is over because of it and nothing opens; then the soak ends when its own time has passed."""
    story = prepared(new_fleetd().start(env=clock.env, poll_interval="1s"))
    soaking = opened(story, "soaks", 1, waves=[{"percent": 100}], soak_s=20)
    (busy,) = opened(story, "installs", install_s=3600)
    soaking[0].asks()
    soaking[0].confirms()
    begin(busy, "installing")
    story.wait_stage("soaks", 0, 0, "soaking")
    for hours in (3, -3):
        jump(story, clock, [*soaking, busy], hours=hours)
        assert states(story, "installs") == ["installing"]
        assert story.stage("soaks", 0, 0)["state"] == "soaking"
    clock.forward([*soaking, busy], seconds=25)  # too little to look like a jump
    story.wait("soaks", "completed")
    busy.confirms()
    story.wait("installs", "completed")
    story.verify()


@pytest.mark.parametrize("hours", (3, -3))
def test_a_soak_that_begins_with_a_jump(new_fleetd, clock, hours):
    """The first fact after a jump of the clock comes before any timer: it reads a clock that is right, so that the soak
    neither is over at once nor lasts for hours."""
    story = prepared(new_fleetd().start(env=clock.env, poll_interval="1s"))
    (one,) = opened(story, "soaks", 1, waves=[{"percent": 100}], soak_s=20)
    begin(one, "installing")
    clock.forward([one], hours=hours)
    one.confirms()
    assert story.api.log().count(SHIFTED) == 1
    story.wait_stage("soaks", 0, 0, "soaking")
    clock.forward([one], seconds=14)
    story.api.get(f"{API}/rollouts/soaks")
    assert story.stage("soaks", 0, 0)["state"] == "soaking"
    clock.forward([one], seconds=7)
    story.wait("soaks", "completed")


def test_another_time_zone_of_the_machine(new_fleetd, clock):
    """Started again with another TZ: a scheduled start and a window come at the same instants as before."""
    story = prepared(new_fleetd().start(env={**clock.env, "TZ": "America/New_York"}))
    opens = (clock.now() + timedelta(hours=3)).replace(second=0, microsecond=0)
    india = opens + timedelta(hours=5, minutes=30)
    windows = {"delivery": [{"cron": f"{india.minute} {india.hour} * * *", "duration_s": 3600}], "zone": "Asia/Kolkata"}
    held = opened(story, "held", windows=windows)
    later = own(story, "later")
    story.verb("later", "start", at=opens.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def told():
        lines = ok(story.api.get(f"{API}/devices/held-0/explain?rollout=held"))["rollouts"][0]["lines"]
        return picture(story), lines[0]["opens"]

    before = told()
    for zone in ("Pacific/Kiritimati", "XYZ+12"):
        story.api.stop()
        story.api.start(env={**clock.env, "TZ": zone})
        assert told() == before
    clock.forward([*held, *later], seconds=(opens - clock.now()).total_seconds() - 60)
    assert story.idle(held) and story.get("later")["state"] == "scheduled"
    clock.forward([*held, *later], seconds=61)
    held[0].asks()
    story.work([*held, *later], "later", "completed")
    story.work(held, "held", "completed")
    story.verify()
