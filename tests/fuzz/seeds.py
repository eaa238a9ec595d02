# SPDX-License-Identifier: Apache-2.0
"""Seeds for the fuzzers of deltas: seeds.py DELTA-CODE CORPUS

Programs of modules, of random statements, go to the corpus of the fuzzer that makes modules of them. Pairs of tiny modules, one for each proposal and each kind of section, go to the corpus of the fuzzer of
encoders; their deltas, made by the program delta-code of the build, to the one of decoders, beside one that
the decoder once did not take."""
import random
import subprocess
import sys
import tempfile
from pathlib import Path

CODECS = "wasm-delta-16m wasm-delta-1m wasm-delta-256k wasm-delta layer-patch exe-patch zstd-patch zstd identity".split()
MADE = ("wasm-delta-256k", "wasm-delta")

TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT, TAG = range(1, 14)
ORDER = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)
I32, REF_NULL = b"\x7f", b"\x63"


def leb(n, pad=0):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n | 0x80 if pad else n)
    return bytes(out) + (b"\x80" * (pad - 1) + b"\0" if pad else b"")


def sized(content):
    return leb(len(content)) + content


def vector(items):
    return leb(len(items)) + b"".join(items)


def text(word):
    return sized(word.encode())


def body(*code, locals_=()):
    return sized(vector(locals_) + b"".join(code) + b"\x0b")


def const(n):
    """i32.const of a number from 0 to 63."""
    return b"\x41" + bytes([n])


DROP, GET = b"\x1a", b"\x20\0"
PLAIN = b"\x60\0\0"  # func() -> ()


def module(newer, *bodies, types=(), custom=(), **sections):
    """A module of these bodies, each of type 0; a newer one has one more in front, so that indices shift.
    `sections` by their names in lower case hold vectors of items, or bytes as they are."""
    first = [body(const(7), DROP)] if newer else []
    content = {
        TYPE: vector([PLAIN, *types]),
        FUNCTION: vector([b"\0"] * (len(bodies) + len(first))),
        CODE: vector(first + list(bodies)),
    }
    for name, items in sections.items():
        content[globals()[name.strip("_").upper()]] = items if isinstance(items, bytes) else vector(items)
    out = b"\0asm\1\0\0\0"
    for number in ORDER:
        if number in content:
            out += bytes([number]) + sized(content[number])
    return out + b"".join(b"\0" + sized(text(name) + payload) for name, payload in custom)


def call(n, newer, pad=0):
    """Of the n-th function, wherever it is in this version."""
    return b"\x10" + leb(n + newer, pad)


def plain(newer):
    return module(
        newer,
        body(GET, const(8), b"\x28\2\4", b"\x6a", b"\x21\1", locals_=[b"\2" + I32]),
        body(call(0, newer), const(40 + 4 * newer), call(1, newer), DROP),
        body(b"\2\x40", const(1), b"\x0e\2\0\0\0", b"\x0b", b"\x43\0\0\x80\x3f", DROP),
        types=[b"\x60\1\x7f\1\x7f"],
        table=[b"\x70\0\2"],
        memory=[b"\0\1"],
        global_=[I32 + b"\1\x41\x10\x0b"],
        export=[text("memory") + b"\2\0", text("run") + b"\0" + leb(1 + newer)],
        element=[b"\0\x41\1\x0b" + vector([leb(newer), leb(1 + newer)])],
        data=[b"\0\x41\x10\x0b" + sized(b"new " * newer + b"hello\0\x18\0\0\0\x1c\0\0\0")],
    )


def imported(newer):
    names = ["read", "stat", "write"] if newer else ["read", "write"]
    return module(
        0,
        body(const(1), call(1, newer), const(0), call(0, 0)),
        types=[b"\x60\1\x7f\0"],
        import_=[text("env") + text(name) + b"\0\1" for name in names],
        start=leb(len(names)),
    )


def gc(newer):
    structure, array, function = b"\x5f\2\x7f\1\x7e\0", b"\x5e\x78\1", b"\x50\0\x60\1\x64\1\1\x7f"
    return module(
        newer,
        body(const(5), b"\x42\6", b"\xfb\0\1", b"\xfb\2\1\0", DROP, b"\xfb\1\1", b"\xfb\x17\1", DROP),
        body(const(1), const(2), b"\xfb\x08\2\2", b"\xfb\x0f", DROP, const(3), b"\xfb\x1c", b"\xfb\x1d", DROP),
        body(b"\2\x40", b"\xd0\x6b", b"\xfb\x18\3\0\x6e\x6b", DROP, b"\x0b", locals_=[b"\1" + REF_NULL + b"\1"]),
        types=[b"\x4e" + vector([structure, array]), function],
    )


def exceptions(newer):
    return module(
        newer,
        body(b"\2\x40\x1f\x40\4\0\0\0\1\0\0\2\0\3\0", call(0, newer), b"\x0b\x0b"),
        body(b"\6\x40", b"\x08\0", b"\7\0", b"\x19", b"\x0b", b"\6\x40", b"\x0b", b"\6\x40", b"\x18\0"),
        body(b"\xd0\x69", b"\x0a"),
        tag=[b"\0\0"],
    )


