"""What the expressions of a Lua script come to, as far as it is known without running."""

from __future__ import annotations

import re
from collections.abc import Sequence

from layer.audit.grammar import Node
from layer.audit.lua import library
from layer.audit.lua.calls import call, escape
from layer.audit.lua.run import Run
from layer.audit.lua.values import (
    ANY,
    OTHER,
    Asked,
    Child,
    Function,
    Library,
    Nil,
    Number,
    Table,
    Text,
    Truth,
    Value,
    either,
    guards_of,
    join,
    truth,
)
from layer.audit.state import NUMBER, UNKNOWN, Guard, GuardKind
from layer.words import is_number

_ESCAPES = {
    "\\n": "\n", "\\t": "\t", "\\r": "\r", "\\a": "\a", "\\b": "\b", "\\f": "\f", "\\v": "\v",
    "\\\\": "\\", '\\"': '"', "\\'": "'", "\\\n": "\n",
}  # fmt: skip
_TOOL = Guard(GuardKind.TOOL)


def evaluate(run: Run, node: Node) -> Value:
    """The value of an expression; what it does on the way is noted."""
    run.step()
    match node.kind:
        case "string":
            return Text(_text(node))
        case "number":
            return Number(int(node.text) if is_number(node.text) else None)
        case "true" | "false":
            return Truth(node.kind == "true")
        case "nil":
            return Nil()
        case "vararg_expression":
            return run.varargs[0] if run.varargs else (ANY if run.varargs is None else Nil())
        case "identifier":
            return _name(node.text, run)
        case "parenthesized_expression":
            return evaluate(run, node.named[0])
        case "function_definition":
            return run.define(node)
        case "function_call":
            return call(node, run)
        case _:
            return _compound(node, run)


def _compound(node: Node, run: Run) -> Value:
    match node.kind:
        case "table_constructor":
            return _table(node, run)
        case "dot_index_expression":
            return _index(evaluate(run, _part(node, "table")), Text(_part(node, "field").text), run)
        case "bracket_index_expression":
            base = evaluate(run, _part(node, "table"))
            return _index(base, evaluate(run, _part(node, "field")), run)
        case "unary_expression":
            return _unary(node, run)
        case "binary_expression":
            return _binary(node, run)
        case _:
            run.doubt(f"layer does not know what this means: {node.kind}")
            run.lose()
            return ANY


def values(run: Run, nodes: Sequence[Node]) -> tuple[list[Value], bool]:
    """The values of a list of expressions, and whether more may follow that nobody knows."""
    found: list[Value] = []
    is_open = False
    for number, node in enumerate(nodes):
        is_last = number + 1 == len(nodes)
        if node.kind == "vararg_expression" and is_last:
            found += run.varargs or ()
            is_open = run.varargs is None
        else:
            found.append(evaluate(run, node))
            is_open = is_last and node.kind == "function_call"
    return found, is_open


def _part(node: Node, field: str) -> Node:
    return next(child for child in node.children if child.field == field)


def _text(node: Node) -> str:
    content = next((c for c in node.children if c.field == "content"), None)
    if content is None:
        return ""
    text = content.text
    if node.text.startswith("["):
        return text.removeprefix("\n")
    return re.sub(r"\\(x[0-9a-fA-F]{2}|[0-9]{1,3}|u\{[^}]*\}|z\s*|.)", _unescaped, text, flags=re.S)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], UNKNOWN)


def _name(name: str, run: Run) -> Value:
    value = run.value(name)
    if value is not None:
        if isinstance(value, Table) and run.changes_tables:
            return Table(None)
        return value
    if run.place.is_lost:
        return ANY
    if name in library.TABLES:
        return Library(name)
    if name in library.HARMLESS:
        return Function((name,))
    return ANY


def _index(base: Value, key: Value, run: Run) -> Value:
    if isinstance(base, Asked):
        return Asked(base.guards) if key == Text("type") else ANY
    if isinstance(base, Library) and base.name == "arg":
        is_count = key == Number(2) and run.count is not None
        return Number(run.count) if is_count else ANY
    if isinstance(base, Library) and isinstance(key, Text) and key.is_known:
        name = f"{base.name}.{key.text}"
        return Library(name) if name in library.TABLES else Function((name,))
    if isinstance(base, Table) and isinstance(key, Text) and not run.changes_tables:
        return dict(base.named).get(key.text, ANY)
    return ANY


