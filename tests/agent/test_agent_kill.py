# SPDX-License-Identifier: Apache-2.0
"""fleet-agent is killed at every edge of its state machine, before and after the record is saved. It
must always end with a whole generation and the right report."""
import os

import pytest

from fleet_agent import KILLED, Agent, zstd_patch

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
