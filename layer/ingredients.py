"""What a base is made of: the packages that a treefile and its groups come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layer.errors import InvalidInput, NotFound
from layer.frozen import dataclass
from layer.grouped import GroupNews
from layer.grouping import with_groups
from layer.lock import Lock
from layer.model import BaseState, Preference, Repository, Request, RequestKind, Resolution
from layer.origin import Origin, OstreeRef
from layer.repository_choice import Choice, choose
from layer.signing import Fetching, fetch_checked
from layer.solver.cache import open_cache
from layer.solver.loading import Loader
from layer.sources import Sources
from layer.treefile import Treefile
from layer.words import shown

_NO_CHOICE = Choice()
_NO_PREFERENCE = Preference()


@dataclass(frozen=True, slots=True)
class Selecting:
    """Which repositories count for one compose, and which of their packages."""

    choice: Choice = _NO_CHOICE
    preference: Preference = _NO_PREFERENCE


AS_WRITTEN = Selecting()


@dataclass(frozen=True, slots=True)
class Ingredients:
    """The packages, the repositories that were read, and what of groups was left out."""

    resolution: Resolution
    repositories: tuple[Repository, ...]
    notes: tuple[str, ...] = ()


def select(
    treefile: Treefile, repositories: Sequence[Repository], selecting: Selecting, fetching: Fetching
) -> Ingredients:
    """The packages of a treefile, of those repositories that it names and `selecting` leaves."""
    chosen = _choose(treefile, repositories, selecting.choice)
    fetching.reporter.step("Reading repositories")
    offered = tuple(fetch_checked(repository, fetching) for repository in chosen)
    fetching.reporter.step("Solving")
    preference = replace(selecting.preference, with_recommended=treefile.install_weak_deps)
    loader = Loader(open_cache(fetching.cache, fetching.reporter), preference.excludes)
    base = BaseState(None, treefile.arch)
    sources = Sources(base, Lock(), {}, offered, loader=loader, preference=preference)
    names = {word for word in treefile.packages if not word.startswith("@")}
    if treefile.kernel:
        names |= {treefile.kernel.package, treefile.kernel.initramfs} - {""}
    single = tuple(Request(RequestKind.PACKAGE, name) for name in sorted(names))
    origin = Origin(OstreeRef("", treefile.ref), single)
    words = [word for word in treefile.packages if word.startswith("@")]
    grouped = with_groups(sources, origin, words, is_anew=False)
    resolution = sources.resolve(grouped.origin, (), allow_inactive=True)
    return Ingredients(resolution, sources.repositories, _notes(grouped.news))


def _choose(
    treefile: Treefile, repositories: Sequence[Repository], choice: Choice
) -> list[Repository]:
    there = [repository.id for repository in repositories]
    missing = [name for name in treefile.repositories if name not in there]
    if missing:
        raise NotFound(
            f"no such repository: {', '.join(missing)}",
            f"--repo-dir names directories of .repo files; they have: {', '.join(there) or 'none'}",
        )
    named = [replace(r, is_enabled=r.id in treefile.repositories) for r in repositories]
    chosen = [repository for repository in choose(named, choice) if repository.is_enabled]
    if not chosen:
        raise InvalidInput("no repository is left to take packages from")
    return chosen


def _notes(news: GroupNews) -> tuple[str, ...]:
    missing = tuple(
        f"{text}: no enabled repository has {shown(name)}, which is left out"
        for text, name in news.missing
    )
    return missing + tuple(
        f"{text}: {shown(name)} is left out: {reason}" for text, name, reason in news.unfitting
    )
