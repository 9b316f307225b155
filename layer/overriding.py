"""What the verbs about overrides decide: packages of the base taken away or replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from layer.change import Change
from layer.errors import InvalidInput, NotFound
from layer.frozen import dataclass
from layer.host import Host
from layer.local_files import LocalFile
from layer.lock import Lock
from layer.model import Commit, LockedPackage, Nevra
from layer.origin import Origin, with_local, with_overrides
from layer.overrides import Offered, Overrides
from layer.rpmdb import extract_database
from layer.rpmfile.database import read_database
from layer.sourcing import prepare_words, read_files, split_words, with_newer
from layer.status import is_named
from layer.words import did_you_mean


@dataclass(frozen=True, slots=True)
class _Present:
    """What is there when an override is asked for."""

    origin: Origin
    base: Commit
    lock: Lock
    packages: tuple[Nevra, ...]

    def of_base(self, word: str) -> tuple[Nevra, ...]:
        """The base's packages that a word names."""
        return tuple(nevra for nevra in self.packages if is_named(nevra, word))

    def why_not(self, word: str, way: str) -> str:
        """Why a package that the base has not cannot be overridden; `way` is what to do instead."""
        layered = [p.nevra for p in self.lock.packages if is_named(p.nevra, word)]
        if layered:
            return f"{word}: layered, not of the base; {way}"
        return f"{word}: the base has no such package"


def override_remove(host: Host, words: Sequence[str], *, install: Sequence[str] = ()) -> Change:
    """Takes packages of the base away; `install` is layered in the same change.

    InvalidInput names every word that is no package of the base, or is overridden already.
    """
    present = _present(host)
    overrides = _with_removed(present, present.origin.overrides, words)
    return _prepare(host, present, overrides, install)


def override_replace(
    host: Host,
    words: Sequence[str],
    *,
    repository: str = "",
    remove: Sequence[str] = (),
    install: Sequence[str] = (),
) -> Change:
    """Puts packages in the places of the base's: files, URLs, or names that a repository has.

    `repository` is the one to take names from, "" for any. `remove` is taken away, and
    `install` layered, in the same change.
    """
    present = _present(host)
    file_words, names = split_words(words)
    files = read_files(host, file_words)
    old = present.origin.overrides
    new_files = [file.package for file in files]
    offered = [Offered(repository, name) for name in names]
    _refuse_replacements(present, new_files, offered)
    taken = {*(p.nevra.name for p in new_files), *names}
    overrides = Overrides(
        removed=_with_removed(present, old, remove).removed,
        files=with_newer([p for p in old.files if p.nevra.name not in names], files),
        offered=(*(o for o in old.offered if o.name not in taken), *offered),
    )
    both = sorted(taken & {*overrides.removed})
    if both:
        raise InvalidInput(
            f"taken away and replaced at once: {', '.join(both)}",
            f"decide for one; layer override reset {' '.join(both)} takes back what was said",
        )
    if not names:
        return _prepare(host, present, overrides, install, files=files)
    lock = replace(
        present.lock, packages=tuple(p for p in present.lock.packages if p.nevra.name not in names)
    )
    return _prepare(
        host, replace(present, lock=lock), overrides, install, files=files, needs_repositories=True
    )


def override_reset(host: Host, words: Sequence[str] | None) -> Change:
    """Has packages of the base again, None for all; InvalidInput for one that is not overridden."""
    present = _present(host)
    old = present.origin.overrides
    if words is None:
        return _prepare(host, present, Overrides(), ())
    names = _named(old)
    unknown = [w for w in words if not any(_is_one(name, w) for name in names)]
    if unknown:
        there = sorted({name for name, _ in names})
        raise InvalidInput(
            f"not overridden: {', '.join(unknown)}",
            did_you_mean(unknown, there, rest=f"overridden is: {', '.join(there) or 'nothing'}"),
        )
    gone = {name for name, nevra in names if any(_is_one((name, nevra), w) for w in words)}
    kept = Overrides(
        removed=tuple(name for name in old.removed if name not in gone),
        files=tuple(p for p in old.files if p.nevra.name not in gone),
        offered=tuple(o for o in old.offered if o.name not in gone),
    )
    return _prepare(host, present, kept, ())


