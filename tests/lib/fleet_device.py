# SPDX-License-Identifier: Apache-2.0
"""A device as fleet-protocol(7) describes it, written from the manual and not from our library.

    enroller = fleetd.make_token("line 1", ["enroller"])
    device = Device(fleetd.port, "dev-1").enrol(enroller.token)   # and a session
    device.get("/device/v1/poll")                                 # MAC'd, the answer's MAC checked
"""
import base64
import hashlib
import json
import secrets
import time

import nacl.bindings
import nacl.public
import nacl.signing

from fleet_server import Client


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(value):
    """Canonical JSON of what has no control characters in it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Device(Client):
    """One device with its key, its session and its nonces."""

    def __init__(self, port, name, key=None):
        super().__init__(port)
        self.name = name
        self.key = key or nacl.signing.SigningKey.generate()
        self.session = None
        self.session_key = None
        self.nonce = 0
        self.manifest = 0
        self.root = None

    # ---- proof of the key: RFC 9421 over method, path and digest

    def proof(self, method, path, body, created=None, nonce=None):
        digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
        parameters = '("@method" "@path" "content-digest")' + (
            f";created={created or int(time.time())};keyid=\"{self.name}\";alg=\"ed25519\""
            f";nonce=\"{nonce or secrets.token_hex(12)}\""
        )
        base = "\n".join(
            [
                f'"@method": {method}',
                f'"@path": {path}',
                f'"content-digest": {digest}',
                f'"@signature-params": {parameters}',
            ]
        )
        signature = base64.b64encode(self.key.sign(base.encode()).signature).decode()
        return {
            "Content-Type": "application/json",
            "Content-Digest": digest,
            "Signature-Input": f"sig1={parameters}",
            "Signature": f"sig1=:{signature}:",
        }

    def send_enrolment(self, token, **more):
        """The answer to an enrolment with this token."""
        body = json.dumps(
            {"device": self.name, "public_key": base64url(bytes(self.key.verify_key)), **more}
        ).encode()
        headers = self.proof("POST", "/device/v1/enrol", body)
        headers["Authorization"] = f"Bearer {token}"
        return Client.request(self, "POST", "/device/v1/enrol", data=body, headers=headers)

    def send_handshake(self, **more):
        """The answer to a handshake."""
        body = json.dumps({"device": self.name}).encode()
        headers = self.proof("POST", "/device/v1/session", body, **more)
        return Client.request(self, "POST", "/device/v1/session", data=body, headers=headers)

    def enrol(self, token, **more):
        """Enrol and make a session."""
        answer = self.send_enrolment(token, **more)
        assert answer.status in (200, 201), answer
        self.root = answer.json()["root"]
        return self.connect_session()

    def connect_session(self):
        answer = self.send_handshake()
        assert answer.status == 200, answer
        body = answer.json()
        self.session = body["session"]
        box = nacl.public.SealedBox(self.key.to_curve25519_private_key())
        self.session_key = box.decrypt(from_base64url(body["sealed_key"]))
        self.nonce = 0
        return self

    # ---- requests under the session

    def mac(self, key, *parts, body):
        """SipHash-2-4-128 over lines and the digest of the body, if there is one."""
        text = "".join(f"{part}\n" for part in parts).encode()
        if body:
            text += hashlib.blake2b(body, digest_size=32).digest()
        return base64url(nacl.bindings.crypto_shorthash_siphashx24(text, key))

    def request(self, method, path, json=None, data=None, headers=None, timeout=60):
        """A request under the session; its answer's MAC is checked."""
        body, head = self.head_of(data, json, headers)
        self.nonce += 1
        mac = self.mac(self.session_key[:16], method, path, self.nonce, self.manifest, body=body)
        head["Authorization"] = f"Fleet {self.session}.{self.nonce}.{self.manifest}.{mac}"
        nonce = self.nonce
        answer = Client.request(self, method, path, data=body, headers=head, timeout=timeout)
        if answer.status != 401:
            self.check(answer, nonce)
        return answer

    def check(self, answer, nonce):
        number, mac = answer.headers["Fleet-Mac"].split(".")
        right = self.mac(self.session_key[16:], answer.status, nonce, number, body=answer.body)
        assert mac == right, "the answer's MAC is wrong"
        assert int(number) >= self.manifest

    def sign(self, body):
        """A body that ends a step, with its signature."""
        return {**body, "signature": base64url(self.key.sign(canonical(body)).signature)}
