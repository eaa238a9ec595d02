# SPDX-License-Identifier: Apache-2.0
"""Freezes: nothing is delivered to the devices of a selector until a time, or until it is lifted."""
import time
from datetime import timedelta

import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def freeze(story, name="sale", **body):
    return ok(story.api.put(f"{API}/freezes/{name}", body))


def why(story, device):
    return ok(story.api.get(f"{API}/devices/{device}/explain?rollout=r"))["rollouts"][0]


def test_frozen_devices_are_offered_nothing(story):
    """Only devices of the selector are held, also after a restart; lifted, they are offered their step."""
    d = story.devices(2, app="1.0.0")
    told = freeze(story, selector="id==d0", why="the shop is open")
    assert told["changed"] and told["freeze"]["holds"] and told["freeze"]["until"] is None
    assert freeze(story, selector="id==d0", why="the shop is open")["changed"] is False
    story.rollout("r", "next")
    d[1].asks()
    assert story.idle([d[0]])
    part = why(story, "d0")
    assert part["lines"][0]["code"] == "frozen" and not part["would_be_offered"]
    assert part["summary"].startswith("freeze sale holds for it")
    story.api.stop()
    story.api.start()
    assert story.idle([d[0]])
    assert ok(story.api.delete(f"{API}/freezes/sale"))["changed"]
    again = ok(story.api.delete(f"{API}/freezes/sale"))
    assert not again["changed"] and not again["freeze"]["holds"] and again["may_still_switch"] == 1
    d[0].asks()
    kinds = [e["kind"] for e in ok(story.api.get(f"{API}/events?limit=1000"))["items"]]
    assert kinds.count("freeze.created") == 1 and kinds.count("freeze.lifted") == 1


def test_who_has_an_order_must_not_switch(story):
    """A device that has begun to download hears of it, as answer to a report and to a poll, also after a
    restart; one that switches already does not, nor does one of another selector. Lifted, it goes on."""
    d = story.devices(3, app="1.0.0")
    story.rollout("r", "next")
    for one in d:
        one.asks()
        one.says("downloading")
    d[1].says("installing")
    assert not any(one.device.held for one in d)
    freeze(story, selector="id=in=(d0,d1)")
    until("it is told to wait", lambda: d[0].poll() or d[0].device.held)
    d[1].poll()
    d[2].poll()
    assert not d[1].device.held and not d[2].device.held
    codes = {one.id: [line["code"] for line in why(story, one.id)["lines"]] for one in d}
    assert codes == {"d0": ["has_order", "frozen_order"], "d1": ["has_order", "frozen_too_late", "must_end"],
                     "d2": ["has_order", "must_end"]}
    d[0].says("waiting", wait="window")
    assert d[0].device.held
    d[1].confirms()
    assert story.steps("r") == {("d0", 0): "waiting", ("d1", 0): "confirmed", ("d2", 0): "downloading"}
    story.api.stop()
    story.api.start()
    assert not d[0].device.poll() and d[0].device.held
    ok(story.api.delete(f"{API}/freezes/sale"))
    assert d[0].poll() and not d[0].device.held
    d[0].confirms()
    d[2].confirms()
    story.wait("r", "completed")


