"""What differs between a root that triggers made and one that scriptlets made, and why it may."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.scriptlet_reasons import ALLOWED, CONTENT, OURS, THEIRS, by_name, unkept
from tests.scriptlet_sides import BASE, Ran, Sides

CAPABILITY = "security.capability"
_TRIGGERED = "postinst triggered "
_SHOWN = 6  # paths of each kind of difference


@dataclass(frozen=True)
class Entry:
    """What is at a path, its owners by name: numbers follow another rule here and there."""

    kind: str
    mode: int
    user: str
    group: str
    capabilities: str = ""
    target: str = ""
    content: str = ""  # digest


@dataclass
class Found:
    """What differs, and which row of the table says why."""

    paths: int = 0
    allowed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    differences: list[str] = field(default_factory=list)


def compare(sides: Sides) -> Found:
    """All paths of both roots."""
    ours, theirs = _Root(sides.triggers), _Root(sides.scriptlets)
    found = Found(differences=list(unkept(sides)))
    for path in sorted(ours.paths | theirs.paths):
        found.paths += 1
        what = _difference(path, ours, theirs)
        if what is None:
            normal = _normal(path)
            if normal and (ours.bytes(path) != theirs.bytes(path)):
                found.allowed[normal.reason].append(path)
            continue
        kinds, text = what
        row = next((row for row in ALLOWED if row.fits(path, kinds, sides)), None)
        if row is None:
            found.differences.append(f"{path}: {text}{_lines_apart(path, ours, theirs, kinds)}")
        else:
            found.allowed[row.reason].append(path)
    return found


def report(sides: Sides, seed: int, among: int, found: Found) -> str:
    """The figures, the scripts that ran, and the differences with their reasons."""
    chosen, ran = sides.chosen, sides.ran
    triggered = [one for one in ran if one.script.startswith(_TRIGGERED)]
    own = [one for one in ran if one not in triggered and one.name != BASE]
    verdicts = Counter(item.verdict.value for one in chosen for item in one.audit.judged)
    lines = [
        f"{len(chosen)} packages of {among}, seed {seed}; their lines: "
        + ", ".join(f"{number} {name}" for name, number in sorted(verdicts.items())),
        "  " + ", ".join(one.header.nevra.name for one in chosen),
        f"{len(own)} scriptlets ran, {_commands(own)} programs executed in them; with what dpkg's "
        f"triggers and the base's alternatives ran, {_commands(ran)} programs; "
        f"{sum(one.status != 0 for one in ran)} scripts failed",
        *(f"  {one.name} {one.script}: {one.status}" for one in ran if one.status),
        "dpkg's triggers, each its package's postinst:",
        *(f"  {one.name} {one.script.removeprefix(_TRIGGERED)}" for one in triggered),
        f"{found.paths} paths: {len(found.differences)} differences without a reason, "
        f"{sum(map(len, found.allowed.values()))} with one",
    ]
    for reason, paths in found.allowed.items():
        lines.append(f"  {len(paths)}: {reason}")
        lines += [f"    {path}" for path in paths[:_SHOWN]]
        lines += ["    ..."] if len(paths) > _SHOWN else []
    return "\n".join([*lines, *(f"DIFFERS {line}" for line in found.differences)])


def _commands(ran: Sequence[Ran]) -> int:
    return sum(one.commands for one in ran)


def _difference(path: str, ours: _Root, theirs: _Root) -> tuple[frozenset[str], str] | None:
    here, there = ours.paths.get(path), theirs.paths.get(path)
    if there is None:
        return frozenset([OURS]), "the scriptlets do not make it"
    if here is None:
        return frozenset([THEIRS]), "the triggers do not make it"
    if (
        here.st_ino == there.st_ino
        and here.st_mtime == there.st_mtime
        and stat.S_ISREG(here.st_mode)
    ):
        # The very file of the base, unless its owner is somebody else by now.
        first, second = ours.owners(here), theirs.owners(there)
        kinds = frozenset(n for n, a, b in zip(_OWNERS, first, second, strict=True) if a != b)
        return (kinds, f"{first} here, {second} there") if kinds else None
    first_entry, second_entry = ours.entry(path), theirs.entry(path)
    if first_entry == second_entry:
        return None
    names = Entry.__dataclass_fields__
    kinds = [name for name in names if getattr(first_entry, name) != getattr(second_entry, name)]
    parts = [_told(k, getattr(first_entry, k), getattr(second_entry, k)) for k in kinds]
    return frozenset(kinds), "; ".join(parts)


def _lines_apart(path: str, ours: _Root, theirs: _Root, kinds: frozenset[str]) -> str:
    """The lines that only one side has, of contents that are text and told by their digests."""
    if CONTENT not in kinds or _normal(path):
        return ""
    with suppress(UnicodeDecodeError):
        here, there = (side.bytes(path).decode().splitlines() for side in (ours, theirs))
        lines = [f"< {line}" for line in here if line not in there]
        lines += [f"> {line}" for line in there if line not in here]
        return "".join(f"\n    {line}" for line in lines[:_SHOWN])
    return ""


def _told(name: str, here: object, there: object) -> str:
    """One attribute of both; of contents the lines that only one has."""
    if name == "mode":
        return f"mode {int(str(here)):04o} here, {int(str(there)):04o} there"
    if name == "content":
        ours, theirs = str(here).splitlines(), str(there).splitlines()
        here = [line for line in ours if line not in theirs]
        there = [line for line in theirs if line not in ours]
    return f"{name} {here} here, {there} there"


_OWNERS = ("user", "group")
# The machine's /etc stands for the tree's, and what a kernel makes is no part of it.
_LEFT_OUT = ("/usr/etc", "/dev", "/proc", "/sys", "/run", "/tmp")


class _Root:
    """A root with its accounts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._users = by_name(root / "etc/passwd")
        self._groups = by_name(root / "etc/group")
        self.paths = dict(self._walk())

    def entry(self, path: str) -> Entry:
        """What is there."""
        status = self.paths[path]
        kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        user, group = self.owners(status)
        where = f"{self.root}{path}"
        entry = (kind.get(stat.S_IFMT(status.st_mode), "?"), stat.S_IMODE(status.st_mode))
        if stat.S_ISLNK(status.st_mode):
            return Entry(*entry, user, group, target=str(Path(where).readlink()))
        if stat.S_ISREG(status.st_mode):
            names = os.listxattr(where)
            value = os.getxattr(where, CAPABILITY).hex() if CAPABILITY in names else ""
            content = _content(path, self.bytes(path), self)
            return Entry(*entry, user, group, capabilities=value, content=content)
        return Entry(*entry, user, group)

    def bytes(self, path: str) -> bytes:
        """The content of a file."""
        return Path(f"{self.root}{path}").read_bytes()

    def owners(self, status: os.stat_result) -> tuple[str, str]:
        """User and group by name."""
        users, groups = self._users, self._groups
        uid, gid = str(status.st_uid), str(status.st_gid)
        return users.get(uid, uid), groups.get(gid, gid)

    def group(self, number: str) -> str:
        """A group's name."""
        return self._groups.get(number, number)

    @property
    def declared_accounts(self) -> frozenset[str]:
        """Users that packages declare in sysusers.d themselves."""
        files = self.root.glob("usr/lib/sysusers.d/*.conf")
        texts = [file.read_text() for file in files if "layer-" not in file.name]
        lines = [line.split() for text in texts for line in text.splitlines()]
        return frozenset(words[1] for words in lines if words[:1] == ["u"])

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        start = len(str(self.root))
        for folder, names, others in os.walk(self.root):
            at = folder[start:]
            names[:] = [n for n in names if f"{at}/{n}" not in _LEFT_OUT]
            for name in (*names, *others):
                if f"{at}/{name}" not in _LEFT_OUT:
                    yield f"{at}/{name}", os.lstat(f"{folder}/{name}")


