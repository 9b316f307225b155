"""OpenPGP keys and detached signatures, read by GnuPG in a home of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from layer.errors import InvalidInput, NotFound
from layer.model import SigningKey
from layer.sandbox.process import run

_TIMEOUT = 60.0  # seconds
LARGEST = 1 << 20  # bytes of a file with keys
_UNUSABLE = {"e": "expired", "r": "revoked", "d": "disabled", "i": "invalid"}


def read_keys(path: Path, source: str) -> tuple[SigningKey, ...]:
    """The keys in a file, armored or not; InvalidInput where it has none that can be used.

    `source` is what errors and plans call the file.
    """
    if path.stat().st_size > LARGEST:
        raise InvalidInput(f"{source} is too large for a file with keys")
    with _home() as home:
        _gpg(home, "--import", str(path))
        listed = _gpg(home, "--with-colons", "--fixed-list-mode", "--list-keys")
        found = list(_listed(listed.splitlines()))
        if not found:
            raise InvalidInput(f"{source} has no OpenPGP key")
        unusable = [f"{fingerprint} is {why}" for fingerprint, _, why in found if why]
        if len(unusable) == len(found):
            raise InvalidInput(f"{source}: the key {'; '.join(unusable)}")
        return tuple(
            SigningKey(fingerprint, user, source, _export(home, fingerprint))
            for fingerprint, user, why in found
            if not why
        )


def verify_detached(data: Path, signature: Path, keys: Iterable[SigningKey]) -> None:
    """InvalidInput where no detached signature of one of the keys fits the data."""
    with _home() as home:
        ring = home / "ring.gpg"
        ring.write_bytes(b"".join(key.packets for key in keys))
        done = run(["gpgv", "--keyring", str(ring), str(signature), str(data)], timeout=_TIMEOUT)
    if done.status != 0:
        said = [s.removeprefix("gpgv: ").strip() for s in done.output.splitlines()]
        telling = [s for s in said if s.startswith(("BAD", "Can't", "no valid", "verify"))]
        raise InvalidInput("; ".join(telling or said[-1:]) or "no good signature")


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="layer-") as folder:
        home = Path(folder)
        home.chmod(0o700)
        yield home


def _gpg(home: Path, *words: str) -> str:
    base = ["gpg", "--homedir", str(home), "--batch", "--no-tty", "--no-autostart", "--quiet"]
    return run([*base, *words], timeout=_TIMEOUT).output


def _export(home: Path, fingerprint: str) -> bytes:
    target = home / f"{fingerprint}.gpg"
    _gpg(home, "--output", str(target), "--export", fingerprint)
    try:
        return target.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"gpg cannot export the key {fingerprint}") from error


def _listed(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Fingerprint, user and what is wrong of each primary key (GnuPG's doc/DETAILS)."""
    fingerprint, user, why, is_open = "", "", "", False
    for line in lines:
        fields = line.split(":")
        if fields[0] == "pub":
            if fingerprint:
                yield fingerprint, user, why
            fingerprint, user, why = "", "", _UNUSABLE.get(fields[1], "")
            is_open = True
        elif fields[0] == "sub":
            is_open = False
        elif fields[0] == "fpr" and is_open and not fingerprint:
            fingerprint = fields[9]
        elif fields[0] == "uid" and is_open and not user:
            user = fields[9]
    if fingerprint:
        yield fingerprint, user, why
