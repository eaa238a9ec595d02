# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a mock server, and fleetctl as a user runs it."""
import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from mock_api import TOKEN, Mock  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
LIMIT_S = 30


def find_program():
    """FLEETCTL, else the build tree named by FLEET_BUILD, else the nearest one, else the path."""
    named = os.environ.get("FLEETCTL")
    builds = [os.environ["FLEET_BUILD"]] if os.environ.get("FLEET_BUILD") else [TOP / "build-check", TOP / "build", TOP]
    for build in builds:
        if not named and (Path(build) / "fleetctl").is_file():
            named = str(Path(build) / "fleetctl")
    return named or shutil.which("fleetctl")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Ctl:
    """Runs fleetctl with an environment of its own."""

    def __init__(self, tmp_path, url, token=TOKEN):
        self.program = find_program()
        assert self.program, "fleetctl is not built; set FLEET_BUILD or FLEETCTL"
        self.config = tmp_path / "config"
        self.cwd = tmp_path
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm", "XDG_CONFIG_HOME": str(self.config),
                    "FLEETCTL_SERVER": url, "FLEETCTL_TOKEN": token}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def __call__(self, *args, stdin="", env=None):
        done = subprocess.run([self.program, *map(str, args)], input=stdin, capture_output=True, text=True,
                              env={**self.env, **(env or {})}, cwd=self.cwd, timeout=LIMIT_S, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *args):
        return subprocess.Popen([self.program, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.env, cwd=self.cwd)

    def terminal(self, *args, columns=80, rows=24, env=None, typed=""):
        """Run on a pseudo terminal; all that came out is in `out`."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen([self.program, *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
                                   env={**self.env, **(env or {})}, cwd=self.cwd, start_new_session=True)
        os.close(slave)
        out, deadline = b"", time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            if typed and out.endswith(b": "):
                os.write(master, typed.encode())
                typed = ""
            if select.select([master], [], [], 0.05)[0]:
                try:
                    chunk = os.read(master, 65536)
                except OSError:
                    break
                if not chunk:
                    break
                out += chunk
            elif process.poll() is not None:
                break
        os.close(master)
        return Result(process.wait(timeout=LIMIT_S), out.decode().replace("\r\n", "\n"), "")


@pytest.fixture
def mock():
    server = Mock()
    yield server
    server.close()


@pytest.fixture
def ctl(tmp_path, mock):
    return Ctl(tmp_path, mock.url)


@pytest.fixture
def ctl_for(tmp_path):
    """fleetctl for a server of one's own: ctl_for(url, token)."""
    return lambda url, token: Ctl(tmp_path, url, token)


@pytest.fixture(name="ctl_of", scope="session")
def fixture_ctl_of():
    """Makes fleetctl of a folder, an address and a token: Ctl, for fixtures that live longer than a test."""
    return Ctl
