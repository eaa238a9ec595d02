# SPDX-License-Identifier: Apache-2.0
"""A WebAssembly module in parts: sections, residue, tables, tokens. After fleet-delta(5), whose parts the
comments name."""
from types import SimpleNamespace

from wasm_coders import Corrupt, ONES, Reader, leb_size, need, put_leb, signed

MAGIC = b"\0asm\1\0\0\0"
COMPONENT_MAGIC = b"\0asm\x0d\0\1\0"

# ---- sections (6)


def expression(r):
    """Skip a constant expression; its value, None if it has none."""
    value, n = None, 0
    while (op := r.byte()) != 0x0B:
        n += 1
        if op in (0x41, 0x42):
            value = r.leb(True)[0]
            value = value & 0xFFFFFFFF if op == 0x41 else value
        elif op == 0xD0:
            r.leb(True)
        elif op in (0x23, 0xD2):
            r.leb()
        elif op in (0x43, 0x44):
            r.take(4 if op == 0x43 else 8)
        elif op == 0xFD:
            need(r.number() == 12, "no constant")
            r.take(16)
        elif op == 0xFB:
            operands = {8: 2, 0: 1, 1: 1, 6: 1, 7: 1, 26: 0, 27: 0, 28: 0}.get(r.number())
            need(operands is not None, "no constant")
            for _ in range(operands):
                r.leb()
        else:
            need(op in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E), "no constant")
    return value if n == 1 and value != ONES else None


def element_head(r):
    """Slot and items of a segment."""
    flags = r.number()
    need(flags <= 3, "unknown elements")
    if flags == 2:
        r.leb()
    value = None if flags & 1 else expression(r)
    if flags:
        r.byte()
    return (value or 0) & 0xFFFFFFFF, r.number()


def data_head(r):
    """Address (None: it has none) and size of a segment; whether the head is the usual one."""
    start = r.at
    flags = r.number()
    need(flags <= 2, "unknown data")
    if flags == 2:
        r.leb()
    address = None if flags == 1 else expression(r)
    form = r.data[start : r.at]
    size, pad = r.leb()
    need(size < 1 << 32, "too much data")
    usual = address is not None and form == usual_head(address) and pad == 0
    return address, size, usual


def usual_head(address):
    value = address | ONES - 0xFFFFFFFF if address >> 31 & 1 else address
    return b"\0\x41" + put_leb(value, is_signed=True) + b"\x0b"


