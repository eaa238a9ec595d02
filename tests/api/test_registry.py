# SPDX-License-Identifier: Apache-2.0
"""Modules, versions and releases: what may be published, and what is refused without a trace."""
import hashlib
import threading

import pytest

API = "/api/v1"


def upload(client, data):
    """Store bytes as an artifact; their digest."""
    digest = hashlib.sha256(data).hexdigest()
    answer = client.request("PUT", f"{API}/artifacts/{digest}", data=data,
                            headers={"Content-Type": "application/octet-stream"})
    assert answer.status in (200, 201), answer
    return digest


def module(client, name, kind="wasm", **more):
    answer = client.put(f"{API}/modules/{name}", {"kind": kind, **more})
    assert answer.status in (200, 201), answer


def publish(client, name, version, **more):
    """Publish a version, declared without bytes unless `variants` says otherwise."""
    return client.put(f"{API}/modules/{name}/versions/{version}", {"variants": [{}], **more})


@pytest.fixture(scope="module")
def registry(shared_fleetd):
    """Some modules: app requires lib."""
    for name in ("app", "lib", "order"):
        module(shared_fleetd, name)
    return shared_fleetd


def events(client):
    """Every event so far."""
    out, after = [], 0
    while True:
        page = client.get(f"{API}/events?limit=1000&after={after}").json()
        out += page["items"]
        if page["next"] is None:
            return out
        after = out[-1]["seq"]


# ---- modules

def test_module_put_twice_and_changed(fleetd):
    """PUT creates, repeats without a change, changes the description, never the kind or the tier."""
    first = fleetd.put(f"{API}/modules/app", {"kind": "wasm", "description": "one"})
    assert first.status == 201
    got = first.json()
    assert (got["kind"], got["tier"], got["versions"], got["newest"]) == ("wasm", "device", 0, None)
    count = len(events(fleetd))
    again = fleetd.put(f"{API}/modules/app", {"kind": "wasm", "description": "one"})
    assert again.status == 200 and again.json() == got
    assert fleetd.put(f"{API}/modules/app", {"kind": "wasm"}).json() == got
    assert len(events(fleetd)) == count
    assert fleetd.put(f"{API}/modules/app", {"kind": "wasm", "description": "two"}).json()["description"] == "two"
    assert events(fleetd)[-1]["kind"] == "module.changed"
    for body, word in (({"kind": "file"}, "kind wasm"), ({"kind": "wasm", "tier": "gateway"}, "tier device")):
        refused = fleetd.put(f"{API}/modules/app", body)
        assert refused.status == 409 and word in refused.json()["detail"]


def test_module_if_match(fleetd):
    """A change under an old ETag is refused, under the right one done."""
    module(fleetd, "app", description="one")
    tag = fleetd.get(f"{API}/modules/app").headers["ETag"]
    body = {"kind": "wasm", "description": "two"}
    assert fleetd.put(f"{API}/modules/app", body, headers={"If-Match": '"0000000000000000"'}).status == 412
    assert fleetd.get(f"{API}/modules/app").json()["description"] == "one"
    assert fleetd.put(f"{API}/modules/app", body, headers={"If-Match": tag}).status == 200
    assert fleetd.put(f"{API}/modules/app", body, headers={"If-Match": tag}).status == 412


@pytest.mark.parametrize("name, body, words", [
    ("x", {}, "kind"), ("x", {"kind": "exe"}, "exe"), ("x", {"kind": "wasm", "tier": "cloud"}, "cloud"),
    ("x", {"kind": "wasm", "knd": 1}, "knd"), ("a%20b", {"kind": "wasm"}, "letters"),
    ("-a", {"kind": "wasm"}, "begins"), ("x" * 129, {"kind": "wasm"}, "129"),
    ("x", {"kind": "wasm", "description": "d" * 4097}, "description"), ("x", {"kind": 1}, "kind"),
])
def test_bad_modules(registry, name, body, words):
    """Each wrong module is refused with what is wrong, and is not there afterwards."""
    answer = registry.put(f"{API}/modules/{name}", body)
    assert answer.status == 400 and words in answer.json()["detail"], answer
    assert registry.get(f"{API}/modules/{name}").status == 404


