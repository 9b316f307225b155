"""Inputs beside those that are right: what a slip, a damaged disk or an attacker makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

LONGEST = 20_000  # bytes
_WORDS = (
    *(b"\0", b"\xff", b"\xed\xb0\x80", b"\r", b"\n", b"\n\n", b" ", b"\t", b"\\", b'"', b"'"),
    *(b"[", b"]", b"{", b"}", b"=", b";", b":", b"@", b"%", b"$", b"${x", b"..", b"/", b"//"),
    *(b"-1", b"0", b"999999999999999999999", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}"),
    *("\u00b2".encode(), "\u0661".encode(), "\u2028".encode(), b"\x85", b"\\s", b"\\ud800"),
    *(b"#", b"#!", b"<<E\n", b"$(", b"`", b"&&", b"|", b"if ", b"do ", b"--", b"end ", b"[["),
    *(b"{a}", b"**/", b"*", b"[main]\n", b"a=", b"=b\n", b"file:///", b"http://[", b"1979-05-27"),
)


def mutants(corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """One after the other without end, the same for a seed; the corpus itself comes first."""
    yield from corpus
    chance = random.Random(seed)
    while True:
        data = chance.choice(corpus)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            data = chance.choice(_WAYS)(chance, data, corpus)
        yield data[:LONGEST]


def _span(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((0, 1, 2, 8, 40, 400)))


def _flip(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _cut(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def _word(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    end = chance.choice((start, end))
    return data[:start] + chance.choice(_WORDS) + data[end:]


def _repeat(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 2, 50, 2000)) + data[end:]


def _splice(chance: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    other = chance.choice(corpus)
    start, end = _span(chance, other)
    at, _ = _span(chance, data)
    return data[:at] + other[start:end] + data[at:]


def _swap_lines(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    chance.shuffle(lines)
    return b"\n".join(lines)


def _value(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """What stands behind a sign, up to the next one, is something else."""
    marks = [n for n, byte in enumerate(data) if byte in b"=:,[( "]
    if not marks:
        return data
    at = chance.choice(marks) + 1
    end = next((n for n in range(at, len(data)) if data[n] in b",;)]}\n "), len(data))
    return data[:at] + chance.choice(_WORDS) + data[end:]


_Way = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
_WAYS: tuple[_Way, ...] = (_flip, _cut, _word, _word, _repeat, _splice, _swap_lines, _value, _value)