class Splitter(Reader):
    """Reads a payload and keeps in the residue what is not taken out of it."""

    def __init__(self, data):
        super().__init__(data)
        self.kept = bytearray()
        self.from_ = 0

    def keep(self):
        self.kept += self.data[self.from_ : self.at]
        self.skip()

    def skip(self):
        self.from_ = self.at

    def plain(self, below=1 << 32):
        value, pad = self.leb()
        need(pad == 0 and value < below, "not plain")
        return value

    def room(self, n, least):
        need(n <= self.left() // least, "a count is too large")
        return n


def split_types(r):
    n = r.plain(1 << 64)
    r.keep()
    table = [r.plain() for _ in range(r.room(n, 1))]
    r.skip()
    return table


def split_exports(r):
    table = []
    for _ in range(r.room(r.number(), 3)):
        name, kind = r.take(r.number()), r.byte()
        r.keep()
        table.append([name, kind, r.plain()])
        r.skip()
    r.keep()
    return table


def split_elements(r):
    table = []
    for _ in range(r.number()):
        slot, n = element_head(r)
        r.keep()
        table.append((slot, [r.plain() for _ in range(r.room(n, 1))]))
        r.skip()
    r.keep()
    return table


def split_bodies(r):
    n = r.plain(1 << 64)
    r.keep()
    table = []
    for _ in range(r.room(n, 1)):
        size, pad = r.leb()
        table.append((r.take(size), pad))
    r.skip()
    return table


def split_data(r):
    n, pad = r.leb()
    table, usual = [], pad == 0
    for _ in range(r.room(n, 2)):
        address, size, one = data_head(r)
        usual = usual and one
        r.keep()
        table.append((address, size, r.take(size)))
        r.skip()
    r.keep()
    r.kept = bytearray([0]) + r.kept
    if usual:
        r.kept, end = bytearray([1]) + put_leb(n), 0
        for address, size, _ in table:
            gap = address - end
            r.kept += put_leb(gap << 1 if gap >= 0 else ~(gap << 1)) + put_leb(size)
            end = address + size
    return table


def split_names(r):
    need(r.take(r.number()) == b"name", "another custom section")
    table, maps = [], 0
    while r.left():
        kind = r.byte()
        r.keep()
        if kind != 1:
            r.take(r.number())
            r.keep()
            continue
        maps += 1
        end = r.plain(1 << 64) + r.at
        r.skip()
        n = r.plain(1 << 64)
        r.keep()
        table += [[r.plain(), r.take(r.plain(1 << 64))] for _ in range(r.room(n, 2))]
        need(r.at == end and maps == 1, "names do not fill their map")
        r.skip()
    r.keep()
    return table


TABLES = {3: "types_of", 7: "exports", 9: "elements", 10: "bodies", 11: "data", 0: "names"}
SPLIT = {3: split_types, 7: split_exports, 9: split_elements, 10: split_bodies, 11: split_data, 0: split_names}


def value_type(r):
    if r.byte() in (0x63, 0x64):
        r.leb(True)


def field(r):
    value_type(r)
    r.byte()


def one_type(r):
    form = r.byte()
    if form in (0x50, 0x4F):
        for _ in range(r.number()):
            r.leb()
        form = r.byte()
    if form == 0x60:
        for _ in range(2):
            for _ in range(r.number()):
                value_type(r)
    elif form in (0x5F, 0x5E):
        for _ in range(r.number() if form == 0x5F else 1):
            field(r)
    else:
        raise Corrupt("no type")


def read_types(r, table):
    for _ in range(r.number()):
        n = 1
        if r.left() and r.data[r.at] == 0x4E:
            r.byte()
            n = r.number()
        for _ in range(n):
            start = r.at
            one_type(r)
            table.append(r.data[start : r.at])


def limits(r):
    flags = r.number()
    for _ in range(1 + (flags & 1) + (flags >> 3 & 1)):
        r.leb()


def read_imports(r, table):
    for _ in range(r.number()):
        start = r.at
        r.take(r.number())
        r.take(r.number())
        name, kind = r.data[start : r.at], r.byte()
        need(kind <= 4, "no import")
        if kind in (1, 3):
            value_type(r)
        if kind in (1, 2):
            limits(r)
        if kind in (3, 4):
            r.byte()
        if kind in (0, 4):
            r.leb()
        if kind == 0:
            table.append(name)


class Module:
    def __init__(self):
        self.sections = []  # id, pad, structured, residue, payload
        self.residue = b""
        self.types, self.imports = [], []
        for name in TABLES.values():
            setattr(self, name, [])

    def read_meaning(self, number, payload):
        try:
            if number == 1:
                read_types(Reader(payload), self.types)
            elif number == 2:
                read_imports(Reader(payload), self.imports)
        except Corrupt:
            pass

    def functions(self):
        return len(self.imports) + len(self.bodies)


def split(data):
    """The parts of a whole module."""
    m, r = Module(), Reader(data)
    need(r.take(min(8, len(data))) == MAGIC, "no module")
    while r.left():
        number = r.byte()
        size, pad = r.leb()
        payload = r.take(size)
        need(number < 14 and len(m.sections) < 4096, "no section")
        s = SimpleNamespace(id=number, pad=pad, structured=False, residue=payload, payload=payload)
        try:
            name = TABLES.get(number)
            taken = any(s.structured and s.id == number for s in m.sections)
            need(name is not None and not taken, "nothing is taken from it")
            splitter = Splitter(payload)
            table = SPLIT[number](splitter)
            need(splitter.left() == 0, "it does not end where it should")
            setattr(m, name, table)
            s.structured, s.residue = True, bytes(splitter.kept)
        except Corrupt:
            pass
        m.read_meaning(number, payload)
        m.sections.append(s)
    m.residue = b"".join(s.residue for s in m.sections)
    return m


def scan(m):
    """Find the tables' sizes in the residue of a new module (11)."""
    for s in m.sections:
        r = Reader(s.residue)
        if not s.structured:
            m.read_meaning(s.id, s.residue)
        elif s.id in (3, 10):
            setattr(m, TABLES[s.id], [None] * r.number())
        elif s.id == 7:
            m.exports = [[r.take(r.number()), r.byte(), None] for _ in range(r.number())]
        elif s.id == 9:
            heads = [element_head(r) for _ in range(r.number())]
            m.elements = [(slot, [None] * n) for slot, n in heads]
        elif s.id == 11:
            scan_data(m, r)
        else:
            r.take(r.number())
            while r.left():
                if r.byte() == 1:
                    m.names = [[None, None] for _ in range(r.number())]
                else:
                    r.take(r.number())


def scan_data(m, r):
    usual, end = r.byte() == 1, 0
    for _ in range(r.number()):
        if usual:
            address = (end + signed(r.number())) & 0xFFFFFFFF
            size = r.number()
            end = address + size
        else:
            address, size, _ = data_head(r)
        m.data.append((address, size, None))


def join(m, s):
    """The payload of a section whose tables are full; bodies have their sizes, data are whole."""
    r = Splitter(s.residue)
    if not s.structured:
        return s.residue
    if s.id == 3:
        return s.residue + b"".join(map(put_leb, m.types_of))
    if s.id == 10:
        return s.residue + b"".join(m.bodies)
    n = r.byte() if s.id == 11 else None
    if s.id == 11:
        r.skip()
    if s.id == 0:
        r.take(r.number())
        while r.left():
            if r.byte() != 1:
                r.take(r.number())
                continue
            r.keep()
            content = put_leb(r.number()) + b"".join(put_leb(i) + put_leb(len(x)) + x for i, x in m.names)
            r.skip()
            r.kept += put_leb(len(content)) + content
        r.keep()
        return bytes(r.kept)
    r.leb()
    r.keep()
    for row in {7: m.exports, 9: m.elements, 11: m.data}[s.id]:
        if s.id == 7:
            r.take(r.number())
            r.byte()
            r.keep()
            r.kept += put_leb(row[2])
        elif s.id == 9:
            element_head(r)
            r.keep()
            r.kept += b"".join(map(put_leb, row[1]))
        else:
            if n == 1:
                r.kept += usual_head(row[0]) + put_leb(row[1])
            else:
                data_head(r)
                r.keep()
            r.kept += row[2]
    r.keep() if n != 1 else None
    return bytes(r.kept)


# ---- tokens (7)

KINDS = {letter: i for i, letter in enumerate("ftTglmdexiLBhaosSn48bvpr", 1)}
F, T, GLOBAL, LOCAL, LABEL, BLOCK = (KINDS[x] for x in "ftglLB")
HEAP, ALIGN, OFFSET, I32, I64, COUNT, F32, F64, PAD = (KINDS[x] for x in "haosSn48p")
SIGNED = {BLOCK, HEAP, I32, I64}
ROWS = """
00-01 - 02-04 B( 05 - 06 B( 07-08 x 09 L 0a - 0b ) 0c-0d L 0e n+ 0f - 10 f 11 tT 12 f 13 tT 14-15 t 18 L) 19-1b -
1c n+ 1f Bn(+ 20-22 l 23-24 g 25-26 T 28-3e ao 3f-40 m 41 s 42 S 43 4 44 8 45-c4 - d0 h d1 - d2 f d3-d4 - d5-d6 L
100-107 - 108 dm 109 d 10a mm 10b m 10c eT 10d e 10e TT 10f-111 T 113-116 -
200-20b ao 20c-20d 88 20e-214 - 215-222 b 223-253 - 254-25b aob 25c-25d ao 25e-3ff -
400-402 ao 403 b 410-44e ao
480-481 t 482-485 ti 486-487 t 488 tn 489 td 48a te 48b-48e t 48f - 490 t 491 tt 492 td 493 te 494-497 h 498-499 bLhh
49a-49e -
500 np(+ 501 nv 502 nvh 503 L 504 v 505 vh 506-507 xL 508-509 L 50a np 50b r
"""
BEGIN, RAW, RAW_BYTE, BRANCH = 0x500, 0x50A, 0x50B, 0x503
LISTS = {BEGIN: (0x501, 50000), 0x0E: (BRANCH, 1000000), 0x1C: (0x504, 10), 0x1F: (0x506, 10000)}
PREFIXES = {0xFC: (0x100, 32), 0xFD: (0x200, 512), 0xFE: (0x400, 80), 0xFB: (0x480, 32)}


def make_ops():
    ops, words = {}, ROWS.split()
    for codes, row in zip(words[::2], words[1::2]):
        first, _, last = codes.partition("-")
        kinds = [KINDS[x] for x in row if x in KINDS]
        depth = row.count("(") - row.count(")")
        for op in range(int(first, 16), int(last or first, 16) + 1):
            ops[op] = SimpleNamespace(kinds=kinds, depth=depth)
    return ops


OPS = make_ops()


class Token:
    """A token with its immediates and their pads."""

    def __init__(self, op, imms=None, pads=None):
        self.op = op
        self.imms = imms if imms is not None else []
        self.pads = pads if pads is not None else []


def reference(byte):
    return byte in (0x63, 0x64)


def in_range(kind, value):
    value = value - (1 << 64) if value >> 63 else value
    bits = 31 if kind == I32 else 32
    need(-(1 << bits) <= value < 1 << bits, "an immediate is out of range")


def read_imm(r, kind):
    """An immediate and its pad."""
    if kind in (F32, F64):
        return int.from_bytes(r.take(4 if kind == F32 else 8), "little"), 0
    if kind > COUNT:
        return r.byte(), 0
    if kind == BLOCK and r.left() and reference(r.data[r.at]):
        byte = r.byte()
        heap, pad = r.leb(True)
        in_range(HEAP, heap)
        need(pad == 0, "a heap type is padded")
        return 1 << 40 | ((heap << 1 ^ (ONES if heap >> 63 else 0)) & ONES) << 1 | byte & 1, 0
    value, pad = r.leb(kind in SIGNED)
    if kind in (BLOCK, HEAP, I32):
        in_range(kind, value)
    if kind == ALIGN and value >= 64:
        memory, more = r.leb()
        need(value < 128 and memory < 1 << 32 and more == 0, "no memory")
        value |= memory << 7
    return value, pad


def put_imm(kind, value, pad):
    if kind in (F32, F64):
        return (value & ONES).to_bytes(8, "little")[: 4 if kind == F32 else 8]
    if kind > COUNT:
        return bytes([value & 255])
    if kind == ALIGN and value & 64:
        return put_leb(value & 127, pad) + put_leb(value >> 7)
    if kind == BLOCK and value >> 40 & 1 and not value >> 63:
        return bytes([0x64 - (value & 1)]) + put_leb(signed((value & (1 << 40) - 1) >> 1) & ONES, is_signed=True)
    return put_leb(value, pad, kind in SIGNED)


def next_op(r, element):
    """The next token's number; `element` is that of the list that goes on, or 0."""
    if element == BEGIN or element == BRANCH:
        return element
    if element == 0x501:
        ahead = Reader(r.data[r.at :])
        ahead.leb()
        return 0x502 if reference(ahead.byte()) else 0x501
    if element == 0x504:
        need(r.left(), "the body ends early")
        return 0x505 if reference(r.data[r.at]) else 0x504
    if element == 0x506:
        clause = r.byte()
        need(clause <= 3, "no clause")
        return 0x506 + clause
    op = r.byte()
    if op in PREFIXES:
        sub, pad = r.leb()
        base, n = PREFIXES[op]
        need(pad == 0 and sub < n, "no instruction")
        op = base + sub
    need(op in OPS and op < BEGIN, "no instruction")
    return op


def parse(body):
    """The tokens of a body as its module has it: bytes, pad of the size."""
    data, pad = body
    try:
        r, tokens, element, more, depth = Reader(data), [], BEGIN, 1, 0
        while more or depth:
            op = next_op(r, element if more else 0)
            more -= more > 0
            token = Token(op)
            for kind in OPS[op].kinds:
                value, its_pad = (pad, 0) if kind == PAD else read_imm(r, kind)
                token.imms.append(value)
                token.pads.append(its_pad)
            depth += OPS[op].depth
            if op in LISTS:
                element, most = LISTS[op]
                count = token.imms[OPS[op].kinds.index(COUNT)]
                need(count <= most, "a list is too long")
                more = count + (op == 0x0E)
            tokens.append(token)
        need(r.left() == 0, "something follows the end")
        return tokens
    except Corrupt:
        return [Token(RAW, [len(data), pad], [0, 0])] + [Token(RAW_BYTE, [b], [0]) for b in data]


def put_token(token):
    out, op = b"", token.op
    if op == RAW:
        return out
    if op < 0x100:
        out = bytes([op])
    elif op < BEGIN:
        prefix, base = [(p, base) for p, (base, n) in PREFIXES.items() if base <= op < base + n][0]
        out = bytes([prefix]) + put_leb(op - base)
    elif 0x506 <= op <= 0x509:
        out = bytes([op - 0x506])
    for kind, value, pad in zip(OPS[op].kinds, token.imms, token.pads):
        if kind != PAD:
            out += put_imm(kind, value, pad)
    return out


def like_long(kind, old, pad, value):
    """The pad with which a value is as long as the old one with its pad."""
    if pad == 0:
        return 0
    return max(0, leb_size(old, kind in SIGNED) + pad - leb_size(value, kind in SIGNED))
