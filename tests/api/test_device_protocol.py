# SPDX-License-Identifier: Apache-2.0
"""The devices' own protocol against a real fleetd, with a client that shares no code with it."""
import json
import secrets
import time

import pytest
from nacl.signing import SigningKey

from strict_device import Device, Refused, b64, enrol_token, enrolled


@pytest.fixture(name="server", scope="module")
def fixture_server(shared_fleetd):
    """One fleetd for all tests here; names are unique per test."""
    shared_fleetd.enrol = enrol_token(shared_fleetd)
    return shared_fleetd


def unique(prefix="dev"):
    return f"{prefix}-{secrets.token_hex(4)}"


def known(server, device_id):
    answer = server.get(f"/api/v1/devices/{device_id}")
    return answer.json() if answer.status == 200 else None


# ---- enrolment


def test_enrolment_registers_the_device(server):
    """A device with a token and its key is registered with what it says, and gets a signed root."""
    device = Device(server, unique())
    status = device.enrol(
        server.enrol,
        tier="gateway",
        attributes={"hw": "rpi4", "ram": 2048},
        installed=[{"module": "app", "version": "1.0.0"}],
    )
    assert status == 201
    assert device.root["x-fleetd-quick-start"] is True
    entry = known(server, device.id)
    assert entry["enrolled"] and entry["tier"] == "gateway"
    assert entry["attributes"] == {"hw": "rpi4", "ram": 2048}
    assert entry["installed"] == [{"module": "app", "version": "1.0.0"}]


def test_enrolment_again_with_the_same_key(server):
    """The same key again answers 200 and ends older sessions."""
    device = enrolled(server, unique(), server.enrol)
    assert device.poll() is None
    assert device.enrol(server.enrol) == 200
    with pytest.raises(Refused) as refused:
        device.poll()
    assert refused.value.status == 401
    device.session()
    assert device.poll() is None


def test_enrolment_with_another_key_is_refused(server):
    """An enrolled id keeps its key: 409, and its session goes on."""
    device = enrolled(server, unique(), server.enrol)
    thief = Device(server, device.id)
    answer = thief.enrol_request(server.enrol)
    assert answer.status == 409
    assert device.poll() is None


def test_enrolment_needs_the_private_key(server):
    """A signature by another key than the one in the body is refused, and nothing is stored."""
    device = Device(server, unique())
    body = {"device": device.id, "public_key": b64(SigningKey.generate().verify_key.encode())}
    raw = json.dumps(body).encode()
    headers = device.proof("POST", "/device/v1/enrol", raw)
    headers["Authorization"] = f"Bearer {server.enrol}"
    answer = server.anonymous().post("/device/v1/enrol", data=raw, headers=headers)
    assert answer.status == 401
    assert known(server, device.id) is None


def test_enrolment_needs_a_token(server):
    """Without a token, with a wrong one and with a viewer's it is refused."""
    device = Device(server, unique())
    viewer = server.make_token(unique("viewer"), ["viewer"]).token
    assert device.enrol_request("flt_1_wrong").status == 401
    assert device.enrol_request(viewer).status == 403
    assert known(server, device.id) is None


def test_uses_and_labels_of_the_token(server):
    """A token for one device enrols one, gives it the token's labels, and no second one."""
    token = enrol_token(server, unique("one"), uses=1, labels={"site": "berlin"})
    first, second = Device(server, unique()), Device(server, unique())
    assert first.enrol(token) == 201
    assert known(server, first.id)["labels"] == {"site": "berlin"}
    assert second.enrol_request(token).status in (401, 403)
    assert known(server, second.id) is None


