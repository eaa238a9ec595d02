# SPDX-License-Identifier: Apache-2.0
"""Profiles: login, logout, whose token goes where."""
import json
import os
import stat

import pytest
from mock_api import TOKEN, Mock


@pytest.fixture
def bare(ctl):
    """fleetctl without anything in its environment."""
    del ctl.env["FLEETCTL_SERVER"], ctl.env["FLEETCTL_TOKEN"]
    return ctl


def test_login_stores_a_private_profile(bare, mock):
    """login reads the token from stdin, checks it, stores it for the owner alone; later calls use it."""
    result = bare("login", "--server", mock.url, stdin=TOKEN + "\n")
    assert result.code == 0, result
    assert f"logged in to {mock.url} as tester (admin), profile default" in result.out
    path = bare.config / "fleetctl/config"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["profiles"]["default"] == {"server": mock.url, "token": TOKEN}
    assert "tester" in bare("whoami").out


def test_login_with_a_wrong_token_stores_nothing(bare, mock):
    """A token that the server does not know is refused with exit 5 and not kept."""
    result = bare("login", "--server", mock.url, stdin="flt_1_wrong\n")
    assert result.code == 5
    assert "the token is not known" in result.err
    assert not (bare.config / "fleetctl/config").exists()


def test_login_from_a_file_and_by_name(bare, mock, tmp_path):
    """--token-file and --profile: two logins live side by side, --profile and the environment choose."""
    (tmp_path / "t").write_text(TOKEN + "\n")
    assert bare("login", "--server", mock.url, "--token-file", "t", "--profile", "lab").code == 0
    assert bare("login", "--server", mock.url, "--token-file", "t", "--profile", "prod").code == 0
    stored = json.loads((bare.config / "fleetctl/config").read_text())
    assert stored["current"] == "prod" and set(stored["profiles"]) == {"lab", "prod"}
    assert "profile  lab" in bare("whoami", "--profile", "lab").out
    assert "profile  lab" in bare("whoami", env={"FLEETCTL_PROFILE": "lab"}).out
    assert "profile  prod" in bare("whoami").out


def test_login_asks_without_echo_on_a_terminal(bare, mock):
    """On a terminal the token is asked for and does not appear."""
    result = bare.terminal("login", "--server", mock.url, typed=TOKEN + "\n")
    assert result.code == 0, result
    assert "Token: " in result.out and TOKEN not in result.out


@pytest.mark.parametrize("text", ["", "two words", "a\x01b"])
def test_what_is_no_token_is_refused(bare, mock, text):
    """An empty or broken token never reaches the server."""
    result = bare("login", "--server", mock.url, stdin=text + "\n" if text != "two words" else "\n")
    assert result.code == 2
    assert "holds no token" in result.err
    assert mock.requests == []


def test_a_stored_token_goes_to_its_own_server_only(bare, mock):
    """With --server elsewhere the stored token stays at home."""
    bare("login", "--server", mock.url, stdin=TOKEN + "\n")
    other = Mock()
    try:
        result = bare("whoami", "--server", other.url)
        assert result.code == 5
        assert "no token was sent" in result.err
        assert "Authorization" not in other.requests[0][2]
    finally:
        other.close()


def test_flags_go_before_environment_before_profile(bare, mock):
    """--server wins over FLEETCTL_SERVER, which wins over the profile."""
    bare("login", "--server", mock.url, stdin=TOKEN + "\n")
    elsewhere = {"FLEETCTL_SERVER": "http://127.0.0.1:1", "FLEETCTL_TOKEN": TOKEN}
    assert bare("whoami", env=elsewhere).code == 8
    assert bare("whoami", "--server", mock.url, env=elsewhere).code == 0


def test_logout_forgets(bare, mock):
    """logout removes the current profile; a second time there is nothing to remove."""
    bare("login", "--server", mock.url, stdin=TOKEN + "\n")
    assert bare("logout").code == 0
    assert TOKEN not in (bare.config / "fleetctl/config").read_text()
    assert bare("logout").code == 4
    result = bare("whoami")
    assert result.code == 2
    assert "run: fleetctl login URL" in result.err


def test_login_to_another_server_keeps_the_named_profile(bare, mock, tmp_path):
    """login --server without --profile writes "default", never over the current named one."""
    bare("login", "--server", mock.url, "--profile", "prod", stdin=TOKEN + "\n")
    other = Mock()
    try:
        assert bare("login", "--server", other.url, stdin=TOKEN + "\n").code == 0
        stored = json.loads((bare.config / "fleetctl/config").read_text())
        assert stored["profiles"]["prod"]["server"] == mock.url
        assert stored["profiles"]["default"]["server"] == other.url
    finally:
        other.close()


def test_an_open_profile_is_warned_about(bare, mock):
    """A profile that others can read is named, with the command that closes it."""
    bare("login", "--server", mock.url, stdin=TOKEN + "\n")
    path = bare.config / "fleetctl/config"
    os.chmod(path, 0o644)
    result = bare("whoami")
    assert result.code == 0
    assert f"chmod 600 {path}" in result.err


def test_a_damaged_profile_is_named(bare, mock):
    """A profile that is no JSON is told with its path."""
    path = bare.config / "fleetctl/config"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    path.chmod(0o600)
    result = bare("whoami", "--server", mock.url)
    assert result.code == 2
    assert f"{path} is damaged" in result.err


def test_unknown_profile(bare):
    """A profile that is not stored is refused with the way to store it."""
    result = bare("whoami", "--profile", "moon")
    assert result.code == 4
    assert "fleetctl login URL --profile moon" in result.err


def test_the_server_may_be_an_operand(bare, mock):
    """login URL is login --server URL; both at once contradict each other."""
    assert bare("login", mock.url, stdin=TOKEN + "\n").code == 0
    assert bare("login", mock.url, "--server", mock.url, stdin=TOKEN + "\n").code == 2
    result = bare("login", "--profile", "new", stdin=TOKEN + "\n")
    assert result.code == 2 and "say where the server is: fleetctl login URL" in result.err
