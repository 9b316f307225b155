"""The examination of a machine: what would keep layer from its work, and what to do about it.

Each part answers for itself, so that one that is broken hides no other. Nothing is written but
what was fetched, where that is wanted, and no root is needed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from layer.errors import LayerError
from layer.findings import Finding, Level
from layer.host import Host
from layer.repository import Repository
from layer.repository_asking import list_repositories
from layer.repository_facts import RepositoryFacts
from layer.signing import fetch_checked, keys_of
from layer.store.remote import ask, remote_names
from layer.trigger_inputs import find_program
from layer.words import count, instant, size

# What triggers, mounts and signatures need of the machine itself.
_PROGRAMS = ("bwrap", "gpgv", "mount", "ostree", "prlimit", "unshare")
_LOW = 0.05  # of a filesystem
_HOARD = 2 << 30  # bytes in the cache
_CLEANUP = "`layer cleanup -b -m -r` removes what nothing needs"

_Part = Callable[[Host], Iterator[Finding]]


def examine(host: Host, *, is_fetching: bool = False) -> tuple[Finding, ...]:
    """All that is found, in a fixed order; a part that cannot be examined is a fault of its own.

    `is_fetching`: repositories and the base's remote are asked whether they answer.
    """
    found: list[Finding] = []
    for name, part in (*_PARTS, *(_ASKING if is_fetching else ())):
        try:
            told = list(part(host))
        except LayerError as error:
            told = [Finding(name, Level.FAULT, error.message, error.hint or "")]
        found += told or [Finding(name, Level.FINE, "as it should be")]
    return tuple(found)


def _programs(_host: Host) -> Iterator[Finding]:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        advice = "install the packages that have them"
        yield Finding("programs", Level.FAULT, f"{', '.join(missing)} not found", advice)


def _filesystems(host: Host) -> Iterator[Finding]:
    seen: set[int] = set()
    root = host.sysroot.path
    for place in (root / "ostree/repo", host.sysroot.var(host.stateroot), root / "boot"):
        if not place.exists() or place.stat().st_dev in seen:
            continue
        seen.add(place.stat().st_dev)
        state = os.statvfs(place)
        # What has booted has a /sysroot that is read-only for all but who changes it.
        is_fixed = host.sysroot.is_booted and place.is_relative_to(root / "ostree")
        if state.f_flag & os.ST_RDONLY and not is_fixed:
            advice = "see why (dmesg), and mount it anew: mount -o remount,rw"
            fact = f"the filesystem of {place} is read-only"
            yield Finding("space", Level.FAULT, fact, advice)
        yield from _room(place, state)


def _room(place: Path, state: os.statvfs_result) -> Iterator[Finding]:
    free, all_of_it = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    fact = f"the filesystem of {place} has {size(free)} of {size(all_of_it)} free"
    is_low = free < all_of_it * _LOW
    yield Finding(
        "space", Level.WARNING if is_low else Level.FINE, fact, _CLEANUP if is_low else ""
    )
    if state.f_files and state.f_favail < state.f_files * _LOW:
        fact = f"the filesystem of {place} has room for {count(state.f_favail, 'file')} more"
        yield Finding("space", Level.WARNING, fact, _CLEANUP)


def _settings(host: Host) -> Iterator[Finding]:
    host.settings()
    yield from ()


def _deployments(host: Host) -> Iterator[Finding]:
    state = host.state()
    if not state.deployments:
        advice = "deploy a base: layer rebase REMOTE:REF"
        yield Finding("deployments", Level.FAULT, "there is none", advice)
    if state.lost:
        reason = state.lost.reason or "libostree gave no reason"
        fact = f"what was staged failed to become a deployment at shutdown: {reason}"
        advice = "see journalctl -b -1 -u ostree-finalize-staged; then do the same again"
        yield Finding("deployments", Level.FAULT, fact, advice)
    for entry in state.deployments:
        if entry.problem:
            fact = f"{entry.commit.checksum[:12]}: {entry.problem}"
            yield Finding("deployments", Level.FAULT, fact, "layer reset, or deploy another base")
    for request, reason in (pair for entry in state.deployments[:1] for pair in entry.reasons):
        yield Finding("deployments", Level.FINE, f"{request.text} is inactive: {reason}")
    for words, reason in (pair for entry in state.deployments[:1] for pair in entry.left_out):
        fact = f"{words} was left out: {reason}"
        yield Finding("deployments", Level.WARNING, fact, "layer upgrade tries it again")


def _remote(host: Host) -> Iterator[Finding]:
    pending = host.pending()
    source = host.origin(pending).base if pending else None
    if source is None or not source.remote:
        return
    if source.remote not in remote_names(host.store):
        fact = f"the base comes from {source.remote}, which is no remote here"
        yield Finding("remote", Level.FAULT, fact, f"layer remote add {source.remote} URL")


def _repositories(host: Host) -> Iterator[Finding]:
    found = list_repositories(host)
    if not found:
        fact = "none is enabled, so only files and URLs can be layered"
        advice = "put a .repo file into /etc/yum.repos.d; layer repo list --all"
        yield Finding("repositories", Level.WARNING, fact, advice)
    for facts in found:
        yield from _repository(facts, host)


def _repository(facts: RepositoryFacts, host: Host) -> Iterator[Finding]:
    of, name = facts.repository, f"repository {facts.repository.id}"
    if facts.problem:
        yield Finding(name, Level.FAULT, facts.problem, "layer refresh-md -f, or disable it")
    elif facts.packages is None:
        yield Finding(name, Level.WARNING, "nothing was fetched of it", "layer refresh-md")
    else:
        is_old = not facts.is_fresh and facts.fetched is not None
        age = f", as of {instant(int(facts.fetched or 0))}" if is_old else ""
        yield Finding(name, Level.FINE, f"{count(facts.packages, 'package')}{age}")
    if of.checks_packages and not of.keys:
        advice = f"name a key as gpgkey= of [{of.id}]; without one nothing of it is taken"
        yield Finding(name, Level.FAULT, "packages must be signed, and it names no key", advice)
    elif of.checks_packages or of.checks_metadata:
        yield from _keys(of, host, name)


def _keys(repository: Repository, host: Host, name: str) -> Iterator[Finding]:
    """What is wrong with keys that are files; those of the network may not have been needed yet."""
    files = tuple(url for url in repository.keys if url.startswith("file:"))
    for url in files:
        try:
            keys_of(replace(repository, keys=(url,)), host.fetching)
        except LayerError as error:
            fact = error.message.removeprefix(f"{name}: ")
            yield Finding(name, Level.FAULT, fact, error.hint or "")


def _answers(host: Host) -> Iterator[Finding]:
    """Whether who is asked for packages and bases answers."""
    pending = host.pending()
    source = host.origin(pending).base if pending else None
    if source is not None and source.remote in remote_names(host.store):
        yield from _asked(f"remote {source.remote}", lambda: ask(host.store, source.remote))
    for repository in host.repositories():
        fetch = partial(fetch_checked, repository, host.refreshing().fetching)
        yield from _asked(f"repository {repository.id}", fetch)


def _asked(name: str, question: Callable[[], object]) -> Iterator[Finding]:
    try:
        question()
    except LayerError as error:
        fact = error.message.removeprefix(f"{name}: ")
        yield Finding(name, Level.FAULT, fact, error.hint or error.usual_hint)
    else:
        yield Finding(name, Level.FINE, "it answers")


def _triggers(host: Host) -> Iterator[Finding]:
    pending = host.pending()
    if pending is None:
        return
    tree = host.store.read_commit(pending.checksum).root
    triggers = [trigger for trigger in host.triggers(tree) if trigger.phase == "build"]
    missing = [t for t in triggers if find_program(host.store, tree, t) is None]
    fact = f"{len(triggers) - len(missing)} of {len(triggers)} have their tool in the tree"
    if missing:
        names = ", ".join(sorted(t.name for t in missing))
        fact += f"; where a package needs one of these, its tool must come, too: {names}"
    yield Finding("triggers", Level.FINE, fact)


def _cache(host: Host) -> Iterator[Finding]:
    if not host.cache.is_dir():
        return
    paths = (Path(top, name) for top, _, names in os.walk(host.cache) for name in names)
    taken = sum(path.lstat().st_size for path in paths)
    if taken > _HOARD:
        yield Finding("cache", Level.WARNING, f"{host.cache} takes {size(taken)}", _CLEANUP)


_PARTS: tuple[tuple[str, _Part], ...] = (
    ("programs", _programs),
    ("space", _filesystems),
    ("settings", _settings),
    ("deployments", _deployments),
    ("remote", _remote),
    ("repositories", _repositories),
    ("triggers", _triggers),
    ("cache", _cache),
)
_ASKING: tuple[tuple[str, _Part], ...] = (("answers", _answers),)
