# SPDX-License-Identifier: Apache-2.0
"""Slots of the fleet: how many devices may be under way in all, and how rollouts share them by priority."""
import signal

import pytest

from story import Story
from waiting import ok, until

SIX = ",".join(f"{{0}}{i}" for i in range(6))


@pytest.fixture(name="conf")
def fixture_conf(tmp_path):
    path = tmp_path / "fleetd.conf"
    path.write_text("max_in_flight = 4\n")
    return path


def make(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.module("tool", "1.0.0", "2.0.0")
    story.release("apps", app="2.0.0")
    story.release("tools", tool="2.0.0")
    return story


@pytest.fixture(name="story")
def fixture_story(new_fleetd, conf):
    return make(new_fleetd().start(config=conf))


def two(story, high=3, low=1):
    """Two rollouts for six devices each; the first one with the higher priority."""
    apps, tools = story.devices(6, "a", app="1.0.0"), story.devices(6, "t", tool="1.0.0")
    story.rollout("high", "apps", f"id=in=({SIX.format('a')})", priority=high)
    story.rollout("low", "tools", f"id=in=({SIX.format('t')})", priority=low)
    return apps, tools


def ask(fleet):
    """Everybody asks; who has an order."""
    for one in fleet:
        one.poll()
    return [one for one in fleet if one.order]


def slots(story, name):
    s = story.stats(name)["slots"]
    return s["in_flight"], s["share"], s["fleet_in_flight"], s["fleet_max"]


def lines(story, device, rollout):
    part = ok(story.api.get(f"/api/v1/devices/{device}/explain?rollout={rollout}"))["rollouts"][0]
    return {line["code"]: line["text"] for line in part["lines"]}


def test_slots_are_shared_by_priority(story, conf):
    """A rollout takes all slots while it is alone; then each gets its share as slots become free, and what the
    one has no use for goes to the other. What is under way is known after a restart."""
    apps, tools = two(story)
    until("all slots are taken", lambda: len(ask(apps)) == 4)
    assert not ask(tools)
    assert slots(story, "high") == (4, 3, 4, 4) and slots(story, "low") == (0, 1, 4, 4)
    assert "4 of 4 are in use; this rollout has 0, and its share is 1" in lines(story, "t0", "low")["fleet"]
    assert "stage_fleet" in {line["code"] for line in ok(story.api.get("/api/v1/rollouts/low/stages/0/0/explain"))["lines"]}
    ask(apps)[0].confirms()
    assert len(ask(apps)) == 3, "the slot is the other one's"
    assert len(ask(tools)) == 1
    assert slots(story, "high") == (3, 3, 4, 4) and slots(story, "low") == (1, 1, 4, 4)
    story.api.stop()
    story.api.start(config=conf)
    assert len(ask(apps)) == 3 and len(ask(tools)) == 1
    ask(tools)[0].confirms()
    assert len(ask(apps)) == 3 and len(ask(tools)) == 1
    story.work(apps + tools, "high", "completed")
    until("they are the other one's now", lambda: len(ask(tools)) + sum(t.installed["tool"] == "2.0.0" for t in tools) >= 4)
    story.work(tools, "low", "completed")
    assert slots(story, "low") == (0, 4, 0, 4)


def scraped(story):
    return story.api.get("/metrics").body.decode()


def test_the_limit_is_measured_and_reloaded(story, conf):
    """However many ask; without a limit nobody waits, and nothing is shown."""
    apps, tools = two(story, high=0, low=0)
    until("all slots are taken", lambda: len(ask(apps) + ask(tools)) == 4)
    metrics = until("it is measured", lambda: "fleetd_orders_in_flight 4" in scraped(story) and scraped(story))
    assert "fleetd_orders_max 4" in metrics and "fleetd_order_waits_total 0" not in metrics
    conf.write_text("max_in_flight = 0\n")
    story.api.signal(signal.SIGHUP)
    until("nobody waits", lambda: len(ask(apps + tools)) == 12)
    assert story.stats("high")["slots"] is None


def test_a_rollback_needs_slots_too(story):
    """Devices that go back count, and wait when there are no slots."""
    apps = story.devices(6, "a", app="1.0.0")
    story.rollout("r", "apps", rollback={"first": 100})
    story.work(apps, "r", "completed")
    story.verb("r", "rollback")
    until("as many as may go back", lambda: len(ask(apps)) == 4)
    assert "fleet" in lines(story, next(one.id for one in apps if not one.order), "r")
    story.work(apps, "r", "rolled_back")


def test_who_may_not_go_yet_wants_no_slot(story):
    """Frozen devices of a rollout do not hold slots for it."""
    apps, tools = two(story)
    ok(story.api.put("/api/v1/freezes/f", {"selector": f"id=in=({SIX.format('a')})"}))
    assert not ask(apps)
    until("all slots are taken", lambda: len(ask(tools)) == 4)
    assert not ask(apps)
    ask(tools)[0].confirms()
    until("no slot is kept", lambda: len(ask(tools)) == 4)


def test_no_slot_is_kept_when_the_clock_is_set_back(new_fleetd, conf, clock):
    """What a rollout wanted by a clock that was ahead is not kept for it until that time comes."""
    story = make(new_fleetd().start(config=conf, env=clock.env))
    apps, tools = two(story, high=0, low=0)
    clock.forward(apps + tools, hours=5)
    until("all slots are taken", lambda: len(ask(apps)) == 4)
    assert not ask(tools)
    story.verb("low", "stop")
    clock.forward(apps + tools, hours=-5)
    ask(apps)[0].confirms()
    until("the slots are the other one's", lambda: len(ask(apps)) == 4)
