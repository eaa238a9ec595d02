# SPDX-License-Identifier: Apache-2.0
"""Simulations on the dashboard."""
import pytest

KNOWN = ["all at once", "fixed waves", "exponential", "sequential test", "layer by layer"]


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
                        "Array.from(s.querySelectorAll('tbody tr'), (tr) => [s.dataset.case, tr.cells[0].innerText, tr.cells[6].innerText])).flat()")
    assert sorted(shown) == sorted([r["case"], r["strategy"], f"{r['harmed']:.1f}"] for r in results)


CURVES = """
return Array.from(document.querySelectorAll('.outcome [data-case]'), (s) => [s.dataset.case,
  Array.from(s.querySelectorAll('.plot > svg > g.line > polyline'), (p) => Math.max(p.points.numberOfItems - 2, 0))])
"""


@pytest.mark.parametrize("width", [360, 1400])
def test_curves_say_who_is_through(story, browser, width):
    """Each strategy has a curve with a point for every part of the devices that got through, one of the reader's
    own too; all are named, and nothing sticks out of the window."""
    browser.size(width, 900)
    browser.go("/simulate")
    browser.type("[name=devices]", "400")
    browser.click("summary", "A strategy of your own")
    browser.type("[name=own]", "{")
    browser.click("button", "Compare")
    browser.see("p[role=alert]", "no JSON")
    browser.type("[name=own]", '{"waves": [{"count": 20}, {"percent": 100}]}')
    browser.click("button", "Compare")
    browser.see(".outcome .plot", "mine")
    wish = {"devices": 400, "layers": 3, "runs": 10, "seed": 1, "strategies": [{"name": n} for n in KNOWN] + [
        {"name": "mine", "strategy": {"waves": [{"count": 20}, {"percent": 100}]}}]}
    results = story.api.post("/api/v1/simulations", wish).json()["results"]
    drawn = {case: [sum(s is not None for s in r["curve"]) for r in results if r["case"] == case] for case in {r["case"] for r in results}}
    assert dict(browser.run(CURVES)) == {case: counts if any(counts) else [] for case, counts in drawn.items()}
    assert browser.run("return document.documentElement.scrollWidth") <= width


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
