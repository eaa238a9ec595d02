# SPDX-License-Identifier: Apache-2.0
"""A walk over every row of server/tbl/routes.h: bad credentials, methods, sizes and bodies are each
answered as the table says, and the server is none the worse for it."""
import errno
import re
import socket
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[2] / "server/tbl/routes.h"
ROLES = ["viewer", "publisher", "operator", "approver", "admin", "enroller"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
SHA = "0" * 64


class Route:
    """One row of the table."""

    def __init__(self, method, path, who, limit, lane):
        self.method, self.path, self.lane = method, path, lane
        self.who = who
        self.limit = limit

    @property
    def address(self):
        """The path with plausible values."""
        return re.sub(r"\{(\w+)\}", lambda m: SHA if m.group(1) == "sha256" else "x", self.path)

    def __repr__(self):
        return f"{self.method} {self.path}"


def expand_who(text, macros):
    """"ROLE_READ | WHO_ENROLLER" -> the set of words that suffice."""
    words = set()
    for part in re.split(r"[|()\s]+", text):
        if part in macros:
            words |= expand_who(macros[part], macros)
        elif part == "WHO_ANY_ROLE":
            words |= {"viewer", "publisher", "operator", "approver", "admin"}
        elif part and part != "WHO_ANYONE":
            words.add(part.removeprefix("WHO_").lower())
    return words


def read_table():
    text = TABLE.read_text()
    macros = dict(re.findall(r"^#define (\w+)\s+(.*)$", text, re.M))
    units = {"KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}
    routes = []
    pattern = r'^ROUTE\(\s*(\w+),\s*"([^"]+)",\s*([^,]+),\s*([^,]+),\s*(\w+),\s*(\w+),'
    for method, path, who, limit, lane, _ in re.findall(pattern, text, re.M):
        number = eval(limit, {"__builtins__": {}}, units)  # pylint: disable=eval-used
        routes.append(Route(method, path, expand_who(who, macros), number, lane))
    assert len(routes) == text.count("\nROUTE("), "a row was not understood"
    return routes


ROUTES = read_table()
WITH_BODY = [r for r in ROUTES if r.limit > 0]
JSON_BODY = [r for r in WITH_BODY if r.lane != "STREAM"]


def name_of(value):
    return str(value) if isinstance(value, Route) else None


@pytest.fixture(scope="module")
def tokens(shared_fleetd):
    """A client for each role."""
    made = {role: shared_fleetd.make_token(f"walk-{role}", [role]) for role in ROLES}
    return {**made, "admin": shared_fleetd}


def allowed(tokens, route):
    """A client that may call the route, or None: only devices may."""
    for role in ROLES:
        if role in route.who:
            return tokens[role]
    return None


def assert_problem(answer, status):
    """The answer is an RFC 9457 problem with this status and a request id."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"] and problem["detail"]
    assert problem["instance"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_without_credentials(shared_fleetd, route):
    """A route that needs credentials answers 401 without them, with a challenge."""
    answer = shared_fleetd.anonymous().request(route.method, route.address)
    if not route.who:
        assert answer.status != 401
        return
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("route", [r for r in ROUTES if r.who], ids=name_of)
def test_with_wrong_credentials(shared_fleetd, route):
    """Unknown tokens, broken ones and other schemes are 401 everywhere."""
    right = shared_fleetd.token
    for value in [
        "Bearer nonsense",
        "Bearer ",
        f"Bearer {right[:-1]}{'A' if right[-1] != 'A' else 'B'}",
        f"Bearer {right}x",
        "Basic YWRtaW46YWRtaW4=",
        "Fleet a.1.b",
        "Fleet ..",
        "\x7f",
    ]:
        answer = shared_fleetd.anonymous().request(
            route.method, route.address, headers={"Authorization": value}
        )
        assert answer.status in (401, 431), (value, answer)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.who], ids=name_of)
def test_with_the_wrong_role(tokens, route):
    """A token without the role is 403; one with it is not."""
    for role in ROLES:
        answer = tokens[role].request(route.method, route.address)
        if "enroller" in route.who and role == "enroller" and route.path.startswith("/device/"):
            assert answer.status == 401, answer  # the token is right, the device's signature lacks
        elif role in route.who:
            assert answer.status not in (401, 403), (role, answer)
        elif route.who <= {"device", "device_key"}:
            assert answer.status in (401, 403), (role, answer)
        else:
            assert_problem(answer, 403)


@pytest.mark.parametrize("path", sorted({r.path for r in ROUTES}))
def test_with_other_methods(shared_fleetd, path):
    """A method that the address does not take is 405, and Allow names those that it takes."""
    rows = [r for r in ROUTES if r.path == path]
    taken = {r.method for r in rows}
    for method in METHODS + ["BREW", "OPTIONS"]:
        if method in taken:
            continue
        answer = shared_fleetd.request(method, rows[0].address)
        assert answer.status == (204 if method == "OPTIONS" else 405), answer
        allow = set(answer.headers["Allow"].split(", "))
        assert allow == taken | {"OPTIONS"} | ({"HEAD"} if "GET" in taken else set())


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
def test_with_a_body_that_is_too_large(tokens, route):
    """A stated length above the limit is 413 before the body is sent."""
    client = allowed(tokens, route)
    if client is None:
        pytest.skip("only devices may call it: their credentials cover the body")
    connection = client.connect()
    connection.putrequest(route.method, route.address)
    connection.putheader("Authorization", f"Bearer {client.token}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(route.limit + 1))
    connection.endheaders(b"{")
    answer = connection.getresponse()
    assert answer.status == 413, answer.read()
    assert answer.getheader("Content-Type") == "application/problem+json"
    connection.close()


@pytest.mark.parametrize("route", [r for r in JSON_BODY if r.limit <= 64 * 1024], ids=name_of)
def test_with_a_chunked_body_that_is_too_large(tokens, route):
    """A body without a stated length is counted: above the limit 413."""
    client = allowed(tokens, route)
    if client is None:
        pytest.skip("only devices may call it: their credentials cover the body")
    pieces = (b" " * 4096 for _ in range(route.limit // 4096 + 1))
    answer = client.request(
        route.method, route.address, data=pieces, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.limit == 0], ids=name_of)
def test_with_a_body_where_none_is_taken(tokens, shared_fleetd, route):
    """A body for a route without one is 413."""
    client = allowed(tokens, route) or shared_fleetd
    if route.who and allowed(tokens, route) is None:
        pytest.skip("only devices may call it: their credentials cover the body")
    answer = client.request(route.method, route.address, data=b"{}")
    assert_problem(answer, 413)


@pytest.mark.parametrize("route", JSON_BODY, ids=name_of)
def test_with_malformed_bodies(tokens, route):
    """What is not the JSON that the route takes is 400 (or 415, 422), never 2xx and never 500."""
    client = allowed(tokens, route)
    if client is None:
        pytest.skip("only devices may call it: their credentials cover the body")
    for body in [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\x00\xff\xfe",
        b'{"a":1,"a":2}',
        b'{"surely_unknown_key":1}',
        b"[" * 5000,
        b'{"name":"\xed\xa0\x80"}',
        b'{"name":123456789012345678901234567890}',
    ]:
        answer = client.request(
            route.method, route.address, data=body, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status < 500, (body, answer)


@pytest.mark.parametrize("route", JSON_BODY, ids=name_of)
def test_with_another_content_type(tokens, route):
    """A body that does not say that it is JSON is 415."""
    client = allowed(tokens, route)
    if client is None:
        pytest.skip("only devices may call it: their credentials cover the body")
    for kind in ["text/plain", "application/jsonx", ""]:
        answer = client.request(
            route.method, route.address, data=b"{}", headers={"Content-Type": kind}
        )
        assert_problem(answer, 415)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"], ids=name_of)
def test_head_is_get_without_the_body(tokens, shared_fleetd, route):
    """HEAD gives the status of GET and no body."""
    client = allowed(tokens, route) or shared_fleetd
    got, head = client.get(route.address), client.request("HEAD", route.address)
    assert head.status == got.status
    assert head.body == b""


@pytest.mark.parametrize(
    "path",
    ["/nope", "/api/v1", "/api/v1/", "/api/v1/modules/", "/api//v1/modules", "/device", "//", "/%2e%2e/x"],
)
def test_unknown_addresses(shared_fleetd, path):
    """What is no route is 404."""
    connection = shared_fleetd.connect()
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 404
    connection.close()


@pytest.mark.parametrize("path", ["/api/v1/modules/%", "/api/v1/modules/%4", "/api/v1/modules/%zz", "/api/v1/modules/%00"])
def test_badly_encoded_addresses(shared_fleetd, path):
    """A part of the path that is not encoded as it must be is 400."""
    assert_problem(shared_fleetd.get(path), 400)


def test_rubbish_on_the_wire(new_fleetd):
    """Bytes that are not HTTP end their connection, at the latest when it idles out, and nothing else."""
    server = new_fleetd().start(idle_timeout="1s")
    for rubbish in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/tokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET " + b"/a" * 6000 + b" HTTP/1.1\r\n\r\n",
        b"GET /a\x80b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\x00" * 9000,
    ]:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
            try:
                s.sendall(rubbish)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError as why:  # the server was quicker: each call may meet the closed connection
                assert why.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), why
    assert server.get("/readyz").status == 200


def test_cut_connections(shared_fleetd):
    """Clients that leave in the middle of headers or body cost nothing."""
    for sent in [
        b"GET /api/v1/mod",
        b"PUT /api/v1/modules/cut HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
        + shared_fleetd.token.encode()
        + b"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"kind\":",
    ]:
        with socket.create_connection(("127.0.0.1", shared_fleetd.port), timeout=60) as s:
            s.sendall(sent)
    assert shared_fleetd.get("/api/v1/modules/cut").status == 404


def test_requests_in_one_connection(shared_fleetd):
    """Refusals of small requests keep the connection; pipelined requests are answered in order."""
    connection = shared_fleetd.connect()
    for path, status in [("/healthz", 200), ("/nope", 404), ("/api/v1/whoami", 401), ("/healthz", 200)]:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == status
        answer.read()
    connection.close()
    with socket.create_connection(("127.0.0.1", shared_fleetd.port), timeout=60) as s:
        one = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        s.sendall(one % b"/healthz" + one % b"/nope" + last)
        received = b""
        while chunk := s.recv(65536):
            received += chunk
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]
