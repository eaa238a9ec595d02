# SPDX-License-Identifier: Apache-2.0
"""fleet-agent and fleet-swarm on a real fleetd: published, rolled out in waves and layers, patched,
confirmed, and taken back when it fails."""
import hashlib
import os
import resource
import signal
from collections import Counter

import pytest

from deltas import Held, wasm, workers
from fleet_agent import Agent, Swarm
from waiting import ok, until

OLD_APP = os.urandom(200_000)
NEW_APP = OLD_APP[:100_000] + b"changed" + OLD_APP[100_000:]
BAD_APP = OLD_APP[:50_000] + b"broken" + OLD_APP[50_000:]
OLD_LIB = b"\0asm\1\0\0\0" + os.urandom(2000)
NEW_LIB = OLD_LIB + b"\0\1\0"


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


class Place:
    """What Agent and Swarm want to know of a server."""

    def __init__(self, port, token):
        self.url, self.token = f"http://127.0.0.1:{port}", token


class Fleet:
    """A fleetd with two modules, one needing the other, and releases of them."""

    def __init__(self, fleetd):
        self.api = fleetd
        self.place = Place(fleetd.port, fleetd.make_token("line", ["enroller"]).token)
        self.old_lib = self.publish("lib", "1.0.0", OLD_LIB, "wasm")
        self.publish("lib", "1.1.0", NEW_LIB, "wasm")
        self.old_app = self.publish("app", "1.0.0", OLD_APP, requires={"lib": "^1.0"})
        self.publish("app", "2.0.0", NEW_APP, requires={"lib": "^1.0"})
        self.publish("app", "2.1.0", BAD_APP, requires={"lib": "^1.0"})
        self.release("factory", ("app", "1.0.0", "install"), ("lib", "1.0.0", "install"))
        self.release("next", ("app", "2.0.0", "update"), ("lib", "1.1.0", "update"))
        self.release("bad", ("app", "2.1.0", "update"), ("lib", "1.1.0", "update"))

    def publish(self, module, version, data, kind="file", **more):
        sha256 = hashlib.sha256(data).hexdigest()
        ok(self.api.put(f"/api/v1/modules/{module}", {"kind": kind}))
        ok(self.api.put(f"/api/v1/artifacts/{sha256}", data=data,
                        headers={"Content-Type": "application/octet-stream"}))
        ok(self.api.put(f"/api/v1/modules/{module}/versions/{version}",
                        {"variants": [{"sha256": sha256}], **more}))
        return sha256

    def release(self, name, *entries):
        rows = [{"module": m, "version": v, "action": a} for m, v, a in entries]
        ok(self.api.put(f"/api/v1/releases/{name}", {"entries": rows}))

    def rollout(self, name, selector="", **strategy):
        """Plan, start, and wait for an end; -> the rollout."""
        ok(self.api.put(f"/api/v1/rollouts/{name}",
                        {"release": name, "selector": selector, "strategy": strategy}))
        self.wait(name, "ready")
        ok(self.api.post(f"/api/v1/rollouts/{name}/start", {}))

    def wait(self, name, *states):
        def there():
            rollout = ok(self.api.get(f"/api/v1/rollouts/{name}"))
            return rollout if rollout["state"] in states else None

        return until(f"{name} is {states}", there)

    def warm(self, old, new):
        body = {"from": sha256_of(old), "to": sha256_of(new)}
        assert self.api.post("/api/v1/deltas/warm", body).json()["pairs"] == 1

    def devices(self):
        out, cursor = [], ""
        while True:
            page = ok(self.api.get("/api/v1/devices?limit=1000" + cursor))
            out += page["items"]
            if page["next"] is None:
                return out
            cursor = "&cursor=" + page["next"]

    def versions(self):
        """How many devices run which (app, lib), as the server knows it."""
        return Counter(tuple(sorted((m["module"], m["version"]) for m in d["installed"])) for d in self.devices())

    def stats(self, name):
        return ok(self.api.get(f"/api/v1/rollouts/{name}/stats"))["total"]


@pytest.fixture
def fleet(fleetd):
    return Fleet(fleetd)


