# SPDX-License-Identifier: Apache-2.0
"""A large fleet for benchmarks: 20 modules in 6 layers, 60 distinct sets, 12 strata. The devices are copies
of a few that were registered, made by SQL while the server stands still."""
import sqlite3

from bench import good, publish

MODULES, LAYERS, VERSIONS, STATES, STRATA = 20, 6, 4, 60, 12


def name(m):
    return f"module-{m:02}"


def required(m):
    """Module m lies in layer m % LAYERS and requires one or two of the layer below."""
    if m % LAYERS == 0:
        return []
    return [k for k in range(MODULES) if k % LAYERS == m % LAYERS - 1 and (k // LAYERS == m // LAYERS or k < LAYERS)]


def installed(state):
    """What devices of this state have; lower modules are never older than what requires them."""
    return [{"module": name(m), "version": f"{1 + (1 + state % 2 if state % 6 >= m % LAYERS else 0) + (state // 12 > m)}.0.0"}
            for m in range(MODULES)]


def make_software(server):
    for m in range(MODULES):
        for v in range(VERSIONS):
            publish(server, name(m), [f"{v + 1}.0.0"], {name(k): f">={v + 1}" for k in required(m)})
    entries = [{"module": name(m), "version": f"{VERSIONS}.0.0"} for m in range(MODULES)]
    good(server.put("/api/v1/releases/all", {"entries": entries}))


def make_devices(server, number):
    """Sixty times twelve by the API, the others as their copies."""
    lines = "".join(f'{{"id":"d{i}","attributes":{{"hw":"rev{i // STATES % 4}","region":"r{i // STATES % 3}"}},'
                    f'"installed":{str(installed(i % STATES)).replace(chr(39), chr(34))}}}\n' for i in range(STATES * STRATA))
    good(server.post("/api/v1/devices", data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}))
    server.stop()
    with sqlite3.connect(server.data / "fleetd.db") as db:
        first = db.execute("SELECT min(no) FROM device").fetchone()[0]
        number -= STATES * STRATA
        copies = (f"WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < {number}) "
                  f"SELECT {first + STATES * STRATA - 1} + n AS no, {first} + n % {STATES * STRATA} AS model, n FROM i")
        db.execute(f"INSERT INTO device (no, id, state_id) SELECT c.no, 'copy-' || c.n, d.state_id FROM ({copies}) c "
                   "JOIN device d ON d.no = c.model")
        db.execute("INSERT INTO device_profile (device_no, attributes, labels, created_at, changed_at) "
                   "SELECT c.no, p.attributes, p.labels, p.created_at, p.changed_at "
                   f"FROM ({copies}) c JOIN device_profile p ON p.device_no = c.model")
    db.close()
    server.start()
