# SPDX-License-Identifier: Apache-2.0
"""Requests that must wait: deadlines, full queues, waits and streams at a stop."""
import signal
import sqlite3
import threading
import time

EVENTS = {"Accept": "text/event-stream"}


class Blocker:
    """Holds the database's write lock from outside, so that the writer stands still."""

    def __init__(self, server):
        self.connection = sqlite3.connect(server.data / "fleetd.db", isolation_level=None)
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")

    def __enter__(self):
        self.connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_):
        self.connection.execute("ROLLBACK")
        self.connection.close()


def in_background(call):
    """Run call() on a thread; the function returned waits for its result."""
    result = []
    thread = threading.Thread(target=lambda: result.append(call()))
    thread.start()

    def finish():
        thread.join(60)
        assert result, "no answer came"
        return result[0]

    return finish


def test_a_late_write_is_answered_504(new_fleetd):
    """A write that is not done by the deadline gets 504; reads go on meanwhile; later all is well."""
    server = new_fleetd().start(request_deadline="300ms")
    with Blocker(server):
        answer = server.put("/api/v1/modules/late", {"kind": "file"})
        assert answer.status == 504, answer
        assert answer.json()["type"] == "/problems/timeout"
        assert answer.headers["X-Request-Id"] == answer.json()["instance"]
        assert server.get("/api/v1/modules").status == 200
    assert server.put("/api/v1/modules/after", {"kind": "file"}).status == 201
    assert server.metric("fleetd_request_deadlines_total") == 1


def test_a_full_queue_refuses(new_fleetd):
    """More writes than may wait get 503 with Retry-After at once; those that wait are done later."""
    server = new_fleetd().start(write_queue=16, batch_max=1)
    with Blocker(server):
        waiting = [
            in_background(lambda i=i: server.put(f"/api/v1/modules/m{i}", {"kind": "file"})) for i in range(40)
        ]
        while server.metric("fleetd_queue_refusals_total") < 40 - 16 - 1:
            pass
    answers = [finish() for finish in waiting]
    done = [a for a in answers if a.status == 201]
    refused = [a for a in answers if a.status == 503]
    # One more is with the writer; the server's own jobs take places too.
    assert len(done) + len(refused) == 40 and 8 <= len(done) <= 17, (refused, server.log())
    assert all(a.headers["Retry-After"] for a in refused)
    assert len(server.get("/api/v1/modules?limit=1000").json()["items"]) == len(done)


def test_a_stop_does_not_wait_for_a_writer_that_stands_still(new_fleetd):
    """When the limit of a stop has passed, who still waits is answered 504 and the process ends."""
    server = new_fleetd().start(stop_limit="300ms")
    with Blocker(server):
        finish = in_background(lambda: server.put("/api/v1/modules/late", {"kind": "file"}))
        while server.metric("fleetd_requests_in_flight") < 2:  # the write, and this question
            pass
        server.signal(signal.SIGTERM)
        assert finish().status in (503, 504)
    assert server.wait() == 0


def open_events(server, path="/api/v1/events"):
    connection = server.connect()
    connection.request("GET", path, headers={**EVENTS, "Authorization": f"Bearer {server.token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type").startswith("text/event-stream")
    return connection, answer


def read_until(answer, words):
    """Read lines of a stream until one holds the words."""
    for _ in range(10000):
        line = answer.readline()
        assert line, "the stream has ended"
        if words in line:
            return line
    raise AssertionError(f"{words} did not come")


def test_a_stream_brings_what_happens(fleetd):
    """An event of another request arrives in an open stream."""
    connection, answer = open_events(fleetd)
    for i in range(20):
        assert fleetd.put(f"/api/v1/modules/stream-{i}", {"kind": "file"}).status == 201
        read_until(answer, b"stream-%d" % i)
    connection.close()
    assert fleetd.get("/readyz").status == 200


def test_streams_end_at_a_stop(fleetd):
    """Open streams do not hold up a stop; they end."""
    opened = [open_events(fleetd) for _ in range(5)]
    began = time.monotonic()
    fleetd.stop()
    assert time.monotonic() - began < 9
    for connection, answer in opened:
        answer.read()
        connection.close()


def test_streams_that_were_left_are_noticed(fleetd):
    """A client that leaves its stream costs a connection only until the next event."""
    for _ in range(20):
        connection, _ = open_events(fleetd)
        connection.close()
    for i in range(200):
        assert fleetd.put(f"/api/v1/modules/left-{i}", {"kind": "file"}).status == 201
        if fleetd.metric("fleetd_connections") <= 2:
            return
    raise AssertionError("connections of streams that were left stay open")