def test_scoped_package_names(fleetd):
    """Names as npm and OCI have them work in paths."""
    assert fleetd.put(f"{API}/modules/@scope%2Fpkg", {"kind": "wasm"}).status == 201
    assert fleetd.get(f"{API}/modules/@scope%2Fpkg").json()["name"] == "@scope/pkg"
    assert publish(fleetd, "@scope%2Fpkg", "1.0.0+build.5").status == 201
    assert fleetd.get(f"{API}/modules/@scope%2Fpkg/versions/1.0.0+build.5").status == 200


def test_module_delete(fleetd):
    """Only a module without versions goes."""
    module(fleetd, "a")
    assert fleetd.delete(f"{API}/modules/a").status == 204
    assert fleetd.get(f"{API}/modules/a").status == 404
    assert fleetd.delete(f"{API}/modules/a").status == 404
    module(fleetd, "b")
    assert publish(fleetd, "b", "1.0.0").status == 201
    refused = fleetd.delete(f"{API}/modules/b")
    assert refused.status == 409 and "versions" in refused.json()["detail"]
    module(fleetd, "c")
    body = {"entries": [{"module": "c", "action": "absent"}]}
    assert fleetd.put(f"{API}/releases/r", body).status == 201
    assert fleetd.delete(f"{API}/modules/c").status == 409


def test_newest_is_by_precedence(fleetd):
    """`newest` is the highest version, not the last one published."""
    module(fleetd, "app")
    for version in ("1.9.0", "1.10.0-rc.1", "1.10.0"):
        assert publish(fleetd, "app", version).status == 201
    assert publish(fleetd, "app", "1.9.1", backport=True).status == 201
    got = fleetd.get(f"{API}/modules/app").json()
    assert (got["versions"], got["newest"]) == (4, "1.10.0")


# ---- versions

def test_publish_and_again(fleetd):
    """What was published comes back whole; the same again changes nothing."""
    module(fleetd, "lib")
    module(fleetd, "app")
    small, large = upload(fleetd, b"small"), upload(fleetd, b"large" * 1000)
    body = {
        "variants": [{"selector": "attribute.hw==a", "sha256": small}, {"sha256": large}],
        "requires": {"lib": "^1.2"}, "needs": {"runtime": ">=1.0"}, "floor": True, "downgrade": False,
        "notes": "n\u00f6tes", "signature": {"signed": {"a": 1}, "signatures": []},
    }
    path = f"{API}/modules/app/versions/1.0.0"
    first = fleetd.put(path, body)
    assert first.status == 201, first
    got = first.json()
    assert got["variants"] == [
        {"selector": "attribute.hw==a", "artifact": {"sha256": small, "size": 5}},
        {"selector": None, "artifact": {"sha256": large, "size": 5000}}]
    for key in ("requires", "needs", "floor", "downgrade", "notes", "signature"):
        assert got[key] == body[key], key
    assert got["module"] == "app" and got["version"] == "1.0.0" and got["blocked"] is None
    assert got["created_by"] == "admin"
    assert fleetd.get(path).json() == got
    count = len(events(fleetd))
    again = fleetd.put(path, dict(reversed(body.items())))
    assert again.status == 200 and again.json() == got
    assert len(events(fleetd)) == count
    used = fleetd.get(f"{API}/artifacts/{small}").json()["used_by"]
    assert used == [{"module": "app", "version": "1.0.0"}]


