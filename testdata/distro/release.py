"""demo-release and demo-initramfs: what makes Debian's packages a system that boots.

Debian's maintainer scripts write these files; here nothing runs a scriptlet, so a
package ships them. What is text stands in release/, as it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

from testdata.distro.configuration import HERE, DemoSet
from testdata.distro.donors import Donors
from testdata.distro.initramfs import Tree, build_initramfs
from testdata.distro.rpmspec import FileSpec, RpmSpec

_UNITS = "/usr/lib/systemd/system"
# 2023-11-14, in days: when the passwords "changed". Any fixed day would do.
_PASSWORD_DAY = 19675


def release_package(demo: DemoSet, donors: Donors) -> RpmSpec:
    """Return demo-release."""
    return RpmSpec(
        "demo-release",
        "12",
        arch="noarch",
        summary="What Debian's maintainer scripts would have made",
        requires=("base-files", "base-passwd", "systemd"),
        files=(
            *_release_tree(),
            *_accounts(donors),
            *(FileSpec.symlink(link, target) for link, target in demo.alternatives.items()),
            FileSpec(
                "/etc/profile",
                donors.content("base-files", "/usr/share/base-files/profile"),
                config=True,
            ),
            # /tmp is a directory of the image, read-only as all of it.
            FileSpec(
                f"{_UNITS}/tmp.mount", donors.content("systemd", "/usr/share/systemd/tmp.mount")
            ),
            FileSpec.symlink(f"{_UNITS}/local-fs.target.wants/tmp.mount", "../tmp.mount"),
            # systemd's own make /home, /srv and /root, which are links into /var here.
            FileSpec.symlink("/etc/tmpfiles.d/home.conf", "/dev/null"),
            FileSpec.symlink("/etc/tmpfiles.d/provision.conf", "/dev/null"),
        ),
    )


def initramfs_package(demo: DemoSet, donors: Donors) -> RpmSpec:
    """Return demo-initramfs."""
    contents = demo.initramfs
    lenders = (*contents.packages, donors.kernel_package)
    tree = Tree({file.path: file for name in lenders for file in donors.spec(name).files})
    image = build_initramfs(
        tree, (HERE / "initramfs-init").read_bytes(), contents.programs, contents.modules
    )
    kernel = donors.spec(donors.kernel_package)
    return RpmSpec(
        "demo-initramfs",
        kernel.version,
        kernel.release,
        summary=f"An initramfs for {donors.kernel}",
        requires=(f"{kernel.name} = {kernel.evr}",),
        files=(FileSpec(f"/usr/lib/modules/{donors.kernel}/initramfs.img", image, 0o600),),
    )


def _release_tree() -> Iterator[FileSpec]:
    root = HERE / "release"
    for path in sorted(root.rglob("*")):
        if path.is_file():
            name = f"/{path.relative_to(root)}"
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            yield FileSpec(name, path.read_bytes(), mode, config=name.startswith("/etc/"))


def _accounts(donors: Donors) -> Iterator[FileSpec]:
    """Yield the four account files for Debian's fixed ids.

    systemd-sysusers adds later accounts to all four, and never touches root's entry:
    so shadow is shipped, with an empty password for root, as the tests must log in.
    """
    users = _master(donors, "passwd")
    groups = _master(donors, "group")
    passwd = [":".join((fields[0], "x", *fields[2:])) for fields in users]
    group = [":".join((fields[0], "x", *fields[2:])) for fields in groups]
    shadow = [
        f"{fields[0]}:{'' if fields[0] == 'root' else '*'}:{_PASSWORD_DAY}:0:99999:7:::"
        for fields in users
    ]
    gshadow = [f"{fields[0]}:*::" for fields in groups]
    for name, lines, mode, owner in (
        ("passwd", passwd, 0o644, "root"),
        ("group", group, 0o644, "root"),
        ("shadow", shadow, 0o640, "shadow"),
        ("gshadow", gshadow, 0o640, "shadow"),
    ):
        content = "".join(f"{line}\n" for line in lines).encode()
        yield FileSpec(f"/etc/{name}", content, mode, group=owner, config=True)


def _master(donors: Donors, name: str) -> list[list[str]]:
    content = donors.content("base-passwd", f"/usr/share/base-passwd/{name}.master")
    return [line.split(":") for line in content.decode().splitlines()]
