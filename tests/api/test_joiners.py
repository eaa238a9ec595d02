# SPDX-License-Identifier: Apache-2.0
"""New devices join the last wave of a rollout that allows it, as long as it has not been opened."""
import pytest
from story import Story
from waiting import ok, until

WAVES = [{"count": 1}, {"percent": 100}]


@pytest.fixture
def story(new_fleetd):
    s = Story(new_fleetd().start(channel_interval="100ms"))
    s.module("lib", "1.0.0", "2.0.0")
    s.module("app", "1.0.0", "2.0.0", requires={"lib": ">=1"})
    s.release("r2", app="2.0.0", lib="2.0.0")
    return s


def joined(story, name):
    return story.get(name)["joined"]


def test_new_devices_join_the_last_wave(story):
    """A new device that goes the way of one in the plan joins; it is brought up with the last wave, and no other."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("up", "r2", "id==d*", waves=WAVES, joiners="last_wave")
    digest = story.get("up")["plan_digest"]
    plan = ok(story.api.get("/api/v1/rollouts/up/plan"))
    new = story.device("d-new", app="1.0.0", lib="1.0.0")
    odd = story.device("d-odd", app="1.0.0", lib="1.5.0")   # no class of the plan starts so
    other = story.device("x-other", app="1.0.0", lib="1.0.0")  # not selected
    until("it has joined", lambda: joined(story, "up") == 1)
    got = story.get("up")
    assert (got["plan_digest"], got["targets"]) == (digest, 4)
    assert ok(story.api.get("/api/v1/rollouts/up/plan")) == plan
    events = [e for e in ok(story.api.get("/api/v1/events?limit=1000"))["items"] if e["kind"] == "rollout.joined"]
    assert [(e["subject"], e["data"]) for e in events] == [("up", {"devices": 1, "wave": 1})]
    # A restart forgets nothing, and it does not join twice.
    story.api.kill()
    story.api.start()
    for one in (*fleet, new, odd, other):
        one.device.session()
    story.work([*fleet, new, odd, other], "up", "completed")
    assert {key[0]: state for key, state in story.steps("up").items()} == {
        "d0": "confirmed", "d1": "confirmed", "d2": "confirmed", "d-new": "confirmed"}
    assert odd.installed == {"app": "1.0.0", "lib": "1.5.0"} and other.installed["app"] == "1.0.0"
    assert joined(story, "up") == 1
    story.verify()


def test_more_join_than_one_round_takes(story):
    """A thousand join in a round, the others in the next: nobody is forgotten, nobody joins twice."""
    story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("up", "r2", "id==d*", start=False, waves=WAVES, joiners="last_wave")
    story.verb("up", "start")
    installed = '[{"module":"app","version":"1.0.0"},{"module":"lib","version":"1.0.0"}]'
    lines = "".join(f'{{"id":"d-{i}","installed":{installed}}}\n' for i in range(1100))
    ok(story.api.post("/api/v1/devices", data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}))
    until("all have joined", lambda: joined(story, "up") == 1100)
    assert story.get("up")["targets"] == 1102


def test_no_more_join_than_the_strategy_allows(story):
    """The plan that is approved says how many may join at the most."""
    story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("up", "r2", "id==d*", waves=WAVES, joiners="last_wave", max_joiners=2)
    story.device("d-a", app="1.0.0", lib="1.0.0")
    until("one has joined", lambda: joined(story, "up") == 1)
    installed = '[{"module":"app","version":"1.0.0"},{"module":"lib","version":"1.0.0"}]'
    lines = "".join(f'{{"id":"d-{i}","installed":{installed}}}\n' for i in range(5))
    ok(story.api.post("/api/v1/devices", data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}))
    until("another has joined", lambda: joined(story, "up") == 2)
    # The rollouts are looked at in their order: once somebody has joined the second, the first was looked at.
    story.devices(2, prefix="e", app="1.0.0", lib="1.0.0")
    story.rollout("after", "r2", "id==e*", waves=WAVES, joiners="last_wave")
    lines = "".join(f'{{"id":"{name}","installed":{installed}}}\n' for name in ("d-late", "e-late"))
    ok(story.api.post("/api/v1/devices", data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}))
    until("the second has been looked at", lambda: joined(story, "after") == 1)
    assert joined(story, "up") == 2 and story.get("up")["targets"] == 4


def test_nobody_joins_a_wave_that_is_open(story):
    """Once the last wave has been opened, and without the strategy's word, new devices stay outside."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("open", "r2", "id==d*", waves=[{"percent": 100}], joiners="last_wave")
    story.wait("open", "running")
    new = story.device("d-new", app="1.0.0", lib="1.0.0")
    story.work(fleet, "open", "completed")
    assert joined(story, "open") == 0 and not new.poll()
    story.rollout("closed", "r2", "id==e*", waves=[{"percent": 100}])
    refused = story.create("bad", "r2", waves=[{"selector": "id==d*"}], joiners="last_wave")
    assert refused.status == 400 and "takes the rest" in refused.json()["detail"]
