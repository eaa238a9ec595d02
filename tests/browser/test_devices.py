# SPDX-License-Identifier: Apache-2.0
"""The pages of devices and deltas."""
import json

from selenium.webdriver.common.keys import Keys

from waiting import ok


def rows(browser):
    return len(browser.all(".list tbody tr"))


def register(server, count):
    lines = "".join(json.dumps({"id": f"d-{i:04}", "attributes": {"region": "eu" if i % 4 else "us"}}) + "\n" for i in range(count))
    ok(server.post("/api/v1/devices", data=lines.encode(), headers={"Content-Type": "application/x-ndjson"}))


def test_pages_go_to_the_end(dashboard, browser):
    """Fifty at a time, until all are there, each once."""
    register(dashboard, 120)
    browser.open(dashboard)
    browser.go("/devices")
    browser.wait("a page", lambda: rows(browser) == 50)
    browser.click("button", "More")
    browser.wait("two pages", lambda: rows(browser) == 100)
    browser.click("button", "More")
    browser.see(".more", "120 devices, that is all")
    names = browser.run("return Array.from(document.querySelectorAll('.list tbody th a'), (a) => a.textContent)")
    assert sorted(names) == [f"d-{i:04}" for i in range(120)]


def test_a_selector_finds(dashboard, browser):
    """What is searched for is in the address, and can be sent to somebody."""
    register(dashboard, 40)
    browser.open(dashboard)
    browser.go("/devices")
    browser.wait("all", lambda: rows(browser) == 40)
    browser.type("#q", "attribute.region==us" + Keys.ENTER)
    browser.wait("those of us", lambda: rows(browser) == 10)
    assert browser.driver.current_url.endswith("q=attribute.region%3D%3Dus")
    browser.driver.back()
    browser.wait("all again", lambda: rows(browser) == 40)
    assert browser.run("return document.getElementById('q').value") == ""
    browser.type("#q", "id==nobody" + Keys.ENTER)
    browser.see(".empty", "No device matches")
    browser.click(".empty a", "All devices")
    browser.wait("all once more", lambda: rows(browser) == 40)


def test_a_wrong_selector_says_what_is_wrong(dashboard, browser):
    """The server's sentence stands under the field, which keeps what was typed."""
    register(dashboard, 1)
    browser.open(dashboard)
    browser.go("/devices")
    browser.type("#q", "colour==red" + Keys.ENTER)
    alert = browser.see("p[role=alert]", "colour")
    assert "attribute." in alert.text, alert.text
    assert browser.run("return document.getElementById('q').value") == "colour==red"
    assert browser.see("#q").get_attribute("aria-invalid") == "true"
    assert browser.complaints(but=["400"]) == []


def test_a_device_tells_its_story(story, browser):
    """Attributes, what is installed, its steps and its reports; unknown devices are said to be unknown."""
    story.start("autumn")
    story.work(2)
    browser.go("/devices")
    browser.wait("devices", lambda: rows(browser) == 20)
    step = ok(story.api.get("/api/v1/rollouts/autumn/steps?state=confirmed"))["items"][0]
    browser.click(".list a", step["device"])
    browser.see("h1", step["device"])
    browser.see(".chip", "region=")
    browser.see(".list", "1.1.0")
    browser.see(".list a", "L0.W0")
    browser.see(".why", "it asked last")
    browser.see(".list", "installing")


def test_what_is_not_there_says_so_in_its_place(story, browser):
    """A device, a rollout and a page that do not exist: said where they would be, with a way on, and gone on the next page."""
    for path, said in (("/devices/nobody", 'There is no device "nobody".'), ("/rollouts/nope", 'There is no rollout "nope".')):
        browser.go(path)
        browser.see("#page > .empty[role=alert]", said)
        browser.gone("#notice .notice")
    browser.go("/nope")
    browser.see(".empty", "There is no such page.")
    browser.click(".empty a", "Rollouts")
    browser.see("h1", "Rollouts")
    assert browser.complaints(but=["404"]) == []


def test_a_device_says_why(story, browser):
    """Why a device is offered what it is, or nothing: before its turn, at its turn, while it waits, when it failed."""
    story.start("autumn")
    steps = ok(story.api.get("/api/v1/rollouts/autumn/steps?layer=0&wave=0"))["items"]
    first, other = steps[0]["device"], next(d.id for d in story.devices if d.id not in [s["device"] for s in steps])
    browser.go(f"/devices/{other}")
    browser.see(".why [data-code=stage_pending]", "it comes after")
    browser.go(f"/devices/{first}")
    browser.see(".why b", "it is offered L0.W0 as soon as it asks")
    story.work(1, "failed")
    story.verb("autumn", "pause", why="lunch")
    failed = ok(story.api.get("/api/v1/rollouts/autumn/steps?state=failed"))["items"][0]["device"]
    browser.go(f"/devices/{failed}")
    browser.see(".why", "it failed in L0.W0")
    browser.click(".why a", "L0.W0")
    browser.see("h1", "L0.W0")


def test_deltas_are_listed_with_their_sizes(story, browser):
    """What the plan had built shows with its share of the full size."""
    story.start("autumn")
    browser.go("/deltas")
    browser.see(".list", "zstd-patch")
    browser.see(".list th", "runtime 1.1.0")
    browser.see(".tiles", "Saved")
    browser.see("h2", "By codec")
