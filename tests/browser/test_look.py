# SPDX-License-Identifier: Apache-2.0
"""How every page looks and behaves for everybody: narrow and wide, dark and light, without a mouse,
without trusting the page's text."""
import pytest
from selenium.webdriver.common.keys import Keys

from fleet_server import Fleetd, program
from fleet_story import Story

# Texts with less contrast to what is behind them than WCAG 2.2 AA asks for. Colours are painted and read
# back, so that each notation of CSS is understood; half-transparent grounds are mixed from the root up.
PALE_TEXTS = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
function over(colour, ground) {
  canvas.fillStyle = `rgb(${ground})`
  canvas.fillRect(0, 0, 1, 1)
  canvas.fillStyle = colour
  canvas.fillRect(0, 0, 1, 1)
  return Array.from(canvas.getImageData(0, 0, 1, 1).data.slice(0, 3))
}
function ground(element) {
  const below = element.parentElement ? ground(element.parentElement) : [255, 255, 255]
  return over(getComputedStyle(element).backgroundColor, below)
}
function light(rgb) {
  const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const pale = []
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement
  const text = walker.currentNode.textContent.trim()
  if (!text || !element.checkVisibility()) continue
  const behind = ground(element)
  const [a, b] = [light(over(getComputedStyle(element).color, behind)), light(behind)]
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  if (contrast < 4.5) pale.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`)
}
return pale
"""

# Lists that are wider than their place.
SCROLLING = """
return Array.from(document.querySelectorAll('.scroll')).filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel)
"""

PAGES = {
    "/": "[data-rollout]", "/rollouts/autumn": ".timeline, .list", "/rollouts/autumn/plan": ".planned",
    "/rollouts/autumn/decisions": ".decisions", "/rollouts/autumn/L0.W1": ".filters", "/devices": ".list", "/devices/device-001": ".facts", "/channels": ".empty", "/simulate": ".filter-form", "/deltas": ".list", "/audit": ".list",
    "/new": "form", "/software": ".list", "/software/application": ".list", "/new-release": "textarea", "/tokens": ".list", "/webhooks": ".empty",
}


@pytest.fixture(name="busy_fleet", scope="module")
def fixture_busy_fleet(tmp_path_factory):
    """A rollout with everything in it: confirmed, failed, under way, paused by its gate. Nobody changes it."""
    server = Fleetd(tmp_path_factory.mktemp("busy") / "fleetd").start(web_dir=program("web/dist"))
    story = Story(server)
    story.start("autumn", gate={"success": {"percent": 90}, "error": {"percent": 20, "minimum": 5}})
    story.work(6)
    story.work(3)
    story.work(1, "failed")
    story.work(2, "downloading")
    story.work(1, "failed")
    story.wait("autumn", "paused")
    yield server
    server.stop()


@pytest.fixture(name="busy")
def fixture_busy(busy_fleet, browser):
    """The admin looks at it."""
    browser.open(busy_fleet)
    return busy_fleet


def visit(browser):
    for path, css in PAGES.items():
        browser.go(path)
        browser.see(css)
        yield path


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out(busy, browser, width):
    """No page is wider than its window, on a telephone and on a desk; on a desk no list needs to scroll."""
    browser.size(width, 800)
    assert {path: browser.overflow() for path in visit(browser)} == dict.fromkeys(PAGES, 0)
    if width > 1000:
        assert {path: browser.run(SCROLLING) for path in visit(browser)} == {path: [] for path in PAGES}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(busy, browser, scheme):
    """Every text has the contrast that WCAG AA asks for, in the light and in the dark."""
    browser.prefer(scheme)
    dark = browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 23)"
    assert dark == (scheme == "dark")
    assert {path: browser.run(PALE_TEXTS) for path in visit(browser)} == {path: [] for path in PAGES}
    browser.go("/rollouts/autumn")
    browser.click(".verbs button", "Roll back")
    browser.see("dialog[open]")
    assert browser.run(PALE_TEXTS) == []
    browser.press(Keys.ESCAPE)


def test_states_differ_without_colour(busy, browser):
    """With all colours gone a failed, a waiting and a succeeded cell have different signs and words."""
    browser.go("/rollouts/autumn")
    seen = set()
    for state in ("succeeded", "failed", "pending"):
        cell = browser.see(f".cell[data-state={state}] .state")
        seen.add((cell.text, cell.find_element("css selector", "path").get_attribute("d")))
    assert len(seen) == 3 and {text for text, _ in seen} == {"succeeded", "failed", "pending"}
    textures = {
        browser.run("return getComputedStyle(document.querySelector(arguments[0])).backgroundImage", f".swatch.{look}")
        for look in ("confirmed", "failed", "back", "waiting", "busy")
    }
    assert len(textures) == 5


def tab_to(browser, text, limit=60):
    """Press Tab until something with this text has the focus."""
    for _ in range(limit):
        browser.press(Keys.TAB)
        if text in browser.focused():
            return
    raise AssertionError(f"Tab never came to {text!r}")


def test_everything_can_be_done_by_keyboard(busy, browser):
    """From the top by Tab and Enter: a page, a rollout, a verb and its question, a cell."""
    tab_to(browser, "Devices")
    browser.press(Keys.ENTER)
    browser.see("h1", "Devices")
    browser.go("/")
    tab_to(browser, "autumn")
    browser.press(Keys.ENTER)
    browser.see("h1", "autumn")
    tab_to(browser, "Resume")
    outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one must see where the focus is"
    browser.press(Keys.ENTER)
    browser.see("dialog[open]", "Resume autumn?")
    browser.press(Keys.ESCAPE)
    browser.gone("dialog[open]")
    browser.wait("focus back on the button", lambda: browser.focused() == "Resume")
    tab_to(browser, "succeeded")
    browser.press(Keys.ENTER)
    browser.see("h1", "L0.W0")


def test_an_update_keeps_the_focus(story, browser):
    """Somebody who has tabbed to a cell stays there while the cell changes."""
    story.start("autumn")
    browser.go("/rollouts/autumn")
    browser.see("[data-stage='L0.W0']", "0 of 2 confirmed")
    browser.run("document.querySelector(\"[data-stage='L1.W1']\").focus()")
    story.work(7)
    browser.see("[data-stage='L0.W0']", "2 of 2 confirmed")
    browser.see("[data-stage='L0.W1']", "1 of 6 confirmed")
    assert browser.run("return document.activeElement.dataset.stage") == "L1.W1"


def test_many_tabs_do_not_block_each_other(story, browser):
    """A browser has six connections to a server: tabs that nobody sees hold none, and the eighth still works."""
    story.start("autumn")
    first = browser.driver.current_window_handle
    for _ in range(7):
        browser.driver.switch_to.new_window("tab")
        browser.open(story.api)
        browser.go("/rollouts/autumn")
        browser.see(".cell.running")
    for tab in browser.driver.window_handles[1:]:
        browser.driver.switch_to.window(tab)
        browser.driver.close()
    browser.driver.switch_to.window(first)
    browser.go("/rollouts/autumn")
    browser.see(".cell.running", "0 of 2 confirmed")
    story.work(1)
    browser.see(".cell.running", "1 of 2 confirmed")


def test_texts_of_others_stay_texts(story, browser):
    """Markup in a label, a reason or a report is shown as it was written, and runs nothing."""
    evil = "<img src=x onerror='window.evil=1'><script>window.evil=1</script>"
    story.api.patch("/api/v1/devices/device-001", {"labels": {"owner": evil}})
    browser.go("/devices/device-001")
    browser.see(".chip", evil)
    story.start("autumn")
    story.verb("autumn", "pause", why=evil)
    browser.go("/rollouts/autumn")
    browser.see(".reason", evil)
    assert browser.run("return window.evil ?? null") is None
    assert not browser.all("main img, main script")


def test_the_policy_holds(dashboard, browser):
    """Inline script and style are forbidden by the server's policy, and the page needs neither."""
    answer = dashboard.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert b"<style" not in answer.body and b"style=" not in answer.body
    browser.open(dashboard)
    browser.run("const s = document.createElement('script'); s.textContent = 'window.evil = 1'; document.body.append(s)")
    assert browser.run("return window.evil ?? null") is None
    assert [line for line in browser.complaints() if "Content Security Policy" in line]


def test_the_page_is_small(dashboard):
    """Everything that a visit loads is less than 120 kB, uncompressed, and may be kept for ever."""
    index = dashboard.get("/").body.decode()
    names = [part.split('"')[0] for part in index.split('"/assets/')[1:]]
    answers = [dashboard.get(f"/assets/{name}") for name in names]
    assert len(names) == 3 and sum(len(a.body) for a in answers) < 120_000
    assert all("immutable" in a.headers["Cache-Control"] for a in answers)