def end(process):
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def both(app, lib):
    return (("app", app), ("lib", lib))


STRATEGY = {
    "waves": [{"percent": 10}, {"percent": 30}, {"percent": 60}], "probation_s": 1, "install_s": 60,
    "gate": {"success": {"percent": 100}, "error": {"percent": 20, "minimum": 2}}, "on_failure": "rollback",
}


def test_a_real_agent_is_brought_up_by_a_rollout_with_patches(fleet, tmp_path):
    """Two layers after each other; the second release travels as patches; the disk holds its bytes."""
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    del agent.settings["factory"]
    agent.once()
    process = agent.start("--poll-interval", "100ms")
    one = {"waves": [{"percent": 100}], "probation_s": 0}
    fleet.rollout("factory", **one)
    fleet.wait("factory", "completed")
    assert agent.runs() == {"app": "1.0.0", "lib": "1.0.0"}
    fleet.rollout("next", **one)
    fleet.wait("next", "completed")
    assert agent.runs() == {"app": "2.0.0", "lib": "1.1.0"}
    assert (agent.install / "current/app").read_bytes() == NEW_APP
    until("the server knows it", lambda: fleet.versions() == {both("2.0.0", "1.1.0"): 1})
    total = fleet.stats("next")
    assert total["confirmed"] == 1
    assert total["bytes_saved"] > 10 * total["bytes_sent"]
    end(process)


def test_a_real_agent_takes_a_wasm_aware_delta(fleet, tmp_path):
    """A module of which the plan has warmed the wasm-aware delta travels in that: a few hundred bytes."""
    old, new = wasm(600), wasm(600, inserted=(1, 2))
    fleet.publish("engine", "1.0.0", old, "wasm")
    fleet.publish("engine", "2.0.0", new, "wasm")
    fleet.release("first", ("engine", "1.0.0", "install"))
    fleet.release("second", ("engine", "2.0.0", "update"))
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    del agent.settings["factory"]
    agent.once()
    process = agent.start("--poll-interval", "100ms")
    one = {"waves": [{"percent": 100}], "probation_s": 0}
    fleet.rollout("first", **one)
    fleet.wait("first", "completed")
    until("the server knows it", lambda: any(m["version"] == "1.0.0" for d in fleet.devices() for m in d["installed"]))
    ok(fleet.api.put("/api/v1/rollouts/second", {"release": "second", "selector": "", "strategy": one}))
    fleet.wait("second", "ready")

    def best():
        rows = ok(fleet.api.get("/api/v1/deltas?limit=1000"))["items"]
        return [r for r in rows if r["codec"] == "wasm-delta-16m" and r["state"] == "ready" and r["to"] == sha256_of(new)]

    until("the plan has warmed it", best)
    ok(fleet.api.post("/api/v1/rollouts/second/start", {}))
    fleet.wait("second", "completed")
    assert (agent.install / "current/engine").read_bytes() == new
    assert fleet.stats("second")["bytes_sent"] == best()[0]["size"] < 1000
    end(process)


MID_APP = OLD_APP[:60_000] + b"between" + OLD_APP[60_000:]
LAST_APP = NEW_APP[:60_000] + b"between" + NEW_APP[60_000:] + b"the end" * 20
ONE_WAVE = {"waves": [{"percent": 100}], "probation_s": 0}


def patch(fleet, old, new):
    """The ready zstd-patch between two artifacts; None: there is none."""
    rows = ok(fleet.api.get("/api/v1/deltas?limit=1000"))["items"]
    pair = (sha256_of(old), sha256_of(new), "zstd-patch", "ready")
    return next((r for r in rows if (r["from"], r["to"], r["codec"], r["state"]) == pair), None)


def lose_direct(fleet, why):
    """See to it that there will be no delta from OLD_APP to LAST_APP."""
    if why == "too large":
        fleet.api.stop()
        fleet.api.start(delta_background=0, delta_size="100KiB")
        return
    held = Held(fleet.api)
    fleet.warm(OLD_APP, LAST_APP)
    os.kill(held.caught(), signal.SIGXCPU)
    held.go_on()
    until("its job has failed", lambda: fleet.api.metric("fleetd_deltas_failed_total") == 1)


