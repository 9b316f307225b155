"""What may differ between a root that triggers made and one that scriptlets made: the rows."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from layer import alternatives
from layer.ids import parse_sysusers
from layer.rpmfile.database import read_database
from testdata.distro.configuration import read_demo_set
from tests.scriptlet_sides import POLICY, Sides

OURS, THEIRS = "only here", "only there"
CONTENT, TARGET = "content", "target"


def _is_plain(sides: Sides, path: str) -> bool:
    """Whether what is here, if anything is, is root's and nobody else's to write."""
    where = sides.triggers / path[1:]
    if not os.path.lexists(where):
        return True
    status = where.lstat()
    modes = {stat.S_IFREG: 0o644, stat.S_IFDIR: 0o755, stat.S_IFLNK: 0o777}
    is_roots = (status.st_uid, status.st_gid) == (0, 0)
    return is_roots and stat.S_IMODE(status.st_mode) == modes.get(stat.S_IFMT(status.st_mode))


@dataclass(frozen=True)
class Allowed:
    """Paths that may differ, in which kinds of difference, and why.

    A kind is the side that alone has the path, or an attribute of `Entry` that is another one;
    `holds` looks whether the reason is true of the path; where nothing else is said,
    that what is here is root's, with the permissions that files of packages have.
    """

    pattern: str
    reason: str
    kinds: frozenset[str] | str
    holds: Callable[[Sides, str], bool] = _is_plain

    def fits(self, path: str, kinds: frozenset[str], sides: Sides) -> bool:
        """Whether it speaks of all of this difference, and its reason holds for the path."""
        known = frozenset([self.kinds]) if isinstance(self.kinds, str) else self.kinds
        fits = kinds <= known and re.fullmatch(self.pattern, path) is not None
        return fits and self.holds(sides, path)


def _has_unit(sides: Sides, path: str) -> bool:
    """Whether the service that /etc/rc?.d starts has a unit, or is masked, under its own name."""
    name = f"{path.rpartition('/')[2][3:]}.service"
    return any((sides.triggers / folder / name).exists() for folder in _UNITS)


def _is_ghost(sides: Sides, path: str) -> bool:
    """Whether it is one, with the owner and permissions that its package names."""
    status = (sides.triggers / path[1:]).lstat()
    numbers = [
        by_name(sides.triggers / "etc" / name).get(number)
        for name, number in (("passwd", str(status.st_uid)), ("group", str(status.st_gid)))
    ]
    return any(
        f.path == path and f.is_ghost and (f.mode, [f.user, f.group]) == (status.st_mode, numbers)
        for one in sides.chosen
        for f in one.header.files
    )


def _is_release_link(sides: Sides, path: str) -> bool:
    """Whether layer has left a link alone as demo-release has it."""
    link = next(link for link in _LINKS if path in (link, f"/etc/alternatives/{Path(link).name}"))
    return str((sides.triggers / link[1:]).readlink()) == _LINKS[link]


def _has_copy(sides: Sides, path: str) -> bool:
    """Whether a file of the factory is what /var has, or a link or a directory to it."""
    source, copy = sides.triggers / path[1:], sides.triggers / path.removeprefix(FACTORY)[1:]
    if source.is_symlink() or source.is_dir():
        return os.path.lexists(copy) or source.is_dir()
    return not copy.exists() or copy.read_bytes() == source.read_bytes()


def _says(pattern: str) -> Callable[[Sides, str], bool]:
    """Whether each line of our file that is no comment is of this form."""

    def holds(sides: Sides, path: str) -> bool:
        lines = (sides.triggers / path[1:]).read_text().splitlines()
        fits = all(re.fullmatch(pattern, line) for line in lines if line and line[0] != "#")
        return fits and _is_plain(sides, path)

    return holds


def _tells_numbers(sides: Sides, path: str) -> bool:
    """Whether each line that is new here has the number of an account that both roots have."""
    here, there = (
        parse_sysusers((root / path[1:]).read_text(), path)
        for root in (sides.triggers, sides.scriptlets)
    )
    files = {"u": "etc/passwd", "g": "etc/group"}
    return set(there) <= set(here) and all(
        by_name(sides.triggers / files[line.kind]).get(line.own_number) == line.name
        and line.name in by_name(sides.scriptlets / files[line.kind]).values()
        for line in set(here) - set(there)
    )


def _lists_chosen(sides: Sides, path: str) -> bool:
    """Whether rpm's database differs in the chosen packages, and in nothing else."""
    here, there = (
        set(read_database((root / path[1:]).parent)) for root in (sides.triggers, sides.scriptlets)
    )
    return here == there | {one.header.nevra for one in sides.chosen} and _is_plain(sides, path)


