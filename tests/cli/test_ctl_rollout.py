# SPDX-License-Identifier: Apache-2.0
"""Plans and rollouts: create, the verbs, figures, and watching."""
import json
import re
import signal

import pytest
from mock_api import hang_up, problem

ESCAPE = re.compile(r"\033\[[0-9;]*[mJK]")
REDRAW = re.compile(r"\033\[\d+A\r\033\[J")


def a_stage(layer, wave, state="pending", targets=10, gate="", **steps):
    return {"layer": layer, "wave": wave, "state": state, "steps": steps, "targets": targets, "completion": None,
            "failure": None, "rollback": None, "bytes_sent": 0, "bytes_saved": 0,
            "gate": {"decision": "open", "text": gate, "counted": 0, "successes": 0, "failures": 0},
            "opened_at": None, "soak_until": None, "ended_at": None}


def a_wave(wave, **figures):
    return {"wave": wave, "devices": 10, "targets": 10, "confirmed": 0, "failed": 0, "timed_out": 0, "completion": 0.0,
            "failure": None, "rollback": None, "rolled_back_by_device": 0, "rolled_back_by_server": 0,
            "rollback_failure": None, "time_median_s": None, "time_p95_s": None, "bytes_sent": 0, "bytes_saved": 0,
            **figures}


def figures(state, *stages, reason="", completion=0.0):
    waves = sorted({s["wave"] for s in stages})
    return {"rollout": "r", "state": state, "reason": reason, "stages": list(stages),
            "waves": [a_wave(w) for w in waves], "total": {**a_wave(0, completion=completion), "devices": 10 * len(waves)}}


FORECAST = {"reach_p95_s": 59, "never_seen": 3, "time_s": 98, "time_max_s": 608400, "peak_offers_s": 17,
            "peak_bytes_s": 5_000_000, "downtime_s": None, "build_s": 4}
PLAN = {"rollout": "r", "release": "2026.11", "digest": "e" * 64, "order": "wave_first", "seed": 42,
        "layers": [{"layer": 0, "units": [["runtime"]]}, {"layer": 1, "units": [["lib"], ["app", "plugin"]]}],
        "waves": [{"wave": 0, "devices": 5}, {"wave": 1, "devices": 495, "name": "rest"}],
        "stages": [{"layer": 0, "wave": 0, "devices": 5, "bytes_full": 50_000_000, "bytes_delta": 5_000_000,
                    "deltas_to_build": 2, "no_way_back": 0},
                   {"layer": 1, "wave": 1, "devices": 495, "bytes_full": 5_000_000_000, "bytes_delta": None,
                    "deltas_to_build": 0, "no_way_back": 7}],
        "classes": [{"class": 0, "devices": 480, "from": [{"module": "app", "version": "1.0.0"}],
                     "to": [[{"module": "runtime", "version": "2.0.0"}], [{"module": "app", "version": "2.0.0"}]],
                     "kind": "update", "reason": ""},
                    {"class": 1, "devices": 20, "from": [], "to": [], "kind": "incompatible",
                     "reason": "app 2.0.0 has no variant for arch mips"}],
        "totals": {"devices": 500, "update": 480, "noop": 0, "incompatible": 20, "held": 0}, "refusals": [],
        "forecast": {"time_s": 196, "time_max_s": 1216800, "observed": False}}
for one in PLAN["stages"]:
    one["forecast"] = FORECAST


@pytest.fixture
def rollout(mock):
    mock.rollouts["r"] = {"name": "r", "release": "2026.11", "selector": "", "strategy": {"order": "wave_first"},
                          "state": "running", "reason": "", "plan_digest": "e" * 64, "waves": 2, "layers": 2,
                          "targets": 480, "created_at": "2026-11-23T08:00:00.000Z", "created_by": "tester",
                          "started_at": None, "ended_at": None}
    mock.plans["r"] = PLAN
    mock.stats = [figures("running", a_stage(0, 0, "running", confirmed=3, queued=7))]
    return mock


# ---- creating


