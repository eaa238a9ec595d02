# SPDX-License-Identifier: Apache-2.0
"""Gates over the API: what is demanded, verdicts from outside, decisions with their numbers."""
import hashlib

import pytest

from strict_device import enrol_token, enrolled
from waiting import until, until_figures


@pytest.fixture(name="server")
def fixture_server(fleetd):
    """A server with version 1.0.0 of a module and a release of it."""
    digest = hashlib.sha256(b"app").hexdigest()
    assert fleetd.put("/api/v1/modules/app", {"kind": "file"}).status == 201
    assert fleetd.put(f"/api/v1/artifacts/{digest}", data=b"app").status in (200, 201)
    variants = {"variants": [{"sha256": digest}]}
    assert fleetd.put("/api/v1/modules/app/versions/1.0.0", variants).status == 201
    entries = [{"module": "app", "version": "1.0.0", "action": "install"}]
    assert fleetd.put("/api/v1/releases/r", {"entries": entries}).status == 201
    return fleetd


def spec(gate, waves=None, **more):
    strategy = {"waves": waves or [{"percent": 100}], "gate": gate, "probation_s": 0, **more}
    return {"release": "r", "selector": "", "strategy": strategy, "start": "auto"}


def wait_state(server, name, state):
    return until_figures(server, name, lambda stats: stats["state"] == state)


def carry_out(device, state="confirmed", **more):
    """Take the device's order and end it."""
    order = device.open_manifest(until("a manifest comes", device.poll))
    installed = [{"module": "app", "version": "1.0.0"}] if state == "confirmed" else None
    device.report(state, order, **({"installed": installed} if installed else {}), **more)


def states(server):
    """The states of the devices' steps."""
    return {row["device"]: row["state"] for row in server.get("/api/v1/rollouts/x/steps?limit=1000").json()["items"]}


def verdict(server, word, stage="L0.W0", **more):
    return server.post("/api/v1/rollouts/x/verdict", {"stage": stage, "verdict": word, **more})


def decisions(server):
    return server.get("/api/v1/rollouts/x/decisions").json()["items"]


def test_a_gate_that_cannot_be_fed_is_refused(server):
    """A wave of one device cannot feed a test that needs 55; the plan says so and has no way to start."""
    enrolled(server, "dev", enrol_token(server), installed=[])
    plan = server.post("/api/v1/plans", {**spec({"sprt": {}}), "start": None}).json()
    (refusal,) = plan["refusals"]
    assert "needs 55 outcomes, but wave 0 has 1 device" in refusal["reason"]
    plan = server.post("/api/v1/plans", {**spec({"sprt": {}, "carry": True}), "start": None}).json()
    assert "needs 55 outcomes, but all its waves have 1" in plan["refusals"][0]["reason"]


def test_a_verdict_lets_a_stage_pass(server):
    """The thresholds hold but the gate waits for CI; its word completes the rollout, and the decision is
    kept with the vote of each kind."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    assert server.put("/api/v1/rollouts/x", spec({"external": {"within_s": 600}})).status == 201
    wait_state(server, "x", "running")
    carry_out(device)
    stats = until_figures(server, "x", lambda s: s["stages"][0]["steps"].get("confirmed") == 1)
    assert stats["state"] == "running"
    assert stats["stages"][0]["gate"]["text"] == "waits for a verdict, at most 600 s"
    assert verdict(server, "perhaps").status == 400
    assert verdict(server, "pass", stage="L3.W0").status == 409
    answer = verdict(server, "pass", why="p99 as before", reporter="ci")
    assert answer.status == 200 and answer.json()["changed"], answer
    wait_state(server, "x", "completed")
    (decision,) = decisions(server)
    assert (decision["stage"], decision["state"]) == ("L0.W0", "succeeded")
    votes = {v["kind"]: v for v in decision["numbers"]["votes"]}
    assert set(votes) == {"success", "error", "external"}
    assert votes["external"]["text"] == "the verdict is pass: ci: p99 as before"
    assert decision["numbers"]["successes"] == 1
    events = server.get("/api/v1/events?limit=1000").json()["items"]
    (event,) = [e for e in events if e["kind"] == "gate.decided"]
    assert event["data"]["numbers"] == decision["numbers"]


def test_a_bad_verdict_fails_a_stage(server):
    """Monitoring says fail before any device has ended: the rollout pauses with its words. Afterwards
    the gate takes no further verdict."""
    enrolled(server, "dev", enrol_token(server), installed=[])
    assert server.put("/api/v1/rollouts/x", spec({"external": {}})).status == 201
    wait_state(server, "x", "running")
    assert verdict(server, "fail", why="alarms").status == 200
    stats = wait_state(server, "x", "paused")
    assert "the verdict is fail: admin: alarms" in stats["reason"]
    assert stats["stages"][0]["state"] == "failed"
    assert verdict(server, "fail", why="alarms").json()["changed"] is False
    assert verdict(server, "pass").status == 409


def test_no_verdict_in_time_is_inconclusive(server):
    """Nobody speaks within the time given: the rollout pauses and says so; a person can promote it."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    assert server.put("/api/v1/rollouts/x", spec({"external": {"within_s": 1}})).status == 201
    carry_out(device)
    stats = wait_state(server, "x", "paused")
    assert "inconclusive: none came within 1 s" in stats["reason"]
    assert stats["stages"][0]["state"] == "inconclusive"
    assert server.post("/api/v1/rollouts/x/promote", {}).status == 200
    wait_state(server, "x", "completed")
    assert [d["state"] for d in decisions(server)] == ["inconclusive", "succeeded"]


