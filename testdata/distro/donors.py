"""Debian packages that lend files to synthetic ones."""

from __future__ import annotations

import re
import stat

from testdata.distro.apt import Selection
from testdata.distro.debian import convert_deb
from testdata.distro.rpmspec import RpmSpec

_KERNEL_METAPACKAGE = "linux-image-cloud-amd64"
_KERNEL_PREFIX = "linux-image-"


class Donors:
    """The packages of a selection as RPMs, each converted when first asked for."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._specs: dict[str, RpmSpec] = {}

    def spec(self, name: str) -> RpmSpec:
        """Return the package called `name`."""
        if name not in self._specs:
            self._specs[name] = convert_deb(self._selection.path(name))
        return self._specs[name]

    def content(self, name: str, pattern: str) -> bytes:
        """Return the package's first regular file whose whole path matches the expression."""
        for file in self.spec(name).files:
            if file.kind == stat.S_IFREG and re.fullmatch(pattern, file.path):
                return file.content
        raise FileNotFoundError(f"{name} has no file {pattern}")

    @property
    def kernel_package(self) -> str:
        """The name of the package with the kernel itself."""
        requires = self.spec(_KERNEL_METAPACKAGE).requires
        names = (relation.split()[0] for relation in requires)
        return next(name for name in names if name.startswith(_KERNEL_PREFIX))

    @property
    def kernel(self) -> str:
        """The kernel's version, the name of its directory below /usr/lib/modules."""
        return self.kernel_package.removeprefix(_KERNEL_PREFIX)
