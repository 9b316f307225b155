"""What rpm's Lua brings: which of its functions only read, and what the others come to.

The functions that change something have a counterpart among the shell's commands, and are
judged as that. A function that no row knows is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from layer.audit.lua.values import Number, Text, Value
from layer.frozen import dataclass

TABLES = frozenset(
    ["os", "io", "posix", "rpm", "string", "table", "math", "utf8", "arg", "io.stdout", "io.stderr"]
)


@dataclass(frozen=True, slots=True)
class Row:
    """Functions that leave nothing behind, and why."""

    names: str
    reason: str


_READS = "it only reads"
_COUNTS = "it works on values alone"

ROWS = (
    Row("print io.write io.flush", "it only prints"),
    Row("type tostring tonumber select next pairs ipairs unpack rawequal rawlen", _COUNTS),
    Row("assert error", "it ends the script where something failed"),
    Row("require", "it brings a library of rpm's"),
    Row(
        "string.byte string.char string.find string.format string.gmatch string.gsub string.len"
        " string.lower string.match string.rep string.reverse string.sub string.upper",
        _COUNTS,
    ),
    Row(
        "table.concat table.insert table.remove table.sort table.unpack table.pack table.getn",
        _COUNTS,
    ),
    Row("math.floor math.ceil math.max math.min math.abs math.random math.randomseed", _COUNTS),
    Row("os.getenv os.time os.date os.clock os.difftime os.exit", "it changes this script alone"),
    Row("io.lines io.read io.close io.type", _READS),
    Row(
        "posix.stat posix.access posix.readlink posix.dir posix.files posix.getcwd posix.getenv"
        " posix.getgroup posix.getpasswd posix.getlogin posix.getprocessid posix.uname posix.errno"
        " posix.pathconf posix.sysconf posix.times posix.ttyname posix.ctermid posix.glob"
        " posix.wait posix.sleep posix.fork",
        _READS,
    ),
    Row("posix.umask posix.chdir", "it changes this script alone"),
    Row("rpm.vercmp rpm.ver rpm.next_file rpm.glob rpm.isdefined", _READS),
)
HARMLESS = {name: row.reason for row in ROWS for name in row.names.split()}

# Of strings, and of files that are open for reading or are the script's own output.
METHODS = frozenset(
    [
        *("byte", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse"),
        *("sub", "upper", "read", "lines", "close"),
    ]
)
OUTPUT_METHODS = frozenset(["write", "flush", "close", "setvbuf"])
ITERATORS = frozenset(
    ["pairs", "ipairs", "posix.files", "io.lines", "string.gmatch", ":gmatch", ":lines"]
)
# These look at a function without calling it.
LOOKERS = frozenset(["type", "tostring", "print"])

# (path, ...) as the command that does the same; "%0" is the first argument.
COUNTERPARTS: dict[str, tuple[str, ...]] = {
    "os.remove": ("rm", "%0"),
    "os.rename": ("mv", "%0", "%1"),
    "posix.unlink": ("rm", "%0"),
    "posix.rmdir": ("rmdir", "%0"),
    "posix.mkdir": ("mkdir", "%0"),
    "posix.mkfifo": ("mkfifo", "%0"),
    "posix.link": ("ln", "%0", "%1"),
    "posix.symlink": ("ln", "-s", "%0", "%1"),
    "posix.utime": ("touch", "%0"),
    "posix.kill": ("kill", "%0"),
}
PROGRAMS = frozenset(["posix.exec", "posix.execp", "rpm.execute"])

_EXPANDED = re.compile(r"([^%]|%\{[!?]*[A-Za-z_][A-Za-z0-9_]*\}|%%)*")
_LETTERS = re.compile(r"([r-][w-][x-]){3}")
_MODE = re.compile(r"0?[0-7]{3,4}")


def counterpart(name: str, arguments: Sequence[Value]) -> tuple[Value, ...] | None:
    """The words of the command that does what this call does; None where there is none."""
    if name == "posix.chown":
        return _chown(arguments)
    if name == "posix.chmod":
        return _chmod(arguments)
    template = COUNTERPARTS.get(name)
    if template is None or len(arguments) != sum(word.startswith("%") for word in template):
        return None
    return tuple(
        arguments[int(word[1:])] if word.startswith("%") else Text(word) for word in template
    )


def _chown(arguments: Sequence[Value]) -> tuple[Value, ...] | None:
    if len(arguments) != 3:
        return None
    names = []
    for value in arguments[1:]:
        if isinstance(value, Number) and value.number is not None:
            names.append(str(value.number))
        elif isinstance(value, Text) and value.is_known:
            names.append(value.text)
        else:
            return None
    return (Text("chown"), Text(":".join(names)), arguments[0])


def _chmod(arguments: Sequence[Value]) -> tuple[Value, ...] | None:
    if len(arguments) != 2 or not isinstance(arguments[1], Text):
        return None
    mode = arguments[1].text
    if _LETTERS.fullmatch(mode):
        bits = sum((letter != "-") << (8 - place) for place, letter in enumerate(mode))
        mode = f"{bits:04o}"
    return (Text("chmod"), Text(mode), arguments[0]) if _MODE.fullmatch(mode) else None


def is_plain_expansion(arguments: Sequence[Value]) -> bool:
    """Whether a text names macros and runs nothing itself: no `%(...)`, no `%{lua:...}`."""
    if len(arguments) != 1 or not isinstance(arguments[0], Text):
        return False
    return arguments[0].is_known and _EXPANDED.fullmatch(arguments[0].text) is not None
