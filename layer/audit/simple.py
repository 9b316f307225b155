"""Judges one simple command: what its words are, and who knows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from layer.audit import conditions
from layer.audit.expansion import expand, expand_text
from layer.audit.grammar import Node, parse_script
from layer.audit.redirection import Plumbing, plumb
from layer.audit.rows import SOURCED
from layer.audit.ruling import Call, Ruling, unknown
from layer.audit.state import ARGUMENTS, UNKNOWN, Guard, GuardKind, State, Word
from layer.audit.verdict import Verdict
from layer.audit.walk import Walker
from layer.frozen import dataclass
from layer.words import is_number

_SHELLS = frozenset(["sh", "bash", "dash"])
_OTHER = Guard(GuardKind.OTHER)
_NAME = re.compile(r"[\w.+@:-]+|/[\w.+@:/-]+|\[")
_DECLARES = frozenset(["-x", "-r", "-g", "-p", "--"])


@dataclass(frozen=True, slots=True)
class Turn:
    """A command at its place in the walk."""

    walker: Walker
    node: Node
    call: Call
    state: State


class Rule(Protocol):
    """Says what a command is that the shell itself does not know."""

    def __call__(self, call: Call) -> Ruling:
        """The verdict on it."""


class Simple:
    """The judge of simple commands; `rule` decides about programs."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __call__(self, walker: Walker, node: Node, state: State, plumbing: Plumbing) -> bool | None:
        """Writes down the verdict on one simple command; its status where that is known."""
        walker.notes.enter(plumbing.shown)
        match node.kind:
            case "variable_assignment":
                status = _assign(walker, node, state)
            case "declaration_command" | "unset_command":
                status = _declare(walker, node, state)
            case _:
                status = self._command(walker, node, state, plumbing)
        if plumbing.words and node.kind != "command":
            walker.doubt(node, "layer does not follow this redirection")
        if plumbing.writes:
            walker.notes.add(plumbing.shown, Verdict.UNKNOWN, plumbing.writes)
            status = None
        if status is None and (plumbing.writes or node.kind != "command"):
            walker.probe(_OTHER)
        return status

    def _command(self, walker: Walker, node: Node, state: State, plumbing: Plumbing) -> bool | None:
        behind = list(plumbing.words)
        inner = [c for c in node.children if c.kind.endswith("_redirect")]
        if inner:
            found = plumb(node, inner, state, walker)
            plumbing.writes = plumbing.writes or found.writes
            if found.words:
                walker.doubt(node, "layer does not follow this redirection")
            if found.is_fed:
                plumbing.fed, plumbing.is_fed = found.fed, True
        settings, words = self._words(walker, node, state)
        words += behind
        if not words:
            walker.doubt(node, "the command's name is only known when it runs")
            return _told(walker, None)
        fed = plumbing.fed if plumbing.is_fed else state.fed
        call = Call(tuple(words), fed, state.guards)
        for name, text in settings:
            fault = conditions.why_not_set(name, text)
            if fault and not (name == "IFS" and call.name == "read"):
                walker.doubt(node, fault)
        return self._call(walker, node, call, state)

    def _words(
        self, walker: Walker, node: Node, state: State
    ) -> tuple[list[tuple[str, str]], list[Word]]:
        """The assignments before the command, and its words."""
        settings: list[tuple[str, str]] = []
        words: list[Word] = []
        place = node.start
        source = node.text.encode("utf-8", "surrogateescape")
        for child in node.children:
            gap = source[max(place - node.start, 0) : child.start - node.start]
            place = child.end
            if b"\n" in gap.replace(b"\\\n", b""):
                # Seen: assignments alone on their line are taken for those of the next command.
                if words:
                    walker.doubt(node, "layer does not follow this command over its line's end")
                for name, text in settings:
                    walker.set_variable(node, name, text, state)
                settings.clear()
            if child.kind == "variable_assignment":
                text = _value(walker, child, state)
                settings.append((child.children[0].text, text))
                if child.children[0].kind != "variable_name":
                    walker.doubt(node, "subscripts run the commands in them")
            elif (
                child.is_named and child.kind != "comment" and not child.kind.endswith("_redirect")
            ):
                words += expand(child, state, walker)
            elif not child.is_named:
                walker.doubt(node, f"layer does not follow {child.text!r} here")
        return settings, words

    def _call(self, walker: Walker, node: Node, call: Call, state: State) -> bool | None:
        first = call.words[0]
        if not first.is_known or not _NAME.fullmatch(first.text):
            walker.doubt(node, "the command's name is only known when it runs")
            _forget_all(state)
            return _told(walker, None)
        bodies = state.functions.get(first.text)
        if bodies:
            walker.notes.add(
                _shown(walker, node), Verdict.HARMLESS, "it calls what is judged above"
            )
            return _told(walker, walker.call(_shown(walker, node), bodies, call.words[1:], state))
        builtin = _BUILTINS.get(first.text)
        if builtin is not None:
            ruling = builtin(Turn(walker, node, call, state))
        elif (
            call.name in {"command", "exec", "env", "nice", "nohup"} and _wrapped(call) is not None
        ):
            return self._wrapper(walker, node, call, state)
        elif call.name == "command":
            ruling = _command_v(Turn(walker, node, call, state))
        elif call.name in _SHELLS:
            ruling = _shell(Turn(walker, node, call, state))
        else:
            ruling = self._rule(call)
        walker.notes.add(_shown(walker, node), ruling.verdict, ruling.reason, ruling.by)
        if ruling.status is None:
            walker.probe(ruling.guard)
        return ruling.status

    def _wrapper(self, walker: Walker, node: Node, call: Call, state: State) -> bool | None:
        """`command X`, `exec X`, `env X`: judged as X."""
        words = _wrapped(call)
        assert words is not None
        shown = _shown(walker, node)
        if not words:
            walker.notes.add(shown, Verdict.HARMLESS, "it only redirects what is printed")
            return True
        way = state if call.name != "command" else state.copy()
        if call.name == "command":
            way.functions = {}
        status = self._call(walker, node, replace(call, words=words), way)
        if call.name == "exec":
            state.ends = "exit"
        if way is not state:
            state.ends, state.arguments = way.ends, way.arguments
            state.variables, state.maybe = way.variables, way.maybe
        return status


