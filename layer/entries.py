"""What an entry of a package must not be, wherever it lies."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from functools import lru_cache

from layer.model import PackageFile
from layer.words import shown

_LONGEST_NAME = 255  # bytes, of every Linux file system
_LONGEST_TARGET = 4095  # bytes, of a link: PATH_MAX without its NUL
_LONGEST_PATH = 3584  # bytes: PATH_MAX, and room for where a deployment itself lies
_DEEPEST = 128  # components
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}\$?")
# As nearly all paths are; of the others every fault is looked for by itself.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[^/\x80-\U0010ffff]{1,255})+")
_SURROGATE = re.compile("[\ud800-\udfff]")  # how what is no UTF-8 is decoded


def fault_of(file: PackageFile) -> str:
    """What is wrong with an entry wherever it lies, or ""."""
    return next((text for faults in (_path_faults, _other_faults) for text in faults(file)), "")


def _path_faults(file: PackageFile) -> Iterator[str]:
    is_short = len(file.path) <= _LONGEST_PATH and file.path.count("/") < _DEEPEST
    if is_short and _PLAIN.fullmatch(file.path):
        return
    names = file.path.split("/")
    if len(_bytes(file.path)) > _LONGEST_PATH:
        yield f"is longer than {_LONGEST_PATH} bytes"
    if len(names) > _DEEPEST:
        yield f"lies deeper than {_DEEPEST} directories"
    if not file.path.startswith("/"):
        yield "is not absolute"
    if file.path != "/" and "" in names[1:]:
        yield "has an empty component"
    if not {".", ".."}.isdisjoint(names):
        yield "has a component . or .."
    if not _is_utf8(file.path):
        yield "is not UTF-8"
    if any(len(_bytes(name)) > _LONGEST_NAME for name in names):
        yield f"has a component of more than {_LONGEST_NAME} bytes"


def _other_faults(file: PackageFile) -> Iterator[str]:
    if stat.S_ISLNK(file.mode):
        if not (file.link_to and _is_utf8(file.link_to)):
            yield "is a link whose target is empty or not UTF-8"
        if len(_bytes(file.link_to)) > _LONGEST_TARGET:
            yield f"is a link whose target is longer than {_LONGEST_TARGET} bytes"
    if not (_is_name(file.user) and _is_name(file.group)):
        yield (
            f"has the owner '{shown(file.user)}' and group '{shown(file.group)}', "
            "which are no names"
        )
    if stat.S_IFMT(file.mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        yield "is a device, FIFO or socket"


@lru_cache(maxsize=128)
def _is_name(owner: str) -> bool:
    return bool(_OWNER.fullmatch(owner))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_utf8(text: str) -> bool:
    return not _SURROGATE.search(text)
