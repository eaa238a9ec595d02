# SPDX-License-Identifier: Apache-2.0
"""Approval of plans: n of m approvers, deny with a reason, nobody alone, each act in the audit trail."""
import threading

import pytest
from test_plans import API, devices, installed, module, publish, release, wait_state

ONE_WAVE = {"waves": [{"percent": 100}]}


def prepare(server):
    module(server, "app")
    publish(server, "app", "1.0.0")
    publish(server, "app", "2.0.0")
    release(server, "r2", app="2.0.0")
    devices(server, ({"id": f"d{i}", "installed": installed(app="1.0.0")} for i in range(20)))


@pytest.fixture(scope="module")
def fleet(shared_fleetd):
    """A fleet of 20 devices, and the people who steer it."""
    prepare(shared_fleetd)
    shared_fleetd.people = {name: shared_fleetd.make_token(name, roles) for name, roles in (
        ("ann", ["operator"]), ("bob", ["approver"]), ("eve", ["approver"]), ("kim", ["approver"]),
        ("mia", ["operator", "approver"]))}
    return shared_fleetd


def ask(client, name, state="waiting_approval", start="manual", **strategy):
    """Create a rollout and wait for its plan."""
    body = {"release": "r2", "strategy": {**ONE_WAVE, **strategy}, "start": start}
    assert client.put(f"{API}/rollouts/{name}", body).status == 201
    return wait_state(client, name, state)


def approve(client, name, digest, **more):
    return client.post(f"{API}/rollouts/{name}/approve", {"plan_digest": digest, **more})


def deny(client, name, why="no", **more):
    return client.post(f"{API}/rollouts/{name}/deny", {"why": why, **more})


def kinds(server, name):
    events = server.get(f"{API}/events?limit=1000").json()["items"]
    return [(e["kind"], e["actor"]) for e in events if e["subject"] == name and e["kind"] != "rollout.planned"]


def test_two_of_three_must_agree(fleet):
    """A rollout waits until two of the three approvers named agree; then it can be started, not before."""
    people = fleet.people
    got = ask(people["ann"], "two", approvals=2, approvers=["bob", "eve", "kim"])
    digest = got["plan_digest"]
    start = people["ann"].post(f"{API}/rollouts/two/start", {})
    assert start.status == 409 and "waiting for approval" in start.json()["detail"]
    one = approve(people["bob"], "two", digest, why="looks right").json()
    assert (one["did"], one["changed"], one["rollout"]["state"]) == ("approved by 1 of 2", True, "waiting_approval")
    again = approve(people["bob"], "two", digest).json()
    assert not again["changed"] and again["rollout"]["state"] == "waiting_approval"
    assert approve(people["mia"], "two", digest).status == 403  # not one of the three
    assert approve(people["ann"], "two", digest).status == 403  # not an approver
    two = approve(people["eve"], "two", digest).json()
    assert two["rollout"]["state"] == "ready"
    given = two["rollout"]["approvals"]
    assert [(a["by"], a["agrees"], a["why"], a["plan_digest"]) for a in given] == [
        ("bob", True, "looks right", digest), ("eve", True, "", digest)]
    assert approve(people["kim"], "two", digest).status == 409  # it is ready: nothing waits any more
    assert people["ann"].post(f"{API}/rollouts/two/start", {"plan_digest": "0" * 64}).status == 412
    assert people["ann"].post(f"{API}/rollouts/two/start", {"plan_digest": digest}).status == 200
    assert people["ann"].post(f"{API}/rollouts/two/stop", {"in_flight": "cancel"}).status == 200
    assert [k for k in kinds(fleet, "two") if k[0] in ("rollout.approved", "rollout.denied")] == [
        ("rollout.approved", "bob"), ("rollout.approved", "eve")]


def test_one_who_denies_ends_it(fleet):
    """A denied rollout never starts; the reason is there, and a second denial changes nothing."""
    people = fleet.people
    digest = ask(people["ann"], "no", approvals=2)["plan_digest"]
    assert approve(people["bob"], "no", digest).status == 200
    assert deny(people["eve"], "no", why="").status == 400
    got = deny(people["eve"], "no", why="not in the week of the fair", plan_digest=digest).json()
    assert (got["rollout"]["state"], got["rollout"]["reason"]) == ("denied", "not in the week of the fair")
    assert got["rollout"]["ended_at"] is not None
    assert not deny(people["eve"], "no").json()["changed"]
    assert approve(people["kim"], "no", digest).status == 409
    assert fleet.post(f"{API}/rollouts/no/start", {}).status == 409
    assert ("rollout.denied", "eve") in kinds(fleet, "no")