def _shown(walker: Walker, node: Node) -> Node:
    return walker.notes.here or node


def _told(walker: Walker, status: bool | None) -> bool | None:
    if status is None:
        walker.probe(_OTHER)
    return status


def _wrapped(call: Call) -> tuple[Word, ...] | None:
    """The command in the words of another, () for none; None where there are options."""
    words = list(call.words[1:])
    if call.name == "env":
        while words and words[0].is_known and "=" in words[0].text:
            name, _, value = words.pop(0).text.partition("=")
            if conditions.why_not_set(name, value):
                return None
        if not words:
            return None
    if words and (words[0].text.startswith("-") or not words[0].is_known):
        return None
    return tuple(words) if words or call.name == "exec" else None


def _value(walker: Walker, node: Node, state: State) -> str:
    """What an assignment gives to its variable."""
    operator = next((c.text for c in node.children if c.text in {"=", "+="}), "=")
    values = [c for c in node.children if c.field == "value"]
    if any(c.kind == "array" for c in values):
        for value in values:
            for child in value.named:
                expand(child, state, walker)
        return UNKNOWN
    text = "".join(expand_text(value, state, walker) for value in values)
    return state.value(node.children[0].text) + text if operator == "+=" else text


def _assign(walker: Walker, node: Node, state: State) -> bool | None:
    name = node.children[0]
    if name.kind != "variable_name":
        walker.doubt(node, "subscripts run the commands in them")
    text = _value(walker, node, state)
    walker.notes.add(_shown(walker, node), Verdict.HARMLESS, "it sets a variable of the script")
    walker.set_variable(node, name.text.partition("[")[0], text, state)
    has_command = any(part.kind == "command_substitution" for part in node.walk())
    return None if has_command else True


def _declare(walker: Walker, node: Node, state: State) -> bool | None:
    """`local`, `export`, `readonly`, `declare`, `unset`."""
    walker.notes.add(_shown(walker, node), Verdict.HARMLESS, "it sets a variable of the script")
    is_unset = node.kind == "unset_command"
    for child in node.named:
        if child.kind == "variable_assignment":
            _assign(walker, child, state)
        elif child.kind == "variable_name":
            if is_unset or node.children[0].text != "export":
                walker.set_variable(child, child.text, "" if is_unset else UNKNOWN, state)
            elif conditions.why_not_set(child.text, state.value(child.text)):
                walker.doubt(node, f"{child.text} changes what later commands do")
        elif child.kind != "word" or child.text not in _DECLARES - ({"-p"} if is_unset else set()):
            walker.doubt(node, "layer does not follow this declaration")
    return True


def _shell(turn: Turn) -> Ruling:
    """`sh -c TEXT`: a script in an argument."""
    words = list(turn.call.words[1:])
    options = ""
    while words and re.fullmatch(r"[-+][euxc]+", words[0].text):
        options += words.pop(0).text
    if "c" not in options or not words or not words[0].is_known:
        return unknown("it runs commands that are not in the scriptlet")
    root = parse_script(words[0].text)
    if root is None:
        return unknown("the shell grammar cannot read this script")
    inner = State(arguments=tuple(w.text if w.is_known else UNKNOWN for w in words[2:]))
    inner.fed, inner.guards = turn.call.fed, turn.call.guards
    here = turn.walker.notes.here
    with turn.walker.notes.pinned(_shown(turn.walker, turn.node)):
        turn.walker.sequence(root.children, inner)
    turn.walker.notes.here = here
    return Ruling(Verdict.HARMLESS, "what it runs is judged")


