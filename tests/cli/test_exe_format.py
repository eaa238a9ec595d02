# SPDX-License-Identifier: Apache-2.0
"""The format of exe-patch is what fleet-patch(5) says: a decoder that follows it gives the files back that
fleetctl's patches stand for."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from exe_images import MACHINES, TEXT, TEXT_BYTES, elf, firmware  # noqa: E402
from exe_patch import Image, decode  # noqa: E402


def grow(image, middle, end):
    """The bytes as they are when 64 have come to the middle, and as many are gone before the end."""
    return image[:middle] + bytes(64) + image[middle : end - 64] + image[end:]


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
    moved = Image(old, lambda address: address + 64 if TEXT + 2000 <= address < TEXT + TEXT_BYTES else address)
    text = moved.elf().pieces[0]
    new = grow(moved.rewrite(3), text.at + 2000, text.end)
    assert follow(ctl, tmp_path, old, new)[2] == 0


def test_firmware(ctl, tmp_path):
    """So are branches and words of a bare image."""
    old = firmware(1)
    moved = Image(old, lambda address: address + 64 if 2000 <= address < len(old) else address).bare(0)
    moved.machine = "Thumb-2"
    assert follow(ctl, tmp_path, old, grow(moved.rewrite(3), 2000, len(old)))[2] == 3
