"""Package repositories whose metadata must be refused, or not be believed."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from testdata.distro.forge import draft, seal
from testdata.distro.hostile import good
from testdata.distro.hostile_repository import (
    Claim,
    honest_claim,
    primary_of,
    write_primary,
    write_repository,
)

NAME = "target"  # of the package; it provides hostile(target)
OUTSIDE = "lies outside of the repository"
NO_NEVRA = "not a package's NEVRA: "
OTHER = r"target\S* of repository hostile: the package says that it is target-1-1.noarch"
NO_SIZE = "comes with a size that no package has"
NO_CHECKSUM = "comes without a SHA-256 checksum|is damaged"
INTRICATE = "holds a dependency that is too intricate|holds a dependency of more than"
DECLARES = "declares what no list of packages needs to declare"
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class HostileRepository:
    """A repository by name, why it is there, and the regex of the line that refuses it.

    `expected` is "" where nothing is believed that matters. `write` makes it in a directory.
    """

    name: str
    why: str
    expected: str
    write: Callable[[Path], object]


@cache
def package() -> bytes:
    """The package that all of them offer; there is nothing wrong with it."""
    return seal(draft(good(NAME)))


def honest() -> Claim:
    """What is true of it."""
    return honest_claim(NAME, package(), f"{NAME}.rpm")


def _claims(case: str, why: str, expected: str, **changed: Any) -> HostileRepository:
    return HostileRepository(
        case, why, expected, lambda folder: write_repository(folder, [replace(honest(), **changed)])
    )


def _primary(
    case: str, why: str, expected: str, old: bytes, new: Callable[[], bytes], **other: str
) -> HostileRepository:
    """An honest list of packages in which something else was put in the place of `old`."""

    def write(folder: Path) -> None:
        text = primary_of([honest()])
        assert old in text
        write_primary(folder, text.replace(old, new(), 1), **other)

    return HostileRepository(case, why, expected, write)


def _packed(case: str, why: str, expected: str, make: Callable[[], bytes]) -> HostileRepository:
    return HostileRepository(
        case, why, expected, lambda folder: write_primary(folder, make(), name="primary.xml.gz")
    )


def _repomd(case: str, why: str, expected: str, old: bytes, new: bytes) -> HostileRepository:
    def write(folder: Path) -> None:
        write_primary(folder, primary_of([honest()]))
        path = folder / "repodata/repomd.xml"
        text = path.read_bytes()
        assert old in text
        path.write_bytes(text.replace(old, new, 1))

    return HostileRepository(case, why, expected, write)


def _laughs() -> bytes:
    """Ten billion laughs."""
    rows = [b'<!ENTITY a "lol">']
    rows += [b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10)]
    return b"<!DOCTYPE metadata [" + b"".join(rows) + b"]>"


def _spaces() -> bytes:
    """4 GB of nothing."""
    gap = gzip.compress(b" " * (256 * _MEGABYTE), 9)
    return gzip.compress(b"<metadata>") + gap * 16 + gzip.compress(b"</metadata>")


def _pairs(inner: str, outer: str, count: int) -> str:
    pairs = [f"(tiny-libc {inner} tiny-kernel)"] * count
    return f"({f' {outer} '.join(pairs)})"


_SUMMARY = b"hostile</summary>"
_ATTRIBUTE = b'archive="1"'
_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'

TABLE = (
    _claims("name-dots", "a path as a name", NO_NEVRA, name="../../n"),
    _claims("name-absolute", "a path as a name", NO_NEVRA, name="/etc/x"),
    _claims("name-space", "two words", NO_NEVRA, name="a b"),
    _claims("name-newline", "adds a line", NO_NEVRA, name="a\nerror: all is well"),
    _claims("name-bidi", "reads from right to left", NO_NEVRA, name="a\u202eb"),
    _claims("name-empty", "no name", NO_NEVRA, name=""),
    _claims("name-long", "no file name", NO_NEVRA, name="n" * 300),
    _claims("name-longest", "a megabyte", "holds a text of more than", name="n" * _MEGABYTE),
    _claims("name-other", "another package", "other-1-1.noarch of repository", name="other"),
    _claims("arch-dots", "no architecture", "no enabled repository has", arch="../x"),
    _claims("arch-other", "another architecture", OTHER, arch="i686"),
    _claims("arch-source", "a source package", "no enabled repository has", arch="src"),
    _claims("version-dots", "a path as a version", NO_NEVRA, version="../1"),
    _claims("version-colon", "an epoch in a version", NO_NEVRA, version="2:1"),
    _claims("version-dash", "a release in a version", NO_NEVRA, version="1-1"),
    _claims("version-empty", "no version", NO_NEVRA, version=""),
    _claims("version-other", "the plan would show another", OTHER, version="2"),
    _claims("release-other", "the plan would show another", OTHER, release="2"),
    _claims("epoch-other", "wins over all others", OTHER, epoch="1"),
    _claims("epoch-text", "no number", NO_NEVRA, epoch="one"),
    _claims("epoch-negative", "no epoch", NO_NEVRA, epoch="-1"),
    _claims("epoch-large", "no epoch", NO_NEVRA, epoch="99999999999"),
    _claims("epoch-huge", "more digits than Python reads", NO_NEVRA, epoch="9" * 5000),
    _claims("location-dots", "climbs out", OUTSIDE, location="../target.rpm"),
    _claims("location-absolute", "a file of the machine", OUTSIDE, location="/etc/passwd"),
    _claims("location-url", "a file of the machine", OUTSIDE, location="file:///etc/passwd"),
    _claims("location-encoded", "climbs out", OUTSIDE, location="%2e%2e/target.rpm"),
    _claims("location-twice", "encoded twice", "cannot fetch", location="%252e%252e/target.rpm"),
    _claims("location-empty", "nowhere", OUTSIDE, location=""),
    _claims("location-newline", "adds a line", OUTSIDE, location="target.rpm\nerror: x"),
    _claims("location-query", "something else", OUTSIDE, location="target.rpm?x"),
    _claims("location-folder", "no file", "is no RPM package", location="repodata"),
    _claims("location-long", "no path", "holds a tag of more than", location="x" * 100_000),
    _claims(
        "base-file",
        "a file of the machine",
        "is no RPM package",
        base="file:///etc",
        location="passwd",
    ),
    _claims("base-ftp", "no way to fetch it", OUTSIDE, base="ftp://x/"),
    _claims("base-relative", "relative to what?", OUTSIDE, base="elsewhere/"),
    _claims("size-negative", "no size", NO_SIZE, size="-5"),
    _claims("size-huge", "more than a number holds", NO_SIZE, size="9" * 30),
    _claims("size-large", "more than a disk holds", NO_SIZE, size=str(1 << 62)),
    _claims("size-less", "the file is longer", "cannot fetch", size="10"),
    _claims("size-more", "the file is shorter", "cannot fetch", size="100000"),
    _claims("disk-negative", "no size", NO_SIZE, installed_size="-7"),
    _claims("disk-huge", "more than a number holds", NO_SIZE, installed_size="9" * 30),
    _claims("sum-wrong", "another file", "cannot fetch", checksum="0" * 64),
    _claims("sum-md5", "can be forged", NO_CHECKSUM, checksum_type="md5"),
    _claims("sum-real-md5", "can be forged", NO_CHECKSUM, checksum_type="md5", checksum="0" * 32),
    _claims("sum-unknown", "nobody can check it", NO_CHECKSUM, checksum_type="crc"),
    _claims("sum-short", "a part of one", NO_CHECKSUM, checksum="abc"),
    _claims("sum-path", "a path as a checksum", NO_CHECKSUM, checksum="../" * 21 + "x"),
    _claims(
        "deep-require", "100,000 parentheses", "holds a tag of more", requires=("(" * 100_000,)
    ),
    _claims("nested-require", "5,000 parentheses", INTRICATE, requires=("(" * 5000,)),
    _claims("nested-provide", "500 conditions", INTRICATE, provides=("(a if " * 500,)),
    _claims("intricate-and", "3 billion clauses", INTRICATE, requires=(_pairs("and", "or", 32),)),
    _claims("intricate-or", "4 billion clauses", INTRICATE, requires=(_pairs("or", "and", 32),)),
    _primary(
        "intricate-escaped",
        "3 billion clauses, their parentheses escaped",
        INTRICATE,
        b"<rpm:requires>",
        lambda: (
            b'<rpm:requires><rpm:entry name="%s"/>'
            % _pairs("and", "or", 32).replace("(", "&#40;").encode()
        ),
    ),
    _primary("laughs-text", "a billion laughs", DECLARES, _HEAD, lambda: _HEAD + _laughs()),
    _primary(
        "entity-file",
        "a file of the machine",
        DECLARES,
        _HEAD,
        lambda: _HEAD + b'<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
    ),
    _primary(
        "long-attribute",
        "expat reads it again and again",
        "holds a tag of more than",
        _ATTRIBUTE,
        lambda: b'archive="1" x="' + b"x" * (100 * _MEGABYTE) + b'"',
    ),
    _primary(
        "many-attributes",
        "100 MB of them",
        "holds a tag of more than",
        _ATTRIBUTE,
        lambda: b" ".join(b'x%d="1"' % n for n in range(8 * _MEGABYTE)),
    ),
    _primary(
        "long-text",
        "100 MB, three times in memory",
        "holds a text of more than",
        _SUMMARY,
        lambda: b"x" * (100 * _MEGABYTE) + b"</summary>",
    ),
    _primary(
        "long-arrows",
        "the same, of > that close nothing",
        "holds a text of more than",
        _SUMMARY,
        lambda: b">" * (100 * _MEGABYTE) + b"</summary>",
    ),
    _primary(
        "long-unparsed",
        "the same, in pieces",
        "holds a text of more than",
        _SUMMARY,
        lambda: (b"<![CDATA[" + b"<" * 999 + b"]]>") * 100_000 + b"</summary>",
    ),
    _primary(
        "long-comment",
        "a comment of 20 MB",
        "holds a text of more than",
        _SUMMARY,
        lambda: b"<!-- " + b"<a/>" * (5 * _MEGABYTE) + b"--></summary>",
    ),
    _primary(
        "deep-elements",
        "a million in each other",
        "nests more than",
        _SUMMARY,
        lambda: b"<a>" * _MEGABYTE + _SUMMARY,
    ),
    _primary(
        "deep-disguised",
        "the same, looking closed",
        "nests more than",
        _SUMMARY,
        lambda: b"<a>/>" * _MEGABYTE + _SUMMARY,
    ),
    _primary(
        "deep-quoted",
        "the same, looking closed",
        "nests more than",
        _SUMMARY,
        lambda: b'<a x="/>">' * _MEGABYTE + _SUMMARY,
    ),
    _primary("nul", "no character", "is damaged", _SUMMARY, lambda: b"&#0;</summary>"),
    _primary("escape", "no character", "is damaged", b"<name>", lambda: b"<name>&#27;[2J"),
    _primary("latin-1", "no UTF-8", "is damaged", _SUMMARY, lambda: b"\xe9</summary>"),
    _primary("cut", "an end that is missing", "is damaged", b"</package>", lambda: b""),
    HostileRepository(
        "utf-16",
        "what looks for bytes does not see it",
        "is not written in UTF-8",
        lambda folder: write_primary(
            folder, primary_of([honest()]).decode().replace("UTF-8", "UTF-16").encode("utf-16")
        ),
    ),
    HostileRepository(
        "html",
        "a captive portal",
        "is no metadata",
        lambda folder: write_primary(folder, b"<html><body>Please log in</body></html>"),
    ),
    _packed("packed-spaces", "4 GB in 4 MB", "holds a text of more than", _spaces),
    _packed(
        "packed-badly",
        "a part of it",
        "is damaged",
        lambda: gzip.compress(primary_of([honest()]))[:-20],
    ),
    _primary(
        "outside",
        "a file of the machine",
        "names a file outside",
        _SUMMARY,
        lambda: _SUMMARY,
        href="../../../../etc/passwd",
    ),
    _primary(
        "outside-absolute",
        "a file of the machine",
        "names a file outside",
        _SUMMARY,
        lambda: _SUMMARY,
        href="/etc/passwd",
    ),
    _primary(
        "outside-url",
        "a file of the machine",
        "names a file outside",
        _SUMMARY,
        lambda: _SUMMARY,
        href="file:///etc/passwd",
    ),
    _primary("list-negative", "no size", "says no size", _SUMMARY, lambda: _SUMMARY, size="-1"),
    _primary("list-huge", "no size", "says no size", _SUMMARY, lambda: _SUMMARY, size="9" * 30),
    _primary("list-less", "it is longer", "cannot fetch", _SUMMARY, lambda: _SUMMARY, size="99"),
    _repomd("repomd-laughs", "a billion laughs", DECLARES, b"<repomd", _laughs() + b"<repomd"),
    _repomd(
        "repomd-long",
        "100 MB of text",
        "holds a text of more than",
        b"<data",
        b"<revision>" + b"x" * (100 * _MEGABYTE) + b"</revision><data",
    ),
    _repomd("repomd-md5", "can be forged", "has no strong checksum", b'"sha256"', b'"md5"'),
    _repomd(
        "repomd-sum",
        "a path as a checksum",
        "has no strong checksum|cannot fetch",
        b'"sha256">',
        b'"sha256">../../',
    ),
)

ACCEPTED = (
    _claims("header-beyond", "the header's own words count", "", header_end="999999999"),
    _claims("header-huge", "the header's own words count", "", header_end="9" * 30),
    _claims("header-negative", "the header's own words count", "", header_end="-10"),
    _claims("header-less", "the header's own words count", "", header_end="100"),
    _claims(
        "header-turned", "the header's own words count", "", header_start="500", header_end="9"
    ),
    _claims(
        "many-provides",
        "as some packages have them",
        "",
        provides=("hostile(target)", *(f"p{n}" for n in range(100_000))),
    ),
    _primary(
        "asides",
        "rare, and legal",
        "",
        _SUMMARY,
        lambda: b"<!-- <a> - > --><![CDATA[<&>]]>x > y <?x y?></summary>",
    ),
)
