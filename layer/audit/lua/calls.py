"""Judges the calls of a Lua script: which function it is, and what that comes to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from layer.audit.conditions import why_not_set
from layer.audit.grammar import Node
from layer.audit.lua import library
from layer.audit.lua.run import Run
from layer.audit.lua.values import (
    ANY,
    OTHER,
    Asked,
    Child,
    Closure,
    Frame,
    Function,
    Handle,
    Library,
    Nil,
    Number,
    Place,
    Table,
    Text,
    Truth,
    Value,
    truth,
)
from layer.audit.ruling import Call
from layer.audit.state import UNKNOWN, Guard, GuardKind, Word
from layer.audit.verdict import Verdict
from layer.frozen import dataclass

_DEEPEST = 12
_NAME = re.compile(r"[\w.+@:-]+|/[\w.+@:/-]+")
_SHELLS = frozenset(["sh", "bash", "dash"])
_READING = frozenset(["r", "rb"])
_UNSEEN = "nobody can tell which function this calls"
_ASIDE = "a function is passed to where layer does not follow it"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The values of a call; `is_open` where more may follow that nobody knows."""

    values: tuple[Value, ...]
    is_open: bool = False

    def at(self, place: int) -> Value:
        """One of them, nil beyond the last."""
        if place < len(self.values):
            return self.values[place]
        return ANY if self.is_open else Nil()


def call(node: Node, run: Run) -> Value:
    """Judges one call; what it gives back, as far as that is known."""
    name = next(child for child in node.children if child.field == "name")
    given = next(child for child in node.children if child.field == "arguments")
    is_method = name.kind == "method_index_expression"
    callee = run.evaluate(run, _part(name, "table") if is_method else name)
    values, is_open = run.values(run, given.named)
    arguments = Arguments(tuple(values), is_open)
    if run.place.is_lost:
        run.doubt("the script may have given names another meaning before")
        escape(values, run)
        return ANY
    if is_method:
        return _method(callee, _part(name, "method").text, arguments, run)
    if not isinstance(callee, Function):
        run.doubt(_UNSEEN)
        escape((callee, *values), run)
        run.lose()
        return ANY
    results = [
        _library(choice, arguments, run)
        if isinstance(choice, str)
        else _enter(choice, arguments, run)
        for choice in callee.choices
    ]
    return results[0] if len(results) == 1 else ANY


def escape(values: Sequence[Value], run: Run) -> None:
    """Judges functions of the script that something unknown may call at any time."""
    for value in values:
        for choice in value.choices if isinstance(value, Function) else ():
            if isinstance(choice, Closure) and choice.number not in run.escaped:
                run.escaped.add(choice.number)
                here, before = run.notes.here, run.place
                run.place = Place(guards=(OTHER,), is_lost=True)
                _enter(choice, Arguments((), is_open=True), run)
                run.place, run.notes.here = before, here


def _part(node: Node, field: str) -> Node:
    return next(child for child in node.children if child.field == field)


def _method(base: Value, name: str, arguments: Arguments, run: Run) -> Value:
    is_output = isinstance(base, Library) and base.name in {"io.stdout", "io.stderr"}
    if is_output and name in library.OUTPUT_METHODS:
        run.note(Verdict.HARMLESS, "it only prints")
    elif (
        isinstance(base, Text | Handle | Asked)
        and name in library.METHODS
        and not any(isinstance(value, Function | Library) for value in arguments.values)
    ):
        run.note(Verdict.HARMLESS, "it only reads")
    else:
        run.doubt(_UNSEEN)
        escape((base, *arguments.values), run)
        run.lose()
    return ANY


# --- functions of the script


