# SPDX-License-Identifier: Apache-2.0
"""fleetctl delta on files: make, apply, inspect without a server; warm, queue, stats with one."""
import io
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from deltas import component, digest, module, next_version, wasm  # noqa: E402
from waiting import until  # noqa: E402


@pytest.fixture
def pair(tmp_path):
    """Two versions of a file of 1 MiB: their paths."""
    old = module(5, 1 << 20)
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(next_version(old))
    return tmp_path / "old", tmp_path / "new"


def test_make_and_apply(ctl, pair, tmp_path):
    """The delta is small, says what it is between, and gives the new file back; nothing else is left."""
    old, new = pair
    patch, out = tmp_path / "p.delta", tmp_path / "out"
    made = ctl("delta", "make", old, new, "-o", patch, "--json").json
    assert made["size"] == patch.stat().st_size < 10000 and made["codec"] == "zstd-patch"
    done = ctl("delta", "apply", old, patch, "-o", out, "--json").json
    assert out.read_bytes() == new.read_bytes()
    assert done["sha256"] == digest(new.read_bytes())
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"old", "new", "p.delta", "out"}
    said = ctl("delta", "inspect", patch, "--json").json
    assert said["trailer"]["old_sha256"] == digest(old.read_bytes())
    assert sum(p["bytes"] for p in said["parts"]) == said["size"]
    assert re.search(r"compressed blocks +[\d,]+ ", ctl("delta", "inspect", patch).out)


def test_the_zstd_program_reads_a_patch_with_its_trailer(ctl, pair, tmp_path):
    """`zstd -d --patch-from` decodes what `delta make` wrote, and `delta apply` what zstd wrote."""
    old, new = pair
    patch, stock, out = tmp_path / "p.delta", tmp_path / "p.zst", tmp_path / "out"
    ctl("delta", "make", old, new, "-o", patch, "--codec", "zstd-patch", "--level", "9")
    subprocess.run(["zstd", "-q", "-d", f"--patch-from={old}", patch, "-o", out], check=True)
    assert out.read_bytes() == new.read_bytes()
    subprocess.run(["zstd", "-q", "-19", f"--patch-from={old}", new, "-o", stock], check=True)
    out.unlink()
    ctl("delta", "apply", old, stock, "-o", out, "--sha256", digest(new.read_bytes()))
    assert out.read_bytes() == new.read_bytes()


def test_what_does_not_fit_is_refused(ctl, pair, tmp_path):
    """Another old file, a damaged or cut delta, another digest, too little memory, an unknown codec: each
    is said, and no file appears."""
    old, new = pair
    patch, bare, out = tmp_path / "p.delta", tmp_path / "bare", tmp_path / "out"
    ctl("delta", "make", old, new, "-o", patch)
    ctl("delta", "make", old, new, "-o", bare, "--bare")
    assert bare.stat().st_size < patch.stat().st_size
    assert "for another old file" in ctl("delta", "apply", new, patch, "-o", out).err
    damaged = bytearray(patch.read_bytes())
    damaged[200] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    assert ctl("delta", "apply", old, tmp_path / "damaged", "-o", out).code != 0
    (tmp_path / "cut").write_bytes(bare.read_bytes()[:-5])
    assert ctl("delta", "apply", old, tmp_path / "cut", "-o", out).code != 0
    assert ctl("delta", "apply", old, bare, "-o", out, "--sha256", "0" * 64).code != 0
    assert "memory" in ctl("delta", "apply", old, patch, "-o", out, "--memory", "1000").err
    assert "no codec" in ctl("delta", "make", old, new, "-o", out, "--codec", "lzma").err
    assert "what it is" in ctl("delta", "apply", old, new, "-o", out).err
    assert not out.exists() and not Path(f"{out}.part").exists()


def test_apply_goes_on_where_it_stopped(ctl, pair, tmp_path):
    """A half-written part, even one that is damaged in the middle or too long, becomes the right file."""
    old, new = pair
    patch, out = tmp_path / "p.delta", tmp_path / "out"
    ctl("delta", "make", old, new, "-o", patch)
    right = new.read_bytes()
    damaged = bytearray(right)
    damaged[300_000] ^= 1
    for left in (right[:500_000], bytes(damaged), right + b"more", b"something else"):
        Path(f"{out}.part").write_bytes(left)
        ctl("delta", "apply", old, patch, "-o", out)
        assert out.read_bytes() == right
        out.unlink()


