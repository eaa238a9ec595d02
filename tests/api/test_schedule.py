# SPDX-License-Identifier: Apache-2.0
"""A start at a time: over restarts and jumps of the clock, changed and taken back."""
import threading

import pytest

from story import Story
from waiting import ok

API = "/api/v1"


@pytest.fixture(name="story")
def fixture_story(new_fleetd, clock):
    story = Story(new_fleetd().start(env=clock.env))
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def test_it_starts_at_its_time(story, clock):
    """Not before, also after a restart; the same again changes nothing."""
    d = story.devices(2, app="1.0.0")
    story.rollout("r", "next", start=False)
    when = clock.at(hours=5)
    told = story.verb("r", "start", at=when)
    assert told["changed"] and told["rollout"]["state"] == "scheduled"
    assert told["rollout"]["start_at"].startswith(when[:-1])
    assert not story.verb("r", "start", at=when)["changed"]
    clock.forward(hours=4)
    story.api.stop()
    story.api.start(env=clock.env)
    assert story.get("r")["state"] == "scheduled" and story.idle(d)
    assert "start it now, or wait" in story.refused("r", "resume")
    clock.forward(hours=1, seconds=1)
    assert story.wait("r", "running")["start_at"] is None
    d[0].asks()
    assert not story.verb("r", "start", at=when)["changed"]


def test_the_time_can_be_changed_and_taken_back(story, clock):
    """Another time, no time, at once, and never."""
    story.devices(1, app="1.0.0")
    for name in ("a", "b", "c"):
        story.rollout(name, "next", start=False)
    story.verb("a", "start", at=clock.at(hours=1))
    assert story.verb("a", "start", at=clock.at(hours=9))["changed"]
    clock.forward(hours=2)
    assert story.verb("a", "pause")["rollout"]["state"] == "ready"
    clock.forward(hours=9)
    assert story.get("a")["state"] == "ready" and story.get("a")["start_at"] is None
    story.verb("b", "start", at=clock.at(hours=1))
    assert story.verb("b", "start")["rollout"]["state"] in ("starting", "running")
    story.verb("c", "start", at=clock.at(hours=1))
    assert story.verb("c", "stop")["rollout"]["state"] == "stopped"


def test_who_cannot_start_then_is_ready_again(story, clock):
    """Too many devices have changed, or a version is blocked; told to, the first starts all the same."""
    story.devices(2, app="1.0.0")
    for name in ("drifts", "anyway", "blocked"):
        story.rollout(name, "next", start=False)
    ok(story.api.post(f"{API}/devices", data=b'{"id":"d0","installed":[{"module":"app","version":"1.5.0"}]}\n',
                      headers={"Content-Type": "application/x-ndjson"}))
    when = clock.at(hours=1)
    story.verb("drifts", "start", at=when)
    story.verb("anyway", "start", at=when, accept_drift=True)
    clock.forward(hours=2)
    story.wait("anyway", "running", "completed")
    assert "have changed since the plan was made" in story.wait("drifts", "ready")["reason"]
    story.verb("blocked", "start", at=clock.at(hours=1), accept_drift=True)
    ok(story.api.post(f"{API}/modules/app/versions/2.0.0/block", {"blocked": True, "why": "it burns"}))
    clock.forward(hours=2)
    assert "it burns" in story.wait("blocked", "ready")["reason"]
    reasons = [e["data"].get("reason", "") for e in ok(story.api.get(f"{API}/events?limit=1000"))["items"]
               if e["kind"] == "rollout.state" and e["subject"] == "drifts"]
    assert any("have changed" in reason for reason in reasons)


def test_times_that_are_none_are_refused(story, clock):
    """In the past, without a zone, of another verb."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next", start=False)
    for verb, body in (
        ("start", {"at": clock.at(hours=-1)}),
        ("start", {"at": "2030-01-01T00:00:00"}),
        ("start", {"at": "soon"}),
        ("pause", {"at": clock.at(hours=1)}),
    ):
        assert story.api.post(f"{API}/rollouts/r/{verb}", body).status == 400, body
    assert story.get("r")["state"] == "ready"


def test_of_two_operators_one_decides(story, clock):
    """With If-Match only the first of two verbs on the same page is taken; without it both are answered and
    the rollout is in one of the two states."""
    story.devices(1, app="1.0.0")
    story.rollout("r", "next", start=False)
    tag = story.api.get(f"{API}/rollouts/r").headers["ETag"]
    answers = []

    def act(verb, body, headers=None):
        answers.append(story.api.post(f"{API}/rollouts/r/{verb}", body, headers=headers).status)

    def both(*acts):
        answers.clear()
        threads = [threading.Thread(target=act, args=a) for a in acts]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    both(("start", {"at": clock.at(hours=3)}, {"If-Match": tag}), ("start", {"at": clock.at(hours=4)}, {"If-Match": tag}))
    assert sorted(answers) == [200, 412]
    assert story.get("r")["state"] == "scheduled"
    both(("pause", {}), ("start", {"accept_drift": True}), ("stop", {}))
    assert set(answers) <= {200, 409} and 200 in answers
    assert story.get("r")["state"] in ("stopped", "stopping")
