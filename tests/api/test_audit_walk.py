# SPDX-License-Identifier: Apache-2.0
"""No way to change something goes unnoticed: every write route of server/tbl/routes.h writes events, with
the right kind, subject and actor; a route without a recipe here fails the test."""
import hashlib
from datetime import datetime, timezone

import pytest
from fleet_device import Device
from test_routes_walk import ROUTES

API = "/api/v1"
DATA = b"content"
SHA = hashlib.sha256(DATA).hexdigest()

# Routes that take bodies and change nothing, or whose facts are rows of their own (design: device reports
# are not events).
SILENT = {
    "POST /api/v1/plans": "a preview keeps nothing",
    "POST /api/v1/simulations": "a simulation changes nothing",
    "POST /api/v1/deltas/warm": "deltas are derived; they may be built and dropped at any time",
    "POST /device/v1/session": "a handshake; nothing is stored",
    "PUT /device/v1/inventory": "what devices report is not an event",
    "POST /device/v1/report": "what devices report is not an event",
}

# Routes whose event is looked at in a test of their own, since much must have happened before.
ELSEWHERE = {
    "POST /api/v1/rollouts/{rollout}/release": "tests/api/test_gates.py: a stratum must be held first",
}


def register(server, count=3):
    lines = b"".join(b'{"id":"d%d","installed":[{"module":"app","version":"0.9.0"}]}\n' % i for i in range(count))
    return server.post(f"{API}/devices", data=lines)


def publish(server):
    assert server.put(f"{API}/modules/app", {"kind": "file"}).status == 201
    assert server.put(f"{API}/artifacts/{SHA}", data=DATA).status == 201
    assert server.put(f"{API}/modules/app/versions/1.0.0", {"variants": [{"sha256": SHA}]}).status == 201


def rollout(server, **strategy):
    """A rollout that is ready."""
    publish(server)
    register(server)
    server.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]})
    spec = {"release": "r", "strategy": {"waves": [{"percent": 100}], **strategy}}
    assert server.put(f"{API}/rollouts/one", spec).status == 201
    while server.get(f"{API}/rollouts/one").json()["state"] == "planning":
        server.get(f"{API}/rollouts/one/stats", headers={"Prefer": "wait=1"})


def nothing(_server):
    """Nothing has to be there before."""


ACTORS = {"device.enrolled": "factory", "rollout.approved": "boss", "rollout.denied": "boss"}

