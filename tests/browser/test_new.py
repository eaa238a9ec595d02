# SPDX-License-Identifier: Apache-2.0
"""A rollout is planned, compared and created on the dashboard."""


def choose(browser, css, value):
    browser.see(css)
    browser.run("const s = document.querySelector(arguments[0]); s.value = arguments[1];"
                "s.dispatchEvent(new Event('change', { bubbles: true }))", css, value)


def test_a_rollout_from_the_form_to_its_start(story, browser):
    """Preview keeps nothing; what is created has what the form says; then it is started as it was read."""
    browser.click("a.button", "New rollout")
    browser.see("h1", "New rollout")
    browser.type("[name=name]", "from-the-form")
    choose(browser, "[name=release]", "autumn")
    choose(browser, "[name=whom]", "selector")
    browser.type("[name=selector]", "attribute.region==eu")
    browser.type("[aria-label='Size of wave 0']", "2")
    browser.type("[aria-label='Size of wave 1']", "x2")
    browser.type("[name=success_percent]", "90")
    browser.type("[name=soak_min]", "1")
    browser.type("[name=strata]", "attribute.hw")
    browser.click("summary", "Pace")
    browser.type("[name=max_in_flight]", "5")
    browser.click("[name=joiners]")
    browser.type("[name=max_joiners]", "3")
    browser.click("button", "Preview the plan")
    browser.see(".preview .tile", "of 7 devices")
    assert story.api.get("/api/v1/rollouts/from-the-form").status == 404
    browser.type("[name=soak_min]", "2")
    browser.see(".preview h2", "before your last change")
    browser.click("button[type=submit]", "Create")
    browser.see("h1", "from-the-form")
    made = story.wait("from-the-form", "ready")
    strategy = made["strategy"]
    assert (made["release"], made["selector"], made["waves"]) == ("autumn", "attribute.region==eu", 3)
    assert strategy["gate"]["success"]["percent"] == 90 and strategy["strata"] == ["attribute.hw"] and strategy["soak_s"] == 120
    assert (strategy["max_in_flight"], strategy["joiners"], strategy["max_joiners"]) == (5, "last_wave", 3)
    browser.click(".verbs button", "Start")
    browser.click("dialog button[type=submit]")
    browser.see("h1 .badge", "running")


def test_windows_are_given(story, browser):
    """Rules of cron and of RFC 5545, how long they are open and whose clock they mean."""
    browser.go("/new")
    browser.type("[name=name]", "nightly")
    choose(browser, "[name=release]", "autumn")
    browser.click("summary", "Maintenance windows")
    browser.type("[name=delivery]", "0 22 * * mon-fri")
    browser.type("[name=switch]", "FREQ=DAILY;BYHOUR=2")
    browser.type("[name=switch_h]", "1.5")
    browser.type("[name=zone]", "Europe/Vienna")
    browser.type("[name=zone_of]", "attribute.zone")
    browser.click("button[type=submit]", "Create")
    browser.see("h1", "nightly")
    assert story.wait("nightly", "ready")["strategy"]["windows"] == {
        "delivery": [{"cron": "0 22 * * mon-fri", "duration_s": 28800}],
        "switch": [{"rrule": "FREQ=DAILY;BYHOUR=2", "duration_s": 5400}],
        "zone": "Europe/Vienna", "zone_of": "attribute.zone"}


def test_what_is_wrong_stands_under_the_form(story, browser):
    """A refusal of the server, a strategy that is none, and a plan that is refused are told where one looks."""
    browser.go("/new?release=winter")
    browser.type("[name=name]", "wrong")
    browser.type("[aria-label='Size of wave 0']", "colour==red")
    browser.click("button", "Preview the plan")
    browser.see("#new [role=alert]", "colour")
    browser.type("[aria-label='Size of wave 0']", "1%")
    browser.click("summary", "Further members")
    browser.type("[name=json]", "{")
    browser.click("button", "Preview the plan")
    browser.see("#new [role=alert]", "no JSON object")
    browser.type("[name=json]", '{"gate": {"sprt": {}}}')
    browser.click("button", "Preview the plan")
    browser.see(".preview .refusals", "needs 55 outcomes")
    assert browser.complaints(but=["400", "422"]) == []


def test_gates_and_waves_are_chosen(story, browser):
    """Another gate has other fields; waves come and go, and keep what was typed into the others."""
    browser.go("/new")
    choose(browser, "[name=gate]", "sprt")
    browser.see("[name=p0_percent]")
    browser.gone("[name=success_percent]")
    browser.type("[name=p0_percent]", "2")
    browser.click("button", "Another wave")
    browser.see("[aria-label='Size of wave 3']")
    browser.click("[aria-label='Remove wave 0']")
    browser.gone("[aria-label='Size of wave 3']")
    shown = browser.run("return Array.from(document.querySelectorAll('.waves input'), (i) => i.value)")
    assert shown == ["10%", "", ""] and browser.run("return document.querySelector('[name=p0_percent]').value") == "2"


def test_who_is_in_a_wave_is_read_before_the_start(story, browser):
    """A cell of the plan leads to the devices that will be in it."""
    story.plan("autumn")
    browser.go("/rollouts/autumn")
    browser.click(".planned a.cell", "2 devices")
    browser.see(".names a", "device-")
    wanted = story.api.get("/api/v1/plans/autumn/devices?wave=0").json()["items"]
    assert sorted(e.text for e in browser.all(".names a")) == sorted(m["device"] for m in wanted)


def test_two_plans_are_compared(story, browser):
    """What differs stands side by side."""
    story.plan("autumn")
    story.plan("autumn-2", release="autumn", soak_s=60)
    browser.go("/rollouts/autumn/plan")
    browser.click("summary", "Compare with another plan")
    browser.see(".compare select", "autumn-2")
    choose(browser, ".compare select", "autumn-2")
    browser.see(".compare tr", "strategy: soak_s\t0\t60")
    browser.see(".compare", "20 devices in the same wave, 0 in another")


def test_a_viewer_does_not_plan(story, browser):
    """Who may not operate finds no button, and is told on the page itself."""
    browser.open(story.api, story.api.make_token("guest", ["viewer"]).token)
    browser.see("h1", "Rollouts")
    assert not browser.all("a.button")
    browser.go("/new")
    browser.see(".empty", "Only operators can plan")
