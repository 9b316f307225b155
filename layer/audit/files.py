"""Commands that make, own or link files, as lines of tmpfiles.d(5) and as facts of the tree."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace

from layer.audit.ruling import Call, Gathered, Options, Ruling, parse_options, rewritten, unknown
from layer.audit.state import GuardKind
from layer.audit.verdict import Alternative, Mode, Verdict
from layer.model import PackageFile

# No "%": it is tmpfiles.d's own; no white space, no quotes.
_PATH = re.compile(r"/[A-Za-z0-9_./@+:,=-]*")
_MODE = re.compile(r"[0-7]{3,4}")
_CHANGES = re.compile(r"[ugoa]*[+-][rwxst]+")
_OWNER = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_-]*)?(?:[:.]([A-Za-z0-9_][A-Za-z0-9_-]*)?)?")
_CAPABILITIES = re.compile(r"[A-Za-z0-9_,+=]+")
# Folders that need no declaration.
_PASSING = (
    (re.compile(r"/etc/sysconfig"), "the files that are put into it make it"),
    (re.compile(r"/etc/apparmor\.d/local"), "the files that are put into it make it"),
    (re.compile(r"/run/regenerate-initrd"), "openSUSE's note for the scripts that follow"),
    (re.compile(r"/var/lib/rpm-state(/.+)?"), "notes for the scripts that follow"),
)
_MACHINE = re.compile(r"/(var|run)/.")
_ASKS = (GuardKind.ACCOUNT, GuardKind.TOOL)
_QUIET = frozenset(
    ["-v", "--verbose", "-c", "--changes", "-f", "--silent", "--quiet", "-h", "--no-dereference"]
)
_RECURSIVE = frozenset(["-R", "--recursive"])
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007, "a": 0o777}

_Lines = Ruling | None


def rewrite_file(call: Call, gathered: Gathered) -> Ruling | None:
    """None for commands that are about something else."""
    reader = _COMMANDS.get(call.name)
    if reader is None:
        return None
    if not call.is_known or call.fed is not None:
        return unknown("the path is only known when it runs")
    return reader(call, gathered) or unknown("layer cannot declare this")


def _mkdir(call: Call, gathered: Gathered) -> _Lines:
    options = parse_options(
        call.texts,
        frozenset(["-p", "--parents", "-v", "--verbose"]),
        frozenset(["-m", "--mode"]),
    )
    return None if options is None else _folders(options, call, gathered)


def _install(call: Call, gathered: Gathered) -> _Lines:
    options = parse_options(
        call.texts,
        frozenset(["-d", "--directory", "-p", "-v", "--verbose"]),
        frozenset(["-m", "--mode", "-o", "--owner", "-g", "--group"]),
    )
    if options is None or not options.has("-d", "--directory"):
        return None
    return _folders(options, call, gathered)


def _folders(options: Options, call: Call, gathered: Gathered) -> _Lines:
    paths = _paths(options.words)
    mode = options.value("-m", "--mode")
    user, group = options.value("-o", "--owner"), options.value("-g", "--group")
    if paths is None or (mode and not _MODE.fullmatch(mode)):
        return None
    if not all(_OWNER.fullmatch(name) and ":" not in name for name in (user, group)):
        return None
    is_own = all(gathered.file(path) or _is_above_own(path, gathered) for path in paths)
    if is_own and not (mode or user or group):
        return Ruling(Verdict.HARMLESS, "the package brings the directory", status=True)
    for expression, reason in _PASSING:
        if not (mode or user or group) and all(expression.fullmatch(path) for path in paths):
            return Ruling(Verdict.HARMLESS, reason, status=True)
    if not all(_MACHINE.match(path) for path in paths) or not _hangs(call, paths):
        return None
    for path in paths:
        gathered.tmpfiles.append(f"d {path} {mode or '0755'} {user or '-'} {group or '-'} - -")
    return rewritten("tmpfiles.d makes the directory when the machine boots")


def _is_above_own(path: str, gathered: Gathered) -> bool:
    return any(own.startswith(f"{path}/") for own in gathered.files)


def _chown(call: Call, gathered: Gathered) -> _Lines:
    options = parse_options(call.texts, _QUIET | _RECURSIVE, frozenset())
    if options is None or len(options.words) < 2:
        return None
    found = _OWNER.fullmatch(options.words[0])
    if found is None or not (found[1] or found[2]):
        return None
    group = found[2] or ""
    if call.name == "chgrp":
        return _attributes(options, call, gathered, "", "", found[1] or "")
    return _attributes(options, call, gathered, "", found[1] or "", group)


def _chmod(call: Call, gathered: Gathered) -> _Lines:
    texts = tuple(call.texts)
    change = next((text for text in texts if _CHANGES.fullmatch(text)), "")
    options = parse_options([t for t in texts if t != change], _QUIET | _RECURSIVE, frozenset())
    if options is None:
        return None
    if change:
        return _symbolic(change, options, call, gathered)
    if len(options.words) < 2 or not _MODE.fullmatch(options.words[0]):
        return None
    return _attributes(options, call, gathered, options.words[0], "", "")


def _symbolic(change: str, options: Options, call: Call, gathered: Gathered) -> _Lines:
    """`u+s` and the like, on files of which the header says the mode."""
    paths = _paths(options.words)
    if paths is None or options.has("-R", "--recursive") or not _hangs(call, paths):
        return None
    found = []
    for path in paths:
        file = gathered.file(path)
        if file is None or not _is_in_tree(path) or stat.S_ISLNK(file.mode):
            return None
        found.append(Mode(path, _changed(_mode_now(file, path, gathered), change)))
    gathered.modes += found
    _note_certainty(call, paths, gathered)
    return rewritten("the file has this mode in the tree")


def _mode_now(file: PackageFile, path: str, gathered: Gathered) -> int:
    """The mode that the commands so far leave the package's own file with."""
    before = (m.mode for m in reversed(gathered.modes) if m.path == path and m.mode is not None)
    return next(before, stat.S_IMODE(file.mode))


