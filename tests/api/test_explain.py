# SPDX-License-Identifier: Apache-2.0
"""Explanations tell the truth: in every state of a rollout, what they say would happen is what then
happens, and the words name the reason and the numbers."""
import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"
HALF = {"success": {"percent": 50, "minimum": 1}, "error": {"percent": 100}}
STRICT = {"success": {"percent": 100}, "error": {"percent": 10}}
PASSING = {"planning", "starting", "stage_opening", "turning_round", "being_told",
           "retrying"}  # will be over before one can look again


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("lib", "1.0.0", "1.1.0")
    story.module("app", "1.0.0", "2.0.0", "2.1.0", requires={"lib": "^1.0"})
    story.release("next", app="2.0.0")
    story.release("later", app="2.1.0")
    story.release("both", app="2.0.0", lib="1.1.0")
    return story


def why(story, device, rollout="r"):
    """The explanation of a device's part in a rollout."""
    told = ok(story.api.get(f"{API}/devices/{device.id}/explain?rollout={rollout}"))
    [part] = told["rollouts"]
    part["codes"] = [line["code"] for line in part["lines"]]
    assert part["summary"] == (part["lines"][0]["text"] if part["lines"] else "")
    assert not any("{" in line["text"] for line in part["lines"])
    return part


def stage(story, layer, wave, rollout="r"):
    told = ok(story.api.get(f"{API}/rollouts/{rollout}/stages/{layer}/{wave}/explain"))
    told["codes"] = [line["code"] for line in told["lines"]]
    return told


def settled(story, device, rollout="r"):
    """The explanation once nothing passing is said."""

    def look():
        told = why(story, device, rollout)
        return None if PASSING & set(told["codes"]) else told

    return until("nothing is under way inside", look)


def polls_as_told(story, device, rollout="r"):
    """The device asks; it is offered exactly what the explanation said before. The explanation."""
    told = settled(story, device, rollout)
    assert device.order is None
    assert device.poll() == told["would_be_offered"], told
    return told


def test_a_rollout_from_its_plan_to_its_end(story):
    """Planned, started, offered, under way, done; a second wave waits for the first and is named so."""
    d = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", start=False, waves=[{"count": 1}, {"percent": 100}])
    assert why(story, d[0])["codes"] == ["not_started"] and not why(story, d[0])["would_be_offered"]
    assert stage(story, 0, 0)["codes"] == ["stage_not_started"]
    assert stage(story, 0, 0)["summary"] == "the rollout is ready: no stage has been opened"
    story.verb("r", "start")
    first = next(x for x in d if why(story, x)["wave"] == 0)
    others = [x for x in d if x is not first]
    for x in others:
        told = polls_as_told(story, x)
        assert told["codes"] == ["stage_pending", "needed_says"] and not told["would_be_offered"]
        assert told["lines"][0]["needed"] == "L0.W0" and "which is running" in told["summary"]
    assert stage(story, 0, 1)["lines"][0] == {
        "code": "stage_needs", "needed": "L0.W0", "state": "running",
        "text": "it opens after L0.W0, which is running"}
    told = polls_as_told(story, first)
    assert told["codes"][0] in ("offered_next", "offered_when_back") and told["would_be_offered"]
    told = why(story, first)
    assert told["codes"] == ["has_order", "must_end"] and told["lines"][0]["state"] == "offered"
    s = stage(story, 0, 0)
    assert s["lines"][0] | {"text": ""} == {"code": "waits_confirmations", "n": 1, "confirmed": 0, "failed": 0, "text": ""}
    assert s["summary"] == "it waits for 1 confirmation, if nothing fails: 0 confirmed so far, 0 failed"
    first.says("downloading")
    assert "downloading" in why(story, first)["summary"]
    first.confirms()
    story.wait_stage("r", 0, 0, "succeeded")
    assert why(story, first)["codes"] == ["done"]
    assert stage(story, 0, 0)["codes"] == ["stage_succeeded"]
    for x in others:
        assert polls_as_told(story, x)["would_be_offered"]
        x.confirms()
    story.wait("r", "completed")
    assert {why(story, x)["codes"][0] for x in d} == {"done"}
    assert not polls_as_told(story, first)["would_be_offered"]


