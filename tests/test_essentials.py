"""What a machine cannot be without, by the paths that packages hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from layer.errors import PackageRefused
from layer.essentials import refuse_essential
from layer.model import PackageHeader
from layer.rpmfile.header import read_header
from testdata.distro.rpmwriter import write_rpm
from testdata.distro.tiny import FileSpec, tiny_rpm

WHAT = {
    "/usr/lib/modules/6.1/vmlinuz": "the kernel",
    "/boot/vmlinuz-6.1": "the kernel",
    "/usr/lib/systemd/systemd": "the first process",
    "/lib/systemd/systemd": "the first process",
    "/sbin/init": "the first process",
    "/usr/bin/init": "the first process",
    "/lib64/libc.so.6": "the C library, which every program needs",
    "/usr/lib/libc.so.6": "the C library, which every program needs",
    "/usr/lib/x86_64-linux-gnu/libc.so.6": "the C library, which every program needs",
    "/lib64/ld-linux-x86-64.so.2": "what loads every program",
    "/usr/lib/ostree/ostree-prepare-root": "what finds the deployment at boot",
    "/usr/lib64/libostree-1.so.1": "OSTree itself",
    "/usr/lib/x86_64-linux-gnu/libostree-1.so.1": "OSTree itself",
    "/usr/bin/layer": "the program that takes overrides back",
}
HARMLESS = (
    "/usr/lib/modules/6.1/kernel/vmlinuz",
    "/usr/share/systemd/systemd",
    "/usr/lib/systemd/systemd-journald",
    "/usr/lib/a/b/libc.so.6",
    "/usr/lib/libc.so.60",
    "/usr/lib/ostree/other",
    "/usr/lib/libostree-1.so.10",
    "/usr/bin/layers",
    "/usr/bin/other/layer",
)


def header(folder: Path, name: str, *files: FileSpec | str) -> PackageHeader:
    """A real package's."""
    where = folder / hashlib.sha256(repr((name, files)).encode()).hexdigest()
    where.mkdir()
    return read_header(write_rpm(tiny_rpm(name, *files, arch="x86_64"), where))


@pytest.mark.parametrize("path", WHAT)
def test_what_nobody_can_be_without_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(PackageRefused) as refused:
        refuse_essential([header(tmp_path, "one", path)], [])
    assert refused.value.message == (
        f"the machine could not go on without these:\n  one-1-1.x86_64 has {WHAT[path]}"
    )


@pytest.mark.parametrize("path", HARMLESS)
def test_what_only_looks_like_it_may_go(tmp_path: Path, path: str) -> None:
    refuse_essential([header(tmp_path, "one", path)], [])


def test_all_that_is_needed_is_named_at_once_in_order(tmp_path: Path) -> None:
    both = header(tmp_path, "zoo", "/usr/bin/layer", "/usr/sbin/init")
    system = header(tmp_path, "filesystem", FileSpec.directory("/usr"))
    with pytest.raises(PackageRefused) as refused:
        refuse_essential([both, system], [])
    assert refused.value.message.splitlines()[1:] == [
        "  filesystem-1-1.x86_64 has the directories of the system",
        "  zoo-1-1.x86_64 has the first process",
        "  zoo-1-1.x86_64 has the program that takes overrides back",
    ]


def test_another_package_may_stand_in(tmp_path: Path) -> None:
    """By what it is, not by the path or the name; for that alone."""
    old = header(tmp_path, "old", "/usr/lib/modules/6.0/vmlinuz", "/usr/sbin/init")
    new = header(tmp_path, "new", "/usr/lib/modules/6.1/vmlinuz")
    with pytest.raises(PackageRefused) as refused:
        refuse_essential([old], [new])
    assert refused.value.message.splitlines()[1:] == ["  old-1-1.x86_64 has the first process"]
    refuse_essential([old], [new, header(tmp_path, "init", "/usr/bin/init")])


def test_who_only_claims_a_name_has_nothing(tmp_path: Path) -> None:
    ghost = header(tmp_path, "ghost", FileSpec("/usr/sbin/init", ghost=True))
    refuse_essential([ghost], [])
    with pytest.raises(PackageRefused):
        refuse_essential([header(tmp_path, "init", "/usr/sbin/init")], [ghost])
