# SPDX-License-Identifier: Apache-2.0
"""A second decoder of exe-patch, after fleet-patch(5): its names are that page's.
`python3 exe_patch.py OLD PATCH NEW` decodes a file."""
import bisect
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

from wasm_coders import ONES, Reader, need, signed, unzstd

MACHINES = {62: "x86-64", 183: "AArch64", 40: "Thumb-2", 243: "RISC-V"}
SYMBOLS, CODE, RELOCATIONS, FRAMES, FRAME_TABLE, WORDS = range(6)
MODRM = bytes.fromhex("01030b23292b3338393a3b638081838588898a8b8dc6c7f6f7ff")


def s(v, n):
    """v as a signed number of n bits."""
    v &= (1 << n) - 1
    return v - (1 << n) if v >> n - 1 else v


def fits(v, n):
    return -(1 << n - 1) <= v < 1 << n - 1


def w_of(w):
    return lambda a, n: w >> a & (1 << n) - 1


class Image:
    """The pieces of an old file, and what is written into its copy."""

    def __init__(self, data, new_address):
        self.data, self.copy, self.new = data, bytearray(data), new_address
        self.pieces, self.wide = [], False

    def u(self, at, n=4, copy=False):
        return int.from_bytes((self.copy if copy else self.data)[at : at + n], "little")

    def put(self, at, v, n=4):
        self.copy[at : at + n] = (v & (1 << 8 * n) - 1).to_bytes(n, "little")

    def bare(self, base):
        for kind in (CODE, WORDS):
            self.pieces.append(SimpleNamespace(kind=kind, at=0, end=len(self.data), address=base))
        self.program = self.code = (base, base + len(self.data))
        return self

    def elf(self):
        need(self.data[:4] == b"\x7fELF" and self.data[5] == 1, "no such ELF file")
        self.wide = self.data[4] == 2
        self.machine = MACHINES[self.u(18, 2)]
        headers = self.u(40, 8) if self.wide else self.u(32)
        size, n, names = struct.unpack_from("<3H", self.data, 58 if self.wide else 46)
        form = "<2I4Q" if self.wide else "<6I"
        rows = [struct.unpack_from(form, self.data, headers + i * size) for i in range(n)]
        _, kind, _, _, at, length = rows[names]
        texts = b"" if kind == 8 or at + length > len(self.data) else self.data[at : at + length]
        self.program = self.code = (ONES, 0)
        for name, kind, flags, address, offset, length in rows[1:]:
            if len(self.pieces) == 64:
                break
            if flags & 2 and address and not flags & 0x400 and address + length <= ONES:
                self.program = min(self.program[0], address), max(self.program[1], address + length)
            text = texts[name:].split(b"\0")[0]
            kind = self.kind(kind, flags, text)
            if kind is not None and offset + length <= len(self.data):
                if kind == CODE:
                    self.code = min(self.code[0], address), max(self.code[1], address + length)
                self.pieces.append(SimpleNamespace(kind=kind, at=offset, end=offset + length, address=address))
        return self

    def kind(self, kind, flags, name):
        if kind in (2, 11):
            return SYMBOLS
        if not flags & 2 or kind == 8:  # NOBITS: it has no bytes in the file
            return None
        if flags & 4:
            return CODE
        if kind == (4 if self.wide else 9):
            return RELOCATIONS
        if name in (b".eh_frame", b".eh_frame_hdr"):
            return FRAMES if name == b".eh_frame" else FRAME_TABLE
        return WORDS if kind in (1, 14, 15, 6) else None

    # ---- tables and words

    def absolute(self, at, always=False):
        n = 8 if self.wide else 4
        t = self.u(at, n)
        if always or self.program[0] <= t < self.program[1]:
            new = self.new(t)
            if new < 1 << 8 * n:
                self.put(at, new, n)

    def relative(self, at, place):
        t = place + s(self.u(at), 32) & ONES
        d = s(self.new(t) - self.new(place), 64)
        if self.program[0] <= t < self.program[1] and fits(d, 32):
            self.put(at, d)

    def table(self, p):
        n = 8 if self.wide else 4
        if p.kind == WORDS:
            for at in range(p.at + -p.address % n, p.end - n + 1, n):
                self.absolute(at)
        elif p.kind == RELOCATIONS:
            size = 24 if self.wide else 8
            for at in range(p.at, p.end - size + 1, size):
                self.absolute(at, always=True)
                if self.wide:
                    self.absolute(at + 16)
        elif p.kind == SYMBOLS:
            size = 24 if self.wide else 16
            for at in range(p.at, p.end - size + 1, size):
                self.absolute(at + n)
        elif p.kind == FRAMES:
            at = p.at
            while at + 12 <= p.end and 4 <= self.u(at) <= p.end - at - 4:
                if self.u(at) >= 8 and self.u(at + 4):
                    self.relative(at + 8, p.address + at + 8 - p.at)
                at += 4 + self.u(at)
        elif p.end - p.at >= 12 and self.data[p.at : p.at + 4] == b"\x01\x1b\x03\x3b":
            self.relative(p.at + 4, p.address + 4)
            for at in range(p.at + 12, p.end - 3, 4):
                self.relative(at, p.address)

    # ---- code

    def in_code(self, t):
        return self.code[0] <= t < self.code[1]

    def in_program(self, t):
        return self.program[0] <= t < self.program[1]

    def distance(self, p, t):
        return s(self.new(t) - self.new(p), 64)

    def x86(self, piece):
        data, i = self.data, piece.at
        while i + 5 <= piece.end:
            b, before = data[i], data[i - 1] if i > piece.at else None
            call = b in (0xE8, 0xE9) or 0x80 <= b <= 0x8F and before == 0x0F
            access = b & 0xC7 == 5 and before is not None and (before in MODRM or i >= 2 and data[i - 2] == 0x0F)
            place = piece.address + i + 5 - piece.at
            t = place + s(self.u(i + 1), 32) & ONES
            if call and self.in_code(t) or not call and access and self.in_program(t):
                d = self.distance(place, t)
                if fits(d, 32):
                    self.put(i + 1, d)
                i += 4
            i += 1

    def arm64(self, piece):
        taken = None
        for i in range(piece.at, piece.end - 3, 4):
            w, place = self.u(i), piece.address + i - piece.at
            if w & 0x7C000000 == 0x14000000:
                t = place + 4 * s(w, 26) & ONES
                d = self.distance(place, t)
                if self.in_code(t) and d % 4 == 0 and fits(d, 28):
                    self.put(i, self.u(i, copy=True) & 0xFC000000 | d >> 2 & 0x3FFFFFF)
            elif w & 0x9F000000 == 0x90000000:
                f = w_of(w)
                t = (place & ~0xFFF) + 4096 * s(4 * f(5, 19) + f(29, 2), 21)
                low, scale = None, 0
                for k in range(i + 4, min(i + 32, piece.end - 4) + 1, 4):
                    scale = self.low_scale(self.u(k), f(0, 5))
                    if scale is not None:
                        low, t = k, t + (self.u(k) >> 10 & 0xFFF) * (1 << scale)
                        break
                t &= ONES
                low = None if low == taken else low
                taken = low
                if self.in_program(t):
                    self.put_page(i, place, t, low, scale)

    @staticmethod
    def low_scale(x, base):
        f = w_of(x)
        if f(5, 5) != base:
            return None
        if x & 0x7FC00000 == 0x11000000:
            return 0
        if x & 0x3B000000 != 0x39000000:
            return None
        return 4 if f(30, 2) == 0 and x & 0x04800000 == 0x04800000 else f(30, 2)

    def put_page(self, i, place, t, low, scale):
        new = self.new(t)
        p = (new >> 12) - (self.new(place) >> 12)
        if not fits(p, 21) or low is not None and new % (1 << scale):
            return
        if low is not None:
            self.put(low, self.u(low, copy=True) & ~(0xFFF << 10) | (new & 0xFFF) >> scale << 10)
        self.put(i, self.u(i, copy=True) & 0x9F00001F | (p & 3) << 29 | (p >> 2 & 0x7FFFF) << 5)

    def thumb(self, piece):
        i = piece.at
        while i + 4 <= piece.end:
            h, w = self.u(i, 2), self.u(i + 2, 2)
            f, g = w_of(h), w_of(w)
            i += 2
            if h & 0xF800 == 0xF000 and (w & 0xD000 in (0xD000, 0x9000) or w & 0xD001 == 0xC000):
                b = f(10, 1)
                v = b << 24 | (g(13, 1) ^ b ^ 1) << 23 | (g(11, 1) ^ b ^ 1) << 22 | f(0, 10) << 12 | g(0, 11) << 1
                place = piece.address + i + 2 - piece.at
                t = place + s(v, 25) & ONES
                if self.in_code(t):
                    self.put_branch(i - 2, self.distance(place, t))
                    i += 2
            elif h >= 0xE800:
                i += 2

    def put_branch(self, i, d):
        if not fits(d, 25) or d % 2:
            return
        v = w_of(d & 0x1FFFFFF)
        b = v(24, 1)
        self.put(i, self.u(i, 2, True) & 0xF800 | b << 10 | v(12, 10), 2)
        l = self.u(i + 2, 2, True) & 0xD000 | (v(23, 1) ^ b ^ 1) << 13 | (v(22, 1) ^ b ^ 1) << 11 | v(1, 11)
        self.put(i + 2, l, 2)

    def riscv(self, piece):
        i = piece.at
        while i + 4 <= piece.end:
            w, place = self.u(i), piece.address + i - piece.at
            f = w_of(w)
            step = 4 if f(0, 2) == 3 else 2
            if f(0, 7) == 0x6F:
                t = place + s(f(31, 1) << 20 | f(12, 8) << 12 | f(20, 1) << 11 | f(21, 10) << 1, 21) & ONES
                d = self.distance(place, t)
                if self.in_code(t) and d % 2 == 0 and fits(d, 21):
                    v = w_of(d & 0x1FFFFF)
                    jump = v(20, 1) << 31 | v(1, 10) << 21 | v(11, 1) << 20 | v(12, 8) << 12
                    self.put(i, self.u(i, copy=True) & 0xFFF | jump)
            elif f(0, 7) == 0x17 and i + 8 <= piece.end and self.pair(i, w, place):
                step = 8
            i += step

    def pair(self, i, w, place):
        g = w_of(self.u(i + 4))
        if g(15, 5) != w >> 7 & 31:
            return False
        store = g(0, 7) in (0x23, 0x27)
        if not store and not (g(0, 7) in (3, 7) or g(0, 7) in (0x13, 0x67) and g(12, 3) == 0):
            return False
        low = g(25, 7) << 5 | g(7, 5) if store else g(20, 12)
        t = place + s(w & 0xFFFFF000, 32) + s(low, 12) & ONES
        if not self.in_program(t):
            return False
        d = self.distance(place, t)
        low = s(d, 12)
        if fits(d - low, 32):
            x = self.u(i + 4, copy=True)
            self.put(i, self.u(i, copy=True) & 0xFFF | d - low & 0xFFFFF000)
            bits = (low >> 5 & 127) << 25 | (low & 31) << 7 if store else (low & 0xFFF) << 20
            self.put(i + 4, x & (0x1FFF07F if store else 0xFFFFF) | bits)
        return True

    def rewrite(self, what):
        find = {"x86-64": self.x86, "AArch64": self.arm64, "Thumb-2": self.thumb, "RISC-V": self.riscv}
        for p in self.pieces:
            if p.kind == CODE:
                find[self.machine](p)
            elif what & (2 if p.kind == WORDS else 1):
                self.table(p)
        return bytes(self.copy)


def read_map(data):
    """The new address of an old one."""
    r, stretches, at, shift = Reader(data), [], 0, 0
    while r.left():
        at += r.number()
        shift += signed(r.number())
        stretches.append((at, shift))
    starts = [at for at, _ in stretches]

    def new(address):
        low = bisect.bisect_right(starts, address)
        return address + stretches[low - 1][1] & ONES if low else address

    return new


def decode(old, patch):
    """The new file."""
    r = Reader(patch)
    need(r.byte() == 0xD8, "no exe-patch")
    what = r.byte()
    need(what >> 4 == 1, "another version")
    bare = r.byte()
    base = r.number() if bare else 0
    r.number()
    size = r.number()
    raw = unzstd(r.take(r.number()))
    need(len(raw) == size, "the map has another size")
    image = Image(old, read_map(raw))
    if bare:
        image.bare(base).machine = list(MACHINES.values())[bare - 1]
    else:
        image.elf()
    return unzstd(r.take(r.left()), image.rewrite(what & 15))


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(decode(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()))
