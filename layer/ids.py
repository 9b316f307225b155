"""Numbers for users and groups that are the same on every machine and for ever.

A name gets the number that the base's map says, else one that follows from the
name alone; where two names meet on a number, they are served in the order of
their names. What came out differently because of history is an exception and
travels in the lock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace

from layer.errors import InvalidInput, PackageRefused
from layer.frozen import dataclass
from layer.words import is_number, shown

# Below the range that login.defs and systemd give to static system users (100-999),
# clear of the low numbers that distributions assign by hand.
FIRST, LAST = 200, 899
SYSUSERS = "usr/lib/sysusers.d"
IDS_PATH = f"{SYSUSERS}/00-layer-ids.conf"
MAP_PATH = "usr/share/layer/ids.json"
MAP_SCHEMA = 1
_PROVIDED = re.compile(r"(?:user|group|groupmember)\([^)]+\) = (\S+)")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Names of users and groups with their numbers."""

    users: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserLine:
    """A `u` or `g` line of sysusers.d; `rest` are the fields after the number, as written.

    `number` may be a user's number, "-" for any, with a primary group behind a colon.
    """

    kind: str
    name: str
    number: str
    rest: str = ""

    @property
    def own_number(self) -> str:
        """Without the primary group."""
        return self.number.partition(":")[0]


def parse_accounts(passwd: str, group: str) -> Accounts:
    """The accounts in the texts of /etc/passwd and /etc/group; broken lines are passed over."""
    return Accounts(dict(_numbered(passwd)), dict(_numbered(group)))


