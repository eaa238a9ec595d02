# SPDX-License-Identifier: Apache-2.0
"""Devices: registration in bulk, selectors, pages, scopes of tokens, labels, retirement."""
import hashlib
import json
import socket
import threading
from urllib.parse import quote

import pytest

API = "/api/v1"
NDJSON = {"Content-Type": "application/x-ndjson"}


def bulk(client, devices, **more):
    """Register devices (objects, or lines as bytes) in one call."""
    lines = [d if isinstance(d, bytes) else json.dumps(d).encode() for d in devices]
    return client.request("POST", f"{API}/devices", data=b"\n".join(lines) + b"\n", headers=NDJSON, **more)


def counts(answer):
    assert answer.status == 200, answer
    got = answer.json()
    return tuple(got[k] for k in ("created", "changed", "unchanged", "refused"))


def ids(client, q=None, limit=1000, **params):
    """The ids of all devices that match, through all pages."""
    out, cursor = [], None
    while True:
        path = f"{API}/devices?limit={limit}"
        if q is not None:
            path += "&q=" + quote(q)
        for name, value in params.items():
            path += f"&{name}={value}"
        answer = client.get(path + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        page = answer.json()
        out += [d["id"] for d in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return out


def fleet():
    """Thirty devices of two kinds behind two gateways."""
    out = [{"id": f"gw-{i}", "tier": "gateway", "labels": {"region": "eu" if i == 0 else "us"}} for i in range(2)]
    for i in range(30):
        out.append({
            "id": f"dev-{i:02}", "gateway": f"gw-{i % 2}" if i < 20 else None,
            "attributes": {"hw": "A" if i % 3 else "b", "mem": i * 10, "cam": i % 5 == 0},
            "labels": {"region": "eu" if i % 2 == 0 else "us"},
            "installed": [{"module": "app", "version": f"1.{i}.0"}] if i < 25 else [],
        })
    return out


@pytest.fixture(scope="module")
def registered(shared_fleetd):
    """A server with fleet()."""
    assert counts(bulk(shared_fleetd, fleet())) == (32, 0, 0, 0)
    return shared_fleetd


# ---- bulk

def test_bulk_is_an_upsert(fleetd):
    """The same again is unchanged; what differs is changed; members left out stay."""
    assert counts(bulk(fleetd, fleet())) == (32, 0, 0, 0)
    assert counts(bulk(fleetd, fleet())) == (0, 0, 32, 0)
    assert counts(bulk(fleetd, [{"id": "dev-00"}])) == (0, 0, 1, 0)
    assert counts(bulk(fleetd, [{"id": "dev-00", "labels": {"region": "asia"}},
                                {"id": "dev-01", "gateway": None}, {"id": "new"}])) == (1, 2, 0, 0)
    got = fleetd.get(f"{API}/devices/dev-00").json()
    assert got["labels"] == {"region": "asia"} and got["gateway"] == "gw-0"
    assert got["attributes"] == {"cam": True, "hw": "b", "mem": 0}
    assert got["installed"] == [{"module": "app", "version": "1.0.0"}]
    assert got["tier"] == "device" and not got["enrolled"] and got["last_seen"] is None
    assert fleetd.get(f"{API}/devices/dev-01").json()["gateway"] is None


BAD_LINES = [
    (b"{", "not JSON"), (b"[]", "one JSON object"), (b'"x"', "one JSON object"), (b"{}", "id"), (b'{"id":""}', "1 to 256"),
    (b'{"id":1}', "id"), (b'{"id":"a","idd":1}', "idd"), (b'{"id":"a","id":"b"}', "not JSON"),
    (b'{"id":" a"}', "blank"), (b'{"id":"a\\u0007"}', "control"), (b'{"id":".."}', ".."),
    (json.dumps({"id": "x" * 257}).encode(), "257"), (b'{"id":"\xff"}', "not JSON"),
    (b'{"id":"a","tier":"cloud"}', "cloud"), (b'{"id":"a","gateway":"nobody"}', "register the gateway first"),
    (b'{"id":"a","gateway":"dev-ok"}', "not of tier gateway"),
    (b'{"id":"g2","tier":"gateway","gateway":"gw-ok"}', "behind another"),
    (b'{"id":"gw-ok","tier":"device"}', "has devices behind it"),
    (b'{"id":"a","attributes":[]}', "attributes"), (b'{"id":"a","attributes":{"a b":1}}', "blanks"),
    (b'{"id":"a","attributes":{"x":{}}}', "text, a number or a boolean"),
    (b'{"id":"a","labels":{"x":[1]}}', "text, a number or a boolean"),
    (json.dumps({"id": "a", "labels": {"x": "v" * 1025}}).encode(), "1024"),
    (json.dumps({"id": "a", "labels": {str(i): 1 for i in range(257)}}).encode(), "256"),
    (b'{"id":"a","installed":[{"module":"m"}]}', "installed[0]"),
    (b'{"id":"a","installed":[{"module":"m","version":"1"},{"module":"m","version":"2"}]}', "twice"),
    (b'{"id":"a","installed":{}}', "installed"), (b'{"id":"a","public_key":"AAAA"}', "public_key"),
    (b'{"id":"a","public_key":"' + b"A" * 43 + b'"}', "public_key"),
    (b'{"id":"' + b"x" * 70000 + b'"}', "64 KiB"), (b'{"id":"' + b"y" * 300000 + b'"}', "64 KiB"),
]


def test_bad_lines_are_named_and_left_out(fleetd):
    """Each bad line is counted with its number and reason; the good ones around it are stored."""
    good = [b'{"id":"gw-ok","tier":"gateway"}', b'{"id":"dev-ok","gateway":"gw-ok"}', b"", b"  \r"]
    lines = good + [line for line, _ in BAD_LINES] + [b'{"id":"last"}\r']
    answer = bulk(fleetd, lines)
    assert counts(answer) == (3, 0, 0, len(BAD_LINES)), answer
    errors = sorted(answer.json()["errors"], key=lambda e: e["line"])
    assert [e["line"] for e in errors] == [5 + i for i in range(len(BAD_LINES))]
    for error, (line, words) in zip(errors, BAD_LINES):
        assert words in error["detail"], (line[:80], error)
    assert ids(fleetd) == ["gw-ok", "dev-ok", "last"]


def test_only_the_first_hundred_bad_lines_are_named(fleetd):
    """Thousands of bad lines are counted, a hundred named."""
    answer = bulk(fleetd, [b"x"] * 5000 + [b'{"id":"a","gateway":"none"}'] * 1000 + [{"id": "ok"}])
    assert counts(answer) == (1, 0, 0, 6000)
    assert len(answer.json()["errors"]) == 100


def test_lines_across_pieces(fleetd):
    """Lines are put together wherever the connection cuts them, and the last needs no newline."""
    def pieces():
        for i in range(300):
            line = json.dumps({"id": f"d{i}", "labels": {"pad": "p" * (i % 97)}}).encode()
            yield line[: i % len(line)]
            yield line[i % len(line):] + (b"\n" if i < 299 else b"")

    answer = fleetd.request("POST", f"{API}/devices", data=pieces(), headers=NDJSON)
    assert counts(answer) == (300, 0, 0, 0)
    assert ids(fleetd) == [f"d{i}" for i in range(300)]


def test_an_empty_bulk(fleetd):
    """Nothing to register is no error."""
    assert counts(fleetd.request("POST", f"{API}/devices", data=b"", headers=NDJSON)) == (0, 0, 0, 0)
    assert counts(fleetd.request("POST", f"{API}/devices", data=b"\n\n", headers=NDJSON)) == (0, 0, 0, 0)


def test_a_cut_connection_keeps_what_was_committed(fleetd):
    """When the client vanishes in the middle the server goes on; sending all of it again completes it."""
    lines = [json.dumps({"id": f"d{i:05}", "attributes": {"n": i}}).encode() for i in range(20000)]
    body = b"\n".join(lines) + b"\n"
    with socket.create_connection(("127.0.0.1", fleetd.port)) as s:
        s.sendall(f"POST {API}/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fleetd.token}\r\n"
                  f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                  + body[: len(body) * 2 // 3])
    kept = ids(fleetd)
    assert kept == [f"d{i:05}" for i in range(len(kept))]  # whole lines, in order, no gap
    assert len(kept) < 20000
    answer = bulk(fleetd, lines)
    created, changed, unchanged, refused = counts(answer)
    assert created + unchanged == 20000 and changed == refused == 0
    assert len(ids(fleetd)) == 20000


def test_two_bulks_at_once(fleetd):
    """Two uploads of the same devices end in one set of them."""
    lines = [{"id": f"d{i}"} for i in range(3000)]
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(bulk(fleetd, lines))) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sums = [counts(a) for a in answers]
    assert sum(s[0] for s in sums) == 3000 and sum(s[2] for s in sums) == 3000
    assert sorted(ids(fleetd)) == sorted(d["id"] for d in lines)


# ---- selecting

@pytest.mark.parametrize("q, wanted", [
    ("id==dev-03", ["dev-03"]),
    ("id==dev-0*;attribute.hw==B", ["dev-00", "dev-03", "dev-06", "dev-09"]),
    ("tier==gateway", ["gw-0", "gw-1"]),
    ("gateway==gw-1;attribute.mem=gt=100", [f"dev-{i}" for i in (11, 13, 15, 17, 19)]),
    ("attribute.cam==true and attribute.mem<60", ["dev-00", "dev-05"]),
    ("installed.app>=1.9.0;installed.app<1.12.0", ["dev-09", "dev-10", "dev-11"]),
    ("installed.app==null;tier==device", [f"dev-{i}" for i in range(25, 30)]),
    ("installed.app=in=(1.3.0,1.4.0),id==gw-0", ["gw-0", "dev-03", "dev-04"]),
    ("label.region==eu;gateway=is=null;tier==device", ["dev-20", "dev-22", "dev-24", "dev-26", "dev-28"]),
    ("enrolled==true", []),
    ("last_seen=not=null", []),
])
def test_selectors(registered, q, wanted):
    """A selector finds exactly its devices, in order of registration."""
    assert ids(registered, q) == wanted
    assert ids(registered, q, limit=1) == wanted


@pytest.mark.parametrize("q, words", [("hw==a", "column 1"), ("id=", "operator"), ("a" * 5000, "4096"),
                                      ("attributx.x==1", "did you mean")])
def test_bad_selectors(registered, q, words):
    """A wrong selector is a 400 with the place and what was probably meant."""
    answer = registered.get(f"{API}/devices?q={quote(q)}")
    assert answer.status == 400 and words in answer.json()["detail"], answer


def test_device_pages_under_changes(fleetd):
    """Devices that are retired, changed or added between pages neither double nor hide others."""
    bulk(fleetd, [{"id": f"d{i}"} for i in range(20)])
    first = fleetd.get(f"{API}/devices?limit=8").json()
    assert [d["id"] for d in first["items"]] == [f"d{i}" for i in range(8)]
    assert fleetd.delete(f"{API}/devices/d7").status == 204
    assert fleetd.delete(f"{API}/devices/d8").status == 204
    bulk(fleetd, [{"id": "d3", "labels": {"x": 1}}, {"id": "late"}])
    second = fleetd.get(f"{API}/devices?limit=8&cursor={first['next']}").json()
    assert [d["id"] for d in second["items"]] == [f"d{i}" for i in range(9, 17)]
    third = fleetd.get(f"{API}/devices?limit=8&cursor={second['next']}").json()
    assert [d["id"] for d in third["items"]] == ["d17", "d18", "d19", "late"] and third["next"] is None


# ---- scopes

def test_a_scope_hides_and_protects(fleetd):
    """What lies outside of a token's selector is not listed, not found, not changed, not retired."""
    bulk(fleetd, fleet())
    eu = fleetd.make_token("eu", ["operator"], selector="label.region==eu")
    inside = ids(fleetd, "label.region==eu")
    assert ids(eu) == inside and 0 < len(inside) < 32
    assert ids(eu, "id==dev-01,id==dev-02") == ["dev-02"]
    assert ids(eu, "label.region==us") == []
    assert ids(eu, "id!=''") == inside
    before = fleetd.get(f"{API}/devices/dev-01").json()
    for answer in (eu.get(f"{API}/devices/dev-01"), eu.get(f"{API}/devices/dev-01/reports"),
                   eu.delete(f"{API}/devices/dev-01"),
                   eu.patch(f"{API}/devices/dev-01", {"labels": {"region": "eu"}})):
        assert answer.status == 404 and answer.json()["detail"] == 'there is no device "dev-01"', answer
    assert fleetd.get(f"{API}/devices/dev-01").json() == before
    assert eu.get(f"{API}/devices/dev-02").status == 200
    assert eu.patch(f"{API}/devices/dev-02", {"labels": {"ring": 1}}).status == 200


def test_a_scope_cannot_be_left(fleetd):
    """A change that would take a device out of the token's reach is refused and undone."""
    bulk(fleetd, fleet())
    eu = fleetd.make_token("eu", ["operator"], selector="label.region==eu")
    refused = eu.patch(f"{API}/devices/dev-02", {"labels": {"region": "us", "x": 1}})
    assert refused.status == 403 and "out of reach" in refused.json()["detail"]
    assert fleetd.get(f"{API}/devices/dev-02").json()["labels"] == {"region": "eu"}


def test_a_scope_holds_in_bulk(fleetd):
    """A limited token registers and changes only what lies inside before and after."""
    bulk(fleetd, fleet())
    eu = fleetd.make_token("eu", ["operator"], selector="label.region==eu;attribute.hw!=z")
    answer = bulk(eu, [
        {"id": "dev-01", "labels": {"region": "eu"}},                    # outside before
        {"id": "dev-02", "labels": {"region": "us"}},                    # outside after
        {"id": "dev-04", "attributes": {"hw": "z"}},                     # outside after
        {"id": "new-1"},                                                 # outside after
        {"id": "new-2", "labels": {"region": "eu"}, "installed": [{"module": "a", "version": "1.0.0"}]},
        {"id": "dev-06", "attributes": {"hw": "y"}},
    ])
    assert counts(answer) == (1, 1, 0, 4), answer
    assert all("out of reach" in e["detail"] for e in answer.json()["errors"])
    assert fleetd.get(f"{API}/devices/dev-01").json()["labels"] == {"region": "us"}
    assert fleetd.get(f"{API}/devices/dev-04").json()["attributes"]["hw"] == "A"
    assert fleetd.get(f"{API}/devices/new-1").status == 404


def test_a_scope_filters_events(fleetd):
    """Events about devices outside are not shown; the cursor still gets to the end."""
    bulk(fleetd, fleet())
    eu = fleetd.make_token("eu", ["operator"], selector="label.region==eu")
    for i in range(8):
        fleetd.patch(f"{API}/devices/dev-{i:02}", {"labels": {"n": i}})
    seen, cursor = [], ""
    while True:
        page = eu.get(f"{API}/events?limit=3{cursor}").json()
        seen += [e["subject"] for e in page["items"] if e["kind"] == "device.changed"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["dev-00", "dev-02", "dev-04", "dev-06"]


def open_rollout(fleetd, name):
    """Start a rollout of a module to every device and wait until its first stage has all its steps."""
    digest = hashlib.sha256(b"app").hexdigest()
    fleetd.put(f"{API}/modules/app", {"kind": "file"})
    assert fleetd.request("PUT", f"{API}/artifacts/{digest}", data=b"app").status == 201
    assert fleetd.put(f"{API}/modules/app/versions/9.0.0", {"variants": [{"sha256": digest}]}).status == 201
    assert fleetd.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "9.0.0"}]}).status == 201
    spec = {"release": "r", "selector": "", "start": "auto", "strategy": {"waves": [{"percent": 100}]}}
    assert fleetd.put(f"{API}/rollouts/{name}", spec).status == 201
    headers = {}
    while True:
        figures = fleetd.get(f"{API}/rollouts/{name}/stats", headers=headers)
        assert figures.status == 200, figures  # 304: nothing happened for 30 s
        stages = figures.json()["stages"]
        if figures.json()["state"] == "running" and stages and sum(stages[0]["steps"].values()) > 0:
            return
        headers = {"Prefer": "wait=30", "If-None-Match": figures.headers["ETag"]}


