# SPDX-License-Identifier: Apache-2.0
"""The audit trail on the dashboard."""
from waiting import ok


def rows(browser):
    return [tr.text for tr in browser.all(".list tbody tr")]


def test_the_trail_is_shown_as_it_grows(dashboard, browser):
    """The newest line is on top, and a new one comes without a reload."""
    browser.open(dashboard)
    browser.go("/audit")
    browser.see(".list", "token.created")
    ok(dashboard.put("/api/v1/modules/app", {"kind": "wasm"}))
    browser.see(".list tbody tr:first-child", "module.created")
    browser.see("p.quiet", "fleetctl audit verify")


def test_filters_are_in_the_address(story, browser):
    """By kind, by whom, about what; a line that does not match stays out also when it is new."""
    story.plan("autumn")
    browser.go("/audit?kind=rollout")
    browser.see(".list", "rollout.planned")
    assert all("rollout." in row for row in rows(browser))
    ok(story.api.put("/api/v1/modules/other", {"kind": "wasm"}))
    story.verb("autumn", "start")
    browser.see(".list", "start: started: 3 waves of 3 layers")
    assert all("rollout." in row for row in rows(browser))
    browser.type("#filter-subject", "device-003")
    browser.run("document.getElementById('filter-kind').value = ''")
    browser.click("button", "Filter")
    browser.see(".list", "device.enrolled")
    assert len(rows(browser)) == 1
    assert browser.driver.current_url.endswith("#/audit?subject=device-003")
    browser.click(".list a", "device-003")
    browser.see("h1", "device-003")
    browser.go("/audit?actor=nobody")
    browser.see(".empty", "No event matches")


def test_older_lines_come_when_asked_for(dashboard, browser):
    """A long trail is read in pages, each line once."""
    for i in range(130):
        ok(dashboard.put(f"/api/v1/modules/m{i}", {"kind": "wasm"}))
    browser.open(dashboard)
    browser.go("/audit")
    browser.click("button", "Older")
    browser.wait("all lines", lambda: len(rows(browser)) == 133)
    browser.gone("button", "Older")
    numbers = browser.run("return Array.from(document.querySelectorAll('.list tbody td:first-child'), (td) => Number(td.textContent))")
    assert numbers == list(range(133, 0, -1))


def test_the_past_of_a_rollout_is_told(story, browser):
    """Who comes later reads what has happened, with the gates' numbers, and finds the rest in the trail."""
    story.start("autumn")
    story.work(6)
    browser.go("/rollouts/autumn")
    browser.see(".timeline", "gate of L2.W0 succeeded: 2 of 2 confirmed")
    browser.see(".timeline", "by admin")
    browser.click("h2 a", "all of it")
    browser.see(".list", "rollout.created")
