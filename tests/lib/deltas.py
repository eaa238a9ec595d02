# SPDX-License-Identifier: Apache-2.0
"""What the tests of deltas share: versions of a module, devices that ask, builds to look at."""
import functools
import hashlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

from fleet_device import Device
from waiting import until

MIB = 1 << 20
ALL = "zstd-patch,zstd,identity"


@functools.lru_cache(maxsize=64)
def digest(data):
    return hashlib.sha256(data).hexdigest()


def module(seed, size):
    """Bytes that compress a little, the same for the same seed."""
    chance = random.Random(seed)
    words = [chance.randbytes(16) for _ in range(4096)]
    return b"".join(chance.choices(words, k=size // 16))


def next_version(old, seed=1):
    """`old` with an insertion and a few changed places."""
    chance = random.Random(seed)
    new = bytearray(old)
    for _ in range(20):
        new[chance.randrange(len(new))] ^= 0x55
    middle = len(new) // 2
    return bytes(new[:middle]) + chance.randbytes(300) + bytes(new[middle:])


def leb(n):
    """An unsigned LEB128 number."""
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def wasm(functions, inserted=()):
    """A WebAssembly module of functions that call each other; `inserted` ones come early, so that the index
    of every function behind them, and with it every call, changes."""

    def section(number, items):
        body = leb(len(items)) + b"".join(items)
        return bytes([number]) + leb(len(body)) + body

    names = [n for i in range(functions) for n in ([f"new{k}" for k in inserted] if i == 3 else []) + [f"f{i}"]]
    index = {name: i for i, name in enumerate(names)}
    bodies = []
    for name in names:
        chance = random.Random(name)
        code = bytearray(b"\0")  # no locals
        for _ in range(chance.randrange(5, 40)):
            code += b"\x20\0"  # local.get 0
            code += b"\x41" + bytes([chance.randrange(64)]) + b"\x6a"  # i32.const, i32.add
            code += b"\x10" + leb(index[f"f{chance.randrange(functions)}"])  # call
            code += b"\x1a"  # drop
        code += b"\x20\0\x0b"
        bodies.append(leb(len(code)) + bytes(code))
    types = section(1, [b"\x60\x01\x7f\x01\x7f"])
    return b"\0asm\1\0\0\0" + types + section(3, [b"\0"] * len(names)) + section(10, bodies)


def component(*modules):
    """A WebAssembly component of these core modules, with a note between them."""
    parts = b"".join(b"\1" + leb(len(m)) + m + b"\0\5\4note" for m in modules)
    return b"\0asm\x0d\0\1\0" + parts


def upload(server, *contents):
    for data in contents:
        answer = server.put(f"/api/v1/artifacts/{digest(data)}", data=data)
        assert answer.status in (200, 201), answer


def enrol(server, name="dev-1"):
    """An enrolled device with a session."""
    if not hasattr(server, "enroller"):
        server.enroller = server.make_token(f"enroller-{time.monotonic_ns()}", ["enroller"])
    return Device(server.port, name).enrol(server.enroller.token)


def ask(device, new, *have, codecs=ALL, **query):
    """The offer for `new`."""
    parameters = {"have": ",".join(digest(h) for h in have), "codecs": codecs, **query}
    text = "&".join(f"{k}={v}" for k, v in parameters.items() if v != "")
    answer = device.get(f"/device/v1/artifacts/{digest(new)}?{text}")
    assert answer.status == 200, answer
    offer = answer.json()
    assert (offer["to"], offer["to_size"]) == (digest(new), len(new))
    return offer


def decode(server, offer, tmp_path, old=b""):
    """Download what was offered, check it, and decode it with the zstd program."""
    got = server.anonymous().get(offer["url"])
    assert got.status == 200
    assert (digest(got.body), len(got.body)) == (offer["sha256"], offer["size"])
    if offer["codec"] == "identity":
        return got.body
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "data").write_bytes(got.body)
    command = ["zstd", "-q", "-d", "-f", str(tmp_path / "data"), "-o", str(tmp_path / "new")]
    if offer["codec"] == "zstd-patch":
        command.append(f"--patch-from={tmp_path / 'old'}")
    subprocess.run(command, check=True)
    return (tmp_path / "new").read_bytes()


def rows(server, state=None):
    items = server.get("/api/v1/deltas?limit=1000").json()["items"]
    return [r for r in items if state in (None, r["state"])]


def workers(server, background=False):
    """Process ids of the builds that run now; with `background` only those that nobody waits for."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--delta-worker" in words and (not background or words[-2] == b"19"):
                status = (folder / "status").read_text()
                if f"PPid:\t{server.process.pid}\n" in status:
                    found.append(int(folder.name))
        except OSError:
            continue
    return found


class Held:
    """Catch the first build and stop it (SIGSTOP), so that a test decides when it goes on."""

    def __init__(self, server, background=False):
        self.server = server
        self.background = background
        self.pid = None
        self.thread = threading.Thread(target=self.catch)
        self.thread.start()

    def catch(self):
        self.pid = until("a build runs", lambda: workers(self.server, self.background))[0]
        os.kill(self.pid, signal.SIGSTOP)

    def caught(self):
        self.thread.join()
        return self.pid

    def go_on(self):
        os.kill(self.caught(), signal.SIGCONT)


def blobs(server):
    return {p.name for p in (server.data / "blobs/sha256").rglob("*") if p.is_file()}
