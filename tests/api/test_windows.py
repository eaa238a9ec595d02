# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows: devices are offered their orders while they are open, and are woken when they open."""
from datetime import timedelta

import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"


@pytest.fixture(name="story")
def fixture_story(new_fleetd, clock):
    story = Story(new_fleetd().start(env=clock.env))
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def daily(at, hours=1, **more):
    """A rule that opens every day at the time of day of `at`."""
    return {"cron": f"{at.minute} {at.hour} * * *", "duration_s": hours * 3600, **more}


def why(story, device):
    return ok(story.api.get(f"{API}/devices/{device}/explain?rollout=r"))["rollouts"][0]


def test_nothing_is_offered_before_the_window_opens(story, clock):
    """A device that asks before is told when; it is woken when the window opens, also over a restart."""
    d = story.devices(2, app="1.0.0")
    opens = (clock.now() + timedelta(hours=3)).replace(second=0, microsecond=0)
    story.rollout("r", "next", windows={"delivery": [daily(opens)]})
    story.wait("r", "running")
    assert story.idle(d)
    line = why(story, "d0")["lines"][0]
    assert line["code"] == "window" and opens.strftime("%Y-%m-%d %H:%M UTC") in line["text"]
    stage = ok(story.api.get(f"{API}/rollouts/r/stages/0/0/explain"))
    assert any(one["code"] == "stage_window" for one in stage["lines"])
    clock.forward(d, hours=1)
    assert story.idle(d)
    story.api.stop()
    story.api.start(env=clock.env)
    assert story.idle(d)
    clock.forward(d, hours=2)
    d[0].asks()
    d[0].confirms()
    clock.forward(d, hours=2)
    until("it is closed again", lambda: not d[1].poll() and why(story, "d1")["lines"][0]["code"] == "window")
    clock.forward(d, hours=22)
    d[1].asks()


def test_the_clock_of_the_device_counts(story, clock):
    """Each device is in the zone that its label names; others, and wrong names, are in that of the strategy."""
    d = story.devices(3, app="1.0.0")
    ok(story.api.patch(f"{API}/devices/d0", {"labels": {"zone": "Asia/Tokyo"}}))
    ok(story.api.patch(f"{API}/devices/d2", {"labels": {"zone": "Mars/Olympus"}}))
    opened = clock.now() + timedelta(hours=9) - timedelta(minutes=30)  # by the clock of Tokyo
    story.rollout("r", "next", windows={"delivery": [daily(opened)], "zone_of": "label.zone"})
    d[0].asks()
    assert story.idle(d[1:])
    assert "UTC" in why(story, "d2")["lines"][0]["text"]
    ok(story.api.patch(f"{API}/devices/d1", {"labels": {"zone": "Asia/Tokyo"}}))
    d[1].asks()
    clock.forward(d, hours=9)
    d[2].asks()


def test_an_order_says_when_the_device_may_switch(story, clock):
    """The spans of the window for the switch, in the zone of the device; nothing of them without one."""
    d = story.devices(2, app="1.0.0")
    ok(story.api.patch(f"{API}/devices/d1", {"labels": {"zone": "Asia/Kolkata"}}))
    opens = (clock.now() + timedelta(hours=3)).replace(second=0, microsecond=0)
    story.rollout("r", "next", windows={"switch": [daily(opens, hours=2)], "zone_of": "label.zone"})
    spans = d[0].asks()["step"]["switch"]
    first = int(opens.timestamp() * 1000)
    assert spans[0] == [first, first + 2 * 3600_000] and len(spans) == 32
    assert spans[1][0] == first + 24 * 3600_000
    # the same time of day in India comes five and a half hours earlier: it is over for today
    assert d[1].asks()["step"]["switch"][0][0] == first + (24 * 60 - 330) * 60_000


def test_a_rollback_waits_only_if_it_is_told_to(story, clock):
    """By default the way back is open at any time."""
    d = story.devices(1, app="1.0.0")
    now = clock.now() - timedelta(minutes=10)
    for wait in (False, True):
        story.rollout("r" if not wait else "again", "next", windows={"delivery": [daily(now)]},
                      rollback={"windows": wait})
        name = "again" if wait else "r"
        story.work(d, name, "completed")
        clock.forward(d, hours=4)
        story.verb(name, "rollback")
        if wait:
            until("it is held", lambda: any(
                line["code"] == "window"
                for line in ok(story.api.get(f"{API}/devices/d0/explain?rollout=again"))["rollouts"][0]["lines"]))
            assert story.idle(d)
            clock.forward(d, hours=20)
        story.work(d, name, "rolled_back")
        clock.forward(d, hours=20)


def test_windows_that_never_open_are_refused(story, clock):
    """Unknown zones, days that do not come, and lengths of nothing."""
    story.devices(1, app="1.0.0")
    rule = daily(clock.now())
    for windows, status, words in (
        ({"delivery": [rule], "zone": "Europe/Atlantis"}, 422, "there is no time zone"),
        ({"delivery": [{"cron": "0 0 31 2 *", "duration_s": 60}]}, 422, "delivery never opens"),
        ({"switch": [{"rrule": "FREQ=DAILY;UNTIL=20250101", "duration_s": 60}]}, 422, "switch never opens"),
        ({"delivery": [{**rule, "duration_s": 0}]}, 400, "duration_s"),
        ({"delivery": [{"cron": "daily", "duration_s": 60}]}, 400, "windows: delivery: [0]: cron"),
        ({}, 400, "needs delivery or switch"),
    ):
        answer = story.create("r", "next", windows=windows)
        assert answer.status == status and words in answer.json()["detail"], answer
        plan = story.api.post(f"{API}/plans", {"release": "next", "strategy": {"windows": windows}})
        assert plan.status == status, plan