@pytest.mark.parametrize("model", ["none", "1m"])
def test_inspect_shows_the_streams_of_a_module(ctl, tmp_path, model):
    """The parts of a wasm-delta sum up to its size; with the old module they say how much came out as
    expected. An adaptive coder's parts show only with it."""
    old, new, patch = (tmp_path / name for name in ("old", "new", "patch"))
    old.write_bytes(wasm(300))
    new.write_bytes(wasm(300, inserted=(1,)))
    ctl("delta", "make", old, new, "-o", patch, "--codec", "wasm-delta", "--model", model)
    for more in ((), ("--old", old)):
        said = ctl("delta", "inspect", patch, *more, "--json").json
        parts = {p["name"]: p for p in said["parts"]}
        assert len(parts) == len(said["parts"])
        assert sum(p["bytes"] for p in said["parts"]) == said["size"]
        assert f"{new.stat().st_size} bytes with" in parts["head"]["note"]
        assert ("partners: expected" in parts) == (model == "none" or bool(more))
    assert parts["functions that only moved"]["count"] == 301
    moved, note = re.match(r"(\d+) from the old module, ([\d.]+) %$", parts["functions that only moved"]["note"]).groups()
    assert 290 < int(moved) < 301 and float(note) == round(int(moved) / 301 * 100, 2)
    assert parts["functions: moved"]["count"] in (300, 301)
    assert re.search(r"functions: moved +\d+ ", ctl("delta", "inspect", patch, "--old", old).out)
    assert ctl("delta", "inspect", patch, "--old", patch).code != 0


@pytest.mark.parametrize("model", ["none", "256k"])
def test_inspect_shows_the_modules_of_a_component(ctl, tmp_path, model):
    """The parts of a component's delta sum up to its size; each core module shows the streams that it shows
    as a delta of its own, with the old component also how much came out as expected."""
    old, new, patch = (tmp_path / name for name in ("old", "new", "patch"))
    old.write_bytes(component(wasm(100), wasm(30)))
    new.write_bytes(component(wasm(100, inserted=(1,)), wasm(30)))
    ctl("delta", "make", old, new, "-o", patch, "--codec", "wasm-delta", "--model", model)
    for more in ((), ("--old", old)):
        said = ctl("delta", "inspect", patch, *more, "--json").json
        parts = {p["name"]: p for p in said["parts"]}
        assert len(parts) == len(said["parts"])
        assert sum(p["bytes"] for p in said["parts"]) == said["size"]
        assert {"head", "module 1: head", "module 2: head", "around the modules"} <= parts.keys()
        assert ("module 1: partners: expected" in parts) == (model == "none" or bool(more))
    assert parts["module 1: functions that only moved"]["count"] == 101
    assert parts["module 2: functions that only moved"]["note"] == "30 from the old module, 100.00 %"
    assert ctl("delta", "inspect", patch, "--old", patch).code != 0