def test_the_time_to_install_stands_still_while_frozen(story):
    """Of two devices that are silent with an order, the frozen one is not late; thawed, it is."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next", install_s=2, gate={"error": {"percent": 100}})
    for one in d:
        one.asks()
    freeze(story, selector="id==d0")
    story.ends("r", d[1], 0, "timed_out")
    assert story.steps("r")[("d0", 0)] == "offered"
    ok(story.api.delete(f"{API}/freezes/sale"))
    assert story.steps("r")[("d0", 0)] == "offered"


def test_a_freeze_ends_at_its_time(story):
    """Nobody has to lift it."""
    d = story.devices(1, app="1.0.0")
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6))
    freeze(story, until=at)
    story.rollout("r", "next")
    assert story.idle(d)
    d[0].asks()
    assert until("it has ended", lambda: not ok(story.api.get(f"{API}/freezes"))["items"][0]["holds"])


@pytest.fixture(name="moved")
def fixture_moved(new_fleetd, clock):
    story = Story(new_fleetd().start(env=clock.env))
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def listed(story):
    return ok(story.api.get(f"{API}/freezes"))["items"][0]


def test_a_planned_freeze_begins_and_ends_by_itself(moved, clock):
    """It holds nothing before its start, also after a restart; then it does, until its end."""
    d = moved.devices(2, app="1.0.0")
    start, end = clock.at(hours=4, seconds=20), clock.at(hours=8)
    told = freeze(moved, **{"from": start, "until": end})
    assert told["changed"] and told["freeze"]["planned"] and not told["freeze"]["holds"]
    assert told["freeze"]["from"].startswith(start[:-1])
    assert not freeze(moved, **{"from": start, "until": end})["changed"]
    moved.rollout("r", "next", install_s=86400, reach_s=86400)
    d[0].asks()
    clock.forward(d, hours=4)
    moved.api.stop()
    moved.api.start(env=clock.env)
    assert listed(moved)["planned"] and not listed(moved)["holds"]
    d[0].says("downloading")
    d[0].poll()
    assert not d[0].device.held
    clock.forward(seconds=21)
    assert listed(moved)["holds"] and not listed(moved)["planned"]
    until("it is told to wait", lambda: not d[0].device.poll() and d[0].device.held, 10)
    assert moved.idle([d[1]]) and why(moved, "d1")["lines"][0]["code"] == "frozen"
    assert not freeze(moved, **{"from": start, "until": end})["changed"]
    assert not freeze(moved, until=end)["changed"]
    clock.forward(d, hours=4)
    assert not listed(moved)["holds"] and not listed(moved)["planned"]
    d[1].asks()


def test_who_has_an_order_hears_of_the_begin_and_the_end(moved, clock):
    """Nobody has to touch the freeze: who polls is told to wait when it begins, and to go on when it ends."""
    d = moved.devices(1, app="1.0.0")
    freeze(moved, **{"from": clock.at(seconds=20), "until": clock.at(seconds=45)})
    moved.rollout("r", "next")
    d[0].asks()
    d[0].says("downloading")
    until("it has no news", lambda: d[0].device.poll() is None)
    assert not d[0].device.held
    clock.forward(seconds=21)
    until("it is told to wait", lambda: not d[0].device.poll() and d[0].device.held, 10)
    clock.forward(seconds=25)
    until("it may go on", d[0].device.poll, 10)
    assert not d[0].device.held
    d[0].confirms()
    moved.wait("r", "completed")


def test_clocks_stand_only_while_it_holds(moved, clock):
    """Silent with an order, a device is late before its freeze begins, and not while it holds."""
    d = moved.devices(2, app="1.0.0")
    freeze(moved, selector="id==d0", **{"from": clock.at(seconds=10), "until": clock.at(hours=2)})
    freeze(moved, name="later", selector="id==d1", **{"from": clock.at(hours=1)})
    moved.rollout("r", "next", install_s=24, gate={"error": {"percent": 100}})
    for one in d:
        one.asks()
    clock.forward(d, seconds=27)
    moved.ends("r", d[1], 0, "timed_out")
    assert moved.steps("r")[("d0", 0)] == "offered"


def test_a_planned_freeze_is_lifted_or_begun_early(moved, clock):
    """Lifted, it never begins; made again without a start, it holds at once."""
    d = moved.devices(1, app="1.0.0")
    freeze(moved, **{"from": clock.at(hours=5)})
    assert not ok(moved.api.delete(f"{API}/freezes/sale"))["freeze"]["planned"]
    clock.forward(d, hours=6)
    assert not listed(moved)["holds"]
    freeze(moved, **{"from": clock.at(hours=5)})
    assert freeze(moved)["freeze"]["holds"]
    moved.rollout("r", "next")
    assert moved.idle(d)


def daily(clock, seconds, length_s):
    """Rules that open every day, for so long, for the first time `seconds` after now at the earliest minute."""
    begin = clock.now() + timedelta(seconds=seconds)
    return [{"cron": f"{begin.minute} {begin.hour} * * *", "duration_s": length_s}], begin.replace(second=0, microsecond=0)


def told(story):
    """What the audit trail says of the freeze: (kind, from) in order."""
    lines = ok(story.api.get(f"{API}/events?limit=1000"))["items"]
    return [(e["kind"], e["data"]["from"]) for e in lines if e["kind"] in ("freeze.began", "freeze.ended")]


def utc(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_freeze_recurs(moved, clock):
    """It holds again and again by its rules, holds the switch of who has an order, and says when it holds next."""
    d = moved.devices(2, app="1.0.0")
    every, first = daily(clock, 3600, 7200)
    shown = freeze(moved, every=every, why="open hours")["freeze"]
    assert shown["planned"] and not shown["holds"] and shown["every"] == every and shown["zone"] == "UTC"
    assert shown["span"]["from"][:16] == utc(first)[:16]
    assert freeze(moved, every=every, why="open hours")["changed"] is False
    moved.rollout("r", "next", install_s=86400, reach_s=864000)
    d[0].asks()
    d[0].says("downloading")
    for day in range(2):
        clock.forward(d, seconds=(first + timedelta(days=day, seconds=2) - clock.now()).total_seconds())
        until("it is told to wait", lambda: not d[0].device.poll() and d[0].device.held, 10)
        assert listed(moved)["holds"] and moved.idle([d[1]])
        part = why(moved, "d1")
        assert [line["code"] for line in part["lines"][:2]] == ["frozen", "frozen_until"]
        end = (first + timedelta(days=day, hours=2)).strftime("%Y-%m-%d %H:%M")
        assert "sale" in part["lines"][0]["text"] and end in part["lines"][1]["text"]
        assert "frozen_order" in [line["code"] for line in why(moved, "d0")["lines"]]
        clock.forward(d, hours=2)
        until("it may go on", lambda: d[0].device.poll() and not d[0].device.held, 10)
        until("the next one is planned", lambda: not listed(moved)["holds"] and listed(moved)["planned"])
    d[1].asks()
    ok(moved.api.delete(f"{API}/freezes/sale"))
    assert listed(moved)["span"] is None and not listed(moved)["planned"]


def test_each_begin_and_end_is_told_once(moved, clock):
    """Also those that fell into an outage, in their order, and none twice after a restart."""
    every, first = daily(clock, 3600, 7200)
    freeze(moved, every=every)
    clock.forward(seconds=(first - clock.now()).total_seconds() + 2)
    until("its begin is told", lambda: told(moved) == [("freeze.began", utc(first))], 10)
    moved.api.stop()
    moved.api.start(env=clock.env)
    moved.api.stop()
    clock.forward(days=2)
    moved.api.start(env=clock.env)
    days = [utc(first + timedelta(days=i)) for i in range(3)]
    whole = [(kind, day) for day in days for kind in ("freeze.began", "freeze.ended")][:-1]
    until("all are told", lambda: told(moved) == whole, 10)
    moved.api.stop()
    moved.api.start(env=clock.env)
    ok(moved.api.delete(f"{API}/freezes/sale"))
    clock.forward(days=2)
    assert moved.api.get(f"{API}/freezes").status == 200
    assert told(moved) == whole


def test_a_freeze_that_recurs_has_a_begin_and_an_end(moved, clock):
    """It holds nothing before its start, and a rule that would go on does not after its end."""
    every, first = daily(clock, 3600, 7200)
    bounds = {"from": utc(first + timedelta(days=1)), "until": utc(first + timedelta(days=1, hours=1))}
    shown = freeze(moved, every=every, **bounds)["freeze"]
    assert shown["span"]["from"][:16] == bounds["from"][:16] and shown["span"]["until"][:16] == bounds["until"][:16]
    clock.forward(seconds=(first - clock.now()).total_seconds() + 60)
    assert not listed(moved)["holds"]
    clock.forward(days=1)
    assert listed(moved)["holds"]
    clock.forward(hours=1)
    until("it is over", lambda: listed(moved)["span"] is None)


def test_changing_a_freeze_that_holds(moved, clock):
    """With the same rules it goes on as it is; with others what holds ends, and nothing is told twice."""
    every, first = daily(clock, 3600, 7200)
    freeze(moved, every=every)
    clock.forward(seconds=(first - clock.now()).total_seconds() + 2)
    until("its begin is told", lambda: len(told(moved)) == 1, 10)
    span = listed(moved)["span"]
    again = freeze(moved, every=every, why="as it says")
    assert again["changed"] and again["freeze"]["span"] == span
    later, begins = daily(clock, 6 * 3600, 60)
    other = freeze(moved, every=later)["freeze"]
    assert not other["holds"] and other["span"]["from"][:16] == utc(begins)[:16]
    assert told(moved) == [("freeze.began", utc(first))]


def test_recurring_freezes_follow_the_clock_of_their_zone(moved, clock):
    """A rule of Berlin's evening is one hour earlier in UTC in summer than in winter."""
    begins = set()
    for name, season in (("winter", "1"), ("summer", "7")):
        shown = freeze(moved, name=name, every=[{"rrule": f"FREQ=YEARLY;BYMONTH={season};BYMONTHDAY=10;BYHOUR=18;BYMINUTE=0",
                                                 "duration_s": 3600}], zone="Europe/Berlin")["freeze"]
        begins.add((name, shown["span"]["from"][11:16]))
    assert begins == {("winter", "17:00"), ("summer", "16:00")}


