# SPDX-License-Identifier: Apache-2.0
"""The format of exe-patch is what fleet-patch(5) says: a decoder that follows it gives the files back that
fleetctl's patches stand for."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from exe_images import MACHINES, elf, firmware, next_build  # noqa: E402
from exe_patch import decode  # noqa: E402


def follow(ctl, tmp_path, old, new):
    """The patch, which the second decoder has turned into the new file."""
    names = [tmp_path / name for name in ("old", "new", "patch")]
    names[0].write_bytes(old)
    names[1].write_bytes(new)
    ctl("delta", "make", *names[:2], "-o", names[2], "--codec", "exe-patch", "--bare")
    patch = names[2].read_bytes()
    assert decode(old, patch) == new
    return patch


@pytest.mark.parametrize("machine", MACHINES)
def test_elf(ctl, tmp_path, machine):
    """Branches, addresses, words, relocations, symbols and frames of each machine are found and rewritten as the
    page says."""
    old = elf(machine, 1)
    assert follow(ctl, tmp_path, old, next_build(old, machine))[2] == 0


def test_firmware(ctl, tmp_path):
    """So are branches and words of a bare image."""
    old = firmware(1)
    assert follow(ctl, tmp_path, old, next_build(old))[2] == 3
