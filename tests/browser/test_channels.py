# SPDX-License-Identifier: Apache-2.0
"""Channels on the dashboard."""
import pytest

from browser import Browser
from fleet_server import Fleetd, program
from fleet_story import Story
from waiting import ok


@pytest.fixture(name="channels")
def fixture_channels(tmp_path, browser):
    """Ten devices on a server whose channels look often; the admin looks at the empty page."""
    server = Fleetd(tmp_path / "fleetd").start(web_dir=program("web/dist"), channel_interval="200ms")
    story = Story(server, devices=10)
    browser.open(server)
    browser.go("/channels")
    browser.see(".empty", "fleetctl channel set")
    yield story
    browser.leave()
    server.stop()


def test_a_channel_shows_who_has_its_release(channels, browser: Browser):
    """A new channel appears by itself; its devices are counted as they come to have the release."""
    body = {"release": "factory", "selector": "attribute.region==eu"}
    ok(channels.api.put("/api/v1/channels/stable", body))
    browser.see("[data-channel=stable] .badge", "on")
    browser.see("[data-channel=stable]", "4 of 4 devices have it")
    ok(channels.api.put("/api/v1/channels/stable", {**body, "release": "autumn"}))
    browser.see("[data-channel=stable]", "0 of 4 devices have it")


def test_a_channel_is_paused_and_resumed(channels, browser: Browser):
    """Both are asked for once more, and a viewer can do neither."""
    ok(channels.api.put("/api/v1/channels/stable", {"release": "factory"}))
    browser.click("[data-channel=stable] button", "Pause")
    browser.see("dialog[open]", "No further device is brought up")
    browser.click("dialog button[type=submit]")
    browser.see("[data-channel=stable] .badge", "paused")
    browser.click("[data-channel=stable] button", "Resume")
    browser.click("dialog button[type=submit]")
    browser.see("[data-channel=stable] .badge", "on")
    browser.open(channels.api, channels.api.make_token("guest", ["viewer"]).token)
    browser.go("/channels")
    browser.see("[data-channel=stable]", "10 of 10 devices have it")
    assert not browser.all("[data-channel=stable] button")
