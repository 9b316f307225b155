"""What a Debian binary package holds."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Deb:
    """A .deb: its control file's fields, its other control files and its payload."""

    path: Path
    fields: Mapping[str, str]
    scripts: Mapping[str, str]  # preinst, postinst, prerm, postrm
    conffiles: frozenset[str]
    interests: tuple[str, ...]  # directories whose changes dpkg reports to postinst
    entries: tuple[DebEntry, ...]

    def content(self, path: str) -> bytes:
        """Return the content of the regular file at `path`."""
        for entry in self.entries:
            if entry.path == path and entry.info.isreg():
                return entry.content
        raise FileNotFoundError(f"{self.path.name} has no file {path}")


@dataclass(frozen=True, slots=True)
class DebEntry:
    """One path of the payload, absolute and as Debian ships it."""

    path: str
    info: tarfile.TarInfo
    content: bytes


def read_deb(path: Path) -> Deb:
    """Read a whole package into memory."""
    control = _read_control(path)
    return Deb(
        path=path,
        fields=parse_control(control["control"]),
        scripts={
            name: control[name]
            for name in ("preinst", "postinst", "prerm", "postrm")
            if name in control
        },
        conffiles=_parse_conffiles(control.get("conffiles", "")),
        interests=_parse_interests(control.get("triggers", "")),
        entries=tuple(_read_payload(path)),
    )


def parse_control(text: str) -> dict[str, str]:
    """Return a control file's fields; continuation lines keep their newline."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line[1:]
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


def _read_control(path: Path) -> dict[str, str]:
    with _open_tar(path, "--ctrl-tarfile") as archive:
        return {
            member.name.removeprefix("./"): _content(archive, member).decode("utf-8", "replace")
            for member in archive
            if member.isreg()
        }


def _read_payload(path: Path) -> list[DebEntry]:
    with _open_tar(path, "--fsys-tarfile") as archive:
        return [
            DebEntry(_absolute(member.name), member, _content(archive, member))
            for member in archive
        ]


def _open_tar(path: Path, option: str) -> tarfile.TarFile:
    unpacked = subprocess.run(["dpkg-deb", option, path], stdout=subprocess.PIPE, check=True)
    return tarfile.open(fileobj=io.BytesIO(unpacked.stdout))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg():
        return b""
    stream = archive.extractfile(member)
    assert stream is not None  # as it is a regular file
    return stream.read()


def _absolute(name: str) -> str:
    return "/" + name.removeprefix(".").strip("/")


def _parse_conffiles(text: str) -> frozenset[str]:
    lines = (line.split() for line in text.splitlines() if line.strip())
    return frozenset(words[-1] for words in lines if words[0] != "remove-on-upgrade")


def _parse_interests(text: str) -> tuple[str, ...]:
    lines = (line.split() for line in text.splitlines())
    return tuple(
        words[1]
        for words in lines
        if len(words) == 2 and words[0].startswith("interest") and words[1].startswith("/")
    )
