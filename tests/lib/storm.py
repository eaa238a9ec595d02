# SPDX-License-Identifier: Apache-2.0
"""A storm: many devices with many old versions ask for the same artifact at once, through fleet-swarm."""
import json
import re
import subprocess
from pathlib import Path

from deltas import digest, module, next_version, upload
from fleet_server import program


def swarm(server, folder, name, devices, *options):
    """Start fleet-swarm with sessions of its own; its summary is the JSON on its standard output."""
    token = Path(folder) / f"{name}.token"
    if not token.exists():
        token.write_text(server.make_token(name, ["enroller"]).token)
    command = [program("fleet-swarm"), "--server", f"http://127.0.0.1:{server.port}", "--token-file", str(token)]
    command += ["--prefix", f"{name}-", "-n", str(devices), *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures(process):
    """The summary of a swarm that has ended well."""
    out, _ = process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


def prepare(server, folder, versions, size):
    """Upload a new artifact and `versions` old ones; the path of their digests for --ask."""
    first = module(1, size)
    old = [next_version(first, seed) for seed in range(versions)]
    new = next_version(first, versions)
    upload(server, new, *old)
    path = Path(folder) / "digests"
    path.write_text("".join(digest(data) + "\n" for data in (new, *old)))
    return path


def built_quickly(server):
    """Rows of quick deltas that are ready, and how often anything was built."""
    items = server.get("/api/v1/deltas?limit=1000").json()["items"]
    quick = [r for r in items if r["level"] == 3 and r["from"] is not None]
    return quick, server.metric("fleetd_deltas_built_total"), len([r for r in items if r["state"] == "ready"])


def peak_mib(server):
    """The most memory that the server has had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.M).group(1)) / 1024
