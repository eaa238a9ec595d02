# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of scripts/bench.d share."""
import hashlib


def register(server, number):
    """Register `number` devices with one call."""

    def lines():
        for first in range(0, number, 1000):
            yield "".join(
                f'{{"id":"registered-{i}","attributes":{{"hw":"rev{i % 7}"}}}}\n'
                for i in range(first, min(first + 1000, number))
            ).encode()

    if number == 0:
        return
    kind = {"Content-Type": "application/x-ndjson"}
    answer = server.post("/api/v1/devices", data=lines(), headers=kind, timeout=1800)
    assert answer.status == 200 and answer.json()["created"] == number, answer


def good(answer):
    """The JSON of an answer that must have worked."""
    assert answer.status in (200, 201), answer
    return answer.json() if answer.body else None


def publish(server, module, versions, requires=None):
    """A module with versions of a few bytes each, all with the same requirements."""
    good(server.put(f"/api/v1/modules/{module}", {"kind": "file"}))
    for version in versions:
        data = f"{module} {version}".encode()
        digest = hashlib.sha256(data).hexdigest()
        kind = {"Content-Type": "application/octet-stream"}
        good(server.put(f"/api/v1/artifacts/{digest}", data=data, headers=kind))
        good(server.put(f"/api/v1/modules/{module}/versions/{version}", {"variants": [{"sha256": digest}], "requires": requires or {}}))


def wait_for(server, path, condition, limit=100000):
    """Ask until condition(JSON) holds, and return the JSON."""
    for _ in range(limit):
        got = good(server.get(path))
        if condition(got):
            return got
    raise AssertionError(f"{path} did not become so: {got}")
