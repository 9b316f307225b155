"""Packages whose files want to be where no package's may be, or what none may be."""

from __future__ import annotations

import stat

from testdata.distro.forge import Field, int16, strings, with_tags
from testdata.distro.hostile import HostilePackage, of_draft, of_files
from testdata.distro.rpmheader import Tag
from testdata.distro.rpmspec import FileSpec

SPECIAL = "is a device, FIFO or socket"
DOTS = r"has a component \. or \.\."


def _named(
    name: str, why: str, expected: str, folder: str | bytes, base: str | bytes
) -> HostilePackage:
    """A package whose only file has this directory name and base name."""
    fields: tuple[Field, ...] = (strings(Tag.DIRNAMES, folder), strings(Tag.BASENAMES, base))
    return of_draft(name, why, expected, lambda parts: with_tags(parts, *fields))


def _special(name: str, kind: int) -> HostilePackage:
    return of_files(
        name, "makes what is no file", f"/usr/share/special: {SPECIAL}",
        FileSpec("/usr/share/special", kind=kind),
    )  # fmt: skip


def _elsewhere(name: str, path: str, reason: str) -> HostilePackage:
    return of_files(
        name, "the machine's own, not the system's", f"{path}: {reason}", FileSpec(path)
    )


TABLE = (
    _named("dots-in-folder", "climbs out of /usr", DOTS, "/usr/../etc/", "passwd"),
    _named("dots-at-end", "climbs out of /usr", DOTS, "/usr/share/", ".."),
    _named("dot-component", "the same place by another name", DOTS, "/usr/./share/", "x"),
    _named("many-dots", "climbs out of the root", DOTS, "/../../../../", "etc"),
    _named("slash-in-base", "a path where a name belongs", "has no directory", "/usr/", "a/b"),
    _named("dots-in-base", "a path where a name belongs", "has no directory", "/usr/", "../x"),
    _named("empty-base", "a file without a name", "has an empty component", "/usr/share/", ""),
    _named("empty-folder", "a component without a name", "has an empty component", "/usr//x/", "y"),
    _named("relative", "an absolute path without a leading slash", "is not absolute", "usr/", "x"),
    _named("dot-relative", "relative to nobody knows what", "is not absolute", "./usr/", "x"),
    _named("no-folder", "relative", "does not end with a slash", "", "x"),
    _named(
        "folder-runs-on",
        "a directory name that does not end in a slash",
        "directory name '?/usr/sh'? does not end with a slash",
        "/usr/sh",
        "are",
    ),
    _named("newline", "adds a line to tmpfiles.d", "holds a line break", "/var/", "a\nb"),
    _named("return", "ends a line of tmpfiles.d too", "holds a line break", "/var/", "a\rb"),
    _named("latin-1", "bytes that OSTree cannot hold", "is not UTF-8", "/usr/", b"\xe9"),
    _named(
        "surrogate", "bytes that stand for no character", "is not UTF-8", "/usr/", b"\xed\xb2\x80"
    ),
    _named("long-component", "300 bytes", "has a component of more than 255", "/usr/", "x" * 300),
    _named(
        "long-path", "5,000 bytes", r"^.{,700}is longer than \d+ bytes", "/usr/" + "d/" * 2500, "x"
    ),
    _named("deep-path", "1,500 directories", "lies deeper than", "/usr/" + "d/" * 1500, "x"),
    _named(
        "longest-path",
        "a megabyte",
        r"^.{,700}(is longer|has a component of more) than \d+ bytes",
        "/usr/" + "d/" * 500_000,
        "x",
    ),
    of_files(
        "duplicate",
        "one path, two files",
        "is listed twice",
        FileSpec("/usr/x", b"1"),
        FileSpec("/usr/x", b"2"),
    ),
    of_files(
        "duplicate-merged",
        "one path by two names",
        "lands in the same place as /bin/x",
        FileSpec("/usr/bin/x", b"1"),
        FileSpec("/bin/x", b"2"),
    ),
    of_files(
        "duplicate-factory",
        "one path by two names",
        "lands in the same place as",
        FileSpec("/usr/share/factory/var/lib/x", b"1"),
        FileSpec("/var/lib/x", b"2"),
    ),
    of_files(
        "below-link",
        "writes through its own link",
        "/usr/share/l/passwd: lies below the link /usr/share/l",
        FileSpec.symlink("/usr/share/l", "/etc"),
        FileSpec("/usr/share/l/passwd", b"x"),
    ),
    of_files(
        "below-merged-link",
        "the same by two names",
        "lies below the link /usr/lib/l",
        FileSpec.symlink("/usr/lib/l", "/etc"),
        FileSpec("/lib/l/passwd", b"x"),
    ),
    of_files(
        "below-file",
        "a file as a directory",
        "lies below the file /usr/share/f",
        FileSpec("/usr/share/f", b"x"),
        FileSpec("/usr/share/f/g", b"x"),
    ),
    of_files(
        "below-factory-link",
        "factory content through a link",
        "lies below the link /usr/share/factory/var",
        FileSpec.symlink("/usr/share/factory/var", "/etc"),
        FileSpec("/var/lib/x", b"x"),
    ),
    of_files(
        "below-var-link",
        "a directory at boot through a link",
        "lies below the link /var/lib/l",
        FileSpec.symlink("/var/lib/l", "/etc"),
        FileSpec.directory("/var/lib/l/x"),
    ),
    of_files(
        "below-ghost-link",
        "the same by a link that is no content",
        "lies below the link /var/lib/l",
        FileSpec("/var/lib/l", kind=stat.S_IFLNK, mode=0o777, target="/etc", ghost=True),
        FileSpec.directory("/var/lib/l/x"),
    ),
    of_files(
        "usr-link",
        "the system as a link",
        "/usr: is no directory",
        FileSpec.symlink("/usr", "/tmp"),
    ),
    of_files(
        "etc-link", "/etc as a link", "/etc: is no directory", FileSpec.symlink("/etc", "/tmp")
    ),
    of_files("usr-file", "the system as a file", "/usr: is no directory", FileSpec("/usr", b"x")),
    of_files("var-file", "/var as a file", "/var: is no directory", FileSpec("/var", b"x")),
    _named(
        "root-file",
        "the root itself as a file",
        "/: is no directory|/: a tree has no place|has an empty",
        "/",
        "",
    ),
    of_files(
        "lib-link", "/lib elsewhere", "/lib: links to ../tmp", FileSpec.symlink("/lib", "../tmp")
    ),
    of_files(
        "boot-link", "/boot elsewhere", "/boot: is no directory", FileSpec.symlink("/boot", "/tmp")
    ),
    _elsewhere("local", "/usr/local/x", "/usr/local is a link into /var"),
    _elsewhere("home", "/home/x", "/home is the users' own"),
    _elsewhere("root-home", "/root/.ssh/authorized_keys", "/root is the administrator's own"),
    _elsewhere("proc", "/proc/sys/kernel/core_pattern", "/proc is the kernel's"),
    _elsewhere("sys", "/sys/x", "/sys is the kernel's"),
    _elsewhere("dev", "/dev/x", "/dev is the kernel's"),
    _elsewhere("tmp", "/tmp/x", "/tmp does not last"),
    _elsewhere("sysroot", "/sysroot/ostree/repo/config", "/sysroot is OSTree's"),
    _elsewhere("ostree", "/ostree/repo/config", "/ostree is OSTree's"),
    _elsewhere("elsewhere", "/data/x", "a tree has no place for it"),
    _elsewhere("run-file", "/run/x", "is a file in /run"),
    _elsewhere(
        "headers",
        "/usr/lib/sysimage/packages/glibc-2-1.x86_64.rpm",
        "the headers of packages are kept there",
    ),
    of_files(
        "many-refused",
        "a thousand lines on a screen",
        "950 more of its paths",
        *(FileSpec(f"/home/{n}") for n in range(1000)),
    ),
    _special("char-device", stat.S_IFCHR),
    _special("block-device", stat.S_IFBLK),
    _special("fifo", stat.S_IFIFO),
    _special("socket", stat.S_IFSOCK),
    of_draft(
        "no-type",
        "a mode without a type",
        SPECIAL,
        lambda parts: with_tags(parts, int16(Tag.FILEMODES, 0o644)),
    ),
    of_files(
        "long-target",
        "a link of a megabyte",
        r"^.{,700}target is longer than \d+ bytes",
        FileSpec.symlink("/usr/share/l", "x" * (1 << 20)),
    ),
    of_files(
        "no-target", "a link to nothing", "target is empty", FileSpec.symlink("/usr/share/l", "")
    ),
    of_files(
        "user-newline",
        "a line of passwd",
        r"has the owner 'x\\nevil:",
        FileSpec("/usr/share/x", user="x\nevil:x:0:0"),
    ),
    of_files(
        "group-colon", "a field of group", r"and group 'a:b'", FileSpec("/usr/share/x", group="a:b")
    ),
    of_files(
        "user-slash",
        "a path as a name",
        r"has the owner '../x'",
        FileSpec("/usr/share/x", user="../x"),
    ),
    of_files("user-empty", "nobody", r"has the owner ''", FileSpec("/usr/share/x", user="")),
    of_files(
        "user-long",
        "a megabyte as a name",
        r"^.{,700}which are no names|longer",
        FileSpec("/usr/share/x", user="x" * (1 << 20)),
    ),
    of_files(
        "capability-garbage",
        "no capabilities",
        "not file capabilities|unknown capability",
        FileSpec("/usr/share/x", capabilities="\x1b[2J; rm -rf /"),
    ),
    of_files(
        "capability-unknown",
        "no such capability",
        "unknown capability 'cap_flying'",
        FileSpec("/usr/share/x", capabilities="cap_flying=ep"),
    ),
    of_files(
        "capability-long",
        "a megabyte of one",
        r"^.{,700}$",
        FileSpec("/usr/share/x", capabilities="cap_" + "x" * (1 << 20)),
    ),
    of_files(
        "file-digest",
        "other content than promised",
        "the digest of its content is wrong",
        FileSpec("/usr/share/x", b"x", digest="0" * 64),
    ),
    of_files(
        "no-file-digest",
        "nothing vouches for it",
        "the header has no digest of it",
        FileSpec("/usr/share/x", b"x", digest=""),
    ),
    of_files(
        "short-file-digest",
        "a part of a digest",
        "the digest of its content is wrong",
        FileSpec("/usr/share/x", b"x", digest="2d711642"),
    ),
)

ACCEPTED = (
    of_files(
        "kernel-dots",
        "a kernel's version becomes a directory's name; these are none",
        "",
        FileSpec("/boot/vmlinuz-.", b"kernel"),
        FileSpec("/boot/vmlinuz-..", b"kernel"),
    ),
)
