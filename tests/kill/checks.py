"""What must hold of a sysroot whatever happened, told without the program's own help."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ENTRY = re.compile(r"^(\w+) +(.*)$", re.MULTILINE)
_NOT_LISTED = re.compile(r"ostree/repo/(objects|refs/heads/ostree)|ostree/deploy/\w+/deploy/.*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Booted:
    """A boot entry: the commit that it boots, the origin, and the kernel arguments."""

    checksum: str
    origin: str
    arguments: str


def boot_set(sysroot: Path) -> tuple[Booted, ...]:
    """What the boot menu offers, the default first; AssertionError where an entry leads nowhere."""
    entries = sorted(
        ((_fields(path), path) for path in (sysroot / "boot/loader/entries").glob("*.conf")),
        key=lambda entry: -int(entry[0]["version"]),
    )
    return tuple(_booted(sysroot, fields) for fields, _ in entries)


def faults(sysroot: Path) -> Iterator[str]:
    """What is broken: damaged objects, boot entries that lead nowhere, deployments in part."""
    done = subprocess.run(
        ["ostree", "fsck", f"--repo={sysroot}/ostree/repo", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        yield f"fsck: {done.stderr.strip()}"
    try:
        found = boot_set(sysroot)
    except AssertionError as error:
        yield f"boot: {error}"
        return
    if not found:
        yield "boot: there is no entry"
    for checksum in sorted({booted.checksum for booted in found}):
        yield from _unkept(sysroot, checksum)
    for path in sysroot.glob("ostree/deploy/*/deploy/*.origin"):
        yield from _differences(sysroot, path.with_suffix(""))


def leftovers(sysroot: Path) -> frozenset[str]:
    """All paths but those of objects, in checkouts, and libostree's own refs of deployments.

    A checkout that no boot entry names stays by design: the next deployment is made of it.
    """
    found = set()
    for top, folders, files in os.walk(sysroot):
        where = os.path.relpath(top, sysroot)
        if where in ("ostree/repo/objects", "ostree/repo/refs/heads/ostree") or re.fullmatch(
            r"ostree/deploy/\w+/deploy/.*", where
        ):
            folders.clear()
            continue
        for name in (*files, *folders):
            # libostree leaves the empty directory of a transaction to the next one.
            is_empty = name.startswith("staging-") and not any(Path(top, name).iterdir())
            is_checkout = where.endswith("/deploy") and _DIGEST.match(name)
            if not (is_empty or is_checkout) and (name != "ostree" or not where.endswith("heads")):
                found.add(_plain(os.path.normpath(f"{where}/{name}")))
    return frozenset(found)


def _plain(path: str) -> str:
    """Without the numbers that say how often something was written."""
    path = re.sub(r"(#|[0-9a-f]{64})([.-])\d+", r"\1\2N", path)
    path = re.sub(r"boot\.\d(\.\d)?", "boot.N", path)
    path = re.sub(r"boot\.N(/\w+/[0-9a-f]+)/\d+", r"boot.N\1/N", path)
    return re.sub(r"loader\.\d", "loader.N", path)


def _fields(path: Path) -> dict[str, str]:
    return dict(_ENTRY.findall(path.read_text()))


def _booted(sysroot: Path, fields: dict[str, str]) -> Booted:
    for name in ("linux", "initrd"):
        file = sysroot / "boot" / fields[name].lstrip("/")
        assert file.is_file() and file.stat().st_size, f"{name} {fields[name]} is not there"
    words = fields["options"].split()
    link = next(word for word in words if word.startswith("ostree="))
    deployment = (sysroot / link.removeprefix("ostree=/")).resolve()
    assert deployment.is_dir(), f"{link} leads nowhere"
    origin = deployment.with_name(f"{deployment.name}.origin")
    assert origin.is_file(), f"{deployment.name} has no origin"
    arguments = " ".join(word for word in words if word != link)
    return Booted(deployment.name.partition(".")[0], origin.read_text(), arguments)


def _unkept(sysroot: Path, checksum: str) -> Iterator[str]:
    """A deployed commit, and the base that it is made of, must have refs of layer's."""
    refs = sysroot / "ostree/repo/refs/heads/layer"
    if (refs / "base" / checksum).exists():
        return
    if not (refs / "derived" / checksum).exists():
        yield f"refs: none of layer's keeps {checksum}"
        return
    show = ["ostree", "show", f"--repo={sysroot}/ostree/repo", "--print-metadata-key=layer.base"]
    done = subprocess.run([*show, checksum], capture_output=True, text=True, check=False)
    base = done.stdout.strip().strip("'")
    if not (refs / "base" / base).exists():
        yield f"refs: none of layer's keeps {base}, the base of {checksum}"


def _differences(sysroot: Path, deployment: Path) -> Iterator[str]:
    """Paths of /usr that are not what the commit says; each file is a link to its object."""
    checksum = deployment.name.partition(".")[0]
    command = ["ostree", "ls", f"--repo={sysroot}/ostree/repo", "-R", "-C", checksum, "/usr"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"deployment {deployment.name}: {done.stderr.strip()}"
        return
    for line in done.stdout.splitlines():
        path = deployment / line[line.index(" /") + 2 :].partition(" -> ")[0]
        if line.startswith("d"):
            if not path.is_dir():
                yield f"deployment {deployment.name}: no directory {path}"
            continue
        digest = _DIGEST.findall(line[: line.index(" /")])[0]
        found = sysroot / f"ostree/repo/objects/{digest[:2]}/{digest[2:]}.file"
        try:
            if not _is_same(path, found):
                yield f"deployment {deployment.name}: {path} is not its object"
        except FileNotFoundError as error:
            yield f"deployment {deployment.name}: {error}"


def _is_same(path: Path, stored: Path) -> bool:
    mine, other = path.lstat(), stored.lstat()
    if mine.st_size == 0 and other.st_size == 0 and stat.S_ISREG(mine.st_mode):
        return True  # libostree links no empty files
    return (mine.st_dev, mine.st_ino) == (other.st_dev, other.st_ino)