def test_create_sends_the_strategy(ctl, mock):
    """Each option lands in its place of the body; what is not given is left to the server."""
    result = ctl("rollout", "create", "november", "--release", "2026.11", "--selector", "label.site==lab", "--wave", "5",
                 "--wave", "10%", "--wave", "label.canary==yes", "--strata", "attribute.hw", "--seed", "42", "--success",
                 "99%", "--success-minimum", "20", "--error", "1.5", "--error-minimum", "3", "--count-cause", "release",
                 "--soak", "1h30min", "--reach", "2d", "--install", "10min", "--probation", "5", "--max-in-flight", "50",
                 "--max-per-minute", "9",
                 "--max-drift", "4", "--on-failure", "rollback", "--order", "wave_first", "--conflicts", "leave_out",
                 "--approvals", "1", "--approver", "ann", "--approver", "bob",
                 "--early", "label.test==yes", "--joiners", "last_wave")
    assert result.code == 0, result
    body = json.loads(mock.asked("PUT", "rollouts/november")[0][3])
    assert body == {"release": "2026.11", "selector": "label.site==lab", "start": "manual", "strategy": {
        "waves": [{"count": 5}, {"percent": 10}, {"selector": "label.canary==yes"}], "strata": ["attribute.hw"],
        "seed": 42, "order": "wave_first", "on_failure": "rollback", "conflicts": "leave_out", "soak_s": 5400,
        "reach_s": 172800, "install_s": 600, "probation_s": 5, "max_in_flight": 50, "max_drift_percent": 4,
        "pace": {"max_per_minute": 9},
        "early": "label.test==yes", "joiners": "last_wave", "approvals": 1, "approvers": ["ann", "bob"],
        "gate": {"success": {"percent": 99, "minimum": 20}, "error": {"percent": 1.5, "minimum": 3},
                 "causes": ["release"]}}}
    assert "rollout november is created: ready" in result.out
    assert "fleetctl rollout start november" in result.out


def test_waves_can_be_generated(ctl, mock):
    """--wave x2 doubles the wave before it until all are in."""
    assert ctl("rollout", "create", "n", "--release", "x", "--wave", "1%", "--wave", "x2").code == 0
    assert json.loads(mock.asked("PUT", "rollouts")[0][3])["strategy"]["waves"] == [{"percent": 1}, {"factor": 2}]
    result = ctl("rollout", "create", "n", "--release", "x", "--wave", "xx")
    assert result.code == 2 and "x2" in result.err


def test_create_with_nothing_leaves_all_to_the_server(ctl, mock):
    """Without options the strategy is empty and the selector everybody."""
    ctl("rollout", "create", "n", "--release", "x", "--start")
    assert json.loads(mock.asked("PUT", "rollouts")[0][3]) == {"release": "x", "selector": "", "strategy": {},
                                                              "start": "auto"}


def test_create_takes_a_file_and_options_go_before_it(ctl, mock, tmp_path):
    """--strategy FILE is the base; options change single members of it."""
    (tmp_path / "s.json").write_text('{"soak_s": 60, "gate": {"error": {"percent": 9, "minimum": 2}}}')
    assert ctl("rollout", "create", "n", "--release", "x", "--strategy", "s.json", "--error", "1").code == 0
    assert json.loads(mock.asked("PUT", "rollouts")[0][3])["strategy"] == {
        "soak_s": 60, "gate": {"error": {"percent": 1, "minimum": 2}}}
    (tmp_path / "s.json").write_text("{")
    result = ctl("rollout", "create", "n", "--release", "x", "--strategy", "s.json")
    assert result.code == 2 and "--strategy s.json: not JSON" in result.err


def test_create_again_and_otherwise(ctl):
    """The same again is fine, other content under the same name is refused (6)."""
    assert ctl("rollout", "create", "n", "--release", "x").code == 0
    assert "was created before" in ctl("rollout", "create", "n", "--release", "x").out
    assert ctl("rollout", "create", "n", "--release", "y").code == 6


