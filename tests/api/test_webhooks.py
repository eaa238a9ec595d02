# SPDX-License-Identifier: Apache-2.0
"""Webhooks: every event that is wanted arrives signed, in order and at least once, whatever the target
and fleetd go through; and no target can make fleetd talk to hosts that it should not."""
import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_tls import make_certificate
from waiting import until

API = "/api/v1"
LIMIT_S = 60
OPEN = {"webhook_http": "yes", "webhook_private": "yes"}


class Target:
    """An HTTP server that keeps what it gets and answers as it is told."""

    def __init__(self, context=None):
        self.got, self.answers, self.news = [], [], threading.Condition()
        self.hold = threading.Event()  # while it is cleared no answer is given
        self.hold.set()
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with target.news:
                    target.got.append((self.path, dict(self.headers), body))
                    status, headers = target.answers.pop(0) if target.answers else (204, {})
                    target.news.notify_all()
                target.hold.wait()
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        """The messages once there are so many, parsed."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.got) >= count, LIMIT_S), f"only {len(self.got)} came"
            return [json.loads(body) for _, _, body in self.got]

    def seqs(self, count):
        return [m["data"]["seq"] for m in self.wait(count)]

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def target():
    made = Target()
    yield made
    made.close()


@pytest.fixture
def server(new_fleetd):
    return new_fleetd().start(**OPEN)


def hook(server, url, name="ops", **more):
    answer = server.put(f"{API}/webhooks/{name}", {"url": url, **more})
    assert answer.status == 201, answer
    return answer.json()


def modules(server, *names):
    for name in names:
        assert server.put(f"{API}/modules/{name}", {"kind": "wasm"}).status == 201


def as_wanted(look, wanted):
    """What look() gives, once it is as wanted."""
    return until("it is as wanted", lambda: value if wanted(value := look()) else None)


def state_of(server, wanted, name="ops"):
    return as_wanted(lambda: server.get(f"{API}/webhooks/{name}").json(), wanted)


def deliveries(server, query="", name="ops"):
    return server.get(f"{API}/webhooks/{name}/deliveries{query}").json()["items"]


def test_events_come_signed_and_in_order(server, target):
    """Each event comes once, in order, as the API shows it, with a signature that verifies."""
    secret = base64.b64decode(hook(server, target.url)["secret"].removeprefix("whsec_"))
    modules(server, *[f"m{i}" for i in range(20)])
    messages = target.wait(20)
    assert [m["data"]["subject"] for m in messages] == [f"m{i}" for i in range(20)]
    for _, headers, body in target.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < LIMIT_S
    shown = server.get(f"{API}/events?after={messages[0]['data']['seq'] - 1}").json()["items"]
    assert [m["data"] for m in messages] == shown
    assert all(m["type"] == m["data"]["kind"] and m["timestamp"] == m["data"]["at"] for m in messages)
    assert len({headers["webhook-id"] for _, headers, _ in target.got}) == 20
    done = state_of(server, lambda w: w["behind"] == 0)
    assert done["delivered"] == 20 and done["dead"] == 0 and "secret" not in done
    assert [d["state"] for d in deliveries(server)] == ["delivered"] * 20


def test_the_secret_is_shown_once(server, target):
    """The same again shows none; rotate gives another one, shown once; the database holds none."""
    made = hook(server, target.url)
    again = server.put(f"{API}/webhooks/ops", {"url": target.url})
    assert again.status == 200 and "secret" not in again.json()
    rotated = server.post(f"{API}/webhooks/ops/rotate", {}).json()
    assert rotated["secret"] != made["secret"]
    modules(server, "m")
    as_wanted(lambda: [m["type"] for m in target.wait(1)], lambda kinds: "module.created" in kinds)
    _, headers, body = target.got[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(rotated["secret"].removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(
        hmac.new(key, signed, hashlib.sha256).digest()).decode()
    server.stop()
    stored = b"".join(p.read_bytes() for p in server.data.glob("fleetd.db*"))
    for secret in (made["secret"], rotated["secret"]):
        assert secret.encode() not in stored
        assert base64.b64decode(secret.removeprefix("whsec_")) not in stored


def test_filters(server, target):
    """Only the kinds asked for, and events about one device only if it matches."""
    server.post(f"{API}/devices", data=b'{"id":"a","labels":{"r":"eu"}}\n{"id":"b","labels":{"r":"us"}}\n')
    hook(server, target.url, kinds=["device.*", "module.created"], selector="label.r==us")
    modules(server, "m1")
    server.put(f"{API}/modules/m1", {"kind": "wasm", "description": "changed"})
    for device in ("a", "b"):
        server.patch(f"{API}/devices/{device}", {"labels": {"x": 1}})
    modules(server, "m2")
    assert [m["data"]["subject"] for m in target.wait(3)] == ["m1", "b", "m2"]
    assert server.put(f"{API}/webhooks/ops", {"url": target.url, "kinds": ["nothing.*"]}).status == 400
    assert server.put(f"{API}/webhooks/ops", {"url": target.url, "selector": "id=="}).status == 400


def test_refused_messages_are_tried_again_in_order(server, target):
    """What the target does not take is tried again with the same id; what follows waits for it."""
    target.answers = [(500, {}), (302, {"Location": target.url}), (204, {})]
    hook(server, target.url)
    modules(server, "m1", "m2")
    assert [m["data"]["subject"] for m in target.wait(4)] == ["m1", "m1", "m1", "m2"]
    assert len({headers["webhook-id"] for _, headers, _ in target.got[:3]}) == 1
    done = state_of(server, lambda w: w["behind"] == 0)
    assert done["attempts"] == 0 and done["failing_since"] is None and done["last_error"] == ""
    first = deliveries(server)[-1]
    assert (first["subject"], first["state"], first["attempts"], first["status"]) == ("m1", "delivered", 3, 204)


def test_while_it_fails_it_says_why(server, target):
    """A failing webhook shows since when, why, and when it is tried next; Retry-After is heeded."""
    target.answers = [(503, {"Retry-After": "3000"})]
    hook(server, target.url)
    modules(server, "m1")
    w = state_of(server, lambda w: w["attempts"] == 1)
    assert w["last_error"] == "the target answered 503" and w["failing_since"] is not None and w["behind"] == 1
    assert time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() + 1500)) <= w["retry_at"]
    [d] = deliveries(server, "?state=waiting")
    assert d["status"] == 503 and d["error"] == "the target answered 503"
    changed = server.put(f"{API}/webhooks/ops", {"url": target.url + "?fixed"})
    assert changed.status == 200
    assert target.wait(2)[1]["data"]["subject"] == "m1"  # a change is tried at once
    assert target.got[1][0] == "/hook?fixed"


def test_nothing_is_lost_when_fleetd_is_killed(server, target):
    """Killed while a message is under way and others wait: all come after the start, in order."""
    hook(server, target.url)
    target.hold.clear()
    modules(server, *[f"m{i}" for i in range(5)])
    target.wait(1)
    server.kill()
    target.hold.set()
    server.start()
    modules(server, "last")
    as_wanted(lambda: target.wait(1)[-1]["data"]["subject"], lambda subject: subject == "last")
    seen = []
    for m in target.wait(1):
        if m["data"]["seq"] not in seen:
            seen.append(m["data"]["seq"])
    assert seen == list(range(seen[0], seen[0] + len(seen)))  # no gap
    assert {f"m{i}" for i in range(5)} <= {m["data"]["subject"] for m in target.wait(1)}


def test_killed_again_and_again(server, target):
    """Ten kills at any moment between writes: every acknowledged change arrives."""
    hook(server, target.url, kinds=["module.created"])
    for i in range(10):
        modules(server, f"a{i}", f"b{i}")
        server.kill()
        server.start()
    names = {f"{c}{i}" for c in "ab" for i in range(10)}
    as_wanted(lambda: {m["data"]["subject"] for m in target.wait(1)}, lambda got: got == names)
    first_seen = list(dict.fromkeys(m["data"]["seq"] for m in target.wait(1)))
    assert first_seen == sorted(first_seen)


def test_a_target_that_hangs_holds_nobody_up(new_fleetd, target):
    """While a target does not answer, the writer and other webhooks go on; then it times out."""
    server = new_fleetd().start(webhook_timeout="1s", **OPEN)
    other = Target()
    target.hold.clear()
    hook(server, target.url, "slow")
    hook(server, other.url, "quick", kinds=["module.created"])
    modules(server, *[f"m{i}" for i in range(50)])
    other.wait(50)
    assert state_of(server, lambda w: w["attempts"] >= 1, "slow")["last_error"] != ""
    other.close()


def test_what_is_too_old_is_dead(new_fleetd, target):
    """Events that a target does not take in time are given up and listed; newer ones come when it is back."""
    server = new_fleetd().start(webhook_give_up="1s", **OPEN)
    target.answers = [(500, {})] * 3
    hook(server, target.url)
    modules(server, "old1", "old2")
    state_of(server, lambda w: w["dead"] == 2)
    modules(server, "new")
    as_wanted(lambda: [m["data"]["subject"] for m in target.wait(1)], lambda got: "new" in got)
    assert [d["subject"] for d in deliveries(server, "?state=dead")] == ["old2", "old1"]
    assert server.metric("fleetd_webhooks_dead_total") == 2
    seq = deliveries(server, "?state=dead")[-1]["seq"]
    count = len(target.got)
    assert server.post(f"{API}/webhooks/ops/replay", {"after": seq - 1}).status == 200
    assert "old1" in [m["data"]["subject"] for m in target.wait(count + 2)[count:]]


def test_gone_switches_it_off(server, target):
    """A target that answers 410 gets nothing more; the trail says so; switched on again it goes on."""
    target.answers = [(410, {})]
    hook(server, target.url, kinds=["module.created"])
    modules(server, "m1", "m2")
    state_of(server, lambda w: not w["enabled"])
    assert len(target.got) == 1
    kinds = [e["kind"] for e in server.get(f"{API}/events?limit=1000").json()["items"]]
    assert kinds.count("webhook.disabled") == 1
    assert server.post(f"{API}/webhooks/ops/test", {}).status == 409
    server.put(f"{API}/webhooks/ops", {"url": target.url, "kinds": ["module.created"], "enabled": True})
    assert [m["data"]["subject"] for m in target.wait(3)][:3] == ["m1", "m1", "m2"]


def test_a_test_goes_the_whole_way(server, target):
    """The verb test sends an event of its own, whatever the filters say, to that webhook only."""
    other = Target()
    hook(server, target.url, kinds=["rollout.*"])
    hook(server, other.url, "other", kinds=["module.created"])
    answer = server.post(f"{API}/webhooks/ops/test", {})
    assert answer.status == 202
    message = target.wait(1)[0]
    assert message["type"] == "webhook.tested" and message["data"]["seq"] == answer.json()["seq"]
    modules(server, "m")
    assert [m["type"] for m in other.wait(1)] == ["module.created"]
    assert server.post(f"{API}/webhooks/ops/fly", {}).status == 404
    other.close()


def test_events_that_a_webhook_still_needs_are_not_pruned(server, target):
    """Pruning stops where the slowest webhook stands."""
    target.answers = [(503, {"Retry-After": "3000"})]
    hook(server, target.url, kinds=["module.created"])
    modules(server, "m1", "m2")
    w = state_of(server, lambda w: w["attempts"] == 1)
    newest = server.get(f"{API}/events?limit=1000").json()["items"][-1]["at"]
    as_wanted(lambda: time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()), lambda now: now > newest)
    server.post(f"{API}/audit/prune", {"before": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
    left = server.get(f"{API}/events?limit=1000").json()["items"]
    assert left[0]["seq"] == w["cursor"] + 1
    server.put(f"{API}/webhooks/ops", {"url": target.url + "?now", "kinds": ["module.created"]})
    assert [m["data"]["subject"] for m in target.wait(3)] == ["m1", "m1", "m2"]


def test_no_way_into_the_private_network(new_fleetd, target):
    """By default: https only, no special addresses, also not behind a name; no redirects."""
    server = new_fleetd().start()
    for url in (target.url, "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest", "https://0/",
                "https://2130706433/", "https://[::ffff:192.168.0.1]/"):
        answer = server.put(f"{API}/webhooks/bad", {"url": url})
        assert answer.status == 422 and "setting webhook_" in answer.json()["detail"], url
    for url in ("file:///etc/passwd", "https://a:b@example.com/", "nonsense", "https://x/#y"):
        assert server.put(f"{API}/webhooks/bad", {"url": url}).status == 400, url
    hook(server, f"https://localhost:{target.port}/")
    modules(server, "m")
    w = state_of(server, lambda w: w["attempts"] >= 1)
    assert "not public" in w["last_error"]
    assert not target.got


def test_certificates_are_checked(new_fleetd, tmp_path):
    """A target over TLS must have a certificate that the system or webhook_ca vouches for."""
    certificate, key = make_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    target = Target(context)
    server = new_fleetd().start(webhook_private="yes")
    hook(server, f"https://localhost:{target.port}/")
    modules(server, "m")
    assert "certificate" in state_of(server, lambda w: w["attempts"] >= 1)["last_error"].lower()
    assert not target.got
    server.stop()
    server.start(webhook_ca=certificate)
    assert target.wait(1)[0]["data"]["subject"] == "m"
    target.close()


def test_who_may(server, target):
    """Only admins change webhooks, operators see them, a token with a selector neither."""
    hook(server, target.url)
    operator, viewer = server.make_token("op", ["operator"]), server.make_token("v", ["viewer"])
    limited = server.make_token("few", ["admin"], selector="label.a==1")
    assert operator.get(f"{API}/webhooks").status == 200
    assert viewer.get(f"{API}/webhooks").status == 403
    assert limited.get(f"{API}/webhooks").status == 403
    for client in (operator, limited):
        assert client.put(f"{API}/webhooks/x", {"url": target.url}).status == 403
        assert client.delete(f"{API}/webhooks/ops").status == 403
        assert client.post(f"{API}/webhooks/ops/rotate", {}).status == 403
    assert server.delete(f"{API}/webhooks/ops").status == 204
    assert server.get(f"{API}/webhooks/ops").status == 404
    assert server.delete(f"{API}/webhooks/ops").status == 404
