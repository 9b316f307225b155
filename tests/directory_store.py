"""A store of plain directories and JSON: the second implementation of `ObjectStore`."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from layer.errors import StoreError
from layer.model import Commit, Directory, DirectoryAttributes, FileAttributes, Tree

_KINDS = ("files", "contents", "directories", "attributes", "commits")


class DirectoryStore:
    """Objects are files named by their SHA-256, in one directory for each kind; refs are JSON.

    The content of a regular file carries its owner, mode and extended attributes itself,
    so that a hardlink to it is a checkout.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._written: list[Path] | None = None  # by the open transaction
        self._pending: dict[str, str | None] = {}

    @classmethod
    def create(cls, path: Path) -> DirectoryStore:
        """Makes an empty store, or opens the one that is there."""
        for kind in _KINDS:
            (path / kind).mkdir(parents=True, exist_ok=True)
        return cls(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes inside it become visible to others at its end; an exception takes them away."""
        if self._written is not None:
            raise StoreError("a transaction is open already")
        self._written, self._pending = [], {}
        try:
            yield
            refs = dict(self._read_refs())
            for ref, checksum in self._pending.items():
                if checksum is None:
                    refs.pop(ref, None)
                else:
                    refs[ref] = checksum
            _replace(self._path / "refs.json", _encode(refs))
        except BaseException:
            for path in self._written:
                path.unlink()
            raise
        finally:
            self._written, self._pending = None, {}

    def read_commit(self, checksum: str) -> Commit:
        """The commit with that checksum."""
        found = self._read("commits", checksum)
        return Commit(
            checksum=checksum,
            parent=found["parent"],
            timestamp=found["timestamp"],
            root=Tree(*found["root"]),
            metadata=found["metadata"],
            subject=found["subject"],
        )

    def find_commit(self, ref: str) -> str | None:
        """The checksum that `ref` names, or None."""
        return self._read_refs().get(ref)

    def refs(self, prefix: str) -> Mapping[str, str]:
        """All refs that are `prefix` or below `prefix/`, with the checksums they name."""
        return {
            ref: checksum
            for ref, checksum in sorted(self._read_refs().items())
            if ref == prefix or ref.startswith(f"{prefix}/")
        }

    def read_directory(self, contents: str) -> Directory:
        """The names in a directory, by its contents checksum."""
        found = self._read("directories", contents)
        return Directory(
            found["files"], {name: Tree(*tree) for name, tree in found["directories"].items()}
        )

    def read_directory_attributes(self, attributes: str) -> DirectoryAttributes:
        """Owner and mode of a directory, by its attributes checksum."""
        found = self._read("attributes", attributes)
        return DirectoryAttributes(
            found["uid"], found["gid"], found["mode"], _decode_xattrs(found["xattrs"])
        )

    def read_file_attributes(self, checksum: str) -> FileAttributes:
        """Owner, mode and target of a file or symlink."""
        found = self._read("files", checksum)
        return FileAttributes(
            found["uid"],
            found["gid"],
            found["mode"],
            found["target"],
            _decode_xattrs(found["xattrs"]),
        )

    def open_file(self, checksum: str) -> BinaryIO:
        """The content of a regular file, to be read once and closed."""
        try:
            return (self._path / "contents" / checksum).open("rb")
        except FileNotFoundError as error:
            raise StoreError(f"no regular file {checksum}") from error

    def write_directory(self, directory: Directory) -> str:
        """Stores a directory's names; returns its contents checksum. Idempotent."""
        names = [*directory.files, *directory.directories]
        wrong = [name for name in names if name in ("", ".", "..") or "/" in name]
        if wrong or len(set(names)) != len(names):
            raise StoreError(f"names that no directory can have: {sorted(names)}")
        return self._write(
            "directories",
            {
                "files": dict(directory.files),
                "directories": {
                    name: [tree.contents, tree.attributes]
                    for name, tree in directory.directories.items()
                },
            },
        )

    def write_directory_attributes(self, attributes: DirectoryAttributes) -> str:
        """Stores a directory's attributes; returns their checksum. Idempotent."""
        return self._write("attributes", _owner(attributes))

    def write_file_of(self, attributes: FileAttributes, path: Path) -> str:
        """Stores the content of a file on the disk as a regular file; returns its checksum."""
        return self.write_file(attributes, [path.read_bytes()])

    def write_file(self, attributes: FileAttributes, chunks: Iterable[bytes] = ()) -> str:
        """Stores a regular file or, by its mode, a symlink; returns its checksum. Idempotent."""
        description = _encode(_owner(attributes) | {"target": attributes.target})
        digest = hashlib.sha256(description + b"\0")
        if stat.S_ISREG(attributes.mode):
            with tempfile.NamedTemporaryFile(dir=self._path, delete=False) as scratch:
                for chunk in chunks:
                    digest.update(chunk)
                    scratch.write(chunk)
            _set_attributes(Path(scratch.name), attributes)
            self._move(Path(scratch.name), self._path / "contents" / digest.hexdigest())
        self._keep(self._path / "files" / digest.hexdigest(), description)
        return digest.hexdigest()

    def write_commit(
        self,
        root: Tree,
        *,
        parent: str | None,
        timestamp: int,
        subject: str,
        metadata: Mapping[str, str | bool],
    ) -> str:
        """Stores a commit; returns its checksum. The same arguments give the same checksum."""
        self.read_directory(root.contents)
        self.read_directory_attributes(root.attributes)
        return self._write(
            "commits",
            {
                "root": [root.contents, root.attributes],
                "parent": parent,
                "timestamp": timestamp,
                "subject": subject,
                "metadata": dict(metadata),
            },
        )

    def set_ref(self, ref: str, checksum: str | None) -> None:
        """Makes `ref` name that commit, at the end of the transaction; None takes it away."""
        if self._written is None:
            raise StoreError(f"{ref} can be set in a transaction only")
        self._pending[ref] = checksum

    def link_file(self, checksum: str, path: Path) -> None:
        """Makes the file or symlink appear at `path`."""
        attributes = self.read_file_attributes(checksum)
        if stat.S_ISLNK(attributes.mode):
            path.symlink_to(attributes.target)
            os.chown(path, attributes.uid, attributes.gid, follow_symlinks=False)
        else:
            os.link(self._path / "contents" / checksum, path)

    def _read(self, kind: str, checksum: str) -> Any:
        try:
            return json.loads((self._path / kind / checksum).read_bytes())
        except FileNotFoundError as error:
            raise StoreError(f"no object {checksum} among the {kind}") from error

    def _read_refs(self) -> dict[str, str]:
        path = self._path / "refs.json"
        refs: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
        return refs

    def _write(self, kind: str, value: Mapping[str, Any]) -> str:
        data = _encode(value)
        checksum = hashlib.sha256(data).hexdigest()
        self._keep(self._path / kind / checksum, data)
        return checksum

    def _keep(self, path: Path, data: bytes) -> None:
        if not path.exists():
            with tempfile.NamedTemporaryFile(dir=self._path, delete=False) as scratch:
                scratch.write(data)
            self._move(Path(scratch.name), path)

    def _move(self, scratch: Path, path: Path) -> None:
        with self._lock:
            if path.exists():
                scratch.unlink()
                return
            scratch.rename(path)
            if self._written is not None:
                self._written.append(path)


def _owner(attributes: FileAttributes | DirectoryAttributes) -> dict[str, Any]:
    return {
        "uid": attributes.uid,
        "gid": attributes.gid,
        "mode": attributes.mode,
        "xattrs": [[name.hex(), value.hex()] for name, value in sorted(attributes.xattrs)],
    }


def _decode_xattrs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((bytes.fromhex(name), bytes.fromhex(value)) for name, value in pairs)


def _set_attributes(path: Path, attributes: FileAttributes) -> None:
    os.chown(path, attributes.uid, attributes.gid)
    path.chmod(stat.S_IMODE(attributes.mode))  # after chown, which clears the setuid bit
    for name, value in attributes.xattrs:
        os.setxattr(path, name, value)
    os.utime(path, (0, 0))


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _replace(path: Path, data: bytes) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_bytes(data)
    scratch.replace(path)
