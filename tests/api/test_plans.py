# SPDX-License-Identifier: Apache-2.0
"""Plans over the API: previews, plans of rollouts, refusals that explain themselves, crashes."""
import hashlib
import json
import threading

import pytest

from strict_device import Device, enrol_token
from waiting import ok, until

API = "/api/v1"


def upload(client, text):
    data = text.encode() * 50
    digest = hashlib.sha256(data).hexdigest()
    answer = client.request("PUT", f"{API}/artifacts/{digest}", data=data,
                            headers={"Content-Type": "application/octet-stream"})
    assert answer.status in (200, 201), answer
    return digest


def module(client, name, **more):
    assert client.put(f"{API}/modules/{name}", {"kind": "wasm", **more}).status in (200, 201)


def publish(client, name, version, variants=None, **more):
    """Publish a version with bytes of its own."""
    if variants is None:
        variants = [{"sha256": upload(client, f"{name}@{version}")}]
    answer = client.put(f"{API}/modules/{name}/versions/{version}", {"variants": variants, **more})
    assert answer.status == 201, answer


def release(client, name, **entries):
    """A release; a version alone means update."""
    lines = [{"module": m, **(v if isinstance(v, dict) else {"version": v})} for m, v in entries.items()]
    assert client.put(f"{API}/releases/{name}", {"entries": lines}).status == 201


