"""Walks through a Lua script the way rpm's Lua would, on every way that a run could take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from layer.audit.grammar import Node
from layer.audit.lua import library
from layer.audit.lua.calls import escape
from layer.audit.lua.run import Run
from layer.audit.lua.values import (
    ANY,
    OTHER,
    Function,
    Library,
    Nil,
    Number,
    Table,
    Value,
    guards_of,
    join,
    truth,
)
from layer.audit.state import Guard
from layer.audit.verdict import Verdict

_MOST_ROUNDS = 64
_UNREACHED = "the script has ended before"
_SETS = "it sets a variable of the script"
_JUMPS = frozenset(["break_statement", "return_statement"])


def read(root: Node, run: Run) -> None:
    """The whole script."""
    run.changes_tables = _changes_tables(root)
    run.assigned = _names_set_in_functions(root)
    walk(run, root.children)
    for function in run.defined.values():
        run.skip(function, "the function is never called")


def walk(run: Run, nodes: Sequence[Node]) -> None:
    """Statements one after the other, with local variables of their own."""
    saved = run.frame
    run.frame = replace(saved, names=(), parent=saved)
    for node in nodes:
        if not node.is_named or node.kind in {"comment", "empty_statement"}:
            continue
        if run.place.ends:
            run.skip(node, _UNREACHED)
        else:
            _statement(node, run)
    run.frame = saved


def _changes_tables(root: Node) -> bool:
    """Whether the script changes a table somewhere after it has made it."""
    for node in root.walk():
        if node.kind == "variable_list" and any("index" in c.kind for c in node.children):
            return True
        if node.kind == "function_declaration" and any(
            c.field == "name" and c.kind != "identifier" for c in node.children
        ):
            return True
        if node.kind == "function_call":
            name = node.children[0].text
            if name.startswith("table.") and name not in {"table.concat", "table.unpack"}:
                return True
    return False


def _names_set_in_functions(root: Node) -> frozenset[str]:
    """Every name that a function of the script may assign to, whenever it is called."""
    functions = (
        n for n in root.walk() if n.kind in {"function_declaration", "function_definition"}
    )
    parts = (child for function in functions for child in function.children)
    return frozenset(name for part in parts for name in names_set(part))


def names_set(node: Node) -> Iterator[str]:
    """Every name that a part of the script may assign to, without the functions that it calls."""
    for part in node.walk():
        if part.kind == "variable_list":
            yield from (c.text for c in part.children if c.kind == "identifier")
        elif part.kind == "function_declaration":
            yield from (c.text for c in part.children if c.field == "name")


def _statement(node: Node, run: Run) -> None:
    run.step()
    known = _KINDS.get(node.kind)
    if known is not None:
        known(node, run)
        return
    run.notes.enter(node)
    run.doubt(f"layer does not follow this: {node.kind}")
    run.lose()


def _part(node: Node, field: str) -> Node | None:
    return next((child for child in node.children if child.field == field), None)


def _body(node: Node, field: str = "body") -> Sequence[Node]:
    body = _part(node, field)
    return () if body is None else body.children


# --- simple statements


def _call(node: Node, run: Run) -> None:
    run.notes.enter(node)
    run.evaluate(run, node)


def _local(node: Node, run: Run) -> None:
    run.notes.enter(node)
    run.note(Verdict.HARMLESS, _SETS)
    inner = next((c for c in node.named if c.kind == "assignment_statement"), node)
    listed = next(c for c in inner.named if c.kind == "variable_list")
    if any(child.kind == "attribute" for child in listed.children):
        run.doubt("layer does not follow what closes by itself")
    found = _values(inner, run)
    for place, name in enumerate(c for c in listed.children if c.kind == "identifier"):
        run.declare(name, found(place))


def _assign(node: Node, run: Run) -> None:
    run.notes.enter(node)
    run.note(Verdict.HARMLESS, _SETS)
    found = _values(node, run)
    listed = next(c for c in node.named if c.kind == "variable_list")
    for place, target in enumerate(listed.named):
        if target.kind == "identifier":
            run.assign(target.text, found(place))
        else:
            _put(target, found(place), run)


def _values(node: Node, run: Run) -> Callable[[int], Value]:
    """What each of the variables gets."""
    listed = next((c for c in node.named if c.kind == "expression_list"), None)
    values, is_open = run.values(run, () if listed is None else listed.named)
    rest = ANY if is_open else Nil()
    return lambda place: values[place] if place < len(values) else rest


def _put(target: Node, value: Value, run: Run) -> None:
    """A field of a table gets a value."""
    table = _part(target, "table")
    base = ANY if table is None else run.evaluate(run, table)
    field = _part(target, "field")
    if target.kind == "bracket_index_expression" and field is not None:
        run.evaluate(run, field)
    if not isinstance(base, Table):
        run.doubt("it changes what layer does not follow")
        escape((value,), run)
        run.lose()
    elif isinstance(value, Function | Library):
        run.doubt("a function is put where layer does not follow it")
        escape((value,), run)


def _define(node: Node, run: Run) -> None:
    name = _part(node, "name")
    assert name is not None
    run.notes.enter(node)
    if name.kind != "identifier":
        _put(name, run.define(node), run)
    elif node.children[0].text == "local":
        run.declare(name, Nil())
        run.assign(name.text, run.define(node))
    else:
        run.assign(name.text, run.define(node))


def _return(node: Node, run: Run) -> None:
    run.notes.enter(node)
    run.note(Verdict.HARMLESS, "it leaves")
    listed = next((c for c in node.named if c.kind == "expression_list"), None)
    if listed is not None:
        found, _ = run.values(run, listed.named)
        escape(found, run)
    run.place.ends = "jump" if run.depth else "exit"


def _break(_: Node, run: Run) -> None:
    run.place.ends = "jump"


# --- branches


def _if(node: Node, run: Run) -> None:
    _branch([c for c in node.children if c.kind != "comment"], run)


def _branch(parts: Sequence[Node], run: Run) -> None:
    """`if` or `elseif` with all that follows it, or `else`."""
    holder = parts[0]
    if holder.kind == "else_statement":
        run.walk(run, _body(holder))
        return
    if holder.kind == "elseif_statement":
        parts = (*holder.children, *parts[1:])
    test = next(c for c in parts if c.field == "condition")
    then = next((c.children for c in parts if c.field == "consequence"), ())
    rest = [c for c in parts if c.kind in {"elseif_statement", "else_statement"}]
    status, guards = _condition(test, run)
    _choose(status, guards, then, rest, run)


def _choose(
    status: bool | None,
    guards: tuple[Guard, ...],
    then: Sequence[Node],
    rest: Sequence[Node],
    run: Run,
) -> None:
    if run.place.ends:
        return
    for node in then if status is False else rest if status is True else ():
        run.skip(node)
    if status is True:
        run.walk(run, then)
    elif status is False:
        _otherwise(rest, run)
    else:
        before, ways = run.place, (run.place.copy(), run.place.copy())
        for number, way in enumerate(ways):
            way.guards = (*way.guards, *guards)
            run.place = way
            _otherwise(rest, run) if number else run.walk(run, then)
        run.place = before
        join(before, ways, guards)


def _otherwise(rest: Sequence[Node], run: Run) -> None:
    if rest:
        _branch(rest, run)


def _condition(node: Node, run: Run) -> tuple[bool | None, tuple[Guard, ...]]:
    run.notes.enter(node)
    run.note(Verdict.HARMLESS, "a test changes nothing")
    value = run.evaluate(run, node)
    return truth(value), guards_of(value)


# --- loops


def _do(node: Node, run: Run) -> None:
    run.walk(run, _body(node))


def _while(node: Node, run: Run) -> None:
    _around(node, run, (), is_tested_last=node.kind == "repeat_statement")


def _for(node: Node, run: Run) -> None:
    clause = _part(node, "clause")
    assert clause is not None
    run.notes.enter(clause)
    run.note(Verdict.HARMLESS, "a loop changes nothing by itself")
    if clause.kind == "for_numeric_clause":
        for child in clause.children:
            if child.field in {"start", "end", "step"}:
                run.evaluate(run, child)
        name = _part(clause, "name")
        assert name is not None
        _around(node, run, ((name, Number(None)),))
        return
    names = next(c for c in clause.named if c.kind == "variable_list").named
    source = next(c for c in clause.named if c.kind == "expression_list").named
    _over(node, names, source, run)


def _over(node: Node, names: Sequence[Node], source: Sequence[Node], run: Run) -> None:
    items = None
    if len(source) == 1 and source[0].kind == "function_call":
        items = _iterated(source[0], run)
    else:
        run.doubt("nobody can tell which function this calls")
        run.lose()
    if items is None or len(items) > _MOST_ROUNDS:
        _around(node, run, tuple((name, ANY) for name in names))
        return
    leaves = any(part.kind in _JUMPS for part in node.walk())
    for number, item in enumerate(items, 1):
        if not run.place.ends:
            _round(_body(node), run, tuple(zip(names, (Number(number), item), strict=False)))
            _arrive(run)
        if leaves:  # nobody knows which round was the last
            run.forget(frozenset(names_set(node)))
    if not items:
        for child in _body(node):
            run.skip(child)


def _iterated(node: Node, run: Run) -> tuple[Value, ...] | None:
    """What the loop goes through, where that is a list that the script names."""
    name = node.children[0]
    is_method = name.kind == "method_index_expression"
    method = _part(name, "method")
    callee = Function((f":{method.text}",)) if method else run.evaluate(run, name)
    given = next(c for c in node.children if c.field == "arguments").named
    if not isinstance(callee, Function) or not all(c in library.ITERATORS for c in callee.choices):
        run.doubt("nobody can tell which function this calls")
        run.lose()
        return None
    if is_method or callee != Function(("ipairs",)):
        run.evaluate(run, node)
        return None
    values, is_open = run.values(run, given)
    listed = values[0] if len(values) == 1 and not is_open else ANY
    return listed.items if isinstance(listed, Table) else None


def _around(
    node: Node,
    run: Run,
    variables: tuple[tuple[Node, Value], ...],
    *,
    is_tested_last: bool = False,
) -> None:
    """A loop of which nobody knows how often it turns: what it sets is not known in it."""
    test = _part(node, "condition")
    run.forget(frozenset(names_set(node)))
    guards: tuple[Guard, ...] = (OTHER,)
    if test is not None and not is_tested_last:
        status, found = _condition(test, run)
        if status is False:
            for child in _body(node):
                run.skip(child)
            return
        guards = (*found, *guards)
    before = run.place
    ways = (before.copy(), before.copy())
    ways[0].guards = (*before.guards, *guards)
    run.place = ways[0]
    last = test if is_tested_last else None
    _round(_body(node), run, variables, last)
    _arrive(run)
    if run.place.is_lost and not before.is_lost and not run.place.ends:
        _round(_body(node), run, variables, last)
        _arrive(run)
    run.place = before
    join(before, ways, guards)
    run.forget(frozenset(names_set(node)))


def _round(
    nodes: Sequence[Node],
    run: Run,
    variables: tuple[tuple[Node, Value], ...],
    test: Node | None = None,
) -> None:
    saved = run.frame
    run.frame = replace(saved, names=(), parent=saved, is_repeated=True)
    for name, value in variables:
        run.declare(name, value)
    run.walk(run, nodes)
    if test is not None and not run.place.ends:
        _condition(test, run)
    run.frame = saved


def _arrive(run: Run) -> None:
    """The end of a loop, at which jumps come down."""
    if run.place.ends == "jump":
        run.place.ends = ""


_KINDS: dict[str, Callable[[Node, Run], None]] = {
    "function_call": _call,
    "variable_declaration": _local,
    "assignment_statement": _assign,
    "function_declaration": _define,
    "return_statement": _return,
    "break_statement": _break,
    "if_statement": _if,
    "do_statement": _do,
    "while_statement": _while,
    "repeat_statement": _while,
    "for_statement": _for,
}
