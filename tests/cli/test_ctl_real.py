# SPDX-License-Identifier: Apache-2.0
"""fleetctl against a real fleetd: what the mock promises is what the server does."""
import hashlib
import json
import os
import subprocess

import pytest


@pytest.fixture
def real(ctl_for, shared_fleetd):
    return ctl_for(f"http://127.0.0.1:{shared_fleetd.port}", shared_fleetd.token)


@pytest.fixture
def wasm(tmp_path):
    path = tmp_path / "m.wasm"
    path.write_bytes(b"\0asm" + os.urandom(2_000_000))
    return path


def test_login_with_the_first_token(ctl_for, shared_fleetd):
    """The admin token of the first start logs in and is kept."""
    ctl = ctl_for(f"http://127.0.0.1:{shared_fleetd.port}", shared_fleetd.token)
    del ctl.env["FLEETCTL_SERVER"], ctl.env["FLEETCTL_TOKEN"]
    result = ctl("login", f"127.0.0.1:{shared_fleetd.port}", stdin=shared_fleetd.token)
    assert result.code == 8 and "write http://" in result.err  # without a scheme it is https
    result = ctl("login", f"http://127.0.0.1:{shared_fleetd.port}/", "--token-file", shared_fleetd.data / "admin.token")
    assert result.code == 0, result
    assert "as admin (admin)" in result.out
    assert ctl("server").code == 0


def test_publish_twice_and_otherwise(real, wasm):
    """A pipeline may run twice; other bytes under the same number are a conflict."""
    args = ("version", "publish", "twice", "1.0.0", wasm, "--kind", "wasm", "--need", "runtime=>=1.0", "--notes", "n")
    assert "is published" in real(*args).out
    again = real(*args)
    assert again.code == 0 and "nothing has changed" in again.out
    other = real(*args[:-1], "other notes")
    assert other.code == 6, other
    wasm.write_bytes(b"other")
    assert real(*args).code == 6


def test_refusals_of_the_server_are_told(real, wasm):
    """Unknown requirement, lower version: the server's sentence and its exit code."""
    result = real("version", "publish", "lonely", "1.0.0", wasm, "--kind", "wasm", "--requires", "nobody@^1")
    assert result.code in (6, 7) and "nobody" in result.err
    assert real("version", "publish", "steps", "2.0.0", wasm, "--kind", "wasm").code == 0
    result = real("version", "publish", "steps", "1.0.0", wasm)
    assert result.code in (6, 7), result
    assert real("version", "publish", "steps", "1.0.0", wasm, "--backport").code == 0


def test_an_upload_that_another_program_left_is_resumed(real, shared_fleetd, wasm):
    """The part of an upload that broke is kept by the server and not sent again."""
    data = wasm.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    connection = shared_fleetd.connect()
    connection.putrequest("PUT", f"/api/v1/artifacts/{digest}")
    connection.putheader("Authorization", f"Bearer {shared_fleetd.token}")
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    connection.send(data[:1_500_000])
    connection.close()

    def received():
        return shared_fleetd.get(f"/api/v1/artifacts/{digest}").json().get("received", 0)

    for _ in range(200):
        if received() > 0:
            break
    assert received() > 0
    result = real("artifact", "upload", wasm)
    assert result.code == 0 and "uploaded" in result.out, result
    assert real("artifact", "show", digest).out.count(digest) == 1


def test_variants_floor_block(real, tmp_path):
    """Variants, floor and no-downgrade arrive; block and unblock show."""
    for name in ("arm", "any"):
        (tmp_path / name).write_bytes(os.urandom(1000))
    result = real("version", "publish", "fw", "1.0.0", "any", "--kind", "firmware", "--variant", "attribute.arch==arm64=arm",
                  "--floor", "--no-downgrade")
    assert result.code == 0, result
    shown = real("version", "show", "fw", "1.0.0", "--json").json
    assert [v["selector"] for v in shown["variants"]] == ["attribute.arch==arm64", None]
    assert shown["floor"] and not shown["downgrade"]
    assert real("version", "block", "fw", "1.0.0", "--why", "smoke").code == 0
    assert "smoke" in real("version", "show", "fw", "1.0.0").out
    assert real("version", "unblock", "fw", "1.0.0").code == 0
    assert "blocked" not in real("version", "ls", "fw").out
    assert real("version", "publish", "old", "1.0.0", "--kind", "file", "--without-bytes").code == 0
    assert "no bytes here" in real("version", "show", "old", "1.0.0").out


