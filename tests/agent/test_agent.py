# SPDX-License-Identifier: Apache-2.0
"""fleet-agent against a server that was written from the manual."""
import os
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from fleet_agent import zstd_patch
from mock_server import Key

WASM = b"\0asm\1\0\0\0" + b"w" * 3000
OLD, NEW = os.urandom(200_000), None
NEW = OLD[:100_000] + b"changed" + OLD[100_000:]


def app(version, data, kind="file"):
    return ("app", version, kind, data)


def alive(pid):
    """Whether the process still runs; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stage_is_installed_side_by_side_and_switched_together(agent, mock):
    """All modules of a stage run after it, each whole; the reports tell the way in order."""
    agent.enrolled().order([app("2.0.0", NEW), ("lib", "1.1.0", "wasm", WASM)])
    agent.once()
    assert agent.runs() == {"app": "2.0.0", "lib": "1.1.0"}
    states = [r["state"] for r in mock.reports]
    assert states == ["downloading", "downloaded", "installing", "installed", "confirmed"]
    assert {m["module"]: m["version"] for m in mock.ends()[0]["installed"]} == agent.runs()
    assert mock.ends()[0]["bytes"] == len(NEW) + len(WASM)
    assert agent.leftovers() == []


def test_the_first_inventory_is_what_the_factory_left(agent, mock):
    """Before any order the server knows the factory's modules and the attributes, also a command's."""
    agent.settings.update({"attributes": "region=eu,hw=b2", "attributes-command": "echo serial=7"})
    agent.enrolled()
    said = mock.devices["d1"].inventory
    assert said["installed"] == [{"module": "app", "version": "1.0.0"}]
    assert said["attributes"] == {"region": "eu", "hw": "b2", "serial": "7"}


def test_a_patch_is_decoded_from_what_is_installed(agent, mock):
    """With the old version on the disk only the patch travels, and the report says what that saved."""
    agent.enrolled().order([app("1.1.0", OLD)], step="s1")
    agent.once()
    old, new = mock.put_blob(OLD), mock.put_blob(NEW)
    patch = zstd_patch(OLD, NEW)
    mock.patches[(old, new)] = ("zstd-patch", patch)
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    end = mock.ends("s2")[0]
    assert end["state"] == "confirmed"
    assert (end["bytes"], end["saved"]) == (len(patch), len(NEW) - len(patch))


def test_a_patch_that_does_not_decode_is_replaced_by_the_full_artifact(agent, mock):
    """A useless patch costs bytes, not the update."""
    agent.enrolled().order([app("1.1.0", OLD)], step="s1")
    agent.once()
    mock.patches[(mock.put_blob(OLD), mock.put_blob(NEW))] = ("zstd-patch", b"this is no patch")
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    assert mock.ends("s2")[0]["bytes"] == len(NEW) + len(b"this is no patch")


MIDDLE = OLD[:50_000] + b"between" + OLD[50_000:]


@pytest.fixture
def chain(agent, mock):
    """An agent that has OLD, and a server with patches to MIDDLE and from there to NEW, but none from OLD to
    NEW; returns the bytes of both."""
    agent.enrolled().order([app("1.1.0", OLD)], step="s1")
    agent.once()
    old, middle, new = (mock.put_blob(data) for data in (OLD, MIDDLE, NEW))
    first, second = zstd_patch(OLD, MIDDLE), zstd_patch(MIDDLE, NEW)
    mock.patches = {(old, middle): ("zstd-patch", first), (middle, new): ("zstd-patch", second)}
    mock.middles = {(old, new): middle}
    return len(first) + len(second)


def test_a_chain_of_two_patches_is_decoded_one_after_the_other(agent, mock, chain):
    """Two small patches travel instead of the artifact, and nothing of what is between them stays."""
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    end = mock.ends("s2")[0]
    assert (end["state"], end["bytes"], end["saved"]) == ("confirmed", chain, len(NEW) - chain)
    assert agent.leftovers() == []


def test_a_chain_goes_on_behind_what_is_whole(agent, mock, chain):
    """After a stop between the two patches the first one is not decoded again: here it could not be."""
    old, middle = mock.put_blob(OLD), mock.put_blob(MIDDLE)
    mock.patches[(old, middle)] = ("zstd-patch", b"this is no patch")
    (agent.state_dir / "parts").mkdir(exist_ok=True)
    (agent.state_dir / "parts" / f"{middle}.middle").write_bytes(MIDDLE)
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    assert mock.ends("s2")[0]["bytes"] < len(NEW) // 10


@pytest.mark.parametrize("leg", [0, 1])
def test_a_chain_that_does_not_decode_is_replaced_by_the_full_artifact(agent, mock, chain, leg):
    """Whichever of the two patches is useless: it costs bytes, not the update."""
    key = list(mock.patches)[leg]
    mock.patches[key] = ("zstd-patch", b"this is no patch")
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    assert mock.ends("s2")[0]["bytes"] > len(NEW)
    assert agent.leftovers() == []


def test_only_versions_of_the_same_module_are_named(agent, mock):
    """What a delta may start from: other modules would only cost the server builds that nobody wants."""
    agent.enrolled().order([app("1.1.0", OLD), ("lib", "1.0.0", "file", WASM)], step="s1")
    agent.once()
    agent.order([app("2.0.0", NEW), ("lib", "1.0.0", "file", WASM)], step="s2")
    asked = len(mock.offers)
    agent.once()
    assert [query.get("have") for query in mock.offers[asked:]] == [mock.put_blob(OLD)]


def test_failing_health_goes_back_to_the_previous_generation(agent, mock):
    """An ill device takes itself back, says so with the cause, and keeps what it had."""
    agent.enrolled().order([app("1.1.0", OLD)], step="s1")
    agent.once()
    agent.settings["health-command"] = 'test "$FLEET_GENERATION" != 2'
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert agent.runs() == {"app": "1.1.0"}
    end = mock.ends("s2")[0]
    assert (end["state"], end["cause"]) == ("rolled_back", "release")
    assert [m["version"] for m in end["installed"]] == ["1.1.0"]
    assert agent.leftovers() == []
    # The next order works, under a number that was never used.
    agent.order([app("2.0.1", b"better")], step="s3")
    agent.once()
    assert agent.runs() == {"app": "2.0.1"}
    assert agent.record()["good"] == 3


def test_a_first_generation_that_fails_leaves_the_factory_state(agent, mock):
    """There is no generation to go back to: the link is gone again and the factory's modules are told."""
    agent.settings["health-command"] = "false"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    assert agent.runs() is None
    assert mock.ends()[0]["installed"] == [{"module": "app", "version": "1.0.0"}]


