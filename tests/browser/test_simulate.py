# SPDX-License-Identifier: Apache-2.0
"""Simulations on the dashboard."""


def test_strategies_are_compared(story, browser):
    """A described fleet: each case is a table of strategies, and the figures are those of the API."""
    browser.go("/simulate")
    for name, value in (("devices", "300"), ("layers", "2"), ("runs", "2")):
        browser.type(f"[name={name}]", value)
    browser.click("button", "Compare")
    browser.see(".outcome", "300 devices, 2 layers, 2 runs each, seed 1")
    wish = {"devices": 300, "layers": 2, "runs": 2, "seed": 1}
    results = story.api.post("/api/v1/simulations", wish).json()["results"]
    shown = browser.run("return Array.from(document.querySelectorAll('.outcome [data-case]'), (s) => "
                        "Array.from(s.querySelectorAll('tbody tr'), (tr) => [s.dataset.case, tr.cells[0].innerText, tr.cells[5].innerText])).flat()")
    assert sorted(shown) == sorted([r["case"], r["strategy"], f"{r['harmed']:.1f}"] for r in results)


def test_the_real_fleet_is_simulated(story, browser):
    """With a release chosen the devices are those that there are; a refusal stands under the form."""
    browser.go("/simulate")
    browser.see("[name=release]", "release autumn").send_keys("this fleet, release a")
    browser.see("[name=selector]")
    browser.type("[name=runs]", "1")
    browser.click("button", "Compare")
    browser.see(".outcome", "20 devices, 3 layers, 1 run each")
    browser.type("[name=selector]", "colour==red")
    browser.click("button", "Compare")
    browser.see("p[role=alert]", "colour")
    assert browser.complaints(but=["400", "422"]) == []


def test_a_viewer_is_told(story, browser):
    """Who may not simulate reads whom to ask."""
    browser.open(story.api, story.api.make_token("guest", ["viewer"]).token)
    browser.go("/simulate")
    browser.see(".empty", "Only operators can simulate")
