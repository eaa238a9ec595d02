# SPDX-License-Identifier: Apache-2.0
"""fleet-swarm against a server that was written from the manual."""
import json
import os
import subprocess
import time
from collections import Counter

from fleet_agent import zstd_patch
from fleet_server import program


def all_polled(mock, n):
    mock.wait(lambda: len(mock.devices) == n
              and Counter(p for _, p, _ in mock.requests)["/device/v1/poll"] >= n)


def order_all(mock, modules, **more):
    for name in list(mock.devices):
        mock.order(name, modules, **more)


def test_every_device_carries_out_its_order(mock, swarm):
    """Real keys, MACs and signatures: the mock checks each; the summary counts versions."""
    s = swarm("-n", 40, "--installed", "app=1.0.0")
    all_polled(mock, 40)
    order_all(mock, [("app", "2.0.0", "file", b"x" * 5000)])
    mock.wait(lambda: len(mock.ends()) == 40)
    summary = s.end()
    assert summary["versions"] == {"app": {"2.0.0": 40}}
    assert {r["state"] for r in mock.ends()} == {"confirmed"}


def test_the_journal_holds_what_was_acknowledged(mock, swarm):
    """Every line is a report that the server has answered with 204."""
    s = swarm("-n", 10)
    all_polled(mock, 10)
    order_all(mock, [("app", "2.0.0", "file", b"x")])
    mock.wait(lambda: len(mock.ends()) == 10)
    s.end()
    journal = Counter((r["device"], r["step"], r["state"]) for r in s.acknowledged())
    have = Counter((r["device"], r["step"], r["state"]) for r in mock.reports)
    assert journal and not journal - have


def fate_of(mock):
    return {r["device"]: r["state"] for r in mock.ends()}


def test_who_fails_is_decided_by_the_seed(mock, tmp_path, swarm):
    """Two runs of the same fleet fail on the same devices, and they go back by themselves."""
    s = swarm("-n", 60, "--installed", "app=1.0.0", "--fail", "app@2.0.0=0.3", "--seed", 7)
    all_polled(mock, 60)
    order_all(mock, [("app", "2.0.0", "file", b"x")], step="s1")
    mock.wait(lambda: len(mock.ends()) == 60)
    summary = s.end()
    first = fate_of(mock)
    failed = sum(1 for state in first.values() if state == "rolled_back")
    assert 5 < failed < 35
    assert summary["versions"]["app"] == {"1.0.0": failed, "2.0.0": 60 - failed}
    mock.reports.clear()
    s = swarm("-n", 60, "--installed", "app=1.0.0", "--fail", "app@2.0.0=0.3", "--seed", 7)
    order_all(mock, [("app", "2.0.0", "file", b"x")], step="s2")
    mock.wait(lambda: len(mock.ends()) == 60)
    s.end()
    assert fate_of(mock) == first


def test_silent_devices_say_nothing_any_more(mock, swarm):
    """Neither a report nor a poll comes from them after the switch."""
    s = swarm("-n", 20, "--silent", "app@2.0.0=1", "--until", "complete")
    all_polled(mock, 20)
    order_all(mock, [("app", "2.0.0", "file", b"x")])
    assert s.end(stop=False)["silent"] == 20
    assert mock.ends() == []


def test_attributes_follow_their_fractions(mock, swarm):
    """The server can select by them; the same device always has the same."""
    s = swarm("-n", 200, "--attribute", "region=eu:0.5,us:0.5", "--attribute", "hw=b2", "--until", "idle")
    s.end(stop=False)
    regions = Counter(d.inventory["attributes"]["region"] for d in mock.devices.values())
    assert set(regions) == {"eu", "us"} and 60 < regions["eu"] < 140
    assert {d.inventory["attributes"]["hw"] for d in mock.devices.values()} == {"b2"}


def test_it_rides_through_a_server_that_goes_away_and_forgets_sessions(mock, swarm):
    """Reconnects, new sessions, and every report still arrives."""
    s = swarm("-n", 30, "--poll-interval", 0.2)
    all_polled(mock, 30)
    mock.stop()
    with mock.lock:
        mock.secret = os.urandom(32)
        order_all(mock, [("app", "2.0.0", "file", b"x")])
    mock.start()
    mock.wait(lambda: len(mock.ends()) == 30)
    assert s.end()["confirmed"] == 30