def test_illness_during_the_probation_is_seen(agent, mock):
    """Health is asked again until the end of the probation, not only once."""
    count = agent.folder / "count"
    agent.settings["health-command"] = f'echo x >>{count}; test "$(wc -l <{count})" -lt 4'
    agent.enrolled().order([app("2.0.0", NEW)], probation_s=30)
    agent.once()
    assert mock.ends()[0]["state"] == "rolled_back"
    assert len(count.read_text().split()) == 4


def test_a_health_command_that_hangs_is_killed_with_its_children(agent, mock):
    """Time over counts as ill, and nothing that the command started lives on."""
    pids = agent.folder / "pids"
    agent.settings["health-command"] = f"sleep 1000 & echo $! $$ >{pids}; wait"
    agent.settings["command-timeout"] = "300ms"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    assert mock.ends()[0]["state"] == "rolled_back"
    assert not any(alive(pid) for pid in pids.read_text().split())


def test_the_switch_command_runs_after_the_switch_and_on_the_way_back(agent, mock):
    """Services can be restarted at each switch; the generation is in the environment."""
    log = agent.folder / "log"
    agent.settings["switch-command"] = f'echo "$FLEET_GENERATION" >>{log}'
    agent.settings["health-command"] = "false"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    assert log.read_text().split() == ["1", "0"]


def test_a_cut_download_is_resumed(agent, mock):
    """What came before the cut is not asked for again."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["cut"] = 2
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    ranges = [h.get("Range") for method, path, h in mock.requests if path.startswith("/blobs/")]
    half = len(NEW) // 2
    assert ranges == [None, f"bytes={half}-", f"bytes={half + (len(NEW) - half) // 2}-"]


def test_tampered_bytes_are_refused(agent, mock):
    """A download with another digest is thrown away and fetched again."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["tamper"] = 1
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}


