"""The binary form of RPM v4 headers.

Format: https://rpm-software-management.github.io/rpm/manual/format_header.html
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum

Value = int | str | bytes | Sequence[int] | Sequence[str]


class Kind(IntEnum):
    """The type of a tag's value."""

    INT16 = 3
    INT32 = 4
    STRING = 6
    BINARY = 7
    STRINGS = 8
    I18N = 9


class Region(IntEnum):
    """The tag that marks a header's sealed part."""

    SIGNATURES = 62
    IMMUTABLE = 63


class Tag(Enum):
    """The tags that the writer knows: number and type of value."""

    HEADERI18NTABLE = (100, Kind.STRINGS)
    SIG_SHA1 = (269, Kind.STRING)
    SIG_SHA256 = (273, Kind.STRING)
    SIG_SIZE = (-1000, Kind.INT32)  # signature tags reuse numbers: written as 1000
    SIG_MD5 = (-1004, Kind.BINARY)
    SIG_PAYLOADSIZE = (-1007, Kind.INT32)
    NAME = (1000, Kind.STRING)
    VERSION = (1001, Kind.STRING)
    RELEASE = (1002, Kind.STRING)
    EPOCH = (1003, Kind.INT32)
    SUMMARY = (1004, Kind.I18N)
    DESCRIPTION = (1005, Kind.I18N)
    BUILDTIME = (1006, Kind.INT32)
    BUILDHOST = (1007, Kind.STRING)
    SIZE = (1009, Kind.INT32)
    LICENSE = (1014, Kind.STRING)
    GROUP = (1016, Kind.I18N)
    URL = (1020, Kind.STRING)
    OS = (1021, Kind.STRING)
    ARCH = (1022, Kind.STRING)
    PREIN = (1023, Kind.STRING)
    POSTIN = (1024, Kind.STRING)
    PREUN = (1025, Kind.STRING)
    POSTUN = (1026, Kind.STRING)
    FILESIZES = (1028, Kind.INT32)
    FILEMODES = (1030, Kind.INT16)
    FILERDEVS = (1033, Kind.INT16)
    FILEMTIMES = (1034, Kind.INT32)
    FILEDIGESTS = (1035, Kind.STRINGS)
    FILELINKTOS = (1036, Kind.STRINGS)
    FILEFLAGS = (1037, Kind.INT32)
    FILEUSERNAME = (1039, Kind.STRINGS)
    FILEGROUPNAME = (1040, Kind.STRINGS)
    SOURCERPM = (1044, Kind.STRING)
    FILEVERIFYFLAGS = (1045, Kind.INT32)
    PROVIDENAME = (1047, Kind.STRINGS)
    REQUIREFLAGS = (1048, Kind.INT32)
    REQUIRENAME = (1049, Kind.STRINGS)
    REQUIREVERSION = (1050, Kind.STRINGS)
    CONFLICTFLAGS = (1053, Kind.INT32)
    CONFLICTNAME = (1054, Kind.STRINGS)
    CONFLICTVERSION = (1055, Kind.STRINGS)
    RPMVERSION = (1064, Kind.STRING)
    VERIFYSCRIPT = (1079, Kind.STRING)
    PREINPROG = (1085, Kind.STRINGS)
    POSTINPROG = (1086, Kind.STRINGS)
    PREUNPROG = (1087, Kind.STRINGS)
    POSTUNPROG = (1088, Kind.STRINGS)
    OBSOLETENAME = (1090, Kind.STRINGS)
    VERIFYSCRIPTPROG = (1091, Kind.STRINGS)
    FILEDEVICES = (1095, Kind.INT32)
    FILEINODES = (1096, Kind.INT32)
    FILELANGS = (1097, Kind.STRINGS)
    PROVIDEFLAGS = (1112, Kind.INT32)
    PROVIDEVERSION = (1113, Kind.STRINGS)
    OBSOLETEFLAGS = (1114, Kind.INT32)
    OBSOLETEVERSION = (1115, Kind.STRINGS)
    DIRINDEXES = (1116, Kind.INT32)
    BASENAMES = (1117, Kind.STRINGS)
    DIRNAMES = (1118, Kind.STRINGS)
    PAYLOADFORMAT = (1124, Kind.STRING)
    PAYLOADCOMPRESSOR = (1125, Kind.STRING)
    PAYLOADFLAGS = (1126, Kind.STRING)
    FILECOLORS = (1140, Kind.INT32)
    PRETRANS = (1151, Kind.STRING)
    POSTTRANS = (1152, Kind.STRING)
    PRETRANSPROG = (1153, Kind.STRINGS)
    POSTTRANSPROG = (1154, Kind.STRINGS)
    FILECAPS = (5010, Kind.STRINGS)
    FILEDIGESTALGO = (5011, Kind.INT32)
    RECOMMENDNAME = (5046, Kind.STRINGS)
    RECOMMENDVERSION = (5047, Kind.STRINGS)
    RECOMMENDFLAGS = (5048, Kind.INT32)
    SUGGESTNAME = (5049, Kind.STRINGS)
    SUGGESTVERSION = (5050, Kind.STRINGS)
    SUGGESTFLAGS = (5051, Kind.INT32)
    SUPPLEMENTNAME = (5052, Kind.STRINGS)
    SUPPLEMENTVERSION = (5053, Kind.STRINGS)
    SUPPLEMENTFLAGS = (5054, Kind.INT32)
    ENHANCENAME = (5055, Kind.STRINGS)
    ENHANCEVERSION = (5056, Kind.STRINGS)
    ENHANCEFLAGS = (5057, Kind.INT32)
    ENCODING = (5062, Kind.STRING)
    TRANSFILETRIGGERSCRIPTS = (5076, Kind.STRINGS)
    TRANSFILETRIGGERSCRIPTPROG = (5077, Kind.STRINGS)
    TRANSFILETRIGGERSCRIPTFLAGS = (5078, Kind.INT32)
    TRANSFILETRIGGERNAME = (5079, Kind.STRINGS)
    TRANSFILETRIGGERINDEX = (5080, Kind.INT32)
    TRANSFILETRIGGERVERSION = (5081, Kind.STRINGS)
    TRANSFILETRIGGERFLAGS = (5082, Kind.INT32)
    TRANSFILETRIGGERPRIORITIES = (5085, Kind.INT32)
    PAYLOADDIGEST = (5092, Kind.STRINGS)
    PAYLOADDIGESTALGO = (5093, Kind.INT32)
    PAYLOADDIGESTALT = (5097, Kind.STRINGS)

    @property
    def number(self) -> int:
        """The tag's number in the file."""
        return abs(int(self.value[0]))

    @property
    def kind(self) -> Kind:
        """The type of the tag's value."""
        return Kind(self.value[1])