def test_reports_are_sent_again_until_they_are_acknowledged(mock, swarm):
    """A refused or lost answer costs nothing but a second report."""
    s = swarm("-n", 10, "--poll-interval", 0.2)
    all_polled(mock, 10)
    mock.trouble.update(reports_503=5, lose_acks=5)
    order_all(mock, [("app", "2.0.0", "file", b"x")])
    mock.wait(lambda: len({r["device"] for r in mock.ends()}) == 10)
    summary = s.end()
    assert summary["confirmed"] == 10


def test_downloads_are_decoded_and_checked_if_asked(mock, swarm, tmp_path):
    """With --decode each byte is fetched, cuts are resumed, patches decoded, digests compared."""
    old = os.urandom(100_000)
    new = old[:50_000] + b"new" + old[50_000:]
    cache = tmp_path / "cache"
    cache.mkdir()
    s = swarm("-n", 8, "--decode", "--cache", cache, "--cut", 1, "--poll-interval", 0.2)
    all_polled(mock, 8)
    order_all(mock, [("app", "1.0.0", "file", old)], step="s1")
    mock.wait(lambda: len(mock.ends("s1")) == 8)
    mock.patches[(mock.put_blob(old), mock.put_blob(new))] = ("zstd-patch", zstd_patch(old, new))
    order_all(mock, [("app", "2.0.0", "file", new)], step="s2")
    mock.wait(lambda: len(mock.ends("s2")) == 8)
    summary = s.end()
    assert {r["state"] for r in mock.ends()} == {"confirmed"}
    assert summary["cuts"] > 0 and summary["saved"] > 7 * 90_000
    assert (cache / mock.put_blob(new)).read_bytes() == new


def test_what_the_factory_left_is_fetched_once_for_patches(mock, swarm):
    """A device whose first version is known by digest gets a patch, decoded from the real bytes."""
    old = os.urandom(50_000)
    new = old + b"more"
    digest = mock.put_blob(old)
    mock.patches[(digest, mock.put_blob(new))] = ("zstd-patch", zstd_patch(old, new))
    s = swarm("-n", 6, "--decode", "--installed", f"app=1.0.0:{digest}")
    all_polled(mock, 6)
    order_all(mock, [("app", "2.0.0", "file", new)])
    mock.wait(lambda: len(mock.ends()) == 6)
    assert s.end()["saved"] > 6 * 49_000
    assert {r["state"] for r in mock.ends()} == {"confirmed"}


def test_tampered_downloads_are_not_confirmed(mock, swarm, tmp_path):
    """With --decode a wrong digest ends the order after some tries."""
    cache = tmp_path / "cache"
    cache.mkdir()
    s = swarm("-n", 2, "--decode", "--cache", cache)
    all_polled(mock, 2)
    mock.trouble["tamper"] = 10**6
    order_all(mock, [("app", "2.0.0", "file", b"x" * 1000)])
    mock.wait(lambda: len(mock.ends()) == 2, limit=60)
    s.end()
    assert {(r["state"], r["cause"]) for r in mock.ends()} == {("failed", "network")}


def test_slow_downloads_take_their_time(mock, swarm):
    """--slow bounds what one download reads in a second."""
    s = swarm("-n", 3, "--decode", "--slow", 100_000, "--poll-interval", 0.2)
    all_polled(mock, 3)
    before = time.monotonic()
    order_all(mock, [("app", "2.0.0", "file", os.urandom(200_000))])
    mock.wait(lambda: len(mock.ends()) == 3)
    took = time.monotonic() - before
    s.end()
    assert {r["state"] for r in mock.ends()} == {"confirmed"}
    assert took > 1, "200 kB cannot come faster than in about two seconds"


def test_devices_that_are_away_do_not_poll(mock, swarm):
    """--offline: the same time brings fewer polls; whoever is back is as before."""
    polls = []
    for away in ([], ["--offline", "0.8:0.5"]):
        polls.append(swarm("-n", 30, "--seed", 5, "--poll-interval", 0.05, "--until", "seconds:2", *away).end(stop=False)["polls"])
    assert polls[1] < polls[0] * 0.7, polls


