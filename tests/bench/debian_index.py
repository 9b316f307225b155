"""A repository as large as a distribution's: all packages of Debian's index, as rpm-md metadata.

python -m tests.bench.debian_index [--cache DIR]

The demonstration's packages are real and can be installed (or those of another set); all others are
their entries alone.
Made once and kept; removing its directory lets it be made anew.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from testdata.distro.build import ensure_demo
from testdata.distro.cache import default_cache, locked
from testdata.distro.debversion import parse_debian_version, translate_relations
from testdata.distro.rpmspec import BUILD_TIME

_ARCHES = {"amd64": "x86_64", "all": "noarch"}
_FIELDS = {
    "requires": ("Depends", "Pre-Depends"),
    "conflicts": ("Conflicts", "Breaks"),
    "recommends": ("Recommends",),
    "suggests": ("Suggests",),
    "enhances": ("Enhances",),
}
_FLAGS = {"<": "LT", ">": "GT", "=": "EQ", "<=": "LE", ">=": "GE"}
_RPM = "http://linux.duke.edu/metadata/rpm"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<metadata xmlns="http://linux.duke.edu/metadata/common"'
    f' xmlns:rpm="{_RPM}" packages="{{count}}">\n'
)


@dataclass(frozen=True, slots=True)
class LargeRepository:
    """The directory of the repository, and how many packages it has."""

    path: Path
    count: int


def ensure_index(cache: Path | None = None, real: Path | None = None) -> LargeRepository:
    """Return the repository, made first where `cache` has none.

    `real` is the repository of those packages that can be installed, of the demonstration if not
    said.
    """
    cache = cache or default_cache()
    real = real or ensure_demo(cache).path
    kind, _, key = real.parent.name.rpartition("-")
    target = cache / (f"index-{key}" if kind == "demo" else f"index-{kind}-{key}")
    with locked(cache, "index-lock"):
        if not (target / "count").exists():
            _make(cache, real, target)
    return LargeRepository(target, int((target / "count").read_text()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Make it and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=default_cache())
    made = ensure_index(parser.parse_args(arguments).cache)
    print(f"{made.path}: {made.count} packages")


def _make(cache: Path, packages: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        finished = Path(scratch, "index")
        (finished / "repodata").mkdir(parents=True)
        for rpm in sorted(packages.glob("*.rpm")):
            os.link(rpm, finished / rpm.name)
        real = _primary_entries(packages)
        names = {name for name, _ in real}
        texts = [text for _, text in real]
        texts += (_entry(stanza) for stanza in _stanzas(cache) if stanza["Package"] not in names)
        whole = _HEAD.format(count=len(texts)) + "".join(texts) + "</metadata>\n"
        (filelists,) = (packages / "repodata").glob("*-filelists.xml.gz")
        _write_repodata(
            finished / "repodata",
            {"primary": whole.encode(), "filelists": gzip.decompress(filelists.read_bytes())},
        )
        (finished / "count").write_text(str(len(texts)))
        shutil.rmtree(target, ignore_errors=True)
        finished.rename(target)


def _primary_entries(repository: Path) -> list[tuple[str, str]]:
    """The entries of a repository that createrepo made, by name."""
    (primary,) = (repository / "repodata").glob("*-primary.xml.gz")
    text = gzip.decompress(primary.read_bytes()).decode()
    entries = re.findall(r"<package .*?</package>\n", text, re.DOTALL)
    return [(re.search("<name>(.*?)</name>", entry)[1], entry) for entry in entries]


def _stanzas(cache: Path) -> Iterator[dict[str, str]]:
    """What Debian says of each of its packages, one version of each."""
    environment = os.environ | {"APT_CONFIG": str(cache / "apt/apt.conf"), "LC_ALL": "C"}
    dump = subprocess.run(
        ["apt-cache", "dumpavail"], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    seen = set()
    parser = HeaderParser()
    for text in dump.stdout.split("\n\n"):
        if text.strip():
            fields = dict(parser.parsestr(text))
            if fields["Package"] not in seen:
                seen.add(fields["Package"])
                yield fields


def _entry(fields: dict[str, str]) -> str:
    version = parse_debian_version(fields["Version"])
    epoch, release = version.epoch or 0, version.release or "0"
    arch = _ARCHES[fields["Architecture"]]
    name = fields["Package"]
    evr = f"{epoch}:{version.version}-{release}"
    provided = [f"{name} = {evr}", *translate_relations(fields.get("Provides", ""))]
    lists = {"provides": [p if " " in p else f"{p} = {evr}" for p in provided]}
    for kind, keys in _FIELDS.items():
        lists[kind] = [r for key in keys for r in translate_relations(fields.get(key, ""))]
    relations = "".join(_relations(kind, items) for kind, items in lists.items())
    href = f"pool/{name}-{version.version}-{release}.{arch}.rpm"
    installed = int(fields.get("Installed-Size", 0)) << 10
    size = fields["Size"]
    return (
        f'<package type="rpm"><name>{escape(name)}</name><arch>{arch}</arch>'
        f'<version epoch="{epoch}" ver={quoteattr(version.version)} rel={quoteattr(release)}/>'
        f'<checksum type="sha256" pkgid="YES">{fields["SHA256"]}</checksum>'
        f"<summary>{escape(fields.get('Description', ''))}</summary>"
        f"<description>{escape(fields.get('Description', ''))}</description>"
        f"<packager>{escape(fields['Maintainer'])}</packager>"
        f"<url>{escape(fields.get('Homepage', ''))}</url>"
        f'<time file="{BUILD_TIME}" build="{BUILD_TIME}"/>'
        f'<size package="{size}" installed="{installed}" archive="{installed}"/>'
        f"<location href={quoteattr(href)}/><format><rpm:license>Debian</rpm:license>"
        f"<rpm:group>{escape(fields.get('Section', 'misc'))}</rpm:group>"
        f"<rpm:sourcerpm>{escape(fields.get('Source', name).split()[0])}.src.rpm</rpm:sourcerpm>"
        f'<rpm:header-range start="4504" end="9000"/>{relations}</format></package>\n'
    )


def _relations(kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    entries = "".join(map(_relation, dict.fromkeys(items)))
    return f"<rpm:{kind}>{entries}</rpm:{kind}>"


def _relation(text: str) -> str:
    words = text.split()
    if text.startswith("(") or len(words) == 1:
        return f"<rpm:entry name={quoteattr(text)}/>"
    name, operator, evr = words
    epoch, _, rest = evr.rpartition(":")
    version, _, release = rest.partition("-")
    rel = f" rel={quoteattr(release)}" if release else ""
    return (
        f'<rpm:entry name={quoteattr(name)} flags="{_FLAGS[operator]}"'
        f' epoch="{epoch or 0}" ver={quoteattr(version)}{rel}/>'
    )


def _write_repodata(folder: Path, contents: dict[str, bytes]) -> None:
    records = []
    for kind, content in contents.items():
        packed = gzip.compress(content, 6, mtime=0)
        checksum, opened = (hashlib.sha256(data).hexdigest() for data in (packed, content))
        href = f"repodata/{checksum}-{kind}.xml.gz"
        (folder.parent / href).write_bytes(packed)
        records.append(
            f'<data type="{kind}"><checksum type="sha256">{checksum}</checksum>'
            f'<open-checksum type="sha256">{opened}</open-checksum><location href="{href}"/>'
            f"<timestamp>{BUILD_TIME}</timestamp><size>{len(packed)}</size>"
            f"<open-size>{len(content)}</open-size></data>\n"
        )
    (folder / "repomd.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<repomd'
        f' xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="{_RPM}">\n'
        f"<revision>{BUILD_TIME}</revision>\n{''.join(records)}</repomd>\n"
    )


if __name__ == "__main__":
    main()
