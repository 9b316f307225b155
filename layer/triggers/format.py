"""The trigger file: TOML in, a `Trigger` out, and every mistake in it reported at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator

from layer.errors import InvalidInput, TriggerFailed
from layer.frozen import dataclass
from layer.triggers.globs import Glob, PartKind, parse_glob

AT_OWNERS = "@owners"
"""The milestone of `after` and `before` at which the owners of files become ids."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_CHANGES = ("add", "change", "remove")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What replaces a scriptlet: when it fires, what it runs, and what that may write.

    The names are those of the file's keys. `exists` are paths without which
    it does not fire; `search` are the directories of the tree in which a
    program without a slash is looked for; of `needs` one must be there for it
    to work; `reads` are inputs beyond `include`; `mtimes` says why what it
    writes depends on the mtimes of its inputs, "" where it does not.
    """

    name: str
    description: str
    include: tuple[Glob, ...]
    exclude: tuple[Glob, ...]
    exists: tuple[Glob, ...]
    on: tuple[str, ...]
    exec: tuple[str, ...]
    search: tuple[Glob, ...]
    needs: tuple[Glob, ...]
    per: str
    env: tuple[tuple[str, str], ...]
    timeout: int
    after: tuple[str, ...]
    before: tuple[str, ...]
    reads: tuple[Glob, ...]
    writes: tuple[Glob, ...]
    scratch: tuple[Glob, ...]
    mtimes: str
    phase: str
    needs_proc: bool
    dlopens_payload: bool
    on_failure: str
    missing_tool: str
    covers: tuple[str, ...]
    live_action: str
    source: str = dataclasses.field(default="", compare=False)

    @property
    def tool(self) -> str:
        """The program that does the work, for people: not the shell that starts it."""
        return self.needs[0].text.rpartition("/")[2] if self.needs else self.exec[0]


def parse_trigger(text: str, source: str, *, is_ours: bool = False) -> Trigger:
    """Reads one trigger file; TriggerFailed names `source` and every key that is wrong.

    Of the program's own the tests have compiled the expressions, which takes as long as the rest.
    """
    try:
        document: dict[str, object] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise TriggerFailed(f"{source}: not TOML: {error}") from error
    faults: list[str] = []
    trigger = _read(document, source, faults, is_ours=is_ours)
    # A wrong type has left a stand-in value behind; what that breaks is no news.
    faults = faults or list(_contradictions(trigger))
    if faults:
        raise TriggerFailed(
            "\n".join(f"{source}: {fault}" for fault in faults),
            "layer-trigger(5) describes every key",
        )
    return trigger


def trigger_digest(trigger: Trigger) -> str:
    """SHA-256 in hex over all that one file says."""
    said = {
        field.name: _plain(getattr(trigger, field.name))
        for field in dataclasses.fields(trigger)
        if field.name != "source"
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Glob):
        return value.text
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def placeholders(argument: str) -> tuple[str, ...]:
    """The names in braces in an argument, as they come."""
    return tuple(PLACEHOLDER.findall(argument))


def _read(document: dict[str, object], source: str, faults: list[str], *, is_ours: bool) -> Trigger:
    top = _Table(document, "", faults)
    if top.integer("schema", 0) != 1 and not faults:
        faults.append("schema: this program knows schema = 1")
    match, run, order = top.table("match"), top.table("run"), top.table("order")
    io, sandbox, policy = top.table("io"), top.table("sandbox"), top.table("policy")
    covers, live = top.table("covers"), top.table("live")
    trigger = Trigger(
        name=top.text("name", _NAME),
        description=top.text("description"),
        include=match.globs("include", is_required=True),
        exclude=match.globs("exclude"),
        exists=match.globs("exists"),
        on=match.choices("on", _CHANGES),
        exec=run.texts("exec", is_required=True),
        search=run.globs("search", default=("usr/bin", "usr/sbin")),
        needs=run.globs("needs"),
        per=run.choice("per", ("once", "capture", "file", "files")),
        env=run.pairs("env"),
        timeout=run.integer("timeout", 120, minimum=1),
        after=order.texts("after"),
        before=order.texts("before"),
        reads=io.globs("reads"),
        writes=io.globs("writes"),
        scratch=io.globs("scratch"),
        mtimes=io.optional_text("mtimes"),
        phase=io.choice("phase", ("build", "boot", "live")),
        needs_proc=sandbox.flag("proc"),
        dlopens_payload=sandbox.flag("dlopens_payload"),
        on_failure=policy.choice("on_failure", ("abort", "warn")),
        missing_tool=policy.choice("missing_tool", ("skip", "abort")),
        covers=covers.texts("commands") if is_ours else covers.expressions("commands"),
        live_action=live.choice("action", ("none", "daemon-reload", "udev-reload", "dbus-reload")),
        source=source,
    )
    for table in (match, run, order, io, sandbox, policy, covers, live, top):
        table.finish()
    return trigger


def _contradictions(trigger: Trigger) -> Iterator[str]:
    """What is well-formed in itself and does not fit together."""
    everywhere = frozenset.intersection(*(glob.names for glob in trigger.include))
    somewhere = frozenset().union(*(glob.names for glob in trigger.include))
    yield from _program_faults(trigger.exec[0])
    yield from _argument_faults(trigger, somewhere if trigger.per == "once" else everywhere)
    yield from _place_faults(trigger, everywhere)
    if trigger.per == "capture" and not everywhere:
        yield 'run.per: "capture" needs a {capture} that every pattern of match.include has'
    if "file" in somewhere:
        yield "match.include: {file} is the name of the whole path, no capture"


def _argument_faults(trigger: Trigger, known: frozenset[str]) -> Iterator[str]:
    if trigger.per == "file":
        known |= {"file"}
    if trigger.per == "files":
        known = frozenset({"file"})
    for index, argument in enumerate(trigger.exec[1:], start=1):
        names = set(placeholders(argument))
        yield from _unknown(f"run.exec[{index}]", names, known)
        if trigger.per == "once" and len(names) > 1:
            yield f'run.exec[{index}]: {argument!r} holds two captures, with per = "once"'


def _place_faults(trigger: Trigger, known: frozenset[str]) -> Iterator[str]:
    for key, globs in (
        ("match.exists", trigger.exists),
        ("io.reads", trigger.reads),
        ("io.writes", trigger.writes),
        ("io.scratch", trigger.scratch),
    ):
        for index, glob in enumerate(globs):
            yield from _unknown(f"{key}[{index}]", glob.names, known)
    for index, glob in enumerate(trigger.needs):
        if glob.is_deep or glob.names:
            yield f"run.needs[{index}]: {glob.text!r} is one directory's, without ** and captures"
    for index, glob in enumerate(trigger.exists):
        if any(part.kind not in (PartKind.TEXT, PartKind.CAPTURE) for part in glob.parts):
            yield f"match.exists[{index}]: {glob.text!r} is one path, without * and **"


def _program_faults(program: str) -> Iterator[str]:
    if placeholders(program):
        yield "run.exec[0]: the program is a fixed name"
    elif "/" in program and not program.startswith("/usr/"):
        yield "run.exec[0]: a program is a plain name or a path that begins with /usr/"


def _unknown(key: str, names: Iterable[str], known: frozenset[str]) -> Iterator[str]:
    for name in sorted(set(names) - known):
        yield f"{key}: {{{name}}} is captured by no pattern of match.include, or not by each"


class _Table:
    """A table of the file; what is missing or wrong in it is noted in `faults`."""

    def __init__(self, values: dict[str, object], path: str, faults: list[str]) -> None:
        self._left = dict(values)
        self._path = path
        self._faults = faults

    def finish(self) -> None:
        """Notes the keys that nobody asked for."""
        for key in sorted(self._left):
            self._fault(key, "unknown key")

    def table(self, key: str) -> _Table:
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            self._fault(key, "must be a table")
            value = {}
        return _Table(value, f"{self._path}{key}.", self._faults)

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self._left.pop(key, None)
        if not isinstance(value, str) or not value:
            self._fault(key, "must be a text" if value is not None else "is missing")
            return ""
        if pattern and not pattern.fullmatch(value):
            self._fault(key, f"{value!r} must match {pattern.pattern}")
        return value

    def optional_text(self, key: str) -> str:
        """A text that is not empty, "" where there is none."""
        return self.text(key) if key in self._left else ""

    def texts(self, key: str, *, is_required: bool = False) -> tuple[str, ...]:
        value = self._left.pop(key, None)
        if value is None and not is_required:
            return ()
        if value is None:
            self._fault(key, "is missing")
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._fault(key, "must be a list of texts")
        elif is_required and not (value and value[0]):
            self._fault(key, "must not be empty")
        elif any("\0" in item for item in value):
            self._fault(key, "must not hold NUL")
        else:
            return tuple(value)
        return ("",) if is_required else ()

    def globs(
        self, key: str, *, is_required: bool = False, default: tuple[str, ...] = ()
    ) -> tuple[Glob, ...]:
        if key not in self._left and default:
            return tuple(parse_glob(text) for text in default)
        globs = []
        for index, text in enumerate(self.texts(key, is_required=is_required)):
            try:
                globs.append(parse_glob(text))
            except InvalidInput as error:
                self._fault(f"{key}[{index}]", error.message)
        return tuple(globs)

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        """One of `words`, of which the first is the default."""
        value = self._left.pop(key, words[0])
        if not isinstance(value, str) or value not in words:
            self._fault(key, f"must be one of {', '.join(words)}")
            return words[0]
        return value

    def choices(self, key: str, words: tuple[str, ...]) -> tuple[str, ...]:
        """Some of `words` in their own order; all of them by default."""
        value = self._left.pop(key, list(words))
        if not isinstance(value, list) or not value or not all(item in words for item in value):
            self._fault(key, f"must be a list out of {', '.join(words)}")
            return words
        return tuple(word for word in words if word in value)

    def integer(self, key: str, default: int, *, minimum: int = 0) -> int:
        value = self._left.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            self._fault(key, f"must be a whole number from {minimum} up")
            return default
        return value

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            self._fault(key, "must be true or false")
            return False
        return value

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            self._fault(key, "must be a table")
            return ()
        for name, text in sorted(value.items()):
            if not _VARIABLE.fullmatch(name) or not isinstance(text, str) or "\0" in text:
                self._fault(f"{key}.{name}", "must be a variable's name and a text")
        return tuple((name, str(text)) for name, text in sorted(value.items()))

    def expressions(self, key: str) -> tuple[str, ...]:
        expressions = self.texts(key)
        for index, text in enumerate(expressions):
            try:
                re.compile(text)
            except re.error as error:
                self._fault(f"{key}[{index}]", f"bad regular expression {text!r}: {error}")
        return expressions

    def _fault(self, key: str, text: str) -> None:
        self._faults.append(f"{self._path}{key}: {text}")
