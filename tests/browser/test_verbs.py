# SPDX-License-Identifier: Apache-2.0
"""What an operator does on the dashboard; each act is asked for once more."""
from selenium.webdriver.common.keys import Keys


def act(browser, label, *fields):
    """Press the button, fill what the question asks for, say yes."""
    browser.click(".verbs button", label)
    browser.see("dialog[open]")
    for css, text in fields:
        browser.type(f"dialog {css}", text)
    browser.click("dialog button[type=submit]")
    browser.gone("dialog[open]")


def buttons(browser):
    return [b.text for b in browser.all(".verbs button")]


def test_start_pause_resume(story, browser):
    """A rollout is started as it was read, paused with a reason, and resumed."""
    story.plan("autumn")
    browser.go("/rollouts/autumn")
    browser.see(".now", "Nothing is delivered before it is started")
    act(browser, "Start")
    browser.see("h1 .badge", "running")
    browser.see("#notice", "started: 3 waves of 3 layers")
    act(browser, "Pause", ("[name=why]", "the line in Graz stands still"))
    browser.see(".reason", "the line in Graz stands still")
    assert story.rollout("autumn")["state"] == "paused"
    act(browser, "Resume")
    browser.see("h1 .badge", "running")


def test_nothing_happens_without_the_second_yes(story, browser):
    """Cancel and Escape leave the rollout as it is."""
    story.start("autumn")
    browser.go("/rollouts/autumn")
    browser.click(".verbs button", "Roll back")
    browser.click("dialog button", "Cancel")
    browser.gone("dialog[open]")
    browser.click(".verbs button", "Stop")
    browser.see("dialog[open]", "It cannot be started again")
    browser.press(Keys.ESCAPE)
    browser.gone("dialog[open]")
    assert story.rollout("autumn")["state"] == "running"


def test_promote_passes_the_chosen_gate(story, browser):
    """A gate that failed is passed by hand, and the next stage opens."""
    story.start("autumn")
    story.work(2, "failed")
    browser.go("/rollouts/autumn")
    browser.see("h1 .badge", "paused")
    act(browser, "Promote")
    browser.see("[data-stage='L0.W0'][data-state=succeeded]", "passed by hand")


def test_retry_offers_it_again(story, browser):
    """Devices that failed get another attempt."""
    story.start("autumn")
    story.work(2, "failed")
    browser.go("/rollouts/autumn")
    browser.see(".reason", "gate of L0.W0 failed")
    act(browser, "Retry")
    browser.see("#notice", "devices that failed try again")


def test_stop_is_final(story, browser):
    """After a stop there is only the way back."""
    story.start("autumn")
    story.work(1)
    browser.go("/rollouts/autumn")
    act(browser, "Stop")
    browser.see("h1 .badge", "stop")
    browser.see("#notice", "may finish")
    story.wait("autumn", "stopped")
    browser.see("h1 .badge", "stopped")
    browser.wait("the way back alone", lambda: buttons(browser) == ["Roll back"])


def test_rollback_of_all_or_of_a_wave(story, browser):
    """The question names the waves; what was chosen is taken back, with its reason."""
    story.start("autumn")
    story.work_until("autumn", "completed")
    browser.go("/rollouts/autumn")
    browser.see("h1 .badge", "completed")
    browser.click(".verbs button", "Roll back")
    assert "wave 2 (12 devices)" in browser.see("dialog select").text
    browser.type("dialog [name=why]", "customers complain" + Keys.ENTER)
    browser.see("h1 .badge", "rolling back")
    story.work_until("autumn", "rolled_back")
    browser.see("h1 .badge", "rolled back")
    assert story.rollout("autumn")["reason"] == "customers complain"


def test_a_refused_act_says_what_to_do(story, browser):
    """The server's sentence is shown as it is, and stays until it is closed."""
    story.plan("autumn")
    for device in story.devices[:5]:
        device.inventory(installed=[{"module": "runtime", "version": "1.0.0"}])
    browser.go("/rollouts/autumn")
    act(browser, "Start")
    browser.see("#notice [role=alert]", "5 of 20 devices have changed since the plan was made")
    browser.click("#notice button")
    browser.gone("#notice [role=alert]")
    browser.click(".verbs button", "Start")
    browser.click("dialog [name=drift]")
    browser.click("dialog button[type=submit]")
    browser.see("h1 .badge", "running")
    assert browser.complaints(but=["422"]) == []


def approver(story, name):
    return story.api.make_token(name, ["approver"]).token


def test_a_plan_is_approved_by_those_who_may(story, browser):
    """Two approvers agree with the plan's digest, with a word each; then an operator can start it."""
    story.create("autumn", approvals=2)
    story.wait("autumn", "waiting_approval")
    browser.go("/rollouts/autumn")
    browser.see(".approvals", "2 approvals missing")
    for name, word in (("anna", "read it"), ("bob", "me too")):
        browser.open(story.api, approver(story, name))
        browser.go("/rollouts/autumn")
        browser.see(".badge", "waiting for approval")
        assert buttons(browser) == ["Approve", "Deny"]
        act(browser, "Approve", ("[name=why]", word))
        browser.see(".approvals", f"approved by {name}")
        browser.see(".approvals", word)
    browser.see("h1 .badge", "ready")
    browser.open(story.api)
    browser.go("/rollouts/autumn")
    act(browser, "Start")
    browser.see("h1 .badge", "running")


def test_a_plan_is_denied_with_a_reason(story, browser):
    """Denying asks why; the rollout never starts, and everybody sees who said so."""
    story.create("autumn", approvals=1)
    story.wait("autumn", "waiting_approval")
    browser.open(story.api, approver(story, "anna"))
    browser.go("/rollouts/autumn")
    browser.click(".verbs button", "Deny")
    browser.click("dialog button[type=submit]")
    assert browser.all("dialog[open]"), "a reason is required"
    browser.type("dialog [name=why]", "wave 2 is too large")
    browser.click("dialog button[type=submit]")
    browser.see("h1 .badge", "denied")
    browser.see(".approvals", "denied by anna")
    browser.see(".approvals", "wave 2 is too large")
    assert buttons(browser) == []


def test_a_verdict_is_given_by_hand(story, browser):
    """A gate that waits for a verdict from outside takes one from the dashboard, with who and why."""
    story.start("autumn", gate={"external": {"within_s": 600}})
    story.work(2)
    browser.go("/rollouts/autumn")
    browser.see("[data-stage='L0.W0']", "waits for a verdict")
    act(browser, "Verdict", ("[name=why]", "smoke tests are green"))
    browser.see("[data-stage='L0.W0'][data-state=succeeded]", "dashboard: smoke tests are green")


def test_a_viewer_looks_and_does_not_touch(story, browser):
    """Without the role of an operator there are no buttons."""
    story.start("autumn")
    browser.open(story.api, story.api.make_token("guest", ["viewer"]).token)
    browser.go("/rollouts/autumn")
    browser.see("[data-stage='L0.W0']", "0 of 2 confirmed")
    assert buttons(browser) == []