def test_a_plan_with_refusals_fails_the_creation(ctl, mock):
    """A rollout whose plan is refused exits 7 with the reason and where to look."""
    mock.rollouts["n"] = {"name": "n", "release": "x", "selector": "", "strategy": {}, "start": "manual",
                          "state": "failed", "reason": "app 2.0.0 needs lib ^3, which nobody published",
                          "targets": 0, "waves": 0, "layers": 0}
    mock.put = lambda store, key, made, what: (201, store[key])
    result = ctl("rollout", "create", "n", "--release", "x")
    assert result.code == 7
    assert "app 2.0.0 needs lib ^3" in result.err and "fleetctl plan show n" in result.err


# ---- reading


def test_plan_is_readable(ctl, rollout):
    """plan show tells layers with their units, waves, costs, no way back, classes and why not."""
    out = ctl("plan", "show", "r").out
    assert re.search(r"devices +500: 480 to update, 20 incompatible", out)
    assert re.search(r"1 +lib, app\+plugin", out)
    assert re.search(r"L0.W0 +runtime +5 +47.7 MiB +4.8 MiB +90 % +2 +-", out)
    assert re.search(r"L1.W1 +lib, app\+plugin +495 +4.7 GiB +- +- +0 +7", out)
    assert re.search(r"L1.W1 +1 min 38 s +7 d 1 h +59 s +3 +17 +4.8 MiB +- +4 s", out), out
    assert "All of it: 3 min 16 s, at most 14 d 2 h (a guess: no rollout has been observed yet)" in out
    assert re.search(r"480 +to update +app@1.0.0 +runtime@2.0.0, then app@2.0.0", out)
    assert "app 2.0.0 has no variant for arch mips" in out
    assert ctl("plan", "show", "r", "--json").json == PLAN


@pytest.mark.parametrize("columns", [50, 80, 132])
def test_plan_fits_the_terminal(ctl, rollout, columns):
    """On a terminal the tables of a plan are not wider than the terminal."""
    out = ESCAPE.sub("", ctl.terminal("plan", "show", "r", columns=columns).out)
    tables = [line for line in out.splitlines() if "  " in line]
    assert tables and all(len(line) <= columns for line in tables)


def test_plans_are_compared(ctl, rollout):
    """plan diff is a table of what differs, with the devices that come in another wave; equal plans say so."""
    side = {"id": "plan-1", "rollout": "r", "digest": "e" * 64}
    members = {"only_a": 0, "only_b": 12, "same_wave": 400, "other_wave": 3}
    rollout.plan_diff = {"a": side, "b": {**side, "id": "plan-2", "rollout": "s"}, "same": False, "members": members,
                         "changes": [{"what": "totals: update", "a": 480, "b": 492},
                                     {"what": "layer 1", "a": [["lib"], ["app", "plugin"]], "b": None}]}
    shown = ctl("plan", "diff", "r", "s").out
    assert re.search(r"totals: update +480 +492\n", shown) and re.search(r"layer 1 +lib, app, plugin +-\n", shown), shown
    assert "400 in the same wave, 3 in another, 0 only in A, 12 only in B" in shown
    assert ctl("plan", "diff", "r", "s", "--json").json == rollout.plan_diff
    rollout.plan_diff = {**rollout.plan_diff, "same": True}
    assert "the plans are the same" in ctl("plan", "diff", "r", "r").out
    assert ctl("plan", "diff", "r").code == 2


def test_preview_shows_refusals_and_exits_7(ctl, mock):
    """plan preview keeps nothing; refusals name their chain and exit 7."""
    mock.plans["preview"] = {**PLAN, "refusals": [{"reason": "a cycle of requirements", "chain": ["app", "lib", "app"],
                                                   "devices": 12}]}
    result = ctl("plan", "preview", "--release", "x", "--wave", "10%")
    assert result.code == 7
    assert "a cycle of requirements (12 devices): app -> lib -> app" in result.out
    assert mock.rollouts == {}


def test_rollout_ls_and_show(ctl, rollout):
    """ls and show tell state, release and size."""
    assert re.search(r"r +running +2026.11 +480 +2x2", ctl("rollout", "ls").out)
    assert re.search(r"devices +all", ctl("rollout", "show", "r").out)


