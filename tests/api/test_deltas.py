# SPDX-License-Identifier: Apache-2.0
"""Artifact offers and the service behind them: the smallest form that is ready, built once, bounded."""
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from deltas import MIB, Held, ask, blobs, decode, digest, enrol, module, next_version, rows, upload
from waiting import until

@pytest.fixture
def fleetd(fleetd):
    """A server that builds what is asked for and nothing in the background: builds can be counted."""
    fleetd.stop()
    return fleetd.start(delta_background=0)


@pytest.fixture
def new_fleetd(new_fleetd):
    """Servers of that kind, not started yet."""

    def make(name="fleetd"):
        server = new_fleetd(name)
        server.settings["delta_background"] = 0
        return server

    return make


@pytest.fixture(scope="module")
def versions():
    """Three versions of a module of 3 MiB, and something unrelated."""
    first = module(1, 3 * MIB)
    second = next_version(first)
    return first, second, next_version(second, 2), os.urandom(MIB)


@pytest.fixture(scope="module")
def large():
    """A pair that takes a moment to build."""
    old = module(9, 24 * MIB)
    return old, next_version(old)


def test_the_smallest_form_is_offered(fleetd, versions, tmp_path):
    """With the old bytes a patch that the zstd program decodes, without them the artifact compressed,
    and the artifact itself for a device that decodes nothing."""
    old, new, _, _ = versions
    upload(fleetd, old, new)
    device = enrol(fleetd)
    patch = ask(device, new, old)
    assert (patch["codec"], patch["from"]) == ("zstd-patch", digest(old))
    assert patch["size"] < 4000
    full = ask(device, new)
    assert full["codec"] == "zstd" and "from" not in full
    assert patch["size"] < full["size"] < len(new)
    plain = ask(device, new, old, codecs="")
    assert (plain["codec"], plain["size"], plain["sha256"]) == ("identity", len(new), digest(new))
    for offer in (patch, full, plain):
        assert decode(fleetd, offer, tmp_path, old) == new


def test_the_best_of_several_old_ones_is_taken(fleetd, versions, tmp_path):
    """Of two versions that the device has, the nearer one gives the smaller patch."""
    first, second, third, unrelated = versions
    upload(fleetd, first, second, third, unrelated)
    offer = ask(enrol(fleetd), third, unrelated, first, second)
    assert offer["from"] in (digest(first), digest(second))
    assert offer["size"] == min(r["size"] for r in rows(fleetd, "ready"))
    assert decode(fleetd, offer, tmp_path, second if offer["from"] == digest(second) else first) == third


def test_a_small_memory_gets_a_form_that_fits(fleetd, versions):
    """What needs more memory than the device says is not offered."""
    old, new, _, _ = versions
    upload(fleetd, old, new)
    device = enrol(fleetd)
    assert ask(device, new, old, memory=64 * MIB)["codec"] == "zstd-patch"
    assert ask(device, new, old, memory=100_000)["codec"] == "identity"


def test_bad_questions(fleetd, versions):
    """Unknown target, bad digests, no session: each its own answer; unknown old bytes are ignored."""
    _, new, _, _ = versions
    upload(fleetd, new)
    device = enrol(fleetd)
    path = f"/device/v1/artifacts/{digest(new)}"
    assert device.get(f"/device/v1/artifacts/{'0' * 64}").status == 404
    assert device.get("/device/v1/artifacts/xyz").status == 400
    assert device.get(f"{path}?have=xyz").status == 400
    assert device.get(f"{path}?memory=-1").status == 400
    assert fleetd.anonymous().get(path).status == 401
    assert fleetd.get(path).status in (401, 403)
    assert ask(device, new, b"never uploaded", codecs="zstd-patch,identity")["codec"] == "identity"


