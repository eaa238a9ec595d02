# SPDX-License-Identifier: Apache-2.0
"""A blocked version: what brings it stops at once, who runs it is told, nothing delivers it until it is
unblocked, and the way back from it stays open."""
import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"
HALF = {"success": {"percent": 50, "minimum": 1}, "error": {"percent": 100}}


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0", "3.0.0")
    story.module("lib", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    story.release("other", lib="2.0.0")
    return story


def block(story, version="2.0.0", blocked=True, **more):
    return ok(story.api.post(f"{API}/modules/app/versions/{version}/block", {"blocked": blocked, **more}))


def kinds(story):
    return [e["kind"] for e in ok(story.api.get(f"{API}/events?limit=1000"))["items"]]


def test_what_brings_it_is_paused(story):
    """The rollout pauses with the reason; one that brings something else goes on; who runs it is listed."""
    d = story.devices(3, app="1.0.0")
    lib = story.devices(1, prefix="l", lib="1.0.0")
    story.rollout("r", "next", gate=HALF)
    story.rollout("s", "other")
    for x in d[:2]:
        x.asks()
    d[0].confirms()
    until("it has it", lambda: story.stats("r")["total"]["confirmed"] == 1)
    told = block(story, why="it leaks")
    assert told["changed"] and told["paused"] == ["r"] and told["may_still_switch"] == 1
    assert told["runs_on"] == {"devices": 1, "whole": True, "first": ["d0"], "q": "installed.app=='2.0.0'"}
    found = ok(story.api.get(f"{API}/devices?q={told['runs_on']['q']}"))["items"]
    assert [x["id"] for x in found] == ["d0"]
    r = story.get("r")
    assert r["state"] == "paused" and r["reason"] == "app 2.0.0 is blocked: it leaks"
    assert story.get("s")["state"] == "running"
    assert story.idle([d[2]])
    lib[0].asks()
    again = block(story, why="it leaks")
    assert not again["changed"] and again["paused"] == []
    assert kinds(story).count("version.blocked") == 1
    answer = story.api.post(f"{API}/rollouts/r/resume", {})
    assert answer.status == 422 and "app 2.0.0, which is blocked: it leaks" in answer.json()["detail"]


def test_unblocked_it_goes_on(story):
    """After the block is lifted the rollout may be resumed, and who waited is offered it."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next")
    d[0].asks()
    block(story)
    told = block(story, blocked=False)
    assert told["changed"] and told["paused"] == [] and told["version"]["blocked"] is None
    assert story.get("r")["state"] == "paused"
    story.verb("r", "resume")
    d[1].asks()
    for x in d:
        x.confirms()
    story.wait("r", "completed")
    story.verify()


def test_it_is_not_started(story):
    """A rollout that was planned before the block does not start."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next", start=False)
    assert block(story)["paused"] == []
    answer = story.api.post(f"{API}/rollouts/r/start", {})
    assert answer.status == 422 and "blocked" in answer.json()["detail"]
    assert story.get("r")["state"] == "ready"
    block(story, blocked=False)
    story.verb("r", "start")


def test_left_overs_do_not_get_it(story):
    """A completed rollout has standing orders for silent devices: they wait while the version is blocked."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next", gate=HALF, reach_s=1)
    d[0].asks()
    d[0].confirms()
    story.wait("r", "completed")
    assert block(story)["paused"] == []
    assert story.idle([d[1]])
    part = ok(story.api.get(f"{API}/devices/d1/explain?rollout=r"))["rollouts"][0]
    assert part["lines"][0]["code"] == "brings_blocked" and not part["would_be_offered"]
    block(story, blocked=False)
    d[1].asks()
    d[1].confirms()
    story.ends("r", d[1], 0, "confirmed")


def test_the_way_back_is_open(story):
    """A rollout that brings a blocked version can be rolled back, and a rollback is not paused."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next")
    for x in d:
        x.asks()
        x.confirms()
    story.wait("r", "completed")
    story.verb("r", "rollback")
    assert block(story)["paused"] == []
    story.work(d, "r", "rolled_back")
    assert {x.installed["app"] for x in d} == {"1.0.0"}


