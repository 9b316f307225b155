"""Package repositories that say whatever a test wants: createrepo_c would refuse to."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from testdata.distro.forge import header_start

_COMMON = "http://linux.duke.edu/metadata/common"
_RPM = "http://linux.duke.edu/metadata/rpm"
_REPO = "http://linux.duke.edu/metadata/repo"


@dataclass(frozen=True, slots=True)
class Claim:
    """What metadata say of a package: text as it will be written, only made fit for XML."""

    name: str
    checksum: str
    size: str
    location: str
    header_end: str
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    epoch: str = "0"
    version: str = "1"
    release: str = "1"
    arch: str = "noarch"
    checksum_type: str = "sha256"
    installed_size: str = "1"
    header_start: str = "0"
    base: str = ""  # xml:base


def honest_claim(name: str, data: bytes, location: str) -> Claim:
    """What is true of a package's file; it provides `hostile(NAME)`, to be asked for."""
    return Claim(
        name,
        hashlib.sha256(data).hexdigest(),
        str(len(data)),
        location,
        str(_header_end(data)),
        provides=(name, f"hostile({name})"),
    )


def write_repository(directory: Path, claims: Iterable[Claim]) -> Path:
    """Writes `directory`/repodata; the packages are the caller's business."""
    return write_primary(directory, primary_of(list(claims)))


def primary_of(claims: Sequence[Claim]) -> bytes:
    """The list of packages that makes these claims."""
    head = f'<metadata xmlns="{_COMMON}" xmlns:rpm="{_RPM}" packages="{len(claims)}">'
    body = "".join(map(_package, claims))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{body}</metadata>\n'.encode()


def write_primary(
    directory: Path, primary: bytes, *, name: str = "primary.xml", **other: str
) -> Path:
    """Writes `directory`/repodata with these bytes as the list of packages.

    `other` may claim another `size` or `href` than the true one.
    """
    folder = directory / "repodata"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(primary)
    href = other.get("href", f"repodata/{name}")
    size = other.get("size", str(len(primary)))
    (folder / "repomd.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<repomd xmlns="{_REPO}">\n'
        f'<data type="primary">\n'
        f'<checksum type="sha256">{hashlib.sha256(primary).hexdigest()}</checksum>\n'
        f"<location href={quoteattr(href)}/>\n<size>{size}</size>\n</data>\n</repomd>\n"
    )
    return directory


def _package(claim: Claim) -> str:
    base = f" xml:base={quoteattr(claim.base)}" if claim.base else ""
    epoch, version, release = map(quoteattr, (claim.epoch, claim.version, claim.release))
    return f"""\
<package type="rpm">
<name>{escape(claim.name)}</name>
<arch>{escape(claim.arch)}</arch>
<version epoch={epoch} ver={version} rel={release}/>
<checksum type={quoteattr(claim.checksum_type)} pkgid="YES">{escape(claim.checksum)}</checksum>
<summary>hostile</summary>
<size package={quoteattr(claim.size)} installed={quoteattr(claim.installed_size)} archive="1"/>
<location{base} href={quoteattr(claim.location)}/>
<format>
<rpm:header-range start={quoteattr(claim.header_start)} end={quoteattr(claim.header_end)}/>
<rpm:provides>{_entries(claim.provides)}</rpm:provides>
<rpm:requires>{_entries(claim.requires)}</rpm:requires>
</format>
</package>
"""


def _entries(words: Iterable[str]) -> str:
    return "".join(f"<rpm:entry name={quoteattr(word)}/>" for word in words)


def _header_end(data: bytes) -> int:
    """Where the header ends, or a guess where there is none."""
    try:
        start = header_start(data)
        entries, size = struct.unpack_from(">8xII", data, start)
    except struct.error:
        return 500
    return min(start + 16 + 16 * int(entries) + int(size), len(data))
