"""What `[ ... ]` and `case` decide, where it is known without running."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Sequence

from layer.audit.expansion import Effects, expand, expand_text, is_name
from layer.audit.grammar import Node
from layer.audit.state import UNKNOWN, Guard, GuardKind, State, Word

_NUMBERS = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-lt": operator.lt,
    "-le": operator.le,
    "-gt": operator.gt,
    "-ge": operator.ge,
}
_FILES = frozenset(
    [
        "-a",
        "-b",
        "-c",
        "-d",
        "-e",
        "-f",
        "-g",
        "-h",
        "-k",
        "-L",
        "-N",
        "-O",
        "-p",
        "-r",
        "-s",
        "-S",
        "-u",
        "-w",
        "-x",
        "-G",
    ]
)
_TOOLS = re.compile(r"(/usr)?/s?bin/[^/]+|/usr/lib/systemd/[^/]+")
_NUMBER = re.compile(r"[+-]?[0-9]+")

# What these hold changes which program a word names, or how the shell reads.
_TELLING = re.compile(
    r"PATH|IFS|LD_.*|BASH.*|ENV|SHELL|SHELLOPTS|GLOBIGNORE|CDPATH|PS[0-9]|PROMPT_COMMAND"
    r"|POSIXLY_CORRECT|HOME|TMPDIR|FUNCNEST|PERL.*|PYTHON.*|RUBY.*|GCONV_PATH|LOCPATH|NLSPATH"
    r"|XDG_.*|GIO_.*|SYSTEMD_.*|DPKG_ROOT|DPKG_ADMINDIR|MALLOC_.*|GLIBC_TUNABLES|OPTIND|FCEDIT"
)
_USUAL_PATH = re.compile(r"(/usr|/usr/local)?/s?bin(:(/usr|/usr/local)?/s?bin)*")


def why_not_set(name: str, text: str) -> str:
    """Why setting this variable matters beyond the script's own use of it, "" where it does not."""
    if name == "PATH" and _USUAL_PATH.fullmatch(text):
        return ""
    if (name, text) == ("HOME", "/root"):  # as it is
        return ""
    if name.startswith("DPKG_") and not _TELLING.fullmatch(name):
        return ""
    return f"{name} changes what later commands do" if _TELLING.fullmatch(name) else ""


def judge_test(
    node: Node, state: State, effects: Effects, own_files: frozenset[str]
) -> tuple[bool | None, tuple[Guard, ...]]:
    """The status of `[ ... ]` or `[[ ... ]]`, and what it asks about."""
    is_double = node.children[0].kind == "[["
    words = list(_operands(node.children[1:-1], state, effects, is_double=is_double))
    if is_double:
        _doubt_numbers(node, words, effects)
    return evaluate(words, node, effects, own_files, is_double=is_double)


def evaluate(
    words: Sequence[Word],
    node: Node,
    effects: Effects,
    own_files: frozenset[str] = frozenset(),
    *,
    is_double: bool = False,
) -> tuple[bool | None, tuple[Guard, ...]]:
    """What `test` with these words says."""
    if any(word.text in {"-v", "-R"} for word in words):
        effects.doubt(node, "the test runs what stands in a subscript")
    guards = tuple(dict.fromkeys(_guards(words)))
    if not is_double and any(UNKNOWN in w.text and not w.is_quoted for w in words):
        return None, guards
    if any(word.has_pattern for word in words):
        return None, guards
    return _status(words, own_files), guards


def _status(words: Sequence[Word], own: frozenset[str]) -> bool | None:
    texts = [word.text for word in words]
    for names, rule in (({"-o", "||"}, _either), ({"-a", "&&"}, _both)):
        for place, text in enumerate(texts):
            if text in names and 0 < place < len(texts) - 1:
                return rule(_status(words[:place], own), _status(words[place + 1 :], own))
    if texts[:1] == ["!"] and len(texts) > 1:
        inner = _status(words[1:], own)
        return None if inner is None else not inner
    if len(texts) == 1:
        return None if UNKNOWN in texts[0] else bool(texts[0])
    if len(texts) == 2:
        return _of_one(texts[0], texts[1], own)
    return _of_two(*texts) if len(texts) == 3 else (False if not texts else None)


