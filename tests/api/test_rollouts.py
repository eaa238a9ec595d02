# SPDX-License-Identifier: Apache-2.0
"""Stories of rollouts: what the operator does, what the devices say, where it ends."""
import pytest

from story import Story
from waiting import ok, until


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("lib", "1.0.0", "1.1.0", "1.2.0")
    story.module("app", "1.0.0", "2.0.0", "2.1.0", requires={"lib": "^1.0"})
    story.release("next", app="2.0.0")
    story.release("both", app="2.0.0", lib="1.1.0")
    return story


ONE_IS_ENOUGH = {"success": {"percent": 50, "minimum": 1}, "error": {"percent": 100}}


# ---- the end


def test_a_rollout_is_completed_when_its_last_devices_have_ended(story):
    """A last gate that passes early leaves the rollout running until everybody has confirmed."""
    fleet = story.devices(4, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    for one in fleet[:3]:
        one.asks()
    fleet[0].confirms()
    story.wait_stage("r", 0, 0, "succeeded")
    assert story.get("r")["state"] == "running"
    for one in fleet[1:]:
        one.asks()
        assert story.get("r")["state"] == "running"
        one.confirms()
    story.wait("r", "completed")
    total = story.stats("r")["total"]
    assert total["confirmed"] == total["targets"] == 4
    story.verify()


def test_unreached_devices_do_not_keep_a_rollout_open(story):
    """A silent device is neutral: the rollout completes without it, and it is offered its order when
    it comes back."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH, reach_s=2)
    for one in fleet[:2]:
        one.asks()
        one.confirms()
    story.wait("r", "completed")
    assert story.steps("r")[("d2", 0)] == "unreached"
    fleet[2].asks()
    fleet[2].confirms()
    story.ends("r", fleet[2], 0, "confirmed")
    assert story.get("r")["state"] == "completed"
    assert story.stats("r")["total"]["confirmed"] == 3


def test_a_retry_after_the_end_runs_again(story):
    """Devices that have failed try again although the rollout is completed; it runs until they end."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].confirms()
    fleet[1].asks()
    fleet[1].fails()
    story.wait("r", "completed")
    assert story.verb("r", "retry")["changed"]
    story.wait("r", "running")
    fleet[1].asks()
    fleet[1].confirms()
    story.wait("r", "completed")
    assert story.stats("r")["total"]["failed"] == 0
    assert story.verb("r", "retry")["changed"] is False


def test_a_refused_order_is_neutral(story):
    """A device that refuses its order is neither success nor failure, and a retry asks it again."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].fails("rejected", cause="device")
    fleet[1].asks()
    fleet[1].confirms()
    story.wait("r", "completed")
    total = story.stats("r")["total"]
    assert (total["confirmed"], total["failed"], total["failure"]) == (1, 0, 0)
    story.verb("r", "retry")
    fleet[0].asks()
    fleet[0].confirms()
    story.ends("r", fleet[0], 0, "confirmed")


# ---- one running rollout per device and module


def test_two_planned_rollouts_never_both_have_a_device(story):
    """Of two rollouts that were planned before either ran, the one that started first has the device;
    in the other it is ineligible, in every layer."""
    fleet = story.devices(3, app="1.0.0", lib="1.0.0")
    story.release("other", app="2.1.0")
    story.rollout("first", "both", start=False, gate=ONE_IS_ENOUGH)
    story.rollout("second", "other", start=False, gate=ONE_IS_ENOUGH)
    story.verb("first", "start")
    fleet[0].asks()
    story.verb("second", "start")
    story.wait("second", "paused")
    assert set(story.steps("second").values()) == {"ineligible"}
    fleet[0].confirms()
    story.work(fleet, "first", "completed")
    assert {one.installed["app"] for one in fleet} == {"2.0.0"}
    story.verify()


def test_a_retry_does_not_take_a_device_from_a_newer_rollout(story):
    """A device that failed here and is under way in another rollout now stays failed."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("old", "next", gate=ONE_IS_ENOUGH)
    fleet[0].asks()
    fleet[0].confirms()
    fleet[1].asks()
    fleet[1].fails()
    story.wait("old", "completed")
    story.release("fix", app="2.1.0")
    story.rollout("new", "fix", "id==d1")
    fleet[1].asks()
    story.verb("old", "retry")
    story.wait("old", "completed")
    assert story.steps("old")[("d1", 0)] == "failed"
    fleet[1].confirms()
    story.wait("new", "completed")


# ---- gateways


@pytest.fixture(name="line")
def fixture_line(story):
    """A gateway with two devices behind it: app 1 needs hub 1, app 2 takes hub 1 and 2."""
    story.module("hub", "1.0.0", "2.0.0", tier="gateway")
    story.module("meter", "1.0.0", requires={"hub": "^1.0"})
    story.module("meter", "2.0.0", requires={"hub": ">=1.0 <3"})
    story.module("meter", "3.0.0", requires={"hub": "^2.0"})
    story.gateway = story.device("gw", tier="gateway", hub="1.0.0")
    story.behind = [story.device(f"m{i}", gateway="gw", meter="1.0.0") for i in range(2)]
    return story


def test_a_gateway_waits_for_the_devices_behind_it(line):
    """A gateway's step in a later layer is not offered while a device behind it, that failed, still
    needs what the gateway has; after a retry it is."""
    line.release("up", meter="2.0.0", hub="2.0.0")
    line.rollout("r", "up", gate=ONE_IS_ENOUGH)
    for one in line.behind:
        one.asks()
    line.behind[0].confirms()
    line.behind[1].fails("rolled_back")
    line.wait_stage("r", 1, 0, "running")
    until("the gateway has its step", lambda: line.steps("r").get(("gw", 1)) == "queued")
    for _ in range(5):
        assert not line.gateway.poll()
    line.verb("r", "retry")
    line.behind[1].asks()
    line.behind[1].confirms()
    line.gateway.asks()
    line.gateway.confirms()
    line.wait("r", "completed")
    line.verify()


def test_devices_wait_for_their_gateway(line):
    """Devices whose gateway failed in a lower layer are not offered what needs it; others are."""
    line.release("middle", meter="2.0.0")
    line.rollout("first", "middle")
    line.work(line.behind, "first", "completed")
    other = line.device("gw2", tier="gateway", hub="1.0.0")
    leaf = line.device("leaf", gateway="gw2", meter="2.0.0")
    line.release("up", meter="3.0.0", hub="2.0.0")
    line.rollout("r", "up", gate=ONE_IS_ENOUGH)
    line.gateway.asks()
    line.gateway.fails("rolled_back")
    other.asks()
    other.confirms()
    leaf.asks()
    assert line.idle(line.behind)
    leaf.confirms()
    assert line.idle(line.behind)
    line.verb("r", "retry")
    line.gateway.asks()
    line.gateway.confirms()
    line.work(line.behind, "r", "completed")
    assert {one.installed["meter"] for one in line.behind} == {"3.0.0"}


@pytest.mark.parametrize("first", ["gateway", "devices"])
def test_devices_lost_with_their_gateway_count_once(line, first):
    """Whoever was told first: the gateway and the devices behind it are one failure for the gate, and each
    a failure in the figures; those that are lost under a gateway that is well count each."""
    others = [line.device(f"o{i}", app="1.0.0", lib="1.0.0") for i in range(4)]
    line.module("agent", "1.0.0", "2.0.0", tier="gateway")
    ok(line.api.put("/api/v1/releases/all", {"entries": [
        {"module": "app", "version": "2.0.0"}, {"module": "meter", "version": "2.0.0"},
        {"module": "hub", "version": "1.0.0", "action": "install"},
        {"module": "agent", "version": "1.0.0", "action": "install"}]}))
    ok(line.create("r", "all", "id!=none", install_s=2, conflicts="leave_out",
                   gate={"success": {"percent": 60, "minimum": 0}, "error": {"percent": 40, "minimum": 5}}))
    line.wait("r", "ready")
    line.verb("r", "start")
    lost = [line.gateway, *line.behind]
    for one in lost if first == "gateway" else reversed(lost):
        one.asks()
    for one in others:
        one.asks()
        one.confirms()
    line.wait("r", "completed")
    total = line.stats("r")["total"]
    assert (total["confirmed"], total["timed_out"]) == (4, 3)
    gate = line.stage("r", 0, 0)["gate"]
    assert (gate["successes"], gate["failures"]) == (4, 1)


# ---- orders


def states(story, name):
    """The stages' states as rows of layers: {(layer, wave): state}."""
    return {(s["layer"], s["wave"]): s["state"] for s in story.stats(name)["stages"]}


def opened(story, name):
    return {cell for cell, state in states(story, name).items() if state != "pending"}


@pytest.mark.parametrize("order", ["layer_first", "pipelined", "wave_first"])
def test_stages_open_in_the_order_of_the_strategy(story, order):
    """Each stage opens when those that its order needs have succeeded, not before and not after."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "both", order=order, waves=[{"count": 1}, {"percent": 100}])
    then = {
        "wave_first": [{(0, 0)}, {(0, 0), (1, 0)}, {(0, 0), (1, 0), (0, 1)}],
        "layer_first": [{(0, 0)}, {(0, 0), (0, 1)}, {(0, 0), (0, 1), (1, 0)}],
        "pipelined": [{(0, 0)}, {(0, 0), (0, 1), (1, 0)}, {(0, 0), (0, 1), (1, 0)}],
    }[order]
    for cells in then:
        until(f"{cells} are open", lambda: opened(story, "r") == cells)
        ready = [one for one in fleet if one.poll()]
        until("somebody is offered something", lambda: ready or any(one.poll() for one in fleet))
        (ready or [one for one in fleet if one.order])[0].confirms()
    story.work(fleet, "r", "completed")
    assert {tuple(sorted(one.installed.items())) for one in fleet} == {(("app", "2.0.0"), ("lib", "1.1.0"))}


@pytest.mark.parametrize("order", ["layer_first", "pipelined"])
def test_every_order_goes_back(story, order):
    """A rollback takes the upper layer of each wave back first, whatever the order was."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "both", order=order, waves=[{"count": 1}, {"percent": 100}])
    until("three stages are open", lambda: [o.confirms() for o in fleet if o.order or o.poll()]
          is None or len(opened(story, "r")) >= 3)
    story.verb("r", "rollback")
    story.work(fleet, "r", "rolled_back")
    assert {tuple(sorted(one.installed.items())) for one in fleet} == {(("app", "1.0.0"), ("lib", "1.0.0"))}
    story.verify()


# ---- rates


def offered(fleet):
    for one in fleet:
        one.poll()
    return [one for one in fleet if one.order]


def test_no_more_than_so_many_a_minute(story):
    """In one minute only so many devices are offered their order, however many ask."""
    fleet = story.devices(5, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", pace={"max_per_minute": 3})
    until("three are offered it", lambda: len(offered(fleet)) == 3)
    for one in offered(fleet):
        one.confirms()
    assert not offered(fleet)
    assert list(story.steps("r").values()).count("queued") == 2


def test_a_ramp_rises_with_successes(story):
    """The base rate holds until enough devices have succeeded, then more are offered it."""
    fleet = story.devices(6, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", pace={"ramp": {"base_per_minute": 2, "increment_factor": 2, "succeeded": 2}})
    until("two are offered it", lambda: len(offered(fleet)) == 2)
    first = offered(fleet)
    first[0].confirms()
    assert len(offered(fleet)) == 1
    first[1].confirms()
    until("the rate has doubled", lambda: len(offered(fleet)) == 2)


def test_devices_of_a_group_are_not_all_away_at_once(story):
    """At most so many devices behind one gateway, or with one value of a label, are under way."""
    story.device("gw", tier="gateway")
    behind = [story.device(f"b{i}", gateway="gw", app="1.0.0", lib="1.0.0") for i in range(3)]
    story.rollout("g", "next", "gateway==gw", pace={"max_unavailable": {"by": "gateway", "devices": 1}})
    until("one is offered it", lambda: len(offered(behind)) == 1)
    story.work(behind, "g", "completed")
    fleet = story.devices(4, app="1.0.0", lib="1.0.0")
    for one, site in zip(fleet, ("x", "x", "x", "y")):
        assert story.api.patch(f"/api/v1/devices/{one.id}", {"labels": {"site": site}}).status == 200
    story.rollout("l", "next", "id=in=(d0,d1,d2,d3)",
                  pace={"max_unavailable": {"by": "label.site", "devices": 2}})
    until("two of x and one of y", lambda: len(offered(fleet)) == 3)
    assert fleet[3].order
    story.work(fleet, "l", "completed")


def explained(story, device):
    """What explain says of the device in rollout r: {code: text}."""
    part = ok(story.api.get(f"/api/v1/devices/{device.id}/explain?rollout=r"))["rollouts"][0]
    return {line["code"]: line["text"] for line in part["lines"]}


def test_failures_are_tried_again_by_kind(story):
    """A failure of a kind with a rule is offered again after its back-off and does not count; when the
    attempts are used up, and for other kinds, it does."""
    fleet = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=ONE_IS_ENOUGH, retries=[
        {"type": "failed", "causes": ["network"], "attempts": 3, "backoff_s": 1, "factor": 1}])
    for attempt in range(1, 3):
        fleet[0].asks()
        fleet[0].says("failed", cause="network", detail="no route")
        fleet[0].order = None
        assert story.steps("r")[("d0", 0)] == "queued"
        assert not fleet[0].poll()
        told = explained(story, fleet[0])
        assert told["backoff"].startswith(f"attempt {attempt} failed; attempt {attempt + 1} comes in")
        assert told["device_says"] == "the device says: no route"
    fleet[0].asks()
    assert explained(story, fleet[0])["attempt"] == "it is its attempt 3: those before failed"
    fleet[0].fails(cause="network")
    assert story.stats("r")["total"]["retried"] == 2
    story.ends("r", fleet[0], 0, "failed")
    fleet[1].asks()
    fleet[1].fails(cause="release")
    story.ends("r", fleet[1], 0, "failed")


# ---- the way back


def test_a_rollback_begins_with_a_first_slice_and_stops_when_it_fails(story):
    """Only the first slice goes back until half of it is back; too many failures pause the rollback, and
    a resume looks past them."""
    fleet = story.devices(6, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", rollback={"first": 2, "error_percent": 40})
    story.work(fleet, "r", "completed")
    story.verb("r", "rollback")
    until("two go back first", lambda: len(offered(fleet)) == 2)
    assert len(offered(fleet)) == 2
    first = offered(fleet)
    first[0].fails("rollback_failed")
    assert "fail on their way back" in story.wait("r", "paused")["reason"]
    first[1].confirms()
    story.verb("r", "resume")
    story.work(fleet, "r", "rolled_back")
    assert list(story.steps("r").values()).count("rollback_failed") == 1
    story.verify()
