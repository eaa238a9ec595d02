# SPDX-License-Identifier: Apache-2.0
"""Simulations over the API: described fleets, the real one, limits."""
import hashlib
import json
import select
import time

API = "/api/v1/simulations"


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