def _enter(closure: Closure, arguments: Arguments, run: Run) -> Value:
    run.called(closure)
    if run.depth >= _DEEPEST:
        run.doubt(_UNSEEN)
        return ANY
    run.note(Verdict.HARMLESS, "it calls what is judged above")
    inside = (closure.node.start, closure.node.end)
    own = {s: v for s, v in run.place.variables.items() if _is_inside(s, inside)}
    for slot in own:
        del run.place.variables[slot]
    saved = (run.frame, run.varargs, run.notes.here)
    run.frame = Frame((), closure.frame, closure.number)
    _bind(closure, arguments, run)
    run.depth += 1
    body = next((c for c in closure.node.children if c.field == "body"), None)
    run.walk(run, () if body is None else body.children)
    run.depth -= 1
    run.frame, run.varargs, run.notes.here = saved
    if run.place.ends == "jump":
        run.place.ends = ""
    if any(part.kind == "return_statement" for part in closure.node.walk()):
        run.forget(frozenset())  # nobody knows on which way it came back
    run.place.variables = {
        **{s: v for s, v in run.place.variables.items() if not _is_inside(s, inside)},
        **own,
    }
    return ANY


def _is_inside(slot: str, span: tuple[int, int]) -> bool:
    """Whether a local variable is declared between two places of the script."""
    _, mark, place = slot.partition("@")
    return bool(mark) and span[0] <= int(place) < span[1]


def _bind(closure: Closure, arguments: Arguments, run: Run) -> None:
    parameters = _part(closure.node, "parameters").named
    names = [node for node in parameters if node.kind == "identifier"]
    for place, name in enumerate(names):
        run.declare(name, arguments.at(place))
    run.varargs = None if arguments.is_open else arguments.values[len(names) :]


# --- functions of rpm's


def _library(name: str, arguments: Arguments, run: Run) -> Value:
    passed = [v for v in arguments.values if isinstance(v, Function | Library)]
    if passed and name not in library.LOOKERS:
        run.doubt(_ASIDE)
        escape(passed, run)
        run.lose()
        return ANY
    special = _SPECIAL.get(name)
    if special is not None:
        return special(arguments, run)
    if name in library.HARMLESS:
        run.note(Verdict.HARMLESS, library.HARMLESS[name])
        return _answer(name, arguments, run)
    words = None if arguments.is_open else library.counterpart(name, arguments.values)
    if words is None:
        run.doubt(f"layer does not know what {name} does")
        return ANY
    return _program(Arguments(words), run)


def _answer(name: str, arguments: Arguments, run: Run) -> Value:
    """What a function that only reads gives back."""
    first = arguments.at(0)
    match name:
        case "posix.fork":
            return Child()
        case "posix.stat" | "posix.access" | "posix.readlink":
            if not isinstance(first, Text) or not first.is_known:
                return ANY
            is_own = first.text in run.own_files and len(arguments.values) == 1
            if is_own and name != "posix.readlink":
                return Truth(True)
            return Asked((Guard(GuardKind.PATH, first.text),))
        case "posix.getgroup" | "posix.getpasswd":
            return Asked((Guard(GuardKind.ACCOUNT),))
        case "type" if isinstance(first, Function):
            return Asked((Guard(GuardKind.TOOL),))
        case "tonumber" if isinstance(first, Number):
            return first
        case _:
            return ANY


def _program(words: Arguments, run: Run) -> Value:
    """A program with its arguments, or the command that stands for a function."""
    given = [_word(value) for value in words.values]
    if words.is_open:
        given.append(Word(UNKNOWN))
    first = given[0] if given else Word(UNKNOWN)
    if not first.is_known or not _NAME.fullmatch(first.text):
        run.doubt("the program's name is only known when it runs")
        return ANY
    command = Call(tuple(given), None, run.place.guards)
    if command.name in _SHELLS:
        is_text = len(given) == 3 and given[1].text == "-c" and given[2].is_known
        if is_text:
            _shell_text(given[2].text, run, is_fed=False)
        else:
            run.doubt("it runs commands that are not in the scriptlet")
        return ANY
    ruling = run.rule(command)
    run.note(ruling.verdict, ruling.reason, ruling.by)
    return ANY


def _word(value: Value) -> Word:
    if isinstance(value, Text):
        return Word(value.text, is_quoted=True)
    if isinstance(value, Number) and value.number is not None:
        return Word(str(value.number), is_quoted=True)
    return Word(UNKNOWN, is_quoted=True)


