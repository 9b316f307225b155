"""Where packages come from: files and URLs, the store, and repositories only at last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from layer.blockers import Blocked
from layer.change import Change
from layer.errors import InvalidInput, NotFound, RepositoryError, Unsolvable
from layer.fetch.urls import fetch_url
from layer.fitting import carry
from layer.grouping import with_groups
from layer.host import Host
from layer.local_files import LocalFile, names_file, read_local_file, refuse_twins
from layer.lock import Lock
from layer.model import Commit, LockedPackage, Request, RequestKind
from layer.origin import Origin, with_requests
from layer.preparation import prepare
from layer.sources import Sources, open_sources
from layer.unsolved import Unsolved


def split_words(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which words of a command line are files or URLs, and which are names."""
    words = tuple(dict.fromkeys(words))
    files = tuple(word for word in words if names_file(word))
    return files, tuple(word for word in words if word not in files)


def read_files(host: Host, words: Sequence[str]) -> tuple[LocalFile, ...]:
    """The packages that words name, each a path or a URL, which is fetched.

    InvalidInput for a URL where nothing may be fetched.
    """
    found = []
    for word in words:
        path = Path(word.removeprefix("file://"))
        if "://" in word and not word.startswith("file://"):
            if host.options.cache_only:
                raise InvalidInput(
                    f"--cache-only: {word} would have to be fetched",
                    "name the file, or leave it out",
                )
            path = fetch_url(word, host.cache / "packages", host.reporter, access=host.access())
        found.append(replace(read_local_file(path), word=word))
    refuse_twins(found)
    return tuple(found)


def file_requests(files: Sequence[LocalFile]) -> tuple[Request, ...]:
    """What files ask for."""
    return tuple(
        Request(RequestKind.FILE, f"{f.package.checksum}:{f.package.nevra}", word=f.word)
        for f in files
    )


def with_newer(
    present: Sequence[LockedPackage], files: Sequence[LocalFile]
) -> tuple[LockedPackage, ...]:
    """The packages with those of the files; of one name and architecture the file's counts."""
    new = {(f.package.nevra.name, f.package.nevra.arch): f.package for f in files}
    kept = [p for p in present if (p.nevra.name, p.nevra.arch) not in new]
    return tuple(sorted([*kept, *new.values()]))


def paths_of(files: Sequence[LocalFile]) -> Mapping[str, Path]:
    """The files by the checksums of their packages."""
    return {file.package.checksum: file.path for file in files}


def prepare_words(
    host: Host,
    origin: Origin,
    base: Commit,
    lock: Lock,
    names: Sequence[str],
    files: Sequence[LocalFile],
    *,
    needs_repositories: bool,
    allow_inactive: bool = False,
    kernel_arguments: Sequence[str] | None = None,
    skip_broken: bool | None = None,
) -> Change:
    """Prepares an origin, which has the files already, with what the names ask for.

    Where repositories are not needed for sure, they are read only if it takes them.
    `skip_broken` is None but on the way to another base, see `carry`; groups are read anew there.
    """
    taken = sorted({*names, *(f.package.nevra.name for f in files)} & {*origin.overrides.removed})
    if taken:
        raise InvalidInput(
            f"taken away by an override: {', '.join(taken)}",
            f"take that back first: layer override reset {' '.join(taken)}",
        )
    asked = file_requests(files)
    if not needs_repositories:
        return prepare_frugally(
            host,
            origin,
            base,
            lock,
            files=files,
            new=asked,
            allow_inactive=allow_inactive,
            kernel_arguments=kernel_arguments,
            skip_broken=skip_broken,
        )
    with open_sources(
        host, base, lock, needs_repositories=True, kept=origin.files, files=paths_of(files)
    ) as sources:
        groups = [name for name in names if name.startswith("@")]
        single = sources.classify([name for name in names if name not in groups])
        after = with_requests(origin, single)
        grouped = with_groups(sources, after, groups, is_anew=skip_broken is not None)
        new = (*asked, *single, *grouped.new)
        with _explaining(sources, grouped.origin, new):
            change = _prepared(
                host,
                grouped.origin,
                base,
                sources,
                new=new,
                allow_inactive=allow_inactive,
                kernel_arguments=kernel_arguments,
                skip_broken=skip_broken,
            )
        return replace(change, group_news=grouped.news)


def prepare_frugally(
    host: Host,
    after: Origin,
    base: Commit,
    lock: Lock,
    *,
    files: Sequence[LocalFile] = (),
    new: Sequence[Request] = (),
    allow_inactive: bool = False,
    kernel_arguments: Sequence[str] | None = None,
    skip_broken: bool | None = None,
) -> Change:
    """Prepares a change with repositories only where it takes something that only they have.

    So a dead repository blocks nothing that can do without it.
    """
    lacking: NotFound | Unsolvable | None = None
    for needs_repositories in (False, True) if host.repositories(base) else (False,):
        is_last = needs_repositories or not host.repositories(base)
        try:
            with (
                open_sources(
                    host,
                    base,
                    lock,
                    needs_repositories=needs_repositories,
                    kept=after.files,
                    files=paths_of(files),
                ) as sources,
                _explaining(sources, after, new) if is_last else nullcontext(),
            ):
                return _prepared(
                    host,
                    after,
                    base,
                    sources,
                    new=new,
                    allow_inactive=allow_inactive,
                    kernel_arguments=kernel_arguments,
                    skip_broken=skip_broken if is_last else None,
                )
        except (NotFound, Unsolvable) as error:
            if is_last:
                raise
            lacking = error
        except RepositoryError as error:
            if lacking is None or isinstance(error.__cause__, NotFound | Unsolvable):
                raise
            raise RepositoryError(
                f"{error.message}\nand without it: {lacking.message}", error.hint
            ) from error
    raise AssertionError("the second time is the last")


@contextmanager
def _explaining(sources: Sources, after: Origin, new: Sequence[Request]) -> Iterator[None]:
    """Says of what cannot be solved the smallest sets of requests, and why each cannot be."""
    try:
        yield
    except Blocked:
        raise  # says so already
    except Unsolvable as error:
        blockers = sources.blockers(after)
        if not blockers:
            raise
        raise Unsolved(blockers, new, error.hint) from error


def _prepared(
    host: Host,
    after: Origin,
    base: Commit,
    sources: Sources,
    *,
    new: Sequence[Request],
    allow_inactive: bool,
    kernel_arguments: Sequence[str] | None,
    skip_broken: bool | None,
) -> Change:
    if skip_broken is None:
        return prepare(
            host,
            after,
            base,
            sources,
            new=new,
            allow_inactive=allow_inactive,
            kernel_arguments=kernel_arguments,
        )
    return carry(
        host,
        after,
        base,
        sources,
        new=new,
        skip_broken=skip_broken,
        kernel_arguments=kernel_arguments,
    )
