# SPDX-License-Identifier: Apache-2.0
"""The format of layer-patch is what fleet-patch(5) says: a decoder that follows it gives the layers back that
fleetctl's patches stand for."""
import io
import struct
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
from exe_images import elf, next_build  # noqa: E402
from layer_patch import GZIP, PLAIN, TRACK, decode  # noqa: E402


def archive(version):
    """A tar file with an executable and text that change in version 2, and with what stays."""
    program = elf("AArch64", 1)
    program = next_build(program, "AArch64") if version == 2 else program
    members = {"bin/app": program, "etc/config": b"a=%d\n" % version * 40, "same": bytes(range(256)) * 8}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            t.addfile(member, io.BytesIO(data))
    return out.getvalue()


def gzip(data, *pieces):
    """A gzip file whose pieces have settings of their own: bytes, level, strategy."""
    out, at = bytes.fromhex("1f8b0808000000000003") + b"name\0", 0
    for n, level, strategy in pieces:
        z = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
        last = at + n >= len(data)
        out += z.compress(data[at : at + n]) + z.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
        at += n
    return out + struct.pack("<II", zlib.crc32(data), len(data))


WHOLE = 1 << 30
MIXED = (5000, 0, zlib.Z_DEFAULT_STRATEGY), (7001, 9, zlib.Z_FIXED), (3000, 1, zlib.Z_HUFFMAN_ONLY), (WHOLE, 6, zlib.Z_RLE)


@pytest.mark.parametrize(
    "kind, pieces", [(PLAIN, ()), (GZIP, ((WHOLE, 6, zlib.Z_DEFAULT_STRATEGY),)), (TRACK, MIXED)], ids=("tar", "zlib", "track")
)
def test_layer(ctl, tmp_path, kind, pieces):
    """Copied, new and nested pieces, and each way back to the packed bytes: blocks of every type, whoever wrote them."""
    old, new, patch = (tmp_path / name for name in ("old", "new", "patch"))
    old.write_bytes(gzip(archive(1), *pieces) if pieces else archive(1))
    new.write_bytes(gzip(archive(2), *pieces) if pieces else archive(2))
    assert ctl("delta", "make", old, new, "-o", patch, "--codec", "layer-patch", "--bare").code == 0
    made = patch.read_bytes()
    assert made[1] & 15 == kind
    assert decode(old.read_bytes(), made) == new.read_bytes()
    said = {p["name"]: p for p in ctl("delta", "inspect", patch, "--json").json["parts"]}
    assert said["nested deltas"]["count"] > 0 and said["copied members"]["count"] > 0