def test_a_scope_filters_steps(fleetd):
    """The steps of a rollout are shown for the devices inside only, through all pages."""
    bulk(fleetd, [{"id": f"d{i}", "labels": {"region": "eu" if i % 3 == 0 else "us"},
                   "installed": [{"module": "app", "version": "1.0.0"}]} for i in range(20)])
    open_rollout(fleetd, "all")
    eu = fleetd.make_token("eu", ["viewer"], selector="label.region==eu")

    def devices(client, limit):
        out, cursor = [], ""
        while True:
            page = client.get(f"{API}/rollouts/all/steps?limit={limit}{cursor}").json()
            out += [step["device"] for step in page["items"]]
            if page["next"] is None:
                return out
            cursor = f"&cursor={page['next']}"

    assert devices(fleetd, 7) == [f"d{i}" for i in range(20)]
    assert devices(eu, 4) == devices(eu, 1000) == [f"d{i}" for i in range(0, 20, 3)]


# ---- labels and gateway

def test_patch_labels_and_gateway(fleetd):
    """Labels are set and removed one by one, the gateway is moved and left."""
    bulk(fleetd, fleet())
    path = f"{API}/devices/dev-00"
    got = fleetd.patch(path, {"labels": {"region": None, "ring": "canary", "n": 3}})
    assert got.status == 200 and got.json()["labels"] == {"n": 3, "ring": "canary"}
    assert fleetd.patch(path, {"gateway": "gw-1"}).json()["gateway"] == "gw-1"
    assert fleetd.patch(path, {"gateway": None}).json()["gateway"] is None
    assert fleetd.patch(path, {}).status == 200
    for body, status, words in [
        ({"gateway": "dev-01"}, 422, "not of tier gateway"), ({"gateway": "zz"}, 422, "register the gateway"),
        ({"labels": {"a b": 1}}, 400, "blanks"), ({"labels": []}, 400, "labels"), ({"labelz": {}}, 400, "labels"),
        ({"labels": {"x": "v" * 1025}}, 400, "1024"),
    ]:
        refused = fleetd.patch(path, body)
        assert refused.status == status and words in refused.json()["detail"], refused
    assert fleetd.patch(f"{API}/devices/none", {"labels": {}}).status == 404