def test_stats_is_the_table_of_waves(ctl, rollout):
    """stats prints each figure of the design per wave; a figure without a base is '-'."""
    rollout.stats = [{**figures("completed"), "waves": [
        a_wave(0, confirmed=9, failed=1, completion=0.9, failure=0.1, rollback=0.1, rolled_back_by_device=1,
               rollback_failure=0.0, time_median_s=12.4, time_p95_s=75, bytes_sent=2048, bytes_saved=1048576, retried=3),
        a_wave(1)], "stages": [a_stage(0, 0, "failed", gate="2 of 10 failed, 0.5 allowed", failed=2, confirmed=8)]}]
    out = ctl("rollout", "stats", "r").out
    lines = out.splitlines()
    assert re.split(r" {2,}", lines[0]) == ["WAVE", "DEVICES", "TARGETS", "CONFIRMED", "FAILED", "TIMED OUT", "COMPLETION",
                                             "FAILURE", "ROLLBACK", "BY DEVICE", "BY SERVER", "RB FAILURE", "MEDIAN", "P95",
                                             "SENT", "SAVED", "RETRIED"]
    assert re.split(r" {2,}", lines[1].strip()) == ["0", "10", "10", "9", "1", "0", "90 %", "10 %", "10 %", "1", "0", "0 %",
                                                     "12 s", "1 min 15 s", "2.0 KiB", "1.0 MiB", "3"]
    assert re.split(r" {2,}", lines[2].strip())[6:9] == ["0 %", "-", "-"]
    assert lines[3].strip().startswith("all")
    assert "2 of 10 failed, 0.5 allowed" in ctl("rollout", "stats", "r", "--stages").out
    narrow = ESCAPE.sub("", ctl.terminal("rollout", "stats", "r", columns=80).out).splitlines()
    assert all(len(line) <= 80 for line in narrow) and len(narrow) == 14 and not any("…" in line for line in narrow)


def test_steps_filter(ctl, rollout):
    """steps passes stage and state on and shows cause and detail."""
    result = ctl("rollout", "steps", "r", "--stage", "L0.W1", "--state", "failed")
    assert re.search(r"dev-1 +L0.W1 +failed +release +1 .*health check: exit 3", result.out)
    assert "layer=0&wave=1&state=failed" in rollout.requests[-1][1]


@pytest.mark.parametrize("args, body", [
    (["start"], {}),
    (["start", "--plan", "e" * 64, "--accept-drift"], {"plan_digest": "e" * 64, "accept_drift": True}),
    (["approve"], {"plan_digest": "e" * 64}),
    (["approve", "--plan", "f" * 64, "--why", "fine"], {"plan_digest": "f" * 64, "why": "fine"}),
    (["deny", "--why", "no"], {"why": "no"}),
    (["pause", "--why", "coffee"], {"why": "coffee"}),
    (["resume"], {}),
    (["promote"], {}),
    (["promote", "--stage", "0,1"], {"stage": "L0.W1"}),
    (["stop", "--in-flight", "cancel"], {"in_flight": "cancel"}),
    (["rollback"], {}),
    (["rollback", "--wave", "1"], {"wave": 1}),
    (["retry", "--cause", "network", "--cause", "server"], {"causes": ["network", "server"]}),
])
def test_verbs(ctl, rollout, args, body):
    """Each verb sends its body, prints what the server did and how many devices may still switch."""
    result = ctl("rollout", args[0], "r", *args[1:])
    assert result.code == 0, result
    assert rollout.verbs == [(args[0], body)]
    assert result.out == f"rollout r: {args[0]} is done\n3 devices may still switch, until 2026-11-23 08:00:00 UTC\n"


def test_a_waiting_rollout_says_who_must_act(ctl, rollout):
    """show lists who approved and denied; deny without a reason is refused before it is sent."""
    rollout.rollouts["r"].update(state="waiting_approval", approvals=[
        {"by": "ann", "agrees": True, "why": "", "plan_digest": "e" * 64, "at": "2026-11-23T08:00:00.000Z"},
        {"by": "bob", "agrees": False, "why": "not now", "plan_digest": "e" * 64, "at": "2026-11-23T08:00:00.000Z"}])
    shown = ctl("rollout", "show", "r").out
    assert re.search(r"approved by +ann\n", shown) and re.search(r"denied by +bob: not now\n", shown), shown
    result = ctl("rollout", "deny", "r")
    assert result.code == 2 and "--why" in result.err and rollout.verbs == []


