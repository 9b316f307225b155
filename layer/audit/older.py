"""What scripts do to what an older version of their package left at the package's own paths.

A directory that has become a link, or the other way round, is moved or removed before rpm
unpacks. A new tree has no older version, and a base's own file there is a conflict that the
user is told of.
"""

from __future__ import annotations

import re
import stat

from layer.audit.ruling import Call, Gathered, Ruling, parse_options
from layer.audit.state import NUMBER
from layer.audit.verdict import Verdict

_BEFORE = frozenset(["pretrans", "pre"])
_PATH = re.compile(r"/(usr/(?!local/)|bin/|sbin/|lib(32|64|x32)?/)[A-Za-z0-9_./+@:-]+")
# Fedora's guidelines have a directory moved to this name.
_ASIDE = re.compile(rf"\.rpmmoved(\.({NUMBER}|[0-9]+))?")


def rule_older(call: Call, slot: str, gathered: Gathered) -> Ruling | None:
    """Removals and moves of own paths before the package's files are there; None for all else."""
    if slot not in _BEFORE or call.fed is not None:
        return None
    if call.name == "rm":
        is_old = _is_removal(call, gathered)
    else:
        is_old = call.name == "mv" and _is_move(call, gathered)
    if not is_old:
        return None
    reason = "it makes room for the package's own file where an older version left something"
    return Ruling(Verdict.NOT_APPLICABLE, reason)


def rule_withdrawn(call: Call, package: str, gathered: Gathered) -> Ruling | None:
    """Diversions and links of init scripts that the package takes back; None for all else."""
    if not call.is_known or call.fed is not None:
        return None
    if call.name == "dpkg-divert":
        flags = frozenset(["--remove", "--rename", "--no-rename", "--quiet"])
        options = parse_options(call.texts, flags, frozenset(["--package", "--divert"]))
        if options is None or not options.has("--remove") or len(options.words) != 1:
            return None
        # Without a name it is the package whose script runs, dpkg-divert(1).
        if options.value("--package") not in {"", package}:
            return None
        reason = "a diversion of an older version, which a new tree has never had"
        return Ruling(Verdict.HARMLESS, reason)
    if call.name == "update-rc.d" and len(call.texts) == 3:
        flag, name, verb = call.texts
        if (flag, verb) == ("-f", "remove") and not gathered.file(f"/etc/init.d/{name}"):
            reason = "links to an init script of an older version, which a new tree has never had"
            return Ruling(Verdict.HARMLESS, reason)
    return None


def _is_removal(call: Call, gathered: Gathered) -> bool:
    options = parse_options(call.texts, frozenset(["-f", "-r", "-R"]), frozenset())
    if options is None or not options.words or not call.is_known:
        return False
    is_deep = options.has("-r", "-R")
    return all(_is_own(path, gathered, is_whole=is_deep) for path in options.words)


def _is_move(call: Call, gathered: Gathered) -> bool:
    if len(call.texts) != 2:
        return False
    source, target = call.texts
    own = source.partition(".rpmmoved")[0]
    return (
        _is_own(own, gathered, is_whole=True)
        and (source == own or _ASIDE.fullmatch(source.removeprefix(own)) is not None)
        and target.startswith(own)
        and _ASIDE.fullmatch(target.removeprefix(own)) is not None
    )


def _is_own(path: str, gathered: Gathered, *, is_whole: bool) -> bool:
    """Whether the package brings this path, and where `is_whole` nobody else has anything below."""
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        return False
    file = gathered.file(path)
    return file is not None and not (is_whole and stat.S_ISDIR(file.mode))