def test_a_manual_gate_waits_for_promote(server):
    """Everything is confirmed and still the stage waits for a person."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    assert server.put("/api/v1/rollouts/x", spec({"manual": True})).status == 201
    carry_out(device)
    stats = until_figures(server, "x", lambda s: s["stages"] and s["stages"][0]["steps"].get("confirmed") == 1)
    assert stats["stages"][0]["gate"]["text"] == "waits for a person to promote it"
    assert verdict(server, "pass").status == 409
    assert server.post("/api/v1/rollouts/x/promote", {"stage": "L0.W0"}).status == 200
    wait_state(server, "x", "completed")


def test_evidence_goes_from_wave_to_wave(server):
    """Three waves of one device feed a test that needs three; before that each wave ends undecided."""
    token = enrol_token(server)
    devices = [enrolled(server, f"dev{i}", token, installed=[]) for i in range(3)]
    gate = {"sprt": {"p0_percent": 1, "p1_percent": 60, "alpha": 0.3, "beta": 0.06}, "carry": True}
    waves = [{"count": 1}, {"count": 1}, {"count": 1}]
    assert server.put("/api/v1/rollouts/x", spec(gate, waves, seed=7)).status == 201
    wait_state(server, "x", "running")
    left = set(devices)

    def all_done():
        for device in list(left):
            envelope = device.poll()
            if envelope is not None:
                order = device.open_manifest(envelope)
                device.report("confirmed", order, installed=[{"module": "app", "version": "1.0.0"}])
                left.remove(device)
        return not left

    until("every wave has had its device", all_done)
    wait_state(server, "x", "completed")
    got = decisions(server)
    assert [d["numbers"]["carried_successes"] for d in got] == [0, 1, 2]
    assert "the next wave adds to that" in got[0]["text"]
    vote = got[2]["numbers"]["votes"][0]
    assert vote["decided_after"] == 3 and vote["log_likelihood_ratio"] <= vote["accepts_at"]


def test_gates_outlive_a_restart(server):
    """Verdict, deadline and tally are on disk: after a kill the stage waits for the rest alone."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    assert server.put("/api/v1/rollouts/x", spec({"external": {"within_s": 600}})).status == 201
    wait_state(server, "x", "running")
    assert verdict(server, "pass", why="green").status == 200
    server.kill()
    server.start()
    gate = server.get("/api/v1/rollouts/x/stats").json()["stages"][0]["gate"]
    assert (gate["verdict"], gate["said"]) == ("pass", "admin: green")
    carry_out(device)
    wait_state(server, "x", "completed")


def test_a_bad_revision_is_held_alone(server):
    """Failures concentrated in one hardware revision: its devices are offered nothing more, the others go
    on; a person releases it."""
    token = enrol_token(server)
    fleet = {f"{hw}-{i}": enrolled(server, f"{hw}-{i}", token, installed=[], attributes={"hw": hw})
             for hw in ("old", "new") for i in range(16 if hw == "old" else 9)}
    gate = {"strata": {"by": ["attribute.hw"], "alpha": 0.3}, "success": {"percent": 10, "minimum": 25},
            "error": {"percent": 100}}
    assert server.put("/api/v1/rollouts/x", spec(gate)).status == 201
    wait_state(server, "x", "running")
    for i in range(16):
        carry_out(fleet[f"old-{i}"])
    for i in range(8):
        carry_out(fleet[f"new-{i}"], "failed", cause="release")
        strata = {s["stratum"]: s for s in server.get("/api/v1/rollouts/x/strata").json()["items"]}
        if strata["attribute.hw==new"]["state"] == "held":
            break
    assert strata["attribute.hw==new"]["state"] == "held", strata
    assert strata["attribute.hw==old"] == {**strata["attribute.hw==old"], "state": "open", "successes": 16, "failures": 0}
    assert "failed there" in strata["attribute.hw==new"]["why"]
    waiting = [f"new-{i}" for i in range(9) if states(server)[f"new-{i}"] in ("queued", "held")]
    until("those who wait are held", lambda: {states(server)[one] for one in waiting} == {"held"})
    assert fleet["new-8"].poll() is None and "new-8" in waiting
    told = server.get("/api/v1/devices/new-8/explain?rollout=x").json()["rollouts"][0]
    assert told["step"] == "held" and told["lines"][0]["code"] == "stratum_held"
    kinds = [e["kind"] for e in server.get("/api/v1/events?limit=1000").json()["items"]]
    assert kinds.count("stratum.held") == 1
    assert server.post("/api/v1/rollouts/x/release", {"stratum": "hw"}).status == 400
    released = server.post("/api/v1/rollouts/x/release", {"stratum": "attribute.hw==new"})
    assert released.json() == {"changed": True}, released
    assert server.post("/api/v1/rollouts/x/release", {"stratum": "attribute.hw==new"}).json() == {"changed": False}
    told = [e for e in server.get("/api/v1/events?limit=1000").json()["items"] if e["kind"] == "stratum.released"]
    assert [(e["subject"], e["actor"]) for e in told] == [("x", "admin")]
    until("they wait again", lambda: "held" not in states(server).values())
    carry_out(fleet["new-8"])