def devices(client, lines):
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = client.request("POST", f"{API}/devices", data=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status == 200 and answer.json()["refused"] == 0, answer


def installed(**versions):
    return [{"module": m, "version": v} for m, v in versions.items()]


def fleet(client, n, prefix="d", **more):
    """n devices at version 1.0.0 of everything."""
    devices(client, ({"id": f"{prefix}{i}", "installed": installed(app="1.0.0", lib="1.0.0", runtime="1.0.0"), **more}
                     for i in range(n)))


def wait_state(client, name, *states):
    """Wait until the rollout is in one of these states."""
    def there():
        got = ok(client.get(f"{API}/rollouts/{name}"))
        return got if got["state"] in states else None
    return until(f"{name} is {' or '.join(states)}", there)


def first_steps(client, name, n):
    """The n steps of the rollout's first wave, once they are there."""
    def whole():
        steps = ok(client.get(f"{API}/rollouts/{name}/steps?wave=0&limit=100"))["items"]
        return steps if len(steps) == n else None
    return until(f"{name} has its first {n} steps", whole)


def rollout(client, name, release_name, strategy=None, selector="", **more):
    answer = client.put(f"{API}/rollouts/{name}",
                        {"release": release_name, "selector": selector, "strategy": strategy or {}, **more})
    assert answer.status == 201, answer


@pytest.fixture(scope="module")
def chain(shared_fleetd):
    """runtime <- lib <- app in two versions each, and a release of the second ones."""
    client = shared_fleetd
    for name in ("runtime", "lib", "app"):
        module(client, name)
    publish(client, "runtime", "1.0.0")
    publish(client, "runtime", "2.0.0")
    publish(client, "lib", "1.0.0", requires={"runtime": ">=1"})
    publish(client, "lib", "2.0.0", requires={"runtime": "^2"})
    publish(client, "app", "1.0.0", requires={"lib": ">=1"})
    publish(client, "app", "2.0.0", requires={"lib": "^2"})
    release(client, "spring", runtime="2.0.0", lib="2.0.0", app="2.0.0")
    fleet(client, 60, "one-", labels={"site": "one"}, attributes={"hw": "a"})
    fleet(client, 40, "two-", labels={"site": "two"}, attributes={"hw": "b"})
    return client


def preview(client, **body):
    return client.post(f"{API}/plans", {"release": "spring", **body})


# ---- previews

def test_preview_shows_layers_waves_and_stages(chain):
    """A preview has the layers by depth, waves of exact size and a stage for each cell."""
    answer = preview(chain, strategy={"waves": [{"count": 5, "name": "canary"}, {"percent": 20}, {"percent": 100}]})
    assert answer.status == 200, answer
    plan = answer.json()
    assert [layer["units"] for layer in plan["layers"]] == [[["runtime"]], [["lib"]], [["app"]]]
    assert [(w["name"], w["devices"]) for w in plan["waves"]] == [("canary", 5), ("", 20), ("", 75)]
    assert len(plan["stages"]) == 9
    assert all(s["devices"] == plan["waves"][s["wave"]]["devices"] for s in plan["stages"])
    assert plan["stages"][0]["bytes_full"] == 5 * len("runtime@2.0.0") * 50
    assert plan["stages"][0]["bytes_delta"] is None and plan["stages"][0]["deltas_to_build"] == 1
    assert plan["totals"] == {"devices": 100, "update": 100, "noop": 0, "incompatible": 0, "held": 0}
    assert plan["refusals"] == [] and plan["rollout"] is None
    only = plan["classes"]
    assert len(only) == 1 and only[0]["to"] == [[{"module": m, "version": "2.0.0"}] for m in ("runtime", "lib", "app")]


def test_preview_is_repeatable(chain):
    """The same question gives the same digest; another seed another one."""
    first = preview(chain, strategy={"seed": 1}).json()["digest"]
    assert preview(chain, strategy={"seed": 1}).json()["digest"] == first
    assert preview(chain, strategy={"seed": 2}).json()["digest"] != first


def test_preview_keeps_to_the_selector(chain):
    """Only devices that the selector matches are counted."""
    plan = preview(chain, selector="label.site==one").json()
    assert plan["totals"]["devices"] == 60


def test_preview_keeps_to_the_tokens_selector(chain):
    """A token with a selector plans for what it sees, whatever it asks for."""
    limited = chain.make_token("site-two", ["operator"], selector="label.site==two")
    assert preview(limited).json()["totals"]["devices"] == 40
    assert preview(limited, selector="label.site==one").json()["totals"]["devices"] == 0


def test_preview_takes_selector_waves(chain):
    """A wave by selector has the devices that it names."""
    waves = [{"selector": "label.site==two"}, {"percent": 100}]
    assert [w["devices"] for w in preview(chain, strategy={"waves": waves}).json()["waves"]] == [40, 60]


@pytest.mark.parametrize("body, status, words", [
    ({"release": "nowhere"}, 422, "there is no release"),
    ({"selector": "label.site=="}, 400, "column"),
    ({"strategy": {"waves": [{"percent": 120}]}}, 400, "waves[0]: percent"),
    ({"strategy": {"waves": [{"selector": "nonsense==1"}]}}, 400, "waves[0]: selector"),
    ({"strategy": {"colour": 1}}, 400, "unknown key"),
    ({"selctor": ""}, 400, "selector"),
])
def test_preview_refuses_nonsense(chain, body, status, words):
    """What cannot be planned is refused with a sentence that says why."""
    answer = preview(chain, **body)
    assert answer.status == status, answer
    assert words in answer.json()["detail"]


def test_preview_needs_an_operator(chain):
    """Viewers may not plan."""
    assert preview(chain.make_token("looker", ["viewer"])).status == 403
    assert preview(chain.anonymous()).status == 401


# ---- refusals

def test_conflict_names_the_chain(chain):
    """A conflict is refused with the way that led to it and the number of devices."""
    module(chain, "base")
    publish(chain, "base", "1.0.0", requires={"lib": "<2"})
    devices(chain, [{"id": "odd", "labels": {"site": "odd"},
                     "installed": installed(base="1.0.0", lib="1.0.0", runtime="1.0.0")}])
    plan = preview(chain, selector="label.site==odd").json()
    assert plan["totals"]["incompatible"] == 1
    assert plan["refusals"] == [{
        "reason": "base 1.0.0 needs lib <2, but the release has 2.0.0",
        "chain": ["base 1.0.0 is installed and not in the release", "the release has lib 2.0.0"],
        "devices": 1, "example": "odd"}]
    left_out = preview(chain, selector="label.site==odd", strategy={"conflicts": "leave_out"}).json()
    assert left_out["refusals"] == [] and left_out["classes"][0]["kind"] == "incompatible"
    assert chain.delete(f"{API}/devices/odd").status in (200, 204)


def test_hungry_gate_is_refused(chain):
    """A gate that needs more outcomes than its wave has devices is refused with both numbers."""
    plan = preview(chain, strategy={"waves": [{"count": 5}, {"percent": 100}],
                                    "gate": {"success": {"minimum": 55}}}).json()
    assert "needs 55 outcomes, but wave 0 has 5 devices" in plan["refusals"][0]["reason"]


def test_refused_plan_fails_the_rollout(chain):
    """A rollout whose plan is refused fails with the reason, and the plan can be read."""
    rollout(chain, "hungry", "spring", {"waves": [{"percent": 100}], "gate": {"success": {"minimum": 5000}}})
    got = wait_state(chain, "hungry", "failed")
    assert "needs 5000 outcomes" in got["reason"]
    assert chain.get(f"{API}/rollouts/hungry/plan").json()["refusals"]


def test_variants_and_needs_decide(chain):
    """Devices of which no variant fits, or whose needs are not met, are incompatible with a reason."""
    module(chain, "picky")
    publish(chain, "picky", "1.0.0", needs={"runtime": ">=3"},
            variants=[{"selector": "attribute.hw==a", "sha256": upload(chain, "picky for a")}])
    release(chain, "pickies", picky={"version": "1.0.0", "action": "install"})
    devices(chain, [{"id": f"p{i}", "labels": {"site": "picky"}, "attributes": {"hw": "ab"[i % 2], "runtime": f"{i}.0"}}
                    for i in range(6)])
    plan = chain.post(f"{API}/plans", {"release": "pickies", "selector": "label.site==picky"}).json()
    assert plan["totals"]["update"] == 1 and plan["totals"]["incompatible"] == 5
    assert {c["reason"] for c in plan["classes"] if c["kind"] == "incompatible"} == {
        "picky 1.0.0 has no variant for this kind of device",
        "picky 1.0.0 needs what this kind of device does not have: runtime >=3"}
    for i in range(6):
        assert chain.delete(f"{API}/devices/p{i}").status in (200, 204)


# ---- gateways

def test_gateway_goes_first_with_its_devices(chain):
    """A gateway's module is a layer before what needs it, and its devices are in its wave."""
    module(chain, "bridge", tier="gateway")
    module(chain, "sensor")
    publish(chain, "bridge", "1.0.0")
    publish(chain, "bridge", "2.0.0")
    publish(chain, "sensor", "1.0.0")
    publish(chain, "sensor", "2.0.0", requires={"bridge": "^2"})
    release(chain, "mesh", bridge="2.0.0", sensor="2.0.0")
    lines = [{"id": f"gw{i}", "tier": "gateway", "labels": {"site": "mesh"}, "installed": installed(bridge="1.0.0")}
             for i in range(4)]
    lines += [{"id": f"gw{i}-s{k}", "gateway": f"gw{i}", "labels": {"site": "mesh"},
               "installed": installed(sensor="1.0.0")} for i in range(4) for k in range(3)]
    devices(chain, lines)
    strategy = {"waves": [{"count": 4}, {"percent": 100}]}
    plan = chain.post(f"{API}/plans", {"release": "mesh", "selector": "label.site==mesh", "strategy": strategy}).json()
    assert [layer["units"] for layer in plan["layers"]] == [[["bridge"]], [["sensor"]]]
    assert [(s["wave"], s["layer"], s["devices"]) for s in plan["stages"]] == [
        (0, 0, 1), (0, 1, 3), (1, 0, 3), (1, 1, 9)]
    # Without their gateways the sensors cannot go.
    alone = chain.post(f"{API}/plans", {"release": "mesh", "selector": "installed.sensor==1.0.0"}).json()
    assert alone["totals"] == {"devices": 12, "update": 0, "noop": 0, "incompatible": 12, "held": 0}
    assert "sensor 2.0.0 on the device needs bridge ^2" in alone["refusals"][0]["reason"]


# ---- plans of rollouts

def test_rollout_has_its_plan(chain):
    """A rollout's plan is the preview's, kept under its digest."""
    strategy = {"waves": [{"count": 5}, {"percent": 100}], "seed": 77}
    before = preview(chain, selector="label.site==one", strategy=strategy).json()
    rollout(chain, "r-plan", "spring", strategy, "label.site==one")
    got = wait_state(chain, "r-plan", "ready")
    answer = chain.get(f"{API}/rollouts/r-plan/plan")
    plan = answer.json()
    assert plan["digest"] == got["plan_digest"] == before["digest"]
    assert answer.headers["ETag"] == f'"{plan["digest"]}"'
    assert plan["rollout"] == "r-plan" and plan["created_at"]
    other = ("id", "rollout", "created_at", "forecast", "stages")  # a forecast is of its moment
    assert {k: plan[k] for k in before if k not in other} == {k: before[k] for k in before if k not in other}
    assert [{**s, "forecast": 0} for s in plan["stages"]] == [{**s, "forecast": 0} for s in before["stages"]]
    assert (got["layers"], got["waves"], got["targets"]) == (3, 2, 60)


def test_forecast_of_a_fleet_nobody_has_heard_of(chain):
    """Devices that never asked are told as such, and the stage is expected to last until its deadline."""
    plan = preview(chain, selector="label.site==one", strategy={"waves": [{"percent": 100}], "reach_s": 500, "soak_s": 7,
                                                                "install_s": 50}).json()
    for stage in plan["stages"]:
        forecast = stage["forecast"]
        assert (forecast["never_seen"], forecast["reach_p95_s"]) == (stage["devices"], 500)
        assert forecast["time_max_s"] == 557 and forecast["downtime_s"] is None
    assert plan["forecast"] == {"time_s": sum(s["forecast"]["time_s"] for s in plan["stages"]),
                                "time_max_s": 557 * len(plan["stages"]), "observed": False}


def test_forecast_of_devices_that_have_just_enrolled(chain):
    """Who has enrolled and not polled yet will ask as the server told it to."""
    device = Device(chain, "fresh")
    device.enrol(enrol_token(chain), installed=installed(app="1.0.0", lib="1.0.0", runtime="1.0.0"))
    interval = chain.get(f"{API}/server").json()["poll_interval_s"]
    for stage in preview(chain, selector="id==fresh").json()["stages"]:
        forecast = stage["forecast"]
        assert forecast["never_seen"] == 0 and interval <= forecast["reach_p95_s"] <= 1.2 * interval, forecast
    assert chain.delete(f"{API}/devices/fresh").status in (200, 204)


def test_who_takes_part_is_listed(chain):
    """Before the start one can read who is in which wave, page by page; of a part of the fleet only that part."""
    rollout(chain, "members", "spring", {"waves": [{"count": 5}, {"percent": 100}]}, "label.site==one")
    wait_state(chain, "members", "ready")
    path = f"{API}/plans/members/devices"
    rows, cursor = [], ""
    while cursor is not None:
        page = chain.get(f"{path}?limit=7{cursor}").json()
        assert len(page["items"]) <= 7
        rows += page["items"]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert len({r["device"] for r in rows}) == len(rows) == 60
    assert [r["wave"] for r in rows] == [0] * 5 + [1] * 55
    first = chain.get(f"{path}?wave=0").json()
    assert [r["device"] for r in first["items"]] == [r["device"] for r in rows[:5]] and first["next"] is None
    assert chain.get(f"{path}?wave=7").json()["items"] == []
    one = rows[0]["device"]
    few = chain.make_token("sees-one", ["viewer"], selector=f"id=={one}")
    assert [r["device"] for r in few.get(f"{path}?limit=1000").json()["items"]] == [one]
    assert chain.get(f"{API}/plans/nobody/devices").status == 404
    assert chain.get(f"{path}?cursor=x").status == 400


def test_plans_have_ids_and_are_compared(chain):
    """A plan is found by its id, by the beginning of its digest and by its rollout; two are compared."""
    waves = {"waves": [{"count": 5}, {"percent": 100}], "seed": 77}
    rollout(chain, "d-one", "spring", waves, "label.site==one")
    rollout(chain, "d-two", "spring", {**waves, "seed": 78, "soak_s": 60}, "label.site==one")
    one, two = (wait_state(chain, name, "ready")["plan_digest"] for name in ("d-one", "d-two"))
    plan = chain.get(f"{API}/rollouts/d-one/plan").json()
    assert plan["id"].startswith("plan-")
    for text in (plan["id"], one, one[:12], "d-one"):
        found = chain.get(f"{API}/plans/{text}")
        assert found.status == 200 and found.json()["digest"] == one, found
    for text in ("plan-99999", "0" * 64, "abc", "plan-x"):
        assert chain.get(f"{API}/plans/{text}").status == 404
    same = chain.get(f"{API}/plans/d-one/diff/{one}").json()
    assert same["same"] and same["changes"] == []
    assert same["members"] == {"only_a": 0, "only_b": 0, "same_wave": 60, "other_wave": 0}
    diff = chain.get(f"{API}/plans/d-one/diff/{two}").json()
    assert not diff["same"]
    changes = {c["what"]: (c["a"], c["b"]) for c in diff["changes"]}
    assert changes["seed"] == (77, 78) and changes["strategy: soak_s"] == (0, 60)
    assert {"totals: update", "layer 0", "strategy: seed"}.isdisjoint(changes)
    assert not any("forecast" in what for what in changes)
    members = diff["members"]
    assert (members["only_a"], members["only_b"]) == (0, 0) and members["same_wave"] + members["other_wave"] == 60
    assert members["other_wave"] % 2 == 0 and members["other_wave"] <= 10
    rollout(chain, "d-three", "spring", {**waves, "waves": [{"percent": 100}]}, "id==one-1*")
    wait_state(chain, "d-three", "ready")
    changes = {c["what"]: (c["a"], c["b"]) for c in chain.get(f"{API}/plans/d-one/diff/d-three").json()["changes"]}
    assert changes["wave 0: devices"][0] == 5 and changes["wave 1: devices"][1] is None
    assert "totals: update" in changes and any(what.startswith("update from ") for what in changes)


def test_unknown_rollout_has_no_plan(chain):
    """The plan of nothing is 404."""
    assert chain.get(f"{API}/rollouts/nobody/plan").status == 404


def test_waves_serve_the_strata(fleetd):
    """The first wave has each stratum's share of the devices."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, ({"id": f"{hw}-{i}", "installed": installed(app="1.0.0"), "attributes": {"hw": hw}, "labels": {"x": i}}
                     for hw, n in (("a", 60), ("b", 30), ("c", 10)) for i in range(n)))
    rollout(fleetd, "fair", "r2", {"waves": [{"count": 10}, {"percent": 100}], "strata": ["attribute.hw"]}, start="auto")
    wait_state(fleetd, "fair", "running")
    steps = first_steps(fleetd, "fair", 10)
    assert sorted(s["device"][0] for s in steps) == list("aaaaaabbbc")


def test_generated_waves_and_test_devices(fleetd):
    """Doubling waves take everybody in; test devices are in the first ones, a gateway with its devices too."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, [{"id": f"d{i}", "installed": installed(app="1.0.0"), "labels": {"test": "yes"} if i % 50 == 7 else {}}
                     for i in range(200)])
    strategy = {"waves": [{"percent": 2}, {"factor": 2}], "early": "label.test==yes"}
    plan = fleetd.post(f"{API}/plans", {"release": "r2", "strategy": strategy}).json()
    assert [w["devices"] for w in plan["waves"]] == [4, 8, 16, 32, 64, 76]
    rollout(fleetd, "doubling", "r2", strategy, start="auto")
    got = wait_state(fleetd, "doubling", "running")
    assert [w["percent"] for w in got["strategy"]["waves"]] == [2, 4, 8, 16, 32, 38]
    steps = first_steps(fleetd, "doubling", 4)
    assert sorted(s["device"] for s in steps) == ["d107", "d157", "d57", "d7"]
    bad = fleetd.post(f"{API}/plans", {"release": "r2", "strategy": {"early": "label.test=="}})
    assert bad.status == 400 and "early" in bad.json()["detail"]


