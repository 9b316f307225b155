"""Between paths of a tree and the paths that packages and people know them by; the inverse of
`layout`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from layer.layout import FACTORY, LINKS, RULES, Fate

# What a person calls the places that are elsewhere on a running machine.
_SHOWN = (
    ("usr/etc", "/etc"),
    ("usr/lib/opt", "/opt"),
    ("usr/lib/ostree-boot", "/boot"),
    (f"{FACTORY}/var", "/var"),
)
_KERNEL = re.compile(r"usr/lib/modules/([^/]+)/vmlinuz")
_KERNEL_IN_PACKAGE = re.compile(r"boot/vmlinuz-([^/]+)")


def header_paths(tree_path: str) -> tuple[str, ...]:
    """The absolute paths in packages that could land at a path of a tree (no leading slash)."""
    candidates = [tree_path] if tree_path in LINKS else []
    candidates += [
        rule.root + tree_path[len(rule.target) :]
        for rule in RULES
        if rule.fate is Fate.TREE and _is_at_or_below(tree_path, rule.target)
    ]
    if tree_path.startswith(f"{FACTORY}/"):
        candidates.append(tree_path.removeprefix(f"{FACTORY}/"))
    kernel = _KERNEL.fullmatch(tree_path)
    if kernel:
        candidates.append(f"boot/vmlinuz-{kernel[1]}")
    paths = (f"/{path}" for path in dict.fromkeys(candidates))
    return tuple(path for path in paths if tree_path in tree_paths(path))


def tree_paths(header_path: str) -> tuple[str, ...]:
    """Where an absolute path of a package can land in a tree, by what kind of file it is."""
    path = header_path[1:]
    rule = next((rule for rule in RULES if _is_at_or_below(path, rule.root)), None)
    found = [path] if path in LINKS else []
    if rule is None or rule.fate is Fate.REFUSED:
        return tuple(found)
    moved = rule.target + path[len(rule.root) :]
    if rule.fate is Fate.TREE:
        kernel = _KERNEL_IN_PACKAGE.fullmatch(path)
        found += [f"usr/lib/modules/{kernel[1]}/vmlinuz"] if kernel else []
        found.append(moved)
    elif moved.startswith("var/"):
        found.append(f"{FACTORY}/{moved}")
    return tuple(found)


def user_path(tree_path: str) -> str:
    """A path of a tree as it is called on a running machine: usr/etc/x is /etc/x."""
    for root, name in _SHOWN:
        if _is_at_or_below(tree_path, root):
            return name + tree_path[len(root) :]
    return f"/{tree_path}"


def directories_above(paths: Iterable[str]) -> set[str]:
    """All directories in which the paths of a tree lie, at any depth; not the tree's own."""
    found: set[str] = set()
    for path in paths:
        at = path.rfind("/")
        while at > 0 and (parent := path[:at]) not in found:
            found.add(parent)
            at = path.rfind("/", 0, at)
    return found


def _is_at_or_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")
