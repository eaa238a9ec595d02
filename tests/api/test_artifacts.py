# SPDX-License-Identifier: Apache-2.0
"""Uploads: verified, resumable, repeatable, constant memory, nothing left behind."""
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from waiting import until

MIB = 1 << 20
SANITIZED = "asan" in subprocess.run(
    ["ldd", os.path.join(os.environ.get("FLEET_BUILD", "."), "fleetd")], capture_output=True, text=True, check=False
).stdout


def digest(data):
    return hashlib.sha256(data).hexdigest()


def path_of(sha256):
    return f"/api/v1/artifacts/{sha256}"


def put(server, data, sha256=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.put(path_of(sha256 or digest(data)), data=data, headers=names)


def files(server, folder=""):
    """Everything under the blobs' folder, as relative names."""
    top = server.data / "blobs" / folder
    return sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file())


def received(server, sha256):
    """What an unfinished upload has, None if there is none."""
    return server.get(path_of(sha256)).json().get("received")


def begin_upload(server, sha256, length, extra=""):
    """A raw connection with the headers of an upload sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(
        f"PUT {path_of(sha256)} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Length: {length}\r\n{extra}\r\n".encode()
    )
    return connection


def read_answer(connection):
    """Status and body of the answer on a raw connection."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, stream.read(length)


def cut_upload(server, data, sent):
    """Send the first `sent` bytes, cut the connection; how much the server kept."""
    sha256 = digest(data)
    connection = begin_upload(server, sha256, len(data))
    connection.sendall(data[:sent])
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()
    return until("the part of the cut upload is kept", lambda: received(server, sha256))


def test_an_upload_is_stored_once(fleetd):
    """201 the first time, 200 the next; one blob, one event, and the bytes come back."""
    data = os.urandom(3 * MIB + 17)
    sha256 = digest(data)
    first, again = put(fleetd, data), put(fleetd, data)
    assert (first.status, again.status) == (201, 200)
    assert first.json() == again.json() == {"sha256": sha256, "size": len(data)}
    assert fleetd.get(path_of(sha256)).json() == {"sha256": sha256, "size": len(data), "used_by": []}
    assert fleetd.anonymous().get(f"/blobs/sha256/{sha256}").body == data
    assert files(fleetd) == [f"sha256/{sha256[:2]}/{sha256}"]
    events = [e for e in fleetd.get("/api/v1/events").json()["items"] if e["kind"] == "artifact.stored"]
    assert [(e["subject"], e["data"]) for e in events] == [(sha256, {"size": len(data)})]


def test_an_upload_survives_a_kill(fleetd):
    """What was answered with 201 is there after SIGKILL."""
    data = os.urandom(MIB)
    assert put(fleetd, data).status == 201
    fleetd.kill()
    fleetd.start()
    assert fleetd.anonymous().get(f"/blobs/sha256/{digest(data)}").body == data
    assert fleetd.get(path_of(digest(data))).status == 200


def test_small_and_empty_artifacts(fleetd):
    """Sizes around the server's buffers, and none at all."""
    for size in [0, 1, 65535, 65536, 131071, 131072, 131073, 262144]:
        data = os.urandom(size)
        assert put(fleetd, data).status == 201, size
        assert fleetd.anonymous().get(f"/blobs/sha256/{digest(data)}").body == data


def test_a_wrong_digest_leaves_nothing(fleetd):
    """The refusal names the digest that came; neither blob nor part nor row is left."""
    data = os.urandom(2 * MIB)
    claimed = digest(b"something else")
    answer = put(fleetd, data, claimed)
    assert answer.status == 422
    assert answer.json()["type"] == "/problems/refused"
    assert digest(data) in answer.json()["detail"]
    assert files(fleetd) == []
    missing = fleetd.get(path_of(claimed))
    assert missing.status == 404
    assert "received" not in missing.json()


def test_a_cut_upload_goes_on(fleetd):
    """The part is kept, its length told, and Content-Range continues it, also after a restart."""
    data = os.urandom(2 * MIB)
    sha256 = digest(data)
    kept = cut_upload(fleetd, data, MIB + 300000)
    assert MIB <= kept <= MIB + 300000
    assert files(fleetd) == [f"parts/{sha256}"]
    fleetd.stop()
    fleetd.start()
    assert received(fleetd, sha256) == kept
    answer = put(fleetd, data[kept:], sha256, Content_Range=f"bytes {kept}-{len(data) - 1}/{len(data)}")
    assert answer.status == 201, answer
    assert files(fleetd) == [f"sha256/{sha256[:2]}/{sha256}"]
    assert fleetd.anonymous().get(f"/blobs/sha256/{sha256}").body == data


