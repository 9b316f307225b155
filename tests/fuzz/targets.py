"""The parsers, each as a function of bytes that raises nothing but LayerError."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from layer import alternatives, cached_update, ids
from layer.audit.judge import Coverage, audit_package, coverage
from layer.audit.report import Audited, as_json, as_text
from layer.config import parse_defaults, parse_repositories
from layer.errors import InvalidInput, LayerError
from layer.groups import parse_groups
from layer.history import Entry, parse_entries, with_boots
from layer.history import as_text as history_as_text
from layer.kernel_arguments import parse_shipped
from layer.layout import LINKS, place
from layer.live.record import Journal, as_values, parse_journal
from layer.lock import read_lock, read_record
from layer.lock_file import format_lock, parse_lock
from layer.model import Commit, PackageFile, PackageHeader, Scriptlet, Tree
from layer.nevra import Nevra
from layer.origin import format_origin, parse_origin
from layer.plan_file import format_plan, parse_plan
from layer.sealed import seal
from layer.settings import parse_settings
from layer.tmpfiles import declared_paths
from layer.treefile import parse_treefile
from layer.triggers.format import Trigger, parse_trigger, trigger_digest
from layer.triggers.globs import match, parse_glob
from tests.test_architecture import ROOT

VARIABLES = {"releasever": "12", "basearch": "x86_64", "empty": ""}
PATHS = ("usr/bin/x", "usr/lib/fonts/a/b.ttf", "", "a", "usr/share/icons/hicolor/index.theme")
_NEVRA = Nevra("pkg", 0, "1", "1", "noarch")
_KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _readable(data: bytes) -> str:
    """As of a file that is read as UTF-8: the rest is refused before any parser sees it."""
    return data.decode("utf-8", "replace")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("no JSON") from error


def _object(data: bytes) -> dict[str, Any]:
    found = _json(data)
    if not isinstance(found, dict):
        raise InvalidInput("no object")
    return found


def origin(data: bytes) -> None:
    """What is written of an origin says the same again."""
    found = parse_origin(_readable(data))
    assert parse_origin(format_origin(found)) == found


def treefile(data: bytes) -> None:
    """A base's."""
    parse_treefile(_readable(data), "tree.toml")


def kargs(data: bytes) -> None:
    """Kernel arguments that a base ships."""
    parse_shipped(_readable(data), "x.toml")


def settings(data: bytes) -> None:
    """layer.toml."""
    parse_settings(_readable(data), "layer.toml")


def trigger(data: bytes) -> None:
    """A trigger file, whose patterns are then used."""
    found = parse_trigger(_readable(data), "x.toml")
    trigger_digest(found)
    for pattern in (*found.include, *found.exclude, *found.reads):
        for path in PATHS:
            match(pattern, path)


def glob(data: bytes) -> None:
    """A pattern, and what it is held against."""
    text, _, path = _readable(data).partition("\n")
    match(parse_glob(text), path)


def repositories(data: bytes) -> None:
    """A .repo file."""
    parse_repositories(_readable(data), "x.repo", VARIABLES)
    parse_defaults(_readable(data), "dnf.conf", VARIABLES)


def paths(data: bytes) -> None:
    """Lines of kind, path and link's target as a package's files; nothing leaves its place."""
    files = []
    for line in _text(data).split("\n")[:20]:
        kind, _, rest = line.partition(" ")
        path, _, target = rest.partition("\t")
        mode = _KINDS.get(kind[:1], stat.S_IFREG) | 0o755
        link = target if stat.S_ISLNK(mode) else ""
        is_ghost = kind[1:] == "g"
        files.append(
            PackageFile(path, mode, "root", "root", 0, 0, "", link_to=link, is_ghost=is_ghost)
        )
    found = place(_header(files=tuple(files)))
    if found.refused:
        assert all(line.isprintable() for text in found.refused for line in text.split("\n"))
        return
    for file in found.files:
        parts = file.path.split("/")
        assert parts[0] == "usr" or file.path in LINKS, file.path
        assert not {"", ".", ".."} & set(parts), file.path
    # To which the link /var/run may be made.
    declared = declared_paths(found.tmpfiles) - {"/run"}
    assert all(path.startswith(("/var/", "/run/")) for path in declared)


