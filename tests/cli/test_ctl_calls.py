# SPDX-License-Identifier: Apache-2.0
"""How fleetctl bears with servers: repeated calls, refusals as sentences, exit codes."""
import json

import pytest
from mock_api import hang_up, later, problem, raw


def test_503_is_repeated_after_retry_after(ctl, mock):
    """A GET that is answered 503 comes again after Retry-After, and says so."""
    mock.faults = [("GET", "modules", later(1))]
    result = ctl("module", "ls")
    assert result.code == 0
    assert "the queue is full; trying again in 1 s" in result.err
    assert len(mock.asked("GET", "modules")) == 2


def test_a_long_retry_after_is_not_waited_for(ctl, mock):
    """A Retry-After of minutes is the caller's decision: exit 8 at once."""
    mock.faults = [("GET", "modules", later(3600))]
    result = ctl("module", "ls")
    assert result.code == 8
    assert "the queue is full" in result.err


def test_a_post_is_repeated_with_the_same_key(ctl, mock):
    """POST carries an Idempotency-Key, the same in each attempt and another in the next call."""
    mock.rollouts["r"] = {"name": "r"}
    mock.faults = [("POST", "pause", hang_up), ("POST", "pause", later(1))]
    assert ctl("rollout", "pause", "r").code == 0
    keys = [r[2]["Idempotency-Key"] for r in mock.asked("POST", "pause")]
    assert len(keys) == 3 and len(set(keys)) == 1
    assert ctl("rollout", "pause", "r").code == 0
    assert mock.asked("POST", "pause")[-1][2]["Idempotency-Key"] != keys[0]


def test_a_broken_connection_is_tried_again(ctl, mock):
    """A connection that ends without an answer is taken up again for calls that may be repeated."""
    mock.faults = [("GET", "whoami", hang_up)]
    assert ctl("whoami").code == 0


def test_nobody_there(ctl):
    """Where nobody listens: exit 8 and where to look."""
    result = ctl("whoami", env={"FLEETCTL_SERVER": "http://127.0.0.1:1"})
    assert result.code == 8
    assert "nobody answers at http://127.0.0.1:1" in result.err
    assert "is fleetd running there?" in result.err


@pytest.mark.parametrize("kind, code", [
    ("invalid", 2), ("unauthenticated", 5), ("forbidden", 5), ("not-found", 4), ("conflict", 6), ("refused", 7),
    ("internal", 10)])
def test_refusals_have_their_exit_code_and_sentence(ctl, mock, kind, code):
    """Each problem type has its exit code, and the server's sentence is what is printed."""
    mock.faults = [("GET", "modules/app", problem(kind, "the reason in a sentence."))]
    result = ctl("module", "show", "app")
    assert result.code == code
    assert result.err.startswith("fleetctl: the reason in a sentence\n")
    assert result.out == ""


def test_next_steps(ctl, mock):
    """What is refused comes with what to do next."""
    assert "'fleetctl module ls' lists the modules" in ctl("module", "show", "nil").err
    assert "'fleetctl rollout ls'" in ctl("rollout", "show", "nil").err
    mock.faults = [("GET", "modules", problem("forbidden", "this needs the role viewer"))]
    assert "'fleetctl whoami'" in ctl("module", "ls").err
    mock.faults = [("GET", "modules", problem("internal", "fleetd has a defect"))]
    assert "more about request rq-7f3" in ctl("module", "ls").err


def test_names_that_are_nearly_right(ctl, mock):
    """A name that is not there is compared with those that are; far ones are not suggested."""
    for name in ("november", "december"):
        mock.rollouts[name] = {"name": name}
    mock.modules["app"] = {"name": "app", "kind": "wasm"}
    mock.versions[("app", "2.1.0")] = {"version": "2.1.0"}
    assert "did you mean november?" in ctl("rollout", "pause", "novmber").err
    assert "did you mean 2.1.0?" in ctl("version", "show", "app", "2.1").err
    assert "did you mean app?" in ctl("module", "show", "ap").err
    assert "'fleetctl rollout ls' lists the rollouts" in ctl("rollout", "show", "elephant").err
    assert "did you mean" not in ctl("rollout", "show", "novmber", "--json").err


def test_wrong_token_and_no_token(ctl):
    """401 tells a wrong token from a missing one."""
    assert "unknown, expired or revoked" in ctl("module", "ls", env={"FLEETCTL_TOKEN": "flt_1_wrong"}).err
    assert "no token was sent" in ctl("module", "ls", env={"FLEETCTL_TOKEN": ""}).err


def test_errors_as_json(ctl, mock):
    """With --json a failure is one problem document on stderr, the server's own or one of that form."""
    result = ctl("module", "show", "nil", "--json")
    assert result.code == 4 and result.out == ""
    assert json.loads(result.err)["type"] == "/problems/not-found"
    result = ctl("module", "create", "--json")
    assert result.code == 2
    assert json.loads(result.err)["status"] == 400


@pytest.mark.parametrize("answer, says", [
    (raw(200, "text/html", b"<html>hello</html>"), "does not answer like fleetd"),
    (raw(502, "text/html", b"<html>bad gateway</html>"), "answered with status 502"),
    (raw(301, "text/html", b""), "give the final address"),
    (raw(200, "application/json", b""), "gave an empty answer"),
    (raw(200, "application/json", b"[]"), "is no list"),
])
def test_somebody_else_answers(ctl, mock, answer, says):
    """What is not fleetd (a proxy, another site) is recognised and named."""
    mock.faults = [("GET", "modules", answer)] * 6
    result = ctl("module", "ls")
    assert result.code != 0
    assert says in result.err


def test_a_hostile_answer_does_not_command_the_terminal(ctl, mock):
    """Control characters in names and sentences never reach the terminal."""
    mock.modules["x"] = {"name": "evil\033]0;owned\007", "kind": "wasm", "tier": "device", "description": "a\nb"}
    result = ctl("module", "ls")
    assert result.code == 0
    assert "\033" not in result.out and "\007" not in result.out
    assert len(result.out.splitlines()) == 2
    mock.faults = [("GET", "whoami", problem("invalid", "bad \033[31mred\033[0m thing"))]
    assert "\033" not in ctl("whoami").err


def test_names_are_encoded_in_addresses(ctl, mock):
    """A name with odd characters stays one part of the path."""
    ctl("module", "show", "a/../b c?d#e%")
    assert mock.requests[-1][1] == "/api/v1/modules/a%2F..%2Fb%20c%3Fd%23e%25"


def test_a_bad_address(ctl):
    """What is no address is named as such."""
    result = ctl("whoami", "--server", "ftp://x")
    assert result.code == 2
    assert '"ftp://x" is not the address of a server' in result.err
