"""What a traced command read, out of strace's lines, and what of it nobody declared.

strace runs outside of the sandbox, so its lines begin with what sets that up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from layer.frozen import dataclass
from layer.triggers.globs import Glob, descent, match, parse_glob

STRACE = (
    "strace",
    *("--follow-forks", "--quiet=all", "--decode-fds=path", "--string-limit=4096"),
    "--signal=none",
    "--trace=open,openat,openat2,getdents,getdents64,execve",
)
"""The command line that writes the lines which `parse_trace` takes, but for --output."""

_LINE = re.compile(r"(?P<pid>\d+) +(?P<call>.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>")
_OPENED = re.compile(r"open(?:at|at2)?\(.*\) += \d+<(?P<path>/.*)>", re.DOTALL)
_LISTED = re.compile(r"getdents(?:64)?\(\d+<(?P<path>/.*?)>, ", re.DOTALL)
_STARTED = re.compile(r'execve\("(?P<path>.*?)", .*\) += 0', re.DOTALL)
_NO_READ = re.compile(r"O_WRONLY|O_DIRECTORY|O_PATH")  # a directory counts once it is listed
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED_ESCAPES = {"n": "\n", "t": "\t", "v": "\v", "f": "\f", "r": "\r"}
_TOP = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc")}

# What any program may read although it is in no trigger's key, and why that makes no stale cache.
_BASICS = {
    "usr/lib*/**.so*": "libraries: a new one does the same as the old, or has another name",
    "usr/etc/ld.so.cache": "where libraries are, not what they hold",
    "usr/lib/locale/**": "the sandbox's locale, C.UTF-8, is the same in every C library",
    "usr/share/locale/**": "translations: the sandbox's locale has none",
    "usr/etc/locale.alias": "other names of locales, of which none is in use",
    "usr/*/gconv/gconv-modules*": "where character sets are, not what they hold",
    "usr/lib/*/gconv/gconv-modules*": "the same, where Debian has it",
    "usr/share/zoneinfo/**": "the sandbox's zone, UTC, is the same in every version",
    "usr/etc/nsswitch.conf": "where names of accounts are looked up; a tree has files alone",
    "usr/etc/passwd": "names of accounts: their numbers are pinned",
    "usr/etc/group": "names of groups: their numbers are pinned",
    "usr/lib/*/perl-base/**": "the interpreter's own modules, as its library",
    "usr/lib/*/perl*/**": "the same, where Debian has more of them",
    "usr/share/perl*/**": "the same, for all architectures",
    "usr/lib64/perl5/**": "the same, where Fedora has them",
}
# Programs that POSIX or decades of use hold to one behaviour: scripts call them by the dozen.
_PLAIN_TOOLS = """
[ awk basename bash cat chmod chown cmp cp cut dash date dirname echo egrep env expr false fgrep
find gawk grep head id install ln ls mawk mkdir mktemp mv printf readlink realpath rm rmdir sed sh
sleep sort stat sync tail tee test touch tr true uname uniq wc which xargs
"""


@dataclass(frozen=True, slots=True)
class Reads:
    """Paths in the tree: files that were opened to read, directories listed, programs started."""

    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Declared:
    """What may be read: `globs` but not what is in `excluded`, unless it is in `always`."""

    globs: tuple[Glob, ...]
    excluded: tuple[Glob, ...]
    always: tuple[Glob, ...]


def parse_trace(lines: Iterable[str], program: str) -> Reads:
    """What `program` and all that it started read in the tree."""
    before: set[str] = set()  # processes that set up the sandbox
    main = ""
    unfinished: dict[str, str] = {}
    files, folders, programs = set(), set(), set()
    for line in lines:
        found = _LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            continue
        pid, call = found["pid"], found["call"]
        if call.endswith(_UNFINISHED):
            unfinished[pid] = call.removesuffix(_UNFINISHED)
            continue
        call = _RESUMED.sub(unfinished.pop(pid, ""), call, count=1) if call[:1] == "<" else call
        started = _STARTED.match(call)
        if not main:
            before.add(pid)
            if started is None or _decoded(started["path"]) != program:
                continue
            main = pid
        if pid in before and pid != main:
            continue
        if started:
            programs.add(_in_tree(started["path"]))
        elif (opened := _OPENED.fullmatch(call)) and not _NO_READ.search(call):
            files.add(_in_tree(opened["path"]))
        elif listed := _LISTED.match(call):
            folders.add(_in_tree(listed["path"]))
    return Reads(*(frozenset(path for path in s if path) for s in (files, folders, programs)))


def undeclared(reads: Reads, declared: Declared) -> tuple[str, ...]:
    """What was read and is neither declared nor basic; a directory ends in a slash."""
    always = (*declared.always, *_basic_globs())

    def is_declared(path: str) -> bool:
        if _is_among(always, path):
            return True
        return _is_among(declared.globs, path) and not _is_among(declared.excluded, path)

    found = [path for path in reads.files - reads.folders if not is_declared(path)]
    for path in reads.programs:
        folder, _, name = path.rpartition("/")
        is_plain = name in _PLAIN_TOOLS.split() and folder in ("usr/bin", "usr/sbin")
        if not is_plain and not is_declared(path):
            found.append(path)
    globs = (*declared.globs, *declared.always)
    found += [
        f"{path}/"
        for path in reads.folders
        # A library may lie anywhere below /usr/lib; to list all that is there is another matter.
        if not any(_lists(glob, path) for glob in globs) and not _is_among(_basic_globs(), path)
    ]
    return tuple(sorted(set(found)))


def _basic_globs() -> Sequence[Glob]:
    return [parse_glob(text) for text in _BASICS]


def _is_among(globs: Iterable[Glob], path: str) -> bool:
    return any(match(glob, path) is not None for glob in globs)


def _lists(glob: Glob, folder: str) -> bool:
    """Whether the names in a directory decide what matches the pattern."""
    names, steps = folder.split("/"), descent(glob).steps
    for name, step in zip(names, steps, strict=False):
        if name != step if isinstance(step, str) else not step.fullmatch(name):
            return False
    if len(names) >= len(steps):
        return descent(glob).is_deep
    return not isinstance(steps[len(names)], str)


def _in_tree(text: str) -> str:
    """The path in the tree, or "" for what is the sandbox's own, or was removed meanwhile."""
    path = _decoded(text)
    top, _, rest = path.lstrip("/").partition("/")
    top = _TOP.get(top, top)
    if top.partition("/")[0] != "usr" or path.endswith("(deleted)"):
        return ""
    return f"{top}/{rest}" if rest else top


def _decoded(text: str) -> str:
    """A path as strace writes it: bytes that are no ASCII are escaped as in C."""
    raw = _ESCAPE.sub(_character, text)
    return raw.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2]:
        return chr(int(found[2], 8))
    return _NAMED_ESCAPES.get(found[3], found[3])
