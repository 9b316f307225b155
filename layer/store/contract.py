"""What every store of objects can do, in nouns.

`layer.store.objects` does it with OSTree; the tests have one of plain
directories; both pass the same contract tests (`tests/test_store_contract.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from layer.model import Commit, Directory, DirectoryAttributes, FileAttributes, Tree


class ObjectStore(Protocol):
    """Content-addressed files, directories and commits, and refs that name commits.

    Every checksum is 64 hex digits. A checksum that the store does not hold
    is a StoreError that names it.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Writes inside it become durable together at its end; an exception abandons them."""

    def read_commit(self, checksum: str) -> Commit:
        """The commit with that checksum."""

    def find_commit(self, ref: str) -> str | None:
        """The checksum that `ref` names, or None."""

    def refs(self, prefix: str) -> Mapping[str, str]:
        """All refs that are `prefix` or below `prefix/`, with the checksums they name."""

    def read_directory(self, contents: str) -> Directory:
        """The names in a directory, by its contents checksum."""

    def read_directory_attributes(self, attributes: str) -> DirectoryAttributes:
        """Owner and mode of a directory, by its attributes checksum."""

    def read_file_attributes(self, checksum: str) -> FileAttributes:
        """Owner, mode and target of a file or symlink."""

    def open_file(self, checksum: str) -> BinaryIO:
        """The content of a regular file, to be read once and closed."""

    def write_directory(self, directory: Directory) -> str:
        """Stores a directory's names; returns its contents checksum. Idempotent."""

    def write_directory_attributes(self, attributes: DirectoryAttributes) -> str:
        """Stores a directory's attributes; returns their checksum. Idempotent."""

    def write_file(self, attributes: FileAttributes, chunks: Iterable[bytes] = ()) -> str:
        """Stores a regular file or, by its mode, a symlink; returns its checksum. Idempotent.

        Content is streamed; memory stays bounded whatever its size.
        """

    def write_file_of(self, attributes: FileAttributes, path: Path) -> str:
        """Stores the content of a file on the disk as a regular file; returns its checksum.

        Nothing else writes to that file meanwhile.
        """

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

    def set_ref(self, ref: str, checksum: str | None) -> None:
        """Makes `ref` name that commit, at the end of the transaction; None takes it away."""

    def link_file(self, checksum: str, path: Path) -> None:
        """Makes the file or symlink appear at `path`, as a hardlink where that is possible.

        Whoever reads it must never write through it.
        """
