"""Shell and Lua text as syntax trees. No object of `tree_sitter` leaves this module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter
import tree_sitter_bash
import tree_sitter_lua

from layer.frozen import dataclass

_SPACE = re.compile(rb"(?:[ \t\n]|\\\n)*")
_LUA_SPACE = re.compile(rb"[ \t\r\n\f\v]*")
_DASH = re.compile(rb"[ \t]+(?P<dash>-)[ \t]*")
_DEEPEST = 150  # levels of nesting; beyond it there is no real script, only the end of the stack
# The scanner leaves spaces between the parts of these to nobody.
_TEXTS = frozenset({"string", "heredoc_body", "translated_string"})
_LUA_TEXTS = frozenset({"string_content", "comment", "hash_bang_line"})


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of a script: `kind` and `field` are the grammar's names, `line` counts from 1.

    `start` and `end` are places in the bytes of the script.
    """

    kind: str
    field: str
    text: str
    line: int
    start: int
    end: int
    is_named: bool
    children: tuple[Node, ...]

    @property
    def named(self) -> tuple[Node, ...]:
        """The children that are more than punctuation, without comments."""
        return tuple(c for c in self.children if c.is_named and c.kind != "comment")

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse_script(text: str) -> Node | None:
    """The tree of a whole script; None where the grammar does not account for every byte of it."""
    return _parsed(text, _shell_parser(), _SPACE, _TEXTS)


def parse_lua(text: str) -> Node | None:
    """The tree of a whole Lua script; None as for the shell's."""
    return _parsed(text, _lua_parser(), _LUA_SPACE, _LUA_TEXTS)


def _parsed(
    text: str, parser: tree_sitter.Parser, space: re.Pattern[bytes], texts: frozenset[str]
) -> Node | None:
    if "\2" in text:  # it means something else in texts: see `NUMBER`
        return None
    # rpm strips the last line break, without which the grammar misses the end of a here-document.
    source = f"{text}\n".encode("utf-8", "surrogateescape")
    root = parser.parse(source).root_node
    if root.has_error or _depth(root) > _DEEPEST:
        return None
    node = _own(root, source, "")
    return node if _Accounts(source, space, texts).is_complete(node, 0, len(source)) else None


def _depth(root: tree_sitter.Node) -> int:
    """Levels of nesting, counted without recursion."""
    deepest, cursor, level = 0, root.walk(), 0
    while True:
        deepest = max(deepest, level)
        if cursor.goto_first_child():
            level += 1
        else:
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return deepest
                level -= 1


def _own(node: tree_sitter.Node, source: bytes, field: str) -> Node:
    children = tuple(
        _own(child, source, node.field_name_for_child(index) or "")
        for index, child in enumerate(node.children)
    )
    if node.type == "redirected_statement":
        children = _with_dash(children, source)
    return Node(
        kind=node.type,
        field=field,
        text=source[node.start_byte : node.end_byte].decode("utf-8", "surrogateescape"),
        line=node.start_point[0] + 1,
        start=node.start_byte,
        end=node.end_byte,
        is_named=node.is_named,
        children=children,
    )


def _with_dash(children: tuple[Node, ...], source: bytes) -> tuple[Node, ...]:
    """The children with the `-` of `command - <<END`, which the grammar drops."""
    if len(children) < 2 or children[1].kind != "heredoc_redirect":
        return children
    first, following, *rest = children
    found = _DASH.fullmatch(source, first.end, following.start)
    grown = found and _grown(first, found.end("dash"), source)
    return (grown, following, *rest) if grown else children


def _grown(node: Node, end: int, source: bytes) -> Node | None:
    """A command, or a list that ends with one, with the dash before `end`."""
    if node.kind == "command":
        last: Node | None = Node("word", "argument", "-", node.line, end - 1, end, True, ())
        kept = node.children
    else:
        last = _grown(node.children[-1], end, source) if node.kind == "list" else None
        kept = node.children[:-1]
    if last is None:
        return None
    text = source[node.start : end].decode("utf-8", "surrogateescape")
    return replace(node, text=text, end=end, children=(*kept, last))


@dataclass(frozen=True, slots=True)
class _Accounts:
    """Which bytes may belong to nobody: `space` anywhere, all of them in `texts`."""

    source: bytes
    space: re.Pattern[bytes]
    texts: frozenset[str]

    def is_complete(self, node: Node, start: int, end: int) -> bool:
        """Whether nothing but space between `start` and `end` is outside the node's leaves."""
        gaps = [(start, node.start), (node.end, end)]
        place = node.start
        for child in node.children:
            if not self.is_complete(child, child.start, child.end):
                return False
            gaps.append((place, child.start))
            place = child.end
        if node.children:
            gaps.append((place, node.end))
        if node.kind in self.texts:
            return True
        return all(self.space.fullmatch(self.source, *gap) is not None for gap in gaps)


@cache
def _shell_parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@cache
def _lua_parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_lua.language()))
