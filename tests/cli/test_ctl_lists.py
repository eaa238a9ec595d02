# SPDX-License-Identifier: Apache-2.0
"""Lists and things: tables that fit, pages, JSON, quiet, colour."""
import json
import re

import pytest
from mock_api import NOW

ESCAPE = re.compile(r"\033\[[0-9;]*m")


@pytest.fixture
def fleet(mock):
    for number in range(2500):
        mock.add_device(f"dev-{number:04}", labels={"site": "lab", "rack": f"r{number % 40}"},
                        installed=[{"module": "app", "version": "1.0.0"}, {"module": "runtime", "version": "2.0.1"}],
                        attributes={"hw": "rev-c"})
    return mock


def test_lists_follow_the_pages(ctl, fleet):
    """--all takes every page, --limit so many, and without either it says that there are more."""
    result = ctl("device", "ls", "--all")
    lines = result.out.splitlines()
    assert result.code == 0 and len(lines) == 2501 and result.err == ""
    assert len({line.index("app@") for line in lines[1:]}) == 1  # the columns of all pages are aligned
    result = ctl("device", "ls", "-n", "1500")
    assert len(result.out.splitlines()) == 1501
    assert "there are more than these 1500" in result.err
    assert len(ctl("device", "ls").out.splitlines()) == 1001


def test_json_of_a_list_is_one_document(ctl, fleet):
    """--json of all pages is one document with all items."""
    document = ctl("device", "ls", "--all", "--json").json
    assert len(document["items"]) == 2500 and document["next"] is None
    part = ctl("device", "ls", "-n", "1200", "--json").json
    assert [d["id"] for d in part["items"]] == [f"dev-{n:04}" for n in range(1200)] and part["next"] == "1200"


def test_quiet_list_is_names_only(ctl, fleet):
    """--quiet prints the first column, one name a line."""
    lines = ctl("device", "ls", "-q", "-n", "3").out.splitlines()
    assert lines == ["dev-0000", "dev-0001", "dev-0002"]
    assert "there are more than these 3" in ctl("device", "ls", "-q", "-n", "3").err  # never silently less


def test_where_is_passed_on(ctl, fleet):
    """--selector goes to the server as q, whatever it contains."""
    ctl("device", "ls", "--selector", "label.site==lab;installed.app<2.0.0")
    assert "q=label.site%3D%3Dlab%3Binstalled.app%3C2.0.0" in fleet.requests[-1][1]


def test_a_pipe_gets_whole_words_without_colour(ctl, fleet):
    """In a pipe nothing is cut or coloured, however long the lines are."""
    fleet.devices["dev-0000"]["labels"]["long"] = "x" * 300
    out = ctl("device", "ls", "-n", "2").out
    assert "\033" not in out and "x" * 300 in out and "…" not in out


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_tables_fit_the_terminal(ctl, fleet, columns):
    """On a terminal no line is wider than the terminal."""
    fleet.devices["dev-0000"]["labels"]["long"] = "x" * 300
    result = ctl.terminal("device", "ls", "-n", "5", columns=columns)
    assert result.code == 0
    lines = ESCAPE.sub("", result.out).splitlines()
    assert lines[0].startswith("DEVICE")
    for line in lines[:6]:
        assert len(line) <= columns, line


def test_colour_only_where_it_is_wanted(ctl, mock):
    """Colour on a terminal; none with NO_COLOR, none on a dumb terminal."""
    mock.modules["app"] = {"name": "app", "kind": "wasm", "tier": "device", "description": ""}
    assert "\033[1m" in ctl.terminal("module", "ls").out
    assert "\033" not in ctl.terminal("module", "ls", env={"NO_COLOR": "1"}).out
    assert "\033" not in ctl.terminal("module", "ls", env={"TERM": "dumb"}).out


def test_ascii_where_the_locale_has_no_utf8(ctl, fleet):
    """In the C locale what is cut ends with two dots, not with a sign that the terminal lacks."""
    fleet.devices["dev-0000"]["labels"]["long"] = "x" * 300
    out = ctl.terminal("device", "ls", "-n", "1", columns=60, env={"LANG": "C", "LC_ALL": "C"}).out
    assert ".." in out and out.isascii()


def test_wide_characters_take_two_columns(ctl, mock):
    """Names in wide characters are cut at the width of the terminal, not at their number."""
    mock.modules["m"] = {"name": "m", "kind": "wasm", "tier": "device", "description": "部品" * 40}
    lines = ESCAPE.sub("", ctl.terminal("module", "ls", columns=60).out).splitlines()
    width = sum(2 if ord(c) > 0x2e80 else 1 for c in lines[1])
    assert width <= 60 and "部" in lines[1]


def test_empty_lists_say_so(ctl):
    """An empty list is told on stderr; stdout stays empty, the exit code 0."""
    result = ctl("module", "ls")
    assert result.code == 0 and result.out == ""
    assert "there are no modules; 'fleetctl module create' makes one" in result.err
    assert ctl("device", "ls", "--selector", "id==x").err == "there are no devices that match\n"


def test_module_create_show_delete(ctl, mock):
    """create is idempotent, show shows, delete deletes."""
    assert "is created" in ctl("module", "create", "app", "--kind", "wasm", "--description", "it").out
    assert "was there already" in ctl("module", "create", "app", "--kind", "wasm").out
    assert re.search(r"kind +wasm", ctl("module", "show", "app").out)
    assert "is deleted" in ctl("module", "delete", "app").out
    assert mock.modules == {}