def test_gateways_enrol_first_and_devices_name_them(mock, swarm):
    """Tier and gateway of each are as the command line says."""
    bodies = []
    enrol = mock.enrol
    mock.enrol = lambda h, body: (bodies.append(json.loads(body)), enrol(h, body))
    s = swarm("-n", 12, "--gateways", 3, "--until", "idle")
    s.end(stop=False)
    tiers = [b["tier"] for b in bodies]
    assert tiers == ["gateway"] * 3 + ["device"] * 12
    assert Counter(b["gateway"] for b in bodies[3:]) == {f"swarm-gw-{i:06d}": 4 for i in range(3)}


def test_the_state_file_carries_a_fleet_over_a_restart(mock, swarm, tmp_path):
    """A second run has the same keys, versions and manifest numbers."""
    kept = tmp_path / "fleet.json"
    s = swarm("-n", 5, "--state", kept)
    all_polled(mock, 5)
    order_all(mock, [("app", "2.0.0", "file", b"x")])
    mock.wait(lambda: len(mock.ends()) == 5)
    s.end()
    s = swarm("-n", 5, "--state", kept, "--until", "idle")
    summary = s.end(stop=False)
    assert summary["versions"] == {"app": {"2.0.0": 5}} and summary["orders"] == 0


def test_the_bench_of_polls_counts_and_times(mock, swarm):
    """Figures come as JSON; no answer was refused."""
    figures = swarm("-n", 20, "-c", 4, "--bench", "polls", "--requests", 500).end(stop=False)
    assert figures["requests"] == 500 and figures["errors"] == 0 and figures["mac_errors"] == 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


def test_bench_at_a_rate(swarm):
    """--rate: so many requests a second and no more, over all connections together."""
    figures = swarm("-n", 20, "-c", 4, "--bench", "polls", "--requests", 100, "--rate", 200).end(stop=False)
    assert figures["requests"] == 100 and figures["errors"] == 0 and figures["mac_errors"] == 0
    assert figures["seconds"] >= 99 / 200


def test_the_bench_sends_the_same_requests_to_a_peer(mock, swarm):
    """--peer repeats all requests to another port and prints a second object."""
    port = mock.url.rsplit(":", 1)[1].strip("/")
    run = swarm("-n", 3, "-c", 2, "--bench", "polls", "--requests", 60, "--peer", port)
    out, _ = run.process.communicate(timeout=60)
    ours, end = json.JSONDecoder().raw_decode(out)
    peer = json.loads(out[end:])
    assert (ours["bench"], peer["bench"]) == ("polls", "peer")
    assert ours["requests"] == 60 and peer["requests"] + peer["errors"] == 60


def test_the_bench_of_reports_sends_four_for_each_order(mock, swarm):
    """They are real reports about steps that are open."""
    s = swarm("-n", 10, "-c", 2, "--bench", "reports", "--requests", 1000, "--poll-interval", 0.1)
    all_polled(mock, 10)
    order_all(mock, [("app", "2.0.0", "file", b"x")])
    figures = s.end(stop=False)
    assert figures["requests"] == 40 and figures["errors"] == 0
    assert Counter(r["state"] for r in mock.reports) == {
        "downloading": 10, "downloaded": 10, "installing": 10, "installed": 10}


def test_wrong_options_are_refused_with_a_sentence(tmp_path):
    """Exit status 2, and what is wrong by name."""
    token = tmp_path / "token"
    token.write_text("t")
    for wrong, word in [(["--fail", "app=1"], "--fail"), (["--server", "https://x"], "TLS"),
                        (["--until", "never"], "--until"), (["--attribute", "a=b:0.2"], "--attribute"),
                        (["-n", "x"], "--devices"), (["--bench", "x"], "--bench")]:
        done = subprocess.run([program("fleet-swarm"), "--server", "http://127.0.0.1:1", "--token-file",
                               str(token), *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and word in done.stderr, (wrong, done.stderr)
