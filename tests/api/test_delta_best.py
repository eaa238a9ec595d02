# SPDX-License-Identifier: Apache-2.0
"""Deltas that get better: the background, chains of two, the choice by bytes or by time."""
import os
import signal
import subprocess

import pytest

from deltas import MIB, Held, ask, decode, digest, enrol, module, next_version, rows, upload, wasm
from fleet_server import program
from waiting import until


@pytest.fixture(scope="module")
def versions():
    """Four versions of a module of 1 MiB."""
    made = [module(3, MIB)]
    for seed in range(3):
        made.append(next_version(made[-1], seed))
    return made


def ready(server, codec, level):
    return [r for r in rows(server, "ready") if (r["codec"], r["level"]) == (codec, level)]


def test_the_quick_form_now_and_a_smaller_one_later(fleetd, versions, tmp_path):
    """A device is served at once; once the background has built a smaller form the next one gets that."""
    old, new = versions[:2]
    upload(fleetd, old, new)
    device = enrol(fleetd)
    first = ask(device, new)
    assert (first["codec"], first["size"]) == ("zstd", ready(fleetd, "zstd", 3)[0]["size"])
    best = until("the background has done its work", lambda: ready(fleetd, "zstd", 19))[0]
    assert best["size"] < first["size"]
    later = ask(device, new)
    assert (later["size"], later["sha256"]) == (best["size"], best["sha256"])
    assert decode(fleetd, later, tmp_path) == new


def test_the_background_never_stands_in_the_way(fleetd, versions):
    """While a build in the background stands still, quick ones are built and served."""
    upload(fleetd, *versions)
    device = enrol(fleetd)
    held = Held(fleetd, background=True)
    ask(device, versions[1], versions[0])
    held.caught()
    assert ask(device, versions[3], versions[0])["codec"] == "zstd-patch"
    waiting = fleetd.get("/api/v1/deltas/queue").json()["items"]
    assert [(j["place"], j["from"], j["to"]) for j in waiting if j["place"] == "running"] != []
    assert any(j["place"] == "improved" and j["devices"] >= 1 for j in waiting)
    os.kill(held.caught(), signal.SIGKILL)
    until("the failure is noted", lambda: rows(fleetd, "failed"))
    assert ask(device, versions[1], versions[0])["codec"] == "zstd-patch"


def test_a_chain_where_the_direct_way_is_missing(fleetd, versions, tmp_path):
    """With 0 -> 1 and 1 -> 2 ready and nothing from 0 to 2, a device that can decode twice gets the two;
    one that cannot gets the artifact compressed."""
    fleetd.stop()
    fleetd.start(delta_wait="0s", delta_background=0)
    zero, one, two = versions[:3]
    upload(fleetd, zero, one, two)
    device = enrol(fleetd)
    for old, new in ((zero, one), (one, two)):
        until("the delta is ready", lambda o=old, n=new: ask(device, n, o)["codec"] == "zstd-patch")
    held = Held(fleetd)
    plain = ask(device, two, zero)
    assert plain["codec"] == "zstd" and "via" not in plain
    held.caught()
    offer = ask(device, two, zero, chain=1)
    assert (offer["from"], offer["via"]["from"]) == (digest(one), digest(zero))
    assert (offer["via"]["to"], offer["via"]["to_size"]) == (digest(one), len(one))
    assert offer["size"] + offer["via"]["size"] < plain["size"]
    middle = decode(fleetd, offer["via"], tmp_path, zero)
    assert middle == one
    assert decode(fleetd, offer, tmp_path, middle) == two
    held.go_on()
    direct = until("the direct one is ready", lambda: (o := ask(device, two, zero, chain=1)) and "via" not in o and o)
    assert direct["from"] == digest(zero)