def test_what_does_not_pay_is_remembered(fleetd, versions):
    """A patch between unrelated bytes is useless: the device gets the artifact, and asking again builds
    nothing."""
    old, _, _, unrelated = versions
    upload(fleetd, old, unrelated)
    device = enrol(fleetd)
    assert ask(device, unrelated, old)["codec"] == "identity"
    assert {r["codec"] for r in rows(fleetd, "useless")} == {"zstd", "zstd-patch"}
    assert blobs(fleetd) == {digest(old), digest(unrelated)}
    before = fleetd.metric("fleetd_deltas_useless_total")
    assert ask(device, unrelated, old)["codec"] == "identity"
    assert fleetd.metric("fleetd_deltas_useless_total") == before == 2


def test_two_hundred_askers_one_build(fleetd, large, tmp_path):
    """A storm of devices for one missing delta builds it once, and all get it."""
    old, new = large
    upload(fleetd, old, new)
    devices = [enrol(fleetd, f"dev-{i}") for i in range(200)]
    offers = []
    held = Held(fleetd)
    threads = [threading.Thread(target=lambda d=d: offers.append(ask(d, new, old))) for d in devices]
    for thread in threads:
        thread.start()
    held.go_on()
    for thread in threads:
        thread.join()
    assert len(offers) == 200
    late = ask(devices[0], new, old)
    assert late["codec"] == "zstd-patch"
    assert all(o == late for o in offers if o["codec"] == "zstd-patch")
    assert fleetd.metric("fleetd_deltas_built_total") == 2
    assert fleetd.metric("fleetd_deltas_failed_total") == 0
    assert decode(fleetd, late, tmp_path, old) == new


def test_uses_and_savings_are_counted(fleetd, versions):
    """Each offer of a delta counts; savings are full sizes less delta sizes."""
    old, new, _, _ = versions
    upload(fleetd, old, new)
    device = enrol(fleetd)
    size = [ask(device, new, old)["size"] for _ in range(3)][0]

    def counted():
        body = fleetd.get("/api/v1/deltas").json()
        return body if body["summary"]["uses"] == 3 else None

    body = until("the uses are written", counted)
    used = [r for r in body["items"] if r["codec"] == "zstd-patch"]
    assert [(r["uses"], r["saved"]) for r in used] == [(3, 3 * (len(new) - size))]
    assert body["summary"]["saved"] == 3 * (len(new) - size)
    assert body["summary"]["ready"] == 2


def test_deltas_are_listed_in_pages(fleetd, versions):
    """limit and cursor walk all rows once."""
    first, second, third, _ = versions
    upload(fleetd, first, second, third)
    device = enrol(fleetd)
    ask(device, third, first, second)
    seen, path = [], "/api/v1/deltas?limit=1"
    while path:
        answer = fleetd.get(path)
        seen += [(r["from"], r["to"], r["codec"]) for r in answer.json()["items"]]
        cursor = answer.json()["next"]
        path = cursor and f"/api/v1/deltas?limit=1&cursor={cursor}"
    assert len(seen) == len(set(seen)) == len(rows(fleetd)) >= 2
    assert fleetd.get("/api/v1/deltas?cursor=nonsense").status == 400


def test_the_wait_is_bounded(new_fleetd, large):
    """A build that hangs holds nobody up: after delta_wait the device gets what there is, and the delta
    once it is ready."""
    old, new = large
    server = new_fleetd().start(delta_wait="700ms")
    upload(server, old, new)
    device = enrol(server)
    held = Held(server)
    began = time.monotonic()
    assert ask(device, new, old)["codec"] == "identity"
    assert 0.6 < time.monotonic() - began < 20
    held.go_on()
    until("the delta is ready", lambda: len(rows(server, "ready")) == 2)
    assert ask(device, new, old)["codec"] == "zstd-patch"


def test_no_wait_when_told_so(new_fleetd, versions):
    """delta_wait=0: the artifact now, the delta for who comes later."""
    old, new, _, _ = versions
    server = new_fleetd().start(delta_wait="0s")
    upload(server, old, new)
    device = enrol(server)
    assert ask(device, new, old)["codec"] == "identity"
    until("the delta is ready", lambda: ask(device, new, old)["codec"] == "zstd-patch")


