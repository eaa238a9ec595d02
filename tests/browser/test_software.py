# SPDX-License-Identifier: Apache-2.0
"""Modules, versions and releases on the dashboard."""


def test_a_version_is_blocked_and_unblocked(story, browser):
    """Blocking asks for a reason, pauses what brings the version, and says who runs it."""
    story.start("autumn")
    browser.click("nav a", "Software")
    browser.click(".list th a", "application")
    browser.see("h1", "application")
    browser.see("tr[data-version='1.1.0']", "library >=1.0.0")
    browser.click("[aria-label='Block 1.1.0']")
    browser.type("dialog [name=why]", "it leaks")
    browser.click("dialog button[type=submit]")
    browser.see("#notice", "application 1.1.0 is blocked; paused: autumn; 0 devices run it")
    browser.see("tr[data-version='1.1.0']", "it leaks")
    assert story.rollout("autumn")["state"] == "paused"
    browser.click("[aria-label='Unblock 1.1.0']")
    browser.click("dialog button[type=submit]")
    browser.see("[aria-label='Block 1.1.0']")
    browser.click("tr[data-version='1.0.0'] a", "Who runs it")
    browser.see(".more", "20 devices, that is all")


def test_a_release_is_made(story, browser):
    """The newest versions are proposed; a line that is no entry is told; then it can be rolled out."""
    browser.go("/software")
    browser.click("a.button", "New release")
    browser.wait("the newest versions", lambda: "library@1.2.0" in browser.run("return document.querySelector('textarea')?.value ?? ''"))
    browser.type("[name=name]", "few")
    browser.type("textarea", "library 1.2.0")
    browser.click("button[type=submit]", "Create")
    browser.see("[role=alert]", '"library 1.2.0" is no entry')
    browser.type("textarea", "library@1.2.0\napplication@1.1.0:install\n")
    browser.click("button[type=submit]", "Create")
    browser.see("h1", "Software")
    browser.see(".list tr", "application 1.1.0 (install)")
    browser.click("tr:has(th) a[href='#/new?release=few']")
    browser.see("h1", "New rollout")
    assert browser.run("return document.querySelector('[name=release]').value") == "few"
