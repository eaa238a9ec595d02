# SPDX-License-Identifier: Apache-2.0
"""kill -9 of fleetd at random moments under the load of a swarm, a pipeline and an operator: whatever
was acknowledged is there afterwards, fleetd --verify is clean, and rollouts go on. FLEET_KILLS says how
often; FLEET_SEED repeats a run."""
import hashlib
import http.client
import json
import os
import random
import socket
import sqlite3
import subprocess
import threading
import time

from fleet_server import program

KILLS = int(os.environ.get("FLEET_KILLS", "8"))
SEED = int(os.environ.get("FLEET_SEED", str(random.SystemRandom().randrange(1 << 31))))
DEVICES = 60 if KILLS < 50 else 200
LOST = (ConnectionError, http.client.HTTPException, socket.timeout, OSError)


class Pipeline(threading.Thread):
    """Publishes a version, a release and a rollout again and again, each over the whole fleet; keeps a
    record of what the server has acknowledged with 2xx."""

    def __init__(self, server, chance):
        super().__init__(daemon=True)
        self.server, self.chance = server, chance
        self.acknowledged = []  # (path, digest or None)
        self.ended = threading.Event()
        self.up = threading.Event()
        self.completed = 0
        self.wrong = None

    def call(self, method, path, expect, **body):
        """Until it is acknowledged: a pipeline may repeat each of its calls."""
        while not self.ended.is_set():
            self.up.wait(1)
            try:
                answer = self.server.request(method, path, timeout=20, **body)
            except LOST:
                continue
            if answer.status == 503:
                continue
            assert answer.status in expect, (method, path, answer)
            return answer
        raise InterruptedError

    def publish(self, number):
        content = self.chance.randbytes(20000 + self.chance.randrange(60000))
        digest = hashlib.sha256(content).hexdigest()
        self.call("PUT", f"/api/v1/artifacts/{digest}", (200, 201), data=content,
                  headers={"Content-Type": "application/octet-stream"})
        self.acknowledged.append((f"/api/v1/artifacts/{digest}", content))
        path = f"/api/v1/modules/app/versions/1.0.{number}"
        self.call("PUT", path, (200, 201), json={"variants": [{"sha256": digest}]})
        self.acknowledged.append((path, None))
        path = f"/api/v1/releases/r{number}"
        self.call("PUT", path, (200, 201), json={"entries": [{"module": "app", "version": f"1.0.{number}", "action": "install"}]})
        self.acknowledged.append((path, None))
        path = f"/api/v1/rollouts/r{number}"
        self.call("PUT", path, (200, 201), json={
            "release": f"r{number}", "selector": "", "start": "auto",
            "strategy": {"waves": [{"percent": 20}, {"percent": 80}], "probation_s": 0, "seed": number,
                         "gate": {"success": {"percent": 50}, "error": {"percent": 50, "minimum": 10}}}})
        self.acknowledged.append((path, None))
        return path

    def run(self):
        try:
            self.call("PUT", "/api/v1/modules/app", (200, 201), json={"kind": "file"})
            for number in range(1, 1000000):
                path = self.publish(number)
                while True:
                    state = self.call("GET", path, (200,)).json()["state"]
                    if state == "completed":
                        break
                    assert state in ("planning", "ready", "starting", "running"), (path, state)
                    self.ended.wait(0.05)
                self.completed += 1
        except InterruptedError:
            pass
        except BaseException as why:  # told by the main thread
            self.wrong = why


def reports_of(server):
    """All reports in the database, as (device, step, state)."""
    database = sqlite3.connect(f"file:{server.data / 'fleetd.db'}?mode=ro", uri=True)
    try:
        return set(database.execute(
            "SELECT device.id, CAST(report.stage_id AS TEXT), report.state FROM report JOIN device ON device.no = report.device_no"))
    finally:
        database.close()


def journal_of(path):
    """All reports that the swarm knows to be acknowledged. A line that was being written does not count."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def check_after_kill(server, journal):
    """With the server down: the database is whole and every acknowledged report is in it."""
    done = server.run("--verify", **server.settings)
    assert done.returncode == 0, done.stdout + done.stderr
    stored = reports_of(server)
    missing = [line for line in journal if (line["device"], str(line["step"]), line["state"]) not in stored]
    assert not missing, f"{len(missing)} acknowledged reports are lost, as {missing[0]}"


def check_restarted(server, acknowledged):
    """Every acknowledged object answers; an artifact's bytes are the same."""
    for path, content in acknowledged:
        answer = server.get(path)
        assert answer.status == 200, (path, answer)
        if content is not None:
            blob = server.get("/blobs/sha256/" + path.rsplit("/", 1)[1])
            assert blob.body == content, path


def enrolment_token(server, folder):
    answer = server.post("/api/v1/tokens", {"name": "swarm", "roles": ["enroller"]})
    assert answer.status == 201, answer
    path = folder / "enrol.token"
    path.write_text(answer.json()["token"])
    return path


def start_swarm(server, folder):
    log = open(folder / "swarm.log", "ab")
    return subprocess.Popen(
        [program("fleet-swarm"), "--server", f"http://127.0.0.1:{server.port}", "--token-file",
         str(enrolment_token(server, folder)), "--devices", str(DEVICES), "--connections", "16",
         "--poll-interval", "0.2", "--journal", str(folder / "journal"), "--until", "seconds:3600", "--seed", "1"],
        stdout=log, stderr=log)


def test_nothing_acknowledged_is_lost_when_fleetd_is_killed(new_fleetd, tmp_path):
    """What 2xx promised survives kill -9 at any moment, and the work goes on."""
    print(f"seed {SEED}, {KILLS} kills")
    chance = random.Random(SEED)
    server = new_fleetd("killed")
    server.start(poll_interval="1s")
    server.settings["listen"] = f"127.0.0.1:{server.port}"
    swarm = start_swarm(server, tmp_path)
    pipeline = Pipeline(server, random.Random(SEED + 1))
    pipeline.up.set()
    pipeline.start()
    try:
        for number in range(KILLS):
            pipeline.ended.wait(chance.uniform(0.05, 2.0))
            pipeline.up.clear()
            server.kill()
            journal = journal_of(tmp_path / "journal")
            acknowledged = list(pipeline.acknowledged)
            check_after_kill(server, journal)
            server.start()
            pipeline.up.set()
            check_restarted(server, acknowledged[-12:])
            assert pipeline.wrong is None, pipeline.wrong
            assert swarm.poll() is None, (tmp_path / "swarm.log").read_text()[-3000:]
            print(f"kill {number + 1}: {len(journal)} reports, {len(acknowledged)} objects, "
                  f"{pipeline.completed} rollouts", flush=True)
        before, limit = pipeline.completed, time.monotonic() + 120
        while pipeline.completed == before and time.monotonic() < limit and pipeline.wrong is None:
            pipeline.ended.wait(0.1)
        assert pipeline.wrong is None, pipeline.wrong
        assert pipeline.completed > before, "no rollout completes after the kills"
        check_restarted(server, pipeline.acknowledged)
    finally:
        pipeline.ended.set()
        pipeline.up.set()
        pipeline.join(30)
        swarm.kill()
        swarm.wait()