def test_bytes_that_stay_tampered_end_the_order(agent, mock):
    """The device does not try for ever, and never runs them."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["tamper"] = 100
    agent.once()
    assert agent.runs() is None
    assert (mock.ends()[0]["state"], mock.ends()[0]["cause"]) == ("failed", "network")


def test_bytes_that_are_no_wasm_are_not_switched_to(agent, mock):
    """A file that is not of its kind is the release's fault."""
    agent.enrolled().order([app("2.0.0", b"#!/bin/sh\n", kind="wasm")])
    agent.once()
    assert agent.runs() is None
    assert (mock.ends()[0]["state"], mock.ends()[0]["cause"]) == ("failed", "release")


@pytest.mark.parametrize("change, what", [
    ({"device": "d2"}, "device"),
    ({"tenant": "other"}, "tenant"),
    ({"expires": 1}, "expired"),
])
def test_a_manifest_for_others_or_too_old_is_refused(agent, mock, change, what):
    """Signed is not enough: it must be for this device, this fleet, and of today."""
    agent.enrolled().order([app("2.0.0", NEW)], **change)
    done = agent.once(code=None)
    assert done.returncode != 0 and "a manifest is refused" in done.stderr and what in done.stderr
    assert agent.runs() is None
    assert mock.reports == []
    assert agent.record()["accepted"] == 0


def test_a_manifest_of_a_strange_key_is_refused(agent, mock):
    """Only keys of the root that was pinned at enrolment sign manifests."""
    agent.enrolled().order([app("2.0.0", NEW)], key=Key())
    assert "a manifest is refused" in agent.once(code=None).stderr
    assert agent.runs() is None


def test_answers_without_the_right_mac_are_not_believed(agent, mock):
    """Somebody on the way cannot put answers in."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["bad_mac"] = True
    done = agent.once(code=None)
    assert done.returncode != 0
    assert agent.record()["offer"] is None


@pytest.mark.parametrize("trouble", [{"strange_handshake": True}, {"old_nonce": "AAAA"}])
def test_a_session_that_somebody_else_made_is_refused(agent, mock, trouble):
    """The answer to a handshake must be signed by the fleet's key, and be to this very handshake."""
    agent.run("--check")
    mock.trouble.update(trouble)
    done = agent.once(code=None)
    assert done.returncode == 5 and "handshake" in done.stderr
    assert not [p for _, p, _ in mock.requests if p == "/device/v1/poll"]


def test_names_that_lead_out_of_the_folder_are_refused(agent, mock):
    """A module called ../x never becomes a path."""
    agent.enrolled().order([("../evil", "1.0.0", "file", b"x")])
    agent.once()
    assert mock.ends()[0]["state"] == "rejected"
    assert not (agent.folder / "evil").exists()


def test_a_kind_that_the_agent_has_no_installer_for_is_rejected(agent, mock):
    """Said at once, before anything is fetched."""
    agent.enrolled().order([app("2.0.0", NEW, kind="container")])
    agent.once()
    assert mock.ends()[0]["state"] == "rejected"
    assert not [p for _, p, _ in mock.requests if p.startswith("/blobs/")]


def test_without_space_nothing_is_fetched(agent, mock):
    """The disk is looked at before the download."""
    agent.settings["reserve"] = "4000000GiB"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    assert (mock.ends()[0]["state"], mock.ends()[0]["cause"]) == ("failed", "device")
    assert not [p for _, p, _ in mock.requests if p.startswith("/blobs/")]


def test_a_disk_that_fills_up_during_the_download_ends_the_order(agent, mock):
    """The failed write is the device's fault; what ran before runs on and the parts are gone."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once(preexec_fn=limit, restore_signals=False)
    assert (mock.ends()[0]["state"], mock.ends()[0]["cause"]) == ("failed", "device")
    assert agent.runs() is None and agent.leftovers() == []


def test_reports_survive_a_server_that_is_busy(agent, mock):
    """A report is kept until the server has it; then exactly once more would be harmless."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["reports_503"] = 6
    agent.once(code=None)
    agent.once()
    assert mock.ends()[0]["state"] == "confirmed"
    assert agent.record()["outbox"] == []