@pytest.fixture
def chained(request, new_fleetd, tmp_path):
    """A device with OLD_APP that is to get LAST_APP; patches to MID_APP and from there are ready, the direct one is
    not and will not be. -> fleet, agent, the sizes of both patches."""
    fleet = Fleet(new_fleetd().start(delta_background=0))
    fleet.publish("app", "2.5.0", MID_APP, requires={"lib": "^1.0"})
    fleet.publish("app", "3.0.0", LAST_APP, requires={"lib": "^1.0"})
    fleet.release("last", ("app", "3.0.0", "update"))
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    del agent.settings["factory"]
    agent.once()
    fleet.rollout("factory", **ONE_WAVE)
    until("the old version runs", lambda: agent.once() and agent.runs() == {"app": "1.0.0", "lib": "1.0.0"})
    fleet.wait("factory", "completed")
    fleet.warm(OLD_APP, MID_APP)
    fleet.warm(MID_APP, LAST_APP)
    legs = [until("the patch is ready", lambda p=p: patch(fleet, *p)) for p in ((OLD_APP, MID_APP), (MID_APP, LAST_APP))]
    until("nothing is left to build", lambda: fleet.api.metric("fleetd_delta_queue_length") == 0)
    lose_direct(fleet, request.param)
    agent.settings["server"] = f"http://127.0.0.1:{fleet.api.port}"
    fleet.rollout("last", **ONE_WAVE)
    assert patch(fleet, OLD_APP, LAST_APP) is None
    return fleet, agent, [leg["size"] for leg in legs]


def check_chained(fleet, agent, sizes):
    """LAST_APP runs, it is confirmed, and two patches have travelled, nothing else."""
    fleet.wait("last", "completed")
    assert (agent.install / "current/app").read_bytes() == LAST_APP
    assert agent.leftovers() == []
    total = fleet.stats("last")
    assert (total["confirmed"], total["bytes_sent"]) == (1, sum(sizes))
    assert total["bytes_saved"] == len(LAST_APP) - sum(sizes) > len(LAST_APP) * 0.9


@pytest.mark.parametrize("chained", ["too large"], indirect=True)
def test_a_chain_of_two_deltas_goes_where_the_direct_one_cannot_be_built(chained):
    """The artifact is over delta_size by now: the device takes the two deltas that are ready, and what it reports are
    their bytes."""
    fleet, agent, sizes = chained
    until("the new version runs", lambda: agent.once() and agent.runs()["app"] == "3.0.0")
    check_chained(fleet, agent, sizes)


@pytest.mark.parametrize("chained", ["over its time"], indirect=True)
def test_a_power_cut_between_two_deltas_of_a_chain(chained):
    """The job of the direct delta took too much time. Killed behind the first delta, while it writes what the second
    gives, the agent keeps what the first gave, does not decode that again (here it could not), and reports the bytes
    once."""
    fleet, agent, sizes = chained
    most = len(MID_APP) + 50
    cut = until("the agent is killed", lambda: (done := agent.once(
        code=None, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))).returncode != 0 and done)
    assert cut.returncode == -signal.SIGXFSZ, cut.stderr
    parts = agent.state_dir / "parts"
    assert (parts / f"{sha256_of(MID_APP)}.middle").read_bytes() == MID_APP
    assert agent.runs()["app"] == "1.0.0"
    first = patch(fleet, OLD_APP, MID_APP)["sha256"]
    (parts / first).write_bytes(b"this is no patch")
    until("the new version runs", lambda: agent.once() and agent.runs()["app"] == "3.0.0")
    check_chained(fleet, agent, sizes)


