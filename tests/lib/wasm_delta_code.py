# SPDX-License-Identifier: Apache-2.0
"""The code section of a WebAssembly module's delta, for wasm_delta.py. After fleet-delta(5) and
fleet-delta-models(5), whose parts the comments name."""
import bisect

from wasm_coders import ONES, context, need, signed
from wasm_parts import (
    BEGIN,
    BLOCK,
    BRANCH,
    COUNT,
    F,
    F32,
    F64,
    GLOBAL,
    I32,
    I64,
    LABEL,
    LOCAL,
    OFFSET,
    OPS,
    PAD,
    RAW,
    RAW_BYTE,
    SIGNED,
    T,
    Token,
    like_long,
    parse,
    put_leb,
    put_token,
)

NONE = (1 << 32) - 1
INDEX = NONE  # mask of indices
C = context


def below(x):
    return x & ONES


def negative(x):
    return bool(x >> 63)


class Learned:
    """Old values and what they became (8)."""

    def __init__(self):
        self.of = {}
        self.sorted = []

    def put(self, old, new):
        if old not in self.of:
            bisect.insort(self.sorted, old)
        self.of[old] = new

    def near(self, old):
        i = bisect.bisect_right(self.sorted, old)
        k = self.sorted[i - 1] if i else old
        return below(old + self.of.get(k, k) - k)


class Guess:
    """What a number may become (17)."""

    slot = behind = ahead = None


def klass(n):
    log = max(n, 1).bit_length() - 1
    return 2 * log + (1 if log and n >> log - 1 & 1 else 0)


