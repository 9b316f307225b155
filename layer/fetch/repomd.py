"""What a repository's repomd.xml lists, read without librepo, which takes long to load."""

from __future__ import annotations

import re
from xml.parsers import expat

from layer.config import is_safe_href
from layer.fetch.transfer import CHECKSUMS, broken
from layer.frozen import dataclass
from layer.model import Repository

REPOMD = "repodata/repomd.xml"
KINDS = ("primary", "filelists")
# The same list, packed in different ways: the first of them that a repository has is taken.
GROUPS = ("group_zst", "group_xz", "group_gz", "group")
LARGEST = 4 << 30  # bytes, of any file that is listed
# Compressions that this libsolv reads; it goes by the file's name.
_NAME = re.compile(r".*(\.xml(?:\.(?:gz|xz|zst|bz2))?)")


@dataclass(frozen=True, slots=True)
class Record:
    """A file that repomd.xml lists, and its name in the cache."""

    kind: str
    href: str
    checksum_type: str
    checksum: str
    size: int
    cache_name: str


def parse_repomd(repository: Repository, content: bytes) -> tuple[Record, ...]:
    """The records that are of use; RepositoryError where one cannot be, or a list is missing."""
    listing = _Listing()
    try:
        listing.read(content)
    except (expat.ExpatError, ValueError) as error:
        raise broken(repository, f"{REPOMD} is no repository metadata") from error
    listed = listing.found
    if "primary" not in listed:
        raise broken(repository, f"{REPOMD} lists no packages")
    kinds = [kind for kind in KINDS if kind in listed]
    kinds += [kind for kind in GROUPS if kind in listed][:1]
    return tuple(_record(repository, kind, listed[kind]) for kind in kinds)


class _Listing:
    """What each `data` element says, by its type; of two of the same the last one counts."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = {}
        self._data: dict[str, str] = {}
        self._text: list[str] = []

    def read(self, content: bytes) -> None:
        """ExpatError or ValueError where it is no XML, or declares what no metadata need."""
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = _refuse_declarations
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.Parse(content, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._text.clear()
        if name == "data":
            self._data = self.found[attributes.get("type", "")] = {}
        elif name == "location":
            self._data["href"] = attributes.get("href", "")
        elif name == "checksum":
            self._data["checksum type"] = attributes.get("type", "")

    def _end(self, name: str) -> None:
        if name in ("checksum", "size"):
            self._data[name] = "".join(self._text).strip()
        self._text.clear()


def _refuse_declarations(*_: object) -> None:
    raise ValueError("a document type")


def _record(repository: Repository, kind: str, listed: dict[str, str]) -> Record:
    href, size = listed.get("href", ""), listed.get("size", "0")
    checksum_type, checksum = listed.get("checksum type", ""), listed.get("checksum", "")
    name = _NAME.fullmatch(href)
    if not is_safe_href(href):
        raise broken(repository, f"{REPOMD} names a file outside of the repository: {href!r}")
    if checksum_type not in CHECKSUMS or not re.fullmatch(r"[0-9a-f]+", checksum):
        raise broken(repository, f"{REPOMD} has no strong checksum for {href}: {checksum_type}")
    if not re.fullmatch(r"[0-9]{1,18}", size) or int(size) > LARGEST:
        raise broken(repository, f"{REPOMD} says no size of {href} that it could have: {size}")
    if name is None:
        raise broken(repository, f"{href} is compressed in a way that layer cannot read")
    return Record(kind, href, checksum_type, checksum, int(size), f"{checksum}-{kind}{name[1]}")
