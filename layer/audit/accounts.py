"""Commands that make users and groups, as lines of sysusers.d(5)."""

from __future__ import annotations

import re
from collections.abc import Callable

from layer.audit.ruling import Call, Gathered, Options, Ruling, parse_options, rewritten, unknown
from layer.audit.state import GuardKind

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_TEXT = re.compile(r"[^\"\\%\n:]*")
_PATH = re.compile(r"/[A-Za-z0-9_./@+-]*")
_NUMBER = re.compile(r"[1-9][0-9]*")
# No account is made with root's number.
_LINE = re.compile(r"(?!\S+\s+\S+\s+\S*\b0)[ugm]!?\s+[A-Za-z_][A-Za-z0-9_.-]*(\s+[^\0%\n]*)?")
_ASKS = (GuardKind.ACCOUNT, GuardKind.TOOL)
_REASON = "systemd-sysusers makes the account"


def rewrite_account(call: Call, gathered: Gathered) -> Ruling | None:
    """None for commands that are about something else."""
    if call.name == "systemd-sysusers" and call.fed is not None:
        return _document(call, gathered)
    reader = _COMMANDS.get(call.name)
    if reader is None:
        return None
    if not call.is_known or call.fed is not None:
        return unknown("the account is only known when it runs")
    if not call.hangs_only_on(_ASKS):
        return unknown("whether the account is made hangs on something that only a run can tell")
    lines = reader(call.texts)
    if lines is None:
        return unknown("sysusers.d cannot say this")
    gathered.sysusers += [line for line in lines if not line.startswith("d ")]
    gathered.tmpfiles += [line for line in lines if line.startswith("d ")]
    return rewritten(_REASON)