def _table(node: Node, run: Run) -> Value:
    items: list[Value] = []
    named: list[tuple[str, Value]] = []
    is_open = False
    fields = [child for child in node.named if child.kind == "field"]
    for number, child in enumerate(fields):
        name = next((c for c in child.children if c.field == "name"), None)
        is_last = number + 1 == len(fields)
        found, more = values(run, [_part(child, "value")])
        is_open = is_open or (more and is_last)
        if any(isinstance(value, Function | Library) for value in found):
            run.doubt("a function is put where layer does not follow it")
            escape(found, run)
        if name is None:
            items += found if is_last else (found or [Nil()])[:1]
        elif name.kind == "identifier":
            named.append((name.text, found[0] if found else Nil()))
        else:
            evaluate(run, name)
            is_open = True
    return Table(None if is_open else tuple(items), tuple(named))


def _unary(node: Node, run: Run) -> Value:
    value = evaluate(run, _part(node, "operand"))
    if _part(node, "operator").text != "not":
        number = _number(value) if node.text.startswith("-") else None
        return Number(None if number is None else -number)
    known = truth(value)
    return Asked(guards_of(value)) if known is None else Truth(not known)


def _binary(node: Node, run: Run) -> Value:
    operator = _part(node, "operator").text
    left = evaluate(run, _part(node, "left"))
    if operator in {"and", "or"}:
        return _either_side(operator, left, _part(node, "right"), run)
    right = evaluate(run, _part(node, "right"))
    if operator == "..":
        return Text(_as_text(left) + _as_text(right))
    if operator in {"==", "~=", "<", ">", "<=", ">="}:
        return _compared(operator, left, right)
    return Number(None)


def _either_side(operator: str, left: Value, right: Node, run: Run) -> Value:
    known = truth(left)
    if known is not None:
        if known is (operator == "or"):
            run.skip(right)
            return left
        return evaluate(run, right)
    guards = guards_of(left)
    before, way = run.place, run.place.copy()
    way.guards = (*way.guards, *guards)
    run.place = way
    value = evaluate(run, right)
    run.place = before
    join(before, (before.copy(), way), guards)
    if operator == "or" and isinstance(left, Function):
        return either((left, value))
    return Asked(tuple(dict.fromkeys((*guards, *guards_of(value)))))


def _as_text(value: Value) -> str:
    if isinstance(value, Text):
        return value.text
    if isinstance(value, Number):
        return NUMBER if value.number is None else str(value.number)
    return UNKNOWN


def _compared(operator: str, left: Value, right: Value) -> Value:
    sides = (left, right)
    if isinstance(left, Child) and right == Number(0) and operator in {"==", "~=", ">"}:
        return Asked(())
    numbers = (_number(left), _number(right))
    if numbers[0] is not None and numbers[1] is not None:
        return Truth(_holds(operator, numbers[0], numbers[1]))
    if all(isinstance(side, Text) and side.is_known for side in sides) and operator in {"==", "~="}:
        return Truth((left == right) is (operator == "=="))
    if all(isinstance(side, Nil) for side in sides):
        return Truth(operator == "==")
    asked = [side for side in sides if isinstance(side, Asked)]
    if asked and not any(isinstance(side, Child) for side in sides):
        return Asked(tuple(dict.fromkeys(g for side in asked for g in side.guards)))
    if any(isinstance(side, Function) for side in sides):
        return Asked((_TOOL,))
    return Asked((OTHER,))


def _number(value: Value) -> int | None:
    return value.number if isinstance(value, Number) else None


def _holds(operator: str, left: int, right: int) -> bool:
    match operator:
        case "==":
            return left == right
        case "~=":
            return left != right
        case "<":
            return left < right
        case ">":
            return left > right
        case "<=":
            return left <= right
        case _:
            return left >= right