@pytest.mark.parametrize(
    "body",
    [
        {"device": ""},
        {"device": "a\nb"},
        {"device": ".."},
        {"device": "x" * 257},
        {"device": 5},
        {"public_key": "AAAA"},
        {"public_key": b64(bytes(32))},
        {"tier": "cloud"},
        {"attributes": []},
        {"attributes": {"a": {"b": 1}}},
        {"installed": {}},
        {"installed": [{"module": "app"}]},
        {"gateway": "nobody-" + "x" * 8},
    ],
)
def test_malformed_enrolments_are_refused(server, body):
    """A wrong member is a 4xx that stores nothing."""
    device = Device(server, unique())
    members = {"device": device.id, "public_key": b64(device.key.verify_key.encode()), **body}
    raw = json.dumps(members).encode()
    headers = device.proof("POST", "/device/v1/enrol", raw)
    headers["Authorization"] = f"Bearer {server.enrol}"
    answer = server.anonymous().post("/device/v1/enrol", data=raw, headers=headers)
    assert 400 <= answer.status < 500, answer
    assert known(server, device.id) is None


def test_registered_devices_take_the_first_key(server):
    """A device registered in bulk keeps its labels and takes the key that enrols."""
    name = unique()
    line = json.dumps({"id": name, "labels": {"ring": "beta"}}) + "\n"
    answer = server.post("/api/v1/devices", data=line.encode(), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status == 200, answer
    device = Device(server, name)
    with pytest.raises(Refused):
        device.session()
    assert device.enrol(server.enrol) == 201
    device.session()
    assert device.poll() is None
    assert known(server, name)["labels"] == {"ring": "beta"}


# ---- session


def test_session_opens_only_with_the_key(server):
    """Another key, an unknown device and a device without a key get the same 401."""
    device = enrolled(server, unique(), server.enrol)
    answers = []
    for other in (Device(server, device.id), Device(server, unique())):
        answer = other.session_request()
        answers.append((answer.status, answer.json()["detail"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


def test_session_proof_must_be_complete(server):
    """A signature that leaves out a component, or is about another device, is refused."""
    device = enrolled(server, unique(), server.enrol)
    for components in ('"@method" "@path"', '"@method" "content-digest"', '"@path" "content-digest"'):
        assert device.session_request(components=components).status == 401
    assert device.session_request(body={"device": "another"}).status == 401
    assert device.session_request(nonce="").status == 401
    assert device.session_request(nonce="n" * 65).status == 401


def test_session_body_is_covered(server):
    """A body that was changed on the way does not fit its digest."""
    device = enrolled(server, unique(), server.enrol)
    raw = json.dumps({"device": device.id}).encode()
    headers = device.proof("POST", "/device/v1/session", raw)
    answer = server.anonymous().post("/device/v1/session", data=raw + b" ", headers=headers)
    assert answer.status == 401


def test_wrong_clock_gets_the_time(server):
    """A device whose clock is an hour off learns the server's time and then gets its session."""
    device = enrolled(server, unique(), server.enrol)
    for wrong in (3600, -3600):
        device.clock_s = wrong
        answer = device.session_request()
        assert answer.status == 401 and answer.json()["type"].endswith("/clock")
        device.clock_s = answer.json()["server_time"] // 1000 - int(time.time())
        device.session()


def test_handshake_cannot_be_replayed(server):
    """The same signed handshake is taken once."""
    device = enrolled(server, unique(), server.enrol)
    raw = json.dumps({"device": device.id}).encode()
    headers = device.proof("POST", "/device/v1/session", raw)
    assert server.anonymous().post("/device/v1/session", data=raw, headers=headers).status == 200
    again = server.anonymous().post("/device/v1/session", data=raw, headers=headers)
    assert again.status == 401 and again.json()["type"].endswith("/nonce")


def test_sessions_outlive_a_restart(new_fleetd):
    """The session's key is derived, not stored: after a restart the device just goes on."""
    server = new_fleetd("restart").start()
    device = enrolled(server, "dev", enrol_token(server))
    assert device.poll() is None
    server.stop()
    server.start()
    assert device.poll() is None


def test_last_seen_outlives_a_stop(new_fleetd):
    """When a device was last seen is kept in memory and written before the server ends; to enrol is to speak."""
    server = new_fleetd("seen").start()
    token = enrol_token(server)
    device = enrolled(server, "dev", token)
    Device(server, "new").enrol(token)
    server.post("/api/v1/devices", data=b'{"id":"registered"}\n', headers={"Content-Type": "application/x-ndjson"})
    device.poll()
    server.stop()
    server.start()
    assert known(server, "dev")["last_seen"] is not None and known(server, "new")["last_seen"] is not None
    assert known(server, "registered")["last_seen"] is None


def test_retired_devices_are_out(server):
    """Retirement ends the session; the id can enrol anew with another key."""
    device = enrolled(server, unique(), server.enrol)
    assert server.delete(f"/api/v1/devices/{device.id}").status in (200, 204)
    with pytest.raises(Refused) as refused:
        device.poll()
    assert refused.value.status == 401
    assert device.session_request().status == 401
    replacement = Device(server, device.id)
    assert replacement.enrol(server.enrol) == 201
    replacement.session()
    assert replacement.poll() is None


# ---- under the session


def test_idle_poll_is_204_and_proved(server):
    """Nothing new: 204 with a MAC over status, nonce and manifest number."""
    device = enrolled(server, unique(), server.enrol)
    answer = device.call("GET", "/device/v1/poll")
    assert answer.status == 204 and answer.body == b""
    assert device.newest == 0


def test_nonces_only_rise(server):
    """A request sent again, or with a lower nonce, is refused with its own problem type."""
    device = enrolled(server, unique(), server.enrol)
    device.poll()
    for nonce in (device.nonce, device.nonce - 1, 0):
        headers = {"Authorization": device.authorization("GET", "/device/v1/poll", nonce=nonce)}
        answer = server.anonymous().get("/device/v1/poll", headers=headers)
        assert answer.status == 401 and answer.json()["type"].endswith("/nonce")
    assert device.poll() is None


def test_every_part_of_a_request_is_covered(server):
    """Method, path, query, nonce, manifest number and body: none can be changed on the way."""
    device = enrolled(server, unique(), server.enrol)
    good = device.authorization("GET", "/device/v1/poll")
    scheme, token = good.split(" ")
    session, nonce, manifest, mac = token.split(".")
    flipped = ("B" if mac[0] == "A" else "A") + mac[1:]
    client = server.anonymous()
    for value in (
        f"{scheme} {session}.{int(nonce) + 1}.{manifest}.{mac}",
        f"{scheme} {session}.{nonce}.{int(manifest) + 1}.{mac}",
        f"{scheme} {session}.{nonce}.{manifest}.{flipped}",
        f"{scheme} {'A' * 22}.{nonce}.{manifest}.{mac}",
        f"{scheme} {session}.{nonce}.{manifest}",
        f"{scheme} ",
        "Fleet",
    ):
        answer = client.get("/device/v1/poll", headers={"Authorization": value})
        assert answer.status == 401, value
        assert "Fleet-Mac" not in answer.headers
    assert client.get("/device/v1/poll?x=1", headers={"Authorization": good}).status == 401
    assert client.request("HEAD", "/device/v1/poll", headers={"Authorization": good}).status == 401
    raw = json.dumps({"attributes": {}}).encode()
    header = device.authorization("PUT", "/device/v1/inventory", raw)
    headers = {"Authorization": header, "Content-Type": "application/json"}
    changed = client.put("/device/v1/inventory", data=raw + b" ", headers=headers)
    assert changed.status == 401
    assert device.poll() is None


def test_inventory(server):
    """What a device says about itself replaces what it said before; what it leaves out stays."""
    device = enrolled(server, unique(), server.enrol, attributes={"hw": "a"})
    device.inventory(attributes={"hw": "b", "os": "1"}, installed=[{"module": "app", "version": "2.0.0"}])
    entry = known(server, device.id)
    assert entry["attributes"] == {"hw": "b", "os": "1"}
    assert entry["installed"] == [{"module": "app", "version": "2.0.0"}]
    device.inventory(installed=[])
    entry = known(server, device.id)
    assert entry["attributes"] == {"hw": "b", "os": "1"}
    assert entry["installed"] == []


def test_refused_inventory_changes_nothing(server):
    """A wrong member refuses the whole inventory, and the answer is proved too."""
    device = enrolled(server, unique(), server.enrol, attributes={"hw": "a"})
    for bad in (
        {"attributes": {"hw": "b"}, "installed": [{"module": "app"}]},
        {"attributes": 5},
        {"installed": [{"module": "m", "version": "1"}, {"module": "m", "version": "2"}]},
    ):
        answer = device.call("PUT", "/device/v1/inventory", bad)
        assert answer.status == 400, answer
    assert known(server, device.id)["attributes"] == {"hw": "a"}


def test_progress_reports_need_no_signature(server):
    """A progress report about no known step is taken, and taken again."""
    device = enrolled(server, unique(), server.enrol)
    device.report("downloading", step="999999", progress=10, bytes=100)
    device.report("downloading", step="999999", progress=10, bytes=100)


def test_ends_are_signed(server):
    """A report that ends a step needs the device's signature over all of it."""
    device = enrolled(server, unique(), server.enrol)
    body = device.report_body("confirmed", step="999999", installed=[{"module": "app", "version": "3.0.0"}])
    for member in list(body):
        changed = dict(body)
        changed[member] = {"signature": b64(bytes(64)), "state": "failed", "installed": []}.get(member, 7)
        if member == "step":
            changed[member] = "7"
        answer = device.call("POST", "/device/v1/report", changed)
        assert answer.status in (400, 422), (member, answer)
        del changed[member]
        assert device.call("POST", "/device/v1/report", changed).status in (400, 422), member
    assert known(server, device.id)["installed"] == []
    assert device.call("POST", "/device/v1/report", body).status == 204
    assert known(server, device.id)["installed"] == [{"module": "app", "version": "3.0.0"}]
    assert device.call("POST", "/device/v1/report", body).status == 204


def test_report_detail_may_hold_anything(server):
    """Control characters and every script of the world are signed and taken alike."""
    device = enrolled(server, unique(), server.enrol)
    device.report("failed", step="999999", cause="release", detail='tab\t line\n quote" back\\ é 漢')


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": "queued", "manifest": 1},
        {"state": "downloading"},
        {"state": "downloading", "manifest": -1},
        {"state": "downloading", "manifest": 1, "step": "x"},
        {"state": "downloading", "manifest": 1, "step": "9" * 30},
        {"state": "downloading", "manifest": 1, "cause": "weather"},
        {"state": "downloading", "manifest": 1, "progress": 101},
        {"state": "downloading", "manifest": 1, "detail": "x" * 1001},
        {"state": "downloading", "manifest": 1, "bytes": 1 << 62},
    ],
)
def test_malformed_reports_are_refused(server, body):
    """A wrong member is a 400 with a problem, proved like every other answer."""
    device = enrolled(server, unique(), server.enrol)
    answer = device.call("POST", "/device/v1/report", body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_unknown_members_are_ignored(server):
    """A newer agent may say more than this server understands."""
    device = enrolled(server, unique(), server.enrol, future={"a": [1]})
    device.inventory(attributes={"hw": "a"}, future=1)
    device.report("downloading", step="999999", future="x")


def test_secrets_stay_out_of_the_log(server):
    """Neither keys nor MACs nor tokens appear in the log."""
    device = enrolled(server, unique(), server.enrol)
    device.poll()
    log = server.log()
    assert server.enrol not in log
    assert device.session_key.hex() not in log and b64(device.session_key) not in log
    for path in (server.data / "keys").glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().split("\n")[1] not in log
