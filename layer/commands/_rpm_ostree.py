"""The program linked as `rpm-ostree`: what its callers say, in layer's words, by tables.

Whatever stands in no table here is said by both programs in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from layer.frozen import dataclass

NAME = "rpm-ostree"

# Other names of verbs: rpm-ostree's own aliases.
VERBS = {"update": "upgrade", "pkg-add": "install", "pkg-remove": "uninstall"}

# What has nothing to do here: what is printed in place of it.
DONE_ALREADY = {
    "reload": "There is no daemon; each run reads its configuration anew.",
}

# Options that change nothing here: how many words follow one, and why it is heeded no further.
IGNORED: Mapping[str, tuple[int, str]] = {
    "--peer": (0, "there is no daemon to go without"),
    "--bypass-driver": (0, "no update agent is registered with layer, so none is in the way"),
    "--register-driver": (1, "the same: agents may work side by side, each under the lock"),
    "--skip-branch-check": (0, "a commit is looked for in the history of the base's ref alone"),
    "--experimental": (0, "what rpm-ostree tries out is no trial here"),
    "--skip-purge": (0, "what was pulled stays until `layer cleanup -b`"),
    "--advisories": (0, "advisories are not shown"),
}

# Options that mean something that is not done: what to do in place of them.
REFUSED: Mapping[str, str] = {
    "--force-replacefiles": "two owners of one path are a conflict; leave one of the packages out",
    "--releasever": "write it to /etc/dnf/vars/releasever",
    "--custom-origin-url": "layer keeps no such words in the origin",
    "--custom-origin-description": "layer keeps no such words in the origin",
    "--jsonpath": "say --json, and take the key from that",
    "--import-proc-cmdline": "say each argument with --append",
    "--deploy-index": "layer rollback first, so that it is what boots next",
    "--editor": "say each edit with --append, --delete and --replace",
}

# `reset` with one of these takes back a part; without any, all.
_PARTS = {
    **dict.fromkeys(("-l", "--overlays"), ("uninstall", "--all", "--idempotent")),
    **dict.fromkeys(("-o", "--overrides"), ("override", "reset", "--all")),
    **dict.fromkeys(("-i", "--initramfs"), ("initramfs", "--disable")),
}
_LETTERS = {"status": {"-a": "--advisories", "-J": "--jsonpath"}, "db": {"-a": "--advisories"}}
_NAMING = {"-m": "remote", "--remote": "remote", "-b": "branch", "--branch": "branch"}  # `rebase`
_PREFIXES = ("revision=", "version=")  # of what `deploy` takes


@dataclass(frozen=True, slots=True)
class _Line:
    """A command line on its way: the words that stay, and those of `rebase` that name a base."""

    verb: str
    words: tuple[str, ...]
    remote: str
    branch: str


def is_caller() -> bool:
    """Whether this run was called as rpm-ostree, which asks nobody."""
    return click.get_current_context().find_root().info_name == NAME


def translate(words: Sequence[str]) -> list[str]:
    """rpm-ostree's command line as layer's; UsageError where it asks for what is not done."""
    place = next((i for i, word in enumerate(words) if not word.startswith("-")), None)
    if place is None:
        return list(words)
    verb = VERBS.get(words[place], words[place])
    line = _read(verb, words[place + 1 :])
    return [*words[:place], *_in_layers_words(line)]


def _read(verb: str, words: Sequence[str]) -> _Line:
    left, kept, named = list(words), [], {"remote": "", "branch": ""}
    while left:
        word = left.pop(0)
        if word == "--":
            kept += [word, *left]
            break
        name, is_whole, value = word.partition("=")
        name = _LETTERS.get(verb, {}).get(name, name)
        if name in REFUSED:
            raise click.UsageError(f"{name} is not served: {REFUSED[name]}")
        if name in IGNORED:
            del left[: 0 if is_whole else IGNORED[name][0]]
        elif verb == "rebase" and name in _NAMING:
            named[_NAMING[name]] = value if is_whole else "".join(left[:1])
            del left[: 0 if is_whole else 1]
        else:
            kept.append(word)
    return _Line(verb, tuple(kept), named["remote"], named["branch"])


def _in_layers_words(line: _Line) -> list[str]:
    if line.verb == "reset":
        return _reset(line.words)
    if line.verb == "deploy":
        return ["deploy", *(_without_prefix(word) for word in line.words)]
    if line.remote and not line.branch:
        raise click.UsageError("--remote goes with --branch here, or with REMOTE:REF instead")
    named = [f"{line.remote}:{line.branch}" if line.remote else line.branch]
    return [line.verb, *line.words, *(named if line.branch else [])]


def _reset(words: Sequence[str]) -> list[str]:
    parts = [_PARTS[word] for word in words if word in _PARTS]
    if not parts:
        return ["reset", *words]
    if len(set(parts)) > 1:
        raise click.UsageError("name one part to reset at a time; without any, all is reset")
    return [*parts[0], *(word for word in words if word not in _PARTS)]


def _without_prefix(word: str) -> str:
    return next((word.removeprefix(p) for p in _PREFIXES if word.startswith(p)), word)
