# SPDX-License-Identifier: Apache-2.0
"""Simulations over the API: described fleets, the real one, limits."""
import hashlib
import json
import select
import time
from datetime import datetime, timedelta, timezone

from story import Story
from waiting import ok

API = "/api/v1/simulations"
EVERYBODY = [{"percent": 100}]


def by_name(answer):
    return {(r["strategy"], r["case"]): r for r in answer["results"]}


def test_a_described_fleet(shared_fleetd):
    """A good release passes everywhere, a bad one harms fewer devices behind waves; the same body gives
    the same answer."""
    body = {"devices": 500, "runs": 3, "seed": 4, "cases": [{"name": "good"}, {"name": "bad", "fail_percent": 20}],
            "strategies": [{"name": "once", "strategy": {"waves": [{"percent": 100}]}},
                           {"name": "waves", "strategy": {"waves": [{"percent": 4}, {"percent": 100}]}}]}
    answer = shared_fleetd.post(API, body)
    assert answer.status == 200, answer
    got = answer.json()
    assert got["complete"] and len(got["results"]) == 4
    results = by_name(got)
    assert results["once", "good"]["passed"] == 1 and results["once", "good"]["completion"] == 1
    assert results["waves", "bad"]["harmed"] < results["once", "bad"]["harmed"]
    assert shared_fleetd.post(API, body).json() == got