def test_a_killed_worker_costs_a_full_download(fleetd, large):
    """SIGKILL of the build: the device gets the artifact at once, nothing is left on disk, the failure
    is remembered and the server goes on."""
    old, new = large
    upload(fleetd, old, new)
    device = enrol(fleetd)
    held = Held(fleetd)
    killer = threading.Thread(target=lambda: os.kill(held.caught(), signal.SIGKILL))
    killer.start()
    offer = ask(device, new, old, codecs="zstd,identity")
    killer.join()
    assert offer["codec"] == "identity"
    assert [r["codec"] for r in rows(fleetd, "failed")] == ["zstd"]
    assert list((fleetd.data / "blobs/incoming").iterdir()) == []
    assert "signal 9" in fleetd.log()
    failed = fleetd.metric("fleetd_deltas_failed_total")
    assert ask(device, new, old, codecs="zstd,identity")["codec"] == "identity"
    assert fleetd.metric("fleetd_deltas_failed_total") == failed == 1
    assert ask(device, new, old)["codec"] == "zstd-patch"


def test_a_build_over_its_time_is_killed(new_fleetd, large):
    """A build that stands still is killed at delta_time."""
    old, new = large
    server = new_fleetd().start(delta_time="1s", delta_wait="30s")
    upload(server, old, new)
    held = Held(server)
    assert ask(enrol(server), new, old, codecs="zstd,identity")["codec"] == "identity"
    assert not Path(f"/proc/{held.caught()}").exists()
    assert "took longer than 1 s" in server.log()
    assert len(rows(server, "failed")) == 1


def test_a_build_over_its_memory_fails(new_fleetd, large):
    """A build that needs more memory than delta_memory ends, and the device gets the artifact."""
    old, new = large
    server = new_fleetd().start(delta_memory="16MiB", delta_wait="30s")
    upload(server, old, new)
    assert ask(enrol(server), new, old)["codec"] == "identity"
    assert len(rows(server, "failed")) == 2
    assert list((server.data / "blobs/incoming").iterdir()) == []