def test_releases(real, wasm):
    """create, again, otherwise, show, ls."""
    real("version", "publish", "part", "1.0.0", wasm, "--kind", "wasm")
    assert real("release", "create", "r1", "part@1.0.0:install", "gone:absent").code in (0, 7)
    assert real("release", "create", "r2", "part@1.0.0", "--notes", "spring").code == 0
    assert "nothing has changed" in real("release", "create", "r2", "part@1.0.0", "--notes", "spring").out
    assert real("release", "create", "r2", "part@1.0.0:install").code == 6
    assert "part" in real("release", "show", "r2").out and "spring" in real("release", "ls").out
    assert real("release", "show", "r9").code == 4
    assert real("release", "create", "r3", "part@9.9.9").code in (4, 6, 7)


def test_a_rollout_under_which_nothing_happens(real, wasm):
    """Whoever creates it is told at once, and is not sent on to start it."""
    assert real("version", "publish", "empty-app", "1.0.0", wasm, "--kind", "wasm").code == 0
    assert real("release", "create", "empty", "empty-app@1.0.0").code == 0
    result = real("rollout", "create", "empty", "--release", "empty", "--selector", "label.site==moon")
    assert result.code == 0 and "nothing would happen: the selector matches no device" in result.out, result
    assert "rollout start" not in result.out
    shown = real("plan", "show", "empty").out
    assert "nothing would happen" in shown and "Gates:" not in shown


