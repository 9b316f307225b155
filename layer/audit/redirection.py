"""Where the input of a command comes from and where its output goes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field

from layer.audit.expansion import Effects, expand, expand_text
from layer.audit.grammar import Node
from layer.audit.state import UNKNOWN, State, Word
from layer.frozen import dataclass

_NOWHERE = frozenset(["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"])
# openSUSE's note for a script at the end of the transaction, which is judged by itself.
_NOTE = re.compile(r"/run/regenerate-initrd/[a-z0-9]+")
# What a command said, which nobody reads where it did not run.
_LOG = re.compile(r"/var/log/[a-z0-9_-]+\.log")
_DESCRIPTOR = re.compile(r"[0-9]+-?|-")


@dataclass(slots=True)
class Plumbing:
    """The redirections of one statement.

    `writes` says which file it would write, "" for none; `fed` is the text on its standard
    input where `is_fed`. `words` stand behind a redirection and belong to the command; `piped`
    and `followed` stand behind a here-document.
    """

    shown: Node
    writes: str = ""
    fed: str | None = None
    is_fed: bool = False
    words: list[Word] = field(default_factory=list)
    piped: list[Node] = field(default_factory=list)
    followed: list[tuple[str, Node]] = field(default_factory=list)

    def feed(self, text: str) -> None:
        """Standard input is this text."""
        self.fed, self.is_fed = text, True


def plumb(shown: Node, redirects: Sequence[Node], state: State, effects: Effects) -> Plumbing:
    """Follows the redirections of the statement `shown`."""
    plumbing = Plumbing(shown)
    for node in redirects:
        _add(plumbing, node, state, effects)
    return plumbing


def _add(plumbing: Plumbing, node: Node, state: State, effects: Effects) -> None:
    match node.kind:
        case "file_redirect":
            _file(plumbing, node, state, effects)
        case "herestring_redirect":
            plumbing.feed("".join(expand_text(c, state, effects) for c in node.named) + "\n")
        case "heredoc_redirect":
            _document(plumbing, node, state, effects)
        case _:
            plumbing.writes = f"layer does not follow this redirection: {node.kind}"


def _file(plumbing: Plumbing, node: Node, state: State, effects: Effects) -> None:
    operator = "".join(c.text for c in node.children if not c.is_named)
    targets = [c for c in node.named if c.field == "destination"]
    words = expand(targets[0], state, effects) if targets else []
    # Seen: `echo >&2 TEXT` is read as two destinations.
    plumbing.words += [word for other in targets[1:] for word in expand(other, state, effects)]
    if operator == "<" and len(words) == 1:
        if not any(c.field == "descriptor" for c in node.children):
            plumbing.feed(UNKNOWN)
        return
    if operator in {">&-", "<&-"} and not words:
        return
    text = words[0].text if len(words) == 1 and words[0].is_known else UNKNOWN
    if operator in {">&", "<&"} and _DESCRIPTOR.fullmatch(text):
        if operator == "<&":
            plumbing.feed(UNKNOWN)
        return
    if operator not in {">", ">>", "&>", "&>>", ">|", ">&"} or not _is_nowhere(text):
        plumbing.writes = f"it writes {'to a file' if UNKNOWN in text else text}"


def _is_nowhere(text: str) -> bool:
    return text in _NOWHERE or any(each.fullmatch(text) for each in (_NOTE, _LOG))


def _document(plumbing: Plumbing, node: Node, state: State, effects: Effects) -> None:
    start = next(c.text for c in node.children if c.kind == "heredoc_start")
    body = next((c for c in node.children if c.kind == "heredoc_body"), None)
    indent = any(c.kind == "<<-" for c in node.children)
    text = ""
    if body is not None:
        is_raw = any(sign in start for sign in "'\"\\")
        text = body.text if is_raw else expand_text(body, state, effects)
    plumbing.feed(re.sub(r"^\t+", "", text, flags=re.MULTILINE) if indent else text)
    operator = ""
    for child in node.children:
        if child.field == "redirect":
            _add(plumbing, child, state, effects)
        elif child.field == "operator":
            operator = child.text
        elif child.field == "right":
            plumbing.followed.append((operator, child))
        elif child.kind == "pipeline":
            plumbing.piped += child.named
        elif child.is_named and child.kind not in _OF_A_DOCUMENT:
            plumbing.writes = "layer does not follow what stands behind this here-document"


_OF_A_DOCUMENT = frozenset(
    ["heredoc_start", "heredoc_body", "heredoc_end", "comment", "file_descriptor"]
)