def test_the_real_fleet(shared_fleetd):
    """The planner cuts the devices that the release would update; nothing is kept of it."""
    digest = hashlib.sha256(b"x").hexdigest()
    shared_fleetd.put(f"/api/v1/artifacts/{digest}", data=b"x")
    shared_fleetd.put("/api/v1/modules/app", {"kind": "file"})
    shared_fleetd.put("/api/v1/modules/app/versions/1.0.0", {"variants": [{"sha256": digest}]})
    shared_fleetd.put("/api/v1/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]})
    installed = [{"module": "app", "version": "0.9.0"}]
    lines = "".join(json.dumps({"id": f"d{i}", "installed": installed if i % 2 else []}) + "\n" for i in range(80))
    assert shared_fleetd.post("/api/v1/devices", data=lines.encode()).status == 200
    answer = shared_fleetd.post(API, {"release": "r", "runs": 2})
    assert answer.status == 200, answer
    got = answer.json()
    assert (got["devices"], got["layers"]) == (40, 1)
    assert (got["connections"], got["never_seen"]) == ("assumed", 40), got
    result = by_name(got)["all at once", "good: 0.5 % fail"]
    assert result["bytes"] == 40, "each device gets the one byte of its version"
    fear = {"release": "r", "runs": 2, "versions": [{"module": "app", "version": "1.0.0", "fail_percent": 90}]}
    feared = by_name(shared_fleetd.post(API, fear).json())["all at once", "good: 0.5 % fail"]
    assert feared["harmed"] > 25 > result["harmed"]
    fear["versions"][0]["version"] = "7.0.0"
    assert "brings it to no device" in shared_fleetd.post(API, fear).json()["detail"]
    assert by_name(got)["fixed waves", "good: 0.5 % fail"]["runs"] == 2
    assert shared_fleetd.get("/api/v1/rollouts").json()["items"] == []
    assert shared_fleetd.post(API, {"release": "none"}).status == 422


def test_windows_are_kept(shared_fleetd):
    """A window of one hour a day: nobody is through who is not offered in it; an unknown zone is refused."""
    windows = {"delivery": [{"cron": "0 3 * * *", "duration_s": 3600}], "zone": "UTC"}
    strategies = [{"name": "night", "strategy": {"waves": [{"percent": 100}], "windows": windows}},
                  {"name": "once", "strategy": {"waves": [{"percent": 100}]}}]
    body = {"devices": 50, "runs": 2, "cases": [{"name": "good"}], "strategies": strategies}
    results = by_name(shared_fleetd.post(API, body).json())
    assert results["night", "good"]["completion"] == 1
    assert results["once", "good"]["max_s"] <= results["night", "good"]["max_s"] <= 26 * 3600
    windows["zone"] = "Nowhere/Land"
    assert shared_fleetd.post(API, body).status == 422


def test_who_hangs_up_cancels(shared_fleetd):
    """Of three long ones two take the places, the third is refused; when the clients hang up, the places are
    free at once."""
    body = json.dumps({"devices": 200_000, "layers": 5, "runs": 1000}).encode()
    head = {**shared_fleetd.head_of(None, None, None)[1], "Content-Type": "application/json"}
    connections = [shared_fleetd.connect() for _ in range(3)]
    for connection in connections:
        connection.request("POST", API, body=body, headers=head)
    answered, _, _ = select.select([c.sock for c in connections], [], [])
    refused = [c for c in connections if c.sock in answered]
    assert [c.getresponse().status for c in refused] == [503]
    for connection in connections:
        connection.close()
    hung_up = time.monotonic()
    while shared_fleetd.post(API, {"devices": 1, "runs": 1}).status == 503:
        pass
    assert time.monotonic() - hung_up < 10, "it went on until its time was over"


def test_what_is_too_large_is_refused(shared_fleetd):
    """Limits are told, not met."""
    answer = shared_fleetd.post(API, {"devices": 200_000, "layers": 16})
    assert answer.status == 422 and "at most" in answer.json()["detail"]
    assert shared_fleetd.post(API, {"devices": 10**9}).status == 400


# ---- what a simulation says and what a real rollout does

def test_a_dead_gateway_is_as_in_a_real_rollout(fleetd):
    """A gateway that falls silent takes three devices along, and its gate counts one failure: both pass at 80 %
    with six of seven, and six of ten devices have it."""
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.module("net", "1.0.0", "2.0.0", tier="gateway")
    story.release("next", app="2.0.0", net="2.0.0")
    gateway = story.device("gw", tier="gateway", net="1.0.0")
    behind = [story.device(f"b{i}", gateway="gw", app="1.0.0") for i in range(3)]
    alone = story.devices(6, app="1.0.0")
    gate = {"success": {"percent": 80}, "error": {"percent": 20, "minimum": 7}}
    # of the devices behind the gateway none has done its part before it dies
    fear = {"release": "next", "runs": 2, "cases": [{"name": "dead", "gateways_silent_percent": 100, "install_s": 1}],
            "links": [{"kind": "always", "poll_s": 1}], "strategies": [{"name": "s", "strategy": {"waves": EVERYBODY, "gate": gate}}],
            "versions": [{"module": "app", "version": "2.0.0", "install_s": 600}]}
    (said,) = ok(fleetd.post(API, fear))["results"]
    assert (said["harmed"], said["failures"], said["completion"], said["passed"]) == (4, 1, 0.6, 1), said

    story.rollout("r", "next", install_s=2, gate=gate)
    for one in [gateway, *behind, *alone]:
        one.asks()
    for one in alone:
        one.confirms()
    story.wait("r", "completed")
    ends = list(story.steps("r").values())
    assert (ends.count("timed_out"), ends.count("confirmed")) == (4, 6)
    (decision,) = ok(fleetd.get("/api/v1/rollouts/r/decisions"))["items"]
    assert "6 of 7" in decision["text"], decision


def test_groups_and_clocks_are_the_fleets(fleetd):
    """Devices take turns by the label that the strategy names, and open by the clock that their own label
    names."""
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    for i, one in enumerate(story.devices(6, app="1.0.0")):
        zone = "Asia/Tokyo" if i < 3 else "Mars/Olympus"
        ok(fleetd.patch(f"/api/v1/devices/{one.id}", {"labels": {"zone": zone, "site": "x"}}))
    opens = (datetime.now(timezone.utc) + timedelta(hours=12)).replace(minute=0, second=0)  # nine hours earlier in Tokyo
    windows = {"delivery": [{"cron": f"0 {opens.hour} * * *", "duration_s": 3600}], "zone": "UTC", "zone_of": "label.zone"}
    turns = {"max_unavailable": {"by": "label.site", "devices": 1}}
    body = {"release": "next", "runs": 1, "cases": [{"name": "good", "install_s": 1200}], "links": [{"kind": "always", "poll_s": 1}],
            "strategies": [{"name": "clocks", "strategy": {"waves": EVERYBODY, "windows": windows}}, {"name": "turns", "strategy": {"waves": EVERYBODY, "pace": turns}}]}
    results = by_name(ok(fleetd.post(API, body)))
    curve = results["clocks", "good"]["curve"]
    assert 2 * 3600 <= curve[9] < 4 * 3600 + 1800, "half of them by the clock of Tokyo"
    assert 11 * 3600 <= curve[10] < 13 * 3600 + 1800, "the others by the strategy's"
    assert results["turns", "good"]["max_s"] > 6 * 600, "six after each other"


def test_freezes_are_those_of_the_fleet(fleetd):
    """Devices of a freeze that holds, or comes again and again, wait for its end; a lifted one holds nobody."""
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    story.devices(4, app="1.0.0")
    until = (datetime.now(timezone.utc) + timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ok(fleetd.put("/api/v1/freezes/night", {"selector": "id=in=(d0,d1)", "until": until}))
    ok(fleetd.put("/api/v1/freezes/always", {"selector": "id==d3", "every": [{"cron": "* * * * *", "duration_s": 60}]}))
    body = {"release": "next", "runs": 1, "cases": [{"name": "good", "install_s": 60}], "links": [{"kind": "always", "poll_s": 1}],
            "strategies": [{"name": "s", "strategy": {"waves": EVERYBODY}}]}
    curve = ok(fleetd.post(API, body))["results"][0]["curve"]
    assert curve[4] < 600 and 9.9 * 3600 < curve[5] <= curve[14] < 10.2 * 3600 and curve[15] is None
    ok(fleetd.delete("/api/v1/freezes/night"))
    curve = ok(fleetd.post(API, body))["results"][0]["curve"]
    assert curve[14] < 600


def test_strategies_are_known_by_name(shared_fleetd):
    """A strategy that is only named is one of those that are compared when nothing is said."""
    body = {"devices": 300, "runs": 2}
    everything = by_name(shared_fleetd.post(API, body).json())
    one = by_name(shared_fleetd.post(API, {**body, "strategies": [{"name": "exponential"}]}).json())
    assert one == {key: value for key, value in everything.items() if key[0] == "exponential"}
