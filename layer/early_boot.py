"""What the verbs about the initramfs decide: how it is made, and what is appended to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layer.change import Change
from layer.host import Host
from layer.origin import Origin, with_options
from layer.transaction import open_sources, prepare


def set_initramfs(host: Host, *, is_enabled: bool, arguments: Sequence[str] = ()) -> Change:
    """Has the initramfs made anew in each tree, by dracut with these arguments, or left as it is.

    The packages stay the same files; nothing is fetched.
    """
    origin = host.origin(host.require_pending())
    options = replace(
        origin.options, regenerate_initramfs=is_enabled, initramfs_arguments=tuple(arguments)
    )
    return _same_packages(host, with_options(origin, options))


def _same_packages(host: Host, after: Origin) -> Change:
    pending = host.require_pending()
    base, lock = host.base_commit(pending), host.lock_of(pending)
    with open_sources(host, base, lock, needs_repositories=False) as sources:
        return prepare(host, after, base, sources)