class Code:
    """What a decoder does with bodies; it has the coder, both modules and the maps."""

    def expect(self, s, t, x, hit=(), other=()):
        return x if self.c.hit(s, *hit) else self.c.number(t, *other)

    def signed(self, s, *m):
        return signed(self.c.number(s, *m))

    # ---- 15

    def begin_code(self):
        self.old_bodies = [parse(b) for b in self.old.bodies]
        self.old_tokens = [t for b in self.old_bodies for t in b]
        self.begins = [0]
        for b in self.old_bodies:
            self.begins.append(self.begins[-1] + len(b))
        self.next, self.away, self.home = 0, False, 0
        self.globals = list(range(4096))
        self.addresses = Learned()
        self.bias = [0] * 65536
        self.last, self.before, self.last_pad = [0] * 25, [0] * 25, [0] * 25
        self.text_address = self.text_front = self.text_back = self.text_const = self.text_kind = 0
        self.body = 0

    def remember(self, kind, v):
        if kind == I32 and v and not negative(v):
            if v >= self.top:
                self.text_address, self.text_front, self.text_back = v, self.text_const, 0
            else:
                self.text_const = v
                self.text_back = self.text_back or v
        self.before[kind], self.last[kind] = self.last[kind], v

    def code(self):
        sizes = [len(s.payload) for s in self.old.sections if s.id == 10]
        size = (sizes[-1] if sizes else 0) + self.signed(0, 1)
        if not self.c.plain:
            self.learn_old()
        for f in range(len(self.new.bodies)):
            self.body = f + 1
            self.new.bodies[f] = self.one_body(self.partner[f])
        return size

    def one_body(self, partner):
        sure, pad = False, 0
        if partner is not None:
            pad = self.old.bodies[partner][1]
            kind, doubts = klass(len(self.old_bodies[partner])), self.doubts(partner)
            begins = int(self.next == self.begins[partner])
            sure = self.c.hit(9, kind, begins, doubts, C(doubts, kind))
            self.next, self.away = self.begins[partner + sure], False
        if sure:
            tokens = self.move(partner)
        else:
            tokens = self.tokens()
            self.immediates(tokens)
            pad = tokens[0].imms[1]
        data = b"".join(map(put_token, tokens))
        return put_leb(len(data), pad) + data

    def doubts(self, partner):
        tokens = self.old_bodies[partner]
        calls = addresses = 0
        for t in tokens if tokens[0].op == BEGIN else []:
            for kind, v in zip(OPS[t.op].kinds, t.imms):
                calls += kind == F and v < len(self.known) and self.known[v] == 0
                address = kind in (I32, OFFSET) and v >= self.top and not negative(v)
                addresses += address and v not in self.addresses.of
        return min(calls, 2) * 8 + min(addresses, 7)

    def tokens(self):
        """The tokens of a body, each with its place as an old one and that token, as far as it has them."""
        self.t = []
        self.depth = self.raw_left = None
        extra = 0
        while not self.complete():
            length = 0
            if self.t or self.c.hit(10, 0):
                length = self.copy(extra)
            if self.complete():
                break
            extra = self.c.number(13, min(length, 40))
            need(length + extra, "a piece is empty")
            for _ in range(extra):
                if not self.complete():
                    self.add(self.new_op())
        return self.t

    def complete(self):
        return bool(self.t) and 0 in (self.depth, self.raw_left)

    def op(self, back):
        return self.t[-back].op if len(self.t) >= back else 0

    def copy(self, extra):
        x, first = min(extra, 40), int(not self.t)
        base = self.next
        if self.away and self.c.hit(11, x):
            base, self.away = self.home, False
        place = base + self.signed(14, x, first, int(self.away))
        if not self.away and abs(place - base) >= 1024:
            self.home, self.away = base, True
        need(0 <= place < len(self.old_tokens), "a copy is out of bounds")
        left = self.begins[bisect.bisect_right(self.begins, place)] - place
        length = self.c.number(12, x, C(klass(left), first), C(self.body, 0)) or left
        need(place + length <= len(self.old_tokens), "a copy is out of bounds")
        for i in range(length):
            old = self.old_tokens[place + i]
            op, p1 = old.op, self.op(1)
            if not self.c.hit(15, op, min(i, 5) * 8 + min(length - i, 6), C(op, p1)):
                op = self.c.number(16, old.op, C(old.op, p1))
            self.add(op)
            if OPS[op].kinds == OPS[old.op].kinds:
                self.t[-1].place, self.t[-1].old = place + i, old
            if self.complete():
                break
        self.next = place + length
        return length

    def new_op(self, known=None):
        """A new token; known, while the coder learns."""
        contexts, so_far = [], None
        for i in range(1, 7):
            so_far = self.op(1) if i == 1 else C(so_far, self.op(i))
            contexts.append(so_far)
        p1, pair = self.op(1), (None, None)
        if known is not None:
            pair = (known, None) if known < 0x100 else ((known >> 7) + 0xF6, known & 127)
            pair = (known - BEGIN + 0xE0, None) if known >= BEGIN else pair
        self.c.learning = pair[0]
        first = self.c.byte(17, *contexts)
        if first < 0xE0:
            return first
        if first < 0xF8:
            return BEGIN + first - 0xE0
        self.c.learning = pair[1]
        return (first - 0xF6) * 128 + self.c.byte(17, first, C(first, p1))

    def add(self, op):
        """A token more; what it means for the end of the body."""
        need(op in OPS, "an unknown token")
        begins = not self.t
        token = Token(op)
        token.place = token.old = None
        self.t.append(token)
        if begins and op == RAW:
            self.raw_left = self.c.number(17, RAW)
        elif begins:
            need(op == BEGIN, "a body begins in no way")
            self.depth = 1
        elif self.raw_left is not None:
            need(op == RAW_BYTE, "other tokens among raw bytes")
            self.raw_left -= 1
        else:
            need(op < RAW and op != BEGIN, "a token out of place")
            self.depth += OPS[op].depth

    # ---- models 8

    def learn_old(self):
        step, done = len(self.old_tokens) // 16384 + 1, 0
        f = step // 2
        while f < len(self.old_bodies) and done < 16384:
            self.t = []
            for token in self.old_bodies[f]:
                self.new_op(token.op)
                self.t.append(Token(token.op))
            self.forget()
            for t, token in enumerate(self.old_bodies[f]):
                for kind, v in zip(OPS[token.op].kinds, token.imms):
                    if kind != COUNT or self.count(t) is None:
                        self.remember(kind, self.without_old(t, kind, v))
            done += len(self.t)
            f += step
        self.c.learning = None
        self.last, self.before = [0] * 25, [0] * 25

    # ---- 16

    def move(self, partner):
        body = self.old_bodies[partner]
        if body[0].op == RAW:
            return [Token(RAW_BYTE, [b], [0]) for b in self.old.bodies[partner][0]]
        moved = []
        for token in body:
            new = Token(token.op)
            for kind, old, pad in zip(OPS[token.op].kinds, token.imms, token.pads):
                v = old
                if kind == F:
                    v = self.function(old)
                elif kind in (T, BLOCK):
                    v = self.type_map.get(old, old)
                elif kind == GLOBAL:
                    v = self.globals[old] if old < 4096 else old
                elif kind in (OFFSET, I32, I64) and self.top <= old < 1 << 48:
                    g = self.guess(kind, old)
                    v = g.first
                    self.learn(g, v)
                if kind != PAD:
                    self.remember(kind, v)
                    pad = pad if v == old else like_long(kind, old, pad, v)
                    self.last_pad[kind] = pad
                new.imms.append(v)
                new.pads.append(pad)
            moved.append(new)
        return moved

    # ---- 17

    def forget(self):
        self.local, self.prior, self.held, self.owner, self.small = {}, {}, {}, {}, Learned()
        self.recent = []
        self.branch = self.turn = self.shift = self.run_length = 0

    def count(self, t):
        """The count that the tokens behind token t tell, None if they tell none."""
        op = self.t[t].op
        after = {BEGIN: (0x501, 0x502), RAW: (RAW_BYTE,), 0x0E: (BRANCH,), 0x1C: (0x504, 0x505), 0x1F: range(0x506, 0x50A)}
        if op not in after:
            return None
        n = 0
        while t + 1 + n < len(self.t) and self.t[t + 1 + n].op in after[op]:
            n += 1
        return below(n - (op == 0x0E))

    def immediates(self, tokens):
        self.forget()
        expected = None
        for t, token in enumerate(tokens):
            follows = token.old is not None and token.place == expected
            self.run_length = self.run_length + 1 if follows else 0
            if token.old is not None:
                expected = token.place + 1
            for i, kind in enumerate(OPS[token.op].kinds):
                old = None if token.old is None else token.old.imms[i]
                v = self.count(t) if kind == COUNT else None
                if v is None:
                    v = self.without_old(t, kind) if old is None else self.with_old(t, kind, old)
                    v = below(v)
                    self.remember(kind, v)
                token.imms.append(v)
                token.pads.append(0)
                if kind <= COUNT:
                    x = self.last_pad[kind]
                    if old is not None:
                        x = like_long(kind, old, token.old.pads[i], v)
                    token.pads[i] = x if self.c.hit(33, kind, x) else self.c.byte(34, kind)
                    self.last_pad[kind] = token.pads[i]

    def at(self, t):
        return self.t[t].op if 0 <= t < len(self.t) else 0

    def with_old(self, t, kind, old):
        h = 35 + 4 * kind
        op, before = self.at(t), self.at(t - 1)
        if kind == F:
            x = self.function(old)
            known = self.known[old] if old < len(self.known) else 9
            v = self.expect(h, h + 1, x, (known, old, x), (x, old))
            if old < len(self.map):
                self.map[old], self.known[old] = v & INDEX, 2
            return v
        if kind == T:
            v = self.expect(h, h + 1, self.type_map.get(old, old), (old,), (old,))
            if old in self.type_map and v <= INDEX:
                self.type_map[old] = v
            return v
        if kind == BLOCK:
            x = self.type_map.get(old, old)
            return x if self.c.hit(h, old) else below(self.signed(h + 1, old))
        if kind == GLOBAL:
            v = self.expect(h, h + 1, self.globals[old] if old < 4096 else old, (old,), (old,))
            if old < 4096 and v <= INDEX:
                self.globals[old] = v
            return v
        if kind == LOCAL:
            return self.local_with_old(op, before, old)
        if kind in (OFFSET, I32, I64):
            return self.number_with_old(kind, op, before, old)
        if kind == LABEL:
            follows = op == BRANCH and before == BRANCH and self.run_length > 0
            x = below(old + (self.turn if follows else 0))
            v = x
            if not self.c.hit(h, op, C(old, op), C(before, int(self.turn != 0))):
                v = below(x + self.signed(h + 1, C(op, self.turn), C(old, op)))
            self.turn, self.branch = below(v - old), v
            return v
        return self.expect(h, h + 1, old, (op, old, before), (C(old, op), op))

    def local_with_old(self, op, before, old):
        h = 35 + 4 * LOCAL
        if old >= 1 << 20:
            return self.expect(h, h + 1, old, (old,), (old,))
        x = self.local.get(old)
        if x is None:
            nearest = max((k for k in self.local if k < old), default=None)
            x = old if nearest is None else below(old + self.local[nearest] - nearest)
        rival = self.owner.get(x) if x < 2048 else None
        rival = None if rival == old else rival
        swap = old if rival is None else self.prior.get(rival, NONE)
        prior = self.prior.get(old, NONE)
        if self.c.plain:
            if rival is not None:
                v = self.ranked(h + 1, swap, x, prior, old)
            else:
                v = x if self.c.hit(h) else self.ranked(h + 1, x, prior, old)
            self.use(v)
        else:
            sure = 1 + min(self.held[old], 6) if old in self.local else 0
            c, run = int(rival is not None), min(self.run_length, 9)
            l1, l2 = self.last[LOCAL], self.before[LOCAL]
            hit = (C(sure * 4 + (x == old) * 2 + c, op), C(sure, x, run), C(x, before, op))
            hit += (C(self.body, old, x), C(self.body, old, op), C(c, op, run))
            other = (x, C(l1, x), C(swap, prior), C(self.body, old, x), C(old, x), C(swap, c))
            v = self.expect(h, h + 1, x, hit, (*other, C(op, before), C(l1, l2, x)))
        held = old in self.local and v == x
        self.held[old] = min(20, self.held[old] + 1) if held else 0
        if self.local.get(old) != v:
            self.prior[old] = self.local.get(old, NONE)
        self.local[old] = v
        if v < 2048:
            self.owner[v] = old
        return v

    def use(self, v):
        self.recent = ([v] + [x for x in self.recent if x != v])[:24]

    def ranked(self, s, *likely):
        found = []
        for x in (*likely, *self.recent):
            if x != NONE and x not in found:
                found.append(x)
        n = self.c.number(s)
        need(n < len(found) or n >= 28, "no such local")
        return found[n] if n < len(found) else n - 28

    def guess(self, kind, old):
        g = Guess()
        g.old = g.first = g.second = old
        g.exact, g.big = False, self.top <= old < 1 << 48
        if g.big:
            if old in self.addresses.of:
                g.exact, g.first = True, self.addresses.of[old]
                return g
            g.near = None if kind == I64 else self.moved(old)
            g.near = self.addresses.near(old) if g.near is None else g.near
            g.i = (old >> 12 ^ kind << 11) & 65535
            g.inside = self.low <= old < self.high + 65536
            if self.bias[g.i] < 3 if g.inside else self.bias[g.i] >= 2:
                g.first = g.near
            else:
                g.second = g.near
        elif old < self.top or old >= ONES - 511:
            key = old + 512 & ONES  # in the order of signed numbers
            if key in self.small.of:
                g.exact, g.first = True, below(self.small.of[key] - 512)
            else:
                g.second = below(self.small.near(key) - 512)
        return g

    def learn(self, g, v):
        old = g.old
        if g.big and not g.exact:
            bias, step = self.bias[g.i], 0
            if g.near != old and v == g.near:
                step = -1 if g.inside else int(bias < 3)
            elif g.near != old and v == old:
                step = 1 if g.inside else -1
            elif g.near == old and v != old and not g.inside:
                step = int(bias < 3)
            self.bias[g.i] = bias + step if 0 <= bias + step <= 6 else bias
        if g.big:
            self.addresses.put(old, v)
        elif old < self.top or old >= ONES - 511:
            self.small.put(old + 512 & ONES, v + 512)

    def number_with_old(self, kind, op, before, old):
        h = 35 + 4 * kind
        g = self.guess(kind, old)
        g.slot = g.behind = g.ahead = g.first
        text = 0
        if kind == I32:
            g.slot = self.slots.of.get(old & INDEX, g.slot)
            if g.big:
                g.behind = below(self.text_address + self.text_back)
                g.ahead = below(self.text_address + self.text_front)
                text = 1 + (g.behind == g.first) + 2 * (g.ahead == g.first)
        state = g.big + 2 * g.exact + 4 * (g.first == old) + 8 * (g.second == g.first) + 16 * (g.slot != g.first)
        base, kind_of_text = C(self.body, self.last[LOCAL]), self.text_kind
        v = g.first
        hit = (state, old, C(state, op, before), C(text, kind_of_text, state), C(base, old), C(base, v, state))
        if not self.c.hit(h, *hit):
            n = self.c.number(h + 1, state, C(state, op), C(state, kind_of_text), C(base, state))
            need(n <= 4, "a number of no kind")
            if n == 2:
                exact = (state, C(op, v), C(base, op), C(self.shift, state), C(self.body, old))
                self.shift = below(self.signed(h + 2, *exact))
                v = below(v + self.shift)
            else:
                v = {0: g.second, 1: g.slot, 3: g.behind, 4: g.ahead}[n]
        if text:
            self.text_kind = 1 if v == g.behind else 2 if v == g.ahead else 0
        self.learn(g, v)
        return v

    def without_old(self, t, kind, known=None):
        """An immediate that nothing foretells; known, while the coder learns."""
        s = 35 + 4 * kind + 3
        op, before, after = self.at(t), self.at(t - 1), self.at(t + 1)
        if kind > COUNT and kind != PAD:
            v = 0
            for i in range({F32: 4, F64: 8}.get(kind, 1) - 1, -1, -1):
                q = C(i, v)
                self.c.learning = None if known is None else known >> 8 * i & 255
                v = v << 8 | self.c.byte(s, q, C(i, op, after), C(q, before), C(q, after))
            return v
        if op == BRANCH:
            self.tell(None if known is None else known - self.branch, True)
            self.branch = below(self.branch + self.signed(s, before))
            return self.branch
        if kind == LOCAL and self.c.plain:
            v = self.ranked(s)
            self.use(v)
            return v
        self.tell(known, kind in SIGNED)
        v = self.c.number(s, *self.situation(t, kind))
        return below(signed(v)) if kind in SIGNED else v

    def tell(self, known, is_signed):
        """The number that the coder learns."""
        if known is not None and is_signed:
            known = below(known)
            known = below(known << 1) ^ (ONES if negative(known) else 0)
        self.c.learning = known

    def situation(self, t, kind):
        op, p, p2, n, n2 = (self.at(t + i) for i in (0, -1, -2, 1, 2))
        l1, l2, local, offset = self.last[kind], self.before[kind], self.last[LOCAL], self.last[OFFSET]
        near, body = C(op, p, n), self.body
        wide = C(near, p2, n2)
        if kind == LOCAL:
            m = (C(op, l1), near, C(l1, l2, op), wide, C(near, l1), C(C(l1, l2), near))
            return (*m, C(body, op), C(body, l1, op), C(body, l1, l2))
        if kind == OFFSET:
            return (C(op, p), C(local, op), C(l1, local, op), near, C(l1, l2), C(local, offset, p))
        if kind == F:
            return (l1, C(l1, l2), near, wide, C(self.last[I32], p), C(local, near))
        return (op, near, wide, C(l1, op), C(l1, l2), C(offset, local, n))
