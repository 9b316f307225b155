"""Options for a deployment whose fields PyGObject cannot set, for they are arrays of strings."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layer.store.gobject import OSTree

_STAGED = Path("/run/ostree/staged-initrds")  # libostree's own
_TYPE = OSTree.SysrootDeployTreeOpts


@contextmanager
def deploy_options(
    sysroot: Any, kernel_arguments: Sequence[str], overlay: bytes, cancellable: Any
) -> Iterator[Any]:
    """An OSTree.SysrootDeployTreeOpts, to be used inside the context.

    `overlay` is an initrd to be appended to that of the tree; b"" for none.
    """
    arrays = {"override_kernel_argv": _strings(kernel_arguments)}
    if overlay:
        arrays["overlay_initrds"] = _strings([_staged(sysroot, overlay, cancellable)])
    options = _TYPE()
    offsets = {f.get_name(): f.get_offset() for f in _TYPE.__info__.get_fields()}
    for name, array in arrays.items():
        # PyGObject's hash of a structure is its address.
        field = ctypes.c_void_p.from_address(hash(options) + offsets[name])
        field.value = ctypes.addressof(array)
    yield options
    arrays.clear()  # until here they were needed


def forget_staged(overlays: Sequence[str]) -> None:
    """Removes overlays, by checksum, that were copied to /boot, from where they were staged."""
    for checksum in overlays:
        (_STAGED / checksum).unlink(missing_ok=True)


def _staged(sysroot: Any, overlay: bytes, cancellable: Any) -> str:
    descriptor = os.memfd_create("layer-initrd")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(overlay)
        os.lseek(descriptor, 0, os.SEEK_SET)
        _, checksum = sysroot.stage_overlay_initrd(descriptor, cancellable)
        return str(checksum)
    finally:
        os.close(descriptor)


def _strings(words: Sequence[str]) -> Any:
    """A char *[] that ends with NULL; it keeps what it points to alive."""
    return (ctypes.c_char_p * (len(words) + 1))(*(word.encode() for word in words), None)
