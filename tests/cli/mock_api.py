# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for fleetd: the management API kept in dictionaries, with faults on demand.

It answers what a test tells it to; the tests of fleetctl need faults and moments that a real server
does not produce when asked: a connection that breaks in the middle of an upload, a 503, a rollout in
just this state."""
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "flt_1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
NOW = "2026-11-23T08:00:00.000Z"

TITLES = {
    "invalid": (400, "The request is not valid"),
    "unauthenticated": (401, "Credentials are missing or wrong"),
    "forbidden": (403, "These credentials do not allow this"),
    "not-found": (404, "There is no such thing"),
    "conflict": (409, "This contradicts what is stored"),
    "too-large": (413, "The body is larger than allowed"),
    "refused": (422, "The request is understood but cannot be carried out"),
    "internal": (500, "fleetd has a defect"),
    "unavailable": (503, "Temporarily not possible; try again later"),
}


class Problem(Exception):
    def __init__(self, kind, detail, **members):
        super().__init__(detail)
        self.kind, self.detail, self.members = kind, detail, members


class Mock:
    """The state of the server and the list of what it was asked."""

    def __init__(self):
        self.requests = []  # (method, path, headers, body or its length)
        self.modules, self.versions, self.artifacts, self.parts = {}, {}, {}, {}
        self.releases, self.devices, self.rollouts, self.plans = {}, {}, {}, {}
        self.tokens, self.events, self.deltas = [], [], []
        self.stats = []  # answers of …/stats, one after the other; the last one stays
        self.faults = []  # (method, regex of the path, what) taken in order, each once
        self.cut_after = []  # bytes after which an upload's connection is cut, one per upload
        self.verbs = []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_one(self):
                outer.handle(self)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_one

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method, pattern):
        """The requests that match."""
        return [r for r in self.requests if r[0] == method and re.search(pattern, r[1])]

    # ---- one request

    def handle(self, http):
        length = int(http.headers.get("Content-Length") or 0)
        path = http.path
        try:
            with self.lock:
                fault = next((f for f in self.faults if f[0] == http.command and re.search(f[1], path)), None)
                if fault:
                    self.faults.remove(fault)
            upload = http.command == "PUT" and path.startswith("/api/v1/artifacts/")
            if fault:
                if not upload:
                    http.rfile.read(length)
                self.requests.append((http.command, path, dict(http.headers), None))
                fault[2](http)
                return
            body = None if upload else http.rfile.read(length)
            self.requests.append((http.command, path, dict(http.headers), body))
            if http.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Problem("unauthenticated", "the token is not known")
            status, answer = self.route(http, body, length)
            headers = answer.pop("_headers", {}) if isinstance(answer, dict) else {}
            send(http, status, answer, headers)
        except Problem as why:
            send_problem(http, why)
        except (ConnectionError, BrokenPipeError):
            http.close_connection = True

    def route(self, http, body, length):
        url = urlsplit(http.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        parts = [unquote(p) for p in url.path.split("/")[3:]]
        parsed = json.loads(body) if body and http.headers.get("Content-Type") == "application/json" else None
        handler = getattr(self, f"on_{parts[0]}")
        return handler(http.command, parts[1:], parsed, query, http, length, body)

    def page(self, items, query):
        limit = int(query.get("limit", 100))
        start = int(query.get("cursor") or 0)
        end = start + limit
        return 200, {"items": items[start:end], "next": str(end) if end < len(items) else None}

    def put(self, store, key, made, what):
        old = store.get(key)
        if old is None:
            store[key] = made
            return 201, made
        if {k: v for k, v in old.items() if not k.endswith("_at")} != {
            k: v for k, v in made.items() if not k.endswith("_at")
        }:
            raise Problem("conflict", f"{what} exists with other content")
        return 200, old

    # ---- the nouns

    def on_whoami(self, method, parts, body, query, http, *rest):
        return 200, {"name": "tester", "roles": ["admin"], "selector": None}

    def on_server(self, method, parts, body, query, http, *rest):
        return 200, {"version": "0.1.0", "tenant": "default", "uuid": "u", "started_at": NOW,
                     "poll_interval_s": 60, "root_keyid": "abc", "quick_start_root": True,
                     "limits": {"artifact_bytes": 4294967296}}

    def on_modules(self, method, parts, body, query, http, *rest):
        if not parts:
            return self.page([self.module(n) for n in sorted(self.modules)], query)
        name = parts[0]
        if len(parts) == 1 and method == "PUT":
            status = 200 if name in self.modules else 201
            self.modules[name] = {"name": name, "tier": "device", "description": "", **body, "created_at": NOW}
            return status, self.module(name)
        if name not in self.modules:
            raise Problem("not-found", f"there is no module {name}")
        if len(parts) == 1 and method == "GET":
            return 200, self.module(name)
        if len(parts) == 1:
            del self.modules[name]
            return 204, None
        return self.on_versions(method, name, parts[2:], body, query)

    def module(self, name):
        versions = [v for m, v in self.versions if m == name]
        return {**self.modules[name], "versions": len(versions), "newest": versions[-1] if versions else None}

    def on_versions(self, method, module, parts, body, query):
        if not parts:
            return self.page([v for (m, _), v in self.versions.items() if m == module], query)
        key = (module, parts[0])
        if method == "PUT":
            for variant in body["variants"]:
                digest = variant.get("sha256")
                if digest and digest not in self.artifacts:
                    raise Problem("refused", f"the artifact {digest} is not here; upload it first")
            variants = [{"selector": v.get("selector"), "artifact": {"sha256": v["sha256"], "size": len(self.artifacts[v["sha256"]])}
                         if v.get("sha256") else None} for v in body["variants"]]
            made = {"module": module, "version": parts[0], "variants": variants, "requires": body.get("requires", {}),
                    "needs": body.get("needs", {}), "floor": body.get("floor", False),
                    "downgrade": body.get("downgrade", True), "blocked": None, "notes": body.get("notes", ""),
                    "signature": None, "created_at": NOW, "created_by": "tester"}
            return self.put(self.versions, key, made, f"{module} {parts[0]}")
        if key not in self.versions:
            raise Problem("not-found", f"there is no version {parts[0]} of {module}")
        if len(parts) == 2:
            self.versions[key]["blocked"] = {"at": NOW, "why": body.get("why", "")} if body["blocked"] else None
        return 200, self.versions[key]

    def on_artifacts(self, method, parts, body, query, http, length, raw):
        digest = parts[0]
        if method == "GET":
            if digest in self.artifacts:
                used = [{"module": m, "version": v} for m, v in self.versions]
                return 200, {"sha256": digest, "size": len(self.artifacts[digest]), "used_by": used}
            have = len(self.parts.get(digest, b""))
            raise Problem("not-found", "there is no such artifact", **({"received": have} if have else {}))
        start, total = 0, length
        if http.headers.get("Content-Range"):
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", http.headers["Content-Range"])
            start, total = int(found[1]), int(found[3])
        have = self.parts.get(digest, b"")
        if start != len(have) and start != 0:
            raise Problem("conflict", "the part that is here is of another length", received=len(have))
        limit = self.cut_after.pop(0) if self.cut_after else None
        data = have if start else b""
        left = length
        while left > 0:
            chunk = http.rfile.read(min(65536, left))
            if not chunk:
                break
            data += chunk
            left -= len(chunk)
            if limit is not None and len(data) - start >= limit:
                self.parts[digest] = data[: start + limit]
                http.close_connection = True
                http.connection.shutdown(2)
                raise ConnectionError
        if hashlib.sha256(data).hexdigest() != digest or len(data) != total:
            raise Problem("invalid", "the bytes do not have the digest of the address")
        self.parts.pop(digest, None)
        self.artifacts[digest] = data
        return 201, {"sha256": digest, "size": len(data)}

    def on_releases(self, method, parts, body, query, http, *rest):
        if not parts:
            return self.page(list(self.releases.values()), query)
        if method == "PUT":
            made = {"name": parts[0], "notes": body.get("notes", ""), "entries": body["entries"], "digest": "d" * 64,
                    "created_at": NOW, "created_by": "tester"}
            return self.put(self.releases, parts[0], made, f"release {parts[0]}")
        if parts[0] not in self.releases:
            raise Problem("not-found", f"there is no release {parts[0]}")
        return 200, self.releases[parts[0]]

    def on_devices(self, method, parts, body, query, http, length, raw):
        if not parts and method == "GET":
            return self.page(list(self.devices.values()), query)
        if not parts:
            return self.import_devices(raw)
        if parts[0] not in self.devices:
            raise Problem("not-found", f"there is no device {parts[0]}")
        device = self.devices[parts[0]]
        if len(parts) == 2:
            return self.page([{"at": NOW, "state": "confirmed", "cause": "none", "detail": "ok", "step": "7"}], query)
        if method == "DELETE":
            device["retired_at"] = NOW
        if method == "PATCH":
            for key, value in (body.get("labels") or {}).items():
                device["labels"].pop(key, None)
                if value is not None:
                    device["labels"][key] = value
            if "gateway" in body:
                device["gateway"] = body["gateway"]
        return 200, device

    def add_device(self, name, **members):
        self.devices[name] = {"id": name, "tier": "device", "gateway": None, "attributes": {}, "labels": {},
                              "installed": [], "manifest": 0, "enrolled": False, "last_seen": None,
                              "retired_at": None, "created_at": NOW, "steps": [], **members}

    def import_devices(self, raw):
        created, errors = 0, []
        for number, line in enumerate(raw.decode().splitlines(), 1):
            try:
                self.add_device(json.loads(line)["id"])
                created += 1
            except (ValueError, KeyError):
                errors.append({"line": number, "detail": "not a device"})
        return 200, {"created": created, "changed": 0, "unchanged": 0, "refused": len(errors), "errors": errors}

    def on_plans(self, method, parts, body, query, http, *rest):
        if len(parts) == 3:
            return 200, self.plan_diff
        if parts:
            if parts[0] not in self.plans:
                raise Problem("not-found", f"there is no plan or rollout {parts[0]}")
            return 200, self.plans[parts[0]]
        return 200, {**self.plans["preview"], "release": body["release"]}

    def on_rollouts(self, method, parts, body, query, http, *rest):
        if not parts:
            return self.page(list(self.rollouts.values()), query)
        name = parts[0]
        if len(parts) == 1 and method == "PUT":
            made = {"name": name, **body, "state": "ready", "reason": "", "plan_digest": "e" * 64, "waves": 3, "layers": 2,
                    "targets": 500, "created_at": NOW, "created_by": "tester", "started_at": None, "ended_at": None,
                    "links": {}}
            return self.put(self.rollouts, name, made, f"rollout {name}")
        if name not in self.rollouts:
            raise Problem("not-found", f"there is no rollout {name}")
        if len(parts) == 1:
            return 200, self.rollouts[name]
        if parts[1] == "plan":
            if name not in self.plans:
                raise Problem("conflict", "the rollout is not planned yet")
            return 200, self.plans[name]
        if parts[1] == "steps":
            return self.page([{"device": "dev-1", "layer": 0, "wave": 1, "state": "failed", "cause": "release",
                               "attempt": 1, "delivered_at": NOW, "changed_at": NOW, "detail": "health check: exit 3"}], query)
        if parts[1] == "stats":
            return self.next_stats(http)
        self.verbs.append((parts[1], body))
        return 200, {"verb": parts[1], "did": f"rollout {name}: {parts[1]} is done", "changed": True,
                     "may_still_switch": 3, "until": NOW, "rollout": self.rollouts[name]}

    def next_stats(self, http):
        with self.lock:
            answer = self.stats.pop(0) if len(self.stats) > 1 else self.stats[0]
        if answer == http.headers.get("If-None-Match"):
            return 304, None
        etag = f'"{hashlib.sha256(json.dumps(answer).encode()).hexdigest()[:16]}"'
        if etag == http.headers.get("If-None-Match"):
            return 304, {"_headers": {"ETag": etag}}
        return 200, {**answer, "_headers": {"ETag": etag}}

    def on_tokens(self, method, parts, body, query, http, *rest):
        if method == "POST":
            made = {"id": "1z", "selector": None, "uses_left": None, "labels": {}, "expires_at": None,
                    "created_at": NOW, "created_by": "tester", "revoked_at": None, **body}
            self.tokens.append(made)
            return 201, {**made, "token": "flt_1z_SECRET"}
        if method == "DELETE":
            return 204, None
        return self.page(self.tokens, query)

    def on_events(self, method, parts, body, query, http, *rest):
        after = int(query.get("after", 0))
        events = [e for e in self.events if e["seq"] > after]
        if http.headers.get("Accept") != "text/event-stream":
            return self.page(events, query)
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Connection", "close")
        http.end_headers()
        http.wfile.write(b": hello\n\n")
        for event in events[:2]:
            http.wfile.write(f"id: {event['seq']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n".encode())
        http.close_connection = True
        raise ConnectionError

    def on_deltas(self, method, parts, body, query, http, *rest):
        status, page = self.page(self.deltas, query)
        return status, {**page, "summary": {"ready": 1, "useless": 0, "failed": 2, "bytes": 1000, "uses": 3,
                                             "saved": 27000, "waiting": 0, "warming": 0, "building": 1}}


# ---- answers and faults


def send(http, status, answer, headers=()):
    body = b"" if answer is None or status in (204, 304) else json.dumps(answer).encode()
    http.send_response(status)
    if status not in (204, 304):
        http.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
        http.send_header("Content-Length", str(len(body)))
    for name, value in dict(headers).items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(body)


def send_problem(http, why, headers=()):
    status, title = TITLES[why.kind]
    http.close_connection = True
    send(http, status, {"type": f"/problems/{why.kind}", "title": title, "status": status, "detail": why.detail,
                        "instance": "rq-7f3", **why.members}, headers)


def problem(kind, detail, headers=(), **members):
    """A fault: this problem."""
    return lambda http: send_problem(http, Problem(kind, detail, **members), headers)


def later(seconds):
    """A fault: 503 with Retry-After."""
    return problem("unavailable", "the queue is full", {"Retry-After": str(seconds)})


def hang_up(http):
    """A fault: the connection ends without an answer."""
    http.close_connection = True
    http.connection.shutdown(2)


def raw(status, content_type, body):
    """A fault: an answer that fleetd would not give."""

    def answer(http):
        http.close_connection = True
        http.send_response(status)
        http.send_header("Content-Type", content_type)
        http.send_header("Content-Length", str(len(body)))
        http.end_headers()
        http.wfile.write(body)

    return answer
