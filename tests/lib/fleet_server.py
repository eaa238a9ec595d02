# SPDX-License-Identifier: Apache-2.0
"""A real fleetd on a folder of its own, and a small client for it.

    server = Fleetd(folder)         # not started yet
    server.start(loops=2)           # settings by name; waits until it is ready
    server.get("/api/v1/modules")   # as admin; -> Answer with .status .headers .body .json()
    server.stop()                   # SIGTERM; asserts a clean end

The programs are taken from $FLEET_BUILD (scripts/check sets it)."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

START_LIMIT = 60  # seconds; sanitizers on a busy machine are slow
STOP_LIMIT = 60


def program(name):
    """The path of a built program."""
    build = os.environ.get("FLEET_BUILD")
    assert build, "set FLEET_BUILD to the build folder"
    return str(Path(build) / name)


class Answer:
    """One HTTP answer, read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """Requests with one token, or none. Each has a connection of its own."""

    def __init__(self, port, token=None, context=None):
        self.port, self.token, self.context = port, token, context

    def connect(self, timeout=60):
        """A connection to use by hand (http.client), kept alive by the server."""
        if self.context is not None:
            return http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def head_of(self, data, as_json, headers):
        """Body and headers as they go out."""
        head = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if as_json is not None:
            data = json.dumps(as_json).encode()
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        return data, head

    def request(self, method, path, json=None, data=None, headers=None, timeout=60):
        """Send `json` (any value) or `data` (bytes or an iterator) and read the answer."""
        body, head = self.head_of(data, json, headers)
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body=body, headers=head)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def put(self, path, json=None, **more):
        return self.request("PUT", path, json=json, **more)

    def post(self, path, json=None, **more):
        return self.request("POST", path, json=json, **more)

    def patch(self, path, json=None, **more):
        return self.request("PATCH", path, json=json, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)


class Fleetd(Client):
    """The program, its data folder, and the admin's client."""

    def __init__(self, folder):
        super().__init__(0)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.log_path = self.folder / "fleetd.log"
        self.process = None
        self.settings = {}

    def command(self, *options, **settings):
        """The command line for these settings."""
        chosen = {
            "data_dir": self.data,
            "listen": "127.0.0.1:0",
            "port_file": self.folder / "port",
            **self.settings,
            **settings,
        }
        words = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
        return [program("fleetd"), *words, *options]

    def run(self, *options, env=None, **settings):
        """Run it to its end, for --check, --verify and refused starts."""
        return subprocess.run(
            self.command(*options, **settings),
            capture_output=True,
            text=True,
            timeout=START_LIMIT,
            check=False,
            env={**os.environ, **(env or {})},
        )

    def start(self, env=None, **settings):
        """Start it and wait until it says that it is ready. Settings stay for the next start."""
        assert self.process is None
        self.settings.update(settings)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"\0fleetd-test-{os.getpid()}-{id(self)}"
        notify.bind(name)
        notify.settimeout(0.2)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {}), "NOTIFY_SOCKET": "@" + name[1:]},
            )
        with notify:
            self.wait_ready(notify)
        self.port = int((self.folder / "port").read_text())
        token = self.data / "admin.token"
        if token.exists():
            self.token = token.read_text().strip()
        return self

    def wait_ready(self, notify):
        for _ in range(START_LIMIT * 5):
            try:
                if b"READY=1" in notify.recv(1024):
                    return
            except socket.timeout:
                if self.process.poll() is not None:
                    break
        self.process.kill()
        self.process.wait()
        self.process = None
        raise AssertionError("fleetd did not start:\n" + self.log())

    def log(self):
        """Everything that it has said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=STOP_LIMIT):
        """Wait for its end; the exit status."""
        status = self.process.wait(limit)
        self.process = None
        return status

    def stop(self):
        """SIGTERM, and a clean end: status 0, nothing from a sanitizer."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status}:\n{self.log()[-6000:]}"
        assert not re.search("(ERROR|WARNING): .*Sanitizer|runtime error:|defect at", self.log()), self.log()[-6000:]

    def kill(self):
        """SIGKILL: the machine lost power, as far as the process can tell."""
        self.process.kill()
        self.wait()

    def anonymous(self):
        return Client(self.port, None, self.context)

    def as_token(self, token):
        return Client(self.port, token, self.context)

    def metric(self, name):
        """One figure of /metrics."""
        text = self.get("/metrics").body.decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))

    def make_token(self, name, roles, **more):
        """Create a token with these roles and return a client for it."""
        answer = self.post("/api/v1/tokens", {"name": name, "roles": roles, **more})
        assert answer.status == 201, answer
        return self.as_token(answer.json()["token"])


def trust_only(certificate):
    """A TLS context that believes this certificate file alone."""
    return ssl.create_default_context(cafile=str(certificate))
