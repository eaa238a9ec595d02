# SPDX-License-Identifier: Apache-2.0
"""What an operator says twice, too early, or with a slip of the pen."""
import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"
WAVES = [{"count": 1}, {"count": 1}, {"percent": 100}]


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def fail_first_wave(story, fleet, name="r"):
    """Whoever is offered the release fails, until the rollout is paused."""
    def offered():
        for one in fleet:
            if one.order is None and one.poll():
                one.fails()
        return story.get(name)["state"] == "paused"

    until("the first wave has failed", offered)


def states(story, name="r"):
    return [s["state"] for s in story.stats(name)["stages"]]


def test_promote_twice_passes_one_gate(story):
    """Without a stage it is the one whose gate waits for a person; again, it does not pass the next one."""
    fleet = story.devices(3, app="1.0.0")
    story.rollout("r", "next", waves=WAVES)
    assert not story.verb("r", "promote")["changed"]
    fail_first_wave(story, fleet)
    assert story.verb("r", "promote")["did"] == "L0.W0 counts as succeeded"
    story.wait_stage("r", 0, 1, "running")
    again = story.verb("r", "promote")
    assert not again["changed"] and "no gate waits for a person" in again["did"]
    assert states(story) == ["succeeded", "running", "pending"]


def test_promote_finds_the_manual_gate_when_its_devices_have_confirmed(story):
    """A manual gate waits for a person when everything else holds, not before."""
    fleet = story.devices(2, app="1.0.0")
    story.rollout("r", "next", waves=[{"count": 1}, {"percent": 100}], gate={"manual": True, "success": {}})
    assert not story.verb("r", "promote")["changed"]
    until("the first wave has confirmed", lambda: any(one.poll() for one in fleet))
    next(one for one in fleet if one.order).confirms()
    until("its gate counts it", lambda: story.stage("r", 0, 0)["gate"]["successes"] == 1)
    assert story.verb("r", "promote")["changed"]
    assert states(story) == ["succeeded", "running"]


def test_promote_with_two_gates_that_wait_asks_which(story):
    """Two manual gates wait at once: nobody guesses which one was meant."""
    story.module("top", "1.0.0", "2.0.0", requires={"app": "*"})
    story.release("both", app="2.0.0", top="2.0.0")
    fleet = story.devices(2, app="1.0.0", top="1.0.0")
    story.rollout("r", "both", waves=[{"count": 1}, {"percent": 100}], order="pipelined",
                  gate={"manual": True, "success": {}})

    def waits(*stages):
        for one in fleet:
            if one.order is not None or one.poll():
                one.confirms()
        return all(story.stage("r", *s)["gate"]["successes"] == 1 for s in stages)

    until("the first gate waits", lambda: waits((0, 0)))
    assert story.verb("r", "promote")["did"] == "L0.W0 counts as succeeded"
    until("two gates wait", lambda: waits((1, 0), (0, 1)))
    assert "name the stage" in story.refused("r", "promote")
    assert story.verb("r", "promote", stage="L0.W1")["changed"]
    assert story.verb("r", "promote")["did"] == "L1.W0 counts as succeeded"


@pytest.mark.parametrize("stage", ["L0.W-5", "L0.W0x", "L+0.W0", "L00.W0", "L0", "", "L0.W99999", " L0.W0"])
def test_a_stage_that_is_misspelt_is_refused(story, stage):
    """No gate is passed by something that is no stage."""
    fleet = story.devices(3, app="1.0.0")
    story.rollout("r", "next", waves=WAVES)
    fail_first_wave(story, fleet)
    answer = story.api.post(f"{API}/rollouts/r/promote", {"stage": stage})
    assert answer.status == 400 and "stage" in answer.json()["detail"], answer
    assert states(story) == ["failed", "pending", "pending"]


def test_stages_and_waves_that_are_not_there(story):
    """A refusal names the rollout and what it does not have."""
    story.devices(3, app="1.0.0")
    story.rollout("r", "next", waves=WAVES)
    assert story.refused("r", "promote", stage="L7.W0") == 'rollout "r": it has no stage L7.W0'
    assert story.refused("r", "rollback", wave=7) == 'rollout "r": it has no wave 7: the last one is 2'
    assert "wave 2 was never opened" in story.refused("r", "rollback", wave=2)


def test_a_wave_is_taken_back_twice(story):
    """The second time says that it is back already."""
    fleet = story.devices(3, app="1.0.0")
    story.rollout("r", "next", waves=WAVES)
    story.work(fleet, "r", "completed")
    told = story.verb("r", "rollback", wave=0)
    assert told["changed"] and told["did"].endswith("the last one first") and told["may_still_switch"] == 1
    assert told["until"] is None, "no device has its order to go back yet"
    story.work(fleet, "r", "stopped")
    again = story.verb("r", "rollback", wave=0)
    assert not again["changed"] and again["did"] == "wave 0 is back already; nothing changed"
    assert story.verb("r", "rollback")["may_still_switch"] == 2