def test_a_build_that_stands_still_does_not_hold_a_rollout(new_fleetd, tmp_path):
    """With the only builder busy for as long as its limit of time allows, devices take the artifacts themselves and the
    rollout completes meanwhile."""
    fleet = Fleet(new_fleetd().start(delta_background=0, delta_wait="200ms"))
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    del agent.settings["factory"]
    agent.once()
    held = Held(fleet.api)
    fleet.rollout("factory", **ONE_WAVE)
    until("the old version runs", lambda: agent.once() and agent.runs() == {"app": "1.0.0", "lib": "1.0.0"})
    fleet.rollout("next", **ONE_WAVE)
    until("the new version runs", lambda: agent.once() and agent.runs() == {"app": "2.0.0", "lib": "1.1.0"})
    fleet.wait("next", "completed")
    assert fleet.stats("next")["bytes_sent"] == len(NEW_APP) + len(NEW_LIB)
    assert workers(fleet.api) == [held.caught()]
    held.go_on()


@pytest.fixture
def waiting(fleet, tmp_path):
    """An agent that has waited for its owner until a silent device, delivered later, was timed out."""
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    agent.settings["factory"] = "lib=1.0.0"
    agent.settings["ready-command"] = f"test -e {tmp_path}/yes || {{ echo consent of the owner is missing; exit 1; }}"
    agent.settings["ready-interval"] = "50ms"
    agent.settings["switch-command"] = f"! test -e {tmp_path}/fatal || kill -9 $PPID"
    agent.once()
    kept = ["-n", 1, "--state", tmp_path / "swarm.json", "--installed", f"lib=1.0.0:{fleet.old_lib}",
            "--silent", "lib@1.1.0=1", "--poll-interval", 0.1]
    Swarm(tmp_path, fleet.place, *kept, "--until", "idle").end(stop=False)
    fleet.release("lib", ("lib", "1.1.0", "update"))
    fleet.rollout("lib", waves=[{"percent": 100}], probation_s=0, install_s=2,
                  gate={"success": {"percent": 50}, "error": {"percent": 99}})
    process = agent.start("--poll-interval", "100ms")
    until("the agent waits", lambda: step_of(fleet, "a1")["state"] == "waiting")
    assert step_of(fleet, "a1")["detail"] == "consent of the owner is missing"
    s = Swarm(tmp_path, fleet.place, *kept)
    until("the silent one is late", lambda: step_of(fleet, "swarm-000000")["state"] == "timed_out")
    yield agent, process
    s.end()
    process.kill()
    process.communicate()


def step_of(fleet, device):
    """Its step; one without a state before the stage has been opened."""
    steps = {s["device"]: s for s in ok(fleet.api.get("/api/v1/rollouts/lib/steps"))["items"]}
    return steps.get(device, {"state": None})


def test_a_device_that_waits_is_not_late(fleet, tmp_path, waiting):
    """The install clock stands while it waits; it goes on as soon as it may."""
    agent, _ = waiting
    assert step_of(fleet, "a1")["state"] == "waiting"
    (tmp_path / "yes").touch()
    fleet.wait("lib", "completed")
    assert step_of(fleet, "a1")["state"] == "confirmed" and agent.runs() == {"lib": "1.1.0"}


def test_a_device_that_falls_silent_after_its_wait_is_late(fleet, tmp_path, waiting):
    """From the end of the wait the install clock runs again."""
    _, process = waiting
    (tmp_path / "fatal").touch()
    (tmp_path / "yes").touch()
    process.wait(60)
    until("it is late", lambda: step_of(fleet, "a1")["state"] == "timed_out")


def test_a_swarm_goes_through_waves_and_layers(fleet, tmp_path):
    """Every device confirms; both sides count the same bytes and reports."""
    s = Swarm(tmp_path, fleet.place, "-n", 40, "--poll-interval", 0.2, "--decode", "--installed",
              f"app=1.0.0:{fleet.old_app},lib=1.0.0:{fleet.old_lib}")
    until("all are enrolled", lambda: len(fleet.devices()) == 40)
    fleet.rollout("next", **STRATEGY)
    fleet.wait("next", "completed")
    until("all run it", lambda: fleet.versions() == {both("2.0.0", "1.1.0"): 40})
    summary, total = s.end(), fleet.stats("next")
    assert summary["versions"] == {"app": {"2.0.0": 40}, "lib": {"1.1.0": 40}}
    assert total["confirmed"] == 40 and total["failed"] == 0
    assert total["bytes_sent"] == summary["bytes"] and total["bytes_saved"] == summary["saved"]
    ends = Counter(r["state"] for r in s.acknowledged())
    assert ends["confirmed"] == 80


