# SPDX-License-Identifier: Apache-2.0
"""Channels: devices are brought up to the release, completed rollouts move it, too many failures halt it."""
import pytest
from story import Story
from waiting import ok, until

API = "/api/v1"
FAST = {"waves": [{"percent": 100}], "gate": {"success": {"percent": 50}}, "probation_s": 0}


@pytest.fixture
def story(new_fleetd):
    """A server whose channels look ten times a second; the module app with three versions."""
    s = Story(new_fleetd().start(channel_interval="100ms"))
    s.module("app", "1.0.0", "2.0.0", "3.0.0")
    for n in (1, 2, 3):
        s.release(f"r{n}", app=f"{n}.0.0")
    return s


def channel(story, name="stable", **body):
    answer = story.api.put(f"{API}/channels/{name}", body)
    assert answer.status in (200, 201), answer
    return answer.json()


def show(story, name="stable"):
    return ok(story.api.get(f"{API}/channels/{name}"))


def kinds(story, subject):
    events = ok(story.api.get(f"{API}/events?limit=1000"))["items"]
    return [e["kind"] for e in events if e["subject"] == subject]


def brought(fleet):
    """Each of the fleet takes what it is offered and confirms."""
    for actor in fleet:
        actor.asks()
        actor.confirms()


def have(story, fleet, version):
    for actor in fleet:
        got = ok(story.api.get(f"{API}/devices/{actor.id}"))["installed"]
        assert got == [{"module": "app", "version": version}], got


def test_devices_are_brought_up(story):
    """A device with another version gets the channel's by a rollout of the channel's own; then nothing more."""
    fleet = story.devices(3, app="1.0.0")
    made = channel(story, selector="id==d*", release="r2")
    assert (made["state"], made["release"], made["looked_at"]) == ("on", "r2", None)
    brought(fleet)
    have(story, fleet, "2.0.0")
    until("nothing is left to do", lambda: (show(story)["devices"] or {}).get("noop") == 3)
    names = [r["name"] for r in ok(story.api.get(f"{API}/rollouts"))["items"]]
    assert all(n.startswith("channel-stable-") for n in names) and 1 <= len(names) <= 3
    first = story.get("channel-stable-1")
    assert (first["channel"], first["brings"], first["created_by"]) == ("stable", True, "fleetd")
    # A factory-new one comes later; one with a newer version stays as it is.
    late = story.device("d-late", app="1.0.0")
    newer = story.device("d-newer", app="3.0.0")
    brought([late])
    until("the newer one is seen", lambda: show(story)["devices"]["incompatible"] == 1)
    assert not newer.poll()
    assert kinds(story, "stable") == ["channel.created"]


def test_a_completed_rollout_moves_it(story):
    """A rollout for a channel is for its devices; completed it moves the channel, taken back it moves it back."""
    fleet = story.devices(2, app="2.0.0")
    other = story.device("x1", app="1.0.0")
    channel(story, selector="id==d*", release="r2")
    answer = story.api.put(f"{API}/rollouts/up", {"release": "r3", "channel": "stable", "strategy": FAST})
    assert answer.status == 201 and answer.json()["selector"] == "id==d*", answer
    refused = story.api.put(f"{API}/rollouts/no", {"release": "r3", "channel": "stable", "selector": "id==x*"})
    assert refused.status == 400
    story.wait("up", "ready")
    story.verb("up", "start")
    brought(fleet)
    story.wait("up", "completed")
    assert show(story)["release"] == "r3"
    assert not other.poll()
    story.verb("up", "rollback")
    assert show(story)["release"] == "r2"
    brought(fleet)
    story.wait("up", "rolled_back")
    until("the channel has looked", lambda: (show(story)["devices"] or {}).get("noop") == 2)
    assert not any(actor.poll() for actor in fleet)
    moves = [e["data"] for e in ok(story.api.get(f"{API}/events?kind=channel.moved"))["items"]]
    assert [(m["release"], m["back"]) for m in moves] == [("r3", False), ("r2", True)]


def test_devices_of_a_rollout_are_left_to_it(story):
    """While a rollout holds devices their channel does not touch them."""
    fleet = story.devices(2, app="1.0.0")
    story.rollout("own", "r3", **FAST)
    story.wait("own", "running")
    channel(story, selector="id==d*", release="r2")
    until("they are held", lambda: (show(story)["devices"] or {}).get("held") == 2)
    assert show(story)["rollouts"] == 0
    brought(fleet)
    story.wait("own", "completed")


def test_too_many_failures_halt_it(story):
    """More failures than the threshold allows halt the channel; a person forgives and it goes on."""
    fleet = story.devices(4, app="1.0.0")
    channel(story, selector="id==d*", release="r2", error={"percent": 20, "minimum": 2}, retries=0)
    for actor in fleet[:2]:
        actor.asks()
        actor.fails()
    got = until("it halts", lambda: (c := show(story))["state"] == "halted" and c)
    assert "%" in got["reason"]
    assert "channel.halted" in kinds(story, "stable")
    for r in ok(story.api.get(f"{API}/rollouts"))["items"]:
        until("its rollouts end", lambda r=r: story.get(r["name"])["state"] in ("stopped", "stopping", "completed"))
    resumed = story.api.post(f"{API}/channels/stable/resume")
    assert resumed.json()["state"] == "on"
    brought(fleet)
    have(story, fleet, "2.0.0")


