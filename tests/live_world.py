"""Packages for tests of live changes: programs that run, and caches of triggers."""

from __future__ import annotations

from pathlib import Path

from testdata.distro.rpmspec import FileSpec, RpmSpec
from testdata.distro.tiny import tiny_rpm
from tests.cli import host_programs
from tests.world import LIBRARY, tools_package

_PROGRAMS = (
    *("/usr/bin/cat", "/usr/bin/ls", "/usr/bin/systemd-tmpfiles", "/usr/bin/glib-compile-schemas"),
    *("/usr/bin/update-mime-database", "/usr/bin/gtk-update-icon-cache", "/usr/bin/mount"),
)
_SCHEMA = """\
<schemalist><schema id="org.{0}" path="/org/{0}/"><key name="on" type="b">
<default>true</default></key></schema></schemalist>
"""
_MIME = """\
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
<mime-type type="application/x-{0}"><glob pattern="*.{0}"/></mime-type></mime-info>
"""
_THEME = "[Icon Theme]\nName=Hicolor\nComment=x\nDirectories=48x48/apps\n[48x48/apps]\nSize=48\n"
CACHES = (
    "usr/share/icons/hicolor/icon-theme.cache",
    "usr/share/mime/mime.cache",
    "usr/share/glib-2.0/schemas/gschemas.compiled",
)
CORE = {
    "/usr/lib/systemd/systemd": "systemd, which runs all the time",
    "/usr/lib/x86_64-linux-gnu/libnss_tiny.so.2": "the C library, which every program has loaded",
    "/usr/lib/modules/5.0/kernel/x.ko": "the kernel, its modules or its initramfs",
    "/usr/lib/firmware/x.bin": "firmware, which the kernel loads when it likes",
}
FOX_LIBRARY = "/usr/lib/x86_64-linux-gnu/libfox.so.1"


def base_of_live() -> tuple[RpmSpec, ...]:
    """What the base has beside the tiny one."""
    known = {file.path for file in tools_package().files}
    programs = [file for file in host_programs(*_PROGRAMS) if file.path not in known]
    return (
        tiny_rpm("live-tools", *programs, arch="x86_64"),
        tiny_rpm("desk", *desktop("desk"), FileSpec(_index(), _THEME.encode()), arch="x86_64"),
        fox("1"),
        core("1"),
        tiny_rpm("idle", FileSpec("/usr/share/idle", b"1\n"), arch="x86_64"),
    )


def core(version: str) -> RpmSpec:
    """What only a reboot may change, and a file beside it."""
    paths = (*CORE, "/usr/share/core/data")
    files = [FileSpec(path, f"{version}\n".encode(), mode=0o755) for path in paths]
    return tiny_rpm("core", *files, version=version, arch="x86_64")


def fox(version: str, *, library: str = "1", omni: str = "") -> RpmSpec:
    """An application that looks for a file of its own when it is asked to, and its library."""
    dash = Path("/usr/bin/dash").read_bytes() + b"fox"  # else one object with the shell
    content = Path(LIBRARY).read_bytes() + library.encode()
    return tiny_rpm(
        "fox",
        FileSpec("/usr/bin/fox", dash, mode=0o755),
        FileSpec("/usr/share/fox/omni", f"omni {omni or version}\n".encode()),
        FileSpec(FOX_LIBRARY, content, mode=0o755),
        version=version,
        arch="x86_64",
    )


def desktop(name: str) -> tuple[FileSpec, ...]:
    """An icon, a MIME type and a schema."""
    return (
        FileSpec(f"/usr/share/icons/hicolor/48x48/apps/{name}.png", b"no picture"),
        FileSpec(f"/usr/share/mime/packages/{name}.xml", _MIME.format(name).encode()),
        FileSpec(f"/usr/share/glib-2.0/schemas/{name}.gschema.xml", _SCHEMA.format(name).encode()),
    )


def layers_of_live() -> tuple[RpmSpec, ...]:
    """What can be layered."""
    unit = b"[Service]\nExecStart=/usr/bin/pairs\n[Install]\nWantedBy=multi-user.target\n"
    return (
        tiny_rpm("painter", *desktop("painter"), "/usr/bin/painter", arch="x86_64"),
        tiny_rpm(
            "served",
            FileSpec("/usr/lib/systemd/system/served.service", unit),
            FileSpec("/etc/served/served.conf", b"served\n", config=True),
            arch="x86_64",
        ),
        tiny_rpm("shared", FileSpec("/usr/lib/systemd/system/shared.service", unit), arch="x86_64"),
        tiny_rpm("hidden", FileSpec("/usr/sbin/cat", b"#!/bin/sh\n", mode=0o755), arch="x86_64"),
        tiny_rpm("module", FileSpec("/usr/lib/modules/6.0/extra/x.ko", b"x"), arch="x86_64"),
    )


def _index() -> str:
    return "/usr/share/icons/hicolor/index.theme"
