"""What a piece of a script might set or leave, told from its words alone."""

from __future__ import annotations

from collections.abc import Iterator

from layer.audit.grammar import Node
from layer.audit.state import ARGUMENTS, State

_SETTERS = frozenset(
    ["read", "getopts", "export", "readonly", "local", "declare", "typeset", "unset"]
)
_JUMPS = frozenset(["break", "continue", "return"])


def set_names(node: Node, state: State) -> list[str]:
    """Every variable that the node, or any function that it may call, might set."""
    return sorted({name for part in _with_functions(node, state) for name in _set_by(part)})


def jumps(node: Node, state: State) -> bool:
    """Whether a run might leave the node before its end."""
    return any(
        part.kind == "command_name" and part.text in _JUMPS for part in _with_functions(node, state)
    )


def local_names(body: Node) -> Iterator[str]:
    """The variables that a function keeps to itself."""
    for part in body.walk():
        if part.kind == "declaration_command":
            yield from _set_by(part)


def _with_functions(node: Node, state: State) -> Iterator[Node]:
    yield from node.walk()
    for bodies in state.functions.values():
        for body in bodies:
            yield from body.walk()


def _set_by(part: Node) -> Iterator[str]:
    if part.kind == "variable_assignment":
        yield part.children[0].text.partition("[")[0]
    elif part.kind == "for_statement":
        yield from (c.text for c in part.children if c.field == "variable")
    elif part.kind == "expansion":
        yield from (c.text for c in part.children if c.kind == "variable_name")
    elif part.kind in {"declaration_command", "unset_command"}:
        yield from (c.text.partition("=")[0] for c in part.named)
    elif part.kind == "command":
        words = [c.text for c in part.named]
        if words[0] in _SETTERS:
            yield from (word.partition("=")[0] for word in words[1:])
        if words[0] in {"set", "shift"}:
            yield ARGUMENTS
