# SPDX-License-Identifier: Apache-2.0
"""A real Chromium for tests of the dashboard, driven by chromedriver.

    browser = Browser(folder)
    browser.open(fleetd)                    # signed in with the admin's token
    browser.go("/rollouts/autumn")          # a page of the dashboard
    browser.see("#page h1", "autumn")       # wait until an element holds this text
    browser.click("button", "Pause")
    browser.complaints()                    # what the console holds against the page

Nothing sleeps: every step waits for its condition."""
import base64
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException, StaleElementReferenceException,
                                        WebDriverException)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

LIMIT_S = 30
CHANGING = [StaleElementReferenceException, ElementClickInterceptedException, IndexError]
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
]


SEEK = """
const [css, text, wanted, limit, done] = arguments
const end = performance.now() + limit
function look() {
  const found = Array.from(document.querySelectorAll(css)).find((e) => e.checkVisibility() && e.innerText.includes(text))
  if (wanted ? found : !found) done(found ?? true)
  else if (performance.now() > end) done(null)
  else setTimeout(look, 15)
}
look()
"""


class Browser:
    """One window. Its profile is new and lives in `folder`."""

    def __init__(self, folder):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in [*FLAGS, f"--user-data-dir={Path(folder) / 'profile'}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(shutil.which("chromedriver"), log_path=str(Path(folder) / "chromedriver.log"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(LIMIT_S + 10)
        self.url = None
        self.size(1400, 1000)

    def close(self):
        self.driver.quit()

    # ---- the window

    def size(self, width, height):
        """The page's own size, in CSS pixels."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=False)

    def prefer(self, scheme):
        """'dark' or 'light', as the system's setting would."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def command(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def picture(self, path, whole=True):
        """The page as PNG; `whole`: also what one would have to scroll to."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    # ---- going somewhere

    def load(self, server):
        """The dashboard of this server, with nobody signed in."""
        self.url = f"http://127.0.0.1:{server.port}/"
        self.driver.get(self.url + "#/login")  # here nothing is asked for
        self.see("form.login")
        self.run("sessionStorage.clear()")
        self.driver.get("about:blank")
        self.driver.get(self.url)
        self.see("form.login")

    def open(self, server, token=None):
        """Sign in; the list of rollouts is shown."""
        self.load(server)
        self.type("#token", (token or server.token) + Keys.ENTER)
        self.see("#top nav")

    def leave(self):
        """No page: nothing asks a server any more."""
        self.driver.get("about:blank")
        self.complaints()

    def go(self, path):
        self.run("location.hash = '#' + arguments[0]", path)

    # ---- looking and doing

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, what, condition, limit_s=LIMIT_S):
        """Wait until condition() gives something true; elements may change meanwhile."""
        waiting = WebDriverWait(self.driver, limit_s, 0.04, CHANGING)
        try:
            return waiting.until(lambda _: condition())
        except WebDriverException as error:
            raise AssertionError(f"{what}; the page shows:\n{self.text()}") from error

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css="body"):
        """The text of the first such element, as a person reads it; empty if there is none."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def seek(self, css, text, wanted):
        """Look again and again, inside of the page; the element, or True when none was wanted."""
        found = self.driver.execute_async_script(SEEK, css, text, wanted, LIMIT_S * 1000)
        assert found, f"{'no' if wanted else 'still a'} {css} with {text!r}; the page shows:\n{self.text()}"
        return found

    def see(self, css, text=""):
        """Wait for a visible element that holds `text`; it is returned."""
        return self.seek(css, text, True)

    def gone(self, css, text=""):
        """Wait until no such element is left."""
        self.seek(css, text, False)

    def click(self, css, text=""):
        def pressed():
            self.see(css, text).click()
            return True

        self.wait(f"cannot click {css} with {text!r}", pressed)

    def type(self, css, text):
        field = self.see(css)
        field.clear()
        field.send_keys(text)

    def press(self, *keys):
        """Keys to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self):
        """The text, or the name, of what has the focus."""
        return self.run("const e = document.activeElement; return e.innerText || e.getAttribute('aria-label') || e.id")

    # ---- what must never be

    def complaints(self, but=()):
        """Lines of the console since the last call that are warnings or worse: errors of scripts, violations
        of the CSP, failed requests. Lines that hold one of `but` were meant to happen."""
        bad = [line["message"] for line in self.driver.get_log("browser") if line["level"] in ("WARNING", "SEVERE")]
        return [line for line in bad if not any(word in line for word in but)]

    def overflow(self):
        """How many pixels the page is wider than its window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
