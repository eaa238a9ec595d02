# SPDX-License-Identifier: Apache-2.0
"""A device in Python that checks everything, for tests of the protocol itself (fleet_device.py is the
short one for tests of other things). Written from fleet-protocol(7): no code of lib/wire.c.

    device = Device(server, "dev-1")
    device.enrol(token, installed=[{"module": "app", "version": "1.0.0"}])
    device.session()
    envelope = device.poll()                       # None: nothing new
    device.report("confirmed", manifest)           # manifest: what open_manifest gave

Every answer under a session is believed only when its MAC is right."""
import base64
import hashlib
import hmac
import json
import secrets
import time

from nacl.bindings import crypto_shorthash_siphashx24
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

ENDS = {"confirmed", "failed", "rejected", "rolled_back", "rollback_failed"}


def b64(raw):
    """base64url without padding"""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value):
    """OLPC canonical JSON, as TUF signs it."""
    if isinstance(value, dict):
        inner = (canonical(key) + b":" + canonical(value[key]) for key in sorted(value))
        return b"{" + b",".join(inner) + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value).encode()
    raise TypeError(f"canonical JSON has no {type(value)}")


def keyid(public):
    key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.hex()}}
    return hashlib.sha256(canonical(key)).hexdigest()


def verify_envelope(envelope, keys, keyids, threshold):
    """The signed part, if enough of `keyids` signed it."""
    text = canonical(envelope["signed"])
    good = set()
    for one in envelope["signatures"]:
        if one["keyid"] in keyids:
            public = bytes.fromhex(keys[one["keyid"]]["keyval"]["public"])
            assert keyid(public) == one["keyid"]
            VerifyKey(public).verify(text, bytes.fromhex(one["sig"]))
            good.add(one["keyid"])
    assert len(good) >= threshold
    return envelope["signed"]


class Refused(AssertionError):
    """The server answered with a problem."""

    def __init__(self, answer):
        super().__init__(repr(answer))
        self.answer, self.status = answer, answer.status
        try:
            self.type = answer.json().get("type", "")
        except ValueError:
            self.type = ""