def test_published_never_changes(fleetd):
    """Other content under the same version is a conflict that names what differs."""
    module(fleetd, "lib")
    module(fleetd, "app")
    digest = upload(fleetd, b"bytes")
    assert publish(fleetd, "app", "1.0.0", notes="a").status == 201
    for change, differs in [
        ({"notes": "b"}, "notes"),
        ({"notes": "a", "variants": [{"sha256": digest}]}, "variants"),
        ({"notes": "a", "requires": {"lib": "*"}, "floor": True}, "floor, requires"),
        ({"notes": "a", "downgrade": False}, "downgrade"),
    ]:
        refused = publish(fleetd, "app", "1.0.0", **change)
        assert refused.status == 409, refused
        assert f"differs in {differs};" in refused.json()["detail"]
    assert publish(fleetd, "app", "1.0.0", notes="a").status == 200


BAD_VERSIONS = [
    ("1.0", {}, 400, "1.0"),
    ("v1.0.0", {}, 400, "v1.0.0"),
    ("1.0.0-", {}, 400, "1.0.0-"),
    ("01.0.0", {}, 400, "01.0.0"),
    ("1.0.0-" + "a" * 130, {}, 400, "128 bytes"),
    ("1.0.0", {"variants": []}, 400, "variants"),
    ("1.0.0", {"variants": [{}] * 65}, 400, "variants"),
    ("1.0.0", {"variants": [{}, {"selector": "attribute.a==1"}]}, 400, "never be chosen"),
    ("1.0.0", {"variants": [{"sha256": "00"}]}, 400, "64 lower-case hex digits"),
    ("1.0.0", {"variants": [{"sha256": "ab" * 32}]}, 422, "upload it first"),
    ("1.0.0", {"variants": [{"selector": "attribute.a=="}, {}]}, 400, "column 14"),
    ("1.0.0", {"variants": [{"selector": "id==x"}, {}]}, 400, "id cannot be used"),
    ("1.0.0", {"variants": [{"selctor": "x"}]}, 400, "selector"),
    ("1.0.0", {"requires": {"nothing": "*"}}, 422, "create it first"),
    ("1.0.0", {"requires": {"lib": "about 1"}}, 400, 'requires "lib"'),
    ("1.0.0", {"requires": {"lib": 1}}, 400, "range"),
    ("1.0.0", {"requires": {"bad": "*"}}, 400, "itself"),
    ("1.0.0", {"needs": {"runtime": ""}}, 400, "needs"),
    ("1.0.0", {"needs": {"a b": ">=1"}}, 400, "blanks"),
    ("1.0.0", {"notes": "n" * 16385}, 400, "notes"),
    ("1.0.0", {"signature": {"x": 1.5}}, 400, ""),
    ("1.0.0", {"unknown": 1}, 400, "unknown"),
]


@pytest.mark.parametrize("version, body, status, words", BAD_VERSIONS)
def test_bad_versions_leave_nothing(registry, version, body, status, words):
    """Each refusal says what to do, and neither version nor event is left."""
    module(registry, "bad")
    before = len(events(registry))
    answer = publish(registry, "bad", version, **body)
    assert answer.status == status, answer
    assert words in answer.json()["detail"]
    assert registry.get(f"{API}/modules/bad").json()["versions"] == 0
    assert len(events(registry)) == before


def test_unknown_module(registry):
    """A version of a module that is not there is not found."""
    assert publish(registry, "nowhere", "1.0.0").status == 404
    assert registry.get(f"{API}/modules/nowhere/versions").status == 404
    assert registry.get(f"{API}/modules/app/versions/9.9.9").status == 404


def test_order_of_versions(registry):
    """A lower version is refused unless it is a backport; equal precedence always."""
    assert publish(registry, "order", "1.2.0").status == 201
    assert publish(registry, "order", "1.10.0").status == 201
    for low in ("1.9.9", "1.10.0-rc.1", "0.1.0"):
        refused = publish(registry, "order", low)
        assert refused.status == 409 and '"backport": true' in refused.json()["detail"], refused
    assert publish(registry, "order", "1.9.9", backport=True).status == 201
    assert publish(registry, "order", "1.9.9").status == 200
    equal = publish(registry, "order", "1.10.0+other", backport=True)
    assert equal.status == 409 and "precedence" in equal.json()["detail"]
    assert publish(registry, "order", "2.0.0-rc.1").status == 201


