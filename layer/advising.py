"""Verbs that layer packages and say, where it cannot be done, which commands can: all tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from layer import moves, verbs
from layer.advice import Command, Trial, outcome, suggestions
from layer.blockers import Blocked, Blocker, fewest
from layer.change import Change
from layer.errors import LayerError, NotFound, Unsolvable
from layer.host import Host
from layer.model import Commit, Preference, Request, RequestKind
from layer.moves import Move
from layer.nevra import Nevra
from layer.store.remote import read_history
from layer.unsolved import Unsolved
from layer.words import instant, joined

_MOST_LAYERS = 3  # that are tried one by one to be left out
_MOST_REPOSITORIES = 4
_MOST_BASES = 2
_DIGITS = 12  # of a checksum


def install(
    host: Host,
    words: Sequence[str],
    *,
    uninstall: Sequence[str] = (),
    idempotent: bool = False,
    allow_inactive: bool = False,
    documentation: bool | None = None,
) -> Change:
    """As `verbs.install`; what cannot be solved names commands that were tried and can be."""

    def decide(command: Command) -> Change:
        return verbs.install(
            command.host,
            command.packages,
            idempotent=idempotent,
            allow_inactive=allow_inactive,
            documentation=documentation,
            uninstall=command.uninstall,
        )

    flags = (
        *(["--idempotent"] if idempotent else []),
        *(["--allow-inactive"] if allow_inactive else []),
        *{None: [], True: ["--docs"], False: ["--no-docs"]}[documentation],
    )

    def trials(error: LayerError, command: Command) -> Iterator[Trial]:
        yield from _trials(error, command)
        if documentation is None:  # `layer deploy` has no --docs
            yield from _other_bases(command)

    command = Command(
        host, "install", decide, flags=flags, packages=tuple(words), uninstall=tuple(uninstall)
    )
    return _advised(command, trials)


def upgrade(
    host: Host,
    *,
    allow_downgrade: bool = False,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """As `verbs.upgrade`; where layers are in the way it names commands that were tried."""
    with moves.to_newest(host, allow_downgrade=allow_downgrade) as move:
        flags = ("--allow-downgrade",) if allow_downgrade else ()
        command = _moving(move, "upgrade", flags=flags)

        def trials(error: LayerError, command: Command) -> Iterator[Trial]:
            yield from _trials(error, command)
            yield from _other_bases(command)

        return _advised(_told(command, install, uninstall, skip_broken=skip_broken), trials)


def rebase(
    host: Host,
    refspec: str,
    *,
    kernel_arguments: Sequence[str] | None = None,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """As `verbs.rebase`; where layers are in the way it names commands that were tried."""
    with moves.to_ref(host, refspec, kernel_arguments=kernel_arguments) as move:
        flags = tuple(word for text in kernel_arguments or () for word in ("--karg", text))
        command = _moving(move, "rebase", (refspec,), flags)
        return _advised(_told(command, install, uninstall, skip_broken=skip_broken), _trials)


def deploy(
    host: Host,
    word: str,
    *,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
    allow_downgrade: bool = True,
) -> Change:
    """As `verbs.deploy`; where layers are in the way it names commands that were tried."""
    with moves.to_version(host, word, allow_downgrade=allow_downgrade) as move:
        said = (("--once", host.options.once), ("--disallow-downgrade", not allow_downgrade))
        flags = tuple(option for option, is_said in said if is_said)
        command = _moving(move, "deploy", (word,), flags)
        return _advised(_told(command, install, uninstall, skip_broken=skip_broken), _trials)


def _told(
    command: Command, install: Sequence[str], uninstall: Sequence[str], *, skip_broken: bool
) -> Command:
    return replace(
        command,
        packages=tuple(install),
        uninstall=tuple(uninstall),
        skip_broken=skip_broken,
    )


def _moving(
    move: Move, verb: str, words: tuple[str, ...] = (), flags: tuple[str, ...] = ()
) -> Command:
    """A verb that has pulled a base: no trial pulls it again."""

    def decide(command: Command) -> Change:
        return moves.carried(
            replace(move, host=command.host),
            install=command.packages,
            uninstall=command.uninstall,
            skip_broken=command.skip_broken,
        )

    return Command(move.host, verb, decide, words, flags, base=move.base)


def _advised(command: Command, trials: Callable[[LayerError, Command], Iterator[Trial]]) -> Change:
    try:
        return command.decide(command)
    except (Unsolvable, NotFound) as error:
        if command.host.pending() is not None:
            error.suggestions = suggestions(command, partial(trials, error))
        raise


def _trials(error: LayerError, command: Command) -> Iterator[Trial]:
    """What may help, the smallest change of the command first."""
    blockers = error.blockers if isinstance(error, Unsolved | Blocked) else ()
    new = error.new if isinstance(error, Unsolved | Blocked) else frozenset()
    yield from _preferring_less(command)
    yield from _more_repositories(command)
    yield from _other_versions(command, blockers, new)
    yield from _without_layers(command, blockers, new)
    yield from _without_members(command, blockers)
    yield from _asking_less(command, blockers, new)
    if isinstance(error, Blocked):
        yield from _skipping(command, blockers)


def _preferring(command: Command, preference: Preference) -> Command:
    options = replace(command.host.options, preference=preference)
    return replace(command, host=replace(command.host, options=options))


def _preferring_less(command: Command) -> Iterator[Trial]:
    """Without --best, and without what --exclude names: one by one, then all of it."""
    said = command.host.options.preference
    if said.is_best:
        modest = _preferring(command, replace(said, is_best=False))
        yield Trial(modest, "an older version will do")
    for glob in said.excludes:
        kept = tuple(each for each in said.excludes if each != glob)
        other = _preferring(command, replace(said, excludes=kept))
        yield Trial(other, f"{glob} is not excluded")
    if len(said.excludes) > 1:
        other = _preferring(command, replace(said, excludes=()))
        yield Trial(other, "nothing is excluded", is_fallback=True)


def _more_repositories(command: Command) -> Iterator[Trial]:
    """With a repository that is disabled."""
    host = command.host
    choice = host.options.choice
    base = command.base or host.base_commit(host.require_pending())
    disabled = [r.id for r in host.all_repositories(base) if not r.is_enabled]
    for name in disabled[:_MOST_REPOSITORIES]:
        others = (each for each in choice.switched if each != (name, False))
        more = replace(choice, switched=(*others, (name, True)))
        other = replace(host, options=replace(host.options, choice=more))
        yield Trial(replace(command, host=other), f"with the repository {name}")


def _other_versions(
    command: Command, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[Trial]:
    """Another version in place of one that was named: the one that the name alone brings."""
    for request in fewest(blockers):
        name = _name(request)
        if request not in new or name == "":
            continue
        change = outcome(_exchanged(command, request.text, name))
        packages = change.resolution.packages if change else ()
        for nevra in [p.nevra for p in packages if p.nevra.name == name]:
            other = _exchanged(command, request.text, f"{name}-{nevra.evr}")
            yield Trial(other, f"{nevra} in its place")


def _exchanged(command: Command, old: str, new: str) -> Command:
    packages = tuple(new if word == old else word for word in command.packages)
    return replace(command, packages=packages)


def _name(request: Request) -> str:
    """The name in a request for a certain version; "" for what is none."""
    if request.kind is not RequestKind.PACKAGE or "-" not in request.text:
        return ""
    try:
        return Nevra.parse(request.text).name
    except LayerError:
        return request.text.rpartition("-")[0]


def _without_layers(
    command: Command, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[Trial]:
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
        exchanged = replace(command, uninstall=(*command.uninstall, *labels))
        yield Trial(exchanged, f"{joined(labels)} {'goes' if len(labels) == 1 else 'go'}")


def _without_members(command: Command, blockers: tuple[Blocker, ...]) -> Iterator[Trial]:
    """Groups without what of them stands in the way, which is then as if nobody had it."""
    names = tuple(dict.fromkeys(blocker.members[0] for blocker in blockers if blocker.members))
    said = command.host.options.preference
    if names and command.verb != "deploy":  # which has no --exclude
        other = _preferring(command, replace(said, excludes=(*said.excludes, *names)))
        yield Trial(other, f"without {joined(names)}")


def _asking_less(
    command: Command, blockers: tuple[Blocker, ...], new: frozenset[Request]
) -> Iterator[Trial]:
    """Without what of the words stands in the way."""
    said = {request: request.word or request.text for request in new}
    words = {said[request] for request in fewest(blockers) if request in new}
    left_out = [word for word in command.packages if word in words]
    kept = tuple(word for word in command.packages if word not in words)
    if left_out and (kept or command.verb != "install"):
        yield Trial(replace(command, packages=kept), f"without {joined(left_out)}")


def _skipping(command: Command, blockers: tuple[Blocker, ...]) -> Iterator[Trial]:
    """Without the fewest layers that are in the way, which stay asked for."""
    labels = [request.label for request in fewest(blockers)]
    until = "it fits" if len(labels) == 1 else "they fit"
    yield Trial(replace(command, skip_broken=True), f"without {joined(labels)} until {until}")


def _other_bases(command: Command) -> Iterator[Trial]:
    """On another base that was deployed here and is kept, the newest first.

    On the way to a newer base only such as lie between. One that is not here would have to be
    pulled whole to be planned.
    """
    host, coming = command.host, command.base
    present = host.base_commit(host.require_pending())
    kept = {*host.store.refs("layer/base").values()} - {present.checksum}
    if coming is not None:
        history = [checksum for checksum, _ in read_history(host.store, coming.checksum)][1:]
        is_before = present.checksum in history
        kept &= {*history[: history.index(present.checksum)]} if is_before else set()
    commits = sorted(map(host.store.read_commit, kept), key=lambda c: (-c.timestamp, c.checksum))
    for commit in commits[:_MOST_BASES]:
        yield _deploying(command, commit)


def _deploying(command: Command, commit: Commit) -> Trial:
    word = commit.checksum[:_DIGITS]

    def decide(command: Command) -> Change:
        return verbs.deploy(
            command.host, word, install=command.packages, uninstall=command.uninstall
        )

    plain = _preferring(command, Preference())  # `layer deploy` has no such options
    there = replace(plain, base=None, verb="deploy", words=(word,), flags=(), decide=decide)
    return Trial(there, f"on the base of {instant(commit.timestamp)}")
