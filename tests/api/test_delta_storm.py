# SPDX-License-Identifier: Apache-2.0
"""A small storm: many devices, many old versions, one new one, all at once; and kills in the middle of it."""
import os
import random
import threading

from deltas import ask, blobs, decode, digest, enrol, module, next_version, rows, upload
from storm import built_quickly, figures, peak_mib, prepare, swarm
from waiting import until

VERSIONS = 12


def test_each_delta_is_built_once_and_polls_go_on(new_fleetd, tmp_path):
    """300 devices with 12 old versions ask at once: 12 builds and one of the artifact itself, no error, no
    refusal; polls are answered all the while; memory does not grow with the askers."""
    server = new_fleetd().start(delta_wait="60s", delta_background=0)
    digests = prepare(server, tmp_path, VERSIONS, 256 * 1024)
    before = peak_mib(server)
    storm = swarm(server, tmp_path, "storm", 300, "-c", 300, "--bench", "offers", "--ask", digests, "--requests", 600)
    polls = figures(swarm(server, tmp_path, "polls", 8, "-c", 2, "--bench", "polls", "--requests", 500))
    offers = figures(storm)
    assert (offers["requests"], offers["errors"], offers["mac_errors"]) == (600, 0, 0)
    assert (polls["requests"], polls["errors"]) == (500, 0)
    quick, built, _ = built_quickly(server)
    assert len(quick) == VERSIONS
    assert built == VERSIONS + 1
    assert server.metric("fleetd_deltas_refused_total") == 0
    assert peak_mib(server) - before < 400


def test_kills_at_random_leave_no_half_delta(new_fleetd, tmp_path):
    """SIGKILL at random moments while deltas are built at both speeds: after each start every ready delta has
    its whole file, nothing else lies about, and what is offered decodes."""
    server = new_fleetd().start(delta_wait="0s")
    chance = random.Random(int(os.environ.get("FLEET_SEED", "7")))
    versions = [module(3, 200_000)]
    for seed in range(6):
        versions.append(next_version(versions[-1], seed))
    upload(server, *versions)
    device = enrol(server)
    pause = threading.Event()
    for _ in range(int(os.environ.get("FLEET_DELTA_KILLS", "6"))):
        for old in range(4):
            ask(device, versions[chance.randrange(old + 1, 7)], versions[old])
        pause.wait(chance.random() * 0.4)
        server.kill()
        server.start()
        until("drafts are gone", lambda: not list((server.data / "blobs/incoming").iterdir()))
        for row in rows(server, "ready"):
            path = server.data / "blobs/sha256" / row["sha256"][:2] / row["sha256"]
            until("a ready delta has its whole file",
                     lambda p=path, r=row: r not in rows(server, "ready") or digest(p.read_bytes()) == r["sha256"])
        device.port = server.port
        device.connect_session()
        offer = ask(device, versions[1], versions[0])
        assert decode(server, offer, tmp_path, versions[0]) == versions[1]
    wanted = {digest(v) for v in versions} | {r["sha256"] for r in rows(server, "ready")}
    until("stray files are gone", lambda: blobs(server) <= wanted | {r["sha256"] for r in rows(server, "ready")})