def test_layers(story):
    """A step of an upper layer waits for the one below; a failure below is named."""
    d = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "both", gate=HALF)
    stages = story.stats("r")["stages"]
    if max(s["layer"] for s in stages) == 0:
        pytest.skip("this release has one layer only")
    for x in d:
        assert polls_as_told(story, x)["stage"] == "L0.W0"
    d[0].fails()
    told = why(story, d[0])
    assert told["codes"] == ["step_failed", "can_retry"] and told["stage"] == "L0.W0"
    assert told["lines"][0]["cause"] == "release" and told["lines"][0]["attempt"] == 1
    d[1].confirms()
    story.wait_stage("r", 0, 0, "succeeded")
    assert polls_as_told(story, d[1])["stage"] == "L1.W0"
    d[1].confirms()
    assert why(story, d[1])["codes"] == ["done"] and why(story, d[1])["lines"][0]["steps"] == 2


def test_slots(story):
    """With one place, the second device waits for the first; the numbers are told."""
    d = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", max_in_flight=1)
    polls_as_told(story, d[0])
    told = polls_as_told(story, d[1])
    assert told["lines"][0] | {"text": ""} == {"code": "slots", "in_flight": 1, "max": 1, "text": ""}
    assert "stage_slots" in stage(story, 0, 0)["codes"]
    d[0].confirms()
    until("the place is free", lambda: settled(story, d[1])["would_be_offered"])
    assert polls_as_told(story, d[1])["would_be_offered"]


def test_pause_and_resume(story):
    """A pause says why and that clocks stand still, for who waits and for who has an order."""
    d = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next")
    polls_as_told(story, d[0])
    story.verb("r", "pause", why="a look at the logs")
    told = polls_as_told(story, d[1])
    assert told["codes"][0] == "paused" and "a look at the logs" in told["summary"]
    assert why(story, d[0])["codes"] == ["has_order", "deadline_stands"]
    assert stage(story, 0, 0)["codes"][0] == "paused"
    story.verb("r", "resume")
    assert polls_as_told(story, d[1])["would_be_offered"]
    assert why(story, d[0])["codes"] == ["has_order", "must_end"]


def test_a_failed_gate(story):
    """Who decides, on what numbers, and that nobody else is offered it."""
    d = story.devices(4, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=STRICT)
    polls_as_told(story, d[0])
    d[0].fails()
    story.wait("r", "paused")
    s = stage(story, 0, 0)
    assert s["codes"] == ["stage_failed", "stage_decide"] and "1 of 1 failed" in s["summary"]
    told = polls_as_told(story, d[1])
    assert told["codes"][0] == "paused" and "failed" in told["summary"]
    assert "can_retry" in why(story, d[0])["codes"]
    story.verb("r", "retry")
    assert polls_as_told(story, d[0])["would_be_offered"]
    assert polls_as_told(story, d[1])["would_be_offered"]
    assert "attempt" not in why(story, d[1])["lines"][0]


def test_soak(story):
    """While success must hold, the time that is left is told; a pause stops it."""
    d = story.devices(1, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", soak_s=3600)
    polls_as_told(story, d[0])
    d[0].confirms()
    story.wait_stage("r", 0, 0, "soaking")
    s = stage(story, 0, 0)
    assert s["codes"][0] == "soak" and 3500 < s["lines"][0]["left_s"] <= 3600 and "UTC" in s["summary"]
    assert "60 min of soak are left" in s["summary"] or "59 min" in s["summary"] or "1 h 0 min" in s["summary"]
    turns = [e["data"] for e in ok(story.api.get(f"{API}/events?kind=stage.state&subject=r"))["items"]]
    assert [t["state"] for t in turns] == ["running", "soaking"] and "confirmed" in turns[1]["text"]
    story.verb("r", "pause")
    assert stage(story, 0, 0)["codes"][:2] == ["paused", "soak_stands"]


def test_what_is_left_until_unreached(story):
    """Who waits is told how long it may."""
    d = story.devices(1, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", reach_s=3600)
    last = settled(story, d[0])["lines"][-1]
    assert last["code"] == "reach_until" and 3500 < last["left_s"] <= 3600


def test_deadlines(story):
    """Timed out after delivery, unreached before it: each with its own words; the latter is still offered."""
    d = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=HALF, reach_s=4, install_s=2)
    d[0].asks()
    d[0].confirms()  # at once: it has two seconds
    d[1].asks()
    story.ends("r", d[1], 0, "timed_out")
    assert why(story, d[1])["codes"][0] == "step_timed_out"
    story.wait("r", "completed")
    told = polls_as_told(story, d[2])
    assert told["would_be_offered"] and "step_unreached" in told["codes"] and told["step"] == "unreached"


def test_refusals_and_words_of_the_device(story):
    """A rejection, and what the device said about it; a wait of its own with its reason."""
    d = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=HALF)
    for x in d:
        polls_as_told(story, x)
    d[0].fails("rejected", cause="device")
    assert why(story, d[0])["codes"][0] == "rejected"
    d[1].says("waiting", detail="battery at 12 %")
    told = why(story, d[1])
    assert told["codes"] == ["has_order", "device_says", "must_end"] and "battery at 12 %" in told["lines"][1]["text"]


