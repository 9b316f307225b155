"""What must hold of a header's index before a value is believed: rpm checks form, not sense.

Of a tag that comes twice, of lists that do not fit each other, of many values where one
belongs, each reader takes what it likes: we the one, librpm and libsolv another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

LARGEST = 32 << 20  # bytes of signature and header; 200,000 files need some 20 MB
MOST_ITEMS = 200_000  # of one tag

_LEAD = 96
_INTRO = 16
_BYTES = (1, 2, 7)  # rpm's types whose items are bytes: CHAR, INT8, BIN

_SINGLE = {
    1000: "NAME",
    1001: "VERSION",
    1002: "RELEASE",
    1003: "EPOCH",
    1006: "BUILDTIME",
    1009: "SIZE",
    1022: "ARCH",
    1044: "SOURCERPM",
    1124: "PAYLOADFORMAT",
    1125: "PAYLOADCOMPRESSOR",
    5009: "LONGSIZE",
    5011: "FILEDIGESTALGO",
    5093: "PAYLOADDIGESTALGO",
}
_BASENAMES = 1117
_SIZES = {1028: "FILESIZES", 5008: "LONGFILESIZES"}
_COLUMNS = {
    1030: "FILEMODES",
    1034: "FILEMTIMES",
    1035: "FILEDIGESTS",
    1036: "FILELINKTOS",
    1037: "FILEFLAGS",
    1039: "FILEUSERNAME",
    1040: "FILEGROUPNAME",
    1096: "FILEINODES",
    1116: "DIRINDEXES",
}
# Some of them are read by rpm alone, when it writes the database.
_OPTIONAL_COLUMNS = {
    **_SIZES,
    1033: "FILERDEVS",
    1045: "FILEVERIFYFLAGS",
    1095: "FILEDEVICES",
    1097: "FILELANGS",
    1140: "FILECOLORS",
    1141: "FILECLASS",
    1143: "FILEDEPENDSX",
    1144: "FILEDEPENDSN",
    5010: "FILECAPS",
    5090: "FILESIGNATURES",
}
# The tags of names, flags and versions; very old packages have names alone.
_RELATIONS = {
    "PROVIDENAME": (1047, 1112, 1113),
    "REQUIRENAME": (1049, 1048, 1050),
    "CONFLICTNAME": (1054, 1053, 1055),
    "OBSOLETENAME": (1090, 1114, 1115),
    "RECOMMENDNAME": (5046, 5048, 5047),
    "SUGGESTNAME": (5049, 5051, 5050),
    "SUPPLEMENTNAME": (5052, 5054, 5053),
    "ENHANCENAME": (5055, 5057, 5056),
    "ORDERNAME": (5035, 5037, 5036),
}
_OLDFILENAMES = 1027
_NAMES = {**_SINGLE, **_COLUMNS, **_OPTIONAL_COLUMNS, _BASENAMES: "BASENAMES"}


def claimed_size(read: Callable[[int, int], bytes]) -> int:
    """How many bytes signature and header say that they have, as far as they are there.

    `read` gives so many bytes from a position in the file.
    """
    signature = _size(read(_LEAD, _INTRO))
    start = _LEAD + signature + -signature % 8
    return signature + _size(read(start, _INTRO))


def check_index(blob: bytes) -> None:
    """ValueError where lead, signature and header, which rpm has accepted, make no sense."""
    counts: dict[int, int] = {}
    for tag, kind, count in _entries(blob):
        if tag in counts:
            raise ValueError(f"it says {_name(tag)} twice")
        counts[tag] = count
        if tag in _SINGLE and count != 1:
            raise ValueError(f"it has {count} of {_name(tag)}")
        if count > MOST_ITEMS and kind not in _BYTES:
            raise ValueError(f"it has more than {MOST_ITEMS} of {_name(tag)}")
    if _OLDFILENAMES in counts:
        raise ValueError("it lists its files as rpm 3 did")
    _check_columns(counts)
    _check_relations(counts)


def _check_columns(counts: dict[int, int]) -> None:
    files = counts.get(_BASENAMES, 0)
    given = [tag for tag in _SIZES if tag in counts]
    if len(given) > 1:
        raise ValueError("it says FILESIZES twice, once as LONGFILESIZES")
    if files and not given:
        raise ValueError(f"it has 0 of FILESIZES for {files} files")
    for tag in (*_COLUMNS, *_OPTIONAL_COLUMNS):
        found = counts.get(tag, files if tag in _OPTIONAL_COLUMNS else 0)
        if found != files:
            raise ValueError(f"it has {found} of {_name(tag)} for {files} files")


def _check_relations(counts: dict[int, int]) -> None:
    for name, (names, flags, versions) in _RELATIONS.items():
        found = tuple(counts.get(tag, 0) for tag in (names, flags, versions))
        if found not in ((found[0],) * 3, (found[0], 0, 0)):
            raise ValueError(
                f"it has {found[0]} of {name}, but {found[1]} flags and {found[2]} versions"
            )


def _entries(blob: bytes) -> Iterator[tuple[int, int, int]]:
    """Tag, type and number of items of each entry of the header."""
    signature = _size(blob[_LEAD : _LEAD + _INTRO])
    start = _LEAD + signature + -signature % 8
    (entries,) = struct.unpack_from(">8xI", blob, start)
    for tag, kind, _, count in struct.iter_unpack(
        ">IIII", blob[start + _INTRO : start + _INTRO + 16 * entries]
    ):
        yield tag, kind, count


def _size(intro: bytes) -> int:
    if len(intro) < _INTRO:
        return len(intro)
    entries, size = struct.unpack_from(">8xII", intro)
    return _INTRO + 16 * int(entries) + int(size)


def _name(tag: int) -> str:
    return _NAMES.get(tag, f"tag {tag}")