def _is_of_chosen(sides: Sides, path: str) -> bool:
    """Whether the file is the header of one of the chosen packages, byte for byte."""
    blobs = {f"{one.header.nevra}.rpm": one.header.blob for one in sides.chosen}
    content = (sides.triggers / path[1:]).read_bytes()
    return content == blobs.get(Path(path).name) and _is_plain(sides, path)


def _offers_of_chosen(sides: Sides, path: str) -> bool:
    """Whether what is offered here and not there is what the chosen packages' scriptlets offer."""
    here, there = (
        set(alternatives.parse_record((root / path[1:]).read_text(), path))
        if (root / path[1:]).exists()
        else set()
        for root in (sides.triggers, sides.scriptlets)
    )
    offered = {offer for one in sides.chosen for offer in one.audit.rewrites.alternatives}
    return here == there | offered and _is_plain(sides, path)


def unkept(sides: Sides) -> tuple[str, ...]:
    """What only layer has and lacks here: both sides without it would be alike."""
    kept = [f"/usr/lib/sysimage/packages/{one.header.nevra}.rpm" for one in sides.chosen]
    lines = [path for path in kept if not (sides.triggers / path[1:]).exists()]
    offers = any(one.audit.rewrites.alternatives for one in sides.chosen)
    if offers and not _offers_of_chosen(sides, f"/{alternatives.RECORD}"):
        lines.append(f"/{alternatives.RECORD}")
    lines += [DATABASE] if not _lists_chosen(sides, DATABASE) else []
    return tuple(f"{path}: the chosen packages are not told in it" for path in lines)


def _has_source(sides: Sides, path: str) -> bool:
    """Whether byte-code is of a module that is there on both sides; the folder itself may be."""
    if not path.endswith(".pyc"):
        return True
    module = Path(path[1:]).parent.parent / f"{Path(path).name.partition('.')[0]}.py"
    return (sides.triggers / module).exists()


def by_name(file: Path) -> Mapping[str, str]:
    """The names in passwd or group by their numbers."""
    fields = (line.split(":") for line in file.read_text().splitlines())
    return {words[2]: words[0] for words in fields if len(words) > 2}


DATABASE = "/usr/share/rpm/rpmdb.sqlite"
FACTORY = "/usr/share/factory"
_UNITS = ("usr/lib/systemd/system", "etc/systemd/system")
_LINKS = read_demo_set().alternatives
_LINK_PATHS = "|".join((*_LINKS, *(f"/etc/alternatives/{Path(link).name}" for link in _LINKS)))


