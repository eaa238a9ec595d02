# SPDX-License-Identifier: Apache-2.0
"""Tokens: roles, scopes, limits; their secrets are shown once."""
import sqlite3
import threading

import pytest

SECRET = "flt_"


def stored(fleetd):
    """The database as bytes on disk, write-ahead log included."""
    return b"".join(p.read_bytes() for p in fleetd.data.glob("fleetd.db*"))


def test_a_secret_is_shown_once_and_stored_hashed(fleetd):
    """The answer to the creation holds the secret; neither a list nor the files ever do."""
    answer = fleetd.post("/api/v1/tokens", {"name": "ci", "roles": ["publisher"]})
    assert answer.status == 201, answer
    token = answer.json()["token"]
    assert token.startswith(SECRET)
    assert fleetd.as_token(token).get("/api/v1/whoami").json() == {
        "name": "ci", "roles": ["publisher"], "selector": None}
    listed = fleetd.get("/api/v1/tokens")
    assert [t["name"] for t in listed.json()["items"]] == ["admin", "ci"]
    secret = token.split("_", 2)[2]
    assert secret.encode() not in listed.body
    fleetd.stop()
    assert secret.encode() not in stored(fleetd)
    fleetd.start()
    assert fleetd.as_token(token).get("/api/v1/whoami").status == 200


def test_wrong_tokens_all_get_the_same_answer(fleetd):
    """Unknown, malformed, cut and altered tokens cannot be told apart."""
    good = fleetd.token
    bad = ["", "x", "flt_", "flt__", "flt_1_", "flt_zz_" + good.split("_", 2)[2], good[:-1],
           good + "A", good[:-2] + ("AA" if good[-2:] != "AA" else "BA"), good.replace("flt_1", "flt_01"),
           "flt_" + "z" * 40 + "_x", "flt_-1_" + good.split("_", 2)[2]]
    seen = set()
    for text in bad:
        answer = fleetd.as_token(text).get("/api/v1/whoami")
        assert answer.status == 401, (text, answer)
        seen.add(answer.json()["detail"])
    assert len(seen) <= 2, seen  # an empty one may be told that it is missing


@pytest.mark.parametrize("body, words", [
    ({}, "name"),
    ({"name": "x"}, "roles"),
    ({"name": "x", "roles": []}, "roles"),
    ({"name": "x", "roles": ["king"]}, "roles[0]"),
    ({"name": "x y", "roles": ["viewer"]}, "letters"),
    ({"name": "x" * 129, "roles": ["viewer"]}, "129"),
    ({"name": "x", "roles": ["viewer"], "selector": "attributx.hw==1"}, 'did you mean \\"attribute\\"'),
    ({"name": "x", "roles": ["viewer"], "uses": 3}, "enroller"),
    ({"name": "x", "roles": ["enroller"], "uses": 0}, "uses"),
    ({"name": "x", "roles": ["enroller"], "labels": {"a b": 1}}, "blanks"),
    ({"name": "x", "roles": ["viewer"], "expires_in_s": -1}, "expires_in_s"),
    ({"name": "x", "roles": ["viewer"], "role": 1}, "role"),
])
def test_bad_creations_say_what_is_wrong(shared_fleetd, body, words):
    """Each wrong body is a 400 that names the member, and makes no token."""
    before = shared_fleetd.get("/api/v1/tokens").body
    answer = shared_fleetd.post("/api/v1/tokens", body)
    assert answer.status == 400, answer
    assert words in answer.body.decode()
    assert shared_fleetd.get("/api/v1/tokens").body == before


def test_names_are_taken_once(shared_fleetd):
    """The same name again is a conflict."""
    assert shared_fleetd.post("/api/v1/tokens", {"name": "twice", "roles": ["viewer"]}).status == 201
    answer = shared_fleetd.post("/api/v1/tokens", {"name": "twice", "roles": ["viewer"]})
    assert answer.status == 409 and "twice" in answer.json()["detail"]


def test_revoked_is_void_at_once_and_for_ever(fleetd):
    """After the revocation's answer the token opens nothing, also after a restart."""
    viewer = fleetd.make_token("v", ["viewer"])
    assert viewer.get("/api/v1/modules").status == 200
    assert fleetd.delete("/api/v1/tokens/2").status == 204
    assert viewer.get("/api/v1/modules").status == 401
    assert fleetd.delete("/api/v1/tokens/2").status == 204
    fleetd.stop()
    fleetd.start()
    assert fleetd.as_token(viewer.token).get("/api/v1/modules").status == 401
    assert fleetd.delete("/api/v1/tokens/99").status == 404
    assert fleetd.delete("/api/v1/tokens/x").status == 404