def test_a_fast_link_and_a_slow_processor_prefer_less_decoding(fleetd, versions):
    """With the link's rate the time decides: a device that decodes slowly behind a fast link takes the
    artifact itself, behind a slow one the delta."""
    old, new = versions[:2]
    upload(fleetd, old, new)
    device = enrol(fleetd)
    assert ask(device, new, old)["codec"] == "zstd-patch"
    assert ask(device, new, old, rate=1_000_000_000, speed=1)["codec"] == "identity"
    assert ask(device, new, old, rate=10_000, speed=1)["codec"] == "zstd-patch"
    path = f"/device/v1/artifacts/{digest(new)}"
    assert device.get(f"{path}?rate=-1").status == 400
    assert device.get(f"{path}?speed=0").status == 400
    assert device.get(f"{path}?chain=2").status == 400


def test_savings_show_in_figures(fleetd, versions):
    """What offers save is a metric, and the statistics tell it by codec."""
    old, new = versions[:2]
    upload(fleetd, old, new)
    device = enrol(fleetd)
    saved = len(new) - ask(device, new, old)["size"]
    assert fleetd.metric("fleetd_delta_saved_bytes_total") == saved
    until("the use is written", lambda: fleetd.get("/api/v1/deltas/stats").json()["summary"]["uses"] == 1)
    stats = fleetd.get("/api/v1/deltas/stats").json()
    by_codec = {(c["codec"], c["level"]): c for c in stats["codecs"]}
    assert by_codec["zstd-patch", 3]["saved"] == saved
    assert stats["summary"]["saved"] == saved
    assert stats["cache"]["bytes"] <= stats["cache"]["limit"]
    assert stats["cache"]["bytes"] == sum(r["size"] for r in rows(fleetd, "ready"))


def test_modules_are_parsed_once_for_several_models(fleetd):
    """Forms of one pair for devices of several memories are built by one process, which parses each module once;
    the figures say so."""
    old, new = wasm(300), wasm(300, inserted=(1, 2))
    upload(fleetd, old, new)
    device = enrol(fleetd)
    models = "wasm-delta-16m,wasm-delta,identity"
    held = Held(fleetd, background=True)
    ask(device, new, old, codecs=models, memory=256 * MIB)
    held.caught()
    ask(device, new, old, codecs=models, memory=17 * MIB)
    held.go_on()
    until("both models are ready", lambda: {"wasm-delta-16m", "wasm-delta"} <= {r["codec"] for r in rows(fleetd, "ready")})
    until("nothing is left to build", lambda: fleetd.get("/api/v1/deltas/queue").json()["items"] == [])
    figures = fleetd.get("/api/v1/deltas/stats").json()["since_start"]
    assert (figures["parsed"], figures["reused"]) == (2, 2)
    assert figures["processes"] == 1
    assert fleetd.metric("fleetd_delta_parses_total") == 2
    assert fleetd.metric("fleetd_delta_parses_reused_total") == 2
    assert fleetd.metric("fleetd_delta_processes_total") == 1


def test_warming_by_hand(fleetd, versions):
    """An operator has a pair built before anybody asks, in both directions; ready ones cost nothing."""
    old, new = versions[:2]
    upload(fleetd, old, new)
    body = {"from": digest(old), "to": digest(new), "reverse": True}
    answer = fleetd.post("/api/v1/deltas/warm", body)
    assert answer.status == 202, answer
    assert answer.json()["pairs"] == 2

    def both():
        pairs = {(r["from"], r["to"]) for r in rows(fleetd, "ready") if r["codec"] == "zstd-patch"}
        return {(digest(old), digest(new)), (digest(new), digest(old))} <= pairs

    until("both directions are ready", both)
    assert fleetd.post("/api/v1/deltas/warm", {"from": digest(old), "to": "0" * 64}).status == 404
    assert fleetd.post("/api/v1/deltas/warm", {"from": "x", "to": digest(new)}).status in (400, 422)
    assert fleetd.post("/api/v1/deltas/warm", {}).status in (400, 422)
    viewer = fleetd.make_token("viewer", ["viewer"])
    assert viewer.post("/api/v1/deltas/warm", body).status == 403


