# SPDX-License-Identifier: Apache-2.0
"""version publish and artifact upload: twice, resumed, refused."""
import hashlib
import json
import os

import pytest
from mock_api import hang_up, later, problem


@pytest.fixture
def wasm(tmp_path):
    path = tmp_path / "app.wasm"
    path.write_bytes(b"\0asm" + os.urandom(3_000_000))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def uploads(mock):
    return mock.asked("PUT", "^/api/v1/artifacts/")


def test_publish_creates_module_bytes_and_version(ctl, mock, wasm):
    """One call creates the module, uploads the bytes and publishes the version with all it says."""
    mock.modules["lib"] = {"name": "lib"}
    result = ctl("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm", "--requires", "lib@^1.2", "--need",
                 "runtime=>=1", "--floor", "--no-downgrade", "--notes", "faster")
    assert result.code == 0, result
    assert "app 2.1.0 is published" in result.out
    assert mock.modules["app"]["kind"] == "wasm"
    assert mock.artifacts[digest(wasm)] == wasm.read_bytes()
    body = json.loads(mock.asked("PUT", "/versions/2.1.0")[0][3])
    assert body == {"variants": [{"sha256": digest(wasm)}], "requires": {"lib": "^1.2"}, "needs": {"runtime": ">=1"},
                    "floor": True, "downgrade": False, "notes": "faster"}


def test_publish_again_changes_and_sends_nothing(ctl, mock, wasm):
    """The same call again succeeds and sends no bytes."""
    args = ("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm")
    assert ctl(*args).code == 0
    result = ctl(*args)
    assert result.code == 0
    assert "was published before; nothing has changed" in result.out
    assert "was there already" in result.out
    assert len(uploads(mock)) == 1


def test_other_bytes_under_the_same_number_are_refused_before_they_move(ctl, mock, wasm):
    """A version never changes: other bytes are a conflict (6), and no byte is sent for it."""
    ctl("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm")
    wasm.write_bytes(b"other")
    result = ctl("version", "publish", "app", "2.1.0", wasm)
    assert result.code == 6
    assert "publish these under a new number" in result.err
    assert len(uploads(mock)) == 1


def test_missing_module_names_the_option_that_creates_it(ctl, mock, wasm):
    """Without --kind a missing module is not found (4), and no byte is sent."""
    result = ctl("version", "publish", "app", "1.0.0", wasm)
    assert result.code == 4
    assert "there is no module app" in result.err and "--kind wasm" in result.err
    assert uploads(mock) == []


def test_another_kind_is_a_conflict(ctl, mock, wasm):
    """--kind that differs from the module's is refused."""
    mock.modules["app"] = {"name": "app", "kind": "firmware"}
    result = ctl("version", "publish", "app", "1.0.0", wasm, "--kind", "wasm")
    assert result.code == 6
    assert "module app is of kind firmware, not wasm" in result.err


def test_variants_keep_their_order_and_the_plain_file_is_last(ctl, mock, tmp_path):
    """Each --variant is a selector and its bytes, in the order given; FILE comes last, for the rest."""
    for name in ("arm", "x86", "rest"):
        (tmp_path / name).write_bytes(name.encode())
    result = ctl("version", "publish", "fw", "1.0.0", "rest", "--kind", "firmware", "--variant",
                 "attribute.arch==arm64=arm", "--variant", "attribute.arch=in=(x86_64,i386)=x86")
    assert result.code == 0, result
    variants = mock.versions[("fw", "1.0.0")]["variants"]
    assert [v["selector"] for v in variants] == ["attribute.arch==arm64", "attribute.arch=in=(x86_64,i386)", None]
    assert [mock.artifacts[v["artifact"]["sha256"]] for v in variants] == [b"arm", b"x86", b"rest"]


def test_without_bytes_declares_a_version(ctl, mock):
    """--without-bytes publishes a version whose variant has no artifact."""
    result = ctl("version", "publish", "boot", "1.0.0", "--kind", "firmware", "--without-bytes")
    assert result.code == 0, result
    assert mock.versions[("boot", "1.0.0")]["variants"] == [{"selector": None, "artifact": None}]


def test_a_broken_upload_goes_on_where_it_broke(ctl, mock, wasm):
    """A connection cut in the middle is taken up with Content-Range; all bytes arrive once."""
    mock.cut_after = [1_000_000, 500_000]
    result = ctl("artifact", "upload", wasm)
    assert result.code == 0, result
    assert "going on at byte 1000000" in result.err
    ranges = [r[2].get("Content-Range") for r in uploads(mock)]
    total = wasm.stat().st_size
    assert ranges == [None, f"bytes 1000000-{total - 1}/{total}", f"bytes 1500000-{total - 1}/{total}"]
    assert mock.artifacts[digest(wasm)] == wasm.read_bytes()


