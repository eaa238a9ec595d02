# SPDX-License-Identifier: Apache-2.0
"""The list of rollouts, and one rollout while its devices work. Nothing is ever reloaded."""
from waiting import ok, until


def mark(browser):
    """A reload would lose this."""
    browser.run("window.mark = 'still here'")


def same_page(browser):
    return browser.run("return window.mark") == "still here"


def cell(stage):
    return f"[data-stage='{stage}']"


def test_an_empty_fleet_says_what_to_do_next(dashboard, browser):
    """Each list that is empty names the command that fills it."""
    browser.open(dashboard)
    browser.see(".empty", "fleetctl rollout create")
    browser.go("/devices")
    browser.see(".empty", "fleet-agent")
    browser.go("/deltas")
    browser.see(".empty", "No delta yet")
    browser.go("/nowhere/at/all")
    browser.see(".empty", "no such page")


def test_the_list_shows_rollouts_as_they_come(story, browser):
    """A new rollout and its progress appear by themselves; ended ones are apart."""
    mark(browser)
    browser.see(".empty", "No rollout yet")
    story.plan("autumn")
    browser.see("[data-rollout=autumn] .badge", "ready")
    story.verb("autumn", "start")
    browser.see("[data-rollout=autumn] .badge", "running")
    story.work(6)
    browser.see("[data-rollout=autumn]", "10 %\n2 of 20 devices")
    story.work_until("autumn", "completed")
    browser.see("[data-rollout=autumn] .badge", "completed")
    browser.see("h2", "Ended 1")
    story.plan("winter")
    browser.see("h2", "Under way 1")
    assert same_page(browser)
    browser.click("[data-rollout=winter] a", "winter")
    browser.see("h1", "winter")


def test_the_grid_follows_the_devices(story, browser):
    """Every confirmation shows in its cell at once, from the first stage to the last."""
    story.start("autumn")
    browser.go("/rollouts/autumn")
    browser.see(cell("L0.W0"), "0 of 2 confirmed")
    mark(browser)
    browser.see(cell("L1.W0"), "opens after L0.W0")
    browser.see(cell("L0.W1"), "opens after L2.W0")
    story.work(1)
    browser.see(cell("L0.W0"), "1 of 2 confirmed")
    browser.see(cell("L0.W0"), "waits for 1 confirmation, if nothing fails: 1 confirmed so far")
    story.work(1)
    browser.see(cell("L0.W0") + "[data-state=succeeded]", "100 %")
    browser.see(cell("L1.W0") + "[data-state=running]")
    browser.see(".timeline", "gate of L0.W0 succeeded: 2 of 2 confirmed")
    story.work_until("autumn", "completed")
    browser.see("h1 .badge", "completed")
    browser.see(".tiles", "20 of 20 confirmed")
    assert len(browser.all(".cell[data-state=succeeded]")) == 9
    assert same_page(browser)


def test_figures_are_those_of_the_api(story, browser):
    """The table of waves shows the API's figures; what has no value is a dash."""
    story.start("autumn", gate={"success": {"percent": 10}, "error": {"percent": 90, "minimum": 2}})
    story.work(6)
    story.work(5)
    story.work(1, "failed")
    browser.go("/rollouts/autumn")
    browser.see(".figures tbody tr:nth-child(2)", "1")

    def rows():
        shown = [[td.text for td in tr.find_elements("css selector", "th,td")] for tr in browser.all(".figures tbody tr")]
        return shown if shown[1][4] == "1" else None

    shown = browser.wait("the failed device in wave 1", rows)
    for wave, row in zip(story.stats("autumn")["waves"], shown):
        share = {None: "-", 0: "0 %", 1: "100 %"}
        words = [share.get(wave[name], f"{100 * (wave[name] or 0):.1f} %") for name in ("completion", "failure", "rollback")]
        assert row[1:5] == [str(wave[n]) for n in ("devices", "targets", "confirmed", "failed")], row
        assert row[5:8] == words, row
    assert shown[2][9] == "-"


def test_failures_show_and_are_taken_back(story, browser):
    """A failed gate says why and which devices; the rollback is seen in each cell until its end."""
    story.start("autumn")
    story.work(6)
    browser.go("/rollouts/autumn")
    browser.see(cell("L0.W1") + "[data-state=running]")
    story.work(2, "failed")
    browser.see(".reason", "the gate of L0.W1 failed: 2 of 2 failed")
    browser.see(cell("L0.W1") + "[data-state=failed]", "2 failed")
    browser.see(".list", "the health command ended with 1")
    assert browser.see(".tile.bad").text.startswith("Failure\n50 %")
    story.verb("autumn", "rollback")
    browser.see("h1 .badge", "rolling back")
    story.work_until("autumn", "rolled_back")
    browser.see("h1 .badge", "rolled back")
    browser.see(cell("L0.W0") + "[data-state=rolled_back]", "2 of 2 taken back")
    assert len(browser.all("[aria-label=Failures] tbody tr")) == 2, "who had failed is told afterwards too"
    browser.see(".tile.back", "by server")


