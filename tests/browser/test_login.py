# SPDX-License-Identifier: Apache-2.0
"""Signing in and out of the dashboard."""
from selenium.webdriver.common.keys import Keys


def test_a_wrong_token_is_refused_and_says_what_to_do(dashboard, browser):
    """A token that fleetd does not know opens nothing, and the page says where tokens come from."""
    browser.load(dashboard)
    browser.type("#token", "flt_1_nonsense" + Keys.ENTER)
    browser.see("[role=alert]", "does not know this token")
    browser.see("form.login", "fleetctl token create")
    assert not browser.all("#top nav")
    assert browser.focused() == "token"
    assert browser.complaints(but=["401"]) == []


def test_the_token_lives_as_long_as_the_tab(dashboard, browser):
    """A reload keeps it, signing out forgets it, and the token is nowhere in the address."""
    browser.open(dashboard)
    browser.driver.refresh()
    browser.see("#top .who", "admin")
    assert dashboard.token not in browser.driver.current_url
    assert browser.run("return localStorage.length") == 0
    browser.click("#top button", "Sign out")
    browser.see("form.login")
    assert browser.run("return sessionStorage.length") == 0
    browser.go("/devices")
    browser.see("form.login")


def test_a_revoked_token_ends_the_visit(dashboard, browser):
    """The page asks for a token again as soon as the server refuses the one it has."""
    guest = dashboard.make_token("guest", ["viewer"])
    browser.open(dashboard, guest.token)
    browser.see(".empty", "No rollout yet")
    number = next(t["id"] for t in dashboard.get("/api/v1/tokens").json()["items"] if t["name"] == "guest")
    assert dashboard.delete(f"/api/v1/tokens/{number}").status == 204
    browser.see("form.login")
    assert browser.complaints(but=["401"]) == []


def test_after_signing_in_the_page_asked_for_is_shown(dashboard, browser):
    """An address that somebody was sent survives the question for the token."""
    browser.load(dashboard)
    browser.go("/deltas")
    browser.see("form.login")
    browser.type("#token", dashboard.token + Keys.ENTER)
    browser.see("h1", "Deltas")
