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
_INT16, _INT32, _INT64, _STRING, _STRINGS = 3, 4, 5, 6, 8

# By number: the name, and the type of which librpm takes it to be without looking.
_SINGLE = {
    1000: ("NAME", _STRING),
    1001: ("VERSION", _STRING),
    1002: ("RELEASE", _STRING),
    1003: ("EPOCH", _INT32),
    1006: ("BUILDTIME", _INT32),
    1009: ("SIZE", _INT32),
    1021: ("OS", _STRING),
    1022: ("ARCH", _STRING),
    1044: ("SOURCERPM", _STRING),
    1124: ("PAYLOADFORMAT", _STRING),
    1125: ("PAYLOADCOMPRESSOR", _STRING),
    5009: ("LONGSIZE", _INT64),
    5011: ("FILEDIGESTALGO", _INT32),
    5093: ("PAYLOADDIGESTALGO", _INT32),
    5114: ("RPMFORMAT", _INT32),
    5121: ("PAYLOADSHA512", _STRING),
    5123: ("PAYLOADSHA3_256", _STRING),
}
_BASENAMES = 1117
_SIZES = {1028: ("FILESIZES", _INT32), 5008: ("LONGFILESIZES", _INT64)}
_COLUMNS = {
    1030: ("FILEMODES", _INT16),
    1034: ("FILEMTIMES", _INT32),
    1035: ("FILEDIGESTS", _STRINGS),
    1036: ("FILELINKTOS", _STRINGS),
    1037: ("FILEFLAGS", _INT32),
    1039: ("FILEUSERNAME", _STRINGS),
    1040: ("FILEGROUPNAME", _STRINGS),
    1096: ("FILEINODES", _INT32),
    1116: ("DIRINDEXES", _INT32),
}
# Some of them are read by librpm alone, when it writes the database.
_OPTIONAL_COLUMNS = {
    **_SIZES,
    1033: ("FILERDEVS", _INT16),
    1045: ("FILEVERIFYFLAGS", _INT32),
    1095: ("FILEDEVICES", _INT32),
    1097: ("FILELANGS", _STRINGS),
    1140: ("FILECOLORS", _INT32),
    1141: ("FILECLASS", _INT32),
    1143: ("FILEDEPENDSX", _INT32),
    1144: ("FILEDEPENDSN", _INT32),
    5010: ("FILECAPS", _STRINGS),
    5090: ("FILESIGNATURES", _STRINGS),
}
_OTHERS = {
    _BASENAMES: ("BASENAMES", _STRINGS),
    1098: ("PREFIXES", _STRINGS),
    1118: ("DIRNAMES", _STRINGS),
    1142: ("CLASSDICT", _STRINGS),
    1145: ("DEPENDSDICT", _INT32),
    5092: ("PAYLOADDIGEST", _STRINGS),
}
# The tags of names, flags and versions; very old packages have names alone.
_RELATIONS = {
    "PROVIDE": (1047, 1112, 1113),
    "REQUIRE": (1049, 1048, 1050),
    "CONFLICT": (1054, 1053, 1055),
    "OBSOLETE": (1090, 1114, 1115),
    "RECOMMEND": (5046, 5048, 5047),
    "SUGGEST": (5049, 5051, 5050),
    "SUPPLEMENT": (5052, 5054, 5053),
    "ENHANCE": (5055, 5057, 5056),
    "ORDER": (5035, 5037, 5036),
}
# The tags of names, flags, versions and indexes, and of scripts and their interpreters.
_TRIGGERS = {
    "TRIGGER": ((1066, 1068, 1067, 1069), (1065, 1092)),
    "FILETRIGGER": ((5069, 5072, 5071, 5070), (5066, 5067)),
    "TRANSFILETRIGGER": ((5079, 5082, 5081, 5080), (5076, 5077)),
}
_REFUSED = {
    1027: "it lists its files as rpm 3 did",  # OLDFILENAMES
    1029: "it says which of its files are installed",  # FILESTATES, of the database alone
    1133: "it is a patch of another package",  # PATCHESNAME; libsolv does not read it
}


def _kinds() -> Iterator[tuple[int, tuple[str, int]]]:
    for table in (_SINGLE, _COLUMNS, _OPTIONAL_COLUMNS, _OTHERS):
        yield from table.items()
    lists = list(_RELATIONS.items())
    for family, (words, scripts) in _TRIGGERS.items():
        lists.append((family, (words[0], words[1], words[2])))
        yield words[3], (f"{family}INDEX", _INT32)
        yield scripts[0], (f"{family}SCRIPTS", _STRINGS)
        yield scripts[1], (f"{family}SCRIPTPROG", _STRINGS)
    for family, (name, flags, version) in lists:
        yield name, (f"{family}NAME", _STRINGS)
        yield flags, (f"{family}FLAGS", _INT32)
        yield version, (f"{family}VERSION", _STRINGS)


_KINDS = dict(_kinds())


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
        name, wanted = _KINDS.get(tag, (f"tag {tag}", kind))
        if tag in _REFUSED:
            raise ValueError(_REFUSED[tag])
        if tag in counts:
            raise ValueError(f"it says {name} twice")
        counts[tag] = count
        if kind != wanted:
            raise ValueError(f"its {name} is of type {kind}")
        if tag in _SINGLE and count != 1:
            raise ValueError(f"it has {count} of {name}")
        if count > MOST_ITEMS and kind not in _BYTES:
            raise ValueError(f"it has more than {MOST_ITEMS} of {name}")
    _check_columns(counts)
    _check_relations(counts)


def signature_entries(blob: bytes) -> tuple[int, list[tuple[int, int, bytes]]]:
    """Where the header begins, and tag, type and text of each entry of the signature.

    The text ends with the first NUL; of what has another type it means nothing.
    """
    entries, size = struct.unpack_from(">8xII", blob, _LEAD)
    index = _LEAD + _INTRO
    store = blob[index + 16 * entries : index + 16 * entries + size]
    found = [
        (tag, kind, store[offset : store.find(b"\0", offset)])
        for tag, kind, offset, _ in struct.iter_unpack(">IIII", blob[index : index + 16 * entries])
    ]
    signature = _size(blob[_LEAD : _LEAD + _INTRO])
    return _LEAD + signature + -signature % 8, found


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
            raise ValueError(f"it has {found} of {_KINDS[tag][0]} for {files} files")


def _check_relations(counts: dict[int, int]) -> None:
    for family, tags in _RELATIONS.items():
        found = [counts.get(tag, 0) for tag in tags]
        if found[1:] != [0, 0] and len(set(found)) > 1:
            raise ValueError(f"its lists of {family}NAME, flags and versions are of unequal length")
    for family, lists in _TRIGGERS.items():
        for columns in lists:
            if len({counts.get(tag, 0) for tag in columns}) > 1:
                raise ValueError(f"its lists of {family}s are of unequal length")
        if bool(counts.get(lists[0][0])) != bool(counts.get(lists[1][0])):
            raise ValueError(f"its {family}s have no scripts, or scripts no {family}s")


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
