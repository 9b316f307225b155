"""What each verb decides; the command line and other programs call these.

A verb about content gives a `Change` for `layer.transaction.apply`, one about
booting a `BootPlan` for `Sysroot.write`. None of them asks or prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace

from layer import bootplan, moves
from layer.change import Change, EtcEdit
from layer.errors import CacheRefused, InvalidInput, NotFound, RepositoryError, Unreachable
from layer.feasibility import check_room_to_boot, check_room_to_reorder, tracked_files
from layer.host import Host
from layer.kernel_arguments import Edits, edited
from layer.lock import Lock
from layer.machine_etc import left_behind
from layer.model import BootPlan, Deployment, Repository
from layer.origin import (
    Origin,
    pristine,
    with_local,
    with_options,
    without_requests,
)
from layer.preparation import prepare, prepare_again
from layer.signing import fetch_checked
from layer.sources import open_sources
from layer.sourcing import prepare_words, read_files, split_words, with_newer
from layer.withdrawal import without_words


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
    origin = without_words(host, origin, uninstall, idempotent=idempotent) if uninstall else origin
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
    return _with_lock(host, pending, without_words(host, origin, words, idempotent=idempotent))


def reset(host: Host) -> Change:
    """Takes all layers away."""
    pending = host.require_pending()
    return _with_lock(host, pending, pristine(host.origin(pending)))


def upgrade(
    host: Host,
    *,
    allow_downgrade: bool = False,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """Pulls the newest base of the origin's ref; the layers move to their newest too.

    `install` is layered in addition, and `uninstall` taken away, here and in `rebase` and
    `deploy`. A base that is older than the present one is refused unless `allow_downgrade`. With
    `skip_broken` layers that do not fit are left out until the next upgrade; without it, Blocked
    names them all.
    """
    with moves.to_newest(host, allow_downgrade=allow_downgrade) as move:
        return moves.carried(move, install=install, uninstall=uninstall, skip_broken=skip_broken)


def rebase(
    host: Host,
    refspec: str,
    *,
    kernel_arguments: Sequence[str] | None = None,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """Pulls another base, or the first one, and carries the requests over to it."""
    with moves.to_ref(host, refspec, kernel_arguments=kernel_arguments) as move:
        return moves.carried(move, install=install, uninstall=uninstall, skip_broken=skip_broken)


def deploy(
    host: Host,
    word: str,
    *,
    install: Sequence[str] = (),
    uninstall: Sequence[str] = (),
    skip_broken: bool = False,
) -> Change:
    """Pins the base to a commit of its ref's history, by version or checksum; older ones too.

    What is layered is carried over. NotFound where the history has no such commit.
    """
    with moves.to_version(host, word) as move:
        return moves.carried(move, install=install, uninstall=uninstall, skip_broken=skip_broken)


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
    """Fetches the metadata of every enabled repository; `force` all of them, changed or not.

    One RepositoryError at the end names all that cannot be had. A note names such as may be
    missing.
    """
    from layer import cleaning  # loads much, which no other verb here needs

    repositories = host.repositories()
    if not repositories:
        raise NotFound(
            "no repository is enabled", "put a .repo file into /etc/yum.repos.d or use --repo-dir"
        )
    errors: list[RepositoryError] = []
    for repository in repositories:
        try:
            with cleaning.fetching_anew(host, repository) if force else nullcontext():
                fetch_checked(repository, host.refreshing().fetching)
        except CacheRefused:
            raise  # the same is in the way of all others
        except RepositoryError as error:
            if isinstance(error, Unreachable) and repository.may_be_missing:
                host.reporter.note(f"left out: {error.message}")
            else:
                errors.append(error)
        else:
            yield repository
    if errors:
        message = "\n".join(error.message for error in errors)
        raise RepositoryError(message, errors[0].hint) from errors[0]


def _with_lock(host: Host, pending: Deployment, after: Origin) -> Change:
    base, lock = host.base_commit(pending), host.lock_of(pending)
    if not after.is_to_solve:
        lock = Lock(ids=lock.ids)  # no repository is asked for packages that go
    with open_sources(host, base, lock, needs_repositories=False, kept=after.files) as sources:
        return prepare(host, after, base, sources)