def memory64(newer):
    return module(
        newer,
        body(b"\x42\x10", b"\x29\3" + leb((1 << 33) + 8 * newer), DROP, b"\x3f\0", DROP),
        memory=[b"\4" + leb(1)],
        data=[b"\0\x42\x20\x0b" + sized(b"far" + b"away" * newer)],
    )


def threads(newer):
    return module(
        newer,
        body(const(8), b"\xfe\x10\2\0", DROP, const(8), const(1), b"\xfe\x1e\2" + leb(4 * newer), DROP, b"\xfe\3\0"),
        body(const(8), const(1), const(2), b"\xfe\x48\2\0", DROP, const(0), const(1), b"\xfe\0\2\0", DROP),
        memory=[b"\3\1\2"],
    )


def simd(newer):
    lanes = bytes(range(16))
    return module(
        newer,
        body(b"\xfd\x0c" + lanes, b"\xfd\x0c" + lanes[::-1], b"\xfd\x0d" + lanes, b"\xfd\x1b\1", DROP),
        body(const(0), b"\xfd\0\4" + leb(16 * newer), b"\xfd\x80\2", b"\xfd\x53", DROP),
        memory=[b"\0\1"],
    )


def tails(newer):
    return module(
        newer,
        body(b"\x12" + leb(1 + newer)),
        body(const(0), b"\x13\0\0"),
        body(b"\xd2" + leb(newer), b"\x15\0"),
        table=[b"\x70\0\2"],
        element=[b"\3\0" + vector([leb(newer)])],
    )


def memories(newer):
    return module(
        newer,
        body(const(0), b"\x28\x42\1" + leb(8 * newer), DROP, const(0), const(0), const(4), b"\xfc\x0a\1\0"),
        body(const(0), const(0), const(2), b"\xfc\x08\0\1", b"\xfc\x09\0", const(0), b"\x40\1", DROP),
        memory=[b"\0\1", b"\0\2"],
        data_count=leb(1),
        data=[b"\1" + sized(b"passive" * (1 + newer))],
    )


def names(newer):
    words = ["std::io::read", "std::io::write", "main"]
    entries = [leb(0) + text("core::fresh")] * newer + [leb(i + newer) + text(w) for i, w in enumerate(words)]
    parts = b"\0" + sized(text("app")) + b"\1" + sized(vector(entries))
    parts += b"\2" + sized(vector([leb(newer) + vector([leb(0) + text("buffer")])]))
    return module(newer, *[body(call(i, newer)) for i in range(3)], custom=[("name", parts)])


def dwarf(newer):
    line = bytes.fromhex("2400000004001e000000010101fb0e0d00010101010000000100000100") + b"a.c\0\0\0\0\0\0"
    info = b"".join(leb(0x40 + 3 * i + newer) + b"\2\1" for i in range(12))
    return module(
        newer,
        body(call(0, newer)),
        custom=[(".debug_line", line + bytes([newer])), (".debug_info", info), (".debug_str", b"clang\0main.c\0main\0")],
    )


def padded(newer):
    return module(newer, body(call(0, newer, 4), b"\x41\x80\x80\x80\x80\0", DROP), body(call(1, newer, 4)))


def unknown(newer):
    """A body that does not parse, between two that do."""
    return module(newer, body(call(0, newer)), body(b"\xf0\xf1", call(0, newer), b"\xfd\xff\x7f"), body(call(2, newer)))


def component(newer):
    inner = b"\0asm\x0d\0\1\0" + b"\1" + sized(imported(newer))
    return b"\0asm\x0d\0\1\0" + b"".join(
        bytes([number]) + sized(content)
        for number, content in [(1, plain(newer)), (0, text("note") + b"v%d" % newer), (4, inner), (7, b"\1\x40\0\1\0\x7f")]
    )


KINDS = [plain, imported, gc, exceptions, memory64, threads, simd, tails, memories, names, dwarf, padded, unknown, component]


def seed(codec, first, second):
    return bytes([CODECS.index(codec)]) + len(first).to_bytes(2, "big") + first + second


def delta(delta_code, codec, old, new):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("old", "new", "delta")]
        paths[0].write_bytes(old)
        paths[1].write_bytes(new)
        subprocess.run([delta_code, "encode", codec, *paths], check=True, stdout=subprocess.DEVNULL)
        return paths[2].read_bytes()


def program(statements, edits):
    """What the fuzzer of modules takes: the model, the edits, the statements."""
    chance = random.Random(statements)
    return bytes([0, edits]) + chance.randbytes(3 * edits) + chance.randbytes(3 * statements)


def main(delta_code, corpus):
    for statements in (10, 30, 90, 270):
        (corpus / "fuzz_delta_modules" / f"random-{statements}").write_bytes(program(statements, 4))
    for kind in KINDS:
        old, new = kind(0), kind(1)
        for codec in MADE:
            path = f"{kind.__name__}-{codec}"
            (corpus / "fuzz_delta_encode" / path).write_bytes(seed(codec, old, new))
            (corpus / "fuzz_delta_decode" / path).write_bytes(seed(codec, old, delta(delta_code, codec, old, new)))
    nothing = b"\xd7\x10\x64\x7f" + b"\2\0"  # a head, and a piece that names no stream
    (corpus / "fuzz_delta_decode" / "no-streams").write_bytes(seed("wasm-delta", plain(0), nothing))


main(sys.argv[1], Path(sys.argv[2]))
