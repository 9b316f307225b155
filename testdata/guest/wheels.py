"""Wheels as RPMs: those that PyPI has, and layer's own, built from the checkout."""

from __future__ import annotations

import configparser
import json
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from hashlib import sha256
from pathlib import Path, PurePosixPath

from testdata.distro.elf import with_elf_relations
from testdata.distro.rpmspec import FileSpec, Relation, RpmSpec

CHECKOUT = Path(__file__).parent.parent.parent
# What a wheel of layer is made of; of docs/ that without which there is none.
_SOURCES = (
    "LICENSE",
    "docs/tutorial.transcript",
    "README.md",
    "layer",
    "man",
    "packaging/completions",
    "packaging/systemd",
    "pyproject.toml",
    "triggers",
)
_MODULES = "/usr/lib/python3/dist-packages"
_PROGRAM = """\
#!/usr/bin/python3
import sys
from {module} import {function}

sys.exit({function}())
"""


def fetch_wheels(cache: Path, requirements: Sequence[str]) -> list[Path]:
    """Return wheels for the guest's Python from PyPI, or from `cache` where it has them."""
    key = sha256(json.dumps(sorted(requirements)).encode()).hexdigest()[:16]
    target = cache / "wheels" / key
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=target.parent) as scratch:
            whole = Path(scratch, "wheels")
            _pip("download", "--no-deps", "--only-binary=:all:", "-d", str(whole), *requirements)
            whole.rename(target)
    return sorted(target.glob("*.whl"))


def layer_sources() -> str:
    """Return a digest of all that layer's wheel is made of."""
    digest = sha256()
    for path in _source_files():
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build_layer(directory: Path) -> Path:
    """Build layer's wheel into `directory`, from a copy: setuptools leaves things behind."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for path in _source_files():
            copy = Path(scratch, path.relative_to(CHECKOUT))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        # Without isolation, so that nothing is fetched: python3-wheel is the machine's own.
        _pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(directory), scratch)
    return next(directory.glob("layer-*.whl"))


def convert_wheel(wheel: Path, name: str, requires: Sequence[Relation] = ()) -> RpmSpec:
    """Return the RPM called `name` for a wheel, as pip would install it below /usr."""
    with zipfile.ZipFile(wheel) as archive:
        members = {i.filename: i for i in archive.infolist() if not i.is_dir()}
        about = next(PurePosixPath(m).parent for m in members if m.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        files = [_file(archive, member, about) for member in members.values()]
        if f"{about}/entry_points.txt" in members:
            files += _programs(archive.read(f"{about}/entry_points.txt").decode())
    is_pure = not any(file.is_elf for file in files)
    spec = RpmSpec(
        name,
        metadata["Version"],
        arch="noarch" if is_pure else "x86_64",
        summary=metadata["Summary"] or "",
        license=metadata["License"] or metadata["License-Expression"] or "unknown",
        section="python",
        requires=("python3", *requires),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )
    return with_elf_relations(spec)


def _source_files() -> Iterator[Path]:
    for name in _SOURCES:
        top = CHECKOUT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path


def _file(archive: zipfile.ZipFile, member: zipfile.ZipInfo, about: PurePosixPath) -> FileSpec:
    """Return a member where the wheel format has it go, with Debian's directory for modules."""
    data = about.with_suffix(".data")
    path = PurePosixPath(member.filename)
    place = f"{_MODULES}/{path}"
    if path.is_relative_to(data):
        scheme, *rest = path.relative_to(data).parts
        prefix = {"data": "/usr", "purelib": _MODULES, "platlib": _MODULES}[scheme]
        place = "/".join((prefix, *rest))
    is_program = (member.external_attr >> 16) & stat.S_IXUSR
    return FileSpec(place, archive.read(member), 0o755 if is_program else 0o644)


def _programs(entry_points: str) -> Iterator[FileSpec]:
    parser = configparser.ConfigParser()
    parser.read_string(entry_points)
    for name, target in parser.items("console_scripts"):
        module, _, function = target.partition(":")
        text = _PROGRAM.format(module=module, function=function)
        yield FileSpec(f"/usr/bin/{name}", text.encode(), 0o755)


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
