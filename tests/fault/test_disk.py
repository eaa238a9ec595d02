# SPDX-License-Identifier: Apache-2.0
"""A disk that fails in the middle of a batch: nothing that was acknowledged is missing, nothing that was
refused is there."""
import hashlib
import http.client
import os
import subprocess
import threading
from pathlib import Path

import pytest

WRITERS = 8
BEFORE = 40  # acknowledged writes before the disk fails
AFTER = 40  # answers that are waited for once it has failed


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The preloaded library."""
    library = tmp_path_factory.mktemp("shim") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run(
        [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True
    )
    return library


class Load:
    """Many clients that each create modules, one after the other, and note every answer."""

    def __init__(self, server):
        self.server = server
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.unknown = set(), set(), set()
        self.changed = threading.Condition(self.lock)
        self.ending = False
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        for i in range(1000000):
            name = f"w{number}-{i}"
            try:
                status = self.server.put(f"/api/v1/modules/{name}", {"kind": "file"}).status
            except (OSError, http.client.HTTPException):
                status = None
            with self.lock:
                if status == 201:
                    self.acknowledged.add(name)
                elif status is not None and status >= 500:
                    self.refused.add(name)
                else:
                    self.unknown.add(name)
                self.changed.notify_all()
                if self.ending or status is None:
                    return

    def wait(self, condition):
        with self.lock:
            assert self.changed.wait_for(condition, 120), "the load makes no progress"

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(120)


def stored(server):
    """The names of all modules."""
    names, path = set(), "/api/v1/modules?limit=1000"
    while path:
        page = server.get(path).json()
        names |= {item["name"] for item in page["items"]}
        path = f"/api/v1/modules?limit=1000&cursor={page['next']}" if page["next"] else None
    return names


def assert_honest(server, load):
    """What the clients were told is what is stored."""
    names = stored(server)
    assert load.acknowledged <= names, sorted(load.acknowledged - names)[:5]
    assert not load.refused & names, sorted(load.refused & names)[:5]


def environment(shim, control, path="fleetd.db-wal"):
    """The shim in front of everything; sanitizers want to be first and need not be."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {
        "LD_PRELOAD": str(shim),
        "FAULT_CONTROL": str(control),
        "FAULT_PATH": path,
        "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".lstrip(":"),
    }


@pytest.mark.parametrize("kind, after", [("sync", 0), ("sync", 3), ("write", 0), ("write", 25)])
def test_io_error_in_a_batch(new_fleetd, tmp_path, shim, kind, after):
    """After a failed write or sync fleetd stops by itself and says so; the next start has exactly what
    was acknowledged, and `--verify` finds nothing wrong."""
    control = tmp_path / "control"
    control.write_text("none 0")
    server = new_fleetd()
    server.start(env=environment(shim, control))
    load = Load(server)
    load.wait(lambda: len(load.acknowledged) >= BEFORE)
    control.write_text(f"{kind} {after}")
    assert server.wait() != 0
    load.end()
    assert "I/O error" in server.log()
    assert server.run("--verify").returncode == 0
    server.start()
    assert_honest(server, load)
    assert server.put("/api/v1/modules/afterwards", {"kind": "file"}).status == 201


@pytest.mark.parametrize("after", [0, 1, 7])
def test_full_disk_in_a_batch(new_fleetd, tmp_path, shim, after):
    """While the disk is full writes get 503 and reads go on; with space again writes work, without a
    restart, and after a kill too everything is as the clients were told."""
    control = tmp_path / "control"
    control.write_text("none 0")
    server = new_fleetd()
    server.start(env=environment(shim, control))
    load = Load(server)
    load.wait(lambda: len(load.acknowledged) >= BEFORE)
    control.write_text(f"full {after}")
    load.wait(lambda: len(load.refused) >= AFTER)
    assert server.get("/api/v1/modules").status == 200
    control.write_text("none 1")
    so_far = len(load.acknowledged)
    load.wait(lambda: len(load.acknowledged) >= so_far + AFTER)
    load.end()
    assert not load.unknown
    assert_honest(server, load)
    server.kill()
    server.start(env=environment(shim, control))
    assert_honest(server, load)


def test_full_disk_at_the_first_start(new_fleetd, tmp_path, shim):
    """A start that finds the disk full is refused with a sentence, and works once there is room."""
    control = tmp_path / "control"
    control.write_text("full 0")
    server = new_fleetd()
    refused = server.run(env=environment(shim, control))
    assert refused.returncode == 8, refused
    assert "full" in refused.stderr and "free" in refused.stderr
    server.start()
    assert server.get("/api/v1/whoami").status == 200


@pytest.mark.parametrize("path", ["/blobs/incoming/", "/blobs/sha256/"])
def test_failing_sync_of_an_upload(new_fleetd, tmp_path, shim, path):
    """An upload whose bytes or whose name cannot be brought to the disk is not acknowledged, and none of its
    bytes are trusted later: it begins anew, and what was acknowledged before is untouched."""
    control = tmp_path / "control"
    control.write_text("none 0")
    server = new_fleetd()
    server.start(env=environment(shim, control, path))
    contents = [os.urandom(300_000) for _ in range(3)]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]

    def upload(number):
        return server.put(f"/api/v1/artifacts/{digests[number]}", data=contents[number],
                          headers={"Content-Type": "application/octet-stream"}).status

    assert upload(0) == 201
    control.write_text("sync 0")
    assert [upload(1), upload(1)] == [500, 500], "also what lies there by now is not acknowledged"
    refused = server.get(f"/api/v1/artifacts/{digests[1]}")
    assert refused.status == 404 and "received" not in refused.json()
    control.write_text("none 1")
    assert [upload(n) for n in (0, 1, 2)] == [200, 201, 201]
    server.kill()
    assert server.run("--verify").returncode == 0
    server.start(env=environment(shim, control, path))
    for digest, content in zip(digests, contents):
        assert server.get(f"/blobs/sha256/{digest}").body == content
