"""Packages to layer whose attributes Debian's own lack; together they fire every trigger.

What is text stands in synthetic/, a directory for each package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testdata.distro.configuration import HERE
from testdata.distro.donors import Donors
from testdata.distro.elf import with_elf_relations
from testdata.distro.rpmspec import FileSpec, RpmSpec, Scriptlet

# As a Debian or Fedora package would have it; the triggers do the same.
_DAEMON_POST = """\
systemd-sysusers demo-daemon.conf || :
systemctl --no-reload preset demo-daemon.service || :
"""
_ABSENT_GLIBC = "libc6 = 9.99-1"


def layer_packages(donors: Donors) -> tuple[RpmSpec, ...]:
    """Return the packages to layer."""
    packages = (
        _daemon(donors),
        _desktop(),
        _lib(donors),
        _links(),
        _module(donors),
        _newglibc("demo-newglibc"),
        _ping(donors),
    )
    return tuple(with_elf_relations(package) for package in packages)


def extra_packages(donors: Donors) -> tuple[RpmSpec, ...]:
    """Return a second repository's packages: another libc6, and one that needs it."""
    libc6 = replace(
        donors.spec("libc6"),
        version="9.99",
        release="1",
        scriptlets=(),
        file_triggers=(),
        files=(FileSpec("/usr/share/doc/libc6/README", b"Not a C library.\n", doc=True),),
    )
    return (libc6, _newglibc("demo-newglibc-alt"))


def _text_files(package: str) -> Iterator[FileSpec]:
    root = HERE / "synthetic" / package
    for path in sorted(root.rglob("*")):
        if path.is_file():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            yield FileSpec(f"/{path.relative_to(root)}", path.read_bytes(), mode)


def _daemon(donors: Donors) -> RpmSpec:
    """A user of its own, who owns files in /usr, /etc and /var; a setgid program."""
    program = donors.content("coreutils", "/usr/bin/id")
    config = "/etc/demo-daemon.conf"
    return RpmSpec(
        "demo-daemon",
        summary="A daemon with a user of its own",
        requires=("/bin/sh", "coreutils", "systemd"),
        files=(
            *(file for file in _text_files("demo-daemon") if file.path != config),
            *(
                replace(file, mode=0o640, group="demod", config=True)
                for file in _text_files("demo-daemon")
                if file.path == config
            ),
            FileSpec("/usr/bin/demo-daemon-id", program, 0o2755, group="demod"),
            FileSpec.directory("/usr/share/demo-daemon", 0o750, "root", "demod"),
            FileSpec("/usr/share/demo-daemon/key", b"no secret\n", 0o640, "demod", "demod"),
            FileSpec.directory("/var/lib/demo-daemon", 0o750, "demod", "demod"),
            FileSpec("/var/lib/demo-daemon/seed", b"seed\n", 0o640, "demod", "demod"),
            FileSpec("/var/log/demo-daemon.log", mode=0o640, user="demod", ghost=True),
        ),
        scriptlets=(Scriptlet("post", _DAEMON_POST),),
    )


def _desktop() -> RpmSpec:
    """An icon, a launcher, a MIME type and a settings schema."""
    return RpmSpec(
        "demo-desktop",
        arch="noarch",
        summary="An application for the desktop's caches",
        requires=("hicolor-icon-theme",),
        files=tuple(_text_files("demo-desktop")),
    )


def _lib(donors: Donors) -> RpmSpec:
    """A shared library, its link, and a program that is linked with it.

    libattr and cp under other names: the new soname is as long as the old one.
    """
    old, new = b"libattr.so.1\0", b"libdemo.so.1\0"
    library = donors.content("libattr1", r"/usr/lib/x86_64-linux-gnu/libattr\.so\.1\.[\d.]+")
    program = donors.content("coreutils", "/usr/bin/cp")
    directory = "/usr/lib/x86_64-linux-gnu"
    return RpmSpec(
        "demo-lib",
        summary="A shared library and a program that needs it",
        requires=("libc6",),
        files=(
            FileSpec(f"{directory}/libdemo.so.1.0.0", library.replace(old, new)),
            FileSpec.symlink(f"{directory}/libdemo.so.1", "libdemo.so.1.0.0"),
            FileSpec("/usr/bin/demo-lib-cp", program.replace(old, new), 0o755),
        ),
    )


def _links() -> RpmSpec:
    """One file of four names in three directories, and links of every kind."""
    data = "/usr/lib/demo-links/data"
    names = ("/usr/lib/demo-links/again", "/usr/share/demo-links/data", "/usr/bin/demo-links")
    return RpmSpec(
        "demo-links",
        arch="noarch",
        summary="Hard and symbolic links",
        requires=("/bin/sh",),
        files=(
            FileSpec.directory("/usr/lib/demo-links"),
            FileSpec.directory("/usr/share/demo-links"),
            FileSpec(data, b"#!/bin/sh\necho demo-links\n", 0o755),
            *(FileSpec.hardlink(name, data) for name in names),
            FileSpec.symlink("/usr/share/demo-links/relative", "../../lib/demo-links/data"),
            FileSpec.symlink("/usr/share/demo-links/absolute", data),
            FileSpec.symlink("/usr/share/demo-links/directory", "../../lib/demo-links"),
            FileSpec.symlink("/usr/share/demo-links/dangling", "nowhere"),
            FileSpec.symlink("/etc/demo-links", "../usr/share/demo-links/data"),
        ),
    )


def _module(donors: Donors) -> RpmSpec:
    """A kernel module outside the kernel's own tree: nls_utf8 under another name."""
    content = donors.content(donors.kernel_package, r".*/kernel/fs/nls/nls_utf8\.ko")
    path = f"/usr/lib/modules/{donors.kernel}/extra/demo-module.ko"
    return RpmSpec(
        "demo-module",
        summary="An additional kernel module",
        requires=(donors.kernel_package,),
        files=(FileSpec.directory(path.rpartition("/")[0]), FileSpec(path, content)),
    )


def _newglibc(name: str) -> RpmSpec:
    """A package that no Debian 12 system can have."""
    return RpmSpec(
        name,
        arch="noarch",
        summary="A package that needs another libc6",
        requires=(_ABSENT_GLIBC,),
        files=(FileSpec(f"/usr/share/{name}/README", b"Needs another libc6.\n"),),
    )


def _ping(donors: Donors) -> RpmSpec:
    """A program with a file capability (cat: it can show its own), and a setuid one (id)."""
    return RpmSpec(
        "demo-ping",
        summary="A file capability and a setuid program",
        requires=("libc6",),
        files=(
            FileSpec(
                "/usr/bin/demo-ping",
                donors.content("coreutils", "/usr/bin/cat"),
                0o755,
                capabilities="cap_net_raw=ep",
            ),
            FileSpec("/usr/bin/demo-whoami", donors.content("coreutils", "/usr/bin/id"), 0o4755),
        ),
    )
