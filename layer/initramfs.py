"""The initramfs that is made anew from each tree: what the origin says of it; pure.

The keys are rpm-ostree's own: `[rpmostree] regenerate-initramfs` and `initramfs-args`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layer.errors import InvalidInput
from layer.lock import TreeOptions

SECTION = "rpmostree"
REGENERATE, ARGUMENTS = "regenerate-initramfs", "initramfs-args"
ETC = "initramfs-etc"  # files of /etc for an initrd of their own
TRIGGER = "initramfs"  # the trigger that makes it
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # as GKeyFile has them

# What dracut must not be asked for here, and why not.
_REFUSED = {
    "-H": "makes it for the machine at hand, of which the sandbox shows nothing",
    "--hostonly": "makes it for the machine at hand, of which the sandbox shows nothing",
    "--kver": "the tree's own kernel is the one",
    "--regenerate-all": "the tree's own kernel is the one",
    "--no-kernel": "would leave out the drivers that find the disk",
    "--sysroot": "the new tree is the one",
    "-r": "the new tree is the one",
    "--tmpdir": "the sandbox has a place of its own for that",
    "--rebuild": "would take the arguments of another image",
}


def is_enabled(values: Mapping[tuple[str, str], str]) -> bool:
    """Whether an origin file wants it; InvalidInput where the value is no boolean."""
    text = values.get((SECTION, REGENERATE), "false")
    if text not in _BOOLEANS:
        raise InvalidInput(f"the origin file says {REGENERATE}={text}; it is true or false")
    return _BOOLEANS[text]


def check_arguments(options: TreeOptions) -> None:
    """InvalidInput names every argument for dracut that cannot be honoured."""
    faults = [
        f"{argument}: {_REFUSED[argument.partition('=')[0]]}"
        for argument in options.initramfs_arguments
        if argument.partition("=")[0] in _REFUSED
    ]
    faults += [
        f"{argument!r} is no argument" for argument in options.initramfs_arguments if not argument
    ]
    if faults:
        raise InvalidInput(
            "\n  ".join(["the initramfs cannot be made with these arguments:", *faults]),
            "layer initramfs --enable, with other arguments or without any, replaces them",
        )


def plan_lines(before: TreeOptions, after: TreeOptions) -> list[str]:
    """What a plan says of it."""
    if not after.regenerate_initramfs:
        return ["Initramfs: the base's own."] if before.regenerate_initramfs else []
    return [f"Initramfs: {' '.join(('made anew by dracut', *after.initramfs_arguments))}."]


def status_rows(options: TreeOptions) -> list[tuple[str, str]]:
    """What a deployment's state says of it, as rpm-ostree's does."""
    if not options.regenerate_initramfs:
        return []
    return [("Initramfs", " ".join(options.initramfs_arguments) or "regenerate")]


def tracked_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What a plan says of files of /etc that go into an initrd of their own."""
    lines = []
    for what, paths in (
        ("Tracked from now on", set(after) - set(before)),
        ("Tracked no longer", set(before) - set(after)),
    ):
        if paths:
            lines.append(f"{what}, for the initramfs: {', '.join(sorted(paths))}.")
    return lines


def as_json(options: TreeOptions) -> dict[str, Any]:
    """The same as `described`, for programs."""
    return {
        "regenerate": options.regenerate_initramfs,
        "arguments": list(options.initramfs_arguments),
    }


def described(options: TreeOptions) -> Sequence[str]:
    """Lines for people, in rpm-ostree's words."""
    state = "enabled" if options.regenerate_initramfs else "disabled"
    lines = [f"Initramfs regeneration: {state}"]
    if options.initramfs_arguments:
        lines.append(f"Initramfs args: {' '.join(options.initramfs_arguments)}")
    return lines