def test_a_release_that_fails_is_taken_back_everywhere(fleet, tmp_path):
    """The gate stops it, ill devices take themselves back, the others are taken back by the server."""
    agent = Agent(tmp_path / "a", fleet.place, name="a1")
    agent.settings["factory"] = ""
    agent.settings["health-command"] = '! grep -q broken "$FLEET_INSTALL_DIR/current/app"'
    agent.once()
    process = agent.start("--poll-interval", "100ms")
    fleet.rollout("factory", "id==a1", waves=[{"percent": 100}], probation_s=0)
    fleet.wait("factory", "completed")
    s = Swarm(tmp_path, fleet.place, "-n", 30, "--poll-interval", 0.2, "--fail", "app@2.1.0=0.7", "--installed",
              f"app=1.0.0:{fleet.old_app},lib=1.0.0:{fleet.old_lib}")
    until("all are enrolled", lambda: len(fleet.devices()) == 31)
    fleet.rollout("bad", **STRATEGY)
    fleet.wait("bad", "rolled_back", "stopped")
    until("all are back", lambda: fleet.versions() == {both("1.0.0", "1.0.0"): 31})
    until("the agent is back", lambda: agent.runs() == {"app": "1.0.0", "lib": "1.0.0"})
    assert fleet.stats("bad")["failed"] > 0
    first = [g for g in ok(fleet.api.get("/api/v1/rollouts/bad/stats"))["stages"] if g["wave"] == 0]
    assert [g["rollback"] for g in first] == [1.0] * len(first), "of each stage all that switched went back"
    assert s.end()["versions"] == {"app": {"1.0.0": 30}, "lib": {"1.0.0": 30}}
    end(process)


def test_the_swarm_rides_through_kills_of_the_server(fleet, tmp_path):
    """fleetd is killed in the middle of a rollout, again and again; it completes and nothing is lost."""
    s = Swarm(tmp_path, fleet.place, "-n", 30, "--poll-interval", 0.2, "--installed",
              f"app=1.0.0:{fleet.old_app},lib=1.0.0:{fleet.old_lib}")
    until("all are enrolled", lambda: len(fleet.devices()) == 30)
    fleet.api.settings["listen"] = f"127.0.0.1:{fleet.api.port}"
    fleet.rollout("next", **STRATEGY)
    for confirmed in (1, 10, 20):
        until("some are there", lambda n=confirmed: fleet.stats("next")["confirmed"] >= n)
        fleet.api.kill()
        fleet.api.start()
    fleet.wait("next", "completed")
    until("all run it", lambda: fleet.versions() == {both("2.0.0", "1.1.0"): 30})
    until("the devices know it", lambda: s.journal.read_text().count('"confirmed"') == 60)
    assert s.end()["reports_waiting"] == 0
    # What was acknowledged is there: each journal line has its row.
    have = set()
    for device in {r["device"] for r in s.acknowledged()}:
        for report in ok(fleet.api.get(f"/api/v1/devices/{device}/reports?limit=1000"))["items"]:
            have.add((device, str(report["step"]), report["state"]))
    acknowledged = {(r["device"], str(r["step"]), r["state"]) for r in s.acknowledged()}
    assert len(acknowledged) >= 60 and acknowledged <= have


def test_a_benchmark_of_reports_works_on_a_real_rollout(fleet, tmp_path):
    """The bench waits for the orders and then sends four reports for each; none is refused."""
    s = Swarm(tmp_path, fleet.place, "-n", 20, "-c", 4, "--poll-interval", 0.2, "--bench", "reports",
              "--requests", 1000, "--installed", f"app=1.0.0:{fleet.old_app},lib=1.0.0:{fleet.old_lib}")
    until("all are enrolled", lambda: len(fleet.devices()) == 20)
    fleet.rollout("next", waves=[{"percent": 100}], probation_s=60)
    figures = s.end(stop=False)
    assert figures["requests"] == 80 and figures["errors"] == 0 and figures["mac_errors"] == 0
