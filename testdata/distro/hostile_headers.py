"""Packages whose header's digests are right and whose header makes no sense."""

from __future__ import annotations

from dataclasses import replace

from testdata.distro.forge import (
    Draft,
    Field,
    int16,
    int32,
    int64,
    strings,
    text,
    with_tags,
    without_tags,
)
from testdata.distro.hostile import ORDINARY, HostilePackage, of_draft
from testdata.distro.rpmheader import Kind, Tag
from testdata.distro.rpmspec import FileSpec

NONSENSE = "its header makes no sense: "
CUT = "is damaged or cut short"
TWO = (ORDINARY, FileSpec("/usr/share/hostile/second", b"second\n"))
_MEGABYTE = 1 << 20
_LONGFILESIZES = 5008
_OLDFILENAMES = 1027

# One value for each file; the last five are rpm's alone, which writes the database.
_FILE_TAGS = (
    Tag.FILESIZES,
    Tag.FILEMODES,
    Tag.FILEMTIMES,
    Tag.FILEDIGESTS,
    Tag.FILELINKTOS,
    Tag.FILEFLAGS,
    Tag.FILEUSERNAME,
    Tag.FILEGROUPNAME,
    Tag.FILEINODES,
    Tag.FILEDEVICES,
    Tag.FILECOLORS,
    Tag.FILECAPS,
    Tag.DIRINDEXES,
    Tag.BASENAMES,
    Tag.FILERDEVS,
    Tag.FILELANGS,
    Tag.FILEVERIFYFLAGS,
)
_RELATIONS = {
    "provide": (Tag.PROVIDENAME, Tag.PROVIDEFLAGS, Tag.PROVIDEVERSION),
    "require": (Tag.REQUIRENAME, Tag.REQUIREFLAGS, Tag.REQUIREVERSION),
    "conflict": (Tag.CONFLICTNAME, Tag.CONFLICTFLAGS, Tag.CONFLICTVERSION),
    "obsolete": (Tag.OBSOLETENAME, Tag.OBSOLETEFLAGS, Tag.OBSOLETEVERSION),
    "recommend": (Tag.RECOMMENDNAME, Tag.RECOMMENDFLAGS, Tag.RECOMMENDVERSION),
}


def _of_tags(name: str, why: str, expected: str, *fields: Field) -> HostilePackage:
    return of_draft(name, why, expected, lambda parts: with_tags(parts, *fields), *TWO)


def _lacking(tag: Tag, expected: str) -> HostilePackage:
    name = f"no-{tag.name.lower()}"
    return of_draft(
        name, "a tag is missing", expected, lambda parts: without_tags(parts, tag), *TWO
    )


def _values(tag: Tag, count: int) -> Field:
    """So many values for files, as good as the real ones."""
    if tag.kind is Kind.INT16:
        return int16(tag, *[0o100644] * count)
    if tag.kind is Kind.INT32:
        return int32(tag, *[0] * count)
    return strings(tag, *["root"] * count)


def _unequal(tag: Tag, count: int) -> HostilePackage:
    name = f"{tag.name.lower()}-for-{count}"
    why = f"two files, and {count} of {tag.name}"
    return of_draft(name, why, NONSENSE, lambda parts: with_tags(parts, _values(tag, count)), *TWO)


def _relation(
    name: str,
    kind: str,
    words: list[str],
    flags: list[int],
    versions: list[str],
    why: str,
    expected: str,
) -> HostilePackage:
    name_tag, flags_tag, version_tag = _RELATIONS[kind]
    fields = (strings(name_tag, *words), int32(flags_tag, *flags), strings(version_tag, *versions))
    return _of_tags(name, why, expected, *fields)


def _unequal_relation(kind: str, words: int, flags: int, versions: int) -> HostilePackage:
    return _relation(
        f"{kind}-{words}-{flags}-{versions}", kind,
        ["x"] * words, [0] * flags, ["1"] * versions,
        "a relation without a name, flags or version", NONSENSE,
    )  # fmt: skip


def _twice(parts: Draft, *fields: Field) -> Draft:
    return replace(parts, fields=(*parts.fields, *fields))


def _two(name: str, *fields: Field) -> HostilePackage:
    return of_draft(
        name, "readers may take the one or the other", NONSENSE + "it says .* twice",
        lambda parts: _twice(parts, *fields), *TWO,
    )  # fmt: skip


def _many_files(parts: Draft) -> Draft:
    """Files at a few bytes of header each."""
    count = 300_000
    columns = [_empty(tag, count) for tag in _FILE_TAGS if tag is not Tag.FILECAPS]
    return with_tags(parts, *columns)


