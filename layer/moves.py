"""The way to another base: it is pulled, and what is layered is carried over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from layer.change import Change
from layer.errors import LayerError, NotFound
from layer.frozen import dataclass
from layer.host import Host, is_root
from layer.lock import Lock
from layer.model import Commit
from layer.origin import BaseSource, Origin, parse_source, with_local
from layer.sourcing import prepare_words, read_files, split_words, with_newer
from layer.store.remote import borrow, pull, pull_history, read_history, require_complete
from layer.withdrawal import without_words
from layer.words import instant

_FEWEST_DIGITS = 7  # of a checksum that stands for all of it
_MOST_VERSIONS = 12  # in a hint


@dataclass(frozen=True, slots=True)
class Move:
    """A base, whose commit the host's store has, and the origin that is to be carried to it."""

    host: Host
    origin: Origin
    base: Commit
    kernel_arguments: tuple[str, ...] | None = None


@contextmanager
def to_newest(host: Host, *, allow_downgrade: bool = False) -> Iterator[Move]:
    """To the newest base of the origin's ref.

    LayerError for one that is older than the present one, unless `allow_downgrade`.
    """
    pending = host.require_pending()
    origin = replace(host.origin(pending), override_commit="")
    old = host.find_base(pending)
    with _pulled(host, origin) as (host, new):
        if not allow_downgrade:
            _require_newer(old, new, origin, "--allow-downgrade takes it all the same")
        yield Move(host, origin, new)


@contextmanager
def to_ref(
    host: Host, refspec: str, *, kernel_arguments: Sequence[str] | None = None
) -> Iterator[Move]:
    """To the newest base of another ref, or to the first one."""
    pending = host.pending()
    source = parse_source(refspec)
    if pending is None:
        origin = Origin(source)
    else:
        origin = replace(host.origin(pending), base=source, override_commit="")
    with _pulled(host, origin) as (host, base):
        wanted = None if kernel_arguments is None else tuple(kernel_arguments)
        yield Move(host, origin, base, wanted)


@contextmanager
def to_version(host: Host, word: str, *, allow_downgrade: bool = True) -> Iterator[Move]:
    """To a commit of the ref's history, by version or checksum; NotFound where it has none.

    LayerError for one that is older than the present one, where `allow_downgrade` is false.
    """
    pending = host.require_pending()
    origin, old = host.origin(pending), host.find_base(pending)
    with _pulled(host, origin, word) as (host, base):
        if not allow_downgrade:
            _require_newer(old, base, origin, "--disallow-downgrade was said")
        yield Move(host, replace(origin, override_commit=base.checksum), base)


def _require_newer(old: Commit | None, new: Commit, origin: Origin, hint: str) -> None:
    if old and new.timestamp < old.timestamp:
        raise LayerError(
            f"{origin.base} is older than what is deployed: {new.checksum[:12]} of "
            f"{instant(new.timestamp)} is before {old.checksum[:12]} of {instant(old.timestamp)}",
            hint,
        )


def carried(
    move: Move,
    *,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """The same requests on the other base, with no package held back; ids stay.

    `install` is layered in addition, `uninstall` taken away beforehand. With `skip_broken`
    layers that do not fit are left out; without it, Blocked names them all.
    """
    host, base = move.host, move.base
    pending = host.pending()
    ids = host.lock_of(pending).ids if pending else ()
    origin = without_words(host, move.origin, uninstall) if uninstall else move.origin
    file_words, names = split_words(install)
    files = read_files(host, file_words)
    after = with_local(origin, with_newer(origin.local, files))
    return prepare_words(
        host,
        after,
        base,
        Lock(ids=ids),
        names,
        files,
        needs_repositories=bool(origin.requests or names),
        kernel_arguments=move.kernel_arguments,
        skip_broken=skip_broken,
    )


@contextmanager
def _pulled(host: Host, origin: Origin, word: str | None = None) -> Iterator[tuple[Host, Commit]]:
    """The newest commit of the origin's ref, and the host whose store has it.

    `word` asks for another one of its history. Who is not root may look at the plan too: the
    commit is then kept no longer.
    """
    source = origin.base
    host = host.refreshing()
    with ExitStack() as stack:
        if source.remote and not is_root():
            host = replace(host, borrowed=stack.enter_context(borrow(host.store)))
        elif not host.sysroot.is_locked:
            host.sysroot.ensure_writable()
        checksum = (
            _find(host, source, word) if _is_here(host, source) else _pull(host, source, word)
        )
        require_complete(host.store, checksum, str(source))
        yield host, host.store.read_commit(checksum)


def _is_here(host: Host, source: BaseSource) -> bool:
    """Whether nothing is to be pulled: a ref of our own, or what was pulled before will do."""
    return host.options.cache_only or not source.remote


def _find(host: Host, source: BaseSource, word: str | None) -> str:
    newest = _local(host, source)
    if word is None:
        return newest
    # A version that was downloaded may be newer than what is deployed from the ref.
    kept = sorted(host.store.refs("layer/base").values())
    later = [c for c in kept if newest in dict(read_history(host.store, c))]
    return _in_history(host, source, [newest, *later], word)


def _pull(host: Host, source: BaseSource, word: str | None) -> str:
    store, remote, ref = host.store, source.remote, source.ref
    host.reporter.step(f"Pulling {source}")
    with host.reporter.downloading():
        if word is None:
            return pull(store, remote, ref, host.reporter)
        newest = pull_history(store, remote, ref, host.reporter)
        found = _in_history(host, source, [newest], word)
        return pull(store, remote, ref, host.reporter, commit=found)


def _local(host: Host, source: BaseSource) -> str:
    found = host.store.find_commit(str(source))
    if found is None:
        hint = "pull it while there is a network: leave out --cache-only" if source.remote else None
        raise NotFound(f"the sysroot's repository has no ref {source}", hint)
    return found


def _in_history(host: Host, source: BaseSource, tips: Sequence[str], word: str) -> str:
    """The commit whose version or checksum (at least 7 digits) a word is."""
    histories = [read_history(host.store, tip) for tip in tips]
    history = list(dict.fromkeys(entry for one in histories for entry in one))
    for checksum, version in history:
        if word == version != "" or (len(word) >= _FEWEST_DIGITS and checksum.startswith(word)):
            return checksum
    shown = ", ".join(version or checksum[:12] for checksum, version in history[:_MOST_VERSIONS])
    more = ", ..." if len(history) > _MOST_VERSIONS else ""
    raise NotFound(
        f"the history of {source} has no {word}", f"it has, the newest first: {shown}{more}"
    )
