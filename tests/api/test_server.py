# SPDX-License-Identifier: Apache-2.0
"""Start, stop and signals of fleetd."""
import json
import os
import signal
import socket
import subprocess
import threading


def test_first_start_makes_an_admin_token_that_works(fleetd):
    """The admin token of the first start is in a file of mode 0600 and opens the API."""
    path = fleetd.data / "admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert fleetd.data.stat().st_mode & 0o777 == 0o700
    assert fleetd.token in fleetd.log()
    assert fleetd.get("/api/v1/whoami").status == 200
    assert fleetd.anonymous().get("/api/v1/whoami").status == 401


def test_second_start_keeps_the_token_secret(fleetd):
    """A later start does not show the token again, and the old one still works."""
    token = fleetd.token
    fleetd.stop()
    fleetd.log_path.unlink()
    fleetd.start()
    assert token not in fleetd.log()
    assert fleetd.get("/api/v1/whoami").status == 200


def test_second_process_on_the_same_data_is_refused(fleetd):
    """Two fleetds never share a data folder; the sentence says what to do."""
    second = fleetd.run()
    assert second.returncode != 0
    assert "another fleetd uses data_dir" in second.stderr
    assert fleetd.get("/readyz").status == 200


def test_port_in_use_is_refused(fleetd, new_fleetd):
    """A taken port stops the start with a sentence; so it does with shared sockets (loops > 1)."""
    for loops in (1, 2):
        other = new_fleetd(f"other{loops}")
        refused = other.run(listen=f"127.0.0.1:{fleetd.port}", loops=loops)
        assert refused.returncode != 0
        assert "in use" in refused.stderr


def test_bad_settings_are_refused(new_fleetd):
    """Each wrong setting stops the start and names itself."""
    server = new_fleetd()
    for name, value, words in [
        ("loops", "0", "outside of 1 to 64"),
        ("loops", "many", "not a number"),
        ("idle_timeout", "5 parsecs", "duration"),
        ("listen", "nowhere", "ADDRESS:PORT"),
        ("listen", "0.0.0.0:0", "not loopback"),
        ("log_level", "loud", "log level"),
        ("tls_certificate", "/nonexistent", "together"),
        ("tenant", "a b", "not a name"),
    ]:
        refused = server.run(**{name: value})
        assert refused.returncode != 0, (name, value)
        assert words in refused.stderr, (name, value, refused.stderr)
    misspelt = server.run("--lisen=127.0.0.1:0")
    assert misspelt.returncode == 2


def test_config_file_names_line_and_nearest_setting(new_fleetd, tmp_path):
    """A misspelt name in the file is an error with its line and the nearest name."""
    path = tmp_path / "fleetd.conf"
    path.write_text("# a comment\nloops = 1\nbatch_maximum = 3\n")
    refused = new_fleetd().run(f"--config={path}")
    assert refused.returncode == 2
    assert f"{path}:3" in refused.stderr
    path.write_text("batch_mx = 3\n")
    assert 'did you mean "batch_max"' in new_fleetd("b").run("--config", str(path)).stderr


def test_flags_win_over_environment_over_file(new_fleetd, tmp_path):
    """A flag beats a variable, a variable beats the file, and --show-config says where each is from."""
    path = tmp_path / "fleetd.conf"
    path.write_text("readers = 3\nworkers = 3\nbatch_max = 3\n")
    env = {"FLEETD_WORKERS": "4", "FLEETD_BATCH_MAX": "4"}
    shown = new_fleetd().run("--show-config", f"--config={path}", env=env, batch_max=5).stdout
    assert "readers = 3  # file" in shown
    assert "workers = 4  # environment" in shown
    assert "batch_max = 5  # flag" in shown
    assert "loops = 1  # default" in shown


def test_check_tries_everything_and_leaves_nothing_running(new_fleetd):
    """--check brings all parts up and down; beside a running fleetd it checks the settings."""
    server = new_fleetd()
    checked = server.run("--check")
    assert checked.returncode == 0, checked.stderr
    server.start()
    beside = server.run("--check")
    assert beside.returncode == 0
    assert "running" in beside.stdout


def test_unwritable_data_is_refused(new_fleetd, tmp_path):
    """A data folder that cannot be made stops the start with a sentence."""
    (tmp_path / "file").write_text("")
    refused = new_fleetd().run(data_dir=tmp_path / "file" / "data")
    assert refused.returncode != 0
    assert "data_dir" in refused.stderr


def test_term_stops_cleanly_and_closes_idle_connections(fleetd):
    """SIGTERM ends the process with status 0 though a client keeps an idle connection open."""
    connection = fleetd.connect()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read()
    fleetd.stop()
    connection.close()