# --- what the shell does itself


def _set(turn: Turn) -> Ruling:
    words = list(turn.call.words[1:])
    while words and words[0].is_known and words[0].text[:1] in {"-", "+"}:
        option = words.pop(0).text
        if option == "--":
            _set_arguments(words, turn.state)
            return Ruling(Verdict.HARMLESS, "it sets the script's arguments", status=True)
        if option in {"-o", "+o"} and words:
            option = {"errexit": "-e", "nounset": "-u", "pipefail": "-e", "xtrace": "-x"}.get(
                words.pop(0).text, "?"
            )
        if not re.fullmatch(r"[-+][euxvCh]+", option):
            return unknown("it changes how the shell reads")
    if words:
        _set_arguments(words, turn.state)
    return Ruling(Verdict.HARMLESS, "it sets options of the script's shell", status=True)


def _set_arguments(words: Sequence[Word], state: State) -> None:
    state.touched.append(ARGUMENTS)
    is_counted = all(word.is_known or word.is_quoted for word in words)
    state.arguments = tuple(word.text for word in words) if is_counted else None


def _shift(turn: Turn) -> Ruling:
    turn.state.touched.append(ARGUMENTS)
    number = turn.call.texts[0] if turn.call.texts else "1"
    if (
        turn.state.arguments is not None
        and is_number(number)
        and int(number) <= len(turn.state.arguments)
    ):
        turn.state.arguments = turn.state.arguments[int(number) :]
    else:
        turn.state.arguments = None
    return Ruling(Verdict.HARMLESS, "it moves the script's arguments")


def _leave(turn: Turn) -> Ruling:
    turn.state.ends = "exit" if turn.call.words[0].text == "exit" else "jump"
    return Ruling(Verdict.HARMLESS, "it leaves")


def _read(turn: Turn) -> Ruling:
    names = [word for word in turn.call.words[1:] if word.text not in {"-r", "-s"}]
    if turn.call.words[0].text == "getopts":
        names = [*names[1:2], Word("OPTARG")]
    for word in names:
        if not conditions.is_identifier(word):
            _forget_all(turn.state)
            return unknown("nobody can tell which variables this sets")
        turn.walker.set_variable(turn.node, word.text, UNKNOWN, turn.state)
    return Ruling(Verdict.HARMLESS, "it reads its input")


def _test(turn: Turn) -> Ruling:
    words = turn.call.words[1:]
    if turn.call.words[0].text == "[":
        words = words[:-1]
    status, guards = conditions.evaluate(words, turn.node, turn.walker, turn.walker.own_files)
    for guard in guards[1:] if status is None else ():
        turn.walker.probe(guard)
    first = guards[0] if guards else _OTHER
    return Ruling(Verdict.HARMLESS, "a test changes nothing", "", status, first)


def _source(turn: Turn) -> Ruling:
    known = SOURCED.get(
        turn.call.texts[0] if len(turn.call.texts) == 1 and turn.call.is_known else ""
    )
    if known is None:
        _forget_all(turn.state)
        return unknown("it runs commands that are not in the scriptlet")
    reason, names = known
    for name in names:
        turn.state.assign(name, UNKNOWN)
    return Ruling(Verdict.HARMLESS, reason, status=True)


def _eval(turn: Turn) -> Ruling:
    _forget_all(turn.state)
    return unknown("it runs text as commands, now or later")


def _command_v(turn: Turn) -> Ruling:
    if turn.call.texts[:1] in {("-v",), ("-V",)}:
        return Ruling(Verdict.HARMLESS, "it only looks for a program", guard=Guard(GuardKind.TOOL))
    return unknown("it runs commands that are not in the scriptlet")


def _forget_all(state: State) -> None:
    """Anything may have been set."""
    state.forget([*state.variables, ARGUMENTS])
    state.touched += [*state.variables, ARGUMENTS]


_BUILTINS: dict[str, Callable[[Turn], Ruling]] = {
    "set": _set,
    "shift": _shift,
    "exit": _leave,
    "return": _leave,
    "break": _leave,
    "continue": _leave,
    "read": _read,
    "getopts": _read,
    "test": _test,
    "[": _test,
    ".": _source,
    "source": _source,
    **dict.fromkeys(("eval", "alias", "trap", "let", "mapfile", "readarray", "enable"), _eval),
}
