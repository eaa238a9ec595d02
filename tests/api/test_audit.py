# SPDX-License-Identifier: Apache-2.0
"""The audit trail as evidence: signed heads, exports, pruning, what fleetctl audit verify finds, and
that no way to change something goes unnoticed."""
import json
import os
import re
import sqlite3
import subprocess

import pytest
from fleet_server import program

API = "/api/v1"


class Ctl:
    """fleetctl as admin of one server."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def __call__(self, *words, code=0):
        env = {**os.environ, "FLEETCTL_SERVER": f"http://127.0.0.1:{self.server.port}",
               "FLEETCTL_TOKEN": self.server.token, "XDG_CONFIG_HOME": str(self.folder)}
        done = subprocess.run([program("fleetctl"), "audit", *map(str, words)], capture_output=True, text=True,
                              env=env, cwd=self.folder, timeout=60, check=False)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def audit(fleetd, tmp_path):
    """fleetctl audit on a server with a few events, its key in audit.pub."""
    for i in range(4):
        fleetd.put(f"{API}/modules/m{i}", {"kind": "wasm"})
    ctl = Ctl(fleetd, tmp_path)
    (tmp_path / "audit.pub").write_text(ctl("key"))
    return ctl


def lines_of(path):
    return path.read_text().splitlines(keepends=True)


def test_an_export_is_verified_without_the_server(audit, fleetd, tmp_path):
    """What was exported is checked with the public key alone, when the server is gone."""
    audit("export", "whole.ndjson")
    fleetd.stop()
    said = audit("verify", "whole.ndjson", "--key", "audit.pub")
    assert "whole: events 1 to 7" in said
    assert "named by the file itself" in audit("verify", "whole.ndjson")
    assert json.loads(audit("verify", "whole.ndjson", "--key", "audit.pub", "--json")) == {
        "whole": True, "first": 1, "last": 7, "lines": 7, "key_given": True, "pruned_through": 0,
        "keyid": json.loads(lines_of(tmp_path / "whole.ndjson")[-1])["head"]["signatures"][0]["keyid"]}


def altered(lines):
    changed = json.loads(lines[4])
    changed["actor"] = "nobody"
    return lines[:4] + [json.dumps(changed) + "\n"] + lines[5:]


DAMAGES = {
    "an altered line": (altered, "event 4 was changed"),
    "a removed line": (lambda lines: lines[:4] + lines[5:], "event 4 is missing"),
    "the first line removed": (lambda lines: lines[:1] + lines[2:], "event 1 is missing"),
    "two lines swapped": (lambda lines: lines[:3] + [lines[4], lines[3]] + lines[5:], "event 3 is missing"),
    "a doubled line": (lambda lines: lines[:4] + lines[3:], "event 3 stands where event 4 belongs"),
    "the last event removed": (lambda lines: lines[:-2] + lines[-1:], "the last 1 events are missing"),
    "cut off": (lambda lines: lines[:-1], "no signed head"),
    "a line behind the head": (lambda lines: lines + [lines[3]], "stands behind the head"),
    "no JSON": (lambda lines: lines[:3] + ["nonsense\n"] + lines[4:], "line 4 is no JSON"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_exports_are_found(audit, tmp_path, name):
    """Altered, removed, reordered, doubled lines and cut files are each named; the exit code is 10."""
    damage, says = DAMAGES[name]
    audit("export", "whole.ndjson")
    (tmp_path / "bad.ndjson").write_text("".join(damage(lines_of(tmp_path / "whole.ndjson"))))
    assert says in audit("verify", "bad.ndjson", "--key", "audit.pub", code=10)


def test_another_signer_is_refused(audit, tmp_path, new_fleetd):
    """A trail of another server is whole in itself, but not with this key."""
    other = Ctl(new_fleetd("other").start(), tmp_path)
    other("export", "other.ndjson")
    assert "whole" in audit("verify", "other.ndjson")
    assert "the head" in audit("verify", "other.ndjson", "--key", "audit.pub", code=5)


def test_the_database_is_checked_through_the_api(audit, fleetd):
    """A line changed in the database behind fleetd's back is found online."""
    assert "whole: events 1 to 7" in audit("verify", "--key", "audit.pub")
    fleetd.stop()
    db = sqlite3.connect(fleetd.data / "fleetd.db")
    with db:
        db.execute("UPDATE event SET actor = 'nobody' WHERE seq = 5")
    db.close()
    fleetd.start()
    assert "event 5 was changed" in audit("verify", code=10)


def cut_off(server, above):
    """Behind the server's back the events with greater numbers are deleted."""
    server.stop()
    db = sqlite3.connect(server.data / "fleetd.db")
    with db:
        db.execute("DELETE FROM event WHERE seq > ?", (above,))
    db.close()