def test_running_rollout_holds_its_devices(fleetd):
    """Devices on which a started rollout changes the same module are held in the next plan."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, ({"id": f"d{i}", "installed": installed(app="1.0.0"), "labels": {"part": "ab"[i % 2]}}
                     for i in range(10)))
    rollout(fleetd, "first", "r2", selector="label.part==a", start="auto")
    wait_state(fleetd, "first", "running")
    plan = fleetd.post(f"{API}/plans", {"release": "r2"}).json()
    assert (plan["totals"]["held"], plan["totals"]["update"]) == (5, 5)
    held = [c for c in plan["classes"] if c["kind"] == "held"]
    assert [c["reason"] for c in held] == ["rollout first is changing app"]


def test_two_create_the_same_rollout_at_once(fleetd):
    """Of two operators who create a rollout of one name with other content at once one wins, the other is told;
    with the same content both have it, and it is planned once."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r1", app="1.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, ({"id": f"d{i}", "installed": installed(app="1.0.0")} for i in range(50)))
    people = [fleetd.make_token(name, ["operator"]) for name in ("ann", "bob")]
    for round_ in range(4):
        same, answers, go = round_ % 2 == 1, [None, None], threading.Barrier(2)

        def put(i, same=same, answers=answers, go=go, name=f"race{round_}"):
            body = {"release": "r2" if same or i == 0 else "r1", "strategy": {"seed": 7}}
            go.wait()
            answers[i] = people[i].put(f"{API}/rollouts/{name}", body)

        threads = [threading.Thread(target=put, args=(i,)) for i in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(a.status for a in answers) == ([200, 201] if same else [201, 409]), answers
        got = wait_state(fleetd, f"race{round_}", "ready")
        winner = 0 if answers[0].status == 201 else 1
        assert got["created_by"] == ("ann", "bob")[winner]
        events = fleetd.get(f"{API}/events?limit=1000").json()["items"]
        assert [e["kind"] for e in events if e["subject"] == f"race{round_}"].count("rollout.planned") == 1
    # Both start the one plan: it starts once.
    digest = got["plan_digest"]
    starts = [p.post(f"{API}/rollouts/race3/start", {"plan_digest": digest}).json() for p in people]
    assert [s["changed"] for s in starts] == [True, False]


@pytest.mark.parametrize("state", ["ready", "failed", "stopped"])
def test_states_of_planning_survive_a_crash(fleetd, state):
    """A rollout that is ready, failed or stopped before its start is the same after a kill, its plan too."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, ({"id": f"d{i}", "installed": installed(app="1.0.0")} for i in range(30)))
    gate = {"gate": {"success": {"minimum": 500}}} if state == "failed" else {}
    rollout(fleetd, "kept", "r2", {"waves": [{"count": 10}, {"percent": 100}], **gate})
    if state == "stopped":
        wait_state(fleetd, "kept", "ready")
        assert fleetd.post(f"{API}/rollouts/kept/stop", {}).status == 200
    before = wait_state(fleetd, "kept", state)
    plan = fleetd.get(f"{API}/rollouts/kept/plan").json()
    for _ in range(2):
        fleetd.kill()
        fleetd.start()
        assert fleetd.get(f"{API}/rollouts/kept").json() == before
        assert fleetd.get(f"{API}/rollouts/kept/plan").json() == plan
    start = fleetd.post(f"{API}/rollouts/kept/start", {})
    assert start.status == (200 if state == "ready" else 409)


def test_plan_survives_a_crash(fleetd):
    """A rollout whose planning was cut off by a kill is planned after the next start, each device once."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    publish(fleetd, "app", "2.0.0")
    release(fleetd, "r2", app="2.0.0")
    devices(fleetd, ({"id": f"d{i}", "installed": installed(app="1.0.0")} for i in range(6000)))
    for i in range(3):
        rollout(fleetd, f"cut{i}", "r2", {"waves": [{"count": 100}, {"percent": 100}]})
        fleetd.kill()
        fleetd.start()
        got = wait_state(fleetd, f"cut{i}", "ready")
        assert got["targets"] == 6000
        plan = fleetd.get(f"{API}/rollouts/cut{i}/plan").json()
        assert [w["devices"] for w in plan["waves"]] == [100, 5900]
