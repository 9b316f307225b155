"""Audits a package: every command of every scriptlet gets a verdict. Decides, runs nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial

from layer import layout
from layer.audit.accounts import rewrite_account
from layer.audit.copied import rewrite_copy
from layer.audit.file_triggers import is_for_files, is_within, rule_by_place
from layer.audit.files import rewrite_file
from layer.audit.grammar import Node, parse_lua, parse_script
from layer.audit.lua import walk as lua
from layer.audit.lua.expressions import evaluate, values
from layer.audit.lua.run import Run
from layer.audit.notes import Notes
from layer.audit.older import rule_older, rule_withdrawn
from layer.audit.rows import rule_by_row
from layer.audit.ruling import ANYTHING, Call, Gathered, Ruling, unknown
from layer.audit.simple import Simple
from layer.audit.state import UNKNOWN, Guard, State, TooLong, Word
from layer.audit.sysconfig import rewrite_settings
from layer.audit.units import rewrite_unit
from layer.audit.verdict import Audit, Judged, Verdict
from layer.audit.walk import Walker
from layer.frozen import dataclass
from layer.model import PackageHeader, Scriptlet
from layer.scriptlets import is_installing
from layer.triggers.format import Trigger
from layer.triggers.match import is_excluded, matching

_SHELL = re.compile(r"(/usr)?/bin/(sh|bash|dash)( -[euxfl]+)*")
_UNIT = re.compile(r"(.+/)?[^/]+\.(service|socket|timer|path|target|mount|automount|slice)")
# What rpm and dpkg set for a script: dpkg names another root only where it installs into one.
_SET = {"DPKG_ROOT": "", "PATH": "/sbin:/bin:/usr/sbin:/usr/bin"}
# Whether a package has just been installed or replaces another: rpm's $1. A tree is always new.
_FIRST = {"pre": ("1",), "post": ("1",), "pretrans": ("1",), "posttrans": ("1",)}
# Caches of which a package's files are the only input: without such files nothing changes.
_CACHES = frozenset(
    [
        "ldconfig",
        "icon-cache",
        "glib-schemas",
        "desktop-database",
        "mime-database",
        "depmod",
        "fonts",
        "gio-modules",
        "gdk-pixbuf",
        "immodules",
        "mkfontscale",
        "info-dir",
        "hwdb",
        "vim-helptags",
        "mandb",
        "python-bytecode",
    ]
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The commands that a trigger makes unnecessary, and whether it fires for the package.

    `patterns` are those of the paths in a tree that it looks at.
    """

    trigger: str
    expressions: tuple[re.Pattern[str], ...]
    fires: bool
    patterns: tuple[str, ...] = ()


def coverage(header: PackageHeader, triggers: Sequence[Trigger]) -> tuple[Coverage, ...]:
    """Which triggers would fire for a package that is added, told from its paths alone.

    A trigger that waits for the boot counts too.
    """
    paths = sorted(placed.path for placed in layout.place(header).files)
    return tuple(
        Coverage(
            trigger.name,
            tuple(re.compile(text) for text in trigger.covers),
            "add" in trigger.on
            and any(
                not is_excluded(trigger, path)
                for glob in trigger.include
                for path, _ in matching(glob, paths)
            ),
            tuple(glob.text for glob in trigger.include),
        )
        for trigger in triggers
    )


def audit_package(header: PackageHeader, covers: Sequence[Coverage]) -> Audit:
    """Reads every scriptlet of a package; see `Audit`."""
    gathered = Gathered({file.path: file for file in header.files})
    name = header.nevra.name
    judged: list[Judged] = []
    bodies: list[tuple[str, str]] = []
    for scriptlet in header.scriptlets:
        if not is_installing(scriptlet.slot):
            judged += _lines(scriptlet, Verdict.NOT_APPLICABLE, "it runs when a package goes")
            continue
        bodies.append((scriptlet.slot, digest_of(scriptlet)))
        judged += audit_scriptlet(scriptlet, name, gathered, covers)
    return Audit(str(header.nevra), tuple(judged), gathered.rewrites, tuple(bodies))


def digest_of(scriptlet: Scriptlet) -> str:
    """SHA-256 of what would run, which consent names."""
    text = f"{scriptlet.interpreter}\n{scriptlet.body}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def audit_scriptlet(
    scriptlet: Scriptlet, package: str, gathered: Gathered, covers: Sequence[Coverage]
) -> Sequence[Judged]:
    """Every command of one scriptlet of a package, judged; `gathered` takes what is declared."""
    rule = partial(_rule, scriptlet=scriptlet, package=package, gathered=gathered, covers=covers)
    if not scriptlet.body.strip():
        words = tuple(Word(text) for text in scriptlet.interpreter.split())
        if _SHELL.fullmatch(scriptlet.interpreter):
            return ()
        ruling = rule(Call(words))
        text = scriptlet.interpreter
        return (Judged(scriptlet.slot, 1, text, ruling.verdict, ruling.reason, ruling.by),)
    is_lua = scriptlet.interpreter == "<lua>"
    if not is_lua and not _SHELL.fullmatch(scriptlet.interpreter):
        reason = f"layer reads the shell and Lua, not {scriptlet.interpreter}"
        return _lines(scriptlet, Verdict.UNKNOWN, reason)
    root = parse_lua(scriptlet.body) if is_lua else parse_script(scriptlet.body)
    if root is None:
        return _lines(scriptlet, Verdict.UNKNOWN, "the grammar cannot read this script")
    try:
        return (_walk_lua if is_lua else _walk)(root, scriptlet, gathered, rule)
    except (TooLong, RecursionError):
        return _lines(scriptlet, Verdict.UNKNOWN, "the script is too long to follow")


