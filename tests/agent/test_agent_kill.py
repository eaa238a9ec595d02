# SPDX-License-Identifier: Apache-2.0
"""fleet-agent is killed at every edge of its state machine, before and after the record is saved. It
must always end with a whole generation and the right report."""
import os
import resource
import signal
import subprocess

import pytest

from deltas import wasm
from fleet_agent import KILLED, Agent, zstd_patch
from fleet_server import program

OLD = os.urandom(50_000)
NEW = OLD[:20_000] + b"!" + OLD[20_000:]
LIB = b"\0asm\1\0\0\0" + os.urandom(500)


def prepare(agent, mock, story):
    """Version 1.1.0 runs; then the order of the story is given. -> what must run and be reported."""
    agent.enrolled().order([("app", "1.1.0", "file", OLD)], step="s1")
    agent.once()
    pair = (mock.put_blob(OLD), mock.put_blob(NEW))
    if story == "patch":
        mock.patches[pair] = ("zstd-patch", zstd_patch(OLD, NEW))
    elif story == "bad patch":
        mock.patches[pair] = ("zstd-patch", b"no patch")
    elif story == "ill":
        agent.settings["health-command"] = 'test "$FLEET_GENERATION" = 1'
    elif story in ("held", "let go"):
        agent.settings["ready-command"] = f'test "$FLEET_STATE" != installing || test -e {agent.folder}/yes'
    elif story == "cut":
        mock.trouble["cut"] = 1
    wasm = b"no wasm" if story == "wrong kind" else LIB
    agent.order([("app", "2.0.0", "file", NEW), ("lib", "1.0.0", "wasm", wasm)], step="s2")
    if story == "let go":
        agent.once()
        (agent.folder / "yes").touch()
    if story == "ill":
        return {"app": "1.1.0"}, "rolled_back"
    if story == "wrong kind":
        return {"app": "1.1.0"}, "failed"
    return {"app": "2.0.0", "lib": "1.0.0"}, "confirmed"


@pytest.mark.parametrize("when", ["--kill-before-save", "--kill-after-save"])
@pytest.mark.parametrize("story", ["patch", "bad patch", "ill", "cut", "wrong kind", "held", "let go"])
def test_killed_at_every_edge_it_ends_right(tmp_path, mock, story, when):
    """One device an edge; after the kill a whole generation runs, after the next run the right one."""
    for edge in range(1, 40):
        agent = Agent(tmp_path / f"{edge}", mock, name=f"d{edge}")
        before = len(mock.ends())
        runs, state = prepare(agent, mock, story)
        done = agent.once(when, edge, code=None)
        if story == "held":
            (agent.folder / "yes").touch()
            if done.returncode != KILLED:
                assert agent.record()["state"] == "waiting" and agent.runs() == {"app": "1.1.0"}
                done = agent.once()
        if done.returncode != KILLED:
            assert done.returncode == 0, done.stderr
            assert agent.runs() == runs
            break
        assert agent.runs() in ({"app": "1.1.0"}, {"app": "2.0.0", "lib": "1.0.0"})
        agent.once()
        assert agent.runs() == runs
        ends = [r for r in mock.ends()[before:] if r["step"] == "s2"]
        assert ends and all(r["state"] == state for r in ends)
        assert {m["module"]: m["version"] for m in ends[-1]["installed"]} == runs
        assert agent.leftovers() == [] and agent.record()["outbox"] == []
    # It did reach the end, and did not end before there was something to kill.
    assert 5 < edge < 39


def test_killed_twice_in_a_row_it_ends_right(agent, mock):
    """The second process is killed at its first edges too: work is repeatable, not only once."""
    runs, state = prepare(agent, mock, "patch")
    for edge in range(1, 12):
        agent.once("--kill-before-save", edge, code=None)
        agent.once("--kill-after-save", 1, code=None)
        if mock.ends("s2"):
            break
    agent.once()
    assert agent.runs() == runs
    assert {r["state"] for r in mock.ends("s2")} == {state}


@pytest.mark.parametrize("model", ["none", "256k"])
def test_killed_while_it_decodes_a_module_it_goes_on(tmp_path, agent, mock, model):
    """Killed in the middle of writing what a wasm-aware delta gives, the agent keeps that half and makes it
    whole: the very file that was begun is installed."""
    old, new = wasm(900), wasm(900, inserted=(1, 2))
    for name, data in (("old", old), ("new", new)):
        (tmp_path / name).write_bytes(data)
    subprocess.run([program("fleetctl"), "delta", "make", tmp_path / "old", tmp_path / "new", "-o", tmp_path / "patch",
                    "--bare", "--codec", "wasm-delta", "--model", model], check=True, capture_output=True)
    codec = "wasm-delta" if model == "none" else f"wasm-delta-{model}"
    agent.enrolled().order([("lib", "1.0.0", "wasm", old)], step="s1")
    agent.once()
    mock.patches[(mock.put_blob(old), mock.put_blob(new))] = (codec, (tmp_path / "patch").read_bytes())
    agent.order([("lib", "2.0.0", "wasm", new)], step="s2")
    half = len(new) // 2
    done = agent.once(code=None, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (half, half)))
    assert done.returncode == -signal.SIGXFSZ, done.stderr
    begun = [p for p in agent.folder.rglob("*") if p.is_file() and p.stat().st_size == half]
    assert len(begun) == 1 and begun[0].read_bytes() == new[:half]
    inode = begun[0].stat().st_ino
    agent.once()
    assert agent.runs() == {"lib": "2.0.0"}
    assert (agent.install / "current" / "lib").stat().st_ino == inode
    assert agent.leftovers() == []