def test_a_verb_as_json(ctl, rollout):
    """--json of a verb is the API's answer."""
    assert ctl("rollout", "pause", "r", "--json").json["may_still_switch"] == 3


# ---- watching

DONE = figures("completed", a_stage(0, 0, "succeeded", confirmed=10), a_stage(0, 1, "succeeded", confirmed=10),
               completion=1.0)
HALF = figures("running", a_stage(0, 0, "succeeded", confirmed=10),
               a_stage(0, 1, "running", confirmed=4, failed=1, queued=5, gate="needs 10 of 10 counted"), completion=0.7)
START = figures("running", a_stage(0, 0, "running", confirmed=1, queued=9), a_stage(0, 1), completion=0.05)


def test_watch_tells_changes_line_by_line(ctl, rollout):
    """Without a terminal: one line for each change of the rollout, a stage, or a tenth of completion; exit 0."""
    rollout.stats = [START, HALF, DONE]
    result = ctl("rollout", "watch", "r")
    assert result.code == 0, result
    told = [line.split(" ", 1)[1] for line in result.out.splitlines()]
    assert told == [
        "rollout r running",
        "stage L0.W0 running: 1 of 10 confirmed, 0 failed",
        "stage L0.W0 succeeded: 10 of 10 confirmed, 0 failed",
        "stage L0.W1 running: 4 of 10 confirmed, 1 failed",
        "completion 70 %, failure -",
        "rollout r completed",
        "stage L0.W1 succeeded: 10 of 10 confirmed, 0 failed",
        "completion 100 %, failure -"]
    polls = [r[2] for r in rollout.asked("GET", "/stats")]
    assert "Prefer" not in polls[0] and polls[1]["Prefer"].startswith("wait=") and "If-None-Match" in polls[1]


def stages(state, first, second):
    return figures(state, a_stage(0, 0, first), a_stage(0, 1, second))


@pytest.mark.parametrize("until, answers, code", [
    ("complete", [stages("completed", "succeeded", "succeeded")], 0),
    ("wave:0", [stages("running", "succeeded", "running")], 0),
    ("wave:0", [stages("paused", "succeeded", "failed")], 0),
    ("stage:0,0", [stages("running", "running", "pending"), stages("running", "succeeded", "pending")], 0),
    ("stage:L0.W0", [stages("running", "skipped", "pending")], 0),
    ("stage", [stages("running", "running", "pending"), stages("running", "succeeded", "running")], 0),
    ("stage", [stages("running", "succeeded", "running"), stages("completed", "succeeded", "succeeded")], 0),
    ("complete", [stages("stopped", "succeeded", "skipped")], 20),
    ("complete", [stages("rolling_back", "rolling_back", "pending"), stages("rolled_back", "rolled_back", "skipped")], 20),
    ("complete", [stages("failed", "failed", "pending")], 20),
    ("complete", [stages("denied", "pending", "pending")], 20),
    ("wave:1", [stages("stopped", "succeeded", "skipped")], 0),
    ("complete", [stages("paused", "failed", "pending")], 21),
    ("complete", [stages("running", "inconclusive", "pending")], 21),
    ("complete", [stages("waiting_approval", "pending", "pending")], 21),
    ("wave:1", [stages("paused", "succeeded", "failed")], 21),
    ("complete", [stages("running", "running", "pending")], 22),
    ("complete", [stages("ready", "pending", "pending")], 22),
    ("wave:7", [stages("running", "running", "pending")], 4),
    ("stage:3,0", [stages("running", "running", "pending")], 4),
])
def test_watch_exit_codes(ctl, rollout, until, answers, code):
    """0 reached, 20 failed, 21 a person must decide, 22 time over, 4 no such stage."""
    rollout.stats = answers
    result = ctl("rollout", "watch", "r", "--until", until, "--timeout", "1s" if code == 22 else "20s")
    assert result.code == code, result
    if code == 21:
        assert "fleetctl rollout" in result.err or "waits for approval" in result.err
    if code == 22:
        assert "not reached within 1 s; the rollout goes on" in result.err