def _many_long_paths(parts: Draft) -> Draft:
    """Each file has a long directory name, which is written once."""
    columns = [_empty(tag, 100_000) for tag in _FILE_TAGS if tag is not Tag.FILECAPS]
    return with_tags(parts, *columns, strings(Tag.DIRNAMES, "/usr/" + "d" * 200_000 + "/"))


def _empty(tag: Tag, count: int) -> Field:
    width = {Kind.INT16: 2, Kind.INT32: 4}.get(tag.kind, 1)
    return Field(tag.number, tag.kind, count, bytes(width * count))


def _many(kind: str, count: int) -> tuple[Field, ...]:
    name, flags, version = _RELATIONS[kind]
    return (
        Field(name.number, name.kind, count, b"p\0" * count),
        _empty(flags, count),
        _empty(version, count),
    )


def _named(
    name: str, why: str, tag: Tag, value: str | bytes, expected: str = NONSENSE
) -> HostilePackage:
    return _of_tags(name, why, expected, text(tag, value))


TABLE = (
    _of_tags("index-beyond", "no such directory", "has no directory", int32(Tag.DIRINDEXES, 0, 9)),
    _of_tags(
        "index-negative",
        "no such directory",
        "has no directory",
        int32(Tag.DIRINDEXES, 0, 0xFFFFFFFF),
    ),
    *(_unequal(tag, count) for tag in _FILE_TAGS for count in (1, 3)),
    *(
        _lacking(tag, NONSENSE)
        for tag in (
            Tag.NAME,
            Tag.VERSION,
            Tag.RELEASE,
            Tag.ARCH,
            Tag.FILEMODES,
            Tag.FILEDIGESTS,
            Tag.DIRNAMES,
            Tag.DIRINDEXES,
        )
    ),
    *(
        _unequal_relation(kind, *counts)
        for kind in _RELATIONS
        for counts in ((2, 1, 2), (1, 2, 1), (2, 2, 1))
    ),
    _of_tags(
        "modes-are-text",
        "another type",
        NONSENSE + f"|{CUT}",
        strings(Tag.FILEMODES, "0644", "0644"),
    ),
    _of_tags("bases-are-numbers", "another type", NONSENSE + f"|{CUT}", int32(Tag.BASENAMES, 1, 2)),
    _of_tags("name-is-a-number", "another type", NONSENSE + f"|{CUT}", int32(Tag.NAME, 1)),
    _of_tags("name-is-a-list", "another type", NONSENSE + f"|{CUT}", strings(Tag.NAME, "a", "b")),
    _of_tags("epoch-is-a-list", "another type", NONSENSE + f"|{CUT}", int32(Tag.EPOCH, 1, 2)),
    _of_tags("epoch-is-text", "another type", NONSENSE + f"|{CUT}", text(Tag.EPOCH, "one")),
    _two("two-names", text(Tag.NAME, "glibc")),
    _two("two-versions", text(Tag.VERSION, "9")),
    _two("two-file-lists", strings(Tag.BASENAMES, "a", "b")),
    _two("two-modes", int16(Tag.FILEMODES, 0o104755, 0o104755)),
    _two("two-sizes", int64(_LONGFILESIZES, 9, 9)),
    _two("two-targets", strings(Tag.FILELINKTOS, "/etc", "/etc")),
    _of_tags(
        "old-names",
        "rpm 3's list of files",
        "as rpm 3 did|it says .* twice",
        strings(_OLDFILENAMES, "/usr/a", "/usr/b"),
    ),
    _named("name-dots", "a path as a name", Tag.NAME, "../../n"),
    _named("name-absolute", "a path as a name", Tag.NAME, "/etc/passwd"),
    _named("name-newline", "adds a line", Tag.NAME, "name-newline\nevil"),
    _named("name-space", "is two words", Tag.NAME, "name-space evil"),
    _named("name-escape", "speaks to the terminal", Tag.NAME, "name-escape\x1b[2J"),
    _named("name-bidi", "reads from right to left", Tag.NAME, "name-bidi\u202egpr"),
    _named("name-latin-1", "bytes that are no text", Tag.NAME, b"name-latin-1-\xe9"),
    _named("name-nul", "ends before it ends", Tag.NAME, b"name-nul\0../../evil", CUT),
    _named("name-empty", "no name", Tag.NAME, ""),
    _named("name-long", "no file name", Tag.NAME, "n" * 300),
    _named("name-longest", "a megabyte", Tag.NAME, "n" * _MEGABYTE, NONSENSE + ".{,500}$"),
    _named("arch-dots", "a path as an architecture", Tag.ARCH, "../x"),
    _named("arch-long", "no file name", Tag.ARCH, "x" * 300),
    _named("version-dots", "a path as a version", Tag.VERSION, "../1"),
    _named("version-dash", "another package's name", Tag.VERSION, "1-1"),
    _named("version-colon", "an epoch in the version", Tag.VERSION, "7:1"),
    _named("release-dots", "a path as a release", Tag.RELEASE, "../1"),
    _of_tags(
        "digest-algorithm",
        "nobody can check it",
        "digest algorithm 99 is unknown",
        int32(Tag.FILEDIGESTALGO, 99),
    ),
    _of_tags(
        "payload-digest-algorithm",
        "nobody can check it",
        "payload digest algorithm 99 is unknown",
        int32(Tag.PAYLOADDIGESTALGO, 99),
    ),
    _of_tags(
        "compressor",
        "nobody can read it",
        "payload compression rot13 is unknown",
        text(Tag.PAYLOADCOMPRESSOR, "rot13"),
    ),
    _of_tags(
        "compressor-mode",
        "rpm's own words for how to open it",
        "payload compression .* is unknown",
        text(Tag.PAYLOADCOMPRESSOR, "gzip.fpio"),
    ),
    _of_tags(
        "payload-format",
        "nobody can read it",
        "payload format '?tar'? is unknown",
        text(Tag.PAYLOADFORMAT, "tar"),
    ),
    _of_tags(
        "size-negative",
        "4 GB as a size",
        "payload and header disagree on its size",
        int32(Tag.FILESIZES, 0xFFFFFFFF, 7),
    ),
    _of_tags(
        "long-scriptlet",
        "50 MB of shell",
        "header is larger than|is no RPM package",
        text(Tag.POSTIN, "x" * 50 * _MEGABYTE),
    ),
    _of_tags("many-provides", "300,000", NONSENSE + "it has more than", *_many("provide", 300_000)),
    _of_tags("many-requires", "300,000", NONSENSE + "it has more than", *_many("require", 300_000)),
    of_draft(
        "many-long-paths",
        "20 GB of paths in a header of 5 MB",
        NONSENSE + "its paths are too many or too long",
        _many_long_paths,
    ),
    of_draft("many-files", "300,000 without a name", NONSENSE + "it has more than", _many_files),
    _relation(
        "deep-require",
        "require",
        ["(" * 100_000 + "a" + ")" * 100_000],
        [0],
        [""],
        "a condition in a condition, a hundred thousand times",
        NONSENSE,
    ),
    _of_tags(
        "trigger-beyond",
        "a trigger of no script",
        NONSENSE,
        strings(Tag.TRANSFILETRIGGERSCRIPTS, "true"),
        strings(Tag.TRANSFILETRIGGERSCRIPTPROG, "/bin/sh"),
        int32(Tag.TRANSFILETRIGGERINDEX, 7),
        strings(Tag.TRANSFILETRIGGERNAME, "/usr"),
        int32(Tag.TRANSFILETRIGGERFLAGS, 1 << 16),
    ),
    _of_tags("prefixes-type", "ends librpm", NONSENSE + "its PREFIXES is", text(1098, "/usr")),
    _of_tags(
        "file-trigger-alone",
        "ends librpm",
        NONSENSE + "its lists of FILETRIGGERs",
        strings(5069, "/usr"),
    ),
    _of_tags(
        "trigger-without-scripts",
        "ends librpm",
        NONSENSE + "its TRANSFILETRIGGERs have no scripts",
        strings(5079, "/usr"),
        int32(5080, 0),
        strings(5081, ""),
        int32(5082, 1 << 16),
    ),
    _of_tags("patch", "libsolv does not read it", NONSENSE + "it is a patch", strings(1133, "x")),
    _of_tags(
        "file-states",
        "librpm does not add it",
        NONSENSE + "it says which",
        Field(1029, 1, 2, bytes(2)),
    ),
    _of_tags("two-systems", "librpm does not add it", NONSENSE + "its OS", strings(1021, "a", "b")),
    _of_tags(
        "no-format", "librpm does not add it", "payload format '' is", text(Tag.PAYLOADFORMAT, "")
    ),
)

ACCEPTED = (
    _of_tags("time-huge", "a tree has no times", "", int32(Tag.FILEMTIMES, 0xFFFFFFFF, 0x80000000)),
    _of_tags("build-time-huge", "only shown", "", int32(Tag.BUILDTIME, 0xFFFFFFFF)),
    of_draft(
        "no-translations",
        "rpm 6 leaves the table out",
        "",
        lambda parts: without_tags(parts, Tag.HEADERI18NTABLE),
        *TWO,
    ),
)