def test_one_stopped_before_its_start_has_nothing_to_take_back(story):
    """A start afterwards is refused without advice that cannot be followed."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next", start=False)
    story.verb("r", "stop")
    assert story.refused("r", "start") == 'rollout "r": it is stopped and cannot start: create another rollout'


def test_stop_with_cancel_twice(story):
    """Devices are called back once; who installs is waited for."""
    fleet = story.devices(1, app="1.0.0")
    story.rollout("r", "next")
    fleet[0].asks()
    fleet[0].says("installing")
    assert story.verb("r", "stop")["changed"]
    assert story.verb("r", "stop", in_flight="cancel")["changed"]
    again = story.verb("r", "stop", in_flight="cancel")
    assert not again["changed"] and again["may_still_switch"] == 1


def test_a_start_with_another_plan_is_refused_in_every_state(story):
    """A digest that is not the plan's is refused also when the rollout runs already."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next", start=False)
    digest = story.get("r")["plan_digest"]
    wrong = {"plan_digest": digest[:-1] + ("0" if digest[-1] != "0" else "1")}
    assert story.api.post(f"{API}/rollouts/r/start", wrong).status == 412
    assert story.verb("r", "start", plan_digest=digest)["changed"]
    assert story.api.post(f"{API}/rollouts/r/start", wrong).status == 412
    assert not story.verb("r", "start", plan_digest=digest)["changed"]


def test_start_of_a_paused_rollout_says_what_to_do(story):
    """It does not go on by that, and says so."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next")
    story.verb("r", "pause")
    told = story.verb("r", "start")
    assert not told["changed"] and "resume" in told["did"] and story.get("r")["state"] == "paused"


def test_a_refusal_says_what_to_do(story):
    """It names the rollout, its state, and the way out."""
    story.devices(1, app="1.0.0")
    ok(story.create("r", "next", approvals=1))
    story.wait("r", "waiting_approval")
    assert story.refused("r", "start") == (
        'rollout "r": it is waiting for approval and cannot start: its plan must be approved first')
    assert "nothing that could be taken back" in story.refused("r", "rollback")
    story.verb("r", "stop")
    assert "create another rollout" in story.refused("r", "start")


def test_a_selector_that_cannot_be_read_is_refused_at_once(story):
    """The rollout is not made; the answer names the wave and the place."""
    for strategy, where in (({"waves": [{"selector": "id=="}, {"percent": 100}]}, "waves[0]: selector: RSQL column 5"),
                            ({"early": "id=="}, "early: RSQL column 5")):
        answer = story.create("r", "next", **strategy)
        assert answer.status == 400 and where in answer.json()["detail"], answer
    assert story.api.get(f"{API}/rollouts/r").status == 404


def test_none_is_no_cause_to_retry(story):
    """Nothing fails for no cause."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next")
    assert story.api.post(f"{API}/rollouts/r/retry", {"causes": ["none"]}).status == 400


@pytest.fixture(name="layers")
def fixture_layers(story):
    """app 2 needs lib 2: two layers."""
    story.module("lib", "1.0.0", "2.0.0")
    story.module("top", "1.0.0", "2.0.0", requires={"lib": "*"})
    story.release("both", lib="2.0.0", top="2.0.0")
    return story


def test_promote_of_a_layer_does_not_pass_the_next(layers):
    """The layer above waits for the devices that are under way below; it has not had nothing to do."""
    fleet = layers.devices(4, lib="1.0.0", top="1.0.0")
    layers.rollout("r", "both", waves=[{"count": 2}, {"percent": 100}])
    layers.verb("r", "promote", stage="L0.W0")
    layers.wait_stage("r", 1, 0, "running")
    until("its gate was judged", lambda: layers.stage("r", 1, 0)["gate"]["text"])
    assert layers.stage("r", 1, 0)["gate"]["text"] == "0 confirmed and 0 failed so far, 2 still open"
    assert states(layers) == ["succeeded", "running", "pending", "pending"]
    layers.work(fleet, "r", "completed")
    assert layers.stage("r", 1, 0)["gate"]["successes"] == 2
    layers.verify()


def test_a_layer_that_nobody_reaches_is_inconclusive(layers):
    """All devices fail below and a person passes that: the layer above has no evidence and says so."""
    fleet = layers.devices(4, lib="1.0.0", top="1.0.0")
    layers.rollout("r", "both", waves=[{"count": 2}, {"percent": 100}])
    fail_first_wave(layers, fleet)
    layers.verb("r", "promote")
    until("the other one fails too", lambda: any(one.order or one.poll() for one in fleet) and
          layers.get("r")["state"] == "running")
    next(one for one in fleet if one.order).fails()
    layers.wait("r", "paused")
    assert layers.get("r")["reason"] == (
        "the gate of L1.W0 is inconclusive: no more can come: nobody confirmed or failed, 2 without an outcome")
    assert states(layers) == ["succeeded", "inconclusive", "pending", "pending"]


def test_a_layer_waits_for_devices_that_are_still_below(layers):
    """The layer below passes early; one refuses above, and the gate waits for the others to come up."""
    fleet = layers.devices(4, lib="1.0.0", top="1.0.0")
    layers.rollout("r", "both", gate={"success": {"percent": 50, "minimum": 2}, "error": {"percent": 50}})
    for one in fleet:
        one.asks()
    for one in fleet[:2]:
        one.confirms()
    layers.wait_stage("r", 1, 0, "running")
    fleet[0].asks()
    fleet[0].fails("rejected", cause="device")
    fleet[1].asks()
    fleet[1].confirms()
    until("both are counted", lambda: layers.stage("r", 1, 0)["steps"] == {"rejected": 1, "confirmed": 1})
    assert layers.get("r")["state"] == "running"
    fleet[2].confirms()
    fleet[2].asks()
    fleet[2].confirms()
    layers.wait_stage("r", 1, 0, "succeeded")