def _document(call: Call, gathered: Gathered) -> Ruling:
    """`systemd-sysusers -` with its lines in a here-document."""
    lines = [line.strip() for line in (call.fed or "").split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    if call.texts != ("-",) or not lines or not all(_LINE.fullmatch(line) for line in lines):
        return unknown("the accounts are only known when it runs")
    if not call.hangs_only_on(_ASKS):
        return unknown("whether the account is made hangs on something that only a run can tell")
    gathered.sysusers += lines
    return rewritten(_REASON)


def _useradd(texts: tuple[str, ...]) -> list[str] | None:
    flags = "-r --system -M --no-create-home -N --no-user-group -l --no-log-init -U --user-group"
    valued = "-u --uid -g --gid -G --groups -d --home-dir --home -s --shell -c --comment -K --key"
    options = parse_options(texts, frozenset(flags.split()), frozenset(valued.split()))
    if options is None or len(options.words) != 1 or not options.has("-r", "--system"):
        return None
    if options.has("-N", "--no-user-group") and not options.has("-g", "--gid"):
        return None
    (name,) = options.words
    lines = _user(
        name,
        options.value("-u", "--uid"),
        options.value("-g", "--gid"),
        options.value("-c", "--comment"),
        options.value("-d", "--home-dir", "--home"),
        options.value("-s", "--shell"),
    )
    groups = [group for group in options.value("-G", "--groups").split(",") if group]
    return None if lines is None else _members(lines, name, groups)


def _groupadd(texts: tuple[str, ...]) -> list[str] | None:
    options = parse_options(
        texts, frozenset(["-r", "--system", "-f", "--force", "-o"]), frozenset(["-g", "--gid"])
    )
    if options is None or len(options.words) != 1:
        return None
    number = options.value("-g", "--gid")
    if not number and not options.has("-r", "--system"):
        return None
    return _group(options.words[0], number)


def _usermod(texts: tuple[str, ...]) -> list[str] | None:
    options = parse_options(texts, frozenset(["-a", "--append"]), frozenset(["-G", "--groups"]))
    if options is None or len(options.words) != 1 or not options.has("-a", "--append"):
        return None
    return _members([], options.words[0], options.value("-G", "--groups").split(","))


def _gpasswd(texts: tuple[str, ...]) -> list[str] | None:
    options = parse_options(texts, frozenset(), frozenset(["-a", "--add"]))
    if options is None or len(options.words) != 1 or len(options.given) != 1:
        return None
    return _members([], options.value("-a", "--add"), list(options.words))


_ADDUSER_FLAGS = frozenset(
    [
        "--system",
        "--group",
        "--no-create-home",
        "--disabled-login",
        "--disabled-password",
        "--quiet",
        "-q",
        "--verbose",
        "--force-badname",
        "--allow-badname",
        "--allow-bad-names",
    ]
)
_ADDUSER_VALUED = frozenset(
    [
        "--home",
        "--shell",
        "--gecos",
        "--comment",
        "--uid",
        "--gid",
        "--ingroup",
        "--firstuid",
        "--lastuid",
    ]
)


def _adduser(texts: tuple[str, ...]) -> list[str] | None:
    """Debian's: adduser(8)."""
    options = parse_options(texts, _ADDUSER_FLAGS, _ADDUSER_VALUED)
    if options is None:
        return None
    if not options.has("--system"):
        if (
            options.has("--group")
            or len(options.words) != 2
            or set(dict(options.given)) > {"--quiet"}
        ):
            return None
        return _members([], options.words[0], [options.words[1]])
    if len(options.words) != 1:
        return None
    return _system_user(options)


def _system_user(options: Options) -> list[str] | None:
    (name,) = options.words
    # Without a group of its own the account is in nogroup: adduser(8).
    group = options.value("--ingroup", "--gid") or ("" if options.has("--group") else "nogroup")
    home = options.value("--home")
    lines = _user(
        name,
        options.value("--uid"),
        group,
        options.value("--gecos", "--comment"),
        home,
        options.value("--shell"),
    )
    makes_home = home and not options.has("--no-create-home") and home != "/nonexistent"
    if lines is not None and makes_home:
        if not home.startswith(("/var/", "/run/")):
            return None
        lines.append(f"d {home} 0755 {name} {group or name} - -")
    return lines


def _addgroup(texts: tuple[str, ...]) -> list[str] | None:
    options = parse_options(texts, _ADDUSER_FLAGS, frozenset(["--gid", "--firstgid", "--lastgid"]))
    if options is None or len(options.words) != 1 or not options.has("--system"):
        return None
    return _group(options.words[0], options.value("--gid"))


def _group(name: str, number: str) -> list[str] | None:
    is_good = _NAME.fullmatch(name) and (not number or _NUMBER.fullmatch(number))
    return [f"g {name} {number or '-'}"] if is_good else None


def _user(
    name: str, number: str, group: str, gecos: str, home: str, shell: str
) -> list[str] | None:
    if number and not _NUMBER.fullmatch(number):
        return None
    if group and not (_NAME.fullmatch(group) or _NUMBER.fullmatch(group)):
        return None
    if not _NAME.fullmatch(name) or not _TEXT.fullmatch(gecos):
        return None
    if not all(_PATH.fullmatch(path) for path in (home, shell) if path):
        return None
    identity = number or "-"
    if group and group not in {name, number}:
        identity += f":{group}"
    said = f'"{gecos}"' if gecos else "-"
    return [f"u {name} {identity} {said} {home or '-'} {shell or '-'}"]


def _members(lines: list[str], name: str, groups: list[str]) -> list[str] | None:
    if not groups or not all(_NAME.fullmatch(word) for word in (name, *groups)):
        return None if groups else lines
    return [*lines, *(f"m {name} {group}" for group in groups)]


_COMMANDS: dict[str, Callable[[tuple[str, ...]], list[str] | None]] = {
    "useradd": _useradd,
    "groupadd": _groupadd,
    "usermod": _usermod,
    "gpasswd": _gpasswd,
    "adduser": _adduser,
    "addgroup": _addgroup,
}
