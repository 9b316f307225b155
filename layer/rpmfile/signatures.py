"""Signatures of RPM packages, checked by rpm itself against given keys alone."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rpm

from layer.errors import PackageRefused

rpm.setVerbosity(rpm.RPMLOG_EMERG)  # our exceptions say what it finds wrong
_TAGS = ("rsaheader", "dsaheader")
_KEY_ID = re.compile(r"Key ID ([0-9a-f]+)")
_NO_SIGNATURES = rpm._RPMVSF_NOSIGNATURES  # rpm's own name for a public flag


class Keyring:
    """The keys that a package may be signed with."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction

    def check(self, path: Path) -> None:
        """PackageRefused where none of the keys has signed the header of the package.

        The file may end with its header. In that stands the payload's digest, without which an
        import refuses the package.
        """
        try:
            header = self._read(path, 0)
        except rpm.error as error:
            key = self.signer(path)
            who = f": it is signed with the key {key}" if key else ""
            raise PackageRefused(f"{error}{who}") from error
        if not any(header[tag] for tag in _TAGS):
            raise PackageRefused("it is not signed")

    def signer(self, path: Path) -> str:
        """The id of the key that has signed it, "" where none is found; nothing is checked."""
        try:
            header = self._read(path, _NO_SIGNATURES)
        except rpm.error:
            return ""
        found = (_KEY_ID.search(header.format(f"%{{{tag}:pgpsig}}")) for tag in _TAGS)
        return next((match[1].upper() for match in found if match), "")

    def _read(self, path: Path, flags: int) -> Any:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self._transaction.setVSFlags(flags)
            return self._transaction.hdrFromFdno(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def open_keyring(keys: Iterable[bytes]) -> Iterator[Keyring]:
    """A keyring of OpenPGP keys, in packets; the machine's own rpm database has no say.

    PackageRefused where rpm does not take a key.
    """
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        rpm.addMacro("_dbpath", folder)
        try:
            transaction = rpm.TransactionSet("/")
            for packets in keys:
                if transaction.pgpImportPubkey(packets) != 0:
                    raise PackageRefused("rpm does not take the key")
            yield Keyring(transaction)
            transaction.closeDB()
        finally:
            rpm.delMacro("_dbpath")