WASM = "wasm-delta-16m,wasm-delta-1m,wasm-delta-256k,wasm-delta,zstd-patch,zstd,identity"


@pytest.mark.parametrize("memory, codec", [(256 * MIB, "wasm-delta-16m"), (20 * MIB, "wasm-delta-1m"), (17 * MIB, "wasm-delta")])
def test_a_module_travels_in_the_largest_model_that_the_device_can_hold(fleetd, tmp_path, memory, codec):
    """Whatever is offered at first, in the end it is the wasm-aware delta with the model that fits into the device's
    memory, much smaller than the quick patch; it decodes, within that memory, to the new module."""
    old, new = wasm(600), wasm(600, inserted=(1, 2))
    upload(fleetd, old, new)
    device = enrol(fleetd)
    offer = until("the background has built it",
                     lambda: (o := ask(device, new, old, codecs=WASM, memory=memory))["codec"].startswith("wasm") and o)
    assert offer["codec"] == codec
    ready = {r["codec"]: r for r in rows(fleetd, "ready")}
    assert offer["size"] * 3 < ready["zstd-patch"]["size"]
    row = ready[codec]
    assert row["memory"] <= memory
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "delta").write_bytes(fleetd.anonymous().get(offer["url"]).body)
    subprocess.run([program("fleetctl"), "delta", "apply", tmp_path / "old", tmp_path / "delta", "-o", tmp_path / "new",
                    "--codec", codec, "--memory", str(memory)], check=True)
    assert (tmp_path / "new").read_bytes() == new


def test_the_offer_is_the_smallest_that_is_ready_for_the_device(fleetd):
    """Whatever a device can decode, in whatever memory, from whichever old versions: no delta that it could take is
    smaller than its offer, and neither is the artifact, compressed or as it is."""
    old, new, other = wasm(300), wasm(300, inserted=(1, 2)), module(3, 60_000) + wasm(300)[60_000:]
    upload(fleetd, old, new, other)
    device = enrol(fleetd)
    ask(device, new, old, other, codecs=WASM, memory=256 * MIB)
    ask(device, new, old, other, codecs=WASM, memory=17 * MIB)
    until("all is built", lambda: fleetd.get("/api/v1/deltas/queue").json()["items"] == [])
    known = [r for r in rows(fleetd, "ready") if r["to"] == digest(new)]
    assert len({r["codec"] for r in known}) >= 4
    names = WASM.split(",")
    for n in range(1, len(names) + 1):
        for codecs in (names[:n], names[-n:]):
            for memory in (0, 256 * MIB, 17 * MIB, 4 * MIB, 100_000):
                for have in ((), (old,), (other,), (old, other)):
                    offer = ask(device, new, *have, codecs=",".join(codecs), memory=memory)
                    sources = {None, *map(digest, have)}
                    sizes = [r["size"] for r in known if r["from"] in sources and r["codec"] in codecs
                             and (memory == 0 or r["memory"] <= memory)]
                    assert offer["size"] <= min([len(new), *sizes]), (codecs, memory, offer)


def test_a_model_that_runs_out_of_time_is_replaced_by_the_quickest(fleetd):
    """The build with the large model is cut by its limit of processor time: the failure is noted, and the
    module still travels wasm-aware, in the form that is built fastest."""
    old, new = wasm(600), wasm(600, inserted=(1, 2))
    upload(fleetd, old, new)
    device = enrol(fleetd)
    held = Held(fleetd, background=True)
    ask(device, new, old, codecs=WASM)
    os.kill(held.caught(), signal.SIGXCPU)
    held.go_on()
    offer = until("another form is built",
                     lambda: (o := ask(device, new, old, codecs=WASM))["codec"].startswith("wasm") and o)
    assert offer["codec"] == "wasm-delta"
    assert [r["codec"] for r in rows(fleetd, "failed")] == ["wasm-delta-16m"]