def test_a_report_whose_answer_was_lost_is_sent_again(agent, mock):
    """The server has it on its disk but the device does not know: it comes a second time."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.trouble["lose_acks"] = 1
    agent.once(code=None)
    agent.once()
    assert mock.ends()[-1]["state"] == "confirmed"
    assert [r["state"] for r in mock.reports].count("downloading") >= 1


def test_a_new_session_is_made_when_the_server_forgets_it(agent, mock):
    """A 401 leads to a handshake, not to an end."""
    agent.enrolled()
    process = agent.start("--poll-interval", "50ms")
    mock.wait(lambda: [p for _, p, _ in mock.requests].count("/device/v1/poll") > 2)
    with mock.lock:
        mock.secret = os.urandom(32)
    agent.order([app("2.0.0", NEW)])
    mock.wait(lambda: len(mock.ends()) == 1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


def test_an_order_that_is_fulfilled_already_is_confirmed_at_once(agent, mock):
    """Nothing is fetched and no new generation made."""
    agent.enrolled().order([app("2.0.0", NEW)], step="s1")
    agent.once()
    fetched = len([1 for _, p, _ in mock.requests if p.startswith("/blobs/")])
    agent.order([app("2.0.0", NEW)], step="s2")
    agent.once()
    assert mock.ends("s2")[0]["state"] == "confirmed"
    assert agent.record()["good"] == 1
    assert len([1 for _, p, _ in mock.requests if p.startswith("/blobs/")]) == fetched


def test_without_a_step_the_inventory_tells_the_server(agent, mock):
    """A standing order gets no reports, but the server learns what runs."""
    agent.settings["probation"] = "0s"
    agent.enrolled().order([app("2.0.0", NEW)], step=None)
    agent.once()
    assert mock.reports == []
    assert [m["version"] for m in mock.devices["d1"].inventory["installed"]] == ["2.0.0"]


def test_a_newer_order_overtakes_one_whose_download_waits(agent, mock):
    """The device asks again before it resumes, and carries out what holds then."""
    agent.enrolled().order([app("2.0.0", NEW)], step="s1")
    mock.trouble["cut"] = 10**6
    agent.settings["backoff-max"] = "100ms"
    process = agent.start("--poll-interval", "50ms")
    mock.wait(lambda: len([1 for _, p, _ in mock.requests if p.startswith("/blobs/")]) > 2)
    with mock.lock:
        agent.order([app("2.0.1", b"small")], step="s2")
        mock.trouble["cut"] = 0
    mock.wait(lambda: mock.ends("s2"))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert agent.runs() == {"app": "2.0.1"}
    assert mock.ends("s1") == []


def test_only_two_generations_are_kept(agent, mock):
    """What runs and what it goes back to; older bytes are gone from the disk."""
    agent.enrolled()
    for i in range(1, 5):
        agent.order([app(f"2.0.{i}", b"v%d" % i)], step=f"s{i}")
        agent.once()
    assert sorted(p.name for p in (agent.install / "generations").iterdir()) == ["3", "3.json", "4", "4.json"]
    versions = sorted(p.name.split("-")[0] for p in (agent.install / "modules/app").iterdir())
    assert versions == ["2.0.3", "2.0.4"]


def test_a_module_that_the_order_does_not_name_is_gone_afterwards(agent, mock):
    """The manifest lists all that shall run."""
    agent.enrolled().order([app("2.0.0", NEW), ("lib", "1.0.0", "file", b"lib")], step="s1")
    agent.once()
    agent.order([app("2.0.1", b"new")], step="s2", absent=["lib"])
    agent.once()
    assert agent.runs() == {"app": "2.0.1"}


def test_a_module_without_bytes_stays_as_it_is(agent, mock):
    """'Keep what you have' for what the factory put there and the server never held."""
    agent.enrolled().order([app("1.0.0", None), ("lib", "1.0.0", "file", b"lib")])
    agent.once()
    assert agent.runs() == {"app": "1.0.0", "lib": "1.0.0"}


def test_one_agent_a_folder(agent, mock):
    """The second one refuses to start and says why."""
    agent.enrolled()
    process = agent.start("--poll-interval", "50ms")
    mock.wait(lambda: [p for _, p, _ in mock.requests].count("/device/v1/poll") > 2)
    done = agent.once(code=None)
    assert done.returncode == 6 and "another fleet-agent runs" in done.stderr
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_sigterm_ends_at_once_also_during_a_probation(agent, mock):
    """A stop does not wait for the probation; the next start goes on with it."""
    agent.enrolled().order([app("2.0.0", NEW)], probation_s=3600)
    process = agent.start("--poll-interval", "50ms")
    mock.wait(lambda: "installed" in [r["state"] for r in mock.reports])
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0 and time.monotonic() - began < 10
    assert agent.record()["state"] in ("checking", "probation")


def test_a_trial_that_restarts_the_device_again_and_again_fails(agent, mock):
    """As when the new version trips the watchdog: after three starts the device goes back."""
    agent.enrolled().order([app("2.0.0", NEW)], probation_s=3600)
    for starts in range(3):
        process = agent.start("--poll-interval", "50ms")
        agent.wait_for(lambda r, n=starts: r["state"] == "probation" and r["starts"] == n)
        process.kill()
        process.communicate()
    agent.settings["restarts"] = "2"
    agent.once()
    assert mock.ends()[0]["state"] == "rolled_back"
    assert "started" in mock.ends()[0]["detail"]


def test_secrets_are_for_the_owner_only(agent, mock):
    """Key and record cannot be read by others."""
    agent.enrolled()
    for name in ("device.key", "state.json"):
        assert stat.S_IMODE((agent.state_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.state_dir.stat().st_mode) == 0o700


def test_the_status_can_be_read_beside_a_running_agent(agent, mock):
    """--status takes no lock; --json is for programs."""
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    status = agent.status()
    assert status["generation"] == 1 and status["verdict"] == "confirmed"
    assert [m["version"] for m in status["modules"]] == ["2.0.0"]
    assert "2.0.0" in agent.run("--status").stdout


def test_settings_are_checked_before_anything_happens(agent):
    """--check, a misspelt name, a wrong value: a sentence that says what to do."""
    assert "fine" in agent.run("--check").stdout
    done = agent.run("--check", "--tier", "phone", code=None)
    assert done.returncode == 2 and "phone" in done.stderr
    done = agent.run("--check", "--sever", "x", code=None)
    assert done.returncode == 2
    assert "state_dir" in agent.run("--show-config").stdout


def test_a_damaged_record_is_refused_with_its_path(agent):
    """No guess is made about what may run."""
    agent.enrolled()
    (agent.state_dir / "state.json").write_text('{"version":1')
    done = agent.once(code=None)
    assert done.returncode != 0 and "state.json" in done.stderr


def test_the_wrong_token_is_told(agent, mock):
    """Enrolment fails with the server's reason and can be tried again."""
    (agent.folder / "token").write_text("wrong\n")
    done = agent.once(code=None)
    assert done.returncode == 5 and "token" in done.stderr
    (agent.folder / "token").write_text(mock.token)
    agent.once()


