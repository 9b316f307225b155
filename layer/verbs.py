"""What each verb decides; the command line and other programs call these.

A verb about content gives a `Change` for `layer.transaction.apply`, one about
booting a `BootPlan` for `Sysroot.write`. None of them asks or prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

from layer import bootplan, cleaning
from layer.change import Change, EtcEdit
from layer.errors import InvalidInput, LayerError, NotFound
from layer.feasibility import check_room_to_boot, check_room_to_reorder, tracked_files
from layer.host import Host, is_root
from layer.kernel_arguments import Edits, edited
from layer.lock import Lock
from layer.machine_etc import left_behind
from layer.model import BootPlan, Commit, Deployment, Repository, Request, RequestKind
from layer.origin import (
    BaseSource,
    Origin,
    parse_source,
    pristine,
    with_local,
    with_options,
    without_requests,
)
from layer.preparation import prepare, prepare_again
from layer.signing import fetch_checked
from layer.sources import open_sources
from layer.sourcing import prepare_words, read_files, split_words, with_newer
from layer.status import fulfils, is_named
from layer.store.remote import borrow, pull, pull_history, read_history, require_complete
from layer.words import instant

_FEWEST_DIGITS = 7  # of a checksum that stands for all of it
_MOST_VERSIONS = 12  # in a hint


def install(
    host: Host,
    words: Sequence[str],
    *,
    idempotent: bool = False,
    allow_inactive: bool = False,
    documentation: bool | None = None,
    uninstall: Sequence[str] = (),
    lock: Lock | None = None,
) -> Change:
    """Layers packages over the pending deployment's base, `uninstall` taken away beforehand.

    `words` are names, NEVRAs, provides, paths, RPM files or their URLs; one that was asked for
    already is refused unless `idempotent`. A file takes the place of an older one. What is
    layered stays the same file, as `lock` or the pending deployment says. `documentation`
    changes for all that is layered whether it comes with its documentation.
    """
    pending = host.require_pending()
    origin, base = host.origin(pending), host.base_commit(pending)
    origin = _without(host, origin, uninstall, idempotent=idempotent) if uninstall else origin
    file_words, names = split_words(words)
    files = read_files(host, file_words)
    present = {request.text for request in origin.wanted}
    again = sorted(present.intersection(names))
    again += [str(f.package.nevra) for f in files if f.package in origin.local]
    if again and not idempotent:
        raise InvalidInput(
            f"asked for already: {', '.join(again)}", "--idempotent makes that no error"
        )
    wanted = [word for word in names if word not in present]
    options = origin.options if lock is None else lock.options
    if documentation is not None:
        options = replace(options, documentation=documentation)
    lock = lock if lock is not None else host.lock_of(pending)
    after = with_local(with_options(origin, options), with_newer(origin.local, files))
    return prepare_words(
        host,
        after,
        base,
        lock,
        wanted,
        files,
        needs_repositories=bool(wanted),
        allow_inactive=allow_inactive,
    )


def uninstall(host: Host, words: Sequence[str] | None, *, idempotent: bool = False) -> Change:
    """Takes requests away, None for all; InvalidInput for one that was never made.

    What other requests need stays, as the same file as before.
    """
    pending = host.require_pending()
    origin = host.origin(pending)
    if words is None:
        return _with_lock(host, pending, with_local(without_requests(origin, origin.requests), ()))
    return _with_lock(host, pending, _without(host, origin, words, idempotent=idempotent))


def reset(host: Host) -> Change:
    """Takes all layers away."""
    pending = host.require_pending()
    return _with_lock(host, pending, pristine(host.origin(pending)))


def upgrade(
    host: Host,
    *,
    allow_downgrade: bool = False,
    install: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """Pulls the newest base of the origin's ref; the layers move to their newest too.

    `install` is layered in addition. A base that is older than the present one is refused unless
    `allow_downgrade`. With `skip_broken`, here and in `rebase` and `deploy`, layers that do not
    fit are left out until the next upgrade; without it, Blocked names them all.
    """
    pending = host.require_pending()
    origin = replace(host.origin(pending), override_commit="")
    old = host.find_base(pending)
    with _pulled(host, origin) as (host, new):
        if old and new.timestamp < old.timestamp and not allow_downgrade:
            raise LayerError(
                f"{origin.base} is older than what is deployed: {new.checksum[:12]} of "
                f"{instant(new.timestamp)} is before {old.checksum[:12]} of "
                f"{instant(old.timestamp)}",
                "--allow-downgrade takes it all the same",
            )
        return _anew(host, origin, new, install=install, skip_broken=skip_broken)


def rebase(
    host: Host,
    refspec: str,
    *,
    kernel_arguments: Sequence[str] | None = None,
    install: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """Pulls another base, or the first one, and carries the requests over to it.

    `install` is layered in addition.
    """
    pending = host.pending()
    source = parse_source(refspec)
    if pending is None:
        origin = Origin(source)
    else:
        origin = replace(host.origin(pending), base=source, override_commit="")
    with _pulled(host, origin) as (host, base):
        return _anew(host, origin, base, kernel_arguments, install=install, skip_broken=skip_broken)


def deploy(
    host: Host, word: str, *, install: Sequence[str] = (), skip_broken: bool = False
) -> Change:
    """Pins the base to a commit of its ref's history, by version or checksum; older ones too.

    What is layered is carried over, with `install` in addition. NotFound where the history
    has no such commit.
    """
    pending = host.require_pending()
    origin = host.origin(pending)
    with _pulled(host, origin, word) as (host, base):
        origin = replace(origin, override_commit=base.checksum)
        return _anew(host, origin, base, install=install, skip_broken=skip_broken)


def edit_kernel_arguments(host: Host, edits: Edits) -> Change:
    """The same tree with other kernel arguments."""
    pending = host.require_pending()
    arguments = edited(pending.kernel_arguments, edits)
    return prepare_again(host, host.origin(pending), kernel_arguments=arguments)


def pin(host: Host, numbers: Sequence[int], *, is_pinned: bool) -> None:
    """Keeps deployments from being removed, or lets them be; LayerError where one is missing."""
    present = host.sysroot.deployments()
    for deployment in [bootplan.at(present, number) for number in numbers]:
        host.sysroot.pin(deployment, is_pinned=is_pinned)


def rollback(host: Host, *, keep_etc: bool = False) -> tuple[BootPlan, tuple[EtcEdit, ...]]:
    """The deployment before the present default becomes default.

    With it come the changes of /etc that the deployment which is left has and the other has
    not; `keep_etc` carries them along.
    """
    present = host.sysroot.deployments()
    leaving = bootplan.merge_source(present, host.stateroot)
    target = bootplan.rollback_target(present, host.stateroot)
    overlay = tracked_files(host, host.origin(target)) if keep_etc else b""
    if keep_etc:
        check_room_to_boot(host, host.store.read_commit(target.checksum).root, overlay)
    else:
        check_room_to_reorder(host)
    plan = bootplan.rollback(present, host.stateroot, keep_etc=keep_etc, overlay=overlay)
    return plan, left_behind(leaving.path, target.path) if leaving else ()


def refresh(host: Host, *, force: bool = False) -> Iterator[Repository]:
    """Fetches the metadata of every enabled repository; `force` all of them, changed or not."""
    repositories = host.repositories()
    if not repositories:
        raise NotFound(
            "no repository is enabled", "put a .repo file into /etc/yum.repos.d or use --repo-dir"
        )
    for repository in repositories:
        with cleaning.fetching_anew(host, repository) if force else nullcontext():
            fetch_checked(repository, host.refreshing().fetching)
        yield repository


def _without(host: Host, origin: Origin, words: Sequence[str], *, idempotent: bool) -> Origin:
    """The origin that no longer asks for what these words name; InvalidInput as `uninstall`."""
    local = [p for p in origin.local if any(is_named(p.nevra, word) for word in words)]
    texts = {request.text for request in origin.requests}
    others = [w for w in words if w in texts or not any(is_named(p.nevra, w) for p in local)]
    gone = _requests_of(host, origin, others, idempotent)
    kept = [package for package in origin.local if package not in local]
    return with_local(without_requests(origin, gone), kept)


def _requests_of(
    host: Host, origin: Origin, words: Sequence[str], idempotent: bool
) -> tuple[Request, ...]:
    """The requests that these words made, or that asked for the packages which they name."""
    found = [r for r in origin.requests if r.text in words]
    others = [word for word in words if word not in {r.text for r in found}]
    named = {word: _requests_naming(host, origin, word) for word in others}
    found += [r for requests in named.values() for r in requests if r not in found]
    unknown = sorted(word for word, requests in named.items() if not requests)
    if unknown and not idempotent:
        raise InvalidInput(
            f"never asked for: {', '.join(unknown)}{_whence(host, origin, unknown)}",
            f"asked for is: {', '.join(r.label for r in origin.wanted) or 'nothing'}",
        )
    return tuple(found)


def _requests_naming(host: Host, origin: Origin, word: str) -> list[Request]:
    """The requests by name for the layered package that `word` is a name of: `jq` for `jq-1.6`."""
    headers = [h for h in host.layered_headers() if fulfils(h, Request(RequestKind.PACKAGE, word))]
    by_name = [r for r in origin.requests if r.kind is RequestKind.PACKAGE]
    return [r for r in by_name if any(fulfils(h, r) for h in headers)]


def _whence(host: Host, origin: Origin, words: Sequence[str]) -> str:
    """Why those of the words are layered that are: of a group, or because others need them."""
    pending = host.pending()
    layered = [p.nevra for p in host.lock_of(pending).packages] if pending else []
    facts = []
    for word in words:
        names = {nevra.name for nevra in layered if is_named(nevra, word)}
        groups = [r.text for r in origin.requests if names.intersection(r.members)]
        if groups:
            facts.append(f"{word}: belongs to {', '.join(groups)}, and goes with that alone")
        elif names:
            facts.append(f"{word}: layered because others need it")
    return f" ({'; '.join(facts)})" if facts else ""


def _with_lock(host: Host, pending: Deployment, after: Origin) -> Change:
    base, lock = host.base_commit(pending), host.lock_of(pending)
    if not after.is_to_solve:
        lock = Lock(ids=lock.ids)  # no repository is asked for packages that go
    with open_sources(host, base, lock, needs_repositories=False, kept=after.files) as sources:
        return prepare(host, after, base, sources)


def _anew(
    host: Host,
    origin: Origin,
    base: Commit,
    kernel_arguments: Sequence[str] | None = None,
    *,
    install: Sequence[str] = (),
    skip_broken: bool,
) -> Change:
    """The same requests on another base, with no package held back; ids stay."""
    pending = host.pending()
    ids = host.lock_of(pending).ids if pending else ()
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
        kernel_arguments=kernel_arguments,
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