class Device:
    """One device: its key, its session, its manifest number."""

    def __init__(self, server, device_id, key=None, clock_s=0):
        self.server, self.id = server, device_id
        self.key = key or SigningKey.generate()
        self.clock_s = clock_s  # how wrong its clock is
        self.root = self.root_keys = None
        self.session_id = self.session_key = None
        self.nonce = self.manifest = 0
        self.newest = 0  # what the last answer said
        self.poll_interval_s = None
        self.held = False

    # ---- signed by the key

    def proof(self, method, path, body, **change):
        """The headers of RFC 9421 and RFC 9530; `change` spoils parameters on purpose."""
        digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
        created = change.get("created", int(time.time()) + self.clock_s)
        nonce = change.get("nonce", b64(secrets.token_bytes(16)))
        components = change.get("components", '"@method" "@path" "content-digest"')
        params = (
            f'({components});created={created};keyid="{change.get("keyid", self.id)}"'
            f';alg="ed25519";nonce="{nonce}"'
        )
        values = {"@method": method, "@path": path, "content-digest": digest}
        names = [name.strip('"') for name in components.split()]
        base = "".join(f'"{name}": {values[name]}\n' for name in names) + f'"@signature-params": {params}'
        signature = base64.b64encode(self.key.sign(base.encode()).signature).decode()
        return {
            "Content-Type": "application/json",
            "Content-Digest": digest,
            "Signature-Input": f"sig1={params}",
            "Signature": f"sig1=:{signature}:",
        }

    def enrol_request(self, token, change=None, **members):
        """POST enrol; the raw answer. `change`: of the proof."""
        body = {"device": self.id, "public_key": b64(self.key.verify_key.encode()), **members}
        raw = json.dumps(body).encode()
        headers = self.proof("POST", "/device/v1/enrol", raw, **(change or {}))
        headers["Authorization"] = f"Bearer {token}"
        return self.server.anonymous().post("/device/v1/enrol", data=raw, headers=headers)

    def enrol(self, token, **members):
        """Enrol and trust the root that comes back."""
        answer = self.enrol_request(token, **members)
        if answer.status not in (200, 201):
            raise Refused(answer)
        got = answer.json()
        assert got["device"] == self.id
        self.trust(got["root"])
        return answer.status

    def trust(self, envelope):
        signed = envelope["signed"]
        role = signed["roles"]["root"]
        self.root = verify_envelope(envelope, signed["keys"], role["keyids"], role["threshold"])
        self.root_keys = self.root["keys"]

    def session_request(self, body=None, **change):
        raw = json.dumps({"device": self.id} if body is None else body).encode()
        headers = self.proof("POST", "/device/v1/session", raw, **change)
        return self.server.anonymous().post("/device/v1/session", data=raw, headers=headers)

    def session(self, **change):
        """Make a session; check the server's own signature when a root is trusted."""
        change.setdefault("nonce", b64(secrets.token_bytes(16)))
        answer = self.session_request(**change)
        if answer.status != 200:
            raise Refused(answer)
        got = answer.json()
        assert got["device"] == self.id and got["nonce"] == change["nonce"]
        if self.root is not None:
            self.check_session(got)
        self.session_id = got["session"]
        self.session_key = SealedBox(self.key.to_curve25519_private_key()).decrypt(unb64(got["sealed_key"]))
        self.newest, self.poll_interval_s = got["manifest"], got["poll_interval_s"]
        self.nonce = 0
        return got

    def check_session(self, got):
        signature = unb64(got["signature"])
        text = canonical({name: value for name, value in got.items() if name != "signature"})
        (one,) = self.root["x-fleetd-manifest"]["keyids"]
        VerifyKey(bytes.fromhex(self.root_keys[one]["keyval"]["public"])).verify(text, signature)

    # ---- under the session

    def mac(self, key, text, body):
        """SipHash-2-4-128 over the text and the digest of the body, if there is one."""
        digest = hashlib.blake2b(body, digest_size=32).digest() if body else b""
        return crypto_shorthash_siphashx24(text.encode() + digest, key)

    def authorization(self, method, path, body=b"", nonce=None, manifest=None):
        if nonce is None:
            nonce = self.nonce = max(self.nonce + 1, int(time.time() * 1000))
        manifest = self.manifest if manifest is None else manifest
        mac = self.mac(self.session_key[:16], f"{method}\n{path}\n{nonce}\n{manifest}\n", body)
        return f"Fleet {self.session_id}.{nonce}.{manifest}.{b64(mac)}"

    def call(self, method, path, body=None):
        """A request under the session; the answer, proved."""
        raw = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": self.authorization(method, path, raw)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        client = self.server.anonymous()
        answer = client.request(method, path, data=raw or None, headers=headers)
        if answer.status == 401:
            raise Refused(answer)
        self.check(answer)
        return answer

    def check(self, answer, nonce=None):
        """Believe an answer or raise."""
        number, mac = answer.headers["Fleet-Mac"].split(".")
        text = f"{answer.status}\n{nonce or self.nonce}\n{number}\n"
        right = self.mac(self.session_key[16:], text, answer.body)
        assert hmac.compare_digest(right, unb64(mac)), "the answer's MAC is wrong"
        assert int(number) >= self.manifest, "an old answer"
        self.newest = int(number)

    def poll(self):
        """The envelope of a new manifest, or None; `held` says whether a freeze holds for the order in hand."""
        answer = self.call("GET", "/device/v1/poll")
        if answer.status == 204:
            return None
        if answer.status != 200:
            raise Refused(answer)
        self.held = answer.json().get("hold", False)
        return None if self.held else answer.json()

    def open_manifest(self, envelope):
        """Verify and accept a manifest; its signed part."""
        role = self.root["x-fleetd-manifest"]
        signed = verify_envelope(envelope, self.root_keys, role["keyids"], role["threshold"])
        assert signed["_type"] == "manifest" and signed["device"] == self.id
        assert signed["number"] >= self.manifest
        assert signed["expires"] > time.time() * 1000
        self.manifest = signed["number"]
        return signed

    def report_body(self, state, manifest=None, **members):
        """The body of a report; signed when it ends a step. `manifest`: the signed part."""
        body = {"state": state, "manifest": self.manifest, "time": int(time.time() * 1000), **members}
        if manifest is not None:
            body["manifest"] = manifest["number"]
            if "step" in manifest:
                body.setdefault("step", manifest["step"]["id"])
        if state in ENDS:
            body["signature"] = b64(self.key.sign(canonical(body)).signature)
        return body

    def report(self, state, manifest=None, **members):
        answer = self.call("POST", "/device/v1/report", self.report_body(state, manifest, **members))
        if answer.status not in (200, 204):
            raise Refused(answer)
        self.held = answer.status == 200 and answer.json()["hold"]

    def inventory(self, **members):
        answer = self.call("PUT", "/device/v1/inventory", members)
        if answer.status != 204:
            raise Refused(answer)


def enrolled(server, device_id, token, **members):
    """A device that is enrolled and has a session."""
    device = Device(server, device_id)
    device.enrol(token, **members)
    device.session()
    return device


def enrol_token(server, name="enrol", **more):
    """The text of a new enrolment token."""
    return server.make_token(name, ["enroller"], **more).token