def test_devices_from_import_to_retirement(real):
    """Many devices are imported, found by RSQL, labelled, moved and retired."""
    lines = [{"id": f"d{n:03}", "attributes": {"hw": f"rev-{n % 3}"}, "labels": {"site": "lab"},
              "installed": [{"module": "x", "version": "1.0.0"}]} for n in range(300)]
    lines.insert(0, {"id": "gw", "tier": "gateway"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = real("device", "import", stdin=text)
    assert result.code == 0 and "301 created" in result.out, result
    assert "301 unchanged" in real("device", "import", stdin=text).out
    assert len(real("device", "ls", "-q", "--all", "--selector", "attribute.hw==rev-1").out.splitlines()) == 100
    assert real("device", "label", "d001", "canary=yes", "--gateway", "gw").code == 0
    assert real("device", "ls", "-q", "-s", "label.canary==yes").out == "d001\n"
    shown = real("device", "show", "d001").out
    assert "x@1.0.0" in shown and "hw=rev-1" in shown and "canary=yes" in shown and "gw" in shown
    assert real("device", "label", "d001", "canary-").code == 0
    assert real("device", "retire", "d001").code == 0
    assert real("device", "reports", "d002").code == 0
    result = real("device", "ls", "--selector", "colour=blue")
    assert result.code == 2 and result.err.startswith("fleetctl: ")
    result = real("device", "import", stdin='{"id":"fine"}\n{"id":17}\n{"id":"odd","nonsense":1}\n')
    assert result.code == 7 and "line 2:" in result.err and "line 3:" in result.err and "1 created" in result.out


def test_tokens_and_roles(real, ctl_for, tmp_path):
    """A viewer reads, may not write (5), and is nobody after its revocation (5)."""
    secret = real("token", "create", "eyes", "--role", "viewer", "--expires", "1h").out.strip()
    viewer = ctl_for(real.env["FLEETCTL_SERVER"], secret)
    assert "viewer" in viewer("whoami").out
    assert viewer("module", "ls").code == 0
    result = viewer("module", "create", "m", "--kind", "file")
    assert result.code == 5 and "'fleetctl whoami'" in result.err
    number = next(t["id"] for t in real("token", "ls", "--json").json["items"] if t["name"] == "eyes")
    assert real("token", "revoke", number).code == 0
    assert viewer("whoami").code == 5
    assert "revoked" in real("token", "ls").out


def test_the_audit_trail_is_followed(real):
    """audit watch shows what is done while it runs; audit ls has it afterwards."""
    last = real("audit", "ls", "--all", "--json").json["items"][-1]["seq"]
    follower = real.start("audit", "watch", "--after", last, "-n", "1", "--json")
    assert real("module", "create", f"seen-{last}", "--kind", "file").code == 0
    out, err = follower.communicate(timeout=30)
    assert follower.returncode == 0, err
    assert json.loads(out)["subject"] == f"seen-{last}"
    assert f"seen-{last}" in real("audit", "ls", "--after", last).out
    newest = real("audit", "ls", "--newest", "--subject", f"seen-{last}", "--kind", "module", "--actor", "admin").out
    assert len(newest.splitlines()) == 2 and f"seen-{last}" in newest


def test_lists_are_paged(real):
    """Limits below and above a page, through the server's own cursors."""
    for number in range(5):
        real("module", "create", f"page-{number}", "--kind", "file")
    names = real("module", "ls", "-q", "--all").out.splitlines()
    assert len(names) >= 5 and names == sorted(set(names))
    two = real("module", "ls", "-q", "-n", "2")
    assert two.out.splitlines() == names[:2] and "there are more than these 2" in two.err


def test_tls_with_a_private_authority(new_fleetd, ctl_for, tmp_path):
    """Over TLS the server must be trusted: --ca names its authority; without it the way is told."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    server = new_fleetd().start(tls_certificate=certificate, tls_key=key)
    ctl = ctl_for(f"https://localhost:{server.port}", server.token)
    refused = ctl("whoami")
    assert refused.code == 8 and "cannot trust" in refused.err and "--ca FILE" in refused.err
    assert ctl("whoami", "--ca", certificate).code == 0
    assert ctl("whoami", env={"FLEETCTL_CA_FILE": str(certificate)}).code == 0


# ---- rollouts, with simulated devices


@pytest.fixture
def fleet(new_fleetd, ctl_for, tmp_path):
    """A server with three modules in two versions (and an application that fails), and 20 devices that poll."""
    server = new_fleetd().start(poll_interval="1s")
    ctl = ctl_for(f"http://127.0.0.1:{server.port}", server.token)
    chain = [("runtime", None), ("lib", "runtime"), ("app", "lib")]
    for version in ("1.0.0", "1.1.0"):
        for module, below in chain:
            path = tmp_path / f"{module}-{version}"
            path.write_bytes(module.encode() * 20000 + version.encode())
            needs = ["--requires", f"{below}@^{version[:3]}"] if below else []
            assert ctl("version", "publish", module, version, path, "--kind", "wasm", *needs).code == 0
    (tmp_path / "app-bad").write_bytes(b"bad" * 20000)
    assert ctl("version", "publish", "app", "1.2.0", "app-bad", "--requires", "lib@^1.1").code == 0
    assert ctl("release", "create", "good", "runtime@1.1.0", "lib@1.1.0", "app@1.1.0").code == 0
    assert ctl("release", "create", "bad", "app@1.2.0").code == 0
    secret = tmp_path / "enrol.token"
    secret.write_text(ctl("token", "create", "factory", "--role", "enroller").out)
    swarm = subprocess.Popen(
        [os.environ["FLEET_BUILD"] + "/fleet-swarm", "--server", ctl.env["FLEETCTL_SERVER"], "--token-file", secret, "-n", "20",
         "--poll-interval", "1", "--installed", "runtime=1.0.0,lib=1.0.0,app=1.0.0", "--fail", "app@1.2.0=1", "--until",
         "seconds:300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        if len(ctl("device", "ls", "-q").out.split()) == 20:
            break
    yield ctl
    swarm.terminate()
    swarm.wait(timeout=30)


def test_a_release_travels_through_layers_and_waves(fleet):
    """Preview, create, plan, start, watch, stats: three layers, two waves, every device confirmed."""
    strategy = ("--release", "good", "--wave", "5", "--wave", "100%", "--probation", "1s", "--install", "60s", "--error", "10")
    preview = fleet("plan", "preview", *strategy)
    assert preview.code == 0 and "20: 20 to update" in preview.out, preview
    created = fleet("rollout", "create", "autumn", *strategy)
    assert created.code == 0 and "autumn is created: ready" in created.out, created
    assert "20 devices, 2 waves, 3 layers" in created.out
    plan = fleet("plan", "show", "autumn").out
    for line in ("0  runtime", "1  lib", "2  app"):
        assert line in plan
    assert len(fleet("plan", "devices", "autumn", "--wave", "0", "-q").out.split()) == 5
    digest = fleet("rollout", "show", "autumn", "--json").json["plan_digest"]
    assert fleet("rollout", "start", "autumn", "--plan", "0" * 64).code in (2, 6, 7)
    assert fleet("rollout", "start", "autumn", "--plan", digest).code == 0
    assert fleet("rollout", "start", "autumn").code == 0  # again: nothing happens
    watched = fleet("rollout", "watch", "autumn", "--until", "wave:0", "--timeout", "2min")
    assert watched.code == 0, watched
    watched = fleet.terminal("rollout", "watch", "autumn", "--timeout", "2min", columns=100)
    assert watched.code == 0 and "✔ 15/15" in watched.out, watched
    total = fleet("rollout", "stats", "autumn", "--json").json["total"]
    assert (total["targets"], total["confirmed"], total["completion"], total["failure"]) == (20, 20, 1.0, 0.0)
    assert "confirmed=15" in fleet("rollout", "stats", "autumn", "--stages").out
    assert len(fleet("rollout", "steps", "autumn", "-q", "--stage", "L2.W1", "--state", "confirmed").out.split()) == 15
    device = fleet("device", "ls", "-q").out.split()[0]
    shown = fleet("device", "show", device).out
    assert "app@1.1.0, lib@1.1.0, runtime@1.1.0" in shown and "autumn" in shown
    assert "confirmed" in fleet("device", "reports", device).out


def test_a_bad_release_is_paused_taken_back_and_stopped(fleet):
    """A failed gate pauses (21), a person takes it back (20); with --on-failure rollback it goes by itself."""
    before = {d["id"]: d["installed"] for d in fleet("device", "ls", "--json").json["items"]}
    common = ("--release", "bad", "--wave", "5", "--wave", "100%", "--probation", "1s", "--install", "60s", "--start")
    refused = fleet("rollout", "create", "no", *common[:2], "--wave", "5", "--success-minimum", "50")
    assert refused.code == 7 or "ready" in refused.out
    assert fleet("rollout", "create", "paused", *common).code == 0
    watched = fleet("rollout", "watch", "paused", "--timeout", "2min")
    assert watched.code == 21 and "fleetctl rollout steps paused --state failed" in watched.err, watched
    assert fleet("rollout", "rollback", "paused").code == 0
    assert fleet("rollout", "watch", "paused", "--timeout", "2min").code == 20
    assert fleet("rollout", "show", "paused", "--json").json["state"] == "rolled_back"
    assert fleet("rollout", "resume", "paused").code == 6
    assert fleet("rollout", "create", "back", *common, "--on-failure", "rollback").code == 0
    watched = fleet("rollout", "watch", "back", "--timeout", "2min")
    assert watched.code == 20 and "rolling_back" in watched.out, watched
    assert {d["id"]: d["installed"] for d in fleet("device", "ls", "--json").json["items"]} == before
