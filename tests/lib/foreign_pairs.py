# SPDX-License-Identifier: Apache-2.0
"""Pairs of files, one for each kind of codec, for scripts/foreign: foreign_pairs.py FOLDER"""
import io
import random
import sys
import tarfile
from pathlib import Path

from deltas import component, module, next_version, wasm


def layer(content):
    """A layer in gzip with some members, `content` in one of them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=6) as t:
        for name, data in (("etc/config", b"a=1\n" * 50), ("bin/app", content), ("lib/same", module(77, 50_000))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            t.addfile(member, io.BytesIO(data))
    return out.getvalue()


def firmware(inserted):
    """An image for ARMv7-M whose code calls, every 16 bytes; after `inserted` calls there is one more."""
    call, chance = b"\0\xf0\x40\xf8", random.Random(3)
    blocks = [call + (call if i == inserted else b"") + bytes(chance.choices(range(64), k=12)) for i in range(2000)]
    return bytes([0, 0x40, 0, 0x20, 1, 1, 0, 8]) + b"".join(blocks)


def main(folder):
    folder.mkdir(parents=True)
    content = module(8, 60_000)
    pairs = {
        "wasm": (wasm(300), wasm(300, inserted=(1, 2))),
        "component": (component(wasm(200), wasm(90)), component(wasm(200, inserted=(1,)), wasm(90, inserted=(2, 3)))),
        "shrunk": (wasm(300, inserted=(5,)), wasm(280)),
        "layer": (layer(content), layer(next_version(content))),
        "firmware": (firmware(-1), firmware(70)),
        "bytes": (content, next_version(content)),
    }
    for name, (old, new) in pairs.items():
        (folder / f"{name}.old").write_bytes(old)
        (folder / f"{name}.new").write_bytes(new)


main(Path(sys.argv[1]))