def test_stop_under_load_answers_what_it_has_taken(fleetd):
    """During SIGTERM each request is answered in full or not at all; what got 2xx is stored."""
    stored, failed = [], []

    def pipeline(worker):
        for i in range(100000):
            name = f"m{worker}-{i}"
            try:
                answer = fleetd.put(f"/api/v1/modules/{name}", {"kind": "file"})
            except (OSError, Exception) as failure:  # pylint: disable=broad-except
                failed.append(failure)
                return
            if answer.status == 201:
                stored.append(name)
            elif answer.status != 503:
                failed.append(answer)
                return
            if len(stored) >= 60:
                enough.set()

    enough = threading.Event()
    threads = [threading.Thread(target=pipeline, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    fleetd.stop()
    for thread in threads:
        thread.join(60)
    assert all(isinstance(f, OSError) or "RemoteDisconnected" in type(f).__name__ for f in failed), failed
    fleetd.start()
    for name in stored:
        assert fleetd.get(f"/api/v1/modules/{name}").status == 200, name


def test_hangup_takes_reloadable_settings(new_fleetd, tmp_path):
    """SIGHUP takes a changed log level, warns about a setting that needs a restart, and serves on."""
    path = tmp_path / "fleetd.conf"
    path.write_text("log_level = warning\nreaders = 2\n")
    server = new_fleetd()
    server.start(config=path)
    path.write_text("log_level = info\nreaders = 3\n")
    server.signal(signal.SIGHUP)
    wait_for_log(server, "reloaded")
    assert "next start" in server.log() and "readers" in server.log()
    path.write_text("log_level = shouting\n")
    server.signal(signal.SIGHUP)
    wait_for_log(server, "everything stays as it was")
    assert server.get("/readyz").status == 200


def wait_for_log(server, words):
    """Ask the server something until its log holds the words: signals have no answer."""
    for _ in range(2000):
        if words in server.log():
            return
        server.anonymous().get("/healthz")
    raise AssertionError(f"{words!r} is not in the log:\n{server.log()}")


def test_several_loops_serve_on_one_port(new_fleetd):
    """With loops=3 every connection is served, whichever loop gets it."""
    server = new_fleetd().start(loops=3)
    for _ in range(50):
        assert server.get("/api/v1/whoami").status == 200


def test_connections_over_the_limit_wait_and_are_served_later(new_fleetd):
    """Above the limit a connection is not served until another one ends."""
    server = new_fleetd().start(connections=8)
    held = []
    for _ in range(8):
        connection = server.connect()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        held.append(connection)
    late = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    late.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for connection in held:
        connection.close()
    received = b""
    while chunk := late.recv(65536):
        received += chunk
    late.close()
    assert received == b"" or received.startswith(b"HTTP/1.1 200")
    assert server.get("/healthz").status == 200


def test_one_address_gets_no_more_than_its_share(new_fleetd):
    """With connections_per_ip = 3 a fourth connection of one address is closed unanswered."""
    server = new_fleetd().start(connections_per_ip=3)
    held = [server.connect() for _ in range(3)]
    for connection in held:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            assert s.recv(100) == b""
        except ConnectionResetError:
            pass
    for connection in held:
        connection.close()


def test_headers_over_the_limit_are_refused(shared_fleetd):
    """A request whose headers do not fit is answered 431 or 400 and costs nothing."""
    answer = shared_fleetd.get("/healthz", headers={"X-Long": "a" * 20000})
    assert answer.status in (400, 431, 413)
    assert shared_fleetd.get("/healthz").status == 200


def test_database_of_a_newer_fleetd_is_refused(fleetd):
    """A database with an unknown migration, or another text of a known one, is not touched."""
    fleetd.stop()
    path = fleetd.data / "fleetd.db"

    def sql(text):
        subprocess.run(["sqlite3", str(path), text], check=True)

    sql("INSERT INTO migration VALUES ('9999-future', 'ff', 0)")
    refused = fleetd.run()
    assert refused.returncode != 0 and "newer fleetd" in refused.stderr
    sql("DELETE FROM migration WHERE name = '9999-future'; UPDATE migration SET sha256 = 'ff'")
    refused = fleetd.run()
    assert refused.returncode != 0 and "another text" in refused.stderr


def test_verify_finds_nothing_on_new_data(fleetd):
    """fleetd --verify is clean after a first start and refuses while fleetd runs."""
    assert fleetd.run("--verify").returncode != 0
    fleetd.stop()
    verified = fleetd.run("--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_manual_sections_come_from_the_tables(new_fleetd):
    """--manual prints each table; the routes include the one that is being tested."""
    server = new_fleetd()
    assert "/healthz" in server.run("--manual", "routes").stdout
    assert "data_dir" in server.run("--manual", "settings").stdout
    assert "fleetd_requests_total" in server.run("--manual", "metrics").stdout
    assert "not-found" in server.run("--manual", "errors").stdout
    assert server.run("--manual", "poems").returncode == 2
    assert server.run("--version").stdout.startswith("fleetd ")


def test_log_as_json_is_json(new_fleetd):
    """log_format = json makes every line a JSON object."""
    server = new_fleetd().start(log_format="json")
    server.stop()
    lines = [line for line in server.log().splitlines() if line.startswith("{")]
    assert {json.loads(line)["msg"] for line in lines} >= {"serving", "stopped"}
    assert os.path.exists(server.data / "fleetd.db")