def _present(host: Host) -> _Present:
    pending = host.require_pending()
    base = host.base_commit(pending)
    with TemporaryDirectory(prefix="layer-") as scratch:
        database = extract_database(host.store, base.root, Path(scratch))
        packages = read_database(database) if database else ()
    return _Present(host.origin(pending), base, host.lock_of(pending), packages)


def _with_removed(present: _Present, overrides: Overrides, words: Sequence[str]) -> Overrides:
    """The overrides with packages taken away; all that is wrong with the words at once."""
    replaced = {*(p.nevra.name for p in overrides.files), *(o.name for o in overrides.offered)}
    names: set[str] = set()
    problems = []
    for word in dict.fromkeys(words):
        found = {nevra.name for nevra in present.of_base(word)}
        if word in overrides.removed or found & {*overrides.removed}:
            problems.append(f"{word}: taken away already")
        elif found & replaced:
            problems.append(f"{word}: replaced; layer override reset {word} takes that back")
        elif not found:
            problems.append(present.why_not(word, f"layer uninstall {word}"))
        names |= found
    _raise(problems, "nothing to take away", words, present)
    return replace(overrides, removed=(*overrides.removed, *names))


def _refuse_replacements(
    present: _Present, files: Sequence[LockedPackage], offered: Sequence[Offered]
) -> None:
    problems = []
    for package in files:
        nevra = package.nevra
        if nevra in present.packages:
            problems.append(f"{nevra}: the base has this very version")
        elif package in present.origin.overrides.files:
            problems.append(f"{nevra}: takes its place already")
        elif not present.of_base(nevra.name):
            problems.append(present.why_not(nevra.name, "layer install FILE takes a newer file"))
    for item in offered:
        if item in present.origin.overrides.offered:
            problems.append(f"{item.name}: replaced already; layer upgrade takes a newer one")
        elif not present.of_base(item.name):
            problems.append(present.why_not(item.name, "layer upgrade takes a newer one"))
    words = [*(package.nevra.name for package in files), *(item.name for item in offered)]
    _raise(problems, "nothing to replace", words, present)


def _raise(problems: Sequence[str], fact: str, words: Sequence[str], present: _Present) -> None:
    if not problems:
        return
    is_missing = all(problem.endswith("no such package") for problem in problems)
    kind: Callable[[str, str], Exception] = NotFound if is_missing else InvalidInput
    unknown = [word for word in words if not present.of_base(word)]
    hint = did_you_mean(
        unknown,
        (nevra.name for nevra in present.packages),
        otherwise="`layer db list` shows the packages of the base",
    )
    raise kind(f"{fact}:\n  " + "\n  ".join(problems), hint)


def _named(overrides: Overrides) -> list[tuple[str, Nevra | None]]:
    return [
        *((name, None) for name in overrides.removed),
        *((p.nevra.name, p.nevra) for p in overrides.files),
        *((o.name, None) for o in overrides.offered),
    ]


def _is_one(named: tuple[str, Nevra | None], word: str) -> bool:
    name, nevra = named
    return word == name or (nevra is not None and is_named(nevra, word))


def _prepare(
    host: Host,
    present: _Present,
    overrides: Overrides,
    install: Sequence[str],
    *,
    files: Iterable[LocalFile] = (),
    needs_repositories: bool = False,
) -> Change:
    after = with_overrides(present.origin, overrides)
    file_words, names = split_words(install)
    more = read_files(host, file_words)
    after = with_local(after, with_newer(after.local, more))
    known = {request.text for request in after.requests}
    return prepare_words(
        host,
        after,
        present.base,
        present.lock,
        [name for name in names if name not in known],
        (*files, *more),
        needs_repositories=needs_repositories or bool(names),
    )
