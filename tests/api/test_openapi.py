# SPDX-License-Identifier: Apache-2.0
"""schema/openapi.yaml is the contract: it agrees with the table of routes and with live answers."""
import hashlib
import json
import re
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "schema" / "openapi.yaml").read_text())
SIZES = {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
READERS = {"viewer", "publisher", "operator", "approver", "admin"}
WHO = {
    "WHO_ANYONE": None, "ROLE_READ": READERS, "ROLE_READ | WHO_ENROLLER": READERS | {"enroller"},
    "ROLE_PUBLISH": {"publisher", "admin"}, "ROLE_OPERATE": {"operator", "admin"},
    "ROLE_APPROVE": {"approver", "admin"}, "WHO_ADMIN": {"admin"},
}
ROW = re.compile(r'^ROUTE\((\w+), "([^"]+)", ([^,]+), ([^,]+), \w+, \w+, "([^"]+)"\)', re.M)


def size(text):
    number, *unit = text.split(" * ")
    return int(number) * (SIZES[unit[0]] if unit else 1)


def table():
    """The management rows of the table: (method, path) -> (roles or None, body limit, summary)."""
    rows = ROW.findall((ROOT / "server" / "tbl" / "routes.h").read_text())
    assert len(rows) > 40
    return {(m, p): (WHO[w], size(s), summary) for m, p, w, s, summary in rows
            if p.startswith("/api/") or p in ("/healthz", "/readyz", "/metrics")}


def operations():
    """(method, path) -> operation of the document."""
    return {(method.upper(), path): operation for path, item in DOCUMENT["paths"].items()
            for method, operation in item.items() if method != "parameters"}


def test_the_document_has_every_route_and_no_other():
    """Methods, addresses, summaries, roles and body limits agree with the table."""
    rows, documented = table(), operations()
    assert set(rows) == set(documented)
    for key, (roles, limit, summary) in rows.items():
        operation = documented[key]
        assert operation["summary"] == summary, key
        assert operation.get("x-body-limit", 0) == limit, key
        if roles is None:
            assert operation["security"] == [], key
        else:
            assert set(operation["x-roles"]) == roles, key
        assert ("requestBody" in operation) == (limit > 0), key
    names = [o["operationId"] for o in documented.values()]
    assert len(set(names)) == len(names)


def references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for v in value.values():
            yield from references(v)
    elif isinstance(value, list):
        for v in value:
            yield from references(v)


def resolve(reference):
    value = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def test_the_document_is_sound():
    """References lead somewhere, everything defined is used, schemas are JSON Schemas."""
    used = set(references(DOCUMENT))
    for reference in used:
        assert isinstance(resolve(reference), dict), reference
    for kind in ("schemas", "parameters", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in used, name
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, item in DOCUMENT["paths"].items():
        named = {p["name"] for p in item.get("parameters", [])}
        assert named == set(re.findall(r"{(\w+)}", path)), path


class Checked:
    """A client whose every answer must fit the document."""

    def __init__(self, client):
        self.client = client
        self.seen = set()

    def template(self, method, path):
        path = path.split("?")[0]
        for (m, p) in operations():
            if m == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", p), path):
                if "{" not in p or path not in DOCUMENT["paths"]:
                    return p
        raise AssertionError(f"{method} {path} is not documented")

    def request(self, method, path, **more):
        answer = self.client.request(method, path, **more)
        template = self.template(method, path)
        responses = operations()[method, template]["responses"]
        assert str(answer.status) in responses, (method, path, answer)
        self.seen.add((method, template))
        response = responses[str(answer.status)]
        response = resolve(response["$ref"]) if "$ref" in response else response
        if "content" not in response:
            assert answer.body == b"", (method, path)
            return answer
        kind = answer.headers["Content-Type"].split(";")[0]
        schema = response["content"][kind]["schema"]
        if kind.endswith("json"):
            whole = {**schema, "components": DOCUMENT["components"]}
            jsonschema.Draft202012Validator(whole).validate(answer.json())
        return answer


def use_registry(c):
    """Requests, good and bad, to the registry's addresses."""
    data = b"content"
    digest = hashlib.sha256(data).hexdigest()
    assert c.request("PUT", f"/api/v1/artifacts/{digest}", data=data).status == 201
    for name in ("lib", "app"):
        assert c.request("PUT", f"/api/v1/modules/{name}", json={"kind": "wasm"}).status == 201
    c.request("PUT", "/api/v1/modules/bad", json={"kind": "?"})
    version = {"variants": [{"selector": "attribute.a==1", "sha256": digest}, {}], "requires": {"lib": "*"},
               "needs": {"runtime": ">=1"}, "signature": {"signed": {}, "signatures": []}}
    assert c.request("PUT", "/api/v1/modules/app/versions/1.0.0", json=version).status == 201
    assert c.request("PUT", "/api/v1/modules/app/versions/1.0.0", json={"variants": [{}]}).status == 409
    assert c.request("POST", "/api/v1/modules/app/versions/1.0.0/block", json={"blocked": True}).status == 200
    assert c.request("GET", "/api/v1/modules/app/versions/1.0.0").json()["blocked"] is not None
    c.request("POST", "/api/v1/modules/app/versions/1.0.0/block", json={"blocked": False})
    release = {"entries": [{"module": "app", "version": "1.0.0"}, {"module": "lib", "action": "absent"}]}
    assert c.request("PUT", "/api/v1/releases/r", json=release).status == 201
    for path in ("modules", "modules/app", "modules/app/versions", "releases", "releases/r", "releases/none",
                 f"artifacts/{digest}", f"artifacts/{'0' * 64}"):
        c.request("GET", f"/api/v1/{path}")
    assert c.request("DELETE", "/api/v1/modules/app").status == 409


def use_devices(c):
    """Requests to the devices' addresses."""
    lines = [{"id": "g", "tier": "gateway"}, {"id": "d", "gateway": "g", "attributes": {"a": 1, "b": True},
             "installed": [{"module": "app", "version": "1.0.0"}]}, {"id": ""}]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    assert c.request("POST", "/api/v1/devices", data=body).status == 200
    for path in ("devices", "devices?limit=1", "devices?q=id==d", "devices?q=id", "devices/d", "devices/none",
                 "devices/d/reports"):
        c.request("GET", f"/api/v1/{path}")
    assert c.request("PATCH", "/api/v1/devices/d", json={"labels": {"x": 1}}).status == 200
    assert c.request("PATCH", "/api/v1/devices/d", json={"labels": 1}).status == 400
    assert c.request("DELETE", "/api/v1/devices/g").status == 409


def use_server(c):
    """Requests to everything else that needs no rollout."""
    token = c.request("POST", "/api/v1/tokens", json={"name": "e", "roles": ["enroller"], "uses": 2, "labels": {"a": 1},
                                                      "expires_in_s": 60})
    assert token.status == 201
    c.request("POST", "/api/v1/tokens", json={})
    c.request("GET", "/api/v1/tokens")
    c.request("DELETE", "/api/v1/tokens/1")
    c.request("DELETE", f"/api/v1/tokens/{token.json()['id']}")
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/server", "/api/v1/whoami", "/api/v1/events",
                 "/api/v1/deltas", "/api/v1/deltas/stats", "/api/v1/audit/head"):
        assert c.request("GET", path).status == 200, path
    assert c.request("POST", "/api/v1/audit/prune", json={"before": "2020-01-01T00:00:00Z"}).status == 200
    assert c.request("POST", "/api/v1/audit/prune", json={"before": "soon"}).status == 400


def use_webhooks(c):
    """Requests to the freezes' and the webhooks' addresses."""
    freeze = {"selector": "id==none", "why": "sale", "from": "2098-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"}
    assert c.request("PUT", "/api/v1/freezes/f", json=freeze).status == 200
    assert c.request("PUT", "/api/v1/freezes/f", json={"until": "soon"}).status == 400
    assert c.request("GET", "/api/v1/freezes").status == 200
    assert c.request("DELETE", "/api/v1/freezes/f").status == 200
    assert c.request("DELETE", "/api/v1/freezes/none").status == 404
    hook = {"url": "https://example.invalid/", "kinds": ["rollout.*"], "selector": "id==d", "enabled": False}
    assert c.request("PUT", "/api/v1/webhooks/w", json=hook).status == 201
    assert c.request("PUT", "/api/v1/webhooks/w", json={**hook, "enabled": True}).status == 200
    assert c.request("PUT", "/api/v1/webhooks/w", json={"url": "x"}).status == 400
    assert c.request("PUT", "/api/v1/webhooks/w", json={"url": "https://127.0.0.1"}).status == 422
    assert c.request("POST", "/api/v1/webhooks/w/test", json={}).status == 202
    assert c.request("POST", "/api/v1/webhooks/w/rotate", json={}).status == 200
    assert c.request("POST", "/api/v1/webhooks/w/replay", json={"after": 1}).status == 200
    assert c.request("POST", "/api/v1/webhooks/w/replay", json={}).status == 400
    assert c.request("POST", "/api/v1/webhooks/w/fly", json={}).status == 404
    for path in ("webhooks", "webhooks/w", "webhooks/none", "webhooks/w/deliveries", "webhooks/w/deliveries?state=x"):
        c.request("GET", f"/api/v1/{path}")
    assert c.request("DELETE", "/api/v1/webhooks/w").status == 204


def planned(c, name):
    """The rollout once its planning has ended: its figures are waited for."""
    headers = {}
    while True:
        rollout = c.request("GET", f"/api/v1/rollouts/{name}").json()
        if rollout["state"] != "planning":
            return rollout
        figures = c.request("GET", f"/api/v1/rollouts/{name}/stats", headers=headers)
        assert figures.status == 200, figures  # 304: nothing happened for 30 s
        headers = {"Prefer": "wait=30", "If-None-Match": figures.headers["ETag"]}


def use_rollouts(c):
    """Requests to the rollouts' addresses: a preview, a rollout from its plan to its end."""
    spec = {"release": "solo", "selector": "id==r*", "strategy": {"waves": [{"percent": 100}]}}
    digest = hashlib.sha256(b"solo").hexdigest()
    c.request("PUT", f"/api/v1/artifacts/{digest}", data=b"solo")
    c.request("PUT", "/api/v1/modules/solo", json={"kind": "file"})
    c.request("PUT", "/api/v1/modules/solo/versions/1.0.0", json={"variants": [{"sha256": digest}]})
    c.request("PUT", "/api/v1/releases/solo", json={"entries": [{"module": "solo", "version": "1.0.0"}]})
    installed = [{"module": "solo", "version": "0.9.0"}]
    lines = "".join(json.dumps({"id": f"r{i}", "installed": installed}) + "\n" for i in range(30))
    assert c.request("POST", "/api/v1/devices", data=lines.encode()).status == 200
    assert c.request("POST", "/api/v1/plans", json=spec).status == 200
    assert c.request("POST", "/api/v1/plans", json={"release": "r", "selector": "id"}).status == 400
    assert c.request("POST", "/api/v1/simulations", json={"devices": 20, "runs": 1}).status == 200
    assert c.request("POST", "/api/v1/simulations", json={"devices": 0}).status == 400
    assert c.request("PUT", "/api/v1/rollouts/one", json=spec).status == 201
    assert c.request("PUT", "/api/v1/rollouts/two", json={"release": "none"}).status in (404, 422)
    assert planned(c, "one")["state"] == "ready"
    assert c.request("GET", "/api/v1/rollouts/one/plan").json()["classes"]
    assert c.request("GET", "/api/v1/plans/one").json()["id"].startswith("plan-")
    for path in ("plans/none", "plans/one/devices", "plans/none/devices", "plans/one/diff/one", "plans/one/diff/none"):
        c.request("GET", f"/api/v1/{path}")
    assert c.request("GET", "/api/v1/rollouts/one/stats").status == 200
    spec["strategy"]["approvals"] = 1
    for name in ("agreed", "denied"):
        assert c.request("PUT", f"/api/v1/rollouts/{name}", json=spec).status == 201
        assert planned(c, name)["state"] == "waiting_approval"
    c.request("GET", "/api/v1/plans/one/diff/agreed")
    c.request("POST", "/api/v1/rollouts/agreed/approve", json={"plan_digest": "0" * 64})
    c.request("POST", "/api/v1/rollouts/denied/deny", json={"why": "no"})
    warm = "/api/v1/deltas/warm"
    assert c.request("POST", warm, json={"rollout": "one", "reverse": True}).status == 202
    assert c.request("POST", warm, json={"module": "solo", "from": "1.0.0", "to": "3.0.0"}).status == 404
    assert c.request("POST", warm, json={"from": digest, "to": digest}).json() == {"pairs": 0}
    assert c.request("POST", warm, json={"rollout": "one", "to": digest}).status in (400, 422)
    assert c.request("GET", "/api/v1/deltas/queue").status == 200
    c.request("POST", "/api/v1/rollouts/one/start", json={})
    assert c.request("POST", "/api/v1/rollouts/one/release", json={"stratum": "attribute.hw==1"}).status == 200
    c.request("POST", "/api/v1/rollouts/one/stop", json={})
    assert c.request("POST", "/api/v1/rollouts/one/fly", json={}).status in (400, 404)
    for path in ("rollouts", "rollouts/one", "rollouts/none", "rollouts/none/plan", "rollouts/one/stats",
                 "rollouts/one/steps", "rollouts/one/decisions", "rollouts/one/strata", "rollouts/none/stats",
                 "devices/r1/explain", "devices/none/explain", "rollouts/one/stages/0/0/explain",
                 "rollouts/one/stages/9/9/explain", "rollouts/denied", "devices/r1"):
        c.request("GET", f"/api/v1/{path}")


def use_channels(c):
    """Requests to the channels' addresses."""
    assert c.request("PUT", "/api/v1/channels/stable", json={"selector": "id==none", "release": "solo"}).status == 201
    assert c.request("PUT", "/api/v1/channels/stable", json={"selector": "id==none", "retries": 1}).status == 200
    c.request("PUT", "/api/v1/channels/stable", json={"release": "none"})
    c.request("PUT", "/api/v1/channels/stable", json={"error": {"percent": 100}})
    c.request("PUT", "/api/v1/channels/stable", json={}, headers={"If-Match": '"no"'})
    c.request("PUT", "/api/v1/rollouts/moves", json={"release": "solo", "channel": "stable"})
    for path in ("channels", "channels/stable", "channels/none"):
        c.request("GET", f"/api/v1/{path}")
    c.request("POST", "/api/v1/channels/stable/pause")
    c.request("POST", "/api/v1/channels/stable/fly")
    c.request("DELETE", "/api/v1/channels/stable")


def test_live_answers_fit_the_document(fleetd):
    """Whatever the server answers, good or bad, has the documented status, type and shape."""
    c = Checked(fleetd)
    use_registry(c)
    use_devices(c)
    use_server(c)
    use_webhooks(c)
    use_rollouts(c)
    use_channels(c)
    c.request("DELETE", "/api/v1/devices/d")
    assert c.seen == set(operations())
