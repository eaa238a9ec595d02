# SPDX-License-Identifier: Apache-2.0
"""A rollout as one device sees it: the manifest comes by the poll, the reports end the step."""
import hashlib

import pytest

from strict_device import enrol_token, enrolled
from waiting import until, until_figures


def publish(server, version, content):
    """A version of the module app with these bytes; its digest."""
    digest = hashlib.sha256(content).hexdigest()
    assert server.put(f"/api/v1/artifacts/{digest}", data=content).status in (200, 201)
    answer = server.put(f"/api/v1/modules/app/versions/{version}", {"variants": [{"sha256": digest}]})
    assert answer.status == 201, answer
    return digest


def roll_out(server, name, version):
    entries = [{"module": "app", "version": version, "action": "install"}]
    assert server.put(f"/api/v1/releases/{name}", {"entries": entries}).status == 201
    strategy = {"waves": [{"percent": 100}], "gate": {"success": {"percent": 100}}, "probation_s": 0}
    body = {"release": name, "selector": "", "strategy": strategy, "start": "manual"}
    assert server.put(f"/api/v1/rollouts/{name}", body).status in (201, 202)
    wait_state(server, name, "ready")
    answer = server.post(f"/api/v1/rollouts/{name}/start", {})
    assert answer.status == 200, answer
    wait_state(server, name, "running")


def wait_state(server, name, state):
    until_figures(server, name, lambda figures: figures["state"] == state)


def wait_poll(device):
    """Poll until there is a manifest (the stage's steps are made by a job)."""
    return until("a manifest comes", device.poll)


@pytest.fixture(name="server")
def fixture_server(fleetd):
    assert fleetd.put("/api/v1/modules/app", {"kind": "file"}).status == 201
    fleetd.first = publish(fleetd, "1.0.0", b"first")
    return fleetd


def test_order_and_end(server):
    """The manifest is signed, for this device, and comes again until it is taken; `confirmed`
    completes the rollout and changes what is installed."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    roll_out(server, "r1", "1.0.0")
    envelope = wait_poll(device)
    again = device.poll()
    assert again["signed"]["number"] == envelope["signed"]["number"]
    order = device.open_manifest(envelope)
    assert order["tenant"] == "default"
    (module,) = order["modules"]
    assert (module["module"], module["version"], module["sha256"]) == ("app", "1.0.0", server.first)
    assert module["size"] == 5
    assert order["step"]["unit"] == ["app"]
    assert device.newest == order["number"]
    for state in ("downloading", "downloaded", "installing", "installed"):
        device.report(state, order)
    installed = [{"module": "app", "version": "1.0.0"}]
    device.report("confirmed", order, installed=installed, bytes=5, saved=0)
    wait_state(server, "r1", "completed")
    assert server.get("/api/v1/devices/dev").json()["installed"] == installed
    device.report("confirmed", order, installed=installed)
    assert device.poll() is None


def test_numbers_only_rise(server):
    """Each order has a higher number than the one before, also after a restart of the server."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    numbers = []
    for version in ("1.0.0", "1.1.0"):
        if version != "1.0.0":
            publish(server, version, version.encode())
        roll_out(server, f"r{version}", version)
        order = device.open_manifest(wait_poll(device))
        numbers.append(order["number"])
        device.report("confirmed", order, installed=[{"module": "app", "version": version}])
        wait_state(server, f"r{version}", "completed")
        server.stop()
        server.start()
        assert device.poll() is None
        assert device.newest == order["number"]
    assert numbers == sorted(set(numbers))


def test_order_outlives_a_restart(server):
    """An offer that the device has not taken yet is there after a restart, under the same number."""
    device = enrolled(server, "dev", enrol_token(server), installed=[])
    roll_out(server, "r1", "1.0.0")
    number = wait_poll(device)["signed"]["number"]
    server.kill()
    server.start()
    assert wait_poll(device)["signed"]["number"] == number