def test_patch_if_match(fleetd):
    """Two operators do not overwrite each other unseen."""
    bulk(fleetd, [{"id": "d"}])
    tag = fleetd.get(f"{API}/devices/d").headers["ETag"]
    first = fleetd.patch(f"{API}/devices/d", {"labels": {"a": 1}}, headers={"If-Match": tag})
    assert first.status == 200 and first.headers["ETag"] != tag
    assert fleetd.patch(f"{API}/devices/d", {"labels": {"a": 2}}, headers={"If-Match": tag}).status == 412
    assert fleetd.get(f"{API}/devices/d").json()["labels"] == {"a": 1}


# ---- retirement

def test_retired_devices_stay_on_record(fleetd):
    """A retired device leaves the lists, keeps its row, and comes back only when registered again."""
    bulk(fleetd, [{"id": "a", "labels": {"x": 1}}, {"id": "b"}])
    assert fleetd.delete(f"{API}/devices/a").status == 204
    assert fleetd.delete(f"{API}/devices/a").status == 204
    assert ids(fleetd) == ["b"]
    assert ids(fleetd, retired="true") == ["a", "b"]
    got = fleetd.get(f"{API}/devices/a").json()
    assert got["retired_at"] is not None and got["labels"] == {"x": 1}
    gone = fleetd.patch(f"{API}/devices/a", {"labels": {"y": 1}})
    assert gone.status == 410 and "retired" in gone.json()["detail"]
    assert counts(bulk(fleetd, [{"id": "a"}])) == (1, 0, 0, 0)
    back = fleetd.get(f"{API}/devices/a").json()
    assert back["retired_at"] is None and back["labels"] == {} and back["no"] == got["no"]
    assert fleetd.delete(f"{API}/devices/none").status == 404
    kinds = [e["kind"] for e in fleetd.get(f"{API}/events").json()["items"]]
    assert kinds.count("device.retired") == 1


def test_a_gateway_with_devices_is_not_retired(fleetd):
    """The devices behind a gateway go or move first."""
    bulk(fleetd, [{"id": "g", "tier": "gateway"}, {"id": "a", "gateway": "g"}])
    refused = fleetd.delete(f"{API}/devices/g")
    assert refused.status == 409 and '"a"' in refused.json()["detail"]
    assert fleetd.delete(f"{API}/devices/a").status == 204
    assert fleetd.delete(f"{API}/devices/g").status == 204
    refused = bulk(fleetd, [{"id": "b", "gateway": "g"}])
    assert counts(refused) == (0, 0, 0, 1) and "retired" in refused.json()["errors"][0]["detail"]


def test_everything_survives_a_kill(fleetd):
    """What was answered is there after SIGKILL."""
    assert counts(bulk(fleetd, fleet())) == (32, 0, 0, 0)
    assert fleetd.patch(f"{API}/devices/dev-05", {"labels": {"z": 9}}).status == 200
    assert fleetd.delete(f"{API}/devices/dev-06").status == 204
    before = fleetd.get(f"{API}/devices?retired=true").json()
    fleetd.kill()
    fleetd.start()
    assert fleetd.get(f"{API}/devices?retired=true").json() == before
