# SPDX-License-Identifier: Apache-2.0
"""The audit trail: every change one line, chained by hash; pages and the live stream."""
import hashlib
import json
import socket
from datetime import datetime, timezone

API = "/api/v1"


def everything(client):
    return client.get(f"{API}/events?limit=1000").json()["items"]


def canonical(value):
    """Canonical JSON as TUF has it, for texts without escapes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def milliseconds(text):
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return round(at.timestamp() * 1000)


def test_changes_are_chained(fleetd):
    """Anyone can recompute the chain from what the API shows; a change afterwards is noticed."""
    fleetd.put(f"{API}/modules/app", {"kind": "wasm"})
    fleetd.post(f"{API}/devices", data=b'{"id":"d\xc3\xa9"}\n')
    fleetd.patch(f"{API}/devices/d%C3%A9", {"labels": {"a": 1}})
    events = everything(fleetd)
    assert [e["kind"] for e in events] == ["server.created", "server.started", "token.created", "module.created",
                                           "devices.registered", "device.changed"]
    assert [e["seq"] for e in events] == list(range(1, 7))
    assert events[3]["actor"] == "admin" and events[3]["subject"] == "app"
    assert events[5]["subject"] == "d\u00e9"
    before = bytes(32)
    for e in events:
        line = {k: e[k] for k in ("actor", "data", "kind", "seq", "subject")} | {"at": milliseconds(e["at"])}
        before = hashlib.sha256(before + canonical(line).encode()).digest()
        assert before.hex() == e["hash"], e


def test_a_refused_request_leaves_no_event(fleetd):
    """Events live and die with their change."""
    count = len(everything(fleetd))
    assert fleetd.put(f"{API}/modules/app", {"kind": "nothing"}).status == 400
    assert fleetd.delete(f"{API}/tokens/1").status == 422
    assert fleetd.put(f"{API}/releases/r", {"entries": [{"module": "x", "version": "1.0.0"}]}).status == 422
    assert len(everything(fleetd)) == count


def test_secrets_stay_out(fleetd):
    """No token and no label's value is in the trail."""
    secret = fleetd.make_token("ci", ["publisher"]).token.split("_", 2)[2]
    fleetd.post(f"{API}/devices", data=b'{"id":"d"}\n')
    fleetd.patch(f"{API}/devices/d", {"labels": {"owner": "Jane Doe"}})
    text = json.dumps(everything(fleetd))
    assert secret not in text and "Jane" not in text and "owner" in text


def test_pages_after_a_number(fleetd):
    """`after` and the cursor go through the trail without a gap."""
    for i in range(7):
        fleetd.put(f"{API}/modules/m{i}", {"kind": "wasm"})
    last = everything(fleetd)[-1]["seq"]
    seen, query = [], "after=2"
    while query:
        page = fleetd.get(f"{API}/events?limit=3&{query}").json()
        seen += [e["seq"] for e in page["items"]]
        query = page["next"] and f"cursor={page['next']}"
    assert seen == list(range(3, last + 1))
    assert fleetd.get(f"{API}/events?after=-1").status == 400


def walk(client, query):
    """Numbers of all events that the query finds, page after page."""
    seen, more = [], query
    while more:
        page = client.get(f"{API}/events?{more}").json()
        seen += [e["seq"] for e in page["items"]]
        more = page["next"] and f"{query}&cursor={page['next']}"
    return seen


def test_filters(fleetd):
    """By subject, kind or group of kinds, actor, and the newest first; pages of each miss nothing."""
    ci = fleetd.make_token("ci", ["publisher"])
    for i in range(6):
        (ci if i % 2 else fleetd).put(f"{API}/modules/m{i % 3}", {"kind": "wasm", "description": f"{i}"})
    fleetd.post(f"{API}/devices", data=b'{"id":"m1"}\n')
    fleetd.patch(f"{API}/devices/m1", {"labels": {"a": 1}})
    every = everything(fleetd)
    for limit in (1, 2, 100):
        for query, wanted in [
            ("subject=m1", lambda e: e["subject"] == "m1"),
            ("kind=module", lambda e: e["kind"].startswith("module.")),
            ("kind=module.changed", lambda e: e["kind"] == "module.changed"),
            ("kind=mod", lambda e: False),
            ("actor=ci", lambda e: e["actor"] == "ci"),
            ("actor=ci&kind=module&subject=m1", lambda e: (e["actor"], e["subject"]) == ("ci", "m1")),
        ]:
            found = [e["seq"] for e in every if wanted(e)]
            assert bool(found) == (query != "kind=mod")
            assert walk(fleetd, f"limit={limit}&{query}") == found, query
            assert walk(fleetd, f"limit={limit}&{query}&order=newest") == found[::-1], query
        assert walk(fleetd, f"limit={limit}&order=newest&after=4") == [3, 2, 1]
    assert fleetd.get(f"{API}/events?order=up").status == 400


class Stream:
    """A listener on the live stream."""

    def __init__(self, client, path=f"{API}/events", headers=None):
        self.connection = client.connect(timeout=30)
        self.connection.request("GET", path, headers={
            "Authorization": f"Bearer {client.token}", "Accept": "text/event-stream", **(headers or {})})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.headers["Content-Type"].startswith("text/event-stream")

    def next(self):
        """The next event as (id, kind, data); comments are skipped."""
        got = {}
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if line == "" and "data" in got:
                return int(got["id"]), got["event"], json.loads(got["data"])
            if line and not line.startswith(":"):
                key, value = line.split(": ", 1)
                got[key] = value

    def close(self):
        self.response.close()
        self.connection.close()