def _of_one(sign: str, text: str, own: frozenset[str]) -> bool | None:
    if sign in {"-n", "-z"}:
        if text.replace(UNKNOWN, ""):
            return sign == "-n"
        return None if text else sign == "-z"
    return True if sign in {"-e", "-f", "-r"} and text in own else None


def _of_two(left: str, sign: str, right: str) -> bool | None:
    if UNKNOWN in left + right:
        return None
    if sign in {"=", "=="}:
        return left == right
    if sign == "!=":
        return left != right
    if sign in _NUMBERS and _NUMBER.fullmatch(left) and _NUMBER.fullmatch(right):
        return bool(_NUMBERS[sign](int(left), int(right)))
    return None


def _either(left: bool | None, right: bool | None) -> bool | None:
    return True if True in (left, right) else None if None in (left, right) else False


def _both(left: bool | None, right: bool | None) -> bool | None:
    return False if False in (left, right) else None if None in (left, right) else True


def _operands(
    nodes: Sequence[Node], state: State, effects: Effects, *, is_double: bool
) -> list[Word]:
    words: list[Word] = []
    for node in nodes:
        if node.kind in {"binary_expression", "unary_expression"}:
            words += _operands(node.children, state, effects, is_double=is_double)
        elif node.kind == "parenthesized_expression":
            words += [Word("("), *_operands(node.children, state, effects, is_double=is_double)]
        elif not node.is_named:
            if not is_double and node.text in {"<", ">", "=~"}:
                effects.doubt(node, "in [ ... ] this is a redirection")
            words.append(Word(node.text))
        elif node.kind == "regex":
            if "$" in node.text or "`" in node.text:
                effects.doubt(node, "the expression may hold a command")
            words.append(Word(UNKNOWN, is_quoted=True))
        elif is_double:
            text = expand_text(node, state, effects)
            words.append(Word(text, True, any(sign in node.text for sign in "*?[(")))
        else:
            words += expand(node, state, effects)
    return words


def _doubt_numbers(node: Node, words: Sequence[Word], effects: Effects) -> None:
    """`[[ ... -eq ... ]]` computes its words, subscripts and the commands in them included."""
    for place, word in enumerate(words):
        if word.text in _NUMBERS:
            sides = words[max(place - 1, 0) : place + 2 : 2]
            if not all(_NUMBER.fullmatch(side.text) for side in sides):
                effects.doubt(node, "arithmetic runs what stands in subscripts")


def _guards(words: Sequence[Word]) -> list[Guard]:
    """What the words ask about: one guard for each path, OTHER for all else."""
    found: list[Guard] = []
    place = 0
    while place < len(words):
        text = words[place].text
        following = words[place + 1] if place + 1 < len(words) else None
        if text in {"!", "-o", "&&", "||"} or (text == "-a" and found):
            place += 1
        elif text in _FILES and following is not None and following.is_known:
            is_tool = text == "-x" and _TOOLS.fullmatch(following.text)
            kind = GuardKind.TOOL if is_tool else GuardKind.PATH
            found.append(Guard(kind, following.text))
            place += 2
        else:
            return [Guard(GuardKind.OTHER)]
    return found


def matches_case(
    text: str, patterns: Sequence[Node], state: State, effects: Effects
) -> bool | None:
    """Whether one of the patterns of an arm of `case` fits."""
    results = [_fits(text, pattern, state, effects) for pattern in patterns]
    return True if True in results else None if None in results else False


def _fits(text: str, pattern: Node, state: State, effects: Effects) -> bool | None:
    if pattern.kind in {"raw_string", "string"}:
        wanted = expand_text(pattern, state, effects)
        return None if UNKNOWN in wanted + text else wanted == text
    expression = pattern.text
    if pattern.children or any(sign in expression for sign in "[\\$`\"'(!"):
        if (
            pattern.kind not in {"word", "extglob_pattern"}
            or "$(" in expression
            or "`" in expression
        ):
            expand_text(pattern, state, effects)
        return None
    if expression == "*":
        return True
    return None if UNKNOWN in text else fnmatch.fnmatchcase(text, expression)


def is_identifier(word: Word) -> bool:
    """Whether a word names a variable and nothing else."""
    return word.is_known and is_name(word.text)
