"""Small trees with this machine's own programs in them, for tests that run real tools."""

from __future__ import annotations

import functools
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from layer.model import DirectoryAttributes, FileAttributes, Tree
from layer.sandbox.process import run
from layer.store.contract import ObjectStore
from layer.store.trees import TreeEditor, empty_tree
from testdata.distro.cache import default_cache, locked

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file (`content`, or what lies at `host`), a link (`target`) or a directory of a tree."""

    content: bytes = b""
    host: str = ""
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    is_directory: bool = False
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


def link(target: str) -> Entry:
    """A symlink."""
    return Entry(target=target)


def text(content: str, mode: int = 0o644) -> Entry:
    """A text file."""
    return Entry(content.encode(), mode=mode)


def put(store: ObjectStore, tree: Tree, entries: Mapping[str, Entry | None]) -> Tree:
    """The tree with these paths in it, and without those that are None."""
    editor = TreeEditor(store, tree)
    for path, entry in entries.items():
        if entry is None:
            editor.remove(path)
        elif entry.is_directory:
            attributes = DirectoryAttributes(
                entry.uid, entry.gid, stat.S_IFDIR | entry.mode, entry.xattrs
            )
            editor.put_directory(path, store.write_directory_attributes(attributes))
        else:
            editor.put_file(path, _write(store, entry))
    return editor.write()


def make(store: ObjectStore, entries: Mapping[str, Entry | None]) -> Tree:
    """A tree of these paths."""
    return put(store, empty_tree(store), {"usr": Entry(is_directory=True, mode=0o755), **entries})


def programs(*paths: str) -> dict[str, Entry | None]:
    """The host's programs at their own places under usr, with all the libraries they load."""
    return {path: entry for name in paths for path, entry in _program(name)}


def unpacked(package: str, *paths: str) -> dict[str, Entry | None]:
    """Programs of a Debian package that is fetched and unpacked, for it must not be installed.

    It is kept beside the test distribution. LookupError where it cannot be fetched.
    """
    place = default_cache() / "unpacked" / package
    with locked(default_cache(), f"unpacked-{package}.lock"):
        if not place.is_dir():
            _unpack(package, place)
    found: dict[str, Entry | None] = {}
    for path in paths:
        own = str(place / path.lstrip("/"))
        inside = f"usr/{path.removeprefix('/usr').lstrip('/')}"
        for name, entry in _program(own):
            found[inside if name == own.lstrip("/") else name] = entry
    return found


def _unpack(package: str, place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=default_cache()) as folder:
        script = f"cd {folder} && apt-get download -qq {package} && dpkg-deb -x ./*.deb new"
        done = run(["sh", "-c", script])
        if done.status:
            raise LookupError(f"cannot fetch {package}: {done.output.strip()}")
        place.parent.mkdir(exist_ok=True)
        (Path(folder) / "new").rename(place)


def files(*paths: str) -> dict[str, Entry | None]:
    """The host's files at their own places under usr."""
    return {path.lstrip("/"): Entry(host=path) for path in paths}


def folder(path: Path) -> dict[str, Entry | None]:
    """All files and links below a directory, as paths of a tree."""
    found: dict[str, Entry | None] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if file.is_symlink():
            found[name] = link(os.readlink(file))  # noqa: PTH115  # Path would tidy it up
        elif file.is_file():
            found[name] = Entry(host=str(file), mode=0o755 if os.access(file, os.X_OK) else 0o644)
    return found


def _write(store: ObjectStore, entry: Entry) -> str:
    if entry.target:
        return store.write_file(FileAttributes(mode=stat.S_IFLNK | 0o777, target=entry.target))
    content = Path(entry.host).read_bytes() if entry.host else entry.content
    attributes = FileAttributes(entry.uid, entry.gid, stat.S_IFREG | entry.mode, "", entry.xattrs)
    return store.write_file(attributes, [content])


@functools.cache
def _program(name: str) -> tuple[tuple[str, Entry], ...]:
    found = dict(_with_links(name))
    for library in _LIBRARY.findall(run(["ldd", name]).output):
        found |= dict(_with_links(library))
    return tuple(found.items())


def _with_links(name: str) -> Iterator[tuple[str, Entry]]:
    path = Path(name)
    path = path.parent.resolve() / path.name
    while path.is_symlink():
        target = os.readlink(path)  # noqa: PTH115
        yield str(path).lstrip("/"), link(target)
        path = path.parent / target
        path = path.parent.resolve() / path.name
    yield str(path).lstrip("/"), Entry(host=str(path), mode=0o755)
