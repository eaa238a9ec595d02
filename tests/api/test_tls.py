# SPDX-License-Identifier: Apache-2.0
"""HTTPS: certificates, session tickets, exchange on SIGHUP."""
import re
import signal
import socket
import ssl
import subprocess

import pytest

from fleet_server import trust_only


def make_certificate(folder, name):
    """A self-signed certificate for localhost; returns (certificate, key)."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-keyout", str(key), "-out", str(certificate), "-days", "30", "-subj", f"/CN={name}"]
        + ["-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def secured(new_fleetd, tmp_path):
    """A running server with TLS; its client trusts the certificate `first`."""
    certificate, key = make_certificate(tmp_path, "first")
    server = new_fleetd()
    server.context = trust_only(certificate)
    server.start(tls_certificate=certificate, tls_key=key)
    return server


def test_https_serves(secured):
    """With a certificate the API speaks HTTPS, and only that."""
    assert secured.get("/api/v1/whoami").status == 200
    with socket.create_connection(("127.0.0.1", secured.port), timeout=60) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not s.recv(100).startswith(b"HTTP/")


def test_old_protocols_are_refused(secured):
    """TLS 1.1 and older do not connect; 1.2 and 1.3 do."""
    for version in ("-tls1_2", "-tls1_3"):
        assert "Verify return code" in s_client(secured.port, version)
    assert "no peer certificate available" in s_client(secured.port, "-tls1_1")


def s_client(port, *options):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout


def test_sessions_are_resumed(secured, tmp_path):
    """A second connection with the ticket of the first one is resumed, which spares the handshake."""
    session = tmp_path / "session"
    request = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for option, words in [("-sess_out", "New,"), ("-sess_in", "Reused,")]:
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{secured.port}", "-ign_eof"]
            + [option, str(session)],
            input=request,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
        assert words in shown, shown
        assert "200 OK" in shown


def test_a_large_answer_over_tls(secured):
    """More bytes than one TLS record arrive whole."""
    text = secured.get("/metrics").body
    assert text.endswith(b"\n") and len(text) > 3000


def test_hangup_takes_a_new_certificate(secured, tmp_path):
    """SIGHUP exchanges the certificate for new connections; open ones go on; a bad one is not taken."""
    first, key = secured.settings["tls_certificate"], secured.settings["tls_key"]
    opened = secured.connect()
    opened.request("GET", "/healthz")
    opened.getresponse().read()
    new_certificate, new_key = make_certificate(tmp_path, "second")
    key.write_bytes(new_key.read_bytes())
    secured.signal(signal.SIGHUP)
    wait_for_log(secured, "everything stays as it was")
    assert subject_of(secured.port) == "first"
    first.write_bytes(new_certificate.read_bytes())
    secured.signal(signal.SIGHUP)
    wait_for_log(secured, "reloaded")
    assert subject_of(secured.port) == "second"
    opened.request("GET", "/healthz")
    assert opened.getresponse().status == 200
    opened.close()
    secured.context = trust_only(first)
    assert secured.get("/readyz").status == 200


def wait_for_log(server, words):
    """Signals have no answer: connect until the log holds the words."""
    for _ in range(2000):
        if words in server.log():
            return
        subject_of(server.port)
    raise AssertionError(f"{words!r} is not in the log:\n{server.log()}")


def subject_of(port):
    """The name in the certificate that the server shows now."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, text=True, check=True
    ).stdout
    return re.search(r"CN ?= ?(\w+)", shown).group(1)


def test_a_key_of_another_certificate_is_refused(new_fleetd, tmp_path):
    """A start with a key that does not fit, or with rubbish, is refused with a sentence."""
    certificate, _ = make_certificate(tmp_path, "one")
    _, other = make_certificate(tmp_path, "two")
    refused = new_fleetd().run(tls_certificate=certificate, tls_key=other)
    assert refused.returncode != 0 and "is not the key of" in refused.stderr
    other.write_text("rubbish")
    assert new_fleetd("b").run(tls_certificate=certificate, tls_key=other).returncode != 0