def scriptlet(data: bytes) -> None:
    """A shell script."""
    _audit("post", "/bin/sh", _text(data))


def lua(data: bytes) -> None:
    """A script in Lua."""
    _audit("posttrans", "<lua>", _text(data))


def journal(data: bytes) -> None:
    """The journal of live changes, which says the same again."""
    found = parse_journal(_object(data))
    again: Mapping[str, Any] = json.loads(json.dumps(as_values(found)))
    assert isinstance(found, Journal)
    assert parse_journal(again) == found


def plan(data: bytes) -> None:
    """A plan file, as it is and with a seal that is right."""
    _sealed(data, lambda text: format_plan(parse_plan(text, "x")))


def lock(data: bytes) -> None:
    """A lock, in the same way."""
    _sealed(data, lambda text: format_lock(parse_lock(text, "x")))


def commit(data: bytes) -> None:
    """A derived commit's metadata."""
    values = {str(k): v for k, v in _object(data).items() if isinstance(v, str | bool)}
    found = Commit("a" * 64, None, 0, Tree("b" * 64, "c" * 64), values)
    read_lock(found)
    read_record(found)


def history(data: bytes) -> None:
    """Lines of the history, and what people are shown of them."""
    entries, unread = parse_entries(_readable(data).splitlines())
    assert all(isinstance(entry, Entry) for entry in entries)
    assert unread >= 0
    history_as_text(with_boots(entries, ()))


def update(data: bytes) -> None:
    """What a check has found; whoever reads it expects these three."""
    try:
        cached_update.parse(_object(data))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput("no update") from error


def offers(data: bytes) -> None:
    """The record of alternatives in a tree."""
    alternatives.format_record(alternatives.parse_record(_readable(data), "x"))


def admin(data: bytes) -> None:
    """An admin's file of alternatives."""
    alternatives.parse_admin_file(_readable(data), "editor")


def id_map(data: bytes) -> None:
    """The map of ids in a base, and what is made of it."""
    found = ids.parse_map(_readable(data))
    ids.assign([ids.UserLine("u", "daemon", "-")], ids.Accounts(), found, {})


def sysusers(data: bytes) -> None:
    """Lines of sysusers.d."""
    lines = ids.parse_sysusers(_text(data), "x.conf")
    numbered, _ = ids.assign(lines, ids.Accounts(), ids.Accounts(), {})
    ids.format_sysusers(numbered)


def tmpfiles(data: bytes) -> None:
    """Lines of tmpfiles.d."""
    declared_paths(_text(data))


def groups(data: bytes) -> None:
    """A repository's list of groups."""
    parse_groups(data)


def nevra(data: bytes) -> None:
    """A package's name in one word."""
    found = Nevra.parse(_readable(data))
    assert Nevra.parse(str(found)) == found


@cache
def _triggers() -> tuple[Trigger, ...]:
    files = sorted((ROOT / "triggers").glob("*.toml"))
    return tuple(parse_trigger(file.read_text(), file.name) for file in files)


@cache
def _coverage() -> tuple[Coverage, ...]:
    return coverage(_header(), _triggers())


def _header(
    files: tuple[PackageFile, ...] = (), scriptlets: tuple[Scriptlet, ...] = ()
) -> PackageHeader:
    return PackageHeader(_NEVRA, files, scriptlets, (), "sha256", "none", (), 0, 0, blob=b"")


def _audit(slot: str, interpreter: str, body: str) -> None:
    header = _header(scriptlets=(Scriptlet(slot, interpreter, body),))
    found = [Audited(header, audit_package(header, _coverage()))]
    json.dumps(as_json(found))
    as_text(found)


def _sealed(data: bytes, again: Callable[[str], str]) -> None:
    with suppress(LayerError):
        again(_readable(data))
    value = _object(data)
    value.pop("seal", None)
    try:
        text = seal(value)
    except RecursionError as error:
        raise InvalidInput("too deep") from error
    assert again(text) == again(again(text))


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(origin, treefile, kargs, settings, trigger, glob, repositories, paths, scriptlet, lua),
        *(journal, plan, lock, commit, history, update, offers, admin, id_map, sysusers),
        *(tmpfiles, groups, nevra),
    )
}
