# SPDX-License-Identifier: Apache-2.0
"""Downloads by digest: ranges, multi-ranges and conditions as RFC 9110 has them."""
import base64
import email.parser
import hashlib
import os
import re

import pytest

DATA = os.urandom(200_003)
SHA256 = hashlib.sha256(DATA).hexdigest()
PATH = f"/blobs/sha256/{SHA256}"


@pytest.fixture(scope="module")
def blob(shared_fleetd):
    """A client without credentials, with DATA stored."""
    answer = shared_fleetd.put(f"/api/v1/artifacts/{SHA256}", data=DATA)
    assert answer.status == 201, answer
    return shared_fleetd.anonymous()


def get(client, **headers):
    return client.get(PATH, headers={name.replace("_", "-"): value for name, value in headers.items()})


def parts_of(answer):
    """(Content-Range, content type, bytes) of each part of a multipart answer, by the email parser."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + answer.body)
    assert message.is_multipart()
    return [(p["Content-Range"], p.get_content_type()) for p in message.get_payload()]


def raw_parts(answer):
    """The same with the bytes, by RFC 2046: the email parser changes line ends."""
    boundary = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-z]+)", answer.headers["Content-Type"]).group(1)
    assert boundary == boundary.lower()
    pieces = (b"\r\n" + answer.body).split(b"\r\n--" + boundary.encode())
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, body = piece.split(b"\r\n\r\n", 1)
        assert b"Content-Type: application/octet-stream" in head
        first, last, total = map(int, re.search(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)", head).groups())
        assert total == len(DATA)
        assert len(body) == last - first + 1
        assert body == DATA[first : last + 1]
        parts.append((first, last))
    return parts


def test_the_whole(blob):
    """200 with everything that a cache needs to keep it for ever."""
    answer = get(blob)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{digest}:"


def test_head_has_the_headers_of_get(blob):
    """HEAD: the same headers, no body; a Range is not for it (RFC 9110 14.2)."""
    changing = {"Date", "X-Request-Id"}
    whole = get(blob)
    for headers in ({}, {"Range": "bytes=1-2"}):
        head = blob.request("HEAD", PATH, headers=headers)
        assert (head.status, head.body) == (200, b"")
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in whole.headers.items() if k not in changing
        }


@pytest.mark.parametrize(
    "text, first, last",
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-499", 0, 499),
        ("bytes=1000-", 1000, len(DATA) - 1),
        ("bytes=-1", len(DATA) - 1, len(DATA) - 1),
        ("bytes=-9999999", 0, len(DATA) - 1),
        ("bytes=0-99999999999999999999", 0, len(DATA) - 1),
        ("bytes=500-600,601-999", 500, 999),
        ("bytes=500-700,601-999", 500, 999),
        ("bytes=0-9,999999-", 0, 9),
        ("Bytes=7-8", 7, 8),
    ],
)
def test_one_range(blob, text, first, last):
    """206 with exactly these bytes; ranges that touch are one."""
    answer = get(blob, Range=text)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert answer.body == DATA[first : last + 1]
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Repr-Digest"].startswith("sha-256=:")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("bytes=0-0,-1", [(0, 0), (len(DATA) - 1, len(DATA) - 1)]),
        ("bytes=9000-9999, 0-99, 50000-150000", [(9000, 9999), (0, 99), (50000, 150000)]),
        ("bytes=1-2,5-6,2-3,900-901", [(1, 3), (5, 6), (900, 901)]),
        ("bytes=100-199,,  300-301 ,", [(100, 199), (300, 301)]),
    ],
)
def test_several_ranges(blob, text, expected):
    """206 multipart/byteranges: a part a range, in the order asked for, no byte twice."""
    answer = get(blob, Range=text)
    assert answer.status == 206
    assert answer.headers["Content-Range"] is None
    assert raw_parts(answer) == expected
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert [r for r, _ in parts_of(answer)] == [f"bytes {a}-{b}/{len(DATA)}" for a, b in expected]


def test_many_ranges(blob):
    """150 ranges in one request are served (zchunk asks for so many); with 151 it is the whole."""
    wanted = [(1000 * i, 1000 * i + 10 * i) for i in range(75)] + [(100000 + 100 * i, 100000 + 100 * i) for i in range(75)]
    text = "bytes=" + ",".join(f"{a}-{b}" for a, b in wanted)
    assert raw_parts(get(blob, Range=text)) == wanted
    whole = get(blob, Range=text + ",199000-199001")
    assert (whole.status, whole.body) == (200, DATA)


def test_ranges_that_ask_for_everything_again_and_again(blob):
    """Overlapping ranges cannot make the answer larger than the file."""
    answer = get(blob, Range="bytes=" + ",".join(["0-"] * 150))
    assert (answer.status, answer.body) == (206, DATA)


@pytest.mark.parametrize("text", ["bytes=200003-", "bytes=-0", "bytes=300000-400000,500000-"])
def test_ranges_outside(blob, text):
    """416 says how long the file is."""
    answer = get(blob, Range=text)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert answer.json()["type"] == "/problems/range"


@pytest.mark.parametrize("text", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes", "bytes=", "bytes=1-2;3-4"])
def test_what_is_no_range_is_ignored(blob, text):
    """A Range that cannot be understood is as if it were not there (RFC 9110 14.2)."""
    answer = get(blob, Range=text)
    assert (answer.status, answer.body) == (200, DATA)


def test_if_range(blob):
    """The range only if the strong tag matches; a weak one or a date never does."""
    assert get(blob, Range="bytes=0-9", If_Range=f'"{SHA256}"').status == 206
    for other in ['"another"', f'W/"{SHA256}"', "Mon, 23 Nov 2026 08:00:00 GMT", "*", SHA256]:
        assert get(blob, Range="bytes=0-9", If_Range=other).status == 200, other
    assert get(blob, Range="bytes=999999-", If_Range='"another"').status == 200


def test_conditions(blob):
    """If-None-Match gives 304 with the tag, If-Match of another 412; conditions go before ranges."""
    for text in [f'"{SHA256}"', f'W/"{SHA256}"', f'"a", "{SHA256}"', "*"]:
        answer = get(blob, If_None_Match=text, Range="bytes=0-9")
        assert (answer.status, answer.body) == (304, b""), text
        assert answer.headers["ETag"] == f'"{SHA256}"'
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert get(blob, If_None_Match='"another"').status == 200
    for text in ['"another"', f'W/"{SHA256}"']:
        assert get(blob, If_Match=text).status == 412, text
    for text in ["*", f'"{SHA256}"', f'"x","{SHA256}"']:
        assert get(blob, If_Match=text, Range="bytes=0-9").status == 206, text


def test_an_interrupted_download_goes_on(blob):
    """Half of the bytes, then the rest with Range and If-Range, are the whole."""
    connection = blob.connect()
    connection.request("GET", PATH)
    begun = connection.getresponse()
    first = begun.read(70000)
    tag = begun.headers["ETag"]
    connection.close()
    rest = get(blob, Range=f"bytes={len(first)}-", If_Range=tag)
    assert rest.status == 206
    assert first + rest.body == DATA


def test_several_answers_on_one_connection(blob):
    """Whole, range, multipart, 304, 416 and HEAD in turn leave the connection in order."""
    connection = blob.connect()
    for _ in range(3):
        for method, headers, status in [
            ("GET", {}, 200),
            ("GET", {"Range": "bytes=1-2"}, 206),
            ("GET", {"Range": "bytes=1-2,7-9"}, 206),
            ("HEAD", {}, 200),
            ("GET", {"If-None-Match": "*"}, 304),
            ("GET", {"Range": "bytes=999999-"}, 416),
        ]:
            connection.request(method, PATH, headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
    connection.close()


def test_unknown_and_bad_digests(blob):
    """404 for bytes that are not here, 400 for what is no digest, 405 for other methods."""
    assert blob.get(f"/blobs/sha256/{'0' * 64}").status == 404
    assert blob.get("/blobs/sha256/abc").status == 400
    assert blob.get("/blobs/sha256/..%2f..%2fadmin.token").status == 400
    assert blob.get(f"/blobs/md5/{'0' * 32}").status == 404
    assert blob.delete(PATH).status == 405


def test_an_empty_blob(shared_fleetd):
    """No bytes are a blob too; any range of it is the whole."""
    empty = hashlib.sha256(b"").hexdigest()
    assert shared_fleetd.put(f"/api/v1/artifacts/{empty}", data=b"").status == 201
    for headers in ({}, {"Range": "bytes=0-"}):
        answer = shared_fleetd.anonymous().get(f"/blobs/sha256/{empty}", headers=headers)
        assert (answer.status, answer.body) == (200, b"")