def test_a_device_that_fails_is_given_up(story):
    """A device that failed oftener than it may is left alone; the others go on."""
    bad, good = story.devices(2, app="1.0.0")
    channel(story, selector="id==d*", release="r2", error={"percent": 90, "minimum": 100}, retries=1)
    brought([good])
    for _ in range(2):
        bad.asks()
        bad.fails()
    until("it is given up", lambda: (show(story)["devices"] or {}).get("given_up") == 1)
    assert show(story)["state"] == "on" and not bad.poll()


def test_one_channel_per_device(story):
    """Channels that share a device are refused; a device that comes to match two is brought up by none."""
    fleet = story.devices(2, app="1.0.0")
    channel(story, selector="label.ring==a", release="r2")
    channel(story, "beta", selector="label.ring==b;label.site==x", release="r3")
    assert story.api.patch(f"{API}/devices/d0", {"labels": {"ring": "a"}}).status == 200
    refused = story.api.put(f"{API}/channels/all", {"selector": ""})
    assert refused.status == 409 and "d0" in refused.json()["detail"] and "stable" in refused.json()["detail"]
    brought(fleet[:1])
    assert story.api.put(f"{API}/channels/gamma", {"selector": "label.ring==c", "release": "r3"}).status == 201
    assert story.api.put(f"{API}/channels/delta", {"selector": "label.site==y", "release": "r2"}).status == 201
    assert story.api.patch(f"{API}/devices/d1", {"labels": {"ring": "c", "site": "y"}}).status == 200
    fleet[1].poll()
    for name in ("gamma", "delta"):
        until("it is ambiguous", lambda name=name: (show(story, name)["devices"] or {}).get("ambiguous") == 1)
    assert not fleet[1].poll()


def test_changes_and_two_operators(story):
    """PUT changes all but the release; If-Match refuses who comes late; pause and delete do what they say."""
    channel(story, selector="id==none", release="r1", retries=7)
    answer = story.api.get(f"{API}/channels/stable")
    tag = answer.headers["ETag"]
    assert answer.json()["retries"] == 7
    first = story.api.put(f"{API}/channels/stable", {"selector": "id==none", "max_in_flight": 5}, headers={"If-Match": tag})
    assert first.status == 200 and first.json()["release"] == "r1" and first.json()["retries"] == 2
    late = story.api.put(f"{API}/channels/stable", {"selector": "id==x"}, headers={"If-Match": tag})
    assert late.status == 412
    assert story.api.post(f"{API}/channels/stable/pause").json()["state"] == "paused"
    assert story.api.post(f"{API}/channels/stable/pause").json()["state"] == "paused"
    assert story.api.post(f"{API}/channels/stable/fly").status == 404
    for bad in ({"release": "nothing"}, {"selector": "id=="}, {"error": {"percent": 100}}, {"max_in_flight": 0},
                {"colour": "red"}):
        assert story.api.put(f"{API}/channels/stable", bad).status in (400, 422), bad
    assert story.api.delete(f"{API}/channels/stable").status == 204
    assert story.api.get(f"{API}/channels/stable").status == 404
    assert kinds(story, "stable")[-3:] == ["channel.changed", "channel.changed", "channel.deleted"] or set(
        kinds(story, "stable")) == {"channel.created", "channel.changed", "channel.deleted"}


def test_it_survives_kills(story):
    """A channel goes on after a kill, wherever it came."""
    fleet = story.devices(2, app="1.0.0")
    channel(story, selector="id==d*", release="r2")
    for _ in range(2):
        until("it makes a rollout", lambda: show(story)["rollouts"] >= 1)
        story.api.kill()
        story.api.start()
    for actor in fleet:
        actor.device.session()
    brought(fleet)
    have(story, fleet, "2.0.0")
    story.verify()


def test_where_plans_need_approval(new_fleetd):
    """Where the server demands approvals a channel's release is not set by hand."""
    s = Story(new_fleetd().start(approvals=1))
    s.module("app", "1.0.0")
    s.release("r1", app="1.0.0")
    refused = s.api.put(f"{API}/channels/stable", {"selector": "id==none", "release": "r1"})
    assert refused.status == 422 and "approvals" in refused.json()["detail"]
    assert s.api.put(f"{API}/channels/stable", {"selector": "id==none"}).status == 201


def test_where_plans_need_approval_a_selector_stays(new_fleetd):
    """A wider selector would bring the release to devices that nobody approved it for."""
    s = Story(new_fleetd().start())
    s.module("app", "1.0.0")
    s.release("r1", app="1.0.0")
    canary = {"selector": "id==canary", "release": "r1"}
    assert s.api.put(f"{API}/channels/stable", canary).status == 201
    s.api.stop()
    s.api.start(approvals=1)
    refused = s.api.put(f"{API}/channels/stable", {"selector": "id==*"})
    assert refused.status == 422 and "move it with a rollout" in refused.json()["detail"], refused
    assert s.api.put(f"{API}/channels/stable", {**canary, "max_in_flight": 3}).status == 200
    assert s.api.delete(f"{API}/channels/stable").status == 204
    assert s.api.put(f"{API}/channels/stable", {"selector": "id==*"}).status == 201