def test_another_call_resumes_what_an_earlier_one_left(ctl, mock, wasm):
    """A part that the server kept from another run is not sent again."""
    mock.parts[digest(wasm)] = wasm.read_bytes()[:2_000_000]
    assert ctl("artifact", "upload", wasm).code == 0
    assert int(uploads(mock)[0][2]["Content-Length"]) == wasm.stat().st_size - 2_000_000


def test_an_upload_that_never_moves_is_given_up(ctl, mock, wasm):
    """After several attempts without a byte of progress the command fails with 8."""
    mock.faults = [("PUT", "artifacts", hang_up)] * 9
    result = ctl("artifact", "upload", wasm)
    assert result.code == 8
    assert f"cannot send {wasm}" in result.err
    assert len(uploads(mock)) == 5


def test_a_refused_upload_is_told_at_once(ctl, mock, wasm):
    """A problem during the upload is the server's sentence, not a broken connection, and is not repeated."""
    mock.faults = [("PUT", "artifacts", problem("too-large", "the artifact is larger than 1 MiB"))]
    result = ctl("artifact", "upload", wasm)
    assert result.code == 2
    assert "the artifact is larger than 1 MiB" in result.err
    assert len(uploads(mock)) == 1


def test_busy_server_during_upload(ctl, mock, wasm):
    """A 503 in the middle of an upload is tried again."""
    mock.faults = [("PUT", "artifacts", later(1))]
    assert ctl("artifact", "upload", wasm).code == 0
    assert len(uploads(mock)) == 2


def test_json_of_publish_is_the_version(ctl, wasm):
    """--json prints the version as the API gives it, and nothing else."""
    result = ctl("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm", "--json")
    assert result.json["version"] == "2.1.0"
    assert result.json["variants"][0]["artifact"]["sha256"] == digest(wasm)


def test_quiet_prints_nothing(ctl, wasm):
    """--quiet: success is silent."""
    result = ctl("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize("args, says", [
    (["nowhere.bin"], "there is no file nowhere.bin"),
    (["."], "not a regular file"),
    (["empty"], "is empty"),
])
def test_files_that_cannot_be_sent(ctl, mock, tmp_path, args, says):
    """Missing, empty and special files are named; the server is not asked."""
    (tmp_path / "empty").touch()
    result = ctl("artifact", "upload", *args)
    assert result.code in (2, 4)
    assert says in result.err
    assert mock.requests == []


def test_progress_bar_on_a_terminal_only(ctl, mock, wasm):
    """On a terminal an upload has a bar that is gone at the end; in a pipe there is none."""
    result = ctl.terminal("artifact", "upload", wasm)
    assert result.code == 0, result
    assert "sending app.wasm" in result.out
    last_bar = result.out.rindex("sending app.wasm")
    assert "\r\033[K" in result.out[last_bar:]
    mock.artifacts.clear()
    result = ctl("artifact", "upload", wasm)
    assert "sending" not in result.out + result.err


def test_block_and_unblock(ctl, mock, wasm):
    """block takes a reason, show tells it, unblock lifts it."""
    ctl("version", "publish", "app", "2.1.0", wasm, "--kind", "wasm")
    assert "is blocked" in ctl("version", "block", "app", "2.1.0", "--why", "drains the battery").out
    assert "drains the battery" in ctl("version", "show", "app", "2.1.0").out
    assert "blocked" in ctl("version", "ls", "app").out
    assert ctl("version", "unblock", "app", "2.1.0").code == 0
    assert mock.versions[("app", "2.1.0")]["blocked"] is None


def test_a_refused_version_leaves_no_module_behind(ctl, mock, wasm):
    """A module that was created for a version which is refused is taken back."""
    mock.faults = [("PUT", "versions", problem("refused", "lib is required and unknown"))]
    result = ctl("version", "publish", "app", "1.0.0", wasm, "--kind", "wasm", "--requires", "lib@^1")
    assert result.code == 7 and "lib is required and unknown" in result.err
    assert mock.modules == {}
    mock.modules["app"] = {"name": "app", "kind": "wasm"}
    mock.faults = [("PUT", "versions", problem("refused", "lib is required and unknown"))]
    assert ctl("version", "publish", "app", "1.0.0", wasm).code == 7
    assert "app" in mock.modules