def test_nobody_approves_his_own(fleet):
    """Who created a rollout cannot approve it, but may deny it."""
    people = fleet.people
    digest = ask(people["mia"], "own", approvals=1)["plan_digest"]
    refused = approve(people["mia"], "own", digest)
    assert refused.status == 403 and "somebody else" in refused.json()["detail"]
    assert deny(people["mia"], "own", why="a mistake").status == 200


def test_an_approval_names_the_plan(fleet):
    """An approval without the plan's digest, or with another one, is refused."""
    ask(fleet.people["ann"], "digest", approvals=1)
    assert fleet.people["bob"].post(f"{API}/rollouts/digest/approve", {}).status == 400
    assert approve(fleet.people["bob"], "digest", "0" * 64).status == 412
    assert deny(fleet.people["bob"], "digest", plan_digest="0" * 64).status == 412


def test_the_word_of_a_revoked_token_does_not_count(fleet):
    """Who loses his token while others are still to agree has not approved; another one must."""
    digest = ask(fleet.people["ann"], "revoked", approvals=2)["plan_digest"]
    thief = fleet.make_token("thief", ["approver"])
    assert approve(thief, "revoked", digest).json()["did"] == "approved by 1 of 2"
    tokens = fleet.get(f"{API}/tokens?limit=1000").json()["items"]
    (number,) = [t["id"] for t in tokens if t["name"] == "thief"]
    assert fleet.delete(f"{API}/tokens/{number}").status == 204
    assert approve(fleet.people["bob"], "revoked", digest).json()["did"] == "approved by 1 of 2"
    assert fleet.get(f"{API}/rollouts/revoked").json()["state"] == "waiting_approval"
    assert approve(fleet.people["eve"], "revoked", digest).json()["rollout"]["state"] == "ready"


def test_it_starts_by_itself_when_approved(fleet):
    """With start auto the last approval starts it; another operator's stop of a waiting one ends it."""
    people = fleet.people
    digest = ask(people["ann"], "auto", approvals=1, start="auto")["plan_digest"]
    assert approve(people["bob"], "auto", digest).json()["rollout"]["state"] in ("starting", "running")
    assert fleet.post(f"{API}/rollouts/auto/stop", {"in_flight": "cancel"}).status == 200
    digest = ask(people["ann"], "stopped", approvals=1)["plan_digest"]
    assert people["mia"].post(f"{API}/rollouts/stopped/stop", {}).json()["rollout"]["state"] == "stopped"
    assert approve(people["bob"], "stopped", digest).status == 409


def test_strategies_that_can_never_be_approved(fleet):
    """More approvals than approvers, a name twice, or approvers without a number are refused."""
    for strategy, word in (({"approvals": 3, "approvers": ["bob", "eve"]}, "never agree"),
                           ({"approvals": 1, "approvers": ["bob", "bob"]}, "twice"),
                           ({"approvals": 2, "approvers": ["bob", "admin"]}, "nobody approves his own"),
                           ({"approvers": ["bob"]}, "how many")):
        answer = fleet.put(f"{API}/rollouts/never", {"release": "r2", "strategy": strategy})
        assert answer.status == 400 and word in answer.json()["detail"], answer


def test_the_server_can_demand_approvals(new_fleetd):
    """The setting is a minimum for every rollout; approve_own lets the author be one of them."""
    server = new_fleetd().start(approvals=1, approve_own="yes")
    prepare(server)
    mia = server.make_token("mia", ["operator", "approver"])
    got = ask(mia, "demanded")
    assert got["strategy"]["approvals"] == 1
    # The same call again is the same rollout, also when the setting has changed.
    assert mia.put(f"{API}/rollouts/demanded", {"release": "r2", "strategy": ONE_WAVE}).status == 200
    server.stop()
    server.start(approvals=3, approve_own="yes")
    mia.port = server.port
    assert mia.put(f"{API}/rollouts/demanded", {"release": "r2", "strategy": ONE_WAVE}).status == 200
    assert approve(mia, "demanded", got["plan_digest"]).json()["rollout"]["state"] == "ready"