def test_large_artifacts_travel_whole(new_fleetd, versions):
    """Above delta_size nothing is built, whichever side is too large."""
    old, new, _, _ = versions
    server = new_fleetd().start(delta_size="1MiB")
    small = old[: MIB // 2]
    upload(server, old, new, small)
    device = enrol(server)
    assert ask(device, new, old)["codec"] == "identity"
    assert ask(device, new, small)["codec"] == "identity"
    assert ask(device, small, old)["codec"] == "zstd"
    assert {r["codec"] for r in rows(server)} == {"zstd"}


def test_a_full_queue_refuses_at_once(new_fleetd, large, versions):
    """With the builder busy and the queue full, the next pair gets the artifact without a wait."""
    old, new = large
    first, second, third, _ = versions
    server = new_fleetd().start(delta_queue="1", delta_wait="50s")
    upload(server, old, new, first, second, third)
    devices = [enrol(server, f"dev-{i}") for i in range(3)]
    held = Held(server)
    waiting = [
        threading.Thread(target=ask, args=(devices[0], new, old)),
        threading.Thread(target=ask, args=(devices[1], second, first)),
    ]
    waiting[0].start()
    held.caught()
    waiting[1].start()
    until("one pair waits", lambda: server.metric("fleetd_delta_queue_length") == 1)
    began = time.monotonic()
    assert ask(devices[2], third, first, codecs="zstd-patch,identity")["codec"] == "identity"
    assert time.monotonic() - began < 10
    assert server.metric("fleetd_deltas_refused_total") == 1
    held.go_on()
    for thread in waiting:
        thread.join()


def test_kill_in_the_middle_of_a_build(fleetd, large, tmp_path):
    """SIGKILL of the server while a delta is being built: the build dies with it, no half file is left or
    offered, and the next ask builds it."""
    old, new = large
    upload(fleetd, old, new)
    device = enrol(fleetd)
    held = Held(fleetd)

    def ask_in_vain():
        try:
            ask(device, new, old)
        except OSError:
            pass

    asker = threading.Thread(target=ask_in_vain)
    asker.start()
    pid = held.caught()
    fleetd.kill()
    asker.join()
    until("the build has died too", lambda: not Path(f"/proc/{pid}").exists())
    fleetd.start()
    assert list((fleetd.data / "blobs/incoming").iterdir()) == []
    assert rows(fleetd) == []
    device.port = fleetd.port
    assert blobs(fleetd) == {digest(old), digest(new)}
    device.connect_session()
    until("the delta is built", lambda: ask(device, new, old)["codec"] == "zstd-patch")
    assert decode(fleetd, ask(device, new, old), tmp_path, old) == new


def test_stop_in_the_middle_of_a_build(fleetd, large):
    """SIGTERM does not wait for a build."""
    old, new = large
    upload(fleetd, old, new)
    device = enrol(fleetd)
    held = Held(fleetd)
    asker = threading.Thread(target=lambda: device.get(f"/device/v1/artifacts/{digest(new)}?codecs=zstd"))
    asker.start()
    pid = held.caught()
    fleetd.stop()
    asker.join()
    until("the build is gone", lambda: not Path(f"/proc/{pid}").exists())
    fleetd.start()
    assert rows(fleetd) == []


def test_the_cache_has_a_limit(new_fleetd):
    """Above delta_cache the least recently used deltas go, their files too, and come back when asked."""
    server = new_fleetd().start(delta_cache="300KiB")
    contents = [module(seed, 256 * 1024) for seed in range(6)]
    upload(server, *contents)
    device = enrol(server)
    for data in contents:
        assert ask(device, data)["codec"] == "zstd"

    def settled():
        ready = rows(server, "ready")
        return ready if sum(r["size"] for r in ready) <= 300 * 1024 else None

    ready = until("the cache is below its limit", settled)
    assert 0 < len(ready) < 6
    assert ready[-1]["to"] == digest(contents[-1])
    until("files follow rows", lambda: blobs(server) == {digest(c) for c in contents} | {r["sha256"] for r in ready})
    assert server.metric("fleetd_deltas_evicted_total") == 6 - len(ready)
    assert server.metric("fleetd_delta_ready") == len(ready)
    assert server.metric("fleetd_delta_cache_bytes") == sum(r["size"] for r in ready)
    assert ask(device, contents[0])["codec"] == "zstd"


def test_leftovers_are_swept_at_the_start(fleetd, versions):
    """Files that no row wants go; rows whose file is missing go too, and the delta is built again."""
    old, new, _, _ = versions
    upload(fleetd, old, new)
    device = enrol(fleetd)
    offer = ask(device, new, old)
    fleetd.stop()
    stray = os.urandom(1000)
    folder = fleetd.data / "blobs/sha256"
    (folder / digest(stray)[:2] / digest(stray)).write_bytes(stray)
    (folder / offer["sha256"][:2] / offer["sha256"]).unlink()
    fleetd.start()
    until("the stray file is gone", lambda: digest(stray) not in blobs(fleetd))
    assert {digest(old), digest(new)} <= blobs(fleetd)
    device.port = fleetd.port
    again = ask(device, new, old)
    assert (again["codec"], again["sha256"]) == ("zstd-patch", offer["sha256"])
    assert offer["sha256"] in blobs(fleetd)


def test_a_delta_whose_file_vanished_is_not_offered(fleetd, versions, tmp_path):
    """A row without its file is as good as none: it is built again before it is offered."""
    old, new, _, _ = versions
    upload(fleetd, old, new)
    device = enrol(fleetd)
    offer = ask(device, new, old)
    (fleetd.data / "blobs/sha256" / offer["sha256"][:2] / offer["sha256"]).unlink()
    assert decode(fleetd, ask(device, new, old), tmp_path, old) == new