def test_the_last_admin_stays(fleetd):
    """The last admin token without a selector cannot be revoked."""
    refused = fleetd.delete("/api/v1/tokens/1")
    assert refused.status == 422 and "last admin" in refused.json()["detail"]
    fleetd.make_token("regional", ["admin"], selector="label.region==eu")
    assert fleetd.delete("/api/v1/tokens/1").status == 422
    second = fleetd.make_token("second", ["admin"])
    assert fleetd.delete("/api/v1/tokens/1").status == 204
    assert second.delete("/api/v1/tokens/3").status == 422


def test_an_expired_token_is_void(fleetd):
    """A token opens nothing once its time has passed."""
    token = fleetd.make_token("short", ["viewer"], expires_in_s=3600)
    assert token.get("/api/v1/whoami").status == 200
    fleetd.stop()
    with sqlite3.connect(fleetd.data / "fleetd.db") as db:
        db.execute("UPDATE token SET expires_at = 1000 WHERE name = 'short'")
    db.close()
    fleetd.start()
    assert fleetd.as_token(token.token).get("/api/v1/whoami").status == 401


ROLES = ["viewer", "publisher", "operator", "approver", "admin", "enroller"]


def test_roles_open_what_the_table_says(fleetd):
    """Each role may do its own and nothing more."""
    clients = {role: fleetd.make_token(f"t-{role}", [role]) for role in ROLES}
    module = {"kind": "wasm"}
    for role, client in clients.items():
        readable = 200 if role != "enroller" else 403
        assert client.get("/api/v1/modules").status == readable, role
        assert client.get("/api/v1/devices").status == readable, role
        assert client.get("/api/v1/events").status == readable, role
        assert client.get("/api/v1/whoami").status == 200, role
        made = client.put(f"/api/v1/modules/m-{role}", module).status
        assert made == (201 if role in ("publisher", "admin") else 403), role
        bulk = client.post("/api/v1/devices", data=b"").status
        assert bulk == (200 if role in ("operator", "admin") else 403), role
        tokens = client.get("/api/v1/tokens").status
        assert tokens == (200 if role == "admin" else 403), role
    refused = clients["enroller"].post("/api/v1/devices", data=b"").json()["detail"]
    assert refused == "the token t-enroller lacks the role for this: it takes operator or admin"


def test_a_limited_admin_makes_no_tokens(fleetd):
    """An admin with a selector could otherwise make itself a token that sees more."""
    limited = fleetd.make_token("eu", ["admin"], selector="label.region==eu")
    for answer in (limited.get("/api/v1/tokens"), limited.delete("/api/v1/tokens/1"),
                   limited.post("/api/v1/tokens", {"name": "y", "roles": ["admin"]})):
        assert answer.status == 403 and "selector" in answer.json()["detail"], answer


def test_idempotency_key_repeats_the_answer_without_the_secret(fleetd):
    """The same key and body again creates nothing; another body is refused; the secret stays unknown."""
    body = {"name": "once", "roles": ["viewer"]}
    head = {"Idempotency-Key": '"6f0e"'}
    first = fleetd.post("/api/v1/tokens", body, headers=head)
    assert first.status == 201
    again = fleetd.post("/api/v1/tokens", body, headers=head)
    assert again.status == 201 and again.headers["Idempotency-Replayed"] == "true"
    expected = first.json()
    secret = expected.pop("token")
    assert again.json() == expected
    other = fleetd.post("/api/v1/tokens", {"name": "other", "roles": ["viewer"]}, headers=head)
    assert other.status == 422 and "another request" in other.json()["detail"]
    assert [t["name"] for t in fleetd.get("/api/v1/tokens").json()["items"]] == ["admin", "once"]
    for bad in ("", '""', "a b", "x" * 256):
        assert fleetd.post("/api/v1/tokens", body, headers={"Idempotency-Key": bad}).status == 400, bad
    fleetd.stop()
    assert secret.split("_", 2)[2].encode() not in stored(fleetd)


def test_one_key_sent_by_many_at_once_creates_once(fleetd):
    """Concurrent requests with one key all get the same answer."""
    answers = []

    def send():
        answers.append(fleetd.post("/api/v1/tokens", {"name": "same", "roles": ["viewer"]},
                                   headers={"Idempotency-Key": "k1"}))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.status for a in answers] == [201] * 8
    assert len({a.json()["id"] for a in answers}) == 1
    assert sum("token" in a.json() for a in answers) == 1
