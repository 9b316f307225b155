"""What the verbs about the initramfs decide: how it is made, and what is appended to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from layer.change import Change
from layer.early_files import tracked_path
from layer.errors import InvalidInput
from layer.host import Host
from layer.origin import Origin, with_options
from layer.preparation import prepare, prepare_again
from layer.sources import open_sources


def set_initramfs(host: Host, *, is_enabled: bool, arguments: Sequence[str] = ()) -> Change:
    """Has the initramfs made anew in each tree, by dracut with these arguments, or left as it is.

    The packages stay the same files; nothing is fetched.
    """
    origin = host.origin(host.require_pending())
    options = replace(
        origin.options, regenerate_initramfs=is_enabled, initramfs_arguments=tuple(arguments)
    )
    return _same_packages(host, with_options(origin, options))


def track_files(
    host: Host,
    *,
    track: Sequence[str] = (),
    untrack: Sequence[str] = (),
    untrack_all: bool = False,
    is_forced: bool = False,
) -> Change:
    """Has files of the machine's /etc go into an initrd beside the tree's, or no longer.

    What is tracked already stays so without an error, and what is not cannot be untracked.
    `is_forced`: where nothing else changes there is a deployment all the same if the files have.
    """
    pending = host.require_pending()
    origin = host.origin(pending)
    tracked = set() if untrack_all else set(origin.initramfs_etc)
    unknown = sorted(set(untrack) - tracked)
    if unknown:
        raise InvalidInput(
            f"not tracked: {', '.join(unknown)}",
            f"tracked is: {', '.join(origin.initramfs_etc) or 'nothing'}",
        )
    wanted = (tracked - set(untrack)) | {tracked_path(word) for word in track}
    change = prepare_again(host, replace(origin, initramfs_etc=tuple(sorted(wanted))))
    checksum = hashlib.sha256(change.overlay).hexdigest()
    is_new = (checksum,) != pending.overlays if change.overlay else bool(pending.overlays)
    return replace(change, is_overlay_new=is_forced and is_new)


def _same_packages(host: Host, after: Origin) -> Change:
    pending = host.require_pending()
    base, lock = host.base_commit(pending), host.lock_of(pending)
    with open_sources(host, base, lock, needs_repositories=False, kept=after.files) as sources:
        return prepare(host, after, base, sources)
