# SPDX-License-Identifier: Apache-2.0
"""fleetd --verify: clean on what fleetd has written, and it names what was spoilt."""
import sqlite3

import pytest

from story import Story


@pytest.fixture(name="story")
def fixture_story(fleetd):
    """A rollout in the middle: one device has confirmed, one holds an order, one waits; killed."""
    story = Story(fleetd)
    story.module("app", "1.0.0", "1.1.0")
    story.release("next", app="1.1.0")
    fleet = story.devices(3, app="1.0.0")
    story.rollout("r", "next", max_in_flight=2)
    fleet[0].asks()
    fleet[0].confirms()
    fleet[1].asks()
    fleetd.kill()
    return story


def spoil(story, sql, *values):
    with sqlite3.connect(story.api.data / "fleetd.db") as db:
        assert db.execute(sql, values).rowcount > 0
    db.close()


def findings(story):
    checked = story.api.run("--verify", "--hash-blobs")
    assert checked.returncode != 0, checked.stdout
    return [line for line in checked.stdout.splitlines() if line.startswith("  wrong: ")]


def test_a_killed_server_leaves_data_that_fits(story):
    """After a kill in the middle of a rollout every check is ok, and each has looked at something."""
    checked = story.api.run("--verify", "--hash-blobs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    lines = checked.stdout.splitlines()
    assert len(lines) == 6 and all(line.endswith(" ok") for line in lines)
    assert not any(" 0 " in line for line in lines)


def test_a_step_that_was_moved_by_hand_is_found(story):
    """The counters of a stage and its steps differ: the stage is named."""
    spoil(story, "UPDATE step SET state = (SELECT max(state) FROM step) WHERE state = 0")
    assert any("rollout r, L0.W0" in line and "sums" in line for line in findings(story))


def test_a_step_in_flight_without_its_manifest_is_found(story):
    """A step whose order was never issued, and a device whose number is not its manifest's."""
    spoil(story, "UPDATE device SET manifest = manifest + 5 WHERE id = 'd1'")
    assert any("device d1 says manifest" in line for line in findings(story))
    spoil(story, "UPDATE device SET manifest = 0 WHERE id = 'd1'")
    assert any("has an order in stage" in line for line in findings(story))


def test_an_altered_event_is_found(story):
    """A line of the audit trail that was rewritten is named by its number."""
    spoil(story, "UPDATE event SET actor = 'nobody' WHERE seq = 3")
    (found,) = findings(story)
    assert found.startswith("  wrong: event 3 was changed after it was written")


def test_a_damaged_blob_is_found(story):
    """A blob with other bytes is found when it is hashed; a missing one without."""
    (first, second) = sorted(p for p in (story.api.data / "blobs" / "sha256").rglob("*") if p.is_file())[:2]
    first.chmod(0o600)
    first.write_bytes(bytes(first.stat().st_size))
    second.unlink()
    found = findings(story)
    assert len(found) == 2 and any(first.name in line for line in found)
    assert any(second.name in line for line in found)


def test_a_lost_job_is_found(story):
    """A stage that waits for a job whose row is gone would hang: it is said."""
    spoil(story, "UPDATE stage SET jobs = 4")
    assert any('the job "reach" is lost' in line for line in findings(story))
