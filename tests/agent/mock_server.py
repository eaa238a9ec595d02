# SPDX-License-Identifier: Apache-2.0
"""A small second implementation of the devices' protocol, for the tests of fleet-agent and
fleet-swarm. It shares no code with fleetd: what both understand alike is most likely what
fleet-protocol(7) says. It keeps everything in memory and can misbehave on demand."""
import base64
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import time

import nacl.bindings
import nacl.public
import nacl.signing
import nacl.utils

EPOCH = 1767225600


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value):
    """Canonical JSON as TUF signs it: sorted keys, no blanks, only '"' and backslash escaped."""
    if isinstance(value, dict):
        return "{" + ",".join(canonical(k) + ":" + canonical(value[k]) for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(v) for v in value) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Key:
    """An Ed25519 key with its TUF name."""

    def __init__(self):
        self.signer = nacl.signing.SigningKey.generate()
        self.public = {
            "keytype": "ed25519",
            "keyval": {"public": self.signer.verify_key.encode().hex()},
            "scheme": "ed25519",
        }
        self.keyid = hashlib.sha256(canonical(self.public).encode()).hexdigest()

    def envelope(self, signed):
        sig = self.signer.sign(canonical(signed).encode()).signature.hex()
        return {"signed": signed, "signatures": [{"keyid": self.keyid, "sig": sig}]}


class Device:
    def __init__(self, no, public):
        self.no = no
        self.public = public
        self.number = 0
        self.manifest = None
        self.open_step = None
        self.inventory = None
        self.nonce = 0