def test_the_way_back_is_frozen_too(story):
    """A rollback waits as well."""
    d = story.devices(1, app="1.0.0")
    story.rollout("r", "next")
    d[0].asks()
    d[0].confirms()
    story.wait("r", "completed")
    freeze(story)
    story.verb("r", "rollback")
    until("it is turned round", lambda: why(story, "d0")["lines"][0]["code"] == "frozen")
    assert story.idle(d)
    ok(story.api.delete(f"{API}/freezes/sale"))
    story.work(d, "r", "rolled_back")


def test_what_has_held_keeps_its_selector(story):
    """Another selector would let clocks that stood still count after all; one that has not begun may have it."""
    later = {"from": "2098-01-01T00:00:00Z"}
    freeze(story, selector="id==d0", **later)
    freeze(story, selector="id==d1", **later)
    freeze(story, selector="id==d1")
    refused = story.api.put(f"{API}/freezes/sale", {"selector": "id==d2"})
    assert refused.status == 409 and "of another name" in refused.json()["detail"]
    ok(story.api.delete(f"{API}/freezes/sale"))
    assert story.api.put(f"{API}/freezes/sale", {"selector": "id==d2"}).status == 409
    assert freeze(story, selector="id==d1")["changed"]


def test_refusals(story):
    """Wrong selectors, times and names; unknown ones; who may."""
    for body in ({"selector": "id=="}, {"until": "2020-01-01T00:00:00Z"}, {"until": "soon"}, {"x": 1},
                 {"from": "soon"}, {"from": "2020-01-01T00:00:00Z"},
                 {"from": "2098-01-01T00:00:00Z", "until": "2098-01-01T00:00:00Z"}, {"zone": "UTC"},
                 {"every": []}, {"every": [{"cron": "0 0 * *", "duration_s": 1}]}, {"every": [{"cron": "0 0 * * *"}]},
                 {"every": [{"cron": "0 0 30 2 *", "duration_s": 60}]},
                 {"every": [{"cron": "0 0 * * *", "duration_s": 60}], "zone": "Europe/Nowhere"}):
        assert story.api.put(f"{API}/freezes/f", body).status == 400, body
    assert story.api.delete(f"{API}/freezes/none").status == 404
    few = story.api.make_token("few", ["operator"], selector="label.x==1")
    assert few.put(f"{API}/freezes/f", {}).status == 403
    assert story.api.make_token("v", ["viewer"]).put(f"{API}/freezes/f", {}).status == 403
