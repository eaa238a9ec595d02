# SPDX-License-Identifier: Apache-2.0
"""A second decoder of layer-patch, after fleet-patch(5), for layers in gzip or not packed at all.
`python3 layer_patch.py OLD PATCH NEW` decodes a file."""
import struct
import sys
import zlib
from pathlib import Path

import exe_patch
import wasm_delta
from wasm_coders import Reader, need, put_leb, signed, unzstd

PLAIN, GZIP, ZSTD, TRACK = range(4)
STORED, FIXED, OWN = range(3)
LENGTHS = [(3 + i, 0) for i in range(8)] + [(3 + (4 + i % 4 << i // 4 - 1), i // 4 - 1) for i in range(8, 28)] + [(258, 0)]
DISTANCES = [(1 + i, 0) for i in range(4)] + [(1 + (2 + i % 2 << i // 2 - 1), i // 2 - 1) for i in range(4, 30)]
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


class Bits:
    """Bits of a deflate stream, read from `data` or written (RFC 1951)."""

    def __init__(self, data=b""):
        self.value, self.n, self.at = int.from_bytes(data, "little"), 8 * len(data), 0
        self.out = []

    def take(self, n):
        need(self.at + n <= self.n, "a deflate stream ends early")
        self.at += n
        return self.value >> self.at - n & (1 << n) - 1

    def put(self, value, n):
        self.out += [value >> i & 1 for i in range(n)]

    def bytes(self):
        self.put(0, -len(self.out) % 8)
        return bytes(sum(b << i for i, b in enumerate(self.out[at : at + 8])) for at in range(0, len(self.out), 8))


def codes_of(lengths):
    """(length, code) of each symbol that has one."""
    codes, code = {}, 0
    for n in range(1, 16):
        for symbol, length in enumerate(lengths):
            if length == n:
                codes[symbol] = (n, code)
                code += 1
        code <<= 1
    return codes


def next_symbol(bits, symbols):
    code = n = 0
    while (n, code) not in symbols:
        need(n < 15, "a code that is none")
        code, n = code << 1 | bits.take(1), n + 1
    return symbols[n, code]


def describe(bits):
    """The codes of literals and of distances that a block describes."""
    literals, distances, kinds = 257 + bits.take(5), 1 + bits.take(5), 4 + bits.take(4)
    lengths = [0] * 19
    for i in ORDER[:kinds]:
        lengths[i] = bits.take(3)
    symbols = {code: symbol for symbol, code in codes_of(lengths).items()}
    found = []
    while len(found) < literals + distances:
        kind = next_symbol(bits, symbols)
        if kind < 16:
            found.append(kind)
        elif kind == 16:
            found += [found[-1]] * (3 + bits.take(2))
        else:
            found += [0] * (3 + bits.take(3) if kind == 17 else 11 + bits.take(7))
    return codes_of(found[:literals]), codes_of(found[literals:])


def fixed():
    return codes_of([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), codes_of([5] * 30)


def track_of(deflate):
    """The track of a stream."""
    bits, first, second, last = Bits(deflate), bytearray(), bytearray(), 0
    while not last:
        last, kind = bits.take(1), bits.take(2)
        first.append(last + 2 * kind)
        if kind == STORED:
            first.append(bits.take(-bits.at % 8))
            n = bits.take(16)
            first += put_leb(n)
            bits.take(16 + 8 * n)
            continue
        start = bits.at
        literals, distances = fixed() if kind == FIXED else describe(bits)
        if kind == OWN:
            n = bits.at - start
            bits.at = start
            first += put_leb(n) + bits.take(n).to_bytes((n + 7) // 8, "little")
        first += put_leb(track_matches(bits, literals, distances, second))
    return put_leb(len(first)) + first + second


def track_matches(bits, literals, distances, second):
    literals = {code: symbol for symbol, code in literals.items()}
    distances = {code: symbol for symbol, code in distances.items()}
    matches = before = 0
    while True:
        symbol = next_symbol(bits, literals)
        if symbol < 256:
            before += 1
            continue
        second += put_leb(before)
        if symbol == 256:
            return matches
        least, extra = LENGTHS[symbol - 257]
        second.append(least + bits.take(extra) - 3)
        least, extra = DISTANCES[next_symbol(bits, distances)]
        second += struct.pack("<H", least + bits.take(extra) - 1)
        matches, before = matches + 1, 0


def put_code(bits, codes, symbol):
    n, code = codes[symbol]
    for i in range(n - 1, -1, -1):
        bits.put(code >> i & 1, 1)


def put_range(bits, codes, ranges, base, value):
    symbol = max(i for i, (least, _) in enumerate(ranges) if least <= value)
    least, extra = ranges[symbol]
    put_code(bits, codes, base + symbol)
    bits.put(value - least, extra)


def deflate_by(track, data):
    """The stream that a track and the unpacked bytes make."""
    r, bits, at, last = Reader(track), Bits(), 0, 0
    first = Reader(r.take(r.number()))
    while not last:
        head = first.byte()
        last, kind = head & 1, head >> 1
        bits.put(head, 3)
        if kind == STORED:
            bits.put(first.byte(), -len(bits.out) % 8)
            n = first.number()
            bits.put(n | (n ^ 0xFFFF) << 16, 32)
            bits.put(int.from_bytes(data[at : at + n], "little"), 8 * n)
            at += n
            continue
        literals, distances = fixed() if kind == FIXED else (None, None)
        if kind == OWN:
            n = first.number()
            text = first.take((n + 7) // 8)
            literals, distances = describe(Bits(text))
            bits.put(int.from_bytes(text, "little"), n)
        matches = first.number()
        for i in range(matches + 1):
            for byte in data[at : (at := at + r.number())]:
                put_code(bits, literals, byte)
            if i == matches:
                break
            n = r.byte() + 3
            put_range(bits, literals, LENGTHS, 257, n)
            put_range(bits, distances, DISTANCES, 0, int.from_bytes(r.take(2), "little") + 1)
            at += n
        put_code(bits, literals, 256)
    need(at == len(data) and r.left() == first.left() == 0, "a track is for other bytes")
    return bits.bytes()


def gzip_head(layer):
    """The bytes of the header of a gzip file (RFC 1952)."""
    flags, at = layer[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(layer[at : at + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            at = layer.index(0, at) + 1
    return at + 2 * (flags >> 1 & 1)


def unpacked(layer):
    if layer[:3] == b"\x1f\x8b\x08":
        return zlib.decompress(layer, 31)
    return unzstd(layer) if layer[:4] == b"\x28\xb5\x2f\xfd" else layer


def unnest(old, delta):
    return {0xD7: wasm_delta.decode, 0xD8: exe_patch.decode}[delta[0]](old, delta)


def archive(old, r, plan, rest):
    """The new archive; nested deltas are read from r."""
    out, end = b"", 0
    while plan.left():
        op = plan.number()
        n, kind = op >> 2, op & 3
        if kind == 0:
            out += rest.take(n)
            continue
        at = end + signed(plan.number())
        size = plan.number() if kind == 2 else n
        end = at + size
        made = old[at:end] if kind == 1 else unnest(old[at:end], r.take(plan.number()))
        need(len(made) == n, "a piece has another size")
        out += made
    return out


def decode(old_layer, patch):
    """The new layer."""
    r = Reader(patch)
    need(r.byte() == 0xD9, "no layer-patch")
    kind, level, detail = r.byte(), r.byte(), r.byte()
    need(kind >> 4 == 1 and kind & 15 in (PLAIN, GZIP, TRACK), "another version, or in zstd")
    r.number()
    size = r.number()
    head = r.take(r.number()) if kind & 15 else b""
    if kind & 15 == TRACK:
        n = r.number()
        old_track = track_of(old_layer[gzip_head(old_layer) :]) if old_layer[:3] == b"\x1f\x8b\x08" else b""
        track = unzstd(r.take(r.number()), old_track)
        need(len(track) == n, "the track has another size")
    old = unpacked(old_layer)
    n = r.number()
    plan = Reader(unzstd(r.take(r.number())))
    need(plan.left() == n, "the plan has another size")
    rest = Reader(unzstd(r.take(r.number()), old))
    new = archive(old, r, plan, rest)
    need(len(new) == size and r.left() == 0, "the archive has another size")
    if kind & 15 == PLAIN:
        return new
    end = struct.pack("<2I", zlib.crc32(new), len(new) & 0xFFFFFFFF)
    if kind & 15 == TRACK:
        return head + deflate_by(track, new) + end
    gzip = zlib.compressobj(level, zlib.DEFLATED, -15, detail)
    return head + gzip.compress(new) + gzip.flush() + end


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(decode(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()))