def test_a_stage_lists_its_devices_by_state(story, browser):
    """Behind each cell are its gate's numbers and its devices; a filter picks a state."""
    story.start("autumn", gate={"success": {"percent": 10}, "error": {"percent": 90, "minimum": 4}})
    story.work(6)
    story.work(3)
    story.work(1, "downloading")
    story.work(1, "failed")
    browser.go("/rollouts/autumn")
    browser.click(cell("L0.W1"))
    browser.see("h1", "L0.W1")
    browser.see(".facts", "3 succeeded")
    assert len(browser.all(".list tbody tr")) == 6
    browser.click(".filter", "failed")
    browser.wait("one row", lambda: len(browser.all(".list tbody tr")) == 1)
    browser.see(".list", "the health command ended with 1")
    browser.click(".list a", "device-")
    browser.see("h2", "Reports")


def test_decisions_are_kept_with_their_numbers(story, browser):
    """A sequential test shows how many confirmations it waits for, and afterwards where it decided."""
    sprt = {"p0_percent": 5, "p1_percent": 40, "alpha": 0.1, "beta": 0.2}
    story.start("autumn", gate={"sprt": sprt, "bayes": {"limit_percent": 50, "pass_below": 0.9, "fail_above": 0.99}},
                waves=[{"percent": 40}, {"percent": 60}])
    browser.go("/rollouts/autumn/decisions")
    browser.see(".empty", "No gate has decided yet")
    story.work(5)
    browser.see(".decisions", "4 succeeded, 0 failed; 4 still open")
    browser.see(".decisions", "log-likelihood ratio -1.838; passes at -1.504, fails at 2.079")
    browser.see(".decisions", "probability that too many fail")
    browser.click(".decisions a", "L0.W0")
    browser.see("h2", "Decisions")
    browser.go("/rollouts/autumn/plan")
    browser.see(".facts", "tells 5 % of failures from 40 %: stops a good release with a chance of 10 %")


def test_a_sequential_test_says_what_it_waits_for(story, browser):
    """Wald's test with p0 5 %, p1 40 %, alpha 0.1, beta 0.2 accepts after four clean devices."""
    sprt = {"p0_percent": 5, "p1_percent": 40, "alpha": 0.1, "beta": 0.2}
    story.start("autumn", gate={"sprt": sprt}, waves=[{"percent": 40}, {"percent": 60}])
    browser.go("/rollouts/autumn")
    browser.see(cell("L0.W0"), "waits for 4 confirmations, if nothing fails: 0 confirmed so far")
    story.work(1)
    browser.see(cell("L0.W0"), "waits for 3 confirmations, if nothing fails: 1 confirmed so far")


def test_soak_counts_down(story, browser):
    """A stage that soaks says how long it still has to hold."""
    story.start("autumn", soak_s=240)
    story.work(2)
    browser.go("/rollouts/autumn")
    browser.see(cell("L0.W0") + "[data-state=soaking]", "4 min of soak left")
    browser.go("/rollouts/autumn/L0.W0")
    browser.see(".explanation", "of soak are left, until")
    browser.go("/rollouts/autumn/L0.W1")
    browser.see(".explanation", "it opens after L0.W0, which is soaking")


def test_the_plan_is_read_before_the_start(story, browser):
    """Layers, waves, bytes, rules, the changes on the devices and the digest, as the API has them."""
    story.plan("autumn")
    plan = ok(story.api.get("/api/v1/rollouts/autumn/plan"))
    browser.go("/rollouts/autumn/plan")
    browser.see(".planned", "canary · 2 devices")
    browser.see(".planned", "12 devices")
    browser.see(".list", "runtime 1.0.0 → 1.1.0")
    browser.see(".facts", plan["digest"])
    browser.see(".facts", "when more than 40 % fail of at least 2 outcomes")
    browser.see(".tiles", "of 20 devices")
    worst = plan["gates"]["whole"][-1]
    row = browser.see(".chances tbody tr:first-child", "Passes every gate").text.split()
    shown = f"{100 * worst['pass']:.1f}" if worst["pass"] >= 0.001 else "<0.1"
    assert row[-2:] == [shown, "%"], row
    browser.see(".plot")
    browser.click("summary", "Chance to pass each stage")
    browser.see("details", "L2.W2")


def test_a_plan_that_is_refused_says_why(story, browser):
    """What stands against a plan is shown as a chain that one can follow."""
    story.create("autumn", gate={"sprt": {"p0_percent": 1, "p1_percent": 5, "alpha": 0.05, "beta": 0.1}})
    browser.go("/rollouts/autumn/plan")
    browser.see(".refusals", "55")


def test_the_page_outlives_a_restart_of_the_server(story, browser):
    """While fleetd is away the page says so; afterwards it goes on by itself."""
    story.start("autumn")
    browser.go("/rollouts/autumn")
    browser.see(cell("L0.W0"), "0 of 2 confirmed")
    mark(browser)
    port = story.api.port
    story.api.stop()
    browser.see("#top .badge", "no answer, trying again")
    story.api.start(listen=f"127.0.0.1:{port}")
    browser.gone("#top .badge", "no answer")
    until("work after the restart", lambda: story.work(1) is None)
    browser.see(cell("L0.W0"), "1 of 2 confirmed")
    assert same_page(browser)
    assert browser.complaints(but=["ERR_", "503"]) == []


def test_a_freeze_is_seen_by_everybody(story, browser):
    """Whom nothing is delivered to, until when and why, above all rollouts; gone when it is lifted."""
    browser.see(".empty", "No rollout yet")
    ok(story.api.put("/api/v1/freezes/friday", {"selector": "attribute.region==eu", "why": "nobody is here"}))
    browser.see(".banner", "Frozen: friday")
    browser.see(".banner", "nobody is here")
    ok(story.api.delete("/api/v1/freezes/friday"))
    browser.gone(".banner")