def test_waiting_survives_a_crash(fleetd):
    """A rollout that waits for approval still waits after a kill, with what has been said."""
    prepare(fleetd)
    bob, eve = (fleetd.make_token(name, ["approver"]) for name in ("bob", "eve"))
    digest = ask(fleetd, "kept", approvals=2)["plan_digest"]
    assert approve(bob, "kept", digest).status == 200
    fleetd.kill()
    fleetd.start()
    bob.port = eve.port = fleetd.port
    got = fleetd.get(f"{API}/rollouts/kept").json()
    assert got["state"] == "waiting_approval" and [a["by"] for a in got["approvals"]] == ["bob"]
    assert approve(eve, "kept", digest).json()["rollout"]["state"] == "ready"
    fleetd.kill()
    fleetd.start()
    assert fleetd.get(f"{API}/rollouts/kept").json()["state"] == "ready"
    refused = fleetd.put(f"{API}/rollouts/kept2", {"release": "r2", "strategy": {**ONE_WAVE, "approvals": 1}})
    assert refused.status == 201
    wait_state(fleetd, "kept2", "waiting_approval")
    eve.port = fleetd.port
    assert deny(eve, "kept2").status == 200
    fleetd.kill()
    fleetd.start()
    assert fleetd.get(f"{API}/rollouts/kept2").json()["state"] == "denied"


def test_two_operators_at_once(fleet):
    """Of two who act on what they have read (If-Match) one wins; the other is told and sees why."""
    people = fleet.people
    for round_ in range(5):
        name = f"race{round_}"
        digest = ask(people["ann"], name, approvals=1)["plan_digest"]
        seen = fleet.get(f"{API}/rollouts/{name}").headers["ETag"]
        answers, go = {}, threading.Barrier(2)

        def act(who, verb, body, name=name, seen=seen, answers=answers, go=go):
            go.wait()
            answers[who] = people[who].post(f"{API}/rollouts/{name}/{verb}", body, headers={"If-Match": seen})

        threads = [threading.Thread(target=act, args=("bob", "approve", {"plan_digest": digest})),
                   threading.Thread(target=act, args=("eve", "deny", {"why": "no"}))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(a.status for a in answers.values()) == [200, 412], answers
        winner = next(who for who, a in answers.items() if a.status == 200)
        got = fleet.get(f"{API}/rollouts/{name}").json()
        assert got["state"] == ("ready" if winner == "bob" else "denied")
        assert [a["by"] for a in got["approvals"]] == [winner]


def test_a_stale_start_is_refused(fleet):
    """A start with the tag of a state that is over changes nothing."""
    fleet.put(f"{API}/rollouts/stale", {"release": "r2", "strategy": ONE_WAVE})
    wait_state(fleet, "stale", "ready")
    seen = fleet.get(f"{API}/rollouts/stale").headers["ETag"]
    assert fleet.post(f"{API}/rollouts/stale/stop", {}, headers={"If-Match": seen}).status == 200
    answer = fleet.post(f"{API}/rollouts/stale/start", {}, headers={"If-Match": seen})
    assert answer.status == 412, answer
    assert fleet.get(f"{API}/rollouts/stale").json()["state"] == "stopped"


def test_an_empty_plan_needs_approval_too(fleet):
    """Nobody has anything to do, but when it is completed it would move its channel: not without approval."""
    assert fleet.put(f"{API}/channels/empty", {"selector": "label.site==moon"}).status == 201
    body = {"release": "r2", "channel": "empty", "strategy": {**ONE_WAVE, "approvals": 1}, "start": "auto"}
    assert fleet.people["ann"].put(f"{API}/rollouts/nobody", body).status == 201
    got = wait_state(fleet, "nobody", "waiting_approval")
    assert fleet.get(f"{API}/channels/empty").json()["release"] is None
    assert fleet.people["ann"].post(f"{API}/rollouts/nobody/start", {}).status == 409
    approve(fleet.people["bob"], "nobody", got["plan_digest"])
    fleet.people["ann"].post(f"{API}/rollouts/nobody/start", {})
    wait_state(fleet, "nobody", "completed")
    assert fleet.get(f"{API}/channels/empty").json()["release"] == "r2"
