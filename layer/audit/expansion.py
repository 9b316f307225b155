"""The words that a shell would make of an argument, as far as they are known without running."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from layer.audit.grammar import Node
from layer.audit.state import UNKNOWN, State, Word
from layer.frozen import dataclass
from layer.words import is_number

_ESCAPED = re.compile(r"\\(\n|.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\([$`"\\\n])')
_PATTERN = re.compile(r"[*?\[]|[@!+]\(")
_FILE = re.compile(r"(/[A-Za-z0-9_.+-]+){2,}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARITHMETIC = {"binary_expression", "parenthesized_expression", "unary_expression"}
_DEFAULTS = (":-", "-", ":+", "+", ":?", "?")


class Effects(Protocol):
    """Who is told what an expansion does beyond making words."""

    def substitute(self, node: Node, state: State) -> None:
        """The commands in `node` would run in a shell of their own."""

    def doubt(self, node: Node, reason: str) -> None:
        """Nobody can say what `node` does."""

    def set_variable(self, node: Node, name: str, text: str, state: State) -> None:
        """An expansion sets a variable."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    is_quoted: bool = False
    splits: bool = False  # at white space: it came from an unquoted expansion
    separates: bool = False  # a word ends here: between two of "$@"


def expand(node: Node, state: State, effects: Effects) -> list[Word]:
    """The words of one argument."""
    return list(_words(list(_pieces(node, state, effects))))


def expand_text(node: Node, state: State, effects: Effects) -> str:
    """The one text of an assignment's value or a here-document: nothing is split."""
    return "".join(
        UNKNOWN if piece.separates else piece.text for piece in _pieces(node, state, effects)
    )


def _words(pieces: list[_Piece]) -> Iterator[Word]:
    text, started, quoted, pattern = "", False, True, False
    for piece in pieces:
        chunks: list[str | None] = [piece.text]
        if piece.separates:
            chunks = [None]
        elif piece.splits:
            chunks = _split(piece.text)
        for chunk in chunks:
            if chunk is None:
                if started:
                    yield Word(text, quoted, pattern)
                text, started, quoted, pattern = "", False, True, False
            elif chunk or piece.is_quoted:
                text, started = text + chunk, True
                quoted = quoted and (piece.is_quoted or UNKNOWN not in chunk)
                pattern = pattern or (not piece.is_quoted and _is_pattern(chunk))
    if started:
        yield Word(text, quoted, pattern or _has_braces(pieces))


def _split(text: str) -> list[str | None]:
    """The fields of a text, None between any two and where white space is at an end."""
    if not text:
        return []
    chunks: list[str | None] = []
    for part in re.split(r"([ \t\n]+)", text):
        if part:
            chunks.append(None if part.isspace() else part)
    return chunks


def _is_pattern(text: str) -> bool:
    return _PATTERN.search(text) is not None


def _has_braces(pieces: list[_Piece]) -> bool:
    """`{a,b}` and `{1..3}` become several words."""
    bare = "".join(piece.text for piece in pieces if not piece.is_quoted and not piece.splits)
    return re.search(r"\{.*(,|\.\.).*\}", bare, re.DOTALL) is not None


def _pieces(node: Node, state: State, effects: Effects) -> Iterator[_Piece]:
    match node.kind:
        case "word" | "extglob_pattern" | "number" | "variable_name" | "test_operator":
            yield from _plain(node, state, effects)
        case "raw_string":
            yield _Piece(node.text[1:-1], is_quoted=True)
        case "ansi_c_string":
            yield _Piece(UNKNOWN, is_quoted=True)  # dash takes the dollar literally
        case "string":
            yield from _string(node, state, effects)
        case "concatenation" | "command_name":
            for child in node.children:
                yield from _pieces(child, state, effects)
        case "simple_expansion" | "expansion":
            yield from _expansion(node, state, effects, is_quoted=False)
        case "$":
            yield _Piece("$")
        case _:
            yield _made(node, state, effects)