def test_stop(story):
    """After a stop who waits is told so, and so is the stage."""
    d = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", waves=[{"count": 2}, {"percent": 100}])
    by_wave = sorted(d, key=lambda x: why(story, x)["wave"])
    polls_as_told(story, by_wave[0])
    story.verb("r", "stop")
    told = polls_as_told(story, by_wave[2])
    assert not told["would_be_offered"] and "stage_skipped" in told["codes"] and told["codes"][0] in ("stopping", "stopped")
    story.ends("r", by_wave[1], 0, "canceled")
    assert why(story, by_wave[1])["codes"] == ["step_canceled"]
    assert why(story, by_wave[0])["codes"] == ["has_order", "must_end"]
    assert stage(story, 0, 0)["codes"] == ["stage_cut_short"] and stage(story, 0, 1)["codes"] == ["stage_was_skipped"]
    gates = [g["gate"]["text"] for g in ok(story.api.get(f"{API}/rollouts/r/stats"))["stages"]]
    assert gates[0] == "not decided: the rollout was stopped (by hand)"
    by_wave[0].confirms()
    story.wait("r", "stopped")
    assert why(story, by_wave[0])["codes"] == ["done"]


def test_rollback(story):
    """The way back: told to go, under way, back; those who never had it; the stage's counts."""
    d = story.devices(3, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", gate=HALF)
    for x in d[:2]:
        polls_as_told(story, x)
        x.confirms()
    until("both have confirmed", lambda: story.stats("r")["total"]["confirmed"] == 2)
    story.verb("r", "rollback", why="it leaks")
    told = polls_as_told(story, d[0])
    assert told["would_be_offered"] and "goes_back" in told["codes"]
    told = why(story, d[0])
    assert told["codes"][0] == "back_order" and "go back from L0.W0" in told["summary"]
    assert stage(story, 0, 0)["lines"][0] | {"text": ""} == {
        "code": "stage_goes_back", "back": 2, "done": 0, "failed": 0, "text": ""}
    d[0].confirms()
    assert why(story, d[0])["codes"] == ["step_rolled_back"]
    story.ends("r", d[2], 0, "canceled")
    assert not polls_as_told(story, d[2])["would_be_offered"]
    assert polls_as_told(story, d[1])["would_be_offered"]
    d[1].says("failed", cause="device")
    d[1].order = None
    assert why(story, d[1])["codes"] == ["step_back_failed"]
    story.wait("r", "rolled_back", "paused", "stopped")


def test_who_is_no_member(story):
    """Not selected, nothing to do, incompatible, held by another, joined late: each with its reason."""
    story.module("needy", "1.0.0", "2.0.0")
    has = story.device("has", app="2.0.0", lib="1.0.0")
    old = story.device("old", app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", selector="id!=nobody")
    late = story.device("late", app="1.0.0", lib="1.0.0")
    assert why(story, has)["codes"] == ["nothing_to_do"] and why(story, has)["member"] == "left_out"
    assert why(story, late)["codes"] == ["joined_late"] and why(story, late)["member"] == "not_in_plan"
    story.device("free", app="1.0.0", lib="1.0.0")
    story.rollout("few", "next", selector="id=in=(old,free)", start=False, conflicts="leave_out")
    told = why(story, old, "few")
    assert told["member"] == "left_out" and told["codes"] == ["held_by_other"] and "rollout r" in told["summary"]
    assert why(story, late, "few")["codes"] == ["not_selected"]
    for x in (has, late):
        assert not polls_as_told(story, x)["would_be_offered"]
    whole = ok(story.api.get(f"{API}/devices/late/explain"))
    assert [p["rollout"] for p in whole["rollouts"]] == ["r"]
    assert whole["summary"] == whole["rollouts"][0]["summary"]


def test_incompatible_devices(story):
    """The plan's own reason is repeated."""
    ok(story.api.put(f"{API}/modules/wasm", {"kind": "wasm"}))
    for version in ("1.0.0", "2.0.0"):
        ok(story.api.put(f"{API}/modules/wasm/versions/{version}",
                         {"variants": [{}], "needs": {} if version == "1.0.0" else {"runtime": ">=3.0"}}))
    story.release("wasm2", wasm="2.0.0")
    bad = story.device("bad", wasm="1.0.0")
    answer = story.create("r", "wasm2", conflicts="leave_out")
    assert answer.status == 201
    story.wait("r", "ready", "failed")
    told = why(story, bad)
    assert told["codes"] == ["incompatible"] and "runtime" in told["summary"], told


def test_approval(story):
    """A plan that waits for approval, and one that was denied."""
    d = story.devices(1, app="1.0.0", lib="1.0.0")
    ok(story.create("r", "next", approvals=1))
    story.wait("r", "waiting_approval")
    assert polls_as_told(story, d[0])["codes"] == ["waits_approval"]
    approver = story.api.make_token("boss", ["approver"])
    denied = approver.post(f"{API}/rollouts/r/deny", {"why": "not on a Friday"})
    assert denied.status == 200, denied
    told = why(story, d[0])
    assert told["codes"] == ["denied"] and "Friday" in told["summary"]


def test_one_order_at_a_time(story):
    """A device that carries out another rollout's order is told which."""
    d = story.devices(1, app="1.0.0", lib="1.0.0")
    story.module("side", "1.0.0", "2.0.0")
    story.release("aside", app="2.0.0")
    story.rollout("r", "next")
    assert polls_as_told(story, d[0])["would_be_offered"]
    whole = ok(story.api.get(f"{API}/devices/d0/explain"))
    assert whole["summary"].startswith("it was offered L0.W0")


def test_the_device_itself(story):
    """Never enrolled, never asked, silent, retired."""
    ok(story.api.post(f"{API}/devices", data=b'{"id":"bulk"}\n'))
    told = ok(story.api.get(f"{API}/devices/bulk/explain"))
    assert [line["code"] for line in told["lines"]] == ["not_enrolled", "never_asked", "no_rollout"]
    assert told["summary"] == "no rollout is about it" and told["rollouts"] == []
    d = story.devices(1, app="1.0.0", lib="1.0.0")
    d[0].poll()
    told = ok(story.api.get(f"{API}/devices/d0/explain"))
    assert [line["code"] for line in told["lines"]] == ["asked", "no_rollout"]
    assert told["lines"][0]["interval_s"] == 60
    story.rollout("r", "next")
    story.api.delete(f"{API}/devices/d0")
    told = ok(story.api.get(f"{API}/devices/d0/explain"))
    assert told["lines"][0]["code"] == "retired" and told["summary"].startswith("it was retired")
    assert why(story, d[0])["codes"] == ["step_removed"]
    assert story.api.get(f"{API}/devices/none/explain").status == 404
    assert story.api.get(f"{API}/devices/d0/explain?rollout=none").status == 404
    for path in ("0/7", "9/0", "x/0", "0/-1"):
        assert story.api.get(f"{API}/rollouts/r/stages/{path}/explain").status == 404, path


def test_scope(story):
    """Who does not see a device does not get its explanation."""
    story.devices(1, app="1.0.0", lib="1.0.0")
    few = story.api.make_token("few", ["viewer"], selector="label.x==1")
    assert few.get(f"{API}/devices/d0/explain").status == 404


def test_after_a_restart(story):
    """Explanations need no memory: the same after a restart."""
    d = story.devices(2, app="1.0.0", lib="1.0.0")
    story.rollout("r", "next", max_in_flight=1)
    polls_as_told(story, d[0])
    assert polls_as_told(story, d[1])["codes"][0] == "slots"
    story.api.stop()
    story.api.start()
    assert why(story, d[0])["codes"] == ["has_order", "must_end"]
    assert settled(story, d[1])["codes"][0] == "slots"
