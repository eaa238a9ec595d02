# SPDX-License-Identifier: Apache-2.0
"""The symbols of a WebAssembly module's delta, read with either back end. After fleet-delta(5) and
fleet-delta-models(5), whose parts the comments name."""
import subprocess
import tempfile

ONES = (1 << 64) - 1
K = 0x100000001B3
GOLDEN = 0x9E3779B97F4A7C15


class Corrupt(ValueError):
    """The delta is damaged, or made for another old module."""


def need(condition, what):
    if not condition:
        raise Corrupt(what)


def signed(n):
    """The signed number that a number stands for."""
    return n >> 1 ^ -(n & 1)


def context(a, b, *more):
    """C of models 3."""
    x = (a * K + b + 1) * GOLDEN & ONES
    for one in more:
        x = (x * K + one + 1) * GOLDEN & ONES
    return x


class Reader:
    """Bytes from the front (1)."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        need(n <= self.left(), "the data end early")
        self.at += n
        return self.data[self.at - n : self.at]

    def byte(self):
        return self.take(1)[0]

    def leb(self, is_signed=False):
        """A LEB of up to 64 bits and its pad."""
        start, value, byte = self.at, 0, 0x80
        while byte >= 0x80:
            shift = 7 * (self.at - start)
            byte = self.byte()
            need(shift < 63 or (byte in (0, 0x7F) if is_signed else byte < 2), "a LEB is too large")
            value |= (byte & 0x7F) << shift
        if is_signed and byte & 0x40:
            value -= 1 << shift + 7
        value &= ONES
        return value, self.at - start - leb_size(value, is_signed)

    def number(self):
        return self.leb()[0]


def leb_size(value, is_signed=False):
    """Bytes of the plain form."""
    if is_signed:
        value = value - (1 << 64) if value >> 63 else value
        return (value if value >= 0 else ~value).bit_length() // 7 + 1
    return max(1, (value.bit_length() + 6) // 7)


def put_leb(value, pad=0, is_signed=False):
    if is_signed and value >> 63:
        value -= 1 << 64
    n = leb_size(value & ONES, is_signed) + pad
    need(n <= 10, "a LEB is too long")
    return bytes((value >> 7 * i & 0x7F) | (0x80 if i < n - 1 else 0) for i in range(n))


# ---- back end 0 (5)


def unzstd(frame, prefix=b""):
    """What a zstd frame unpacks to, with the zstd program."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(prefix)
        file.flush()
        more = [f"--patch-from={file.name}"] if prefix else []
        done = subprocess.run(["zstd", "-d", "-q", "-c", *more], input=frame, capture_output=True)
    need(done.returncode == 0, f"a frame does not unpack: {done.stderr}")
    return done.stdout


def read_piece(r, prefix=b""):
    n = r.number()
    if n & 1 == 0:
        return r.take(n >> 1)
    piece = unzstd(b"\x28\xb5\x2f\xfd" + r.take(r.number()), prefix)
    need(len(piece) == n >> 1, "a piece has another size")
    return piece


class Streams:
    plain = True

    def __init__(self, data):
        r = Reader(data)
        directory = Reader(read_piece(r))
        sizes, s = [], 0
        for _ in range(directory.number()):
            s += directory.number()
            sizes.append((s, directory.number()))
        self.of = {s: Reader(directory.take(n) if n < 1024 else read_piece(r)) for s, n in sizes}
        need(all(s < 135 and self.of[s].left() == n for s, n in sizes), "a stream has another size")
        need(directory.left() == 0 and r.left() == 0, "something follows the streams")
        self.run = {}

    def number(self, s, *_):
        need(s in self.of, "a stream is missing")
        return self.of[s].number()

    def byte(self, s, *_):
        need(s in self.of, "a stream is missing")
        return self.of[s].byte()

    def hit(self, s, *_):
        if self.run.get(s) is None:
            self.run[s] = self.number(s) if s in self.of and self.of[s].left() else ONES
        if self.run[s] == 0:
            self.run[s] = None
            return False
        self.run[s] -= 1
        return True


# ---- back ends 1 to 3 (models 1 to 6)

END = 2815


