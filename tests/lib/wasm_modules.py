# SPDX-License-Identifier: Apache-2.0
"""Small WebAssembly modules with sections and instructions of every kind, and their next versions: the same
seed, the same bytes. Nothing needs to be valid for a delta, only in the binary form."""
import random

from wasm_coders import ONES, put_leb
from wasm_parts import (
    BEGIN,
    BLOCK,
    BRANCH,
    COMPONENT_MAGIC,
    COUNT,
    F,
    GLOBAL,
    I32,
    KINDS,
    LABEL,
    LISTS,
    LOCAL,
    MAGIC,
    OFFSET,
    OPS,
    PAD,
    T,
    Token,
    put_token,
)

END = 0x0B
PLAIN = [op for op in OPS if op < BEGIN and op not in LISTS and OPS[op].depth >= 0]


def sleb(value, pad=0):
    return put_leb(value & ONES, pad, True)


def vector(items):
    return put_leb(len(items)) + b"".join(items)


def sized(data, pad=0):
    return put_leb(len(data), pad) + data


def section(number, payload, pad=0):
    return bytes([number]) + sized(payload, pad)


class Recipe:
    """What a module is made of; next_version changes it as a build does."""

    def __init__(self, seed, functions=6):
        chance = random.Random(seed)
        self.seed = seed
        self.shift = 0  # of addresses
        self.functions = [chance.randrange(1 << 30) for _ in range(functions)]  # each a seed of its body
        self.types = [chance.choice((b"\x60\1\x7f\1\x7f", b"\x60\0\0", b"\x60\2\x7f\x63\x70\0")) for _ in range(3)]
        self.types.append(b"\x4e\2\x50\1\0\x5f\2\x78\1\x63\x6e\0\x4f\0\x5e\x7f\1")
        self.imports = [f"import{i}".encode() for i in range(3)]
        self.changed = {}  # seed of a body: what differs in it
        self.texts = [b"a text of the first version %d" % i for i in range(4)]

    def next_version(self, seed):
        """The same, as it is after some work."""
        chance = random.Random(seed)
        new = Recipe(self.seed, 0)
        new.functions = list(self.functions)
        new.types = list(self.types)
        new.imports = list(self.imports)
        new.texts = list(self.texts)
        new.shift = self.shift + chance.choice((0, 16, 52))
        for _ in range(chance.randrange(3)):
            new.functions.insert(chance.randrange(len(new.functions) + 1), chance.randrange(1 << 30))
        if chance.random() < 0.3:
            new.functions.pop(chance.randrange(len(new.functions)))
        if chance.random() < 0.2:
            chance.shuffle(new.functions)
        for body in new.functions:
            if chance.random() < 0.3:
                new.changed[body] = chance.randrange(1 << 30)
        if chance.random() < 0.5:
            new.imports.insert(0, b"fresh")
            new.types.insert(1, b"\x60\1\x7e\1\x7e")
        if chance.random() < 0.5:
            new.texts[chance.randrange(4)] = b"another text %d" % seed
        return new

    # ---- code

    def immediate(self, kind, chance):
        r = chance.getrandbits(chance.choice((2, 6, 13, 31)))
        if kind == F:
            return len(self.imports) + chance.randrange(max(1, len(self.functions)))
        if kind == T:
            return chance.randrange(len(self.types) + 1)
        if kind == BLOCK:
            return chance.choice((ONES - 63, ONES, r % 3, 1 << 40 | r % 1000, 1 << 40 | 0x61))
        if kind in (I32, OFFSET):
            address = 2048 + self.shift + r % 64 * 4
            return chance.choice((address, r % 40, r & 0x7FFF, ONES - r % 999 if kind == I32 else 7))
        if kind == KINDS["S"]:
            return chance.choice((2048 + self.shift, r, ONES - r, 1 << 50))
        if kind == KINDS["h"]:
            return chance.choice((ONES - 15, 3))
        if kind == KINDS["a"]:
            return chance.choice((2, 0, 66 | (r % 300) << 7))
        if kind in (LOCAL, GLOBAL, LABEL):
            return r % 9
        if kind == KINDS["4"] or kind == KINDS["8"]:
            return chance.getrandbits(32)
        return r % (256 if kind > COUNT else 1 << 31)

    def token(self, op, chance, **known):
        kinds = OPS[op].kinds
        imms = [known.get("count", 0) if k == COUNT else self.immediate(k, chance) for k in kinds]
        if op in (0x501, 0x504):
            imms[-1] = 0x7F
        if op in (0x502, 0x505):
            imms[-2] = 0x63
        pads = [chance.choice((0,) * 30 + (1, 2, 3)) if k <= COUNT else 0 for k in kinds]
        if any(k == BLOCK and v >> 40 & 1 and not v >> 63 for k, v in zip(kinds, imms)):
            pads = [0] * len(pads)
        return Token(op, imms, pads)

    def body(self, number):
        chance = random.Random(number)
        if chance.random() < 0.1:
            return bytes(chance.choices(range(256), k=20))  # not understood
        groups = chance.randrange(3)
        tokens = [self.token(BEGIN, chance, count=groups)]
        tokens += [self.token(0x501 + chance.randrange(2), chance, count=chance.randrange(5)) for _ in range(groups)]
        depth = 1
        for _ in range(chance.randrange(10, 30)):
            op = chance.choice((chance.choice(PLAIN), 0x41, 0x20, 0x21, 0x10, 0x28, 0x36, chance.choice(tuple(LISTS))))
            if op == BEGIN:
                continue
            n = chance.randrange(4)
            tokens.append(self.token(op, chance, count=n))
            depth += OPS[op].depth
            if op in LISTS:
                first = LISTS[op][0]
                for _ in range(n + (op == 0x0E)):
                    more = 0 if first == BRANCH else chance.randrange(4 if first == 0x506 else 2)
                    tokens.append(self.token(first + more, chance))
        tokens = self.change(tokens, self.changed.get(number))
        return b"".join(map(put_token, tokens + [self.token(END, chance)] * depth))

    def change(self, tokens, seed):
        if seed is None:
            return tokens
        chance = random.Random(seed)
        plus = chance.choice((0, 1, 2))
        places = [i for i, t in enumerate(tokens) if t.op < 0x500 and t.op not in LISTS and OPS[t.op].depth == 0]
        for token in tokens:
            for i, kind in enumerate(OPS[token.op].kinds):
                if kind == LOCAL and chance.random() < 0.8:
                    token.imms[i] += plus
                elif kind not in (COUNT, PAD, BLOCK, T, F) and kind < 19 and chance.random() < 0.05:
                    token.imms[i] = self.immediate(kind, chance)
        for _ in range(chance.randrange(4)):
            at = chance.choice(places) if places else len(tokens)
            tokens[at:at] = [self.token(op, chance) for op in (0x20, 0x41, 0x6A, 0x21)]
        return tokens

    # ---- all of it

    def data(self):
        chance = random.Random(self.seed)
        words = b"".join(
            (chance.choice((2048 + self.shift + 4 * i, i, chance.randrange(9), 1 << 20))).to_bytes(4, "little")
            for i in range(40)
        )
        texts = b"\0".join(self.texts)
        segments = [(2048, bytes(self.shift) + texts), (2048 + self.shift + 400, words), (1 << 16, words[:33])]
        if self.seed % 2:
            return vector([b"\0\x41" + sleb(at) + b"\x0b" + sized(data) for at, data in segments])
        heads = [
            b"\0\x42" + sleb(2048) + b"\x0b",
            b"\1",
            b"\2\1\x23\0\x41\4\x6a\x0b",
            b"\x80\0\x41" + sleb(4096) + b"\x0b",
        ]
        return vector([head + sized(segments[i % 3][1], i) for i, head in enumerate(heads)])

    def elements(self):
        chance = random.Random(self.seed)
        n = len(self.functions)
        items = [put_leb(len(self.imports) + chance.randrange(max(n, 1))) for _ in range(2 * n)]
        if self.seed % 5 == 4:
            return vector([b"\4\x41\0\x0b" + vector([b"\xd2" + x + b"\x0b" for x in items])])
        heads = (b"\0\x41\1\x0b", b"\1\0", b"\2\1\x23\0\x0b\0", b"\3\0")
        return vector([head + vector(items[i * n // 2 :][: n // 2]) for i, head in enumerate(heads)])

    def names(self):
        own = [b"module%d::work%d" % (body % 3, body) for body in self.functions]
        names = [sized(x) for x in self.imports + own]
        functions = vector([put_leb(i) + x for i, x in enumerate(names) if i % 7 != 5])
        return b"\4name\0" + sized(b"\4unit") + b"\1" + sized(functions) + b"\2" + sized(vector([b"\0\0"]))

    def build(self):
        chance = random.Random(self.seed)
        n = len(self.functions)
        one = [sized(b"env") + sized(x) + b"\0\1" for x in self.imports]
        others = [b"\1e\1t\1\x64\x70\0\1", b"\1e\1m\2\x0d\1\2\x10", b"\1e\1g\3\x63\2\1", b"\1e\1x\4\0\0"]
        bodies = [sized(self.body(f), chance.choice((0, 0, 0, 1, 2))) for f in self.functions]
        exports = [sized(b"f%d" % f) + b"\0" + put_leb(i + len(self.imports)) for i, f in enumerate(self.functions[::2])]
        exports += [b"\1m\2\0", b"\1g\3\1", b"\1h\3\2", b"\1t\1\0"]
        return MAGIC + b"".join(
            (
                section(1, vector(self.types)),
                section(2, vector(one[:2] + others + one[2:])),
                section(3, vector([bytes([f % 3]) for f in self.functions])),
                section(4, vector([b"\x70\0\x10"])),
                section(5, vector([b"\0\1"]), 2),
                section(13, vector([b"\0\0"])),
                section(6, vector([b"\x7f\0\x41" + sleb(2048 + self.shift) + b"\x0b", b"\x7d\1\x43\0\0\0\0\x0b"])),
                section(7, vector(exports)),
                section(8, put_leb(n)),
                section(9, b"\0") if self.seed % 7 == 2 else b"",
                section(9, self.elements()),
                section(12, b"\1"),
                section(10, vector(bodies), 1),
                section(11, self.data()),
                section(0, self.names()),
                section(0, sized(b"producers") + b"\1" + sized(b"text %d" % self.shift)),
                section(0, sized(b".debug_info") + bytes(i * 3 + self.shift & 255 for i in range(200))),
                section(11, self.data()) if self.seed % 3 == 0 else b"",
            )
        )


def component(modules, text):
    """A component with `modules`, the last one in a component of its own."""
    inner = COMPONENT_MAGIC + section(1, modules[-1]) + section(0, sized(text))
    first = [section(1, m) + section(7, sized(text)) for m in modules[:-1]]
    return COMPONENT_MAGIC + b"".join(first) + section(0, sized(b"about") + text * 3) + section(4, inner)
