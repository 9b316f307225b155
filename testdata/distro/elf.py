"""What ELF files need and provide, as rpm's elfdeps says it."""

from __future__ import annotations

import posixpath
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from testdata.distro.rpmspec import FileSpec, Relation, RpmSpec

_ELFDEPS = "/usr/lib/rpm/elfdeps"
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu")
_SONAME_LINK = re.compile(r"/usr/lib/(x86_64-linux-gnu/)?lib[^/]+\.so\.[^/]+")


def with_elf_relations(spec: RpmSpec) -> RpmSpec:
    """Return the package with the sonames its ELF files provide, require and recommend.

    Plugins in subdirectories only recommend: Debian's packages do not depend on what
    each of their plugins needs.
    """
    # ELF below /usr/share is firmware, or a program for another machine.
    elf = [
        file
        for file in spec.files
        if file.is_elf and not file.path.startswith("/usr/share/") and not _is_debug(file)
    ]
    plugins = [file for file in elf if _is_plugin(file)]
    others = [file for file in elf if not _is_plugin(file)]
    provided = {*elf_relations(others, "--provides"), *elf_relations(plugins, "--provides")}
    required = {*elf_relations(others, "--requires")}
    recommended = {*elf_relations(plugins, "--requires")} - required - provided
    return replace(
        spec,
        provides=(*spec.provides, *sorted(provided | _linked_sonames(spec))),
        requires=(*spec.requires, *sorted(required)),
        recommends=(*spec.recommends, *sorted(recommended)),
    )


def elf_relations(files: Sequence[FileSpec], option: str) -> list[Relation]:
    """Return what elfdeps prints for these files with --provides or --requires, sorted."""
    if not files:
        return []
    with tempfile.TemporaryDirectory() as scratch:
        paths = [_unpack(file, Path(scratch, str(number))) for number, file in enumerate(files)]
        printed = subprocess.run(
            [_ELFDEPS, option],
            input="".join(f"{path}\n" for path in paths),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return sorted(set(printed.stdout.splitlines()))


def needed_sonames(file: FileSpec) -> list[str]:
    """Return the names of the libraries that an ELF file is linked with, sorted."""
    relations = elf_relations([file], "--requires")
    return sorted({relation.partition("(")[0] for relation in relations} - {"rtld"})


def _unpack(file: FileSpec, directory: Path) -> Path:
    """Write the file under its own name: elfdeps falls back on it where a soname is missing."""
    directory.mkdir()
    path = directory / posixpath.basename(file.path)
    path.write_bytes(file.content)
    path.chmod(0o755)  # elfdeps passes over what is not executable
    return path


def _is_plugin(file: FileSpec) -> bool:
    directory = posixpath.dirname(file.path)
    return file.path.startswith("/usr/lib/") and ".so" in file.path and directory not in _LIBRARIES


def _is_debug(file: FileSpec) -> bool:
    return file.path.endswith(".debug")


def _linked_sonames(spec: RpmSpec) -> set[Relation]:
    """Return the sonames that only links beside a library provide, kept for old programs."""
    if spec.arch == "noarch":
        return set()
    return {
        f"{posixpath.basename(file.path)}()(64bit)"
        for file in spec.files
        if _SONAME_LINK.fullmatch(file.path) and "/" not in file.target and ".so." in file.target
    }