def parse_sysusers(text: str, source: str) -> tuple[UserLine, ...]:
    """The lines of a sysusers.d file that make users and groups (sysusers.d(5))."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise PackageRefused(f"{source}, line {number}: {error}") from error
        kind = words[0].rstrip("!")
        if kind not in {"u", "g"}:
            continue
        if len(words) < 2:
            raise PackageRefused(f"{source}, line {number}: no name")
        if not words[1].isprintable() or set(words[1]) & set(":/,"):
            raise PackageRefused(f"{source}, line {number}: not a name: {shown(words[1])}")
        rest = " ".join(_quoted(w) for w in words[3:]) if kind == "u" else ""
        found.append(UserLine(kind, words[1], words[2] if len(words) > 2 else "-", rest))
    return tuple(found)


def provided_sysusers(provides: Iterable[str], source: str) -> str:
    """The sysusers.d lines that a package's provides carry, "" for none.

    rpm 4.19 and later: `user(NAME) = LINE`, `group(NAME) = LINE` and
    `groupmember(USER/GROUP) = LINE`, the line in base64 (rpm's docs/manual/users_and_groups).
    """
    lines = set()
    for provide in provides:
        found = _PROVIDED.fullmatch(provide)
        if found is None:
            continue
        coded = found[1].rstrip("=")
        try:
            line = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise PackageRefused(f"{source}: {provide}: is not a line of sysusers.d") from error
        if not re.fullmatch(r"[ugm]!?\s[^\n]*\n?", line):
            raise PackageRefused(f"{source}: {provide}: is not a line of sysusers.d")
        lines.add(line.strip())
    return "".join(f"{line}\n" for line in sorted(lines))


def parse_map(text: str) -> Accounts:
    """The map of ids that a base ships; InvalidInput where its schema is newer than ours."""
    try:
        value = json.loads(text)
        schema, users, groups = value["schema"], value["users"], value["groups"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _corrupt_map() from error
    if schema != MAP_SCHEMA:
        raise InvalidInput(
            f"the base's map of ids has schema {schema}; this version knows {MAP_SCHEMA}",
            "a newer version of layer wrote it; use that one",
        )
    for numbers in (users, groups):
        if not isinstance(numbers, dict) or not all(type(n) is int for n in numbers.values()):
            raise _corrupt_map()
    return Accounts(users, groups)


def format_map(accounts: Accounts) -> str:
    """The text of the map that a base ships."""
    value = {
        "schema": MAP_SCHEMA,
        "users": dict(sorted(accounts.users.items())),
        "groups": dict(sorted(accounts.groups.items())),
    }
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def assign(
    lines: Iterable[UserLine], present: Accounts, shipped: Accounts, previous: Mapping[str, int]
) -> tuple[tuple[UserLine, ...], dict[str, int]]:
    """Gives each line a number; also returns the exceptions: numbers kept from `previous`
    (or pushed aside by one that was) that would not follow from base and names alone.

    Lines of accounts that are present already are left out. A user and the
    group of its name get the same number wherever nothing fixes another.
    Given the exceptions as `previous`, the result is the same again.
    """
    wanted = _first_of_each(lines, present)
    taken = _taken(wanted, present, shipped)
    names = sorted({line.name for line in wanted if not _is_fixed(line)})
    natural = _allocate(names, {}, shipped, taken)
    kept: dict[str, int] = {}
    for name in names:
        number = previous.get(name)
        if number is not None and number not in taken and number not in kept.values():
            kept[name] = number
    numbers = _allocate(names, kept, shipped, taken)
    numbered = [line if _is_fixed(line) else _with(line, numbers[line.name]) for line in wanted]
    exceptions = {name: numbers[name] for name in names if numbers[name] != natural[name]}
    return tuple(sorted(numbered, key=lambda n: (n.name, n.kind))), exceptions


def format_sysusers(lines: Iterable[UserLine]) -> str:
    """Lines for sysusers.d; a user's group stands before it, with the same number.

    systemd-sysusers takes the first line of a name, so each is complete.
    """
    out = []
    groups = {line.name for line in lines if line.kind == "g"}
    for line in lines:
        uid, _, gid = line.number.partition(":")
        if line.kind == "u" and line.name not in groups and not gid and is_number(uid):
            out.append(f"g {line.name} {uid}")
        out.append(f"{line.kind} {line.name} {line.number} {line.rest}".rstrip())
    return "".join(f"{text}\n" for text in out)


def _corrupt_map() -> InvalidInput:
    return InvalidInput(f"the base's map of ids, /{MAP_PATH}, is corrupt")


def _numbered(text: str) -> Iterator[tuple[str, int]]:
    for line in text.split("\n"):
        fields = line.split(":")
        if len(fields) > 2 and is_number(fields[2]):
            yield fields[0], int(fields[2])


def _first_of_each(lines: Iterable[UserLine], present: Accounts) -> list[UserLine]:
    """The first line of each kind and name, for accounts that are not there yet."""
    found: dict[tuple[str, str], UserLine] = {}
    for line in lines:
        there = present.users if line.kind == "u" else present.groups
        if line.name not in there:
            found.setdefault((line.kind, line.name), line)
    return list(found.values())


def _is_fixed(line: UserLine) -> bool:
    return line.own_number != "-"


def _with(line: UserLine, number: int) -> UserLine:
    """The line with a number of its own; its primary group stays."""
    _, colon, group = line.number.partition(":")
    return replace(line, number=f"{number}{colon}{group}")


def _taken(wanted: Iterable[UserLine], present: Accounts, shipped: Accounts) -> set[int]:
    taken = {*present.users.values(), *present.groups.values()}
    taken |= {*shipped.users.values(), *shipped.groups.values()}
    for line in wanted:
        taken |= {int(part) for part in line.number.split(":") if is_number(part)}
    return taken


def _allocate(
    names: Iterable[str], kept: Mapping[str, int], shipped: Accounts, taken: set[int]
) -> dict[str, int]:
    numbers = dict(kept)
    for name in names:
        if name not in numbers:
            fixed = shipped.users.get(name, shipped.groups.get(name))
            used = taken | set(numbers.values())
            numbers[name] = _free(name, used) if fixed is None else fixed
    return numbers


def _free(name: str, taken: set[int]) -> int:
    """The number that follows from the name, or the next free one after it."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    span = LAST - FIRST + 1
    for step in range(span):
        number = FIRST + (start + step) % span
        if number not in taken:
            return number
    raise InvalidInput(f"no number between {FIRST} and {LAST} is left for {name}")


def _quoted(word: str) -> str:
    """A field of sysusers.d: `-` stays, words with spaces get double quotes."""
    if word and not any(c in word for c in " \t\"'\\"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