def test_a_moved_link_is_put_right(agent, mock):
    """Each turn looks whether the device runs what the record says."""
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    (agent.install / "current").unlink()
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}


def test_the_graph_is_the_table(agent):
    """--graph prints what graphviz reads; every state of the manual is in it."""
    graph = subprocess.run(agent.arguments("--graph"), capture_output=True, text=True, check=True).stdout
    assert graph.startswith("digraph") and graph.count("->") == 32


def waits(mock):
    return [(r["wait"], r.get("detail", "")) for r in mock.reports if r["state"] == "waiting"]


def test_outside_its_window_everything_is_ready_but_nothing_switches(agent, mock):
    """The download does not wait, the switch does: waiting(window) is reported with the next opening."""
    closed = (time.gmtime().tm_hour + 12) % 24
    agent.settings["switch-window"] = f"{closed:02}:00-{closed:02}:30"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once(env={**os.environ, "TZ": "UTC"})
    assert agent.record()["state"] == "waiting" and agent.runs() is None
    [(what, detail)] = waits(mock)
    assert what == "window" and f"{closed:02}:00" in detail
    assert agent.status()["wait"] == "window"
    agent.settings["switch-window"] = "00:00-24:00"
    agent.once()
    assert agent.runs() == {"app": "2.0.0"} and agent.status()["wait"] is None
    assert [r["state"] for r in mock.ends()] == ["confirmed"]