def _note_certainty(call: Call, paths: Sequence[str], gathered: Gathered) -> None:
    """The last command about a mode says whether it is certain."""
    gathered.certain.difference_update(paths)
    if not call.guards:
        gathered.certain.update(paths)


def _changed(mode: int, change: str) -> int:
    who, sign, what = re.split(r"([+-])", change, maxsplit=1)
    mask = 0
    for letter in who or "a":
        mask |= _WHO[letter]
    bits = sum(_BITS[letter] & mask for letter in set(what) & set(_BITS))
    if "s" in what:
        bits |= (0o4000 if set(who or "a") & set("ua") else 0) | (
            0o2000 if set(who or "a") & set("ga") else 0
        )
    if "t" in what:
        bits |= 0o1000
    return mode | bits if sign == "+" else mode & ~bits


def _attributes(
    options: Options, call: Call, gathered: Gathered, mode: str, user: str, group: str
) -> _Lines:
    """Owner or mode of paths in /var, or of the package's own files in the tree."""
    paths = _paths(options.words[1:])
    if paths is None or not _hangs(call, paths):
        return None
    is_deep, owns = options.has("-R", "--recursive"), bool(user or group)
    lines, modes = [], []
    for path in paths:
        file = gathered.file(path)
        if _MACHINE.match(path):
            kind = "Z" if is_deep else "z"
            lines.append(f"{kind} {path} {mode or '-'} {user or '-'} {group or '-'} - -")
        elif file is None or is_deep or not _is_in_tree(path) or stat.S_ISLNK(file.mode):
            return None
        else:
            now = _mode_now(file, path, gathered)
            kept = _after_chown(now) if owns and stat.S_ISREG(file.mode) else now
            new = int(mode, 8) if mode else kept
            modes.append(Mode(path, new if mode or kept != now else None, user, group))
    gathered.tmpfiles += lines
    gathered.modes += modes
    if owns:
        # The kernel takes a file's capabilities away with its old owner, be the new one the same.
        gathered.capabilities[:] = [c for c in gathered.capabilities if c[0] not in paths]
    if mode:
        _note_certainty(call, paths, gathered)
    return rewritten("it is declared: tmpfiles.d, or the file's own attributes in the tree")


def _after_chown(mode: int) -> int:
    """What chown(2) leaves of a file's mode: no set-id bit, but that of mandatory locks."""
    return mode & ~(0o6000 if mode & 0o010 else 0o4000)


def _statoverride(call: Call, gathered: Gathered) -> _Lines:
    """Debian's: dpkg-statoverride(1)."""
    flags = frozenset(
        ["--update", "--add", "--force", "--force-all", "--force-statoverride-add", "--quiet"]
    )
    options = parse_options(call.texts, flags, frozenset())
    if options is None or not options.has("--add") or len(options.words) != 4:
        return None
    user, group, mode, path = options.words
    if not _MODE.fullmatch(mode) or not all(
        re.fullmatch(r"[A-Za-z0-9_-]+", n) for n in (user, group)
    ):
        return None
    return _attributes(Options((), (mode, path)), call, gathered, mode, user, group)