def test_watch_as_json_is_the_figures_at_the_end(ctl, rollout):
    """--json: one document, the last figures; the exit code is the same."""
    rollout.stats = [START, stages("paused", "failed", "pending")]
    result = ctl("rollout", "watch", "r", "--json")
    assert result.code == 21 and result.json["state"] == "paused"


def test_watch_quiet_says_only_the_exit_code(ctl, rollout):
    """--quiet: no output at all."""
    rollout.stats = [START, stages("stopped", "failed", "pending")]
    result = ctl("rollout", "watch", "r", "--quiet")
    assert (result.code, result.out, result.err) == (20, "", "")


def test_watch_survives_a_restart_of_the_server(ctl, rollout):
    """Connections that break and 503s in the middle do not end the watching."""
    rollout.stats = [START, DONE]
    calls = rollout.on_rollouts

    def fail_second(*args):
        if rollout.asked("GET", "/stats") and len(rollout.asked("GET", "/stats")) == 2:
            rollout.faults += [("GET", "/stats", hang_up), ("GET", "/stats", problem("unavailable", "starting"))]
            rollout.on_rollouts = calls
            args[4].close_connection = True
            raise ConnectionError
        return calls(*args)

    rollout.on_rollouts = fail_second
    result = ctl("rollout", "watch", "r")
    assert result.code == 0, result
    assert "trying again" in result.err


def test_watch_of_what_is_not_there(ctl, mock):
    """An unknown rollout is not waited for."""
    assert ctl("rollout", "watch", "nil").code == 4


def test_grid_on_a_terminal(ctl, rollout):
    """On a terminal the grid shows units, waves, states with glyph and colour, and is redrawn in place."""
    rollout.stats = [START, HALF, DONE]
    result = ctl.terminal("rollout", "watch", "r", columns=100)
    assert result.code == 0, result
    assert len(REDRAW.findall(result.out)) == 2
    frames = [ESCAPE.sub("", f) for f in REDRAW.split(result.out)]
    assert re.search(r"runtime +● 1/10 +·", frames[0])
    assert re.search(r"runtime +✔ 10/10 +● 4/10 1 bad", frames[1])
    assert "queued 5  confirmed 14  failed 1" in frames[1]
    assert "L0.W1 needs 10 of 10 counted" in frames[1]
    assert "\033[32m✔ 10/10" in result.out
    assert "r  ✔ completed" in frames[2]


@pytest.mark.parametrize("columns, rows", [(30, 24), (60, 10), (80, 24), (200, 50)])
def test_grid_fits_any_terminal(ctl, rollout, columns, rows):
    """With forty waves no line is wider, no picture higher than the terminal; the busy wave is in sight."""
    cells = [a_stage(0, w, "succeeded" if w < 30 else "running" if w == 30 else "pending", confirmed=3) for w in range(40)]
    rollout.stats = [figures("running", *cells), figures("completed", *cells)]
    result = ctl.terminal("rollout", "watch", "r", columns=columns, rows=rows)
    assert result.code == 0
    first = [ESCAPE.sub("", line) for line in REDRAW.split(result.out)[0].splitlines()]
    assert len(first) < rows
    assert all(len(line) <= columns for line in first), first
    assert "wave 30" in "\n".join(first)


def test_grid_without_utf8_or_cursor(ctl, rollout):
    """In the C locale glyphs are ASCII; on a dumb terminal watch tells lines instead of drawing."""
    rollout.stats = [START, DONE]
    out = ctl.terminal("rollout", "watch", "r", env={"LANG": "C", "LC_ALL": "C"}).out
    assert out.isascii() and "* 1/10" in out
    rollout.stats = [START, DONE]
    out = ctl.terminal("rollout", "watch", "r", env={"TERM": "dumb"}).out
    assert "\033" not in out and "stage L0.W0 running: 1 of 10 confirmed" in out


def test_interrupting_a_watch_leaves_the_rollout_alone(ctl, rollout):
    """An interrupt ends the watching and sends nothing to the server."""
    process = ctl.start("rollout", "watch", "r")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert rollout.verbs == []
