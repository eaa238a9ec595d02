# SPDX-License-Identifier: Apache-2.0
"""Small executables of each instruction set, full of numbers that name places: the same seed, the same bytes.
They could not run; they look as exe-patch expects it."""
import random
import struct

from exe_patch import Image

MACHINES = {"x86-64": (62, True), "AArch64": (183, True), "Thumb-2": (40, False), "RISC-V": (243, True)}
BASE = 0x10000
TEXT, TEXT_BYTES = BASE + 0x1000, 6000
NAMES = ("", ".text", ".eh_frame_hdr", ".eh_frame", ".data", ".rela", ".bss", ".tdata", ".symtab", ".names")


def x86(chance, n):
    near = struct.pack("<i", chance.randrange(-n, n))
    head = (b"\xe8", b"\xe9", b"\x0f\x84", b"\x8b\x05", b"\x48\x8d\x3d", b"\x0f\x10\x05", b"\x90\x05", b"\x8d")
    return chance.choice(head) + (near if chance.random() < 0.8 else b"")


def arm64(chance, n):
    word = chance.getrandbits(32)
    page = 0x90000000 | word & 0x6000001F | chance.choice((0, 1, 0x7FFFF)) << 5
    low = (0x91000000, 0xF9400000, 0x3DC00000, 0x39000000)
    words = (
        [0x94000000 | chance.randrange(-n, n) // 4 & 0x3FFFFFF],
        [page, chance.choice(low) | word & 0x3FFC00 | (page & 31) << 5],
        [page, 0xD503201F, page & ~0x60000000, chance.choice(low) | (page & 31) << 5 | 0x2000],
        [0x14000000 | word & 0x3FFFFFF],
        [word],
    )
    return b"".join(struct.pack("<I", w) for w in chance.choice(words))


def thumb(chance, n):
    v = chance.randrange(-n, n) & ~1
    high = 0xF000 | (v < 0) << 10 | v >> 12 & 0x3FF
    same = (v >> 23 & 1) << 13 | (v >> 22 & 1) << 11 if v >= 0 else 0
    low = chance.choice((0xD000, 0x9000, 0xC000)) | (0x2800 ^ same if v >= 0 else 0x2800) | v >> 1 & 0x7FF
    halves = ([high, low], [chance.getrandbits(16)], [0xE92D, 0x4FF0], [0x4770])
    return b"".join(struct.pack("<H", h) for h in chance.choice(halves))


def riscv(chance, n):
    v, word = chance.randrange(-n, n) & ~1, chance.getrandbits(32)
    jump = 0x6F | (v >> 20 & 1) << 31 | (v >> 1 & 0x3FF) << 21 | (v >> 11 & 1) << 20 | (v >> 12 & 0xFF) << 12
    form = chance.choice((0x03, 0x13, 0x67, 0x23, 0x27, 0x33))
    pair = [0x97 | chance.choice((0, 1, 2, 0xFFFFF)) << 12, form | 1 << 15 | word & 0xFFF00F80]
    if chance.random() < 0.3:
        return struct.pack("<H", word & 0xFFFC)
    return b"".join(struct.pack("<I", w) for w in chance.choice(([jump], pair, [word])))


CODE = {"x86-64": x86, "AArch64": arm64, "Thumb-2": thumb, "RISC-V": riscv}


def code(machine, chance, n):
    out = b""
    while len(out) < n:
        out += CODE[machine](chance, n)
    return out[: n & ~3]


def frames(chance, n):
    """.eh_frame: a head, then an entry a function, relative to itself."""
    out = struct.pack("<2I", 12, 0) + b"\1zR\0\1\1\1\1"
    for _ in range(n):
        place = BASE + 0x8000 + len(out) + 8
        out += struct.pack("<2IiII", 16, len(out) + 4, TEXT + chance.randrange(0x800) - place, 32, 0)
    return out + bytes(4)


def elf(machine, seed, size=TEXT_BYTES):
    number, wide = MACHINES[machine]
    chance = random.Random(seed)
    word = "<Q" if wide else "<I"
    near = [TEXT + chance.randrange(size) for _ in range(64)]
    words = b"".join(struct.pack(word, chance.choice(near + [chance.getrandbits(32)])) for _ in range(60))
    table = struct.pack("<4Bi2I", 1, 0x1B, 3, 0x3B, 0x100, 8, 0)[:12]
    table += b"".join(struct.pack("<i", a - BASE - 0x7000) for a in near[:16])
    rows = [struct.pack("<3Q", a, 8, a + 4) if wide else struct.pack("<2I", a, 8) for a in near[:20]]
    symbols = [struct.pack("<I4xQQ", i, a, 4) if wide else struct.pack("<4I", i, a, 4, 0) for i, a in enumerate(near)]
    names = b"\0".join(name.encode() for name in NAMES[1:])
    contents = {  # type, flags, address, bytes
        ".text": (1, 6, TEXT, code(machine, chance, size)),
        ".eh_frame_hdr": (1, 2, BASE + 0x7000, table),
        ".eh_frame": (1, 2, BASE + 0x8000, frames(chance, 12)),
        ".data": (1, 3, BASE + 0x9003, b"abcde" + words),
        ".rela": (4 if wide else 9, 2, BASE + 0x400, b"".join(rows)),
        ".bss": (8, 3, BASE + 0xA000, bytes(16)),
        ".tdata": (1, 0x403, 0x900000, words[:64]),
        ".symtab": (2, 0, 0, b"".join(symbols)),
        ".names": (3, 0, 0, b"\0" + names + b"\0"),
    }
    body, headers = b"", bytes(64 if wide else 40)
    start = 64 if wide else 52
    for name, (kind, flags, address, data) in contents.items():
        at = (b"\0" + names + b"\0").index(name.encode() + b"\0")
        form = "<2I4Q2I2Q" if wide else "<10I"
        headers += struct.pack(form, at, kind, flags, address, start + len(body), len(data), 0, 0, 1, 0)
        body += b"" if kind == 8 else data
    shoff = start + len(body)
    head = b"\x7fELF" + bytes((2 if wide else 1, 1, 1)) + bytes(9)
    form = "<2HI3QI6H" if wide else "<2HI3II6H"
    head += struct.pack(form, 3, number, 1, TEXT, 0, shoff, 0, start, 0, 0, 64 if wide else 40, 10, 9)
    return head + body + headers + bytes(64)


def firmware(seed, size=4000):
    """A bare image of ARMv7-M."""
    chance = random.Random(seed)
    near = [chance.randrange(size) for _ in range(30)]
    words = b"".join(struct.pack("<I", a) for a in near)
    return struct.pack("<2I", 0x20004000, 0x101) + code("Thumb-2", chance, size) + words


def next_build(image, machine=None):
    """The image, firmware without a machine, as it is when 64 bytes have come to the middle of its code: what names
    a place behind them has moved; as many bytes before the end of the code are gone."""
    begin, end = (TEXT, TEXT + TEXT_BYTES) if machine else (0, len(image))
    moved = Image(image, lambda address: address + 64 if begin + 2000 <= address < end else address)
    if machine:
        moved.elf()
    else:
        moved.bare(0).machine = "Thumb-2"
    code, new = moved.pieces[0], moved.rewrite(3)
    return new[: code.at + 2000] + bytes(64) + new[code.at + 2000 : code.end - 64] + new[code.end :]