def _setcap(call: Call, gathered: Gathered) -> _Lines:
    options = parse_options(call.texts, frozenset(["-q", "-n"]), frozenset())
    if options is None or options.has("-n") or len(options.words) != 2:
        return None
    text, path = options.words
    paths = _paths((path,))
    if not _CAPABILITIES.fullmatch(text) or paths is None or not _hangs(call, paths):
        return None
    if gathered.file(path) is None or not _is_in_tree(path):
        return None
    gathered.capabilities.append((path, text))
    # What stands behind `else` is for file systems without capabilities.
    return replace(rewritten("the file has the capabilities in the tree"), status=True)


def _ln(call: Call, gathered: Gathered) -> _Lines:
    flags = "-s --symbolic -f --force -n --no-dereference -T --no-target-directory -v --verbose"
    options = parse_options(call.texts, frozenset(flags.split()), frozenset())
    if options is None or len(options.words) != 2 or not options.has("-s", "--symbolic"):
        return None
    target, link = options.words
    paths = _paths((link,))
    if paths is None or link.endswith("/") or not re.fullmatch(r"[A-Za-z0-9_./@+:,=-]+", target):
        return None
    if gathered.file(link) or _is_above_own(link, gathered) or not _hangs(call, paths):
        return None
    if _MACHINE.match(link):
        kind = "L+" if options.has("-f", "--force") else "L"
        gathered.tmpfiles.append(f"{kind} {link} - - - - {target}")
    elif _is_in_tree(link):
        gathered.links.append((link, target))
    else:
        return None
    return rewritten("the link is in the tree, or tmpfiles.d makes it")


def _alternatives(call: Call, gathered: Gathered) -> _Lines:
    """Debian's update-alternatives(1) and chkconfig's alternatives(8)."""
    texts = [text for text in call.texts if text not in {"--quiet", "--force", "--verbose"}]
    if texts[:1] != ["--install"]:
        return _without(texts, gathered)
    if len(texts) < 5 or not re.fullmatch(r"-?[0-9]+", texts[4]):
        return None
    link, name, path = texts[1:4]
    slaves: list[tuple[str, str, str]] = []
    rest = texts[5:]
    while rest:
        if rest[0] in {"--slave", "--follower"} and len(rest) >= 4:
            slaves.append((rest[1], rest[2], rest[3]))
            rest = rest[4:]
        elif rest[0] in {"--initscript", "--family"} and len(rest) >= 2:
            rest = rest[2:]
        else:
            return None
    each = ((link, name, path), *slaves)
    paths = _paths([p for a, _, c in each for p in (a, c)])
    if paths is None or not all(re.fullmatch(r"[A-Za-z0-9_.+-]+", n) for _, n, _ in each):
        return None
    if not all(_is_in_tree(p) for p in paths) or not _hangs(call, paths):
        return None
    gathered.alternatives.append(Alternative(link, name, path, int(texts[4]), tuple(slaves)))
    return rewritten("layer makes the links of alternatives")


def _add_shell(call: Call, gathered: Gathered) -> _Lines:
    paths = _paths(call.texts)
    if paths is None or not all(gathered.file(path) for path in paths):
        return None
    if not all(_is_in_tree(path) for path in paths) or not _hangs(call, paths):
        return None
    gathered.shells += paths
    return rewritten("layer lists the shell in /etc/shells")


def _without(texts: Sequence[str], gathered: Gathered) -> _Lines:
    if len(texts) == 3 and texts[0] == "--remove" and gathered.file(texts[2]) is None:
        reason = "an alternative of an older version, which a new tree has never had"
        return Ruling(Verdict.HARMLESS, reason)
    return None


def _hangs(call: Call, paths: Sequence[str]) -> bool:
    return call.hangs_only_on(_ASKS, paths)


def _paths(words: Sequence[str]) -> tuple[str, ...] | None:
    """Absolute paths without surprises; those that go through links of /var as they are meant."""
    if not words or not all(_PATH.fullmatch(word) for word in words):
        return None
    if any({".", ".."} & set(word.split("/")) for word in words):
        return None
    found = [word if word == "/" else word.rstrip("/") for word in words]
    found = [re.sub(r"^/var/(run|lock)(?=/|$)", _at_run, word) for word in found]
    return tuple(found)


def _at_run(found: re.Match[str]) -> str:
    return "/run" if found[1] == "run" else "/run/lock"


def _is_in_tree(path: str) -> bool:
    return re.match(r"/(usr(?!/local)|etc|bin|sbin|lib(32|64|x32)?)/.", path) is not None


_COMMANDS: dict[str, Callable[[Call, Gathered], _Lines]] = {
    "mkdir": _mkdir,
    "install": _install,
    "chown": _chown,
    "chgrp": _chown,
    "chmod": _chmod,
    "dpkg-statoverride": _statoverride,
    "add-shell": _add_shell,
    "setcap": _setcap,
    "ln": _ln,
    "update-alternatives": _alternatives,
    "alternatives": _alternatives,
}
