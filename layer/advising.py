"""`layer install` that says, where it cannot be done, which commands can: each was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from layer import verbs
from layer.blockers import Blocker, fewest
from layer.change import Change
from layer.errors import LayerError, NotFound, Suggestion, Unsolvable
from layer.host import Host
from layer.model import Preference, Request, RequestKind
from layer.nevra import Nevra
from layer.report import SILENT
from layer.unsolved import Unsolved
from layer.words import instant, joined

_MOST_TRIALS = 12
_MOST_LAYERS = 3  # that are tried one by one to be left out
_MOST_REPOSITORIES = 4
_MOST_BASES = 2
_DIGITS = 12  # of a checksum


@dataclass(frozen=True, slots=True)
class Asked:
    """What `layer install` was told; see `verbs.install`."""

    words: tuple[str, ...]
    uninstall: tuple[str, ...] = ()
    idempotent: bool = False
    allow_inactive: bool = False
    documentation: bool | None = None


@dataclass(frozen=True, slots=True)
class _Trial:
    """A command that may work, and what it decides, by the very function that it calls.

    `is_fallback`: it is of no use where a trial before it came to something.
    """

    suggestion: Suggestion
    decide: Callable[[], Change]
    is_fallback: bool = False


def install(host: Host, asked: Asked) -> Change:
    """As `verbs.install`; what cannot be solved names commands that were tried and can be."""
    try:
        return _decide(host, asked)
    except (Unsolvable, NotFound) as error:
        if host.pending() is not None:
            error.suggestions = tuple(_suggestions(host, asked, error))
        raise


def _decide(host: Host, asked: Asked) -> Change:
    return verbs.install(
        host,
        asked.words,
        idempotent=asked.idempotent,
        allow_inactive=asked.allow_inactive,
        documentation=asked.documentation,
        uninstall=asked.uninstall,
    )


def _suggestions(host: Host, asked: Asked, error: LayerError) -> Iterator[Suggestion]:
    """The trials that come to something, of the first ones."""
    host = replace(host, reporter=SILENT)
    found = False
    for number, trial in enumerate(_trials(host, asked, error)):
        if number == _MOST_TRIALS:
            return
        if (found and trial.is_fallback) or _outcome(trial.decide) is None:
            continue
        found = True
        yield trial.suggestion


def _outcome(decide: Callable[[], Change]) -> Change | None:
    """What is decided; None where it cannot be, or changes nothing."""
    try:
        change = decide()
    except LayerError:
        return None
    return None if change.is_empty else change


def _trials(host: Host, asked: Asked, error: LayerError) -> Iterator[_Trial]:
    """What may help, the smallest change of the command first."""
    blockers = error.blockers if isinstance(error, Unsolved) else ()
    new = error.new if isinstance(error, Unsolved) else frozenset()
    yield from _preferring_less(host, asked)
    yield from _more_repositories(host, asked)
    yield from _other_versions(host, asked, blockers, new)
    yield from _without_layers(host, asked, blockers, new)
    yield from _asking_less(host, asked, blockers, new)
    yield from _other_bases(host, asked)


def _install(host: Host, asked: Asked, effect: str) -> _Trial:
    flags = [
        *(word for glob in host.options.preference.excludes for word in ("--exclude", glob)),
        *(["--best"] if host.options.preference.is_best else []),
        *(["--idempotent"] if asked.idempotent else []),
        *(["--allow-inactive"] if asked.allow_inactive else []),
        *({None: [], True: ["--docs"], False: ["--no-docs"]}[asked.documentation]),
    ]
    leaving = [word for name in asked.uninstall for word in ("--uninstall", name)]
    command = (*_beginning(host, "install"), *flags, *asked.words, *leaving)
    return _Trial(Suggestion(command, effect), partial(_decide, host, asked))


def _beginning(host: Host, verb: str) -> tuple[str, ...]:
    """A command with what says where it works, as it was said now."""
    options = host.options
    folders = (str(folder) for folder in options.repository_directories)
    return (
        "layer",
        verb,
        *(["--sysroot", str(host.sysroot.path)] if host.sysroot.path != Path("/") else []),
        *(["--stateroot", options.stateroot] if options.stateroot else []),
        *(word for folder in folders for word in ("--repo-dir", folder)),
        *(word for name in options.choice.only for word in ("--repo", name)),
        *(word for name in options.choice.disabled for word in ("--disablerepo", name)),
        *(word for name in options.choice.enabled for word in ("--enablerepo", name)),
        *(["--cachedir", str(options.cache)] if options.cache else []),
        *(["--cache-only"] if options.cache_only else []),
        *(word for name in options.accept_unscripted for word in ("--accept-unscripted", name)),
    )


def _preferring(host: Host, preference: Preference) -> Host:
    return replace(host, options=replace(host.options, preference=preference))


def _preferring_less(host: Host, asked: Asked) -> Iterator[_Trial]:
    """Without --best, and without what --exclude names: one by one, then all of it."""
    said = host.options.preference
    if said.is_best:
        modest = _preferring(host, replace(said, is_best=False))
        yield _install(modest, asked, "an older version will do")
    for glob in said.excludes:
        kept = tuple(each for each in said.excludes if each != glob)
        other = _preferring(host, replace(said, excludes=kept))
        yield _install(other, asked, f"{glob} is not excluded")
    if len(said.excludes) > 1:
        other = _preferring(host, replace(said, excludes=()))
        yield replace(_install(other, asked, "nothing is excluded"), is_fallback=True)


def _more_repositories(host: Host, asked: Asked) -> Iterator[_Trial]:
    """With a repository that is disabled."""
    choice = host.options.choice
    base = host.base_commit(host.require_pending())
    disabled = [r.id for r in host.all_repositories(base) if not r.is_enabled]
    for name in disabled[:_MOST_REPOSITORIES]:
        more = replace(
            choice,
            disabled=tuple(word for word in choice.disabled if word != name),
            enabled=(*choice.enabled, name),
        )
        other = replace(host, options=replace(host.options, choice=more))
        yield _install(other, asked, f"with the repository {name}")


def _other_versions(
    host: Host, asked: Asked, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[_Trial]:
    """Another version in place of one that was named: the one that the name alone brings."""
    for request in fewest(blockers):
        name = _name(request)
        if request not in new or name == "":
            continue
        change = _outcome(partial(_decide, host, _exchanged(asked, request.text, name)))
        packages = change.resolution.packages if change else ()
        for nevra in [p.nevra for p in packages if p.nevra.name == name]:
            other = _exchanged(asked, request.text, f"{name}-{nevra.evr}")
            yield _install(host, other, f"{nevra} in its place")


def _exchanged(asked: Asked, old: str, new: str) -> Asked:
    return replace(asked, words=tuple(new if word == old else word for word in asked.words))


def _name(request: Request) -> str:
    """The name in a request for a certain version; "" for what is none."""
    if request.kind is not RequestKind.PACKAGE or "-" not in request.text:
        return ""
    try:
        return Nevra.parse(request.text).name
    except LayerError:
        return request.text.rpartition("-")[0]


def _without_layers(
    host: Host, asked: Asked, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[_Trial]:
    """In exchange for layers that stand in the way: the fewest, then each other one."""
    old = [[r for r in blocker.requests if r not in new] for blocker in blockers]
    if not old or not all(old):
        return
    least = fewest(
        [replace(b, requests=tuple(some)) for b, some in zip(blockers, old, strict=True)]
    )
    others = [(r,) for r in old[0][: _MOST_LAYERS + 1] if (r,) != least] if len(old) == 1 else []
    for gone in [least, *others]:
        labels = [request.label for request in gone]
        exchanged = replace(asked, uninstall=(*asked.uninstall, *labels))
        yield _install(host, exchanged, f"{joined(labels)} goes")


def _asking_less(
    host: Host, asked: Asked, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[_Trial]:
    """Without what of the words stands in the way."""
    texts = {request.text for request in fewest(blockers) if request in new}
    left_out = [word for word in asked.words if word in texts]
    kept = tuple(word for word in asked.words if word not in texts)
    if kept and left_out:
        yield _install(host, replace(asked, words=kept), f"without {joined(left_out)}")


def _other_bases(host: Host, asked: Asked) -> Iterator[_Trial]:
    """On another base that was deployed here and is kept, the newest first.

    One that is not here would have to be pulled whole to be planned.
    """
    if asked.uninstall or asked.documentation is not None:
        return  # `layer deploy` has no such options
    plain = _preferring(host, Preference())
    base = host.base_commit(host.require_pending())
    kept = {*host.store.refs("layer/base").values()} - {base.checksum}
    commits = sorted(map(host.store.read_commit, kept), key=lambda c: (-c.timestamp, c.checksum))
    installing = [word for name in asked.words for word in ("--install", name)]
    for commit in commits[:_MOST_BASES]:
        word = commit.checksum[:_DIGITS]
        command = (*_beginning(plain, "deploy"), word, *installing)
        yield _Trial(
            Suggestion(command, f"on the base of {instant(commit.timestamp)}"),
            partial(verbs.deploy, plain, word, install=asked.words),
        )