def encode_header(values: Mapping[Tag, Value], region: Region) -> bytes:
    """Return the header with these values, sealed by `region`, unpadded at its end."""
    store = bytearray()
    index = bytearray()
    for tag in sorted(values, key=lambda tag: tag.number):
        # Like rpmbuild, a lone interpreter is a string; with arguments it is an array.
        kind = Kind.STRING if isinstance(values[tag], str) and tag.kind != Kind.I18N else tag.kind
        count, data = _encode_value(kind, values[tag])
        store.extend(bytes(-len(store) % _ALIGNMENT.get(kind, 1)))
        index += struct.pack(">IIII", tag.number, kind, len(store), count)
        store += data
    entries = len(values) + 1
    trailer = struct.pack(">iiii", region, Kind.BINARY, -16 * entries, 16)
    head = struct.pack(">IIII", region, Kind.BINARY, len(store), 16)
    store += trailer
    magic = b"\x8e\xad\xe8\x01\0\0\0\0"
    return magic + struct.pack(">II", entries, len(store)) + head + bytes(index) + bytes(store)


_ALIGNMENT = {Kind.INT16: 2, Kind.INT32: 4}


def _encode_value(kind: Kind, value: Value) -> tuple[int, bytes]:
    """Return the number of items and their bytes."""
    if isinstance(value, bytes):
        return len(value), value
    items: Sequence[int] | Sequence[str]
    items = [value] if isinstance(value, int) else [value] if isinstance(value, str) else value
    if kind in _ALIGNMENT:
        letter = "H" if kind is Kind.INT16 else "I"
        return len(items), struct.pack(f">{len(items)}{letter}", *items)
    encoded = (str(item).encode("utf-8", "surrogateescape") + b"\0" for item in items)
    return len(items), b"".join(encoded)