class Mock:
    """The server. `reports` are the acknowledged ones in order; `trouble` names what goes wrong."""

    def __init__(self, poll_interval_s=1):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.token = "flt_test_" + b64(nacl.utils.random(16))
        self.root_key, self.manifest_key = Key(), Key()
        self.secret = nacl.utils.random(32)
        self.poll_interval_s = poll_interval_s
        self.devices, self.by_no = {}, {}
        self.blobs, self.patches = {}, {}
        self.middles = {}  # (have, wanted) -> what lies between the two patches of a chain
        self.reports, self.requests = [], []
        self.offers = []  # the questions, as they were asked
        self.trouble = {}
        self.hold = False  # a freeze holds
        self.epoch = 0
        self.server = None
        self.port = 0

    # ---- life

    def start(self):
        mock = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

            def handle_one(self):
                mock.handle(self)

            do_GET = do_POST = do_PUT = handle_one

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                pass  # a client that goes away is no news here

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # ---- for tests

    def put_blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def order(self, device, modules, /, step="s1", probation_s=0, key=None, **changes):
        """Give the device its next manifest. modules: (name, version, kind, bytes or None)."""
        with self.lock:
            d = self.devices[device]
            d.number += 1
            rows = []
            for name, version, kind, data in sorted(modules, key=lambda m: m[0]):
                row = {"module": name, "version": version, "kind": kind}
                if data is not None:
                    row.update(sha256=self.put_blob(data), size=len(data))
                rows.append(row)
            now = int(time.time() * 1000)
            signed = {
                "_type": "manifest", "spec_version": "1", "tenant": "default", "device": device,
                "number": d.number, "issued": now, "expires": now + 3600_000,
                "modules": rows, "absent": [],
            }
            if isinstance(step, dict):
                signed["step"], step = step, step["id"]
            elif step:
                signed["step"] = {
                    "rollout": "r", "stage": "L0.W0", "id": step,
                    "unit": [r["module"] for r in rows], "probation_s": probation_s,
                }
            signed.update(changes)
            d.manifest = (key or self.manifest_key).envelope(signed)
            d.open_step = step
            return d.number

    def wait(self, condition, limit=30):
        """Wait until condition() holds; it is looked at after every request."""
        with self.changed:
            assert self.changed.wait_for(condition, limit), "the condition did not come about"

    def ends(self, step=None):
        words = {"confirmed", "failed", "rejected", "rolled_back", "rollback_failed"}
        return [r for r in self.reports if r["state"] in words and (step is None or r["step"] == step)]

    # ---- requests

    def handle(self, h):
        length = int(h.headers.get("Content-Length") or 0)
        body = h.rfile.read(length)
        path = h.path.split("?")[0]
        with self.changed:
            self.requests.append((h.command, path, dict(h.headers)))
            try:
                if path == "/device/v1/enrol":
                    self.enrol(h, body)
                elif path == "/device/v1/session":
                    self.session(h, body)
                elif path.startswith("/blobs/"):
                    self.blob(h, path)
                else:
                    self.under_session(h, path, body)
            finally:
                self.changed.notify_all()

    @staticmethod
    def answer(h, status, body=b"", headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        h.send_response(status)
        for name, value in headers:
            h.send_header(name, value)
        if status != 204:
            h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        if status != 204:
            h.wfile.write(body)
        h.wfile.flush()

    def problem(self, h, status, detail, **more):
        self.answer(h, status, {"type": "/problems/test", "title": "refused", "status": status,
                                "detail": detail, **more})

    def check_signature(self, h, body, public):
        """RFC 9421 over @method, @path and content-digest, as the profile says. A sentence or None."""
        digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
        if h.headers.get("Content-Digest") != digest:
            return "content digest"
        found = re.fullmatch(r"(\w+)=(\((.*)\);.*)", h.headers.get("Signature-Input", ""))
        if not found or found[3] != '"@method" "@path" "content-digest"':
            return "signature input"
        params = found[2]
        created = int(re.search(r";created=(\d+)", params)[1])
        if abs(created - time.time()) > 300 or ';alg="ed25519"' not in params:
            return "created or alg"
        base = (f'"@method": {h.command}\n"@path": {h.path}\n"content-digest": {digest}\n'
                f'"@signature-params": {params}')
        sig = base64.b64decode(h.headers["Signature"].split("=:", 1)[1].rstrip(":"))
        try:
            nacl.signing.VerifyKey(public).verify(base.encode(), sig)
        except nacl.exceptions.BadSignatureError:
            return "signature"
        return None

    def root(self):
        keys = {k.keyid: k.public for k in (self.root_key, self.manifest_key)}
        role = {"keyids": [self.root_key.keyid], "threshold": 1}
        return self.root_key.envelope({
            "_type": "root", "spec_version": "1.0.31", "version": 1, "consistent_snapshot": True,
            "expires": "2099-01-01T00:00:00Z", "keys": keys,
            "roles": {name: role for name in ("root", "targets", "snapshot", "timestamp")},
            "x-fleetd-manifest": {"keyids": [self.manifest_key.keyid], "threshold": 1},
        })

    def enrol(self, h, body):
        if h.headers.get("Authorization") != "Bearer " + self.token:
            return self.problem(h, 401, "the token is wrong")
        said = json.loads(body)
        public = unb64(said["public_key"])
        wrong = self.check_signature(h, body, public)
        if wrong:
            return self.problem(h, 401, wrong)
        known = self.devices.get(said["device"])
        if known and known.public != public:
            return self.problem(h, 409, "another key has this id")
        if not known:
            device = Device(len(self.devices) + 1, public)
            self.devices[said["device"]] = self.by_no[device.no] = device
            device.inventory = {"attributes": said["attributes"], "installed": said["installed"]}
        d = self.devices[said["device"]]
        return self.answer(h, 200 if known else 201, {
            "device": said["device"], "no": d.no, "server_time": int(time.time() * 1000),
            "root": self.root(), "keys": {}})

    def session_key(self, session):
        return hashlib.blake2b(self.secret + session, digest_size=32).digest()

    @staticmethod
    def mac(key, text, body):
        digest = hashlib.blake2b(body, digest_size=32).digest() if body else b""
        return nacl.bindings.crypto_shorthash_siphashx24(text.encode() + digest, key)

    def session(self, h, body):
        d = self.devices.get(json.loads(body)["device"])
        wrong = "unknown device" if d is None else self.check_signature(h, body, d.public)
        if wrong:
            return self.problem(h, 401, wrong, server_time=int(time.time() * 1000))
        session = struct.pack("<QII", d.no, self.epoch, int(time.time()) - EPOCH)
        curve = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(d.public)
        sealed = nacl.public.SealedBox(nacl.public.PublicKey(curve)).encrypt(self.session_key(session))
        d.nonce = 0
        proof = re.search(r';nonce="([^"]*)"', h.headers["Signature-Input"])[1]
        out = {
            "device": json.loads(body)["device"], "nonce": self.trouble.get("old_nonce", proof),
            "session": b64(session), "sealed_key": b64(sealed), "expires_in_s": 86400,
            "poll_interval_s": self.poll_interval_s, "manifest": d.number,
            "server_time": int((time.time() + self.trouble.get("clock", 0)) * 1000)}
        signer = Key() if self.trouble.get("strange_handshake") else self.manifest_key
        out["signature"] = b64(signer.signer.sign(canonical(out).encode()).signature)
        return self.answer(h, 200, out)

    def under_session(self, h, path, body):
        found = re.fullmatch(r"Fleet ([\w-]{22})\.(\d+)\.(\d+)\.([\w-]{22})",
                             h.headers.get("Authorization", ""))
        if not found:
            return self.problem(h, 401, "no session")
        session, nonce, manifest = unb64(found[1]), int(found[2]), int(found[3])
        no, epoch, _ = struct.unpack("<QII", session)
        d, key = self.by_no.get(no), self.session_key(session)
        mac = self.mac(key[:16], f"{h.command}\n{h.path}\n{nonce}\n{manifest}\n", body)
        if d is None or epoch != self.epoch or mac != unb64(found[4]) or nonce <= d.nonce:
            return self.problem(h, 401, "session, MAC or nonce")
        d.nonce = nonce

        def reply(status, out=b"", headers=()):
            if not isinstance(out, bytes):
                out = json.dumps(out).encode()
            mac = self.mac(key[16:], f"{status}\n{nonce}\n{d.number}\n", out)
            if self.trouble.get("bad_mac"):
                mac = bytes(16)
            self.answer(h, status, out, [("Fleet-Mac", f"{d.number}.{b64(mac)}"), *headers])

        if path == "/device/v1/poll":
            if self.hold and d.open_step and d.number <= manifest:
                return reply(200, {"hold": True})
            fresh = d.manifest and (d.number > manifest or d.open_step)
            return reply(200, d.manifest) if fresh else reply(204)
        if path == "/device/v1/inventory":
            d.inventory = json.loads(body)
            return reply(204)
        if path == "/device/v1/report":
            return self.report(h, d, json.loads(body), reply)
        if path.startswith("/device/v1/artifacts/"):
            return self.offer(h, path.rsplit("/", 1)[1], reply)
        return self.problem(h, 404, "no such address")

    def report(self, h, d, report, reply):
        if self.trouble.get("reports_503", 0) > 0:
            self.trouble["reports_503"] -= 1
            return self.problem(h, 503, "busy")
        ends = report["state"] in ("confirmed", "failed", "rejected", "rolled_back", "rollback_failed")
        if ends:
            signature = unb64(report.pop("signature"))
            nacl.signing.VerifyKey(d.public).verify(canonical(report).encode(), signature)
            d.inventory = {"installed": report["installed"]}
            if report["step"] == d.open_step:
                d.open_step = None
        name = next(k for k, v in self.devices.items() if v is d)
        self.reports.append({**report, "device": name})
        if self.trouble.get("lose_acks", 0) > 0:
            self.trouble["lose_acks"] -= 1
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return None
        return reply(200, {"hold": True}) if self.hold and not ends else reply(204)

    def offer(self, h, sha256, reply):
        query = dict(p.split("=") for p in h.path.split("?")[1].split("&"))
        codecs = query["codecs"].split(",")
        self.offers.append(query)
        full = self.blobs.get(sha256)
        if full is None:
            return reply(404, {"detail": "no such artifact"})
        for have in query.get("have", "").split(","):
            if self.leg(have, sha256, codecs):
                return reply(200, self.leg(have, sha256, codecs))
            middle = self.middles.get((have, sha256)) if query.get("chain") == "1" else None
            if middle:
                return reply(200, {**self.leg(middle, sha256, codecs), "via": self.leg(have, middle, codecs)})
        return reply(200, {"codec": "identity", "size": len(full), "sha256": sha256,
                           "url": f"/blobs/sha256/{sha256}", "to": sha256, "to_size": len(full)})

    def leg(self, have, sha256, codecs):
        """The offer of the patch between the two, None if there is none in these codecs."""
        codec, patch = self.patches.get((have, sha256), (None, b""))
        if codec not in codecs:
            return None
        digest = self.put_blob(patch)
        return {"codec": codec, "from": have, "size": len(patch), "sha256": digest,
                "url": f"/blobs/sha256/{digest}", "to": sha256, "to_size": len(self.blobs[sha256])}

    def blob(self, h, path):
        data = self.blobs.get(path.rsplit("/", 1)[1])
        if data is None or self.trouble.get("no_blobs"):
            return self.problem(h, 404, "no such blob")
        tag = '"' + path.rsplit("/", 1)[1] + '"'
        start, end, status = 0, len(data), 200
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", h.headers.get("Range", ""))
        if found and h.headers.get("If-Range", tag) == tag:
            start = int(found[1])
            end = min(int(found[2] or len(data) - 1) + 1, len(data))
            status = 206
        if self.trouble.get("tamper", 0) > 0:
            self.trouble["tamper"] -= 1
            data = bytes([data[0] ^ 1]) + data[1:]
        headers = [("ETag", tag)]
        if status == 206:
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{len(data)}"))
        if self.trouble.get("cut", 0) > 0:
            self.trouble["cut"] -= 1
            h.send_response(status)
            for name, value in [*headers, ("Content-Length", str(end - start))]:
                h.send_header(name, value)
            h.end_headers()
            h.wfile.write(data[start:start + (end - start) // 2])
            h.wfile.flush()
            h.close_connection = True
            h.connection.shutdown(socket.SHUT_RDWR)
            return None
        return self.answer(h, status, data[start:end], headers)