def test_a_killed_server_keeps_the_part(fleetd):
    """SIGKILL in the middle of an upload leaves a part, not a blob."""
    data = os.urandom(2 * MIB)
    sha256 = digest(data)
    with begin_upload(fleetd, sha256, len(data)) as connection:
        connection.sendall(data[:MIB])

        def growing():
            return [p for p in (fleetd.data / "blobs/incoming").iterdir() if p.stat().st_size >= MIB // 2]

        until("half a MiB is on disk", growing)
        fleetd.kill()
    fleetd.start()
    kept = received(fleetd, sha256)
    assert kept >= MIB // 2
    assert files(fleetd) == [f"parts/{sha256}"]
    assert fleetd.anonymous().get(f"/blobs/sha256/{sha256}").status == 404
    assert put(fleetd, data[kept:], sha256, Content_Range=f"bytes {kept}-{len(data) - 1}/{len(data)}").status == 201


def test_a_wrong_place_is_told_the_right_one(fleetd):
    """Content-Range that does not fit the part is 409 with `received`, even if the client sends its
    whole body before it reads the answer; the part stays."""
    data = os.urandom(MIB)
    sha256 = digest(data)
    kept = cut_upload(fleetd, data, 700000)
    for first in (kept - 1, kept + 1):
        answer = put(fleetd, data[first:], sha256, Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}")
        assert answer.status == 409, answer
        assert answer.json()["received"] == kept
    unknown = digest(b"never sent")
    answer = put(fleetd, b"xyz", unknown, Content_Range="bytes 5-7/8")
    assert (answer.status, answer.json()["received"]) == (409, 0)
    assert received(fleetd, sha256) == kept


def test_a_damaged_part_is_found_at_the_end(fleetd):
    """A part whose bytes changed on disk gives a wrong digest; it is dropped and 0 is a fresh start."""
    data = os.urandom(MIB)
    sha256 = digest(data)
    kept = cut_upload(fleetd, data, 700000)
    with open(fleetd.data / "blobs/parts" / sha256, "r+b") as part:
        part.write(b"\0" * 100)
    rest = put(fleetd, data[kept:], sha256, Content_Range=f"bytes {kept}-{len(data) - 1}/{len(data)}")
    assert rest.status == 422
    assert files(fleetd) == []
    assert put(fleetd, data).status == 201


def test_an_upload_in_many_parts(fleetd):
    """Each part but the last is answered with 202 and what is here by then."""
    data = os.urandom(MIB)
    sha256 = digest(data)
    step = 300000
    for first in range(0, len(data), step):
        last = min(first + step, len(data)) - 1
        answer = put(fleetd, data[first : last + 1], sha256, Content_Range=f"bytes {first}-{last}/{len(data)}")
        if last + 1 < len(data):
            assert (answer.status, answer.json()["received"]) == (202, last + 1)
    assert answer.status == 201
    assert fleetd.anonymous().get(f"/blobs/sha256/{sha256}").body == data


def test_bad_announcements_are_refused(fleetd):
    """Ranges, lengths and digests that make no sense each get their own answer, and leave nothing."""
    sha256 = digest(b"abc")
    for text in ["bytes 0-1", "bytes 2-1/3", "bytes 0-3/3", "items 0-2/3", "bytes 0-2/*", "bytes 0-2/3x", "x"]:
        answer = put(fleetd, b"abc", sha256, Content_Range=text)
        assert answer.status == 400, (text, answer)
    assert put(fleetd, b"abc", sha256, Content_Range="bytes 0-1/3").status == 400
    for name in ["abc", "z" * 64, sha256 + "0", sha256[:-1]]:
        assert put(fleetd, b"abc", name).status == 400, name
    answer = fleetd.put(path_of(sha256), data=iter([b"abc"]), headers={"Transfer-Encoding": "chunked"})
    assert answer.status == 411, answer
    assert files(fleetd) == []
    assert put(fleetd, b"abc", sha256.upper()).status == 201
    assert fleetd.get(path_of(sha256)).status == 200


def test_too_large_is_refused_before_the_body(fleetd):
    """More than 4 GiB, stated by Content-Length or by Content-Range, is 413."""
    sha256 = digest(b"large")
    connection = begin_upload(fleetd, sha256, (4 << 30) + 1)
    assert read_answer(connection)[0] == 413
    connection.close()
    answer = put(fleetd, b"x", sha256, Content_Range=f"bytes 0-0/{(4 << 30) + 1}")
    assert answer.status == 413, answer
    assert files(fleetd) == []


def test_who_expects_an_answer_gets_it_before_the_body(fleetd):
    """With Expect: 100-continue, bytes that are here already are not sent again."""
    data = os.urandom(MIB)
    assert put(fleetd, data).status == 201
    connection = begin_upload(fleetd, digest(data), len(data), "Expect: 100-continue\r\n")
    status, body = read_answer(connection)
    connection.close()
    assert (status, json.loads(body)["size"]) == (200, len(data))


def test_another_size_of_the_same_digest_is_a_conflict(fleetd):
    """The digest of stored bytes with another length is refused, and the blob stays as it is."""
    data = os.urandom(1000)
    assert put(fleetd, data).status == 201
    assert put(fleetd, data + b"!", digest(data)).status == 409
    assert fleetd.anonymous().get(f"/blobs/sha256/{digest(data)}").body == data


def test_uploads_of_the_same_digest_side_by_side(fleetd):
    """Eight clients send the same bytes at once: all succeed, one row, one blob, no leftovers."""
    data = os.urandom(4 * MIB)
    sha256 = digest(data)
    gate = threading.Barrier(8)
    got = []

    def one():
        gate.wait()
        got.append(put(fleetd, data).status)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [200] * 7 + [201]
    assert files(fleetd) == [f"sha256/{sha256[:2]}/{sha256}"]


def test_only_publishers_upload(fleetd):
    """A viewer may look, not upload; nobody may without a token."""
    viewer = fleetd.make_token("viewer", ["viewer"])
    publisher = fleetd.make_token("publisher", ["publisher"])
    data = b"some bytes"
    assert put(fleetd.anonymous(), data).status == 401
    assert put(viewer, data).status == 403
    assert files(fleetd) == []
    assert put(publisher, data).status == 201
    assert viewer.get(path_of(digest(data))).status == 200


def test_uses_are_listed(fleetd):
    """An artifact names the versions that use it."""
    data = b"\0asm\x01\0\0\0"
    assert put(fleetd, data).status == 201
    assert fleetd.put("/api/v1/modules/app", {"kind": "wasm"}).status == 201
    answer = fleetd.put("/api/v1/modules/app/versions/1.0.0", {"variants": [{"sha256": digest(data)}]})
    assert answer.status == 201, answer
    assert fleetd.get(path_of(digest(data))).json()["used_by"] == [{"module": "app", "version": "1.0.0"}]


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 32 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "fleetd-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder, leave):
    """Take all space but about `leave` bytes."""
    space = os.statvfs(folder)
    with open(Path(folder) / "filler", "wb") as filler:
        filler.write(b"\0" * (space.f_bavail * space.f_frsize - leave))


def start_on(server, folder):
    server.data = folder / "data"
    return server.start()


def test_a_full_disk_is_said_at_once(new_fleetd, small_disk):
    """An upload larger than the space left is 507 before its body; small ones still pass."""
    server = start_on(new_fleetd(), small_disk)
    connection = begin_upload(server, digest(b"any"), 64 * MIB, "Expect: 100-continue\r\n")
    status, body = read_answer(connection)
    connection.close()
    assert (status, json.loads(body)["type"]) == (507, "/problems/no-space")
    assert files(server) == []
    assert put(server, b"small").status == 201
    server.stop()


def test_a_disk_that_fills_up_leaves_nothing(new_fleetd, small_disk):
    """Space that runs out in the middle of an upload is 507, its bytes are given back, and the server
    goes on."""
    server = start_on(new_fleetd(), small_disk)
    data = os.urandom(12 * MIB)
    connection = begin_upload(server, digest(data), len(data))
    connection.sendall(data[:MIB])
    until("the upload has begun", lambda: any((server.data / "blobs/incoming").iterdir()))
    fill(small_disk, 4 * MIB)
    connection.sendall(data[MIB:])
    status, _ = read_answer(connection)
    connection.close()
    assert status == 507
    assert files(server) == []
    (small_disk / "filler").unlink()
    assert put(server, data).status == 201
    server.stop()


def rss_kib(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's shadow memory is not the program's")
def test_a_gibibyte_takes_little_memory(fleetd):
    """1 GiB passes with at most 16 MiB more of resident memory at the peak."""
    block = os.urandom(MIB)
    hashed = hashlib.sha256()
    for _ in range(1024):
        hashed.update(block)
    assert put(fleetd, block).status == 201
    before = rss_kib(fleetd)
    connection = begin_upload(fleetd, hashed.hexdigest(), 1 << 30)
    for _ in range(1024):
        connection.sendall(block)
    assert read_answer(connection)[0] == 201
    connection.close()
    assert rss_kib(fleetd) - before <= 16 * 1024