# --- contents that say the same in other words --------------------------------------------------


def _content(path: str, content: bytes, root: _Root) -> str:
    normal = _normal(path)
    return normal.normal(content, root) if normal else hashlib.sha256(content).hexdigest()


def _normal(path: str) -> Normal | None:
    return next((row for row in NORMAL if re.fullmatch(row.pattern, path)), None)


def _passwd(content: bytes, root: _Root) -> str:
    declared = root.declared_accounts
    return _table(
        content,
        lambda f: [
            *(f[0], f[1], root.group(f[3])),
            *([] if f[0] in declared else [f[4].rstrip(","), *f[5:]]),
        ],
    )


def _group(content: bytes, _root: _Root) -> str:
    return _table(content, lambda f: [f[0], f[1], ",".join(sorted(f[3].split(",")))])


def _shadow(content: bytes, _root: _Root) -> str:
    return _table(
        content, lambda f: [f[0], _LOCKED if set(f[1]) <= {"!", "*"} and f[1] else f[1], *f[3:]]
    )


def _gshadow(content: bytes, _root: _Root) -> str:
    return _table(content, lambda f: [f[0], _LOCKED if set(f[1]) <= {"!", "*"} else f[1], *f[2:]])


def _table(content: bytes, row: Callable[[list[str]], list[str]]) -> str:
    """The lines, sorted, with what counts of each."""
    return "\n".join(sorted(":".join(row(r.split(":"))) for r in content.decode().splitlines()))


def _modules(content: bytes, _root: _Root) -> str:
    lines = content.decode().splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def _code(content: bytes, _root: _Root) -> str:
    # 16 bytes: magic, flags, and time and size or a hash of the source (PEP 552).
    return hashlib.sha256(content[:4] + content[16:]).hexdigest()


_LOCKED = "(locked)"


@dataclass(frozen=True)
class Normal:
    """How a content is told, where its bytes say more than what it means."""

    pattern: str
    normal: Callable[[bytes, _Root], str]
    reason: str


NORMAL = (
    Normal(
        "/etc/passwd",
        _passwd,
        "numbers follow from the name here, from the order there; of an account that a package "
        "declares in sysusers.d itself, comment and home are as there, and not as in its script; "
        "adduser ends a comment with commas for a room and telephones that nobody has",
    ),
    Normal("/etc/group", _group, "as passwd"),
    Normal("/etc/shadow", _shadow, "a locked password is ! there and !* here, its day is no part"),
    Normal("/etc/gshadow", _gshadow, "as shadow"),
    Normal(
        r".*/immodules\.cache",
        _modules,
        "the comment tells the path of modules there; here they are named one by one",
    ),
    Normal(
        r".*/__pycache__/[^/]+\.pyc",
        _code,
        "told valid by the source's hash here (a tree's times are all 0), by its time there",
    ),
)
