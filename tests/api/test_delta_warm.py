# SPDX-License-Identifier: Apache-2.0
"""Which deltas are built before anybody asks, and in which order."""
import hashlib

from deltas import Held, rows
from fleet_story import MODULES, Story
from waiting import until


def names():
    """digest -> "runtime 1.1.0" of what Story publishes."""
    versions = ("1.0.0", "1.1.0", "1.2.0")
    return {hashlib.sha256((f"{m} " * 400 + v).encode()).hexdigest(): f"{m} {v}" for m in MODULES for v in versions}


def there(module):
    return f"{module} 1.0.0", f"{module} 1.1.0"


def back(module):
    return f"{module} 1.1.0", f"{module} 1.0.0"


def pairs(items):
    return [(names()[i["from"]], names()[i["to"]]) for i in items if i["from"]]


def waiting(server):
    """Pairs that plans announced, in the order in which they are built."""
    items = server.get("/api/v1/deltas/queue").json()["items"]
    return pairs(sorted((i for i in items if i["place"] == "warmed"), key=lambda i: i["rank"]))


def built(server):
    """Pairs whose builds have ended, in the order of that."""
    return pairs(r for r in rows(server) if r["codec"] == "zstd-patch")


def test_a_plan_is_warmed_stage_by_stage_and_then_the_way_back(fleetd):
    """The first stage's delta is built first; the ways back follow, the last layer's first."""
    fleetd.stop()
    fleetd.start(delta_background=0)
    story = Story(fleetd, devices=6)
    held = Held(fleetd)
    story.plan("autumn")
    held.caught()
    until("all but the first pair wait", lambda: len(waiting(fleetd)) == 5)
    assert waiting(fleetd) == [there("library"), there("application"), back("application"), back("library"),
                               back("runtime")]
    held.go_on()
    until("all are built", lambda: len(built(fleetd)) == 6)


def test_a_rollback_has_its_deltas_built_first(fleetd):
    """Builds of a rollout that turns round come before those of what other plans announced."""
    fleetd.stop()
    fleetd.start(delta_background=0)
    story = Story(fleetd, devices=6)
    held = Held(fleetd)
    story.start("autumn")
    held.caught()
    story.work(2)
    story.verb("autumn", "rollback")
    held.go_on()
    until("all are built", lambda: len(built(fleetd)) == 6)
    assert built(fleetd) == [
        there("runtime"), back("application"), back("library"), back("runtime"), there("library"), there("application")]
