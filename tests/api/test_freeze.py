# SPDX-License-Identifier: Apache-2.0
"""Freezes: nothing is delivered to the devices of a selector until a time, or until it is lifted."""
import time

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


def test_refusals(story):
    """Wrong selectors, times and names; unknown ones; who may."""
    for body in ({"selector": "id=="}, {"until": "2020-01-01T00:00:00Z"}, {"until": "soon"}, {"x": 1},
                 {"from": "soon"}, {"from": "2020-01-01T00:00:00Z"},
                 {"from": "2098-01-01T00:00:00Z", "until": "2098-01-01T00:00:00Z"}):
        assert story.api.put(f"{API}/freezes/f", body).status == 400, body
    assert story.api.delete(f"{API}/freezes/none").status == 404
    few = story.api.make_token("few", ["operator"], selector="label.x==1")
    assert few.put(f"{API}/freezes/f", {}).status == 403
    assert story.api.make_token("v", ["viewer"]).put(f"{API}/freezes/f", {}).status == 403
