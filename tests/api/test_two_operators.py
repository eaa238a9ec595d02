# SPDX-License-Identifier: Apache-2.0
"""Two operators who act on one rollout at the same moment: one after the other, whichever comes first."""
import threading

import pytest

from story import Story
from waiting import ok, until

API = "/api/v1"
ROUNDS = 4  # of each race: both orders come about
BY_HAND = {"waves": [{"count": 1}, {"percent": 100}], "gate": {"manual": True, "success": {}}}


@pytest.fixture(name="story")
def fixture_story(fleetd):
    story = Story(fleetd)
    story.module("app", "1.0.0", "2.0.0")
    story.release("next", app="2.0.0")
    return story


def at_once(story, name, *acts):
    """Each act is (verb, body) or (verb, body, headers), by a person of its own; their answers in that order."""
    answers, go = [None] * len(acts), threading.Barrier(len(acts))

    def act(i, verb, body, headers=None):
        go.wait()
        answers[i] = story.api.post(f"{API}/rollouts/{name}/{verb}", body, headers=headers)

    threads = [threading.Thread(target=act, args=(i, *a)) for i, a in enumerate(acts)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return answers


def events(story, name, kind):
    lines = ok(story.api.get(f"{API}/events?limit=1000"))["items"]
    return [e["data"] for e in lines if e["kind"] == kind and e["subject"] == name]


def at_its_gate(story, name, fleet):
    """A rollout whose first device has confirmed and whose gate waits for a person; and who comes next."""
    story.rollout(name, "next", f"id=in=({','.join(one.id for one in fleet)})", **BY_HAND)
    until("the first wave asks", lambda: any(one.poll() for one in fleet))
    first = next(one for one in fleet if one.order)
    first.confirms()
    until("its gate counts it", lambda: story.stage(name, 0, 0)["gate"]["successes"] == 1)
    return next(one for one in fleet if one is not first)


def test_two_starts_are_one(story):
    """Both are told that it runs, one that it has done so; the audit trail has one start."""
    story.devices(2, app="1.0.0")
    for i in range(ROUNDS):
        name = f"start{i}"
        ok(story.create(name, "next", f"id==d{i % 2}", supersede=True))
        story.wait(name, "ready")
        digest = {"plan_digest": story.get(name)["plan_digest"]}
        told = [ok(a) for a in at_once(story, name, ("start", digest), ("start", digest))]
        assert sorted(t["changed"] for t in told) == [False, True], told
        assert [e["verb"] for e in events(story, name, "rollout.verb")] == ["start"]
        assert [s["state"] for s in events(story, name, "stage.state")].count("running") <= 1
        story.verb(name, "stop")
        story.wait(name, "stopped")


def test_of_two_who_have_read_the_same_one_acts(story):
    """With If-Match the second is refused, whatever it wanted, and the state is that of the first. A promote moves
    a stage and not the rollout: it holds up nobody, and is refused behind everybody else."""
    states = {"promote": "running", "stop": "stopped", "pause": "paused", "rollback": "rolling_back"}
    pairs = (("pause", "stop"), ("stop", "rollback"), ("promote", "stop"), ("promote", "rollback"), ("promote", "pause"))
    for i, pair in enumerate(pairs):
        name = f"read{i}"
        at_its_gate(story, name, story.devices(2, f"x{i}", app="1.0.0"))
        tag = {"If-Match": story.api.get(f"{API}/rollouts/{name}").headers["ETag"]}
        answers = at_once(story, name, *((verb, {}, tag) for verb in pair))
        done = [verb for verb, a in zip(pair, answers) if a.status == 200]
        assert all(a.status in (200, 412) for a in answers), (pair, answers)
        assert len(done) == 1 or (pair[0] == "promote" and done == list(pair)), (pair, answers)
        assert [e["verb"] for e in events(story, name, "rollout.verb")] == ["start", *done]
        story.wait(name, states[done[-1]])


def test_who_aborts_wins_over_who_promotes(story):
    """Whichever comes first: nobody else is offered the release, and a promote that comes too late is told so."""
    came = set()
    for i in range(ROUNDS):
        for abort, end in (("stop", "stopped"), ("rollback", "rolled_back")):
            name, fleet = f"{abort}{i}", story.devices(2, f"{abort}{i}", app="1.0.0")
            late = at_its_gate(story, name, fleet)
            promoted, aborted = at_once(story, name, ("promote", {}), (abort, {}))
            assert aborted.status == 200 and promoted.status in (200, 409), (promoted, aborted)
            came.add(promoted.status)
            assert story.idle([late])
            story.work([one for one in fleet if one is not late], name, end)
            assert story.idle([late]) and story.steps(name).get((late.id, 0), "canceled") == "canceled"
            verbs = [e["verb"] for e in events(story, name, "rollout.verb")]
            assert verbs == (["start", abort] if promoted.status == 409 else ["start", "promote", abort]), verbs
    assert came
    story.verify()


def test_a_pause_and_a_resume(story):
    """Both are answered; the state is that of the one that came last in the audit trail."""
    fleet = story.devices(2, app="1.0.0")
    at_its_gate(story, "r", fleet)
    for _ in range(2 * ROUNDS):
        answers = at_once(story, "r", ("pause", {}), ("resume", {}))
        assert all(a.status == 200 for a in answers), answers
        last = events(story, "r", "rollout.verb")[-1]["verb"]
        assert story.get("r")["state"] == ("paused" if last == "pause" else "running")
    story.verb("r", "resume")
    ok(story.api.post(f"{API}/rollouts/r/promote", {}))
    story.work(fleet, "r", "running")
    story.work(fleet, "r", *(["completed"] if story.verb("r", "promote")["changed"] else ["running", "completed"]))