def layer(path, kind, content, level):
    """A layer with some members, `content` in one of them."""
    with tarfile.open(path, "w:gz" if kind == "gz" else "w", **({"compresslevel": level} if kind == "gz" else {})) as t:
        for name, data in (("etc/config", b"a=1\n" * 50), ("bin/app", content), ("lib/same", module(77, 200_000))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            t.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("kind", ["tar", "gz", "zst"])
def test_layers_of_containers(ctl, tmp_path, kind):
    """The delta between two layers is about the member that changed, and the very same layer comes back,
    compressed as it was."""
    content = module(8, 300_000)
    old, new, patch, out = (tmp_path / name for name in ("old", "new", "patch", "out"))
    layer(old, kind, content, 9)
    layer(new, kind, next_version(content), 6)
    if kind == "zst":
        for path in (old, new):
            subprocess.run(["zstd", "-q", "-7", path, "-o", f"{path}.zst"], check=True)
            Path(f"{path}.zst").rename(path)
    made = ctl("delta", "make", old, new, "-o", patch, "--codec", "layer-patch", "--json").json
    assert made["size"] < 5000
    assert ctl("delta", "apply", old, patch, "-o", out, "--memory", made["memory"]).code == 0
    assert out.read_bytes() == new.read_bytes()
    parts = {p["name"]: p for p in ctl("delta", "inspect", patch, "--json").json["parts"]}
    assert parts["copied members"]["count"] == 2


def pieces(raw):
    """Pieces of 1000 bytes, and whether each is the last."""
    return [(raw[i:i + 1000], i + 1000 >= len(raw)) for i in range(0, len(raw), 1000)]


def test_a_layer_of_any_compressor_in_gzip_comes_back(ctl, tmp_path):
    """A stream that no setting of zlib makes is made again all the same."""
    old, new, patch, out = (tmp_path / name for name in ("old", "new", "patch", "out"))
    layer(old, "gz", module(8, 30_000), 9)
    layer(new, "tar", module(9, 30_000), 9)
    raw = new.read_bytes()
    stored = b"".join(struct.pack("<BHH", last, len(c), len(c) ^ 0xFFFF) + c for c, last in pieces(raw))
    new.write_bytes(bytes.fromhex("1f8b0800000000000003") + stored + struct.pack("<II", zlib.crc32(raw), len(raw)))
    assert ctl("delta", "make", old, new, "-o", patch, "--codec", "layer-patch").code == 0
    assert ctl("delta", "apply", old, patch, "-o", out, "--codec", "layer-patch").code == 0
    assert out.read_bytes() == new.read_bytes()


def test_a_layer_of_an_unknown_compressor_says_what_to_do(ctl, tmp_path):
    """What no setting of zstd makes again is refused with the next step."""
    old, new = tmp_path / "old", tmp_path / "new"
    layer(old, "tar", module(8, 30_000), 9)
    layer(new, "tar", module(9, 30_000), 9)
    raw = new.read_bytes()
    blocks = b"".join(struct.pack("<I", len(c) << 3 | last)[:3] + c for c, last in pieces(raw))
    new.write_bytes(bytes.fromhex("28b52ffda0") + struct.pack("<I", len(raw)) + blocks)
    result = ctl("delta", "make", old, new, "-o", tmp_path / "patch", "--codec", "layer-patch")
    assert result.code != 0 and "uncompressed" in result.err


PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
%s
int main(int argc, char **argv) { long n = 0; for (int i = 0; i < argc; i++) n += atol(argv[i]); %s return printf("%%ld", n); }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_executables_of_two_builds(ctl, tmp_path):
    """Functions that were put in between move all others: exe-patch is smaller than zstd-patch."""
    for name, extra in (("old", 0), ("new", 3)):
        functions = [f"__attribute__((noinline)) long f{i}(long n) {{ if (n < {i}) return f{i - 1}(n + {i * 7}) + "
                     f"f{i - 2}(n * {i}); puts(\"f{i}\"); return n ^ {i * 77}; }}" for i in range(2, 400)]
        functions[200:200] = [f"__attribute__((noinline)) long g{i}(long n) {{ puts(\"new {i}\"); return f{i + 5}(n * {i}); }}"
                              for i in range(extra)]
        functions = ["long f0(long n) { return n; } long f1(long n) { return n + 1; }"] + functions
        calls = "n += f399(n);" + "".join(f"n += g{i}(n);" for i in range(extra))
        source = tmp_path / f"{name}.c"
        source.write_text(PROGRAM % ("\n".join(functions), calls))
        subprocess.run(["cc", "-O1", "-o", tmp_path / name, source], check=True)
    sizes = {}
    for codec in ("zstd-patch", "exe-patch"):
        made = ctl("delta", "make", tmp_path / "old", tmp_path / "new", "-o", tmp_path / codec, "--codec", codec, "--json")
        sizes[codec] = made.json["size"]
        assert ctl("delta", "apply", tmp_path / "old", tmp_path / codec, "-o", tmp_path / "out").code == 0
        assert (tmp_path / "out").read_bytes() == (tmp_path / "new").read_bytes()
    assert sizes["exe-patch"] * 4 < sizes["zstd-patch"] * 3
    assert ctl("delta", "make", tmp_path / "old", tmp_path / "new", "-o", tmp_path / "best", "--json").json["codec"] == "exe-patch"


def test_warm_queue_and_stats(ctl_for, fleetd, tmp_path):
    """Two versions are warmed by name, in both directions; queue and stats say what happens."""
    old = module(6, 1 << 18)
    files = [tmp_path / "1.wasm", tmp_path / "2.wasm"]
    files[0].write_bytes(old)
    files[1].write_bytes(next_version(old))
    ctl = ctl_for(f"http://127.0.0.1:{fleetd.port}", fleetd.token)
    for number, path in enumerate(files, 1):
        result = ctl("version", "publish", "app", f"{number}.0.0", path, "--kind", "file")
        assert result.code == 0, result
    assert "2 deltas will be built" in ctl("delta", "warm", "--module", "app", "1.0.0", "2.0.0", "--reverse").out
    until("both are ready", lambda: len([r for r in ctl("delta", "ls", "--json").json["items"]
                          if r["from"] and r["state"] == "ready"]) >= 2)
    stats = ctl("delta", "stats").out
    assert re.search(r"zstd-patch +3 +2 +0 +0 ", stats) and "the cache has" in stats
    assert re.search(r"since the start \d+ builds in \d+ workers?; \d+ modules? parsed, which was spared 0 times", stats), stats
    assert ctl("delta", "queue", "--json").json["items"] is not None
    assert "say a rollout" in ctl("delta", "warm").err
