# SPDX-License-Identifier: Apache-2.0
"""The format of wasm-delta is what its manual pages say: a decoder that follows them gives the modules back
that fleetctl's deltas stand for."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from wasm_delta import decode  # noqa: E402
from wasm_modules import Recipe, component, section, sized  # noqa: E402
from wasm_parts import MAGIC  # noqa: E402

BACK_ENDS = {"none": 0, "256k": 1, "1m": 2, "16m": 3}


def follow(ctl, tmp_path, old, new, model):
    """The delta, which the second decoder has turned into the new module."""
    names = [tmp_path / name for name in ("old", "new", "patch")]
    names[0].write_bytes(old)
    names[1].write_bytes(new)
    ctl("delta", "make", *names[:2], "-o", names[2], "--codec", "wasm-delta", "--model", model, "--bare")
    delta = names[2].read_bytes()
    assert delta[1] & 7 == BACK_ENDS[model]
    assert decode(old, delta) == new
    return delta


@pytest.mark.parametrize("seed", range(6))
def test_streams(ctl, tmp_path, seed):
    """Sections and instructions of every kind, padded integers, bodies that do not parse, whatever a version
    adds, moves or takes away: what the streams tell is what the page says."""
    recipe = Recipe(seed, functions=12)
    follow(ctl, tmp_path, recipe.build(), recipe.next_version(seed).build(), "none")


@pytest.mark.parametrize("model, seed", [("256k", 1), ("1m", 6), ("16m", 15)])
def test_adaptive_coder(ctl, tmp_path, model, seed):
    """Every bit of the adaptive coder is as the pages say, with each size of its model."""
    recipe = Recipe(seed, functions=4)
    follow(ctl, tmp_path, recipe.build(), recipe.next_version(seed).build(), model)


def test_padded_heads_of_data(ctl, tmp_path):
    """Each number in the head of a data segment may be longer than it needs to be."""
    usual = b"\0", b"\x41\x80\x08\x0b", b"\x20"
    for i, longer in enumerate((b"\x80\0", b"\x41\x80\x88\0\x0b", b"\xa0\0")):
        head = b"".join(usual[:i] + (longer,) + usual[i + 1 :])
        old, new = (MAGIC + section(11, b"\1" + x + bytes(range(32))) for x in (b"".join(usual), head))
        follow(ctl, tmp_path, old, new + section(0, sized(b"x")), "none")


def test_component(ctl, tmp_path):
    """Modules of a component, and of one inside of it, follow the old ones; what is around them comes back."""
    one, two, other = Recipe(1, functions=3), Recipe(2, functions=3), Recipe(3, functions=1)
    old = component([one.build(), two.build()], b"a text")
    new = component([one.next_version(1).build(), other.build(), two.build()], b"a longer text")
    assert follow(ctl, tmp_path, old, new, "none")[1] & 8 != 0
