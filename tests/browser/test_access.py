# SPDX-License-Identifier: Apache-2.0
"""Tokens and webhooks on the dashboard."""


def press(browser, name):
    browser.click(f"[aria-label='{name}']")
    browser.click("dialog button[type=submit]")


def test_a_token_is_made_used_and_revoked(story, browser):
    """The secret is shown once and works; after its revocation it does not."""
    browser.click("nav a", "Tokens")
    browser.click("button", "New token")
    browser.type("dialog [name=name]", "night-shift")
    browser.click("dialog [value=operator]")
    browser.type("dialog [name=selector]", "attribute.region==eu")
    browser.click("dialog button", "Create")
    secret = browser.see("dialog .secret").text
    browser.click("dialog button[type=submit]")
    browser.see(".list tr", "night-shift")
    assert secret not in browser.text()
    who = story.api.as_token(secret).get("/api/v1/whoami").json()
    assert (who["name"], who["roles"], who["selector"]) == ("night-shift", ["operator"], "attribute.region==eu")
    press(browser, "Revoke night-shift")
    browser.gone("[aria-label='Revoke night-shift']")
    assert story.api.as_token(secret).get("/api/v1/whoami").status == 401


def test_a_webhook_is_made_tested_and_deleted(story, browser):
    """It shows how it fares; off it gets nothing; deleted it is gone."""
    browser.go("/webhooks")
    browser.see(".empty", "No webhook yet")
    browser.click("button", "New webhook")
    browser.type("dialog [name=name]", "ci")
    browser.type("dialog [name=url]", "https://hooks.example.com/fleet")
    browser.type("dialog [name=kinds]", "rollout.*, gate.decided")
    browser.click("dialog button", "Create")
    assert browser.see("dialog .secret").text.startswith("whsec_")
    browser.click("dialog button[type=submit]")
    browser.see(".list tr", "rollout.*, gate.decided")
    browser.click("[aria-label='Switch ci off']")
    browser.see(".list tr .state", "off")
    assert story.api.get("/api/v1/webhooks/ci").json()["enabled"] is False
    press(browser, "Delete ci")
    browser.see(".empty", "No webhook yet")


def test_only_those_who_may_see_them(story, browser):
    """A viewer's menu has neither, and the address alone does not help."""
    browser.open(story.api, story.api.make_token("guest", ["viewer"]).token)
    assert "Tokens" not in browser.text("nav") and "Webhooks" not in browser.text("nav")
    browser.go("/tokens")
    browser.see(".empty", "Only admins")