def _shell_text(text: str, run: Run, *, is_fed: bool) -> None:
    run.note(Verdict.HARMLESS, "what it runs is judged")
    run.shell(text, run.place.guards, is_fed=is_fed)


def _in_shell(arguments: Arguments, run: Run, *, is_fed: bool = False) -> Value:
    text = arguments.at(0)
    if not isinstance(text, Text) or not text.is_known:
        run.doubt("the command is only known when it runs")
    else:
        _shell_text(text.text, run, is_fed=is_fed)
    return ANY


def _popen(arguments: Arguments, run: Run) -> Value:
    _in_shell(arguments, run, is_fed=True)
    return Handle() if len(arguments.values) == 1 and not arguments.is_open else ANY


def _spawn(arguments: Arguments, run: Run) -> Value:
    words, options = arguments.at(0), arguments.at(1)
    if not isinstance(words, Table) or words.items is None or words.named or arguments.is_open:
        run.doubt("the program's name is only known when it runs")
        return ANY
    is_quiet = isinstance(options, Nil) or (
        isinstance(options, Table)
        and options.items == ()
        and all(pair in _NOWHERE for pair in options.named)
    )
    if not is_quiet:
        run.doubt("it redirects what the program reads or writes")
    return _program(Arguments(words.items), run)


_NOWHERE = frozenset((name, Text("/dev/null")) for name in ("stdin", "stdout", "stderr"))


def _open(arguments: Arguments, run: Run) -> Value:
    mode = arguments.at(1)
    is_reading = isinstance(mode, Nil) or (isinstance(mode, Text) and mode.text in _READING)
    if is_reading and not arguments.is_open:
        run.note(Verdict.HARMLESS, "it only reads")
        return Handle()
    path = arguments.at(0)
    known = isinstance(path, Text) and path.is_known
    run.doubt(f"it writes {path.text if known and isinstance(path, Text) else 'to a file'}")
    return ANY


def _expand(arguments: Arguments, run: Run) -> Value:
    if library.is_plain_expansion(arguments.values):
        run.note(Verdict.HARMLESS, "it reads rpm's settings")
    else:
        run.doubt("an expansion may run commands")
    return Text(UNKNOWN)


def _setenv(arguments: Arguments, run: Run) -> Value:
    pair = (arguments.at(0), arguments.at(1))
    texts = [value.text for value in pair if isinstance(value, Text) and value.is_known]
    fault = why_not_set(*texts) if len(texts) == 2 else "the variable is only known when it runs"
    if fault:
        run.doubt(fault)
    else:
        run.note(Verdict.HARMLESS, "it sets a variable of the script")
    return ANY


def _assert(arguments: Arguments, run: Run) -> Value:
    run.note(Verdict.HARMLESS, library.HARMLESS["assert"])
    if truth(arguments.at(0)) is False:
        run.place.ends = "exit"
    return arguments.at(0)


def _end(_: Arguments, run: Run) -> Value:
    run.note(Verdict.HARMLESS, "it leaves")
    run.place.ends = "exit"
    return ANY


def _require(arguments: Arguments, run: Run) -> Value:
    wanted = arguments.at(0)
    if isinstance(wanted, Text) and wanted.text in {"posix", "rpm"}:
        run.note(Verdict.HARMLESS, library.HARMLESS["require"])
        return Library(wanted.text)
    run.doubt("it runs a library that is not in the scriptlet")
    run.lose()
    return ANY


_SPECIAL: dict[str, Callable[[Arguments, Run], Value]] = {
    **dict.fromkeys(library.PROGRAMS, _program),
    "os.execute": _in_shell,
    "io.popen": _popen,
    "rpm.spawn": _spawn,
    "io.open": _open,
    "rpm.expand": _expand,
    "posix.setenv": _setenv,
    "assert": _assert,
    "error": _end,
    "os.exit": _end,
    "require": _require,
}
