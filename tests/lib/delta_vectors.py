# SPDX-License-Identifier: Apache-2.0
"""Makes the deltas that stand for a version of the wasm-delta format, and prints their digests for
tests/unit/test_wasm_vectors.c: delta_vectors.py FLEETCTL tests/data/delta. For a new version only."""
import hashlib
import subprocess
import sys
from pathlib import Path

from wasm_coders import Reader, put_leb
from wasm_modules import Recipe, component

MEMORY = 1 << 10  # units of 64 KiB that the heads state: enough for any build


def with_memory(delta):
    r = Reader(delta)
    r.take(2)
    size, _ = r.number(), r.number()
    return delta[:2] + put_leb(size) + put_leb(MEMORY) + r.take(r.left())


def main(fleetctl, folder):
    folder.mkdir(parents=True, exist_ok=True)
    one, two = Recipe(3, functions=7), Recipe(8, functions=2)
    pairs = {
        "module": (one.build(), one.next_version(6).build()),
        "component": (
            component([two.build(), two.build()], b"old"),
            component([two.next_version(1).build(), two.build()], b"new"),
        ),
    }
    for name, sides in pairs.items():
        old, new = (folder / f"{name}.{side}" for side in ("old", "new"))
        for path, data in zip((old, new), sides):
            path.write_bytes(data)
        for model in ("none", "256k", "1m", "16m") if name == "module" else ("none",):
            path = folder / f"{name}.{model}"
            command = [fleetctl, "delta", "make", old, new, "-o", path, "--codec", "wasm-delta", "--bare"]
            subprocess.run([*command, "--model", model], check=True)
            path.write_bytes(with_memory(path.read_bytes()))
    for path in sorted(folder.iterdir()):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name, path.stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