def test_body_too_large(registry):
    """A body above the route's limit is refused."""
    answer = publish(registry, "app", "1.0.0", notes="n" * 300000)
    assert answer.status == 413


def test_two_publishers_at_once(fleetd):
    """Of many that publish the same version with other content one wins, and the others hear it."""
    module(fleetd, "app")
    answers = {}

    def send(i):
        answers[i] = publish(fleetd, "app", "1.0.0", notes=f"by {i % 4}")

    threads = [threading.Thread(target=send, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    created = [i for i, a in answers.items() if a.status == 201]
    assert len(created) == 1
    notes = fleetd.get(f"{API}/modules/app/versions/1.0.0").json()["notes"]
    for i, a in answers.items():
        same = f"by {i % 4}" == notes
        assert a.status == ((201 if i in created else 200) if same else 409), (i, a)
    assert [e["kind"] for e in events(fleetd)].count("version.published") == 1


def test_block_and_unblock(fleetd):
    """Blocking is idempotent, shown with its reason, and keeps a version out of new releases."""
    module(fleetd, "app")
    publish(fleetd, "app", "1.0.0")
    path = f"{API}/modules/app/versions/1.0.0/block"
    blocked = fleetd.post(path, {"blocked": True, "why": "bricks"})
    assert blocked.status == 200 and blocked.json()["version"]["blocked"]["why"] == "bricks"
    assert fleetd.post(path, {"blocked": True}).json() == {**blocked.json(), "changed": False}
    refused = fleetd.put(f"{API}/releases/r", {"entries": [{"module": "app", "version": "1.0.0"}]})
    assert refused.status == 422 and "bricks" in refused.json()["detail"]
    assert fleetd.post(path, {"blocked": False}).json()["version"]["blocked"] is None
    assert fleetd.post(path, {}).status == 400
    kinds = [e["kind"] for e in events(fleetd) if e["kind"].endswith("blocked")]
    assert kinds == ["version.blocked", "version.unblocked"]


# ---- releases

def test_release_and_again(fleetd):
    """A release comes back by module, the same again changes nothing, other content is a conflict."""
    for name in ("a", "b", "c"):
        module(fleetd, name)
        publish(fleetd, name, "1.0.0")
    entries = [{"module": "c", "action": "absent"}, {"module": "a", "version": "1.0.0"},
               {"module": "b", "version": "1.0.0", "action": "install"}]
    first = fleetd.put(f"{API}/releases/r1", {"entries": entries, "notes": "n"})
    assert first.status == 201, first
    assert first.json()["entries"] == [
        {"module": "a", "version": "1.0.0", "action": "update"},
        {"module": "b", "version": "1.0.0", "action": "install"},
        {"module": "c", "version": None, "action": "absent"}]
    again = fleetd.put(f"{API}/releases/r1", {"entries": entries[::-1], "notes": "n"})
    assert again.status == 200 and again.json() == first.json()
    for change, words in [
        ({"entries": entries, "notes": "m"}, "its notes"),
        ({"entries": entries[:2], "notes": "n"}, "its entries, first in b"),
        ({"entries": [{"module": "a", "version": "1.0.0", "action": "install"}] + entries[2:] + entries[:1],
          "notes": "n"}, "first in a"),
    ]:
        refused = fleetd.put(f"{API}/releases/r1", change)
        assert refused.status == 409 and words in refused.json()["detail"], refused


@pytest.mark.parametrize("entries, status, words", [
    ([], 400, "entries"),
    ([{"module": "app"}], 400, "version"),
    ([{"module": "app", "version": "1.0.0", "action": "delete"}], 400, "delete"),
    ([{"module": "app", "version": "1.0.0", "action": "absent"}], 400, "absent"),
    ([{"module": "zzz", "version": "1.0.0"}], 422, "zzz"),
    ([{"module": "lib", "version": "9.0.0"}], 422, "9.0.0"),
    ([{"module": "lib", "action": "absent"}] * 2, 400, "twice"),
    ([{"module": "lib", "action": "absent", "x": 1}], 400, '"x"'),
    (["lib"], 400, "entries[0]"),
    ("lib", 400, "entries"),
])
def test_bad_releases_leave_nothing(registry, entries, status, words):
    """Each wrong release is refused with a reason and is not there afterwards."""
    answer = registry.put(f"{API}/releases/bad", {"entries": entries})
    assert answer.status == status and words in answer.json()["detail"], answer
    assert registry.get(f"{API}/releases/bad").status == 404


# ---- pages

def follow(client, path, key):
    """All items of a list, page by page through `next`, checking Link on the way."""
    out, cursor = [], None
    while True:
        answer = client.get(path + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer
        page = answer.json()
        out += [item[key] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            assert "Link" not in answer.headers
            return out
        assert answer.headers["Link"].startswith(f"<{path}&cursor={cursor}>") or \
            f"cursor={cursor}" in answer.headers["Link"]
        assert answer.headers["Link"].endswith('; rel="next"')


def test_pages_under_changes(fleetd):
    """What is added or removed between pages neither doubles nor hides what stays."""
    for i in range(25):
        module(fleetd, f"m{i:02}")
    first = fleetd.get(f"{API}/modules?limit=10").json()
    assert [m["name"] for m in first["items"]] == [f"m{i:02}" for i in range(10)]
    fleetd.delete(f"{API}/modules/m09")
    fleetd.delete(f"{API}/modules/m10")
    module(fleetd, "m00a")
    module(fleetd, "m11a")
    second = fleetd.get(f"{API}/modules?limit=10&cursor={first['next']}").json()
    assert [m["name"] for m in second["items"]] == ["m11", "m11a"] + [f"m{i:02}" for i in range(12, 20)]
    assert len(follow(fleetd, f"{API}/modules?limit=7", "name")) == 25
    assert follow(fleetd, f"{API}/modules?limit=25", "name") == follow(fleetd, f"{API}/modules?limit=1", "name")


def test_pages_of_versions_and_releases(fleetd):
    """Versions and releases have pages too."""
    module(fleetd, "app")
    versions = [f"1.{i}.0" for i in range(12)]
    for version in versions:
        publish(fleetd, "app", version)
        fleetd.put(f"{API}/releases/r{version}", {"entries": [{"module": "app", "version": version}]})
    assert follow(fleetd, f"{API}/modules/app/versions?limit=5", "version") == versions
    assert follow(fleetd, f"{API}/releases?limit=4", "name") == [f"r{v}" for v in versions]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=", "cursor=!!!!",
                                   "cursor=" + "A" * 600])
def test_bad_pages(registry, query):
    """A wrong limit or cursor is refused."""
    assert registry.get(f"{API}/releases?{query}").status == 400, query


# ---- the server

def test_server_says_who_it_is(fleetd):
    """Identity stays over restarts; only the start changes."""
    first = fleetd.get(f"{API}/server").json()
    assert first["tenant"] == "default" and first["quick_start_root"] is True
    assert first["limits"]["artifact_bytes"] == 4 << 30 and len(first["root_keyid"]) == 64
    fleetd.stop()
    fleetd.start()
    second = fleetd.get(f"{API}/server").json()
    assert second["started_at"] > first["started_at"]
    assert {**second, "started_at": 0} == {**first, "started_at": 0}
    fleetd.stop()
    refused = fleetd.run(tenant="other")
    assert refused.returncode != 0 and 'belongs to tenant "default"' in refused.stderr
    fleetd.start()