def test_the_stream_shows_what_happens(fleetd):
    """A listener hears each change after its commit, in order, and goes on where it was cut."""
    stream = Stream(fleetd)
    for i in range(3):
        fleetd.put(f"{API}/modules/m{i}", {"kind": "wasm"})
    heard = [stream.next() for _ in range(3)]
    assert [(kind, data["subject"]) for _, kind, data in heard] == [("module.created", f"m{i}") for i in range(3)]
    stream.close()
    fleetd.put(f"{API}/modules/m3", {"kind": "wasm"})
    again = Stream(fleetd, headers={"Last-Event-ID": str(heard[1][0])})
    assert [again.next()[2]["subject"] for _ in range(2)] == ["m2", "m3"]
    again.close()
    whole = Stream(fleetd, f"{API}/events?after=0")
    assert whole.next()[1] == "server.created"
    whole.close()


def test_a_limited_listener_hears_its_own(fleetd):
    """The stream is limited by the token's selector as everything else."""
    fleetd.post(f"{API}/devices", data=b'{"id":"a","labels":{"r":"eu"}}\n{"id":"b","labels":{"r":"us"}}\n')
    stream = Stream(fleetd.make_token("us", ["viewer"], selector="label.r==us"))
    for device in ("a", "b"):
        fleetd.patch(f"{API}/devices/{device}", {"labels": {"x": 1}})
    assert stream.next()[2]["subject"] == "b"
    stream.close()


def seqs(stream, count):
    return [stream.next()[0] for _ in range(count)]


def test_a_listener_goes_on_across_a_restart(fleetd):
    """Last-Event-ID after a restart, or a kill, gives every event once: no gap, no double."""
    stream = Stream(fleetd, f"{API}/events?after=0")
    heard = seqs(stream, 3)
    for end in (fleetd.stop, fleetd.kill):
        for i in range(5):
            fleetd.put(f"{API}/modules/{end.__name__}-{i}", {"kind": "wasm"})
        heard += seqs(stream, 2)  # three more are on their way, or not sent yet
        stream.close()
        end()
        fleetd.start()
        stream = Stream(fleetd, headers={"Last-Event-ID": str(heard[-1])})
    last = everything(fleetd)[-1]["seq"]
    heard += seqs(stream, last - heard[-1])
    stream.close()
    assert heard == list(range(1, last + 1))


def test_a_stream_ends_with_the_server(fleetd):
    """A stop ends a listener's stream cleanly; whole events only."""
    stream = Stream(fleetd, f"{API}/events?after=0")
    seqs(stream, 3)
    fleetd.stop()
    rest = stream.response.read().decode()
    assert rest == "" or rest.endswith("\n\n")


def test_a_slow_listener_misses_nothing_and_holds_nobody_up(fleetd):
    """Who does not read gets all of it later, in order, while writers and other listeners go on."""
    slow = Stream(fleetd, f"{API}/events?after=0")
    slow.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lines = b"".join(b'{"id":"d%d"}\n' % i for i in range(10))
    fleetd.post(f"{API}/devices", data=lines)
    for n in range(300):
        label = {"labels": {f"label-{'x' * 50}-{k}": n for k in range(20)}}
        assert fleetd.patch(f"{API}/devices/d{n % 10}", label).status == 200
    quick = Stream(fleetd, f"{API}/events?after=0")
    last = everything(fleetd)[-1]["seq"]
    assert seqs(quick, last) == list(range(1, last + 1))
    quick.close()
    assert seqs(slow, last) == list(range(1, last + 1))
    slow.close()


def test_the_stream_tells_what_was_pruned(fleetd):
    """A listener that comes back after its next events were pruned is told so, then goes on."""
    for i in range(3):
        fleetd.put(f"{API}/modules/m{i}", {"kind": "wasm"})
    newest = everything(fleetd)[-1]["at"]
    while (now := datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")) <= newest:
        pass
    through = fleetd.post(f"{API}/audit/prune", {"before": now.replace(".000", "")}).json()["checkpoint"]["signed"]["seq"]
    stream = Stream(fleetd, headers={"Last-Event-ID": "2"})
    assert stream.next() == (through, "pruned", {"after": 2, "through": through})
    assert stream.next()[0] == through + 1
    stream.close()


def test_a_listener_ahead_of_the_trail_is_told(fleetd):
    """After a restored backup a listener's number is too high: it hears so, and every event that comes now."""
    head = everything(fleetd)[-1]["seq"]
    for number in (head + 1000, 2**63 - 1):
        stream = Stream(fleetd, headers={"Last-Event-ID": str(number)})
        assert stream.next() == (head, "rewound", {"after": number, "head": head})
        fleetd.put(f"{API}/modules/m{number}", {"kind": "wasm"})
        head += 1
        assert stream.next()[0] == head
        stream.close()


def test_the_stream_has_events_as_pages_have_them(fleetd):
    """One form of an event, wherever it is read; so a stream can be verified as well."""
    fleetd.post(f"{API}/devices", data=b'{"id":"d\xc3\xa9\\"x"}\n')
    pages = everything(fleetd)
    stream = Stream(fleetd, f"{API}/events?after=0")
    assert [stream.next()[2] for _ in pages] == pages
    stream.close()
