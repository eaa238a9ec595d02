# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a mock server, and fleet-agent and fleet-swarm as programs beside it."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fleet_agent import Agent, Swarm  # noqa: E402
from mock_server import Mock  # noqa: E402


@pytest.fixture
def mock():
    server = Mock().start()
    yield server
    server.stop()


@pytest.fixture
def agent(tmp_path, mock):
    return Agent(tmp_path / "d1", mock)


@pytest.fixture
def swarm(tmp_path, mock):
    made = []

    def make(*more):
        made.append(Swarm(tmp_path, mock, *more))
        return made[-1]

    yield make
    for s in made:
        if s.process.poll() is None:
            s.process.kill()
            s.process.communicate()
