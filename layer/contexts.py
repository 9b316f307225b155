"""An SELinux policy's text files: its type, and which paths a change of them can touch.

The formats are those of selabel_file(5) and selinux_config(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from layer.frozen import dataclass

FOLDER = "usr/etc/selinux"
CONFIG = f"{FOLDER}/config"
SPECIFICATIONS = ("file_contexts", "file_contexts.homedirs", "file_contexts.local")
SUBSTITUTIONS = ("file_contexts.subs", "file_contexts.subs_dist")

# Where a tree has what a running system has elsewhere; ostree looks a path up as it is in
# the tree, and deploys /etc with the labels of /etc. rpm-ostree adds the same lines.
_MOVED = (("/usr/etc", "/etc"), ("/usr/lib/opt", "/opt"))
_IN_LIBOSTREE = (("/proc", "/mnt"),)  # ostree_sepolicy_get_label: a directory to mount over
_SPECIAL = set(".^$?*+|[({\\")
_QUANTIFIERS = set("?*{")
_ESCAPED = re.compile(r"\\.")
_CLASS = re.compile(r"\[[^]]*\]")


@dataclass(frozen=True, slots=True)
class Contexts:
    """What decides the labels of paths: the lines of SPECIFICATIONS and of SUBSTITUTIONS."""

    specifications: tuple[str, ...]
    substitutions: tuple[str, ...]


def parse_type(config: str) -> str | None:
    """The policy that /etc/selinux/config names; None where SELinux is disabled."""
    found = None
    for line in map(str.strip, config.splitlines()):
        if line == "SELINUX=disabled":
            return None
        if line.startswith("SELINUXTYPE="):
            found = line.partition("=")[2].strip()
    return found or None


def parse_contexts(specifications: Iterable[str], substitutions: Iterable[str]) -> Contexts:
    """The texts of the files, each in the order of its names, "" for one that is not there."""
    return Contexts(
        tuple(line for text in specifications for line in _lines(text)),
        tuple(line for text in substitutions for line in _lines(text)),
    )


def with_moved_paths(text: str) -> str:
    """A file_contexts.subs_dist that gives /usr/etc the labels of /etc, and so on."""
    known = {source for source, _ in _pairs(_lines(text))}
    added = [f"{source} {target}\n" for source, target in _MOVED if source not in known]
    end = "\n" if added and text and not text.endswith("\n") else ""
    return text + end + "".join(added)


def touched(old: Contexts, new: Contexts) -> tuple[str, ...]:
    """Beginnings of all paths whose label can differ between the two; ("",) means every path.

    A path's label follows from the specifications that match it, in their order,
    so a line that came or went touches only what it matches.
    """
    lines = _changed(old.specifications, new.specifications)
    moved = _changed(old.substitutions, new.substitutions)
    if lines is None or moved is None:
        return ("",)
    pairs = {
        *_pairs(old.substitutions),
        *_pairs(new.substitutions),
        *_IN_LIBOSTREE,
    }
    found = {_beginning(line.split()[0]) for line in lines}
    # file_contexts.subs and then subs_dist: a path is substituted twice at most.
    for _ in SUBSTITUTIONS:
        found |= {origin for prefix in found for origin in _origins(prefix, pairs)}
    found |= {source for source, _ in _pairs(moved)}
    return _shortest(found)


def is_touched(prefixes: Sequence[str], path: str) -> bool:
    """Whether a path, or one below it, begins with one of the prefixes."""
    return any(path.startswith(prefix) or prefix.startswith(path) for prefix in prefixes)


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _pairs(lines: Iterable[str]) -> list[tuple[str, str]]:
    words = (line.split() for line in lines)
    return [(found[0], found[1]) for found in words if len(found) > 1]


def _changed(old: Sequence[str], new: Sequence[str]) -> set[str] | None:
    """The lines that only one has; None where the others stand in another order."""
    changed = set(old) ^ set(new)
    if [line for line in old if line not in changed] != [x for x in new if x not in changed]:
        return None
    return changed


def _beginning(regex: str) -> str:
    """The characters with which whatever the expression matches begins."""
    end = next((at for at, letter in enumerate(regex) if letter in _SPECIAL), len(regex))
    if end < len(regex) and regex[end] in _QUANTIFIERS:
        end -= 1  # the last character may be missing
    return "" if _has_alternatives(regex) else regex[: max(end, 0)]


def _has_alternatives(regex: str) -> bool:
    """Whether a `|` stands outside all parentheses; where it is unclear, it does."""
    if "|" not in regex:
        return False
    if any(text in regex for text in ("[]", "[^]", "[[", "\\Q")):
        return True
    plain = _ESCAPED.sub("", regex)
    depth = 0
    for letter in _CLASS.sub("", plain):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "|" and depth <= 0:
            return True
    return False


def _origins(prefix: str, pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Beginnings of paths that a substitution turns into one that begins with `prefix`."""
    for source, target in pairs:
        stem = "" if target == "/" else target
        if prefix.startswith(stem):
            yield source + prefix.removeprefix(stem)
        elif stem.startswith(prefix):
            yield source


def _shortest(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Without those that another one covers."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
