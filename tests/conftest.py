# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all Python tests: a real fleetd on a temporary folder."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))

from fleet_server import Fleetd  # noqa: E402
from moved_clock import MovedClock  # noqa: E402


def end(server):
    """Stop a server that the test has left running; a killed one stays down."""
    if server.process is not None:
        server.stop()


@pytest.fixture
def fleetd(tmp_path):
    """A running fleetd, new for this test. Stopped afterwards, which must be clean."""
    server = Fleetd(tmp_path / "fleetd").start()
    yield server
    end(server)


@pytest.fixture
def new_fleetd(tmp_path):
    """Make servers that are not started yet: new_fleetd("a").start(loops=2)."""
    made = []

    def make(name="fleetd"):
        made.append(Fleetd(tmp_path / name))
        return made[-1]

    yield make
    for server in made:
        end(server)


@pytest.fixture
def clock(tmp_path):
    """A wall clock that the test moves: new_fleetd().start(env=clock.env)."""
    return MovedClock(tmp_path)


@pytest.fixture(scope="module")
def shared_fleetd(tmp_path_factory):
    """One running fleetd for all tests of a file that do not disturb each other."""
    server = Fleetd(tmp_path_factory.mktemp("shared") / "fleetd").start()
    yield server
    end(server)