def make_tables():
    e = [1 << 31]
    for _ in range(END):
        e.append(e[-1] * 2139111403 + (1 << 30) >> 31)
    up = [min(65535, (1 << 47) // ((1 << 31) + x)) for x in e]
    squash = [65536 - p for p in up[:0:-1]] + up
    stretch, k, i = [], -END, 0
    for high in range(4096):
        while k < END and squash[END + k] < 16 * high + 8:
            k += 1
        stretch.append(k)
    small = [0] * 1024
    for q in range(1023, -1, -1):
        while i <= END and ((e[i] << 23) // ((1 << 31) + e[i])) > 2 * q + 1:
            i += 1
        small[q] = -min(i, END)
    return squash, stretch, small, [655360 // (10 * n + 13) for n in range(1024)]


SQUASH, STRETCH, SMALL, RATE = make_tables()


def opinion(slot):
    high = slot >> 20
    if high == 0:
        return SMALL[slot >> 10 & 1023]
    if high == 4095:
        return -SMALL[1023 - (slot >> 10 & 1023)]
    return STRETCH[high]


def moved(slot, bit, rate, most):
    p, seen = slot >> 10, slot & 1023
    p += ((4194303 if bit else 0) - p) * rate >> 16
    return p << 10 | (seen + 1 if seen < most else seen)


def scramble(x):
    x = x * GOLDEN & ONES
    x ^= x >> 29
    return (x * 0xBF58476D1CE4E5B9 & ONES) >> 32


def network():
    return [[18500, 18500, 18500] for _ in range(14)]


def row():
    return [64 * SQUASH[2 * END * k // 16] << 10 for k in range(17)]


class Adaptive:
    plain = False

    def __init__(self, data, sets):
        self.data = data
        self.at = 4
        self.low, self.high = 0, (1 << 32) - 1
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
        self.sets = sets
        self.slots = [1 << 31] * 16 * sets + ([0] + [1 << 31] * 15) * 3 * sets
        self.made = {}  # networks and rows, when they are first used
        self.history = {}
        self.learning = None  # while learning from old code: the known symbol

    def part(self, make, *key):
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def code_bit(self, p, known):
        if known is not None:
            return known
        middle = self.low + ((self.high - self.low) * p >> 16)
        bit = int(self.code <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            need(self.at <= len(self.data) + 4, "the data are cut off")
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.code = self.code << 8 & 0xFFFFFFFF | byte
        return bit

    def bit(self, places, kind, group, node, most, known_bit):
        """One bit in the slots at `places` (models 4)."""
        slots = [self.slots[at] for at in places]
        inputs, trusts, known = [], [], 0
        for slot in slots:
            seen = slot & 1023
            trusts.append((seen > 2) + (seen > 60))
            inputs.append(opinion(slot) if seen else 0)
            known += seen > 0
        inputs.append(16)
        trusts.append(0)
        first = self.part(network, kind, "first", group)
        second = self.part(network, kind, "second", known)
        outs = []
        for w in (first, second):
            out = sum(w[i][t] * x for i, (t, x) in enumerate(zip(trusts, inputs))) >> 16
            outs.append(max(-END, min(END, out)))
        b = int((outs[0] + outs[1]) / 2)
        line = self.part(row, kind, "row", node)
        k, part = divmod((b + END) * 512 // END, 64)
        if k == 16:
            k, part = 15, 64
        r = ((line[k] >> 10) * (64 - part) + (line[k + 1] >> 10) * part) >> 12
        bit = self.code_bit(max(1, min(65535, (SQUASH[END + b] + r) // 2)), known_bit)
        for w, out, speed in ((first, outs[0], 7), (second, outs[1], 5)):
            error = (65535 if bit else 0) - SQUASH[END + out]
            for i, (t, x) in enumerate(zip(trusts, inputs[:-1])):
                w[i][t] += error * speed * x >> 16
            w[len(places)][0] += error >> 7
        for at, slot in zip(places, slots):
            self.slots[at] = moved(slot, bit, RATE[slot & 1023], most)
        step = k if part < 32 else k + 1
        line[step] = moved(line[step], bit, RATE[(line[step] & 1023) + 2], 255)
        return bit

    def hit(self, s, *m):
        history = self.history.get(s, 0)
        contexts = [context(1, history & 255), context(2, history & 65535)]
        for j, one in enumerate(m):
            contexts.append(context(one + j + 3 & ONES, (history & 3, history & 1)[j] if j < 2 else 0))
        places = []
        for i, c in enumerate(contexts):
            places.append(scramble(c + K * s + i & ONES) * 16 * self.sets >> 32)
        bit = self.bit(places, (s, "hit"), history & 7, history & 7, 1000, self.learning)
        self.history[s] = (history << 1 | (1 - bit)) & 0xFFFFFFFF
        return bool(bit)

    def worth(self, bucket):
        """How often it was used, which counts less the longer it stood back for others."""
        return (self.slots[bucket + 1] & 1023) << 4 >> (self.slots[bucket] & 63) // 4

    def bucket(self, h):
        first = 16 * self.sets + 48 * (h * self.sets >> 32)
        ways = range(first, first + 48, 16)
        tag = (h & 0x3FFFFFF) << 6
        for at in ways:
            if self.slots[at] & ~63 == tag:
                self.slots[at] = tag
                return at
        least = min(ways, key=self.worth)
        for at in ways:
            self.slots[at] += self.slots[at] & 63 < 63
        self.slots[least : least + 16] = [tag] + [1 << 31] * 15
        return least

    def byte(self, s, *m, place=0):
        history = self.history.get(s, 0)
        contexts = [context(place, 0), context(place, 1 + (history & 255))]
        if len(m) < 11:
            contexts.append(context(place, 65536 + (history & 65535)))
        if len(m) < 4:
            contexts.append(context(place, (1 << 25) + (history & 0xFFFFFF)))
        contexts += [context(place, one, j + 7) for j, one in enumerate(m)]
        hashes = [scramble(c + K * s + i + 77 & ONES) for i, c in enumerate(contexts)]
        done = 1
        for half in (0, 1):
            if half:
                hashes = [scramble(h + 0x10001 * done) for h in hashes]
            buckets = [self.bucket(h) for h in hashes]
            node = 1
            for shift in range(7 - 4 * half, 3 - 4 * half, -1):
                known = None if self.learning is None else self.learning >> shift & 1
                group = (place != 0, shift)
                bit = self.bit([at + node for at in buckets], (s, "byte"), group, node + 16 * half, 160, known)
                node = node * 2 + bit
                done = done * 2 + bit
        self.history[s] = (history << 8 | done & 255) & 0xFFFFFFFF
        return done & 255

    def number(self, s, *m):
        known = None if self.learning is None else put_leb(self.learning)
        value = place = i = 0
        while True:
            self.learning = None if known is None else known[i]
            byte = self.byte(s, *m, place=place)
            value |= (byte & 127) << 7 * i
            if byte < 128:
                return value & ONES
            need(i < 9, "a number does not end")
            place = place * 257 + byte + 1 & ONES
            i += 1
