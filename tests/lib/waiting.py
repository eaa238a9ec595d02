# SPDX-License-Identifier: Apache-2.0
"""What every test that talks to a server says: this must have worked, and wait until that is so."""
import time

LIMIT_S = 60


def ok(answer):
    """The JSON of an answer that must have worked."""
    assert answer.status < 300, answer
    return answer.json() if answer.body else None


def until(what, condition, limit_s=LIMIT_S):
    """Ask until condition() gives something true; that is returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {limit_s} s in vain: {what}"
        time.sleep(0.01)  # poll


def until_figures(server, rollout, condition):
    """The figures of a rollout, once condition(figures) is true. The server answers when they change."""
    tag, figures = "none", None

    def changed():
        nonlocal tag, figures
        answer = server.get(f"/api/v1/rollouts/{rollout}/stats", headers={"Prefer": "wait=1", "If-None-Match": tag})
        figures, tag = answer.json() if answer.status == 200 else figures, answer.headers["ETag"]
        return figures if condition(figures) else None

    return until(f"the figures of {rollout} are as wanted", changed)
