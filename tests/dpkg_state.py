"""The state that dpkg would have in a root, made of the Debian packages behind the RPMs."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from layer.model import PackageHeader
from testdata.distro.cache import default_cache
from testdata.distro.deb import parse_control

ADMIN = "var/lib/dpkg"


@dataclass(frozen=True)
class Dpkg:
    """The database of a root."""

    root: Path

    @property
    def info(self) -> Path:
        """Where control files of packages are."""
        return self.root / ADMIN / "info"

    def write(self, headers: Sequence[PackageHeader]) -> None:
        """Lists these packages as installed, each with its own control files."""
        for name in ("info", "triggers", "updates", "alternatives", "parts"):
            (self.root / ADMIN / name).mkdir(parents=True, exist_ok=True)
        debs = {path.name.partition("_")[0]: path for path in _archives()}
        (self.info / "format").write_text("1\n")
        with ThreadPoolExecutor(2) as workers:
            entries = workers.map(lambda h: self._add(h, debs.get(h.nevra.name)), headers)
            status = "\n".join(entries)
        for name, text in (("status", status), ("available", ""), ("diversions", "")):
            (self.root / ADMIN / name).write_text(text)
        (self.root / ADMIN / "statoverride").touch()
        self._write_interests()

    def script(self, name: str, script: str) -> Path:
        """Where a maintainer script of a package lies."""
        found = [*self.info.glob(f"{name}.list"), *self.info.glob(f"{name}:*.list")]
        return self.info / f"{found[0].name.removesuffix('.list')}.{script}"

    def triggered(
        self, names: Sequence[str], paths: Sequence[str]
    ) -> Iterator[tuple[str, str, list[str]]]:
        """Package, its script, and the triggers which the packages `names` activate in it.

        By their files, by their control files, and by what their scripts told dpkg-trigger.
        """
        activated = {*self._activated_by(names), *self._activated_by_scripts()}
        for name, interests in sorted(self._interests().items()):
            fired = [
                i
                for i in interests
                if i in activated or (i[0] == "/" and any(_is_below(p, i) for p in paths))
            ]
            script = self.script(name, "postinst")
            if fired and script.exists():
                yield name, f"/{script.relative_to(self.root)}", fired

    def _add(self, header: PackageHeader, deb: Path | None) -> str:
        """The package's entry of the status file; its control files are put in their place."""
        name = header.nevra.name
        fields = {"Package": name, "Version": header.nevra.evr, "Architecture": "all"}
        prefix = name
        if deb is not None:
            said = subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, check=True).stdout
            fields = parse_control(said.decode("utf-8", "replace"))
            if fields.get("Multi-Arch") == "same":
                prefix = f"{name}:{fields['Architecture']}"
            self._extract(deb, prefix)
        listed = ["/.", *(file.path for file in header.files)]
        (self.info / f"{prefix}.list").write_text("".join(f"{path}\n" for path in listed))
        first = {"Package": name, "Status": "install ok installed"}
        rest = {k: v.replace("\n", "\n ") for k, v in fields.items() if k not in first}
        return "".join(f"{key}: {value}\n" for key, value in {**first, **rest}.items())

    def _extract(self, deb: Path, prefix: str) -> None:
        scratch = self.root / ADMIN / "parts" / prefix
        subprocess.run(["dpkg-deb", "-e", deb, scratch], capture_output=True, check=True)
        for file in scratch.iterdir():
            if file.name != "control":
                file.rename(self.info / f"{prefix}.{file.name}")
        (scratch / "control").unlink()
        scratch.rmdir()

    def _write_interests(self) -> None:
        """So that dpkg-trigger finds somebody who wants to know."""
        triggers = self.root / ADMIN / "triggers"
        files = []
        by_name: dict[str, list[str]] = defaultdict(list)
        for name, interests in sorted(self._interests().items()):
            for interest in interests:
                if interest[0] == "/":
                    files.append(f"{interest} {name}\n")
                else:
                    by_name[interest].append(f"{name}\n")
        (triggers / "File").write_text("".join(files))
        for interest, packages in by_name.items():
            (triggers / interest).write_text("".join(packages))
        for name in ("Unincorp", "Lock"):
            (triggers / name).touch()

    def _interests(self) -> dict[str, list[str]]:
        found = {
            _package(file): [words[1] for words in _lines(file) if words[0].startswith("interest")]
            for file in self.info.glob("*.triggers")
        }
        return {name: interests for name, interests in found.items() if interests}

    def _activated_by(self, names: Sequence[str]) -> Iterator[str]:
        for file in self.info.glob("*.triggers"):
            if _package(file) in names:
                for words in _lines(file):
                    if words[0].startswith("activate"):
                        yield words[1]

    def _activated_by_scripts(self) -> set[str]:
        return {words[0] for words in _lines(self.root / ADMIN / "triggers/Unincorp")}


def _archives() -> Iterable[Path]:
    return sorted((default_cache() / "archives").glob("*.deb"))


def _package(file: Path) -> str:
    return file.name.removesuffix(".triggers").partition(":")[0]


def _lines(file: Path) -> list[list[str]]:
    lines = (line.partition("#")[0].split() for line in file.read_text().splitlines())
    return [words for words in lines if words]


def _is_below(path: str, folder: str) -> bool:
    """Whether a merged path is below a directory that may still be named as before the merger."""
    merged = f"/usr{folder}" if folder.startswith(("/lib", "/bin", "/sbin")) else folder
    return path == merged or path.startswith(f"{merged}/")
