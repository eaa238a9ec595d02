# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus, and the two questions of a load balancer."""
import re
import signal
import subprocess
from pathlib import Path

from fleet_story import Story
from waiting import until

TABLE = Path(__file__).resolve().parents[2] / "server/tbl/metrics.h"


def samples(server):
    """{name with labels: value}"""
    text = server.get("/metrics").body.decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}


def test_promtool_has_nothing_against_the_metrics(fleetd):
    """Names, types, units and help are as Prometheus wants them, also after real work."""
    story = Story(fleetd, devices=6)
    story.start("autumn")
    story.work(2)
    answer = fleetd.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    checked = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_row_of_the_table_is_shown(fleetd):
    """Each figure of the table is there with its type; histograms are cumulative and end in +Inf."""
    text = fleetd.get("/metrics").body.decode()
    kinds = {"COUNTER": "counter", "GAUGE": "gauge", "SECONDS": "histogram"}
    rows = re.findall(r'^METRIC\((\w+), \w+, "(\w+)"', TABLE.read_text(), re.M)
    assert len(rows) > 20
    for kind, name in rows:
        assert f"# TYPE {name} {kinds[kind]}\n" in text
        if kind == "SECONDS":
            buckets = [float(n) for n in re.findall(rf"^{name}_bucket{{.*}} (\S+)$", text, re.M)]
            count = float(re.search(rf"^{name}_count (\S+)$", text, re.M).group(1))
            assert buckets == sorted(buckets) and buckets[-1] == count
            assert f'{name}_bucket{{le="+Inf"}}' in text


def test_figures_count_what_happens(fleetd):
    """Answered, refused and written requests are counted, each once; counters never fall."""
    before = samples(fleetd)
    for _ in range(5):
        assert fleetd.get("/api/v1/modules").status == 200
    for _ in range(3):
        assert fleetd.get("/api/v1/modules/none").status == 404
    assert fleetd.put("/api/v1/modules/app", {"kind": "file"}).status == 201
    after = samples(fleetd)
    # the question before this one is counted as well
    assert after["fleetd_requests_total"] - before["fleetd_requests_total"] == 10
    assert after["fleetd_requests_refused_total"] - before["fleetd_requests_refused_total"] == 3
    assert after["fleetd_write_jobs_total"] - before["fleetd_write_jobs_total"] >= 1
    assert after["fleetd_connections"] >= 1
    assert all(after[name] >= value for name, value in before.items() if name.endswith("_total"))


def test_metrics_need_a_token(fleetd):
    """A scraper has a viewer's token; without one there is nothing to see."""
    assert fleetd.anonymous().get("/metrics").status == 401
    assert fleetd.make_token("prometheus", ["viewer"]).get("/metrics").status == 200
    assert fleetd.make_token("line", ["enroller"]).get("/metrics").status == 403


def test_health_and_readiness_need_no_token(fleetd):
    """A load balancer may ask both; the answers say nothing about the fleet."""
    for path, word in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = fleetd.anonymous().get(path)
        assert (answer.status, answer.json()) == (200, {"status": word})


def test_a_server_that_stops_is_not_ready(fleetd):
    """On SIGTERM the load balancer hears it on the connection that it has, or gets none at all."""
    connection = fleetd.connect()
    connection.request("GET", "/readyz")
    assert connection.getresponse().read()
    fleetd.signal(signal.SIGTERM)

    def away():
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            return answer.status == 503
        except OSError:
            return True

    until("not ready", away)
    connection.close()
    assert fleetd.wait() == 0