def test_a_paused_rollout_rolls_back(story):
    """From the pause that the block made, rollback is the way out."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next")
    d[0].asks()
    d[0].confirms()
    until("it has it", lambda: story.stats("r")["total"]["confirmed"] == 1)
    block(story)
    story.verb("r", "rollback")
    story.work(d, "r", "rolled_back")
    assert d[0].installed["app"] == "1.0.0"


def test_those_that_wait_are_named(story):
    """Rollouts that bring it and are not under way are told: they can be neither started nor resumed."""
    story.devices(2, app="1.0.0")
    story.rollout("planned", "next", start=False)
    story.rollout("r", "next")
    story.verb("r", "pause")
    told = block(story)
    assert (told["paused"], told["waiting"]) == ([], ["planned", "r"])


def test_a_limited_token(story):
    """Who sees a part of the fleet is told about that part only."""
    story.devices(1, app="2.0.0")
    few = story.api.make_token("few", ["operator"], selector="label.x==1")
    told = ok(few.post(f"{API}/modules/app/versions/2.0.0/block", {"blocked": True}))
    assert told["runs_on"]["devices"] == 0


# ---- every verb twice

def twice(story, verb, **arguments):
    """Say a verb twice: the second time nothing changes, and both say how many may still switch."""
    first = story.verb("r", verb, **arguments)
    again = story.verb("r", verb, **arguments)
    assert first["changed"] and not again["changed"], (first, again)
    assert first["did"] and again["did"] and isinstance(again["may_still_switch"], int)
    return first, again


def verbs_told(story):
    return [e["data"]["verb"] for e in ok(story.api.get(f"{API}/events?limit=1000"))["items"]
            if e["kind"] == "rollout.verb"]


def test_every_verb_twice(story):
    """start, pause, resume, retry, promote, stop, rollback: saying one again changes nothing and is no event."""
    d = story.devices(3, app="1.0.0")
    story.rollout("r", "next", start=False, gate={"success": {"percent": 100}, "error": {"percent": 30}})
    twice(story, "start")
    d[0].asks()
    first, again = twice(story, "pause", why="a look")
    assert first["may_still_switch"] == again["may_still_switch"] == 1 and first["until"] is None
    first, again = twice(story, "resume")
    assert first["may_still_switch"] == 1 and first["until"] == again["until"] is not None
    d[0].fails()
    story.wait("r", "paused")
    first, again = twice(story, "retry")
    assert first["may_still_switch"] == 0 and first["until"] is None
    d[0].asks()
    first, again = twice(story, "promote", stage="L0.W0")
    assert again["may_still_switch"] == 1
    first, again = twice(story, "stop")
    assert first["may_still_switch"] == 1 and first["until"] is not None
    d[0].confirms()
    story.wait("r", "stopped")
    first, again = twice(story, "rollback")
    story.work(d, "r", "rolled_back")
    assert not story.verb("r", "rollback")["changed"]
    assert verbs_told(story) == ["start", "pause", "resume", "retry", "promote", "stop", "rollback"]


def test_approve_and_deny_twice(story):
    """The same approver again is counted once; a denied plan stays denied."""
    story.devices(1, app="1.0.0")
    boss = story.api.make_token("boss", ["approver"])
    ok(story.create("r", "next", approvals=2))
    story.wait("r", "waiting_approval")
    digest = {"plan_digest": story.get("r")["plan_digest"]}
    ok(boss.post(f"{API}/rollouts/r/approve", digest))
    ok(boss.post(f"{API}/rollouts/r/approve", digest))
    assert story.get("r")["state"] == "waiting_approval"
    ok(boss.post(f"{API}/rollouts/r/deny", {"why": "no"}))
    ok(boss.post(f"{API}/rollouts/r/deny", {"why": "no"}))
    assert story.get("r")["state"] == "denied"
    assert kinds(story).count("rollout.approved") == 1 and kinds(story).count("rollout.denied") == 1


def test_other_verbs_twice(story):
    """block, unblock, retire, revoke, creating a webhook or a token of the same name: once is enough."""
    story.devices(1, app="1.0.0")
    for blocked in (True, False):
        assert block(story, blocked=blocked)["changed"] and not block(story, blocked=blocked)["changed"]
    for _ in range(2):
        assert story.api.delete(f"{API}/devices/d0").status == 204
        assert story.api.put(f"{API}/webhooks/w", {"url": "https://example.invalid/"}).status in (200, 201)
    token = ok(story.api.post(f"{API}/tokens", {"name": "x", "roles": ["viewer"]}))["id"]
    for _ in range(2):
        assert story.api.delete(f"{API}/tokens/{token}").status == 204
    told = kinds(story)
    for kind in ("version.blocked", "version.unblocked", "device.retired", "webhook.created", "token.revoked"):
        assert told.count(kind) == 1, kind