def test_release_create_takes_all_forms(ctl, mock):
    """MODULE@VERSION, :install and :absent become entries; again changes nothing; other content is refused."""
    args = ("release", "create", "2026.11", "app@2.1.0", "lib@1.4.0:install", "old:absent", "--notes", "autumn")
    assert "is created" in ctl(*args).out
    assert mock.releases["2026.11"]["entries"] == [
        {"module": "app", "version": "2.1.0", "action": "update"},
        {"module": "lib", "version": "1.4.0", "action": "install"},
        {"module": "old", "action": "absent"}]
    assert "nothing has changed" in ctl(*args).out
    assert ctl("release", "create", "2026.11", "app@3.0.0").code == 6
    assert "app@2.1.0 lib@1.4.0:install old:absent" in ctl("release", "ls").out
    assert re.search(r"lib +1.4.0 +install", ctl("release", "show", "2026.11").out)


def test_device_show_and_label(ctl, fleet):
    """show tells what a device has; label sets, removes and moves behind a gateway."""
    fleet.devices["dev-0001"]["steps"] = [{"rollout": "r", "layer": 1, "wave": 2, "state": "failed", "cause": "release",
                                           "changed_at": NOW}]
    out = ctl("device", "show", "dev-0001").out
    assert "app@1.0.0, runtime@2.0.1" in out and "hw=rev-c" in out
    assert re.search(r"r +L1.W2 +failed +release", out)
    assert ctl("device", "label", "dev-0001", "canary=yes", "rack-", "--gateway", "gw-1").code == 0
    assert fleet.devices["dev-0001"]["labels"] == {"site": "lab", "canary": "yes"}
    assert fleet.devices["dev-0001"]["gateway"] == "gw-1"
    ctl("device", "label", "dev-0001", "--no-gateway")
    assert fleet.devices["dev-0001"]["gateway"] is None


def test_device_retire_many(ctl, fleet):
    """retire takes several devices."""
    assert ctl("device", "retire", "dev-0001", "dev-0002").code == 0
    assert fleet.devices["dev-0002"]["retired_at"] == NOW
    assert "retired" in ctl("device", "ls", "-n", "3").out
    assert ctl("device", "reports", "dev-0001").code == 0


def test_device_import_from_file_and_pipe(ctl, mock, tmp_path):
    """NDJSON from a file or a pipe is sent whole; refused lines are named and exit 7."""
    lines = "".join(json.dumps({"id": f"d{n}"}) + "\n" for n in range(1200))
    (tmp_path / "devices.ndjson").write_text(lines)
    result = ctl("device", "import", "devices.ndjson")
    assert result.code == 0 and "1,200 created" in result.out
    assert mock.asked("POST", "devices")[0][2]["Content-Type"] == "application/x-ndjson"
    result = ctl("device", "import", stdin='{"id":"a"}\nnonsense\n')
    assert result.code == 7
    assert "1 created" in result.out and "line 2: not a device" in result.err and "1 line was refused" in result.err
    result = ctl("device", "import", stdin="")
    assert result.code == 2 and "nothing to import" in result.err


def test_token_create_prints_the_secret_alone(ctl, mock):
    """The secret alone is on stdout, so that it can be redirected; the note goes to stderr."""
    result = ctl("token", "create", "ci", "--role", "publisher", "--role", "viewer", "--expires", "90d", "--uses", "5",
                 "--label", "batch=7", "--selector", "label.site==lab")
    assert result.code == 0
    assert result.out == "flt_1z_SECRET\n"
    assert "shown once" in result.err
    assert json.loads(mock.asked("POST", "tokens")[0][3]) == {
        "name": "ci", "roles": ["publisher", "viewer"], "selector": "label.site==lab", "uses": 5,
        "labels": {"batch": "7"}, "expires_in_s": 7776000}
    assert re.search(r"1z +ci +publisher,viewer", ctl("token", "ls").out)
    assert "is revoked" in ctl("token", "revoke", "1z").out


def test_events_and_deltas(ctl, mock):
    """audit ls and delta ls are tables; audit watch goes on behind the last event when the stream ends."""
    mock.events = [{"seq": n, "at": NOW, "actor": "tester", "kind": "rollout.started", "subject": "r", "data": {"n": n},
                    "hash": "h"} for n in range(1, 6)]
    assert len(ctl("audit", "ls", "--after", "2").out.splitlines()) == 4
    result = ctl("audit", "watch", "--after", "0", "-n", "5", "--json")
    assert [json.loads(line)["seq"] for line in result.out.splitlines()] == [1, 2, 3, 4, 5]
    follows = [r for r in mock.requests if r[2].get("Accept") == "text/event-stream"]
    assert [r[1].split("after=")[1] for r in follows] == ["0", "2", "4"]
    assert "rollout.started  r  tester  n=1" in ctl("audit", "watch", "--after", "0", "-n", "1").out
    delta = {"from": "a" * 64, "to": "b" * 64, "codec": "zstd-patch", "level": 19, "state": "ready", "size": 1000,
             "full_size": 10000, "saved": 9000, "uses": 3, "built_ms": 120, "created_at": NOW}
    refused = {**delta, "codec": "exe-patch", "state": "useless", "size": 0, "uses": 0}
    mock.deltas = [delta, refused]
    out = ctl("delta", "ls").out
    assert "zstd-patch/19" in out and "90 %" in out and "120 ms" in out
    assert re.search(r"exe-patch/19 +useless +- +9.8 KiB +- +0 ", out)
    assert "1 ready (1000 B), used 3 times, 26.4 KiB saved; 0 useless, 2 failed, 1 being built" in out


def test_server_and_whoami(ctl, mock):
    """server tells version and limits and warns of the quick-start key; whoami the roles."""
    result = ctl("server")
    assert "0.1.0" in result.out and "artifact_bytes=4294967296" in result.out
    assert "quick-start" in result.err
    assert re.search(r"roles +admin", ctl("whoami").out)
    assert ctl("whoami", "-q").out == "tester\n"