@pytest.mark.parametrize("above", [6, 3, 0])
def test_events_that_were_cut_off_are_missed(audit, fleetd, above):
    """The head is kept outside of the database; new events in the place of the old ones do not hide it."""
    cut_off(fleetd, above)
    checked = fleetd.run("--verify")
    assert checked.returncode == 10 and "events are missing" in checked.stdout, checked.stdout
    fleetd.start()
    assert re.search("events are missing|written anew", audit("verify", code=10))
    for i in range(8):
        fleetd.put(f"{API}/modules/new{i}", {"kind": "wasm"})
    assert "written anew" in audit("verify", code=10)
    fleetd.stop()
    fleetd.start()
    assert "written anew" in audit("verify", code=10)


def test_the_kept_head_goes_along(audit, fleetd):
    """What is kept is a head of the trail, also after pruning; a killed server misses nothing by it."""
    fleetd.kill()
    fleetd.start()
    assert "whole" in audit("verify", "--key", "audit.pub")
    fleetd.stop()
    kept = json.loads((fleetd.data / "audit.head").read_text())["signed"]
    assert kept["seq"] == 8
    fleetd.start()
    answer = fleetd.get(f"{API}/audit/head").json()
    assert answer["kept"]["signed"] == kept
    assert prune_all(fleetd).status == 200
    assert "whole" in audit("verify", "--key", "audit.pub")


def test_a_kept_head_that_was_changed_is_found(audit, fleetd):
    """Neither nonsense nor another signature in its place passes."""
    fleetd.stop()
    path = fleetd.data / "audit.head"
    good = path.read_text()
    for bad in ("nonsense", good.replace('"seq":7', '"seq":6')):
        assert bad != good
        path.write_text(bad)
        assert fleetd.run("--verify").returncode == 10
        fleetd.start()
        assert "audit.head" in audit("verify", code=10)
        fleetd.stop()
        assert path.read_text() == bad


def test_a_rewritten_history_does_not_fit_an_older_export(audit, fleetd, tmp_path):
    """Who holds the key can sign another history; an older export shows that it is another."""
    audit("export", "old.ndjson")
    fleetd.put(f"{API}/modules/new", {"kind": "wasm"})
    assert "whole: events 1 to 8" in audit("verify", "--since", "old.ndjson")
    fleetd.stop()
    db = sqlite3.connect(fleetd.data / "fleetd.db")
    with db:
        db.execute("DELETE FROM event WHERE seq > 5")
    db.close()
    (fleetd.data / "audit.head").unlink()
    fleetd.start()
    assert "whole: events 1 to 6" in audit("verify")
    assert "before the older export" in audit("verify", "--since", "old.ndjson", code=10)
    fleetd.put(f"{API}/modules/x", {"kind": "wasm"})
    assert "written anew" in audit("verify", "--since", "old.ndjson", code=10)


def prune_all(fleetd):
    """Prune all but the newest line; the answers."""
    import time
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    while (first := fleetd.get(f"{API}/events?limit=1").json()["items"][0])["at"] >= at.replace("Z", ".000Z"):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert first
    return fleetd.post(f"{API}/audit/prune", {"before": at})


def test_pruning_leaves_a_signed_checkpoint(audit, fleetd, tmp_path):
    """What is left after pruning is verified from the checkpoint; older exports still fit or say why not."""
    audit("export", "old.ndjson")
    answer = prune_all(fleetd)
    assert answer.status == 200, answer
    told = answer.json()
    through = told["checkpoint"]["signed"]["seq"]
    assert told["pruned"] == through >= 1 and not told["more"]
    left = fleetd.get(f"{API}/events").json()["items"]
    assert left[0]["seq"] == through + 1
    assert left[-1]["kind"] == "audit.pruned" and left[-1]["data"]["through"] == through
    assert f"events up to {through} were pruned" in audit("verify", "--key", "audit.pub")
    audit("export", "new.ndjson")
    assert f"events up to {through} were pruned" in audit("verify", "new.ndjson", "--key", "audit.pub")
    audit("verify", "new.ndjson", "--since", "old.ndjson", code=0 if through <= 7 else 7)
    lines = lines_of(tmp_path / "new.ndjson")
    (tmp_path / "bad.ndjson").write_text("".join(lines[:1] + lines[2:]))
    assert f"event {through + 1} is missing" in audit("verify", "bad.ndjson", code=10)
    assert fleetd.post(f"{API}/audit/prune", {"before": "2020-01-01T00:00:00Z"}).json()["pruned"] == 0
    fleetd.stop()
    fleetd.start()
    audit("verify", "--key", "audit.pub")


def test_who_may_prune_and_verify(fleetd):
    """Only admins prune; a token that does not see everything cannot verify; the future cannot be pruned."""
    operator = fleetd.make_token("op", ["operator"])
    limited = fleetd.make_token("few", ["admin"], selector="label.a==1")
    past = {"before": "2020-01-01T00:00:00Z"}
    assert operator.post(f"{API}/audit/prune", past).status == 403
    assert limited.post(f"{API}/audit/prune", past).status == 403
    assert limited.get(f"{API}/audit/head").status == 403
    assert operator.get(f"{API}/audit/head").status == 200
    assert fleetd.post(f"{API}/audit/prune", {"before": "2999-01-01T00:00:00Z"}).status == 400
    assert fleetd.post(f"{API}/audit/prune", {"before": "yesterday"}).status == 400
