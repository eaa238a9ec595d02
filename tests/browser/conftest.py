# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one Chromium for all tests, a new fleetd with the built dashboard for each."""
import pytest

from browser import Browser
from fleet_server import Fleetd, program
from fleet_story import Story


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    window = Browser(tmp_path_factory.mktemp("chromium"))
    yield window
    window.close()


@pytest.fixture
def browser(chromium):
    """The window, wide and light. Afterwards the console must hold nothing against the page."""
    chromium.size(1400, 1000)
    chromium.prefer("light")
    yield chromium
    left = chromium.complaints()
    chromium.leave()
    assert left == []


@pytest.fixture
def dashboard(tmp_path):
    """A running fleetd that serves the dashboard as it was built."""
    server = Fleetd(tmp_path / "fleetd").start(web_dir=program("web/dist"))
    yield server
    if server.process is not None:
        server.stop()


@pytest.fixture
def story(dashboard, browser):
    """Twenty devices and three releases; the admin is signed in."""
    story = Story(dashboard)
    browser.open(dashboard)
    return story