# route: (what must be there, the request, kind, subject)
RECIPES = {
    "POST /api/v1/tokens": (
        nothing, lambda s: s.post(f"{API}/tokens", {"name": "ci", "roles": ["viewer"]}), "token.created", "ci"),
    "DELETE /api/v1/tokens/{token}": (
        lambda s: s.make_token("ci", ["viewer"]), lambda s: s.delete(f"{API}/tokens/2"), "token.revoked", "ci"),
    "PUT /api/v1/modules/{module}": (
        nothing, lambda s: s.put(f"{API}/modules/app", {"kind": "file"}), "module.created", "app"),
    "DELETE /api/v1/modules/{module}": (
        lambda s: s.put(f"{API}/modules/app", {"kind": "file"}), lambda s: s.delete(f"{API}/modules/app"),
        "module.deleted", "app"),
    "PUT /api/v1/modules/{module}/versions/{version}": (
        lambda s: s.put(f"{API}/modules/app", {"kind": "file"}),
        lambda s: s.put(f"{API}/modules/app/versions/1.0.0", {"variants": [{}]}), "version.published", "app@1.0.0"),
    "POST /api/v1/modules/{module}/versions/{version}/block": (
        publish, lambda s: s.post(f"{API}/modules/app/versions/1.0.0/block", {"blocked": True}), "version.blocked",
        "app@1.0.0"),
    "PUT /api/v1/artifacts/{sha256}": (
        nothing, lambda s: s.put(f"{API}/artifacts/{SHA}", data=DATA), "artifact.stored", SHA),
    "PUT /api/v1/releases/{release}": (
        publish, lambda s: s.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]}),
        "release.created", "r"),
    "POST /api/v1/devices": (nothing, register, "devices.registered", "default"),
    "PATCH /api/v1/devices/{device}": (
        register, lambda s: s.patch(f"{API}/devices/d0", {"labels": {"a": 1}}), "device.changed", "d0"),
    "DELETE /api/v1/devices/{device}": (
        register, lambda s: s.delete(f"{API}/devices/d0"), "device.retired", "d0"),
    "PUT /api/v1/rollouts/{rollout}": (
        lambda s: (publish(s), s.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]})),
        lambda s: s.put(f"{API}/rollouts/one", {"release": "r"}), "rollout.created", "one"),
    "POST /api/v1/rollouts/{rollout}/{verb}": (
        rollout, lambda s: s.post(f"{API}/rollouts/one/start", {}), "rollout.verb", "one"),
    "POST /api/v1/rollouts/{rollout}/approve": (
        lambda s: rollout(s, approvals=1), lambda s: judge(s, "approve"), "rollout.approved", "one"),
    "POST /api/v1/rollouts/{rollout}/deny": (
        lambda s: rollout(s, approvals=1), lambda s: judge(s, "deny"), "rollout.denied", "one"),
    "POST /api/v1/audit/prune": (
        lambda s: older(s), lambda s: s.post(f"{API}/audit/prune", {"before": now()}), "audit.pruned", "default"),
    "PUT /api/v1/freezes/{freeze}": (
        nothing, lambda s: s.put(f"{API}/freezes/sale", {}), "freeze.created", "sale"),
    "DELETE /api/v1/freezes/{freeze}": (
        lambda s: s.put(f"{API}/freezes/sale", {}), lambda s: s.delete(f"{API}/freezes/sale"), "freeze.lifted", "sale"),
    "PUT /api/v1/webhooks/{webhook}": (nothing, lambda s: hook(s), "webhook.created", "ops"),
    "DELETE /api/v1/webhooks/{webhook}": (
        lambda s: hook(s), lambda s: s.delete(f"{API}/webhooks/ops"), "webhook.deleted", "ops"),
    "POST /api/v1/webhooks/{webhook}/{verb}": (
        lambda s: hook(s), lambda s: s.post(f"{API}/webhooks/ops/test", {}), "webhook.tested", "ops"),
    "PUT /api/v1/channels/{channel}": (lambda s: released(s), lambda s: channel(s), "channel.created", "stable"),
    "DELETE /api/v1/channels/{channel}": (
        lambda s: (released(s), channel(s)), lambda s: s.delete(f"{API}/channels/stable"), "channel.deleted", "stable"),
    "POST /api/v1/channels/{channel}/{verb}": (
        lambda s: (released(s), channel(s)), lambda s: s.post(f"{API}/channels/stable/pause"), "channel.changed", "stable"),
    "POST /device/v1/enrol": (nothing, lambda s: enrol(s), "device.enrolled", "dev-1"),
}


def released(server):
    publish(server)
    server.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]})


def channel(server):
    return server.put(f"{API}/channels/stable", {"selector": "label.x==1", "release": "r"})


def judge(server, verb):
    """Another one than its author agrees or disagrees."""
    boss = server.make_token("boss", ["approver"])
    return boss.post(f"{API}/rollouts/one/{verb}", {"plan_digest": server.get(f"{API}/rollouts/one").json()["plan_digest"]}
                     if verb == "approve" else {"why": "no"})


def hook(server):
    return server.put(f"{API}/webhooks/ops", {"url": "https://example.invalid/", "kinds": ["server.created"]})


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def older(server):
    """Wait until the first event is of an earlier second."""
    first = server.get(f"{API}/events?limit=1").json()["items"][0]["at"]
    while now().replace("Z", ".000Z") <= first:
        pass


def enrol(server):
    token = server.make_token("factory", ["enroller"]).token
    return Device(server.port, "dev-1").send_enrolment(token)


def writes(route):
    return route.method != "GET" and str(route) not in SILENT and str(route) not in ELSEWHERE


def test_every_write_route_has_a_recipe():
    """A new route that changes something needs a line above."""
    missing = [str(r) for r in ROUTES if writes(r) and str(r) not in RECIPES]
    assert not missing, "say what events these write: " + ", ".join(missing)
    assert {*SILENT, *ELSEWHERE} <= {str(r) for r in ROUTES}


def last_seq(server):
    return server.get(f"{API}/events?limit=1000").json()["items"][-1]["seq"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_change_is_told_with_its_actor(fleetd, name):
    """The route writes an event of its kind, about its subject, by who called it."""
    before, call, kind, subject = RECIPES[name]
    before(fleetd)
    seq = last_seq(fleetd)
    answer = call(fleetd)
    assert 200 <= answer.status < 300, answer
    new = [e for e in fleetd.get(f"{API}/events?after={seq}").json()["items"] if e["kind"] == kind]
    assert [(e["subject"], e["actor"]) for e in new] == [(subject, ACTORS.get(kind, "admin"))]
