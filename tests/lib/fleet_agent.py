# SPDX-License-Identifier: Apache-2.0
"""fleet-agent and fleet-swarm as programs, each on a folder of its own, beside any server."""
import ctypes
import ctypes.util
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from fleet_server import program

LIMIT_S = 60
KILLED = -signal.SIGKILL


def zstd_patch(old, new):
    """`new` as a zstd frame that starts from `old`, made by the library itself."""
    lib = ctypes.CDLL(ctypes.util.find_library("zstd"))
    lib.ZSTD_createCCtx.restype = ctypes.c_void_p
    lib.ZSTD_compressBound.restype = ctypes.c_size_t
    lib.ZSTD_compress2.restype = ctypes.c_size_t
    ctx = ctypes.c_void_p(lib.ZSTD_createCCtx())
    lib.ZSTD_CCtx_refPrefix(ctx, old, ctypes.c_size_t(len(old)))
    room = lib.ZSTD_compressBound(ctypes.c_size_t(len(new)))
    out = ctypes.create_string_buffer(room)
    n = lib.ZSTD_compress2(ctx, out, ctypes.c_size_t(room), new, ctypes.c_size_t(len(new)))
    lib.ZSTD_freeCCtx(ctx)
    return out.raw[:n]


class Agent:
    """One device on a folder of its own."""

    def __init__(self, folder, mock, name="d1"):
        self.folder, self.mock, self.name = Path(folder), mock, name
        self.install, self.state_dir = self.folder / "install", self.folder / "state"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "token").write_text(mock.token + "\n")
        self.settings = {
            "server": mock.url, "token-file": self.folder / "token", "device": name,
            "state-dir": self.state_dir, "install-dir": self.install, "factory": "app=1.0.0",
            "backoff-max": "100ms", "health-interval": "50ms", "command-timeout": "20s",
        }

    def arguments(self, *more):
        known = [f"--{name}={value}" for name, value in self.settings.items()]
        return [program("fleet-agent"), "--config", "/dev/null", *known, *map(str, more)]

    def run(self, *more, code=0, **how):
        done = subprocess.run(self.arguments(*more), capture_output=True, text=True, timeout=LIMIT_S,
                              check=False, **how)
        assert code is None or done.returncode == code, done.stderr
        return done

    def once(self, *more, **how):
        return self.run("--once", *more, **how)

    def start(self, *more):
        return subprocess.Popen(self.arguments(*more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)

    def enrolled(self):
        self.once()
        return self

    def order(self, modules, **more):
        return self.mock.order(self.name, modules, **more)

    def record(self):
        return json.loads((self.state_dir / "state.json").read_text())

    def wait_for(self, condition):
        """Wait until the record is as condition(record) wants it."""
        deadline = time.monotonic() + LIMIT_S
        while not ((self.state_dir / "state.json").exists() and condition(self.record())):
            assert time.monotonic() < deadline, "the record did not become so"
            time.sleep(0.01)  # poll

    def status(self):
        return json.loads(self.run("--status", "--json").stdout)

    def runs(self):
        """{module: version} of what `current` leads to, every byte of it checked; None: no link."""
        current = self.install / "current"
        if not current.is_symlink():
            return None
        assert os.readlink(current).startswith("generations/")
        out = {}
        number = os.readlink(current).split("/")[1]
        for m in json.loads((self.install / f"generations/{number}.json").read_text())["modules"]:
            if "sha256" in m:
                content = (current / m["module"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == m["sha256"]
                about = json.loads(((current / m["module"]).resolve().parent / "module.json").read_text())
                assert about["version"] == m["version"]
            out[m["module"]] = m["version"]
        held = {m["module"] for m in json.loads((self.install / f"generations/{number}.json").read_text())["modules"]
                if "sha256" in m}
        assert {p.name for p in current.iterdir()} == held
        return out

    def leftovers(self):
        """Files under the folders that should be gone when nothing is in hand."""
        return [p for p in self.folder.rglob("*") if ".new" in p.name or p.parent.name in ("parts", "artifacts")]


class Swarm:
    """A running fleet-swarm; `end()` gives its summary."""

    def __init__(self, folder, mock, *more):
        self.journal = Path(folder) / "journal"
        (Path(folder) / "token").write_text(mock.token + "\n")
        self.process = subprocess.Popen(
            [program("fleet-swarm"), "--server", mock.url, "--token-file", str(Path(folder) / "token"),
             "--json", "--journal", str(self.journal), *map(str, more)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, stop=True):
        if stop and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=LIMIT_S)
        assert self.process.returncode == 0, err
        return json.loads(out)

    def acknowledged(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]
