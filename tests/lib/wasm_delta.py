# SPDX-License-Identifier: Apache-2.0
"""A second decoder of wasm-delta, slow but easy to read, after fleet-delta(5) and fleet-delta-models(5): it keeps to
their parts and their names, and where it errs, they do. `python3 wasm_delta.py OLD DELTA NEW` decodes a file."""
import bisect
import sys
from pathlib import Path

from wasm_coders import Adaptive, ONES, Reader, Streams, need, read_piece, signed
from wasm_delta_code import C, Code, INDEX, Learned, NONE, below
from wasm_parts import COMPONENT_MAGIC, MAGIC, Module, join, put_leb, scan, split


class Decoder(Code):
    def __init__(self, old, coder):
        self.c = coder
        self.old = split(old)
        self.new = Module()

    def run(self):
        self.layout()
        self.residue()
        scan(self.new)
        self.begin_code()
        self.partners()
        self.map_functions()
        self.map_types()
        self.types()
        self.exports()
        self.elements()
        old_bytes = sum(n for _, n, _ in self.old.data)
        self.data_copies = self.copies(old_bytes, sum(n for _, n, _ in self.new.data))
        self.blocks()
        return MAGIC + b"".join(self.section(s) for s in self.new.sections)

    def section(self, s):
        if s.structured and s.id == 10:
            size = self.code()
            payload = join(self.new, s)
            need(len(payload) == size, "the code has another size")
        else:
            if s.structured and s.id == 11:
                self.data()
            if s.structured and s.id == 0:
                self.names()
            payload = join(self.new, s)
        return bytes([s.id]) + put_leb(len(payload), s.pad) + payload

    # ---- 10, 11

    def layout(self):
        n = len(self.old.sections) + self.signed(0, 0)
        need(0 <= n <= 4096, "too many sections")
        for i in range(n):
            o = self.old.sections[i] if i < len(self.old.sections) else None
            what = self.c.number(0, 0) ^ (o.id | o.structured << 4 | o.pad << 5 if o else 0)
            size = self.signed(0, 1) + (len(o.residue) if o else 0)
            s = type("Section", (), {})()
            s.id, s.structured, s.pad, s.size = what & 15, bool(what >> 4 & 1), what >> 5, size
            need(s.id < 14 and s.pad <= 4 and size >= 0, "no section")
            self.new.sections.append(s)

    def copies(self, n, m):
        """At, length, extra of each copy."""
        found, end, done, before = [], 0, 0, 0
        while done < m:
            length = self.c.number(1, before)
            extra = self.c.number(2, min(length, 40))
            at = end + self.signed(3, min(before, 40))
            done += length + extra
            end, before = at + length, extra
            need(0 <= at and end <= n and done <= m and length + extra > 0, "a copy is out of bounds")
            found.append((at, length, extra))
        return found

    def residue(self):
        old, new = self.old.residue, bytearray()
        d, last, u = [0, 0, 0], 0, 0

        def around(data, at, a, b):
            v = 1
            for k in range(at + a, at + b + 1):
                v = v << 8 | (data[k] if 0 <= k < len(data) else 0)
            return v

        for at, length, extra in self.copies(len(old), sum(s.size for s in self.new.sections)):
            for i in range(length):

                def r(a, b, at=at + i):
                    return around(old, at, a, b)

                two, one = d[0] * 256 + d[1], old[at + i]
                hit = self.c.hit(
                    4,
                    C(one, u & 15),
                    C(min(i, 3), two),
                    C(r(-1, 0), d[0]),
                    C(r(0, 2), u & 15),
                    C(r(-3, 0), u & 15),
                    C(r(-2, 3), u & 3),
                    C(u & 65535, 7),
                    C(r(0, 3), last),
                    C(r(1, 3), u & 255),
                )
                change = 0
                if not hit:
                    change = self.c.byte(
                        5,
                        one,
                        C(two, d[2]),
                        last,
                        C(last, d[0]),
                        C(r(0, 3), 9),
                        C(r(-1, 2), u & 15),
                        C(r(-3, 0), 8),
                        C(r(1, 3), two),
                        C(r(0, 1), last),
                    )
                new.append(one + change & 255)
                d = [change] + d[:2]
                u = (u << 1 | (change != 0)) & 0xFFFFFFFF
                last = change or last
            for _ in range(extra):
                at = len(new)
                new.append(
                    self.c.byte(
                        6,
                        new[-1] if new else 0,
                        C(around(new, at, -4, -1), 1),
                        C(around(new, at, -6, -1), 2),
                        C(around(new, at, -4, -4), 3),
                    )
                )
        at = 0
        for s in self.new.sections:
            s.residue = bytes(new[at : at + s.size])
            at += s.size

    # ---- 12

    def partners(self):
        free = list(range(len(self.old.bodies)))
        at = last = 0
        self.partner = []
        for _ in self.new.bodies:
            rank = bisect.bisect_left(free, at)
            expected = free[rank] if rank < len(free) else None
            gap = min(20, at - free[rank - 1]) if rank else 0
            if self.c.hit(7, gap, last, C(last, gap)):
                partner = expected
            else:
                word = self.c.number(8, last)
                last = word
                if word == 0:
                    partner = None
                elif word == 1:
                    partner = self.c.number(8, NONE)
                else:
                    place = rank + signed(word - 2)
                    need(0 <= place < len(free), "a partner is out of bounds")
                    partner = free[place]
            if partner is not None:
                need(partner < len(self.old.bodies), "there is no such partner")
                at = partner + 1
                if partner in free:
                    free.remove(partner)
            self.partner.append(partner)

    def map_functions(self):
        old, new = self.old, self.new
        self.map = [0] * old.functions()
        self.known = [0] * old.functions()
        self.old_of = {}
        guess = 0
        for n, name in enumerate(new.imports):
            for k in range(len(old.imports)):
                o = (guess + k) % len(old.imports)
                if old.imports[o] == name:
                    self.map[o], self.known[o], self.old_of[n] = n, 1, o
                    guess = o + 1
                    break
        for f, partner in enumerate(self.partner):
            if partner is None:
                continue
            f, o = f + len(new.imports), partner + len(old.imports)
            self.old_of[f] = o
            if not self.known[o]:
                self.map[o], self.known[o] = f, 1
        for o, known in enumerate(self.known):
            if not known:
                self.map[o] = self.map[o - 1] + 1 & INDEX if o else 0

    def function(self, o):
        return self.map[o] if o < len(self.map) else o & INDEX

    def map_types(self):
        self.type_map = {}
        n = len(self.new.types)
        for o, one in enumerate(self.old.types):
            same = [(o + k) % n for k in range(n) if self.new.types[(o + k) % n] == one]
            self.type_map[o] = same[0] if same else o

    # ---- 13

    def types(self):
        last = 0
        for f in range(len(self.new.types_of)):
            partner = self.partner[f] if f < len(self.partner) else None
            x = 0
            if partner is not None and partner < len(self.old.types_of):
                x = self.old.types_of[partner]
                x = self.type_map.get(x, x)
            alone = int(partner is None)
            last = self.expect(18, 19, x, (alone,), (last, alone)) & INDEX
            self.new.types_of[f] = last

    def exports(self):
        old, at = self.old.exports, 0
        last, shift = {}, {}
        for e in self.new.exports:
            name, kind, _ = e
            o = None
            for k in range(len(old)):
                i = (at + k) % len(old)
                if old[i][:2] == [name, kind]:
                    o, at = old[i][2], i + 1
                    break
            x = last.get(kind, 0) + 1
            if o is not None:
                x = self.function(o) if kind == 0 else o + shift.get(kind, 0)
            hit = self.c.hit(20, kind, int(o is not None))
            index = (x if hit else x + self.signed(21, kind)) & INDEX
            e[2] = last[kind] = index
            if o is not None:
                shift[kind] = index - o
                if kind == 0 and o < len(self.map):
                    self.map[o], self.known[o] = index, 2

    def elements(self):
        old = [(slot + i & INDEX, f) for slot, items in self.old.elements for i, f in enumerate(items)]
        at = last = 0
        self.slots = Learned()
        for slot, items in self.new.elements:
            for i in range(len(items)):
                follows = at < len(old)
                x = self.function(old[at][1]) if follows else last + 1 & INDEX
                if self.c.hit(22, int(follows)):
                    items[i] = x
                else:
                    d = self.signed(23, 1)
                    follows = d != 0
                    if d:
                        at += d
                        need(0 <= at < len(old), "an element is out of bounds")
                        items[i] = self.function(old[at][1])
                    else:
                        items[i] = last + self.signed(23, 2) & INDEX
                last = items[i]
                if follows:
                    self.slots.put(old[at][0], slot + i & INDEX)
                    at += 1

    # ---- 14

    def blocks(self):
        def places(m):
            """Begin, end and address of all segments in the row of their bytes."""
            at, found = 0, []
            for address, n, _ in m.data:
                found.append((at, at + n, address))
                at += n
            return found

        def address(segments, at):
            """The address of a byte and how many there are in its segment from it on."""
            start, end, first = segments[bisect.bisect_right(segments, (at, 1 << 64)) - 1]
            while not start <= at < end:  # empty ones may follow at the same place
                raise AssertionError((segments, at))
            return (None if first is None else first + at - start), end - at

        old, new = places(self.old), places(self.new)
        found, done = [], 0
        for at, length, extra in self.data_copies:
            i = 0
            while i < length:
                (a, n), (b, k) = address(old, at + i), address(new, done + i)
                n = min(n, k, length - i)
                if a is not None and b is not None:
                    found.append((a, b, n))
                i += n
            done += length + extra
        self.sorted_blocks = sorted(found)
        spans = [(a, a + n) for a, n, _ in self.old.data if a is not None]
        self.low = min((a for a, _ in spans), default=ONES)
        self.high = max((end for _, end in spans), default=0)
        self.top = max(1024, min(16384, self.low))

    def moved(self, a):
        i = bisect.bisect_right(self.sorted_blocks, (a, ONES, ONES))
        for old, new, n in reversed(self.sorted_blocks[max(0, i - 4) : i]):
            if a - old < n:
                return new + a - old
        return None

    # ---- 18

    def data(self):
        self.words, self.differences = Learned(), [0] * 16
        self.k1 = self.k2 = self.states = self.moves = self.changed = self.last_word = 0
        self.kind_at = [0] * 256
        old = b"".join(d for _, _, d in self.old.data)
        where = [(address or 0) + i for address, n, _ in self.new.data for i in range(n)]
        out = bytearray()
        for at, length, extra in self.data_copies:
            i = 0
            while i < length:
                if i + 4 > length or where[len(out)] % 4:
                    one = old[at + i]
                    change = 0 if self.c.hit(29, 9, one, 9) else self.c.byte(31, 9, one)
                    out.append(one + change & 255)
                    i += 1
                else:
                    out += self.word(int.from_bytes(old[at + i : at + i + 4], "little"), i).to_bytes(4, "little")
                    i += 4
            z = 0
            for _ in range(extra):
                a, up = where[len(out)] & 3, z >> 24
                m = (z & 255, C(z & 0xFFFFFFFF, 1), C(a, up & 255), C(a + 4, up & 0xFF00FF))
                byte = self.c.byte(32, *m, C(z & 0xFFFFFFFFFF, 5), C(z & 0xFFFFFFFFFFFF, 6))
                out.append(byte)
                z = below(z << 8 | byte)
        at = 0
        for i, (address, n, _) in enumerate(self.new.data):
            self.new.data[i] = (address, n, bytes(out[at : at + n]))
            at += n

    def word(self, old, i):
        moved = self.moved(old)
        if old < 256:
            s = int(old != 0)
        elif moved is not None:
            s = 3 if moved != old else 2
        else:
            s = 4 if old in self.slots.of else 5
        m, states = self.moves, self.states
        situation = (s, old, min(i // 4, 3) + 8 * self.changed + 16 * (i // 4 & 1), C(s, m & 15))
        situation += (C(s, m & 255, states & 255), C(s, states & 65535), C(s, old >> 12))
        hit = self.c.hit(29, *situation)
        self.states = (states << 4 | s) & 0xFFFFFFFF
        if s == 3:
            self.moves = (m << 1 | (not hit)) & 0xFFFFFFFF
        self.changed = int(not hit)
        return old if hit else self.changed_word(old, moved)

    def changed_word(self, old, moved):
        near = self.addresses.near(old) if moved is None else moved
        g = [self.addresses.of.get(old, near), self.slots.of.get(old, old)]
        g.append(self.words.of.get(old, self.words.near(old)))
        g = [x & INDEX for x in g]
        agree = (g[0] == old) + 2 * (g[1] == old) + 4 * (g[2] == old) + 8 * (g[0] == g[2])
        k1, k2, at = self.k1, self.k2, old >> 10 & 255
        m = (C(k1, agree), C(k1, k2), self.kind_at[at], C(self.states & 255, agree))
        kind = self.c.byte(30, *m, C(g[0] - old & INDEX, agree), C(k1, k2, agree))
        if kind < 3:
            v = g[kind]
        elif kind == 3:
            v = 0
            for i in range(4):
                o, last = old >> 8 * i & 255, self.last_word >> 8 * i & 255
                change = self.c.byte(31, i, C(i, o), C(i, v, o), C(i, last), C(i, v))
                v |= (o + change & 255) << 8 * i
            self.last_word = v
        else:
            v = old + self.differences[(kind - 4) % 16] & INDEX
        self.k2, self.k1, self.kind_at[at] = k1, kind, kind
        d = v - old & INDEX
        rest = list(self.differences)
        rest.pop(rest.index(d) if d in rest else 15)
        self.differences = [d] + rest
        if old >= 256:
            self.words.put(old, v)
        return v

    # ---- 19

    def names(self):
        old = {i: name for i, name in self.old.names if i < self.old.functions()}
        expected, before = 0, b""
        for row in self.new.names:
            row[0] = self.expect(24, 25, expected, (0,), (0,)) & INDEX
            expected = row[0] + 1 & INDEX
            like = old.get(self.old_of.get(row[0]))
            if like is not None and self.c.hit(26, 0):
                row[1] = like
            else:
                row[1] = self.name(before if like is None else like)
            before = row[1]

    def name(self, like):
        front = self.c.number(27, 0, C(0, len(like)))
        back = self.c.number(27, 1, C(1, front))
        need(front + back <= len(like), "a name is out of bounds")
        n = self.c.number(27, 2, C(2, len(like) - front - back))
        name = bytearray(like[:front])
        for i in range(front, front + n):
            one = name[-1] if name else 0
            two = name[-2] if len(name) > 1 else 0
            at = like[i] if i < len(like) else 0
            name.append(self.c.byte(28, C(one, two), C(at, one), C(min(i - front, 20), min(n, 40))))
        return bytes(name) + like[len(like) - back :]


# ---- 2, 3


def find_modules(data, base, depth, found):
    """Begin and end of the core modules of a component, at any depth."""
    r = Reader(data)
    r.take(8)
    while r.left():
        number = r.byte()
        content = r.take(r.number())
        start = base + r.at - len(content)
        if number == 1 and content[:8] == MAGIC and len(found) < 1024:
            found.append((start, start + len(content)))
        elif number == 4 and content[:8] == COMPONENT_MAGIC and depth < 16:
            find_modules(content, start, depth + 1, found)
    return found


def decode_component(old, r):
    modules, rest, at = [], b"", 0
    for start, end in find_modules(old, 0, 0, []):
        modules.append(old[start:end])
        rest += old[at:start]
        at = end
    new_rest = Reader(read_piece(r, rest + old[at:]))
    out = b""
    for _ in range(r.number()):
        out += new_rest.take(r.number())
        module = modules[r.number()]
        out += decode(module, r.take(r.number()), nested=True)
    need(r.left() == 0, "something follows the component")
    return out + new_rest.take(new_rest.left())


def sets(back, size):
    """Of 64 slots, that the model of a back end has (models 3)."""
    return min(max(size // 32, 1 << 15), 1 << (10, 12, 16)[back - 1])


def decode(old, delta, nested=False):
    """The new module."""
    r = Reader(delta)
    need(r.byte() == 0xD7, "no delta of a module")
    kind = r.byte()
    need(kind >> 4 == 1 and kind & 7 < 4, "another version")
    size, memory = r.number(), r.number()
    need(size <= 1 << 30 and (kind & 8 == 0 if nested else memory > 0), "the head makes no sense")
    if kind & 8:
        new = decode_component(old, r)
    elif kind & 7 == 0:
        new = Decoder(old, Streams(r.take(r.left()))).run()
    else:
        new = Decoder(old, Adaptive(r.take(r.left()), sets(kind & 7, size))).run()
    need(len(new) == size, "the new module has another size")
    return new


if __name__ == "__main__":
    Path(sys.argv[3]).write_bytes(decode(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()))