# The first row that fits says why.
ALLOWED = (
    Allowed(f"/{POLICY}", "this test's own: no service starts in a chroot", THEIRS),
    Allowed(r"/\.rpmdb(/.*)?", "this test's own: rpm unpacked with it", THEIRS),
    Allowed(
        r"/var/lib/dpkg(/(alternatives|info|parts|triggers|updates)(/.*)?"
        r"|/(available|diversions|status|statoverride|lock)(-old)?)?",
        "dpkg's database; a tree has rpm's",
        THEIRS,
    ),
    Allowed(
        r"/var/lib/systemd/deb-systemd-(user-)?helper-(enabled|masked)(/.*)?",
        "what deb-systemd-helper remembers for its own purge; a tree made anew purges nothing",
        THEIRS,
    ),
    Allowed(
        r"/var/log/alternatives\.log", "the log of update-alternatives, which has not run", THEIRS
    ),
    Allowed(
        r"/var/cache/debconf(/[a-z]+\.dat(-old)?)?",
        "debconf's database: layer asks no questions",
        THEIRS,
    ),
    Allowed(r"/var/cache/ldconfig(/aux-cache)?", "ldconfig's scratch: -X leaves it out", THEIRS),
    Allowed(
        r"/etc/(passwd-|group-|shadow-|gshadow-|subuid-|subgid-|\.pwd\.lock)",
        "backups and the lock of the account tools; no part of a tree",
        frozenset({OURS, THEIRS, CONTENT}),
        lambda _sides, _path: True,
    ),
    Allowed(
        r"/etc/rc[0-6S]\.d/[SK]\d\d[^/]+",
        "a unit of the same name exists, so systemd ignores the init script and its links",
        THEIRS,
        _has_unit,
    ),
    Allowed(
        _LINK_PATHS,
        "demo-release ships the link itself; layer leaves a package's own file alone",
        frozenset({THEIRS, OURS, TARGET}),
        _is_release_link,
    ),
    Allowed(r"/var/.*", "a %ghost: tmpfiles.d makes it at boot, rpm nothing", OURS, _is_ghost),
    Allowed(
        r"/usr/share/rpm/rpmdb\.sqlite",
        "rpm's database lists the packages",
        CONTENT,
        _lists_chosen,
    ),
    Allowed(
        r"/usr/lib/sysimage/packages/[^/]+\.rpm",
        "the headers of packages, which layer keeps",
        OURS,
        _is_of_chosen,
    ),
    Allowed(
        r"/usr/share/layer/alternatives\.json",
        "layer's record of what packages offer",
        frozenset({OURS, CONTENT}),
        _offers_of_chosen,
    ),
    Allowed(
        r"/usr/lib/(sysusers|tmpfiles)\.d/zz-layer-[^/]+\.conf",
        "the declarations that stand in for the scriptlets; what they make is compared",
        OURS,
        _says(r"[A-Za-z][!+=~^-]*\s+\S+.*"),
    ),
    Allowed(
        r"/usr/lib/systemd/(system|user)-preset/89-layer-[^/]+\.preset",
        "the units that scripts leave disabled; which are enabled is compared",
        OURS,
        _says(r"disable \S+"),
    ),
    Allowed(
        r"/usr/lib/sysusers\.d/00-layer-ids\.conf",
        "the numbers of accounts, as layer rules",
        CONTENT,
        _tells_numbers,
    ),
    Allowed(
        r"/usr/lib/systemd/system/(sysinit\.target\.wants/)?layer-[a-z]+\.service",
        "layer's units for a machine whose /etc is older than the tree",
        OURS,
    ),
    Allowed(
        r"/usr/share/factory(/.*)?",
        "content for /var, from where tmpfiles.d copies it; the copies are compared",
        OURS,
        _has_copy,
    ),
    Allowed(
        r"/usr/lib/libreoffice/program/__pycache__(/[^/]+\.pyc)?",
        "py3compile of a folder outside Python's own; Python works without byte-code",
        THEIRS,
        _has_source,
    ),
    Allowed(
        r"/var/lib/ucf(/.*)?",
        "what ucf remembers of the files that it copied; the copies are compared",
        THEIRS,
    ),
    Allowed(
        r"/var/lib/shells\.state",
        "what update-shells remembers of its own lines, to take them out; a tree is made anew",
        THEIRS,
    ),
    Allowed(
        r"/usr/lib/tmpfiles\.d/00-layer-owners\.conf",
        "who owns directories while systemd-tmpfiles makes things in them; what comes is compared",
        frozenset({OURS, CONTENT}),
        _says(r"[dDvqQ]\S*\s+\S+\s+\S+\s+root(\s.*)?|z \S+ - \S+ -"),
    ),
)
