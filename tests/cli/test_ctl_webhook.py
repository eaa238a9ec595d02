# SPDX-License-Identifier: Apache-2.0
"""fleetctl webhook against a real fleetd and a real target."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "api"))
from test_webhooks import OPEN, Target, modules, state_of  # noqa: E402


@pytest.fixture
def server(new_fleetd):
    return new_fleetd().start(**OPEN)


@pytest.fixture
def target():
    made = Target()
    yield made
    made.close()


@pytest.fixture
def real(ctl_for, server):
    return ctl_for(f"http://127.0.0.1:{server.port}", server.token)


def test_the_life_of_a_webhook(real, server, target):
    """create shows the secret alone; test waits for the answer; ls, show, deliveries, rotate, replay, delete."""
    made = real("webhook", "create", "ops", target.url, "--kind", "module.*", "--selector", "id==x")
    assert made.code == 0 and made.out.startswith("whsec_") and len(made.out.split()) == 1, made
    assert "shown once" in made.err
    assert "as you want it" in real("webhook", "create", "ops", target.url, "--kind", "module.*", "--selector",
                                    "id==x").out
    result = real("webhook", "test", "ops")
    assert result.code == 0 and "took it: status 204" in result.out, result
    modules(server, "m1")
    target.wait(2)
    state_of(server, lambda w: w["delivered"] == 2)
    listed = real("webhook", "deliveries", "ops").out.splitlines()
    assert len(listed) == 3 and "module.created" in listed[1] and "webhook.tested" in listed[2], listed
    assert "good" in real("webhook", "ls").out
    assert "module.*" in real("webhook", "show", "ops").out
    assert real("webhook", "rotate", "ops").out != made.out
    assert real("webhook", "replay", "ops", "--after", "1").code == 0
    assert target.wait(4)
    assert "is deleted" in real("webhook", "delete", "ops").out
    assert real("webhook", "show", "ops").code == 4


def test_a_target_that_refuses(real, target):
    """test says what the target answered and fails; dead and waiting events can be listed alone."""
    target.answers = [(500, {"Retry-After": "60"})] * 9
    real("webhook", "create", "ops", target.url)
    result = real("webhook", "test", "ops")
    assert result.code == 8 and "the target answered 500" in result.err, result
    assert "failing" in real("webhook", "ls").out
    assert len(real("webhook", "deliveries", "ops", "--state", "waiting").out.splitlines()) == 2
    assert "there are no deliveries" in real("webhook", "deliveries", "ops", "--state", "dead").err
    result = real("webhook", "create", "bad", "ftp://x/")
    assert result.code == 2 and "https" in result.err