def _made(node: Node, state: State, effects: Effects) -> _Piece:
    """What commands, sums and here-documents come to."""
    if node.kind in {"command_substitution", "process_substitution"}:
        effects.substitute(node, state)
        return _Piece(_folder(node, state, effects), splits=True)
    if node.kind == "arithmetic_expansion":
        return _arithmetic(node, state, effects)
    if node.kind == "heredoc_body":
        return _Piece(_text_with_gaps(node, state, effects, _heredoc_escapes), is_quoted=True)
    return next(_other(node, state, effects))


def _folder(node: Node, state: State, effects: Effects) -> str:
    """What `dirname` of one known path prints; UNKNOWN for all other commands."""
    words = node.named[0].named if len(node.named) == 1 and node.named[0].kind == "command" else ()
    if len(words) != 2 or words[0].text != "dirname" or "dirname" in state.functions:
        return UNKNOWN
    if words[1].kind not in {"word", "string", "simple_expansion"} or set("(`") & set(
        words[1].text
    ):
        return UNKNOWN
    found = expand(words[1], state, effects)
    is_path = len(found) == 1 and found[0].is_known and _FILE.fullmatch(found[0].text)
    return found[0].text.rpartition("/")[0] if is_path else UNKNOWN


def _plain(node: Node, state: State, effects: Effects) -> Iterator[_Piece]:
    if node.children:
        yield from _other(node, state, effects)
        return
    place, text = 0, node.text
    if "$(" in text or "`" in text:
        effects.doubt(node, "it may hold a command")
    if text.startswith("~"):
        yield _Piece(UNKNOWN)
        return
    for found in _ESCAPED.finditer(text):
        yield _Piece(text[place : found.start()])
        if found[1] != "\n":
            yield _Piece(found[1], is_quoted=True)
        place = found.end()
    yield _Piece(text[place:])


def _other(node: Node, state: State, effects: Effects) -> Iterator[_Piece]:
    """A construct that is not followed: what runs inside it is judged, its text is not known."""
    effects.doubt(node, f"layer does not know what this means: {node.kind}")
    for child in node.children:
        list(_pieces(child, state, effects))
    yield _Piece(UNKNOWN, splits=True)


def _string(node: Node, state: State, effects: Effects) -> Iterator[_Piece]:
    inner = node.named
    if len(inner) == 1 and inner[0].text == "$@" == node.text[1:-1]:
        if state.arguments is None:
            yield _Piece(UNKNOWN)
            return
        for number, text in enumerate(state.arguments):
            if number:
                yield _Piece("", separates=True)
            yield _Piece(text, is_quoted=True)
        return
    yield _Piece(_text_with_gaps(node, state, effects, _quote_escapes), is_quoted=True)