def test_an_order_may_carry_its_own_window(agent, mock):
    """Nothing switches outside of the spans that the manifest names; a newer one may name others."""
    now = int(time.time() * 1000)
    step = {"rollout": "r", "stage": "L0.W0", "id": "s1", "unit": ["app"], "probation_s": 0}
    agent.enrolled().order([app("2.0.0", NEW)],
                           step={**step, "switch": [[now - 7200_000, now - 3600_000], [now + 1800_000, now + 3600_000]]})
    agent.once()
    assert agent.record()["state"] == "waiting" and agent.runs() is None
    [(what, detail)] = waits(mock)
    opens = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(now / 1000 + 1800))
    assert what == "window" and f"window opens {opens}" in detail
    agent.order([app("2.0.0", NEW)], step={**step, "switch": [[now - 7200_000, now + 3600_000]]})
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}
    assert [r["state"] for r in mock.ends()] == ["confirmed"]


def test_a_frozen_agent_downloads_and_does_not_switch(agent, mock):
    """The answer to a report or a poll holds it, over a restart too, until a poll brings the order again."""
    agent.enrolled().order([app("2.0.0", NEW)])
    mock.hold = True
    agent.once()
    assert agent.record()["state"] == "waiting" and agent.runs() is None and agent.record()["held"]
    assert "freeze" in waits(mock)[-1][1]
    agent.once()
    assert agent.record()["state"] == "waiting" and agent.runs() is None
    mock.hold = False
    agent.once()
    assert agent.runs() == {"app": "2.0.0"} and not agent.record()["held"]


def test_the_window_is_in_the_devices_own_time(agent, mock):
    """The same hours are open in one zone and closed in another."""
    agent.settings["switch-window"] = f"{time.gmtime().tm_hour:02}:00-{(time.gmtime().tm_hour + 2) % 24:02}:00"
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once(env={**os.environ, "TZ": "UTC+12"})
    assert agent.record()["state"] == "waiting"
    agent.once(env={**os.environ, "TZ": "UTC"})
    assert agent.runs() == {"app": "2.0.0"}


def test_the_ready_command_holds_the_download(agent, mock, tmp_path):
    """Not a byte is fetched before it says yes; what it prints last is told to the operator."""
    agent.settings["ready-command"] = f'test "$FLEET_STATE" != downloading || test -e {tmp_path}/wifi || {{ echo network is metered; exit 1; }}'
    agent.enrolled().order([app("2.0.0", NEW)])
    agent.once()
    assert waits(mock) == [("network", "network is metered")]
    assert not [path for _, path, _ in mock.requests if path.startswith("/blobs/")]
    (tmp_path / "wifi").touch()
    agent.once()
    assert agent.runs() == {"app": "2.0.0"}


def test_the_ready_command_holds_the_switch(agent, mock, tmp_path):
    """A running agent looks again by itself; who gives no reason waits for consent, and says so once."""
    agent.settings.update({"ready-command": f'test "$FLEET_STATE" != installing || test -e {tmp_path}/yes',
                           "ready-interval": "50ms", "poll-interval": "100ms"})
    agent.enrolled()
    process = agent.start()
    agent.order([app("2.0.0", NEW)])
    mock.wait(lambda: waits(mock))
    polls = len(mock.requests)
    mock.wait(lambda: len(mock.requests) > polls + 3)
    assert [what for what, _ in waits(mock)] == ["consent"]
    (tmp_path / "yes").touch()
    mock.wait(lambda: mock.ends())
    assert [r["state"] for r in mock.ends()] == ["confirmed"] and agent.runs() == {"app": "2.0.0"}
    process.terminate()
    process.communicate()


def test_a_newer_order_overtakes_one_that_waits(agent, mock, tmp_path):
    """It goes on polling: what was taken back by the server is never switched to."""
    agent.settings.update({"ready-command": f'test "$FLEET_STATE" != installing || test -e {tmp_path}/yes',
                           "ready-interval": "50ms", "poll-interval": "100ms"})
    agent.enrolled()
    process = agent.start()
    agent.order([app("2.0.0", NEW)], step="s1")
    mock.wait(lambda: waits(mock))
    agent.order([app("3.0.0", OLD)], step="s2")
    mock.wait(lambda: any(r["step"] == "s2" and r["state"] == "waiting" for r in mock.reports))
    (tmp_path / "yes").touch()
    mock.wait(lambda: mock.ends("s2"))
    assert mock.ends("s1") == [] and agent.runs() == {"app": "3.0.0"}
    process.terminate()
    process.communicate()