def _walk(
    root: Node, scriptlet: Scriptlet, gathered: Gathered, rule: partial[Ruling]
) -> Sequence[Judged]:
    notes = Notes(scriptlet.slot)
    is_bash = scriptlet.interpreter.split()[0].endswith("/bash")
    files = _unpacked(scriptlet, gathered)
    walker = Walker(notes, Simple(rule), files, is_bash=is_bash)
    state = State(dict(_SET), _FIRST.get(scriptlet.slot), guards=_occasion(scriptlet))
    walker.sequence(root.children, state)
    for function in notes.uncalled:
        walker.skip(function, "the function is never called")
    return notes.judged


def _walk_lua(
    root: Node, scriptlet: Scriptlet, gathered: Gathered, rule: partial[Ruling]
) -> Sequence[Judged]:
    notes = Notes(scriptlet.slot)
    files = _unpacked(scriptlet, gathered)
    count = 1 if scriptlet.slot in _FIRST else None

    def shell(text: str, guards: tuple[Guard, ...], *, is_fed: bool) -> None:
        here = notes.here
        assert here is not None
        inner = parse_script(text)
        if inner is None:
            notes.add(here, Verdict.UNKNOWN, "the shell grammar cannot read this script")
            return
        state = State(dict(_SET), (), guards=guards, fed=UNKNOWN if is_fed else None)
        with notes.pinned(here):
            Walker(notes, Simple(rule), files, is_bash=False).sequence(inner.children, state)
        notes.here = here

    run = Run(notes, rule, shell, files, count, lua.walk, evaluate, values)
    run.place.guards = _occasion(scriptlet)
    lua.read(root, run)
    return notes.judged


def _occasion(scriptlet: Scriptlet) -> tuple[Guard, ...]:
    """What the whole script hangs on: some triggers on whether another package is there."""
    return () if scriptlet.slot in _FIRST or is_for_files(scriptlet) else (ANYTHING,)


def _unpacked(scriptlet: Scriptlet, gathered: Gathered) -> frozenset[str]:
    """The package's own files that are in place when the scriptlet runs."""
    if scriptlet.slot not in {"post", "posttrans"}:
        return frozenset()
    return frozenset(
        file.path for file in gathered.files.values() if not file.is_ghost and file.mode & 0o100000
    )


def _rule(
    call: Call,
    *,
    scriptlet: Scriptlet,
    package: str,
    gathered: Gathered,
    covers: Sequence[Coverage],
) -> Ruling:
    """Triggers before what layer knows itself, so that a local one can cover nearly anything."""
    ruling = (
        rewrite_unit(call, gathered)
        or _rule_by_trigger(call, scriptlet, gathered, covers)
        or rule_by_place(call, package, scriptlet, {cover.trigger for cover in covers})
        or rule_older(call, scriptlet.slot, gathered)
        or rule_withdrawn(call, package, gathered)
        or rewrite_account(call, gathered)
        or rewrite_settings(call, gathered)
        or rewrite_copy(call, gathered)
        or rewrite_file(call, gathered)
        or rule_by_row(call)
    )
    return ruling or unknown("nothing that layer knows does this")


def _rule_by_trigger(
    call: Call, scriptlet: Scriptlet, gathered: Gathered, covers: Sequence[Coverage]
) -> Ruling | None:
    if not call.is_known or any(re.search(r"\s", text) for text in call.texts):
        return None
    lines = {call.line, " ".join((call.words[0].text, *call.line.split(" ")[1:]))}
    found = [
        cover
        for cover in covers
        if any(expression.fullmatch(line) for expression in cover.expressions for line in lines)
    ]
    if is_for_files(scriptlet):
        return _rule_for_files(call, scriptlet, found)
    fired = next((cover for cover in found if cover.fires), None)
    if fired is not None and _is_about_own(call, gathered) and not _is_fed(call, gathered):
        reason = f"the trigger {fired.trigger} does it"
        return Ruling(Verdict.COVERED, reason, fired.trigger)
    if found and all(cover.trigger in _CACHES for cover in found):
        reason = "it rebuilds a cache of files that this package does not have"
        return Ruling(Verdict.HARMLESS, reason)
    return None


def _rule_for_files(call: Call, scriptlet: Scriptlet, found: Sequence[Coverage]) -> Ruling | None:
    """A script for the files of any package: whichever brings them, the trigger fires for it."""
    for cover in found:
        is_plain = call.fed is None and not any(_UNIT.fullmatch(text) for text in call.texts)
        if is_plain and is_within(scriptlet.about, cover.patterns):
            reason = f"the trigger {cover.trigger} does it for every package with such files"
            return Ruling(Verdict.COVERED, reason, cover.trigger)
    return None


def _is_about_own(call: Call, gathered: Gathered) -> bool:
    """Units that the line names must be the package's: the trigger sees no others."""
    own = {path.rpartition("/")[2] for path in gathered.files}
    return all(not _UNIT.fullmatch(t) or t.rpartition("/")[2] in own for t in call.texts)


def _is_fed(call: Call, gathered: Gathered) -> bool:
    """Input of its own is what no trigger knows, unless a shipped file says the same."""
    shipped = [t.removeprefix("--replace=") for t in call.texts if t.startswith("--replace=")]
    return call.fed is not None and not any(path in gathered.files for path in shipped)


def _lines(scriptlet: Scriptlet, verdict: Verdict, reason: str) -> tuple[Judged, ...]:
    """Every line that says something."""
    return tuple(
        Judged(scriptlet.slot, number, line.strip(), verdict, reason)
        for number, line in enumerate(scriptlet.body.split("\n"), 1)
        if line.strip() and not line.strip().startswith("#")
    )