def _quote_escapes(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(lambda found: "" if found[1] == "\n" else found[1], text)


def _heredoc_escapes(text: str) -> str:
    return re.sub(r"\\([$`\\\n])", lambda found: "" if found[1] == "\n" else found[1], text)


def _text_with_gaps(node: Node, state: State, effects: Effects, unescape: object) -> str:
    """Text in which spaces between two expansions belong to no child."""
    assert callable(unescape)
    source = node.text.encode("utf-8", "surrogateescape")
    parts, place = [], node.start

    def literal(start: int, end: int) -> str:
        raw = source[start - node.start : end - node.start]
        return str(unescape(raw.decode("utf-8", "surrogateescape")))

    for child in node.children:
        parts.append(literal(place, child.start))
        place = child.end
        if child.kind in {"string_content", "heredoc_content"} and not child.children:
            parts.append(literal(child.start, child.end))
        elif child.kind == '"':
            pass
        elif child.kind == "$":
            parts.append(literal(child.start, child.end))
        elif child.kind in {"simple_expansion", "expansion"}:
            # Its first token may begin with the spaces before it.
            parts.append(_quote_escapes(child.text.partition("$")[0]))
            found = _expansion(child, state, effects, is_quoted=True)
            parts.append("".join(UNKNOWN if p.separates else p.text for p in found))
        else:
            parts.append("".join(piece.text for piece in _pieces(child, state, effects)))
    parts.append(literal(place, node.end))
    return "".join(parts)


def _expansion(node: Node, state: State, effects: Effects, *, is_quoted: bool) -> Iterator[_Piece]:
    """`$name` and `${name...}`."""
    tokens = [c for c in node.children if c.is_named or not c.text.endswith(("$", "${", "}"))]
    name = tokens[0].text if tokens else ""
    if len(tokens) == 1 and tokens[0].kind in {"variable_name", "special_variable_name"}:
        yield _Piece(_value(name, state), is_quoted=is_quoted, splits=not is_quoted)
        return
    yield _Piece(_modified(node, tokens, state, effects), is_quoted=is_quoted, splits=not is_quoted)


def _value(name: str, state: State) -> str:
    if name in {"@", "*"}:
        return UNKNOWN if state.arguments is None else " ".join(state.arguments)
    if name == "#":
        known = state.arguments is not None and not any(UNKNOWN in a for a in state.arguments)
        return str(len(state.arguments or ())) if known else UNKNOWN
    return state.value(name)


def _modified(node: Node, tokens: list[Node], state: State, effects: Effects) -> str:
    """`${name:-word}` and its like; UNKNOWN where the value is not worth knowing."""
    operators = [token.text for token in tokens if not token.is_named]
    first = tokens[0] if tokens else node
    if first.text == "#" and len(tokens) == 2 and tokens[1].kind == "variable_name":
        return UNKNOWN  # the length
    is_plain = first.kind in {"variable_name", "special_variable_name"}
    if not is_plain or not operators or operators[0] not in _KNOWN_OPERATORS:
        list(_other(node, state, effects))
        return UNKNOWN
    texts = [expand_text(_as_word(child), state, effects) for child in tokens[1:] if child.is_named]
    value, word = _value(first.text, state), texts[0] if texts else ""
    operator = operators[0]
    if operator in {"=", ":="}:
        effects.set_variable(node, first.text, UNKNOWN, state)
        return UNKNOWN
    if UNKNOWN in value or operator not in _DEFAULTS[:4]:
        return UNKNOWN
    is_used = bool(value) == (operator in {":-", "-"})
    if operator in {"-", "+"} and not value:
        return UNKNOWN  # set and empty, or not set: not told apart
    if operator in {":+", "+"}:
        return "" if not value else word
    return value if is_used else word


_KNOWN_OPERATORS = (*_DEFAULTS, "=", ":=", "%", "%%", "#", "##", "/", "//", "^", "^^", ",", ",,")


def _as_word(node: Node) -> Node:
    """The pattern of `${name%pattern}`: a word like any other."""
    if node.kind != "regex" or node.children:
        return node
    return Node("word", "", node.text, node.line, node.start, node.end, True, ())


def _arithmetic(node: Node, state: State, effects: Effects) -> _Piece:
    """Sums of numbers. A variable's text would be computed in turn, subscripts and all."""
    for part in node.walk():
        known = part.kind in _ARITHMETIC or part.kind in {"arithmetic_expansion", "number"}
        if part.is_named and not known:
            value = UNKNOWN
            if part.kind in {"variable_name", "simple_expansion"}:
                value = state.value(part.text.removeprefix("$"))
            if part.kind == "special_variable_name" and part.text in {"#", "?"}:
                value = "0"
            if not is_number(value):
                effects.doubt(part, "arithmetic runs what stands in subscripts")
        if not part.is_named and part.text in {"++", "--"} | _ASSIGNING:
            effects.doubt(part, "arithmetic sets a variable")
    return _Piece(UNKNOWN)


_ASSIGNING = {"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="}


def is_name(text: str) -> bool:
    """Whether a text is a variable's name and nothing more."""
    return _NAME.fullmatch(text) is not None
