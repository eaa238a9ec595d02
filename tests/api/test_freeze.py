# SPDX-License-Identifier: Apache-2.0
"""Freezes: nothing is delivered to the devices of a selector until a time, or until it is lifted."""
import time

import pytest

from story import Story, ok, until

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


def test_a_freeze_ends_at_its_time(story):
    """Nobody has to lift it."""
    d = story.devices(1, app="1.0.0")
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6))
    freeze(story, until=at)
    story.rollout("r", "next")
    assert story.idle(d)
    d[0].asks()
    assert until("it has ended", lambda: not ok(story.api.get(f"{API}/freezes"))["items"][0]["holds"])


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
    for body in ({"selector": "id=="}, {"until": "2020-01-01T00:00:00Z"}, {"until": "soon"}, {"x": 1}):
        assert story.api.put(f"{API}/freezes/f", body).status == 400, body
    assert story.api.delete(f"{API}/freezes/none").status == 404
    few = story.api.make_token("few", ["operator"], selector="label.x==1")
    assert few.put(f"{API}/freezes/f", {}).status == 403
    assert story.api.make_token("v", ["viewer"]).put(f"{API}/freezes/f", {}).status == 403
